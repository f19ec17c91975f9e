"""The file channel's protocol: time, back-pressure, and what has no place."""

from __future__ import annotations

import json
import struct
from typing import Any, cast

from twisted.internet.error import ConnectionDone
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

from imserver.model.errors import ErrorCode, ImError
from imserver.model.files import AcceptFile, Channel
from imserver.protocols.doors import Doors
from imserver.protocols.filechannel import READ_BYTES, FileChannelFactory, FileChannelProtocol
from imserver.services.file_uploads import FULL, STEP
from imserver.services.sessions import SessionHub
from tests.clients import filechannel_client as by_hand
from tests.clients.filechannel_client import ACK, DATA, END, ERROR, HELLO
from tests.unit.services.test_files import DATA as CONTENT
from tests.unit.services.test_files import HASH, FileCase

MIB = 1024 * 1024


class ChannelCase(FileCase):
    """Channels over memory transports."""

    def setUp(self) -> None:
        super().setUp()
        self.doors = Doors(cast(SessionHub, self.hub), self.clock)
        self.factory = FileChannelFactory(self.doors, self.files)

    def connect(self) -> tuple[FileChannelProtocol, StringTransport]:
        protocol = self.factory.buildProtocol(None)
        assert protocol is not None
        transport = StringTransport()
        protocol.makeConnection(transport)
        return protocol, transport

    def opened(self, channel: Channel, offset: int = 0) -> tuple[FileChannelProtocol, StringTransport]:
        protocol, transport = self.connect()
        fields = {"transfer_id": channel.transfer, "token": channel.token, "role": channel.role.value}
        protocol.dataReceived(by_hand.json_frame(HELLO, **fields, offset=offset))
        self.settle()
        return protocol, transport

    def frames(self, transport: StringTransport) -> list[tuple[int, Any]]:
        """What was written since, JSON decoded."""
        data, found = transport.value(), []
        transport.clear()
        while data:
            kind, length = struct.unpack_from("<BI", data)
            payload = data[5 : 5 + length]
            found.append((kind, payload if kind == DATA else json.loads(payload)))
            data = data[5 + length :]
        return found

    def lose(self, protocol: FileChannelProtocol) -> None:
        protocol.connectionLost(Failure(ConnectionDone()))
        self.settle()


class Uploading(ChannelCase):
    def test_from_hello_to_end(self) -> None:
        channel = self.request()
        protocol, transport = self.opened(channel)
        self.assertEqual(self.frames(transport)[0][1]["offset"], 0)
        protocol.dataReceived(by_hand.data_frame(0, CONTENT) + by_hand.json_frame(END, sha256=HASH))
        self.settle()
        (kind, acked), (last, end) = self.frames(transport)
        self.assertEqual((kind, acked["offset"], last, end["file_id"]), (ACK, 1000, END, channel.file))
        self.assertTrue(transport.disconnecting)
        self.lose(protocol)
        self.assertEqual((len(self.files.channels), self.doors.counter.total), (0, 0))

    def test_it_is_not_read_while_the_disk_is_behind(self) -> None:
        data = bytes(4 * MIB)
        protocol, transport = self.opened(self.request(data=data))
        self.blobs.held = True
        at = 0
        while transport.producerState == "producing":
            protocol.dataReceived(by_hand.data_frame(at, data[:65536]))
            at += 65536
            self.assertLessEqual(at, STEP + FULL)
        self.blobs.release()
        self.settle()
        self.assertEqual(transport.producerState, "producing")
        self.assertEqual(self.frames(transport)[-1][1]["offset"], at)

    def test_the_peer_is_gone(self) -> None:
        channel = self.request()
        protocol, _ = self.opened(channel)
        protocol.dataReceived(by_hand.data_frame(0, CONTENT[:600]))
        self.clock.advance(0.3)
        self.lose(protocol)
        self.assertEqual(self.request(resume=channel.transfer).offset, 600)
        self.assertEqual(self.files.channels.uploads, {})

    def test_silence(self) -> None:
        protocol, transport = self.opened(self.request())
        for _ in range(8):
            self.clock.advance(10)
        self.assertFalse(transport.disconnecting)
        protocol.dataReceived(by_hand.data_frame(0, b"0"))
        for _ in range(8):
            self.clock.advance(10)
        self.assertFalse(transport.disconnecting)
        for _ in range(4):
            self.clock.advance(10)
        self.assertTrue(transport.disconnecting)
        self.assertEqual(self.frames(transport)[-1][0], ERROR)
        self.clock.advance(10)
        self.assertTrue(transport.disconnected)


