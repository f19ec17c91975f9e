"""Compressed payloads: bounded inflation in, and out only for clients that want it."""

from __future__ import annotations

import base64
import json
import os
import zlib
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from imserver.model.errors import ErrorCode
from imserver.model.messages import Content, Form, InboxPage, InboxRow, Message, MessagePage, SendMessage
from imserver.wire.base import WireError
from imserver.wire.jsonline import JsonLineServerCodec
from imserver.wire.jsonline.compression import MAX_INFLATED

PAYLOAD = {"target": {"type": "user", "id": "bob"}, "content": {"type": "text", "text": "hi " * 500}}


def packed(payload: Any, headers: Any = None, **form: Any) -> bytes:
    """A line whose payload is compressed; bytes are compressed as they are."""
    raw = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    data = base64.b64encode(zlib.compress(raw)).decode()
    line = {
        "id": "1",
        "command": "message/send",
        "headers": headers or {"encoding": "zlib"},
        "payload": {"data": data},
    }
    return json.dumps({**line, **form}).encode()


class In(SynchronousTestCase):
    def setUp(self) -> None:
        self.codec = JsonLineServerCodec(lambda: 5.0)

    def refused(self, line: bytes, code: ErrorCode = ErrorCode.BAD_REQUEST) -> None:
        error = self.assertRaises(WireError, self.codec.decode, line)
        self.assertIs(error.code, code, line[:100])
        self.assertFalse(error.fatal)
        self.assertEqual(json.loads(self.codec.refusal(error.tag, error)[0])["id"], "1")

    def test_as_if_it_were_not(self) -> None:
        command = self.codec.decode(packed(PAYLOAD)).command
        self.assertIsInstance(command, SendMessage)
        self.assertEqual(command.content.data, b"hi " * 500)

    def test_what_is_none(self) -> None:
        whole = zlib.compress(json.dumps(PAYLOAD).encode())
        payloads: tuple[Any, ...] = (
            {},
            {"data": 5},
            {"data": "***"},
            {"data": "é"},
            {"data": ""},
            PAYLOAD,
            [],
            None,
            *(
                {"data": base64.b64encode(data).decode()}
                for data in (os.urandom(50), whole[:-5], whole + b"x", whole * 2)
            ),
        )
        for payload in payloads:
            line = {"id": "1", "command": "message/send", "headers": {"encoding": "zlib"}, "payload": payload}
            self.refused(json.dumps(line).encode())
        for raw in (b"[]", b"x", b"", b'{"a":'):
            self.refused(packed(raw))
        for encoding in ("gzip", "", "ZLIB"):
            self.refused(packed(PAYLOAD, {"encoding": encoding}))

    def test_bombs(self) -> None:
        longest = b'{"a":"%b"}' % (b"x" * (MAX_INFLATED - 8))
        self.codec.decode(packed(longest, command="control/ping"))
        self.refused(packed(longest + b" "), ErrorCode.TOO_LARGE)
        self.refused(packed(bytes(150 * 1024 * 1024)), ErrorCode.TOO_LARGE)


class Out(SynchronousTestCase):
    def setUp(self) -> None:
        self.codec = JsonLineServerCodec(lambda: 5.0)
        message = Message("m", "c", "c", 1, "bob", "alice", "", "", Content(Form.TEXT, b"x" * 5000), 1.0, 1.0)
        self.row = InboxRow(1, message)

    def say(self, headers: Any) -> dict[str, Any]:
        """The answer to a history request with these headers."""
        line = {"id": "1", "command": "message/history", "headers": headers}
        request = self.codec.decode(json.dumps(line).encode())
        (answer,) = self.codec.reply(request, MessagePage([self.row], "c:1", False))
        found: dict[str, Any] = json.loads(answer)
        return found

    def test_only_for_those_who_want_it(self) -> None:
        clear = self.say({"encoding": None})["payload"]
        self.assertIn("messages", clear)
        answer = self.say({"accept_encoding": "zlib", "trace": 7})
        self.assertEqual(answer["headers"], {"encoding": "zlib", "trace": 7})
        self.assertEqual(json.loads(zlib.decompress(base64.b64decode(answer["payload"]["data"]))), clear)
        (page,) = map(json.loads, self.codec.backlog(InboxPage([self.row], 1, 1, False, "e")))
        self.assertEqual(page["headers"], {"encoding": "zlib"})
        self.assertIn("messages", json.loads(zlib.decompress(base64.b64decode(page["payload"]["data"]))))
        # What is pushed is the same for all sessions.
        self.assertIn(b'"text"', self.codec.splice(self.codec.shared(self.row.message), 7))
        self.assertIn("messages", self.say({"accept_encoding": ""})["payload"])

    def test_short_payloads_are_not_worth_it(self) -> None:
        line = b'{"id":"1","command":"nope","headers":{"accept_encoding":"zlib"}}'
        error = self.assertRaises(WireError, self.codec.decode, line)
        self.assertIn("status", json.loads(self.codec.refusal(error.tag, error)[0])["payload"])
