"""Clears away what lost nodes have left: slots, who was connected there, what they told last."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from twisted.internet.defer import Deferred, ensureDeferred
from twisted.logger import Logger

from imserver.backends.redis.link import Redis
from imserver.backends.redis.scripts import Script, lua
from imserver.backends.redis.slots import Slots
from imserver.model.errors import ImError

AT_ONCE = 200

_SLOTS = Script("reap_slots", *lua("reap_slots"))
_USERS = Script("reap_users", *lua("nodes", "attend", "reap_users"))
_TOLD = Script("reap_told", *lua("nodes", "attend", "reap_told"))
_OVER = Script("reap_over", *lua("reap_over"))


class Reaper:
    """One node at a time does it for each lost one: whoever has the slot.

    Args:
        attendance_changed: told of users who were connected to a lost node, or whom it told of last.
    """

    log = Logger()

    def __init__(
        self,
        redis: Redis,
        slots: Slots,
        identity: Callable[[], str],
        attendance_changed: Callable[[Sequence[str]], None],
    ) -> None:
        self._redis = redis
        self._slots = slots
        self._identity = identity
        self._attendance_changed = attendance_changed
        self._busy: dict[str, Deferred[None] | None] = {}

    def clear(self, nodes: Sequence[str]) -> None:
        """Of these nodes something is left."""
        for node in nodes:
            if node not in self._busy:
                self._busy[node] = None
                running = ensureDeferred(self._clear(node))
                if node in self._busy:
                    self._busy[node] = running

    def stop(self) -> None:
        """Another node goes on. Idempotent."""
        for running in list(self._busy.values()):
            if running is not None:
                running.addErrback(_ignored)
                running.cancel()

    async def _clear(self, node: str) -> None:
        slot, mine = f"reap/{node}", self._identity()
        try:
            if await self._slots.claim(slot, mine) != mine:
                return
            try:
                while await self._redis.script(_SLOTS, args=(node, AT_ONCE)):
                    pass
                for taken in (_USERS, _TOLD):
                    while users := await self._redis.script(taken, args=(node, AT_ONCE)):
                        self._attendance_changed([user.decode() for user in users])
                await self._redis.script(_OVER, args=(node,))
            finally:
                self._slots.release(slot, mine)
        except ImError as error:
            # The next look at the nodes finds it again.
            self.log.warn("what node {node} left is not cleared away yet: {text}", node=node, text=error.text)
        finally:
            self._busy.pop(node, None)


def _ignored(failure: object) -> None:
    pass
