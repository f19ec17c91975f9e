"""Nothing a peer writes may end in anything but messages and WireErrors, and nothing grows without bound."""

from __future__ import annotations

import itertools
import random
import sys

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from imserver.model.errors import ErrorCode
from imserver.wire.base import Request, WireError
from imserver.wire.qdatastream import (
    Framing,
    InputStream,
    NotAnOpening,
    QDataStreamClientCodec,
    QDataStreamServerCodec,
    StringForm,
    UnframedParser,
    add_length,
)
from imserver.wire.qdatastream.grammar import Mode, Role, _text_at_once
from imserver.wire.qdatastream.scanner import Scanner
from imserver.wire.qdatastream.unframed import PATIENCE
from tests.effort import effort, seeds
from tests.unit.wire.qdatastream_samples import CALL, MEDIA, NULL, REGISTRATION, STRINGS, samples

SEEDS = [sample.data for form in STRINGS for sample in samples(form)] + [MEDIA.data]
PIECES = [
    *SEEDS, NULL, REGISTRATION, b"\x00\x24" + CALL.encode(), b"\x00\x00\x00\x48", b"\xff\xff", b"\x00\x00",
    b"\x00" * 9, b"\x07" * 5, b"\x04", b"\x05", b"\x06", b"\x01\x00", b"\x01\x01", b"\xd8\x00", b"\x0b",
]  # fmt: skip
FROM_SERVER = [
    b"\x0a\x01\x00\x01t\x00\x01u", b"\x0a\x00\x00\x02no", b"\x0b\x00\x01\x94\x00\x00",
    b"\x0b\x00\x01\x94\x00\x00\x00\x02\x00n", b"\x0c\x00\x01b\x01",
    b"\x02\x00\x24" + CALL.encode() + b"\x00\x03bob\x01", b"\x06\x00\x24" + CALL.encode() + b"xyz",
]  # fmt: skip

streams = st.lists(st.sampled_from(PIECES) | st.binary(max_size=6), max_size=12).map(b"".join)


def mutate(chance: random.Random, data: bytes) -> bytes:
    """A few cuts, swaps and insertions."""
    mutant = bytearray(data)
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(mutant) + 1)
        action = chance.randrange(4)
        if action == 0:
            mutant[at:at] = chance.choice(PIECES)
        elif action == 1:
            del mutant[at : at + chance.randint(1, 20)]
        elif action == 2 and at < len(mutant):
            mutant[at] = chance.randrange(256)
        else:
            mutant[at : at + chance.randint(1, 8)] = chance.randbytes(chance.randint(1, 8))
    return bytes(mutant)


def judge(codec: QDataStreamServerCodec, frame: bytes) -> None:
    """Reads a message; what refuses it must be answerable."""
    try:
        request = codec.decode(frame)
    except WireError as error:
        for answer in codec.refusal(error.tag, error):
            assert answer[0] in (10, 11) or (answer[0] == 4 and frame[0] == 2)  # a call that cannot be
    else:
        assert type(request) is Request
        repr(request.command).encode()  # fails if a lone surrogate went in


def drive(stream: InputStream, pieces: list[bytes], codec: QDataStreamServerCodec) -> None:
    """Feeds pieces as a connection would be read, time passing now and then."""
    now = 0.0
    for piece in pieces:
        frames = stream.feed(piece, now)
        if stream.deadline is not None and len(piece) % 2:
            now = stream.deadline
            frames += stream.settle(now)
        if stream.framing is not None and codec.framing is None:
            codec.framing = stream.framing
        for place, frame in enumerate(frames):
            if isinstance(frame, WireError):
                assert place == len(frames) - 1
                assert frame.fatal
                assert not isinstance(frame, NotAnOpening) or frame.text
                return
            judge(codec, frame)


