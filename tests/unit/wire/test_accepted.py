"""Answers to sends in a row are what each of them would be by itself."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from twisted.trial.unittest import SynchronousTestCase

from imserver.model.messages import Content, Form, MessageAccepted, SendMessage
from imserver.wire.base import Request
from imserver.wire.jsonline import JsonLineServerCodec
from imserver.wire.jsonline.chat_app.server import ChatAppServerCodec
from imserver.wire.jsonline.commands import MsgType
from imserver.wire.jsonline.secured import SecuredJsonLineServerCodec
from imserver.wire.jsonline.tags import Tag
from imserver.wire.protobuf import ProtobufServerCodec
from imserver.wire.protobuf import Tag as ProtobufTag
from imserver.wire.protobuf.tables import SEND_MSG_REQ
from imserver.wire.qdatastream import Framing, QDataStreamServerCodec

NOW = 1_763_716_000.123
COMMAND = SendMessage(Content(Form.TEXT, b"hello"), recipient="bob")
# Names and times change within a row now and then.
REPLIES = st.builds(
    MessageAccepted,
    st.sampled_from(["0" * 28, "f" * 28]),
    st.sampled_from(["single_a_b", "single_a_ü", 'a"b']),
    st.integers(1, 2**40),
    st.sampled_from([NOW, NOW + 0.5, NOW + 86400]),
    st.booleans(),
)
TAGS = st.builds(
    Tag,
    st.sampled_from([b"null", b'"m1"', b"7"]),
    st.sampled_from([b'"message/send"', b'"msg.send"']),
    st.just(MsgType.SEND),
    st.booleans(),
    st.sampled_from([b"", b'"trace"']),
    st.booleans(),
)
PROTOBUF_TAGS = st.builds(
    ProtobufTag,
    st.sampled_from([0, 1, 127, 128, 2**32 - 1]),
    st.just(SEND_MSG_REQ),
    st.sampled_from(["", "client-1"]),
)


def rows(tags: Any) -> Any:
    return st.lists(st.tuples(tags, REPLIES), max_size=12)


class AcceptedTest(SynchronousTestCase):
    def check(self, codec: Any, row: list[tuple[Any, MessageAccepted]]) -> list[bytes]:
        """What comes of a row; the same as one by one."""
        requests = [Request(COMMAND, tag) for tag, _ in row]
        replies = [reply for _, reply in row]
        together: list[bytes] = codec.accepted(requests, replies)
        if isinstance(codec, JsonLineServerCodec):
            together = [line.removesuffix(b"\n") for line in together]  # which its protocol would add
        alone = [
            frame
            for request, reply in zip(requests, replies, strict=True)
            for frame in codec.reply(request, reply)
        ]
        self.assertEqual(alone, together)
        return together

    @given(rows(PROTOBUF_TAGS), st.booleans())
    def test_protobuf(self, row: Any, echo: bool) -> None:
        self.assertEqual(
            len(row), len(self.check(ProtobufServerCodec(lambda: NOW, echo_client_id=echo), row))
        )

    @given(rows(TAGS), st.booleans())
    def test_jsonline(self, row: Any, deflate: bool) -> None:
        codec = JsonLineServerCodec(lambda: NOW)
        codec._deflate = deflate
        told = self.check(codec, row)
        self.assertEqual(len([tag for tag, _ in row if not tag.silent]), len(told))

    @given(rows(TAGS))
    def test_secured(self, row: Any) -> None:
        """Each is closed, and once."""
        closed: list[bytes] = []

        class Security:
            active = True

            def close(self, line: bytes) -> bytes:
                closed.append(line)
                return b"<" + line + b">"

        security: Any = Security()
        told = self.check(SecuredJsonLineServerCodec(lambda: NOW, security), row)
        plain = self.check(JsonLineServerCodec(lambda: NOW), row)
        self.assertEqual([b"<" + line + b">" for line in plain], told)
        self.assertEqual(plain * 2, closed)

    @given(rows(TAGS))
    def test_chat_app(self, row: Any) -> None:
        self.check(ChatAppServerCodec(lambda: NOW), row)

    def test_qdatastream_has_none(self) -> None:
        codec = QDataStreamServerCodec()
        codec.framing = Framing.INT16
        reply = MessageAccepted("0" * 28, "single_a_b", 1, NOW)
        self.assertEqual([], self.check(codec, [(0, reply), (0, replace(reply, seq=2))]))
