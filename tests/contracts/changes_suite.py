"""What every store must do about devices, revokes and receipts."""

from __future__ import annotations

from typing import Any

from imserver.model.accounts import Role
from imserver.model.errors import ErrorCode
from imserver.model.messages import MarkRead, MessageRevoked, MessagesRead, RevokeMessage
from tests.contracts.cellar_case import CellarCase


class DeviceSuite(CellarCase):
    """Cursors."""

    def setUp(self) -> None:
        self.open_cellar("alice", "bob", devices_per_user=3)
        self.store = self.cellar.store
        self.sent = [self.send("alice", recipient="bob") for _ in range(5)]

    def cursor(self, device: str, format: str = "jsonline") -> tuple[int, bool]:
        found = self.wait_for(self.store.cursor("bob", format, device))
        return found.acked, found.new

    def test_a_cursor_only_goes_forward_and_not_too_far(self) -> None:
        self.assertEqual((0, True), self.cursor("d"))
        for seq, acked in ((3, 3), (2, 3), (99, 3), (-1, 3), (5, 5)):
            self.store.acknowledge("bob", "jsonline", "d", seq)
            self.assertEqual((acked, False), self.cursor("d"))

    def test_by_message_id(self) -> None:
        self.cursor("d")
        self.store.acknowledge("bob", "jsonline", "d", 0, self.sent[3].message_id)
        self.assertEqual((4, False), self.cursor("d"))
        last = self.sent[4].message_id
        forged = ("0" if last[0] != "0" else "1") + last[1:]
        for unknown in ("", "x", "f" * 28, last.upper() + "0", forged, last[:-1] + "f"):
            self.store.acknowledge("bob", "jsonline", "d", 0, unknown)
            self.assertEqual((4, False), self.cursor("d"), unknown)
        foreign = self.send("alice", recipient="alice").message_id
        self.store.acknowledge("bob", "jsonline", "d", 0, foreign)
        self.assertEqual((4, False), self.cursor("d"))
        self.store.acknowledge("bob", "jsonline", "d", 0, last)
        self.assertEqual((5, False), self.cursor("d"))

    def test_a_new_device_starts_after_the_furthest_one(self) -> None:
        self.cursor("d")
        self.store.acknowledge("bob", "jsonline", "d", 2)
        self.assertEqual((2, True), self.cursor("e"))
        self.store.acknowledge("bob", "jsonline", "e", 4)
        self.assertEqual((4, True), self.cursor("", "protobuf"))
        self.assertEqual((2, False), self.cursor("d"))

    def test_the_longest_unused_device_is_forgotten(self) -> None:
        for device in ("a", "b", "c"):
            self.cursor(device)
            self.later(10.0)
        self.cursor("a")
        self.later(10.0)
        self.assertEqual((0, True), self.cursor("d"))
        self.assertEqual((0, False), self.cursor("a"))
        self.assertEqual((0, True), self.cursor("b"))

    def test_users_without_an_account(self) -> None:
        self.assertEqual(0, self.wait_for(self.store.cursor("nobody", "jsonline", "d")).acked)
        self.store.acknowledge("nobody", "jsonline", "d", 1)
        self.store.changes_told("nobody", "jsonline", "d", 1)


