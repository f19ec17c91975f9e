"""Pushes that are written in one go are byte for byte what the general way writes."""

from __future__ import annotations

import json
from unittest import mock

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from imserver.model.messages import Content, Form, Message, Revocation
from imserver.wire.content import from_json
from imserver.wire.jsonline import pushes
from imserver.wire.jsonline.commands import find
from imserver.wire.jsonline.pushes import shared_push
from imserver.wire.jsonline.tags import tag_of
from tests.sources import only_on_sources

NAMES = st.one_of(st.text(st.characters(exclude_categories=["Cs"]), max_size=20), st.just('"\\\x7f é😀'))
MAYBE = st.one_of(st.just(""), NAMES)
TIMES = st.one_of(st.sampled_from([0.0, 0.9, 1763716000.999]), st.floats(0, 4e9, allow_nan=False))
CONTENTS = st.one_of(
    st.builds(Content, st.just(Form.TEXT), NAMES.map(str.encode)),
    st.builds(Content, st.just(Form.OPAQUE), st.binary(max_size=5), st.integers(-5, 200)),
    st.just(Content(Form.JSON, b'{"type":"text","text":"x","bold":true}', 0)),
)
MESSAGES = st.builds(
    Message, NAMES, NAMES, NAMES, st.just(1), NAMES, MAYBE, MAYBE, MAYBE, CONTENTS, TIMES, TIMES,
    st.sampled_from([{}, {"a": "b"}]), st.sampled_from([b"", b'[{"x":1}]']),
    st.sampled_from([b"", b'{"x":1}']), st.sampled_from([None, None, Revocation("me", 5.0)]),
)  # fmt: skip


class ByHand(SynchronousTestCase):
    @given(MESSAGES)
    def test_pushes(self, message: Message) -> None:
        head, tail = shared_push(message)
        self.assertEqual((head, tail), self.general(message))
        json.loads(b"%b1%b" % (head, tail))

    @staticmethod
    def general(message: Message) -> tuple[bytes, bytes]:
        with (
            mock.patch.object(pushes, "_plain_push", side_effect=AssertionError),
            mock.patch.object(pushes, "Form", mock.Mock(TEXT=-1)),
        ):
            return shared_push(message)

    @given(NAMES, NAMES, NAMES, NAMES)
    def test_plain_texts_are(self, sender: str, recipient: str, client_id: str, text: str) -> None:
        only_on_sources()
        content = Content(Form.TEXT, text.encode())
        message = Message("m", "c", "c", 1, sender, recipient or "r", "", client_id, content, 0.0, 0.0)
        with mock.patch.object(pushes, "message_fields", side_effect=AssertionError):
            shared_push(message)


class Reading(SynchronousTestCase):
    def test_a_text_is_one_with_nothing_beside_it(self) -> None:
        self.assertEqual(from_json({"type": "text", "text": "x"}), Content(Form.TEXT, b"x", 1))
        self.assertEqual(from_json({"text": "x", "type": "text"}), Content(Form.TEXT, b"x", 1))
        for more in ({"bold": True}, {"x": None}):
            self.assertEqual(from_json({"type": "text", "text": "x", **more}).form, Form.JSON)

    def test_a_command_is_answered_as_it_was_spelled(self) -> None:
        for spelling, room in (("message/send", False), ("message.send", False), ("room.join", True)):
            for _ in range(2):
                tag = tag_of("1", spelling, find(spelling), "request")
                assert tag is not None
                self.assertEqual((json.loads(tag.command), tag.room), (spelling, room))
