"""Where messages begin and end: detection, length frames, and the incremental parse without any."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from imserver.model.errors import ErrorCode
from imserver.wire.base import WireError
from imserver.wire.qdatastream import (
    FrameCutter,
    Framing,
    InputStream,
    NotAnOpening,
    QDataStreamServerCodec,
    UnframedParser,
    add_length,
)
from imserver.wire.qdatastream.framing import detect
from imserver.wire.qdatastream.unframed import LINGER
from tests.unit.wire.qdatastream_samples import (
    CALL,
    MEDIA,
    NULL,
    REGISTRATION,
    REJECT,
    STRINGS,
    samples,
)

OPENINGS = {
    "heartbeat": ([REGISTRATION], REGISTRATION),
    "login": ([b"\x08\x00\x01a\x00\x02pw"], b"\x08\x00\x01a\x00\x02pw"),
    "register": ([b"\x09\x00\x01a\x00\x00"], b"\x09\x00\x01a\x00\x00"),
    "bare heartbeats before it": ([REGISTRATION], b"\x07\x07\x07" + REGISTRATION),
}


def feed_all(parser: UnframedParser | InputStream | FrameCutter, pieces: list[bytes]) -> list[bytes]:
    """Everything the pieces give, and what settles in the end; a WireError is an error here."""
    frames = []
    for piece in pieces:
        frames += parser.feed(piece, 0.0)
    while parser.deadline is not None:
        frames += parser.settle(parser.deadline)
    for frame in frames:
        if isinstance(frame, WireError):
            raise frame
    return [frame for frame in frames if isinstance(frame, bytes)]


def cuts(data: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[start:end] for start, end in itertools.pairwise(edges)]


class Detection(SynchronousTestCase):
    """The first four bytes."""

    def test_the_fourth_byte_decides(self) -> None:
        for head in itertools.product((0, 1, 7, 9, 10, 255), repeat=3):
            for fourth in range(256):
                expected = Framing.INT16 if fourth == 0 else Framing.NONE
                self.assertEqual(detect(bytes((*head, fourth))), expected)

    def test_every_class_of_first_four_bytes(self) -> None:
        """Every first and every fourth byte with every class of those between, against the rule in words."""
        for first in range(256):
            for second, third in itertools.product((0, 1, 5, 7, 9, 10, 255), repeat=2):
                for fourth in (0, 1, 7, 0x1F, 0x20, 0x61, 0x7F, 0x80, 0xC3, 0xFF):
                    head = bytes((first, second, third, fourth))
                    stream = InputStream()
                    frames = stream.feed(head, 0.0)
                    if fourth == 0:
                        self.assertIs(stream.framing, Framing.INT16, head)
                        continue
                    self.assertIs(stream.framing, Framing.NONE, head)
                    verdict = self.verdict(head)
                    if verdict == "closed":
                        self.assertIsInstance(frames[-1], NotAnOpening, head)
                    elif verdict == "waits" or first in (8, 9):
                        self.assertEqual(frames, [], head)
                    else:
                        self.assertEqual(frames[0], head, head)

    @staticmethod
    def verdict(head: bytes) -> str:
        """What an unframed connection that begins like this comes to."""
        while len(head) > 1 and head[0] == 7 and head[1] != 0:
            head = head[1:]
        if head[0] > 9:
            return "closed"
        if len(head) == 1:
            return "waits"
        if head[1] != 0:
            return "closed"
        if len(head) == 2:
            return "waits"
        if head[2] == 0:
            return "closed"
        if head[2] > len(head) - 3:
            return "waits"
        return "opens" if 0x21 <= head[3] <= 0x7E and head[3] != 0x2F else "closed"

    def test_fewer_than_four_bytes_decide_nothing(self) -> None:
        for length in range(4):
            stream = InputStream()
            self.assertEqual(stream.feed(b"GET "[:length], 0.0), [])
            self.assertIsNone(stream.framing)

    def test_both_framings_on_one_port(self) -> None:
        text = samples("utf8")[0].data
        framed = add_length(REGISTRATION) + add_length(text)
        for framing, data in ((Framing.INT16, framed), (Framing.NONE, REGISTRATION + text)):
            for end in range(len(data) + 1):
                stream = InputStream()
                self.assertEqual(feed_all(stream, [data[:end], data[end:]]), [REGISTRATION, text])
                self.assertIs(stream.framing, framing)

    def test_a_fixed_framing_is_not_detected(self) -> None:
        stream = InputStream(Framing.NONE)
        self.assertIsInstance(stream.feed(add_length(REGISTRATION), 0.0)[0], NotAnOpening)
        # As a frame it would be 0x0700 bytes long, but its user id could not be read.
        stream = InputStream(Framing.INT16)
        self.assertIsInstance(stream.feed(REGISTRATION, 0.0)[0], NotAnOpening)

    def test_openings_that_are_none(self) -> None:
        for message in (
            b"", b"\x07", b"\x07\x00", b"\x07\x00\x03ab", b"\x07\x00\x00\x00", b"\x0a\x00\x01a",
            b"\x07\x00\x03a/b", b"\x07\x00\x02a ", b"\x07\x00\x01\xff", b"\x07\x01\x00" + b"a" * 256,
            b"\x08\x00\x07group_a\x00\x02pw",
        ):  # fmt: skip
            frames = FrameCutter().feed(add_length(message))
            self.assertEqual([type(frame) for frame in frames], [NotAnOpening], message)

    def test_an_unfinished_frame_that_is_none_is_not_waited_for(self) -> None:
        hello = bytes.fromhex("16030100a5010000a10303") + bytes(159)  # TLS, of 170 bytes
        for data, known in (
            (hello, len(hello)),
            (b"\x07\x00\x0a\x00\x01a", 3),  # the type
            (b"\x07\x00\x07\x01\x00" + b"a" * 256, 4),  # the id's length
            (b"\x07\x00\x07\x00\x00", 5),
            (b"\x07\x00\x07\x00\x03a/b", 8),  # the id
        ):
            stream = InputStream(Framing.INT16)
            self.assertEqual(feed_all(stream, [data[at : at + 1] for at in range(known - 1)]), [])
            self.assertIsInstance(stream.feed(data[known - 1 :], 0.0)[0], NotAnOpening)
        # A good beginning is waited for, and so is whatever comes later.
        stream = InputStream()
        message = REGISTRATION + bytes(300)
        data = add_length(message)
        self.assertEqual(feed_all(stream, [data[at : at + 1] for at in range(len(data) - 1)]), [])
        self.assertEqual(stream.feed(data[-1:], 0.0), [message])
        self.assertEqual(stream.feed(b"\x07\x00\xff\xff\xff\xff", 0.0), [])


class LengthFrames(SynchronousTestCase):
    """u16 and the message."""

    def test_every_split_of_everything(self) -> None:
        for form in STRINGS:
            messages = [REGISTRATION, *(sample.data for sample in samples(form)), MEDIA.data]
            data = b"".join(map(add_length, messages))
            for end in range(len(data) + 1):
                self.assertEqual(feed_all(FrameCutter(), [data[:end], data[end:]]), messages)
            self.assertEqual(feed_all(FrameCutter(), [bytes((byte,)) for byte in data]), messages)

    def test_a_first_message_that_says_more_is_given_as_two(self) -> None:
        for form in STRINGS:
            for sample in [*samples(form), MEDIA]:
                kind, payload = sample.data[:1], sample.data[1:]
                if kind[0] < 7:
                    first = kind + REGISTRATION[1:]
                    frames = FrameCutter().feed(add_length(first + payload))
                    self.assertEqual(frames, [first, sample.data] if payload else [first])

    def test_the_longest_and_the_empty_one(self) -> None:
        cutter = FrameCutter(opening=False)
        message = b"\x06" + bytes(65534)
        self.assertEqual(cutter.feed(add_length(message) + add_length(b"")), [message, b""])
        self.assertRaises(ValueError, add_length, bytes(65536))


class Unframed(SynchronousTestCase):
    """Input that is cut anywhere and glued anyhow."""

    def conversation(self, form: str) -> list[bytes]:
        messages = [sample.data for sample in samples(form)]
        # A REJECT without a reason before every kind of message that may follow it.
        return [piece for message in messages for piece in (message, REJECT[form].data, message)]

    def test_each_message_after_each_other_one(self) -> None:
        for form in STRINGS:
            known = [sample.data for sample in samples(form)] + [REJECT[form].data]
            first = known[0]
            for one, other in itertools.product(known, repeat=2):
                data = REGISTRATION + first + one + other + first
                expected = [REGISTRATION, first, one, other, first]
                self.assertEqual(feed_all(UnframedParser(), [data]), expected, (form, one, other))

    def test_every_cut(self) -> None:
        for form in STRINGS:
            messages = [REGISTRATION, *self.conversation(form)]
            data = b"".join(messages)
            self.assertEqual(feed_all(UnframedParser(), [data]), messages)
            self.assertEqual(feed_all(UnframedParser(), [bytes((byte,)) for byte in data]), messages)
            for end in range(len(data)):
                self.assertEqual(feed_all(UnframedParser(), [data[:end], data[end:]]), messages)

    @given(
        st.sampled_from(sorted(STRINGS)), st.randoms(use_true_random=False), st.lists(st.integers(0, 10**6))
    )
    def test_any_pieces(self, form: str, chance, places: list[int]) -> None:  # type: ignore[no-untyped-def]
        messages = self.conversation(form)
        first, rest = messages[0], messages[1:]
        chance.shuffle(rest)
        messages = [REGISTRATION, first, *rest]
        data = b"".join(messages)
        self.assertEqual(feed_all(UnframedParser(), cuts(data, places)), messages)

    def test_openings(self) -> None:
        text = samples("qstring")[0].data
        for expected, data in OPENINGS.values():
            for end in range(len(data) + len(text) + 1):
                whole = data + text
                parser = UnframedParser()
                self.assertEqual(feed_all(parser, [whole[:end], whole[end:]]), [*expected, text])

    def test_an_opening_that_says_more_is_given_as_two(self) -> None:
        for form in STRINGS:
            for sample in samples(form):
                kind, payload = sample.data[:1], sample.data[1:]
                if kind[0] >= 7 or (kind[0] == 5 and form == "utf8" and len(payload) == 2):
                    continue
                first = kind + REGISTRATION[1:]
                data = first + payload + b"\x07"
                for end in range(len(data) + 1):
                    frames = feed_all(UnframedParser(), [data[:end], data[end:]])
                    self.assertEqual(frames, [first, sample.data, b"\x07"])

    def test_a_token_where_the_listener_wants_one(self) -> None:
        text = samples("qstring")[0].data
        for token in (b"\x00\x03abc", b"\x00\x00\x00\x06\x00a\x00b\x00c"):
            data = REGISTRATION + token + text
            for end in range(len(data) + 1):
                parser = UnframedParser(token_required=True)
                self.assertEqual(feed_all(parser, [data[:end], data[end:]]), [REGISTRATION + token, text])
        # Nowhere else: the same bytes are messages there.
        parser = UnframedParser()
        self.assertEqual(parser.feed(REGISTRATION + text, 0.0), [REGISTRATION, text])

    def test_an_empty_token_is_no_wait_for_ever(self) -> None:
        """The opening is given to whoever refuses it, with the reason; what follows means nothing."""
        for after in (b"", b"\x07", *(sample.data for form in STRINGS for sample in samples(form)),
                      b"\x07" + samples("utf8")[0].data, b"\x07" + samples("qstring")[0].data):  # fmt: skip
            for token in (b"\0\0", b"\0\0\0\0", b"\xff\xff\xff\xff"):
                data = REGISTRATION + token + after
                # Other than TEXT and HEARTBEAT nobody sends at once; then it takes the log-in's ten seconds.
                if token == b"\0\0" and after[:1] not in (b"", b"\x00", b"\x07"):
                    continue
                for end in range(len(data) + 1):
                    parser = UnframedParser(token_required=True)
                    frames = parser.feed(data[:end], 0.0) + parser.feed(data[end:], 0.0)
                    if parser.deadline is not None:
                        frames += parser.settle(parser.deadline)
                    self.assertEqual(len(frames), 1, (token, after, end))
                    made = QDataStreamServerCodec("token")
                    error = self.assertRaises(WireError, made.decode, frames[0])
                    self.assertEqual((error.code, error.fatal), (ErrorCode.AUTH_FAILED, True))
                    self.assertEqual(made.refusal(error.tag, error), [b"\x0a\x00\x00\x12the token is empty"])
                    self.assertEqual(parser.feed(b"\x07" * 50, 1.0), [])

    def test_streams_that_cannot_go_on(self) -> None:
        for data in (
            b"\x0a", b"\xff", b"\x02\x00\x03bob\x02", b"\x00\x00\x00\x00\x00", b"\x00\x02\x06",
            b"\x03\x00\x03abc", b"\x00\x00\x00\x00\x03abc", b"\x01\x05",
            b"\x00\x00\x00\x00\x02\x00b\x00\x00\x00\x01",
            b"\x00\x00\x00\x00\x02\x00b\x00\x10\x00\x00",
            b"\x04\x00\x24" + CALL.encode() + b"\xff\xff\xff\x00",
        ):  # fmt: skip
            parser = UnframedParser()
            frames = parser.feed(REGISTRATION + data, 0.0)
            self.assertEqual(frames[0], REGISTRATION)
            last = frames[-1]
            self.assertTrue(isinstance(last, WireError) and last.fatal, data)
            self.assertEqual(parser.feed(b"\x07", 1.0), [])

    def test_a_bad_text_does_not_stop_the_stream(self) -> None:
        bad = b"\x00\x00\x03bob\x00\x01\xff"
        self.assertEqual(
            feed_all(UnframedParser(), [REGISTRATION + bad + b"\x07"]), [REGISTRATION, bad, b"\x07"]
        )


class Ends(SynchronousTestCase):
    """END with an empty id: the form last used says how long it is."""

    def after(self, form: str, data: bytes) -> list[bytes]:
        head = REGISTRATION + samples(form)[0].data
        return feed_all(UnframedParser(), [head + data])[2:]

    def test_it(self) -> None:
        self.assertEqual(self.after("utf8", b"\x05\x00\x00\x07"), [b"\x05\x00\x00", b"\x07"])
        self.assertEqual(
            self.after("qstring", b"\x05\x00\x00\x00\x00\x07"), [b"\x05\x00\x00\x00\x00", b"\x07"]
        )
        text = samples("utf8")[0].data
        self.assertEqual(self.after("utf8", b"\x05\x00\x00" + text), [b"\x05\x00\x00", text])
        self.assertEqual(self.after("qstring", b"\x05\x00\x00\x07"), [b"\x05\x00\x00", b"\x07"])
        for form in STRINGS:
            self.assertEqual(self.after(form, b"\x05" + NULL + b"\x07"), [b"\x05" + NULL, b"\x07"])
            whole = b"\x05" + STRINGS[form](CALL)
            other = b"\x05" + STRINGS["utf8" if form == "qstring" else "qstring"](CALL)
            self.assertEqual(self.after(form, whole + other + b"\x07"), [whole, other, b"\x07"])

    def test_the_last_bytes_of_a_stream_settle(self) -> None:
        parser = UnframedParser()
        parser.feed(REGISTRATION + samples("utf8")[0].data, 1.0)
        self.assertEqual(parser.feed(b"\x05\x00\x00", 2.0), [])
        self.assertEqual(parser.deadline, 2.5)
        self.assertEqual(parser.settle(2.4), [])
        self.assertEqual(parser.settle(2.5), [b"\x05\x00\x00"])
        self.assertIsNone(parser.deadline)


class Reasons(SynchronousTestCase):
    """CALL_REJECT's optional reason."""

    def setUp(self) -> None:
        self.parser = UnframedParser()
        self.parser.feed(REGISTRATION, 0.0)

    def reject(self, form: str, *pieces: bytes) -> list[bytes]:
        """What comes at once; the deadline is left to the test."""
        frames = self.parser.feed(REJECT[form].data, 0.0)
        for piece in pieces:
            frames += self.parser.feed(piece, 0.0)
        return [frame for frame in frames if isinstance(frame, bytes)]

    def test_nothing_for_half_a_second(self) -> None:
        for form in STRINGS:
            self.setUp()
            self.assertEqual(self.reject(form), [])
            self.assertEqual(self.parser.deadline, 0.5)
            self.assertEqual(self.parser.settle(0.5), [REJECT[form].data])

    def test_another_message_follows(self) -> None:
        for form in STRINGS:
            for sample in samples(form):
                self.setUp()
                head = REJECT[form].data
                self.assertEqual(self.reject(form, sample.data)[0], head, sample.data)

    def test_reasons(self) -> None:
        for form, string in STRINGS.items():
            for reason in ("busy", "user busy", "x" * 100, "忙，请稍后"):
                self.setUp()
                head = REJECT[form].data + string(reason)
                self.assertEqual(self.reject(form, string(reason) + b"\x07"), [head, b"\x07"])
                self.setUp()
                frames = self.reject(form, *(bytes((byte,)) for byte in string(reason)))
                self.assertEqual(frames, [head])

    def test_a_null_reason(self) -> None:
        for form in STRINGS:
            self.setUp()
            self.assertEqual(self.reject(form, NULL + b"\x07"), [REJECT[form].data + NULL, b"\x07"])

    def test_undecided_it_is_empty(self) -> None:
        for form, string in STRINGS.items():
            self.setUp()
            self.assertEqual(self.reject(form, string("")), [])
            self.assertEqual(self.parser.settle(0.5), [REJECT[form].data + string("")])
            self.assertEqual(self.parser.feed(b"\x07", 1.0), [b"\x07"])

    def test_a_short_reason_that_could_be_a_text_settles(self) -> None:
        for form, reason in (("utf8", "n"), ("qstring", "n"), ("qstring", "no")):
            self.setUp()
            data = STRINGS[form](reason)
            self.assertEqual(self.reject(form, data), [])
            self.assertEqual(self.parser.settle(0.5), [REJECT[form].data + data])

    def test_every_two_bytes_after_a_zero(self) -> None:
        """UTF-8: 00 a b …: a TEXT needs an id of 1 to 517 bytes, a reason has a bytes."""
        for a, b in itertools.product(range(256), (0, 1, 5, 0x20, 0x61, 0xFF)):
            self.setUp()
            length = a << 8 | b
            body = b"m" * 600
            frames = self.reject("utf8", bytes((0, a, b)) + body)
            text_head = 1 <= length <= 255  # 256 to 517 are "group_…" only
            if text_head:
                self.assertEqual(frames[0], REJECT["utf8"].data, (a, b))
            elif length <= 517 and length > 0:
                self.assertEqual(frames[0], REJECT["utf8"].data + bytes((0, a, b)) + body[: a - 1], (a, b))
            else:
                reason = (bytes((b,)) + body)[:a]
                self.assertEqual(frames[0], REJECT["utf8"].data + bytes((0, a)) + reason, (a, b))


