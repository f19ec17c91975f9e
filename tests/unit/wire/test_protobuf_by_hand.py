"""Frames that are put together by hand are byte for byte what protobuf writes."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from imserver.model.messages import Content, Form, Message
from imserver.wire.protobuf import im_protocol_pb2 as pb
from imserver.wire.protobuf import tables
from imserver.wire.protobuf.encoding import accepted_frame, envelope, push_message, shared_push, splice_push

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
NUMBERS = st.one_of(st.sampled_from([1, 127, 128, 16383, 16384, 2**21 - 1, 2**21]), st.integers(1, 2**53))


class ByHand(SynchronousTestCase):
    @example(Message("i", "c", "c", 1, "a", "b", "g", "", Content(Form.TEXT, b"x"), 1.0, 1.0), 1, 1)
    @given(MESSAGES, NUMBERS, st.integers(0, 2**42))
    def test_pushes(self, message: Message, seq: int, now: int) -> None:
        body, _ = push = shared_push(message, now)
        self.assertEqual(body, push_message(message).SerializeToString())
        read = pb.WebSocketMessage.FromString(splice_push(push, seq))
        self.assertEqual((read.command, read.sequence, read.timestamp), (tables.PUSH_MSG, 0, now))
        self.assertEqual(pb.PushMessage.FromString(read.body), push_message(message, seq))

    @given(st.sampled_from([0, 1, 300, 2**32 - 1]), NAMES.filter(bool), NUMBERS, NUMBERS, NUMBERS)
    def test_answers(self, sequence: int, message_id: str, seq: int, server_time: int, now: int) -> None:
        answer = pb.SendMessageResponse(message_id=message_id, seq=seq, server_time=server_time)
        self.assertEqual(
            accepted_frame(sequence, message_id.encode(), seq, server_time, now),
            envelope(tables.SEND_MSG_RSP, sequence, answer.SerializeToString(), now),
        )
