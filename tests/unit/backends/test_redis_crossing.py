"""What crosses between nodes comes out as it went in, and nothing else comes out."""

from __future__ import annotations

import enum
import types
import typing
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from twisted.trial.unittest import SynchronousTestCase

from imserver.backends.redis.crossing import TYPES, Unpackable, may_cross, pack, unpack
from imserver.model import calls, file_relays, files, group_calls, room_admin, rooms
from imserver.model.accounts import KickReason, SessionKicked
from imserver.model.calls import CallError, CallFault, EndCall, Media
from imserver.model.errors import ErrorCode, ImError
from imserver.model.extensions import OwnEvent
from imserver.model.messages import TypingChanged
from imserver.model.rooms import RoomError, RoomFault
from imserver.services import (
    call_requests,
    file_nodes,
    file_relay_requests,
    group_call_requests,
    room_requests,
)
from imserver.services.ports import Seat


class Samples:
    """Values for every kind of field, no two alike."""

    def __init__(self) -> None:
        self._count = 0

    def of(self, hint: Any) -> Any:
        """Some value that the annotation allows."""
        self._count += 1
        count = self._count
        if hint is Any:
            return TypingChanged(f"c{count}", "é", True)
        simple = {str: f"text {count} 中", int: count * 2**33, float: count + 0.25, bool: bool(count % 2)}
        if hint in simple:
            return simple[hint]
        if hint is bytes:
            return bytes([count % 256, 0, 255])
        if isinstance(hint, type) and issubclass(hint, enum.Enum):
            return list(hint)[count % len(hint)]
        if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
            fields = typing.get_type_hints(hint)
            return hint(*(self.of(fields[name]) for name in hint.__struct_fields__))
        origin, arguments = typing.get_origin(hint), typing.get_args(hint)
        if origin in (types.UnionType, typing.Union):
            return self.of(next(one for one in arguments if one is not type(None)))
        if origin is tuple:
            return tuple(self.of(one) for one in arguments if one is not Ellipsis)
        if origin in (list, Sequence):
            return [self.of(arguments[0]) for _ in range(2)]
        if origin in (dict, Mapping):
            if arguments[1] is Any:
                return {"a": [1, None, {"b": "ü"}], "c": 1.5}
            return {self.of(arguments[0]): self.of(arguments[1])}
        if origin is typing.Literal:
            return arguments[0]
        raise AssertionError(f"no sample for {hint}")


def plain(value: Any) -> Any:
    """With sequences of one kind: whether they are lists or tuples is nobody's affair."""
    if isinstance(value, msgspec.Struct):
        fields = [plain(getattr(value, name)) for name in value.__struct_fields__]
        return type(value).__name__, fields
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    return value


class RoundTrip(SynchronousTestCase):
    def test_every_type(self) -> None:
        samples = Samples()
        for number, type in TYPES.items():
            if type.__name__.endswith("Refusal"):
                continue  # tested as errors
            for _ in range(3):
                value = samples.of(type)
                with self.subTest(number=number, type=type.__name__):
                    self.assertEqual(plain(value), plain(unpack(pack(value))))

    def test_nested_ones(self) -> None:
        seat = Seat("alice", "s", "n.1", Media.RELAY, "phone")
        for value in (
            call_requests.Act("c", seat, EndCall("c", "bye", b"{}"), named=False),
            call_requests.Linked("c", seat, calls.CallAnswered("c", "a", "b", 1.5, b"x")),
            call_requests.Linked("c", seat, calls.CallAccepted("c", "a", "b", 1.5)),
            room_requests.RoomNews(
                [rooms.EndpointChanged("e", "d", True), rooms.RoomBroadcast("e", "d", b"{}")],
                [room_requests.Share(0, (1, 3), ["x", "y"])],
            ),
            room_requests.Enter(seat, rooms.JoinRoom("a", "c", token="t")),
            room_requests.Moderate(room_admin.ListRooms("a/b", 3)),
        ):
            with self.subTest(type=type(value).__name__):
                self.assertEqual(plain(value), plain(unpack(pack(value))))

    def test_refusals(self) -> None:
        for error in (
            ImError(ErrorCode.UNAVAILABLE, "not now"),
            CallError(CallFault.BAD_REQUEST, "no", "c1"),
            RoomError(RoomFault.BAD_REQUEST, "no"),
            *(CallError(fault, "why", "") for fault in CallFault),
            *(RoomError(fault, "why") for fault in RoomFault),
        ):
            found = unpack(pack(error))
            self.assertIs(type(error), type(found))
            self.assertEqual(
                (error.code, error.text, getattr(error, "fault", None), getattr(error, "call", None)),
                (found.code, found.text, getattr(found, "fault", None), getattr(found, "call", None)),
            )

    def test_nothing(self) -> None:
        self.assertIsNone(unpack(pack(None)))

    def test_defaults_of_a_newer_or_older_version(self) -> None:
        """Plain structs are written by name, so fields with defaults may come and go."""
        number = next(number for number, type in TYPES.items() if type is Seat)
        older = msgspec.msgpack.encode([number, {"user": "a", "session": "s", "node": "n", "media": ""}])
        self.assertEqual(Seat("a", "s", "n", Media.NONE), unpack(older))
        newer = msgspec.msgpack.encode(
            [number, {"user": "a", "session": "s", "node": "n", "media": "", "device": "d", "more": 1}]
        )
        self.assertEqual(Seat("a", "s", "n", Media.NONE, "d"), unpack(newer))


class Closed(SynchronousTestCase):
    def test_other_values_do_not_cross(self) -> None:
        for value in (1, "text", [1], object(), rooms.RoomName("a", "b"), TypingChanged, Exception("x")):
            self.assertFalse(may_cross(value))
            self.assertRaises(Unpackable, pack, value)
        act = call_requests.Act("c", Seat("a", "s", "n", Media.NONE), {"command": 1})
        self.assertRaises(Unpackable, pack, act)
        self.assertRaises(Unpackable, pack, OwnEvent("x", {"s": "\ud800"}))

    def test_other_bytes_are_refused(self) -> None:
        good = pack(SessionKicked(KickReason.ACCOUNT, "bye"))
        deep = pack(OwnEvent("x", {"a": 1}))
        for data in (
            b"",
            b"\xc1",
            good[:-1],
            good + b"\0",
            msgspec.msgpack.encode([9999, {}]),
            msgspec.msgpack.encode([14, {"reason": 99, "text": ""}]),
            msgspec.msgpack.encode([14, ["x"]]),
            msgspec.msgpack.encode({"a": 1}),
            deep[:-1] + b"\x91" * 100_000,
        ):
            self.assertRaises(Unpackable, unpack, data)

    def test_all_that_calls_rooms_and_files_say_is_in_the_list(self) -> None:
        parts = {"CallQuality", "RoomName", "Stream", "EndpointInfo", "Share", "RoomInfo", "SeatedEndpoint"}
        # Of files, commands of sessions do not cross.
        parts |= {"StartGroupCall", "RequestRelay", "RelayTo", "FileInfo"}
        parts |= {name for name in vars(files) if name.endswith(("File", "Chunk", "Chunks", "Transfer"))}
        parts |= {"ListTransfers"}
        mine = (group_calls, file_relays, files, file_nodes, file_relay_requests, group_call_requests)
        listed = {type.__name__ for type in TYPES.values()} | parts
        for module in (calls, rooms, room_admin, call_requests, room_requests, *mine):
            for name, value in vars(module).items():
                if (
                    isinstance(value, type)
                    and issubclass(value, msgspec.Struct)
                    and value is not msgspec.Struct
                ):
                    self.assertIn(name, listed)
