"""Fans a broadcast out, some hundred users per record, and goes on after a crash.

The message itself is durable and answered before this begins. Each record points to
it; the `broadcasts` table says how far it got, in the same transaction.
"""

from __future__ import annotations

import sqlite3
from functools import partial

from msgspec import structs
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from imserver.backends.embedded.committer import Batch
from imserver.backends.embedded.core import Core
from imserver.backends.embedded.log_rows import LogReader
from imserver.backends.embedded.pages import read_message
from imserver.backends.embedded.records import (
    FanoutRecord,
    MessageRecord,
    encode,
    message_of,
    pack_recipients,
)
from imserver.model.errors import ImError
from imserver.services.ports import Entry


class Broadcasts:
    """Works on one broadcast after another."""

    _log = Logger()

    def __init__(self, core: Core) -> None:
        self._core = core
        self._running = False
        self._again = False
        self._stopped = False

    def start(self) -> None:
        """Begins, or goes on, with what is not finished; cheap to call."""
        if self._running:
            self._again = True
            return
        if self._stopped:
            return
        self._running = True
        ensureDeferred(self._work()).addBoth(self._ended)

    def stop(self) -> None:
        """Begins nothing more; the next start of the engine goes on."""
        self._stopped = True

    def _ended(self, result: Failure | None) -> None:
        self._running = False
        if isinstance(result, Failure):
            if result.check(ImError, sqlite3.Error) is None:
                self._log.failure("a broadcast could not be fanned out", failure=result)
            if not self._stopped:
                self._core.clock.callLater(1.0, self.start)
        elif self._again:
            self._again = False
            self.start()

    async def _work(self) -> None:
        core = self._core
        while not self._stopped:
            row = core.reader.execute(
                "SELECT message, max_no, upto FROM broadcasts WHERE NOT done ORDER BY message LIMIT 1"
            ).fetchone()
            if row is None:
                return
            message, max_no, upto = row
            record = read_message(LogReader(core.reader), message)
            if record is None:
                await core.write(partial(_finish, message))
                continue
            await self._step(message, max_no, upto, record)

    def _step(self, message: int, max_no: int, upto: int, record: MessageRecord) -> Deferred[None]:
        """Writes the row of the next users; decided and queued without waiting in between."""
        core = self._core
        state = core.check_writable()
        rows = core.reader.execute(
            "SELECT no, name FROM users WHERE no > ? AND no <= ? ORDER BY no LIMIT ?",
            (upto, max_no, core.settings.fanout_users),
        ).fetchall()
        journal = core.journal
        users = [state.user_by_no(no) for no, name in rows if name != record.sender]
        reached = rows[-1][0] if rows else max_no
        done = len(rows) < core.settings.fanout_users
        offset = state.next_offset if users else message
        if users:
            seqs = [user.head + 1 for user in users]
            body = encode(FanoutRecord(message, pack_recipients([user.no for user in users], seqs)))
            for user, seq in zip(users, seqs, strict=True):
                user.head = seq
                state.inboxes.add(user.no, seq, offset)
            state.begin_ids(offset, "")
            state.id_prefix = ""
            state.next_offset += 1
            state.tail_rows += 1
            journal.waiting_rows += 1
            batch = journal.batch()
            batch.add(offset, body)
            recipients = [(user.name, seq) for user, seq in zip(users, seqs, strict=True)]
            self._tell(batch, Entry(message_of(record), recipients), message)
            journal.statement("INSERT INTO fanouts VALUES (?, ?, ?)", message, reached, offset)
        journal.statement(
            "UPDATE broadcasts SET upto = ?, last_offset = max(last_offset, ?), done = ? WHERE message = ?",
            reached,
            offset,
            done,
            message,
        )
        return journal.barrier()

    def _tell(self, batch: Batch, entry: Entry, message: int) -> None:
        """Puts an entry on the feed, without its content if that is taken back before this commit.

        A revoke that is told first must not be followed by what it took back, and only the
        writer knows which of the two came first.
        """
        place = len(batch.entries)
        batch.entries.append(entry)

        def committed(record: MessageRecord | None) -> None:
            if record is not None and record.revoked_by:
                batch.entries[place] = structs.replace(entry, message=message_of(record))

        done = self._core.journal.task(
            lambda connection: read_message(LogReader(connection), message),
            isolated=False,
            on_commit=committed,
        )
        done.addErrback(lambda _: None)  # the barrier behind it tells


def _finish(message: int, connection: sqlite3.Connection) -> None:
    connection.execute("UPDATE broadcasts SET done = 1 WHERE message = ?", (message,))
