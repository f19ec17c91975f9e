"""What crosses from node to node, as bytes: structs of a closed list, each under a number of its own.

A packed value is MessagePack: [number, fields]. Where a struct says of a field that anything may
stand there (a command, a list of events), that is packed in its turn, so a receiver never makes
anything but what is in the list. Numbers are never given twice: nodes of two versions understand each
other during a rolling restart as far as both know what they say.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Raw, Struct

from imserver.model import (
    accounts,
    admin,
    call_records,
    calls,
    conversations,
    extensions,
    file_relays,
    files,
    friends,
    group_admin,
    group_calls,
    groups,
    ice,
    messages,
    presence,
    room_admin,
    rooms,
)
from imserver.model.errors import ErrorCode, ImError
from imserver.services import (
    call_requests,
    file_nodes,
    file_relay_requests,
    group_call_requests,
    room_requests,
)
from imserver.services.ports import Seat


class Refusal(Struct, array_like=True, frozen=True, gc=False):
    """An ImError."""

    code: ErrorCode
    text: str

    def error(self) -> ImError:
        """The exception."""
        return ImError(self.code, self.text)


class CallRefusal(Struct, array_like=True, frozen=True, gc=False):
    """A CallError."""

    fault: calls.CallFault
    text: str
    call: str

    def error(self) -> ImError:
        """The exception."""
        return calls.CallError(self.fault, self.text, self.call)


class RoomRefusal(Struct, array_like=True, frozen=True, gc=False):
    """A RoomError."""

    fault: rooms.RoomFault
    text: str

    def error(self) -> ImError:
        """The exception."""
        return rooms.RoomError(self.fault, self.text)


TYPES: Mapping[int, type[Struct]] = {
    1: Refusal,
    2: CallRefusal,
    3: RoomRefusal,
    4: Seat,
    # What everybody may be told
    10: messages.TypingChanged,
    11: presence.PresenceChanged,
    12: groups.GroupChanged,
    13: extensions.OwnEvent,
    14: accounts.SessionKicked,
    # Calls
    20: call_requests.Start,
    21: call_requests.Act,
    22: call_requests.Join,
    23: call_requests.Leave,
    24: call_requests.Linked,
    25: calls.StartCall,
    26: calls.AnswerCall,
    27: calls.RejectCall,
    28: calls.EndCall,
    29: calls.SignalCall,
    30: calls.CallMedia,
    31: calls.CallIncoming,
    32: calls.CallRinging,
    33: calls.CallAnswered,
    34: calls.CallAccepted,
    35: calls.CallSignal,
    36: calls.CallEnded,
    37: calls.CallStopped,
    38: call_requests.Seated,
    # Calls of groups
    110: group_call_requests.GroupStart,
    111: group_call_requests.GroupAct,
    112: group_call_requests.GroupDrop,
    113: group_call_requests.GroupLinked,
    114: group_calls.GroupCallChanged,
    115: group_call_requests.GroupPart,
    # Files that are passed on
    120: file_relay_requests.RelayAct,
    121: file_relays.AcceptRelay,
    122: file_relays.RejectRelay,
    123: file_relays.EndRelay,
    124: file_relays.RelayOffered,
    125: file_relays.RelayAccepted,
    126: file_relays.RelayRejected,
    127: file_relays.RelayCompleted,
    128: file_relays.RelayFailed,
    129: file_relays.RelaysRequested,
    # Files that are kept
    130: files.FileOffered,
    131: files.FileStored,
    132: files.FileAccepted,
    133: files.FileRejected,
    134: files.FileDelivered,
    135: files.FileCancelled,
    136: files.Channel,
    137: files.FileEnded,
    138: files.TransferPage,
    139: file_nodes.FileNote,
    # Rooms
    40: room_requests.Enter,
    41: room_requests.Act,
    42: room_requests.Gone,
    43: room_requests.Moderate,
    44: room_requests.RoomNews,
    45: room_requests.RoomOver,
    46: rooms.JoinRoom,
    47: rooms.LeaveRoom,
    48: rooms.AddStream,
    49: rooms.DeleteStream,
    50: rooms.DumpRoom,
    51: rooms.DumpMediaServer,
    52: rooms.BroadcastInRoom,
    53: rooms.RoomJoined,
    54: rooms.RoomDump,
    55: rooms.MediaServerReply,
    56: rooms.EndpointChanged,
    57: rooms.StreamChanged,
    58: rooms.RoomBroadcast,
    59: rooms.RoomNotice,
    60: room_admin.ListRooms,
    61: room_admin.ShowRoom,
    62: room_admin.KickEndpoint,
    63: room_admin.CloseRoom,
    64: room_admin.RoomList,
    65: room_admin.RoomReply,
    # Sessions
    70: admin.ListSessions,
    71: admin.EndSession,
    72: admin.SessionList,
    # Answers that are remembered for retries
    80: messages.Done,
    81: messages.MessageAccepted,
    82: messages.MessageRevokedReply,
    83: messages.MessagesMarked,
    84: messages.InboxPage,
    85: messages.MessagePage,
    86: conversations.ConversationPage,
    87: presence.PresenceList,
    88: groups.GroupReply,
    89: groups.GroupList,
    90: groups.MemberList,
    91: group_admin.GroupPage,
    92: friends.FriendReply,
    93: friends.FriendList,
    94: call_records.CallPage,
    95: ice.IceServers,
    96: extensions.OwnReply,
    97: accounts.TokensRefreshed,
    98: accounts.Registered,
    99: admin.UserReply,
    100: admin.UserList,
    101: admin.TokenKeysRotated,
}
"""Every struct that may cross, by its number."""

_REFUSALS = (Refusal, CallRefusal, RoomRefusal)
_NOTHING = 0
_PLAIN, _ONE, _MANY = range(3)


class Unpackable(Exception):
    """Bytes that are no packed value of this version, or a value that may not cross."""


class _Form:
    """How one struct is written and read."""

    __slots__ = ("_decode", "_fields", "_shape", "kind", "number")

    def __init__(self, number: int, kind: type[Struct]) -> None:
        self.number = number
        self.kind = kind
        hints = typing.get_type_hints(kind)
        self._fields = [(name, _how(hints[name])) for name in kind.__struct_fields__]
        self._shape: type[Struct] | None = None
        self._decode: Callable[[Raw], Any]
        if all(how == _PLAIN for _, how in self._fields):
            self._decode = msgspec.msgpack.Decoder(kind).decode
        else:
            shapes = {_ONE: Raw, _MANY: list[Raw]}
            self._shape = msgspec.defstruct(
                kind.__name__,
                [(name, shapes.get(how, hints[name])) for name, how in self._fields],
                array_like=True,
            )
            self._decode = msgspec.msgpack.Decoder(self._shape).decode

    def fields(self, value: Any) -> Any:
        """The struct with what may be anything packed in its turn."""
        if self._shape is None:
            return value
        values = []
        for name, how in self._fields:
            field = getattr(value, name)
            if how == _ONE:
                field = Raw(pack(field))
            elif how == _MANY:
                field = [Raw(pack(one)) for one in field]
            values.append(field)
        return self._shape(*values)

    def read(self, raw: Raw) -> Any:
        """The struct again."""
        if self._shape is None:
            return self._decode(raw)
        shape = self._decode(raw)
        values = []
        for name, how in self._fields:
            field = getattr(shape, name)
            if how == _ONE:
                field = unpack(field)
            elif how == _MANY:
                field = [unpack(one) for one in field]
            values.append(field)
        return self.kind(*values)


def _how(hint: Any) -> int:
    """Whether a field is packed in its turn: it may be anything, or one of several structs."""
    if hint is Any:
        return _ONE
    origin = typing.get_origin(hint)
    if origin in (types.UnionType, typing.Union):
        structs = [one for one in typing.get_args(hint) if isinstance(one, type) and issubclass(one, Struct)]
        return _ONE if len(structs) > 1 else _PLAIN
    if origin is Sequence and typing.get_args(hint) == (Any,):
        return _MANY
    return _PLAIN


_FORMS = {number: _Form(number, type) for number, type in TYPES.items()}
_BY_TYPE = {form.kind: form for form in _FORMS.values()}
_encode = msgspec.msgpack.Encoder().encode
_envelope = msgspec.msgpack.Decoder(tuple[int, Raw]).decode


def pack(value: Any) -> bytes:
    """Writes a struct of the list, a refusal, or None.

    Raises:
        Unpackable: it is something else.
    """
    if value is None:
        return _encode((_NOTHING, None))
    if isinstance(value, ImError):
        value = _refusal(value)
    form = _BY_TYPE.get(type(value))
    if form is None:
        raise Unpackable(f"{type(value).__name__} does not cross from node to node")
    try:
        return _encode((form.number, form.fields(value)))
    except (UnicodeEncodeError, OverflowError) as error:
        raise Unpackable(f"{type(value).__name__} cannot be written: {type(error).__name__}") from None


def unpack(data: bytes | Raw) -> Any:
    """Reads what `pack` wrote. A refusal comes back as the exception, which is returned, not raised.

    Raises:
        Unpackable: it is nothing of this version.
    """
    try:
        number, raw = _envelope(data)
        if number == _NOTHING:
            return None
        form = _FORMS.get(number)
        if form is None:
            raise Unpackable(f"number {number} is not known here")
        value = form.read(raw)
    except (msgspec.DecodeError, RecursionError) as error:
        raise Unpackable(str(error)) from None
    return value.error() if isinstance(value, _REFUSALS) else value


def may_cross(value: Any) -> bool:
    """Whether `pack` takes it."""
    return value is None or isinstance(value, ImError) or type(value) in _BY_TYPE


def _refusal(error: ImError) -> Refusal | CallRefusal | RoomRefusal:
    if isinstance(error, calls.CallError):
        return CallRefusal(error.fault, error.text, error.call)
    if isinstance(error, rooms.RoomError):
        return RoomRefusal(error.fault, error.text)
    return Refusal(error.code, error.text)
