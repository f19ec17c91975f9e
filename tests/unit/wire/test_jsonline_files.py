"""file/* of document 004: the document's examples, and what one role writes and the other reads."""

from __future__ import annotations

import json
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from imserver.model.errors import ErrorCode, ImError
from imserver.model.files import (
    AcceptFile,
    CancelTransfer,
    Channel,
    Encryption,
    FileAccepted,
    FileCancelled,
    FileDelivered,
    FileEnded,
    FileInfo,
    FileOffered,
    FileRejected,
    FileStored,
    Kind,
    ListTransfers,
    RejectFile,
    ReportFile,
    RequestFile,
    Role,
    TransferPage,
)
from imserver.wire.base import Request, WireError
from imserver.wire.filechannel import Ack, Data, FrameBuffer, encode
from imserver.wire.jsonline import COMMAND_MAP, JsonLineClientCodec, JsonLineServerCodec

HASH = "ab" * 32

# Document 004, 2.4.
REQUEST = b"""{
  "id": "file-req-1",
  "type": "request",
  "command": "file/request",
  "payload": {
    "file_name": "report.pdf",
    "file_size": 5242880,
    "hash": "sha256:...",
    "target": {
      "type": "user",
      "id": "u-10002"
    },
    "resume": {
      "transfer_id": "tr-001",
      "offset": 1048576
    }
  }
}"""
ANSWER: dict[str, Any] = {
    "id": "file-req-1",
    "type": "response",
    "command": "file/request",
    "payload": {
        "status": 200,
        "transfer_id": "tr-54879",
        "mode": "passive",
        "endpoint": {"host": "server.example.com", "port": 9500, "protocol": "tcp"},
        "chunk_size": 65536,
        "resume_offset": 1048576,
    },
}
ACK = b'{"transfer_id":"tr-54879","offset":1310720,"status":200}'

CHANNEL = Channel(
    "tr-54879",
    "f-1",
    Role.SENDER,
    5242880,
    1048576,
    "token",
    65536,
    "server.example.com",
    9500,
    9501,
)


def codec(*, secure: bool = False) -> JsonLineServerCodec:
    made = JsonLineServerCodec(lambda: 1730795174.0)
    made.located("192.0.2.1", secure)
    return made


def request(command: Any, id: str = "r1") -> Request:
    """What the server makes of what a client writes."""
    return codec(secure=True).decode(JsonLineClientCodec().request(command, id))


class Document(SynchronousTestCase):
    def test_the_request(self) -> None:
        read = codec().decode(REQUEST).command
        self.assertEqual(
            read,
            RequestFile(
                "report.pdf",
                5242880,
                "...",
                recipient="u-10002",
                resume="tr-001",
                client_id="file-req-1",
            ),
        )

    def test_the_answer_has_what_the_document_has(self) -> None:
        made = codec()
        (line,) = made.reply(made.decode(REQUEST), CHANNEL)
        found = json.loads(line)
        for key in ("id", "type", "command"):
            self.assertEqual(found[key], ANSWER[key])
        wanted = ANSWER["payload"]
        self.assertEqual({key: found["payload"][key] for key in wanted}, wanted)
        more = {"channel_token": "token", "encryption": "none", "file_id": "f-1", "file_size": 5242880}
        self.assertEqual(found["payload"], {**wanted, **more, "role": "sender"})

    def test_the_frames(self) -> None:
        self.assertEqual(encode(Ack("tr-54879", 1310720)), b"\x02\x38\x00\x00\x00" + ACK)
        self.assertEqual(FrameBuffer(65536).feed(b"\x02\x38\x00\x00\x00" + ACK), [Ack("tr-54879", 1310720)])
        self.assertEqual(
            encode(Data(1048576, b"hi")),
            bytes.fromhex("01 0a000000 0000000000100000 6869"),
        )


COMMANDS: tuple[Any, ...] = (
    RequestFile("张三.pdf", 5, client_id="r1"),
    RequestFile("a", 0, HASH, recipient="bob", kind=Kind.IMAGE, client_id="r1"),
    RequestFile("a", 2**53 - 1, HASH, group="g", resume="tr-1", client_id="r1"),
    RequestFile("a", 5, HASH, conversation="us", encryption=Encryption.AES_GCM, client_id="r1"),
    AcceptFile("tr-1"),
    AcceptFile(file="f-1", encryption=Encryption.AES_GCM),
    RejectFile("tr-1"),
    RejectFile("tr-1", "too large"),
    CancelTransfer("tr-1", "enough"),
    ReportFile("tr-1", 5),
    ReportFile("tr-1", 0),
    ListTransfers(),
    ListTransfers("17", 5),
)
INFO = FileInfo("tr-1", "f-1", "alice", "bob", "", "a.pdf", 5, HASH, Kind.VIDEO, True, 17.0, 18.0)
TO_GROUP = FileInfo("tr-1", "", "alice", "", "g", "a.pdf", 5, "", Kind.FILE, False, 17.0, 18.0)
EVENTS: tuple[Any, ...] = (
    FileOffered(INFO),
    FileOffered(TO_GROUP),
    FileStored(INFO),
    FileAccepted("tr-1", "bob"),
    FileRejected("tr-1", "bob", ""),
    FileCancelled("tr-1", "alice", "enough"),
    FileDelivered("tr-1", "f-1", "bob"),
)


