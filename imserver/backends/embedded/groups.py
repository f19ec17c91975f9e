"""Groups: who is a member, from which position to which.

Memberships are decided in memory like sends, because a join or a leave must
fall between two messages; the statements follow in the same order.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from functools import partial

from imserver.backends.embedded.core import Core, guarded
from imserver.backends.embedded.entities import GroupState, Member, User
from imserver.model.errors import ErrorCode, ImError
from imserver.model.groups import Group, GroupMember, GroupRole
from imserver.services.ports import GroupRecord

_OF = (
    "SELECT g.gid FROM memberships m JOIN groups g ON g.no = m.no"
    " WHERE m.user_no = ? AND m.left_pos IS NULL AND g.deleted_at IS NULL ORDER BY g.gid"
)


class Groups:
    """The part of `Directory` that is about groups."""

    def __init__(self, core: Core) -> None:
        self._core = core

    @guarded
    async def group(self, group: str) -> GroupRecord | None:
        """See `Directory.group`."""
        found = self._core.state.group(group)
        return None if found is None else _record(found)

    @guarded
    async def groups_of(self, user: str) -> list[Group]:
        """See `Directory.groups_of`."""
        return [_without_members(group) for group in self._of(user)]

    def _of(self, user: str) -> list[GroupState]:
        """A user's groups, by id."""
        state = self._core.state
        owner = state.user(user)
        if owner is None:
            return []
        rows = self._core.reader.execute(_OF, (owner.no,)).fetchall()
        groups = [state.group(gid) for (gid,) in rows]
        return [group for group in groups if group is not None and owner.no in group.members]

    async def groups(self, after: str, limit: int) -> list[Group]:
        """See `Directory.groups`."""
        found: list[Group] = await self._core.read(_list_groups, after, limit)
        return found

    @guarded
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
        state = self._core.check_writable()
        users = [self._user(user) for user in dict.fromkeys((owner, *members))]
        if len(users) > self._core.settings.group_members:
            raise ImError(ErrorCode.CONFLICT, "the group is full")
        no = state.next_conversation_no
        state.next_conversation_no += 1
        numbers = [user.no for user in users]
        try:
            insert = partial(_insert_group, no, group, name, open, password_hash, numbers, at, encrypted)
            await self._core.write(insert)
        except sqlite3.IntegrityError:
            raise ImError(ErrorCode.CONFLICT, "the group id is or was taken") from None
        created = self._core.state.group(group)
        if created is None:
            raise ImError(ErrorCode.CONFLICT, "the group was deleted meanwhile")
        return _record(created)

    @guarded
    async def add_member(self, group: str, user: str, at: float) -> bool:
        """See `Directory.add_member`."""
        self._core.check_writable()
        found, member = self._group(group), self._user(user)
        if member.no in found.members:
            return False
        if len(found.members) >= self._core.settings.group_members:
            raise ImError(ErrorCode.CONFLICT, "the group is full")
        found.members[member.no] = Member(user, at, found.head)
        found.invited.pop(member.no, None)
        journal = self._core.journal
        journal.statement(
            "INSERT INTO memberships (no, user_no, joined_at, joined_pos) VALUES (?, ?, ?, ?)",
            found.no, member.no, at, found.head,
        )  # fmt: skip
        journal.statement("DELETE FROM invitations WHERE no = ? AND user_no = ?", found.no, member.no)
        found.mark = journal.serial
        await journal.barrier()
        return True

    @guarded
    async def remove_member(self, group: str, user: str, at: float) -> GroupRecord | None:
        """See `Directory.remove_member`."""
        self._core.check_writable()
        found = self._group(group)
        member = self._core.state.user(user)
        if member is None or member.no not in found.members:
            raise ImError(ErrorCode.NOT_FOUND, "not a member of the group")
        del found.members[member.no]
        journal = self._core.journal
        journal.statement(
            "UPDATE memberships SET left_at = ?, left_pos = ?"
            " WHERE no = ? AND user_no = ? AND left_pos IS NULL",
            at, found.head, found.no, member.no,
        )  # fmt: skip
        if not found.members:
            self._delete(found, at)
        elif found.owner == member.no:
            found.owner = next(iter(found.members))
            journal.statement("UPDATE groups SET owner = ? WHERE no = ?", found.owner, found.no)
        found.mark = journal.serial
        record = None if found.deleted else _record(found)
        await journal.barrier()
        return record

    @guarded
    async def invite(self, group: str, user: str, by: str, at: float) -> None:
        """See `Directory.invite`."""
        self._core.check_writable()
        found, invited = self._group(group), self._user(user)
        found.invited[invited.no] = user
        journal = self._core.journal
        journal.statement(
            "INSERT OR REPLACE INTO invitations VALUES (?, ?, ?, ?)", found.no, invited.no, by, at
        )
        found.mark = journal.serial
        await journal.barrier()

    @guarded
    async def delete_group(self, group: str) -> GroupRecord:
        """See `Directory.delete_group`."""
        self._core.check_writable()
        found = self._group(group)
        record = _record(found)
        self._delete(found, self._core.wall())
        await self._core.journal.barrier()
        return record

    def _delete(self, group: GroupState, at: float) -> None:
        group.deleted = True
        group.members = {}
        group.invited = {}
        journal = self._core.journal
        journal.statement("UPDATE groups SET deleted_at = ? WHERE no = ?", at, group.no)
        journal.statement(
            "UPDATE memberships SET left_at = ?, left_pos = ? WHERE no = ? AND left_pos IS NULL",
            at, group.head, group.no,
        )  # fmt: skip
        journal.statement("DELETE FROM invitations WHERE no = ?", group.no)
        group.mark = journal.serial

    def _group(self, gid: str) -> GroupState:
        found = self._core.state.group(gid)
        if found is None:
            raise ImError(ErrorCode.NOT_FOUND, "there is no such group")
        return found

    def _user(self, name: str) -> User:
        user = self._core.state.user(name)
        if user is None:
            raise ImError(ErrorCode.USER_NOT_FOUND, "there is no such user")
        return user


