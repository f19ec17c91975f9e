"""Pushes of messages in a row are what each of them would be by itself."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from imserver.model.messages import Content, Form, Message, Revocation
from imserver.wire.jsonline import JsonLineServerCodec
from imserver.wire.jsonline.chat_app.server import ChatAppServerCodec
from imserver.wire.jsonline.secured import SecuredJsonLineServerCodec
from imserver.wire.protobuf import ProtobufServerCodec

NOW = 1_763_716_000.123
TIMES = st.sampled_from([NOW, NOW, NOW + 0.5, NOW + 86400, 0.0, 1e15])
TEXTS = st.sampled_from([b"hi", b"x" * 127, b"x" * 128, b"y" * 20_000, "ü".encode(), b'"', b"\x00", b""])
PLAIN = st.builds(
    Message,
    message_id=st.sampled_from(["0" * 28, "f" * 28, "é", "i" * 128, ""]),
    conversation=st.sampled_from(["single_a_b", "single_a_b", "single_a_ü", 'a"b', "c" * 200, ""]),
    canonical=st.just("single_a_b"),
    position=st.just(1),
    sender=st.sampled_from(["a", "a", "ä", ""]),
    recipient=st.sampled_from(["b", "b", "b" * 128, ""]),
    group=st.just(""),
    client_id=st.sampled_from(["", "c-1", "ç", "c" * 127, "c" * 128]),
    content=st.builds(Content, st.just(Form.TEXT), TEXTS),
    sent_at=TIMES,
    server_at=TIMES,
)
UNUSUAL = st.builds(
    Message,
    message_id=st.just("e" * 28),
    conversation=st.just("single_a_b"),
    canonical=st.just("single_a_b"),
    position=st.just(1),
    sender=st.just("a"),
    recipient=st.sampled_from(["b", ""]),
    group=st.sampled_from(["", "g"]),
    client_id=st.just("c-2"),
    content=st.sampled_from([Content(Form.TEXT, b"hi"), Content(Form.JSON, b'{"type":"x"}', 0)]),
    sent_at=TIMES,
    server_at=TIMES,
    extra=st.sampled_from([{}, {"k": "v"}]),
    attachments=st.sampled_from([b"", b'[{"url":"x"}]']),
    meta=st.sampled_from([b"", b'{"m":1}']),
    revoked=st.sampled_from([None, Revocation("a", NOW)]),
)
COMMON = st.builds(
    Message,
    message_id=st.sampled_from(["1" * 28, "2" * 28]),
    conversation=st.just("single_a_b"),
    canonical=st.just("single_a_b"),
    position=st.just(1),
    sender=st.just("a"),
    recipient=st.just("b"),
    group=st.just(""),
    client_id=st.sampled_from(["c-1", ""]),
    content=st.builds(
        Content, st.just(Form.TEXT), st.binary(max_size=300).map(lambda data: data.hex().encode())
    ),
    sent_at=st.sampled_from([NOW, NOW + 1]),
    server_at=st.just(NOW),
)
ROWS = st.lists(st.one_of(COMMON, PLAIN, UNUSUAL), min_size=1, max_size=6)
SEQS = st.sampled_from([1, 126, 127, 16_382, 2**21 - 2, 2**40])


class PushedTest(SynchronousTestCase):
    def check(self, codec: Any, row: list[Message], seq: int) -> list[bytes]:
        """What comes of a row; the same as one by one."""
        pushed: list[bytes] = codec.pushed(row, seq)
        if isinstance(codec, JsonLineServerCodec):
            pushed = [line.removesuffix(b"\n") for line in pushed]  # which its protocol would add
        each = [codec.splice(codec.shared(message), number) for number, message in enumerate(row, seq)]
        self.assertEqual(each, pushed)
        return pushed

    @given(ROWS, SEQS)
    def test_protobuf(self, row: list[Message], seq: int) -> None:
        self.check(ProtobufServerCodec(lambda: NOW), row, seq)

    @given(st.lists(COMMON, min_size=1, max_size=20), SEQS)
    def test_protobuf_as_nearly_all_are(self, row: list[Message], seq: int) -> None:
        self.check(ProtobufServerCodec(lambda: NOW), row, seq)

    @given(ROWS, SEQS)
    def test_jsonline(self, row: list[Message], seq: int) -> None:
        self.check(JsonLineServerCodec(lambda: NOW), row, seq)

    @given(st.lists(COMMON, min_size=1, max_size=20), SEQS)
    def test_jsonline_as_nearly_all_are(self, row: list[Message], seq: int) -> None:
        self.check(JsonLineServerCodec(lambda: NOW), row, seq)

    def test_dialects_and_sealed_lines_are_written_one_by_one(self) -> None:
        self.assertIsNone(ChatAppServerCodec.pushed)
        self.assertIsNone(SecuredJsonLineServerCodec.pushed)
