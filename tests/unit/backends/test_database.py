"""The data directory: its lock, its modes, its versions, and files that are not ours or damaged."""

from __future__ import annotations

import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

import imserver
from imserver.backends.common.data_directory import DataDirectoryError
from imserver.backends.embedded.database import FileDatabase, connect
from imserver.backends.embedded.schema import MIGRATIONS, migrate
from imserver.backends.embedded.verify import verify
from tests.unit.backends.engine import EngineCase, temporary_directory

_HOLD = """
import sys
from pathlib import Path
from pathlib import Path
from imserver.backends.embedded.database import FileDatabase
database = FileDatabase(Path(sys.argv[1]))
database.open()
print("open", flush=True)
sys.stdin.read()
"""


class FileCase(EngineCase, SynchronousTestCase):
    """An engine over a directory."""

    def make_database(self) -> FileDatabase:
        self.directory = temporary_directory(self) / "data"
        return FileDatabase(self.directory)

    def reopen(self) -> None:
        self.database.close()
        super().reopen()

    def restart(self) -> None:
        self.wait_for(self.embedded.close())
        super().reopen()

    def fault(self) -> str:
        """What opening the directory again says."""
        self.wait_for(self.embedded.close())
        return self.open_fault()

    def open_fault(self) -> str:
        database = FileDatabase(self.directory)
        error = self.assertRaises(DataDirectoryError, database.open)
        text = str(error)
        self.assertNotIn("\n", text)
        self.assertIn(str(self.directory), text)
        return text


