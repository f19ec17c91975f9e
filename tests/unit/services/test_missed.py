"""The feed lost something: sessions look for themselves, and nobody can tell afterwards."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from imserver.model.accounts import KickReason
from imserver.model.messages import MarkRead, MessageRevoked, MessagesRead, RevokeMessage
from imserver.services.delivery import RETRY_SECONDS, Delivery
from imserver.services.ports import Change, Entry, EntryRow
from tests.unit.services.hub_world import HubCase, Peer, text


class LossyFeed:
    """Hands the feed on as long as it is told to."""

    def __init__(self, delivery: Delivery) -> None:
        self._delivery = delivery
        self.losing = False

    def answered(self, tickets: Sequence[Any], outcomes: Sequence[Any]) -> None:
        """See FeedSink."""
        self._delivery.answered(tickets, outcomes)

    def interrupted(self) -> None:
        """See FeedSink."""
        self._delivery.interrupted()

    def missed(self) -> None:
        """See FeedSink."""
        self._delivery.missed()

    def committed(self, entries: Sequence[Entry | EntryRow]) -> None:
        """See FeedSink."""
        if not self.losing:
            self._delivery.committed(entries)

    def changed(self, changes: Sequence[Change]) -> None:
        """See FeedSink."""
        if not self.losing:
            self._delivery.changed(changes)


class MissedTests(HubCase):
    def setUp(self) -> None:
        super().setUp()
        self.feed = LossyFeed(self.hub.delivery)
        self.cellar.store.attach(self.feed)
        self.alice, _ = self.log_in("alice")

    def test_messages_that_were_missed_come_once_and_in_order(self) -> None:
        _, bob = self.log_in("bob")
        self.send(self.alice, "1", recipient="bob")
        self.feed.losing = True
        self.send(self.alice, "2", recipient="bob")
        self.send(self.alice, "3", recipient="bob")
        self.feed.losing = False
        self.assertEqual([1], bob.seqs)
        self.feed.missed()
        self.settle()
        self.send(self.alice, "4", recipient="bob")
        self.assertEqual([(1, "1"), (2, "2"), (3, "3"), (4, "4")], bob.messages)

    def test_nothing_missed_changes_nothing(self) -> None:
        _, bob = self.log_in("bob")
        self.send(self.alice, "1", recipient="bob")
        self.feed.missed()
        self.feed.missed()
        self.settle()
        self.send(self.alice, "2", recipient="bob")
        self.assertEqual([(1, "1"), (2, "2")], bob.messages)
        self.assertEqual([], bob.kicks)

    def test_changes_that_were_missed(self) -> None:
        _, bob = self.log_in("bob")
        sent = self.send(self.alice, "1", recipient="bob")
        _, reader = self.log_in("alice", "second")
        self.feed.losing = True
        other, _ = self.log_in("bob", "other")
        self.wait(self.cellar.store.mark_read(other.principal, MarkRead((sent.message_id,))))
        self.feed.losing = False
        self.assertEqual([], [event for event in reader.events if isinstance(event, MessagesRead)])
        self.feed.missed()
        self.settle()
        self.assertEqual(1, len([event for event in reader.events if isinstance(event, MessagesRead)]))
        self.assertEqual(1, len([event for event in bob.events if isinstance(event, MessagesRead)]))

    def test_a_session_that_has_not_begun(self) -> None:
        """It was entered, its place was read, and then something was missed."""
        peer = Peer()
        bob, _ = self.enter("bob", peer)
        self.feed.losing = True
        self.send(self.alice, "1", recipient="bob")
        self.feed.losing = False
        self.feed.missed()
        self.settle()
        bob.start()
        self.settle()
        self.assertEqual([(1, "1")], peer.messages)

    def test_numbers_that_began_afresh_end_the_session(self) -> None:
        _, bob = self.log_in("bob")
        self.send(self.alice, "1", recipient="bob")
        self.cellar.core.epoch = "another"
        _, newcomer = self.log_in("bob", "new")
        self.feed.missed()
        self.settle()
        self.assertEqual([KickReason.SHUTDOWN], [kick.reason for kick in bob.kicks])
        self.assertEqual([], newcomer.kicks)

    def test_while_the_store_is_away_nothing_happens(self) -> None:
        _, bob = self.log_in("bob")
        self.feed.losing = True
        self.send(self.alice, "1", recipient="bob")
        self.feed.losing = False
        state, self.cellar.core._state = self.cellar.core._state, None
        self.feed.missed()
        self.settle()
        self.cellar.core._state = state
        self.assertEqual([], bob.messages)
        self.clock.advance(RETRY_SECONDS)
        self.settle()
        self.assertEqual([(1, "1")], bob.messages)

    def test_a_backlog_that_cannot_be_read_comes_later(self) -> None:
        """Nothing else has to happen for it."""
        bob, peer = self.enter("bob", Peer())[0], Peer()
        self.send(self.alice, "1", recipient="bob")
        bob.close()
        bob, _ = self.enter("bob", peer)
        state, self.cellar.core._state = self.cellar.core._state, None
        bob.start()
        self.settle()
        self.clock.advance(RETRY_SECONDS)
        self.settle()
        self.cellar.core._state = state
        self.settle()
        self.assertEqual([], peer.messages)
        self.clock.advance(RETRY_SECONDS)
        self.settle()
        self.assertEqual([(1, "1")], peer.messages)

    def test_changes_that_cannot_be_read_come_later(self) -> None:
        _, bob = self.log_in("bob")
        sent = self.send(self.alice, "1", recipient="bob")
        self.feed.losing = True
        self.wait(self.cellar.store.revoke(self.alice.principal, RevokeMessage(sent.message_id), 60.0))
        self.feed.losing = False
        state, self.cellar.core._state = self.cellar.core._state, None
        for session in self.hub.registry.of("bob"):
            session.missed(1)
        self.settle()
        self.cellar.core._state = state
        self.clock.advance(RETRY_SECONDS)
        self.settle()
        self.assertEqual(1, len([event for event in bob.events if isinstance(event, MessageRevoked)]))

    def test_a_change_after_some_were_missed_tells_of_them_all(self) -> None:
        """It may come before anybody has looked for them."""
        _, bob = self.log_in("bob")
        sent = [self.send(self.alice, words, recipient="bob").message_id for words in ("1", "2")]
        self.feed.interrupted()
        self.feed.losing = True
        self.wait(self.hub.handle(self.alice, RevokeMessage(sent[0])))
        self.feed.losing = False
        self.wait(self.hub.handle(self.alice, RevokeMessage(sent[1])))
        self.feed.missed()
        self.settle()
        told = [event.message_id for event in bob.events if isinstance(event, MessageRevoked)]
        self.assertEqual(sent, told)


class ManyMissedTests(HubCase):
    def test_more_users_than_look_at_once(self) -> None:
        feed = LossyFeed(self.hub.delivery)
        self.cellar.store.attach(feed)
        alice, _ = self.log_in("alice")
        peers = [self.log_in(f"user{number}")[1] for number in range(230)]
        feed.losing = True
        for number in range(230):
            self.hub.send(alice, text(f"{number}", recipient=f"user{number}"), number)
            if number % 100 == 99:
                self.clock.advance(10)
        self.settle()
        feed.losing = False
        feed.missed()
        for _ in range(10):
            self.settle()
        self.assertEqual([[(1, f"{number}")] for number in range(230)], [peer.messages for peer in peers])
