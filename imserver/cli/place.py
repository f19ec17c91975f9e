"""Which configuration and which data directory a command is about."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from imserver.cli.errors import REFUSED, UNREACHABLE, CommandError
from imserver.config import ConfigError, Configuration, load
from imserver.config.loading import data_directory

# Where `make run` has its data.
NEAR = "data"


def configuration(options: argparse.Namespace) -> Configuration:
    """What `--config` and `--set` say. Raises CommandError."""
    try:
        return load(options.config, options.set or ())
    except ConfigError as error:
        raise CommandError(REFUSED, str(error), "CONFIGURATION") from None


def data_path(options: argparse.Namespace, settings: Configuration) -> Path:
    """Where the data is: `--data-dir`, else as the server itself would find it."""
    return data_directory(options.data_dir or settings.data_dir, os.environ).absolute()


def existing_data(options: argparse.Namespace, settings: Configuration) -> Path:
    """The same, if it is a directory. Raises CommandError."""
    data = data_path(options, settings)
    try:
        if data.is_dir():
            return data
    except OSError as error:
        raise CommandError(UNREACHABLE, f"{data}: {error.strerror}") from None
    from imserver.backends.embedded.database import DATABASE_NAME

    hint = "--data-dir names another; a server creates its own"
    if (Path(NEAR) / DATABASE_NAME).is_file():
        hint = f"there is one here: --data-dir {NEAR}"
    raise CommandError(UNREACHABLE, f"{data}: there is no such data directory ({hint})")
