"""A server that can be killed at any moment and started again over what it had committed.

Everything below tap is the real thing: engine, services, sessions, codecs,
protocols. Simulated are the reactor, the sockets, the writer thread and the
pool of reader threads; the database is SQLite in memory.

Killing is a flag. Whatever the dead code still does in the call that killed it
reaches nothing: its timers never fire, its sockets and its disk take nothing.
"""

from __future__ import annotations

import sqlite3
from collections import Counter, deque
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.python.failure import Failure

from imserver.backends.embedded import EmbeddedCellar
from imserver.backends.embedded.committer import Batch, Finished, run_batches
from imserver.backends.embedded.database import MemoryDatabase
from imserver.backends.embedded.settings import Failpoints
from imserver.backends.embedded.verify import verify_connection
from imserver.model.accounts import Account, Role
from imserver.model.call_records import CallRecord
from imserver.model.errors import ErrorCode, ImError
from imserver.model.messages import InboxRow
from imserver.protocols.doors import Doors
from imserver.protocols.formats import CodecOptions, stream_factory, websocket_factory
from imserver.services.accounts import Accounts
from imserver.services.calls import CallSettings
from imserver.services.groups import Groups
from imserver.services.hub import Hub, HubSettings
from imserver.services.messages import MessageSettings
from imserver.services.passwords import PasswordHasher, digest
from imserver.services.tokens import Key, KeyRing, Tokens
from tests.simulation.checker import Members
from tests.simulation.history import History, Membership
from tests.simulation.network import Connection, Manner, Poller
from tests.simulation.plan import Plan
from tests.simulation.world import Realm, World

TRIM_EVERY = 2.0
CALLS = CallSettings(ring_seconds=4.0, grace_seconds=2.0, max_seconds=12.0)
"""Short enough that all of it happens."""
_IN_TRANSACTIONS = ("before-insert", "after-insert", "before-commit", "before-index", "after-index")


class Killed(Exception):
    """Raised out of a transaction in which the node died: the disk rolls it back."""


class Disk:
    """The faults of one node's disk; each is a count of reasons for it.

    Attributes:
        full: commits fail.
        slow / slow_reads: commits and page reads take long.
    """

    __slots__ = ("_chance", "_plan", "full", "slow", "slow_reads")

    def __init__(self, plan: Plan, chance: Random) -> None:
        self._plan = plan
        self._chance = chance
        self.full = 0
        self.slow = 0
        self.slow_reads = 0

    def mend(self) -> None:
        """All is well again."""
        self.full = self.slow = self.slow_reads = 0

    def commit_delay(self) -> float:
        """Seconds a commit takes."""
        return round(self._chance.random() * (3.0 if self.slow else self._plan.commit_delay), 3)

    def read_delay(self) -> float:
        """Seconds a page takes."""
        return round(self._chance.random() * (2.0 if self.slow_reads else self._plan.read_delay), 3)


class SimulatedCommitter:
    """The writer thread: commits what waits, a random part of it at a time, and tells later."""

    def __init__(self, realm: Realm, disk: Disk, chance: Random) -> None:
        self._realm = realm
        self._disk = disk
        self._chance = chance
        self._queue: deque[Batch] = deque()
        self._busy = False
        self._stopped = False
        self._refused = -1
        self._reason: Exception | None = None
        self._connection: sqlite3.Connection
        self._failpoints: Failpoints
        self._finished: Finished

    def start(self, connection: sqlite3.Connection, failpoints: Failpoints, finished: Finished) -> None:
        """See committer.Committer."""
        self._connection = connection
        self._failpoints = failpoints
        self._finished = finished

    def submit(self, batch: Batch) -> None:
        """See committer.Committer."""
        self._queue.append(batch)
        self._next()

    def stop(self) -> None:
        """See committer.Committer."""
        self._stopped = True
        while self._queue and self._realm.alive:
            self._work(len(self._queue))

    def _next(self) -> None:
        if self._queue and not self._busy and not self._stopped and self._realm.alive:
            self._busy = True
            self._realm.callLater(self._disk.commit_delay(), self._turn)

    def _turn(self) -> None:
        if self._queue:
            self._work(self._chance.randint(1, len(self._queue)))
        # The reactor may hear of it much later than the thread goes on.
        self._busy = False
        self._next()

    def _work(self, count: int) -> None:
        batches = [self._queue.popleft() for _ in range(count)]
        stale = [batch for batch in batches if batch.generation <= self._refused]
        fresh = batches[len(stale) :]
        if stale:
            self._tell(stale, self._reason)
        if fresh:
            error: Exception | None = None
            try:
                run_batches(self._connection, fresh, self._failpoints)
            except Exception as caught:
                error = self._reason = caught
                self._refused = fresh[-1].generation
            self._tell(fresh, error)

    def _tell(self, batches: Sequence[Batch], error: Exception | None) -> None:
        self._realm.callFromThread(self._finished, batches, error)


