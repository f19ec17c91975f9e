"""What the connections of one server share."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IAddress, IDelayedCall, IReactorTime, ISSLTransport

from imserver.model.accounts import KickReason, SessionKicked
from imserver.protocols.connections import Admission, ConnectionCounter, DoorLimits
from imserver.protocols.draining import ANSWER_TIME, Drain
from imserver.protocols.flushing import Budget, Flusher
from imserver.protocols.kernel import DrainWatch
from imserver.protocols.link import FrameProtocol, Link
from imserver.protocols.liveness import Wheel
from imserver.protocols.room_session import RoomSession
from imserver.protocols.session import Session
from imserver.protocols.tallies import Tallies
from imserver.services.rooms import Rooms
from imserver.services.sessions import SessionHub
from imserver.services.turnstile import Turnstile
from imserver.wire.base import ServerCodec
from imserver.wire.meeting import MeetingServerCodec

PACE = 0.002
"""Seconds between two looks at a peer that must have one write before it gets the next."""

NEWCOMERS_PER_TURN = 4
"""Connections whose first frame is read in one turn of the reactor."""


class Doors:
    """The shared parts of all doors, and the list of who is connected.

    Attributes:
        hub: the services for formats with inboxes.
        rooms: those for meeting rooms; None = they are not served.
        clock: reactor time.
        limits: what a connection may take.
        counter: the connections of all listeners.
        budget: the bytes of all outboxes.
        gate: where first frames wait.
        tallies: what is counted of each format's sessions.
    """

    __slots__ = (
        "_all_gone",
        "_goodbye",
        "_links",
        "budget",
        "clock",
        "closing",
        "counter",
        "flusher",
        "gate",
        "hub",
        "limits",
        "pacer",
        "rooms",
        "tallies",
        "watch",
        "wheel",
    )

    def __init__(
        self,
        hub: SessionHub,
        clock: IReactorTime,
        limits: DoorLimits = DoorLimits(),  # noqa: B008 - frozen
        rooms: Rooms | None = None,
    ) -> None:
        self.hub = hub
        self.rooms = rooms
        self.clock = clock
        self.limits = limits
        self.wheel = Wheel(clock)
        self.flusher = Flusher(clock)
        self.budget = Budget(limits.outboxes_bytes)
        self.watch = DrainWatch(clock)
        self.pacer = DrainWatch(clock, PACE)
        self.counter = ConnectionCounter(limits.connections, limits.unauthenticated_per_address)
        self.tallies = Tallies()
        self.gate = Turnstile(clock, NEWCOMERS_PER_TURN)
        self.closing = False
        self._links: dict[Link, None] = {}
        self._all_gone: Deferred[None] | None = None
        self._goodbye: IDelayedCall | None = None  # waits for ANSWER_TIME to be over

    def __len__(self) -> int:
        return len(self._links)

    def admit(self, address: IAddress | None, *, proxy: bool = False) -> Admission | None:
        """Counts a connection that was just accepted, perhaps from a proxy; None: close it at once."""
        if self.closing:
            return None
        return self.counter.admit(host_of(address), proxy=proxy)

    def open(self, protocol: FrameProtocol, transport: Any, codec: ServerCodec, admission: Admission) -> Link:
        """Starts a session on a connection that is ready to carry frames."""
        link = Link(self, protocol, transport, codec, admission)
        self._links[link] = None
        link.start(secure=ISSLTransport.providedBy(transport))
        return link

    def new_session(self, codec: ServerCodec, link: Link) -> Session | RoomSession:
        """The session that the format's traits ask for."""
        traits = codec.traits
        tally = self.tallies[traits.name]
        if not traits.rooms:
            return Session(codec, self.hub, link, self.clock, self.limits, tally, self.gate)
        assert self.rooms is not None
        assert isinstance(codec, MeetingServerCodec)
        return RoomSession(codec, self.rooms, link, self.clock, self.limits, tally)

    def gone(self, link: Link) -> None:
        """Called by the link when its connection is gone."""
        self._links.pop(link, None)
        if not self._links and self._all_gone is not None:
            if self._goodbye is not None:
                self._goodbye.cancel()
            waiting, self._all_gone = self._all_gone, None
            waiting.callback(None)

    def drain(self, seconds: float) -> Deferred[None]:
        """Sends everybody away, one after the other over so many seconds; admits nobody new.

        Returns:
            a Deferred that fires when all have been told; cancelled, it leaves the rest as they are.
        """
        self.closing = True
        return Drain(self.clock, list(self._links), seconds).run()

    def shut_down(self, returns_per_second: float = 1_000.0) -> Deferred[None]:
        """Reads no more requests, then says goodbye on every connection; admits no new one.

        Args:
            returns_per_second: at which pace they are told to come back, where the format can say it.

        Returns:
            a Deferred that fires when all are gone: after ANSWER_TIME and `closing_time`
            seconds at the latest. To be called once.
        """
        self.closing = True
        if not self._links:
            return succeed(None)
        for link in self._links:
            link.pause_reading()
        self._goodbye = self.clock.callLater(ANSWER_TIME, self._say_goodbye, 1 / returns_per_second)
        self._all_gone = Deferred()
        return self._all_gone

    def _say_goodbye(self, apart: float) -> None:
        self._goodbye = None
        for number, link in enumerate(list(self._links), 1):
            goodbye = SessionKicked(KickReason.SHUTDOWN, "the server is going down", number * apart)
            link.session.kicked(goodbye)


def host_of(address: IAddress | None) -> str:
    """The peer's IP address; what a unix socket or a memory transport has instead is one address: ""."""
    host = getattr(address, "host", "")
    return host if isinstance(host, str) else ""