class Downloading(ChannelCase):
    def stored(self, data: bytes) -> Channel:
        channel = self.request(data=data)
        self.whole(channel, data)
        accepted: Channel = self.ask("bob", AcceptFile(channel.transfer))
        return accepted

    def test_only_what_the_peer_takes_is_read(self) -> None:
        data = bytes(3 * MIB)
        protocol, transport = self.opened(self.stored(data))
        protocol.pauseProducing()
        sent = sum(len(payload) - 8 for kind, payload in self.frames(transport) if kind == DATA)
        # Memory has no wire that is ever full: everything went before it was paused.
        self.assertEqual(sent, len(data))
        protocol, transport = self.connect()
        register = transport.registerProducer

        def paused_at_once(producer: Any, streaming: bool) -> None:
            register(producer, streaming)
            transport.writeSequence = written  # type: ignore[method-assign]

        taken: list[bytes] = []

        def written(pieces: Any) -> None:
            taken.extend(pieces)
            protocol.pauseProducing()

        transport.registerProducer = paused_at_once  # type: ignore[method-assign]
        channel = self.ask("bob", AcceptFile(self.wait(self.cellar.files.transfers("bob", 10**9, 1))[0].id))
        fields = {"transfer_id": channel.transfer, "token": channel.token, "role": "receiver"}
        protocol.dataReceived(by_hand.json_frame(HELLO, **fields, offset=0))
        self.settle()
        self.assertLessEqual(sum(map(len, taken)), READ_BYTES + 13 * 16)
        protocol.resumeProducing()
        self.settle()
        self.assertGreater(sum(map(len, taken)), READ_BYTES + 13 * 16)

    def test_who_takes_nothing_is_sent_away(self) -> None:
        protocol, transport = self.opened(self.stored(CONTENT), 5)
        frames = self.frames(transport)
        self.assertEqual([kind for kind, _ in frames], [HELLO, DATA, END])
        self.assertEqual(frames[1][1], struct.pack(">Q", 5) + CONTENT[5:])
        for _ in range(11):
            self.clock.advance(10)
        self.assertTrue(transport.disconnecting)
        self.lose(protocol)
        self.assertEqual(self.files.channels.downloads, {})

    def test_who_waits_and_goes_leaves_nothing_behind(self) -> None:
        channel = self.request()
        accepted = self.ask("bob", AcceptFile(channel.transfer))
        gone, _ = self.opened(accepted)
        stays, transport = self.opened(accepted)
        self.assertEqual(len(self.files.channels._waiting[channel.transfer]), 2)
        self.lose(gone)
        self.assertEqual(len(self.files.channels._waiting[channel.transfer]), 1)
        self.whole(channel)
        self.settle()
        self.assertEqual([kind for kind, _ in self.frames(transport)], [HELLO, DATA, END])
        self.lose(stays)
        self.assertEqual((self.files.channels._waiting, len(self.files.channels)), ({}, 0))

    def test_nobody_waits_for_ever(self) -> None:
        channel = self.request()
        accepted = self.ask("bob", AcceptFile(channel.transfer))
        waits, transport = self.opened(accepted)
        for _ in range(59):
            self.clock.advance(10)
        self.assertEqual(self.frames(transport), [])
        waits.dataReceived(b"\x03")  # a sign of life
        for _ in range(59):
            self.clock.advance(10)
        self.assertFalse(transport.disconnecting)
        for _ in range(2):
            self.clock.advance(10)
        ((kind, told),) = self.frames(transport)
        self.assertEqual((kind, told["status"], told["retryable"]), (ERROR, 503, True))
        self.assertTrue(transport.disconnecting)
        self.lose(waits)
        self.assertEqual((self.files.channels._waiting, len(self.files.channels)), ({}, 0))

    def test_the_end_is_told_to_the_sender(self) -> None:
        alice = self.peer("alice")
        channel = self.stored(CONTENT)
        protocol, transport = self.opened(channel)
        protocol.dataReceived(by_hand.json_frame(ACK, transfer_id=channel.transfer, offset=1000, status=200))
        self.settle()
        self.assertEqual(type(alice.events[-1]).__name__, "FileDelivered")
        self.assertTrue(transport.disconnecting)

    def test_more_than_was_sent(self) -> None:
        channel = self.stored(CONTENT)
        for offset, frame in (
            (1001, b""),
            (0, by_hand.json_frame(ACK, transfer_id=channel.transfer, offset=1001, status=200)),
            (0, by_hand.data_frame(0, b"x")),
            (0, by_hand.json_frame(END, sha256=HASH)),
        ):
            protocol, transport = self.opened(channel, offset)
            protocol.dataReceived(frame)
            self.settle()
            self.assertEqual(self.frames(transport)[-1][1]["status"], 400)


class Opening(ChannelCase):
    def test_nobody_says_hello(self) -> None:
        protocol, transport = self.connect()
        self.clock.advance(5)
        self.assertFalse(transport.disconnecting)
        for _ in range(8):
            self.clock.advance(1)
        self.assertEqual(self.frames(transport)[0][1]["status"], 401)
        self.lose(protocol)
        self.assertEqual(self.doors.counter.total, 0)

    def test_too_many(self) -> None:
        channel = self.request()
        for _ in range(4):
            self.files.channels.enter("alice")
        protocol, transport = self.opened(channel)
        self.assertEqual(self.frames(transport)[0][1]["status"], 429)
        self.lose(protocol)
        self.assertEqual(len(self.files.channels), 4)

    def test_the_server_goes_down(self) -> None:
        _, busy = self.opened(self.request())
        self.frames(busy)
        self.wait(self.files.close())
        self.assertEqual(self.frames(busy)[0][1]["error_code"], 1012)
        error = self.assertRaises(ImError, self.files.channels.enter, "alice")
        self.assertEqual(error.code, ErrorCode.UNAVAILABLE)

    def test_no_room_for_connections(self) -> None:
        self.doors.closing = True
        self.assertIsNone(self.factory.buildProtocol(None))
