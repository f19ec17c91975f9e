"""Messages and answers in a row come to the same as one by one."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from imserver.model.errors import ErrorCode, ImError
from imserver.model.message_rows import MessageRow
from imserver.model.messages import MessageAccepted, SyncInbox
from imserver.protocols.flushing import Budget, Flusher
from imserver.protocols.kernel import DrainWatch
from imserver.protocols.outbox import Outbox
from imserver.protocols.queueing import WRITABLE_BELOW
from tests.unit.protocols.stub import STUB, LinePeer, StubCodec, StubHub, doors, logged_in, message, row
from tests.unit.protocols.test_outbox import Descriptor, OutboxCase, Owner

SIZES = st.lists(st.sampled_from([1, 100, 4000, 30_000, WRITABLE_BELOW - 1, WRITABLE_BELOW]), max_size=8)
SOON = WRITABLE_BELOW // 2


def write_row(messages: MessageRow, seq: int) -> list[bytes]:
    """As the stub's codec pushes each."""
    each = enumerate(messages.each(), seq)
    return [b"push %d " % number + message.content.data for number, message in each]


def accepted(number: int) -> MessageAccepted:
    return MessageAccepted(f"m{number}", "c", number, 0.0)


class Queued(SynchronousTestCase):
    """The outbox by itself."""

    def outbox(self, limit: int, others: int) -> tuple[Outbox, Budget, Owner]:
        clock = Clock()
        budget, owner = Budget(limit), Owner()
        budget.used = others
        outbox = Outbox(
            Descriptor(clock), owner, Flusher(clock), budget, 10**9, DrainWatch(clock), confirm_messages=True
        )
        outbox.start()
        return outbox, budget, owner

    @settings(deadline=None)
    @given(
        SIZES,
        st.sampled_from([0, 1, SOON, WRITABLE_BELOW]),
        st.sampled_from([1000, WRITABLE_BELOW, 4 * WRITABLE_BELOW, 10**9]),
        st.sampled_from([0, 400, SOON, 2 * WRITABLE_BELOW, 10**9]),
    )
    def test_there_is_room_for_as_many(self, sizes: list[int], before: int, limit: int, others: int) -> None:
        frames = [b"x" * size for size in sizes]
        taken = []
        queues = []
        for together in (False, True):
            outbox, budget, _ = self.outbox(limit, others)
            if before:
                outbox.put(b"y" * before)
            count = size = 0
            if together:
                room = outbox.room
                while count < len(frames) and size < room:
                    size += len(frames[count])
                    count += 1
                if count:
                    outbox.push_all(frames[:count], size, count)
            else:
                while count < len(frames) and outbox.writable:
                    count += 1
                    outbox.push(frames[count - 1], count)
            taken.append(count)
            queues.append((outbox.total, budget.used, outbox._frames, outbox._arrival.marks))
        self.assertEqual(taken[0], taken[1])
        self.assertEqual(queues[0], queues[1])

    def test_there_is_none_in_what_ends(self) -> None:
        for end in (Outbox.finish, Outbox.lost):
            outbox, budget, _ = self.outbox(10**9, 0)
            end(outbox)
            self.assertEqual(0, outbox.room)
            outbox.push_all([b"x"], 1, 1)
            outbox.put_all([b"x"])
            self.assertEqual((0, 0), (outbox.total, budget.used))


class Put(OutboxCase):
    """Answers in a row."""

    def test_they_are_one_write(self) -> None:
        self.outbox.put_all([b"a", b"b"])
        self.outbox.put_all([])
        self.outbox.put(b"c")
        self.clock.advance(0)
        self.assertEqual([b"abc"], self.transport.writes)

    def test_too_many_are_told(self) -> None:
        self.outbox.pauseProducing()
        self.outbox.put_all([b"x" * (1024 * 1024), b"y"])
        self.assertEqual([], self.owner.told)
        self.outbox.put_all([b"z"])
        self.assertEqual(["overflown"], self.owner.told)


