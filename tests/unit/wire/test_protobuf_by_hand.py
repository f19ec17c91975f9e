"""Frames that are put together by hand are what protobuf writes; those read by hand are read as it does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from unittest import mock

from hypothesis import example, given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from imserver.model.messages import Content, Form, Message
from imserver.wire.base import WireError
from imserver.wire.protobuf import ProtobufServerCodec, server, tables
from imserver.wire.protobuf import im_protocol_pb2 as pb
from imserver.wire.protobuf.encoding import (
    accepted_frame,
    envelope,
    push_message,
    shared_push,
    splice_push,
    timestamp,
    to_ms,
    varint,
)
from imserver.wire.protobuf.plain_sends import plain_send

NAMES = st.one_of(st.text(max_size=20), st.text("a", min_size=120, max_size=135), st.just("é" * 64))
TIMES = st.one_of(
    st.sampled_from([0.0, -1.0, 0.0004, 1.0, 1e12]),
    st.floats(0, 4e9, allow_nan=False),
    st.just(1763716000.123),
)
CONTENTS = st.one_of(
    st.builds(Content, st.just(Form.TEXT), st.text(max_size=200).map(str.encode)),
    st.builds(Content, st.just(Form.TEXT), st.just(b"m" * 20_000)),
    st.builds(Content, st.just(Form.OPAQUE), st.binary(max_size=5), st.integers(-5, 200)),
    st.just(Content(Form.JSON, b'{"type":"text","text":"x","bold":true}', 0)),
)
MESSAGES = st.builds(
    Message, NAMES, NAMES, NAMES, st.just(1), NAMES, NAMES, st.one_of(st.just(""), NAMES), NAMES, CONTENTS,
    TIMES, TIMES, st.sampled_from([{}, {"a": "b"}]), st.sampled_from([b"", b'[{"x":1}]']),
    st.sampled_from([b"", b'{"x":1}']),
)  # fmt: skip
SEQUENCES = st.sampled_from([0, 1, 127, 128, 300, 2**32 - 1])
NUMBERS = st.one_of(st.sampled_from([1, 127, 128, 16383, 16384, 2**21 - 1, 2**21]), st.integers(1, 2**53))


class ByHand(SynchronousTestCase):
    @example(Message("i", "c", "c", 1, "a", "b", "g", "", Content(Form.TEXT, b"x"), 1.0, 1.0), 1, 1)
    @given(MESSAGES, NUMBERS, TIMES)
    def test_pushes(self, message: Message, seq: int, now: float) -> None:
        body, _ = push = shared_push(message, now)
        self.assertEqual(body, push_message(message).SerializeToString())
        read = pb.WebSocketMessage.FromString(splice_push(push, seq))
        self.assertEqual((read.command, read.sequence, read.timestamp), (tables.PUSH_MSG, 0, to_ms(now)))
        self.assertEqual(pb.PushMessage.FromString(read.body), push_message(message, seq))

    @given(SEQUENCES, NAMES.filter(bool), NUMBERS, TIMES.filter(to_ms), TIMES)
    def test_answers(self, sequence: int, message_id: str, seq: int, server_at: float, now: float) -> None:
        answer = pb.SendMessageResponse(message_id=message_id, seq=seq, server_time=to_ms(server_at))
        self.assertEqual(
            accepted_frame(sequence, message_id.encode(), seq, server_at, timestamp(now)),
            envelope(tables.SEND_MSG_RSP, sequence, answer.SerializeToString(), to_ms(now)),
        )

    @given(st.integers(0, 2**63 - 1))
    def test_numbers(self, number: int) -> None:
        self.assertEqual(
            b"\x10" + varint(number), pb.SyncRequest(max_seq=number).SerializeToString() or b"\x10\0"
        )


def outcome(frame: bytes, user: str, *, by_hand: bool) -> Any:
    """What comes of a frame."""
    codec = ProtobufServerCodec(lambda: 0.0)
    codec._user = user
    with mock.patch.object(server, "plain_send", plain_send if by_hand else lambda frame, user: None):
        try:
            return codec.decode(frame)
        except WireError as error:
            return error.code, error.text, error.tag, error.fatal, error.close_code


def field(number: int, payload: bytes) -> bytes:
    """A field of bytes."""
    return varint(number << 3 | 2) + varint(len(payload)) + payload


def sent(sequence: int, body: bytes, timestamp: int = 0) -> bytes:
    """The frame of a send."""
    return envelope(tables.SEND_MSG_REQ, sequence, body, timestamp)


def number_of(field: int) -> Callable[[bytes], bytes]:
    """Makes a field of a number that is written already."""
    return lambda value: varint(field << 3) + value


ODD_NUMBERS = st.sampled_from(
    [b"\0", b"\x81\0", b"\x80\1", b"\x80\x80\0", b"\xff" * 4 + b"\x7f", b"\xff" * 8 + b"\1",
     b"\xff" * 9 + b"\1", b"\xff" * 11, b""]
)  # fmt: skip
ODD_STRINGS = st.sampled_from(
    [
        b"",
        b"mallory",
        b"c" * 127,
        b"c" * 128,
        b"c" * 200,
        b"c" * 300,
        "\u4f60".encode(),
        b"\xff",
        b"\xed\xa0\x80",
    ]
)
PLAIN = [
    [b"", field(1, b"id"), field(1, b"i" * 127)],
    [b"", field(2, b"single_alice_bob")],
    [b"", field(3, b"alice"), field(3, b"mallory")],
    [field(4, b"bob"), field(5, b"group")],
    [b"\x30\1"],
    [field(7, b"hello"), field(7, b"m" * 300), field(7, "gr\u00fc\u00dfe".encode())],
    [b"", b"\x40" + varint(1763716000123), b"\x40\1"],
]
"""The pieces of a body that are usual, in their order."""
ODD_PIECES = st.one_of(
    st.just(b""),
    st.integers(1, 11).flatmap(lambda number: ODD_STRINGS.map(lambda text: field(number, text))),
    st.integers(1, 11).flatmap(lambda number: ODD_NUMBERS.map(number_of(number))),
    st.integers(0, 300).map(lambda value: b"\x30" + varint(value)),
    st.sampled_from([253402300799999, 253402300800000, 2**62, 2**64 - 1]).map(
        lambda value: b"\x40" + varint(value)
    ),
    st.just(pb.SendMessageRequest(extra={"k": "v"}).SerializeToString()),
    st.binary(max_size=3),
)


@st.composite
def frames(draw: st.DrawFn) -> bytes:
    """The frame of a send that is usual but for a few things."""
    pieces = [draw(st.sampled_from(choice)) for choice in PLAIN]
    for _ in range(draw(st.integers(0, 2))):
        place = draw(st.integers(0, len(pieces)))
        pieces[place : place + draw(st.integers(0, 1))] = [draw(ODD_PIECES)]
    sequence = varint(draw(SEQUENCES))
    rest = draw(st.sampled_from([b"", b"\x20" + varint(1763716000123)]))
    odd = draw(st.sampled_from(["", "", "", "", "sequence", "rest", "cut", "byte"]))
    if odd == "sequence":
        sequence = draw(ODD_NUMBERS)
    elif odd == "rest":
        rest = draw(st.one_of(ODD_NUMBERS.map(lambda value: b"\x20" + value), ODD_PIECES))
    whole = (
        b"\x08\xc8\1" + (b"\x10" + sequence if sequence != b"\0" else b"") + field(3, b"".join(pieces)) + rest
    )
    if odd == "cut":
        return whole[: draw(st.integers(3, len(whole)))]
    if odd == "byte":
        place = draw(st.integers(0, len(whole) - 1))
        return whole[:place] + draw(st.binary(min_size=1, max_size=1)) + whole[place + 1 :]
    return whole


class SendsByHand(SynchronousTestCase):
    @settings(max_examples=600)
    @given(frames(), st.sampled_from(["", "alice"]))
    def test_as_protobuf_does(self, frame: bytes, user: str) -> None:
        self.assertEqual(outcome(frame, user, by_hand=True), outcome(frame, user, by_hand=False))

    def test_a_length_of_two_bytes(self) -> None:
        """Taken for one of one byte, the end of the id would be the tag of a recipient."""
        body = field(1, b"c" * 127 + b"\x22") + field(2, b"v" * 17) + b"\x30\1" + field(7, b"x")
        frame = sent(1, body)
        self.assertEqual(outcome(frame, "alice", by_hand=True), outcome(frame, "alice", by_hand=False))

    def test_the_usual_ones(self) -> None:
        for more in ({}, {"send_time": 1763716000123}, {"conversation_id": "c"}, {"sender_id": "alice"}):
            for target in ({"receiver_id": "bob"}, {"group_id": "g"}):
                for text in (b"hello", "gr\u00fc\u00dfe".encode(), b"m" * 100_000):
                    request: Any = {"client_msg_id": "i", "message_type": 1, "content": text} | more | target
                    body = pb.SendMessageRequest(**request).SerializeToString()
                    for sequence in (0, 1, 127, 128, 70_000, 2**32 - 1):
                        for milliseconds in (0, 1763716000123):
                            self.assertIsNotNone(plain_send(sent(sequence, body, milliseconds), "alice"))
