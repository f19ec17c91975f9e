"""`imserver group …`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from imserver.cli import secrets
from imserver.cli.operator import operator
from imserver.cli.output import Output, moment, printable
from imserver.cli.parsing import Parsers, add_command, add_family, add_file
from imserver.cli.place import configuration, existing_data
from imserver.cli.users import perform
from imserver.model import group_admin
from imserver.model.groups import Group

PAGE = 1000


def add_commands(parsers: Parsers) -> None:
    """Adds them."""
    groups = add_family(parsers, "group", "manage groups")

    command = add_command(
        groups,
        "create",
        _create,
        "create a group",
        "Creates a group. Others join by invitation, by its password, or freely if it is open.",
        'imserver group create team --owner alice --member bob --name "The Team"\n'
        "imserver group create lobby --owner alice --open",
    )
    command.add_argument("group", metavar="GROUP", help="its id, which is never given again")
    command.add_argument("--owner", metavar="USER", required=True)
    command.add_argument("--name", metavar="TEXT", default="", help="a title for people")
    command.add_argument(
        "--member", metavar="USER", action="append", default=[], help="a member from the start; repeatable"
    )
    which = command.add_mutually_exclusive_group()
    which.add_argument("--open", action="store_true", help="anybody may join")
    which.add_argument(
        "--with-password", action="store_true", help=f"ask for a password (or {secrets.PASSWORD_VARIABLE})"
    )
    add_file(
        which,  # type: ignore[arg-type]
        "--password-file",
        metavar="FILE",
        help="its first line is the password to join with; - = stdin",
    )

    command = add_command(
        groups, "add", _add, "make users members of a group", examples="imserver group add team carol dave"
    )
    command.add_argument("group", metavar="GROUP")
    command.add_argument("user", metavar="USER", nargs="+")

    command = add_command(
        groups,
        "remove",
        _remove,
        "end memberships",
        "Ends memberships. The owner's place goes to the member of longest standing; a group without"
        " members is deleted.",
        "imserver group remove team dave",
    )
    command.add_argument("group", metavar="GROUP")
    command.add_argument("user", metavar="USER", nargs="+")

    command = add_command(
        groups,
        "list",
        _list,
        "list groups, or the members of one",
        examples="imserver group list\nimserver group list team",
    )
    command.add_argument("group", metavar="GROUP", nargs="?", help="list its members")

    command = add_command(
        groups,
        "delete",
        _delete,
        "delete a group",
        "Deletes a group. Messages stay in the inboxes; the id is never given again.",
        "imserver group delete team",
    )
    command.add_argument("group", metavar="GROUP")


def _create(options: argparse.Namespace, output: Output) -> int:
    password = ""
    if options.with_password or options.password_file is not None:
        password = secrets.new_password(options.password_file, "password of the group")
    command = group_admin.CreateGroupFor(
        options.owner, options.group, options.name, options.open, password, tuple(options.member)
    )
    return _changed(perform(options, command).group, output, "created")


def _add(options: argparse.Namespace, output: Output) -> int:
    settings = configuration(options)
    with operator(existing_data(options, settings), settings) as somebody:
        for user in options.user:
            reply = somebody.perform(group_admin.AddMember(options.group, user))
    return _changed(reply.group, output, f"{_names(options.user)} added")


def _remove(options: argparse.Namespace, output: Output) -> int:
    settings = configuration(options)
    with operator(existing_data(options, settings), settings) as somebody:
        for user in options.user:
            somebody.perform(group_admin.RemoveMember(options.group, user))
    value = {"group": options.group, "removed": options.user}
    output.result(value, f"{printable(options.group)}: {_names(options.user)} removed")
    return 0


def _names(users: Sequence[str]) -> str:
    return ", ".join(printable(user) for user in users)


def _delete(options: argparse.Namespace, output: Output) -> int:
    perform(options, group_admin.RemoveGroup(options.group))
    output.result({"group": options.group, "deleted": True}, f"{printable(options.group)}: deleted")
    return 0


def _changed(group: Group, output: Output, what: str) -> int:
    count = f"{group.member_count} member{'s' if group.member_count != 1 else ''}"
    output.result(group, f"{printable(group.group)}: {what} ({count})")
    return 0


def _list(options: argparse.Namespace, output: Output) -> int:
    if options.group is not None:
        group = perform(options, group_admin.DescribeGroup(options.group)).group
        if output.json:
            output.result(group, "")
        else:
            output.table(
                group.members,
                ("USER", "ROLE", "JOINED"),
                lambda member: (member.user, member.role.value, moment(member.joined_at)),
            )
        return 0
    found: list[Group] = []
    settings = configuration(options)
    with operator(existing_data(options, settings), settings) as somebody:
        more = True
        while more:
            after = found[-1].group if found else ""
            page = somebody.perform(group_admin.ListAllGroups(after, PAGE))
            found += page.groups
            more = page.has_more
    output.table(
        found,
        ("GROUP", "NAME", "OWNER", "MEMBERS", "JOINING", "CREATED"),
        lambda group: (
            group.group,
            group.name,
            group.owner,
            str(group.member_count),
            "open" if group.open else "password" if group.has_password else "invitation",
            moment(group.created_at),
        ),
    )
    return 0
