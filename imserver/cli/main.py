"""`imserver`: what an operator does from a shell."""

from __future__ import annotations

import argparse
import sqlite3
import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from imserver import __version__
from imserver.backends.embedded.backup import copy_store
from imserver.backends.embedded.database import DATABASE_NAME, connect
from imserver.backends.embedded.verify import verify


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command.

    Returns:
        the exit code: 0 = done and sound, 1 = faults found, or it could not be done (2: bad usage).
    """
    options = _parser().parse_args(arguments)
    code: int = options.run(options)
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="imserver", description="Looks after a messaging server's data.")
    parser.add_argument("--version", action="version", version=f"imserver {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    command = commands.add_parser(
        "verify",
        help="check a data directory or a backup from end to end",
        description="Checks that inbox numbers are dense, that the indexes equal the log, and that every"
        " answer could be given again. Reads only; may run beside the server.",
    )
    command.add_argument("data", type=Path, metavar="DATA", help="data directory, or a backup file")
    command.set_defaults(run=_verify)

    command = commands.add_parser(
        "backup",
        help="copy a store while its server runs",
        description="Copies what is committed at this moment into a new file. To restore it, stop the"
        " server and put the file into an empty data directory as imserver.db; inboxes get a new epoch.",
    )
    command.add_argument("data", type=Path, metavar="DATA", help="data directory")
    command.add_argument("target", type=Path, metavar="TARGET", help="file to write; must not exist")
    command.set_defaults(run=_backup)
    return parser


def _verify(options: argparse.Namespace) -> int:
    terminal = sys.stderr.isatty()
    faults = verify(options.data, _tell if terminal else None)
    if terminal:
        print(end="\r\033[K", file=sys.stderr)
    for fault in faults:
        print(fault)
    if faults:
        print(f"imserver: {options.data}: {len(faults)} faults", file=sys.stderr)
        return 1
    print(f"{options.data}: sound")
    return 0


def _tell(what: str, count: int) -> None:
    """Says on one line of a terminal how far it is."""
    print(end=f"\r\033[K{what}: {count:,}", file=sys.stderr, flush=True)


def _backup(options: argparse.Namespace) -> int:
    source = options.data / DATABASE_NAME
    if not source.is_file():
        print(f"imserver: {source}: there is no such database", file=sys.stderr)
        return 1
    try:
        with closing(connect(source, read_only=True)) as connection:
            copy_store(connection, options.target)
    except FileExistsError:
        print(f"imserver: {options.target}: exists already", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"imserver: {error.filename or options.target}: {error.strerror}", file=sys.stderr)
        return 1
    except sqlite3.Error as error:
        print(f"imserver: {source}: cannot be copied: {error}", file=sys.stderr)
        return 1
    print(f"{options.target}: written")
    return 0


if __name__ == "__main__":
    sys.exit(main())
