"""The sessions of this node that can call, and what they are told of calls."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from imserver.model.accounts import Principal
from imserver.model.calls import CallEnded, CallMedia, Media
from imserver.model.group_calls import GroupCallChanged
from imserver.services.call_knowledge import KnownCalls
from imserver.services.call_media import MediaRelay
from imserver.services.call_records import CallCounts
from imserver.services.call_requests import Linked, Seated
from imserver.services.group_call_requests import GroupLinked
from imserver.services.group_calls import GroupCalls
from imserver.services.ports import Bus, Seat
from imserver.services.sessions import Client, Receiver


class Caller(Protocol):
    """A live session, as calls need it."""

    principal: Principal
    receiver: Receiver

    @property
    def client(self) -> Client: ...


class CallSessions:
    """A part of `calls.Calls`.

    Args:
        groups: what is told of calls of groups.
        wall_time: float seconds.

    Attributes:
        media: takes the media of calls that run here.
    """

    def __init__(
        self,
        bus: Bus,
        media: MediaRelay,
        groups: GroupCalls,
        counts: CallCounts,
        wall_time: Callable[[], float],
    ) -> None:
        self._bus = bus
        self._groups = groups
        self._counts = counts
        self._known = KnownCalls(wall_time)
        self._seated: dict[str, Caller] = {}  # by their id
        self.media = media

    def enter(self, session: Caller) -> None:
        """A session began."""
        self._seated[session.principal.session] = session

    def leave(self, session: Caller) -> None:
        """A session ended."""
        id = session.principal.session
        if self._seated.pop(id, None) is not None:
            self.media.unlink(id)
            self._known.gone(id)
            self._groups.gone(id)

    def get(self, session: str) -> Caller | None:
        """The session of this id."""
        return self._seated.get(session)

    def seat(self, session: Caller) -> Seat:
        """A session of this node, as calls and other nodes address it."""
        principal = session.principal
        media = session.client.media
        return Seat(principal.user, principal.session, self._bus.node, media, principal.device)

    def told(self, user: str, session: str, event: Any, node: str) -> None:
        """The home of a call, which is that node, tells a session something."""
        live = self._seated.get(session)
        if live is None:
            return
        kind = type(event)
        if kind is CallMedia:
            if self.media.runs(session, event.call):
                live.receiver.media(event)
            else:
                self._counts.media_dropped["no_call"] += 1
            return
        if kind is GroupLinked or kind is GroupCallChanged:
            self._groups.told(user, session, event, live.receiver, node)
            return
        self._known.told(session, event, node)
        if kind is Linked:
            voice = live.client.media is Media.VOICE
            self.media.link(session, event, user if voice else "")
            live.receiver.notify(event.event)
        elif kind is not Seated:
            if kind is CallEnded:
                self.media.unlink(session, event.call)
            live.receiver.notify(event)

    def end(self, concerned: Callable[[str], bool]) -> list[Caller]:
        """Tells sessions the end of the calls whose homes cannot.

        Args:
            concerned: whether a home is one of these.

        Returns:
            the sessions that were told.
        """
        told = []
        for session, event in [*self._known.lost(concerned), *self._groups.lost(concerned)]:
            live = self._seated.get(session)
            if live is not None:
                self.media.unlink(session, event.call)
                live.receiver.notify(event)
                told.append(live)
        return told
