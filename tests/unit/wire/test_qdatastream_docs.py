"""The bytes in docs/wire/qdatastream.md are what the codecs read and write."""

from __future__ import annotations

import re
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

import imserver
from imserver.model.accounts import LogIn
from imserver.model.errors import ErrorCode
from imserver.wire.qdatastream import InputStream, QDataStreamClientCodec, QDataStreamServerCodec, StringForm
from imserver.wire.qdatastream.grammar import Mode, Role, parse
from imserver.wire.qdatastream.opening import NotAnOpening, split_opening
from imserver.wire.qdatastream.tables import STATUS, MessageType
from tests.clients import qdatastream_client as by_hand
from tests.unit.wire.test_qdatastream_golden import codec

PAGE = Path(imserver.__file__).parent.parent / "docs" / "wire" / "qdatastream.md"
_HEX = re.compile(r"((?:[0-9a-f]{2})+(?: (?:[0-9a-f]{2})+)*)(?:  .*)?$")


def examples(mark: str) -> list[bytes]:
    """The example bytes of one side."""
    text = PAGE.read_text(encoding="utf-8")
    found = []
    for line in text.splitlines():
        if line.startswith(mark + " "):
            match = _HEX.match(line[2:])
            assert match is not None, line
            found.append(bytes.fromhex(match[1]))
    assert len(found) >= 8
    return found


class Examples(SynchronousTestCase):
    def test_the_server_reads_the_clients_bytes(self) -> None:
        read = set()
        for data in examples("→"):
            if len(data) > 2 and data[:2] == (len(data) - 2).to_bytes(2, "big"):
                self.assertEqual(len(InputStream().feed(data, 0.0)), 1)
                data = data[2:]
            if data[1:3] == b"\x00\x07" or data[0] == 8:
                server = QDataStreamServerCodec()
                who, *more = [part for part in split_opening(data) if isinstance(part, bytes)]
                self.assertEqual(type(server.decode(who).command), LogIn)
                for message in more:
                    read.add(server.decode(message).tag)
            else:
                read.add(codec().decode(data).tag)
        self.assertEqual(read, set(range(8)) - {1})

    def test_clients_read_the_servers_bytes(self) -> None:
        for data in examples("←"):
            message, end = by_hand.decode(data, "utf8")
            self.assertEqual(end, len(data))
            self.assertEqual(parse(data, 0, Mode.WHOLE, StringForm.UTF8, Role.SERVER).end, end)
            QDataStreamClientCodec().decode(data)
            self.assertEqual(MessageType[message["type"].upper().replace("MEDIA", "MEDIA_DATA")], data[0])

    def test_every_type_and_status_is_told(self) -> None:
        text = PAGE.read_text(encoding="utf-8")
        for number in MessageType:
            self.assertIn(f"| {number.value} | {number.name} |", text)
        told = {int(number) for number in re.findall(r"\b[45]\d\d\b", text.partition("## Errors")[2])}
        for code, status in STATUS.items():
            if code not in (ErrorCode.VERSION, ErrorCode.SIGNATURE):  # of another format
                self.assertIn(status, told, code)

    def test_an_opening_must_be_one(self) -> None:
        self.assertRaises(NotAnOpening, split_opening, b"\x07\x00\x01/")
