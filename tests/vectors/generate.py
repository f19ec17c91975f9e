"""Writes the vectors: `python -m tests.vectors.generate`. Nothing here or below imports imserver.

The meanings are written by hand from the documents and the contract, the bytes
come from the encoders of tests/clients, which were, too.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.vectors import chat_app, jsonline, meeting, protobuf, qdatastream, signalling
from tests.vectors.making import CLOCK

FOLDER = Path(__file__).parent
FILES: dict[str, tuple[str, list[dict[str, Any]]]] = {
    "qdatastream": ("000", qdatastream.VECTORS),
    "protobuf": ("001", protobuf.VECTORS),
    "signalling": ("002", signalling.VECTORS),
    "meeting": ("003", meeting.VECTORS),
    "jsonline": ("004", jsonline.VECTORS),
    "chat_app": ("004", chat_app.VECTORS),
}


def written(name: str) -> str:
    """The content of a format's file: one vector a line."""
    document, vectors = FILES[name]
    names = [vector["name"] for vector in vectors]
    assert len(set(names)) == len(names), sorted(name for name in names if names.count(name) > 1)
    form = {"format": "jsonline", "dialect": "chat-app"} if name == "chat_app" else {"format": name}
    head = {**form, "document": document, "user": "alice", "clock": CLOCK}
    lines = ",\n".join(json.dumps(vector, ensure_ascii=False) for vector in vectors)
    return f'{json.dumps(head)[:-1]}, "vectors": [\n{lines}\n]}}\n'


def main() -> None:
    """Writes all files."""
    for name in FILES:
        (FOLDER / f"{name}.json").write_text(written(name), encoding="utf-8")


if __name__ == "__main__":
    main()
