"""`imserver`: what people do from a shell. docs/cli.md shows every command."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from imserver import __version__
from imserver.cli import compile as compiling
from imserver.cli import doctor, groups, keys, migrate, rooms, sessions, settings, store, talk, tokens, users
from imserver.cli.errors import EXIT_CODES, CommandError
from imserver.cli.output import Output, printable
from imserver.cli.parsing import HelpFormatter, Parsers, add_command, add_globals, completion

INTERRUPTED = 130
_DESCRIPTION = """\
Looks after a messaging server: accounts, groups, tokens, sessions, data. The server itself is
started by `twistd imserver`. Administration goes to the running server over its control socket or,
where none runs, to its data directory.

`imserver COMMAND --help` shows examples. docs/cli.md has them all."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command.

    Returns:
        the exit code; see `errors`.
    """
    options = build_parser().parse_args(arguments)
    output = Output(options.json)
    try:
        code: int = options.run(options, output)
        sys.stdout.flush()
    except CommandError as error:
        if output.json:
            output.result({"error": error.kind, "text": error.text}, "")
        print(f"imserver: {printable(error.text)}", file=sys.stderr)
        return error.code
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever reads has seen enough; nothing must be written at exit, either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return code


def build_parser() -> argparse.ArgumentParser:
    """The whole command line."""
    parser = argparse.ArgumentParser(
        prog="imserver",
        description=_DESCRIPTION,
        epilog=EXIT_CODES,
        formatter_class=HelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"imserver {__version__}")
    add_globals(parser, top=True)
    commands: Parsers = parser.add_subparsers(metavar="COMMAND", required=True)
    families = (
        users, groups, tokens, keys, sessions, rooms, store, migrate, settings, doctor, compiling, talk,
    )  # fmt: skip
    for family in families:
        family.add_commands(commands)
    command = add_command(
        commands,
        "completion",
        _completion,
        "print a completion script for a shell",
        examples="imserver completion bash > /etc/bash_completion.d/imserver\n"
        'imserver completion zsh > "${fpath[1]}/_imserver"',
    )
    command.add_argument("shell", choices=["bash", "zsh"])
    return parser


def _completion(options: argparse.Namespace, output: Output) -> int:
    sys.stdout.write(completion(build_parser(), options.shell) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
