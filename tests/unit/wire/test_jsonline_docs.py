"""The lines in docs/wire/jsonline.md are what the codecs read and write."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

import imserver
from imserver.model.accounts import SessionKicked
from imserver.model.errors import ErrorCode, ImError
from imserver.wire.base import WireError
from imserver.wire.jsonline import (
    COMMAND_MAP,
    JsonLineClientCodec,
    JsonLineServerCodec,
    decode_msg,
    derived_key,
    open_msg,
    validate_signature,
)
from imserver.wire.jsonline.errors import NUMBERS
from tests.clients import jsonline_client as by_hand
from tests.clients import jsonline_security as security_by_hand

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
            goodbye = "retry_after" in message["payload"]
            self.assertEqual(isinstance(what, SessionKicked), goodbye or message["command"] == "auth/kick")
            refused = failed and message["command"] != "message/ack" and not goodbye
            self.assertEqual(isinstance(what, ImError), refused, line)

    def test_the_example_of_a_signed_and_encrypted_message(self) -> None:
        text = PAGE.read_text(encoding="utf-8")
        text = text[text.index("## Signatures and encryption") : text.index("## Limits")]
        data, signed, sealed = re.findall(r"^```json\n(.*)\n```$", text, re.MULTILINE)
        psk = re.search(r"PSK `([^`]+)`", text)
        key = re.search(r"in hex, `([0-9a-f]+)`", text)
        bound_to = re.search(r"bound to `([^`]+)`", text)
        assert psk is not None
        assert key is not None
        assert bound_to is not None
        secret = base64.b64decode(psk[1])
        line = json.loads(signed)
        # By the client that was written by hand, and by the package.
        keys = security_by_hand.Keys(secret, "k1")
        self.assertEqual(security_by_hand.derived(secret).hex(), key[1])
        self.assertEqual(derived_key(secret).hex(), key[1])
        self.assertEqual(security_by_hand.signed_data("c2s", line).decode(), data)
        self.assertEqual(
            json.dumps(security_by_hand.envelope("c2s", line), separators=(",", ":")), bound_to[1]
        )
        message = decode_msg(signed.encode())
        self.assertTrue(validate_signature(message, derived_key(secret), way="c2s"))
        bare = dict(
            line, payload={name: part for name, part in line["payload"].items() if name != "signature"}
        )
        keys.sign_line(bare)
        self.assertEqual(bare, line)
        keys.seal_line(bare, bytes(range(12)))
        opened = open_msg(decode_msg(sealed.encode()), secret, way="c2s")
        self.assertEqual(opened.payload, line["payload"])
        self.assertEqual(open_msg(decode_msg(json.dumps(bare).encode()), secret, way="c2s"), opened)

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