class SimulatedThreads:
    """The pool of threads for reads and passwords."""

    def __init__(self, realm: Realm, disk: Disk) -> None:
        self._realm = realm
        self._disk = disk

    def call(self, function: Callable[..., Any], *args: Any) -> Deferred[Any]:
        """See ports.Threads."""
        done: Deferred[Any] = Deferred()
        if self._realm.alive:
            self._realm.callLater(self._disk.read_delay(), self._run, done, function, args)
        return done

    def _run(self, done: Deferred[Any], function: Callable[..., Any], args: tuple[Any, ...]) -> None:
        try:
            result = function(*args)
        except Exception:
            self._realm.callFromThread(done.errback, Failure())
        else:
            self._realm.callFromThread(done.callback, result)


class WitnessedDirectory:
    """A directory whose changes of membership are noted for the checker."""

    def __init__(self, inner: Any, node: Node) -> None:
        self._inner = inner
        self._node = node

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def add_member(self, group: str, user: str, at: float) -> bool:
        """See ports.Directory."""
        return bool(await self._noted(group, [user], True, self._inner.add_member(group, user, at)))

    async def remove_member(self, group: str, user: str, at: float) -> Any:
        """See ports.Directory."""
        return await self._noted(group, [user], False, self._inner.remove_member(group, user, at))

    async def delete_group(self, group: str) -> Any:
        """See ports.Directory."""
        return await self._noted(group, self._node.history.users, False, self._inner.delete_group(group))

    async def create_group(
        self, group: str, name: str, owner: str, open: bool, *rest: Any, **more: Any
    ) -> Any:
        """See ports.Directory."""
        self._node.history.members.setdefault(group, set())
        inner = self._inner.create_group(group, name, owner, open, *rest, **more)
        return await self._noted(group, list(rest[1]), True, inner)

    async def _noted(self, group: str, users: list[str], joined: bool, work: Any) -> Any:
        node = self._node
        memberships = node.history.memberships
        noted = [Membership(group, user, joined, node.world.step) for user in users]
        memberships.extend(noted)
        try:
            result = await work
        except ImError:
            # Refused, or not durable: it did not happen.
            for membership in noted:
                membership.ended = node.world.step
            memberships[:] = [one for one in memberships if one not in noted]
            raise
        for membership in noted:
            membership.ended = node.world.step
            membership.certain = True
        return result