class RoundTrip(SynchronousTestCase):
    def test_commands(self) -> None:
        for command in COMMANDS:
            self.assertEqual(request(command).command, command)

    def test_a_command_of_its_own_says_that_all_of_it_came(self) -> None:
        line = b'{"id":"r1","command":"file/complete","payload":{"transfer_id":"tr-1","offset":7}}'
        self.assertEqual(codec().decode(line).command, ReportFile("tr-1"))
        self.assertEqual(request(ReportFile("tr-1")).command, ReportFile("tr-1"))

    def test_events(self) -> None:
        for event in EVENTS:
            (line,) = codec().event(event)
            self.assertEqual(JsonLineClientCodec().decode(line), (None, event))

    def test_answers(self) -> None:
        key = bytes(range(32))
        sealed = Channel(
            "tr-1", "f-1", Role.RECEIVER, 5, 0, "t", 65536, "h", 0, 9501, Encryption.AES_GCM, key
        )
        page = TransferPage([INFO, TO_GROUP], "16")
        for command, reply in (
            (COMMANDS[0], sealed),
            (AcceptFile("tr-1"), sealed),
            (RejectFile("tr-1"), FileEnded("tr-1")),
            (CancelTransfer("tr-1"), FileEnded("tr-1")),
            (ReportFile("tr-1", 5), FileEnded("tr-1")),
            (ListTransfers(), page),
        ):
            client, server = JsonLineClientCodec(), codec(secure=True)
            asked = server.decode(client.request(command, "r1"))
            (line,) = server.reply(asked, reply)
            self.assertEqual(client.decode(line), ("r1", reply), command)

    def test_other_spellings(self) -> None:
        line = {"id": 7, "command": "file.request", "payload": {"file_name": "a", "file_size": 5}}
        cases: tuple[tuple[Any, Any], ...] = (
            ({"hash": HASH.upper()}, {"sha256": HASH}),
            ({"hash": f"sha256:{HASH}"}, {"sha256": HASH}),
            ({"checksum": HASH}, {"sha256": HASH}),
            ({"target": {"type": "room", "id": "group_g"}}, {"group": "g"}),
            ({"target": {"type": "user", "id": 5}}, {"recipient": "5"}),
            ({"target": {"type": "user", "id": "bob"}, "conversation_id": "us"}, {"recipient": "bob"}),
            ({"conv_id": "us"}, {"conversation": "us"}),
            ({"resume": None, "encryption": None, "file_type": None}, {}),
        )
        for more, wanted in cases:
            asked = {**line, "payload": {**line["payload"], **more}}  # type: ignore[dict-item]
            read = codec().decode(json.dumps(asked).encode()).command
            self.assertEqual(read, RequestFile("a", 5, client_id="7", **wanted), more)


class Once(SynchronousTestCase):
    def test_what_is_answered_again(self) -> None:
        """A request and an accept are done again: their answers hold for ten minutes only."""
        again = {name for name, command in COMMAND_MAP.items() if name.startswith("file/") and command.once}
        self.assertEqual(again, {"file/reject", "file/cancel", "file/complete"})
        read = request(RejectFile("tr-1"))
        self.assertEqual((read.dedupe, read.retry_id), (True, "file/reject r1"))
        self.assertFalse(request(COMMANDS[0]).dedupe)


class Keys(SynchronousTestCase):
    line = (
        b'{"id":"r1","command":"file/request","payload":'
        b'{"file_name":"a","file_size":5,"encryption":"aes-gcm"}}'
    )

    def test_over_tls_only(self) -> None:
        error = self.assertRaises(WireError, codec().decode, self.line)
        self.assertEqual(error.code, ErrorCode.BAD_REQUEST)
        self.assertEqual(codec(secure=True).decode(self.line).command.encryption, Encryption.AES_GCM)

    def test_the_channel_is_as_safe_as_the_session(self) -> None:
        asked = codec().decode(REQUEST)
        for secure, port, protocol in ((False, 9500, "tcp"), (True, 9501, "tls")):
            (line,) = codec(secure=secure).reply(asked, CHANNEL)
            place = json.loads(line)["payload"]["endpoint"]
            self.assertEqual((place["port"], place["protocol"]), (port, protocol))
        nowhere = Channel("tr-1", "f-1", Role.SENDER, 5, 0, "t", 65536)
        for secure in (False, True):
            error = self.assertRaises(ImError, codec(secure=secure).reply, asked, nowhere)
            self.assertEqual(error.code, ErrorCode.UNAVAILABLE)
        for secure in (False, True):
            told = Channel("tr-1", "f-1", Role.SENDER, 5, 0, "t", 65536, "h", 7, 7, protocol="tls")
            (line,) = codec(secure=secure).reply(asked, told)
            place = json.loads(line)["payload"]["endpoint"]
            self.assertEqual(place, {"host": "h", "port": 7, "protocol": "tls"})
        here = Channel("tr-1", "f-1", Role.SENDER, 5, 0, "t", 65536, port=1)
        (line,) = codec().reply(asked, here)
        self.assertEqual(json.loads(line)["payload"]["endpoint"]["host"], "192.0.2.1")
