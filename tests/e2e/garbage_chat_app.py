"""Input no client should send, for the dialect chat-app and its file channels."""

from __future__ import annotations

import json
import random
from typing import Any

from tests.clients.relay_channel import DATA, END, FAILED, first_line, frame
from tests.e2e.garbage import HOSTILE, LINES, Maker

COMMANDS = (
    "auth/refresh",
    "auth/register",
    "message/send",
    "message/history",
    "room/create",
    "room/join",
    "room/kick",
    "friend/request",
    "friend/accept",
    "friend/delete",
    "file/request",
    "file/accept",
    "file/reject",
    "file/error",
    "voice/call",
    "voice.answer",
    "voice/end",
    "voice/data",
    "voice/event",
)
FIELDS = (
    "token",
    "password",
    "target",
    "content",
    "since",
    "room_id",
    "user_id",
    "target_id",
    "friend_id",
    "request_id",
    "session_id",
    "file_name",
    "file_size",
    "call_type",
    "call_id",
    "data",
)
TARGETS: tuple[Any, ...] = (
    {"type": "user", "id": "dave"},
    {"type": "room", "id": "garbage"},
    {"type": "user", "id": "carol"},
    "dave",
)
"""Not those who talk meanwhile: whoever is called is busy."""


def _hostile(chance: random.Random) -> bytes:
    payload = {field: chance.choice(HOSTILE) for field in chance.sample(FIELDS, 5)}
    if chance.random() < 0.5:
        payload["target"] = chance.choice(TARGETS)
        payload["file_name"], payload["file_size"] = "x", 5
    line: dict[str, Any] = {
        "id": f"g{chance.randrange(9)}",
        "command": chance.choice(COMMANDS),
        "payload": payload,
    }
    return json.dumps(line).encode() + b"\n"


CHAT_LINES: tuple[Maker, ...] = (
    *LINES,
    _hostile,
    lambda chance: b"".join(_hostile(chance) for _ in range(30)),
    lambda chance: b'{"command":"message/history","payload":{"since":"~9999"}}\n' * 20,
    lambda chance: (
        b'{"id":"c","command":"voice/call","payload":{"target":"dave"}}\n'
        b'{"command":"voice/data","payload":{"call_id":"c","data":"' + b"00" * 40_000 + b'"}}\n'
    ),
)

_HELLO = first_line("0" * 32, "sender", "carol")

CHANNELS: tuple[Maker, ...] = (
    lambda chance: b"{" + chance.randbytes(chance.randrange(3_000)),
    lambda chance: b"{" + b"x" * 100_000,
    lambda chance: b"{" * 20_000 + b"\n",
    lambda chance: b'{"session_id":' + json.dumps(chance.choice(HOSTILE[:6])).encode() + b"}\n",
    lambda chance: _HELLO[: chance.randrange(1, len(_HELLO))],
    lambda chance: _HELLO + frame(DATA, chance.randbytes(2_000)) + frame(END) + frame(FAILED),
    lambda chance: chance.randbytes(chance.randrange(1, 3_000)),
    lambda chance: b"\x01\xff\xff\xff\xff",
)
"""What comes where a channel of a file should begin."""
