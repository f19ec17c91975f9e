"""What every store must do: the list of a user's conversations."""

from __future__ import annotations

from imserver.model.conversations import ConversationPage
from imserver.model.errors import ErrorCode
from tests.contracts.cellar_case import BIG, CellarCase


class ListingSuite(CellarCase):
    """`Store.conversations` and `Store.check`."""

    def setUp(self) -> None:
        self.open_cellar("alice", "bob", "carol", "dave")

    def page(self, user: str, after: str = "", limit: int = 100, size: int = BIG) -> ConversationPage:
        return self.wait_for(self.cellar.store.conversations(user, after, limit, size))

    def listed(self, user: str) -> list[tuple[str, str]]:
        """(name, text of the newest message) of every conversation."""
        return [
            (one.conversation, "" if one.last is None else one.last.content.data.decode())
            for one in self.page(user).conversations
        ]

    def test_nobody_has_conversations_at_first(self) -> None:
        self.assertEqual([], self.page("alice").conversations)
        self.assertEqual([], self.page("nobody").conversations)
        self.assertFalse(self.page("alice").has_more)

    def test_the_newest_comes_first(self) -> None:
        self.send("alice", "to bob", recipient="bob")
        self.send("carol", "to alice", recipient="alice")
        self.send("alice", "note", recipient="alice")
        self.assertEqual(
            [
                ("single_alice_alice", "note"),
                ("single_alice_carol", "to alice"),
                ("single_alice_bob", "to bob"),
            ],
            self.listed("alice"),
        )
        self.send("bob", "back", recipient="alice")
        self.assertEqual(("single_alice_bob", "back"), self.listed("alice")[0])
        self.assertEqual([("single_alice_bob", "back")], self.listed("bob"))
        self.assertEqual([], self.listed("dave"))

    def test_what_is_said_of_one(self) -> None:
        self.send("alice", "1", recipient="bob")
        self.send("bob", "2", recipient="alice", conversation="ours")
        (one,) = self.page("alice").conversations
        self.assertEqual(("bob", "", "bob", 2), (one.peer, one.group, one.title, one.position))
        assert one.last is not None
        self.assertEqual(("bob", "ours"), (one.last.sender, one.last.conversation))

    def test_groups_of_members(self) -> None:
        self.add_group("team", "alice", "bob")
        self.assertEqual([("group_team", "")], self.listed("alice"))
        self.send("alice", "hello", group="team")
        self.assertEqual([("group_team", "hello")], self.listed("bob"))
        self.assertEqual([], self.listed("carol"))
        self.wait_for(self.cellar.directory.remove_member("team", "bob", 2.0))
        self.assertEqual([], self.listed("bob"))

    def test_a_newcomer_does_not_see_what_was_said_before(self) -> None:
        self.add_group("team", "alice", "bob")
        self.send("alice", "before", group="team")
        self.wait_for(self.cellar.directory.add_member("team", "carol", 2.0))
        self.assertEqual([("group_team", "")], self.listed("carol"))
        self.send("alice", "after", group="team")
        self.assertEqual([("group_team", "after")], self.listed("carol"))

    def test_pages(self) -> None:
        for user in ("bob", "carol", "dave"):
            self.send("alice", user, recipient=user)
        self.add_group("silent", "alice")
        seen: list[str] = []
        after = ""
        for _ in range(10):
            page = self.page("alice", after, 1)
            seen += [one.conversation for one in page.conversations]
            after = page.next_cursor
            if not page.has_more:
                break
        self.assertEqual(
            ["single_alice_dave", "single_alice_carol", "single_alice_bob", "group_silent"], seen
        )
        self.assertEqual([], self.page("alice", after).conversations)
        self.assertEqual(1, len(self.page("alice", size=1).conversations))
        self.assertTrue(self.page("alice", size=1).has_more)

    def test_cursors_nobody_gave_out(self) -> None:
        for cursor in ("x", "1", "1-", "-1", "1-1-1", "٣-١", "9" * 30 + "-1"):
            self.assertEqual(
                ErrorCode.BAD_REQUEST, self.error_of(self.cellar.store.conversations("alice", cursor, 1, BIG))
            )

    def test_the_writer_answers(self) -> None:
        self.assertIsNone(self.wait_for(self.cellar.store.check()))
