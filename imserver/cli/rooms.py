"""`imserver room …`."""

from __future__ import annotations

import argparse

from imserver.cli.errors import USAGE, CommandError
from imserver.cli.operator import operator
from imserver.cli.output import Output, moment, printable
from imserver.cli.parsing import Parsers, add_command, add_family
from imserver.cli.place import configuration, existing_data
from imserver.cli.users import perform
from imserver.model import room_admin

PAGE = 1000


def add_commands(parsers: Parsers) -> None:
    """Adds them."""
    rooms = add_family(parsers, "room", "moderate meeting rooms")

    command = add_command(
        rooms,
        "list",
        _list,
        "list meeting rooms, or the endpoints in one",
        "Lists meeting rooms, or the endpoints in one. Where no server runs there are none.",
        "imserver room list\nimserver room list school/class-7",
    )
    command.add_argument("room", metavar="APP/CHANNEL", nargs="?", help="list its endpoints")

    command = add_command(
        rooms,
        "kick",
        _kick,
        "send an endpoint away",
        "Ends an endpoint's connection and session. Its token stays valid, so it may join anew;"
        " `imserver user kick` revokes tokens.",
        "imserver room kick school/class-7 alice-phone",
    )
    command.add_argument("room", metavar="APP/CHANNEL")
    command.add_argument("endpoint", metavar="ENDPOINT", help="its name, as `room list` shows it")

    command = add_command(
        rooms,
        "close",
        _close,
        "send everybody in a room away",
        "Ends the connections and sessions of all endpoints in a room. Whoever joins anew makes a new room.",
        "imserver room close school/class-7",
    )
    command.add_argument("room", metavar="APP/CHANNEL")


def _name(options: argparse.Namespace) -> tuple[str, str]:
    app, slash, channel = options.room.partition("/")
    if not (app and slash and channel):
        raise CommandError(USAGE, "a room is named APP/CHANNEL")
    return app, channel


def _list(options: argparse.Namespace, output: Output) -> int:
    if options.room is not None:
        return _show(options, output)
    found: list[room_admin.RoomInfo] = []
    settings = configuration(options)
    with operator(existing_data(options, settings), settings) as somebody:
        more = True
        while more:
            after = f"{found[-1].app}/{found[-1].channel}" if found else ""
            page = somebody.perform(room_admin.ListRooms(after, PAGE))
            found += page.rooms
            more = page.has_more
    output.table(
        found,
        ("ROOM", "ENDPOINTS", "STREAMS", "SINCE"),
        lambda room: (
            f"{room.app}/{room.channel}",
            str(room.endpoints),
            str(room.streams),
            moment(room.created_at),
        ),
    )
    return 0


def _show(options: argparse.Namespace, output: Output) -> int:
    reply = perform(options, room_admin.ShowRoom(*_name(options)))
    output.table(
        reply.endpoints,
        ("ENDPOINT", "USER", "DEVICE", "ROLE", "STREAM", "CONNECTED"),
        lambda seated: (
            seated.info.endpoint,
            seated.user,
            seated.info.device,
            seated.info.role.value,
            seated.info.stream.stream_id if seated.info.stream else "-",
            "yes" if seated.connected else "no",
        ),
    )
    return 0


def _kick(options: argparse.Namespace, output: Output) -> int:
    perform(options, room_admin.KickEndpoint(*_name(options), options.endpoint))
    value = {"room": options.room, "endpoint": options.endpoint, "kicked": True}
    output.result(value, f"{printable(options.room)}: {printable(options.endpoint)} sent away")
    return 0


def _close(options: argparse.Namespace, output: Output) -> int:
    perform(options, room_admin.CloseRoom(*_name(options)))
    output.result({"room": options.room, "closed": True}, f"{printable(options.room)}: closed")
    return 0
