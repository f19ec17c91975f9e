"""A client of document 002 (chat, connection, calls), written out by hand.

Knows nothing of imserver. It is strict about what a server may send, and lets a
test send anything at all.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import urlencode

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionLost
from twisted.python.failure import Failure

from tests.clients.msgpack import NotMessagePack, pack, unpack
from tests.clients.websocket_client import BINARY, TEXT, ServerViolation, WebSocketClient, connect_tcp

Message = dict[str, Any]
Where = Callable[[Message], bool]

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
SMALL_NUMBER = re.compile(r"0|[1-9][0-9]{0,14}")
TYPES = {
    "connect", "pong", "message.sent", "message.new", "message.read", "message.delete", "message.history",
    "typing", "presence", "notification", "error",
    "call.offer", "call.answer", "call.ice", "call.end", "call.status", "call.error",
}  # fmt: skip
NEEDED = {
    "connect": {"status", "user_id", "server_time", "epoch", "ice_servers"},
    "message.sent": {"message_id", "conversation_id", "seq", "sent_at"},
    "message.new": {
        "message_id", "conversation_id", "from_user", "content", "message_type", "seq", "sent_at",
    },
    "message.read": {"message_ids", "from_user", "read_at"},
    "message.delete": {"message_id", "from_user", "deleted_at"},
    "message.history": {"messages", "next_cursor", "has_more"},
    "typing": {"conversation_id", "from_user", "is_typing"},
    "notification": {"event_type"},
    "error": {"error_code", "message", "details"},
    "call.offer": {"call_id", "from_user", "to_user", "call_type", "created_at"},
    "call.answer": {"call_id", "from_user", "to_user", "answered_at"},
    "call.ice": {"call_id", "from_user", "to_user"},
    "call.end": {"call_id", "from_user", "to_user", "reason", "duration", "ended_at"},
    "call.status": {"call_id", "status"},
    "call.error": {"error_code", "error_message", "details"},
}  # fmt: skip
USER_FIELDS = ("user_id", "from_user", "to_user", "group_id", "by", "revoked_by")
TIME_FIELDS = (
    "server_time", "sent_at", "read_at", "deleted_at", "revoked_at", "at",
    "created_at", "answered_at", "ended_at",
)  # fmt: skip
END_REASONS = {
    "user_hangup", "user_busy", "user_rejected", "network_error", "timeout", "server_error",
    "answered_elsewhere",
}  # fmt: skip
REFUSALS = {
    "user_offline", "no_compatible_device", "not_participant", "unknown_call", "call_id_in_use", "bad_sdp",
    "bad_request", "forbidden", "too_large", "too_fast", "unknown_command", "unavailable", "internal",
}  # fmt: skip
"""details.reason of the server's own call.error."""


def check(message: Any) -> Message:
    """A message of the server, as it came.

    Raises:
        ServerViolation: it is not what document 002 and the contract allow a server to send.
    """
    if type(message) is not dict or not {"type", "payload", "timestamp"} <= message.keys():
        raise ServerViolation("not an envelope")
    if message.keys() - {"type", "payload", "timestamp", "id"}:
        raise ServerViolation(f"fields {sorted(message)}")
    kind, payload = message["type"], message["payload"]
    if kind not in TYPES or type(payload) is not dict:
        raise ServerViolation(f"type {kind!r}")
    if not NEEDED.get(kind, set()) <= payload.keys():
        raise ServerViolation(f"{kind} with {sorted(payload)}")
    _check_time(message["timestamp"])
    for values in (payload, *payload.get("messages", ()), *payload.get("users", ())):
        _check_fields(values)
    if kind.startswith("call."):
        _check_call(kind, payload)
    return message


def _check_call(kind: str, payload: Message) -> None:
    """What the server says about a call itself, and what of it comes from the other side."""
    call = payload.get("call_id", 0)
    if type(call) not in (str, int) or call is True or call is False or call == "":
        raise ServerViolation(f"call_id {call!r}")
    relayed = "from_user" in payload
    if relayed and "to_user" not in payload:
        raise ServerViolation(f"{kind} to nobody")
    if kind == "call.offer" and payload["call_type"] not in ("audio", "video"):
        raise ServerViolation(f"call_type {payload['call_type']!r}")
    if kind == "call.end":
        duration = payload["duration"]
        if payload["reason"] not in END_REASONS or type(duration) is not int or duration < 0:
            raise ServerViolation(f"call.end with {payload['reason']!r} after {duration!r}")
    if kind == "call.status" and not relayed:
        at = {"ringing": "created_at", "answered": "answered_at"}.get(payload["status"])
        if payload.keys() != {"call_id", "status", at}:
            raise ServerViolation(f"call.status of the server with {sorted(payload)}")
    if kind == "call.error" and not relayed:
        reason = payload["details"].get("reason")
        if payload["error_code"] != "SIGNALING_ERROR" or reason not in REFUSALS:
            raise ServerViolation(f"call.error of the server: {payload['error_code']!r}, {reason!r}")


def _check_time(value: Any) -> None:
    if type(value) is not str or TIME.fullmatch(value) is None:
        raise ServerViolation(f"time {value!r}")


