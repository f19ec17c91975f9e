"""`imserver session …`."""

from __future__ import annotations

import argparse

from imserver.cli.operator import operator
from imserver.cli.output import Output
from imserver.cli.parsing import Parsers, add_command, add_family
from imserver.cli.place import configuration, existing_data
from imserver.cli.users import perform
from imserver.model import admin

PAGE = 1000


def add_commands(parsers: Parsers) -> None:
    """Adds them."""
    sessions = add_family(parsers, "session", "see who is connected")

    command = add_command(
        sessions,
        "list",
        _list,
        "list live sessions",
        "Lists live sessions. Where no server runs there are none.",
        "imserver session list --user alice",
    )
    command.add_argument("--user", metavar="USER", default="", help="of this user only")

    command = add_command(
        sessions,
        "end",
        _end,
        "end one session",
        "Ends one session. Its tokens stay valid; `imserver user kick` revokes them.",
        "imserver session end 0123456789abcdef0123456789abcdef",
    )
    command.add_argument("session", metavar="SESSION", help="its id, as `session list` shows it")
    command.add_argument("--reason", metavar="TEXT", default="", help="what the user is told")


def _list(options: argparse.Namespace, output: Output) -> int:
    found: list[admin.SessionInfo] = []
    settings = configuration(options)
    with operator(existing_data(options, settings), settings) as somebody:
        more = True
        while more:
            after = found[-1].session if found else ""
            page = somebody.perform(admin.ListSessions(options.user, after, PAGE))
            found += page.sessions
            more = page.has_more
    found.sort(key=lambda session: session.user.encode())
    output.table(
        found,
        ("SESSION", "USER", "FORMAT", "DEVICE", "ADDRESS", "TLS"),
        lambda session: (
            session.session,
            session.user,
            session.format,
            session.device,
            session.address or "-",
            "yes" if session.secure else "no",
        ),
    )
    return 0


def _end(options: argparse.Namespace, output: Output) -> int:
    perform(options, admin.EndSession(options.session, options.reason))
    output.result({"session": options.session, "ended": True}, f"{options.session}: ended")
    return 0