class MediaInACall(SynchronousTestCase):
    """MEDIA takes what was received with it; in its call, so does what cannot be read otherwise."""

    def setUp(self) -> None:
        self.parser = UnframedParser()
        self.parser.feed(REGISTRATION + samples("qstring")[0].data, 0.0)
        self.parser.call_begins(CALL)
        self.assertEqual(self.parser.feed(MEDIA.data, 0.0), [MEDIA.data])

    def test_continuations(self) -> None:
        for data in (
            b"\xff\xfe", b"\x0c", b"\x07\x0c", b"\x00\x00\x00\x00\x03", b"\x02\x00\x03bob\x07",
            b"\x05" + STRINGS["utf8"]("0" * 36), b"\x00" + STRINGS["utf8"]("a/b") + b"\x00\x00",
        ):  # fmt: skip
            self.assertEqual(self.parser.feed(data, 0.0), [b"\x06" + data], data)

    def test_messages_are_messages(self) -> None:
        for form in STRINGS:
            for sample in samples(form):
                if sample.data in (b"\x05\x00\x00", b"\x05\x00\x00\x00\x00"):
                    continue
                self.assertEqual(self.parser.feed(sample.data, 0.0), [sample.data], sample)
        end = b"\x05" + STRINGS["utf8"](CALL)
        self.assertEqual(self.parser.feed(end + b"\x07" + MEDIA.data, 0.0), [end, b"\x07", MEDIA.data])

    def test_a_prefix_waits_for_its_rest(self) -> None:
        end = b"\x05" + STRINGS["qstring"](CALL)
        self.assertEqual(self.parser.feed(b"\x07" + end[:9], 3.0), [b"\x07"])
        self.assertEqual(self.parser.deadline, 3.5)
        self.assertEqual(self.parser.feed(end[9:], 3.2), [end])
        self.assertIsNone(self.parser.deadline)

    def test_a_prefix_without_a_rest_is_media(self) -> None:
        end = b"\x05" + STRINGS["qstring"](CALL)
        self.parser.feed(end[:9], 3.0)
        self.assertEqual(self.parser.settle(3.5), [b"\x06" + end[:9]])
        self.parser.feed(end[:9], 4.0)
        self.assertEqual(self.parser.feed(b"\xff\xff", 4.1), [b"\x06" + end[:9] + b"\xff\xff"])
        self.assertIsNone(self.parser.deadline)

    def test_more_of_the_same_prefix_does_not_wait_longer(self) -> None:
        text = b"\x00" + STRINGS["utf8"]("bob") + b"\x01\x00" + b"x" * 100
        self.assertEqual(self.parser.feed(text, 3.0), [])
        self.assertEqual(self.parser.feed(b"xxx", 3.4), [])
        self.assertEqual(self.parser.settle(3.5), [b"\x06" + text + b"xxx"])

    def test_a_prefix_with_a_bad_id_does_not_wait(self) -> None:
        for data in (b"\x00\x00\x02\xff\xff\x00", b"\x05\x00\x24zzz", b"\x02\x00\x03a/b"):
            self.assertEqual(self.parser.feed(data, 0.0), [b"\x06" + data])

    def test_a_reject_that_settles_is_one(self) -> None:
        reject = b"\x04" + STRINGS["qstring"](CALL)
        self.assertEqual(self.parser.feed(reject, 0.0), [])
        self.assertEqual(self.parser.settle(0.5), [reject])

    def test_another_call_begins_afresh(self) -> None:
        self.parser.call_begins("0" * 36)
        frames = self.parser.feed(b"\xff", 0.0)
        self.assertTrue(isinstance(frames[0], WireError) and frames[0].fatal)


