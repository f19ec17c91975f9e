"""Where rooms live: all of a room at one node (`Bus.home`). Nothing here waits for anything.

An endpoint's session is its key. It lives while its endpoint is in the room, that is, for
some seconds longer than its connection, and may be taken up by another connection meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IReactorTime

from imserver.model.errors import ErrorCode, ImError
from imserver.model.messages import Done
from imserver.model.rooms import (
    AddStream,
    BroadcastInRoom,
    DeleteStream,
    DumpMediaServer,
    DumpRoom,
    JoinRoom,
    LeaveRoom,
    MediaServerReply,
    Notice,
    RoomBroadcast,
    RoomDump,
    RoomError,
    RoomFault,
    RoomJoined,
    RoomName,
    RoomNotice,
    addresses_for,
)
from imserver.services.homes import LostNodes
from imserver.services.limits import RateLimiter
from imserver.services.ports import Bus, MediaServers
from imserver.services.room_moderation import moderate
from imserver.services.room_register import RoomRegister, stop_waiting
from imserver.services.room_requests import Act, Enter, Gone, Moderate
from imserver.services.room_state import Member, RoomCounts, RoomSettings

LISTED_PER_SECOND = 10_000.0
LISTED_AT_ONCE = 50_000
"""Endpoints that one endpoint is told of by dumps."""


class RoomHome:
    """The rooms that are at home on this node."""

    def __init__(
        self,
        bus: Bus,
        clock: IReactorTime,
        wall_time: Callable[[], float],
        random_bytes: Callable[[int], bytes],
        counts: RoomCounts,
        settings: RoomSettings,
        media: MediaServers | None,
        emptied: Callable[[RoomName], None],
    ) -> None:
        """Args:
        media: the media servers; None = there are none.
        emptied: told of a room that is none any more.
        """
        self._clock = clock
        self._counts = counts
        self._settings = settings
        self._register = RoomRegister(bus, clock, wall_time, random_bytes, counts, settings, media, emptied)
        self._closed = False
        self._lost_nodes = LostNodes()
        rate = settings.broadcasts_per_second
        self._broadcasts = RateLimiter(clock.seconds, rate, max(1.0, rate))
        self._dumps = RateLimiter(
            clock.seconds, LISTED_PER_SECOND, float(max(LISTED_AT_ONCE, settings.endpoints))
        )
        fanout = settings.fanout_bytes_per_second
        self._fanout = RateLimiter(clock.seconds, fanout, 2 * fanout)
        if media is not None:
            media.watch(self._media_changed)

    def answer(self, request: Enter | Act | Gone | Moderate) -> Any:
        """Does what is asked.

        Raises:
            RoomError: refused.
        """
        match request:
            case Enter():
                return self._enter(request)
            case Act():
                return self._act(request)
            case Gone():
                return self._gone(request)
            case Moderate():
                return moderate(self._register, request.command)

    def exists(self, room: RoomName) -> bool:
        """Whether somebody is in the room."""
        return room in self._register.rooms

    def node_lost(self, node: str) -> None:
        """All connections of a node are gone."""
        self._lost_nodes.add(node)
        for member in list(self._register.sessions.values()):
            if member.seat is not None and member.seat.node == node:
                self._lose(member, final=False)

    def drop_all(self) -> None:
        """No room is at home here any more."""
        self._register.drop_all()

    def shut_down(self) -> None:
        """Tells what is still to be told; nobody is waited for any more."""
        self._closed = True
        for room in list(self._register.rooms.values()):
            self._register.news.tell_all(room)
        for member in self._register.sessions.values():
            stop_waiting(member)

    # Joining

    def _enter(self, request: Enter) -> RoomJoined:
        if self._closed:
            raise ImError(ErrorCode.UNAVAILABLE, "the server is going down")
        if request.seat.node in self._lost_nodes:
            raise ImError(ErrorCode.UNAVAILABLE, "nobody waits for this any more")
        command = request.command
        if command.session:
            known = self._register.sessions.get(command.session)
            if known is not None:
                return self._resume(known, request)
            if self._register.was_taken(command.session):
                raise RoomError(RoomFault.BAD_SESSION, "this session was taken away")
        name = RoomName(command.app, command.channel)
        room = self._register.rooms.get(name)
        standing = room.members.get(command.endpoint) if room is not None else None
        if standing is None:
            member = self._register.add(command, request.seat)
            self._counts.joined += 1
            return self._joined(member, command)
        if standing.user != request.seat.user:
            raise RoomError(RoomFault.CONFLICT, "another account is in the room as this endpoint")
        return self._replace(standing, request)

    def _resume(self, member: Member, request: Enter) -> RoomJoined:
        command, seat = request.command, request.seat
        room = member.room
        if (
            member.user != seat.user
            or room.name != RoomName(command.app, command.channel)
            or command.endpoint not in ("", member.endpoint)
        ):
            raise RoomError(RoomFault.BAD_SESSION, "this is no session of this account, room and endpoint")
        self._counts.resumed += 1
        self._register.seat(member, seat)
        return self._joined(member, command)

    def _replace(self, member: Member, request: Enter) -> RoomJoined:
        command, room = request.command, member.room
        register = self._register
        self._counts.replaced += 1
        register.take_session(member)
        register.unpublish(member)
        member.device = command.device or command.endpoint
        member.role = command.role
        member.session = register.new_session()
        register.sessions[member.session] = member
        register.seat(member, request.seat)
        # As one who has come just now.
        room.members[member.endpoint] = room.members.pop(member.endpoint)
        return self._joined(member, command)

    def _joined(self, member: Member, command: JoinRoom) -> RoomJoined:
        minted = "" if command.endpoint else member.endpoint
        return RoomJoined(member.session, dict(self._register.pick(member.room.name) or {}), minted)

    # Commands of endpoints

    def _act(self, request: Act) -> Any:
        command = request.command
        member = self._register.sessions.get(command.session)
        if (
            member is None
            or member.seat is None
            or member.seat.session != request.seat.session
            or member.room.name != request.room
        ):
            raise RoomError(RoomFault.BAD_SESSION, "this is not this connection's session")
        match command:
            case BroadcastInRoom():
                return self._broadcast(member, command)
            case AddStream():
                return self._publish(member, command)
            case DeleteStream():
                return self._delete(member, command)
            case DumpRoom():
                return self._dump(member)
            case DumpMediaServer():
                return self._media_server(member, command)
            case LeaveRoom():
                self._counts.left += 1
                self._register.remove(member)
                return Done()
            case _:
                raise RoomError(RoomFault.UNKNOWN_METHOD, "rooms do not serve this")

    def _dump(self, member: Member) -> RoomDump:
        members = member.room.members
        if not self._dumps.allow((member.room.name, member.endpoint), len(members)):
            raise RoomError(RoomFault.TOO_FAST, "too many dumps of a large room a second")
        self._register.news.tell(member)
        return RoomDump([one.info for one in members.values()])

    def _broadcast(self, member: Member, command: BroadcastInRoom) -> Done:
        settings, room = self._settings, member.room
        size = len(command.payload)
        if size > settings.broadcast_bytes:
            raise RoomError(
                RoomFault.BAD_REQUEST, f"a broadcast has at most {settings.broadcast_bytes} bytes"
            )
        if not self._broadcasts.allow((room.name, member.endpoint)):
            raise RoomError(RoomFault.TOO_FAST, "too many broadcasts a second")
        # What is more than the bucket holds would never pass.
        weight = min(size * len(room.members), 2 * settings.fanout_bytes_per_second)
        if not self._fanout.allow(room.name, weight):
            raise RoomError(RoomFault.TOO_FAST, "too much is broadcast in this room")
        self._counts.broadcasts += 1
        self._register.news.add(
            room, RoomBroadcast(member.endpoint, member.device, command.payload), member, size
        )
        return Done()

    def _publish(self, member: Member, command: AddStream) -> Done:
        room, stream = member.room, command.stream
        if member.stream == stream:
            return Done()  # the answer was lost on the way
        if member.stream is not None:
            raise RoomError(RoomFault.CONFLICT, "the endpoint has a stream already")
        if stream.stream_id in room.streams:
            raise RoomError(RoomFault.CONFLICT, "another stream in the room has this id")
        if len(room.streams) >= self._settings.streams:
            raise RoomError(RoomFault.FULL, "there are too many streams in the room")
        self._register.publish(member, stream)
        return Done()

    def _delete(self, member: Member, command: DeleteStream) -> Done:
        owner = member.room.streams.get(command.stream_id)
        if owner is None:
            raise RoomError(RoomFault.NOT_FOUND, "there is no such stream in the room")
        if owner is not member:
            raise RoomError(RoomFault.UNAUTHORISED, "the stream is another endpoint's")
        self._register.unpublish(member)
        return Done()

    def _media_server(self, member: Member, command: DumpMediaServer) -> MediaServerReply:
        addresses = addresses_for(command.protocol, self._register.pick(member.room.name) or {})
        if not addresses:
            raise RoomError(RoomFault.NO_MEDIA_SERVER, "no media server can be reached that way now")
        return MediaServerReply(addresses)

    # Leaving

    def _gone(self, request: Gone) -> None:
        session = request.seat.session
        if request.session:
            member = self._register.sessions.get(request.session)
        else:
            member = self._seated(request.room, session)
        if member is None or member.seat is None or member.seat.session != session:
            return  # replaced, resumed elsewhere, or removed
        self._lose(member, request.final)

    def _seated(self, name: RoomName, connection: str) -> Member | None:
        room = self._register.rooms.get(name)
        members = () if room is None else room.members.values()
        found = (one for one in members if one.seat is not None and one.seat.session == connection)
        return next(found, None)

    def _lose(self, member: Member, final: bool) -> None:
        """An endpoint's connection is gone."""
        member.seat = None
        if final:
            self._counts.removed += 1
            self._register.take_session(member)
            self._register.remove(member)
        elif not self._closed:
            member.drop = self._clock.callLater(self._settings.grace_seconds, self._drop, member)

    def _drop(self, member: Member) -> None:
        member.drop = None
        self._counts.lost += 1
        self._register.remove(member)

    # Media servers

    def _media_changed(self) -> None:
        for room in self._register.rooms.values():
            media = self._register.pick(room.name)
            if media != room.media:
                room.media = media
                self._register.news.add(room, RoomNotice(Notice.MEDIA_SERVER_CHANGED))
