"""One round of the epoll reactor for the connections of `fast_transport`.

It reads where something was received and nothing else is the matter without Twisted's log context, and
writes at the end of the turn what has come up in it. Everything else takes Twisted's own way. It sees to it
that a turn stays short when thousands come or go at once, for messages wait behind it. Connections on which
somebody has logged in (`FastServer.settled`) are all served in every turn; of newcomers only as many as a
little time allows, and of ends likewise, in the order in which they were found. The kernel is not asked
about those who wait for more than a turn: to be told of a thousand of them in every turn would cost a third
of it. While many come the reactor never sleeps, so it gives way once a turn: a writer that shares its
processor would else wait until the kernel's slice is over, 4 to 5 ms, up to twice for each commit.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from select import EPOLLERR, EPOLLHUP, EPOLLIN, EPOLLOUT
from time import monotonic, sleep
from typing import Any, Final

from twisted.internet.main import CONNECTION_DONE, CONNECTION_LOST
from twisted.python import log

# Those that are no constants are changed by tests, which compiled code would not see.
MAX_EVENTS: Final = 1024
"""Descriptors that are served before timers and other threads have their turn."""

NEWCOMERS_PER_TURN: int = 8
"""Connections that are not settled and are read in one turn, at the most."""
NEWCOMERS_SECONDS: float = 0.002
"""After that time the turn serves no further one; the first is always served."""
CROWD: int = 64
"""Where so many are not settled, they wait long anyway, and turns are kept shorter:"""
CROWD_SECONDS: float = 0.0005
"""Likewise."""
FULL: int = 2 * CROWD
"""Where so many wait hardly any others are accepted (see `accepting`): they wait in the kernel, where no
deadline runs and no limit is reached."""

LOSSES_PER_TURN: int = 16
"""Connections whose end is dealt with in one turn, at the most."""
LOSSES_SECONDS: float = 0.001
"""Likewise."""

RESTLESS_TURNS: int = 16
"""After a turn in which some of so many were read, or so many ends wait: what follows takes some turns."""
GIVEN_SECONDS: Final = 0.00001
"""Given away in each of these turns; the kernel adds some 50 µs."""

_BROKEN: Final = EPOLLHUP | EPOLLERR
_READABLE: Final = frozenset({EPOLLIN, EPOLLIN | EPOLLHUP, EPOLLIN | EPOLLERR, EPOLLIN | _BROKEN})
"""Events that are answered by reading alone."""


def receive(connection: Any) -> BaseException | None:
    """Reads once, and has the protocol take it.

    Args:
        connection: a FastConnection.

    Returns:
        why there is nothing more to be read from it, or None.
    """
    try:
        data = connection.socket.recv(connection.bufferSize)
    except BlockingIOError:
        return None
    except OSError:
        return CONNECTION_LOST
    if not data:
        return CONNECTION_DONE
    connection.protocol.dataReceived(data)
    return None


class FastLoop:
    """One round of the epoll reactor, in place of its `doIteration`.

    Attributes:
        strangers: connections that are not settled.
    """

    def __init__(
        self,
        reactor: Any,
        kind: Any,
        clock: Callable[[], float] = monotonic,
        give_way: Callable[[float], object] = sleep,
    ) -> None:
        """Args:
        reactor: an EPollReactor.
        kind: of the connections that are served so, `FastServer`.
        clock: seconds.
        give_way: sleeps so many seconds. To yield (`sched_yield`) does not suffice: where the kernel protects
            a slice that has begun, others are not let in.
        """
        self._reactor = reactor
        self._kind = kind
        self._clock = clock
        self._give_way = give_way
        self._poll: Callable[..., list[tuple[int, int]]] = reactor._poller.poll
        self._selectables: dict[int, Any] = reactor._selectables
        # Newcomers with something to read, by when they were found; and whether the kernel is not asked about
        # them meanwhile.
        self._waiting: OrderedDict[Any, bool] = OrderedDict()
        self._ending: OrderedDict[Any, BaseException] = OrderedDict()
        self._writing: OrderedDict[Any, None] = OrderedDict()  # have something to write
        self.strangers = 0
        self._restless = 0  # turns in which there is still much to do for newcomers
        self._called = False  # there was a turn without a poll, for what threads had done
        self._told = 0  # ends in this turn,
        self._until = 0.0  # and until when more of them are

    @property
    def full(self) -> bool:
        """Whether so many newcomers wait that hardly any others should be accepted."""
        return len(self._waiting) >= FULL

    def forget(self, connection: Any) -> None:
        """It is not to be read any more: if its end was found, it is not told, or found again later."""
        self._ending.pop(connection, None)
        self._waiting.pop(connection, None)

    def write_soon(self, connection: Any) -> bool:
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

    def written(self, connection: Any) -> None:
        """It has nothing to write any more."""
        self._writing.pop(connection, None)

    def settle(self, connection: Any) -> None:
        """It is no newcomer any more."""
        if self._waiting.pop(connection, False):
            self._reactor.addReader(connection)

    def __call__(self, timeout: float | None) -> None:
        """Waits for events and serves them; see `EPollReactor.doPoll`."""
        if self._reactor.threadCallQueue and not self._called:
            # Mostly what a commit came to: who waits for that waits longest. The next turn polls in any case.
            self._called = True
            return
        self._called = False
        selectables = self._selectables
        if self._writing:
            self._write()  # which may have called for something to be done later
            timeout = 0
        elif self._ending or self._waiting:
            timeout = 0
        events = self._poll(-1 if timeout is None else timeout, min(len(selectables), MAX_EVENTS))
        find, reads, kind = selectables.get, self._reactor._reads, self._kind
        again: list[Any] = []
        broken = 0
        self._told = 0
        for descriptor, event in events:
            selectable: Any = find(descriptor)
            if type(selectable) is kind:
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
        if selectable._aborting:
            return  # its own doRead, which is not asked here, would do nothing either
        try:
            why = receive(selectable)
        except BaseException as raised:
            self._failed(selectable, raised)
        else:
            if why is not None:
                self._ended(selectable, why)

    def _read_newcomers(self, again: list[Any]) -> None:
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

    def _read_newcomer(self, connection: Any) -> None:
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
                why = connection.doWrite()
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
