"""What the sessions of this node know of relayed files: who else tells them the end when the home is lost?

A relay is known from its offer until the home has told how it ended.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from msgspec import Struct

from imserver.model.file_relays import RelayAccepted, RelayCompleted, RelayFailed, RelayOffered, RelayRejected


class _Known(Struct, frozen=True, gc=False):
    """A relay at one session."""

    relay: str
    target: str
    name: str
    home: str


class KnownRelays:
    """See the module."""

    def __init__(self) -> None:
        self._by_session: dict[str, dict[str, _Known]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._by_session.values()))

    def told(self, session: str, user: str, event: Any, home: str) -> None:
        """The home tells a session of a user something."""
        match event:
            case RelayOffered():
                self._keep(session, _Known(event.relay, user, event.name, home))
            case RelayAccepted():
                self._keep(session, _Known(event.relay, event.target, event.name, home))
            case RelayRejected() | RelayCompleted() | RelayFailed():
                self._forget(session, event.relay)

    def _keep(self, session: str, known: _Known) -> None:
        self._by_session.setdefault(session, {})[known.relay] = known

    def gone(self, session: str) -> None:
        """The session is over."""
        self._by_session.pop(session, None)

    def lost(self, concerned: Callable[[str], bool]) -> Iterator[tuple[str, RelayFailed]]:
        """What to tell whom now that homes are lost; the relays are known no more.

        Args:
            concerned: whether a home is one of them.
        """
        found = [
            (session, known)
            for session, relays in self._by_session.items()
            for known in relays.values()
            if concerned(known.home)
        ]
        for session, known in found:
            self._forget(session, known.relay)
            yield session, RelayFailed(known.relay, known.target, known.name, "the sender's node is lost")

    def _forget(self, session: str, relay: str) -> None:
        relays = self._by_session.get(session)
        if relays is not None and relays.pop(relay, None) is not None and not relays:
            del self._by_session[session]
