"""What is committed while a read is under way: the read knows nothing of it, but its answer comes after."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, ensureDeferred, execute, fail

from imserver.model.conversations import ListConversations
from imserver.model.messages import MarkRead, MessageRevoked, MessagesRead, ReadHistory, RevokeMessage
from tests.unit.services.hub_world import HubCase, Peer


class LateThreads:
    """Work that is done at once, but while `held`, its result comes when the test says so.

    Attributes:
        failures: so many pieces of work meet a failing disk.
    """

    def __init__(self) -> None:
        self.held = False
        self.failures = 0
        self._late: list[tuple[Deferred[Any], Any]] = []

    def call(self, function: Callable[..., Any], *args: Any) -> Deferred[Any]:
        if self.failures:
            self.failures -= 1
            return fail(sqlite3.OperationalError("disk I/O error"))
        done = execute(function, *args)
        if not self.held:
            return done
        late: Deferred[Any] = Deferred()
        self._late.append((late, done))
        return late

    def let_go(self) -> None:
        """The results come, in order."""
        self.held = False
        while self._late:
            late, done = self._late.pop(0)
            done.chainDeferred(late)


class SlowReads(HubCase):
    def setUp(self) -> None:
        super().setUp()
        self.threads = self.cellar.core.threads = LateThreads()
        self.alice, self.alice_peer = self.log_in("alice")
        self.log_in("bob")[0].close()
        self.secret = self.send(self.alice, "secret", recipient="bob").message_id

    def revoke(self) -> None:
        self.wait(self.hub.handle(self.alice, RevokeMessage(self.secret)))

    def come(self) -> Peer:
        """Bob's reads are under way, and have seen the message."""
        peer = Peer()
        bob, _ = self.enter("bob", peer)
        self.threads.held = True
        bob.start()
        return peer

    def revoked(self, peer: Peer) -> list[str]:
        return [event.message_id for event in peer.events if isinstance(event, MessageRevoked)]

    def test_a_change_during_the_reading_of_changes_is_told(self) -> None:
        """Also if a later one is told before anything else is read."""
        peer = self.come()
        self.revoke()
        self.threads.let_go()
        self.settle()
        self.assertEqual([self.secret], self.revoked(peer))
        other = self.send(self.alice, "other", recipient="bob").message_id
        self.wait(self.hub.handle(self.alice, RevokeMessage(other)))
        self.assertEqual([self.secret, other], self.revoked(peer))

    def test_what_was_taken_back_meanwhile_is_not_shown_any_more(self) -> None:
        peer = self.come()
        self.revoke()
        self.threads.let_go()
        self.settle()
        self.assertEqual([(1, "")], peer.messages)

    def test_nor_in_answers(self) -> None:
        bob, _ = self.log_in("bob")
        for command in (ReadHistory(recipient="alice"), ReadHistory(), ListConversations()):
            with self.subTest(command=command):
                other = self.send(self.alice, "secret", recipient="bob").message_id
                self.threads.held = True
                answer = ensureDeferred(self.hub.handle(bob, command))
                self.wait(self.hub.handle(self.alice, RevokeMessage(other)))
                self.threads.let_go()
                self.settle()
                told = repr(self.successResultOf(answer))
                self.assertIn(other, told)
                self.assertNotIn("data=b'secret'", told.partition(other)[2])

    def test_changes_after_a_failed_read_are_told_with_what_was_missed(self) -> None:
        peer = Peer()
        bob, _ = self.enter("bob", peer)
        self.threads.failures = 2  # of the inbox, and of the changes
        bob.start()
        self.settle()
        self.revoke()
        self.settle()
        self.assertEqual([self.secret], self.revoked(peer))

    def test_receipts_during_the_reading_of_changes(self) -> None:
        """A sender's new session reads while the reader reads."""
        bob, _ = self.log_in("bob")
        peer = Peer()
        alice, _ = self.enter("alice", peer)
        self.threads.held = True
        alice.start()
        self.threads.held = False
        self.wait(self.hub.handle(bob, MarkRead((self.secret,))))
        self.threads.let_go()
        self.settle()
        self.assertEqual(1, len([event for event in peer.events if isinstance(event, MessagesRead)]))
