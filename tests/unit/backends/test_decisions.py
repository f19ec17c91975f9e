"""Sends are decided at the end of their turn, or before whatever else looks at the memory in it."""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

from twisted.trial.unittest import SynchronousTestCase

from imserver.backends.embedded import acceptance
from imserver.model.errors import ErrorCode, ImError
from imserver.model.messages import Message
from tests.unit.backends.engine import EngineCase


class DecisionTest(EngineCase, SynchronousTestCase):
    def setUp(self) -> None:
        self.open_cellar("alice", "bob", sends_per_second=1.0, send_burst=2.0)

    def tearDown(self) -> None:
        self.wait_for(self.embedded.close())

    def test_whoever_looks_at_the_memory_sees_the_sends_before(self) -> None:
        self.submit("alice", recipient="bob")
        user = self.embedded.core.state.user("bob")
        assert user is not None
        self.assertEqual(1, user.head)

    def test_sends_of_one_turn_take_their_tokens_one_after_the_other(self) -> None:
        delays = []
        for _ in range(3):
            delays.append(self.cellar.store.send_delay("alice"))
            self.submit("alice", recipient="bob")
        self.assertEqual([0.0, 0.0, 1.0], delays)

    def test_a_refusal_keeps_its_place(self) -> None:
        first = self.submit("alice", recipient="bob")
        self.cellar.store.refuse("refused", ImError(ErrorCode.TOO_LARGE, "too large"))
        last = self.submit("alice", recipient="bob")
        self.settle()
        self.assertEqual([first, "refused", last], [answer.ticket for answer in self.sink.answers])

    def test_one_that_breaks_does_not_take_the_others_with_it(self) -> None:
        def fragile(*fields: Any) -> Message:
            if b"bad" in fields[8].data:
                raise RuntimeError("broken")
            return Message(*fields)

        with patch.object(acceptance, "Message", fragile):
            tickets = [self.submit("alice", text, recipient="bob") for text in ("bad", "good")]
            self.settle()
        self.assertEqual(1, len(self.flushLoggedErrors(RuntimeError)))
        self.assertEqual(ErrorCode.INTERNAL, self.code(tickets[0]))
        self.assertEqual([(1, "good")], self.texts("bob"))

    def test_what_waits_when_the_store_closes_is_made_durable(self) -> None:
        self.submit("alice", "last", recipient="bob")
        self.wait_for(self.embedded.close())
        self.start()
        self.assertEqual([(1, "last")], self.texts("bob"))
