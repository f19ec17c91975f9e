"""`imserver key …`."""

from __future__ import annotations

import argparse

from imserver.cli import secrets
from imserver.cli.output import Output, moment, printable
from imserver.cli.parsing import Parsers, add_command, add_family, add_file
from imserver.cli.users import perform
from imserver.model.key_admin import AddMessageKey, ListMessageKeys, RemoveMessageKey


def add_commands(parsers: Parsers) -> None:
    """Adds them."""
    keys = add_family(parsers, "key", "manage the keys that sign and encrypt messages")

    command = add_command(
        keys,
        "add",
        _add,
        "give a user a pre-shared key",
        "Makes a pre-shared key for a user, instead of the one before, and prints its id and, on the next"
        " line, its 32 bytes in base64, for the user's client. They are not shown again.",
        "imserver key add alice > alice.key\nimserver key add alice --kid alice-2 --secret-file alice.secret",
    )
    command.add_argument("user", metavar="USER")
    _add_kid(command)
    add_file(
        command,
        "--secret-file",
        metavar="FILE",
        help="its first line is the key, 32 bytes in base64; - = stdin. Default: a random key",
    )

    command = add_command(
        keys,
        "register",
        _register,
        "register a user's public key",
        "Registers an Ed25519 public key: what it signs counts as the user's.",
        "imserver key register alice GAFR9K13RvBPiimmBzQWNZf+T4NEdMnK6Vmi3LFxdPY= --kid laptop",
    )
    command.add_argument("user", metavar="USER")
    command.add_argument("public", metavar="KEY", help="its 32 bytes in base64")
    _add_kid(command)

    command = add_command(
        keys,
        "remove",
        _remove,
        "forget a key",
        "Forgets a key: nothing signed or encrypted with it counts any more. Live sessions of its user"
        " are ended by `user kick`.",
        "imserver key remove alice-2",
    )
    command.add_argument("kid", metavar="KID")

    command = add_command(
        keys,
        "list",
        _list,
        "list keys, without secrets",
        "Lists the keys, and the server's own public key: clients with a registered key are answered with its"
        " signatures.",
        "imserver key list\nimserver key list alice --json",
    )
    command.add_argument("user", metavar="USER", nargs="?", default="")


def _add_kid(command: argparse.ArgumentParser) -> None:
    command.add_argument("--kid", metavar="KID", default="", help="the key's id. Default: a random one")


def _add(options: argparse.Namespace, output: Output) -> int:
    material = secrets.secret_from(options.secret_file, "") if options.secret_file is not None else ""
    reply = perform(options, AddMessageKey(options.user, "preshared", options.kid, material))
    output.result(reply, f"{reply.key.kid}\n{reply.secret}")
    return 0


def _register(options: argparse.Namespace, output: Output) -> int:
    reply = perform(options, AddMessageKey(options.user, "ed25519", options.kid, options.public))
    output.result(reply.key, f"{printable(reply.key.user)}: key {reply.key.kid} registered")
    return 0


def _remove(options: argparse.Namespace, output: Output) -> int:
    reply = perform(options, RemoveMessageKey(options.kid))
    output.result(reply, f"key {printable(options.kid)} removed")
    return 0


def _list(options: argparse.Namespace, output: Output) -> int:
    reply = perform(options, ListMessageKeys(options.user))
    if output.json:
        output.result(reply, "")
        return 0
    output.table(
        reply.keys,
        ("KID", "USER", "KIND", "CREATED"),
        lambda key: (key.kid, printable(key.user), key.kind, moment(key.created_at)),
    )
    output.result(reply, f"the server signs as {reply.server_kid}: {reply.server_public}")
    return 0