class Fuzz(SynchronousTestCase):
    @given(streams, st.lists(st.integers(0, 300), max_size=6), st.booleans(), st.booleans())
    def test_any_stream(self, data: bytes, places: list[int], opened: bool, token: bool) -> None:
        data = REGISTRATION + data if opened else data
        edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
        pieces = [data[start:end] for start, end in itertools.pairwise(edges)]
        drive(InputStream(token_required=token), pieces, QDataStreamServerCodec())

    @given(st.binary(max_size=200))
    def test_any_message(self, frame: bytes) -> None:
        for framing in Framing:
            codec = QDataStreamServerCodec()
            codec.framing = framing
            judge(codec, frame)
            judge(codec, frame)

    @given(st.lists(st.sampled_from(PIECES) | st.binary(max_size=40), max_size=8), st.booleans())
    def test_a_running_call_is_never_a_reason_to_close(self, reads: list[bytes], settle: bool) -> None:
        parser = UnframedParser()
        parser.feed(REGISTRATION, 0.0)
        parser.call_begins(CALL)
        frames = parser.feed(MEDIA.data, 0.0)
        for number, read in enumerate(reads):
            frames += parser.feed(read, float(number))
            if settle and parser.deadline is not None:
                frames += parser.settle(parser.deadline)
        if parser.deadline is not None:
            frames += parser.settle(parser.deadline)
        self.assertFalse([frame for frame in frames if isinstance(frame, WireError)])
        # Not a byte is lost: what MEDIA adds is its type.
        received = sum(map(len, reads)) + len(MEDIA.data)
        given_back = sum(len(frame) for frame in frames if isinstance(frame, bytes))
        added = sum(1 for frame in frames if isinstance(frame, bytes) and frame[0] == 6)
        self.assertTrue(received <= given_back <= received + added)

    @given(
        st.lists(
            st.sampled_from(PIECES) | st.binary(max_size=40) | st.sampled_from(["begins", "ends", "waits"]),
            max_size=20,
        ),
    )
    def test_calls_that_come_and_go(self, steps: list[bytes | str]) -> None:
        parser = UnframedParser()
        parser.feed(REGISTRATION, 0.0)
        now, runs, media = 0.0, False, False
        for step in steps:
            now += 0.1
            frames: list[bytes | WireError] = []
            if step == "begins":
                parser.call_begins(CALL)
                runs, media = True, False
            elif step == "ends":
                parser.call_ends(CALL, now)
                runs = False
            elif step == "waits":
                now += 3.0
                frames = parser.settle(now)
            else:
                assert isinstance(step, bytes)
                frames = parser.feed(step, now)
            for frame in frames:
                if isinstance(frame, WireError):
                    self.assertTrue(frame.fatal)
                    # Once there was media in it, nothing breaks a call that runs.
                    self.assertFalse(runs and media)
                    return
                media = media or frame[0] == 6
            self.assertTrue(parser.deadline is None or parser.deadline <= now + PATIENCE)

    @given(streams.map(b"\x00".__add__), st.booleans())
    def test_a_text_read_at_once_is_the_same(self, data: bytes, whole: bool) -> None:
        text = _text_at_once(data, 0, whole)
        if text is not None:
            scanner = Scanner(data, 1, Mode.WHOLE if whole else Mode.OPEN, StringForm.QSTRING)
            self.assertEqual(text.fields, (scanner.first_id(), scanner.string()))
            self.assertEqual((text.form, text.end), (scanner.form, scanner.at))

    def test_mutants(self) -> None:
        for seed in seeds(1):
            chance = random.Random(seed)
            for number in range(effort(10_000, 300_000, 1_000_000)):
                message = mutate(chance, chance.choice(SEEDS))
                codec = QDataStreamServerCodec()
                codec.framing = chance.choice(list(Framing))
                try:
                    judge(codec, REGISTRATION)
                    judge(codec, message)
                    if len(message) <= 65535:
                        stream = add_length(REGISTRATION) + add_length(message)
                        drive(InputStream(), [stream], QDataStreamServerCodec())
                    drive(InputStream(), [REGISTRATION + message], QDataStreamServerCodec())
                except Exception as fault:
                    raise AssertionError(f"seed {seed}, message {number}: {message!r}") from fault

    def test_mutants_of_the_server(self) -> None:
        for seed in seeds(1):
            chance = random.Random(seed)
            for number in range(effort(5_000, 100_000, 300_000)):
                message = mutate(chance, chance.choice([*SEEDS, *FROM_SERVER]))
                try:
                    QDataStreamClientCodec().decode(message)
                except WireError:
                    pass
                except Exception as fault:
                    raise AssertionError(f"seed {seed}, message {number}: {message!r}") from fault
                UnframedParser(Role.SERVER).feed(message, 0.0)


class Bounds(SynchronousTestCase):
    """What one peer can make the server keep."""

    def grow(self, stream: InputStream, data: bytes) -> list[bytes | WireError]:
        frames: list[bytes | WireError] = []
        for _ in range(40):
            frames += stream.feed(data, 0.0)
        return frames

    def test_an_unframed_message_that_is_too_long_ends_the_stream(self) -> None:
        stream = InputStream()
        stream.feed(REGISTRATION + b"\x00\x00\x00\x00\x02\x00b" + (250_001 * 2).to_bytes(4, "big"), 0.0)
        self.assertEqual(stream.feed(b"x" * 100, 0.0), [])
        assert stream.unframed is not None
        self.assertEqual(len(stream.unframed._buffer), 0)

    def test_the_longest_text_there_is(self) -> None:
        stream = InputStream()
        text = b"\x00" + STRINGS["qstring"]("bob") + STRINGS["qstring"]("x" * 125_000)
        frames = stream.feed(REGISTRATION, 0.0)
        for start in range(0, len(text), 1000):
            frames += stream.feed(text[start : start + 1000], 0.0)
        self.assertEqual(frames, [REGISTRATION, text])
        over = b"\x00" + STRINGS["qstring"]("bob") + STRINGS["qstring"]("x" * 125_001)
        error = stream.feed(over[:60], 0.0)[0]
        assert isinstance(error, WireError)
        self.assertEqual((error.code, error.fatal), (ErrorCode.TOO_LARGE, True))

    def test_length_frames(self) -> None:
        stream = InputStream()
        stream.feed(add_length(REGISTRATION), 0.0)
        stream.feed(b"\xff\xff", 0.0)
        frames = self.grow(stream, b"x" * 10_000)
        assert stream._cutter is not None
        self.assertLess(sys.getsizeof(stream._cutter._kept), 200_000)  # type: ignore[union-attr]
        self.assertEqual(len(frames[0]), 65535)  # type: ignore[arg-type]

    def test_media_in_a_call_is_given_on_at_once_and_not_kept(self) -> None:
        stream = InputStream()
        stream.feed(REGISTRATION, 0.0)
        parser = stream.unframed
        assert parser is not None
        parser.call_begins(CALL)
        stream.feed(MEDIA.data, 0.0)
        self.assertEqual(len(self.grow(stream, b"\xf0" * 60_000)), 40)
        self.assertEqual(len(parser._buffer), 0)

    def test_a_token_without_end(self) -> None:
        stream = InputStream(token_required=True)
        frames = stream.feed(REGISTRATION + b"\x7f\xff", 0.0)
        self.assertEqual(frames, [REGISTRATION + b"\x7f\xff"])
        error = self.assertRaises(WireError, QDataStreamServerCodec("token").decode, frames[0])
        self.assertTrue(error.fatal)
        self.assertEqual(self.grow(stream, b"x" * 10_000), [])
        assert stream.unframed is not None
        self.assertEqual(len(stream.unframed._buffer), 0)
