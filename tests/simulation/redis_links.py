"""The connections between a simulated node and the Redis of its world, and what goes wrong with them.

Commands get there and answers come back when the world says so. What was under way when a
connection broke has been done up to some command, and nobody is told up to which.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

from hiredis import Reader
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import ConnectionLost, ConnectionRefusedError
from twisted.internet.interfaces import IProtocolFactory, IStreamClientEndpoint
from twisted.python.failure import Failure
from zope.interface import implementer

from tests.simulation.redis_host import RedisHost, bulk, pack
from tests.simulation.world import Realm, World

ADDRESS = IPv4Address("TCP", "127.0.0.1", 6379)
_SCRIPTS = (b"EVAL", b"EVALSHA")


class Switchboard:
    """All connections to one Redis.

    Attributes:
        down: it does not run.
        still: it runs, and does nothing.
        latency: longest delay of what passes, seconds.
        passages: the connections it has, oldest first.
        connections: how many there were.
    """

    def __init__(self, world: World, host: RedisHost, latency: float) -> None:
        self.world = world
        self.host = host
        self.latency = latency
        self.chance: Random = world.randomness("redis")
        self.down = False
        self.still = False
        self.passages: list[Passage] = []
        self.connections = 0

    def delay(self) -> float:
        """Seconds until something has passed."""
        return round(self.chance.random() * self.latency, 3)

    def publish(self) -> None:
        """What was published goes to those who listen."""

        def heard(channel: bytes, payload: bytes) -> None:
            for passage in list(self.passages):
                if channel in passage.channels:
                    passage.send(pack((b"message", channel, payload)))

        self.host.publications(heard)

    def stop(self, notice: Callable[[], float]) -> None:
        """Redis ends; each node knows after a while."""
        self.down = True
        for passage in list(self.passages):
            passage.cut(notice())

    def begin(self) -> None:
        """Redis begins again."""
        if self.down:
            self.down = False
            self.host.restart()

    def go_on(self) -> None:
        """Redis works again. First on what it had been sent on connections that were given up meanwhile."""
        self.still = False
        for passage in list(self.passages):
            if passage.left:
                passage.finish()
        for passage in list(self.passages):
            passage.wake()


@implementer(IStreamClientEndpoint)
class Way:
    """How one node reaches Redis.

    Attributes:
        refused: nobody gets through who is not connected already.
        mute: nothing passes in either direction; it waits.
        armed: what happens at one of the next scripts: [how many more, before it ran, what].
    """

    def __init__(self, board: Switchboard, realm: Realm) -> None:
        self.board = board
        self.realm = realm
        self.refused = False
        self.mute = False
        self.armed: list[tuple[int, bool, Callable[[], None]]] = []
        self.passages: list[Passage] = []

    def where(self) -> Deferred[IStreamClientEndpoint]:
        """For a connection's `where`."""
        return succeed(self)

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[Any]:
        """See IStreamClientEndpoint."""
        waiting: Deferred[Any] = Deferred(lambda _: call.cancel() if call.active() else None)
        call = self.realm.callLater(self.board.delay(), self._connected, waiting, protocolFactory)
        return waiting

    def _connected(self, waiting: Deferred[Any], factory: IProtocolFactory) -> None:
        if self.mute:
            return  # until it is cancelled
        if self.refused or self.board.down:
            waiting.errback(ConnectionRefusedError())
            return
        protocol: Any = factory.buildProtocol(ADDRESS)
        passage = Passage(self, protocol)
        self.passages.append(passage)
        self.board.passages.append(passage)
        protocol.makeConnection(passage)
        waiting.callback(protocol)

    def cut(self, notice: Callable[[], float | None], listening: bool | None = None) -> None:
        """Ends connections: those that listen, those that do not, or (None) all."""
        for passage in list(self.passages):
            if listening is None or listening == bool(passage.channels):
                passage.cut(notice())

    def speak(self) -> None:
        """What waited passes."""
        self.mute = False
        for passage in list(self.passages):
            passage.come_loose()

    def died(self) -> None:
        """The node's process is gone: what the kernel has of its commands is done up to somewhere."""
        for passage in list(self.passages):
            passage.cut(None)

    def passes(self, before: bool) -> bool:
        """A script is about to run, or has run. Whether what was armed for now has happened."""
        for index, (left, early, action) in enumerate(self.armed):
            if early == before:
                if left > 1:
                    self.armed[index] = (left - 1, early, action)
                    continue
                del self.armed[index]
                action()
                return True
        return False


