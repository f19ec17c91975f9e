"""Fans broadcasts out, some hundred users a step; any node goes on where another one stopped."""

from __future__ import annotations

from twisted.internet.defer import ensureDeferred
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from imserver.backends.redis.core import Core
from imserver.backends.redis.scripts import Script, lua
from imserver.model.errors import ImError

FANOUT = Script("fanout", *lua("lists", "feed", "fanout"))
_AGAIN_SECONDS = 1.0


class Broadcasts:
    """Works on one broadcast after another. Two nodes at the same one only do it in turns."""

    _log = Logger()

    def __init__(self, core: Core) -> None:
        self._core = core
        self._running = False
        self._again = False
        self._stopped = False
        self._call: IDelayedCall | None = None

    def start(self) -> None:
        """Begins, or goes on, with what is not finished; cheap to call."""
        if self._running:
            self._again = True
        elif not self._stopped:
            self._running = True
            ensureDeferred(self._work()).addBoth(self._ended)

    def stop(self) -> None:
        """Begins nothing more."""
        self._stopped = True
        if self._call is not None and self._call.active():
            self._call.cancel()

    def _ended(self, result: Failure | None) -> None:
        self._running = False
        if isinstance(result, Failure):
            if result.check(ImError) is None:
                self._log.failure("a broadcast could not be fanned out", failure=result)
            if not self._stopped:
                self._call = self._core.clock.callLater(_AGAIN_SECONDS, self.start)
        elif self._again:
            self._again = False
            self.start()

    async def _work(self) -> None:
        core, redis = self._core, self._core.redis
        if not redis.connected:
            return  # it is begun again when Redis is back
        for number in await redis.call("HKEYS", f"{redis.prefix}bc"):
            more = 1
            while more and not self._stopped:
                words = (number, core.settings.fanout_users, core.node())
                more = await redis.script(FANOUT, (), words)
