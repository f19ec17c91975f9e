"""The command line as documented."""

from __future__ import annotations

import argparse
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from imserver.cli.main import build_parser
from tests.unit.cli.running import CliCase

DOCUMENT = Path(__file__).parents[3] / "docs" / "cli.md"


def commands(
    parser: argparse.ArgumentParser, name: str = ""
) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """Every command that does something."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for word, child in action.choices.items():
                yield from commands(child, f"{name} {word}".strip())
            return
    yield name, parser


def examples(text: str) -> list[str]:
    """Lines that call imserver, without what a shell does around it."""
    return [re.split(r" [|>] ", line)[0] for line in re.findall(r"^\s*(?:.* \| )?(imserver .*)$", text, re.M)]


class DocumentTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.text = DOCUMENT.read_text()
        self.commands = dict(commands(build_parser()))

    def test_every_command_has_its_section_and_no_other(self) -> None:
        self.assertEqual(sorted(re.findall(r"^### (.*)$", self.text, re.M)), sorted(self.commands))

    def test_every_section_has_an_example_of_its_command(self) -> None:
        for name in self.commands:
            section = self.text.split(f"### {name}\n")[1].split("\n#")[0]
            code = "".join(re.findall(r"```sh\n(.*?)```", section, re.S))
            self.assertIn(f"imserver {name}", code)

    def test_every_example_is_understood(self) -> None:
        found = [line for code in re.findall(r"```sh\n(.*?)```", self.text, re.S) for line in examples(code)]
        self.assertGreaterEqual(len(found), len(self.commands))
        for parser in self.commands.values():
            found += examples(parser.epilog or "")
        for line in found:
            options = build_parser().parse_args(shlex.split(line)[1:])
            self.assertTrue(callable(options.run), line)

    def test_every_option_of_every_command_has_help(self) -> None:
        for name, parser in self.commands.items():
            self.assertIn("exit codes:", parser.format_help(), name)
            for action in parser._actions:
                if action.option_strings and not action.choices and action.dest not in ("owner",):
                    self.assertTrue(action.help, f"{name} {action.option_strings}")


class OptionTests(CliCase):
    def test_common_options_before_and_after_the_command(self) -> None:
        parser = build_parser()
        for line in ("--json -d X user list", "user --json list -d X", "user list --json -d X"):
            options = parser.parse_args(line.split())
            self.assertEqual((options.json, options.data_dir), (True, "X"), line)
        self.assertEqual((parser.parse_args(["user", "list"]).json), False)

    def test_from_the_environment(self) -> None:
        self.set_environment("IMSERVER_DATA_DIR", "/somewhere")
        self.assertEqual(build_parser().parse_args(["user", "list"]).data_dir, "/somewhere")
        self.assertEqual(build_parser().parse_args(["user", "list", "-d", "/else"]).data_dir, "/else")

    def test_help_and_version(self) -> None:
        code, out, _ = self.run_command("--help")
        self.assertEqual(code, 0)
        for word in ("user", "doctor", "completion", "exit codes:"):
            self.assertIn(word, out)
        self.assertEqual(self.run_command("--version")[0], 0)

    def test_no_secret_can_be_an_argument(self) -> None:
        for name, parser in commands(build_parser()):
            for action in parser._actions:
                words = f"{action.dest} {' '.join(action.option_strings)}"
                if re.search("password|token", words):
                    self.assertTrue(action.nargs == 0 or "file" in words, f"{name}: {words}")

    def test_completion_scripts(self) -> None:
        code, script, _ = self.run_command("completion", "bash")
        self.assertEqual(code, 0)
        self.assertEqual(subprocess.run(["bash", "-n"], input=script.encode(), check=False).returncode, 0)
        asking = script + (
            "\nCOMP_WORDS=(imserver group '')\nCOMP_CWORD=2\n_shtab_imserver\necho ${COMPREPLY[@]}\n"
        )
        done = subprocess.run(["bash", "-c", asking], capture_output=True, text=True, check=False)
        self.assertEqual(
            {"create", "add", "remove", "list", "delete"} - set(done.stdout.split()), set(), done
        )
        code, script, _ = self.run_command("completion", "zsh")
        self.assertEqual((code, script.partition("\n")[0]), (0, "#compdef imserver"))
        self.assertEqual(self.run_command("completion", "fish")[0], 2)
