"""Several whole nodes, services and all, in one process over one real Redis."""

from __future__ import annotations

import time
from typing import Any

from twisted.internet.defer import Deferred, ensureDeferred

from imserver.backends.redis.cellar import Place, RedisCellar
from imserver.backends.redis.faults import RedisLost
from imserver.backends.redis.nodes import NodeSettings
from imserver.backends.redis.settings import LinkSettings, StoreSettings
from imserver.model.accounts import Account, Hello, LogIn
from imserver.model.calls import Media
from imserver.model.errors import ErrorCode, ImError
from imserver.model.messages import MessageAccepted
from imserver.model.rooms import JoinRoom
from imserver.services.accounts import Accounts
from imserver.services.calls import CallSettings
from imserver.services.delivery import LiveSession
from imserver.services.groups import Groups
from imserver.services.hub import Hub, HubSettings
from imserver.services.room_state import RoomSettings
from imserver.services.sessions import Client
from imserver.services.tokens import Tokens
from tests.mortal import Mortal
from tests.redis.link_case import LinkCase
from tests.redis.proxy import Proxy
from tests.unit.services.hub_world import Peer, text
from tests.unit.services.room_world import Endpoint
from tests.unit.services.world import Chance, InlineThreads, key_ring, weak_hasher

DAY = 1_700_000_000.0
PERIODS = NodeSettings(beat=1.0, lease=6.0)
LINK = LinkSettings(timeout=60.0, first_delay=0.01, longest_delay=0.02)


class House:
    """One node.

    Attributes:
        commands: the way of its connections to Redis, which may be cut.
    """

    def __init__(self, case: HouseCase, name: str) -> None:
        self._case = case
        self.name = name
        self.clock = Mortal(case.pump.clock)
        self.way = Proxy(case.pump, case.server.port)
        self.cellar = RedisCellar(
            Place(self.way.where, prefix="t:"),
            name,
            self.clock,
            time.monotonic,
            case.wall,
            case.chance,
            link=LINK,
            nodes=PERIODS,
            settings=StoreSettings(sends_per_second=0),
        )
        directory, bus = self.cellar.directory, self.cellar.bus
        hasher = weak_hasher(InlineThreads())
        self.accounts = Accounts(
            directory,
            bus,
            hasher,
            Tokens(key_ring(), case.wall, case.chance),
            case.wall,
            case.chance,
            demo=True,
        )
        self.hub = Hub(
            self.cellar.store,
            directory,
            bus,
            self.accounts,
            Groups(directory, bus, hasher, case.wall, case.chance),
            case.wall,
            case.chance,
            self.clock,
            HubSettings(
                sessions_per_user=case.sessions_per_user,
                calls=CallSettings(ring_seconds=60.0),
                rooms=RoomSettings(trusting=True),
            ),
            nonces=self.cellar.nonces,
            answers=self.cellar.answers,
        )
        self.mark, self.marks = f"t:0:settled-{name}", list[bytes]()
        self.cellar.subscriber.subscribe(self.mark.encode(), self.marks.extend)

    @property
    def node(self) -> str:
        """What it is called now."""
        return self.cellar.bus.node

    def die(self) -> None:
        """As if its process were killed."""
        self.clock.die()
        self.cellar.redis.stop()
        self.cellar.subscriber.stop()

    def log_in(
        self, user: str, *, device: str = "", format: str = "f", media: Media = Media.NONE, **options: Any
    ) -> Session:
        """A live session."""
        session = self.enter(user, device=device, format=format, media=media, **options)
        session.live.start()
        self._case.settle()
        return session

    def enter(
        self, user: str, *, device: str = "", format: str = "f", media: Media = Media.NONE, **options: Any
    ) -> Session:
        """A session whose log-in is about to be answered."""
        case = self._case
        peer = Peer()
        client = Client(
            self.hub.new_session_id(), format, "127.0.0.1", options.pop("pulls", False), True, media=media
        )
        command = LogIn(user=user, token=f"demo_token_{user}", device=device)
        live, _ = case.wait_for(self.hub.log_in(client, Hello(), command, peer))
        return Session(self, live, peer)

    def join(self, user: str, channel: str = "room", *, name: str = "", session: str = "") -> Endpoint:
        """An endpoint in a room."""
        endpoint = Endpoint()
        client = Client(self.hub.rooms.new_session_id(), "meeting", "127.0.0.1", False, True)
        command = JoinRoom("app", channel, name or user, session=session, token=f"demo_token_{user}")
        endpoint.place, endpoint.joined = self._case.wait_for(self.hub.rooms.join(client, command, endpoint))
        endpoint.place.start()
        self._case.settle()
        return endpoint

    def ask_room(self, endpoint: Endpoint, kind: Any, *arguments: Any) -> Any:
        """The reply to an endpoint's command."""
        return self._case.wait_for(self.hub.rooms.handle(endpoint.place, kind(endpoint.session, *arguments)))