def merged(frames: list[bytes]) -> list[bytes]:
    """With pieces of media that follow each other as one; pieces that come to nothing left out."""
    found: list[bytes] = []
    for frame in frames:
        if frame[0] == 6 and found and found[-1][0] == 6:
            found[-1] += frame[1:]
        else:
            found.append(frame)
    return found


class AWholeCall(SynchronousTestCase):
    """A call from the accept to the end and what comes after it, cut and glued at every byte.

    The server is told of the call's course when it would know of it: that it runs once it has
    read the ACCEPT, and that it is over once it has read the END.
    """

    def told(self, pieces: list[bytes], accept: bytes, end: bytes) -> list[bytes]:
        parser = UnframedParser()
        self.assertEqual(feed_all(parser, [REGISTRATION]), [REGISTRATION])
        frames: list[bytes] = []
        for now, piece in enumerate(pieces):
            new = parser.feed(piece, float(now))
            if now == len(pieces) - 1 and parser.deadline is not None:
                new += parser.settle(parser.deadline)
            for frame in new:
                self.assertIsInstance(frame, bytes, frame)
                assert isinstance(frame, bytes)
                frames.append(frame)
                if frame == accept:
                    parser.call_begins(CALL)
                elif frame == end:
                    parser.call_ends(CALL, float(now))
        return frames

    def test_every_cut(self) -> None:
        media = b"\x06" + bytes(range(200, 240))
        for string in STRINGS.values():
            accept, end = b"\x03" + string(CALL), b"\x05" + string(CALL)
            text = b"\x00" + string("bob") + string("hi")
            before = text + accept + media
            # The network puts reads together and cuts them; each place in three messages.
            for cut in range(len(before) + 1):
                pieces = [before[:cut], before[cut:], text, b"\x07", media, end, text]
                frames = self.told([piece for piece in pieces if piece], accept, end)
                self.assertEqual(merged(frames), [text, accept, media, text, b"\x07", media, end, text], cut)

    def test_every_cut_of_what_comes_after_the_media(self) -> None:
        media = b"\x06" + bytes(range(200, 240))
        for string in STRINGS.values():
            accept, end = b"\x03" + string(CALL), b"\x05" + string(CALL)
            text = b"\x00" + string("bob") + string("hi")
            after = text + b"\x07" + end + text
            for cut in range(len(after) + 1):
                pieces = [accept, media, after[:cut], after[cut:]]
                frames = self.told([piece for piece in pieces if piece], accept, end)
                self.assertEqual(frames, [accept, media, text, b"\x07", end, text], cut)

    def test_every_cut_of_a_long_piece_of_media(self) -> None:
        media = b"\x06" + bytes(range(10, 250)) + b"\x00\x06\x05\x03\xff" * 9
        for string in STRINGS.values():
            accept, end = b"\x03" + string(CALL), b"\x05" + string(CALL)
            text = b"\x00" + string("bob") + string("hi")
            for cut in range(1, len(media)):
                frames = self.told([accept, media[:cut], media[cut:], text, end], accept, end)
                # Whatever the piece began like, its bytes are there in order, and so are the messages.
                bodies = b"".join(frame[1:] if frame[0] == 6 else frame for frame in frames)
                wanted = accept + media[1:] + text + end
                if media[cut] == 6:  # it begins like MEDIA, and MEDIA takes whatever comes with it
                    wanted = accept + media[1:cut] + media[cut + 1 :] + text + end
                self.assertEqual(bodies, wanted, cut)
                self.assertEqual(frames[-2:], [text, end])

    def test_media_that_comes_with_the_accept(self) -> None:
        """Before anybody could know that the call runs."""
        for string in STRINGS.values():
            parser = UnframedParser()
            parser.feed(REGISTRATION, 0.0)
            accept = b"\x03" + string(CALL)
            self.assertEqual(parser.feed(accept + MEDIA.data, 0.0), [accept, MEDIA.data])
            self.assertEqual(parser.feed(b"\xff" * 99, 0.1), [b"\x06" + b"\xff" * 99])
            parser.call_begins(CALL)
            self.assertEqual(parser.feed(b"\xfe" * 99, 90.0), [b"\x06" + b"\xfe" * 99])

    def test_an_accept_that_came_to_nothing(self) -> None:
        parser = UnframedParser()
        parser.feed(REGISTRATION, 0.0)
        parser.feed(b"\x03" + STRINGS["utf8"](CALL) + MEDIA.data, 0.0)
        self.assertEqual(parser.feed(b"\xff" * 99, 4.0), [b"\x06" + b"\xff" * 99])
        frames = parser.feed(b"\xff" * 99, 4.0 + LINGER)
        self.assertTrue(isinstance(frames[0], WireError) and frames[0].fatal)


