"""The checker of the chaos test finds what it is there for."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.e2e.chaos import Sending
from tests.e2e.chaos_checker import check
from tests.e2e.people import Row, Sent


class CheckerTests(SynchronousTestCase):
    """Two messages of alice's to bob, acknowledged one after the other."""

    def setUp(self) -> None:
        self.sendings = [Sending(number, "alice", "bob", "", ()) for number in range(2)]
        for number, sending in enumerate(self.sendings):
            sending.begun, sending.accepted = 2 * number + 1, 2 * number + 2
            sending.answers = [Sent(0, f"id{number}", number + 1)]
        rows = [Row(n + 1, f"id{n}", "alice", sending.text) for n, sending in enumerate(self.sendings)]
        self.inboxes = {"alice": list(rows), "bob": list(rows)}
        self.listener: Any = SimpleNamespace(user="bob", name="bob", rows={row.seq: row for row in rows})

    def wrong(self) -> str:
        """What is found."""
        return "; ".join(check(self.sendings, self.inboxes, [self.listener]))

    def test_nothing_is_wrong(self) -> None:
        self.assertEqual("", self.wrong())

    def test_lost(self) -> None:
        self.inboxes["bob"].pop()
        self.assertIn("alice-1: acknowledged, and reached {'alice'}", self.wrong())

    def test_lost_for_its_sender(self) -> None:
        self.inboxes["alice"].pop()
        self.assertIn("and there is None", self.wrong())

    def test_twice(self) -> None:
        self.inboxes["bob"].append(self.inboxes["bob"][0]._replace(seq=3))
        self.assertIn("bob: a message twice", self.wrong())
        self.inboxes["bob"][2] = self.inboxes["bob"][2]._replace(message_id="other")
        self.assertIn("bob: a message twice", self.wrong())

    def test_a_phantom(self) -> None:
        self.inboxes["bob"].append(Row(3, "id3", "alice", "who?"))
        self.assertIn("bob: a phantom", self.wrong())
        self.inboxes["carol"] = [self.inboxes["alice"][0]]
        self.assertIn("carol: a phantom", self.wrong())

    def test_a_gap(self) -> None:
        self.inboxes["bob"][1] = self.inboxes["bob"][1]._replace(seq=3)
        self.assertIn("bob: numbers are not dense", self.wrong())

    def test_another_order(self) -> None:
        first, second = self.inboxes["bob"]
        self.inboxes["bob"] = [second._replace(seq=1), first._replace(seq=2)]
        self.assertIn("bob: alice-1 comes before alice-0", self.wrong())

    def test_two_at_once_have_any_order(self) -> None:
        first, second = self.inboxes["bob"]
        self.sendings[1].begun = 1
        self.inboxes["bob"] = [second._replace(seq=1), first._replace(seq=2)]
        self.listener.rows = {row.seq: row for row in self.inboxes["bob"]}
        self.assertEqual("", self.wrong())

    def test_two_answers(self) -> None:
        self.sendings[0].answers.append(Sent(0, "id9", 9))
        self.assertIn("alice-0: answered differently", self.wrong())

    def test_no_answer(self) -> None:
        self.sendings[1].answers = []
        self.assertIn("alice-1: has no answer", self.wrong())

    def test_given_up(self) -> None:
        self.sendings[1].answers, self.sendings[1].given_up = [], True
        self.assertEqual("", self.wrong())
        self.inboxes["bob"].pop()
        self.assertIn("alice-1: reached {'alice'} of", self.wrong())

    def test_a_listener_is_not_told(self) -> None:
        del self.listener.rows[1]
        self.assertIn("bob: was never told [1] of 2", self.wrong())

    def test_a_listener_is_told_something_else(self) -> None:
        self.listener.rows[2] = self.listener.rows[2]._replace(text="something else")
        self.assertIn("bob: was told", self.wrong())
        self.listener.rows[3] = self.listener.rows[2]
        self.assertIn("which is not in the inbox", self.wrong())