class RevokeSuite(CellarCase):
    """Taking messages back."""

    def setUp(self) -> None:
        self.open_cellar("alice", "bob", "carol", "dave")
        self.store = self.cellar.store

    def revoke(self, user: str, message_id: str, window: float = 120.0, conversation: str = "") -> Any:
        command = RevokeMessage(message_id, conversation)
        return self.wait_for(self.store.revoke(self.principal(user), command, window))

    def refusal(self, user: str, message_id: str, window: float = 120.0, conversation: str = "") -> ErrorCode:
        command = RevokeMessage(message_id, conversation)
        return self.error_of(self.store.revoke(self.principal(user), command, window))

    def test_it_becomes_a_tombstone_everywhere(self) -> None:
        sent = self.send(
            "alice",
            "secret",
            recipient="bob",
            conversation="ours",
            extra={"k": "v"},
            attachments=b"[1]",
            meta=b"{}",
        )
        self.later(5.0)
        answer = self.revoke("alice", sent.message_id)
        for user in ("alice", "bob"):
            (row,) = self.inbox(user).rows
            message = row.message
            self.assertEqual(
                (b"", {}, b"", b""), (message.content.data, message.extra, message.attachments, message.meta)
            )
            assert message.revoked is not None
            self.assertEqual(("alice", answer.at), (message.revoked.by, message.revoked.at))
            self.assertEqual(sent.message_id, message.message_id)
        (change,) = self.sink.changes
        self.assertEqual(
            MessageRevoked(sent.message_id, "ours", "single_alice_bob", "alice", answer.at), change.event
        )
        self.assertEqual(["alice", "bob"], sorted(change.users))
        self.assertEqual("session-alice", change.origin)
        for user in ("alice", "bob"):
            changes = self.wait_for(self.store.changes(user, 0, 10))
            self.assertEqual([(change.change_id, change.event)], changes)
        self.assertEqual([], self.wait_for(self.store.changes("bob", change.change_id, 10)))
        self.assertEqual([], self.wait_for(self.store.changes("carol", 0, 10)))

    def test_again_is_the_same_answer_and_nothing_is_told_twice(self) -> None:
        sent = self.send("alice", recipient="bob")
        first = self.revoke("alice", sent.message_id)
        self.later(1.0)
        self.assertEqual(first, self.revoke("alice", sent.message_id))
        self.later(1000.0)
        self.assertEqual(first, self.revoke("alice", sent.message_id))
        self.assertEqual(1, len(self.sink.changes))

    def test_who_may(self) -> None:
        self.add_group("team", "alice", "bob", "carol")
        sent = self.send("bob", group="team")
        self.assertEqual(ErrorCode.FORBIDDEN, self.refusal("carol", sent.message_id))
        self.assertEqual(ErrorCode.NOT_FOUND, self.refusal("dave", sent.message_id))
        self.assertEqual(
            "alice", self.inbox("bob").rows and self.revoke("alice", sent.message_id) and "alice"
        )
        self.assertEqual(["alice", "bob", "carol"], sorted(self.sink.changes[0].users))
        single = self.send("alice", recipient="bob")
        self.assertEqual(ErrorCode.FORBIDDEN, self.refusal("bob", single.message_id))
        self.assertEqual(ErrorCode.NOT_FOUND, self.refusal("carol", single.message_id))

    def test_only_for_some_time(self) -> None:
        sent = self.send("alice", recipient="bob")
        self.later(121.0)
        self.assertEqual(ErrorCode.FORBIDDEN, self.refusal("alice", sent.message_id))

    def test_unknown_messages_and_conversations(self) -> None:
        sent = self.send("alice", recipient="bob", conversation="ours")
        for unknown in ("", "x", "0" * 28, sent.message_id[:-1] + "f", "f" + sent.message_id[1:]):
            self.assertEqual(ErrorCode.NOT_FOUND, self.refusal("alice", unknown), unknown)
        self.send("alice", recipient="carol", conversation="theirs")
        for foreign in ("theirs", "single_alice_carol", "nothing", "group_x"):
            self.assertEqual(
                ErrorCode.NOT_FOUND, self.refusal("alice", sent.message_id, conversation=foreign), foreign
            )
        self.revoke("alice", sent.message_id, conversation="single_alice_bob")

    def test_a_retry_of_a_revoked_message_is_still_answered(self) -> None:
        first = self.send("alice", "one", recipient="bob", client_id="c")
        self.revoke("alice", first.message_id)
        self.assertEqual(first, self.send("alice", "one", recipient="bob", client_id="c"))
        self.assertEqual([(1, "")], self.texts("bob"))

    def test_names_are_right_for_each_reader(self) -> None:
        self.send("bob", recipient="carol", conversation="room")
        sent = self.send("alice", recipient="bob", conversation="room")
        self.revoke("alice", sent.message_id)
        (change,) = self.sink.changes
        self.assertEqual(frozenset({"bob"}), change.renamed)
        names = {
            user: self.wait_for(self.store.changes(user, 0, 9))[0][1].conversation
            for user in ("alice", "bob")
        }
        self.assertEqual({"alice": "room", "bob": "single_alice_bob"}, names)

    def test_a_broadcast_is_taken_back_from_everybody(self) -> None:
        sent = self.send("alice", "all", broadcast=True, role=Role.ADMIN)
        self.settle()
        self.assertEqual(ErrorCode.FORBIDDEN, self.refusal("bob", sent.message_id))
        self.revoke("alice", sent.message_id)
        self.assertEqual(["alice", "bob", "carol", "dave"], sorted(self.sink.changes[0].users))
        self.assertEqual([(1, "")], self.texts("dave"))
        self.assertEqual(1, len(self.wait_for(self.store.changes("dave", 0, 9))))

    def test_a_device_starts_at_the_end_of_the_changes_and_is_told_once(self) -> None:
        sent = [self.send("alice", recipient="bob") for _ in range(2)]
        old = self.wait_for(self.store.cursor("bob", "jsonline", "d"))
        self.revoke("alice", sent[0].message_id)
        new = self.wait_for(self.store.cursor("bob", "jsonline", "e"))
        self.assertEqual([], self.wait_for(self.store.changes("bob", new.changed, 9)))
        ((change_id, _),) = self.wait_for(self.store.changes("bob", old.changed, 9))
        self.store.changes_told("bob", "jsonline", "d", change_id)
        self.store.changes_told("bob", "jsonline", "d", 0)
        self.store.changes_told("bob", "jsonline", "d", change_id + 1000)
        self.assertEqual(change_id, self.wait_for(self.store.cursor("bob", "jsonline", "d")).changed)


