"""`imserver token …`."""

from __future__ import annotations

import argparse

from imserver.cli import secrets
from imserver.cli.output import Output, moment, printable
from imserver.cli.parsing import Parsers, add_command, add_family, add_file
from imserver.cli.users import perform
from imserver.model import admin
from imserver.model.rooms import EndpointRole


def add_commands(parsers: Parsers) -> None:
    """Adds them."""
    tokens = add_family(parsers, "token", "issue and check tokens")

    command = add_command(
        tokens,
        "issue",
        _issue,
        "issue tokens for a user",
        "Issues an access token and a refresh token, as a log-in by password does, and prints them."
        " Whoever has them is that user until they expire or the user is kicked.",
        "imserver token issue bot --platform server > bot.token\n"
        "imserver token issue recorder --role recorder --room 'school/*'",
    )
    command.add_argument("user", metavar="USER")
    command.add_argument("--platform", metavar="TEXT", default="", help="what the token says of the device")
    command.add_argument(
        "--room",
        metavar="APP/CHANNEL",
        action="append",
        help="in meeting rooms: good for this one only (APP/*: for all of the app); may be repeated",
    )
    command.add_argument(
        "--role",
        choices=[role.value for role in EndpointRole],
        action="append",
        help="in meeting rooms: good for this role only; without it normal; may be repeated",
    )

    command = add_command(
        tokens,
        "verify",
        _verify,
        "check an access token",
        "Checks an access token as a log-in would: signature, times, revocation, account.",
        "imserver token verify --token-file bot.token",
    )
    add_file(
        command,
        "--token-file",
        metavar="FILE",
        help=f"its first line is the token; - = stdin (or {secrets.TOKEN_VARIABLE}, or a prompt)",
    )

    command = add_command(
        tokens,
        "rotate-keys",
        _rotate,
        "sign new tokens with a new key",
        "Signs new tokens with a new key. Tokens signed before stay valid.",
        "imserver token rotate-keys\nimserver token rotate-keys --forget-old",
    )
    command.add_argument(
        "--forget-old", action="store_true", help="after a leak: refuse every token signed before"
    )


def _issue(options: argparse.Namespace, output: Output) -> int:
    rooms = None if options.room is None else tuple(options.room)
    roles = None if options.role is None else tuple(options.role)
    reply = perform(options, admin.IssueTokens(options.user, options.platform, rooms, roles))
    output.result(reply, f"{reply.token}\n{reply.refresh_token}")
    return 0


def _verify(options: argparse.Namespace, output: Output) -> int:
    token = secrets.token(options.token_file)
    reply = perform(options, admin.InspectToken(token.strip()))
    issuer = "a foreign issuer" if reply.external else f"this server (log-in {reply.sid})"
    lines = (
        f"user     {printable(reply.user)}",
        f"platform {printable(reply.platform) or '-'}",
        f"issuer   {issuer}",
        f"expires  {moment(reply.expires_at)}",
        *(
            f"{name}    {printable(', '.join(values)) or 'none'}"
            for name, values in (("rooms", reply.rooms), ("roles", reply.roles))
            if values is not None
        ),
    )
    output.result(reply, "\n".join(lines))
    return 0


def _rotate(options: argparse.Namespace, output: Output) -> int:
    reply = perform(options, admin.RotateTokenKeys(options.forget_old))
    before = "tokens signed before are void" if options.forget_old else "tokens signed before stay valid"
    output.result(reply, f"new tokens are signed with key {reply.kid}; {before}")
    return 0
