"""What administrators are shown of rooms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from imserver.model.room_admin import ListRooms, RoomList, RoomReply
from imserver.model.rooms import RoomName
from imserver.services.room_state import Room

DEFAULT_PAGE = 100
MAX_PAGE = 1000


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
