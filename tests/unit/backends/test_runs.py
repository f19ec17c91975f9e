"""Messages in a row from one user to another come to the same as if each were decided by itself."""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from imserver.backends.embedded.appends import Appender
from imserver.backends.embedded.records import offset_in_id
from imserver.backends.embedded.runs import Run
from imserver.model.accounts import Principal
from imserver.model.errors import ErrorCode, ImError
from imserver.model.messages import Content, Form, MessageAccepted, SendMessage
from tests.sources import only_on_sources
from tests.unit.backends.engine import EngineCase

USERS = ("alice", "bob", "carol")
TARGETS = (
    {"recipient": "bob"},
    {"recipient": "bob"},
    {"recipient": "bob"},
    {"recipient": "alice"},
    {"recipient": "carol"},
    {"recipient": "nobody"},
    {"recipient": ""},
    {"group": "g"},
    {"recipient": "bob", "conversation": "ours"},
    {"recipient": "bob", "group": "g"},
    {"conversation": "single_alice_bob"},
    {"broadcast": True},
)
SENDS = st.lists(
    st.tuples(
        st.sampled_from(USERS[:2]),
        st.sampled_from(TARGETS),
        st.sampled_from(["", "", "c1", "c2", "\ud800"]),
        st.sampled_from(["one", "two"]),
        st.sampled_from([0.0, 12.5]),
        st.sampled_from([{}, {"x": "y"}]),
    ),
    max_size=25,
)


class RunTest(EngineCase, SynchronousTestCase):
    def begin(self, **limits: Any) -> None:
        self.open_cellar(*USERS, **limits)
        self.addCleanup(lambda: self.wait_for(self.embedded.close()))
        self.principals = {user: self.principal(user) for user in USERS}

    def say(self, user: str, command: SendMessage, principal: Principal | None = None) -> int:
        self._tickets += 1
        self.cellar.store.append(principal or self.principals[user], command, self._tickets)
        return self._tickets

    def texts_to_bob(self, *texts: str, **fields: Any) -> list[int]:
        return [
            self.say("alice", SendMessage(Content(Form.TEXT, text.encode()), recipient="bob", **fields))
            for text in texts
        ]

    def outcomes(self, sends: list[Any], *, together: bool) -> list[Any]:
        """What becomes of them in one turn: answers, the log and what is told."""
        self.open_cellar(*USERS, sends_per_second=1.0, send_burst=12.0)
        self.principals = {user: self.principal(user) for user in USERS}
        self.wait_for(self.cellar.directory.create_group("g", "g", "alice", True, "", ["bob"], 1.0))
        self.settle()
        self.sink.answers.clear()
        for user, target, client_id, text, sent_at, extra in sends:
            command = SendMessage(
                Content(Form.TEXT, text.encode()), client_id=client_id, sent_at=sent_at, extra=extra, **target
            )
            # Only one and the same principal makes a run.
            self.say(user, command, None if together else self.principal(user))
        self.settle()
        told = [
            (answer.outcome.code, answer.outcome.text)
            if isinstance(answer.outcome, ImError)
            else answer.outcome
            for answer in self.sink.answers
        ]
        core = self.embedded.core
        log = core.reader.execute("SELECT offset, body FROM log ORDER BY offset").fetchall()
        inboxes = [self.texts(user) for user in USERS]
        again = [(entry.message, list(entry.recipients), entry.origin) for entry in self.sink.entries]
        rates = [core.state.users[user].tokens for user in ("alice", "bob")]
        counted = [core.state.tail_rows, core.state.inboxes.entries, core.state.conversations.entries]
        self.flush()
        hashes = core.reader.execute("SELECT * FROM client_ids").fetchall()
        self.wait_for(self.embedded.close())
        return [told, log, inboxes, again, rates, counted, hashes]

    @settings(deadline=None, max_examples=60)
    @given(SENDS)
    def test_together_and_each_by_itself(self, sends: list[Any]) -> None:
        self.assertEqual(self.outcomes(sends, together=False), self.outcomes(sends, together=True))

    @settings(deadline=None, max_examples=60)
    @given(SENDS)
    def test_together_and_in_the_general_way(self, sends: list[Any]) -> None:
        only_on_sources()
        with patch.object(Appender, "_run", lambda *_: None):
            expected = self.outcomes(sends, together=True)
        self.assertEqual(expected, self.outcomes(sends, together=True))

    def test_they_are_taken_together(self) -> None:
        only_on_sources()
        self.begin()
        decided = []

        def send(run: Run, command: SendMessage) -> MessageAccepted:
            decided.append(command)
            return really(run, command)

        really = Run.send
        with patch.object(Run, "send", send):
            self.texts_to_bob("one", "two", "three")
            self.settle()
        self.assertEqual(2, len(decided))
        self.assertEqual([(1, "one"), (2, "two"), (3, "three")], self.texts("bob"))

    def test_a_retry_in_a_run(self) -> None:
        self.begin()
        tickets = self.texts_to_bob("one", "one", "one", client_id="c")
        tickets += self.texts_to_bob("two", client_id="c")
        self.settle()
        self.assertEqual(1, len({self.accepted(ticket).message_id for ticket in tickets[:3]}))
        self.assertEqual(ErrorCode.CONFLICT, self.code(tickets[3]))
        self.assertEqual([(1, "one")], self.texts("bob"))

    def test_one_that_breaks_does_not_take_the_others_with_it(self) -> None:
        self.begin()
        bad: dict[str, Any] = {"extra": {"x": object()}}  # which cannot be encoded
        texts: Any = (("one", {}), ("bad", bad), ("two", {}), ("bad", bad), ("three", {}))
        tickets = [ticket for text, fields in texts for ticket in self.texts_to_bob(text, **fields)]
        self.settle()
        self.assertEqual(2, len(self.flushLoggedErrors(TypeError)))
        self.assertEqual([ErrorCode.INTERNAL] * 2, [self.code(tickets[1]), self.code(tickets[3])])
        self.assertEqual([(1, "one"), (2, "two"), (3, "three")], self.texts("bob"))

    def test_ids_go_on_over_the_end_of_a_block(self) -> None:
        self.begin()
        self.texts_to_bob("one")
        self.settle()
        self.embedded.core.state.next_offset = 0xFFD
        tickets = self.texts_to_bob("1", "2", "3", "4", "5")
        self.settle()
        ids = [self.accepted(ticket).message_id for ticket in tickets]
        self.assertEqual([0xFFD + number for number in range(5)], [offset_in_id(id) for id in ids])
        self.assertEqual([id for id in ids if id[:16] == ids[0][:16]], ids)

    def test_too_much_that_waits_is_refused_in_a_run_too(self) -> None:
        self.begin(queue_rows=3)
        self.committer.held = True
        tickets = self.texts_to_bob("1", "2", "3", "4", "5")
        self.settle()
        self.committer.held = False
        self.committer.run()
        self.settle()
        self.assertEqual([None] * 3 + [ErrorCode.UNAVAILABLE] * 2, [self.code(ticket) for ticket in tickets])

    def test_who_blocked_whom_is_looked_at_for_each(self) -> None:
        self.begin()
        self.texts_to_bob("one")
        self.settle()
        self.embedded.core.state.users["bob"].blocks = frozenset({self.embedded.core.state.users["alice"].no})
        tickets = self.texts_to_bob("two", "three")
        self.settle()
        self.assertEqual([ErrorCode.FORBIDDEN] * 2, [self.code(ticket) for ticket in tickets])
