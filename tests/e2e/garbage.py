"""Input no client should send, for each kind of listener."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any

from tests.clients.protobuf_client import COMMANDS, encode_envelope
from tests.clients.websocket_client import encode_frame

Maker = Callable[[random.Random], bytes]

DEEP = 20_000
HOSTILE: tuple[Any, ...] = (
    None,
    True,
    -1,
    0,
    2**63,
    2**64,
    10**400,
    1e308,
    "",
    "\u0000",
    "\ud800",
    "x" * 5_000,
    "group_x",
    "single_a_b",
    "/",
    [],
    {},
    [[]],
    {"": {}},
    {"type": {}},
)
JSON_COMMANDS = (
    "auth/login",
    "auth/refresh",
    "auth/register",
    "presence/heartbeat",
    "presence/update",
    "presence/list",
    "message/send",
    "message/ack",
    "message/history",
    "message/read",
    "message/revoke",
    "group/create",
    "group/join",
    "room/invite",
    "group.kick",
    "control/ping",
    "no/such",
    "",
)
FIELDS = (
    "username",
    "password",
    "token",
    "client_info",
    "target",
    "content",
    "conversation_id",
    "message_id",
    "message_ids",
    "attachments",
    "meta",
    "group_id",
    "members",
    "since",
    "limit",
    "state",
    "seq",
    "users",
    "refresh_token",
)


def _line(value: Any) -> bytes:
    return json.dumps(value).encode() + b"\n"


def _hostile_line(chance: random.Random) -> bytes:
    line: dict[str, Any] = {
        "id": "1",
        "type": "request",
        "timestamp": 1,
        "command": chance.choice(JSON_COMMANDS),
        "headers": {},
        "payload": {field: chance.choice(HOSTILE) for field in chance.sample(FIELDS, 6)},
    }
    for _ in range(chance.randrange(3)):
        line[chance.choice(list(line))] = chance.choice(HOSTILE)
    return _line(line)


LINES: tuple[Maker, ...] = (
    lambda chance: chance.randbytes(chance.randrange(1, 3_000)) + b"\n",
    lambda chance: b"\n" * chance.randrange(1, 50),
    lambda chance: b'{"id": "1", "type": "request", "comm',
    lambda chance: b"[" * DEEP + b"\n",
    lambda chance: b'{"payload":' * DEEP + b"\n",
    lambda chance: (
        b'{"id":"1","type":"request","command":"message/send","payload":'
        + b'{"a":' * 5_000
        + b"1"
        + b"}" * 5_001
        + b"\n"
    ),
    lambda chance: b"x" * 300_000 + b"\n",
    lambda chance: b'{"id":"' + b"y" * 400_000,
    lambda chance: b'{"id":"\xff\xfe"}\n',
    lambda chance: b'{"id":1e999}\n{"id":NaN}\n{"id":-0}\n{"id":1,"id":2}\n',
    lambda chance: b'null\n1\n"x"\n[]\ntrue\n',
    lambda chance: _hostile_line(chance),
    lambda chance: b"".join(_hostile_line(chance) for _ in range(30)),
    lambda chance: b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
)


def _envelope(chance: random.Random) -> bytes:
    command = chance.choice([*COMMANDS.values(), 999, 2**31 - 1])
    return encode_envelope(command, chance.getrandbits(32), chance.randbytes(chance.randrange(60)), 1)


FRAMES: tuple[Maker, ...] = (
    lambda chance: chance.randbytes(chance.randrange(1, 3_000)),
    lambda chance: encode_frame(2, chance.randbytes(chance.randrange(1, 200))),
    lambda chance: encode_frame(2, _envelope(chance)),
    lambda chance: b"".join(encode_frame(2, _envelope(chance)) for _ in range(50)),
    lambda chance: encode_frame(2, b""),
    lambda chance: encode_frame(1, b"text"),
    lambda chance: encode_frame(1, b"\xff\xff"),
    lambda chance: encode_frame(9, b"x" * 125),
    lambda chance: encode_frame(3, b"reserved"),
    lambda chance: encode_frame(8, b"\x03"),
    lambda chance: encode_frame(0, b"a continuation of nothing"),
    lambda chance: b"\x82\x05hello",
    lambda chance: b"\x82\xff" + (2**62).to_bytes(8, "big") + b"\0\0\0\0",
    lambda chance: b"\x82\xff" + (300_000).to_bytes(8, "big") + b"\0\0\0\0" + b"z" * 300_000,
    lambda chance: encode_frame(2, b"\x0b" * DEEP),
    lambda chance: encode_frame(2, encode_envelope(200, 1, b"\x53" * DEEP, 1)),
    lambda chance: encode_frame(2, encode_envelope(200, 1, b"\x3a\xff\xff\xff\xff\x0f", 1)),
)

REQUESTS: tuple[Maker, ...] = (
    lambda chance: chance.randbytes(chance.randrange(1, 3_000)) + b"\r\n\r\n",
    lambda chance: b"GET " + b"/" * 20_000 + b" HTTP/1.1\r\n\r\n",
    lambda chance: b"GET /ws HTTP/1.1\r\n" + b"A: b\r\n" * 2_000 + b"\r\n",
    lambda chance: b"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n\r\n",
    lambda chance: (
        b"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Version: 99\r\nSec-WebSocket-Key: short\r\n\r\n"
    ),
    lambda chance: b"POST /ws HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n",
    lambda chance: b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    lambda chance: (
        b"GET /ws HTTP/1.1\r\nHost: x\r\nOrigin: http://evil.example\r\nUpgrade: websocket\r\n\r\n"
    ),
    lambda chance: b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    lambda chance: b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
)
