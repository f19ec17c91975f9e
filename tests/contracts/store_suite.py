"""What every store must do: appending, reading, names, retries, groups."""

from __future__ import annotations

from typing import Any

from imserver.model.accounts import Role
from imserver.model.errors import ErrorCode, ImError
from imserver.model.messages import Content, Form, ReadHistory
from tests.contracts.cellar_case import BIG, CellarCase


class AppendSuite(CellarCase):
    """The commit point and the inboxes."""

    def setUp(self) -> None:
        self.open_cellar("alice", "bob", "carol", "dave")

    def test_a_message_is_in_both_inboxes(self) -> None:
        first = self.send("alice", "one", recipient="bob")
        second = self.send("bob", "two", recipient="alice")
        self.assertEqual([(1, "one"), (2, "two")], self.texts("alice"))
        self.assertEqual([(1, "one"), (2, "two")], self.texts("bob"))
        self.assertEqual([], self.texts("carol"))
        self.assertEqual((1, 2), (first.seq, second.seq))
        self.assertLess(first.message_id, second.message_id)

    def test_what_is_answered_is_what_is_fed_and_read(self) -> None:
        answer = self.send(
            "alice", recipient="bob", conversation="ours", client_id="c1", sent_at=12.5, extra={"a": "b"},
            attachments=b"[1]", meta=b'{"x":1}', content=Content(Form.OPAQUE, b"\x00\xff", 7),
        )  # fmt: skip
        (entry,) = self.sink.entries
        self.assertEqual([("alice", 1), ("bob", 1)], sorted(entry.recipients))
        self.assertEqual("session-alice", entry.origin)
        self.assertEqual(frozenset(), entry.renamed)
        message = entry.message
        self.assertEqual(answer.message_id, message.message_id)
        self.assertEqual(
            ("ours", "single_alice_bob", 1), (message.conversation, message.canonical, message.position)
        )
        self.assertEqual(
            ("alice", "bob", "", "c1"), (message.sender, message.recipient, message.group, message.client_id)
        )
        self.assertEqual((12.5, answer.server_at), (message.sent_at, message.server_at))
        self.assertEqual(Content(Form.OPAQUE, b"\x00\xff", 7), message.content)
        self.assertEqual(({"a": "b"}, b"[1]", b'{"x":1}'), (message.extra, message.attachments, message.meta))
        for user in ("alice", "bob"):
            self.assertEqual([message], [row.message for row in self.inbox(user).rows])
        self.assertEqual("ours", answer.conversation)

    def test_a_message_to_oneself_is_one_row(self) -> None:
        self.send("alice", "note", recipient="alice")
        self.assertEqual([(1, "note")], self.texts("alice"))
        self.assertEqual([("alice", 1)], list(self.sink.entries[0].recipients))

    def test_without_a_time_the_servers_is_the_senders(self) -> None:
        answer = self.send("alice", recipient="bob")
        self.assertEqual(answer.server_at, self.sink.entries[0].message.sent_at)

    def test_answers_come_in_the_order_of_the_calls(self) -> None:
        store = self.cellar.store
        tickets = [self.submit("alice", recipient="bob"), self.submit("alice", recipient="nobody")]
        store.refuse("refused", ImError(ErrorCode.TOO_LARGE, "too large"))
        tickets.append(self.submit("bob", recipient="alice"))
        self.settle()
        self.assertEqual(
            [tickets[0], tickets[1], "refused", tickets[2]], [a.ticket for a in self.sink.answers]
        )
        self.assertEqual(ErrorCode.TOO_LARGE, self.code("refused"))

    def test_nothing_is_answered_within_the_call(self) -> None:
        ticket = self.submit("alice", recipient="nobody")
        self.assertIsNone(self.sink.outcome(ticket))

    def test_a_target_must_exist_and_be_one(self) -> None:
        for code, command in (
            (ErrorCode.USER_NOT_FOUND, {"recipient": "nobody"}),
            (ErrorCode.CONVERSATION_NOT_FOUND, {"group": "nowhere"}),
            (ErrorCode.CONVERSATION_NOT_FOUND, {"conversation": "never used"}),
            (ErrorCode.CONVERSATION_NOT_FOUND, {"conversation": "single_bob_carol"}),
            (ErrorCode.CONVERSATION_NOT_FOUND, {"conversation": "group_nowhere"}),
            (ErrorCode.CONVERSATION_NOT_FOUND, {"conversation": "broadcast"}),
            (ErrorCode.BAD_REQUEST, {}),
            (ErrorCode.BAD_REQUEST, {"recipient": "bob", "group": "g"}),
            (ErrorCode.BAD_REQUEST, {"recipient": "bob", "conversation": "x" * 129}),
            (ErrorCode.BAD_REQUEST, {"recipient": "bob", "conversation": "group_g"}),
            (ErrorCode.BAD_REQUEST, {"recipient": "bob", "conversation": "single_bob_alice"}),
            (ErrorCode.FORBIDDEN, {"recipient": "bob", "conversation": "single_bob_carol"}),
        ):
            self.assertEqual(code, self.refused("alice", **command), command)
        self.assertEqual(ErrorCode.USER_NOT_FOUND, self.refused("nobody", recipient="bob"))
        self.assertEqual([], self.sink.entries)
        self.assertEqual([], self.texts("bob"))

    def test_an_inbox_is_read_in_pages(self) -> None:
        for number in range(1, 8):
            self.send("alice", f"{number}", recipient="bob")
        page = self.inbox("bob", after=2, limit=3)
        self.assertEqual([3, 4, 5], [row.seq for row in page.rows])
        self.assertEqual((7, 1, True), (page.head, page.first_seq, page.has_more))
        page = self.inbox("bob", after=5, limit=3)
        self.assertEqual(([6, 7], False), ([row.seq for row in page.rows], page.has_more))
        page = self.inbox("bob", after=0, at_least=6, limit=10)
        self.assertEqual(([6, 7], False), ([row.seq for row in page.rows], page.has_more))
        page = self.inbox("bob", after=7)
        self.assertEqual(([], 7, False), (page.rows, page.head, page.has_more))
        self.assertEqual(
            ([], 0, 1), (self.inbox("dave").rows, self.inbox("dave").head, self.inbox("dave").first_seq)
        )
        self.assertEqual(self.cellar.store.epoch, page.epoch)

    def test_a_page_is_bounded_in_bytes_but_never_empty(self) -> None:
        for _ in range(3):
            self.send("alice", "x" * 1000, recipient="bob")
        page = self.inbox("bob", size=10)
        self.assertEqual(([1], True), ([row.seq for row in page.rows], page.has_more))
        page = self.inbox("bob", size=3 * 1000)
        self.assertEqual(([1, 2], True), ([row.seq for row in page.rows], page.has_more))
        page = self.inbox("bob", size=3 * 2000)
        self.assertEqual(([1, 2, 3], False), ([row.seq for row in page.rows], page.has_more))

    def test_the_head_of_an_inbox(self) -> None:
        self.assertEqual((0, 1), self.wait_for(self.cellar.store.head("bob")))
        self.send("alice", recipient="bob")
        self.assertEqual((1, 1), self.wait_for(self.cellar.store.head("bob")))
        self.assertEqual((0, 1), self.wait_for(self.cellar.store.head("nobody")))

    def test_disabled_users_still_get_their_messages(self) -> None:
        self.wait_for(self.cellar.directory.change_account("bob", disabled=True))
        self.send("alice", "later", recipient="bob")
        self.assertEqual([(1, "later")], self.texts("bob"))

    def test_text_that_is_not_unicode_is_refused_alone(self) -> None:
        self.assertEqual(ErrorCode.BAD_REQUEST, self.refused("alice", recipient="bob", extra={"a": "\ud800"}))
        self.assertEqual(ErrorCode.BAD_REQUEST, self.refused("alice", recipient="bob", conversation="\ud800"))
        self.assertEqual(1, self.send("alice", recipient="bob").seq)


