"""A client of document 004's dialect chat-app, written out by hand: JSON lines over TCP.

Knows nothing of imserver, and dies of whatever the deployed Python client would die of: a line of
64 KiB, an id that is no string, a field that is null.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from twisted.internet.defer import Deferred

from tests.clients.jsonline_client import JsonLineClient, Line, ServerViolation

MAX_LINE = 64 * 1024 - 1
"""Bytes of a line with its newline."""
PAGE = 48 * 1024

ACKS = {
    **{f"auth/{name}": f"auth/{name}_ack" for name in ("login", "register", "refresh")},
    **{f"friend/{name}": f"friend/{name}_ack" for name in ("request", "accept", "reject", "delete", "list")},
    **{f"friend/{name}": f"friend/{name}_ack" for name in ("block", "unblock")},
    **{f"voice/{name}": f"voice/{name}_ack" for name in ("call", "answer", "reject", "end")},
    **{f"file/{name}": f"file/{name}_ack" for name in ("request", "accept", "reject")},
    "message/send": "message/ack",
}
"""The commands of the answers that have another one than their request."""

LISTS = ("users", "rooms", "members", "friends", "pending_requests", "sent_requests", "messages")
MEMBERS = {
    "auth/login_ack": {"status", "token", "user_id", "expires_in"},
    "auth/register_ack": {"status", "token", "user_id", "expires_in"},
    "auth/refresh_ack": {"status", "token", "user_id", "expires_in"},
    "message/ack": {"status", "message_id"},
    "presence/list": {"status", "users"},
    "presence/event": {"user_id", "state", "last_seen"},
    "message/event": {"message_id", "conversation_id", "sender_id", "content"},
    "friend/list_ack": {"status", "friends", "pending_requests", "sent_requests"},
    "friend/event": {"event_type"},
    "room/list": {"status", "rooms"},
    "room/create": {"status", "room_id", "encrypted", "owner", "created_at", "members"},
    "file/request_ack": {"status", "sessions", "file_name", "file_size"},
    "file/request": {"session_id", "from_user", "file_name", "file_size", "checksum"},
    "file/accept": {
        "session_id",
        "file_name",
        "file_size",
        "channel_host",
        "channel_port",
        "target_id",
    },
    "voice/call_ack": {"status", "call_id"},
    "voice/answer_ack": {"status", "call_id"},
    "voice/reject_ack": {"status", "call_id"},
    "voice/end_ack": {"status", "call_id"},
    "voice/event": {"event_type", "call_id"},
    "voice/data": {"call_id", "data"},
}
"""What has to stand in a payload of success."""


def password_hash(password: str) -> str:
    """What the deployed client sends for a password."""
    return hashlib.sha256(password.encode()).hexdigest()


def decode(line: bytes) -> Line:
    """A line of the server as an object.

    Raises:
        ServerViolation: the deployed client could not read it.
    """
    if len(line) + 1 > MAX_LINE:
        raise ServerViolation(f"a line of {len(line)} bytes")
    try:
        message = json.loads(line.decode())
    except ValueError as fault:
        raise ServerViolation(f"not a line of JSON in UTF-8: {fault}") from None
    if type(message) is not dict or message.get("type") not in ("response", "event"):
        raise ServerViolation(f"neither a response nor an event: {line[:200]!r}")
    for name, kind in (
        ("id", str),
        ("timestamp", int),
        ("command", str),
        ("headers", dict),
        ("payload", dict),
    ):
        if type(message.get(name)) is not kind:
            raise ServerViolation(f"{name}: {message.get(name)!r}")
    if message["headers"].get("version") != "1.0" or message["timestamp"] <= 0:
        raise ServerViolation(f"headers or timestamp: {line[:200]!r}")
    _check_payload(message["command"], message["type"], message["payload"])
    return message


def _check_payload(command: str, kind: str, payload: dict[str, Any]) -> None:
    carried = {"content", "meta", "attachments", "extra", "messages"}
    if _has_null({name: value for name, value in payload.items() if name not in carried}):
        raise ServerViolation(f"{command}: a field is null: {payload}")
    status = payload.get("status", 200)
    if type(status) is not int or (kind == "response" and "status" not in payload):
        raise ServerViolation(f"{command}: status {payload.get('status')!r}")
    if status in (200, 202):
        missing = MEMBERS.get(command, set()) - payload.keys()
        if missing:
            raise ServerViolation(f"{command}: without {sorted(missing)}")
    else:
        if type(payload.get("error_code")) is not int or type(payload.get("error_message")) is not str:
            raise ServerViolation(f"{command}: an error without its code or message: {payload}")
        if command.startswith("auth/") and command.endswith("_ack"):
            empty = {"token": "", "user_id": "", "expires_in": 0}
            if {name: payload.get(name) for name in empty} != empty:
                raise ServerViolation(f"{command}: {payload}")
    for name in LISTS:
        if len(json.dumps(payload.get(name, []), ensure_ascii=False, separators=(",", ":")).encode()) > PAGE:
            raise ServerViolation(f"{command}: {name} is longer than a page")
    if command == "message/event" and "message" in payload:
        raise ServerViolation("message/event is not flat")


def _has_null(value: Any) -> bool:
    if type(value) is dict:
        return any(_has_null(one) for one in value.values())
    if type(value) is list:
        return any(_has_null(one) for one in value)
    return value is None


class ChatAppClient(JsonLineClient):
    """One connection; see the base class."""

    def decoded(self, line: bytes) -> Line:
        """What a line of the server says. Raises ServerViolation."""
        return decode(line)

    def request(self, command: str, payload: Any = None, *, id: Any = None, **form: Any) -> Deferred[Line]:
        """Sends a request as the deployed client does; fires with its answer, whatever the status."""
        form.setdefault("headers", {"version": "1.0"})
        form.setdefault("timestamp", 1_730_795_173)
        answer = super().request(command, payload, id=id, **form)
        wanted = ACKS.get(command, command)

        def check(line: Line) -> Line:
            assert line["command"] == wanted, line
            return line

        return answer.addCallback(check)

    async def ask(self, command: str, payload: Any = None, *, status: int = 200, **form: Any) -> Any:
        """The payload of the answer, which must have this status."""
        line = await self.request(command, payload, **form)
        assert line["payload"]["status"] == status, line
        return line["payload"]

    async def next(self, command: str, **fields: Any) -> Any:
        """The payload of the next event of a command whose payload has these fields."""
        line = await self.expect(
            command, lambda line: all(line["payload"].get(name) == value for name, value in fields.items())
        )
        return line["payload"]

    def log_in(self, user: str, password: str = "", device: str = "", **more: Any) -> Deferred[Line]:
        """auth/login with a password (the user's name where none is given), hashed."""
        payload = {"username": user, "password": password_hash(password or user), **more}
        if device:
            payload["client_info"] = {"device": device}
        return self.request("auth/login", payload)

    def heartbeat(self) -> None:
        """Unanswered."""
        self.send_event("presence/heartbeat", {"seq": 1})


def join_parts(payloads: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Messages, each whole: a text that was cut is put together again, under the id of its first piece."""
    whole: list[dict[str, Any]] = []
    for payload in payloads:
        if payload.get("part", 1) > 1:
            first = whole[-1]
            assert payload["message_id"] == f"{first['message_id']}.{payload['part']}", payload["message_id"]
            assert first["parts"] == payload["parts"] >= payload["part"]
            first["content"] = {
                **first["content"],
                "text": first["content"]["text"] + payload["content"]["text"],
            }
        else:
            whole.append(dict(payload))
    return whole
