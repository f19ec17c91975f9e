"""`imserver migrate`: a store goes from SQLite to Redis, or back."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from imserver.cli.errors import FAULTS, REFUSED, UNREACHABLE, CommandError
from imserver.cli.offline import become_owner
from imserver.cli.output import Output, printable, progress_lines
from imserver.cli.parsing import Parsers, add_command
from imserver.cli.place import configuration, data_path, existing_data
from imserver.config import ConfigError, Configuration
from imserver.config.store_faults import store_fault
from imserver.configured_redis import link_settings, read_redis

if TYPE_CHECKING:
    from imserver.cli.migration import Result


def add_commands(parsers: Parsers) -> None:
    """Adds them."""
    command = add_command(
        parsers,
        "migrate",
        _migrate,
        "carry a store from SQLite to Redis, or back",
        "Copies everything from the data directory into the Redis that is configured (store.url and so on,\n"
        "whatever store.engine says), or from there into the data directory; then reads both again and\n"
        "compares. No server may run. Where the copy goes there must be nothing yet; what a migration that\n"
        "was interrupted has left there is removed first. What is copied stays where it is.",
        "imserver migrate redis --set store.url=redis://127.0.0.1/0\nimserver migrate sqlite",
    )
    command.add_argument("target", choices=["redis", "sqlite"], help="where it goes")


def _migrate(options: argparse.Namespace, output: Output) -> int:
    from imserver.assembly import files_directory

    settings = configuration(options)
    store = msgspec.structs.replace(settings.store, engine="redis")
    fault = store_fault(store)
    if fault is not None:
        raise CommandError(REFUSED, f"store.{fault}", "CONFIGURATION")
    settings = msgspec.structs.replace(settings, store=store)
    to_redis = options.target == "redis"
    data = existing_data(options, settings) if to_redis else data_path(options, settings)
    result = _run(settings, data, to_redis)
    if result.faults:
        text = "".join(f"{printable(fault)}\n" for fault in result.faults)
        output.result(result, f"{text}{len(result.faults)} faults: the copy is not used")
        return FAULTS
    missing = ""
    if result.bytes_missing:
        missing = (
            f"\nthe bytes of {result.bytes_missing:,} files are not in {files_directory(settings, data)}:"
            " copy them there, or set files.directory"
        )
    output.result(
        result,
        f"{result.users:,} users, {result.groups:,} groups, {result.messages:,} messages"
        f" ({result.deliveries:,} in inboxes), {result.changes:,} changes, {result.calls:,} calls,"
        f" {result.files:,} files: copied, {result.compared:,} rows compared{missing}",
    )
    return 0


def _run(settings: Configuration, data: Path, to_redis: bool) -> Result:
    from imserver.cli.migration import Migration, run

    try:
        if data.is_dir():
            become_owner(data)
        reach = read_redis(settings)
    except ConfigError as error:
        raise CommandError(UNREACHABLE, str(error)) from None
    except OSError as error:
        raise CommandError(UNREACHABLE, f"{error.filename or data}: {error.strerror}") from None
    assert reach is not None
    with progress_lines("row") as tell:

        async def work(reactor: Any) -> Result:
            try:
                place = reach(reactor)
            except ValueError as error:
                raise CommandError(UNREACHABLE, f"store.ca: {error}") from None
            migration = Migration(data, settings, place, link_settings(settings.store), reactor, tell)
            return await (migration.to_redis() if to_redis else migration.to_sqlite())

        result: Result = run(work)
    return result
