"""An in-memory Directory and Bus, and threads under the test's control."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec
from twisted.internet.defer import Deferred, maybeDeferred

from imserver.model.accounts import Account, Grant, Role, SessionKicked
from imserver.model.errors import ErrorCode, ImError
from imserver.model.groups import Group, GroupMember, GroupRole
from imserver.services.ports import GroupRecord

replace = msgspec.structs.replace


class _Group:
    def __init__(self, group: Group, password_hash: str) -> None:
        self.group = group
        self.password_hash = password_hash
        self.members: dict[str, int] = {}
        self.joined: dict[str, float] = {}
        self.invited: set[str] = set()

    def record(self) -> GroupRecord:
        members = [
            GroupMember(
                user,
                GroupRole.OWNER if user == self.group.owner else GroupRole.MEMBER,
                self.joined[user],
            )
            for user in sorted(self.members)
        ]
        described = replace(self.group, members=members, member_count=len(members))
        return GroupRecord(described, self.password_hash, frozenset(self.invited))


class MemoryDirectory:
    """services.ports.Directory in memory.

    With `stepping` every operation waits until the test takes it out of `waiting`
    and fires it, so that a test can choose the order in which racing coroutines go on.
    """

    def __init__(self, max_members: int = 10_000) -> None:
        self.stepping = False
        self.waiting: list[Deferred[None]] = []
        self._max_members = max_members
        self._accounts: dict[str, Account] = {}
        self._grants: dict[str, Grant] = {}
        self._groups: dict[str, _Group] = {}
        self._past_groups: set[str] = set()
        self._seen: dict[str, float] = {}
        self._order = itertools.count()

    async def _turn(self) -> None:
        if self.stepping:
            turn: Deferred[None] = Deferred()
            self.waiting.append(turn)
            await turn

    async def account(self, user: str) -> Account | None:
        await self._turn()
        return self._accounts.get(user)

    async def create_account(self, account: Account) -> None:
        await self._turn()
        if account.user in self._accounts:
            raise ImError(ErrorCode.USER_EXISTS, "this user exists already")
        self._accounts[account.user] = account

    async def change_account(
        self,
        user: str,
        *,
        password_hash: str | None = None,
        role: Role | None = None,
        disabled: bool | None = None,
    ) -> Account:
        await self._turn()
        account = self._known(user)
        account = replace(
            account,
            password_hash=account.password_hash if password_hash is None else password_hash,
            role=account.role if role is None else role,
            disabled=account.disabled if disabled is None else disabled,
            generation=account.generation + 1,
        )
        self._accounts[user] = account
        return account

    async def bump_generation(self, user: str) -> Account:
        return await self.change_account(user)

    async def accounts(self, after: str, limit: int) -> list[Account]:
        await self._turn()
        users = sorted(user for user in self._accounts if user > after)
        return [self._accounts[user] for user in users[:limit]]

    async def last_seen(self, users: Sequence[str]) -> dict[str, float]:
        await self._turn()
        return {user: self._seen[user] for user in users if user in self._seen}

    def seen(self, user: str, at: float) -> None:
        self._seen[user] = at

    async def create_grant(self, grant: Grant) -> None:
        await self._turn()
        self._grants[grant.sid] = grant

    async def grant(self, sid: str) -> Grant | None:
        await self._turn()
        return self._grants.get(sid)

    async def rotate_grant(
        self,
        sid: str,
        refresh_id: str,
        new_refresh_id: str,
        request_digest: str,
        at: float,
        expires_at: float,
    ) -> Grant | None:
        await self._turn()
        grant = self._grants.get(sid)
        if grant is None or grant.revoked or grant.refresh_id != refresh_id:
            return None
        grant = replace(
            grant,
            refresh_id=new_refresh_id,
            previous_id=refresh_id,
            request_digest=request_digest,
            rotated_at=at,
            expires_at=expires_at,
        )
        self._grants[sid] = grant
        return grant

    async def revoke_grants(self, user: str, sid: str = "") -> list[str]:
        await self._turn()
        revoked = []
        for grant in list(self._grants.values()):
            if grant.user == user and not grant.revoked and sid in ("", grant.sid):
                self._grants[grant.sid] = replace(grant, revoked=True)
                revoked.append(grant.sid)
        return revoked

    async def group(self, group: str) -> GroupRecord | None:
        await self._turn()
        kept = self._groups.get(group)
        return None if kept is None else kept.record()

    async def groups_of(self, user: str) -> list[Group]:
        await self._turn()
        return [
            replace(kept.record().group, members=[])
            for _, kept in sorted(self._groups.items())
            if user in kept.members
        ]

    async def create_group(
        self,
        group: str,
        name: str,
        owner: str,
        open: bool,
        password_hash: str,
        members: Sequence[str],
        at: float,
    ) -> GroupRecord:
        await self._turn()
        if group in self._groups or group in self._past_groups:
            raise ImError(ErrorCode.CONFLICT, "this group id is taken")
        for user in members:
            self._known(user)
        kept = _Group(Group(group, name, owner, open, bool(password_hash), at, 0), password_hash)
        for user in dict.fromkeys((owner, *members)):
            kept.members[user] = next(self._order)
            kept.joined[user] = at
        self._groups[group] = kept
        return kept.record()

    async def add_member(self, group: str, user: str, at: float) -> bool:
        await self._turn()
        kept = self._existing(group)
        self._known(user)
        kept.invited.discard(user)
        if user in kept.members:
            return False
        if len(kept.members) >= self._max_members:
            raise ImError(ErrorCode.CONFLICT, "the group is full")
        kept.members[user] = next(self._order)
        kept.joined[user] = at
        return True

    async def remove_member(self, group: str, user: str, at: float) -> GroupRecord | None:
        await self._turn()
        kept = self._existing(group)
        if user not in kept.members:
            raise ImError(ErrorCode.NOT_FOUND, "there is no such member")
        del kept.members[user], kept.joined[user]
        if not kept.members:
            await self.delete_group(group)
            return None
        if kept.group.owner == user:
            kept.group = replace(kept.group, owner=min(kept.members, key=kept.members.__getitem__))
        return kept.record()

    async def invite(self, group: str, user: str, by: str, at: float) -> None:
        await self._turn()
        kept = self._existing(group)
        self._known(user)
        kept.invited.add(user)

    async def delete_group(self, group: str) -> GroupRecord:
        await self._turn()
        record = self._existing(group).record()
        del self._groups[group]
        self._past_groups.add(group)
        return record

    def _known(self, user: str) -> Account:
        account = self._accounts.get(user)
        if account is None:
            raise ImError(ErrorCode.USER_NOT_FOUND, "there is no such user")
        return account

    def _existing(self, group: str) -> _Group:
        kept = self._groups.get(group)
        if kept is None:
            raise ImError(ErrorCode.NOT_FOUND, "there is no such group")
        return kept


class MemoryBus:
    """services.ports.Bus that keeps what went over it.

    Attributes:
        events: (users, event, origin).
        kicks: (user, sid, session, event).
    """

    def __init__(self) -> None:
        self.events: list[tuple[list[str], Any, str]] = []
        self.kicks: list[tuple[str, str, str, SessionKicked]] = []

    def attach(
        self,
        on_event: Callable[[Iterable[str], Any, str], None],
        on_kick: Callable[[str, str, str, SessionKicked], None],
    ) -> None:
        raise AssertionError("services under test do not consume the bus")

    def publish(self, users: Iterable[str], event: Any, origin: str = "") -> None:
        self.events.append((list(users), event, origin))

    def kick(self, user: str, event: SessionKicked, sid: str = "", session: str = "") -> None:
        self.kicks.append((user, sid, session, event))


class InlineThreads:
    """services.ports.Threads that works at once, on the calling thread."""

    def __init__(self) -> None:
        self.calls = 0

    def call(self, function: Callable[..., Any], *args: Any) -> Deferred[Any]:
        self.calls += 1
        return maybeDeferred(function, *args)


class HeldThreads:
    """services.ports.Threads whose work waits, at most `limit` at a time, until the test runs it."""

    def __init__(self, limit: int = 1000) -> None:
        self._limit = limit
        self._waiting: list[Deferred[None]] = []

    def __len__(self) -> int:
        return len(self._waiting)

    def call(self, function: Callable[..., Any], *args: Any) -> Deferred[Any]:
        if len(self._waiting) >= self._limit:
            raise ImError(ErrorCode.UNAVAILABLE, "the server is busy")
        begun: Deferred[None] = Deferred()
        self._waiting.append(begun)
        return begun.addCallback(lambda _: function(*args))

    def run(self) -> None:
        """Does everything that waits."""
        while self._waiting:
            self._waiting.pop(0).callback(None)
