"""Calls of document 000 and their media. Every function takes the ports and returns one figure."""

from __future__ import annotations

import asyncio
import itertools
import statistics
import struct
import time
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

from benchmarks.loads import close, fresh
from benchmarks.machine import cpu_seconds
from benchmarks.rates import WARM_UP
from benchmarks.servers import Running
from benchmarks.speakers import Speaker, connect
from tests.clients.qdatastream_client import decode, utf8

LARGE = 60_000
SMALL = 1_000
"""Bytes of a packet: the document's largest video, and one of sound."""
TICK = 0.001
"""Seconds between two bursts of a steady load."""

_ids = itertools.count()


class MediaSpeaker(Speaker):
    """One end of a pair that carries packets of one size.

    Attributes:
        delays: seconds from the writing of each packet to its reading, once somebody wants them.
    """

    def __init__(self) -> None:
        super().__init__()
        self.delays: list[float] | None = None
        self._size = 0
        self._part = b""

    def packet(self, size: int) -> bytes:
        """A packet with its frame; it begins with the time."""
        message = b"\x06" + struct.pack(">d", time.perf_counter()) + bytes(size - 8)
        return struct.pack(">H", len(message)) + message

    def packets_from_now(self, size: int, head: int, on_frames: Callable[[int], None]) -> None:
        """From here on only packets come, each with `head` bytes before it."""
        self._size = head + size
        self._head = head
        self.count_from_now(on_frames)

    def _count(self, data: bytes) -> int:
        if self.delays is None:
            count, left = divmod(len(self._part) + len(data), self._size)
            self._part = bytes(left)  # only its length is of interest
            return count
        data = self._part + data
        now = time.perf_counter()
        count, left = divmod(len(data), self._size)
        for at in range(self._head, count * self._size, self._size):
            (sent,) = struct.unpack_from(">d", data, at)
            self.delays.append(now - sent)
        self._part = data[len(data) - left :]
        return count


class CallSpeaker(MediaSpeaker):
    """Document 000, framed."""

    def _cut(self) -> None:
        while len(self._rest) >= 2:
            end = 2 + int.from_bytes(self._rest[:2], "big")
            if len(self._rest) < end:
                return
            self._queue.put_nowait(self._rest[2:end])
            self._rest = self._rest[end:]

    async def log_in(self, user: str, token: str) -> None:
        """See Speaker."""
        self.say(b"\x07" + utf8(user))
        self.say(b"\x07")
        await self.hears("heartbeat")

    def say(self, message: bytes) -> None:
        """One message."""
        self.transport.write(struct.pack(">H", len(message)) + message)

    async def hears(self, kind: str) -> str:
        """The CallId of the next message, which is of this kind."""
        message, _ = decode(await self.receive(), "utf8")
        assert message["type"] == kind, message
        return str(message.get("call", ""))


class PipeSpeaker(MediaSpeaker):
    """The bare relay."""

    def _cut(self) -> None:
        self._queue.put_nowait(self._rest)
        self._rest = b""


async def _set_up(caller: CallSpeaker, callee: CallSpeaker, name: str) -> str:
    caller.say(b"\x02" + utf8(name) + b"\x01")
    call = await callee.hears("call_request")
    callee.say(b"\x03" + utf8(call))
    for party in (caller, callee):
        assert await party.hears("call_accept") == call
    return call


async def calling_pairs(ports: dict[str, int], pairs: int) -> list[tuple[CallSpeaker, CallSpeaker, str, str]]:
    """Connections of pairs of users, and the users' names."""
    made = []
    for one, other in zip(fresh(pairs), fresh(pairs), strict=True):
        speakers: list[Any] = []
        for user in (one, other):
            speaker = await connect(CallSpeaker, ports["qdatastream"])
            await speaker.log_in(user, "")
            speakers.append(speaker)
        made.append((speakers[0], speakers[1], one, other))
    return made