class Passage:
    """One connection; the node's protocol has it as its transport.

    Attributes:
        number: what Redis calls it.
        channels: what it listens to.
        left: the node has given it up; what it had sent may still be done.
        stuck: nothing passes on this one alone; it waits.
    """

    disconnecting = False

    def __init__(self, way: Way, protocol: Any) -> None:
        self.way = way
        self.board = way.board
        self.board.connections += 1
        self.number = self.board.connections
        self.channels: set[bytes] = set()
        self.left = self.stuck = False
        self._protocol = protocol
        self._reader = Reader()
        self._waiting: deque[list[bytes]] = deque()
        self._answers = bytearray()
        self._up_due = self._down_due = False
        self._dead = False
        self._working = False

    # The node's side

    def write(self, data: bytes) -> None:
        """See ITransport."""
        if self.left or self._dead or not self.way.realm.alive:
            return
        self._reader.feed(data)
        while (words := self._reader.gets()) is not False:
            self._waiting.append(words)
        self.wake()

    def abortConnection(self) -> None:
        """See ITransport. What was sent gets there, unless it is lost on the way."""
        if self.left or not self.way.realm.alive:
            return
        self.left = True
        self._answers.clear()
        self.way.realm.callLater(0, self._lost)
        if self._dead:
            return
        if not self._held and not self.board.still:
            self.finish()
        elif self.board.chance.random() < 0.3:
            self._forget()

    loseConnection = abortConnection

    # Redis' side

    def killed(self) -> None:
        """Redis ends the connection: what has not been done never will be."""
        self._answers.clear()
        self._forget()
        if not self.left:
            self.way.realm.callLater(0, self._lost)

    @property
    def _held(self) -> bool:
        return self.stuck or self.way.mute

    def come_loose(self) -> None:
        """What was stuck passes."""
        self.stuck = False
        self.wake()

    def send(self, reply: bytes) -> None:
        """Redis says something."""
        if not self.left and not self._dead:
            self._answers += reply
            self.wake()

    def wake(self) -> None:
        """Something may be able to pass."""
        if self._dead or self._held:
            return
        realm, board = self.board.world.outside, self.board
        if self._waiting and not self._up_due and not board.still:
            self._up_due = True
            realm.callLater(board.delay(), self._arrive)
        if self._answers and not self._down_due:
            self._down_due = True
            realm.callLater(board.delay(), self._answer)

    def finish(self) -> None:
        """What the node sent before it gave up is done up to some command."""
        self._work(self.board.chance.randint(0, len(self._waiting)))
        self._forget()

    def cut(self, notice: float | None) -> None:
        """It breaks; the node knows after so many seconds, or (None) has to find out."""
        if self._dead:
            return
        if not self.board.still and not self._working:
            self._work(self.board.chance.randint(0, len(self._waiting)))
        self._answers.clear()
        self._forget()
        if notice is not None and not self.left:
            self.way.realm.callLater(notice, self._lost)

    def _forget(self) -> None:
        self._dead = True
        self._waiting.clear()
        self.channels.clear()
        if self in self.board.passages:
            self.board.passages.remove(self)
            self.way.passages.remove(self)

    def _lost(self) -> None:
        protocol, self._protocol = self._protocol, None
        if protocol is not None:
            protocol.connectionLost(Failure(ConnectionLost()))

    def _arrive(self) -> None:
        self._up_due = False
        if self._dead or self._held or self.board.still or not self._waiting:
            return
        self._work(self.board.chance.randint(1, len(self._waiting)))
        if self.left and not self._waiting:
            self._forget()
        self.wake()

    def _answer(self) -> None:
        self._down_due = False
        if self._dead or self._held or self.left or not self.way.realm.alive:
            return
        if self.way.realm.stopped:
            self._down_due = True
            self.way.realm.callLater(0, self._answer)
            return
        data = bytes(self._answers)
        self._answers.clear()
        if data:
            self._protocol.dataReceived(data)
        self.wake()

    def _work(self, count: int) -> None:
        self._working = True
        for _ in range(count):
            if not self._waiting:
                break
            words = self._waiting.popleft()
            script = words[0].upper() in _SCRIPTS
            if script and self.way.passes(before=True) and self._dead:
                break
            self._do(words)
            if script:
                self.way.passes(before=False)
        self._working = False

    def _do(self, words: Sequence[bytes]) -> None:
        name = words[0].upper()
        if name == b"SUBSCRIBE":
            for channel in words[1:]:
                self.channels.add(channel)
                self.send(b"*3\r\n" + bulk(b"subscribe") + bulk(channel) + b":%d\r\n" % len(self.channels))
        elif name == b"PING" and self.channels:
            self.send(pack((b"pong", b"")))
        elif name == b"CLIENT" and words[1] == b"ID":
            self.send(b":%d\r\n" % self.number)
        elif name == b"CLIENT":
            for passage in list(self.board.passages):
                if passage.number == int(words[3]):
                    passage.killed()
            self.send(b":1\r\n")
        elif name == b"ROLE":
            self.send(b"*3\r\n" + bulk(b"master") + b":0\r\n*0\r\n")
        else:
            reply = self.board.host.do(words)
            self.board.publish()
            self.send(reply)
