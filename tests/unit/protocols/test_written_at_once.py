"""Where bytes are given to a plain socket at once, beside what relies on their order.

Over Twisted's own TCP connection and a real socket with small buffers, whose peer reads when a test says so.
"""

from __future__ import annotations

import socket
from typing import Any

from msgspec.structs import replace
from twisted.internet.address import IPv4Address
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from imserver.protocols.doors import Doors
from imserver.protocols.draining import ANSWER_TIME, TURN
from imserver.protocols.flushing import Budget, Flusher
from imserver.protocols.jsonline import JsonLineFactory
from imserver.protocols.kernel import DrainWatch
from imserver.protocols.outbox import Outbox
from imserver.protocols.proxy import ProxyFactory, Trusted
from imserver.services.outgoing import Outgoing
from tests.transport import CONNECTION
from tests.unit.protocols.stub import STUB, StubCodec, StubHub, doors, message
from tests.unit.protocols.test_outbox import Descriptor, Owner

CLIENT = IPv4Address("TCP", "192.0.2.1", 1)
MANY = 300
TELLS_NOTHING = replace(STUB, acks=False)
"""A format whose clients do not say what they have."""


class Reactor(Clock):
    """A clock that knows who wants to write."""

    def __init__(self) -> None:
        super().__init__()
        self.writers: list[Any] = []

    def addReader(self, reader: Any) -> None: ...
    def removeReader(self, reader: Any) -> None: ...

    def addWriter(self, writer: Any) -> None:
        if writer not in self.writers:
            self.writers.append(writer)

    def removeWriter(self, writer: Any) -> None:
        if writer in self.writers:
            self.writers.remove(writer)


class Transport(CONNECTION):
    """The server's end."""

    def getPeer(self) -> IPv4Address:
        return CLIENT

    def getHost(self) -> IPv4Address:
        return IPv4Address("TCP", "192.0.2.2", 8088)


class Peer:
    """A connection with a door of lines behind it."""

    def __init__(self, hub: StubHub, reactor: Reactor, shared: Doors, *, proxied: bool = False) -> None:
        self.reactor = reactor
        factory: Any = JsonLineFactory(shared, lambda: StubCodec(TELLS_NOTHING))
        if proxied:
            factory = ProxyFactory(Trusted([CLIENT.host]), factory, shared)
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.socket = socket.socket()
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 * 1024)
            self.socket.connect(listener.getsockname())
            ours, _ = listener.accept()
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8 * 1024)
        ours.setblocking(False)
        self.socket.settimeout(30)
        protocol = factory.buildProtocol(CLIENT)
        assert protocol is not None
        self.transport = Transport(ours, protocol, reactor)  # type: ignore[arg-type]
        self.transport.connected = 1
        protocol.makeConnection(self.transport)

    def say(self, data: bytes) -> None:
        """The peer's bytes come in."""
        self.transport.protocol.dataReceived(data)

    def read(self) -> bytes:
        """All that comes until the server closes its side; it writes as often as it wants to."""
        heard = b""
        while True:
            self.write()
            data = self.socket.recv(4096)
            if not data:
                return heard
            heard += data

    def write(self) -> None:
        """The kernel has room, perhaps, and who waits for that is told."""
        self.reactor.advance(0)
        if self.transport in self.reactor.writers:
            why = self.transport.doWrite()
            if why is not None:
                self.transport.connectionLost(Failure(why))

    def close(self) -> None:
        self.socket.close()
        if self.transport.connected:
            self.transport.abortConnection()
            self.reactor.advance(0)


