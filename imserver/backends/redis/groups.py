"""Groups in Redis. Keys: `keys`, "Groups"; the store reads the memberships."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from imserver.backends.redis.core import Core
from imserver.backends.redis.scripts import Script, lua
from imserver.model.errors import ErrorCode, ImError
from imserver.model.groups import Group, GroupMember, GroupRole
from imserver.services.ports import GroupRecord
from imserver.services.together import together

_SHOW = Script("group_show", *lua("lists", "groups", "group_show"))
_LIST = Script("group_list", *lua("lists", "groups", "group_list"))
_OF = Script("group_of", *lua("lists", "groups", "group_of"))
_CREATE = Script("group_create", *lua("lists", "pairs", "groups", "group_create"))
_JOIN = Script("group_join", *lua("lists", "pairs", "groups", "group_join"))
_LEAVE = Script("group_leave", *lua("lists", "groups", "group_leave"))
_INVITE = Script("group_invite", *lua("lists", "pairs", "groups", "group_invite"))
_DELETE = Script("group_delete", *lua("lists", "groups", "group_delete"))

_REFUSALS = {
    b"no-user": (ErrorCode.USER_NOT_FOUND, "there is no such user"),
    b"no-group": (ErrorCode.NOT_FOUND, "there is no such group"),
    b"no-member": (ErrorCode.NOT_FOUND, "not a member of the group"),
    b"full": (ErrorCode.CONFLICT, "the group is full"),
    b"taken": (ErrorCode.CONFLICT, "the group id is or was taken"),
}


class Groups:
    """The part of `Directory` that is about groups."""

    def __init__(self, core: Core) -> None:
        self._core = core

    async def group(self, group: str) -> GroupRecord | None:
        """See `Directory.group`."""
        return _record(group, await self._core.redis.script(_SHOW, args=(group,)))

    async def groups_of(self, user: str) -> list[Group]:
        """See `Directory.groups_of`."""
        found = await _of(self._core, user)
        found.sort(key=lambda group: group.group.encode())
        return found

    async def groups(self, after: str, limit: int) -> list[Group]:
        """See `Directory.groups`."""
        return [_group(row) for row in await self._core.redis.script(_LIST, args=(after, limit))]

    async def create_group(
        self,
        group: str,
        name: str,
        owner: str,
        open: bool,
        password_hash: str,
        members: Sequence[str],
        at: float,
        *,
        encrypted: bool = False,
    ) -> GroupRecord:
        """See `Directory.create_group`."""
        everybody = dict.fromkeys((owner, *members))
        created = _record(
            group,
            await self._do(
                _CREATE,
                group,
                name,
                int(open),
                password_hash,
                repr(at),
                int(encrypted),
                self._core.settings.group_members,
                *everybody,
            ),
        )
        assert created is not None
        return created

    async def add_member(self, group: str, user: str, at: float) -> bool:
        """See `Directory.add_member`."""
        return bool(await self._do(_JOIN, group, user, repr(at), self._core.settings.group_members))

    async def remove_member(self, group: str, user: str, at: float) -> GroupRecord | None:
        """See `Directory.remove_member`."""
        return _record(group, await self._do(_LEAVE, group, user))

    async def invite(self, group: str, user: str, by: str, at: float) -> None:
        """See `Directory.invite`."""
        await self._do(_INVITE, group, user)

    async def delete_group(self, group: str) -> GroupRecord:
        """See `Directory.delete_group`."""
        record = _record(group, await self._do(_DELETE, group))
        assert record is not None
        return record

    async def _do(self, script: Script, *args: Any) -> Any:
        reply = await self._core.redis.script(script, args=args)
        if isinstance(reply, bytes) and reply:
            raise ImError(*_REFUSALS[reply])
        return reply


async def companions(core: Core, user: str, largest_group: int) -> set[str]:
    """The members of those of a user's groups that have no more than so many; the user too, if any."""

    async def members_of(group: str) -> list[bytes]:
        members: list[bytes] = await core.redis.call("ZRANGE", core.redis.prefix + "gm:" + group, 0, -1)
        return members

    small = [group.group for group in await _of(core, user) if group.member_count <= largest_group]
    # Each by a command of its own: others have their turn between large ones.
    found: set[str] = set()
    for members in await together(members_of, small):
        found.update([name.decode() for name in members])
    return found


async def _of(core: Core, user: str) -> list[Group]:
    return [_group(row) for row in await core.redis.script(_OF, args=(user,))]


def _group(row: Sequence[Any]) -> Group:
    group, name, owner, open, password_hash, at, encrypted, count = row
    return Group(
        group.decode(),
        name.decode(),
        owner.decode(),
        open == b"1",
        bool(password_hash),
        float(at),
        count,
        encrypted=encrypted == b"1",
    )


def _record(group: str, reply: Any) -> GroupRecord | None:
    if reply is None:
        return None
    (name, owner, open, password_hash, at, encrypted), members, joined, invited = reply
    listed = [
        GroupMember(user.decode(), GroupRole.OWNER if user == owner else GroupRole.MEMBER, float(since))
        for user, since in sorted(zip(members, joined, strict=True))
    ]
    described = Group(
        group,
        name.decode(),
        owner.decode(),
        open == b"1",
        bool(password_hash),
        float(at),
        len(listed),
        listed,
        encrypted == b"1",
    )
    return GroupRecord(described, password_hash.decode(), frozenset(user.decode() for user in invited))
