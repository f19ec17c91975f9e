"""The short way from the kernel to a protocol and back: `[performance] transport = "fast"`.

For every descriptor that is readable Twisted's epoll reactor enters a log context, looks again
what is to be done, and reads by two more calls. That is a few microseconds, as much as a message
costs in many other places. `FastServer` reads and writes with what the socket module
does by itself, and `FastLoop` calls it without the context where something was received and nothing else is
the matter; everything else takes Twisted's own way. Bytes and their order are the same.

All this relies on parts of Twisted that are not promised. Hence `fault`, which compares them with the ones
this was written for; where it finds a difference the stock transport stays.
What this way costs: lines that Twisted's own code logs while a read is handled are not headed by the
connection's name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from errno import ENOBUFS
from select import EPOLLIN
from typing import Any, Final

from twisted.internet import tcp
from twisted.internet.epollreactor import EPollReactor
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.main import CONNECTION_DONE, CONNECTION_LOST
from twisted.python import log

MAX_EVENTS: Final = 1024
"""Descriptors that are served before timers and other threads have their turn."""

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
    """A connection that a port has accepted."""


class FastLoop:
    """One round of the epoll reactor, in place of its `doIteration`."""

    def __init__(self, reactor: Any) -> None:
        """Args:
        reactor: an EPollReactor.
        """
        self._reactor = reactor
        self._poll = reactor._poller.poll
        self._selectables: dict[int, Any] = reactor._selectables

    def __call__(self, timeout: float | None) -> None:
        """Waits for events and serves them; see `EPollReactor.doPoll`."""
        selectables = self._selectables
        events = self._poll(-1 if timeout is None else timeout, min(len(selectables), MAX_EVENTS))
        find = selectables.get
        for descriptor, event in events:
            selectable = find(descriptor)
            if event == EPOLLIN and type(selectable) is FastServer:
                try:
                    why: BaseException | None = selectable.doRead()
                except BaseException as raised:
                    log.callWithLogger(selectable, log.err)
                    why = raised
                if why is not None:
                    log.callWithLogger(selectable, self._reactor._disconnectSelectable, selectable, why, True)
            elif selectable is not None:
                log.callWithLogger(selectable, self._reactor._doReadOrWrite, selectable, descriptor, event)


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
    for name in ("_poller", "_selectables", "_doReadOrWrite", "_disconnectSelectable"):
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
            port.transport = FastServer
    reactor.doIteration = FastLoop(reactor)