class ReceiptSuite(CellarCase):
    """Read receipts."""

    def setUp(self) -> None:
        self.open_cellar("alice", "bob", "carol", "dave")
        self.add_group("team", "alice", "bob", "carol")
        self.store = self.cellar.store

    def mark(self, user: str, *ids: str, conversation: str = "") -> Any:
        return self.wait_for(self.store.mark_read(self.principal(user), MarkRead(ids, conversation)))

    def refusal(self, user: str, *ids: str, conversation: str = "") -> ErrorCode:
        return self.error_of(self.store.mark_read(self.principal(user), MarkRead(ids, conversation)))

    def test_the_sender_and_the_readers_devices_are_told(self) -> None:
        sent = [self.send("alice", recipient="bob", conversation="ours").message_id for _ in range(2)]
        answer = self.mark("bob", *sent, sent[0])
        (change,) = self.sink.changes
        self.assertEqual(
            MessagesRead(tuple(sent), "ours", "single_alice_bob", "bob", answer.at), change.event
        )
        self.assertEqual(["alice", "bob"], sorted(change.users))
        self.assertEqual("session-bob", change.origin)
        self.assertEqual(
            [change.event], [event for _, event in self.wait_for(self.store.changes("alice", 0, 9))]
        )

    def test_each_sender_hears_of_its_own_messages_only(self) -> None:
        from_alice = self.send("alice", group="team").message_id
        from_carol = self.send("carol", group="team").message_id
        own = self.send("bob", group="team").message_id
        self.mark("bob", from_alice, from_carol, own)
        told = {tuple(sorted(change.users)): change.event.message_ids for change in self.sink.changes}
        self.assertEqual({("alice", "bob"): (from_alice,), ("bob", "carol"): (from_carol,)}, told)
        self.assertEqual({"group_team"}, {change.event.conversation for change in self.sink.changes})

    def test_unknown_and_foreign_messages(self) -> None:
        sent = self.send("alice", recipient="carol").message_id
        mine = self.send("alice", recipient="bob").message_id
        self.assertEqual(ErrorCode.NOT_FOUND, self.refusal("bob", "x"))
        self.assertEqual(ErrorCode.NOT_FOUND, self.refusal("bob", mine, "0" * 28))
        self.assertEqual(ErrorCode.FORBIDDEN, self.refusal("bob", mine, sent))
        self.assertEqual(ErrorCode.FORBIDDEN, self.refusal("bob", mine, conversation="group_team"))
        self.assertEqual(ErrorCode.BAD_REQUEST, self.refusal("bob"))
        self.assertEqual(ErrorCode.BAD_REQUEST, self.refusal("bob", *(f"{n:028x}" for n in range(501))))
        self.assertEqual([], self.sink.changes)

    def test_changes_come_in_order_and_in_pages(self) -> None:
        for _ in range(3):
            self.mark("bob", self.send("alice", recipient="bob").message_id)
        everything = self.wait_for(self.store.changes("alice", 0, 10))
        self.assertEqual(
            sorted(change_id for change_id, _ in everything), [change_id for change_id, _ in everything]
        )
        self.assertEqual([change.event for change in self.sink.changes], [event for _, event in everything])
        self.assertEqual(everything[:2], self.wait_for(self.store.changes("alice", 0, 2)))
        self.assertEqual(everything[2:], self.wait_for(self.store.changes("alice", everything[1][0], 2)))
