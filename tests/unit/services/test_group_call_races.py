"""Calls of groups over several nodes, where everything takes its time: random histories, by seed."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from imserver.model.calls import AnswerCall, CallEnded, CallMedia, EndCall, Media, RejectCall, StartCall
from imserver.model.errors import ImError
from imserver.model.group_calls import GroupCallChange, GroupCallChanged, StartGroupCall
from imserver.services.group_call_state import REMEMBERED_SECONDS, GroupCall
from tests.effort import effort, seeds
from tests.unit.services.call_net import Net, Order
from tests.unit.services.call_world import Node, Phone, RecordingStore
from tests.unit.services.world import Chance

USERS = ("alice", "bob", "carol", "dave")
GROUPS = {"all": list(USERS), "duo": ["alice", "bob"], "trio": ["bob", "carol", "dave"]}
HISTORIES = effort(150, 5_000, 50_000)
STEPS = 25


class History:
    """One history: people do whatever they like, in an order that the seed decides."""

    def __init__(self, seed: int) -> None:
        self.chance, self.order = Random(seed), Order(seed)
        self.clock = Clock()
        self.net = Net(["n1", "n2", "n3"])
        minted = Chance()
        self.groups = {group: list(members) for group, members in GROUPS.items()}
        self.nodes = [
            Node(bus, self.clock, RecordingStore(), set(USERS), chance=minted, groups=self.groups)
            for bus in self.net.buses.values()
        ]
        self.phones: list[tuple[Node, Phone]] = []
        self.calls: list[str] = []
        self.faults: list[Any] = []
        self._sessions = 0
        for user in USERS:
            self.connect(user)
            self.connect(user)
        self.net.settle(self.order)

    def connect(self, user: str) -> None:
        self._sessions += 1
        phone = Phone(user, f"{user}{self._sessions}", Media.VOICE)
        node = self.chance.choice(self.nodes)
        node.enter(phone)
        self.phones.append((node, phone))

    def do(self, node: Node, phone: Phone, command: Any) -> None:
        answered = node.handle(phone, command)
        answered.addErrback(lambda failure: failure.trap(ImError))
        answered.addErrback(self.faults.append)

    def step(self) -> None:
        """Somebody does something, or something arrives, or time passes."""
        kind = self.chance.randrange(14)
        if kind < 5:
            for _ in range(self.chance.randrange(12)):
                self.net.deliver(self.order)
            return
        if kind == 5 and self.chance.random() < 0.3:
            self.clock.advance(self.chance.choice([1, 31]))
            return
        if kind == 6 and self.chance.random() < 0.5:
            node, phone = self.phones.pop(self.chance.randrange(len(self.phones)))
            node.leave(phone)
            self.connect(phone.user)
            return
        if kind == 13:
            self.change_members()
            return
        node, phone = self.chance.choice(self.phones)
        call = self.chance.choice(self.calls[-4:]) if self.calls else "none"
        if kind == 7:
            call = f"c{len(self.calls)}"
            self.calls.append(call)
            if self.chance.random() < 0.2:
                self.do(node, phone, StartCall(self.chance.choice(USERS), False, call))
            else:
                self.do(node, phone, StartGroupCall(self.chance.choice(list(GROUPS)), call))
        elif kind < 12:
            self.do(node, phone, AnswerCall(call))
        else:
            self.do(node, phone, self.chance.choice([RejectCall(call), EndCall(call)]))

    def change_members(self) -> None:
        """Somebody leaves a group, of which any node may tell, also more than one; or comes back."""
        group, user = self.chance.choice(list(GROUPS)), self.chance.choice(USERS)
        if user in self.groups[group]:
            self.groups[group].remove(user)
            for node in self.chance.sample(self.nodes, self.chance.choice([1, 1, 3])):
                node.calls.no_member(group, user)
        elif user in GROUPS[group]:
            self.groups[group].append(user)

    def live(self) -> Iterator[GroupCall]:
        """The calls of groups that last."""
        for node in self.nodes:
            for call in node.calls._groups.home._calls.values():
                if not call.over:
                    yield call

    def check(self) -> None:
        """Everything has arrived: what everybody knows agrees."""
        self.net.settle(self.order)
        assert not self.faults, self.faults
        for node in self.nodes:
            assert not node.failures, node.failures
        calls = list(self.live())
        assert len({call.group for call in calls}) == len(calls)
        holders = {}
        by_session = {phone.principal.session: phone for _, phone in self.phones}
        for call in calls:
            assert call.participants, "nobody is in it"
            assert len(call.participants) > 1 or call.ringing, "nobody to talk to"
            for user, seat in call.participants.items():
                assert seat.session in by_session, "who is gone is in it"
                assert user in self.groups[call.group], "who is no member is in it"
                holders[user] = call.id
            for seat in call.ringing.values():
                assert seat.user in self.groups[call.group], "it rings at who is no member"
            assert not +call.joining
        for user, id in holders.items():
            assert self.net.slots.get(f"busy/{user}") == id, (user, id)
        group_ids = {id for node in self.nodes for id in node.calls._groups.home._calls}
        for key, id in self.net.slots.items():
            if key.startswith("busy/") and id in group_ids:
                assert holders.get(key.removeprefix("busy/")) == id, (key, id)
        self.check_what_was_told(calls)
        self.check_media(calls, by_session)

    def check_what_was_told(self, calls: list[GroupCall]) -> None:
        """Who is in it knows, and who is not, knows, too."""
        inside = {(call.id, seat.session): call for call in calls for seat in call.participants.values()}
        ringing = {(call.id, session) for call in calls for session in call.ringing}
        for _, phone in self.phones:
            last: dict[str, GroupCallChanged] = {}
            for event in phone.events:
                if isinstance(event, GroupCallChanged):
                    last[event.call] = event
            for id, event in last.items():
                key = (id, phone.principal.session)
                over = event.change in (GroupCallChange.ENDED, GroupCallChange.STOPPED)
                if key in inside:
                    assert not over, (key, event)
                    people = list(inside[key].participants)
                    assert list(event.participants) == people or len(people) == 1, (key, event, people)
                elif key in ringing:
                    assert event.change is GroupCallChange.INCOMING, (key, event)
                else:
                    # Who left by himself has his answer; whoever else was in it was told.
                    left = event.change in (GroupCallChange.CONNECTED, GroupCallChange.JOINED)
                    asked = left or event.change in (
                        GroupCallChange.LEFT,
                        GroupCallChange.REJECTED,
                        GroupCallChange.INCOMING,
                    )
                    assert over or asked, (key, event)

    def check_media(self, calls: list[GroupCall], by_session: dict[str, Phone]) -> None:
        """Everybody in a call hears everybody else in it, and nobody hears anything else."""
        for _, phone in self.phones:
            phone.pieces.clear()
        for node, phone in self.phones:
            for id in {call.id for call in calls}:
                node.calls.media(phone.principal.session, CallMedia(phone.principal.session.encode(), id))
        self.net.settle(self.order)
        for _, phone in self.phones:
            mine = phone.principal.session
            wanted = []
            for call in calls:
                sessions = [seat.session for seat in call.participants.values()]
                if mine in sessions:
                    wanted += [(call.id, other) for other in sessions if other != mine]
            heard = [(piece.call, piece.data.decode()) for piece in phone.pieces]
            assert sorted(heard) == sorted(wanted), (mine, heard, wanted)
            for piece in phone.pieces:
                assert piece.sender == by_session[piece.data.decode()].user

    def end(self) -> None:
        """Everybody goes: nothing is left."""
        while self.phones:
            node, phone = self.phones.pop()
            node.leave(phone)
        self.net.settle(self.order)
        for _ in range(4):
            self.clock.advance(max(REMEMBERED_SECONDS, 31))
            self.net.settle(self.order)
        assert not list(self.live())
        assert self.net.slots == {}, self.net.slots
        assert not self.clock.getDelayedCalls()


class Races(SynchronousTestCase):
    def test_random_histories(self) -> None:
        joined = ended = 0
        for first in seeds(1):
            for seed in range(first, first + HISTORIES):
                history = History(seed)
                try:
                    for number in range(STEPS * 8):
                        history.step()
                        if number % STEPS == STEPS - 1:
                            history.check()
                    told = [event for _, phone in history.phones for event in phone.events]
                    history.end()
                except AssertionError as fault:
                    raise AssertionError(f"seed {seed}: {fault}") from fault
                kinds = [event.change for event in told if isinstance(event, GroupCallChanged)]
                joined += kinds.count(GroupCallChange.JOINED)
                ended += sum(isinstance(event, CallEnded) for event in told)
        # It happened what was to be tried.
        self.assertGreater(joined, HISTORIES // 2)
        self.assertGreater(ended, 0)
