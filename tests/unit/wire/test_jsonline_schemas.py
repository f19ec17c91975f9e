"""The published schemas: as generated, complete, and true of the page's examples."""

from __future__ import annotations

import json

from jsonschema import Draft202012Validator
from msgspec import Raw
from twisted.trial.unittest import SynchronousTestCase

from imserver.wire.jsonline import COMMAND_MAP, Direction
from imserver.wire.jsonline import schema as generator
from imserver.wire.jsonline.compression import unpack
from imserver.wire.jsonline.messages import Envelope, Headers
from tests.clients.schema_client import Schemas, SchemaViolation
from tests.unit.wire.test_jsonline_docs import lines


class Published(SynchronousTestCase):
    def setUp(self) -> None:
        self.schemas = Schemas(generator.FOLDER)

    def test_as_generated(self) -> None:
        documents = generator.documents()
        files = [path for path in generator.FOLDER.rglob("*") if path.is_file()]
        found = {
            path.relative_to(generator.FOLDER).as_posix(): path.read_text(encoding="utf-8") for path in files
        }
        self.assertEqual(
            found,
            {file: generator.text_of(document) for file, document in documents.items()},
            "run: python -m imserver.wire.jsonline.schema",
        )

    def test_sound(self) -> None:
        for file in generator.documents():
            if not file.endswith(generator.INDEX):
                Draft202012Validator.check_schema(generator.load(file))

    def test_every_command_is_described(self) -> None:
        self.assertEqual(set(self.schemas.index["commands"]), set(COMMAND_MAP))
        for name, command in COMMAND_MAP.items():
            entry = self.schemas.index["commands"][name]
            if command.direction is not Direction.SERVER:
                self.assertIn("request", entry, name)
                self.assertIn("response", entry, name)
            if command.direction is Direction.SERVER:
                self.assertIn("event", entry, name)
                self.assertNotIn("request", entry, name)

    def test_the_examples_of_the_page(self) -> None:
        for line in lines("→"):
            message = json.loads(line)
            if message.get("headers", {}).get("encoding"):
                envelope = Envelope(
                    message["command"],
                    headers=Headers(encoding="zlib"),
                    payload=Raw(json.dumps(message["payload"]).encode()),
                )
                unpack(envelope)
                message["payload"] = json.loads(bytes(envelope.payload))
            message["command"] = message["command"].replace(".", "/").replace("room/", "group/")
            self.schemas.outgoing(message)
        for line in lines("←"):
            message = json.loads(line)
            message["command"] = message["command"].replace(".", "/").replace("room/", "group/")
            self.schemas.incoming(message)

    def test_what_is_not_so_is_noticed(self) -> None:
        send = {"content": {"type": "text", "text": "x"}, "target": {"type": "user", "id": "bob"}}
        self.schemas.outgoing({"command": "message/send", "payload": send})
        for payload in (
            {},
            {"content": send["content"]},
            {**send, "content": "x"},
            {**send, "content": {"text": "x"}},
            {**send, "target": {"type": "planet", "id": "x"}},
            {**send, "extra": {"a": 1}},
        ):
            line = {"command": "message/send", "payload": payload}
            self.assertRaises(SchemaViolation, self.schemas.outgoing, line)
        answer = {
            "id": "1",
            "type": "response",
            "timestamp": 1,
            "command": "control/ping",
            "payload": {"status": 200},
        }
        self.assertRaises(SchemaViolation, self.schemas.incoming, answer)
        self.assertRaises(SchemaViolation, self.schemas.outgoing, {"command": "nope"})
