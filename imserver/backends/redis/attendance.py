"""Who is connected where: `ports.Attendance`, kept in Redis so that every node sees the same."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from imserver.backends.redis.faults import unavailable
from imserver.backends.redis.link import Redis
from imserver.backends.redis.nodes import Nodes
from imserver.backends.redis.scripts import Script, lua
from imserver.model.calls import Media
from imserver.services.ports import Seat

USERS_PER_LOOK = 1_000
RETRY_SECONDS = 1.0
SWEEP_SECONDS = 5.0
LATE_SECONDS = 10.0
LATE_USERS = 200
"""So often is looked who has not been announced for so long: whoever was about to may be lost, or cut off."""

_HERE = Script("attend_here", *lua("nodes", "attend", "attend_here"))
_RANKS = Script("attend_ranks", *lua("nodes", "attend", "attend_ranks"))
_ANNOUNCED = Script("attend_announced", *lua("nodes", "attend", "attend_announced"))
_LATE = Script("attend_late", *lua("nodes", "attend_late"))
_NODES = Script("attend_nodes", *lua("attend_nodes"))
_STANDING = Script("attend_standing", *lua("nodes", "attend", "attend_standing"))

_decode = msgspec.msgpack.Decoder(list[int | tuple[str, float, str, str]]).decode


class Attendance:
    """See `ports.Attendance`.

    What is true here is written whole, one user at a time, so it may be written again whenever it
    is not known whether Redis has it.

    Args:
        clock: times new attempts.
        late: told of users whose rank has not been announced.

    Attributes:
        seats_here: the sessions of a user on this node, oldest first.
    """

    def __init__(
        self, redis: Redis, nodes: Nodes, clock: IReactorTime, late: Callable[[Sequence[str]], None]
    ) -> None:
        self._redis = redis
        self._nodes = nodes
        self._clock = clock
        self._tell_late = late
        self._sweep_timer: IDelayedCall | None = None
        self.seats_here: Callable[[str], Sequence[Seat]] = _nobody
        self._rank: Callable[[str], int] = _unseen
        self._limit = 0
        self._here: set[str] = set()  # users who are entered here
        self._unwritten: dict[str, None] = {}
        self._timer: IDelayedCall | None = None
        self._stopped = False

    def serve(self, rank: Callable[[str], int], limit: int) -> None:
        """See `Attendance.serve`."""
        self._rank, self._limit = rank, limit

    # Writing

    async def enter(self, user: str) -> Sequence[Seat]:
        """See `Attendance.enter`."""
        beyond = await self._write(user, self._limit)
        return [
            Seat(user, session.decode(), node.decode(), Media(media.decode()), device.decode())
            for node, session, media, device in beyond
        ]

    def changed(self, user: str) -> None:
        """See `Attendance.changed`."""
        self._unwritten[user] = None
        self._wake(0.0)

    def rejoined(self) -> list[str]:
        """This node has another name: all users who are connected here, who are entered anew at once."""
        users = sorted(self._here)
        self._unwritten.update(dict.fromkeys(users))
        self.flush()
        return users

    def again(self) -> None:
        """Redis may have forgotten the last of what it was told: anew, who is here, and who is not."""
        if self._stopped:
            return
        for user in sorted(self._here):
            self.changed(user)

        def look(found: Sequence[bytes]) -> None:
            for name in found:
                if name.decode() not in self._here:
                    self.changed(name.decode())

        def later(_: object) -> None:
            if not self._stopped:
                self._clock.callLater(RETRY_SECONDS, self.again)

        key = f"{self._redis.prefix}nu:{self._nodes.identity}"
        self._redis.call("SMEMBERS", key).addCallbacks(look, later)

    def start(self) -> None:
        """Begins to look who was not announced."""
        self._sweep_timer = self._clock.callLater(SWEEP_SECONDS, self._sweep)

    def stop(self) -> None:
        """Writes nothing more; the others take this node's users off. Idempotent."""
        self._stopped = True
        if self._sweep_timer is not None:
            self._sweep_timer.cancel()
            self._sweep_timer = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _wake(self, seconds: float) -> None:
        if self._timer is None and not self._stopped:
            self._timer = self._clock.callLater(seconds, self.flush)
        elif self._timer is not None and seconds == 0.0:
            self._timer.reset(0.0)

    def flush(self) -> None:
        """Sends what is not written yet, before whatever is sent next."""
        if self._timer is not None:
            if self._timer.active():
                self._timer.cancel()
            self._timer = None
        if self._stopped:
            return
        users, self._unwritten = self._unwritten, {}
        for user in users:
            self._write(user, 0).addErrback(self._failed, user)

    def _failed(self, failure: Any, user: str) -> None:
        if user not in self._unwritten:
            self._unwritten[user] = None
            self._wake(RETRY_SECONDS)

    def _write(self, user: str, limit: int) -> Deferred[Any]:
        self._unwritten.pop(user, None)
        words: list[Any] = []
        for seat in self.seats_here(user):
            words += (seat.session, seat.media.value, seat.device)
        if words:
            self._here.add(user)
        else:
            self._here.discard(user)
        arguments = (self._nodes.identity, user, self._rank(user), limit, *words)
        return self._redis.script(_HERE, args=arguments).addCallback(_checked)

    # Looking

    async def ranks(self, users: Sequence[str]) -> Sequence[int]:
        """See `Attendance.ranks`."""
        self.flush()
        looks = [
            self._redis.script(_RANKS, args=users[at : at + USERS_PER_LOOK])
            for at in range(0, len(users), USERS_PER_LOOK)
        ]
        return [rank for ranks in await _all(looks) for rank in ranks]

    async def standing(self, user: str) -> tuple[int, int]:
        """See `Attendance.standing`."""
        self.flush()
        rank, announced = await self._redis.script(_STANDING, args=(user,))
        return rank, announced

    async def announced(self, user: str, rank: int) -> None:
        """See `Attendance.announced`."""
        _checked(await self._redis.script(_ANNOUNCED, args=(self._nodes.identity, user, rank)))

    def _sweep(self) -> None:
        self._sweep_timer = self._clock.callLater(SWEEP_SECONDS, self._sweep)
        # One node does it, if all agree on who.
        if self._nodes.taking_part and self._nodes.home("late") == self._nodes.identity:
            looked = self._redis.script(_LATE, args=(LATE_SECONDS, LATE_USERS))
            looked.addCallback(lambda users: self._tell_late([user.decode() for user in users]))
            looked.addErrback(lambda _: None)

    async def seats(self, user: str) -> list[Seat]:
        """See `Bus.seats`."""
        self.flush()
        reply = await self._redis.call("HGETALL", f"{self._redis.prefix}at:{user}")
        found: list[tuple[float, Seat]] = []
        for at in range(0, len(reply), 2):
            node = reply[at].decode()
            if self._nodes.is_lost(node):
                continue
            for one in _decode(reply[at + 1]):
                if isinstance(one, tuple):
                    session, since, media, device = one
                    found.append((since, Seat(user, session, node, Media(media), device)))
        found.sort(key=lambda one: (one[0], one[1].session))
        return [seat for _, seat in found]

    async def nodes_of(self, users: Sequence[str]) -> dict[str, list[str]]:
        """Nodes, and which of these users are connected there."""
        parts = [users[at : at + USERS_PER_LOOK] for at in range(0, len(users), USERS_PER_LOOK)]
        replies = await _all([self._redis.script(_NODES, args=part) for part in parts])
        found: dict[str, list[str]] = {}
        for part, rows in zip(parts, replies, strict=True):
            for node, *indexes in rows:
                found.setdefault(node.decode(), []).extend(part[index] for index in indexes)
        return found


async def _all(looks: Sequence[Deferred[Any]]) -> list[Any]:
    """The replies to commands that were sent together. Raises as the first that failed."""
    for look in looks:
        look.addErrback(_as_result)
    replies = [await look for look in looks]
    for reply in replies:
        if isinstance(reply, BaseException):
            raise reply
    return replies


def _as_result(failure: Any) -> Any:
    return failure.value


def _checked(reply: Any) -> Any:
    if reply == b"lost":
        raise unavailable("this node is not one of the others now")
    return reply


def _nobody(user: str) -> Sequence[Seat]:
    return ()


def _unseen(user: str) -> int:
    return 0
