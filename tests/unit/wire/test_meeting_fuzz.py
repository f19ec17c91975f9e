# ruff: noqa: UP031, E501
"""Nothing that a client writes may end in anything but a request or a WireError that can be answered."""

from __future__ import annotations

import contextlib
import json
import random
import unicodedata
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from imserver.model.errors import ErrorCode
from imserver.model.messages import Done
from imserver.model.rooms import (
    AddStream,
    BroadcastInRoom,
    EndpointChanged,
    EndpointInfo,
    EndpointRole,
    JoinRoom,
    MediaServerReply,
    RoomBroadcast,
    RoomDump,
    RoomError,
    RoomFault,
    RoomJoined,
    Stream,
    StreamChanged,
    StreamType,
)
from imserver.wire.base import Request, WireError
from imserver.wire.content import compact_json
from imserver.wire.meeting import MeetingClientCodec, MeetingServerCodec
from imserver.wire.meeting.requests import METHODS
from tests.clients.meeting_client import check_answer, check_event
from tests.effort import effort, seeds
from tests.unit.wire import test_meeting_golden as golden

FRAMES = [request.encode() for _, request, *_ in golden.METHODS]
TOLD = [answer.encode() for *_, answer, _ in golden.METHODS] + [text.encode() for text, _ in golden.EVENTS]
FRAGMENTS = [
    b"{", b"}", b"[", b"]", b'"', b":", b",", b"\\", b"null", b"true", b"-1", b"0", b"1e999", b"9" * 400,
    b'"\\ud800"', b"\xff", b"\xe7\x95", b"{}", b"[]", b'""', b"1.5", b" ", b"\x00", b"NaN", b"[" * 100,
    b'"cseq":1,', b'"data":', b'"channel.join"', b'"session":', b'"version":1,',
]  # fmt: skip

HOSTILE: list[Any] = [
    None, True, False, -1, 1, 2**53, 10**400, 1.5, "", " ", "a/b", "a\nb", "\u200b", "\x00", "x" * 300,
    "界" * 86, "\u212b", [], ["x"], {}, {"x": 1}, "normal", "camera",
]  # fmt: skip
"""Values of every type for every field."""


def judge(codec: MeetingServerCodec, frame: bytes) -> Request | WireError:
    """Decodes a message; what refuses it must be answerable as the contract allows."""
    try:
        request = codec.decode(frame)
    except WireError as error:
        if error.fatal:
            raise
        (answer,) = codec.refusal(error.tag, error)
        message = json.loads(answer)
        check_answer(message, error.tag.method if error.tag else "")
        if message["err"] not in (1, 2, 11):
            raise
        return error
    repr(request.command).encode()  # fails if a lone surrogate went in
    return request


class Hostile(SynchronousTestCase):
    def test_every_type_in_every_field(self) -> None:
        for text in FRAMES:
            whole = json.loads(text)
            places: list[tuple[Any, str]] = [(whole, name) for name in whole]
            data = whole["data"]
            if whole["method"] == "channel.join":
                data |= {"device": "d", "token": "t"}
            if whole["method"] != "broadcast":
                places += [(data, name) for name in data]
                places += [(data["stream"], name) for name in data.get("stream", ())]
            for holder, name in places:
                kept = holder[name]
                for value in HOSTILE:
                    holder[name] = value
                    judge(MeetingServerCodec(), json.dumps(whole).encode())
                del holder[name]
                judge(MeetingServerCodec(), json.dumps(whole).encode())
                holder[name] = kept

    def test_what_may_be_a_name(self) -> None:
        for field, required, slash in (
            ("app", True, False), ("channel", True, False), ("endpoint", False, False), ("device", False, True),
        ):  # fmt: skip
            for value in HOSTILE:
                data = {"app": "a", "channel": "c", field: value}
                frame = json.dumps({"method": "channel.join", "data": data}).encode()
                good = value in ("x", "normal", "camera") or (value == 1 and value is not True)
                good = good or (value in (None, "") and not required) or (value == "a/b" and slash)
                found = judge(MeetingServerCodec(), frame)
                self.assertEqual(isinstance(found, Request), good, (field, value, found))

    def test_the_order_of_faults(self) -> None:
        codec = MeetingServerCodec()
        for envelope, number, cseq in (
            ({"version": 2, "cseq": 7, "method": "?"}, 11, 7),
            ({"version": "0", "cseq": 7, "method": "?"}, 1, 7),
            ({"version": 0, "cseq": [], "method": "?"}, 1, 0),
            ({"cseq": 8, "method": "?", "data": []}, 2, 8),
            ({"cseq": 8, "method": "channel.dump", "session": 1}, 1, 8),
        ):
            with self.assertRaises(WireError) as caught:
                codec.decode(json.dumps(envelope).encode())
            (answer,) = codec.refusal(caught.exception.tag, caught.exception)
            told = json.loads(answer)
            self.assertEqual((told["err"], told["cseq"]), (number, cseq), envelope)

    def test_deep_and_unreadable(self) -> None:
        for data in (
            "[" * 5000 + "]" * 5000,
            '{"a":' * 100 + "1" + "}" * 100,
            '{"a":1e999}',
            '{"a":"\\ud800"}',
        ):
            frame = '{"cseq":3,"method":"broadcast","session":"s","data":%s}' % data
            found = judge(MeetingServerCodec(), frame.encode())
            self.assertIsInstance(found, WireError)
        for raw in (b"", b"\xff", b'{"method":"\xff"}', b'{"method":"channel.dump","x":"\xff"}', b"nul"):
            found = judge(MeetingServerCodec(), raw)
            assert isinstance(found, WireError)
            self.assertEqual(found.code, ErrorCode.BAD_REQUEST)