class RetrySuite(CellarCase):
    """Client ids and rates."""

    def setUp(self) -> None:
        self.open_cellar("alice", "bob", "carol", sends_per_second=10.0, send_burst=20.0)

    def test_a_retry_gets_the_first_answer(self) -> None:
        first = self.send("alice", "one", recipient="bob", client_id="c", sent_at=1.0)
        again = self.send("alice", "one", recipient="bob", client_id="c", sent_at=2.0)
        self.assertEqual(first, again)
        self.assertEqual(1, len(self.sink.entries))
        self.assertEqual([(1, "one")], self.texts("bob"))

    def test_a_retry_on_the_way_waits_for_the_first(self) -> None:
        tickets = [self.submit("alice", recipient="bob", client_id="c") for _ in range(3)]
        self.settle()
        self.assertEqual(1, len({self.accepted(ticket).message_id for ticket in tickets}))
        self.assertEqual([(1, "hello")], self.texts("bob"))

    def test_another_payload_under_the_same_id_is_a_conflict(self) -> None:
        self.send("alice", "one", recipient="bob", client_id="c", extra={"a": "1", "b": "2"}, meta=b"{}")
        same: dict[str, Any] = {
            "recipient": "bob",
            "client_id": "c",
            "extra": {"b": "2", "a": "1"},
            "meta": b"{}",
        }
        self.send("alice", "one", **same)
        for other in (
            {**same, "text": "two"},
            {**same, "recipient": "carol"},
            {**same, "extra": {"a": "1"}},
            {**same, "meta": b""},
            {**same, "attachments": b"[]"},
            {**same, "content": Content(Form.OPAQUE, b"one", 1)},
            {**same, "content": Content(Form.TEXT, b"one", 2)},
        ):
            command = {"text": "one", **other}
            self.assertEqual(ErrorCode.CONFLICT, self.refused("alice", command.pop("text"), **command), other)
        self.assertEqual([(1, "one")], self.texts("bob"))

    def test_client_ids_belong_to_a_sender_and_a_format(self) -> None:
        self.send("alice", "one", recipient="bob", client_id="c")
        self.send("bob", "two", recipient="alice", client_id="c")
        self.send("alice", "three", recipient="bob", client_id="c", format="protobuf")
        self.send("alice", "four", recipient="bob")
        self.send("alice", "four", recipient="bob")
        self.assertEqual(5, len(self.texts("bob")))

    def test_a_retry_may_name_the_conversation_otherwise(self) -> None:
        first = self.send("alice", "one", recipient="bob", conversation="ours", client_id="c")
        for target in ({"recipient": "bob"}, {"conversation": "ours"}, {"conversation": "single_alice_bob"}):
            self.assertEqual(first, self.send("alice", "one", client_id="c", **target))

    def test_refusals_are_not_remembered(self) -> None:
        self.assertEqual(ErrorCode.USER_NOT_FOUND, self.refused("alice", recipient="dave", client_id="c"))
        self.add_users("dave")
        self.send("alice", recipient="dave", client_id="c")
        self.assertEqual([(1, "hello")], self.texts("dave"))

    def test_too_many_sends_are_refused_but_retries_are_not(self) -> None:
        self.send("alice", "first", recipient="bob", client_id="c")
        tickets = [self.submit("alice", recipient="bob") for _ in range(25)]
        self.settle()
        self.assertEqual([None] * 19 + [ErrorCode.TOO_FAST] * 6, [self.code(ticket) for ticket in tickets])
        self.send("alice", "first", recipient="bob", client_id="c")
        self.send("bob", recipient="alice")
        self.later(1.0)
        for _ in range(10):
            self.send("alice", recipient="bob")
        self.assertEqual(list(range(1, 32)), [seq for seq, _ in self.texts("alice")])

    def test_the_send_rate_says_how_long_it_lasts(self) -> None:
        store = self.cellar.store
        self.assertEqual(0.0, store.send_delay("alice"))
        self.assertEqual(0.0, store.send_delay("nobody"))
        for _ in range(20):
            self.assertEqual(0.0, store.send_delay("alice"))
            self.submit("alice", recipient="bob")
        for _ in range(30):
            delay = store.send_delay("alice")
            self.assertTrue(0 < delay <= 0.1, delay)
            self.later(delay / 2)
            self.assertTrue(0 < store.send_delay("alice") <= delay)
            self.later(delay)
            self.assertEqual(0.0, store.send_delay("alice"))
            self.send("alice", recipient="bob")
            self.assertEqual(0.0, store.send_delay("bob"))


