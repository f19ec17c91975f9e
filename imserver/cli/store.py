"""`imserver backup` and `imserver verify`: they read the files, beside a server or without one."""

from __future__ import annotations

import argparse
import sqlite3
from contextlib import closing
from pathlib import Path

from imserver.cli.errors import FAULTS, REFUSED, UNREACHABLE, CommandError
from imserver.cli.output import Output, printable, progress_bar
from imserver.cli.parsing import Parsers, add_command, add_file
from imserver.cli.place import configuration, data_path, existing_data
from imserver.config import Configuration


def add_commands(parsers: Parsers) -> None:
    """Adds them."""
    command = add_command(
        parsers,
        "backup",
        _backup,
        "copy a store while its server runs",
        "Copies what is committed at this moment into a new file. To restore it, stop the server and put\n"
        "the file into an empty data directory as imserver.db; inboxes get a new epoch.",
        "imserver backup /var/backups/imserver-monday.db\nimserver backup /var/lib/imserver monday.db",
    )
    add_file(command, "data", type=Path, metavar="DATA", nargs="?", help="data directory, as --data-dir")
    add_file(command, "target", type=Path, metavar="TARGET", help="file to write; must not exist")

    command = add_command(
        parsers,
        "verify",
        _verify,
        "check a data directory or a backup from end to end",
        "Checks that inbox numbers are dense, that the indexes equal the log, and that every answer\n"
        "could be given again. Reads only; may run beside the server.",
        "imserver verify\nimserver verify /var/backups/imserver-monday.db",
    )
    add_file(command, "data", type=Path, metavar="DATA", nargs="?", help="data directory, or a backup file")


def _backup(options: argparse.Namespace, output: Output) -> int:
    from imserver.backends.embedded.backup import copy_store
    from imserver.backends.embedded.database import DATABASE_NAME, connect

    settings = configuration(options)
    _check_engine(options, settings)
    data = options.data or existing_data(options, settings)
    source, target = data / DATABASE_NAME, options.target
    if not source.is_file():
        raise CommandError(UNREACHABLE, f"{source}: there is no such database")
    try:
        with progress_bar("page") as tell, closing(connect(source, read_only=True)) as connection:
            copy_store(connection, target, lambda remaining, total: tell("copied", total - remaining, total))
    except FileExistsError:
        raise CommandError(REFUSED, f"{target}: exists already", "CONFLICT") from None
    except OSError as error:
        raise CommandError(REFUSED, f"{error.filename or target}: {error.strerror}") from None
    except sqlite3.Error as error:
        raise CommandError(UNREACHABLE, f"{source}: cannot be copied: {error}") from None
    size = target.stat().st_size
    output.result({"target": str(target), "bytes": size}, f"{target}: written ({size:,} bytes)")
    return 0


def _verify(options: argparse.Namespace, output: Output) -> int:
    from imserver.assembly import files_directory
    from imserver.backends.embedded.database import DATABASE_NAME
    from imserver.backends.embedded.verify import verify

    settings = configuration(options)
    _check_engine(options, settings)
    data: Path = options.data or data_path(options, settings)
    file = data / DATABASE_NAME if data.is_dir() else data
    if not file.is_file():
        raise CommandError(UNREACHABLE, f"{file}: there is no such database")
    with progress_bar("row") as tell:
        blobs = files_directory(settings, data) / "blobs"
        faults = verify(data, lambda what, count: tell(what, count, 0), blobs=blobs)
    report = "".join(f"{printable(fault)}\n" for fault in faults)
    if faults:
        output.result({"data": str(data), "faults": faults}, f"{report}{data}: {len(faults)} faults")
        return FAULTS
    output.result({"data": str(data), "faults": []}, f"{data}: sound")
    return 0


def _check_engine(options: argparse.Namespace, settings: Configuration) -> None:
    """Raises CommandError where no directory is named and the store is not in one."""
    if options.data is None and settings.store.engine == "redis":
        raise CommandError(
            REFUSED, "the store is in Redis: its files are copied and checked by its own tools"
        )
