"""Input no client of document 002 should send: upgrade requests, messages in JSON and in MessagePack."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any

from tests.clients.msgpack import pack
from tests.clients.websocket_client import encode_frame
from tests.e2e.garbage import DEEP, HOSTILE

Maker = Callable[[random.Random], bytes]

TYPES = (
    "ping", "message.send", "message.ack", "message.read", "message.delete", "message.history", "typing",
    "presence", "connect", "message.sent", "call.offer", "call.answer", "call.ice", "call.end", "no.such",
    "", "x" * 300, "\u0000",
)  # fmt: skip
FIELDS = (
    "to_user", "group_id", "conversation_id", "content", "message_type", "client_msg_id", "reply_to_id",
    "attachments", "meta", "extra", "message_id", "message_ids", "seq", "since", "limit", "state", "users",
    "is_typing", "timestamp", "call_id", "sdp", "candidate",
)  # fmt: skip
# MessagePack has no integers above 64 bits and, unlike JSON, no escapes for half a character.
PACKED = tuple(
    value
    for value in HOSTILE
    if not (type(value) is int and value >= 2**64) and value != "\ud800"
)  # fmt: skip
ODD_BYTES = (
    b"", b"\xc1", b"\xd9\xff", b"\xdb\xff\xff\xff\xff", b"\xdd\xff\xff\xff\xff", b"\xdf\xff\xff\xff\xff",
    b"\xc6\xff\xff\xff\xff", b"\x91" * DEEP, b"\x81\xa1a" * DEEP, b"\x81\xc0\xc0", b"\x82\xa4type\xa4ping",
    b"\xd6\xff\0\0\0\0", b"\xa2\xff\xfe", b"\x81\xa4type\xa2\xed\xa0", b"\xc0", b"\xcb\x7f\xf8" + b"\0" * 6,
)  # fmt: skip
ODD_TEXTS = (
    b"", b"{", b"null", b"[]", b"1", b'"x"', b"{}", b'{"type":1}', b'{"type":"ping"}{"type":"ping"}',
    b'{"type":"ping","payload":' + b"[" * DEEP, b"[" * DEEP, b'{"a":' * DEEP, b'{"type":"ping","id":1e999}',
    b'{"type":"ping","payload":NaN}', b'{"type":"ping","type":"x"}', b"\xef\xbb\xbf{}", b'{"type":"ping",}',
    b'{"type":"message.send","payload":{"to_user":"nobody","content":' + b'{"a":' * 5_000 + b"1"
    + b"}" * 5_002,
    b'{"type":"message.send","payload":{"to_user":"nobody","content":"' + b"x" * 70_000 + b'"}}',
    b'{"type":"ping","payload":{"timestamp":"' + b"x" * 2_000 + b'"}}',
)  # fmt: skip


def _hostile(chance: random.Random, values: tuple[Any, ...]) -> dict[str, Any]:
    message: dict[str, Any] = {
        "type": chance.choice(TYPES),
        "payload": {field: chance.choice(values) for field in chance.sample(FIELDS, 6)},
        "timestamp": "2025-10-07T12:00:00Z",
        "id": "1",
    }
    for _ in range(chance.randrange(3)):
        message[chance.choice(list(message))] = chance.choice(values)
    return message


def _json(chance: random.Random) -> bytes:
    return json.dumps(_hostile(chance, HOSTILE)).encode()


def _packed(chance: random.Random) -> bytes:
    return pack(_hostile(chance, PACKED))


TEXT_FRAMES: tuple[Maker, ...] = (
    lambda chance: encode_frame(1, _json(chance)),
    lambda chance: b"".join(encode_frame(1, _json(chance)) for _ in range(30)),
    lambda chance: encode_frame(1, _json(chance)[: chance.randrange(1, 60)]),
    lambda chance: encode_frame(1, chance.choice(ODD_TEXTS)),
    lambda chance: encode_frame(1, b"\xff\xfe"),
    lambda chance: encode_frame(1, b'{"type":"ping","payload":"' + b"y" * 300_000 + b'"}'),
    lambda chance: encode_frame(1, b'{"type":"pi', fin=False) + encode_frame(0, b'ng"}'),
    lambda chance: encode_frame(2, _packed(chance)),
    lambda chance: encode_frame(1, b"{}", rsv=4),
    lambda chance: encode_frame(1, b"{}", mask=None),
)
"""For a connection in JSON."""
BINARY_FRAMES: tuple[Maker, ...] = (
    lambda chance: encode_frame(2, _packed(chance)),
    lambda chance: b"".join(encode_frame(2, _packed(chance)) for _ in range(30)),
    lambda chance: encode_frame(2, _packed(chance)[: chance.randrange(1, 60)]),
    lambda chance: encode_frame(2, chance.choice(ODD_BYTES)),
    lambda chance: encode_frame(2, chance.randbytes(chance.randrange(1, 300))),
    lambda chance: encode_frame(2, b"\xc6\x00\x04\x00\x00" + b"y" * 300_000),
    lambda chance: encode_frame(2, pack({"type": "ping", "payload": {"timestamp": b"bytes"}})),
    lambda chance: encode_frame(1, _json(chance)),
)
"""For a connection in MessagePack."""

TOKENS = (
    "", "x", "demo_token_", "demo_token_a%2Fb", "demo_token_group_x", "demo_token_" + "x" * 300, "x" * 5_000,
    "eyJhbGciOiJub25lIn0.eyJ1c2VyX2lkIjoiY2Fyb2wifQ.", "a.b.c", "..", "%00", "%ff%fe", "%", "\u00e9",
)  # fmt: skip


def _upgrade(path: str, *headers: str) -> bytes:
    lines = [
        f"GET {path} HTTP/1.1",
        "Host: 127.0.0.1",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
        "Sec-WebSocket-Version: 13",
        *headers,
    ]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"


UPGRADES: tuple[Maker, ...] = (
    lambda chance: _upgrade("/ws"),
    lambda chance: _upgrade(f"/ws?token={chance.choice(TOKENS)}"),
    lambda chance: _upgrade(f"/ws?token={chance.choice(TOKENS)}&token=demo_token_carol"),
    lambda chance: _upgrade("/ws", f"Authorization: Bearer {chance.choice(TOKENS)}"),
    lambda chance: _upgrade("/ws", "Authorization: Basic Y2Fyb2w6Y2Fyb2w="),
    lambda chance: _upgrade("/ws", f"Sec-WebSocket-Protocol: bearer, {chance.choice(TOKENS)}"),
    lambda chance: _upgrade("/ws", "Sec-WebSocket-Protocol: bearer"),
    lambda chance: _upgrade("/ws", "Sec-WebSocket-Protocol: msgpack," + "," * 500),
    lambda chance: _upgrade("/ws?token=demo_token_carol&device=" + "d" * 300),
    lambda chance: _upgrade("/ws?token=demo_token_carol", "Origin: http://evil.example"),
    lambda chance: _upgrade("/ws?token=demo_token_carol", "Sec-WebSocket-Version: 8"),
    lambda chance: _upgrade("/ws?" + "&".join(f"a{number}=b" for number in range(2_000))),
    lambda chance: b"GET /ws?token=demo_token_carol HTTP/1.1\r\nHost: x\r\n\r\n",
    lambda chance: b"POST /ws?token=demo_token_carol HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello",
    lambda chance: _upgrade("/ws?token=demo_token_carol") + chance.randbytes(200),
    lambda chance: chance.randbytes(chance.randrange(1, 500)) + b"\r\n\r\n",
)
"""Requests that open no session, or one that breaks at once."""
