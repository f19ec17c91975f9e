"""Meeting rooms (document 003): who is in a room, and which streams they publish at a media server.

A room is (app, channel). In it are **endpoints**, each an instance of a client's SDK with a
connection of its own, and each with at most one stream. A **session** is an endpoint's key:
given when it joins, bound to account, room and endpoint, shown with every later request.
Media itself never comes here.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence

from msgspec import Struct

from imserver.model.errors import ErrorCode, ImError
from imserver.model.ids import name_fault

MAX_CODEC_BYTES = 64
MEDIA_KEYS = ("wss", "ws", "https", "http", "rtsp")
"""What a media server may be reached by, in the document's order."""
_PROTOCOLS = {"": MEDIA_KEYS, "webrtc": MEDIA_KEYS[:4], "rtsp": MEDIA_KEYS[4:]}


class RoomFault(enum.StrEnum):
    """Why a request was refused; `wire.meeting` has the numbers."""

    BAD_REQUEST = "bad_request"
    UNKNOWN_METHOD = "unknown_method"
    UNAUTHORISED = "unauthorised"
    BAD_SESSION = "bad_session"
    NOT_JOINED = "not_joined"
    CONFLICT = "conflict"
    NOT_FOUND = "not_found"
    FULL = "room_full"
    TOO_FAST = "too_fast"
    NO_MEDIA_SERVER = "no_media_server"
    VERSION = "version"
    INTERNAL = "internal"


FAULT_CODES = {
    RoomFault.BAD_REQUEST: ErrorCode.BAD_REQUEST,
    RoomFault.UNKNOWN_METHOD: ErrorCode.UNKNOWN_COMMAND,
    RoomFault.UNAUTHORISED: ErrorCode.AUTH_FAILED,
    RoomFault.BAD_SESSION: ErrorCode.FORBIDDEN,
    RoomFault.NOT_JOINED: ErrorCode.BAD_REQUEST,
    RoomFault.CONFLICT: ErrorCode.CONFLICT,
    RoomFault.NOT_FOUND: ErrorCode.NOT_FOUND,
    RoomFault.FULL: ErrorCode.CONFLICT,
    RoomFault.TOO_FAST: ErrorCode.TOO_FAST,
    RoomFault.NO_MEDIA_SERVER: ErrorCode.UNAVAILABLE,
    RoomFault.VERSION: ErrorCode.VERSION,
    RoomFault.INTERNAL: ErrorCode.INTERNAL,
}


class RoomError(ImError):
    """A refused request about a room.

    Args:
        fault: why.
        text: one sentence.
    """

    def __init__(self, fault: RoomFault, text: str) -> None:
        super().__init__(FAULT_CODES[fault], text)
        self.fault = fault


class EndpointRole(enum.StrEnum):
    """What an endpoint is for; only clients make a difference."""

    NORMAL = "normal"
    RECORDER = "recorder"
    RELAYER = "relayer"


class StreamType(enum.StrEnum):
    """What a stream shows."""

    CAMERA = "camera"
    DESKTOP = "desktop"


class RoomName(Struct, frozen=True, gc=False, order=True):
    """Which room."""

    app: str
    channel: str

    def __str__(self) -> str:
        return f"{self.app}/{self.channel}"


class Stream(Struct, frozen=True, gc=False):
    """A stream that is published at the media server; codecs as the client names them, "" = not told."""

    stream_id: str
    type: StreamType
    has_video: bool
    has_audio: bool
    audio_codec: str = ""
    video_codec: str = ""


# Commands. All but JoinRoom bear the session that JoinRoom gave.


class JoinRoom(Struct, frozen=True, gc=False):
    """Enter a room, which is made by that; or come back to it.

    Attributes:
        endpoint: "" = the server mints one.
        device: "" = the endpoint.
        session: "" = a new one is given; else the one that is to go on.
        token: an access token of any account.
    """

    app: str
    channel: str
    endpoint: str = ""
    role: EndpointRole = EndpointRole.NORMAL
    device: str = ""
    session: str = ""
    token: str = ""


class LeaveRoom(Struct, frozen=True, gc=False):
    """Leave, and give up everything one has there."""

    session: str


class AddStream(Struct, frozen=True, gc=False):
    """One's stream is published now."""

    session: str
    stream: Stream