class Answered(SynchronousTestCase):
    """A session's answers."""

    def setUp(self) -> None:
        self.hub = StubHub()
        self.peer = logged_in(self.hub)

    def answer(self, *outcomes: MessageAccepted | ImError) -> None:
        tags = [self.hub.sends.pop(0)[0] for _ in outcomes]
        self.hub.receivers[0].answer(tags, list(outcomes))

    def say(self, count: int) -> None:
        self.peer.say(*(f"send#{number} x" for number in range(1, count + 1)))

    def test_in_a_row(self) -> None:
        self.say(3)
        self.answer(accepted(1), accepted(2), accepted(3))
        self.assertEqual(["send#1 m1", "send#2 m2", "send#3 m3"], self.peer.heard())

    def test_as_the_codec_writes_them_where_it_can(self) -> None:
        def write(codec: Any, requests: Any, replies: Any) -> list[bytes]:
            return [b"%d and %d" % (len(requests), len(replies))]

        self.say(3)
        type(self.peer.codec).accepted = write  # type: ignore[attr-defined]
        self.addCleanup(delattr, type(self.peer.codec), "accepted")
        self.answer(accepted(1), accepted(2), accepted(3))
        self.assertEqual(["3 and 3"], self.peer.heard())

    def test_refusals_keep_their_places(self) -> None:
        self.say(3)
        self.answer(accepted(1), ImError(ErrorCode.TOO_FAST, "slowly"), accepted(3))
        self.assertEqual(["send#1 m1", "refused#2 TOO_FAST", "send#3 m3"], self.peer.heard())

    def test_what_waits_for_them_goes_on(self) -> None:
        self.say(2)
        self.peer.say("sync#3 0")
        self.assertNotIn(SyncInbox, [type(command) for command in self.hub.done])
        self.answer(accepted(1), accepted(2))
        self.assertEqual(["send#1 m1", "send#2 m2", "sync#3 ok"], self.peer.heard())

    def test_one_that_cannot_be_written_ends_the_connection(self) -> None:
        self.say(2)
        self.answer(accepted(1), "unencodable")  # type: ignore[arg-type]
        self.assertEqual(1, len(self.flushLoggedErrors(ZeroDivisionError)))
        self.assertEqual(["send#1 m1"], self.peer.heard())
        self.assertTrue(self.peer.closing)

    def test_so_does_one_in_a_row_behind_those_before(self) -> None:
        really = StubCodec.reply

        def reply(codec: StubCodec, request: Any, reply: Any) -> list[bytes]:
            if type(reply) is MessageAccepted and reply.seq == 2:
                raise ZeroDivisionError
            return really(codec, request, reply)

        self.say(3)
        self.patch(StubCodec, "reply", reply)
        self.answer(accepted(1), accepted(2), accepted(3))
        self.assertEqual(1, len(self.flushLoggedErrors(ZeroDivisionError)))
        self.assertEqual(["send#1 m1"], self.peer.heard())
        self.assertTrue(self.peer.closing)

    def test_after_the_end_there_are_none(self) -> None:
        self.say(2)
        self.peer.lose()
        self.answer(accepted(1), accepted(2))
        self.assertEqual([], self.peer.heard())


