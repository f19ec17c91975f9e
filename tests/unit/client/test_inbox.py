"""Messages on their way in: each once, in order, acknowledged once handled."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.trial.unittest import SynchronousTestCase

from imserver.client import EpochChanged, Position
from imserver.client.inbox import Inbox, Verdict
from imserver.model.messages import InboxPage, Message
from tests.unit.client.bench import NUMBERED, ClientCase, row


class Judged(SynchronousTestCase):
    """`Inbox` alone."""

    def test_numbers(self) -> None:
        inbox = Inbox()
        for seq, whole, verdict in (
            (5, False, Verdict.NEW),  # the first one is taken wherever it is
            (5, False, Verdict.OLD),
            (4, False, Verdict.OLD),
            (6, False, Verdict.NEW),
            (8, False, Verdict.GAP),
            (8, False, Verdict.GAP),
            (7, True, Verdict.NEW),
            (9, True, Verdict.NEW),  # retention took the eighth
            (8, True, Verdict.OLD),
        ):
            self.assertIs(inbox.take(row(seq), whole=whole), verdict, seq)

    def test_own_messages_are_passed(self) -> None:
        inbox = Inbox(Position(3))
        inbox.own(5)
        inbox.own(4)
        self.assertEqual(inbox.seen, 5)
        self.assertIs(inbox.take(row(5), whole=False), Verdict.OLD)
        inbox.own(7)
        self.assertIs(inbox.take(row(6), whole=False), Verdict.NEW)
        self.assertEqual(inbox.seen, 7)
        self.assertIs(inbox.take(row(8), whole=False), Verdict.NEW)

    def test_own_messages_do_not_hide_a_backlog(self) -> None:
        inbox = Inbox()
        inbox.own(9)
        self.assertIs(inbox.take(row(1), whole=False), Verdict.NEW)

    def test_another_epoch_starts_afresh_but_for_known_messages(self) -> None:
        inbox = Inbox()
        self.assertFalse(inbox.logged_in("e1"))
        inbox.take(row(7), whole=False)
        self.assertTrue(inbox.logged_in("e2"))
        self.assertEqual(inbox.position, Position(0, "e2"))
        self.assertIs(inbox.take(row(1, message_id="m7"), whole=True), Verdict.OLD)
        self.assertIs(inbox.take(row(2, message_id="m8"), whole=True), Verdict.NEW)

    def test_rows_without_numbers_are_new(self) -> None:
        inbox = Inbox()
        for _ in range(2):
            self.assertIs(inbox.take(row(0), whole=False), Verdict.NEW)

    @given(st.lists(st.tuples(st.integers(1, 20), st.booleans(), st.booleans()), max_size=60))
    def test_no_number_is_new_twice_and_none_goes_back(self, steps: list[tuple[int, bool, bool]]) -> None:
        inbox = Inbox()
        taken: list[int] = []
        for seq, whole, own in steps:
            if own:
                inbox.own(seq)
            elif inbox.take(row(seq), whole=whole) is Verdict.NEW:
                taken.append(seq)
        self.assertEqual(taken, sorted(set(taken)))


class Received(ClientCase):
    """Over connections."""

    def test_duplicates_are_suppressed_and_gaps_are_read(self) -> None:
        for format in NUMBERED:
            with self.subTest(format=format):
                self.start(format)
                self.server.rows = [row(seq) for seq in range(1, 8)]
                self.server.link.push(row(1))
                self.server.link.push(row(1))
                self.server.link.push(row(2))
                self.server.link.push(row(6))
                self.server.link.push(row(7))
                self.assertEqual(self.heard, [f"t{seq}" for seq in range(1, 8)])
                self.assertEqual(self.client.position, Position(7, "e1"))
                self.finish()

    def test_a_reconnect_goes_on_where_it_stopped(self) -> None:
        for format in NUMBERED:
            with self.subTest(format=format):
                self.start(format)
                self.server.link.push(row(1))
                self.server.link.lose()
                self.server.rows = [row(seq) for seq in range(1, 6)]
                self.come_back()
                if format == "jsonline":
                    # The server sends what the device did not acknowledge, some of it again.
                    self.server.link.write(
                        self.server.link.codec.backlog(InboxPage(self.server.rows, 5, 1, False, "e1"))
                    )
                self.assertEqual(self.heard, ["t1", "t2", "t3", "t4", "t5"])
                self.finish()

    def test_a_program_goes_on_at_its_position(self) -> None:
        for format in NUMBERED:
            with self.subTest(format=format):
                self.clock_rows(format, Position(3, "e1"))
                self.assertEqual(self.heard, ["t4", "t5"])

    def clock_rows(self, format: str, position: Position) -> None:
        self.start(format)
        self.server.rows = [row(seq) for seq in range(1, 6)]
        self.finish()
        self.heard.clear()
        self.client = self.make(self.client._format, position, on_message=self.note)
        self.successResultOf(ensureDeferred(self.client.start()))
        self.finish()

    def note(self, message: Message) -> None:
        self.heard.append(message.content.data.decode())

    def test_what_is_pushed_behind_the_back_of_a_page_is_not_forgotten(self) -> None:
        for format in NUMBERED:
            with self.subTest(format=format):
                self.start(format)
                self.server.hold_pages = True
                self.server.rows = [row(seq) for seq in range(1, 6)]
                self.server.link.push(row(1))
                self.server.link.push(row(3))
                (page,) = self.server.link.held
                self.server.link.push(row(4))
                self.server.hold_pages = False
                # It was read before the fourth was there.
                self.server.page(self.server.link, page, self.server.rows[:3])
                self.assertEqual(self.heard, ["t1", "t2", "t3", "t4", "t5"])
                self.finish()

    def test_catching_up_outlives_a_connection_that_is_lost_while_the_queue_is_full(self) -> None:
        for format in NUMBERED:
            with self.subTest(format=format):
                client = self.start(format, on_message=None, queue=3)
                self.server.rows = [row(seq) for seq in range(1, 10)]
                self.server.link.push(row(1))
                self.server.link.push(row(9))
                asked = len(self.server.asked)
                self.server.link.lose()
                self.come_back()
                client.on_message = self.note
                self.assertGreater(len(self.server.asked), asked)
                self.assertEqual(self.heard, [f"t{seq}" for seq in range(1, 10)])
                self.finish()

    def test_a_page_that_is_lost_with_its_connection_is_asked_for_again(self) -> None:
        for format in NUMBERED:
            with self.subTest(format=format):
                self.start(format)
                self.server.hold_pages = True
                self.server.rows = [row(seq) for seq in range(1, 6)]
                self.server.link.push(row(1))
                self.server.link.push(row(5))
                self.server.link.lose()
                self.server.hold_pages = False
                self.come_back()
                self.assertEqual(self.heard, ["t1", "t2", "t3", "t4", "t5"])
                self.finish()

    def test_ones_own_retried_message_is_no_news(self) -> None:
        for format in NUMBERED:
            with self.subTest(format=format):
                client = self.start(format)
                self.server.answers = False
                answer = client.send("bob", "mine", client_id="c1")
                self.server.link.lose()
                self.server.rows = [row(1, "mine", "alice", "c1"), row(2)]
                self.come_back()
                for one in self.server.rows:
                    self.server.link.push(one)
                self.assertEqual(self.heard, ["t2"])
                self.assertNoResult(answer)
                self.server.accept(self.server.link, self.server.link.held[0])
                self.successResultOf(answer)
                self.finish()

    def test_a_new_epoch_is_told(self) -> None:
        for format in NUMBERED:
            with self.subTest(format=format):
                self.start(format)
                for seq in (1, 2, 3):
                    self.server.link.push(row(seq))
                self.server.link.lose()
                self.server.epoch = "e2"
                self.server.rows = [row(1, message_id="m1"), row(2, "other", message_id="n2")]
                self.come_back()
                for one in self.server.rows:
                    self.server.link.push(one)
                self.assertIn(EpochChanged("e1", "e2"), self.events)
                self.assertEqual(self.heard, ["t1", "t2", "t3", "other"])
                self.assertEqual(self.client.position, Position(2, "e2"))
                self.finish()

    def test_acknowledged_once_the_callback_is_done(self) -> None:
        for format in NUMBERED:
            with self.subTest(format=format):
                done: list[Deferred[None]] = []

                def slow(message: Message, done: list[Deferred[None]] = done) -> Deferred[None]:
                    done.append(Deferred())
                    return done[-1]

                self.start(format, on_message=slow)
                for seq in (1, 2):
                    self.server.link.push(row(seq))
                self.assertEqual((len(done), self.server.acks, self.client.position.seq), (1, [], 0))
                done[0].callback(None)
                self.assertEqual((len(done), self.server.acks, self.client.position.seq), (2, [], 1))
                done[1].callback(None)
                self.assertEqual((self.server.acks, self.client.position.seq), ([2], 2))
                self.finish()

    def test_a_callback_that_fails_is_logged_and_does_not_stop_the_rest(self) -> None:
        def fails(message: Message) -> None:
            self.heard.append("x")
            raise ZeroDivisionError

        self.start("jsonline", on_message=fails)
        self.server.link.push(row(1))
        self.server.link.push(row(2))
        self.assertEqual(self.heard, ["x", "x"])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 2)
        self.finish()

    def test_iteration_acknowledges_the_one_before(self) -> None:
        client = self.start("protobuf", on_message=None)
        first = ensureDeferred(client.__anext__())
        self.assertNoResult(first)
        self.server.link.push(row(1))
        self.server.link.push(row(2))
        self.assertEqual(self.successResultOf(first).message_id, "m1")
        self.assertEqual(self.server.acks, [])
        self.successResultOf(ensureDeferred(client.__anext__()))
        third = ensureDeferred(client.__anext__())
        self.assertEqual(self.server.acks[-1], 2)
        self.finish()
        self.failureResultOf(third, StopAsyncIteration)

    def test_a_full_queue_pauses_reading_but_not_for_answers(self) -> None:
        for format in (*NUMBERED, "qdatastream"):
            with self.subTest(format=format):
                waiting: list[Deferred[None]] = []

                def slow(message: Message, waiting: list[Deferred[None]] = waiting) -> Deferred[None]:
                    waiting.append(Deferred())
                    return waiting[-1]

                client = self.start(format, on_message=slow, queue=3)
                self.server.answers = self.server.pings = False
                for seq in range(1, 6):
                    self.assertFalse(self.server.link.paused)
                    self.server.link.push(row(seq))
                    if seq == 4:
                        break
                self.assertTrue(self.server.link.paused)
                client.send("bob", "a").addErrback(lambda failure: None)
                self.assertFalse(self.server.link.paused)
                self.finish()
                waiting[0].callback(None)