class DeleteStream(Struct, frozen=True, gc=False):
    """One's stream is published no more."""

    session: str
    stream_id: str


class DumpRoom(Struct, frozen=True, gc=False):
    """Who is there?"""

    session: str


class DumpMediaServer(Struct, frozen=True, gc=False):
    """Where is the room's media server? `protocol`: see `addresses_for`."""

    session: str
    protocol: str = ""


class BroadcastInRoom(Struct, frozen=True, gc=False):
    """Tell all others in the room. `payload`: a compact JSON object that nobody here looks into."""

    session: str
    payload: bytes


# Replies; those without content are `messages.Done`


class RoomJoined(Struct, frozen=True):
    """The endpoint is in the room.

    Attributes:
        media_server: URLs by protocol; empty where there is none.
        endpoint: its name, where the client named none.
    """

    session: str
    media_server: Mapping[str, str]
    endpoint: str = ""


class EndpointInfo(Struct, frozen=True, gc=False):
    """One endpoint; `stream` None = it publishes nothing."""

    endpoint: str
    device: str
    role: EndpointRole
    stream: Stream | None = None


class RoomDump(Struct, frozen=True):
    """Everybody in the room, the asker included, in the order in which they came."""

    endpoints: Sequence[EndpointInfo]


class MediaServerReply(Struct, frozen=True):
    """The room's media server: URLs by protocol."""

    media_server: Mapping[str, str]


# Events


class EndpointChanged(Struct, frozen=True, gc=False):
    """An endpoint joined, or left."""

    endpoint: str
    device: str
    joined: bool


class StreamChanged(Struct, frozen=True, gc=False):
    """An endpoint's stream is published, or no more."""

    endpoint: str
    device: str
    stream_id: str
    published: bool


class RoomBroadcast(Struct, frozen=True, gc=False):
    """An endpoint tells all others something."""

    endpoint: str
    device: str
    payload: bytes


class Notice(enum.StrEnum):
    """What the server tells endpoints by an error event."""

    MEDIA_SERVER_CHANGED = "media_server_changed"
    """Ask for its addresses again."""
    REPLACED = "replaced"
    """The endpoint has another connection now. The first of those after which the connection is closed."""
    KICKED = "kicked"
    ROOM_CLOSED = "room_closed"
    LOGGED_OUT = "logged_out"
    """The log-in was revoked, or another one of too many sessions took its place."""
    TOO_SLOW = "too_slow"
    """It does not read what it is told."""
    SHUTDOWN = "shutdown"


class RoomNotice(Struct, frozen=True, gc=False):
    """An error event."""

    type: Notice


# Rules


def check_name(value: str, what: str, *, slash: bool = False) -> str:
    """Returns the name of an app, a channel, an endpoint, … unchanged.

    Raises:
        RoomError: BAD_REQUEST if it is none. "/" parts app and channel, so names may have it only
            where `slash` says so.
    """
    fault = name_fault(value)
    if fault is None and not slash and "/" in value:
        fault = 'contains "/"'
    if fault is not None:
        raise RoomError(RoomFault.BAD_REQUEST, f"{what} {fault}")
    return value


def addresses_for(protocol: str, addresses: Mapping[str, str]) -> dict[str, str]:
    """What of a media server's addresses a client asked for.

    Args:
        protocol: "webrtc", "rtsp", or "" for all.

    Raises:
        RoomError: BAD_REQUEST for another protocol.
    """
    keys = _PROTOCOLS.get(protocol)
    if keys is None:
        raise RoomError(RoomFault.BAD_REQUEST, "protocol must be webrtc or rtsp")
    return {key: addresses[key] for key in keys if key in addresses}


def may_enter(
    room: RoomName,
    role: EndpointRole,
    rooms: Sequence[str] | None,
    roles: Sequence[str] | None,
    *,
    trusting: bool = False,
) -> bool:
    """Whether a token lets its bearer into a room in a role.

    Args:
        rooms: the claim of this name: "<app>/<channel>", or "<app>/*"; None = every room.
        roles: likewise: names of roles; None = normal only.
        trusting: a demo server, where None means every role.
    """
    if rooms is not None and str(room) not in rooms and f"{room.app}/*" not in rooms:
        return False
    if roles is not None:
        return role.value in roles
    return trusting or role is EndpointRole.NORMAL
