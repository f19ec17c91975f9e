"""The short way from the kernel to a protocol and back: `[performance] transport = "fast"`.

For every descriptor that is readable Twisted's epoll reactor enters a log context, looks again what is to
be done, and reads by two more calls. That is a few microseconds, as much as a message costs in many other
places. `FastServer` reads and writes with what the socket module does by itself, and `fast_loop` has that
done without the context where something was received and nothing else is the matter. What is written
through the transport (handshakes, answers over HTTP, TLS) goes out at the end of the turn, likewise,
without asking the kernel first whether it may: that would be two more calls and another turn. Where the
kernel does not take it all, it is asked; and first, where the writer counts on that (a pull producer,
media). Everything else takes Twisted's own way. Bytes and their order are the same.

All this relies on parts of Twisted that are not promised. Hence `fault`, which compares them with the ones
this was written for; where it finds a difference the stock transport stays.
What this way costs: lines that Twisted's own code logs while a read or a write is handled are not headed by
the connection's name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from errno import ENOBUFS
from typing import Any, Final

from twisted.internet import tcp
from twisted.internet.abstract import FileDescriptor
from twisted.internet.epollreactor import EPollReactor
from twisted.internet.error import ConnectionLost
from twisted.internet.main import CONNECTION_LOST

from imserver.tap.fast_loop import FastLoop, loop_of, receive

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
    tcp.Connection.abortConnection: frozenset(
        {
            "disconnected", "_aborting", "stopReading", "stopWriting", "doRead", "doWrite", "reactor",
            "callLater", "connectionLost", "failure", "Failure", "error", "ConnectionAborted",
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
"""What is replaced or relied on, and all it uses: where that has changed it may do more than is done here."""


class FastConnection(tcp.Connection):
    """Reads and writes without detours."""

    def doRead(self) -> BaseException | None:  # type: ignore[override]  # as Connection does
        """See Connection."""
        return receive(self)

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
    used = "_poller _selectables _reads _writes threadCallQueue _doReadOrWrite _disconnectSelectable"
    for name in used.split():
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
    reactor.doIteration = FastLoop(reactor, FastServer)
