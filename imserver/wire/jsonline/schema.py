"""Makes the JSON Schemas of document 004 (§8): one file for each family of commands, and an index.

    python -m imserver.wire.jsonline.schema

writes them to `schemas/` beside this module, where they are published from.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import Struct

from imserver.wire.jsonline import described
from imserver.wire.jsonline.commands import COMMAND_MAP, MsgType
from imserver.wire.jsonline.described import base
from imserver.wire.jsonline.validator import VERSION

FOLDER: Final = Path(__file__).with_name("schemas")
DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
BASE: Final = "base.json"
INDEX: Final = "index.json"


def documents() -> dict[str, dict[str, Any]]:
    """All of them, by file name."""
    envelope: list[type[Struct]] = [
        base.Request,
        base.Response,
        base.Event,
        base.Error,
        base.Sealed,
    ]
    families: dict[str, list[type[Struct]]] = {BASE: envelope}
    commands: dict[str, dict[str, str]] = {}
    for name, command in COMMAND_MAP.items():
        entry = {"direction": command.direction.value, "summary": command.summary}
        file = f"{name.partition('/')[0]}.json"
        for role, table in (
            ("request", described.REQUESTS),
            ("response", described.ANSWERS),
            ("event", described.EVENTS),
        ):
            payload = table.get(MsgType(name))
            if payload is not None:
                families.setdefault(file, []).append(payload)
                entry[role] = f"{file}#/$defs/{payload.__name__}"
        commands[name] = entry
    index = {
        "version": VERSION,
        "request": f"{BASE}#/$defs/Request",
        "response": f"{BASE}#/$defs/Response",
        "event": f"{BASE}#/$defs/Event",
        "error": f"{BASE}#/$defs/Error",
        "encrypted": f"{BASE}#/$defs/Sealed",
        "commands": commands,
    }
    found = {file: _document(file, list(dict.fromkeys(kinds))) for file, kinds in families.items()}
    return {INDEX: index, **found}


def load(file: str) -> dict[str, Any]:
    """A published schema by its file name. Raises OSError if there is none."""
    found: dict[str, Any] = json.loads((FOLDER / file).read_text(encoding="utf-8"))
    return found


def write(folder: Path = FOLDER) -> None:
    """Writes all of them."""
    folder.mkdir(exist_ok=True)
    for file, document in documents().items():
        (folder / file).write_text(text_of(document), encoding="utf-8")


def text_of(document: dict[str, Any]) -> str:
    """A schema as its file has it."""
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _document(file: str, kinds: list[type[Struct]]) -> dict[str, Any]:
    _, components = msgspec.json.schema_components(kinds, ref_template="#/$defs/{name}")
    for kind, groups in described.ALTERNATIVES.items():
        if kind in kinds:
            components[kind.__name__]["anyOf"] = [{"required": group} for group in groups]
    return {
        "$schema": DIALECT,
        "$id": f"urn:imserver:jsonline:{VERSION}:{file.removesuffix('.json')}",
        "$defs": dict(sorted(components.items())),
    }


if __name__ == "__main__":
    write()
