"""Media that travels through this server (document 000, type 6): from one party to the other.

The path of a packet is two table look-ups and a plain call on either node. Nothing here
keeps any: what a peer does not take, its session's outbox drops.
"""

from __future__ import annotations

from collections.abc import Callable

from imserver.model.calls import CallMedia
from imserver.services.call_records import CallCounts
from imserver.services.call_requests import Linked
from imserver.services.limits import RateLimiter
from imserver.services.ports import Bus

PACKET_OVERHEAD = 512
"""Bytes that a piece counts beside its own: small ones cost as much work as large ones."""


class MediaRelay:
    """The running calls of this node's sessions.

    Args:
        clock: monotonic float seconds.
        rate: bytes a second of one call (of both directions, where both parties are on this
            node), with a burst of one second; each piece counts `PACKET_OVERHEAD` more.
    """

    def __init__(self, bus: Bus, counts: CallCounts, clock: Callable[[], float], rate: int) -> None:
        self._bus = bus
        self._counts = counts
        self._links: dict[str, Linked] = {}  # by session
        self._limiter = RateLimiter(clock, rate, rate)

    def __len__(self) -> int:
        return len(self._links)

    def link(self, session: str, linked: Linked) -> None:
        """A call runs at this session from now on."""
        self._links[session] = linked

    def unlink(self, session: str, call: str = "") -> None:
        """It is over; "" = whichever it is."""
        linked = self._links.get(session)
        if linked is not None and (not call or linked.call == call):
            del self._links[session]

    def runs(self, session: str, call: str) -> bool:
        """Whether this call runs at this session: media may come sooner or later than the call does."""
        linked = self._links.get(session)
        return linked is not None and linked.call == call

    def relay(self, session: str, data: bytes) -> None:
        """Sends a piece on, or drops it: none runs here, or there is too much."""
        counts = self._counts
        linked = self._links.get(session)
        if linked is None:
            counts.media_dropped["no_call"] += 1
        elif not self._limiter.allow(linked.call, PACKET_OVERHEAD + len(data)):
            counts.media_dropped["rate"] += 1
        else:
            counts.media_packets += 1
            counts.media_bytes += len(data)
            if not self._bus.tell(linked.peer, CallMedia(data, linked.call)):
                counts.media_dropped["nodes"] += 1
