"""Whatever a client of the dialect chat-app writes, what comes back is a line that it can read."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from imserver.model.errors import ErrorCode, ImError
from imserver.wire.base import Request, WireError
from imserver.wire.jsonline.chat_app import ChatAppClientCodec, ChatAppServerCodec
from imserver.wire.jsonline.chat_app.commands import COMMANDS
from tests.clients import chat_app_client
from tests.effort import effort
from tests.unit.wire.test_chat_app_golden import MESSAGE, asked
from tests.unit.wire.test_jsonline_fuzz import read_by_client, scalars, try_mutants, values

SEEDS = [
    asked("auth/login", {"username": "a", "password": "0" * 64, "client_info": {"device": "d"}}),
    asked("auth/refresh", {"token": "t"}),
    asked("message/send", {"target": {"type": "user", "id": "b"}, "content": {"type": "text", "text": "é"}}),
    asked("message/history", {"since": "c:5~2", "limit": "7"}),
    asked("room/create", {"room_id": "r", "encrypted": "true", "password": 5}),
    asked("friend/accept", {"request_id": "5"}),
    asked("voice/call", {"call_type": "group", "target": {"type": "room", "id": "r"}}),
    asked("voice/data", {"call_id": "c", "data": "00ff"}, type="event"),
]
PUSHES = [
    ChatAppServerCodec(lambda: 5.0).splice(ChatAppServerCodec(lambda: 5.0).shared(MESSAGE), 5),
    b'{"id":"q","type":"response","timestamp":1,"command":"auth/login_ack","headers":{"version":"1.0"},'
    b'"payload":{"status":200,"token":"t","user_id":"a","expires_in":5}}',
    b'{"id":"q","type":"event","timestamp":1,"command":"voice/event","headers":{"version":"1.0"},"payload":'
    b'{"event_type":"ended","call_id":"c","call_type":"direct","target_id":"b","initiator":"a","user_id":"a"}}',
    b'{"id":"q","type":"event","timestamp":1,"command":"friend/event","headers":{"version":"1.0"},"payload":'
    b'{"event_type":"new_request","request_id":1,"from_user":"a","target_id":"b","message":"","created_at":1}}',
]
lines = st.fixed_dictionaries(
    {"command": st.sampled_from([*COMMANDS, "room/join", "room.kick", "x"]) | scalars},
    optional={"id": scalars, "type": scalars, "timestamp": scalars, "headers": values, "payload": values},
)


def judge(codec: ChatAppServerCodec, line: bytes) -> None:
    """Decodes a line, and refuses it: what is answered must be readable."""
    command: Any = None
    try:
        request = codec.decode(line)
    except WireError as error:
        answers = codec.refusal(error.tag, error)
    else:
        assert type(request) is Request
        command = request.command
        repr(command).encode()  # fails if a lone surrogate went in
        answers = codec.refusal(request.tag, ImError(ErrorCode.FORBIDDEN, "no"), command)
    for answer in answers:
        assert b"\n" not in answer
        chat_app_client.decode(answer)


class Fuzz(SynchronousTestCase):
    @given(st.binary(max_size=200))
    def test_any_bytes(self, line: bytes) -> None:
        judge(ChatAppServerCodec(lambda: 5.0), line)

    @given(lines)
    def test_any_fields(self, line: dict[str, Any]) -> None:
        judge(ChatAppServerCodec(lambda: 5.0), json.dumps(line).encode())
        judge(ChatAppServerCodec(lambda: 5.0), json.dumps(line, ensure_ascii=False).encode(errors="replace"))

    def test_mutants(self) -> None:
        codec = ChatAppServerCodec(lambda: 5.0)
        try_mutants(effort(20_000, 1_000_000, 1_000_000), SEEDS, partial(judge, codec))

    def test_mutants_of_the_server(self) -> None:
        try_mutants(effort(10_000, 100_000, 100_000), PUSHES, partial(read_by_client, ChatAppClientCodec))

    def test_loose_reading(self) -> None:
        codec = ChatAppServerCodec(lambda: 5.0)
        for fields in (
            {"timestamp": "1730795173"},
            {"timestamp": "2024-11-05T08:26:13Z"},
            {"timestamp": -5},
            {"timestamp": 1e300},
            {"timestamp": True},
            {"timestamp": None, "headers": None, "type": None},
            {"headers": {"client": 5, "version": 1}},
            {"more": [1, 2, 3]},
        ):
            self.assertEqual(type(codec.decode(asked("control/ping", **fields)).command).__name__, "Ping")
        for content, data in (
            ("hi", b"hi"),
            ({"text": "hi"}, b"hi"),
            ({"type": "text", "text": "hi"}, b"hi"),
        ):
            for target in ("bob", {"type": "user", "id": "bob", "name": "Bob"}):
                frame = asked("message/send", {"content": content, "target": target, "meta": None})
                command = codec.decode(frame).command
                self.assertEqual((command.content.data, command.recipient), (data, "bob"))
        wrongs: tuple[Any, ...] = ({"id": "bob"}, {"type": "user", "id": []}, {"type": "user"}, [], 1.5)
        for wrong in wrongs:
            frame = asked("message/send", {"content": "x", "target": wrong})
            self.assertEqual(self.assertRaises(WireError, codec.decode, frame).code, ErrorCode.BAD_REQUEST)
