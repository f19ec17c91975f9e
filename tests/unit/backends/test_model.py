"""Random operations, flushes, crashes, failed commits and retention against the naive model."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.trial.unittest import SynchronousTestCase

from imserver.backends.embedded.verify import verify_connection
from imserver.model.errors import ErrorCode, ImError
from imserver.model.messages import MessageAccepted
from tests.unit.backends.engine import Crash, EngineCase
from tests.unit.backends.model import Accepted, Join, Model, Send

USERS = ("ann", "bob", "cyd", "dan")
GROUPS = ("g1", "g2")
DURABLE_POINTS = ("after-commit", "before-ack", "after-ack", "before-push", "after-push")
LOST_POINTS = ("before-insert", "after-insert", "before-commit")
INDEX_POINTS = ("before-index", "after-index")

users = st.sampled_from(USERS)
groups = st.sampled_from(GROUPS)
client_ids = st.sampled_from(("", "", "c1", "c2", "c3"))
operations = st.one_of(
    st.tuples(st.just("send"), users, users, st.sampled_from(("", "", "n1", "n2", "n3")), client_ids),
    st.tuples(st.just("send"), users, users, st.sampled_from(("", "", "n1", "n2", "n3")), client_ids),
    st.tuples(st.just("group"), users, groups, client_ids),
    st.tuples(st.just("join"), groups, users),
    st.tuples(st.just("leave"), groups, users),
    st.tuples(st.just("settle")),
    st.tuples(st.just("flush")),
    st.tuples(st.just("crash")),
    st.tuples(st.just("restart")),
    st.tuples(st.just("fail")),
    st.tuples(st.just("crash-at"), st.sampled_from(DURABLE_POINTS + LOST_POINTS)),
    st.tuples(st.just("crash-index"), st.sampled_from(INDEX_POINTS), st.integers(1, 4)),
    st.tuples(st.just("age")),
    st.tuples(st.just("page"), users, st.integers(0, 5), st.integers(1, 3)),
)


class ModelTest(EngineCase, SynchronousTestCase):
    """What is answered, read and kept is what the model says."""

    def run_operations(self, steps: list[tuple[Any, ...]], **engine: Any) -> None:
        self.open_cellar(
            *USERS, sends_per_second=0.0, conversation_names=2, retention_seconds=5 * 86400.0, **engine
        )
        self.durable: list[Send | Join] = []
        self.pending: list[Send | Join] = []
        self.told: dict[tuple[int, str], MessageAccepted] = {}
        self.age = 0
        for group in GROUPS:
            self.add_group(group, "ann")
        self.joins: list[Deferred[Any]] = []
        for step in steps:
            getattr(self, "do_" + step[0].replace("-", "_"))(*step[1:])
        self.do_settle()
        self.check()
        self.do_crash()
        self.check()
        self.wait_for(self.embedded.close())
        now = 1_700_000_000.0 + self.clock.seconds()
        self.assertEqual([], verify_connection(self.database.reader(), now=now))

    def model(self, *more: Send | Join) -> Model:
        model = Model(2, members={group: ["ann"] for group in GROUPS})
        for operation in (*self.durable, *more):
            model.apply(operation)
        return model

    # Operations

    def _send(self, sender: str, recipient: str, group: str, name: str, client_id: str) -> None:
        number = len(self.durable) + len(self.pending)
        # A retry of a client id has the same text, or not.
        text = f"{client_id}" if client_id and number % 3 else f"text {number} {self._tickets}"
        # Whoever waited so long is forgotten, at some time after the window.
        client_id = f"{client_id}/{self.age}" if client_id else ""
        command: dict[str, Any] = (
            {"group": group} if group else {"recipient": recipient, "conversation": name}
        )
        ticket = self.submit(sender, text, client_id=client_id, **command)
        self.pending.append(Send(ticket, sender, recipient, group, name, client_id, text))

    def do_send(self, sender: str, recipient: str, name: str, client_id: str) -> None:
        self._send(sender, recipient, "", name, client_id)

    def do_group(self, sender: str, group: str, client_id: str) -> None:
        self._send(sender, "", group, "", client_id)

    def _change(self, group: str, user: str, leaves: bool) -> None:
        members = self.model(*self.pending).members[group]
        if (user in members) != leaves or user == "ann":
            return
        directory = self.cellar.directory
        change: Any = directory.remove_member if leaves else directory.add_member
        waiting = ensureDeferred(change(group, user, 1.0))
        waiting.addErrback(lambda failure: failure.trap(ImError))
        self.pending.append(Join(group, user, leaves))

    def do_join(self, group: str, user: str) -> None:
        self._change(group, user, leaves=False)

    def do_leave(self, group: str, user: str) -> None:
        self._change(group, user, leaves=True)

    def do_settle(self) -> None:
        self.settle()
        self._durable()

    def _durable(self) -> None:
        self.durable += self.pending
        self.pending = []
        self._compare_answers()

    def do_flush(self) -> None:
        self.do_settle()
        self.flush()

    def do_crash(self) -> None:
        """Nothing that waits was handed over yet, so all of it is lost."""
        self._compare_answers()
        self.pending = []
        self.reopen()
        self.check()

    def do_restart(self) -> None:
        self.do_settle()
        self.restart()
        self.check()

    def do_fail(self) -> None:
        """The next commit fails; all that waits is refused, nothing of it happened."""
        self.committer.failures = 1
        self.settle()
        failed = self.committer.failures == 0
        self.committer.failures = 0
        if not failed:  # retries and refusals alone write nothing
            self._durable()
            return
        expected = self.model(*self.pending).outcomes
        for operation in self.pending:
            if isinstance(operation, Send):
                outcome = self.sink.outcome(operation.ticket)
                assert isinstance(outcome, ImError)
                known = expected[operation.ticket]
                self.assertIn(outcome.code, (ErrorCode.UNAVAILABLE, known))
        self.sink.answers.clear()
        self.pending = []
        self.check()

    def do_crash_at(self, point: str) -> None:
        self.failpoints.arm(point)
        try:
            self.settle()
        except Crash:
            if point in DURABLE_POINTS:
                self.durable += self.pending
        else:
            self._durable()
        self.pending = []
        self.reopen()
        self.check()

    def do_crash_index(self, point: str, count: int) -> None:
        self.do_settle()
        self.failpoints.arm(point, count)
        try:
            self.flush()
        except Crash:
            pass
        self.reopen()
        self.check()

    def do_age(self) -> None:
        self.do_settle()
        self.age += 1
        self.clock.advance(3 * 86400.0)
        self.settle()
        self.wait_for(self.embedded.trim(1_700_000_000.0 + self.clock.seconds()))
        self.check()

    def do_page(self, user: str, after: int, limit: int) -> None:
        self.do_settle()
        expected = self.model().inboxes.get(user, [])
        page = self.inbox(user, after=after, limit=limit)
        start = max(after, page.first_seq - 1)
        self.assertEqual(
            [(seq + 1, *expected[seq]) for seq in range(start, min(start + limit, len(expected)))],
            [(row.seq, row.message.content.data.decode(), row.message.conversation) for row in page.rows],
        )
        self.assertEqual(start + limit < len(expected), page.has_more)

    # Checks

    def _compare_answers(self) -> None:
        expected = self.model().outcomes
        for answer in self.sink.answers:
            known = expected[answer.ticket]
            if isinstance(answer.outcome, MessageAccepted):
                assert isinstance(known, Accepted), known
                self.assertEqual(
                    (known.conversation, known.seq), (answer.outcome.conversation, answer.outcome.seq)
                )
                first = self.told.setdefault((known.seq, self._sender(answer.ticket)), answer.outcome)
                self.assertEqual(first, answer.outcome)
            elif answer.outcome.code is not ErrorCode.UNAVAILABLE:
                self.assertEqual(known, answer.outcome.code)
        self.sink.answers.clear()

    def _sender(self, ticket: int) -> str:
        return next(op.sender for op in self.durable if isinstance(op, Send) and op.ticket == ticket)

    def check(self) -> None:
        """Everything that can be read."""
        model = self.model()
        for user in USERS:
            expected = model.inboxes.get(user, [])
            page = self.inbox(user)
            kept = [(seq, *row) for seq, row in enumerate(expected, 1) if seq >= page.first_seq]
            self.assertEqual(
                kept,
                [(row.seq, row.message.content.data.decode(), row.message.conversation) for row in page.rows],
            )
            self.assertEqual(len(expected), page.head)
            if not self.age:
                self.assertEqual(1, page.first_seq)
            for group in GROUPS:
                visible = model.visible.get((group, user), [])
                texts = [model.conversations[f"group_{group}"][position - 1] for position in visible]
                try:
                    read = self.history(user, group=group)
                except ImError as error:
                    self.assertEqual((ErrorCode.CONVERSATION_NOT_FOUND, []), (error.code, texts))
                else:
                    self.assertEqual(texts[len(texts) - len(read) :], read)
                    if not self.age:
                        self.assertEqual(len(texts), len(read))
            for peer in USERS:
                texts = model.conversations.get("single_{}_{}".format(*sorted((user, peer))), [])
                read = self.history(user, recipient=peer)
                self.assertEqual(texts[len(texts) - len(read) :], read)
                if not self.age:
                    self.assertEqual(len(texts), len(read))

    @settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(operations, max_size=25))
    def test_as_usual(self, steps: list[tuple[Any, ...]]) -> None:
        self.run_operations(steps)

    @settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(operations, max_size=25))
    def test_with_every_index_written_at_once(self, steps: list[tuple[Any, ...]]) -> None:
        self.run_operations(steps, flush_rows=2, slice_entries=1, cached_users=1)
