"""What the parts of the engine share: memory, journal, database, clocks."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from imserver.backends.common.taken_back import TakenBack
from imserver.backends.embedded.committer import Committer
from imserver.backends.embedded.database import Database
from imserver.backends.embedded.journal import Journal, unavailable
from imserver.backends.embedded.settings import EngineSettings, Failpoints
from imserver.backends.embedded.state import State
from imserver.model.errors import ImError, alone
from imserver.services.ports import Threads

P = ParamSpec("P")
T = TypeVar("T")
_log = Logger()


def guarded(
    method: Callable[P, Coroutine[Any, Any, T]],
) -> Callable[P, Coroutine[Any, Any, T]]:
    """Turns a failing disk into a refusal: UNAVAILABLE instead of sqlite3.Error."""

    @wraps(method)
    async def call(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return await method(*args, **kwargs)
        except sqlite3.Error as error:
            _log.error("a read failed: {error}", error=str(error))
            raise unavailable("the message store cannot be read now") from error

    return call


class Core:
    """The engine's shared parts.

    Attributes:
        state: replaced as a whole when a commit failed; never keep a reference to
            it, or to anything in it, over an `await`.
        wall: the time of day, float seconds.
        ready: the memory while all is well, None while `check_writable` must be asked.
        taken_back: messages that are revoked while they are being read.
        on_committed: called after each commit, before its answers are released.
        on_reloaded: called when memory was read back after a failed commit.
        reads: pages and lists read on threads, since the start.
    """

    def __init__(
        self,
        database: Database,
        committer: Committer,
        threads: Threads,
        clock: IReactorTime,
        wall: Callable[[], float],
        node: int,
        settings: EngineSettings,
        failpoints: Failpoints,
    ) -> None:
        self.database = database
        self.threads = threads
        self.clock = clock
        self.wall = wall
        self.node = node
        self.settings = settings
        self.failpoints = failpoints
        self.journal = Journal(clock, committer, failpoints, self._committed, self._lost)
        self.taken_back = TakenBack()
        self.on_committed: list[Callable[[], None]] = []
        self.on_reloaded: list[Callable[[], None]] = []
        self.epoch = ""
        self.reads = 0
        self.ready: State | None = None
        self._state: State | None = None
        self._paused_until = float("-inf")
        self._reader: sqlite3.Connection | None = None

    @property
    def state(self) -> State:
        """The memory, after the sends before. UNAVAILABLE while a failing disk cannot be read back."""
        self.journal.decide()
        if self._state is None:
            raise unavailable("the message store cannot be read now")
        return self._state

    @property
    def reader(self) -> sqlite3.Connection:
        """The reactor thread's connection."""
        assert self._reader is not None
        return self._reader

    def start(self, writer: sqlite3.Connection) -> None:
        """Reads the memory and starts the journal."""
        self._reader = self.database.reader()
        self._state = self.ready = State(self._reader, self.settings)
        self.journal.start(writer)

    def check_writable(self) -> State:
        """The memory, to decide a write on.

        Raises:
            ImError: UNAVAILABLE shortly after the disk failed, or if too much waits for it.
        """
        if self.clock.seconds() < self._paused_until or self.journal.waiting_rows >= self.settings.queue_rows:
            raise unavailable()
        self.ready = self.state
        return self.ready

    def _committed(self, offset: int) -> None:
        if self._state is None:
            return
        self._state.committed = offset
        for callback in self.on_committed:
            callback()

    def _lost(self) -> None:
        self._paused_until = self.clock.seconds() + self.settings.failure_pause
        self._state = self.ready = None
        self._read_back()

    def _read_back(self) -> None:
        try:
            self._state = State(self.reader, self.settings)
        except sqlite3.Error as error:
            _log.error("the message store cannot be read: {error}", error=str(error))
            self.clock.callLater(1.0, self._read_back)
            return
        for callback in self.on_reloaded:
            callback()

    @guarded
    async def read(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Runs `function(connection, *arguments)` on a thread, in one read transaction.

        Raises:
            ImError: UNAVAILABLE if the disk fails.
        """
        self.reads += 1
        found = await self.threads.call(self._read, function, arguments)
        # Returned, not as a failure: that, or a variable left with it, makes a cycle with the whole request.
        if isinstance(found, ImError):
            try:
                raise found
            finally:
                del found
        return found

    def _read(self, function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
        connection = self.database.borrow()
        begun = False
        try:
            if not connection.in_transaction:
                connection.execute("BEGIN")
                begun = True
            return function(connection, *arguments)
        except ImError as error:
            return alone(error)
        finally:
            if begun and connection.in_transaction:
                connection.execute("ROLLBACK")
            self.database.give_back(connection)

    async def write(
        self,
        run: Callable[[sqlite3.Connection], Any],
        *,
        isolated: bool = True,
        on_commit: Callable[[Any], None] | None = None,
    ) -> Any:
        """Runs work on the writer; returns its result once it is durable.

        Raises:
            ImError: UNAVAILABLE if it did not become durable; whatever `run` raised if it was isolated.
        """
        self.check_writable()
        done: Deferred[Any] = self.journal.task(run, isolated=isolated, on_commit=on_commit)
        return await done
