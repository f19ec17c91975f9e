"""The lines in docs/wire/jsonline.md are what the codecs read and write."""

from __future__ import annotations

import json
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

import imserver
from imserver.model.errors import ErrorCode, ImError
from imserver.wire.base import WireError
from imserver.wire.jsonline import COMMAND_MAP, JsonLineClientCodec, JsonLineServerCodec
from imserver.wire.jsonline.errors import NUMBERS
from tests.clients import jsonline_client as by_hand

PAGE = Path(imserver.__file__).parent.parent / "docs" / "wire" / "jsonline.md"


def lines(mark: str) -> list[bytes]:
    """The example lines of one side."""
    text = PAGE.read_text(encoding="utf-8")
    found = [line[2:].encode() for line in text.splitlines() if line.startswith(mark + " {")]
    assert len(found) > 15
    return found


class Examples(SynchronousTestCase):
    def test_the_server_reads_the_clients_lines(self) -> None:
        server = JsonLineServerCodec(lambda: 1730795174.0)
        refused = []
        for line in lines("→"):
            try:
                request = server.decode(line)
            except WireError as error:
                refused.append((error.command, error.code))
            else:
                # Both roles agree on it.
                again = JsonLineClientCodec().request(request.command, json.loads(line)["id"])
                self.assertEqual(server.decode(again).command, request.command, line)
        self.assertEqual(refused, [("auth/login", ErrorCode.VERSION)])

    def test_clients_read_the_servers_lines(self) -> None:
        for line in lines("←"):
            by_hand.decode(line)
            tag, what = JsonLineClientCodec().decode(line)
            message = json.loads(line)
            self.assertEqual(tag, message["id"] if message["type"] == "response" else None)
            failed = message["payload"].get("status", 200) not in (200, 202)
            self.assertEqual(isinstance(what, ImError), failed and message["command"] != "message/ack", line)

    def test_every_command_and_error_is_told(self) -> None:
        text = PAGE.read_text(encoding="utf-8")
        for command in COMMAND_MAP:
            if not command.startswith("group/"):
                self.assertIn(f"`{command}`", text)
        for code, (status, number) in NUMBERS.items():
            row = next(
                row for row in text.splitlines() if row.startswith(f"| {status.value} | {number.value} |")
            )
            self.assertIn(code.value, row)
