"""Telling a home what it must hear sooner or later: that a session is gone."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from imserver.model.errors import ErrorCode, ImError
from imserver.services.ports import Bus

TRIES = 60
FIRST_DELAY = 0.5
LONGEST_DELAY = 5.0


class Followed:
    """Tries again while the other nodes, or what is between them, are away.

    It gives up when this node is another one by name: then all others know that its sessions of
    before are gone.

    Args:
        clock: times the attempts.
    """

    log = Logger()

    def __init__(self, bus: Bus, clock: IReactorTime) -> None:
        self._bus = bus
        self._clock = clock

    async def until_done(self, node: str, work: Callable[[], Awaitable[object]]) -> None:
        """Does the work, which may be done several times. A refusal ends it, unless it may pass.

        Args:
            node: what this node was called when the session was there.
        """
        delay = FIRST_DELAY
        for _ in range(TRIES):
            try:
                await work()
                return
            except ImError as error:
                if error.code is not ErrorCode.UNAVAILABLE or self._bus.node != node:
                    return
                self.log.debug("a home was not told of a session yet: {text}", text=error.text)
            await deferLater(self._clock, delay)
            delay = min(LONGEST_DELAY, 2 * delay)
        self.log.warn("a home was not told that a session came or went")
