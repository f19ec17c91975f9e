"""What makes two sends with one client id the same."""

from __future__ import annotations

from hashlib import blake2b
from typing import Any

import msgspec

from imserver.model.messages import Form, SendMessage

_encode = msgspec.msgpack.Encoder().encode


def payload_digest(canonical: str, command: SendMessage) -> bytes:
    """What makes two sends with one client id the same: never times or sequence numbers."""
    content = command.content
    extra = sorted(command.extra.items()) if command.extra else None
    data = _in_order(content.data) if content.form == Form.JSON else content.data
    payload: Any = (
        canonical, int(content.form), content.number, data, extra,
        command.attachments and _in_order(command.attachments),
        command.meta and _in_order(command.meta),
    )  # fmt: skip
    return blake2b(_encode(payload), digest_size=16).digest()


def _in_order(data: bytes) -> bytes:
    """JSON with its members sorted: clients that keep objects in hash tables write them in any order."""
    if not data:
        return data
    return msgspec.json.encode(msgspec.json.decode(data), order="sorted")