class DirectoryTest(FileCase):
    def setUp(self) -> None:
        self.open_cellar("alice", "bob")

    def tearDown(self) -> None:
        self.wait_for(self.embedded.close())
        self.database.close()

    def test_only_the_owner_may_read_it(self) -> None:
        self.send("alice", recipient="bob")
        self.assertEqual(0o700, stat.S_IMODE(self.directory.stat().st_mode))
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in self.directory.iterdir()}
        self.assertEqual({0o600}, set(modes.values()), modes)
        self.assertIn("imserver.db-wal", modes)

    def test_only_one_process_may_use_it(self) -> None:
        self.assertIn("in use by another process", self.open_fault())
        self.wait_for(self.embedded.close())
        holder = subprocess.Popen(
            [sys.executable, "-c", _HOLD, str(self.directory)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=Path(imserver.__file__).resolve().parent.parent,
        )
        assert holder.stdin is not None
        assert holder.stdout is not None
        self.assertEqual(b"open\n", holder.stdout.readline())
        self.assertIn("in use by another process", self.open_fault())
        holder.stdin.close()
        holder.wait()
        holder.stdout.close()
        database = FileDatabase(self.directory)
        database.open()
        database.close()

    def test_what_is_there_is_there_after_a_restart(self) -> None:
        epoch = self.cellar.store.epoch
        self.send("alice", "one", recipient="bob")
        self.restart()
        self.send("alice", "two", recipient="bob")
        self.reopen()
        self.assertEqual([(1, "one"), (2, "two")], self.texts("bob"))
        self.assertEqual(epoch, self.cellar.store.epoch)
        self.assertEqual([], verify(self.directory, now=self.embedded.core.wall()))

    def test_every_commit_is_synced(self) -> None:
        writer = self.database.writer()
        self.assertEqual(
            [(2,), ("wal",)],
            [writer.execute(f"PRAGMA {p}").fetchone() for p in ("synchronous", "journal_mode")],
        )

    def test_a_reader_cannot_write(self) -> None:
        reader = self.database.reader()
        self.assertRaises(sqlite3.OperationalError, reader.execute, "DELETE FROM log")

    def test_closing_waits_for_who_is_reading(self) -> None:
        database = FileDatabase(temporary_directory(self) / "other")
        database.open()
        reader = database.borrow()
        rows = reader.execute("SELECT key FROM meta")
        database.close()
        # Closed under a thread in the middle of a read, SQLite would crash the process.
        rows.fetchall()
        reader.execute("SELECT key FROM meta").fetchall()
        database.give_back(reader)
        self.assertRaises(sqlite3.ProgrammingError, reader.execute, "SELECT 1")
        self.assertRaises(sqlite3.ProgrammingError, database.borrow)
        database.open()
        database.give_back(database.borrow())
        database.close()

    def test_a_file_that_is_no_database(self) -> None:
        self.wait_for(self.embedded.close())
        (self.directory / "imserver.db").write_bytes(
            b"something else, and long enough to have a header" * 100
        )
        self.assertIn("not a database", self.open_fault())
        (fault,) = verify(self.directory)
        self.assertIn("not a database", fault)

    def test_a_truncated_file(self) -> None:
        for number in range(200):
            self.submit("alice", "x" * 1000, recipient="bob", client_id=f"{number}")
            if number % 50 == 0:
                self.settle()
        self.wait_for(self.embedded.close())
        path = self.directory / "imserver.db"
        path.write_bytes(path.read_bytes()[:20_000])
        self.open_or_fail()
        self.assertNotEqual([], verify(self.directory))

    def open_or_fail(self) -> None:
        """Damage may show at the first table or when the memory is read: both are one clear error."""
        error = self.assertRaises(DataDirectoryError, self.start)
        self.assertNotIn("\n", str(error))

    def test_a_database_of_another_program(self) -> None:
        self.wait_for(self.embedded.close())
        path = self.directory / "imserver.db"
        path.unlink()
        with sqlite3.connect(path) as other:
            other.execute("CREATE TABLE theirs (x)")
        other.close()
        self.assertIn("not a database of this server", self.open_fault())

    def test_a_newer_version_is_left_alone(self) -> None:
        self.wait_for(self.embedded.close())
        path = self.directory / "imserver.db"
        connection = connect(path)
        connection.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
        connection.close()
        before = path.read_bytes()
        self.assertIn("newer version", self.open_fault())
        self.assertEqual(before, path.read_bytes())

    def test_a_directory_that_cannot_be_made(self) -> None:
        file = temporary_directory(self) / "file"
        file.write_text("")
        error = self.assertRaises(DataDirectoryError, FileDatabase(file / "data").open)
        self.assertIn("Not a directory", str(error))


class MigrationTest(SynchronousTestCase):
    """Older files are brought up to date in one transaction, or not at all."""

    def test_steps_run_once_and_in_order(self) -> None:
        ran: list[int] = []

        def step(number: int, connection: sqlite3.Connection) -> None:
            ran.append(number)
            connection.execute(f"CREATE TABLE t{number} (x)")

        first = (lambda connection: step(0, connection),)
        both = (*first, lambda connection: step(1, connection))
        connection = connect(":memory:")
        self.assertEqual(0, migrate(connection, first))
        self.assertEqual(1, migrate(connection, both))
        self.assertEqual(2, migrate(connection, both))
        self.assertEqual([0, 1], ran)

    def test_groups_from_before_are_not_encrypted(self) -> None:
        connection = connect(":memory:")
        migrate(connection, MIGRATIONS[:4])
        connection.execute("INSERT INTO groups VALUES ('g', 1, 'G', 1, 1, '', 0.0, NULL)")
        self.assertEqual(4, migrate(connection))
        self.assertEqual([(0,)], connection.execute("SELECT encrypted FROM groups").fetchall())

    def test_a_failing_step_leaves_the_old_version(self) -> None:
        connection = connect(":memory:")
        migrate(connection)

        def broken(connection: sqlite3.Connection) -> None:
            connection.execute("CREATE TABLE half (x)")
            connection.execute("this is no statement")

        self.assertRaises(sqlite3.Error, migrate, connection, (*MIGRATIONS, broken))
        self.assertEqual((len(MIGRATIONS),), connection.execute("PRAGMA user_version").fetchone())
        self.assertEqual(
            [], connection.execute("SELECT name FROM sqlite_master WHERE name = 'half'").fetchall()
        )
        self.assertEqual(len(MIGRATIONS), migrate(connection))