def _without_members(group: GroupState) -> Group:
    owner = group.members.get(group.owner)
    return Group(
        group.gid, group.name, "" if owner is None else owner.name, group.open, bool(group.password_hash),
        group.created_at, len(group.members), encrypted=group.encrypted,
    )  # fmt: skip


def _record(group: GroupState) -> GroupRecord:
    members = [
        GroupMember(member.name, GroupRole.OWNER if no == group.owner else GroupRole.MEMBER, member.joined_at)
        for no, member in group.members.items()
    ]
    members.sort(key=lambda member: member.user.encode())
    described = _without_members(group)
    return GroupRecord(
        Group(
            described.group, described.name, described.owner, described.open, described.has_password,
            described.created_at, described.member_count, members, described.encrypted,
        ),
        group.password_hash,
        frozenset(group.invited.values()),
    )  # fmt: skip


def _insert_group(
    no: int,
    gid: str,
    name: str,
    open: bool,
    password_hash: str,
    members: Sequence[int],
    at: float,
    encrypted: bool,
    connection: sqlite3.Connection,
) -> None:
    connection.execute(
        "INSERT INTO groups VALUES (?, ?, ?, ?, ?, ?, ?, NULL, ?)",
        (gid, no, name, members[0], open, password_hash, at, encrypted),
    )
    connection.executemany(
        "INSERT INTO memberships (no, user_no, joined_at, joined_pos) VALUES (?, ?, ?, 0)",
        [(no, member, at) for member in members],
    )


def _list_groups(connection: sqlite3.Connection, after: str, limit: int) -> list[Group]:
    rows = connection.execute(
        "SELECT g.gid, g.name, u.name, g.open, g.password_hash != '', g.created_at,"
        " (SELECT count(*) FROM memberships m WHERE m.no = g.no AND m.left_pos IS NULL), g.encrypted"
        " FROM groups g JOIN users u ON u.no = g.owner"
        " WHERE g.gid > ? AND g.deleted_at IS NULL ORDER BY g.gid LIMIT ?",
        (after, limit),
    )
    return [
        Group(gid, name, owner, bool(is_open), bool(has_password), created_at, count, [], bool(encrypted))
        for gid, name, owner, is_open, has_password, created_at, count, encrypted in rows
    ]
