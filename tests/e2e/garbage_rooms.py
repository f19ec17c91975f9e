"""Input no client of document 003 should send."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any

from tests.clients.websocket_client import encode_frame
from tests.e2e.garbage import DEEP, HOSTILE

Maker = Callable[[random.Random], bytes]

METHODS = (
    "channel.join", "channel.leave", "stream.add", "stream.delete", "channel.dump", "media_server.dump",
    "broadcast", "endpoint", "no.such", "", "x" * 300, "\u0000",
)  # fmt: skip
FIELDS = (
    "app", "channel", "endpoint", "role", "device", "token", "stream", "stream_id", "protocol", "text",
)  # fmt: skip
STREAM_FIELDS = ("type", "stream_id", "has_video", "has_audio", "audio_codec", "video_codec")
ODD_TEXTS = (
    b"", b"{", b"null", b"[]", b"1", b'"x"', b"{}", b'{"method":1}', b'{"method":"broadcast"}{"method":"x"}',
    b'{"method":"broadcast","data":' + b"[" * DEEP, b"[" * DEEP, b'{"a":' * DEEP, b'{"cseq":1e999}',
    b'{"method":"broadcast","data":NaN}', b'{"method":"x","method":"y"}', b"\xef\xbb\xbf{}", b'{"cseq":1,}',
    b'{"method":"broadcast","data":' + b'{"a":' * 5_000 + b"1" + b"}" * 5_001,
    b'{"method":"broadcast","data":{"a":"' + b"x" * 70_000 + b'"}}',
    b'{"version":1,"cseq":-1}', b'{"version":"0"}', b'{"session":{}}',
)  # fmt: skip


def _hostile(chance: random.Random) -> bytes:
    data: Any = {field: chance.choice(HOSTILE) for field in chance.sample(FIELDS, 4)}
    if chance.random() < 0.5:
        data |= {"app": "app", "channel": "garbage"}
    if chance.random() < 0.3:
        data["stream"] = {field: chance.choice(HOSTILE) for field in STREAM_FIELDS}
    message: dict[str, Any] = {
        "version": 0,
        "cseq": chance.randrange(99),
        "method": chance.choice(METHODS),
        "session": "",
        "data": data,
    }
    for _ in range(chance.randrange(3)):
        message[chance.choice(list(message))] = chance.choice(HOSTILE)
    return json.dumps(message).encode()


ROOM_FRAMES: tuple[Maker, ...] = (
    lambda chance: encode_frame(1, _hostile(chance)),
    lambda chance: b"".join(encode_frame(1, _hostile(chance)) for _ in range(30)),
    lambda chance: encode_frame(1, _hostile(chance)[: chance.randrange(1, 60)]),
    lambda chance: encode_frame(1, chance.choice(ODD_TEXTS)),
    lambda chance: encode_frame(1, b"\xff\xfe"),
    lambda chance: encode_frame(1, b'{"method":"broadcast","data":"' + b"y" * 300_000 + b'"}'),
    lambda chance: encode_frame(1, b'{"method":"chan', fin=False) + encode_frame(0, b'nel.dump"}'),
    lambda chance: encode_frame(2, _hostile(chance)),
    lambda chance: encode_frame(1, b"{}", rsv=4),
    lambda chance: encode_frame(1, b"{}", mask=None),
)
