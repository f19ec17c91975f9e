"""Several nodes, and anything that may happen to them: in the end everybody agrees on what is so.

Who is online, which calls and rooms there are, where, and who has a part in them.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

from twisted.internet.defer import Deferred, ensureDeferred

from imserver.model.accounts import Hello, LogIn
from imserver.model.calls import AnswerCall, EndCall, Media, StartCall
from imserver.model.errors import ImError
from imserver.model.group_calls import StartGroupCall
from imserver.model.groups import CreateGroup
from imserver.model.presence import PresenceChanged, PresenceState, SetPresence
from imserver.model.rooms import JoinRoom
from imserver.services.call_places import places
from imserver.services.call_requests import busy_slot, call_slot
from imserver.services.group_call_requests import group_mark, group_slot
from imserver.services.homes import home_mark
from imserver.services.presence import RETRY_SECONDS
from imserver.services.room_requests import room_slot
from imserver.services.sessions import Client
from tests.effort import effort, seeds
from tests.redis.house_world import PERIODS, House, HouseCase, Session
from tests.unit.services.hub_world import Peer
from tests.unit.services.room_world import Endpoint

USERS = ("alice", "bob", "carol", "dave")
STEPS = 100
RANKS = {0: PresenceState.OFFLINE, 1: PresenceState.AWAY, 2: PresenceState.BUSY, 3: PresenceState.ONLINE}


class ByChance(HouseCase):
    """Everybody is everybody's friend and is told of everybody."""

    def setUp(self) -> None:
        super().setUp()
        self.sessions: list[Session] = []
        self.failures: list[Any] = []

    def test_all_agree_in_the_end(self) -> None:
        for seed in seeds(effort(4, 60, 600)):
            # What real sockets do in between is up to them: a seed repeats the deeds only.
            print(f"IMSERVER_SEED={seed}")
            self.setUp()
            try:
                self.play(Random(seed))
            finally:
                self.tearDown()

    def play(self, random: Random) -> None:
        self.open_houses("one", "two", "three")
        begin = self.houses[0].log_in("alice")
        for user in USERS[1:]:
            begin.send("hello", recipient=user)
            for other in USERS[1:]:
                if user < other:
                    session = self.houses[0].log_in(user)
                    session.send("hello", recipient=other)
                    session.close()
        begin.do(CreateGroup("band", "", members=USERS[1:]))
        begin.close()
        for number in range(STEPS):
            self.step(random, number)
            if random.random() < 0.6:
                self.pass_time(random.choice((0.1, 0.1, 0.1, 0.5, 2.0, 8.0)), 0.5)
        self.heal()
        self.check()

    # What may happen

    def step(self, random: Random, number: int) -> None:
        house = random.choice(self.houses)
        mine = [session for session in self.sessions if session.house is house]
        what = random.random()
        if what < 0.15 or not self.sessions:
            self.enter(random, house, random.choice(USERS))
        elif what < 0.2 and mine:
            self.leave(random.choice(mine))
        elif what < 0.45:
            self.call(random, random.choice(self.sessions), f"c{number}")
        elif what < 0.53:
            self.meet(random, house, random.choice(USERS))
        elif what < 0.57 and house.hub.rooms._places:
            random.choice(list(house.hub.rooms._places.values())).close()
        elif what < 0.65 and mine:
            state = random.choice((PresenceState.ONLINE, PresenceState.AWAY, PresenceState.BUSY))
            self.begin(house.hub.handle(random.choice(mine).live, SetPresence(state)))
        elif what < 0.72:
            house.way.cut()
        elif what < 0.78:
            house.way.mute = not house.way.mute
            house.way.cut()
        elif what < 0.85:
            house.cellar.bus._exchange._publish = lambda node, payload: True  # type: ignore[method-assign]
            self.clock.callLater(1.5, self.speak, house)
        elif what < 0.88 and len(self.houses) > 2:
            self.kill(house)
        elif what < 0.92 and len(self.houses) < 5:
            self.begin(self.opening(f"house{number}"))

    @staticmethod
    def speak(house: House) -> None:
        vars(house.cellar.bus._exchange).pop("_publish", None)

    async def opening(self, name: str) -> None:
        house = House(self, name)
        self.houses.append(house)
        await house.cellar.open()

    def enter(self, random: Random, house: House, user: str) -> None:
        """Logs in, or is refused."""
        peer = Peer()
        media = random.choice((Media.WEBRTC, Media.WEBRTC, Media.VOICE))
        client = Client(house.hub.new_session_id(), "f", "127.0.0.1", False, True, media=media)
        command = LogIn(user=user, token=f"demo_token_{user}", device=client.session)

        def entered(result: Any) -> None:
            live, _ = result
            session = Session(house, live, peer)
            self.sessions.append(session)
            live.start()

        self.begin(house.hub.log_in(client, Hello(), command, peer), entered)

    def call(self, random: Random, session: Session, id: str) -> None:
        """Takes or ends what it knows of, or calls somebody."""
        by_session = session.house.hub.calls._sessions._known._by_session
        known = by_session.get(session.live.principal.session, {}).values()
        here = [call.call for call in known if not call.party] or [call.call for call in known]
        in_group = session.house.hub.calls._groups._heard.get(session.live.principal.session, ())
        here += in_group
        command: Any = StartCall(random.choice(self.sessions).user, False, id)
        if here and random.random() < 0.8:
            ends = random.random() < 0.15
            command = EndCall(here[0]) if ends else AnswerCall(here[0])
        elif session.live.client.media is Media.VOICE and random.random() < 0.6:
            command = StartGroupCall("band", id)
        self.begin(session.house.hub.handle(session.live, command))

    def meet(self, random: Random, house: House, user: str) -> None:
        """Joins a room."""
        endpoint = Endpoint()
        client = Client(house.hub.rooms.new_session_id(), "meeting", "127.0.0.1", False, True)
        channel = random.choice(("red", "blue"))
        command = JoinRoom("app", channel, f"{user}{random.randrange(3)}", token=f"demo_token_{user}")
        self.begin(house.hub.rooms.join(client, command, endpoint), lambda joined: joined[0].start())

    def leave(self, session: Session) -> None:
        self.sessions.remove(session)
        session.live.close()

    def kill(self, house: House) -> None:
        house.die()
        self.houses.remove(house)
        self.sessions = [session for session in self.sessions if session.house is not house]

    def begin(self, work: Any, then: Callable[[Any], None] = lambda _: None) -> None:
        """Something that may be refused while Redis is away."""
        begun: Deferred[Any] = ensureDeferred(work)
        begun.addCallback(then)
        begun.addErrback(lambda failure: failure.trap(ImError))
        begun.addErrback(self.failures.append)

    # What must be so

    def heal(self) -> None:
        """Nothing happens any more."""
        for house in self.houses:
            house.way.mute = False
            house.way.cut()
        self.pass_time(4 * PERIODS.lease + 2 * RETRY_SECONDS, 0.5)

    def check(self) -> None:
        self.assertEqual([], self.failures)
        live = tuple(sorted(house.node for house in self.houses))
        for house in self.houses:
            self.assertEqual(live, house.cellar.bus.nodes)
        truth = {
            user: max((house.hub.presence.rank(user) for house in self.houses), default=0) for user in USERS
        }
        attendance = self.houses[0].cellar.bus.attendance
        for user, rank in truth.items():
            self.assertEqual((rank, rank), self.wait_for(attendance.standing(user)), user)
            here = {house.name for house in self.houses if house.hub.registry.of(user)}
            hosts = self.wait_for(self.link.call("HGET", "t:hosts", user)) or b""
            self.assertEqual(here, set(hosts.decode().split()), user)
            seats = {seat.session for seat in self.wait_for(attendance.seats(user))}
            entered = {
                session.live.principal.session
                for session in self.sessions
                if session.user == user and not session.live.closed
            }
            self.assertEqual(entered, seats, user)
        for session in self.sessions:
            if not session.live.closed:
                self.check_view(session, truth)
        self.check_calls()
        self.check_rooms()
        left = self.wait_for(self.link.call("KEYS", "t:n[us]:*"))
        owners = {key.decode().split(":", 2)[2] for key in left if key.startswith((b"t:nu:", b"t:ns:"))}
        told = self.wait_for(self.link.call("KEYS", "t:told:*"))
        owners |= {key.decode().split(":", 2)[2] for key in told}
        self.assertLessEqual(owners, set(live))
        self.assertEqual([], self.wait_for(self.link.call("SMEMBERS", "t:dead")))

    def slots(self, kind: str) -> dict[str, str]:
        """Who has the slots of a kind: value by key."""
        keys = self.wait_for(self.link.call("KEYS", f"t:sl:{kind}*"))
        values = [self.wait_for(self.link.call("GET", key)) for key in keys]
        pairs = zip(keys, values, strict=True)
        return {key.decode().removeprefix("t:sl:"): value.decode().partition("\0")[2] for key, value in pairs}

    def check_calls(self) -> None:
        """Homes, slots and what sessions know agree with each other."""
        homes = {house: house.hub.calls._home for house in self.houses}
        marks = {call_slot(id): home_mark(house.node) for house, home in homes.items() for id in home._calls}
        groups = {house: house.hub.calls._groups.home for house in self.houses}
        marks |= {
            call_slot(id): group_mark(house.node) for house, home in groups.items() for id in home._calls
        }
        lively = [call for home in groups.values() for call in home._calls.values() if not call.over]
        self.assertEqual({group_slot(call.group): call.id for call in lively}, self.slots(group_slot("")))
        running = [(house, call) for house, home in homes.items() for call in home._by_pair.values()]
        ids, live = self.slots(call_slot("")), {call_slot(call.id) for _, call in running}
        live |= {call_slot(call.id) for call in lively}
        # Ended calls are remembered for a while; of those from before a cut the slots are gone.
        self.assertLessEqual(live, set(ids))
        self.assertLessEqual(ids.items(), marks.items())
        busy = {busy_slot(user): call.id for _, call in running for user in call.claimed}
        busy |= {busy_slot(user): call.id for call in lively for user in call.participants}
        self.assertEqual(busy, self.slots(busy_slot("")))
        there = {
            (seat.session, call.id)
            for _, call in running
            for seat in places(call)
            if seat
            not in [party.seat for party in (call.caller, call.callee) if party is not None and party.away]
        }
        known = {
            (session, id)
            for house in self.houses
            for session, calls in house.hub.calls._sessions._known._by_session.items()
            for id in calls
        }
        self.assertEqual(there, known)
        # Where it rings the home may think of sessions that are gone, or were told the end.
        seated = {(seat.session, call.id) for call in lively for seat in call.participants.values()}
        rings = {(session, call.id) for call in lively for session in call.ringing}
        heard = [
            (session, one)
            for house in self.houses
            for session, calls in house.hub.calls._groups._heard.items()
            for one in calls.values()
        ]
        self.assertEqual(seated, {(session, one.call) for session, one in heard if one.seated})
        self.assertLessEqual({(session, one.call) for session, one in heard if not one.seated}, rings)

    def check_rooms(self) -> None:
        """Homes, slots and connections agree with each other."""
        registers = {house: house.hub.rooms._home._register for house in self.houses}
        marks = {
            room_slot(name): home_mark(house.node)
            for house, register in registers.items()
            for name in register.rooms
        }
        self.assertEqual(marks, self.slots("home/"))
        seated = {
            (member.session, member.seat.session, member.seat.node)
            for register in registers.values()
            for member in register.sessions.values()
            if member.seat is not None
        }
        places = {
            (place.session, connection, house.node)
            for house in self.houses
            for connection, place in house.hub.rooms._places.items()
        }
        self.assertEqual(seated, places)

    def check_view(self, session: Session, truth: dict[str, int]) -> None:
        """What a session was told last of somebody is what is so (who was never told of is offline)."""
        view: dict[str, PresenceState] = {}
        for event in session.peer.events:
            if isinstance(event, PresenceChanged):
                view[event.user] = event.state
        for user, state in view.items():
            self.assertEqual(RANKS[truth[user]], state, (session.user, session.house.name, user))
