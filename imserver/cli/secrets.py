"""Where passwords and tokens come from: a prompt, a file, the environment; never the command line."""

from __future__ import annotations

import getpass
import os
import sys

from imserver.cli.errors import USAGE, CommandError

PASSWORD_VARIABLE = "IMSERVER_PASSWORD"  # noqa: S105 - a name, not a secret
TOKEN_VARIABLE = "IMSERVER_TOKEN"  # noqa: S105


def secret_from(file: str | None, variable: str) -> str:
    """The first line of a file ("-" = stdin), else the environment's value; "" if there is neither.

    Raises:
        CommandError: the file cannot be read or begins with an empty line.
    """
    if file is None:
        return os.environ.get(variable, "")
    try:
        if file == "-":
            line = sys.stdin.readline()
        else:
            with open(file, encoding="utf-8") as stream:
                line = stream.readline()
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(USAGE, f"{file}: {getattr(error, 'strerror', None) or 'not text'}") from None
    secret = line.rstrip("\r\n")
    if not secret:
        raise CommandError(USAGE, f"{'stdin' if file == '-' else file}: is empty")
    return secret


def new_password(file: str | None, what: str) -> str:
    """A password to be set; asked for twice on a terminal."""
    return secret_from(file, PASSWORD_VARIABLE) or _ask(what, twice=True)


def known_password(file: str | None, what: str) -> str:
    """A password to log in with."""
    return secret_from(file, PASSWORD_VARIABLE) or _ask(what, twice=False)


def token(file: str | None) -> str:
    """A token; asked for on a terminal."""
    options = f"--token-file or {TOKEN_VARIABLE}"
    return secret_from(file, TOKEN_VARIABLE) or _ask("token", twice=False, options=options)


def _ask(what: str, *, twice: bool, options: str = f"--password-file or {PASSWORD_VARIABLE}") -> str:
    if not sys.stdin.isatty():
        raise CommandError(USAGE, f"there is no terminal to ask for the {what}; use {options}")
    first = getpass.getpass(f"{what}: ")
    if not first:
        raise CommandError(USAGE, f"the {what} is empty")
    if twice and getpass.getpass(f"{what} again: ") != first:
        raise CommandError(USAGE, "these were two different ones; nothing was changed")
    return first
