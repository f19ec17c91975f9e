"""Several nodes, and anything that may happen to them: in the end everybody agrees on what is so."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

from twisted.internet.defer import Deferred, ensureDeferred

from imserver.model.accounts import Hello, LogIn
from imserver.model.errors import ImError
from imserver.model.presence import PresenceChanged, PresenceState, SetPresence
from imserver.services.presence import RETRY_SECONDS
from imserver.services.sessions import Client
from tests.effort import effort, seeds
from tests.redis.house_world import PERIODS, House, HouseCase, Session
from tests.unit.services.hub_world import Peer

USERS = ("alice", "bob", "carol", "dave")
STEPS = 60
RANKS = {0: PresenceState.OFFLINE, 1: PresenceState.AWAY, 2: PresenceState.BUSY, 3: PresenceState.ONLINE}


class ByChance(HouseCase):
    """Everybody is everybody's friend and is told of everybody."""

    def setUp(self) -> None:
        super().setUp()
        self.sessions: list[Session] = []
        self.failures: list[Any] = []

    def test_all_agree_in_the_end(self) -> None:
        for seed in seeds(effort(4, 60, 600)):
            with self.subTest(seed=seed):
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
        begin.close()
        for number in range(STEPS):
            self.step(random, number)
            if random.random() < 0.6:
                self.pass_time(random.choice((0.1, 0.5, 2.0, 8.0)), 0.5)
        self.heal()
        self.check()

    # What may happen

    def step(self, random: Random, number: int) -> None:
        house = random.choice(self.houses)
        mine = [session for session in self.sessions if session.house is house]
        what = random.random()
        if what < 0.35:
            self.enter(house, random.choice(USERS))
        elif what < 0.55 and mine:
            self.leave(random.choice(mine))
        elif what < 0.7 and mine:
            state = random.choice((PresenceState.ONLINE, PresenceState.AWAY, PresenceState.BUSY))
            self.begin(house.hub.handle(random.choice(mine).live, SetPresence(state)))
        elif what < 0.8:
            house.way.cut()
        elif what < 0.88:
            house.way.mute = not house.way.mute
            house.way.cut()
        elif what < 0.93:
            house.cellar.bus._exchange._publish = lambda node, payload: True  # type: ignore[method-assign]
            self.clock.callLater(1.5, self.speak, house)
        elif what < 0.96 and len(self.houses) > 2:
            self.kill(house)
        elif what >= 0.96 and len(self.houses) < 5:
            self.begin(self.opening(f"house{number}"))

    @staticmethod
    def speak(house: House) -> None:
        vars(house.cellar.bus._exchange).pop("_publish", None)

    async def opening(self, name: str) -> None:
        house = House(self, name)
        self.houses.append(house)
        await house.cellar.open()

    def enter(self, house: House, user: str) -> None:
        """Logs in, or is refused."""
        peer = Peer()
        client = Client(house.hub.new_session_id(), "f", "127.0.0.1", False, True)
        command = LogIn(user=user, token=f"demo_token_{user}", device=client.session)

        def entered(result: Any) -> None:
            live, _ = result
            session = Session(house, live, peer)
            self.sessions.append(session)
            live.start()

        self.begin(house.hub.log_in(client, Hello(), command, peer), entered)

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
            hosts = self.wait_for(attendance.hosts([user]))
            self.assertEqual(here, set(hosts), user)
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
        left = self.wait_for(self.link.call("KEYS", "t:[ns][usl]:*"))
        owners = {key.decode().split(":", 2)[2] for key in left if key.startswith((b"t:nu:", b"t:ns:"))}
        self.assertLessEqual(owners, set(live))
        self.assertEqual([], self.wait_for(self.link.call("SMEMBERS", "t:dead")))
        self.assertEqual([], [key for key in left if key.startswith(b"t:sl:")])

    def check_view(self, session: Session, truth: dict[str, int]) -> None:
        """What a session was told last of somebody is what is so (who was never told of is offline)."""
        view: dict[str, PresenceState] = {}
        for event in session.peer.events:
            if isinstance(event, PresenceChanged):
                view[event.user] = event.state
        for user, state in view.items():
            self.assertEqual(RANKS[truth[user]], state, (session.user, session.house.name, user))
