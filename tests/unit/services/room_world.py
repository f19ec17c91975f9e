"""Rooms over a whole service floor, with connections that only remember what they are told."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from twisted.internet.defer import ensureDeferred

from imserver.model.messages import Done
from imserver.model.room_admin import ShowRoom
from imserver.model.rooms import (
    AddStream,
    BroadcastInRoom,
    DeleteStream,
    DumpRoom,
    EndpointChanged,
    EndpointInfo,
    EndpointRole,
    JoinRoom,
    LeaveRoom,
    Notice,
    RoomBroadcast,
    RoomError,
    RoomFault,
    RoomJoined,
    RoomNotice,
    Stream,
    StreamChanged,
    StreamType,
)
from imserver.services.room_places import News, Place
from imserver.services.sessions import Client
from tests.unit.services.hub_world import HubCase


class Pool:
    """Media servers as a test wants them: addresses by room, `default` for the others."""

    def __init__(self, default: Mapping[str, str] | None) -> None:
        self.default = default
        self.rooms: dict[str, Mapping[str, str] | None] = {}
        self._callbacks: list[Callable[[], None]] = []

    def pick(self, room: str) -> Mapping[str, str] | None:
        return self.rooms.get(room, self.default)

    def watch(self, callback: Callable[[], None]) -> None:
        self._callbacks.append(callback)

    def changed(self) -> None:
        """Tells whoever watches."""
        for callback in self._callbacks:
            callback()


class Endpoint:
    """A connection in a room, or one that was.

    Attributes:
        heard: news in words, in order; what `RoomCase.heard` has not taken yet.
        batches: how many events each call brought.
        notice: why the server ended it.
    """

    def __init__(self) -> None:
        self.place: Place
        self.joined: RoomJoined
        self.heard: list[str] = []
        self.events: list[Any] = []
        self.batches: list[int] = []
        self.notice: Notice | None = None

    @property
    def session(self) -> str:
        return self.joined.session

    def news(self, news: News) -> None:
        self.batches.append(len(news.events))
        self.events += [one.event for one in news.events]
        self.heard += [words(one.event) for one in news.events]

    def over(self, notice: RoomNotice) -> None:
        assert self.notice is None
        self.notice = notice.type


def words(event: Any) -> str:
    """An event, for comparison."""
    match event:
        case EndpointChanged():
            return f"{event.endpoint} {'join' if event.joined else 'leave'}"
        case StreamChanged():
            return f"{event.endpoint} {'publish' if event.published else 'unpublish'} {event.stream_id}"
        case RoomBroadcast():
            return f"{event.endpoint} says {event.payload.decode()}"
        case RoomNotice():
            return f"error {event.type.value}"
        case _:
            raise AssertionError(event)


def camera(stream_id: str, **fields: Any) -> Stream:
    """A stream."""
    return Stream(stream_id, StreamType.CAMERA, True, True, "opus", "vp8", **fields)


class RoomCase(HubCase):
    """Rooms of the app "app"."""

    def connection(self) -> Client:
        """A new connection."""
        return Client(self.hub.rooms.new_session_id(), "meeting", "127.0.0.1", False, True)

    def joining(self, endpoint: Endpoint, user: str, name: str, channel: str = "room", **fields: Any) -> Any:
        """The coroutine of a join."""
        command = JoinRoom(
            fields.pop("app", "app"), channel, name, token=fields.pop("token", f"demo_token_{user}"), **fields
        )
        return self.hub.rooms.join(self.connection(), command, endpoint)

    def join(self, user: str, name: str | None = None, channel: str = "room", **fields: Any) -> Endpoint:
        """Joins; `name`: the endpoint, else the user's name."""
        endpoint = Endpoint()
        endpoint.place, endpoint.joined = self.wait(
            self.joining(endpoint, user, user if name is None else name, channel, **fields)
        )
        endpoint.place.start()
        return endpoint

    def fault(self, work: Any) -> RoomFault:
        """Why a coroutine was refused."""
        error = self.refusal(work)
        assert isinstance(error, RoomError), error
        return error.fault

    def no_join(self, user: str, name: str | None = None, channel: str = "room", **fields: Any) -> RoomFault:
        """A join that is refused."""
        return self.fault(self.joining(Endpoint(), user, user if name is None else name, channel, **fields))

    def asking(self, endpoint: Endpoint, kind: Any, *arguments: Any) -> Any:
        """The coroutine of a command with the endpoint's session."""
        return self.hub.rooms.handle(endpoint.place, kind(endpoint.session, *arguments))

    def ask(self, endpoint: Endpoint, kind: Any, *arguments: Any) -> Any:
        """Its reply."""
        return self.wait(self.asking(endpoint, kind, *arguments))

    def at_once(self, work: Any) -> Any:
        """Runs a coroutine that waits for nothing, within the turn."""
        return self.successResultOf(ensureDeferred(work))

    def timers(self) -> list[str]:
        """What still waits for the clock, but for the store's own."""
        names = [str(call) for call in self.clock.getDelayedCalls() if call.active()]
        return [name for name in names if "Cellar" not in name]

    def publish(self, endpoint: Endpoint, stream_id: str) -> None:
        """stream.add."""
        self.assertEqual(self.ask(endpoint, AddStream, camera(stream_id)), Done())

    def unpublish(self, endpoint: Endpoint, stream_id: str) -> None:
        """stream.delete."""
        self.assertEqual(self.ask(endpoint, DeleteStream, stream_id), Done())

    def say(self, endpoint: Endpoint, payload: bytes = b"{}") -> None:
        """broadcast."""
        self.assertEqual(self.ask(endpoint, BroadcastInRoom, payload), Done())

    def leave(self, endpoint: Endpoint) -> None:
        """channel.leave."""
        self.assertEqual(self.ask(endpoint, LeaveRoom), Done())

    def dump(self, endpoint: Endpoint) -> dict[str, tuple[str, EndpointRole, str]]:
        """channel.dump: (device, role, stream id or "") by endpoint."""
        found: list[EndpointInfo] = self.ask(endpoint, DumpRoom).endpoints
        return {
            one.endpoint: (one.device, one.role, one.stream.stream_id if one.stream else "") for one in found
        }

    def tell(self) -> None:
        """Lets everything be told that waits only for its pace."""
        self.clock.advance(0.1)
        self.settle()

    def heard(self, *endpoints: Endpoint) -> list[list[str]]:
        """What each heard since it was last asked."""
        self.tell()
        told = [endpoint.heard for endpoint in endpoints]
        for endpoint in endpoints:
            endpoint.heard = []
        return told

    def connected(self, channel: str = "room") -> dict[str, bool]:
        """Who is in a room, and whether with a connection."""
        room = self.wait(self.hub.administration.operate(ShowRoom("app", channel)))
        return {one.info.endpoint: one.connected for one in room.endpoints}
