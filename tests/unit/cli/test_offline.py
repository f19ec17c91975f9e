"""Commands over a data directory that no server uses."""

from __future__ import annotations

import base64
import io
import os
import socket
import stat
import sys
from pathlib import Path

from imserver.backends.embedded.database import FileDatabase
from imserver.backends.embedded.verify import verify
from imserver.cli import operator
from imserver.config.control import SOCKET_NAME, control_address
from tests.unit.cli.running import CliCase


class OfflineTests(CliCase):
    def setUp(self) -> None:
        super().setUp()
        self.data.mkdir(mode=0o700)
        self.set_environment("IMSERVER_PASSWORD", "open sesame")

    def test_an_empty_directory_becomes_a_data_directory(self) -> None:
        self.assertEqual(self.imserver("user", "add", "alice"), "alice: created\n")
        self.assertEqual([user["user"] for user in self.json("user", "list")], ["alice"])
        self.assertEqual(verify(self.data), [])
        for path in self.data.iterdir():
            self.assertEqual(stat.S_IMODE(path.stat().st_mode), 0o600, path)

    def test_the_password_is_the_one_given_and_nowhere_in_clear(self) -> None:
        self.imserver("user", "add", "alice")
        for path in self.data.iterdir():
            self.assertNotIn(b"open sesame", path.read_bytes())

    def test_a_directory_of_something_else_is_left_alone(self) -> None:
        (self.data / "letters.txt").write_text("dear")
        self.assertIn("something else", self.imserver("user", "list", code=3))
        self.assertEqual([path.name for path in self.data.iterdir()], ["letters.txt"])

    def go_to(self, folder: Path) -> None:
        """The current directory, for this test; that of the tests may have a `data` of `make run`."""
        self.addCleanup(os.chdir, os.getcwd())
        os.chdir(folder)

    def test_no_directory(self) -> None:
        self.data.rmdir()
        self.go_to(self.data.parent)
        self.assertIn("no such data directory", self.imserver("user", "list", code=3))
        self.assertFalse(self.data.exists())
        reply = self.json("user", "list", code=3)
        self.assertEqual(reply["error"], "UNREACHABLE")
        self.assertNotIn("there is one here", reply["text"])

    def test_no_directory_but_one_here_as_after_make_run(self) -> None:
        self.data.rmdir()
        here = self.data.parent / "here"
        (here / "data").mkdir(parents=True)
        (here / "data" / "imserver.db").touch()
        self.go_to(here)
        self.assertIn("there is one here: --data-dir data", self.imserver("user", "list", code=3))

    def test_a_damaged_database_and_damaged_keys(self) -> None:
        self.imserver("user", "add", "alice")
        keys = self.data / "token-keys.json"
        keys.write_text("{}")
        self.assertIn("is damaged", self.imserver("user", "list", code=3))
        keys.unlink()
        self.imserver("user", "list")
        (self.data / "imserver.db").write_bytes(b"x" * 5000)
        self.assertIn("imserver.db", self.imserver("user", "list", code=3))

    def test_in_use_without_a_control_socket(self) -> None:
        self.patch(operator, "BUSY_SECONDS", 0.2)
        other = FileDatabase(self.data)
        other.open()
        self.addCleanup(other.close)
        self.assertIn("in use", self.imserver("user", "list", code=3))
        other.close()
        self.imserver("user", "list")

    def test_a_socket_that_was_left_behind(self) -> None:
        with socket.socket(socket.AF_UNIX) as left, control_address(self.data) as address:
            left.bind(address)
        (self.data / "imserver.db").touch(mode=0o600)
        self.imserver("user", "list")
        self.assertTrue((self.data / SOCKET_NAME).is_socket())

    def test_long_paths(self) -> None:
        self.data = self.data / ("x" * 120)
        self.data.mkdir(mode=0o700)
        self.imserver("user", "add", "alice")
        with control_address(self.data) as address:
            self.assertLess(len(os.fsencode(address)), 108)

    def test_refusals(self) -> None:
        self.imserver("user", "add", "alice")
        self.assertIn("exists already", self.imserver("user", "add", "alice", code=1))
        self.assertEqual(self.json("user", "disable", "eve", code=1)["error"], "USER_NOT_FOUND")
        self.assertIn("user id", self.imserver("user", "add", "a/b", code=1))
        self.imserver("user", "add", "group_x", code=1)
        self.imserver("role", "alice", "king", code=2)
        self.imserver("user", code=2)

    def test_many_users_come_in_pages(self) -> None:
        self.patch(sys.modules["imserver.cli.users"], "PAGE", 2)
        for name in ("e", "a", "d", "b", "c"):
            self.imserver("user", "add", name, "--no-password")
        self.assertEqual([user["user"] for user in self.json("user", "list")], list("abcde"))
        self.assertEqual([user["user"] for user in self.json("user", "list", "--limit", "3")], list("abc"))
        self.assertEqual([user["user"] for user in self.json("user", "list", "--after", "c")], list("de"))

    def test_a_token_from_stdin(self) -> None:
        self.imserver("user", "add", "alice")
        issued = self.json("token", "issue", "alice", "--platform", "web")
        self.patch(sys, "stdin", io.StringIO(issued["token"] + "\n"))
        checked = self.json("token", "verify", "--token-file", "-")
        self.assertEqual((checked["user"], checked["sid"]), ("alice", issued["sid"]))
        self.set_environment("IMSERVER_TOKEN", issued["token"])
        self.assertIn("alice", self.imserver("token", "verify"))
        self.imserver("token", "rotate-keys")
        self.imserver("token", "verify")
        self.assertIn("void", self.imserver("token", "rotate-keys", "--forget-old"))
        self.assertEqual(self.json("token", "verify", code=1)["error"], "AUTH_FAILED")

    def test_keys_for_messages(self) -> None:
        kid, secret = self.imserver("key", "add", "alice").split()
        self.assertEqual(len(base64.b64decode(secret)), 32)
        file = self.folder / "alice.secret"
        file.write_text(secret + "\n")
        added = self.json("key", "add", "bob", "--kid", "bob-1", "--secret-file", str(file))
        self.assertEqual((added["key"]["kid"], added["secret"]), ("bob-1", secret))
        public = base64.b64encode(bytes(range(32))).decode()
        self.imserver("key", "register", "alice", public, "--kid", "laptop")
        listed = self.imserver("key", "list")
        for word in (kid, "bob-1", "laptop", "preshared", "ed25519"):
            self.assertIn(word, listed)
        self.assertNotIn(secret, listed)
        self.assertEqual([key["kid"] for key in self.json("key", "list", "bob")["keys"]], ["bob-1"])
        self.assertIn("removed", self.imserver("key", "remove", "bob-1"))
        self.assertEqual(self.json("key", "remove", "bob-1", code=1)["error"], "NOT_FOUND")
        self.imserver("key", "add", "bob", "--secret-file", "/nowhere", code=2)
        self.assertEqual(stat.S_IMODE((self.data / "message-keys.json").stat().st_mode), 0o600)


