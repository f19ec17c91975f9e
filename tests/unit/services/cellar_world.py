"""Services over the real embedded backend, on one thread and in memory."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from imserver.backends.embedded.memory import deterministic_cellar
from imserver.model.accounts import SessionKicked
from imserver.services.ports import Directory
from tests.unit.services.world import Chance, InlineThreads, ServiceCase, Time


class SteppingDirectory:
    """A Directory each of whose operations begins when the test says so.

    With `stepping` an operation waits in `waiting` until it is taken out and fired,
    so that a test can choose the order in which racing coroutines go on.
    """

    def __init__(self, inner: Directory) -> None:
        self._inner = inner
        self.stepping = False
        self.waiting: list[Deferred[None]] = []

    @property
    def account_changes(self) -> int | None:
        """See Directory."""
        return self._inner.account_changes

    def __getattr__(self, name: str) -> Any:
        operation = getattr(self._inner, name)

        async def stepped(*args: Any, **kwargs: Any) -> Any:
            if self.stepping:
                turn: Deferred[None] = Deferred()
                self.waiting.append(turn)
                await turn
            return await operation(*args, **kwargs)

        return stepped


class CellarCase(ServiceCase):
    """A directory and a bus.

    Attributes:
        directory: the embedded one, behind `steps`.
        events: (users, event, origin) of what was published.
        kicks: (user, sid, session, event).
    """

    def setUp(self) -> None:
        self.time = Time()
        self.clock = Clock()
        self.threads = InlineThreads()
        self.cellar = deterministic_cellar(self.clock, wall=self.time, random_bytes=Chance())
        self.cellar.open()
        self.addCleanup(lambda: self.run_now(self.cellar.close()))
        self.steps = SteppingDirectory(self.cellar.directory)
        self.directory = cast(Directory, self.steps)
        self.bus = self.cellar.bus
        self.events: list[tuple[list[str], Any, str]] = []
        self.kicks: list[tuple[str, str, str, SessionKicked]] = []
        self.bus.attach(self._on_event, self._on_kick)

    def settle(self) -> None:
        """Lets everything happen that waits for nothing but a turn or a commit."""
        for _ in range(12):
            self.clock.advance(0)

    def _on_event(self, users: Iterable[str], event: Any, origin: str) -> None:
        self.events.append((list(users), event, origin))

    def _on_kick(self, user: str, sid: str, session: str, event: SessionKicked) -> None:
        self.kicks.append((user, sid, session, event))
