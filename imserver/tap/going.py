"""The waits of a server that goes down: balancers find out, then everybody is sent away in turn."""

from __future__ import annotations

import signal
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorFromThreads, IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from imserver.config.schema import Shutdown
from imserver.protocols.doors import Doors


class Departure:
    """See `config.schema.Shutdown`. A second SIGTERM or SIGINT ends whichever wait it is."""

    log = Logger()

    def __init__(self, reactor: Any, settings: Shutdown) -> None:
        """Args:
        reactor: IReactorTime and IReactorFromThreads.
        """
        self._clock: IReactorTime = reactor
        self._threads: IReactorFromThreads = reactor
        self._settings = settings
        self._wait: Deferred[None] | None = None
        self._hurried = False

    def begin(self) -> None:
        """From now on a signal means: at once."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._signalled)

    async def notice(self) -> None:
        """/readyz says already that nobody should come any more; until this returns they still may."""
        seconds = self._settings.notice_seconds
        if seconds:
            self.log.info("going down: not ready for {seconds} s, everybody is still served", seconds=seconds)
            await self._waited(deferLater(self._clock, seconds))

    async def drain(self, doors: Doors) -> None:
        """Sends everybody away in turn; when it returns some may be left."""
        seconds = self._settings.drain_seconds
        if seconds and len(doors):
            self.log.info(
                "going down: {count} connections are sent away within {seconds} s",
                count=len(doors),
                seconds=seconds,
            )
            await self._waited(doors.drain(seconds))

    async def _waited(self, wait: Deferred[Any]) -> None:
        if self._hurried:
            wait.addErrback(lambda failure: failure.trap(CancelledError))
            wait.cancel()
            return
        self._wait = wait
        try:
            await wait
        except CancelledError:
            self.log.warn("going down at once")
        finally:
            self._wait = None

    def _signalled(self, number: int, frame: Any) -> None:
        self._threads.callFromThread(self._hurry)

    def _hurry(self) -> None:
        self._hurried = True
        if self._wait is not None:
            self._wait.cancel()
