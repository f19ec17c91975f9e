"""`imserver user …` and `imserver role`."""

from __future__ import annotations

import argparse
from typing import Any

from imserver.cli import secrets
from imserver.cli.operator import Operator, operator
from imserver.cli.output import Output, moment, printable
from imserver.cli.parsing import Parsers, add_command, add_family, add_file
from imserver.cli.place import configuration, existing_data
from imserver.model import admin
from imserver.model.accounts import Role

PAGE = 1000


def add_commands(parsers: Parsers) -> None:
    """Adds them."""
    users = add_family(parsers, "user", "manage accounts")

    command = add_command(
        users,
        "add",
        _add,
        "create an account",
        examples="imserver user add alice\nimserver user add root --role admin --password-file secret.txt\n"
        "imserver user add bot --no-password",
    )
    command.add_argument("user", metavar="USER", help="the name to log in with")
    command.add_argument("--role", choices=[role.value for role in Role], default=Role.USER.value)
    which = command.add_mutually_exclusive_group()
    _add_password_file(which)
    which.add_argument("--no-password", action="store_true", help="log-in by token only")

    command = add_command(
        users,
        "passwd",
        _passwd,
        "set another password",
        "Sets another password, revokes all tokens and ends all sessions of the user.",
        "imserver user passwd alice",
    )
    command.add_argument("user", metavar="USER")
    _add_password_file(command)

    command = add_command(
        users,
        "disable",
        _disable,
        "refuse further log-ins",
        "Refuses further log-ins, revokes all tokens and ends all sessions of the user.",
        "imserver user disable alice",
    )
    command.add_argument("user", metavar="USER")

    command = add_command(
        users,
        "enable",
        _enable,
        "allow log-ins again",
        "Allows log-ins again. Tokens that were revoked stay revoked.",
        "imserver user enable alice",
    )
    command.add_argument("user", metavar="USER")

    command = add_command(
        users,
        "kick",
        _kick,
        "end all sessions of a user",
        "Revokes all tokens and ends all sessions of the user, who may log in again by password.",
        'imserver user kick alice --reason "please update your client"',
    )
    command.add_argument("user", metavar="USER")
    command.add_argument("--reason", metavar="TEXT", default="", help="what the user is told")

    command = add_command(users, "list", _list, "list accounts", examples="imserver user list --json")
    command.add_argument("--after", metavar="USER", default="", help="begin behind this name")
    command.add_argument("--limit", metavar="N", type=int, default=0, help="at most so many")

    command = add_command(
        parsers,
        "role",
        _role,
        "set the role of a user",
        "Sets the role and ends the live sessions of the user. Administrators may use the admin interfaces.",
        "imserver role alice admin",
    )
    command.add_argument("user", metavar="USER")
    command.add_argument("role", metavar="ROLE", choices=[role.value for role in Role], help="user or admin")


def _add_password_file(parser: Any) -> None:
    add_file(
        parser,
        "--password-file",
        metavar="FILE",
        help=f"its first line is the password; - = stdin (or {secrets.PASSWORD_VARIABLE}, or a prompt)",
    )


def perform(options: argparse.Namespace, command: Any) -> Any:
    """Runs one administration command."""
    settings = configuration(options)
    with operator(existing_data(options, settings), settings) as somebody:
        return somebody.perform(command)


def _add(options: argparse.Namespace, output: Output) -> int:
    password = "" if options.no_password else secrets.new_password(options.password_file, "password")
    command = admin.CreateUser(options.user, password, role=Role(options.role))
    return _changed(perform(options, command), output, "created")


def _passwd(options: argparse.Namespace, output: Output) -> int:
    password = secrets.new_password(options.password_file, "new password")
    return _changed(
        perform(options, admin.ChangePassword(options.user, password)), output, "has another password now"
    )


def _disable(options: argparse.Namespace, output: Output) -> int:
    return _changed(perform(options, admin.DisableUser(options.user)), output, "disabled")


def _enable(options: argparse.Namespace, output: Output) -> int:
    return _changed(perform(options, admin.EnableUser(options.user)), output, "enabled")


def _kick(options: argparse.Namespace, output: Output) -> int:
    return _changed(perform(options, admin.KickUser(options.user, options.reason)), output, "kicked")


def _role(options: argparse.Namespace, output: Output) -> int:
    reply = perform(options, admin.SetRole(options.user, Role(options.role)))
    return _changed(reply, output, f"has role {options.role} now")


def _changed(reply: admin.UserReply, output: Output, what: str) -> int:
    output.result(reply.user, f"{printable(reply.user.user)}: {what}")
    return 0


def _list(options: argparse.Namespace, output: Output) -> int:
    settings = configuration(options)
    with operator(existing_data(options, settings), settings) as somebody:
        found = _all(somebody, options.after, options.limit)
    output.table(
        found,
        ("USER", "ROLE", "STATE", "PASSWORD", "CREATED"),
        lambda user: (
            user.user,
            user.role.value,
            "disabled" if user.disabled else "enabled",
            "yes" if user.has_password else "no",
            moment(user.created_at),
        ),
    )
    return 0


def _all(somebody: Operator, after: str, limit: int) -> list[admin.UserInfo]:
    found: list[admin.UserInfo] = []
    while True:
        page = somebody.perform(admin.ListUsers(after, min(PAGE, limit - len(found)) if limit > 0 else PAGE))
        found += page.users
        if not page.has_more or 0 < limit <= len(found):
            return found
        after = found[-1].user
