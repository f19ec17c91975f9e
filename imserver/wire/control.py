"""What the command line and a running server say to each other over the control socket.

JSON lines, one answer per request, in order:

    {"id":1,"command":"CreateUser","arguments":{"user":"alice","password":"…"}}
    {"id":1,"reply":"UserReply","value":{"user":{"user":"alice",…}}}
    {"id":1,"error":"USER_EXISTS","text":"this user exists already"}

Commands and replies are the structs of `imserver.model` by their names.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec
from msgspec import Struct

from imserver.model import admin, group_admin, groups, key_admin, messages, room_admin
from imserver.model.errors import ErrorCode, ImError

MAX_LINE = 4 * 1024 * 1024
"""Bytes of the longest line: a group of 10,000 members with the longest names, created or described."""


class Describe(Struct, frozen=True, gc=False):
    """Ask who is there."""


class ServerInfo(Struct, frozen=True, gc=False):
    """Reply to Describe: version and process id of the server."""

    version: str
    pid: int


COMMANDS: Final[dict[str, type]] = {
    kind.__name__: kind
    for kind in (
        Describe,
        admin.ChangePassword,
        admin.CreateUser,
        admin.DisableUser,
        admin.EnableUser,
        admin.EndSession,
        admin.InspectToken,
        admin.IssueTokens,
        admin.KickUser,
        admin.ListSessions,
        admin.ListUsers,
        admin.RotateTokenKeys,
        admin.SetRole,
        group_admin.AddMember,
        group_admin.CreateGroupFor,
        group_admin.DescribeGroup,
        group_admin.ListAllGroups,
        group_admin.RemoveGroup,
        group_admin.RemoveMember,
        room_admin.CloseRoom,
        room_admin.KickEndpoint,
        room_admin.ListRooms,
        room_admin.ShowRoom,
        key_admin.AddMessageKey,
        key_admin.ListMessageKeys,
        key_admin.RemoveMessageKey,
    )
}
REPLIES: Final[dict[str, type]] = {
    kind.__name__: kind
    for kind in (
        ServerInfo,
        admin.SessionList,
        admin.TokenKeysRotated,
        admin.TokenReply,
        admin.TokensIssued,
        admin.UserList,
        admin.UserReply,
        group_admin.GroupPage,
        groups.GroupReply,
        key_admin.MessageKeyAdded,
        key_admin.MessageKeyList,
        messages.Done,
        room_admin.RoomList,
        room_admin.RoomReply,
    )
}


class ControlError(Exception):
    """A line that is none of this protocol; `id` is what to answer, 0 if it could not be read."""

    def __init__(self, text: str, id: int = 0) -> None:
        super().__init__(text)
        self.text = text
        self.id = id


class _Request(Struct, frozen=True, forbid_unknown_fields=True):
    id: int
    command: str
    arguments: dict[str, Any] = {}


class _Answer(Struct, frozen=True, omit_defaults=True):
    id: int
    reply: str = ""
    value: Any = None
    error: str = ""
    text: str = ""


_encode: Final = msgspec.json.Encoder().encode
_requests: Final = msgspec.json.Decoder(_Request)
_answers: Final = msgspec.json.Decoder(_Answer)


def encode_request(id: int, command: Any) -> bytes:
    """A request without its line end."""
    return _encode(_Request(id, type(command).__name__, msgspec.to_builtins(command)))


def decode_request(line: bytes) -> tuple[int, Any]:
    """(id, command) of a request. Raises ControlError."""
    try:
        request = _requests.decode(line)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise ControlError("not a request") from None
    kind = COMMANDS.get(request.command)
    if kind is None:
        raise ControlError("an unknown command", request.id)
    if not request.arguments.keys() <= set(kind.__struct_fields__):  # type: ignore[attr-defined]
        # What an older server does not know must not pass silently.
        raise ControlError(f"{request.command}: an unknown argument", request.id)
    try:
        return request.id, msgspec.convert(request.arguments, kind)
    except (msgspec.ValidationError, ValueError) as error:
        raise ControlError(f"{request.command}: {error}", request.id) from None


def encode_reply(id: int, reply: Any) -> bytes:
    """An answer without its line end."""
    return _encode(_Answer(id, type(reply).__name__, msgspec.to_builtins(reply)))


def encode_refusal(id: int, error: ImError) -> bytes:
    """A refusal without its line end."""
    return _encode(_Answer(id, error=error.code.value, text=error.text))


def decode_answer(line: bytes) -> tuple[int, Any]:
    """(id, reply struct or ImError). Raises ControlError."""
    try:
        answer = _answers.decode(line)
        if answer.error:
            return answer.id, ImError(ErrorCode(answer.error), answer.text)
        return answer.id, msgspec.convert(answer.value, REPLIES[answer.reply])
    except (msgspec.MsgspecError, ValueError, LookupError, RecursionError):
        raise ControlError("the server's answer cannot be read; is it of another version?") from None
