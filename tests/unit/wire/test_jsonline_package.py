"""The package as a library: the draft's names, framing, no Twisted."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

import imserver
from imserver.wire import jsonline as proto

ROOT = str(Path(imserver.__file__).parent.parent)


class Pieces:
    """A stream that gives its bytes in the pieces it was given."""

    def __init__(self, *pieces: bytes) -> None:
        self.pieces = list(pieces)

    async def read(self, n: int, /) -> bytes:
        return self.pieces.pop(0) if self.pieces else b""


async def gather(reader: Pieces, into: list[proto.MsgBase]) -> None:
    async for message in proto.decode_stream(reader, limit=80):
        into.append(message)  # noqa: PERF401 - what came before an error counts too


class Package(SynchronousTestCase):
    def test_needs_no_twisted(self) -> None:
        program = (
            "import sys; sys.modules['twisted'] = sys.modules['imserver.services'] = None\n"
            "import imserver.wire.jsonline as proto\n"
            "print(proto.VERSION, proto.MsgType.LOGIN)"
        )
        ran = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, check=False
        )
        self.assertEqual((ran.stdout, ran.stderr), ("1.0 auth/login\n", ""))

    def test_public_names(self) -> None:
        for name in proto.__all__:
            self.assertTrue(hasattr(proto, name), name)
        self.assertEqual(proto.VERSION, "1.0")
        self.assertEqual(proto.MsgType.SEND, "message/send")
        self.assertEqual(proto.COMMAND_MAP["auth/login"].name, proto.MsgType.LOGIN)
        self.assertEqual(set(proto.COMMAND_MAP), {name.value for name in proto.MsgType})

    def test_encode_and_decode(self) -> None:
        message = proto.create_msg("auth/login", {"username": "爱丽丝"}, id="1", timestamp=5)
        line = proto.encode_msg(message)
        self.assertEqual(
            line,
            '{"id":"1","type":"request","timestamp":5,"command":"auth/login",'
            '"payload":{"username":"爱丽丝"}}\n'.encode(),
        )
        self.assertEqual(proto.decode_msg(line), message)
        self.assertEqual(proto.encode_msg({"id": 1}), b'{"id":1}\n')

    def test_messages_get_ids_of_their_own(self) -> None:
        first, second = proto.create_msg("control/ping"), proto.create_msg("control/ping")
        self.assertNotEqual(first.id, second.id)
        self.assertEqual(
            proto.JsonLineServerCodec(lambda: 1.0).decode(proto.encode_msg(first)).tag.name, "control/ping"
        )

    def test_validate_version(self) -> None:
        for headers in (None, {}, {"version": None}, {"version": "1.0"}, {"version": 1}):
            self.assertTrue(proto.validate_version(headers), headers)
        unsupported: tuple[object, ...] = ("2.0", 2, [], True)
        for version in unsupported:
            self.assertFalse(proto.validate_version({"version": version}), version)

    def test_protocol_error(self) -> None:
        error = proto.ProtocolError(proto.StatusCode.BAD_REQUEST, "Invalid payload")
        self.assertEqual(
            error.to_dict(),
            {
                "status": 400,
                "error_code": 1004,
                "error": "BAD_REQUEST",
                "error_message": "Invalid payload",
                "retryable": False,
            },
        )
        self.assertTrue(proto.ProtocolError(proto.StatusCode.INTERNAL, "x").retryable)
        exists = proto.ProtocolError(proto.StatusCode.CONFLICT, "x", code=proto.ErrorCode.ERR_USER_EXISTS)
        self.assertEqual(exists.to_dict()["error"], "USER_EXISTS")
        self.assertEqual(
            [int(code) for code in proto.ErrorCode], list(range(1001, 1013)), "the numbers are on the wire"
        )


class DecodeStream(SynchronousTestCase):
    def read(self, *pieces: bytes) -> tuple[list[proto.MsgBase], Deferred[None]]:
        messages: list[proto.MsgBase] = []
        return messages, Deferred.fromCoroutine(gather(Pieces(*pieces), messages))

    def test_split_and_glued(self) -> None:
        one = proto.encode_msg(proto.create_msg("control/ping", id=1))
        two = proto.encode_msg(proto.create_msg("control/ping", id=2))
        stream = one + b"\r\n" + two + one
        for cut in range(1, len(stream)):
            messages, done = self.read(stream[:cut], stream[cut:])
            self.successResultOf(done)
            self.assertEqual([message.id for message in messages], [1, 2, 1])

    def test_what_is_no_message(self) -> None:
        for line in (b"x\n", b"[]\n", b'{"id":1}\n', b'{"command":"c","id":"\xff"}\n'):
            messages, done = self.read(line)
            error = self.failureResultOf(done, proto.ProtocolError).value
            self.assertEqual((messages, error.status), ([], proto.StatusCode.BAD_REQUEST))

    def test_too_long(self) -> None:
        messages, done = self.read(b" " * 81, b" ")
        error = self.failureResultOf(done, proto.ProtocolError).value
        self.assertEqual((messages, error.status), ([], proto.StatusCode.TOO_LARGE))


class Limits(SynchronousTestCase):
    def test_an_over_long_line_is_told_once_and_skipped(self) -> None:
        buffer = proto.LineBuffer(10)
        self.assertEqual(buffer.feed(b"0123456789"), [])
        self.assertEqual(buffer.feed(b"\r"), [])
        self.assertEqual(buffer.feed(b"x"), [None])
        self.assertEqual(buffer.feed(b"y" * 1000), [])
        self.assertEqual(buffer.feed(b"z\nnext\n"), [b"next"])
        self.assertEqual(buffer.feed(b"0123456789\r\n"), [b"0123456789"])
        self.assertEqual(buffer.feed(b"01234567890\nok\n"), [None, b"ok"])
