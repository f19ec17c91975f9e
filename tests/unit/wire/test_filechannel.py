"""The frames of the file channel: golden bytes, any split, hostile input, both roles."""

from __future__ import annotations

import json
import random
import struct
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from imserver.model.errors import ErrorCode, ImError
from imserver.wire import filechannel
from imserver.wire.base import WireError
from imserver.wire.filechannel import (
    MAX_JSON,
    OVERHEAD,
    Ack,
    Data,
    End,
    Failed,
    Frame,
    FrameBuffer,
    Hello,
    Seal,
    encode,
)
from tests.clients import filechannel_client as by_hand

CHUNK = 65536
HASH = "0123456789abcdef" * 4
GOLDEN = "000102030405060708090a0b2f67ba77aa3338154b7d615b84a768361bdbabc611"
"""Key 00…1f, transfer tr-1, offset 1, nonce 00…0b, "hello"."""

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
offsets = st.integers(0, filechannel.MAX_OFFSET)
frames = st.one_of(
    st.builds(Data, offsets, st.binary(max_size=300)),
    st.builds(Ack, texts, offsets, st.sampled_from([200, 409])),
    st.builds(Hello, texts, st.sampled_from(["sender", "receiver"]), offsets, texts),
    st.builds(End, st.just(HASH), texts.filter(bool), texts, st.just(200)),
    st.builds(End, st.just(HASH)),
)


def read(data: bytes, chunk: int = CHUNK) -> list[Frame]:
    """The frames of a whole stream."""
    return FrameBuffer(chunk).feed(data)


class Golden(SynchronousTestCase):
    def test_the_page(self) -> None:
        data = bytes.fromhex("01 0a000000 0000000000100000 6869")
        self.assertEqual(read(data), [Data(1048576, b"hi")])
        self.assertEqual(encode(Data(1048576, b"hi")), data)
        # The draft's own example of an acknowledgement.
        payload = b'{"transfer_id":"tr-54879","offset":1310720,"status":200}'
        ack = struct.pack("<BI", 2, len(payload)) + payload
        self.assertEqual(encode(Ack("tr-54879", 1310720)), ack)
        self.assertEqual(read(ack), [Ack("tr-54879", 1310720, 200)])

    def test_what_a_hand_written_peer_sends(self) -> None:
        hello = by_hand.json_frame(by_hand.HELLO, transfer_id="tr-1", token="t", role="sender", offset=0, x=1)
        end = by_hand.json_frame(by_hand.END, sha256="sha256:" + HASH.upper())
        self.assertEqual(
            read(hello + by_hand.data_frame(7, b"abc") + end),
            [Hello("tr-1", "sender", 0, "t"), Data(7, b"abc"), End(HASH)],
        )

    def test_json_of_the_server(self) -> None:
        for frame, wanted in (
            (Hello("tr-1", "receiver", 5), {"transfer_id": "tr-1", "role": "receiver", "offset": 5}),
            (
                End(HASH, "tr-1", "f-1"),
                {"sha256": HASH, "transfer_id": "tr-1", "file_id": "f-1", "status": 200},
            ),
        ):
            self.assertEqual(json.loads(encode(frame)[5:]), wanted)
        error = ImError(ErrorCode.CONFLICT, "begin again")
        written = json.loads(encode(Failed(error, "tr-1"))[5:])
        self.assertEqual((written["status"], written["error_code"]), (409, 1010))
        (failed,) = read(encode(Failed(error, "tr-1")))
        assert isinstance(failed, Failed)
        self.assertEqual(
            (failed.error.code, failed.error.text, failed.transfer), (error.code, error.text, "tr-1")
        )


class Streams(SynchronousTestCase):
    stream = b"".join(
        encode(frame)
        for frame in (Hello("tr", "sender", 0, "token"), Data(0, b"a" * 20), Data(20, b""), End(HASH))
    )

    def test_every_split(self) -> None:
        whole = read(self.stream)
        self.assertEqual(len(whole), 4)
        for at in range(len(self.stream) + 1):
            buffer = FrameBuffer(CHUNK)
            self.assertEqual(buffer.feed(self.stream[:at]) + buffer.feed(self.stream[at:]), whole, at)
        buffer = FrameBuffer(CHUNK)
        one_by_one = [buffer.feed(self.stream[at : at + 1]) for at in range(len(self.stream))]
        self.assertEqual([frame for found in one_by_one for frame in found], whole)

    @given(st.lists(frames, max_size=8), st.lists(st.integers(1, 400), max_size=30))
    def test_any_frames_in_any_pieces(self, sent: list[Frame], sizes: list[int]) -> None:
        data = b"".join(map(encode, sent))
        buffer, found, at = FrameBuffer(CHUNK), [], 0
        for size in [*sizes, len(data)]:
            found += buffer.feed(data[at : at + size])
            at += size
        self.assertEqual(found + buffer.feed(data[at:]), sent)

    @given(st.lists(frames, max_size=8), st.lists(st.integers(1, 400), max_size=30))
    def test_chunks_in_pieces_are_the_same_bytes(self, sent: list[Frame], sizes: list[int]) -> None:
        data = b"".join(map(encode, sent))
        buffer, found, at = FrameBuffer(CHUNK, whole=False), [], 0
        for size in [*sizes, len(data)]:
            found += buffer.feed(data[at : at + size])
            at += size

        def flat(frames: list[Frame]) -> list[tuple[Any, ...]]:
            """Each byte with its offset, and all else in between."""
            told: list[tuple[Any, ...]] = []
            for frame in frames:
                if isinstance(frame, Data):
                    told += [(frame.offset + number, byte) for number, byte in enumerate(frame.data)]
                else:
                    told.append((frame,))
            return told

        self.assertEqual(flat(found), flat(sent))

    def test_a_piece_is_told_before_its_frame_is_whole(self) -> None:
        buffer = FrameBuffer(CHUNK, whole=False)
        data = encode(Data(70, b"abcdef"))
        self.assertEqual(buffer.feed(data[:12]), [])
        self.assertEqual(buffer.feed(data[12:15]), [Data(70, memoryview(b"ab"))])
        self.assertEqual(buffer.feed(data[15:] + data[:3]), [Data(72, memoryview(b"cdef"))])
        self.assertEqual(buffer.feed(data[3:]), [Data(70, memoryview(b"abcdef"))])


