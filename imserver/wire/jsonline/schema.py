"""Makes the JSON Schemas of document 004 (§8): one file for each family of commands, and an index.

    python -m imserver.wire.jsonline.schema

writes them to `schemas/` beside this module, where they are published from; those of the dialect
chat-app to `schemas/chat_app/`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import Struct

from imserver.wire.jsonline import described
from imserver.wire.jsonline.chat_app import commands as chat_app_commands
from imserver.wire.jsonline.chat_app import described as chat_app
from imserver.wire.jsonline.chat_app.described import base as chat_app_base
from imserver.wire.jsonline.commands import COMMAND_MAP, Command, Direction
from imserver.wire.jsonline.described import base
from imserver.wire.jsonline.validator import VERSION

FOLDER: Final = Path(__file__).with_name("schemas")
DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
BASE: Final = "base.json"
INDEX: Final = "index.json"
CHAT_APP: Final = "chat_app/"
"""Before the names of the dialect's files."""

Payloads = Mapping[Any, type[Struct]]
Alternatives = Mapping[type[Struct], list[list[str]]]


class _Family:
    """The files of one dialect, while they are made.

    Args:
        urn: what their ids begin with.
        envelope: goes into the file of the envelope.
        alternatives: see `described.ALTERNATIVES`.
    """

    def __init__(self, urn: str, envelope: list[type[Struct]], alternatives: Alternatives) -> None:
        self._urn = urn
        self._alternatives = alternatives
        self._files: dict[str, list[type[Struct]]] = {BASE: envelope}
        self.commands: dict[str, dict[str, str]] = {}

    def add(self, name: str, direction: Direction, summary: str, **payloads: type[Struct] | None) -> None:
        """Describes the payloads of a command, by their roles."""
        entry = self.commands.setdefault(name, {"direction": direction.value, "summary": summary})
        file = f"{name.partition('/')[0]}.json"
        for role, payload in payloads.items():
            if payload is not None:
                self._files.setdefault(file, []).append(payload)
                entry[role] = f"{file}#/$defs/{payload.__name__}"

    def documents(self, index: dict[str, Any]) -> dict[str, dict[str, Any]]:
        """All files by their names."""
        found = {
            file: self._document(file, list(dict.fromkeys(kinds))) for file, kinds in self._files.items()
        }
        return {INDEX: {**index, "commands": self.commands}, **found}

    def _document(self, file: str, kinds: list[type[Struct]]) -> dict[str, Any]:
        _, components = msgspec.json.schema_components(kinds, ref_template="#/$defs/{name}")
        for kind, groups in self._alternatives.items():
            if kind in kinds:
                components[kind.__name__]["anyOf"] = [{"required": group} for group in groups]
        return {
            "$schema": DIALECT,
            "$id": f"urn:imserver:{self._urn}:{VERSION}:{file.removesuffix('.json')}",
            "$defs": dict(sorted(components.items())),
        }


def _index(**more: str) -> dict[str, Any]:
    names = {"request": "Request", "response": "Response", "event": "Event", "error": "Error", **more}
    return {"version": VERSION, **{role: f"{BASE}#/$defs/{name}" for role, name in names.items()}}


def drafted() -> dict[str, dict[str, Any]]:
    """Those of the draft, by file name."""
    envelope: list[type[Struct]] = [base.Request, base.Response, base.Event, base.Error, base.Sealed]
    family = _Family("jsonline", envelope, described.ALTERNATIVES)
    for name, command in COMMAND_MAP.items():
        family.add(
            name,
            command.direction,
            command.summary,
            request=_of(described.REQUESTS, command),
            response=_of(described.ANSWERS, command),
            event=_of(described.EVENTS, command),
        )
    return family.documents(_index(encrypted="Sealed"))


def chat_app_dialect() -> dict[str, dict[str, Any]]:
    """Those of the dialect chat-app, by file name.

    In its index `answer` is the command of the answer; that has the response's schema, and `error`
    where its errors are not those of all others.
    """
    envelope: list[type[Struct]] = [
        chat_app_base.Request,
        chat_app_base.Response,
        chat_app_base.Event,
        chat_app_base.Error,
        chat_app_base.AccountError,
    ]
    family = _Family("jsonline:chat-app", envelope, chat_app.ALTERNATIVES)
    for spelling, command in chat_app_commands.COMMANDS.items():
        name = spelling.replace("group/", "room/")
        request, event = _of(chat_app.REQUESTS, command), _of(chat_app.EVENTS, command)
        if request is not None or event is not None:
            family.add(name, command.direction, command.summary, request=request, event=event)
        response = _of(chat_app.ANSWERS, command)
        if response is not None:
            answer = chat_app_commands.ANSWERS.get(command.name, name)
            family.commands[name]["answer"] = answer
            own = chat_app_base.AccountError if command.name in chat_app_commands.ACCOUNTS else None
            family.add(answer, Direction.SERVER, f"answers {name}", response=response, error=own)
    return family.documents(_index())


def _of(payloads: Payloads, command: Command) -> type[Struct] | None:
    return payloads.get(command.name)


def documents() -> dict[str, dict[str, Any]]:
    """All of them, by file name; those of the dialect with its folder before it."""
    return {**drafted(), **{f"{CHAT_APP}{file}": made for file, made in chat_app_dialect().items()}}


def load(file: str) -> dict[str, Any]:
    """A published schema by its file name. Raises OSError if there is none."""
    found: dict[str, Any] = json.loads((FOLDER / file).read_text(encoding="utf-8"))
    return found


def write(folder: Path = FOLDER) -> None:
    """Writes all of them."""
    (folder / CHAT_APP).mkdir(parents=True, exist_ok=True)
    for file, document in documents().items():
        (folder / file).write_text(text_of(document), encoding="utf-8")


def text_of(document: dict[str, Any]) -> str:
    """A schema as its file has it."""
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    write()