class Mutations(SynchronousTestCase):
    def test_frames_with_something_wrong(self) -> None:
        for seed in seeds(effort(3, 20, 100)):
            chance = random.Random(seed)
            codec, client = MeetingServerCodec(), MeetingClientCodec()
            for _ in range(effort(1000, 3000, 10_000)):
                judge(codec, mutated(chance, chance.choice(FRAMES)))
                with contextlib.suppress(WireError):
                    client.decode(mutated(chance, chance.choice(TOLD)))


def mutated(chance: random.Random, frame: bytes) -> bytes:
    """A frame with pieces cut out, put in or swapped."""
    data = bytearray(frame)
    for _ in range(chance.randint(1, 3)):
        at = chance.randrange(len(data) + 1)
        kind = chance.randrange(3)
        if kind == 0:
            del data[at : at + chance.randint(1, 6)]
        elif kind == 1:
            data[at:at] = chance.choice(FRAGMENTS)
        elif at < len(data):
            data[at] = chance.randrange(256)
    return bytes(data)


# Round trips

names = st.text(
    st.characters(codec="utf-8", exclude_categories=("C", "Z", "M")), min_size=1, max_size=20
).filter(lambda text: "/" not in text and text == text.strip() and _is_nfc(text))
words = st.text(st.characters(codec="ascii", min_codepoint=33, max_codepoint=126), max_size=64)
streams = st.builds(Stream, names, st.sampled_from(StreamType), st.booleans(), st.booleans(), words, words)
values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8"), max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=5), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip
payloads = st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=5), values, max_size=4).map(
    lambda value: compact_json(value, "payload")
)
urls = st.dictionaries(st.sampled_from(["wss", "ws", "https", "http", "rtsp"]), words.map(lambda x: "u" + x))
commands = (
    st.builds(JoinRoom, names, names, names | st.just(""), st.sampled_from(EndpointRole), names | st.just(""), words, words)
    | st.builds(AddStream, words, streams)
    | st.builds(BroadcastInRoom, words, payloads)
)  # fmt: skip
infos = st.builds(EndpointInfo, names, names, st.sampled_from(EndpointRole), st.none() | streams)
replies = (
    st.builds(RoomJoined, words, urls, names | st.just(""))
    | st.builds(RoomDump, st.lists(infos, max_size=4))
    | st.builds(MediaServerReply, urls)
)
events = (
    st.builds(EndpointChanged, names, names, st.booleans())
    | st.builds(StreamChanged, names, names, names, st.booleans())
    | st.builds(RoomBroadcast, names, names, payloads)
)
_ASKED: dict[Any, Any] = {
    RoomJoined: golden.METHODS[0],
    RoomDump: golden.METHODS[4],
    MediaServerReply: golden.METHODS[5],
    Done: golden.METHODS[1],
}


def _is_nfc(text: str) -> bool:
    return unicodedata.is_normalized("NFC", text)


class RoundTrips(SynchronousTestCase):
    @given(commands, st.integers(1, 2**53 - 1))
    def test_commands(self, command: Any, cseq: int) -> None:
        request = MeetingServerCodec().decode(MeetingClientCodec().request(command, cseq))
        assert request.command == command
        assert request.tag.cseq == cseq

    @given(replies)
    def test_replies(self, reply: Any) -> None:
        _, text, command, *_ = _ASKED[type(reply)]
        server, client = MeetingServerCodec(), MeetingClientCodec()
        client.request(command, 0)
        (frame,) = server.reply(server.decode(text.encode()), reply)
        assert client.decode(frame) == (0, reply)

    @given(events, st.text("0123456789abcdef", min_size=32, max_size=32))
    def test_events(self, event: Any, session: str) -> None:
        server = MeetingServerCodec()
        server.reply(server.decode(golden.METHODS[0][1].encode()), RoomJoined(session, {}))
        (frame,) = server.event(event)
        check_event(json.loads(frame), session)
        assert MeetingClientCodec().decode(frame) == (None, event)

    def test_refusals(self) -> None:
        for fault in RoomFault:
            server, client = MeetingServerCodec(), MeetingClientCodec()
            request = server.decode(client.request(golden.METHODS[1][2], 5))
            (frame,) = server.refusal(request.tag, RoomError(fault, "no"), request.command)
            tag, error = client.decode(frame)
            self.assertEqual((tag, error.fault, error.text), (5, fault, "no"))
            check_answer(json.loads(frame), "channel.leave")

    def test_every_method_is_known(self) -> None:
        self.assertEqual(set(METHODS), {json.loads(text)["method"] for text in FRAMES})
