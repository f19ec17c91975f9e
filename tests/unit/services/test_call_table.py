"""The table of calls: complete, shown in the documentation as it is, and done by the home to the letter."""

from __future__ import annotations

from pathlib import Path

from msgspec import structs
from twisted.logger import ILogObserver, LogEvent, globalLogPublisher
from zope.interface import implementer

from imserver.model.calls import Ending
from imserver.services.call_events import Cause
from imserver.services.call_table import TABLE
from imserver.services.call_terms import Do, On, State, Step, Table
from tests.unit.services.call_table_page import page
from tests.unit.services.call_walk import Walk
from tests.unit.services.call_world import CallCase, Node

WALK = Path(__file__).with_name("call_walk.txt")
PAGE = Path(__file__).parents[3] / "docs" / "calls.md"
PAIRS = [(state, event) for state in State for event in On]
POSSIBLE = [(state, event) for state, event in PAIRS if TABLE[state][event].do is not Do.NEVER]


def expected() -> dict[tuple[State, On], str]:
    """What everybody is told in every state of everything that can happen there."""
    told = {}
    for line in WALK.read_text().splitlines():
        if line.startswith("# "):
            state = State[line[2:]]
        elif line:
            event, _, text = line.partition(": ")
            told[state, On[event]] = text
    return told


class Complete(CallCase):
    """The table itself."""

    def test_every_pair_has_a_step(self) -> None:
        self.assertEqual(list(State), list(TABLE))
        for state in State:
            self.assertEqual(list(On), list(TABLE[state]), state)

    def test_steps_make_sense(self) -> None:
        for state, event in PAIRS:
            step = TABLE[state][event]
            with self.subTest(state=state, event=event):
                self.assertEqual(step.ending is not None, step.do is Do.END)
                if step.do is Do.END:
                    self.assertIs(step.next, State.ENDED)
                if state is State.ENDED:
                    self.assertIs(step.next, State.ENDED)
                if step.do in (Do.NEVER, Do.NOTHING):
                    self.assertIs(step.next, state)

    def test_every_state_that_lives_can_end_by_itself(self) -> None:
        """From wherever a call stands, time alone leads to the end."""
        time = (On.RING_TIME_OVER, On.TALK_TIME_OVER)
        for state in State:
            if state not in (State.NEW, State.ENDED):
                self.assertEqual([Do.END], [TABLE[state][on].do for on in time if TABLE[state][on].ending])

    def test_every_state_is_reached(self) -> None:
        reached = {State.NEW}
        while True:
            more = {TABLE[state][event].next for state in reached for event in On} - reached
            if not more:
                break
            reached |= more
        self.assertEqual(set(State), reached)

    def test_the_documentation_shows_it(self) -> None:
        """`python -m tests.unit.services.call_table_page` prints what has to stand there."""
        self.assertIn(page(), PAGE.read_text())


class Walking(CallCase):
    """Every pair, brought about by commands, sessions and time."""

    def restart(self, table: Table = TABLE) -> None:
        self.setUp()
        self.node = Node(self.bus, self.clock, self.store, {"alice", "bob", "carol"}, table=table)

    def test_every_pair_that_can_happen(self) -> None:
        told = expected()
        self.assertEqual(POSSIBLE, list(told))
        for state, event in POSSIBLE:
            with self.subTest(state=state, event=event):
                self.restart()
                self.assertEqual(told[state, event], Walk(self, state, event).happen())
                self.assertEqual([], self.node.failures)

    def test_what_cannot_happen_does_nothing(self) -> None:
        """It would be a fault of the home; it is logged and harms nobody."""
        logged: list[str] = []

        @implementer(ILogObserver)
        def observe(event: LogEvent) -> None:
            logged.append(str(event["log_format"]))

        globalLogPublisher.addObserver(observe)
        self.addCleanup(globalLogPublisher.removeObserver, observe)
        for state in State:
            if state is State.NEW:
                continue
            self.restart()
            walk = Walk(self, state, On.SHUTDOWN)
            before = self.clock.getDelayedCalls()
            for event in On:
                if TABLE[state][event].do is Do.NEVER:
                    self.node.calls._home.step(walk.call, event, Cause())
                    self.assertIs(state, walk.call.state)
                    self.assertIn("cannot have", logged.pop())
            self.assertEqual(before, self.clock.getDelayedCalls())
            self.assertEqual([], [event for phone in walk.phones.values() for event in phone.events])

    def test_every_cell_matters(self) -> None:
        """The walk notices whichever cell of the table is changed, and to what."""
        told = expected()
        unnoticed = []
        for state, event in POSSIBLE:
            for step in _otherwise(state, TABLE[state][event]):
                table = {key: dict(row) for key, row in TABLE.items()}
                table[state][event] = step
                self.restart(table)
                try:
                    seen = Walk(self, state, event).happen()
                except Exception as error:
                    seen = repr(error)
                if seen == told[state, event]:
                    unnoticed.append((state, event, step))
                self.flushLoggedErrors()
        self.assertEqual([], unnoticed)


def _otherwise(state: State, step: Step) -> list[Step]:
    """Other steps in place of this one."""
    if step.do is Do.NOTHING:
        return (
            [Step(State.ENDED, Do.END, Ending.LOST)]
            if state is not State.ENDED
            else [Step(state, Do.END_AGAIN)]
        )
    others = [Step(state, Do.NOTHING)]
    if step.next is not state:
        others.append(structs.replace(step, next=state))
    if step.ending is not None:
        other = Ending.LOST if step.ending is not Ending.LOST else Ending.HANGUP
        others.append(structs.replace(step, ending=other))
    return others
