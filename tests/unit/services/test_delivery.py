"""One law of delivery, over the real engine."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from imserver.model.accounts import Hello, KickReason, LogIn, LogOut
from imserver.model.call_records import CallMissed, CallRecord
from imserver.model.calls import Ending
from imserver.model.errors import ErrorCode, ImError
from imserver.model.messages import (
    AckMessages,
    Content,
    Form,
    MarkRead,
    Message,
    MessageAccepted,
    MessageRevoked,
    MessagesRead,
    Revocation,
    RevokeMessage,
    SetTyping,
    SyncInbox,
    TypingChanged,
)
from imserver.model.presence import (
    ListPresence,
    PresenceChanged,
    PresenceList,
    PresenceState,
    SetPresence,
)
from imserver.services.delivery import Delivery, LiveSession
from imserver.services.ports import Entry
from imserver.services.sessions import Client
from tests.contracts.cellar_case import each_entry
from tests.unit.services.hub_world import HubCase, Peer, text


class DirectTests(HubCase):
    def test_a_message_reaches_the_recipient_and_the_senders_other_sessions(self) -> None:
        alice, alice_peer = self.log_in("alice", "phone")
        _, laptop = self.log_in("alice", "laptop")
        _, bob = self.log_in("bob")
        answer = self.send(alice, "hi", recipient="bob")
        self.assertEqual(bob.messages, [(1, "hi")])
        self.assertEqual(laptop.messages, [(1, "hi")])
        self.assertEqual(alice_peer.messages, [], "the sender has the answer")
        self.assertEqual(answer.seq, 1)

    def test_the_answer_comes_before_what_others_are_pushed_and_in_order(self) -> None:
        alice, peer = self.log_in("alice")
        for number in range(5):
            self.hub.send(alice, text(f"m{number}", recipient="bob" if number % 2 else "nobody"), number)
        self.log_in("bob")
        self.settle()
        self.assertEqual([tag for tag, _ in peer.answers], [0, 1, 2, 3, 4])
        refused = [outcome for _, outcome in peer.answers if isinstance(outcome, ImError)]
        self.assertEqual([error.code for error in refused], [ErrorCode.USER_NOT_FOUND] * 5)

    def test_nothing_is_answered_or_pushed_before_the_commit(self) -> None:
        alice, alice_peer = self.log_in("alice")
        _, bob = self.log_in("bob")
        self.committer.held = True
        self.hub.send(alice, text("hi", recipient="bob"), 1)
        self.settle()
        self.assertEqual((alice_peer.answers, bob.messages), ([], []))
        self.committer.held = False
        self.committer.run()
        self.settle()
        self.assertEqual(bob.messages, [(1, "hi")])

    def test_a_failed_commit_refuses_and_pushes_nothing_and_the_numbers_stay_dense(self) -> None:
        alice, peer = self.log_in("alice")
        _, bob = self.log_in("bob")
        self.send(alice, "one", recipient="bob")
        self.committer.failures = 1
        self.hub.send(alice, text("lost", recipient="bob"), "lost")
        self.settle()
        outcome = peer.answers[-1][1]
        assert isinstance(outcome, ImError)
        self.assertEqual(outcome.code, ErrorCode.UNAVAILABLE)
        self.send(alice, "two", recipient="bob")
        self.assertEqual(bob.messages, [(1, "one"), (2, "two")])


class BacklogTests(HubCase):
    def setUp(self) -> None:
        super().setUp()
        self.alice, _ = self.log_in("alice")
        bob, _ = self.log_in("bob")
        bob.close()

    def test_what_was_missed_comes_as_backlog_then_what_is_new(self) -> None:
        for number in range(1, 6):
            self.send(self.alice, f"m{number}", recipient="bob")
        peer = Peer()
        bob, logged_in = self.enter("bob", peer)
        self.assertEqual(logged_in.head, 5)
        self.send(self.alice, "m6", recipient="bob")  # races the log-in
        self.assertEqual(peer.messages, [], "nothing before the answer to the log-in")
        bob.start()
        self.settle()
        self.send(self.alice, "m7", recipient="bob")
        self.assertEqual(peer.backlog, [[1, 2, 3, 4, 5]])
        self.assertEqual(peer.seqs, [1, 2, 3, 4, 5, 6, 7])

    def test_what_was_acknowledged_does_not_come_again(self) -> None:
        for number in range(1, 4):
            self.send(self.alice, f"m{number}", recipient="bob")
        bob, first = self.log_in("bob", "phone")
        self.assertEqual(first.seqs, [1, 2, 3])
        self.hub.acknowledge(bob, AckMessages(seq=2))
        bob.close()
        _, again = self.log_in("bob", "phone")
        self.assertEqual(again.seqs, [3])
        _, new_device = self.log_in("bob", "laptop")
        self.assertEqual(new_device.seqs, [3], "a new device starts after the furthest cursor")

    def test_of_what_was_pushed_the_part_that_arrived_does_not_come_again(self) -> None:
        for number in range(1, 6):
            self.send(self.alice, f"m{number}", recipient="bob")
        bob, first = self.log_in("bob", "phone")
        self.assertEqual(first.seqs, [1, 2, 3, 4, 5])
        bob.passed(3)
        bob.close()
        _, again = self.log_in("bob", "phone")
        self.assertEqual(again.seqs, [4, 5])

    def test_own_messages_do_not_come_back_to_the_device_that_sent_them(self) -> None:
        bob, _ = self.log_in("bob", "phone")
        self.send(self.alice, "in", recipient="bob")
        self.send(bob, "out", recipient="alice")
        self.hub.acknowledge(bob, AckMessages(message_id="unknown"))
        bob.close()
        bob, again = self.log_in("bob", "phone")
        self.assertEqual(again.messages, [(1, "in"), (2, "out")], "what came before it is not acknowledged")
        self.hub.acknowledge(bob, AckMessages(seq=2))
        self.send(bob, "more", recipient="alice")
        bob.close()
        _, third = self.log_in("bob", "phone")
        self.assertEqual(third.messages, [])

    def test_an_acknowledgement_of_what_was_never_given_is_ignored(self) -> None:
        self.send(self.alice, "in", recipient="bob")
        for pulls in (False, True):
            for command in (AckMessages(seq=2), AckMessages(seq=10**9), AckMessages()):
                bob, _ = self.log_in("bob", "phone", pulls=pulls)
                self.hub.acknowledge(bob, command)
                bob.close()
                with self.subTest(command=command, pulls=pulls):
                    bob, again = self.log_in("bob", "phone")
                    self.assertEqual(again.messages, [(1, "in")])
                    bob.close()

    def test_a_client_that_pulls_is_pushed_only_what_is_new(self) -> None:
        self.send(self.alice, "old", recipient="bob")
        bob, peer = self.log_in("bob", pulls=True)
        self.send(self.alice, "new", recipient="bob")
        self.assertEqual(peer.messages, [(2, "new")])
        page = self.wait(self.hub.handle(bob, SyncInbox()))
        self.assertEqual([row.seq for row in page.rows], [1, 2])

    def test_a_slow_peer_reads_on_from_the_store_as_it_drains(self) -> None:
        bob, peer = self.log_in("bob")
        peer.room = 2
        for number in range(1, 8):
            self.send(self.alice, f"m{number}", recipient="bob")
        self.assertEqual(peer.seqs, [1, 2])
        peer.room = 1
        bob.drained()
        self.settle()
        self.assertEqual(peer.seqs, [1, 2, 3, 4, 5, 6, 7], "a page is taken whole")
        peer.room = None
        bob.drained()
        self.settle()
        self.send(self.alice, "m8", recipient="bob")
        self.assertEqual(peer.seqs, [1, 2, 3, 4, 5, 6, 7, 8])
        self.assertEqual(peer.backlog, [], "it was never offline")

    def test_own_messages_sent_while_catching_up_are_not_pushed_back(self) -> None:
        bob, peer = self.log_in("bob")
        peer.room = 0
        self.send(self.alice, "in", recipient="bob")
        self.send(bob, "out", recipient="alice")
        peer.room = None
        bob.drained()
        self.settle()
        self.assertEqual(peer.messages, [(1, "in")])
        self.send(self.alice, "next", recipient="bob")
        self.assertEqual(peer.seqs, [1, 3])


class ChangeTests(HubCase):
    def setUp(self) -> None:
        super().setUp()
        self.alice, self.alice_peer = self.log_in("alice")
        self.bob, self.bob_peer = self.log_in("bob")

    def revocations(self, peer: Peer) -> list[str]:
        return [event.message_id for event in peer.events if isinstance(event, MessageRevoked)]

    def test_a_revoke_is_told_to_all_members_but_the_session_that_asked(self) -> None:
        _, other = self.log_in("alice", "laptop")
        sent = self.send(self.alice, "oops", recipient="bob")
        self.wait(self.hub.handle(self.alice, RevokeMessage(sent.message_id)))
        self.assertEqual(self.revocations(self.bob_peer), [sent.message_id])
        self.assertEqual(self.revocations(other), [sent.message_id])
        self.assertEqual(self.revocations(self.alice_peer), [])

    def test_a_revoke_a_device_missed_is_told_at_its_next_log_in_once(self) -> None:
        sent = self.send(self.alice, "oops", recipient="bob")
        self.bob.close()
        self.wait(self.hub.handle(self.alice, RevokeMessage(sent.message_id)))
        bob, again = self.log_in("bob")
        self.assertEqual(self.revocations(again), [sent.message_id])
        bob.close()
        bob, lost_on_the_way = self.log_in("bob")
        self.assertEqual(self.revocations(lost_on_the_way), [sent.message_id], "no kernel had it")
        bob.delivered(False)
        bob.close()
        _, third = self.log_in("bob")
        self.assertEqual(self.revocations(third), [])

    def test_a_revoke_that_found_no_room_is_told_when_there_is(self) -> None:
        sent = self.send(self.alice, "oops", recipient="bob")
        self.bob_peer.deaf = True
        self.wait(self.hub.handle(self.alice, RevokeMessage(sent.message_id)))
        self.bob_peer.deaf = False
        self.bob.drained()
        self.settle()
        self.assertEqual(self.revocations(self.bob_peer), [sent.message_id])

    def missed(self, peer: Peer) -> list[str]:
        return [event.call for event in peer.events if isinstance(event, CallMissed)]

    def miss(self, call: str) -> None:
        """Alice calls Bob in vain."""
        record = CallRecord(call, "alice", "bob", True, 1.0, ended_at=2.0, ending=Ending.NO_ANSWER)
        self.wait(self.cellar.store.record_call(record))
        self.settle()

    def test_a_missed_call_is_told_to_all_sessions_of_the_callee(self) -> None:
        _, other = self.log_in("bob", "laptop")
        self.miss("c1")
        self.assertEqual([self.missed(self.bob_peer), self.missed(other)], [["c1"], ["c1"]])
        self.assertEqual(self.missed(self.alice_peer), [])

    def test_a_missed_call_is_told_to_each_device_once(self) -> None:
        self.bob.close()
        self.miss("c1")
        bob, again = self.log_in("bob")
        self.assertEqual(self.missed(again), ["c1"])
        bob.close()
        bob, lost_on_the_way = self.log_in("bob")
        self.assertEqual(self.missed(lost_on_the_way), ["c1"], "no kernel had it")
        self.miss("c2")
        bob.delivered(False)
        bob.close()
        self.miss("c3")
        _, third = self.log_in("bob")
        self.assertEqual(self.missed(third), ["c3"])

    def test_a_missed_call_that_found_no_room_is_told_when_there_is(self) -> None:
        self.bob_peer.deaf = True
        self.miss("c1")
        self.miss("c2")
        self.assertEqual(self.missed(self.bob_peer), [])
        self.bob_peer.deaf = False
        self.bob.drained()
        self.settle()
        self.assertEqual(self.missed(self.bob_peer), ["c1", "c2"])

    def test_whoever_comes_for_the_first_time_is_told_what_was_missed(self) -> None:
        self.wait(self.accounts.create_demo_users())
        record = CallRecord("c1", "alice", "carol", True, 1.0, ended_at=2.0, ending=Ending.OFFLINE)
        self.wait(self.cellar.store.record_call(record))
        self.assertEqual(self.missed(self.log_in("carol")[1]), ["c1"])
        self.assertEqual(self.missed(self.log_in("alice", "new")[1]), [])

    def test_receipts_go_to_the_sender_and_the_readers_other_devices(self) -> None:
        _, laptop = self.log_in("bob", "laptop")
        sent = self.send(self.alice, "hi", recipient="bob")
        self.wait(self.hub.handle(self.bob, MarkRead((sent.message_id,))))
        for peer, count in ((self.alice_peer, 1), (laptop, 1), (self.bob_peer, 0)):
            reads = [event for event in peer.events if isinstance(event, MessagesRead)]
            self.assertEqual(len(reads), count)
        self.assertEqual(self.alice_peer.events[-1].reader, "bob")


class LogInTests(HubCase):
    sessions_per_user = 2

    def test_an_old_sessions_close_never_removes_the_newcomer(self) -> None:
        old, _ = self.log_in("bob", "phone")
        _, newcomer = self.log_in("bob", "phone")
        old.close()
        old.close()
        alice, _ = self.log_in("alice")
        self.send(alice, "hi", recipient="bob")
        self.assertEqual(newcomer.messages, [(1, "hi")])

    def test_too_many_sessions_end_the_oldest(self) -> None:
        peers = [self.log_in("bob")[1] for _ in range(3)]
        self.assertEqual([len(peer.kicks) for peer in peers], [1, 0, 0])
        self.assertEqual(peers[0].kicks[0].reason, KickReason.OTHER_DEVICE)
        self.assertEqual(len(self.hub.registry.of("bob")), 2)

    def test_a_session_kicked_while_it_logs_in_is_refused(self) -> None:
        peer = Peer()
        self.log_in("bob")
        client = Client("s", "f", "127.0.0.1", False, True)
        original = self.accounts.still_valid

        async def kicked_meanwhile(known: object) -> bool:
            await self.accounts.kick("bob")
            return await original(known)  # type: ignore[arg-type]

        self.patch(self.accounts, "still_valid", kicked_meanwhile)
        command = LogIn(user="bob", token="demo_token_bob")
        error = self.refusal(self.hub.log_in(client, Hello(), command, peer))
        self.assertEqual(error.code, ErrorCode.AUTH_FAILED)
        self.assertEqual(self.hub.registry.of("bob"), ())

    def test_a_live_session_renews_for_its_own_user_only(self) -> None:
        bob, _ = self.log_in("bob")
        reply = self.wait(self.hub.handle(bob, LogIn(token="demo_token_bob")))
        self.assertEqual(reply.user, "bob")
        error = self.refusal(self.hub.handle(bob, LogIn(token="demo_token_alice")))
        self.assertEqual(error.code, ErrorCode.AUTH_FAILED)

    def test_log_out_revokes_the_grant(self) -> None:
        bob, _ = self.log_in("bob")
        self.wait(self.hub.handle(bob, LogOut()))


class PresenceTests(HubCase):
    def states(self, peer: Peer) -> list[tuple[str, PresenceState]]:
        return [(event.user, event.state) for event in peer.events if isinstance(event, PresenceChanged)]

    def setUp(self) -> None:
        super().setUp()
        self.alice, self.peer = self.log_in("alice")
        bob, _ = self.log_in("bob")
        self.send(self.alice, "hi", recipient="bob")
        bob.close()
        self.settle()
        self.peer.events.clear()

    def test_partners_are_told_who_comes_and_goes(self) -> None:
        first, _ = self.log_in("bob", "phone")
        second, _ = self.log_in("bob", "laptop")
        self.log_in("carol")
        first.close()
        self.settle()
        self.assertEqual(self.states(self.peer), [("bob", PresenceState.ONLINE)])
        second.close()
        self.settle()
        self.assertEqual(self.states(self.peer)[1:], [("bob", PresenceState.OFFLINE)])

    def test_a_user_is_as_available_as_the_most_available_session(self) -> None:
        first, _ = self.log_in("bob", "phone")
        second, _ = self.log_in("bob", "laptop")
        self.wait(self.hub.handle(first, SetPresence(PresenceState.AWAY)))
        self.assertEqual(self.states(self.peer)[1:], [])
        self.wait(self.hub.handle(second, SetPresence(PresenceState.BUSY)))
        self.assertEqual(self.states(self.peer)[1:], [("bob", PresenceState.BUSY)])
        second.close()
        self.settle()
        self.assertEqual(self.states(self.peer)[-1], ("bob", PresenceState.AWAY))

    def test_the_list_shows_only_those_one_shares_a_conversation_with(self) -> None:
        self.log_in("carol")
        listed: PresenceList = self.wait(self.hub.handle(self.alice, ListPresence()))
        self.assertEqual([user.user for user in listed.users], ["bob"])
        self.assertEqual(listed.users[0].state, PresenceState.OFFLINE)
        self.assertGreater(listed.users[0].last_seen, 0)
        named = self.wait(self.hub.handle(self.alice, ListPresence(("carol", "bob"))))
        self.assertEqual([user.user for user in named.users], ["bob"])


class MessageRuleTests(HubCase):
    def setUp(self) -> None:
        super().setUp()
        self.alice, self.peer = self.log_in("alice")
        self.bob, self.bob_peer = self.log_in("bob")

    def refused(self, words: str, **fields: object) -> ErrorCode:  # type: ignore[override]
        self.hub.send(self.alice, text(words, **fields), "tag")
        self.settle()
        outcome = self.peer.answers[-1][1]
        assert isinstance(outcome, ImError), outcome
        return outcome.code

    def test_content_extra_attachments_and_meta_count_together(self) -> None:
        limit = 64 * 1024
        self.assertEqual(self.refused("x" * (limit + 1), recipient="bob"), ErrorCode.TOO_LARGE)
        self.assertEqual(
            self.refused("x" * (limit - 4), recipient="bob", extra={"k": "value"}), ErrorCode.TOO_LARGE
        )
        accepted = self.send(self.alice, "x" * (limit - 6), recipient="bob", extra={"k": "value"})
        self.assertIsInstance(accepted, MessageAccepted)

    def test_broadcasts_need_the_role(self) -> None:
        self.assertEqual(self.refused("all", broadcast=True), ErrorCode.FORBIDDEN)

    def test_names_and_ids_are_bounded(self) -> None:
        self.assertEqual(self.refused("x", conversation="n" * 256), ErrorCode.BAD_REQUEST)
        self.assertEqual(self.refused("x", recipient="bob", client_id="c" * 256), ErrorCode.BAD_REQUEST)

    def test_typing_goes_to_the_other_member_only(self) -> None:
        self.send(self.alice, "hi", recipient="bob")
        self.wait(self.hub.handle(self.alice, SetTyping(True, recipient="bob")))
        typed = [event for event in self.bob_peer.events if isinstance(event, TypingChanged)]
        self.assertEqual([(event.user, event.typing) for event in typed], [("alice", True)])
        self.assertFalse([event for event in self.peer.events if isinstance(event, TypingChanged)])

    def test_typing_bears_the_name_that_both_know(self) -> None:
        self.send(self.alice, "hi", recipient="bob", conversation="ours")
        self.wait(self.hub.handle(self.alice, SetTyping(True, conversation="ours")))
        self.assertEqual(self.bob_peer.events[-1].conversation, "ours")
        self.log_in("carol")
        self.send(self.bob, "hi", recipient="carol", conversation="ours")
        self.wait(self.hub.handle(self.alice, SetTyping(True, conversation="ours")))
        self.assertEqual(self.bob_peer.events[-1].conversation, "single_alice_bob")

    def test_a_retry_may_write_its_objects_in_another_order(self) -> None:
        one, same = b'{"a":1,"b":{"c":2,"d":3}}', b'{"b":{"d":3,"c":2},"a":1}'
        first = self.send(self.alice, "x", "1", recipient="bob", client_id="c", meta=one)
        again = self.send(self.alice, "x", "2", recipient="bob", client_id="c", meta=same)
        self.assertEqual(again, first)
        other = b'{"b":{"d":2,"c":3},"a":1}'
        self.assertEqual(self.refused("x", recipient="bob", client_id="c", meta=other), ErrorCode.CONFLICT)


class InARow(HubCase):
    """Several messages of one session to one user in one commit."""

    def send_all(self, live: LiveSession, words: str, **fields: Any) -> None:
        for word in words.split():
            self.hub.send(live, text(word, **fields), word)

    def test_they_reach_all_sessions_but_their_own(self) -> None:
        alice, peer = self.log_in("alice", "phone")
        _, laptop = self.log_in("alice", "laptop")
        _, bob = self.log_in("bob", "phone")
        _, tablet = self.log_in("bob", "tablet")
        self.send_all(alice, "a b c", recipient="bob")
        self.settle()
        rows = [(1, "a"), (2, "b"), (3, "c")]
        self.assertEqual([rows] * 3, [bob.messages, tablet.messages, laptop.messages])
        self.assertEqual([], peer.messages)
        self.assertEqual(["answer a", "answer b", "answer c"], peer.order)

    def test_what_has_other_names_or_was_revoked_is_no_part_of_a_row(self) -> None:
        alice, _ = self.log_in("alice")
        _, bob = self.log_in("bob")
        name = "single_alice_bob"
        message = Message("m", name, name, 1, "alice", "bob", "", "", Content(Form.TEXT, b"x"), 1.0, 1.0)
        ours = replace(message, conversation="ours")
        revoked = replace(message, revoked=Revocation("alice", 2.0))
        renamed = frozenset(["bob"])
        told = [(message, ()), (message, ()), (ours, ()), (ours, ()), (ours, renamed), (ours, renamed),
                (message, ()), (revoked, ()), (revoked, ()), (message, ()), (message, ())]  # fmt: skip
        self.hub.delivery.committed(
            [
                Entry(one, (("alice", seq), ("bob", seq)), frozenset(names), alice.principal.session)
                for seq, (one, names) in enumerate(told, 1)
            ]
        )
        self.assertEqual([*range(1, 12)], bob.seqs)
        self.assertEqual([name] * 2 + ["ours"] * 2 + [name] * 7, bob.names)

    def test_the_last_of_a_row_acknowledges_all(self) -> None:
        alice, _ = self.log_in("alice")
        bob, _ = self.log_in("bob")
        self.send_all(alice, "a b c", recipient="bob")
        self.settle()
        page = self.wait(self.cellar.store.inbox("bob", 0, 0, 9, 9999))
        ids = [row.message.message_id for row in page.rows]
        for id, cursor in ((ids[0], 1), (ids[2], 5)):
            bob.acknowledge(AckMessages(0, id))
            if id == ids[2]:
                self.send_all(bob, "d e", recipient="alice")
                self.settle()
                bob.close()
            self.settle()
            found = self.wait(self.cellar.store.cursor("bob", bob.principal.format, bob.principal.device))
            self.assertEqual(cursor, found.acked)

    def test_to_oneself(self) -> None:
        alice, peer = self.log_in("alice", "phone")
        _, laptop = self.log_in("alice", "laptop")
        self.send_all(alice, "a b", recipient="alice")
        self.settle()
        self.assertEqual(([], [(1, "a"), (2, "b")]), (peer.messages, laptop.messages))

    def test_others_come_between(self) -> None:
        alice, peer = self.log_in("alice")
        bob, bobs = self.log_in("bob")
        carol, _ = self.log_in("carol")
        self.send_all(alice, "a b", recipient="bob")
        self.send_all(carol, "c d", recipient="bob")
        self.send_all(bob, "e f", recipient="alice")
        self.send_all(alice, "g h", recipient="carol")
        self.send_all(alice, "i j", recipient="bob")
        self.settle()
        self.assertEqual([(1, "a"), (2, "b"), (3, "c"), (4, "d"), (7, "i"), (8, "j")], bobs.messages)
        self.assertEqual([(3, "e"), (4, "f")], peer.messages)

    def test_who_has_room_for_some_reads_the_others_later(self) -> None:
        alice, _ = self.log_in("alice")
        live, bob = self.log_in("bob")
        self.send_all(alice, "a", recipient="bob")
        self.settle()
        bob.room = 2
        self.send_all(alice, "b c d e", recipient="bob")
        self.settle()
        self.assertEqual([1, 2, 3], bob.seqs)
        bob.room = None
        live.drained()
        self.settle()
        self.assertEqual([1, 2, 3, 4, 5], bob.seqs)
        self.send_all(alice, "f g", recipient="bob")
        self.settle()
        self.assertEqual([1, 2, 3, 4, 5, 6, 7], bob.seqs)

    def test_own_ones_while_pages_are_read(self) -> None:
        alice, peer = self.log_in("alice")
        bob, _ = self.log_in("bob")
        peer.room = 0
        self.send_all(bob, "x y", recipient="alice")
        self.settle()
        self.send_all(alice, "a b c", recipient="bob")
        self.settle()
        self.assertEqual([], peer.messages)
        peer.room = None
        alice.drained()
        self.settle()
        self.assertEqual([(1, "x"), (2, "y")], peer.messages)
        self.send_all(bob, "z", recipient="alice")
        self.settle()
        self.assertEqual([(1, "x"), (2, "y"), (6, "z")], peer.messages)

    def test_who_has_some_of_the_feed_only(self) -> None:
        alice, _ = self.log_in("alice")
        _, bob = self.log_in("bob")
        entries: list[Entry] = []
        kept = self.patch(Delivery, "committed", lambda delivery, some: entries.extend(each_entry(some)))
        self.send_all(alice, "a b c d", recipient="bob")
        self.settle()
        self.assertEqual(4, len(entries))
        kept.restore()
        self.hub.delivery.committed([entries[0], entries[2], entries[3]])
        self.settle()
        self.assertEqual([(1, "a"), (2, "b"), (3, "c"), (4, "d")], bob.messages)
        self.hub.delivery.committed(entries)
        self.assertEqual([1, 2, 3, 4], bob.seqs, "what is there is not there again")
