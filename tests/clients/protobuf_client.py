"""A client of document 001, written out by hand from its tables: field numbers and varints.

Knows neither imserver nor protobuf. `encode` and `decode` also serve as the
independent opinion on bytes in the codec's tests.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionLost
from twisted.python.failure import Failure

from tests.clients.websocket_client import BINARY, ServerViolation, WebSocketClient, connect_tcp

COMMANDS = {
    "UNKNOWN": 0,
    "CONNECT_REQ": 1,
    "CONNECT_RSP": 2,
    "DISCONNECT_REQ": 3,
    "DISCONNECT_RSP": 4,
    "HEARTBEAT_REQ": 5,
    "HEARTBEAT_RSP": 6,
    "AUTH_REQ": 100,
    "AUTH_RSP": 101,
    "REAUTH_REQ": 102,
    "REAUTH_RSP": 103,
    "KICK_OUT": 104,
    "SEND_MSG_REQ": 200,
    "SEND_MSG_RSP": 201,
    "PUSH_MSG": 202,
    "MSG_ACK": 203,
    "BATCH_MSG": 204,
    "REVOKE_MSG_REQ": 205,
    "REVOKE_MSG_RSP": 206,
    "REVOKE_MSG_PUSH": 207,
    "SYNC_REQ": 300,
    "SYNC_RSP": 301,
    "SYNC_FINISHED": 302,
    "ONLINE_STATUS_REQ": 400,
    "ONLINE_STATUS_RSP": 401,
    "STATUS_CHANGE_PUSH": 402,
    "READ_RECEIPT_REQ": 500,
    "READ_RECEIPT_RSP": 501,
    "READ_RECEIPT_PUSH": 502,
    "TYPING_STATUS_REQ": 600,
    "TYPING_STATUS_PUSH": 601,
}
NAMES = {number: name for name, number in COMMANDS.items()}

# Field name -> (number, kind). Kinds: int (varint), str, bytes, map (string to string),
# "str*" (repeated string), and "Name*" (repeated message).
ERROR = {"error_code": (1, "int"), "error_msg": (2, "str")}
PUSH = {
    "message_id": (1, "str"),
    "client_msg_id": (2, "str"),
    "conversation_id": (3, "str"),
    "sender_id": (4, "str"),
    "receiver_id": (5, "str"),
    "group_id": (6, "str"),
    "message_type": (7, "int"),
    "content": (8, "bytes"),
    "send_time": (9, "int"),
    "server_time": (10, "int"),
    "seq": (11, "int"),
    "extra": (15, "map"),
}
STATUS = {"user_id": (1, "str"), "status": (2, "int"), "last_seen": (3, "int")}
AUTH = {"user_id": (1, "str"), "token": (2, "str"), "platform": (3, "str")}
AUTH_ANSWER = {**ERROR, "max_seq": (3, "int"), "epoch": (4, "str")}

Schema = dict[str, tuple[int, str]]
BODIES: dict[str, Schema] = {
    "UNKNOWN": ERROR,
    "CONNECT_REQ": {
        "client_id": (1, "str"),
        "platform": (2, "str"),
        "app_version": (3, "str"),
        "sdk_version": (4, "str"),
        "device_info": (5, "str"),
        "extra": (10, "map"),
    },
    "CONNECT_RSP": {**ERROR, "server_time": (3, "int"), "session_id": (4, "str")},
    "DISCONNECT_REQ": {},
    "DISCONNECT_RSP": {},
    "HEARTBEAT_REQ": {"client_time": (1, "int")},
    "HEARTBEAT_RSP": {"server_time": (1, "int")},
    "AUTH_REQ": AUTH,
    "AUTH_RSP": AUTH_ANSWER,
    "REAUTH_REQ": AUTH,
    "REAUTH_RSP": AUTH_ANSWER,
    "KICK_OUT": {"reason": (1, "int"), "message": (2, "str")},
    "SEND_MSG_REQ": {
        "client_msg_id": (1, "str"),
        "conversation_id": (2, "str"),
        "sender_id": (3, "str"),
        "receiver_id": (4, "str"),
        "group_id": (5, "str"),
        "message_type": (6, "int"),
        "content": (7, "bytes"),
        "send_time": (8, "int"),
        "extra": (10, "map"),
    },
    "SEND_MSG_RSP": {**ERROR, "message_id": (3, "str"), "seq": (4, "int"), "server_time": (5, "int")},
    "PUSH_MSG": PUSH,
    "MSG_ACK": {"message_id": (1, "str"), "seq": (2, "int")},
    "BATCH_MSG": {"messages": (1, "PUSH_MSG*")},
    "REVOKE_MSG_REQ": {"message_id": (1, "str"), "conversation_id": (2, "str")},
    "REVOKE_MSG_RSP": ERROR,
    "REVOKE_MSG_PUSH": {
        "message_id": (1, "str"),
        "conversation_id": (2, "str"),
        "revoked_by": (3, "str"),
        "revoked_time": (4, "int"),
    },
    "SYNC_REQ": {"min_seq": (1, "int"), "max_seq": (2, "int"), "limit": (3, "int")},
    "SYNC_RSP": {
        **ERROR,
        "messages": (3, "PUSH_MSG*"),
        "server_max_seq": (4, "int"),
        "has_more": (5, "int"),
        "first_seq": (6, "int"),
        "epoch": (7, "str"),
    },
    "SYNC_FINISHED": {},
    "ONLINE_STATUS_REQ": {"user_ids": (1, "str*")},
    "ONLINE_STATUS_RSP": {**ERROR, "users": (3, "STATUS_CHANGE_PUSH*")},
    "STATUS_CHANGE_PUSH": STATUS,
    "READ_RECEIPT_REQ": {"message_ids": (1, "str*"), "conversation_id": (2, "str")},
    "READ_RECEIPT_RSP": ERROR,
    "READ_RECEIPT_PUSH": {
        "message_ids": (1, "str*"),
        "conversation_id": (2, "str"),
        "user_id": (3, "str"),
        "read_time": (4, "int"),
    },
    "TYPING_STATUS_REQ": {"conversation_id": (1, "str"), "status": (2, "int")},
    "TYPING_STATUS_PUSH": {"conversation_id": (1, "str"), "user_id": (2, "str"), "status": (3, "int")},
}


def varint(number: int) -> bytes:
    """A varint; negative numbers as int64 writes them."""
    number &= 2**64 - 1
    out = bytearray()
    while True:
        number, digit = number >> 7, number & 0x7F
        if not number:
            out.append(digit)
            return bytes(out)
        out.append(digit | 0x80)


def varint_field(number: int, value: int) -> bytes:
    """A field of wire type 0."""
    return varint(number << 3) + varint(value)


def bytes_field(number: int, value: bytes) -> bytes:
    """A field of wire type 2."""
    return varint(number << 3 | 2) + varint(len(value)) + value


def encode(body: str, **values: Any) -> bytes:
    """A body by the name of its command, fields in ascending order, zeros left out as proto3 does."""
    schema = BODIES[body]
    out = b""
    for name in sorted(values, key=lambda name: schema[name][0]):
        number, kind = schema[name]
        value = values[name]
        if kind == "int":
            out += varint_field(number, int(value)) if value else b""
        elif kind == "str":
            out += bytes_field(number, value.encode()) if value else b""
        elif kind == "bytes":
            out += bytes_field(number, value) if value else b""
        elif kind == "map":
            for key, item in value.items():
                out += bytes_field(number, bytes_field(1, key.encode()) + bytes_field(2, item.encode()))
        elif kind == "str*":
            out += b"".join(bytes_field(number, item.encode()) for item in value)
        else:
            out += b"".join(bytes_field(number, encode(kind[:-1], **item)) for item in value)
    return out


def read_varint(data: bytes, at: int) -> tuple[int, int]:
    """(number, index after it)."""
    number = shift = 0
    while True:
        digit = data[at]
        at += 1
        number |= (digit & 0x7F) << shift
        if digit < 0x80:
            return number, at
        shift += 7


def fields(data: bytes) -> list[tuple[int, int | bytes]]:
    """(field number, value) of varint and length-delimited fields; nothing else is used by document 001."""
    found: list[tuple[int, int | bytes]] = []
    at = 0
    while at < len(data):
        key, at = read_varint(data, at)
        if key & 7 == 0:
            value, at = read_varint(data, at)
            found.append((key >> 3, value))
        elif key & 7 == 2:
            length, at = read_varint(data, at)
            if at + length > len(data):
                raise ValueError("a field longer than its message")
            found.append((key >> 3, data[at : at + length]))
            at += length
        else:
            raise ValueError(f"wire type {key & 7}")
    return found


def _default(kind: str) -> Any:
    if kind.endswith("*"):
        return []
    return {"int": 0, "str": "", "bytes": b"", "map": {}}[kind]


def decode(body: str, data: bytes) -> dict[str, Any]:
    """All fields of a body by the name of its command; absent ones at their default."""
    schema = BODIES[body]
    by_number = {number: (name, kind) for name, (number, kind) in schema.items()}
    values: dict[str, Any] = {name: _default(kind) for name, (_, kind) in schema.items()}
    for number, value in fields(data):
        if number not in by_number:
            raise ValueError(f"{body} has no field {number}")
        name, kind = by_number[number]
        if kind == "int":
            assert isinstance(value, int), name
            values[name] = value - 2**64 if value >> 63 else value
            continue
        assert isinstance(value, bytes), name
        if kind == "bytes":
            values[name] = value
        elif kind == "str":
            values[name] = value.decode()
        elif kind == "str*":
            values[name].append(value.decode())
        elif kind == "map":
            entry = {1: b"", 2: b"", **dict(fields(value))}
            values[name][entry[1].decode()] = entry[2].decode()  # type: ignore[union-attr]
        else:
            values[name].append(decode(kind[:-1], value))
    return values


def encode_envelope(command: int, sequence: int = 0, body: bytes = b"", timestamp: int = 0) -> bytes:
    """A WebSocketMessage."""
    out = varint_field(1, command) if command else b""
    out += varint_field(2, sequence) if sequence else b""
    out += bytes_field(3, body) if body else b""
    return out + (varint_field(4, timestamp) if timestamp else b"")


def decode_envelope(data: bytes) -> tuple[int, int, bytes, int]:
    """(command, sequence, body, timestamp)."""
    found: dict[int, Any] = {1: 0, 2: 0, 3: b"", 4: 0, **dict(fields(data))}
    if len(found) != 4:
        raise ValueError("an envelope with unknown fields")
    return found[1], found[2], found[3], found[4]


Push = dict[str, Any]


class ProtobufClient(WebSocketClient):
    """One connection. Answers and pushes are dicts of the body's fields, with `_command` and `_sequence`.

    Attributes:
        pushes: pushes that no `expect` took yet, in order of arrival.
        timeout: seconds after which a request or an expectation fails.
    """

    def __init__(self, reactor: Any, path: str = "/ws", **options: Any) -> None:
        super().__init__(path, **options)
        self.reactor = reactor
        self.timeout = 20.0
        self.pushes: list[Push] = []
        self._sequence = 0
        self._requests: dict[int, Deferred[dict[str, Any]]] = {}
        self._expected: list[tuple[str, Callable[[Push], bool] | None, Deferred[Push]]] = []

    def send(self, command: str, sequence: int | None = None, **values: Any) -> int:
        """Send a request without waiting; returns its sequence."""
        if sequence is None:
            self._sequence += 1
            sequence = self._sequence
        self.send_envelope(COMMANDS[command], sequence, encode(command, **values))
        return sequence

    def send_envelope(self, command: int, sequence: int, body: bytes) -> None:
        """Send any command with any body."""
        self.send_binary(encode_envelope(command, sequence, body, int(time.time() * 1000)))

    def request(self, command: str, **values: Any) -> Deferred[dict[str, Any]]:
        """Send a request; fires with its answer, whatever the error code."""
        return self.answer_to(self.send(command, **values))

    def answer_to(self, sequence: int) -> Deferred[dict[str, Any]]:
        """The answer to a request sent with `send` or `send_envelope` just now."""
        answer: Deferred[dict[str, Any]] = Deferred()
        if self.closed.called:
            answer.errback(Failure(ConnectionLost()))
            return answer
        self._requests[sequence] = answer
        return answer.addTimeout(self.timeout, self.reactor)

    def expect(self, command: str, where: Callable[[Push], bool] | None = None) -> Deferred[dict[str, Any]]:
        """The first push of a command (for which `where` holds) that nobody took yet; waits for it."""
        waiter: Deferred[Push] = Deferred()
        for index, push in enumerate(self.pushes):
            if push["_command"] == command and (where is None or where(push)):
                del self.pushes[index]
                waiter.callback(push)
                return waiter
        if self.closed.called:
            waiter.errback(Failure(ConnectionLost()))
            return waiter
        self._expected.append((command, where, waiter))
        return waiter.addTimeout(self.timeout, self.reactor)

    def message_received(self, opcode: int, payload: bytes) -> None:
        """Sorts a frame of the server into answers and pushes."""
        if opcode != BINARY:
            raise ServerViolation("a text frame")
        try:
            number, sequence, body, timestamp = decode_envelope(payload)
            name = NAMES[number]
            message = {**decode(name, body), "_command": name, "_sequence": sequence, "_timestamp": timestamp}
        except (ValueError, LookupError, AssertionError) as fault:
            raise ServerViolation(f"not a message of document 001: {fault}") from None
        if not timestamp:
            raise ServerViolation("an envelope without a timestamp")
        answer = self._requests.pop(sequence, None) if sequence or name.endswith("_RSP") else None
        if answer is not None:
            if not answer.called:
                answer.callback(message)
            return
        for index, (command, where, waiter) in enumerate(self._expected):
            if command == name and not waiter.called and (where is None or where(message)):
                del self._expected[index]
                waiter.callback(message)
                return
        self.pushes.append(message)

    def connection_ended(self) -> None:
        """Fails whatever still waits."""
        super().connection_ended()
        waiting: list[Deferred[Any]] = [*self._requests.values(), *(entry[2] for entry in self._expected)]
        self._requests.clear()
        self._expected.clear()
        for waiter in waiting:
            if not waiter.called:
                waiter.errback(Failure(ConnectionLost()))

    # Shorthands

    def log_in(self, user: str, token: str = "", platform: str = "Web") -> Deferred[dict[str, Any]]:
        """AUTH; without a token with the demo one."""
        return self.request("AUTH_REQ", user_id=user, token=token or f"demo_token_{user}", platform=platform)

    def send_text_message(
        self, receiver: str = "", text: str = "", *, group: str = "", client_msg_id: str = "", **more: Any
    ) -> Deferred[dict[str, Any]]:
        """SEND_MSG of a text."""
        return self.request(
            "SEND_MSG_REQ",
            receiver_id=receiver,
            group_id=group,
            message_type=1,
            content=text.encode(),
            client_msg_id=client_msg_id,
            send_time=int(time.time() * 1000),
            **more,
        )

    async def sync_all(self, after: int = 0, limit: int = 0) -> list[dict[str, Any]]:
        """Every row of the inbox after a number, page by page."""
        rows: list[dict[str, Any]] = []
        while True:
            page = await self.request("SYNC_REQ", max_seq=after, limit=limit)
            assert page["error_code"] == 0, page
            rows += page["messages"]
            if not page["has_more"]:
                return rows
            after = rows[-1]["seq"]


async def connect(
    reactor: Any, port: int, path: str = "/ws", host: str = "127.0.0.1", **options: Any
) -> ProtobufClient:
    """A connection with the handshake done, nothing said yet."""
    return await connect_tcp(reactor, port, ProtobufClient(reactor, path, **options), host)


async def connect_user(
    reactor: Any,
    port: int,
    user: str,
    path: str = "/ws",
    *,
    token: str = "",
    platform: str = "Web",
    **options: Any,
) -> ProtobufClient:
    """A connection that is logged in."""
    client = await connect(reactor, port, path, **options)
    answer = await client.log_in(user, token, platform)
    assert answer["error_code"] == 0, answer
    return client
