"""`verify` finds what is wrong with files."""

from __future__ import annotations

import sqlite3
from contextlib import closing

from twisted.trial.unittest import SynchronousTestCase

from imserver.backends.embedded.database import connect
from imserver.backends.embedded.schema import migrate
from imserver.backends.embedded.verify_files import check_files
from tests.unit.backends.engine import temporary_directory

HASH = "ab" + "0" * 62
_ROW = (
    "INSERT INTO transfers VALUES (1, 'tr-1', 'f-1', 'alice', 'f', '', 'a', 5, :sha256, 5, 'bob', '', '',"
    " 'stored', 1.0, 2.0, '')"
)


class VerifyFiles(SynchronousTestCase):
    def setUp(self) -> None:
        self.connection = connect(":memory:")
        self.addCleanup(self.connection.close)
        migrate(self.connection)
        for number, name in enumerate(("alice", "bob")):
            self.connection.execute("INSERT INTO users VALUES (?, ?, '', '', 0, 0, 0, 0)", (number, name))
        self.connection.execute(_ROW, {"sha256": HASH})
        self.blobs = temporary_directory(self)
        (self.blobs / "ab").mkdir(parents=True)
        self.file = self.blobs / "ab" / HASH
        self.file.write_bytes(b"12345")

    def test_a_sound_store(self) -> None:
        self.connection.execute("INSERT INTO deliveries VALUES (1, 'bob', 'delivered', 1.0)")
        self.assertEqual(check_files(self.connection, self.blobs), [])
        self.assertEqual(check_files(self.connection, None), [])

    def test_an_older_store_has_no_files(self) -> None:
        with closing(sqlite3.connect(":memory:")) as older:
            self.assertEqual(check_files(older, self.blobs), [])

    def test_bytes(self) -> None:
        self.file.write_bytes(b"1234")
        self.assertEqual(
            check_files(self.connection, self.blobs), [f"a file has 4 bytes instead of 5: {HASH}"]
        )
        self.file.unlink()
        self.assertEqual(
            check_files(self.connection, self.blobs), [f"the bytes of a file are not there: {HASH}"]
        )
        self.assertEqual(check_files(self.connection, None), [])

    def test_records(self) -> None:
        for change, told in (
            ("UPDATE transfers SET state = 'lost'", "a transfer is in a state that is none: 1 lost"),
            ("UPDATE transfers SET owner = 'eve'", "a transfer has a user without an account: 1 tr-1"),
            ("UPDATE transfers SET recipient = 'eve'", "a transfer has a user without an account: 1 tr-1"),
            ("UPDATE transfers SET group_id = 'g'", "a transfer has two targets: 1 tr-1"),
            ("UPDATE transfers SET sha256 = ''", "a stored file has no hash: 1 tr-1"),
            (
                "INSERT INTO deliveries VALUES (2, 'bob', 'accepted', 1.0)",
                "a delivery is of no transfer: 2 bob",
            ),
            (
                "INSERT INTO deliveries VALUES (1, 'bob', 'x', 1.0)",
                "a delivery is in a state that is none: 1 bob",
            ),
        ):
            self.connection.execute("SAVEPOINT before")
            self.connection.execute(change)
            self.assertEqual(check_files(self.connection, None), [told])
            self.connection.execute("ROLLBACK TO before")
        other = _ROW.replace("1, 'tr-1', 'f-1'", "2, 'tr-2', 'f-2'").replace("'a', 5", "'a', 6")
        self.connection.execute(other, {"sha256": HASH})
        self.assertEqual(check_files(self.connection, None), [f"one hash has files of two sizes: {HASH} 2"])
