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
from imserver.backends.embedded.client_ids import INSERT_CLIENT_IDS, filter_of
from imserver.backends.embedded.core import Core
from imserver.backends.embedded.tails import IndexRow, TailIndex
from imserver.model.errors import ImError

INSERT_INBOX = Insert("INSERT OR REPLACE INTO inbox_index", 4)
INSERT_CONVERSATION = Insert("INSERT OR REPLACE INTO conversation_index", 4)
MOST_BEHIND = 50
"""How many times a slice may be as large as otherwise; the sends of one commit wait for it."""
MOST_AT_ONCE = 5
"""How many times as much as begins a flush one may take: so much is prepared in memory and then forgotten."""
_SET_WATERMARK = "INSERT OR REPLACE INTO meta VALUES ('indexed_upto', ?)"

Slice = tuple[Insert, list[Any]]


class Indexer:
    """Decides when the tail is written and writes it.

    The watermark moves with the last slice, in the same transaction. A crash before that only means that
    start-up reads the same rows again and that the next flush, which takes all of them, replaces what this
    one wrote. (By rows that are as long or longer: shorter ones would leave the later ones of the first
    attempt behind.)
    """

    _log = Logger()

    def __init__(self, core: Core) -> None:
        self._core = core
        self._running: Deferred[None] | None = None
        self._pause: IDelayedCall | None = None
        self._hurried = 0  # so many wait for the end
        self._stopped = False
        self._last = core.clock.seconds()
        core.on_committed.append(self._maybe)

    def _maybe(self) -> None:
        if self._running is not None or self._stopped:
            return
        state, settings = self._core.state, self._core.settings
        if state.tail_rows >= settings.flush_rows or state.inboxes.entries >= settings.flush_entries:
            self.start()

    def tick(self) -> None:
        """Flushes what has waited long enough; called from time to time."""
        if self._core.clock.seconds() - self._last >= self._core.settings.idle_flush_seconds:
            self._last = self._core.clock.seconds()
            if self._running is None and self._core.state.tail_rows:
                self.start()

    def start(self) -> Deferred[None]:
        """Begins a flush of what is committed, or of some of it where very much is; fires in its end."""
        self._last = self._core.clock.seconds()
        running: Deferred[None] = Deferred()
        self._running = running
        ensureDeferred(self._flush()).addBoth(self._ended)
        return running

    def _ended(self, result: Failure | bool) -> None:
        running, self._running = self._running, None
        if isinstance(result, Failure) and result.check(ImError) is None:
            self._log.failure("the indexes could not be written", failure=result)
        if running is not None:
            running.callback(None)
        if result is True:
            self._maybe()  # not all was taken, or more has come

    async def flush(self) -> None:
        """Writes everything that is committed now; returns when it is durable or failed.

        Raises:
            ImError: UNAVAILABLE while a failing disk cannot be read back.
        """
        upto = self._core.state.committed
        self._hurried += 1
        try:
            if self._pause is not None:
                self._pause.reset(0)
            if self._running is not None:
                await _wait(self._running)
            while (before := self._core.state.indexed_upto) < min(upto, self._core.state.committed):
                # Another one that waits may have begun it.
                await _wait(self.start() if self._running is None else self._running)
                if self._core.state.indexed_upto <= before:
                    break
        finally:
            self._hurried -= 1

    def stop(self) -> None:
        """What is not written by now is written after the next start."""
        self._stopped = True
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

    async def _flush(self) -> bool:
        """Returns whether something was written."""
        core = self._core
        state = core.state
        behind = self._behind()
        count = state.committed - state.indexed_upto
        if count <= 0:
            return False
        if state.flushed and behind > MOST_AT_ONCE:
            count = max(1, count * MOST_AT_ONCE // behind)
        # Where one was not brought to its end, the next one takes at least as much.
        state.flushed = False
        watermark = state.indexed_upto + count
        rows = min(state.tail_rows, count)
        generation = core.journal.generation
        inboxes = sorted(state.inboxes.tails)
        conversations = sorted(state.conversations.tails)
        size = core.settings.slice_entries * min(behind, MOST_BEHIND)
        for insert, entries in self._slices(inboxes, conversations, watermark, size):
            if entries:
                await core.journal.task(partial(self._write, insert, entries), isolated=False)
            if behind == 1:
                # Without entries the next ones are being prepared.
                await self._breathe(core.settings.slice_pause if entries else 0.0)
            if generation != core.journal.generation:
                return False

        def finish(connection: sqlite3.Connection) -> None:
            connection.execute(_SET_WATERMARK, (watermark,))

        def forget(_: None) -> None:
            state.inboxes.drop_up_to(inboxes, watermark)
            state.conversations.drop_up_to(conversations, watermark)
            state.indexed(watermark)
            state.tail_rows -= rows
            state.flushed = True
            state.forget_idle(core.journal.released, core.clock.seconds())

        await core.journal.task(finish, isolated=False, on_commit=forget)
        return True

    def _write(self, insert: Insert, rows: list[Any], connection: sqlite3.Connection) -> None:
        self._core.failpoints.hit("before-index")
        insert(connection, rows)
        self._core.failpoints.hit("after-index")

    def _behind(self) -> int:
        """How many times as much waits as begins a flush; 1 = it is in time.

        If more comes during a flush than it writes, the tail, which is in memory, would grow without end. So
        slices grow with what waits, and there are no pauses between them: where the disk is slow thousands of
        messages come with each commit, and what each adds has to be written with it.
        """
        state, settings = self._core.state, self._core.settings
        return max(1, state.tail_rows // settings.flush_rows, state.inboxes.entries // settings.flush_entries)

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
        for bucket in sorted(self._core.state.dedupe.unread, reverse=True):
            dedupe = self._core.state.dedupe
            bloom = await self._core.read(filter_of, bucket)
            if self._core.state.dedupe is dedupe:
                dedupe.install(bucket, bloom)


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
