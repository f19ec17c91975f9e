"""Writes the indexes of the log's tail in bulk, in slices between which sends are committed."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from functools import partial
from typing import Any

from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from imserver.backends.embedded.bulk import Insert
from imserver.backends.embedded.client_ids import INSERT_CLIENT_IDS
from imserver.backends.embedded.core import Core
from imserver.backends.embedded.dedupe import filter_of
from imserver.backends.embedded.tails import IndexRow, TailIndex
from imserver.model.errors import ImError

INSERT_INBOX = Insert("INSERT OR REPLACE INTO inbox_index", 4)
INSERT_CONVERSATION = Insert("INSERT OR REPLACE INTO conversation_index", 4)
MOST_BEHIND = 5
"""The sends of one commit wait for a slice."""
_SET_WATERMARK = "INSERT OR REPLACE INTO meta VALUES ('indexed_upto', ?)"

Slice = tuple[Insert, list[Any]]


class Indexer:
    """Decides when the tail is written and writes it.

    The watermark moves with the last slice, in the same transaction. A crash
    before that only means that start-up reads the same rows again and that the
    next flush replaces what this one wrote.
    """

    _log = Logger()

    def __init__(self, core: Core) -> None:
        self._core = core
        self._running: Deferred[None] | None = None
        self._pause: IDelayedCall | None = None
        self._hurried = 0  # so many wait for the end
        self._last = core.clock.seconds()
        core.on_committed.append(self._maybe)

    def _maybe(self) -> None:
        state, settings = self._core.state, self._core.settings
        if self._running is None and (
            state.tail_rows >= settings.flush_rows or state.inboxes.entries >= settings.flush_entries
        ):
            self.start()

    def tick(self) -> None:
        """Flushes what has waited long enough; called from time to time."""
        if self._core.clock.seconds() - self._last >= self._core.settings.idle_flush_seconds:
            self._last = self._core.clock.seconds()
            if self._running is None and self._core.state.tail_rows:
                self.start()

    def start(self) -> None:
        """Begins a flush of all that is committed."""
        self._last = self._core.clock.seconds()
        self._running = Deferred()
        ensureDeferred(self._flush()).addBoth(self._ended)

    def _ended(self, result: Failure | None) -> None:
        running, self._running = self._running, None
        if isinstance(result, Failure) and result.check(ImError) is None:
            self._log.failure("the indexes could not be written", failure=result)
        if running is not None:
            running.callback(None)

    async def flush(self) -> None:
        """Writes everything that is committed now; returns when it is durable or failed."""
        self._hurried += 1
        try:
            if self._running is not None:
                if self._pause is not None:
                    self._pause.reset(0)
                await _wait(self._running)
            if self._core.state.indexed_upto < self._core.state.committed:
                self.start()
                assert self._running is not None
                await _wait(self._running)
        finally:
            self._hurried -= 1

    def stop(self) -> None:
        """What is not written by now is written after the next start."""
        if self._pause is not None and self._pause.active():
            self._pause.cancel()
            self._pause = None

    async def _breathe(self, pause: float) -> None:
        """Leaves the writer and the processor to messages, for so many seconds or, with 0, for a turn."""
        if self._core.settings.slice_pause and not self._hurried:
            over: Deferred[None] = Deferred()
            self._pause = self._core.clock.callLater(pause, over.callback, None)
            await over
            self._pause = None

    async def _flush(self) -> None:
        core = self._core
        state = core.state
        watermark = state.committed
        rows_then = state.tail_rows
        behind = self._behind()
        if watermark <= state.indexed_upto:
            return
        generation = core.journal.generation
        inboxes = sorted(state.inboxes.tails)
        conversations = sorted(state.conversations.tails)
        size = core.settings.slice_entries * behind
        for insert, rows in self._slices(inboxes, conversations, watermark, size):
            if rows:
                await core.journal.task(partial(self._write, insert, rows), isolated=False)
            if behind == 1:
                # Without rows the next ones are being prepared.
                await self._breathe(core.settings.slice_pause if rows else 0.0)
            if generation != core.journal.generation:
                return

        def finish(connection: sqlite3.Connection) -> None:
            connection.execute(_SET_WATERMARK, (watermark,))

        def forget(_: None) -> None:
            state.inboxes.drop_up_to(inboxes, watermark)
            state.conversations.drop_up_to(conversations, watermark)
            state.indexed(watermark)
            state.tail_rows -= rows_then
            state.forget_idle(core.journal.released, core.clock.seconds())

        await core.journal.task(finish, isolated=False, on_commit=forget)

    def _write(self, insert: Insert, rows: list[Any], connection: sqlite3.Connection) -> None:
        self._core.failpoints.hit("before-index")
        insert(connection, rows)
        self._core.failpoints.hit("after-index")

    def _behind(self) -> int:
        """How many times as much waits as begins a flush, `MOST_BEHIND` at the most; 1 = it is in time.

        If more comes during a flush than it writes, the tail, which is in memory, would grow without end. So
        slices grow with what waits, and there are no pauses between them.
        """
        state, settings = self._core.state, self._core.settings
        times = max(
            1, state.tail_rows // settings.flush_rows, state.inboxes.entries // settings.flush_entries
        )
        return min(times, MOST_BEHIND)

    def _slices(
        self, inboxes: list[int], conversations: list[int], watermark: int, size: int
    ) -> Iterator[Slice]:
        state = self._core.state
        yield from _index_slices(INSERT_INBOX, state.inboxes, inboxes, watermark, size)
        yield from _index_slices(INSERT_CONVERSATION, state.conversations, conversations, watermark, size)
        for ids in state.dedupe.due(state.indexed_upto + 1, watermark, size):
            yield INSERT_CLIENT_IDS, ids

    async def read_filters(self) -> None:
        """Reads the dedupe filters of what was on the disk at start-up; until then the disk is asked."""
        for span in sorted(self._core.state.dedupe.unread, reverse=True):
            dedupe = self._core.state.dedupe
            bloom = await self._core.read(filter_of, dedupe.buckets(span))
            if self._core.state.dedupe is dedupe:
                dedupe.install(span, bloom)


def _index_slices(
    insert: Insert, index: TailIndex, numbers: list[int], watermark: int, size: int
) -> Iterator[Slice]:
    rows: list[IndexRow] = []
    weight = 0
    for no in numbers:
        for row in index.rows_up_to(no, watermark):
            rows.append(row)
            # A row costs as much as some twenty offsets in it.
            weight += 20 + len(row[3]) // 8
            if weight >= 20 * size:
                yield insert, rows
                rows, weight = [], 0
    if rows:
        yield insert, rows


def _wait(running: Deferred[None]) -> Deferred[None]:
    """A Deferred of one's own for an end that several wait for."""
    mine: Deferred[None] = Deferred()

    def tell(result: None) -> None:
        mine.callback(None)

    running.addCallback(tell)
    return mine