class AfterTheCall(SynchronousTestCase):
    """What was on its way when the other side hung up."""

    def setUp(self) -> None:
        self.parser = UnframedParser()
        self.parser.feed(REGISTRATION + samples("qstring")[0].data, 0.0)
        self.parser.call_begins(CALL)
        self.parser.feed(MEDIA.data, 0.0)
        self.parser.call_ends(CALL, 10.0)

    def test_it_is_media_still(self) -> None:
        self.assertEqual(self.parser.feed(b"\xff" * 9, 10.0), [b"\x06" + b"\xff" * 9])
        # And as long as it goes on coming.
        self.assertEqual(self.parser.feed(b"\xff" * 9, 10.0 + LINGER - 1), [b"\x06" + b"\xff" * 9])
        self.assertEqual(self.parser.feed(b"\xff" * 9, 10.0 + 2 * LINGER - 2), [b"\x06" + b"\xff" * 9])

    def test_not_for_ever(self) -> None:
        frames = self.parser.feed(b"\xff" * 9, 10.0 + LINGER)
        self.assertTrue(isinstance(frames[0], WireError) and frames[0].fatal)

    def test_a_late_message_may_take_its_time_again(self) -> None:
        text = samples("qstring")[0].data
        self.assertEqual(self.parser.feed(text[:9], 10.0 + LINGER), [])
        self.assertIsNone(self.parser.deadline)
        self.assertEqual(self.parser.feed(text[9:], 99.0), [text])

    def test_its_own_late_end_is_one(self) -> None:
        for form in STRINGS:
            end = b"\x05" + STRINGS[form](CALL)
            self.assertEqual(self.parser.feed(end + b"\x07", 10.5), [end, b"\x07"])

    def test_the_end_of_another_call_changes_nothing(self) -> None:
        self.parser.call_begins(CALL)
        self.parser.call_ends("0" * 36, 11.0)
        self.assertEqual(self.parser.feed(b"\xff", 1000.0), [b"\x06\xff"])

    def test_the_next_call_may_be_taken_or_refused(self) -> None:
        other = "0" * 36
        for form, string in STRINGS.items():
            for kind in (b"\x03", b"\x04", b"\x05"):
                message = kind + string(other)
                for cut in range(1, len(message)):
                    self.setUp()
                    frames = self.parser.feed(message[:cut], 10.1) + self.parser.feed(message[cut:], 10.2)
                    if self.parser.deadline is not None:
                        frames += self.parser.settle(self.parser.deadline)
                    self.assertEqual(frames, [message], (form, kind, cut))

    def test_the_next_call_and_its_media_in_one_read(self) -> None:
        other = "0" * 36
        accept = b"\x03" + STRINGS["utf8"](other)
        self.assertEqual(self.parser.feed(accept + MEDIA.data, 10.1), [accept, MEDIA.data])
        self.parser.call_begins(other)
        self.assertEqual(self.parser.feed(b"\xff" * 9, 100.0), [b"\x06" + b"\xff" * 9])
