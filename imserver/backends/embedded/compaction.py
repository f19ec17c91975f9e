"""Buckets of client ids to which no more comes become compact, a part at a time; see `client_ids`."""

from __future__ import annotations

from functools import partial

from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from imserver.backends.embedded.client_ids import compact, many_rows, parts
from imserver.backends.embedded.core import Core
from imserver.model.errors import ImError

MOST_ROWS = 8
"""To read so many to look for a hash is quick enough."""
PAUSES = 3
"""As long as so many of those between slices of the indexes."""


class Compactor:
    """Looks from time to time whether there is such a bucket.

    A part of a full one takes the writer five milliseconds, all of them take it two and a half seconds. In
    the pauses between them messages have the writer and the processor to themselves.
    """

    _log = Logger()

    def __init__(self, core: Core) -> None:
        self._core = core
        self._running = self._stopped = False
        self._pause: IDelayedCall | None = None
        self._seen: set[int] = set()
        """Buckets that are compact or have few rows."""
        self._next = (0, 0)
        """Where it goes on: a bucket, and how many of its parts are done."""

    def tick(self) -> None:
        """Begins with the next one, if there is one; called from time to time."""
        if self._running or self._stopped:
            return
        complete = self._core.state.dedupe.complete()
        self._seen &= {*complete}
        bucket = next((bucket for bucket in complete if bucket not in self._seen), None)
        if bucket is not None:
            self._running = True
            ensureDeferred(self._compact(bucket)).addBoth(self._ended, bucket)

    def stop(self) -> None:
        """What is not compact by now becomes so after the next start."""
        self._stopped = True
        if self._pause is not None:
            self._pause.cancel()
            self._pause = None

    async def _compact(self, bucket: int) -> None:
        core = self._core
        if await core.read(many_rows, bucket, MOST_ROWS):
            if self._stopped:
                return
            done = self._next[1] if self._next[0] == bucket else 0
            for part in parts()[done:]:
                await core.write(partial(compact, bucket, part))
                done += 1
                self._next = (bucket, done)
                if not await self._breathe():
                    return
        self._seen.add(bucket)

    async def _breathe(self) -> bool:
        """Returns whether to go on, after a while."""
        if self._stopped:
            return False
        over: Deferred[None] = Deferred()
        pause = PAUSES * self._core.settings.slice_pause
        self._pause = self._core.clock.callLater(pause, over.callback, None)
        await over
        self._pause = None
        return True

    def _ended(self, result: Failure | None, bucket: int) -> None:
        self._running = False
        # Where the disk fails, or too much waits for it, it goes on later.
        if isinstance(result, Failure) and result.check(ImError) is None:
            self._log.failure("client ids could not be made compact", failure=result)
            self._seen.add(bucket)  # others need not wait for it
