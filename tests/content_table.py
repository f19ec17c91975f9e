"""The examples of docs/wire/content.md, for the tests that hold the server to them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, NamedTuple

PAGE = Path(__file__).parent.parent / "docs" / "wire" / "content.md"
_CODE = re.compile(r"`([^`]*)`")


class Line(NamedTuple):
    """One body in every format.

    Attributes:
        numbered: document 001's (message_type, bytes).
        beside: document 001's `extra["im.content"]`; "" = none.
        typed: document 002's (message_type, content).
        json: document 004's content.
        plain: document 000's text.
    """

    name: str
    numbered: tuple[int, bytes]
    beside: str
    typed: tuple[str, Any]
    json: Any
    plain: str

    @property
    def is_text(self) -> bool:
        """Document 000 can send it, too."""
        return self.numbered[0] == 1 and not self.beside


class Variation(NamedTuple):
    """Another way to say something: `format` is 001, 002 or 004, `sent` as in Line."""

    format: str
    sent: Any
    json: Any


def _rows(heading: str) -> list[list[str]]:
    section = PAGE.read_text(encoding="utf-8").partition(f"## {heading}\n")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("| ")]
    assert lines, heading
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[1:]]


def _data(code: str) -> bytes:
    return bytes.fromhex(code[2:]) if code.startswith("0x") else code.encode()


def _numbered(cell: str) -> tuple[int, bytes]:
    number, content = _CODE.findall(cell)[:2]
    return int(number), _data(content)


def _typed(cell: str) -> tuple[str | None, Any]:
    kind, content = _CODE.findall(cell)
    return None if kind == "-" else kind, json.loads(content)


def _json(cell: str) -> Any:
    (content,) = _CODE.findall(cell)
    return json.loads(content)


def _plain(cell: str) -> str:
    (text,) = _CODE.findall(cell)
    return str(json.loads(text)) if text.startswith('"') else str(text)


def bodies() -> list[Line]:
    """The table "Bodies"."""
    found = []
    for name, numbered, typed, content, plain in _rows("Bodies"):
        kind, value = _typed(typed)
        assert kind is not None, name
        beside = "".join(_CODE.findall(numbered)[2:])
        found.append(Line(name, _numbered(numbered), beside, (kind, value), _json(content), _plain(plain)))
    return found


def variations() -> list[Variation]:
    """The table "Also read"."""
    readers = {"001": _numbered, "002": _typed, "004": _json}
    return [
        Variation(format, readers[format](sent), _json(arrives))
        for format, sent, arrives in _rows("Also read")
    ]
