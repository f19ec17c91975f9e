"""What the sessions of this node know of calls: so that somebody tells them the end when the home cannot.

A call is known from the first news of it until its end was told. The home itself keeps everything
else; this is for the case that its node is lost, which it could not tell anybody any more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from imserver.model.calls import (
    CallAccepted,
    CallAnswered,
    CallEnded,
    CallIncoming,
    CallRinging,
    CallStopped,
    Ending,
)
from imserver.services.call_requests import Linked, Seated


class _Known:
    """A call at one session; `party`: the session holds it, else it only rings there."""

    __slots__ = ("answered_at", "call", "callee", "caller", "created_at", "home", "party")

    def __init__(self, event: CallIncoming | CallRinging | Seated, home: str) -> None:
        self.call = event.call
        self.caller = event.caller
        self.callee = event.callee
        self.created_at = event.created_at
        self.answered_at = event.answered_at if isinstance(event, Seated) else 0.0
        self.home = home
        self.party = not isinstance(event, CallIncoming)

    def end(self, at: float) -> CallEnded | CallStopped:
        """That its home is lost."""
        if not self.party:
            return CallStopped(self.call, self.caller, self.callee, at, Ending.SHUTDOWN)
        return CallEnded(
            self.call,
            self.caller,
            self.callee,
            Ending.SHUTDOWN,
            self.created_at,
            at,
            self.answered_at,
        )


class KnownCalls:
    """The calls that the sessions of this node know of.

    Args:
        wall_time: float seconds.
    """

    def __init__(self, wall_time: Callable[[], float]) -> None:
        self._wall_time = wall_time
        self._by_session: dict[str, dict[str, _Known]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._by_session.values()))

    def told(self, session: str, event: Any, home: str) -> None:
        """The home tells a session something."""
        if isinstance(event, Linked):
            event = event.event
        match event:
            case CallIncoming() | CallRinging() | Seated():
                calls = self._by_session.setdefault(session, {})
                if event.call not in calls or isinstance(event, Seated):
                    calls[event.call] = _Known(event, home)
            case CallAnswered() | CallAccepted():
                known = self._by_session.get(session, {}).get(event.call)
                if known is not None:
                    known.answered_at, known.party = event.answered_at, True
            case CallEnded() | CallStopped():
                self._forget(session, event.call)

    def gone(self, session: str) -> None:
        """The session is over."""
        self._by_session.pop(session, None)

    def lost(self, concerned: Callable[[str], bool]) -> Iterator[tuple[str, CallEnded | CallStopped]]:
        """What to tell whom now that homes are lost; the calls are known no more.

        Args:
            concerned: whether a home is one of them.
        """
        found = [
            (session, known)
            for session, calls in self._by_session.items()
            for known in calls.values()
            if concerned(known.home)
        ]
        for session, known in found:
            self._forget(session, known.call)
            yield session, known.end(self._wall_time())

    def _forget(self, session: str, call: str) -> None:
        calls = self._by_session.get(session)
        if calls is not None and calls.pop(call, None) is not None and not calls:
            del self._by_session[session]