def _check_fields(values: Message) -> None:
    for name in TIME_FIELDS:
        if name in values:
            _check_time(values[name])
    for name in USER_FIELDS:
        if name in values:
            value = values[name]
            if type(value) is str and (not value or SMALL_NUMBER.fullmatch(value)):
                raise ServerViolation(f"{name} {value!r} is not an integer")
            if type(value) not in (str, int) or value is True or value is False:
                raise ServerViolation(f"{name} {value!r}")
    if values.get("message_type") == "text" and type(values.get("content")) is not str:
        raise ServerViolation("a text that is no string")


class SignallingClient(WebSocketClient):
    """One connection.

    Attributes:
        messages: every message that came, in order.
        pushes: messages that no `expect` and no request took yet.
        timeout: seconds after which a request or an expectation fails.
    """

    def __init__(self, reactor: Any = None, *, binary: bool = False, **form: Any) -> None:
        """Args:
        reactor: for the timeouts; None = none.
        binary: MessagePack; the caller offers the subprotocol.
        form: as in WebSocketClient.
        """
        super().__init__(**form)
        self.reactor = reactor
        self.binary = binary
        self.timeout = 20.0
        self.messages: list[Message] = []
        self.pushes: list[Message] = []
        self._ids = itertools.count(1)
        self._requests: dict[Any, Deferred[Message]] = {}
        self._expected: list[tuple[str, Where | None, Deferred[Message]]] = []

    # What a test does

    def send(self, kind: str, payload: Any = None, **more: Any) -> None:
        """Send a message without waiting; `more`: further members of the envelope."""
        self.send_message({"type": kind, "payload": {} if payload is None else payload, **more})

    def send_message(self, message: Any) -> None:
        """Send anything that can be written."""
        if self.binary:
            self.send_binary(pack(message))
        else:
            self.send_text(json.dumps(message, ensure_ascii=False))

    def request(self, kind: str, payload: Any = None, *, id: Any = None, **more: Any) -> Deferred[Message]:
        """Send a message with an id; fires with the answer that repeats it, an error too."""
        id = f"r{next(self._ids)}" if id is None else id
        answer: Deferred[Message] = Deferred()
        if self.closed.called:
            answer.errback(Failure(ConnectionLost()))
            return answer
        self._requests[id] = answer
        self.send(kind, payload, id=id, **more)
        return self._bounded(answer)

    def send_text_message(
        self, user: Any = None, text: str = "", *, group: Any = None, **more: Any
    ) -> Deferred[Message]:
        """message.send of a text to a user or a group."""
        target = {"to_user": user} if group is None else {"group_id": group}
        return self.request("message.send", {**target, "content": text, "message_type": "text", **more})

    def expect(self, kind: str, where: Where | None = None) -> Deferred[Message]:
        """The first push of a type (for which `where` holds) that nobody took yet; waits for it."""
        waiter: Deferred[Message] = Deferred()
        for index, message in enumerate(self.pushes):
            if message["type"] == kind and (where is None or where(message)):
                del self.pushes[index]
                waiter.callback(message)
                return waiter
        if self.closed.called:
            waiter.errback(Failure(ConnectionLost()))
            return waiter
        self._expected.append((kind, where, waiter))
        return self._bounded(waiter)

    # WebSocketClient

    def message_received(self, opcode: int, payload: bytes) -> None:
        """See WebSocketClient."""
        if opcode != (BINARY if self.binary else TEXT):
            raise ServerViolation(f"opcode {opcode}")
        try:
            message = check(unpack(payload) if self.binary else json.loads(payload))
        except (NotMessagePack, ValueError) as fault:
            raise ServerViolation(str(fault)) from None
        self.messages.append(message)
        answer = self._requests.pop(message["id"], None) if "id" in message else None
        if answer is not None:
            if not answer.called:
                answer.callback(message)
            return
        for index, (kind, where, waiter) in enumerate(self._expected):
            if kind == message["type"] and not waiter.called and (where is None or where(message)):
                del self._expected[index]
                waiter.callback(message)
                return
        self.pushes.append(message)

    def connection_ended(self) -> None:
        """Fails whatever still waits."""
        super().connection_ended()
        waiting = [*self._requests.values(), *(entry[2] for entry in self._expected)]
        self._requests.clear()
        self._expected.clear()
        for waiter in waiting:
            if not waiter.called:
                waiter.errback(Failure(ConnectionLost()))

    def _bounded(self, waiter: Deferred[Message]) -> Deferred[Message]:
        return waiter if self.reactor is None else waiter.addTimeout(self.timeout, self.reactor)


async def connect_user(
    reactor: Any,
    port: int,
    user: str,
    *,
    token: str | None = None,
    device: str = "",
    place: str = "query",
    binary: bool = False,
    path: str = "/ws",
    subprotocols: Sequence[str] = (),
) -> SignallingClient:
    """Connects with a token in one of its places and takes the connect message.

    Args:
        token: None = the demo token.
        place: "query", "header" or "subprotocol".

    Raises:
        HandshakeRefused: the server did not upgrade.
    """
    token = f"demo_token_{user}" if token is None else token
    query: dict[str, str] = {"device": device} if device else {}
    headers: list[tuple[str, str]] = []
    offered = list(subprotocols)
    if place == "query":
        query["token"] = token
    elif place == "header":
        headers.append(("Authorization", f"Bearer {token}"))
    else:
        offered += ["bearer", token]
    if binary:
        offered.append("msgpack")
    client = SignallingClient(
        reactor,
        binary=binary,
        path=f"{path}?{urlencode(query)}" if query else path,
        headers=headers,
        subprotocols=offered,
    )
    await connect_tcp(reactor, port, client)
    await client.expect("connect")
    return client
