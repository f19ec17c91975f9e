"""What the commands' parsers have in common."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from typing import Any

from imserver.cli.errors import EXIT_CODES
from imserver.cli.output import Output

Run = Callable[[argparse.Namespace, Output], int]
Parsers = Any  # argparse._SubParsersAction has no public name

FILE, DIRECTORY = "file", "directory"
"""What an argument names, for completion: its attribute `names`."""
CONFIG_VARIABLE = "IMSERVER_CONFIG"
DATA_VARIABLE = "IMSERVER_DATA_DIR"


class HelpFormatter(argparse.RawDescriptionHelpFormatter):
    """Keeps the lines of descriptions and examples."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=30)


def add_globals(parser: argparse.ArgumentParser, *, top: bool) -> None:
    """The options that every command has, before its name or after it."""

    def default(value: Any) -> Any:
        # A command's own default would undo what stands before its name.
        return value if top else argparse.SUPPRESS

    group = parser.add_argument_group("options of every command")
    data = group.add_argument(
        "--data-dir",
        "-d",
        metavar="DIR",
        default=default(os.environ.get(DATA_VARIABLE) or None),
        help=f"the server's data directory (or {DATA_VARIABLE})",
    )
    data.names = DIRECTORY  # type: ignore[attr-defined]
    config = group.add_argument(
        "--config",
        "-c",
        metavar="FILE",
        default=default(os.environ.get(CONFIG_VARIABLE) or None),
        help=f"the server's configuration (or {CONFIG_VARIABLE})",
    )
    config.names = FILE  # type: ignore[attr-defined]
    group.add_argument(
        "--set",
        metavar="KEY=VALUE",
        action="append",
        default=default(None),
        help="override a configuration key; repeatable",
    )
    group.add_argument(
        "--json", action="store_true", default=default(False), help="print one JSON document, for programs"
    )


def add_command(
    parsers: Parsers, name: str, run: Run, help: str, description: str = "", examples: str = ""
) -> argparse.ArgumentParser:
    """A command that does something.

    Args:
        examples: lines that a shell would take.
    """
    epilog = EXIT_CODES
    if examples:
        shown = "".join(f"  {line.strip()}\n" for line in examples.strip().splitlines())
        epilog = f"examples:\n{shown}\n{EXIT_CODES}"
    parser: argparse.ArgumentParser = parsers.add_parser(
        name,
        help=help,
        description=description or help[:1].upper() + help[1:] + ".",
        epilog=epilog,
        formatter_class=HelpFormatter,
    )
    parser.set_defaults(run=run)
    add_globals(parser, top=False)
    return parser


def add_family(parsers: Parsers, name: str, help: str) -> Parsers:
    """A command that only has commands of its own."""
    parser = parsers.add_parser(
        name, help=help, description=help[:1].upper() + help[1:] + ".", formatter_class=HelpFormatter
    )
    add_globals(parser, top=False)
    return parser.add_subparsers(metavar="COMMAND", required=True)


def add_file(parser: argparse.ArgumentParser, *names: str, **options: Any) -> None:
    """An argument that is the name of a file."""
    parser.add_argument(*names, **options).names = FILE  # type: ignore[attr-defined]


def completion(parser: argparse.ArgumentParser, shell: str) -> str:
    """The script by which a shell ("bash", "zsh") completes the parser's command lines."""
    import shtab

    _mark(parser, {FILE: shtab.FILE, DIRECTORY: shtab.DIRECTORY})
    script: str = shtab.complete(parser, shell=shell)
    return script


def _mark(parser: argparse.ArgumentParser, kinds: dict[str, Any]) -> None:
    for action in parser._actions:
        names = getattr(action, "names", None)
        if names is not None:
            action.complete = kinds[names]  # type: ignore[attr-defined]
        if isinstance(action, argparse._SubParsersAction):
            for child in action.choices.values():
                _mark(child, kinds)
