"""Sends from this node that were accepted and whose entry on the feed has not come: normally for a moment.

An answer and the entry come over two connections, in any order. If the feed is interrupted, what is
left here is what sessions must be told was theirs, or they would be pushed their own messages.
"""

from __future__ import annotations

from msgspec import Struct


class OwnSend(Struct, frozen=True, gc=False):
    """An accepted send.

    Attributes:
        no: its number in the log.
        session: who sent it.
        seq: its number in the sender's inbox.
    """

    no: int
    session: str
    user: str
    seq: int


class OwnSends:
    """Pairs of answers and entries, by the message's number."""

    def __init__(self) -> None:
        self._half: dict[int, OwnSend | None] = {}

    def __len__(self) -> int:
        return len(self._half)

    def answered(self, no: int, session: str, user: str, seq: int) -> None:
        """The answer came."""
        if no in self._half:
            del self._half[no]
        else:
            self._half[no] = OwnSend(no, session, user, seq)

    def heard(self, no: int) -> None:
        """The entry came."""
        if no in self._half:
            del self._half[no]
        else:
            self._half[no] = None

    def take_unheard(self) -> list[OwnSend]:
        """Those whose entries are lost, or still on their way: sessions do not mind hearing of them twice."""
        unheard = [one for one in self._half.values() if one is not None]
        self._half = {no: one for no, one in self._half.items() if one is None}
        return unheard

    def keep(self, unheard: list[OwnSend]) -> None:
        """They could not be told yet."""
        self._half.update((one.no, one) for one in unheard)

    def unanswered_is_lost(self) -> None:
        """No answer is on its way any more."""
        self._half = {no: one for no, one in self._half.items() if one is not None}
