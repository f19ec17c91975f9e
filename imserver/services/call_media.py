"""Media that travels through this server (document 000, type 6; voice/data): from one party to the others.

The path of a packet is two table look-ups and a plain call for each other party. Nothing here
keeps any: what a peer does not take, its session's outbox drops.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from msgspec import Struct

from imserver.model.calls import CallMedia
from imserver.services.call_records import CallCounts
from imserver.services.call_requests import Linked
from imserver.services.group_call_requests import GroupLinked
from imserver.services.limits import RateLimiter
from imserver.services.ports import Bus, Seat

PACKET_OVERHEAD = 512
"""Bytes that a piece counts beside its own: small ones cost as much work as large ones."""


class _Link(Struct, frozen=True, gc=False):
    """Where a session's media goes, and what is told of whom it comes from ("" = nothing)."""

    call: str
    peers: Sequence[Seat]
    sender: str
    of_group: bool = False


class MediaRelay:
    """The running calls of this node's sessions.

    Args:
        clock: monotonic float seconds.
        rate: bytes a second of one call (of both directions, where both parties are on this
            node), with a burst of one second; each piece counts `PACKET_OVERHEAD` more, and
            for every receiver.
    """

    def __init__(self, bus: Bus, counts: CallCounts, clock: Callable[[], float], rate: int) -> None:
        self._bus = bus
        self._counts = counts
        # By session and call. Two homes are two senders: what the one says of a call that a session
        # has left may come after what the other says of the call it is in now.
        self._links: dict[str, dict[str, _Link]] = {}
        self._limiter = RateLimiter(clock, rate, rate)

    def __len__(self) -> int:
        return len(self._links)

    def link(self, session: str, linked: Linked, sender: str = "") -> None:
        """A call of two runs at this session from now on.

        Args:
            sender: what the peer is told of who speaks.
        """
        links = self._links.setdefault(session, {})
        for old in [link.call for link in links.values() if not link.of_group]:
            del links[old]
        links[linked.call] = _Link(linked.call, (linked.peer,), sender)

    def link_all(self, session: str, linked: GroupLinked, sender: str) -> None:
        """A call of a group runs there, with these."""
        peers = linked.peers or ()
        self._links.setdefault(session, {})[linked.call] = _Link(linked.call, peers, sender, True)

    def unlink(self, session: str, call: str = "") -> None:
        """It is over; "" = whichever it is."""
        links = self._links.get(session)
        if links is None:
            return
        if call:
            links.pop(call, None)
        if not call or not links:
            del self._links[session]

    def runs(self, session: str, call: str) -> bool:
        """Whether this call runs at this session: media may come sooner or later than the call does."""
        return call in self._links.get(session, ())

    def relay(self, session: str, data: bytes, call: str = "") -> None:
        """Sends a piece on, or drops it: this call ("" = any) does not run here, or there is too much."""
        counts = self._counts
        links = self._links.get(session)
        link = None if links is None else links.get(call or next(reversed(links)))
        if link is None:
            counts.media_dropped["no_call"] += 1
            return
        receivers = len(link.peers)
        if not self._limiter.allow(link.call, (PACKET_OVERHEAD + len(data)) * receivers):
            counts.media_dropped["rate"] += 1
            return
        counts.media_packets += receivers
        counts.media_bytes += len(data) * receivers
        piece = CallMedia(data, link.call, link.sender)
        for peer in link.peers:
            if not self._bus.tell(peer, piece):
                counts.media_dropped["nodes"] += 1
