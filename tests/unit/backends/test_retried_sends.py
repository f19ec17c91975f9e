"""A retry of a send is compared with the first one wherever that is: on its way, in the tail, or indexed."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from imserver.model.errors import ErrorCode
from imserver.model.messages import Content, Form, MessageAccepted, RevokeMessage
from tests.unit.backends.engine import EngineCase

JSON = Content(Form.JSON, b'{"type":"image","width":1}', 0)


class RetriedSendTest(EngineCase, SynchronousTestCase):
    def setUp(self) -> None:
        self.open_cellar("alice", "bob")

    def tearDown(self) -> None:
        self.wait_for(self.embedded.close())

    def check(self, first: MessageAccepted) -> None:
        """The same is answered again; whatever differs is a conflict."""
        fields: dict[str, Any] = {
            "meta": b'{"a":1,"b":2}',
            "extra": {"x": "y"},
            "client_id": "c",
            "recipient": "bob",
        }
        self.assertEqual(first, self.send("alice", "text", **fields))
        self.assertEqual(first, self.send("alice", "text", **{**fields, "meta": b'{"b":2,"a":1}'}))
        others: list[dict[str, Any]] = [
            {"meta": b""}, {"extra": {}}, {"content": JSON}, {"recipient": "alice"}
        ]  # fmt: skip
        for other in others:
            self.assertEqual(ErrorCode.CONFLICT, self.refused("alice", "text", **{**fields, **other}), other)
        self.assertEqual(ErrorCode.CONFLICT, self.refused("alice", "other", **fields))

    def first(self) -> MessageAccepted:
        return self.send(
            "alice", "text", meta=b'{"a":1,"b":2}', extra={"x": "y"}, client_id="c", recipient="bob"
        )

    def test_in_the_tail(self) -> None:
        self.check(self.first())

    def test_indexed(self) -> None:
        first = self.first()
        self.wait_for(self.embedded.indexer.flush())
        self.check(first)

    def test_after_a_restart(self) -> None:
        first = self.first()
        self.reopen()
        self.check(first)
        self.restart()
        self.check(first)

    def test_taken_back(self) -> None:
        first = self.first()
        work = self.cellar.store.revoke(self.principal("alice"), RevokeMessage(first.message_id), 60.0)
        self.wait_for(work)
        self.check(first)
        self.wait_for(self.embedded.indexer.flush())
        self.check(first)
        self.restart()
        self.check(first)

    def test_on_its_way_to_the_disk(self) -> None:
        self.committer.held = True
        tickets = []
        for turn in range(3):
            tickets.append(self.submit("alice", "text", client_id="c", recipient="bob"))
            tickets.append(self.submit("alice", f"other {turn}", client_id="c", recipient="bob"))
            self.settle()
            self.submit("bob", "between", recipient="alice")
        self.committer.held = False
        self.settle()
        self.committer.run()
        self.settle()
        answers = [self.sink.outcome(ticket) for ticket in tickets[::2]]
        self.assertEqual([answers[0]] * 3, answers)
        self.assertIsInstance(answers[0], MessageAccepted)
        self.assertEqual([ErrorCode.CONFLICT] * 3, [self.code(ticket) for ticket in tickets[1::2]])
        self.assertIsNone(self.embedded.core.journal.body(1))

    def test_json_is_the_same_in_any_order(self) -> None:
        first = self.send("alice", content=JSON, client_id="c", recipient="bob")
        turned = Content(Form.JSON, b'{"width":1,"type":"image"}', 0)
        self.assertEqual(first, self.send("alice", content=turned, client_id="c", recipient="bob"))
        opaque = Content(Form.OPAQUE, JSON.data, 0)
        refused = self.refused("alice", content=opaque, client_id="c", recipient="bob")
        self.assertEqual(ErrorCode.CONFLICT, refused)

    def test_a_retry_while_the_first_commit_fails(self) -> None:
        self.committer.held = True
        self.committer.failures = 1
        ticket = self.submit("alice", "text", client_id="c", recipient="bob")
        self.settle()
        again = self.submit("alice", "text", client_id="c", recipient="bob")
        self.settle()
        self.committer.held = False
        for _ in range(2):
            self.committer.run()
            self.settle()
        self.assertEqual([ErrorCode.UNAVAILABLE] * 2, [self.code(ticket), self.code(again)])
        self.assertIsNone(self.embedded.core.journal.body(1))
        self.assertEqual(1, self.first().seq)