class NamesSuite(CellarCase):
    """CONTRACT.md "Conversations"."""

    def setUp(self) -> None:
        self.open_cellar("alice", "bob", "carol", "dave", "a", "a_b", "b_c", "c", conversation_names=3)

    def test_a_client_that_names_none_is_written_the_canonical_name(self) -> None:
        self.send("bob", recipient="alice")
        self.send("bob", recipient="alice", conversation="single_alice_bob")
        self.assertEqual(["single_alice_bob"] * 2, self.names("alice"))

    def test_an_own_name_is_echoed_to_both_and_resolved_for_both(self) -> None:
        self.assertEqual("ours", self.send("alice", "1", recipient="bob", conversation="ours").conversation)
        self.assertEqual("ours", self.send("bob", "2", conversation="ours").conversation)
        self.assertEqual(["ours", "ours"], self.names("alice"))
        self.assertEqual(["ours", "ours"], self.names("bob"))
        self.assertEqual(ErrorCode.CONVERSATION_NOT_FOUND, self.refused("carol", conversation="ours"))

    def test_a_name_for_two_conversations_is_a_conflict_unless_the_recipient_is_named(self) -> None:
        self.send("alice", recipient="bob", conversation="work")
        answer = self.send("alice", recipient="carol", conversation="work")
        self.assertEqual("single_alice_carol", answer.conversation)
        self.assertEqual(ErrorCode.CONFLICT, self.refused("alice", conversation="work"))
        self.send("alice", recipient="bob", conversation="work")
        # Bob and carol know it for one conversation each.
        self.send("bob", "from bob", conversation="work")
        self.assertEqual(["work", "work", "work"], self.names("bob"))
        self.assertEqual(["work"], self.names("carol"))
        self.assertEqual(
            ["work", "single_alice_carol", "single_alice_bob", "single_alice_bob"], self.names("alice")
        )
        self.assertEqual(frozenset({"alice"}), self.sink.entries[1].renamed)

    def test_a_user_who_knows_the_name_otherwise_is_written_the_canonical_one(self) -> None:
        self.send("bob", recipient="carol", conversation="room")
        self.assertEqual("room", self.send("alice", recipient="bob", conversation="room").conversation)
        self.assertEqual(["room", "single_alice_bob"], self.names("bob"))
        self.assertEqual(["room"], self.names("alice"))
        self.assertEqual(frozenset({"bob"}), self.sink.entries[1].renamed)
        # Nobody can make another's name ambiguous.
        self.send("bob", conversation="room")
        self.assertEqual(["room", "room"], self.names("carol"))

    def test_only_so_many_names_are_remembered(self) -> None:
        for name in ("n1", "n2", "n3"):
            self.assertEqual(name, self.send("alice", recipient="bob", conversation=name).conversation)
        self.assertEqual(
            "single_alice_bob", self.send("alice", recipient="bob", conversation="n4").conversation
        )
        self.assertEqual("n2", self.send("bob", conversation="n2").conversation)
        self.assertEqual(ErrorCode.CONVERSATION_NOT_FOUND, self.refused("alice", conversation="n4"))

    def test_a_canonical_name_starts_a_conversation(self) -> None:
        self.send("alice", "hi", conversation="single_alice_bob")
        self.send("alice", "me", conversation="single_alice_alice")
        self.assertEqual([(1, "hi")], self.texts("bob"))
        self.assertEqual([(1, "hi"), (2, "me")], self.texts("alice"))
        self.assertEqual(
            ErrorCode.CONVERSATION_NOT_FOUND, self.refused("alice", conversation="single_alice_nobody")
        )
        self.assertEqual(
            ErrorCode.CONVERSATION_NOT_FOUND, self.refused("alice", conversation="single_bob_alice")
        )

    def test_a_name_that_can_be_split_twice(self) -> None:
        # "a_b_a" and "b_a", or "a_b" and "a_b_a".
        self.add_users("a_b_a", "b_a")
        name = "single_a_b_a_b_a"
        self.assertEqual(ErrorCode.CONFLICT, self.refused("a_b_a", conversation=name))
        self.send("a_b_a", "named", recipient="b_a")
        self.send("a_b_a", "resolved", conversation=name)
        self.assertEqual([(1, "named"), (2, "resolved")], self.texts("b_a"))
        self.send("a_b_a", "other", recipient="a_b")
        self.assertEqual(ErrorCode.CONFLICT, self.refused("a_b_a", conversation=name))
        # Two conversations write the same canonical name for different askers; each means its own.
        self.send("a", "to b_c", conversation="single_a_b_c")
        self.send("a_b", "to c", conversation="single_a_b_c")
        self.assertEqual([(1, "to b_c")], self.texts("b_c"))
        self.assertEqual([(1, "to c")], self.texts("c"))

    def test_groups_are_always_written_in_full(self) -> None:
        self.add_group("team", "alice", "bob")
        for target in (
            {"group": "team"},
            {"conversation": "group_team"},
            {"conversation": "team"},
            {"group": "team", "conversation": "mine"},
            {"group": "team", "conversation": "group_team"},
        ):
            self.assertEqual("group_team", self.send("alice", **target).conversation, target)
        self.assertEqual(["group_team"] * 5, self.names("bob"))
        for conversation in ("group_other", "single_alice_bob"):
            self.assertEqual(
                ErrorCode.BAD_REQUEST, self.refused("alice", group="team", conversation=conversation)
            )
        self.assertEqual(ErrorCode.FORBIDDEN, self.refused("carol", group="team"))
        self.assertEqual(ErrorCode.FORBIDDEN, self.refused("carol", conversation="group_team"))
        self.assertEqual(ErrorCode.CONVERSATION_NOT_FOUND, self.refused("carol", conversation="team"))

    def test_a_bare_group_id_that_is_also_an_own_name(self) -> None:
        self.add_group("team", "alice", "bob")
        self.assertEqual(
            "single_alice_bob", self.send("alice", recipient="bob", conversation="team").conversation
        )
        self.assertEqual(["single_alice_bob"], self.names("bob"))
        self.assertEqual(ErrorCode.CONFLICT, self.refused("alice", conversation="team"))
        self.assertEqual("group_team", self.send("bob", conversation="team").conversation)

    def test_resolve_tells_the_same_and_creates_nothing(self) -> None:
        store = self.cellar.store
        found = self.wait_for(store.resolve("alice", recipient="bob", conversation="ours"))
        self.assertEqual(("single_alice_bob", "bob", ""), (found.canonical, found.peer, found.group))
        self.assertEqual(["alice", "bob"], sorted(found.members))
        self.assertEqual(ErrorCode.CONVERSATION_NOT_FOUND, self.error_of(store.resolve("alice", "ours")))
        self.assertEqual(set(), self.wait_for(self.cellar.directory.circle("alice")).met)
        self.add_group("team", "alice", "bob")
        found = self.wait_for(store.resolve("alice", "team"))
        self.assertEqual(("group_team", "", "team"), (found.canonical, found.peer, found.group))
        self.assertEqual(["alice", "bob"], sorted(found.members))
        self.assertEqual(ErrorCode.FORBIDDEN, self.error_of(store.resolve("carol", group="team")))

    def test_one_has_met_those_with_whom_there_is_a_single_conversation(self) -> None:
        self.send("alice", recipient="bob")
        self.send("carol", recipient="alice")
        self.send("alice", recipient="alice")
        self.add_group("two", "bob", "dave")
        circle = self.cellar.directory.circle
        self.assertEqual({"bob", "carol"}, self.wait_for(circle("alice")).met)
        self.assertEqual({"alice"}, self.wait_for(circle("bob")).met)
        self.assertEqual({"alice", "dave"}, self.wait_for(circle("bob", 2)).met)