class Hostile(SynchronousTestCase):
    def refused(self, data: bytes, code: ErrorCode = ErrorCode.BAD_REQUEST, chunk: int = CHUNK) -> None:
        error = self.assertRaises(WireError, read, data, chunk)
        self.assertEqual((error.code, error.fatal), (code, True), data[:40])

    def test_lengths(self) -> None:
        most = CHUNK + OVERHEAD
        self.assertEqual(read(struct.pack("<BI", 1, most)), [])
        self.assertEqual(read(struct.pack("<BI", 2, MAX_JSON)), [])
        for kind, length in ((1, most + 1), (1, 2**32 - 1), (2, MAX_JSON + 1), (3, MAX_JSON + 1), (4, most)):
            # Known by its head alone, before anything of it is kept.
            self.refused(struct.pack("<BI", kind, length), ErrorCode.TOO_LARGE)
        self.refused(struct.pack("<BI", 1, 8 + 4096 + 57), ErrorCode.TOO_LARGE, 4096)

    def test_no_such_frames(self) -> None:
        for kind in (0, 6, 7, 47, 71, 255):
            self.refused(struct.pack("<BI", kind, 0))
        self.refused(by_hand.frame(1, b""))
        self.refused(by_hand.frame(1, b"1234567"))
        self.refused(by_hand.data_frame(2**63, b""))

    def test_json_that_is_none(self) -> None:
        for payload in (
            b"",
            b"x",
            b"[]",
            b"5",
            b"null",
            b'{"offset":-1}',
            b'{"offset":1.5}',
            b'{"offset":"1"}',
            b'{"offset":9223372036854775808}',
            b'{"offset":1e400}',
            b'{"transfer_id":5}',
            b'{"transfer_id":"\xff"}',
            b'{"token":null}',
        ):
            for kind in (2, 3, 4):
                self.refused(by_hand.frame(kind, payload))
        self.refused(by_hand.frame(5, b"[]"))
        self.refused(by_hand.frame(5, b"\xff"))

    def test_http_is_no_frame(self) -> None:
        self.refused(b"GET / HTTP/1.1\r\n")

    @given(st.binary(max_size=200), st.integers(0, 5))
    def test_any_bytes_give_frames_or_a_wire_error(self, data: bytes, kind: int) -> None:
        for stream in (data, by_hand.frame(kind, data), Streams.stream + data):
            try:
                for frame in read(stream):
                    self.assertIsInstance(frame, Frame)
            except WireError as error:
                self.assertTrue(error.fatal)

    def test_changed_bytes(self) -> None:
        chance = random.Random(7)
        for _ in range(3000):
            changed = bytearray(Streams.stream)
            for _ in range(chance.randrange(1, 4)):
                changed[chance.randrange(len(changed))] = chance.randrange(256)
            try:
                read(bytes(changed))
            except WireError:
                pass


class Sealed(SynchronousTestCase):
    key = bytes(range(32))

    def test_round_trip_and_shape(self) -> None:
        seal = Seal(self.key, "tr-1")
        nonce = bytes(12)
        sealed = seal.seal(70000, b"hello", nonce)
        self.assertEqual(sealed[:12], nonce)
        self.assertEqual(len(sealed), 12 + 5 + 16)
        self.assertEqual(Seal(self.key, "tr-1").open(70000, sealed), b"hello")
        self.assertLessEqual(8 + len(seal.seal(0, bytes(CHUNK), nonce)), CHUNK + OVERHEAD)

    def test_golden(self) -> None:
        sealed = Seal(self.key, "tr-1").seal(1, b"hello", bytes(range(12)))
        self.assertEqual(sealed.hex(), GOLDEN)

    def test_for_its_place_only(self) -> None:
        sealed = Seal(self.key, "tr-1").seal(5, b"hello", bytes(12))
        opened = [(self.key, "tr-2", 5), (self.key, "tr-1", 6), (bytes(32), "tr-1", 5)]
        for key, transfer, offset in opened:
            error = self.assertRaises(WireError, Seal(key, transfer).open, offset, sealed)
            self.assertEqual((error.code, error.fatal), (ErrorCode.SIGNATURE, True))
        for at in range(len(sealed)):
            changed = bytearray(sealed)
            changed[at] ^= 1
            self.assertRaises(WireError, Seal(self.key, "tr-1").open, 5, bytes(changed))
        for length in range(28):
            self.assertRaises(WireError, Seal(self.key, "tr-1").open, 5, sealed[:length])
