"""What the generators share. Like them it imports nothing from imserver."""

from __future__ import annotations

import datetime
import json
from typing import Any

CLOCK = 1_730_795_220.123
MS = 1_730_795_220_123
SECONDS = 1_730_795_220
ISO = datetime.datetime.fromtimestamp(SECONDS, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

HELLO = "你好 😀"
LONG_ID = "界" * 85
"""255 bytes of UTF-8."""

Vector = dict[str, Any]
Meaning = dict[str, Any]


def text(value: str) -> dict[str, Any]:
    """Content that is a text."""
    return {"text": value}


def message(content: Any, **fields: Any) -> Meaning:
    """A message from bob to alice, as far as all formats but 000 tell it."""
    return {
        "message_id": "m-1",
        "conversation": "single_alice_bob",
        "sender": "bob",
        "recipient": "alice",
        "server_at": SECONDS,
        "content": content,
        **fields,
    }


def row(seq: int, content: Any, **fields: Any) -> Meaning:
    """A message at its number in alice's inbox."""
    return {"is": "inbox_row", "seq": seq, "message": message(content, **fields)}


def without(meaning: Meaning, *names: str) -> Meaning:
    """A meaning without some members of its message."""
    kept = {name: value for name, value in meaning["message"].items() if name not in names}
    return {**meaning, "message": kept}


def error(code: str, words: str) -> Meaning:
    """A refusal."""
    return {"is": "error", "code": code, "text": words}


def compact(value: Any) -> str:
    """JSON without spaces, characters as they are."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