class Pushed(SynchronousTestCase):
    """A session's messages."""

    def peer(self, **traits: Any) -> tuple[LinePeer, Any]:
        hub = StubHub()
        peer = LinePeer(doors(hub), replace(STUB, **traits))
        peer.say("login#1 alice")
        peer.heard()
        return peer, hub.receivers[0]

    @settings(deadline=None)
    @given(SIZES.filter(bool))
    def test_as_one_by_one(self, sizes: list[int]) -> None:
        heard = []
        for way in ("one by one", "in a row", "written in a row"):
            peer, receiver = self.peer()
            texts = [b"x" * size for size in sizes]
            if way == "one by one":
                taken = 0
                while taken < len(texts) and receiver.writable:
                    receiver.push(message(texts[taken]), 5 + taken)
                    taken += 1
            else:
                if way == "written in a row":
                    peer.codec.pushed = write_row  # type: ignore[attr-defined]
                taken = receiver.push_all(row(*texts), 5)
            heard.append((taken, peer.heard()))
        self.assertEqual(heard[0], heard[1])
        self.assertEqual(heard[0], heard[2])

    def test_sessions_of_one_format_share_what_was_encoded(self) -> None:
        both = row(b"one", b"two")
        (first, receiver), (second, other) = self.peer(), self.peer()
        self.assertEqual(2, receiver.push_all(both, 1))
        self.assertEqual(2, other.push_all(both, 8))
        self.assertEqual(["push 1 one", "push 2 two"], first.heard())
        self.assertEqual(["push 8 one", "push 9 two"], second.heard())
        self.assertEqual((2, 0), (first.codec.encoded, second.codec.encoded))

    def test_sessions_of_one_user_share_what_was_written_in_a_row(self) -> None:
        both = row(b"one", b"two")
        (first, receiver), (second, same), (third, other) = self.peer(), self.peer(), self.peer()
        written = []

        def pushed(messages: MessageRow, seq: int) -> list[bytes]:
            written.append(seq)
            return write_row(messages, seq)

        for peer in (first, second, third):
            peer.codec.pushed = pushed  # type: ignore[attr-defined]
        self.assertEqual(
            [2, 2, 2], [receiver.push_all(both, 1), same.push_all(both, 1), other.push_all(both, 8)]
        )
        self.assertEqual(["push 1 one", "push 2 two"], first.heard())
        self.assertEqual(["push 1 one", "push 2 two"], second.heard())
        self.assertEqual(["push 8 one", "push 9 two"], third.heard())
        self.assertEqual([1, 8], written)

    def test_whose_frames_are_its_own_takes_none_that_others_made(self) -> None:
        for plain_first in (True, False):
            both = row(b"one", b"two")
            (plain, receiver), (sealed, other) = self.peer(), self.peer()
            plain.codec.pushed = write_row  # type: ignore[attr-defined]
            sealed.codec.pushed = None  # type: ignore[attr-defined]
            sealed.codec.splice = lambda shared, seq: b"sealed %d" % seq  # type: ignore[method-assign]
            for one in (receiver, other) if plain_first else (other, receiver):
                self.assertEqual(2, one.push_all(both, 1))
            self.assertEqual(["push 1 one", "push 2 two"], plain.heard())
            self.assertEqual(["sealed 1", "sealed 2"], sealed.heard())

    def test_what_cannot_be_written_in_a_row_is_by_itself(self) -> None:
        def fails(messages: MessageRow, seq: int) -> list[bytes]:
            raise ZeroDivisionError

        peer, receiver = self.peer()
        peer.codec.pushed = fails  # type: ignore[attr-defined]
        self.assertEqual(2, receiver.push_all(row(b"one", b"two"), 1))
        self.assertEqual(["push 1 one", "push 2 two"], peer.heard())
        self.assertFalse(peer.closing)

    def test_other_formats_have_forms_of_their_own(self) -> None:
        one = row(b"one")
        for profile in ("a", "b", "a", "c", "b"):
            peer, receiver = self.peer()
            self.patch(type(peer.codec), "profile", profile)
            self.patch(type(peer.codec), "shared", lambda codec, _: codec.profile.encode())
            self.assertEqual(1, receiver.push_all(one, 1))
            receiver.push(one.each()[0], 2)
            self.assertEqual([f"push 1 {profile}", f"push 2 {profile}"], peer.heard())

    def test_what_is_several_frames_or_none_is_the_last_one(self) -> None:
        peer, receiver = self.peer(acks=False)
        spliced = []

        def splice(codec: Any, shared: bytes, seq: int) -> list[bytes]:
            spliced.append(seq)
            return [b"%d " % seq + shared] * int(shared)

        self.patch(type(peer.codec), "splice", splice)
        self.assertEqual(3, receiver.push_all(row(b"1", b"1", b"2", b"1"), 1))
        self.assertEqual(1, receiver.push_all(row(b"0", b"1"), 4))
        self.assertEqual(1, receiver.push_all(row(b"1"), 5))
        self.assertEqual(["1 1", "2 1", "3 2", "3 2", "5 1"], peer.heard())
        self.assertEqual([1, 2, 3, 4, 5], spliced, "each once, for codecs that remember")

    def test_a_profile_may_be_anything(self) -> None:
        peer, receiver = self.peer()
        self.patch(type(peer.codec), "profile", None)
        self.assertEqual(1, receiver.push_all(row(b"one"), 1))
        receiver.push(message(b"two"), 2)
        self.assertEqual(["push 1 one", "push 2 two"], peer.heard())

    def test_one_that_cannot_be_encoded_ends_the_connection_behind_those_before(self) -> None:
        peer, receiver = self.peer()
        receiver.push_all(row(b"one", b"two", None), 1)  # type: ignore[arg-type]
        self.assertEqual(1, len(self.flushLoggedErrors(TypeError)))
        self.assertEqual(["push 1 one", "push 2 two"], peer.heard())
        self.assertTrue(peer.closing)

    def test_nobody_takes_any_after_the_end(self) -> None:
        peer, receiver = self.peer()
        peer.lose()
        self.assertEqual(0, receiver.push_all(row(b"one"), 1))
