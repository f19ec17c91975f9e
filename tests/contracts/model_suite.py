"""Random operations against the naive model: what every store must answer, keep and show."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from twisted.internet.defer import ensureDeferred

from imserver.model.errors import ErrorCode, ImError
from imserver.model.messages import MessageAccepted
from tests.contracts.cellar_case import CellarCase
from tests.contracts.model import Accepted, Join, Model, Send

USERS = ("ann", "bob", "cyd", "dan")
GROUPS = ("g1", "g2")
DAY = 86400.0

users = st.sampled_from(USERS)
groups = st.sampled_from(GROUPS)
client_ids = st.sampled_from(("", "", "c1", "c2", "c3"))
operations = (
    st.tuples(st.just("send"), users, users, st.sampled_from(("", "", "n1", "n2", "n3")), client_ids),
    st.tuples(st.just("send"), users, users, st.sampled_from(("", "", "n1", "n2", "n3")), client_ids),
    st.tuples(st.just("group"), users, groups, client_ids),
    st.tuples(st.just("join"), groups, users),
    st.tuples(st.just("leave"), groups, users),
    st.tuples(st.just("settle")),
    st.tuples(st.just("restart")),
    st.tuples(st.just("age")),
    st.tuples(st.just("page"), users, st.integers(0, 5), st.integers(1, 3)),
)
"""What may be done to any store; each backend adds what may happen to it."""


class ModelSuite(CellarCase):
    """What is answered, read and kept is what the model says.

    Of what was submitted, `pending` may still be lost; `durable` may not.
    """

    def restart(self) -> None:
        """Ends the backend in an orderly way and starts it again."""
        raise AssertionError("implemented by each backend's test")

    def age(self, seconds: float) -> None:
        """Lets time pass, and has the store forget."""
        raise AssertionError("implemented by each backend's test")

    def run_operations(self, steps: list[tuple[Any, ...]], **engine: Any) -> None:
        self.open_cellar(
            *USERS, sends_per_second=0.0, conversation_names=2, retention_seconds=5 * DAY, **engine
        )
        self.durable: list[Send | Join] = []
        self.pending: list[Send | Join] = []
        self.told: dict[tuple[int, str], MessageAccepted] = {}
        self.ages = 0
        for group in GROUPS:
            self.add_group(group, "ann")
        for step in steps:
            getattr(self, "do_" + step[0].replace("-", "_"))(*step[1:])
        self.do_settle()
        self.check()

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
        client_id = f"{client_id}/{self.ages}" if client_id else ""
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
        self.happened()

    def happened(self) -> None:
        """All that was pending is there for good."""
        self.durable += self.pending
        self.pending = []
        self.compare_answers()

    def did_not_happen(self) -> None:
        """Nothing of what was pending is there; it was refused, with what it deserved or for now."""
        expected = self.model(*self.pending).outcomes
        for operation in self.pending:
            if isinstance(operation, Send):
                outcome = self.sink.outcome(operation.ticket)
                assert isinstance(outcome, ImError)
                self.assertIn(outcome.code, (ErrorCode.UNAVAILABLE, expected[operation.ticket]))
        self.sink.answers.clear()
        self.pending = []

    def do_restart(self) -> None:
        self.do_settle()
        self.restart()
        self.check()

    def do_age(self) -> None:
        self.do_settle()
        self.ages += 1
        self.age(3 * DAY)
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

    def compare_answers(self) -> None:
        """Everybody was told what the model says, and the same each time."""
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
            if not self.ages:
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
                    if not self.ages:
                        self.assertEqual(len(texts), len(read))
            for peer in USERS:
                texts = model.conversations.get("single_{}_{}".format(*sorted((user, peer))), [])
                read = self.history(user, recipient=peer)
                self.assertEqual(texts[len(texts) - len(read) :], read)
                if not self.ages:
                    self.assertEqual(len(texts), len(read))
