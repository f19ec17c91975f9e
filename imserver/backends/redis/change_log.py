"""The log of changes: what is stored of a revoke, a receipt, a missed call, news of a friend.

A change is numbered over all users, belongs to some or to everybody, and tells of one event. It is
stored as [kind, fields...] under its own key, which goes by itself after a time (lua/changes.lua).
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct

from imserver.backends.redis.core import Core
from imserver.backends.redis.scripts import Script, lua
from imserver.model.call_records import CallMissed
from imserver.model.friends import FriendChange, FriendChanged
from imserver.model.messages import MessageRevoked, MessagesRead

CHANGES = Script("changes", *lua("lists", "read_changes"))


class ChangeRecord(Struct, array_like=True, frozen=True, gc=False, tag=0):
    """A revoke (`read` False, one id) or a receipt; `name` "" = the canonical one."""

    read: bool
    message_ids: tuple[str, ...]
    name: str
    canonical: str
    by: str
    at: float
    renamed: list[str]

    def event(self, reader: str) -> MessageRevoked | MessagesRead:
        """The event, with the name that is right for this reader."""
        name = self.name
        if not name or reader in self.renamed:
            name = self.canonical
        if self.read:
            return MessagesRead(self.message_ids, name, self.canonical, self.by, self.at)
        return MessageRevoked(self.message_ids[0], name, self.canonical, self.by, self.at)


class MissedRecord(Struct, array_like=True, frozen=True, gc=False, tag=1):
    """A missed call."""

    call: str
    caller: str
    callee: str
    video: bool
    created_at: float
    ended_at: float

    def event(self, reader: str) -> CallMissed:
        """The event, the same for every reader."""
        return CallMissed(self.call, self.caller, self.callee, self.video, self.created_at, self.ended_at)


class FriendRecord(Struct, array_like=True, frozen=True, gc=False, tag=2):
    """What happened between two users; fields as in `FriendChanged`."""

    change: str
    user: str
    by: str
    at: float
    request: int
    message: str

    def event(self, reader: str) -> FriendChanged:
        """The event, the same for every reader."""
        change = FriendChange(self.change)
        return FriendChanged(change, self.user, self.by, self.at, self.request, self.message)


Record = ChangeRecord | MissedRecord | FriendRecord

encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Record).decode


async def read_changes(core: Core, user: str, after: int, limit: int) -> list[tuple[int, Any]]:
    """See `Store.changes`."""
    found = await core.redis.script(CHANGES, (), (user, after, max(limit, 1)))
    rows = zip(found[::2], found[1::2], strict=True)
    changes = [(int(number), _decode(body).event(user)) for number, body in rows]
    if changes:
        core.heads.change_seen(changes[-1][0])
    return changes
