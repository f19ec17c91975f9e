"""How far inboxes and the change log are known to go: what was seen to be there, is there.

Acknowledgements up to there may wait and be joined; what goes further, Redis is asked at once.
"""

from __future__ import annotations

MOST_USERS = 200_000


class Heads:
    """What this node knows of the highest numbers.

    Attributes:
        change: a change with this number was seen.
    """

    def __init__(self, most: int = MOST_USERS) -> None:
        self._most = most
        self.of: dict[str, int] = {}
        self.change = 0

    def seen(self, user: str, head: int) -> None:
        """An inbox goes at least so far."""
        known = self.of.get(user)
        if known is None and len(self.of) >= self._most:
            # Whoever is still here is seen again soon.
            for one in list(self.of)[: self._most // 10]:
                del self.of[one]
        if known is None or head > known:
            self.of[user] = head

    def change_seen(self, number: int) -> None:
        """The change log goes at least so far."""
        if number > self.change:
            self.change = number

    def forget(self) -> None:
        """The numbers may have begun afresh."""
        self.of.clear()
        self.change = 0