class AtOnce(SynchronousTestCase):
    def setUp(self) -> None:
        self.hub = StubHub()
        self.reactor = Reactor()
        self.doors = doors(self.hub, self.reactor, closing_time=60.0)

    def peer(self, *, proxied: bool = False) -> Peer:
        peer = Peer(self.hub, self.reactor, self.doors, proxied=proxied)
        self.addCleanup(peer.close)
        return peer

    def push(self, count: int) -> list[bytes]:
        """So many messages for the one who logged in; what they are on the wire."""
        texts = [b"%04d" % number + b"x" * 996 for number in range(1, count + 1)]
        for seq, text in enumerate(texts, 1):
            outgoing: Outgoing = message(text)
            self.hub.receivers[0].push(outgoing, seq)
        return [b"push %d " % seq + text for seq, text in enumerate(texts, 1)]

    def test_a_drain_says_goodbye_behind_what_the_kernel_took_and_what_it_did_not(self) -> None:
        peer = self.peer()
        peer.say(b"login#1 alice\n")
        pushed = self.push(MANY)
        done = self.doors.drain(0.0)
        for _ in range(int((ANSWER_TIME + 3 * TURN) / TURN) + 1):
            self.reactor.advance(TURN)
        self.successResultOf(done)
        self.assertGreater(
            peer.transport._tempDataLen + len(peer.transport.dataBuffer), 0, "the kernel is full"
        )
        self.assertEqual(peer.read().splitlines(), [b"login#1 alice", *pushed, b"kicked SHUTDOWN"])

    def test_a_goodbye_that_the_kernel_takes_at_once_is_followed_by_the_end(self) -> None:
        peer = self.peer()
        peer.say(b"login#1 alice\n")
        self.doors.shut_down()
        self.reactor.advance(ANSWER_TIME)
        self.assertEqual(peer.read().splitlines(), [b"login#1 alice", b"kicked SHUTDOWN"])

    def test_behind_a_proxy_the_connection_that_was_handed_over_is_written_to(self) -> None:
        peer = self.peer(proxied=True)
        peer.say(b"PROXY TCP4 198.51.100.7 192.0.2.2 4000 8088\r\nlogin#1 alice\n")
        self.reactor.advance(0)
        self.assertEqual(self.reactor.writers, [], "it was written at once")
        pushed = self.push(MANY)
        peer.say(b"logout#2\n")
        self.assertEqual(peer.read().splitlines(), [b"login#1 alice", *pushed, b"logout#2 ok"])

    def test_a_peer_that_reset_the_connection_is_lost_in_the_ordinary_way(self) -> None:
        peer = self.peer()
        peer.say(b"login#1 alice\n")
        self.push(MANY)
        self.reactor.advance(0)
        # Something unread: closing resets.
        peer.socket.close()
        for _ in range(100):
            peer.write()
            if not peer.transport.connected:
                break
        self.assertEqual((len(self.doors), self.doors.budget.used), (0, 0))
        self.assertIn("close", self.hub.attachments[0].told)

    def test_what_arrived_is_known_of_what_was_written_at_once(self) -> None:
        peer = self.peer()
        peer.say(b"login#1 alice\n")
        pushed = self.push(1)
        self.reactor.advance(0)
        self.assertEqual(self.doors.budget.used, 0)
        self.assertEqual(self.reactor.writers, [])
        heard = b""
        while heard.count(b"\n") < 2:
            heard += peer.socket.recv(4096)
        self.assertEqual(heard.splitlines(), [b"login#1 alice", *pushed])
        self.assertNotIn("delivered", self.hub.attachments[0].told)
        # What the peer has read, its kernel has confirmed, if not at this very moment.
        for _ in range(1000):
            self.reactor.advance(0.05)
        self.assertIn("delivered", self.hub.attachments[0].told)


class Talkative(Owner):
    """Has more to say whenever there is room, and then goes."""

    outbox: Outbox

    def __init__(self, words: list[bytes]) -> None:
        super().__init__()
        self.words = words

    def outbox_drained(self) -> None:
        super().outbox_drained()
        if self.words:
            self.outbox.push(self.words.pop(0))
            # Asks, and so is told again.
            self.outbox.push(b"." * 70_000)
            _ = self.outbox.writable
        else:
            self.outbox.finish()


class Within(SynchronousTestCase):
    """What owners do while they are told that there is room, which is now in the middle of a write."""

    def test_more_is_written_and_the_end_comes_once(self) -> None:
        clock = Clock()
        descriptor, owner = Descriptor(clock), Talkative([b"two", b"three"])
        descriptor.room = 10**9
        budget = Budget(10**9)
        outbox = Outbox(descriptor, owner, Flusher(clock), budget, 10**6, DrainWatch(clock))
        owner.outbox = outbox
        outbox.start()
        outbox.push(b"one" + b"." * 70_000)
        self.assertFalse(outbox.writable)
        clock.advance(0)
        clock.advance(0)
        self.assertEqual(descriptor.taken.replace(b".", b""), b"onetwothree")
        self.assertEqual(owner.told, ["drained"] * 3 + ["finished"])
        self.assertEqual((outbox.total, budget.used), (0, 0))
