"""Where secrets come from, and what is printed."""

from __future__ import annotations

import getpass
import io
import sys
from collections.abc import Iterable

from imserver.cli import secrets
from imserver.cli.errors import CommandError
from imserver.cli.output import printable, progress_bar
from tests.unit.cli.running import CliCase


class Terminal(io.StringIO):
    """A terminal, as far as isatty says."""

    def isatty(self) -> bool:
        return True


class SecretTests(CliCase):
    def typing(self, answers: Iterable[str]) -> list[str]:
        """Somebody who types these at the prompts; what was asked."""
        asked: list[str] = []
        waiting = iter(answers)

        def ask(prompt: str) -> str:
            asked.append(prompt)
            return next(waiting)

        self.patch(getpass, "getpass", ask)
        self.patch(sys, "stdin", Terminal())
        return asked

    def test_twice_for_a_new_one(self) -> None:
        asked = self.typing(["a b", "a b"])
        self.assertEqual(secrets.new_password(None, "password"), "a b")
        self.assertEqual(asked, ["password: ", "password again: "])
        self.typing(["one", "two"])
        self.assertRaises(CommandError, secrets.new_password, None, "password")
        self.typing([""])
        self.assertRaises(CommandError, secrets.new_password, None, "password")

    def test_once_for_a_known_one(self) -> None:
        asked = self.typing(["x"])
        self.assertEqual(secrets.known_password(None, "password of alice"), "x")
        self.assertEqual(len(asked), 1)

    def test_files_before_the_environment_before_prompts(self) -> None:
        self.typing([])
        file = self.folder / "secret"
        file.write_text(" from file \r\nsecond line\n")
        self.set_environment("IMSERVER_PASSWORD", "from environment")
        self.assertEqual(secrets.new_password(str(file), "p"), " from file ")
        self.assertEqual(secrets.new_password(None, "p"), "from environment")
        self.patch(sys, "stdin", io.StringIO("from stdin\n"))
        self.assertEqual(secrets.new_password("-", "p"), "from stdin")

    def test_what_is_no_secret(self) -> None:
        (self.folder / "empty").write_text("\nx\n")
        (self.folder / "binary").write_bytes(b"\xff\xfe\n")
        for name in ("empty", "binary", "none"):
            with self.assertRaises(CommandError) as caught:
                secrets.new_password(str(self.folder / name), "p")
            self.assertEqual(caught.exception.code, 2)

    def test_without_a_terminal_there_is_no_prompt(self) -> None:
        self.data.mkdir(mode=0o700)
        self.assertIn("IMSERVER_PASSWORD", self.imserver("user", "add", "alice", code=2))
        self.assertIn("IMSERVER_TOKEN", self.imserver("token", "verify", code=2))


class OutputTests(CliCase):
    def test_nothing_steers_the_terminal(self) -> None:
        self.assertEqual(printable("a\x1b[31mb\r\n\u202ec\x9b"), "a\ufffd[31mb\ufffd\ufffd\ufffdc\ufffd")
        self.assertEqual(printable("Grüße 中文 😀"), "Grüße 中文 😀")

    def test_a_name_with_an_escape_in_a_table(self) -> None:
        self.data.mkdir(mode=0o700)
        self.imserver("user", "add", "alice", "--no-password")
        self.imserver("group", "create", "g", "--owner", "alice", "--name", "x\x1b[2Jy")
        self.assertNotIn("\x1b", self.imserver("group", "list"))
        self.assertEqual(self.json("group", "list")[0]["name"], "x\x1b[2Jy")

    def test_bars_on_terminals_only(self) -> None:
        for stream, expected in ((io.StringIO(), False), (Terminal(), True)):
            self.patch(sys, "stderr", stream)
            with progress_bar("page") as tell:
                tell("copied", 1, 2)
                tell("checked", 5, 0)
            self.assertEqual(bool(stream.getvalue()), expected)