async def set_ups(ports: dict[str, int], seconds: float, pairs: int = 200) -> float:
    """Calls a second that are offered, ring, are accepted, and ended by the caller, all told to both."""
    made = await calling_pairs(ports, pairs)
    done = 0
    stopped = False

    async def call_on(one: CallSpeaker, other: CallSpeaker, name: str, second: str) -> None:
        nonlocal done
        while not stopped:
            call = await _set_up(one, other, second)
            one.say(b"\x05" + utf8(call))
            for party in (one, other):
                assert await party.hears("call_end") == call
            done += 1
            # In turns, since a user may only begin so many calls a second.
            one, other, name, second = other, one, second, name

    work = [asyncio.ensure_future(call_on(*pair)) for pair in made]
    await asyncio.sleep(WARM_UP)
    before, begun = done, time.perf_counter()
    await asyncio.sleep(seconds)
    after, ended = done, time.perf_counter()
    stopped = True
    await asyncio.gather(*work)
    await close([speaker for pair in made for speaker in pair[:2]])
    return (after - before) / (ended - begun)


Pairs = list[tuple[Any, Any]]
CALL_HEAD = 2 + 1 + 2 + 36
PIPE_HEAD = 2 + 1


async def calls(ports: dict[str, int], pairs: int) -> Pairs:
    """Pairs in a call."""
    made = await calling_pairs(ports, pairs)
    for one, other, _, name in made:
        await _set_up(one, other, name)
    return [(one, other) for one, other, _, _ in made]


async def pipes(ports: dict[str, int], pairs: int) -> Pairs:
    """Pairs of the bare relay."""
    made = []
    for _ in range(pairs):
        name = struct.pack(">Q", next(_ids))
        one, other = [await connect(PipeSpeaker, ports["relay"]) for _ in range(2)]
        for end in (one, other):
            end.transport.write(name)
        for end in (one, other):
            await end.receive()
        made.append((one, other))
    return made


KINDS: dict[str, tuple[Callable[[dict[str, int], int], Awaitable[Pairs]], int]] = {
    "call": (calls, CALL_HEAD),
    "relay": (pipes, PIPE_HEAD),
}
"""By name: how pairs are made, and the bytes before each packet."""


class Rates(NamedTuple):
    """Packets that arrive: in a second of the server's processor time, and in a second."""

    per_core: float
    per_second: float


async def relayed(server: Running, kind: str, size: int, seconds: float, *, pairs: int, window: int) -> Rates:
    """As many packets as go through, a few of each pair under way."""
    make, head = KINDS[kind]
    made = await make(server.ports, pairs)
    stopped = False
    for sender, receiver in made:

        def more(count: int, sender: MediaSpeaker = sender) -> None:
            if not stopped:
                for _ in range(count):
                    sender.transport.write(sender.packet(size))

        receiver.packets_from_now(size, head, more)
        more(window)
    await asyncio.sleep(WARM_UP)
    before, used, begun = sum(end.frames for _, end in made), cpu_seconds(server.pid), time.perf_counter()
    await asyncio.sleep(seconds)
    after, used_then, ended = sum(end.frames for _, end in made), cpu_seconds(server.pid), time.perf_counter()
    stopped = True
    await asyncio.sleep(0.5)
    await close([speaker for pair in made for speaker in pair])
    count = float(after - before)
    return Rates(count / (used_then - used), count / (ended - begun))


async def p99_ms(
    ports: dict[str, int], kind: str, size: int, rate: float, seconds: float, *, pairs: int
) -> float:
    """Milliseconds within which 99 of 100 packets arrive at a steady rate."""
    make, head = KINDS[kind]
    made = await make(ports, pairs)
    for _, receiver in made:
        receiver.packets_from_now(size, head, lambda count: None)
        receiver.delays = []
    senders = itertools.cycle([sender for sender, _ in made])
    begun = time.perf_counter()
    sent = 0
    while (now := time.perf_counter() - begun) < seconds:
        due = int(now * rate)
        for sender in itertools.islice(senders, due - sent):
            sender.transport.write(sender.packet(size))
        sent = due
        await asyncio.sleep(TICK)
    await asyncio.sleep(0.5)
    # The first fifth is for warming up.
    delays = [delay for _, receiver in made for delay in receiver.delays[len(receiver.delays) // 5 :]]
    await close([speaker for pair in made for speaker in pair])
    return float(statistics.quantiles(delays, n=100)[98]) * 1000
