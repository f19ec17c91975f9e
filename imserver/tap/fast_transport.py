"""The short way from the kernel to a protocol and back: `[performance] transport = "fast"`.

For every descriptor that is readable Twisted's epoll reactor enters a log context, looks again
what is to be done, and reads by two more calls. That is a few microseconds, as much as a message
costs in many other places. `FastServer` reads and writes with what the socket module
does by itself, and `FastLoop` calls it without the context where something was received and nothing else is
the matter. What is written through the transport (handshakes, answers over HTTP, TLS) goes out at the end of
the turn, likewise, without asking the kernel first whether it may: that would be two more calls and another
turn. Where the kernel does not take it all, it is asked; and first, where the writer counts on that (a pull
producer, media). Everything else takes Twisted's own way. Bytes and their order are the same.

`FastLoop` also sees to it that a turn stays short when thousands come or go at once, for messages wait behind
it. Connections on which somebody has logged in (`FastServer.settled`) are all served in every turn; of
newcomers only as many as a little time allows, and of ends likewise, in the order in which they were found.
The kernel is not asked about those who wait for more than a turn: to be told of a thousand of them in every
turn would cost a third of it. While many come the reactor never sleeps, so it gives way once a turn: a writer
that shares its processor would else wait until the kernel's slice is over, 4 to 5 ms, up to twice for each
commit.

All this relies on parts of Twisted that are not promised. Hence `fault`, which compares them with the ones
this was written for; where it finds a difference the stock transport stays.
What this way costs: lines that Twisted's own code logs while a read or a write is handled are not headed by
the connection's name.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from errno import ENOBUFS
from select import EPOLLERR, EPOLLHUP, EPOLLIN, EPOLLOUT
from time import monotonic, sleep
from typing import Any, Final

from twisted.internet import tcp
from twisted.internet.abstract import FileDescriptor
from twisted.internet.epollreactor import EPollReactor
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.main import CONNECTION_DONE, CONNECTION_LOST
from twisted.python import log

MAX_EVENTS: Final = 1024
"""Descriptors that are served before timers and other threads have their turn."""

NEWCOMERS_PER_TURN: Final = 8
"""Connections that are not settled and are read in one turn, at the most."""
NEWCOMERS_SECONDS: Final = 0.002
"""After that time the turn serves no further one; the first is always served."""
CROWD: Final = 64
"""Where so many are not settled, they wait long anyway, and turns are kept shorter:"""
CROWD_SECONDS: Final = 0.0005
"""Likewise."""
FULL: Final = 2 * CROWD
"""Where so many wait hardly any others are accepted (see `accepting`): they wait in the kernel, where no
deadline runs and no limit is reached."""

LOSSES_PER_TURN: Final = 16
"""Connections whose end is dealt with in one turn, at the most."""
LOSSES_SECONDS: Final = 0.001
"""Likewise."""

RESTLESS_TURNS: Final = 16
"""After a turn in which some of so many were read, or so many ends wait: what follows takes some turns."""
GIVEN_SECONDS: Final = 0.00001
"""Given away in each of these turns; the kernel adds some 50 µs."""

_BROKEN: Final = EPOLLHUP | EPOLLERR
_READABLE: Final = frozenset({EPOLLIN, EPOLLIN | EPOLLHUP, EPOLLIN | EPOLLERR, EPOLLIN | _BROKEN})
"""Events that are answered by reading alone."""

_KNOWN: Final[dict[Callable[..., Any], frozenset[str]]] = {
    tcp.Connection.doRead: frozenset(
        {
            "socket", "recv", "bufferSize", "OSError", "args", "EWOULDBLOCK", "main", "CONNECTION_LOST",
            "_dataReceived",
        }
    ),
    tcp.Connection._dataReceived: frozenset({"main", "CONNECTION_DONE", "protocol", "dataReceived"}),
    tcp.Connection.writeSomeData: frozenset(
        {
            "memoryview", "SEND_LIMIT", "untilConcludes", "socket", "send", "OSError", "args",
            "EWOULDBLOCK", "ENOBUFS", "main", "CONNECTION_LOST",
        }
    ),
    FileDescriptor.startWriting: frozenset({"reactor", "addWriter"}),
    FileDescriptor.stopWriting: frozenset({"reactor", "removeWriter"}),
    EPollReactor.doPoll: frozenset(
        {
            "_poller", "poll", "len", "_selectables", "OSError", "errno", "EINTR", "_doReadOrWrite",
            "KeyError", "log", "callWithLogger",
        }
    ),
}  # fmt: skip
"""What is replaced, and all it uses: where that has changed it may do more than is done here."""


class FastConnection(tcp.Connection):
    """Reads and writes without detours."""

    def doRead(self) -> ConnectionLost | ConnectionDone | None:  # type: ignore[override]  # as Connection does
        """See Connection."""
        try:
            data = self.socket.recv(self.bufferSize)
        except BlockingIOError:
            return None
        except OSError:
            return CONNECTION_LOST
        if not data:
            return CONNECTION_DONE
        self.protocol.dataReceived(data)
        return None

    def writeSomeData(self, data: bytes) -> int | ConnectionLost:
        """See Connection."""
        try:
            if len(data) > self.SEND_LIMIT:
                return self.socket.send(memoryview(data)[: self.SEND_LIMIT])
            return self.socket.send(data)
        except BlockingIOError:
            return 0
        except OSError as error:
            return 0 if error.errno == ENOBUFS else CONNECTION_LOST


class FastServer(FastConnection, tcp.Server):
    """A connection that a port has accepted.

    Attributes:
        settled: somebody has logged in on it.
        asks_first: nothing is written before the kernel has said that it may be.
    """

    asks_first = False

    def __init__(self, *arguments: Any) -> None:
        # Here, so that it has its place in the layout that all instances share, and costs no dict of its own.
        self.settled = False
        super().__init__(*arguments)
        loop = self._loop()
        if loop is not None:
            loop.strangers += 1

    # Server keeps these two texts for each connection; they are asked for where something is logged.

    @property
    def logstr(self) -> str:
        """See Server."""
        protocol = getattr(self, "protocol", None)  # it is deleted when the connection is lost
        return f"{self._getLogPrefix(protocol)},{self.sessionno},{self.hostname}"

    @logstr.setter
    def logstr(self, text: str) -> None:
        pass

    @property
    def repstr(self) -> str:
        """See Server."""
        protocol = type(getattr(self, "protocol", None)).__name__
        return f"<{protocol} #{self.sessionno} on {self.server._realPortNumber}>"

    @repstr.setter
    def repstr(self, text: str) -> None:
        pass

    def settle(self) -> None:
        """Somebody logged in: from now on it is served before those who are new."""
        if not self.settled:
            self.settled = True
            loop = self._loop()
            if loop is not None:
                loop.strangers -= 1
                loop.settle(self)

    def connectionLost(self, reason: Any) -> None:
        """See Connection."""
        self.settle()  # it is no stranger any more, either
        super().connectionLost(reason)

    def stopReading(self) -> None:
        """See FileDescriptor. Called when the connection is lost, too."""
        loop = self._loop()
        if loop is not None:
            loop.forget(self)
        super().stopReading()  # type: ignore[no-untyped-call]

    def startWriting(self) -> None:
        """See FileDescriptor."""
        loop = self._loop()
        if loop is None or not loop.write_soon(self):
            super().startWriting()  # type: ignore[no-untyped-call]

    def stopWriting(self) -> None:
        """See FileDescriptor. Called when everything was written, or the connection is lost."""
        loop = self._loop()
        if loop is not None:
            loop.written(self)
        super().stopWriting()  # type: ignore[no-untyped-call]

    def _loop(self) -> FastLoop | None:
        return loop_of(self.reactor)


class FastLoop:
    """One round of the epoll reactor, in place of its `doIteration`.

    Attributes:
        strangers: connections that are not settled.
    """

    def __init__(
        self,
        reactor: Any,
        clock: Callable[[], float] = monotonic,
        give_way: Callable[[float], object] = sleep,
    ) -> None:
        """Args:
        reactor: an EPollReactor.
        clock: seconds.
        give_way: sleeps so many seconds. To yield (`sched_yield`) does not suffice: where the kernel protects
            a slice that has begun, others are not let in.
        """
        self._reactor = reactor
        self._clock = clock
        self._give_way = give_way
        self._poll = reactor._poller.poll
        self._selectables: dict[int, Any] = reactor._selectables
        # Newcomers with something to read, by when they were found; and whether the kernel is not asked about
        # them meanwhile.
        self._waiting: OrderedDict[FastServer, bool] = OrderedDict()
        self._ending: OrderedDict[FastServer, BaseException] = OrderedDict()
        self._writing: OrderedDict[FastServer, None] = OrderedDict()  # have something to write
        self.strangers = 0
        self._restless = 0  # turns in which there is still much to do for newcomers
        self._told = 0  # ends in this turn,
        self._until = 0.0  # and until when more of them are

    @property
    def full(self) -> bool:
        """Whether so many newcomers wait that hardly any others should be accepted."""
        return len(self._waiting) >= FULL

    def forget(self, connection: FastServer) -> None:
        """It is not to be read any more: if its end was found, it is not told, or found again later."""
        self._ending.pop(connection, None)
        self._waiting.pop(connection, None)

    def write_soon(self, connection: FastServer) -> bool:
        """Has it write at the end of this turn; False where the kernel has to say when it may.

        It has where it is asked already, and where the reactor knows of the connection by nothing else: at
        the server's end it is those that it knows of that are closed. And where there is a pull producer,
        which is called when there is room: an outbox tries by itself first.
        """
        if connection.asks_first or (connection.producer is not None and not connection.streamingProducer):
            return False
        descriptor, reactor = connection.fileno(), self._reactor
        if descriptor in reactor._writes or descriptor not in reactor._reads:
            return False
        self._writing[connection] = None
        return True

    def written(self, connection: FastServer) -> None:
        """It has nothing to write any more."""
        self._writing.pop(connection, None)

    def settle(self, connection: FastServer) -> None:
        """It is no newcomer any more."""
        if self._waiting.pop(connection, False):
            self._reactor.addReader(connection)

    def __call__(self, timeout: float | None) -> None:
        """Waits for events and serves them; see `EPollReactor.doPoll`."""
        selectables = self._selectables
        if self._writing:
            self._write()  # which may have called for something to be done later
            timeout = 0
        elif self._ending or self._waiting:
            timeout = 0
        events = self._poll(-1 if timeout is None else timeout, min(len(selectables), MAX_EVENTS))
        find, reads = selectables.get, self._reactor._reads
        again: list[FastServer] = []
        broken = 0
        self._told = 0
        for descriptor, event in events:
            selectable = find(descriptor)
            if type(selectable) is FastServer:
                if event == EPOLLIN or event in _READABLE:
                    if selectable.settled:
                        self._read(selectable)
                    elif descriptor in reads:  # what came before may have stopped reading it
                        if selectable in self._waiting:
                            again.append(selectable)
                        self._waiting[selectable] = False
                    continue
                if event == EPOLLIN | EPOLLOUT and not selectable.settled and descriptor in reads:
                    if selectable in self._waiting:
                        again.append(selectable)
                    self._waiting[selectable] = False
                    event = EPOLLOUT
                elif event & _BROKEN:
                    broken += 1
                    if broken > LOSSES_PER_TURN:
                        continue  # the kernel tells of it again
                    if selectable in self._waiting:
                        # What it said comes before its end.
                        self._read_newcomer(selectable)
                        continue
                    why = self._ending.pop(selectable, None)
                    if why is not None:
                        # What it said last was its end, and only then that it hears nothing either.
                        self._tell_end(selectable, why)
                        if find(descriptor) is not selectable:
                            continue
            if selectable is not None:
                log.callWithLogger(selectable, self._reactor._doReadOrWrite, selectable, descriptor, event)
        if (self._waiting and self.strangers >= CROWD) or len(self._ending) >= CROWD:
            self._restless = RESTLESS_TURNS
        if self._waiting:
            self._read_newcomers(again)
        if self._ending:
            self._end_some()
        if self._writing:
            self._write()
        if self._restless:
            self._restless -= 1
            self._give_way(GIVEN_SECONDS)

    def _read(self, selectable: Any) -> None:
        try:
            why = selectable.doRead()
        except BaseException as raised:
            self._failed(selectable, raised)
        else:
            if why is not None:
                self._ended(selectable, why)

    def _read_newcomers(self, again: list[FastServer]) -> None:
        """Reads the next ones. Args: again: those of whom the kernel has told more than once.

        Most are read before it would: not to ask about them, and to ask again, are two calls.
        """
        waiting = self._waiting
        until = self._clock() + (NEWCOMERS_SECONDS if self.strangers < CROWD else CROWD_SECONDS)
        for _ in range(NEWCOMERS_PER_TURN):
            # What was read before may have closed others, or stopped reading them.
            if not waiting:
                return
            self._read_newcomer(next(iter(waiting)))
            if self._clock() >= until:
                break
        for connection in again:
            if waiting.get(connection) is False:
                self._reactor.removeReader(connection)
                waiting[connection] = True

    def _read_newcomer(self, connection: FastServer) -> None:
        if self._waiting.pop(connection):
            self._reactor.addReader(connection)
        self._read(connection)

    def _write(self) -> None:
        """What all have to write now; no more of them than there are now."""
        writing, reactor = self._writing, self._reactor
        for _ in range(len(writing)):
            if not writing:  # what was written before may have closed others
                return
            connection = next(iter(writing))
            try:
                why = connection.doWrite()  # type: ignore[no-untyped-call]
            except BaseException as raised:
                self._failed(connection, raised)
            else:
                if why is not None:
                    log.callWithLogger(connection, reactor._disconnectSelectable, connection, why, False)
            if connection in writing:  # and so not lost, and not done, or not any more
                del writing[connection]
                if connection.connected:
                    reactor.addWriter(connection)

    def _failed(self, selectable: Any, raised: BaseException) -> None:
        """Called in an except block."""
        log.callWithLogger(selectable, log.err)
        self._tell_end(selectable, raised)

    def _ended(self, selectable: Any, why: BaseException) -> None:
        """Its peer says nothing more: that is told at once, before what others said after it.

        Where many end, it is told when its turn comes, until when it is not read again.
        """
        if not self._ending and self._may_tell():
            self._tell_end(selectable, why)
        else:
            self._reactor.removeReader(selectable)
            self._ending.setdefault(selectable, why)

    def _may_tell(self) -> bool:
        """Whether one more end can be told in this turn, at least one."""
        self._told += 1
        if self._told == 1:
            self._until = self._clock() + LOSSES_SECONDS
            return True
        return self._told <= LOSSES_PER_TURN and self._clock() < self._until

    def _tell_end(self, selectable: Any, why: BaseException) -> None:
        log.callWithLogger(selectable, self._reactor._disconnectSelectable, selectable, why, True)

    def _end_some(self) -> None:
        while self._ending and self._may_tell():
            self._tell_end(*self._ending.popitem(last=False))


def loop_of(reactor: Any) -> FastLoop | None:
    """The one that was installed, if any."""
    loop = getattr(reactor, "doIteration", None)
    return loop if type(loop) is FastLoop else None


def fault(reactor: Any) -> str:
    """Why this cannot be done with the Twisted at hand; "" if it can."""
    if type(reactor) is not EPollReactor:
        return f"the reactor is {type(reactor).__name__}"
    if EPollReactor.doIteration is not EPollReactor.doPoll or "doIteration" in vars(reactor):
        return "the reactor's loop is not the one that is known"
    for replaced, known in _KNOWN.items():
        code = getattr(replaced, "__code__", None)
        if code is None or frozenset(code.co_names) != known:
            return f"{replaced.__qualname__} is not the one that is known"
    for name in ("_poller", "_selectables", "_reads", "_writes", "_doReadOrWrite", "_disconnectSelectable"):
        if not hasattr(reactor, name):
            return f"the reactor has no {name}"
    if tcp.Port.transport is not tcp.Server:
        return "ports have connections of another kind"
    return ""


def install(reactor: Any, ports: Iterable[Any]) -> None:
    """Has the reactor serve these ports' connections so, from the next one on. `fault` has found none.

    Args:
        ports: IListeningPort; those that are no plain TCP ports stay as they are.
    """
    for port in ports:
        if type(port) is tcp.Port:
            port.transport = FastServer  # type: ignore[assignment]  # has the same arguments
    reactor.doIteration = FastLoop(reactor)