class BackupTests(CliCase):
    def setUp(self) -> None:
        super().setUp()
        self.data.mkdir(mode=0o700)
        self.imserver("user", "add", "alice", "--no-password")

    def test_a_backup_is_sound_and_private_and_opens(self) -> None:
        target = self.folder / "copy.db"
        self.assertEqual(self.json("backup", str(target))["bytes"], target.stat().st_size)
        self.assertEqual(stat.S_IMODE(target.stat().st_mode), 0o600)
        self.assertIn("sound", self.imserver("verify", str(target)))
        self.assertIn("exists already", self.imserver("backup", str(target), code=1))
        restored = self.folder / "restored"
        restored.mkdir(mode=0o700)
        target.rename(restored / "imserver.db")
        self.data = restored
        self.assertEqual([user["user"] for user in self.json("user", "list")], ["alice"])

    def test_both_spellings(self) -> None:
        self.imserver("backup", str(self.data), str(self.folder / "a.db"))
        self.imserver("verify", str(self.data))
        self.imserver("backup", str(self.folder), str(self.folder / "b.db"), code=3)
        self.imserver("backup", str(self.folder / "none" / "b.db"), code=1)
        self.imserver("verify", str(self.folder), code=3)

    def test_faults_are_lines_and_a_code_of_their_own(self) -> None:
        import sqlite3

        with sqlite3.connect(self.data / "imserver.db") as connection:
            connection.execute("DELETE FROM meta WHERE key = 'epoch'")
        connection.close()
        self.assertIn("no inbox epoch", self.imserver("verify", code=4))
        self.assertEqual(len(self.json("verify", code=4)["faults"]), 1)