class Session:
    """A live session of some node, and what it was told."""

    def __init__(self, house: House, live: LiveSession, peer: Peer) -> None:
        self.house = house
        self.live = live
        self.peer = peer

    @property
    def user(self) -> str:
        return self.live.principal.user

    def do(self, command: Any, retry_id: str = "") -> Any:
        """The reply to a command."""
        case = self.house._case
        reply = case.wait_for(self.house.hub.handle(self.live, command, retry_id))
        case.settle()
        return reply

    def begin(self, command: Any, retry_id: str = "") -> Deferred[Any]:
        """A command that is not waited for."""
        return ensureDeferred(self.house.hub.handle(self.live, command, retry_id))

    def refusal(self, command: Any) -> ErrorCode:
        """Why a command is refused."""
        try:
            reply = self.do(command)
        except ImError as error:
            return error.code
        raise AssertionError(f"not refused: {reply!r}")

    def send(self, words: str, **fields: Any) -> MessageAccepted:
        """Sends a message."""
        self.house.hub.send(self.live, text(words, **fields), words)
        self.house._case.settle()
        outcome = self.peer.answers[-1][1]
        assert isinstance(outcome, MessageAccepted), outcome
        return outcome

    def close(self) -> None:
        """The connection is gone."""
        self.live.close()
        self.house._case.settle()

    def take(self, kind: type | None = None) -> list[Any]:
        """Events since the last time; of one kind, if it is named."""
        events, self.peer.events = self.peer.events, []
        return [event for event in events if kind is None or isinstance(event, kind)]

    @property
    def texts(self) -> list[str]:
        return [words for _, words in self.peer.messages]


class HouseCase(LinkCase):
    """Makes nodes with the accounts alice, bob, carol and dave."""

    sessions_per_user = 64
    users = ("alice", "bob", "carol", "dave")

    def setUp(self) -> None:
        super().setUp()
        self.chance = Chance()
        self.houses: list[House] = []
        self.link = self.open_link(timeout=60.0)

    def tearDown(self) -> None:
        for house in self.houses:
            house.die()
        self.pump.turn()

    def wall(self) -> float:
        """The time of day, the same on all nodes."""
        return DAY + self.clock.seconds()

    def open_houses(self, *names: str) -> list[House]:
        """Nodes that know each other, and accounts."""
        for name in names:
            self.open_house(name)
        for user in self.users:
            self.wait_for(self.houses[0].cellar.directory.create_account(Account(user, "")))
        self.pump.until(lambda: all(len(house.cellar.bus.nodes) == len(names) for house in self.houses))
        return self.houses

    def open_house(self, name: str) -> House:
        """One more."""
        house = House(self, name)
        self.houses.append(house)
        opened = ensureDeferred(house.cellar.open())
        self.pump.until(lambda: opened.called, run_clock=True)
        self.successResultOf(opened)
        return house

    def pass_time(self, seconds: float, step: float = 0.5) -> None:
        """Time passes, and everything that is due is done and answered."""
        end = self.clock.seconds() + seconds
        while self.clock.seconds() < end:
            self.settle()
            self.clock.advance(step)
        self.settle()

    def lose_claim(self, number: int) -> None:
        """The answer to this claim from now on is lost; the slot is taken."""
        left = [number]
        for house in self.houses:
            bus = house.cellar.bus

            async def claim(key: str, value: str, claim: Any = bus.claim) -> str:
                held: str = await claim(key, value)
                left[0] -= 1
                if left[0] == 0:
                    raise RedisLost
                return held

            self.patch(bus, "claim", claim)

    def settle(self) -> None:
        """Until nothing is on its way."""
        while True:
            self.pump.until(self._quiet)
            for house in self.houses:
                # What was published before this comes before it.
                if self.link.connected and house.cellar.subscriber.whole and not house.way.mute:
                    house.marks.clear()
                    self.link.call("PUBLISH", house.mark, "settled").addErrback(lambda _: None)
                    self.pump.until(lambda house=house: house.marks)  # type: ignore[misc]
                elif not house.clock.dead and not house.way.mute:
                    for _ in range(5):  # it may be connecting
                        self.pump.turn(0.002)
            if self._quiet():
                return

    def _quiet(self) -> bool:
        waiting = any(house.cellar.redis.waiting for house in self.houses if not house.way.mute)
        return not self.pump.due() and not waiting
