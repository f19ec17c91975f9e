"""A client of document 004 that knows nothing but the published JSON Schemas.

What it may send, and what may come back, it looks up in `index.json`; every line in either
direction is held to its schema.
"""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import ITCPTransport
from twisted.internet.protocol import connectionDone
from twisted.protocols.basic import LineOnlyReceiver
from twisted.python.failure import Failure

Line = dict[str, Any]


class SchemaViolation(Exception):
    """A line is not what the schemas say."""


class Schemas:
    """The published schemas in a folder."""

    def __init__(self, folder: Path) -> None:
        self._documents = {path.name: json.loads(path.read_text()) for path in folder.glob("*.json")}
        self.index = self._documents["index.json"]
        self._validators: dict[str, Draft202012Validator] = {}

    def check(self, value: Any, reference: str) -> None:
        """Raises SchemaViolation unless a value is as `file#/$defs/Name` says."""
        validator = self._validators.get(reference)
        if validator is None:
            file, _, place = reference.partition("#")
            schema = {**self._documents[file], "$ref": "#" + place}
            Draft202012Validator.check_schema(schema)
            validator = self._validators[reference] = Draft202012Validator(schema)
        for error in validator.iter_errors(value):
            raise SchemaViolation(f"{reference}: {error.message} at {list(error.absolute_path)}: {value}")

    def of(self, command: str, role: str) -> str:
        """The reference of a payload's schema; `role` is request, response or event."""
        try:
            found: str = self.index["commands"][command][role]
        except KeyError:
            raise SchemaViolation(f"{command} has no {role}") from None
        return found

    def outgoing(self, line: Line) -> None:
        """Checks a line of a client."""
        self.check(line, self.index["request"])
        self.check(line.get("payload", {}), self.of(line["command"], "request"))

    def incoming(self, line: Line) -> None:
        """Checks a line of the server."""
        if line.get("type") == "event":
            self.check(line, self.index["event"])
            self.check(line["payload"], self.of(line["command"], "event"))
            return
        self.check(line, self.index["response"])
        if line["payload"].get("status") in (200, 202):
            self.check(line["payload"], self.of(line["command"], "response"))
        else:
            own = self.index["commands"].get(line["command"], {}).get("error")
            self.check(line["payload"], own or self.index["error"])


class SchemaClient(LineOnlyReceiver):
    """One connection. Attributes: `events` nobody waited for yet; `ended` fires at the end."""

    transport: ITCPTransport
    delimiter = b"\n"
    MAX_LENGTH = 256 * 1024

    def __init__(self, reactor: Any, schemas: Schemas) -> None:
        self._reactor = reactor
        self._schemas = schemas
        self._ids = itertools.count(1)
        self._waiting: dict[Any, Deferred[Line]] = {}
        self._expected: list[tuple[str, Deferred[Line]]] = []
        self.events: list[Line] = []
        self.ended: Deferred[None] = Deferred()

    def call(self, command: str, **payload: Any) -> Deferred[Line]:
        """A request; fires with the payload of its response."""
        id = f"q{next(self._ids)}"
        answer: Deferred[Line] = Deferred()
        self._waiting[id] = answer
        self._say({"id": id, "type": "request", "command": command, "payload": payload})
        return answer.addTimeout(30, self._reactor)

    def tell(self, command: str, **payload: Any) -> None:
        """An event."""
        self._say({"id": f"e{next(self._ids)}", "type": "event", "command": command, "payload": payload})

    def next(self, command: str) -> Deferred[Line]:
        """Fires with the payload of the next event of a command."""
        waiter: Deferred[Line] = Deferred()
        for index, line in enumerate(self.events):
            if line["command"] == command:
                del self.events[index]
                waiter.callback(line["payload"])
                return waiter
        self._expected.append((command, waiter))
        return waiter.addTimeout(30, self._reactor)

    def _say(self, line: Line) -> None:
        self._schemas.outgoing(line)
        self.sendLine(json.dumps(line).encode())

    def lineReceived(self, data: bytes) -> None:
        """See LineOnlyReceiver."""
        line = json.loads(data)
        try:
            self._schemas.incoming(line)
        except SchemaViolation:
            self._fail(Failure())
            return
        if line["type"] == "response":
            self._waiting.pop(line["id"]).callback(line["payload"])
            return
        for index, (command, waiter) in enumerate(self._expected):
            if command == line["command"]:
                del self._expected[index]
                waiter.callback(line["payload"])
                return
        self.events.append(line)

    def _fail(self, failure: Failure) -> None:
        waiting = [*self._waiting.values(), *(waiter for _, waiter in self._expected)]
        self._waiting.clear()
        self._expected.clear()
        for waiter in waiting:
            waiter.errback(failure)
        self.transport.abortConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Fails whatever still waits."""
        self._fail(reason)
        self.ended.callback(None)
