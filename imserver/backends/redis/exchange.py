"""What one node says to another one gets there, in order, once; or the other one is told that it does not.

Channels of Redis lose what nobody listens to at the moment. So frames between two nodes are
numbered, kept until the other one has them, and said again when it asks; it asks when it sees a gap,
and when it was away. Only what no longer fits into the sender's memory is lost for good.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Protocol

import msgspec
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from imserver.backends.redis.keys import BUS
from imserver.backends.redis.link import Redis, ignored
from imserver.backends.redis.nodes import name_of
from imserver.model.errors import ImError

KEPT_BYTES = 8 * 1024 * 1024
"""Of frames for one node that it has not got yet; beyond it the oldest are lost."""
TICK_SECONDS = 1.0
ABSENT_TICKS = 30
"""So long something is kept for a node that is not seen among the others."""
LATE_TICKS = 10
"""So long after something was asked for again what comes may be that."""
HAVE_FRAMES = 256
HAVE_BYTES = 1024 * 1024
"""So much is acknowledged at once, if it comes fast."""
OVERHEAD = 64
"""Bytes of a frame beside its body."""

_DATA, _HAVE, _HEAD, _SKIP, _LOOSE = range(5)
# [from, to, kind, number, body]:
#   DATA   a frame
#   HAVE   all frames below the number have come; body "?" = say the others again
#   HEAD   all frames below the number were said
#   SKIP   what did not come below the number never will
#   LOOSE  something that may be lost, outside of all order; the number is 0
_Frame = tuple[str, str, int, int, bytes]
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Frame).decode


class Heard(Protocol):
    """Who takes what comes."""

    def frame(self, node: str, body: bytes, late: bool) -> None:
        """The next frame of a node.

        Args:
            late: it may have been said a while ago; what other nodes said later may have come already.
        """

    def loose(self, node: str, body: bytes) -> None:
        """Something outside of the order."""

    def missed(self, node: str) -> None:
        """Frames of a node are lost."""


class _Outgoing:
    """Frames for one node.

    Attributes:
        next: the number of the next one.
        kept: (number, channel's payload) of those it may not have yet.
        absent: ticks for which the node was not seen.
    """

    __slots__ = ("absent", "kept", "next", "size", "told")

    def __init__(self) -> None:
        self.next = 1
        self.kept: deque[tuple[int, bytes]] = deque()
        self.size = 0
        self.told = 1  # up to where it was said by the last tick
        self.absent = 0

    def keep(self, number: int, payload: bytes) -> None:
        self.kept.append((number, payload))
        self.size += len(payload) + OVERHEAD
        while self.size > KEPT_BYTES and len(self.kept) > 1:
            self._drop()

    def has(self, upto: int) -> None:
        """The other one has all below."""
        while self.kept and self.kept[0][0] < upto:
            self._drop()

    def _drop(self) -> None:
        _, payload = self.kept.popleft()
        self.size -= len(payload) + OVERHEAD


class _Incoming:
    """Frames of one node.

    Attributes:
        next: the number that is to come.
        had: what it was told last that has come.
        asked: the gap was asked for; not again before the next tick.
        late: ticks for which what comes counts as late.
    """

    __slots__ = ("asked", "had", "late", "next", "size")

    def __init__(self) -> None:
        self.next = 1
        self.had = 1
        self.size = 0  # bytes since then
        self.asked = False
        self.late = 0


class Exchange:
    """One node's end of all conversations.

    Args:
        identity: what this node is called now; after another name all begins anew.
        is_lost: whether a node is lost; it is heard no more.
        is_live: whether a node is seen among the others.
        clock: times repetitions.
    """

    log = Logger()

    def __init__(
        self,
        redis: Redis,
        identity: Callable[[], str],
        is_lost: Callable[[str], bool],
        is_live: Callable[[str], bool],
        clock: IReactorTime,
        heard: Heard,
    ) -> None:
        self._redis = redis
        self._identity = identity
        self._is_lost = is_lost
        self._is_live = is_live
        self._clock = clock
        self._heard = heard
        self._outgoing: dict[str, _Outgoing] = {}
        self._incoming: dict[str, _Incoming] = {}
        self._timer: IDelayedCall | None = None

    # Saying

    def say(self, node: str, body: bytes) -> None:
        """A frame for another node; never waits, never fails."""
        if self._is_lost(node):
            return
        outgoing = self._outgoing.get(node)
        if outgoing is None:
            outgoing = self._outgoing[node] = _Outgoing()
        number = outgoing.next
        outgoing.next += 1
        payload = _encode((self._identity(), node, _DATA, number, body))
        outgoing.keep(number, payload)
        self._publish(node, payload)

    def say_loosely(self, node: str, body: bytes) -> bool:
        """Something that may be lost; False if it is already."""
        return self._publish(node, _encode((self._identity(), node, _LOOSE, 0, body)))

    def _control(self, node: str, kind: int, number: int, body: bytes = b"") -> None:
        self._publish(node, _encode((self._identity(), node, kind, number, body)))

    def _publish(self, node: str, payload: bytes) -> bool:
        channel = f"{self._redis.channels}{BUS}{name_of(node)}"
        try:
            self._redis.send(("PUBLISH", channel, payload), ignored, None)
        except ImError:
            return False  # it is said again when there is Redis
        return True

    # Hearing

    def arrived(self, payloads: list[bytes]) -> None:
        """What came over this node's channel."""
        for payload in payloads:
            try:
                source, target, kind, number, body = _decode(payload)
            except msgspec.DecodeError:
                self.log.error("something that is no frame came over the bus")
                continue
            if target != self._identity() or self._is_lost(source):
                continue  # for the node this one was before it was cut off, or of one that was
            if kind == _LOOSE:
                self._heard.loose(source, body)
            elif kind == _DATA:
                self._take(source, number, body)
            elif kind == _HAVE:
                self._has(source, number, again=body == b"?")
            else:
                self._told(source, kind, number)

    def _take(self, source: str, number: int, body: bytes) -> None:
        incoming = self._incoming.get(source)
        if incoming is None:
            incoming = self._incoming[source] = _Incoming()
        if number == incoming.next:
            incoming.next += 1
            incoming.asked = False
            incoming.size += len(body)
            if incoming.next - incoming.had >= HAVE_FRAMES or incoming.size >= HAVE_BYTES:
                self._acknowledge(source, incoming)
            self._heard.frame(source, body, incoming.late > 0)
        elif number > incoming.next:
            self._ask(source, incoming)

    def _told(self, source: str, kind: int, number: int) -> None:
        incoming = self._incoming.get(source)
        if incoming is None:
            incoming = self._incoming[source] = _Incoming()
        if number <= incoming.next:
            self._acknowledge(source, incoming)
        elif kind == _HEAD:
            self._ask(source, incoming)
        else:
            incoming.next = number
            incoming.asked = False
            self.log.warn("something that node {node} said is lost", node=source)
            self._heard.missed(source)

    def _ask(self, source: str, incoming: _Incoming) -> None:
        incoming.late = LATE_TICKS
        if not incoming.asked:
            incoming.asked = True
            self._control(source, _HAVE, incoming.next, b"?")

    def _acknowledge(self, source: str, incoming: _Incoming) -> None:
        incoming.had = incoming.next
        incoming.size = 0
        self._control(source, _HAVE, incoming.next)

    def _has(self, node: str, upto: int, again: bool) -> None:
        outgoing = self._outgoing.get(node)
        if outgoing is None:
            return
        outgoing.has(upto)
        if again:
            self._say_again(node, outgoing, upto)

    def _say_again(self, node: str, outgoing: _Outgoing, upto: int) -> None:
        first = outgoing.kept[0][0] if outgoing.kept else outgoing.next
        if first > upto:
            self._control(node, _SKIP, first)
        for _, payload in outgoing.kept:
            self._publish(node, payload)

    # Life

    def start(self) -> None:
        """Begins to look after what was lost on the way."""
        self._timer = self._clock.callLater(TICK_SECONDS, self._tick)

    def stop(self) -> None:
        """Says nothing more. Idempotent."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def reset(self) -> None:
        """This node has another name: what was said is over."""
        self._outgoing.clear()
        self._incoming.clear()

    def renamed(self) -> None:
        """This node has another name before it took part: what it said counts under that one."""
        self._incoming.clear()
        before, self._outgoing = self._outgoing, {}
        for node, outgoing in before.items():
            for _, payload in outgoing.kept:
                self.say(node, _decode(payload)[4])

    def lost(self, node: str) -> None:
        """A node is lost."""
        self._outgoing.pop(node, None)
        self._incoming.pop(node, None)

    def look(self) -> None:
        """This node may have missed something, or not been heard."""
        for node, outgoing in self._outgoing.items():
            if outgoing.kept:
                self._control(node, _HEAD, outgoing.next)
        for source, incoming in self._incoming.items():
            incoming.asked = False
            self._ask(source, incoming)

    def _tick(self) -> None:
        self._timer = self._clock.callLater(TICK_SECONDS, self._tick)
        for node, outgoing in list(self._outgoing.items()):
            outgoing.absent = 0 if self._is_live(node) else outgoing.absent + 1
            if outgoing.absent > ABSENT_TICKS:
                # It came and was lost before this node could see it.
                self.lost(node)
                continue
            # What was said since the last tick is probably on its way.
            if outgoing.kept and outgoing.kept[0][0] < outgoing.told:
                self._control(node, _HEAD, outgoing.next)
            outgoing.told = outgoing.next
        for source, incoming in self._incoming.items():
            incoming.asked = False
            incoming.late = max(0, incoming.late - 1)
            if incoming.had < incoming.next:
                self._acknowledge(source, incoming)
