"""Peers that do not read, over real sockets: memory stays bounded, nobody else notices, nothing is lost."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, ParamSpec

import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.task import deferLater
from twisted.protocols.basic import LineOnlyReceiver
from twisted.python.failure import Failure
from zope.interface import implementer

from imserver.model.groups import ListGroups
from imserver.protocols.connections import DoorLimits
from imserver.protocols.doors import Doors
from imserver.protocols.jsonline import JsonLineFactory
from imserver.protocols.queueing import CONGESTED_FROM
from imserver.protocols.session import Session
from tests.unit.protocols.stub import StubCodec, StubHub, message

P = ParamSpec("P")


def waits(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, Any]:
    """A test that is a coroutine (pytest_twisted has no types)."""
    result: Callable[P, Any] = pytest_twisted.ensureDeferred(test)
    return result


class Peer(LineOnlyReceiver):
    """A client that reads when it is told to."""

    delimiter = b"\n"
    MAX_LENGTH = 1 << 20
    transport: Any

    def __init__(self) -> None:
        self.lines: list[bytes] = []
        self.ended: Deferred[None] = Deferred()
        self._waiting: tuple[int, Deferred[None]] | None = None

    def lineReceived(self, line: bytes) -> None:
        self.lines.append(line)
        if self._waiting is not None and len(self.lines) >= self._waiting[0]:
            waiting, self._waiting = self._waiting[1], None
            waiting.callback(None)

    async def until(self, count: int) -> None:
        """Waits for so many lines in all."""
        if len(self.lines) < count:
            self._waiting = (count, Deferred())
            await self._waiting[1]

    def say(self, *lines: bytes) -> None:
        self.transport.write(b"".join(line + b"\n" for line in lines))

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.ended.callback(None)


class Bench:
    """Line listeners over a stub hub."""

    def __init__(self, **limits: Any) -> None:
        self.hub = StubHub()
        everything = {"commands_per_second": 1e9, "command_burst": 1e9, **limits}
        self.doors = Doors(self.hub, reactor, DoorLimits(**everything))
        listen: Any = reactor.listenTCP
        self.listening = listen(0, JsonLineFactory(self.doors, StubCodec), interface="127.0.0.1")
        self.peers: list[Peer] = []

    async def peer(self) -> Peer:
        """A client that logged in."""
        endpoint = TCP4ClientEndpoint(reactor, "127.0.0.1", self.listening.getHost().port)
        peer = Peer()
        await connectProtocol(endpoint, peer)
        self.peers.append(peer)
        peer.say(b"login#1 alice")
        await peer.until(1)
        return peer

    async def close(self) -> None:
        for peer in self.peers:
            if not peer.ended.called:
                peer.transport.abortConnection()
                await peer.ended
        await self.doors.shut_down()
        await self.listening.stopListening()


def fixture(function: Callable[[], AsyncIterator[Bench]]) -> Any:
    """A fixture that is an asynchronous generator."""
    return pytest_twisted.async_yield_fixture()(function)


@fixture
async def bench() -> AsyncIterator[Bench]:
    bench = Bench()
    yield bench
    await bench.close()


async def turns(count: int = 20) -> None:
    """Lets the reactor work."""
    for _ in range(count):
        await deferLater(reactor, 0.005)


@waits
async def test_who_does_not_read_answers_is_not_read_either_and_loses_nothing(bench: Bench) -> None:
    bench.hub.outcomes[ListGroups] = "x" * 50_000
    peer = await bench.peer()
    peer.transport.pauseProducing()
    peer.say(*[b"groups#%d" % n for n in range(500)])
    await turns()
    link = next(iter(bench.doors._links))
    assert isinstance(link.session, Session)
    assert link._paused or link.session.turns.queue is not None
    assert link.outbox.total < CONGESTED_FROM + 60_000
    done = len(bench.hub.done)
    await turns()
    assert len(bench.hub.done) == done < 500
    peer.transport.resumeProducing()
    await peer.until(501)
    expected = [b"groups#%d " % n + b"x" * 50_000 for n in range(500)]
    assert peer.lines[1:] == expected


@waits
async def test_a_hundred_peers_that_never_read_stay_within_the_sum_and_delay_nobody() -> None:
    budget = 8 * 1024 * 1024
    bench = Bench(outboxes_bytes=budget)
    try:
        sleepers = [await bench.peer() for _ in range(100)]
        for sleeper in sleepers:
            sleeper.transport.pauseProducing()
        for link in bench.doors._links:
            # Left to itself the kernel may take all of it.
            link._transport.getHandle().setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 128 * 1024)
        reader = await bench.peer()
        outgoing = message(b"m" * 20_000)
        pushed = [0] * 101
        peak = 0
        for round in range(1, 200):
            for number, receiver in enumerate(bench.hub.receivers):
                # As delivery does: what is not writable is left in the store.
                if receiver.writable:
                    receiver.push(outgoing, round)
                    pushed[number] += 1
            peak = max(peak, bench.doors.budget.used)
            await deferLater(reactor, 0)
        assert peak < budget
        assert max(pushed[:100]) < 199
        # Nobody else's sleep kept the reader waiting longer than its own bytes took to leave.
        assert pushed[100] > 90
        reader.say(b"ping#2")
        await reader.until(1 + pushed[100] + 1)
        assert reader.lines[-1] == b"ping#2 ok"
        for sleeper, count in zip(sleepers, pushed, strict=False):
            sleeper.transport.resumeProducing()
            await sleeper.until(1 + count)
        assert "drained" in bench.hub.attachments[0].told
        await turns(3)
        assert bench.doors.budget.used == 0
    finally:
        await bench.close()


@waits
async def test_a_goodbye_reaches_a_peer_that_is_still_talking(bench: Bench) -> None:
    peer = await bench.peer()
    peer.say(b"\xff", *[b"groups#%d" % n for n in range(10_000)])
    await peer.ended
    assert peer.lines[1:] == [b"refused BAD_REQUEST"]


@waits
async def test_who_never_closes_is_cut_off() -> None:
    bench = Bench(closing_time=1.0)
    try:
        peer = await bench.peer()
        other: Deferred[None] = Deferred()

        @implementer(IHalfCloseableProtocol)
        class Stubborn(Protocol):
            def readConnectionLost(self) -> None:
                """Half-closed by the server; stays."""

            def writeConnectionLost(self) -> None: ...

            def connectionLost(self, reason: Failure = connectionDone) -> None:
                other.callback(None)

        stubborn = Stubborn()
        endpoint = TCP4ClientEndpoint(reactor, "127.0.0.1", bench.listening.getHost().port)
        await connectProtocol(endpoint, stubborn)
        assert stubborn.transport is not None
        stubborn.transport.write(b"\xff\n")
        await turns(5)
        assert len(bench.doors) == 2
        while len(bench.doors) == 2:
            await turns(5)
        assert stubborn.transport is not None
        stubborn.transport.loseConnection()
        await other
        peer.say(b"ping#2")
        await peer.until(2)
    finally:
        await bench.close()