class HistorySuite(CellarCase):
    """History by conversation, and what a member may see of a group."""

    def setUp(self) -> None:
        self.open_cellar("alice", "bob", "carol", "dave")

    def test_a_conversation_is_read_in_pages(self) -> None:
        for number in range(5):
            self.send("alice", f"{number}", recipient="bob", conversation="ours")
            self.send("alice", "noise", recipient="carol")
        store = self.cellar.store
        seen, cursor = [], ""
        while True:
            query = ReadHistory(conversation="ours", since=cursor)
            page = self.wait_for(store.history("bob", query, 2, BIG))
            seen += [(row.seq, row.message.content.data.decode()) for row in page.rows]
            cursor = page.next_cursor
            if not page.has_more:
                break
        self.assertEqual([(0, f"{number}") for number in range(5)], seen)
        page = self.wait_for(store.history("bob", ReadHistory(recipient="alice", since=cursor), 2, BIG))
        self.assertEqual(([], cursor, False), (page.rows, page.next_cursor, page.has_more))
        self.send("bob", "new", recipient="alice")
        self.assertEqual(["new"], self.history("bob", recipient="alice", since=cursor))

    def test_the_whole_inbox(self) -> None:
        self.send("alice", "1", recipient="bob")
        self.send("carol", "2", recipient="bob")
        store = self.cellar.store
        page = self.wait_for(store.history("bob", ReadHistory(), 1, BIG))
        self.assertEqual([1], [row.seq for row in page.rows])
        self.assertTrue(page.has_more)
        self.assertEqual(["2"], self.history("bob", since=page.next_cursor))
        self.assertEqual(["2"], self.history("bob", since="1"))

    def test_cursors_that_were_never_given_out(self) -> None:
        self.send("alice", recipient="bob")
        store = self.cellar.store
        for query in (
            ReadHistory(since="x"),
            ReadHistory(since="-1"),
            ReadHistory(since="c:1"),
            ReadHistory(recipient="bob", since="1"),
            ReadHistory(recipient="bob", since="c:99"),
            ReadHistory(recipient="bob", since="c:"),
            ReadHistory(recipient="bob", since="c:-1"),
        ):
            self.assertEqual(
                ErrorCode.BAD_REQUEST, self.error_of(store.history("alice", query, 10, BIG)), query
            )

    def test_targets_are_resolved_as_for_sending(self) -> None:
        self.add_group("team", "alice")
        store = self.cellar.store
        for code, query in (
            (ErrorCode.USER_NOT_FOUND, ReadHistory(recipient="nobody")),
            (ErrorCode.CONVERSATION_NOT_FOUND, ReadHistory(conversation="single_alice_carol")),
            (ErrorCode.CONVERSATION_NOT_FOUND, ReadHistory(conversation="unknown")),
            (ErrorCode.CONVERSATION_NOT_FOUND, ReadHistory(group="team")),
            (ErrorCode.CONVERSATION_NOT_FOUND, ReadHistory(conversation="group_team")),
            (ErrorCode.CONVERSATION_NOT_FOUND, ReadHistory(conversation="team")),
            (ErrorCode.CONVERSATION_NOT_FOUND, ReadHistory(group="nowhere")),
        ):
            self.assertEqual(code, self.error_of(store.history("bob", query, 10, BIG)), query)
        self.assertEqual([], self.history("bob", recipient="alice"))

    def test_a_members_history_is_that_of_its_membership(self) -> None:
        directory = self.cellar.directory
        self.add_group("team", "alice", "bob")
        self.send("alice", "before", group="team")
        self.wait_for(directory.add_member("team", "carol", 2.0))
        self.send("alice", "with carol", group="team")
        self.wait_for(directory.remove_member("team", "carol", 3.0))
        self.send("alice", "without", group="team")
        self.assertEqual(["with carol"], self.history("carol", group="team"))
        self.wait_for(directory.add_member("team", "carol", 4.0))
        self.send("alice", "again", group="team")
        for name in ("group_team", "team"):
            self.assertEqual(["with carol", "again"], self.history("carol", conversation=name), name)
        self.assertEqual(["with carol", "again"], self.history("carol", group="team"))
        self.assertEqual(["with carol"], self.history("carol", 1, group="team"))
        self.assertEqual(["before", "with carol", "without", "again"], self.history("bob", group="team"))
        self.assertEqual([(1, "with carol"), (2, "again")], self.texts("carol"))
        query = ReadHistory(group="team")
        page = self.wait_for(self.cellar.store.history("carol", query, 1, BIG))
        self.assertTrue(page.has_more)
        self.assertEqual(["again"], self.history("carol", group="team", since=page.next_cursor))

    def test_a_join_falls_between_two_messages(self) -> None:
        self.add_group("team", "alice", "bob")
        self.submit("alice", "1", group="team")
        joined = self.cellar.directory.add_member("team", "carol", 2.0)
        self.wait_for(joined)
        self.send("alice", "2", group="team")
        self.assertEqual(["2"], self.history("carol", group="team"))
        self.assertEqual([(1, "2")], self.texts("carol"))

    def test_a_deleted_group_keeps_what_was_received(self) -> None:
        self.add_group("team", "alice", "bob")
        self.send("alice", "1", group="team")
        self.wait_for(self.cellar.directory.delete_group("team"))
        self.assertEqual([(1, "1")], self.texts("bob"))
        self.assertEqual(ErrorCode.CONVERSATION_NOT_FOUND, self.refused("alice", group="team"))

    def test_a_group_message_reaches_every_member_once(self) -> None:
        users = [f"u{number}" for number in range(40)]
        self.add_users(*users)
        self.add_group("crowd", "alice", *users)
        self.send("alice", "1", recipient="u7")
        answer = self.send("u3", "2", group="crowd")
        self.assertEqual(1, answer.seq)
        self.assertEqual(
            {"alice": 2, "u7": 2, **{user: 1 for user in users if user != "u7"}},
            dict(self.sink.entries[-1].recipients),
        )
        self.assertEqual([(1, "1"), (2, "2")], self.texts("u7"))


