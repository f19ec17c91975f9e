"""Load on several nodes that goes on whatever happens: people who send until answered, people who listen.

Everything that anybody was told is kept with a number that grows with every event, for `chaos_checker`.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet.defer import Deferred, DeferredLock, TimeoutError, ensureDeferred
from twisted.internet.error import ConnectError, ConnectionClosed
from twisted.logger import Logger

from tests.clients.websocket_client import HandshakeRefused
from tests.e2e.people import JsonLinePerson, Person, ProtobufPerson, Row, Sent
from tests.e2e.server import Server, sleep
from tests.e2e.variants import SignallingPerson

LOST = (ConnectionClosed, ConnectError, TimeoutError, HandshakeRefused)
WINDOW = 4
FORMATS: Sequence[Callable[[str, str], Person]] = (ProtobufPerson, JsonLinePerson, SignallingPerson)
TRY_AGAIN = {"protobuf": {1}, "jsonline": {503}, "signalling": {1}}
"""What a send may be refused with while something is broken."""


class Sending:
    """A message somebody wants to send.

    Attributes:
        begun: the number of the event of its first attempt.
        accepted: the number of the event of its first acceptance; 0 = none.
        answers: every acceptance.
        attempts: how often it was sent.
        given_up: its sender does not ask any more, so it may be there or not.
    """

    def __init__(self, number: int, sender: str, user: str, group: str, members: Sequence[str]) -> None:
        self.client_id = f"{sender}-{number}"
        self.text = f"{sender} #{number} 你好"
        self.sender = sender
        self.user = user
        self.group = group
        self.recipients = {sender, *(members if group else (user,))}
        self.begun = 0
        self.accepted = 0
        self.answers: list[Sent] = []
        self.attempts = 0
        self.given_up = False


class World:
    """What all share.

    Attributes:
        nodes: those that may be connected to.
        sendings: everything that was ever sent.
        heard: everything that each listener was told: (user, format) -> rows by their numbers.
        faults: what was seen to be wrong while it went on.
        refusals: how many sends were answered by "try again".
        lost: how many connections ended.
        ending: nothing new is said, and what is refused is given up.
    """

    log = Logger()

    def __init__(self, chance: random.Random, nodes: Sequence[Server], users: Sequence[str]) -> None:
        self.chance = chance
        self.nodes = nodes
        self.users = users
        self.groups: dict[str, Sequence[str]] = {"some": users[: len(users) // 2], "all": users}
        self.sendings: list[Sending] = []
        self.faults: list[str] = []
        self.epochs: set[str] = set()
        self.refusals = 0
        self.lost = 0
        self.ending = False
        self._events = itertools.count(1)

    def event(self) -> int:
        """The number of what happens now."""
        return next(self._events)

    async def log_in(self, person: Person) -> Server:
        """On any node that takes it, which is returned; tries until one does."""
        while True:
            running = [node for node in self.nodes if node.running and node.pid]
            if running:
                node = self.chance.choice(running)
                try:
                    await person.log_in(node)
                    return node
                # A log-in that is refused is an AssertionError of the client's: the server has
                # no Redis at present. It is tried until the end, which would not come otherwise.
                except (*LOST, AssertionError, LookupError):
                    pass
            await sleep(self.chance.uniform(0.05, 0.3))


def alive(person: Person) -> bool:
    """Whether the connection is there."""
    return person.connection is not None and not person._ended().called


class Speaker:
    """Sends, a few at a time, each until it is answered, over whatever connection there is."""

    def __init__(self, world: World, make: Callable[[str, str], Person], user: str) -> None:
        self._world = world
        self._make = make
        self._lock = DeferredLock()
        self._numbers = itertools.count()
        self.user = user
        self.person = make(user, "speaker")

    def run(self) -> list[Deferred[None]]:
        """One for each of the sends at a time; they fire after `world.ending`."""
        return [ensureDeferred(self._work()) for _ in range(WINDOW)]

    async def _connected(self) -> Person:
        await self._lock.acquire()
        try:
            if not alive(self.person):
                if self.person.connection is not None:
                    self._world.lost += 1
                self.person = self._make(self.user, "speaker")
                await self._world.log_in(self.person)
            return self.person
        finally:
            self._lock.release()

    async def _work(self) -> None:
        world = self._world
        while not world.ending:
            user = group = ""
            if world.chance.random() < 0.3:
                group = world.chance.choice(
                    [name for name in world.groups if self.user in world.groups[name]]
                )
            else:
                user = world.chance.choice(world.users)
            sending = Sending(next(self._numbers), self.user, user, group, world.groups.get(group, ()))
            world.sendings.append(sending)
            await self._send(sending)
            await sleep(world.chance.uniform(0.0, 0.05))

    async def _send(self, sending: Sending) -> None:
        world = self._world
        while True:
            person = await self._connected()
            sending.begun = sending.begun or world.event()
            sending.attempts += 1
            try:
                sent = await person.send(
                    sending.client_id, sending.text, user=sending.user, group=sending.group
                )
            except LOST as lost:
                if isinstance(lost, TimeoutError):
                    world.faults.append(f"{sending.client_id}: no answer on a connection that is there")
                    person.connection.abort()
            else:
                if not sent.error:
                    sending.accepted = sending.accepted or world.event()
                    sending.answers.append(sent)
                    # Now and then it is asked once more: the same answer, nothing new.
                    if len(sending.answers) > 1 or world.chance.random() > 0.05:
                        return
                    continue
                world.refusals += 1
                if sent.error not in TRY_AGAIN[person.format]:
                    world.faults.append(f"{sending.client_id}: refused with {sent}")
                    sending.given_up = True
                    return
                await sleep(world.chance.uniform(0.05, 0.3))
            if (world.ending or world.chance.random() < 0.03) and not sending.answers:
                sending.given_up = True
                return


class Listener:
    """Another device of a user's: keeps everything it is told, over as many connections as it takes.

    Attributes:
        rows: what it was told, by number.
        node: where it is connected, or was last.
    """

    def __init__(self, world: World, make: Callable[[str, str], Person], user: str) -> None:
        self._world = world
        self._make = make
        self.user = user
        self.person = make(user, "listener")
        self.name = f"{user}/{self.person.format}"
        self.rows: dict[int, Row] = {}
        self.node: Server | None = None
        self._absorbed = 0
        self._last = 0
        self._told = 0

    @property
    def told(self) -> int:
        """Up to this number nothing is missing."""
        while self._told + 1 in self.rows:
            self._told += 1
        return self._told

    async def run(self) -> None:
        """Until `world.ending`; listens on after that until `close`."""
        while not self._world.ending:
            await self.look()
            await sleep(self._world.chance.uniform(0.05, 0.2))

    async def look(self) -> None:
        """Takes what came; connects again where that is needed; acknowledges now and then."""
        if alive(self.person):
            self._absorb()
            if self._world.chance.random() < 0.1 and self.told:
                self._acknowledge()
            return
        if self.person.connection is not None:
            self._absorb()
            self._world.lost += 1
        self.person = self._make(self.user, "listener")
        self.node = await self._world.log_in(self.person)
        self._absorbed = self._last = 0
        if isinstance(self.person, ProtobufPerson):
            try:
                for row in [self.person._row(push) for push in await self._pull(self.person)]:
                    self._keep(row)
            except (*LOST, AssertionError):
                # Redis is away, or the node has died. It begins anew, since nobody else would pull.
                self.person.connection.abort()

    async def _pull(self, person: ProtobufPerson) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = await person.connection.sync_all(self.told)
        return rows

    def _absorb(self) -> None:
        rows = self.person.pushed()
        for row in rows[self._absorbed :]:
            if row.seq <= self._last:
                self._world.faults.append(f"{self.name}: {row.seq} pushed after {self._last}")
            self._last = row.seq
            self._keep(row)
        self._absorbed = len(rows)

    def _keep(self, row: Row) -> None:
        known = self.rows.setdefault(row.seq, row)
        if known != row:
            self._world.faults.append(f"{self.name}: told {known}, and then {row}")

    def _acknowledge(self) -> None:
        if isinstance(self.person, ProtobufPerson):
            self.person.connection.send("MSG_ACK", seq=self.told)
        elif isinstance(self.person, JsonLinePerson):
            answer: Deferred[Any] = self.person.connection.request("message/ack", {"seq": self.told})
            answer.addErrback(lambda failure: failure.trap(*LOST))
