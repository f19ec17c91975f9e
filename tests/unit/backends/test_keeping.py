"""Forgetting, copying and checking: retention, backup, verify, dedupe over time."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from typing import Any

from msgspec.structs import replace
from twisted.internet.defer import ensureDeferred
from twisted.trial.unittest import SynchronousTestCase

from imserver.backends.embedded.bloom import Bloom
from imserver.backends.embedded.client_ids import INSERT_CLIENT_IDS, Row, filter_of, hashes_of, single_rows
from imserver.backends.embedded.database import FileDatabase, MemoryDatabase, connect
from imserver.backends.embedded.dedupe import bucket_of, key_hash, span_of
from imserver.backends.embedded.memory import deterministic_cellar
from imserver.backends.embedded.records import FanoutRecord, MessageRecord, decode, encode, pack_offsets
from imserver.backends.embedded.schema import migrate
from imserver.backends.embedded.verify import verify, verify_connection
from imserver.model.accounts import Grant, Role
from imserver.model.errors import ErrorCode
from imserver.model.messages import MarkRead, ReadHistory, RevokeMessage
from tests.unit.backends.engine import EngineCase, temporary_directory
from tests.unit.backends.test_database import FileCase

DAY = 86400.0


class TrimmedReadsTest(EngineCase, SynchronousTestCase):
    """Retention takes messages between the beginning and the end of a read."""

    def check(self) -> None:
        self.wait_for(self.embedded.close())
        self.assertEqual([], verify_connection(self.database.reader(), now=self.embedded.core.wall()))

    def trimmed_while_reading(self, kept: int) -> None:
        """The next read begins after everything but the last `kept` messages of twelve was taken."""
        for number in range(12 - kept):
            self.send("alice", f"{number}", recipient="bob")
        self.later(11 * DAY)
        for number in range(12 - kept, 12):
            self.send("alice", f"{number}", recipient="bob")
        self.flush()
        core = self.embedded.core
        read = core.read

        async def late(*arguments: Any) -> Any:
            core.read = read  # type: ignore[method-assign]
            await self.embedded.trim(core.wall())
            return await read(*arguments)

        core.read = late  # type: ignore[assignment,method-assign]

    def test_a_page_that_was_taken_while_it_was_read_is_not_the_last(self) -> None:
        """Whoever reads on must come to what is kept: with all of the page gone, or a part of it."""
        for kept in (2, 9, 10):
            self.open_cellar("alice", "bob", "carol", retention_seconds=10 * DAY, flush_entries=4)
            self.trimmed_while_reading(kept)
            numbers: list[int] = []
            more = True
            while more:
                page = self.inbox("bob", numbers[-1] if numbers else 0, limit=3)
                numbers += [row.seq for row in page.rows]
                more = page.has_more
            self.assertEqual(list(range(13 - kept, 13)), numbers)
            self.check()

    def test_a_page_of_history_that_was_taken_while_it_was_read_is_not_the_last(self) -> None:
        for kept in (2, 9, 10):
            self.open_cellar("alice", "bob", "carol", retention_seconds=10 * DAY, flush_entries=4)
            self.trimmed_while_reading(kept)
            texts: list[str] = []
            since, more = "", True
            while more:
                query = ReadHistory(recipient="alice", since=since)
                page = self.wait_for(self.cellar.store.history("bob", query, 3, 10**9))
                texts += [row.message.content.data.decode() for row in page.rows]
                since, more = page.next_cursor, page.has_more
            self.assertEqual([f"{number}" for number in range(12 - kept, 12)], texts)
            self.check()


class RetentionTest(FileCase):
    def setUp(self) -> None:
        self.open_cellar("alice", "bob", "carol", sends_per_second=0.0, retention_seconds=10 * DAY)
        # Not in tearDown, which comes after the clean-ups and so after the directory.
        self.addCleanup(self.check)

    def check(self) -> None:
        self.wait_for(self.embedded.close())
        self.assertEqual([], verify(self.directory, now=self.embedded.core.wall()))
        self.database.close()

    def trim(self) -> None:
        self.wait_for(self.embedded.trim(self.embedded.core.wall()))

    def test_old_messages_go_and_the_numbers_go_on(self) -> None:
        for number in range(1, 6):
            self.send("alice", f"{number}", recipient="bob")
            self.later(3 * DAY)
        self.trim()
        page = self.inbox("bob")
        self.assertEqual([3, 4, 5], [row.seq for row in page.rows])
        self.assertEqual((5, 3, False), (page.head, page.first_seq, page.has_more))
        self.assertEqual((5, 3), self.wait_for(self.cellar.store.head("bob")))
        self.assertEqual(["3", "4", "5"], self.history("bob", recipient="alice"))
        self.assertEqual(["3"], self.history("bob", 1, recipient="alice"))
        self.assertEqual(["3", "4", "5"], self.history("alice"))
        self.reopen()
        self.assertEqual(6, self.send("alice", "6", recipient="bob").seq)
        self.assertEqual([3, 4, 5, 6], [row.seq for row in self.inbox("bob").rows])

    def test_when_all_of_an_inbox_is_gone(self) -> None:
        self.send("alice", "old", recipient="bob")
        self.later(11 * DAY)
        self.send("carol", "new", recipient="carol")
        self.trim()
        self.assertEqual((1, 2), self.wait_for(self.cellar.store.head("bob")))
        page = self.inbox("bob")
        self.assertEqual(([], 1, 2, False), (page.rows, page.head, page.first_seq, page.has_more))
        self.assertEqual([], self.history("bob", recipient="alice"))
        self.reopen()
        self.assertEqual(2, self.send("alice", "2", recipient="bob").seq)
        self.assertEqual((2, 2), self.wait_for(self.cellar.store.head("bob")))
        self.assertEqual([(2, "2")], self.texts("bob"))

    def test_the_file_shrinks(self) -> None:
        for number in range(1500):
            self.submit("alice", "x" * 3000, recipient="bob", client_id=f"{number}")
            if number % 100 == 0:
                self.settle()
        self.flush()
        self.trim()
        path = self.directory / "imserver.db"
        self.wait_for(self.embedded.core.journal.afterwards(_checkpoint))
        full = path.stat().st_size
        self.assertGreater(full, 4_000_000)
        self.later(11 * DAY)
        self.send("alice", "new", recipient="bob")
        self.trim()
        self.assertLess(path.stat().st_size, full / 8)
        self.assertEqual(0, (self.directory / "imserver.db-wal").stat().st_size)
        self.assertEqual([(1501, "new")], self.texts("bob"))

    def test_it_goes_on_where_a_crash_stopped_it(self) -> None:
        for number in range(20):
            self.send("alice", f"{number}", recipient="bob")
        self.later(11 * DAY)
        self.send("alice", "new", recipient="bob")
        self.flush()
        ensureDeferred(self.embedded.trim(self.embedded.core.wall()))
        # The floor is durable, hardly anything is deleted yet.
        while self.embedded.core.state.floor == 1:
            self.clock.advance(0)
        self.reopen()
        self.assertEqual([(21, "new")], self.texts("bob"))
        self.trim()
        reader = self.database.reader()
        self.assertEqual((1,), reader.execute("SELECT count(*) FROM log").fetchone())

    def test_a_broadcast_goes_with_the_rows_that_point_to_it(self) -> None:
        self.settings.fanout_users = 1
        self.send("alice", "all", broadcast=True, role=Role.ADMIN)
        self.settle()
        self.later(11 * DAY)
        self.send("alice", "new", recipient="bob")
        self.trim()
        self.assertEqual([(2, "new")], self.texts("bob"))
        self.assertEqual([], self.texts("carol"))

    def test_a_broadcast_stays_while_rows_that_point_to_it_do(self) -> None:
        self.settings.fanout_users = 1
        self.submit("alice", "all", broadcast=True, role=Role.ADMIN)
        self.committer.held = True
        self.clock.advance(0)
        self.committer.run()
        self.committer.held = False
        later = self.embedded.core.wall() + 11 * DAY
        self.embedded.core.wall = lambda: later
        self.submit("alice", "new", recipient="bob")
        self.settle()
        self.trim()
        self.assertEqual([(1, "new"), (2, "all")], self.texts("bob"))
        self.assertEqual([(1, "all")], self.texts("carol"))
        self.assertEqual([(1, "all"), (2, "new")], self.texts("alice"))

    def test_nothing_is_forgotten_without_a_limit(self) -> None:
        self.settings.retention_seconds = 0.0
        self.send("alice", recipient="bob")
        self.later(1000 * DAY)
        self.send("alice", recipient="bob")
        self.trim()
        self.assertEqual(2, len(self.texts("bob")))

    def test_it_is_never_shorter_than_the_memory_for_retries(self) -> None:
        self.settings.retention_seconds = 60.0
        first = self.send("alice", "one", recipient="bob", client_id="c")
        self.later(1.5 * DAY)
        self.send("alice", "two", recipient="bob")
        self.trim()
        self.assertEqual(first, self.send("alice", "one", recipient="bob", client_id="c"))

    def test_changes_and_grants_expire(self) -> None:
        store, directory = self.cellar.store, self.cellar.directory
        now = self.embedded.core.wall()
        self.wait_for(directory.create_grant(Grant("old", "alice", "", "r", now, now + 1.0)))
        self.wait_for(directory.create_grant(Grant("new", "alice", "", "r", now, now + 60 * DAY)))
        marked = []
        for _ in range(2):
            sent = self.send("alice", recipient="bob")
            self.wait_for(store.mark_read(self.principal("bob"), MarkRead((sent.message_id,))))
            marked.append(sent.message_id)
            self.later(20 * DAY)
        self.trim()
        self.assertEqual(
            [(marked[1],)], [event.message_ids for _, event in self.wait_for(store.changes("alice", 0, 9))]
        )
        self.assertIsNone(self.wait_for(directory.grant("old")))
        self.assertIsNotNone(self.wait_for(directory.grant("new")))
        # Numbers are not used again even when all of them are gone.
        head = self.wait_for(store.cursor("alice", "f", "d")).changed
        self.later(40 * DAY)
        self.trim()
        self.assertEqual([], self.wait_for(store.changes("alice", 0, 9)))
        self.reopen()
        store = self.cellar.store
        self.assertEqual(head, self.wait_for(store.cursor("alice", "f", "e")).changed)
        sent = self.send("alice", recipient="bob")
        self.wait_for(store.revoke(self.principal("alice"), RevokeMessage(sent.message_id), 120.0))
        ((change_id, _),) = self.wait_for(store.changes("bob", head, 9))
        self.assertEqual(head + 1, change_id)


def _checkpoint(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


class RetryWindowTest(EngineCase, SynchronousTestCase):
    """Client ids on the disk, in filters, and after their time."""

    def setUp(self) -> None:
        self.open_cellar("alice", "bob", sends_per_second=0.0)

    def test_a_retry_is_known_from_the_disk(self) -> None:
        first = self.send("alice", "one", recipient="bob", client_id="c")
        self.flush()
        self.assertEqual(0, len(self.embedded.core.state.dedupe))
        self.assertEqual(first, self.send("alice", "one", recipient="bob", client_id="c"))
        self.assertEqual(ErrorCode.CONFLICT, self.refused("alice", "two", recipient="bob", client_id="c"))
        self.later(1.9 * DAY)
        self.reopen()
        self.assertEqual(first, self.send("alice", "one", recipient="bob", client_id="c"))
        self.flush()
        self.assertEqual(first, self.send("alice", "one", recipient="bob", client_id="c"))
        self.assertEqual([(1, "one")], self.texts("bob"))

    def test_it_is_forgotten_after_its_time(self) -> None:
        self.send("alice", "one", recipient="bob", client_id="c")
        self.flush()
        self.later(3 * DAY)
        self.wait_for(self.embedded.trim(self.embedded.core.wall()))
        self.assertEqual((0,), self.database.reader().execute("SELECT count(*) FROM client_ids").fetchone())
        self.assertEqual(2, self.send("alice", "two", recipient="bob", client_id="c").seq)

    def test_a_clock_that_jumps_and_comes_back_lets_no_retry_through(self) -> None:
        first = self.send("alice", "one", recipient="bob", client_id="c0")
        self.jump(3 * DAY)
        self.send("alice", "two", recipient="bob", client_id="c1")
        self.wait_for(self.embedded.trim(self.embedded.core.wall()))
        self.jump(-3 * DAY)
        self.assertEqual(first, self.send("alice", "one", recipient="bob", client_id="c0"))
        self.assertEqual([(1, "one"), (2, "two")], self.texts("bob"))

    def jump(self, seconds: float) -> None:
        """The time of day, not the time that goes by."""
        wall = self.embedded.core.wall
        self.embedded.core.wall = lambda: wall() + seconds

    def test_the_memory_that_is_read_back_has_every_send_in_its_span(self) -> None:
        for number in range(3):
            self.send("alice", f"{number}", recipient="bob", client_id=f"c{number}")
            self.jump(15 * 3600.0)

        def due() -> list[list[Row]]:
            return list(self.embedded.core.state.dedupe.due(1, 99, 10))

        before = due()
        self.assertEqual(3, len({row[0] for rows in before for row in rows}))
        self.reopen()
        self.assertEqual(before, due())

    def test_filters_are_read_again_after_a_failed_commit(self) -> None:
        self.send("alice", "one", recipient="bob", client_id="c")
        self.flush()
        self.committer.failures = 1
        self.submit("alice", "lost", recipient="bob", client_id="d")
        self.settle()
        self.assertEqual(set(), self.embedded.core.state.dedupe.unread)
        self.assertTrue(self.embedded.core.state.dedupe.may_know(key_hash(1, "jsonline", "c")))
        self.assertFalse(self.embedded.core.state.dedupe.may_know(key_hash(1, "jsonline", "d")))

    def test_refusals_leave_nothing_in_memory(self) -> None:
        self.send("alice", "one", recipient="bob")
        for _ in range(50):
            self.jump(1.0)
            self.refused("alice", "two", recipient="nobody")
        state = self.embedded.core.state
        self.assertLess(len(state._prefixes), 4)
        answer = self.send("alice", "three", recipient="bob")
        self.assertEqual(answer.message_id, state.id_in_tail(2))
        self.assertIsNone(state.id_in_tail(3))

    def test_ids_of_the_tail(self) -> None:
        ids = [self.send("alice", "x", recipient="bob").message_id]
        self.jump(1.0)
        ids += [self.send("alice", "x", recipient="bob").message_id for _ in range(2)]
        state = self.embedded.core.state
        state.begin_ids(4, "")
        state.next_offset = 5
        self.assertEqual([*ids, ""], [state.id_in_tail(offset) for offset in (1, 2, 3, 4)])
        state.indexed(2)
        self.assertEqual([None, None, ids[2], ""], [state.id_in_tail(offset) for offset in (1, 2, 3, 4)])

    def test_keys_with_the_same_hash_are_told_apart(self) -> None:
        first = self.send("alice", "one", recipient="bob", client_id="c1")
        self.flush()
        clash = key_hash(1, "jsonline", "c2")
        writer = self.database.writer()
        ((bucket,),) = writer.execute("SELECT bucket FROM client_ids").fetchall()
        writer.executemany(INSERT_CLIENT_IDS.one, single_rows(bucket, 1, [clash], [1]))
        self.reopen()
        second = self.send("alice", "two", recipient="bob", client_id="c2")
        self.assertNotEqual(first.message_id, second.message_id)

    def test_client_ids_of_older_versions(self) -> None:
        """They had a row each, at first by whole spans of time: known as long as they are kept."""
        first = self.send("alice", "one", recipient="bob", client_id="c1")
        self.flush()
        writer = self.database.writer()
        ((bucket, ids),) = writer.execute("SELECT bucket, ids FROM client_ids").fetchall()
        writer.execute("DROP TABLE client_ids")
        writer.execute(
            "CREATE TABLE dedupe (bucket INTEGER NOT NULL, hash INTEGER NOT NULL, offset INTEGER NOT NULL,"
            " PRIMARY KEY (bucket, hash, offset)) WITHOUT ROWID"
        )
        writer.execute("INSERT INTO dedupe VALUES (?, ?, 1)", (bucket >> 32, hashes_of(ids)[0]))
        writer.execute("PRAGMA user_version = 5")
        self.assertEqual([], verify_connection(writer, now=self.embedded.core.wall()))
        writer.execute("UPDATE dedupe SET hash = hash + 1")
        (fault,) = verify_connection(writer, now=self.embedded.core.wall())
        self.assertIn("is not remembered", fault)
        writer.execute("UPDATE dedupe SET hash = hash - 1")
        self.assertEqual(5, migrate(writer))
        self.reopen()
        self.assertEqual(first, self.send("alice", "one", recipient="bob", client_id="c1"))
        second = self.send("alice", "two", recipient="bob", client_id="c2")
        self.flush()
        self.reopen()
        self.assertEqual(first, self.send("alice", "one", recipient="bob", client_id="c1"))
        self.assertEqual(second, self.send("alice", "two", recipient="bob", client_id="c2"))
        count = "SELECT count(DISTINCT bucket), count(*) FROM client_ids"
        self.assertEqual((1, 2), self.database.reader().execute(count).fetchone())
        self.wait_for(self.embedded.trim(self.embedded.core.wall() + DAY))
        self.assertEqual((1, 2), self.database.reader().execute(count).fetchone())
        self.wait_for(self.embedded.trim(self.embedded.core.wall() + 4 * DAY))
        self.assertEqual((0, 0), self.database.reader().execute(count).fetchone())

    def test_they_are_known_wherever_in_the_log_they_are(self) -> None:
        answers = []
        for part in range(3):
            self.embedded.core.state.next_offset = (part << 22) + 10
            answers.append(self.send("alice", "one", recipient="bob", client_id=f"c{part}"))
            self.flush()
        found = self.database.reader().execute("SELECT DISTINCT bucket FROM client_ids").fetchall()
        self.assertEqual(3, len(found))
        for again in range(2):
            if again:
                self.reopen()
            for part in range(3):
                self.assertEqual(
                    answers[part], self.send("alice", "one", recipient="bob", client_id=f"c{part}")
                )

    def test_what_is_written_while_a_filter_is_read_is_not_missed(self) -> None:
        first = self.send("alice", "one", recipient="bob", client_id="c1")
        self.flush()
        self.reopen()
        dedupe = self.embedded.core.state.dedupe
        bucket = bucket_of(span_of(self.embedded.core.wall()), 1)
        read = filter_of(self.database.reader(), bucket)
        dedupe.load(self.database.reader())  # as at start-up, before the filters have been read
        self.assertEqual({bucket}, dedupe.unread)
        second = self.send("alice", "two", recipient="bob", client_id="c2")
        self.flush()
        dedupe.install(bucket, read)
        self.assertEqual(set(), dedupe.unread)
        self.assertEqual(second, self.send("alice", "two", recipient="bob", client_id="c2"))
        self.assertEqual(first, self.send("alice", "one", recipient="bob", client_id="c1"))

    def test_a_filter_forgets_nothing_and_lets_little_through(self) -> None:
        bloom = Bloom()
        values = [key_hash(1, "f", f"{number}") for number in range(120_000)]
        bloom.add(values)
        self.assertTrue(all(value in bloom for value in values))
        passed = sum(key_hash(2, "f", f"{number}") in bloom for number in range(10_000))
        self.assertLess(passed, 500)


class BackupTest(FileCase):
    def setUp(self) -> None:
        self.open_cellar("alice", "bob", sends_per_second=0.0)
        self.target = temporary_directory(self) / "copy.db"

    def tearDown(self) -> None:
        self.wait_for(self.embedded.close())
        self.database.close()

    def test_a_copy_is_sound_and_restores_under_a_new_epoch(self) -> None:
        self.send("alice", "one", recipient="bob")
        self.flush()
        self.send("alice", "two", recipient="bob")
        self.wait_for(self.embedded.backup(self.target))
        self.assertEqual(0o600, self.target.stat().st_mode & 0o777)
        self.assertEqual([], verify(self.target, now=self.embedded.core.wall()))
        old = self.cellar.store.epoch
        self.send("alice", "three", recipient="bob")
        self.wait_for(self.embedded.close())
        for path in self.directory.glob("imserver.db*"):
            path.unlink()
        shutil.copy(self.target, self.directory / "imserver.db")
        self.reopen_with(b"\xee")
        self.assertEqual([(1, "one"), (2, "two")], self.texts("bob"))
        new = self.cellar.store.epoch
        self.assertNotEqual(old, new)
        self.wait_for(self.embedded.close())
        self.reopen_with(b"\xdd")
        self.assertEqual(new, self.cellar.store.epoch)

    def reopen_with(self, byte: bytes) -> None:
        self.embedded = deterministic_cellar(
            self.clock, database=FileDatabase(self.directory), random_bytes=lambda length: byte * length
        )
        self.embedded.open()
        self.cellar = self.embedded
        self.cellar.store.attach(self.sink)

    def test_an_existing_file_is_not_overwritten(self) -> None:
        self.target.write_text("precious")
        self.assertRaises(FileExistsError, self.wait_for, self.embedded.backup(self.target))
        self.assertEqual("precious", self.target.read_text())


class VerifyTest(EngineCase, SynchronousTestCase):
    """Each planted fault is found, and nothing else is."""

    def setUp(self) -> None:
        self.open_cellar("alice", "bob", "carol", sends_per_second=0.0)
        self.add_group("team", "alice", "bob")
        for number in range(3):
            self.send(
                "alice", f"indexed {number}", recipient="bob", client_id=f"a{number}", conversation="ours"
            )
            self.send("bob", f"group {number}", group="team")
        self.send("alice", "all", broadcast=True, role=Role.ADMIN)
        self.settle()
        self.flush()
        for number in range(3):
            self.send("alice", f"tail {number}", recipient="bob", client_id=f"b{number}")
            self.send("bob", f"group tail {number}", group="team")
        self.database_in_memory = self.embedded.core.database
        assert isinstance(self.database_in_memory, MemoryDatabase)
        self.connection = self.database_in_memory.connection

    def faults(self) -> list[str]:
        return verify_connection(self.connection, now=self.embedded.core.wall())

    def change(self, offset: int, change: Callable[[MessageRecord], MessageRecord]) -> None:
        (body,) = self.connection.execute("SELECT body FROM log WHERE offset = ?", (offset,)).fetchone()
        record = decode(body)
        assert isinstance(record, MessageRecord)
        self.connection.execute("UPDATE log SET body = ? WHERE offset = ?", (encode(change(record)), offset))

    def found(self, text: str) -> None:
        faults = self.faults()
        self.assertTrue(any(text in fault for fault in faults), faults)

    def test_a_sound_store(self) -> None:
        self.assertEqual([], self.faults())

    def test_missing_rows(self) -> None:
        for offset in (1, 3, 10):
            with self._undone():
                self.connection.execute("DELETE FROM log WHERE offset = ?", (offset,))
                self.assertNotEqual([], self.faults())

    def test_wrong_numbers(self) -> None:
        for change, text in (
            (lambda record: replace(record, to=[record.to[0], record.to[1] + 1, *record.to[2:]]), "follows"),
            (lambda record: replace(record, position=record.position + 1), "follows"),
            (lambda record: replace(record, to=record.to[:2]), "went to others than the two"),
            (lambda record: replace(record, to=[3, 7, *record.to[2:]]), "first recipient"),
            (lambda record: replace(record, no=99), "conversation of others"),
            (lambda record: replace(record, message_id="f" * 28), "message id"),
            (lambda record: replace(record, revoked_by="alice"), "still has its content"),
            (lambda record: replace(record, revoked_by="alice", data=b""), "nor its digest"),
            (lambda record: replace(record, client_id="a0"), "client id of row"),
        ):
            with self._undone():
                self.change(5, change)
                self.found(text)
        with self._undone():
            self.change(2, lambda record: replace(record, to=[*record.to, 3, 1]))
            self.found("members of that time")

    def test_indexes_that_differ_from_the_log(self) -> None:
        for sql, text in (
            ("DELETE FROM inbox_index WHERE no = 1", "user 1: the index is not what the log says"),
            ("DELETE FROM conversation_index WHERE no = 1", "conversation"),
            ("UPDATE inbox_index SET first = first + 1 WHERE no = 1", "user 1: the index is not"),
            ("UPDATE inbox_index SET last_offset = 99 WHERE no = 1", "the last offset is not 99"),
            ("DELETE FROM client_ids", "is not remembered"),
            ("UPDATE client_ids SET part = part + 1", "is not remembered"),
            ("DELETE FROM fanouts", "is not among the rows of its broadcast"),
            ("DELETE FROM meta WHERE key = 'epoch'", "no inbox epoch"),
            ("DELETE FROM memberships WHERE user_no = 2", "members of that time"),
            ("UPDATE groups SET owner = 3", "owner is not its member"),
            ("INSERT INTO devices VALUES (1, 'f', 'd', 999, 0, 0)", "acknowledged 999"),
            ("INSERT INTO aliases VALUES (3, 'ours', 2)", "conversation of others"),
            ("INSERT INTO change_index VALUES (1, 77)", "not in the log of changes"),
            (
                "UPDATE meta SET value = value + 2 WHERE key = 'indexed_upto'",
                "the index is not what the log says",
            ),
        ):
            with self._undone():
                self.connection.execute(sql)
                self.found(text)

    def test_swapped_offsets(self) -> None:
        with self._undone():
            self.connection.execute(
                "UPDATE inbox_index SET offsets = ? WHERE no = 1 AND first = 1",
                (pack_offsets([1, 2, 3, 5, 4, 6, 7]),),
            )
            self.found("follows")

    def test_fanouts_to_nothing_or_not_to_all(self) -> None:
        fanout = next(
            offset
            for offset, body in self.connection.execute("SELECT offset, body FROM log")
            if isinstance(decode(body), FanoutRecord)
        )
        with self._undone():
            self.connection.execute(
                "UPDATE log SET body = ? WHERE offset = ?", (encode(FanoutRecord(1, b"")), fanout)
            )
            self.found("is no broadcast")
        with self._undone():
            self.connection.execute("DELETE FROM log WHERE offset = ?", (fanout,))
            self.found("went to 0 of 2 users")

    def test_rows_that_cannot_be_read(self) -> None:
        target = temporary_directory(self) / "copy.db"
        self.wait_for(self.embedded.backup(target))
        self.assertEqual([], verify(target, now=self.embedded.core.wall()))
        connection = connect(target)
        connection.execute("UPDATE log SET body = x'c1' WHERE offset = 2")
        connection.close()
        (fault,) = verify(target)
        self.assertIn("cannot be read", fault)
        (fault,) = verify(target.parent / "nowhere")
        self.assertIn("no such database", fault)

    def _undone(self) -> _Undone:
        return _Undone(self.connection)


class _Undone:
    """Undoes a test's damage."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def __enter__(self) -> None:
        self._connection.execute("SAVEPOINT damage")

    def __exit__(self, *_: object) -> None:
        self._connection.execute("ROLLBACK TO damage")
        self._connection.execute("RELEASE damage")
