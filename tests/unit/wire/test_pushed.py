"""Pushes of messages in a row are what each of them would be by itself."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from twisted.trial.unittest import SynchronousTestCase

from imserver.model.message_rows import MessageRow, row_of
from imserver.model.messages import Content, Form, Message
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
    recipient=st.sampled_from(["b", "b", "b" * 128]),
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
    recipient=st.just("b"),
    group=st.just(""),
    client_id=st.just("c-2"),
    content=st.sampled_from([Content(Form.TEXT, b"hi"), Content(Form.JSON, b'{"type":"x"}', 0)]),
    sent_at=TIMES,
    server_at=TIMES,
    extra=st.sampled_from([{}, {"k": "v"}]),
    attachments=st.sampled_from([b"", b'[{"url":"x"}]']),
    meta=st.sampled_from([b"", b'{"m":1}']),
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


def as_in_a_row(messages: list[Message]) -> list[Message]:
    """With what a row has in common, and times as the store gives them."""
    first = messages[0]
    return [
        replace(
            message,
            conversation=first.conversation,
            sender=first.sender,
            recipient=first.recipient,
            position=first.position + number,
            sent_at=message.sent_at or message.server_at,
        )
        for number, message in enumerate(messages)
    ]


def row_anew(messages: list[Message]) -> MessageRow:
    """The row that has no message, only what messages are made of."""
    row = row_of(messages)
    first = messages[0]
    return MessageRow(
        first.conversation, first.canonical, first.sender, first.recipient, first.position,
        # As from clients that do not say when.
        [
            replace(send, sent_at=0.0) if send.sent_at == accepted.server_at else send
            for send, accepted in zip(row.sends, row.accepted, strict=True)
        ],
        row.accepted,
    )  # fmt: skip


class PushedTest(SynchronousTestCase):
    def check(self, codec: Any, messages: list[Message], seq: int) -> None:
        """What comes of a row is the same as one by one."""
        messages = as_in_a_row(messages)
        each = [codec.splice(codec.shared(message), number) for number, message in enumerate(messages, seq)]
        for row in (row_of(messages), row_anew(messages)):
            pushed: list[bytes] = codec.pushed(row, seq)
            if isinstance(codec, JsonLineServerCodec):
                pushed = [line.removesuffix(b"\n") for line in pushed]  # which its protocol would add
            self.assertEqual(each, pushed)

    @given(ROWS)
    def test_a_row_has_the_messages_that_it_was_made_of(self, messages: list[Message]) -> None:
        messages = as_in_a_row(messages)
        self.assertEqual(messages, row_anew(messages).each())
        self.assertIs(messages, row_of(messages).each())

    def test_messages_may_follow_after_they_were_asked_for(self) -> None:
        content = Content(Form.TEXT, b"hi")
        one, two = (Message(f"{n}", "c", "c", n, "a", "b", "", "", content, 1.0, 1.0) for n in (1, 2))
        row, other = row_anew([one]), row_of([two])
        self.assertEqual([one], row.each())
        row.sends += other.sends
        row.accepted += other.accepted
        self.assertEqual(2, len(row))
        self.assertEqual([one, two], row.each())

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
