"""What administrators are shown of rooms, and do to them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from imserver.model.errors import ErrorCode, ImError
from imserver.model.messages import Done
from imserver.model.room_admin import CloseRoom, KickEndpoint, ListRooms, RoomList, RoomReply, ShowRoom
from imserver.model.rooms import Notice, RoomError, RoomFault, RoomName
from imserver.services.room_register import RoomRegister
from imserver.services.room_state import Room

DEFAULT_PAGE = 100
MAX_PAGE = 1000


def moderate(register: RoomRegister, command: Any) -> Any:
    """Does a command of `model.room_admin` about the rooms at home on one node.

    Raises:
        RoomError: refused.
    """
    match command:
        case ListRooms():
            return list_rooms(register.rooms, command)
        case ShowRoom():
            room = _room(register, command)
            return show_room(room, register.pick(room.name))
        case KickEndpoint():
            member = _room(register, command).members.get(command.endpoint)
            if member is None:
                raise RoomError(RoomFault.NOT_FOUND, "there is no such endpoint in the room")
            register.send_away(member, Notice.KICKED)
            return Done()
        case CloseRoom():
            for member in list(_room(register, command).members.values()):
                register.send_away(member, Notice.ROOM_CLOSED)
            return Done()
        case _:
            raise ImError(ErrorCode.UNKNOWN_COMMAND, "rooms do not serve this")


def _room(register: RoomRegister, command: ShowRoom | KickEndpoint | CloseRoom) -> Room:
    room = register.rooms.get(RoomName(command.app, command.channel))
    if room is None:
        raise RoomError(RoomFault.NOT_FOUND, "there is no such room")
    return room


def list_rooms(rooms: Mapping[RoomName, Room], command: ListRooms) -> RoomList:
    """A page of rooms, by name."""
    limit = _limit(command)
    app, _, channel = command.after.partition("/")
    after = RoomName(app, channel)
    names = sorted(name for name in rooms if name > after)
    return RoomList([rooms[name].info for name in names[:limit]], len(names) > limit)


def merged(pages: Sequence[RoomList], command: ListRooms) -> RoomList:
    """One page of what all nodes have."""
    limit = _limit(command)
    rooms = sorted((room for page in pages for room in page.rooms), key=lambda room: (room.app, room.channel))
    return RoomList(rooms[:limit], len(rooms) > limit or any(page.has_more for page in pages))


def _limit(command: ListRooms) -> int:
    return min(command.limit, MAX_PAGE) if command.limit > 0 else DEFAULT_PAGE


def show_room(room: Room, media: Mapping[str, str] | None) -> RoomReply:
    """One room with its endpoints."""
    return RoomReply(room.info, [member.seated for member in room.members.values()], dict(media or {}))