class Node:
    """One server.

    Attributes:
        up: it runs.
        disk: its faults.
        armed: failpoint -> how many more times it is passed before the node dies there.
        database: what outlives it.
    """

    def __init__(
        self, world: World, history: History, plan: Plan, number: int, database: MemoryDatabase
    ) -> None:
        self.world = world
        self.history = history
        self.plan = plan
        self.number = number
        self.name = f"node{number}"
        self.database = database
        self.disk = Disk(plan, world.randomness(f"disk{number}"))
        self.armed: Counter[str] = Counter()
        self.up = False
        self.cellar: Any = None
        self.hub: Hub
        self.connections: list[Connection] = []
        self.started = 0
        self._chance = world.randomness(f"node{number}")
        self._bytes = world.randomness(f"bytes{number}").randbytes
        self._key = Key("k1", "HS256", b"k" * 32)
        self._graveyard: list[Any] = []  # dead parts are not collected while the world runs
        self._down_since = 0

    # Life and death

    def start(self) -> None:
        """Opens the engine over the database and begins to listen."""
        world, plan = self.world, self.plan
        self.started += 1
        self.poller = poller = Poller(world, self.name)
        threads = SimulatedThreads(poller, self.disk)
        cellar = EmbeddedCellar(
            self.database,
            SimulatedCommitter(poller, self.disk, self._chance),
            threads,
            poller,
            world.wall_time,
            self._bytes,
            node=self.number,
            settings=plan.settings,
            failpoints=self,
        )
        cellar.open()
        self._serve(cellar, WitnessedDirectory(cellar.directory, self), threads)
        if self.started > 1:
            self._compare_memberships()

    def _serve(self, cellar: Any, directory: Any, threads: SimulatedThreads, **more: Any) -> None:
        """Begins to listen; `more` is for the hub."""
        world, plan, poller = self.world, self.plan, self.poller
        self.cellar = cellar
        hasher = PasswordHasher(threads, time_cost=1, memory_kib=8, random_bytes=self._bytes)
        tokens = Tokens(KeyRing([self._key], self._bytes), world.wall_time, self._bytes)
        accounts = Accounts(
            directory,
            cellar.bus,
            hasher,
            tokens,
            world.wall_time,
            self._bytes,
            demo=True,
            clock=poller.seconds,
        )
        groups = Groups(directory, cellar.bus, hasher, world.wall_time, self._bytes, clock=poller.seconds)
        self.hub = Hub(
            cellar.store,
            directory,
            cellar.bus,
            accounts,
            groups,
            world.wall_time,
            self._bytes,
            poller,
            HubSettings(MessageSettings(page_bytes=plan.page_bytes), calls=CALLS),
            **more,
        )
        self.doors = Doors(self.hub, poller)
        options = CodecOptions(world.wall_time)
        by_token = CodecOptions(world.wall_time, auth="token")
        self._factories: dict[str, Any] = {
            "jsonline": stream_factory("jsonline", self.doors, options),
            "protobuf": websocket_factory("protobuf", self.doors, options),
            "signalling": websocket_factory("signalling", self.doors, options),
            "qdatastream": stream_factory("qdatastream", self.doors, by_token),
        }
        self._graveyard.append((poller, cellar, self.hub, self.doors))
        self.up = True
        poller.callLater(TRIM_EVERY, self._trim, poller, cellar)
        world.note(self.name, "up", f"life={self.started}")

    def _trim(self, poller: Poller, cellar: Any) -> None:
        """What tap does now and then."""
        poller.callLater(TRIM_EVERY, self._trim, poller, cellar)
        ensureDeferred(cellar.trim(self.world.wall_time())).addErrback(self._refused, "the trim failed")

    def _refused(self, failure: Failure, what: str) -> None:
        """A failing disk is no fault of the server."""
        error = failure.value
        if not isinstance(error, ImError) or error.code is not ErrorCode.UNAVAILABLE:
            self.history.faults.append(f"{self.name}: {what}: {failure.getTraceback()}")

    def crash(self, where: str) -> None:
        """Dies on the spot; comes back after a while."""
        if not self.poller.alive:
            return
        self.world.note(self.name, "dies", where)
        self.poller.kill()
        self._went_down()
        for connection in self.connections:
            connection.crashed(round(self._chance.random() * 0.5, 3))
        self.connections.clear()

    def _went_down(self) -> None:
        self.up = False
        self._down_since = self.world.step
        for membership in self.history.memberships:
            membership.ended = min(membership.ended, self.world.step)
        self.world.later(round(self._chance.random() * 2.0, 3), self.come_back)

    def come_back(self) -> None:
        """Starts again, unless it runs or is still about to stop."""
        if not self.poller.alive:
            self.start()

    def shut_down(self) -> None:
        """Stops in good order and comes back."""
        self.world.note(self.name, "shuts down")
        self.up = False
        self.hub.shut_down()
        self.doors.shut_down()
        self.poller.callLater(6.0, self._stop)

    def _stop(self) -> None:
        ensureDeferred(self._close()).addBoth(self._stopped)

    async def _close(self) -> None:
        await self.cellar.close()

    def _stopped(self, result: Any) -> None:
        if isinstance(result, Failure):
            self.history.faults.append(f"{self.name}: could not be closed: {result.value!r}")
        if self.poller.alive:
            self.world.note(self.name, "stopped")
            self.poller.kill()
            for connection in self.connections:
                connection.crashed(0.0)
            self.connections.clear()
            self._went_down()

    def patch(self, target: Any, attribute: str, broken: Any) -> None:
        """For mutations, which override it: tampers with a part of the product until the run is over."""
        raise TypeError("this node is not to be broken")

    # settings.Failpoints

    def hit(self, name: str) -> None:
        """The engine, or a socket, passes a point at which the node may die."""
        if not self.poller.alive:
            if name in _IN_TRANSACTIONS:
                raise Killed(name)
            return
        if name == "before-commit" and self.disk.full:
            raise sqlite3.OperationalError("database or disk is full")
        left = self.armed.get(name)
        if left is not None:
            if left > 1:
                self.armed[name] = left - 1
                return
            del self.armed[name]
            self.crash(f"at {name}")
            if name in _IN_TRANSACTIONS:
                raise Killed(name)

    # The door

    def dial(
        self,
        format: str,
        received: Callable[[bytes], None],
        lost: Callable[[], None],
        manner: Manner | None,
    ) -> Connection | None:
        """A client connects."""
        if not self.up:
            return None
        plan = self.plan
        manner = manner or Manner(plan.latency, plan.piece, plan.window)
        port = 1024 + len(self.history.links)
        peer = IPv4Address("TCP", "127.0.0.1", port)
        protocol = self._factories[format].buildProtocol(peer)
        if protocol is None:
            return None
        connection = Connection(self.world, self.poller, manner, received, lost, lambda: self._passes("send"))
        self.connections.append(connection)
        connection.accept(protocol, peer, IPv4Address("TCP", "127.0.0.1", 8088))
        return connection

    def _passes(self, name: str) -> None:
        if self.poller.alive and name in self.armed:
            self.hit(name)

    # The harness's side

    def run(self, work: Any) -> Any:
        """Runs a coroutine of the server to its end, whatever the world does meanwhile."""
        results: list[Any] = []
        ensureDeferred(work).addBoth(results.append)
        while not results:
            self.world.run(self.world.now + 0.05)
        if isinstance(results[0], Failure):
            results[0].raiseException()
        return results[0]

    async def create_people(self, users: list[str]) -> None:
        """Makes the accounts; the first one is an administrator."""
        for index, user in enumerate(users):
            role = Role.ADMIN if index == 0 else Role.USER
            stored = password_hash(f"password of {user}")
            await self.cellar.directory.create_account(
                Account(user, stored, role, created_at=self.world.wall_time())
            )

    async def inbox(self, user: str) -> list[InboxRow]:
        """The whole inbox as the engine has it."""
        rows: list[InboxRow] = []
        more = True
        while more:
            page = await self.cellar.store.inbox(user, rows[-1].seq if rows else 0, 0, 500, 1 << 30)
            rows.extend(page.rows)
            more = page.has_more and bool(page.rows)
        return rows

    async def call_records(self, user: str) -> list[CallRecord]:
        """All of the user's calls as the engine has them."""
        records: list[CallRecord] = []
        cursor = ""
        while True:
            page = await self.cellar.store.calls(user, cursor, 200)
            records.extend(page.calls)
            cursor = page.next_cursor
            if not cursor:
                return records

    def calls_left(self) -> list[str]:
        """What it still thinks of calls, where there should be none."""
        calls = self.hub.calls
        home, counts = calls._home, calls.counts
        busy = [slot for slot in self.cellar.bus._slots if slot.startswith("busy/")]
        left = []
        if busy or home._by_pair or home._preparing or home._lanes:
            left.append(f"{self.name}: calls that never end: {busy} {list(home._by_pair)}")
        media = calls._sessions.media
        if media._links:
            left.append(f"{self.name}: media of calls that ended: {media._links}")
        if counts.ringing or counts.running or counts.started != sum(counts.ended.values()):
            left.append(f"{self.name}: calls counted wrongly: {counts.ringing} ring, {counts.running} run")
        return left

    def verify(self) -> list[str]:
        """What the engine's own check of its database finds."""
        found = verify_connection(
            self.database.connection,
            dedupe_seconds=self.plan.settings.dedupe_seconds,
            now=self.world.wall_time(),
        )
        return [f"{self.name}: verify: {fault}" for fault in found]

    def _compare_memberships(self) -> None:
        ensureDeferred(self._snapshot()).addErrback(self._refused, "groups could not be read")

    async def _snapshot(self) -> None:
        """What the directory says after a restart is known from now on; what was known must still hold."""
        history, step = self.history, self.world.step
        known = Members(history.memberships)
        for group in list(history.members):
            record = await self.cellar.directory.group(group)
            members = set() if record is None else {member.user for member in record.group.members}
            for user in history.users:
                before = known.during(group, user, self._down_since, self._down_since)
                if before is not None and before != (user in members):
                    history.faults.append(f"{self.name}: {user}'s membership of {group} was {before} once")
                history.memberships.append(Membership(group, user, user in members, step, step, True))


_hashes: dict[str, str] = {}


def password_hash(password: str) -> str:
    """The argon2id string of a password with the weakest parameters; computed once a process."""
    if password not in _hashes:
        hasher = PasswordHasher(
            SimulatedThreads(Realm(World(0), ""), Disk.__new__(Disk)), time_cost=1, memory_kib=8
        )
        _hashes[password] = hasher._hash(digest(password, False), b"0123456789abcdef")
    return _hashes[password]