class BroadcastSuite(CellarCase):
    """Messages to everybody."""

    def setUp(self) -> None:
        self.open_cellar(*(f"u{number:02}" for number in range(23)), fanout_users=5)

    def test_everybody_gets_it_once(self) -> None:
        self.send("u01", "single", recipient="u02")
        answer = self.send("u01", "all", broadcast=True, role=Role.ADMIN)
        self.assertEqual(("broadcast", 2, True), (answer.conversation, answer.seq, answer.pending))
        self.settle()
        for number in range(23):
            user = f"u{number:02}"
            expected = [(1, "single"), (2, "all")] if number in (1, 2) else [(1, "all")]
            self.assertEqual(expected, self.texts(user))
        told = [pair for entry in self.sink.entries[1:] for pair in entry.recipients]
        self.assertEqual(sorted((f"u{n:02}", 2 if n in (1, 2) else 1) for n in range(23)), sorted(told))
        self.assertEqual({answer.message_id}, {entry.message.message_id for entry in self.sink.entries[1:]})

    def test_only_administrators_once_a_minute(self) -> None:
        self.assertEqual(ErrorCode.FORBIDDEN, self.refused("u01", broadcast=True))
        first = self.send("u01", "all", broadcast=True, role=Role.ADMIN, client_id="c")
        self.assertEqual(ErrorCode.TOO_FAST, self.refused("u01", broadcast=True, role=Role.ADMIN))
        self.assertEqual(first, self.send("u01", "all", broadcast=True, role=Role.ADMIN, client_id="c"))
        self.later(61.0)
        self.send("u01", "again", broadcast=True, role=Role.ADMIN)
        self.settle()
        self.assertEqual([(1, "all"), (2, "again")], self.texts("u22"))

    def test_it_can_be_acknowledged_by_its_id(self) -> None:
        answer = self.send("u01", "all", broadcast=True, role=Role.ADMIN)
        self.settle()
        store = self.cellar.store
        self.wait_for(store.cursor("u09", "jsonline", "d"))
        store.acknowledge("u09", "jsonline", "d", 0, answer.message_id)
        self.assertEqual(1, self.wait_for(store.cursor("u09", "jsonline", "d")).acked)

    def test_its_name_is_nobodys_own(self) -> None:
        answer = self.send("u02", "re", recipient="u01", conversation="broadcast")
        self.assertEqual("single_u01_u02", answer.conversation)
