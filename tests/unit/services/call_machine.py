"""Any users, with any sessions on several nodes, doing anything at any time: calls all the same."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from msgspec import structs
from twisted.internet.task import Clock

from imserver.model.calls import (
    AnswerCall,
    CallError,
    CallFault,
    CallMedia,
    EndCall,
    Ending,
    Media,
    RejectCall,
    StartCall,
)
from imserver.model.errors import ImError
from imserver.services.call_requests import call_slot
from imserver.services.call_state import Call
from imserver.services.call_table import TABLE
from imserver.services.call_terms import State, Table
from tests.mortal import Mortal
from tests.unit.services.call_net import Net, Order
from tests.unit.services.call_witness import Witness, Wrong
from tests.unit.services.call_world import ANSWER, OFFER, SETTINGS, Node, Phone, RecordingStore, ice, status
from tests.unit.services.world import Chance

USERS = ("ann", "bob", "cyd")
GHOST = "nobody"
SECONDS = (0.1, 1.0, 7.0, 14.9, 15.0, 29.9, 30.0, 60.0, 3600.0)
NEWER = b'{"sdp":"v=0 newer"}'
NEWER_ANSWER = b'{"sdp":"v=0 newer answer"}'

numbers = st.integers(0, 200)
WORDS = ("answer", "other answer", "offer", "other offer", "reject", "end", "ice", "status", "end own")
WHAT = (
    *("call", "call", "call", "answer", "answer", "device", "device", "party", "party", "party"),
    *("anybody", "bystander", "bystander", "come_back", "come_back", "talk", "connect", "lose", "lose_party"),
    *("wait", "wait", "deliver", "shut_down"),
)


class HeardPhone(Phone):
    """A phone to which a witness listens."""

    def __init__(self, user: str, session: str, media: Media, node: Node, witness: Witness) -> None:
        super().__init__(user, session, media)
        self.node = node
        self._witness = witness

    def notify(self, event: Any) -> bool:
        if self.connected:
            self._witness.told(self.user, self.principal.session, event)
        return super().notify(event)

    def media(self, event: CallMedia) -> None:
        ear = self._witness.ear(self.principal.session, event.call)
        if not ear.party or ear.over:
            raise Wrong(f"media outside a running call: {self}")
        super().media(event)


class CallMachine(RuleBasedStateMachine):
    """See the module; subclasses say how many nodes, and may break something."""

    nodes: tuple[str, ...] = ("n1", "n2")
    table: Table = TABLE
    mortal = False  # nodes may be lost

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.store = RecordingStore()
        self.net = Net(self.nodes)
        self.witness = Witness()
        minting = Chance()
        self.houses = [
            Node(bus, Mortal(self.clock), self.store, set(USERS), table=self.table, chance=minting)
            for bus in self.net.buses.values()
        ]
        self.phones: list[HeardPhone] = []
        self.ids: list[str] = []
        self.called: dict[str, str] = {}
        self.order = Order(0)
        self.down = False
        self.away: dict[tuple[str, str], float] = {}
        self._count = 0

    @initialize(
        seed=numbers, relays=st.sampled_from((0, 20, 80)), devices=st.lists(numbers, min_size=3, max_size=7)
    )
    def begin(self, seed: int, relays: int, devices: list[int]) -> None:
        """Args:
        relays: how many of a hundred sessions are document 000's.
        """
        self.order = Order(seed)
        self.relays = relays
        for number, place in enumerate(devices):
            self._connect(USERS[number % 3], place)

    def _connect(self, user: str, place: int, media: Media = Media.NONE) -> HeardPhone:
        self._count += 1
        if media is Media.NONE:
            media = Media.RELAY if self.order.below(100) < self.relays else Media.WEBRTC
        node = self.houses[place % len(self.houses)]
        phone = HeardPhone(user, f"{user}{self._count}", media, node, self.witness)
        self.phones.append(phone)
        node.enter(phone)
        return phone

    # Who could do something sensible

    def _ears(self, wanted: Any) -> list[tuple[HeardPhone, str]]:
        phones = {phone.principal.session: phone for phone in self.phones}
        return [
            (phones[session], call)
            for (session, call), ear in self.witness.ears.items()
            if session in phones and not ear.over and wanted(ear)
        ]

    def ringing(self) -> list[tuple[HeardPhone, str]]:
        """Devices at which something rings."""
        return self._ears(lambda ear: ear.rang and not ear.party)

    def concerned(self) -> list[tuple[HeardPhone, str]]:
        """Parties, and callers whose call rings."""
        return self._ears(lambda ear: ear.party or (ear.heard and not ear.rang))

    def deserted(self) -> list[tuple[str, Media, str]]:
        """Users of whom a call waits for a new session."""
        found = []
        for house in self.houses:
            for call in house.calls._home._by_pair.values():
                if call.caller.away:
                    found.append((call.caller_user, call.media, call.id))
                if call.callee is not None and call.callee.away:
                    found.append((call.callee_user, call.media, call.id))
        return found

    # What they do

    @rule(
        what=st.sampled_from(WHAT),
        number=numbers,
        which=numbers,
        word=st.sampled_from(WORDS),
        arrives=st.sampled_from((True, True, False)),
    )
    def turn(self, what: str, number: int, which: int, word: str, arrives: bool) -> None:
        """Something happens, if it can.

        One rule for everything, so that everything is equally likely.
        """
        if what == "deliver" and self.mortal and which % 2:
            what = "lose_node"
        getattr(self, what)(number, which, word)
        if arrives:
            self.net.settle(self.order)

    def call(self, number: int, which: int, word: str) -> None:
        if not self.phones:
            return
        phone = self.phones[number % len(self.phones)]
        fit = [
            other.user
            for other in self.phones
            if other.client.media is phone.client.media and other.user != phone.user
        ]
        callee = fit[which % len(fit)] if fit and which % 5 else (*USERS, GHOST)[which % 4]
        self._count += 1
        if which % 3 == 0:
            self.command(phone, StartCall(callee, False, "", OFFER), "")
            return
        id = f"c{self._count}"
        self.ids.append(id)
        if callee != phone.user:
            self.called[id] = phone.principal.session
        self.command(phone, StartCall(callee, False, id, OFFER), id)

    def answer(self, number: int, which: int, word: str) -> None:
        self._say(self.ringing(), number, "answer")

    def device(self, number: int, which: int, word: str) -> None:
        self._say(self.ringing(), number, word)

    def party(self, number: int, which: int, word: str) -> None:
        self._say(self.concerned(), number, word)

    def anybody(self, number: int, which: int, word: str) -> None:
        """A session says something about one of the last calls, whether it has a part in it or not."""
        ids = self.ids[-3:]
        if ids and self.phones:
            self._say([(self.phones[number % len(self.phones)], ids[which % len(ids)])], 0, word)

    def bystander(self, number: int, which: int, word: str) -> None:
        """A session of a participant that has no part itself."""
        parts = {phone for phone, _ in (*self.concerned(), *self.ringing())}
        choice = [
            (phone, call.id)
            for house in self.houses
            for call in house.calls._home._by_pair.values()
            for phone in self.phones
            if call.concerns(phone.user) and phone not in parts
        ]
        self._say(choice, number, word)

    def come_back(self, number: int, which: int, word: str) -> None:
        """A new session names a call of which a party was lost."""
        deserted = self.deserted()
        if deserted:
            user, media, call = deserted[number % len(deserted)]
            self._say([(self._connect(user, which, media), call)], 0, word)

    def talk(self, number: int, which: int, word: str) -> None:
        for phone, _ in self.concerned():
            phone.node.calls.media(phone.principal.session, CallMedia(b"media"))

    def connect(self, number: int, which: int, word: str) -> None:
        if len(self.phones) < 10:
            self._connect(USERS[which % 3], number)

    def lose(self, number: int, which: int, word: str) -> None:
        if len(self.phones) > 2:
            self._lose(self.phones[number % len(self.phones)])

    def lose_party(self, number: int, which: int, word: str) -> None:
        parties = self.concerned()
        if parties:
            self._lose(parties[number % len(parties)][0])

    def _lose(self, phone: HeardPhone) -> None:
        self.phones.remove(phone)
        phone.node.leave(phone)
        self.witness.gone(phone.principal.session)

    def wait(self, number: int, which: int, word: str) -> None:
        self.clock.advance(SECONDS[number % len(SECONDS)])

    def deliver(self, number: int, which: int, word: str) -> None:
        for _ in range(number % 12):
            self.net.deliver(self.order)

    def shut_down(self, number: int, which: int, word: str) -> None:
        """The nodes go down in good order; their bus outlives them by a while."""
        if not self.down and number % 8 == 0:
            self.down = True
            for house in self.houses:
                house.calls.shut_down()

    def _say(self, choice: list[tuple[HeardPhone, str]], number: int, word: str) -> None:
        if not choice:
            return
        phone, call = choice[number % len(choice)]
        commands: dict[str, Any] = {
            "answer": AnswerCall(call, ANSWER),
            "other answer": AnswerCall(call, NEWER_ANSWER),
            "offer": StartCall("", False, call, OFFER),
            "other offer": StartCall("", False, call, NEWER),
            "reject": RejectCall(call),
            "end": EndCall(call),
            "ice": ice(call, self._count),
            "status": status(call),
        }
        if word == "end own":
            for known in (*self.ids, *self.witness.stories):
                self.witness.commanded(phone.principal.session, known)
            self.command(phone, EndCall(), "")
        else:
            self.command(phone, commands[word], call)

    def command(self, phone: HeardPhone, command: Any, call: str) -> None:
        """Gives a command; its answer comes when it comes."""
        if call:
            self.witness.commanded(phone.principal.session, call)
        answer = phone.node.handle(phone, command)
        answer.addCallbacks(self._done, self._refused, (phone, call), {}, (phone, command, call), {})
        answer.addErrback(self.houses[0].failures.append)

    def _done(self, result: Any, phone: HeardPhone, call: str) -> None:
        story = self.witness.stories.get(call)
        if story is not None and phone.user not in (story.caller, story.callee):
            raise Wrong(f"{phone} had a say in {call} of {story}")

    def _refused(self, failure: Any, phone: HeardPhone, command: Any, call: str) -> None:
        failure.trap(ImError)
        if isinstance(command, StartCall) and command.callee:
            self.called.pop(call, None)
            if failure.check(CallError) and failure.value.fault is CallFault.CALL_ID_IN_USE:
                raise Wrong(f"{phone} could not use its own id {call}")

    def lose_node(self, number: int, which: int, word: str) -> None:
        """A node is gone with its sessions and with the calls that are at home there."""
        if self.down or len(self.houses) < 2 or number % 4:
            return
        house = self.houses.pop(which % len(self.houses))
        house.clock.die()  # type: ignore[union-attr]
        for phone in [phone for phone in self.phones if phone.node is house]:
            self.phones.remove(phone)
            phone.connected = False
            self.witness.gone(phone.principal.session)
        self.witness.mourns = True
        self.net.lose(house.bus.node)

    def _end_records(self) -> None:
        """As the store does for a node that is lost: what it left unfinished has ended."""
        last = {(record.call, record.created_at): record for record in self.store.records}
        for record in last.values():
            if record.ending is None:
                ended = structs.replace(record, ending=Ending.SHUTDOWN, ended_at=record.created_at)
                self.store.records.append(ended)

    # What must hold

    @invariant()
    def nothing_failed(self) -> None:
        for house in self.houses:
            for failure in house.failures:
                failure.raiseException()

    @invariant()
    def nobody_is_in_two_calls(self) -> None:
        busy: list[str] = []
        for house in self.houses:
            for call in house.calls._home._by_pair.values():
                if call.state is not State.NEW:
                    busy += (call.caller_user, call.callee_user)
        if len(busy) != len(set(busy)):
            raise Wrong(f"in two calls at once: {busy}")

    @invariant()
    def nobody_is_awaited_too_long(self) -> None:
        now = self.clock.seconds()
        deserted = {(user, call) for user, _, call in self.deserted()}
        self.away = {who: self.away.get(who, now) for who in deserted}
        for who, since in self.away.items():
            if now - since > SETTINGS.grace_seconds:
                raise Wrong(f"awaited too long: {who}")

    @invariant()
    def it_rings_where_it_should_and_parties_live(self) -> None:
        """Whenever nothing is under way."""
        if self.net.waiting:
            return
        live = {phone.principal.session for phone in self.phones}
        for house in self.houses:
            for call in house.calls._home._by_pair.values():
                for party in (call.caller, call.callee):
                    if party is not None and not party.away and party.seat.session not in live:
                        raise Wrong(f"{call.id} has a party that is gone: {party.seat}")
                if call.state in (State.RINGING, State.UNATTENDED):
                    self._rings_everywhere(call)

    def _rings_everywhere(self, call: Call) -> None:
        for phone in self.phones:
            if phone.user == call.callee_user and phone.client.media is call.media:
                ear = self.witness.ear(phone.principal.session, call.id)
                if not ear.rang or ear.over:
                    raise Wrong(f"{call.id} does not ring at {phone}")

    def teardown(self) -> None:
        """When nobody does anything any more, all calls come to their end by time alone."""
        self.net.settle(self.order)
        self.it_rings_where_it_should_and_parties_live()
        self.clock.advance(SETTINGS.grace_seconds)
        self.net.settle(self.order)
        if self.deserted():
            raise Wrong(f"awaited too long: {self.deserted()}")
        for seconds in (SETTINGS.ring_seconds, SETTINGS.max_seconds, SETTINGS.max_seconds, 61.0, 61.0):
            self.clock.advance(seconds)
            self.net.settle(self.order)
        self.nothing_failed()
        taken = [slot for slot in self.net.slots if not (self.down and slot.startswith(call_slot("")))]
        if taken:
            raise Wrong(f"still taken: {taken}")
        if self.clock.getDelayedCalls():
            raise Wrong(f"still waited for: {self.clock.getDelayedCalls()}")
        for house in self.houses:
            self._nothing_left(house)
        live = {phone.principal.session: phone.user for phone in self.phones}
        if self.witness.mourns:
            self._end_records()
        self.witness.finish(live, self.called, self.store.records)

    def _nothing_left(self, house: Node) -> None:
        calls, home, counts = house.calls, house.calls._home, house.calls.counts
        sessions = calls._sessions
        left: tuple[Any, ...] = (home._by_pair, home._lanes, home._preparing, sessions.media._links)
        left += (sessions._known._by_session,)
        if not self.down:
            left += (home._calls, home._ended)
        if any(left):
            raise Wrong(f"left over: {left}")
        if counts.ringing or counts.running or counts.started != sum(counts.ended.values()):
            raise Wrong(f"counted wrongly: {counts.started} {counts.ended} {counts.ringing} {counts.running}")
