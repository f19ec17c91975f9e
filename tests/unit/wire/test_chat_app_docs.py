"""The lines in docs/wire/chat-app.md are what the codecs read and write, and what the schemas say."""

from __future__ import annotations

import json
import re
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

import imserver
from imserver.model.calls import Ending
from imserver.model.errors import ImError
from imserver.wire.jsonline import schema as generator
from imserver.wire.jsonline.chat_app import ChatAppClientCodec, ChatAppServerCodec
from imserver.wire.jsonline.chat_app.commands import ANSWERS, COMMANDS
from imserver.wire.relaychannel import FrameType, RelayFrames, frame, read_hello
from tests.clients import chat_app_client as by_hand
from tests.clients.schema_client import Schemas

PAGE = Path(imserver.__file__).parent.parent / "docs" / "wire" / "chat-app.md"
TEXT = PAGE.read_text(encoding="utf-8")


def lines(mark: str) -> list[bytes]:
    """The example lines of one side."""
    found = [line[2:].encode() for line in TEXT.splitlines() if line.startswith(mark + " {")]
    assert len(found) > 15
    return found


class Examples(SynchronousTestCase):
    def setUp(self) -> None:
        self.schemas = Schemas(generator.FOLDER / "chat_app")

    def test_the_server_reads_the_clients_lines(self) -> None:
        server = ChatAppServerCodec(lambda: 1730795174.0)
        for line in lines("→"):
            request = server.decode(line)
            message = json.loads(line)
            again = ChatAppClientCodec().request(request.command, message["id"])
            self.assertEqual(server.decode(again).command, request.command, line)
            self.schemas.outgoing(message)
            self.schemas.outgoing(json.loads(again))

    def test_clients_read_the_servers_lines(self) -> None:
        for line in lines("←"):
            by_hand.decode(line)
            tag, what = ChatAppClientCodec().decode(line)
            message = json.loads(line)
            self.assertEqual(tag, message["id"] if message["type"] == "response" else None)
            failed = message["type"] == "response" and message["payload"]["status"] != 200
            self.assertEqual(isinstance(what, ImError), failed, line)
            self.schemas.incoming(message)

    def test_the_channels_bytes(self) -> None:
        line = re.search(r"```\n(\{\"session_id\".*\})\n```", TEXT)
        assert line is not None
        self.assertEqual(read_hello(line[1].encode()).user, "alice")
        data, end = re.findall(r"^((?:[0-9a-f]+ )+) +\w+", TEXT, re.MULTILINE)
        self.assertEqual(bytes.fromhex(data), frame(FrameType.DATA, b"hi"))
        self.assertEqual(bytes.fromhex(end), frame(FrameType.END))
        self.assertEqual(len(RelayFrames().feed(bytes.fromhex(data + end))), 2)

    def test_every_command_answer_and_ending_is_told(self) -> None:
        for name, command in COMMANDS.items():
            family = name.partition("/")[0]
            if family in ("group", "friend", "room"):
                continue  # listed by their sections
            if name not in ("message/ack",):
                self.assertIn(f"`{name}`", TEXT)
            answer = ANSWERS.get(command.name)
            if answer is not None and family == "auth":
                self.assertIn(f"`{answer}`", TEXT)
        for name in COMMANDS:
            spelled = name.replace("group/", "room/")
            if spelled.startswith(("room/", "friend/")):
                self.assertIn(f"`{spelled}`", TEXT)
        for ending in Ending:
            self.assertIn(f"`{ending.value}`", TEXT)
