"""Groups: who may join, invite, kick and delete, and who is told about it.

Strangers learn nothing about a group, not even that it exists, unless they know
its password.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec import Struct, structs

from imserver.model.accounts import Principal
from imserver.model.errors import ErrorCode, ImError
from imserver.model.groups import (
    CreateGroup,
    DeleteGroup,
    GetGroup,
    Group,
    GroupChange,
    GroupList,
    GroupReply,
    InviteMember,
    JoinGroup,
    KickMember,
    LeaveGroup,
    ListGroups,
    ListMembers,
    MemberList,
)
from imserver.model.ids import check_id, id_fault
from imserver.model.messages import Done
from imserver.services.group_news import GroupNews
from imserver.services.limits import FailureWindow, RateLimiter
from imserver.services.passwords import PasswordHasher
from imserver.services.ports import Bus, Directory, GroupRecord
from imserver.services.together import together

MAX_NAME_BYTES = 255
_NOT_FOUND = "there is no such group"

GROUP_COMMANDS = (
    CreateGroup,
    DeleteGroup,
    GetGroup,
    InviteMember,
    JoinGroup,
    KickMember,
    LeaveGroup,
    ListGroups,
    ListMembers,
)
"""What `Groups.handle` takes."""


class GroupLimits(Struct, frozen=True):
    """Limits on groups.

    Attributes:
        members: members of one group, and open invitations to it.
        groups: groups of one user.
        told: above this many members, who comes and goes is told only to the one concerned and the owner.
        password_guesses: wrong passwords a minute per (user, group).
        named_per_second: initial members a user may name, over all groups, with a burst of twice `members`.
    """

    members: int = 10_000
    groups: int = 1_000
    told: int = 100
    password_guesses: int = 10
    named_per_second: int = 200


class Groups:
    """Handles the commands of `model.groups`.

    Args:
        directory / bus: the backend's.
        hasher: for group passwords.
        wall_time: float seconds since the epoch.
        random_bytes: source of minted ids.
        clock: for the limits, monotonic float seconds; `wall_time` if None.

    Attributes:
        directory, limits, news, wall_time: for `GroupAdministration`.
    """

    def __init__(
        self,
        directory: Directory,
        bus: Bus,
        hasher: PasswordHasher,
        wall_time: Callable[[], float],
        random_bytes: Callable[[int], bytes],
        *,
        limits: GroupLimits = GroupLimits(),  # noqa: B008 - frozen
        clock: Callable[[], float] | None = None,
    ) -> None:
        self.directory = directory
        self._hasher = hasher
        self.wall_time = wall_time
        self._random_bytes = random_bytes
        self.limits = limits
        self.news = GroupNews(bus, limits.told)
        clock = clock or wall_time
        self._wrong_passwords = FailureWindow(clock, limits.password_guesses)
        # Each name is looked up: one command may be worth ten thousand.
        self._named = RateLimiter(clock, limits.named_per_second, 2 * limits.members)

    async def handle(self, principal: Principal, command: Any) -> Any:
        """Runs a command of `model.groups`.

        Raises:
            ImError: NOT_FOUND for a group that does not exist or is none of the
                asker's business; FORBIDDEN; USER_NOT_FOUND; CONFLICT for a taken
                id, a present member or a limit; TOO_FAST; BAD_REQUEST.
        """
        match command:
            case CreateGroup():
                return await self._create(principal, command)
            case JoinGroup():
                return await self._join(principal, command)
            case LeaveGroup():
                return await self._leave(principal, command.group)
            case ListGroups():
                return GroupList(await self.directory.groups_of(principal.user))
            case ListMembers():
                record = await self._as_member(principal, command.group)
                return MemberList(record.group.group, record.group.members)
            case GetGroup():
                return await self._get(principal, command.group)
            case InviteMember():
                return await self._invite(principal, command)
            case KickMember():
                return await self._kick(principal, command)
            case DeleteGroup():
                return await self._delete(principal, command.group)
            case _:
                raise ImError(ErrorCode.UNKNOWN_COMMAND, "this command is not served here")

    async def _create(self, principal: Principal, command: CreateGroup) -> GroupReply:
        group = command.group or "g" + self._random_bytes(10).hex()
        check_id(group, "group id")
        name = _checked_name(command.name) or group
        if command.open and command.password:
            raise ImError(ErrorCode.BAD_REQUEST, "a group is either open or has a password")
        members = list(dict.fromkeys((principal.user, *command.members)))
        if len(members) > self.limits.members:
            raise full()
        if not self._named.allow(principal.user, len(members)):
            raise ImError(ErrorCode.TOO_FAST, "too many members named; wait a while")
        for member in members:
            check_id(member)

        async def check(member: str) -> None:
            await self.check_has_room(member, principal.user)

        await together(check, members)
        password_hash = ""
        if command.password:
            digest = self._hasher.digest(command.password, False)
            if await self.directory.group(group) is not None:
                raise ImError(ErrorCode.CONFLICT, "this group id is taken")
            password_hash = await self._hasher.hash(digest)
        at = self.wall_time()
        record = await self.directory.create_group(
            group,
            name,
            principal.user,
            command.open,
            password_hash,
            members,
            at,
            encrypted=command.encrypted,
        )
        self.news.publish(principal, GroupChange.CREATED, group, principal.user, at, members)
        return GroupReply(record.group)

    async def _join(self, principal: Principal, command: JoinGroup) -> GroupReply:
        user = principal.user
        record = await self.existing(command.group)
        group = record.group
        if _is_member(group, user):
            return GroupReply(group)
        if not group.open and user not in record.invited:
            await self._check_password(user, record, command.password)
        if group.member_count >= self.limits.members:
            raise full()
        await self.check_has_room(user, user)
        at = self.wall_time()
        added = await self.directory.add_member(group.group, user, at)
        record = await self.existing(command.group)
        if added:
            self.news.passing(principal, GroupChange.JOINED, record.group, user, at)
        return GroupReply(record.group)

    async def _leave(self, principal: Principal, group: str) -> Done:
        before = await self._as_member(principal, group)
        at = self.wall_time()
        after = await self.directory.remove_member(group, principal.user, at)
        self.news.removal(principal, GroupChange.LEFT, before.group, after, principal.user, at)
        return Done()

    async def _get(self, principal: Principal, group: str) -> GroupReply:
        record = await self.existing(group)
        described = record.group
        if _is_member(described, principal.user):
            return GroupReply(described)
        if not described.open and principal.user not in record.invited:
            raise ImError(ErrorCode.NOT_FOUND, _NOT_FOUND)
        return GroupReply(structs.replace(described, members=[]))

    async def _invite(self, principal: Principal, command: InviteMember) -> Done:
        record = await self._as_member(principal, command.group)
        group, user = record.group, check_id(command.user)
        if _is_member(group, user):
            raise ImError(ErrorCode.CONFLICT, "the user is a member already")
        if user in record.invited:
            return Done()
        if len(record.invited) >= self.limits.members:
            raise ImError(ErrorCode.CONFLICT, "the group has too many open invitations")
        at = self.wall_time()
        await self.directory.invite(group.group, user, principal.user, at)
        self.news.passing(principal, GroupChange.INVITED, group, user, at)
        return Done()

    async def _kick(self, principal: Principal, command: KickMember) -> Done:
        before = await self._as_owner(principal, command.group)
        user = command.user
        if user == principal.user:
            raise ImError(ErrorCode.BAD_REQUEST, "the owner leaves instead of kicking themselves")
        if not _is_member(before.group, user):
            raise ImError(ErrorCode.NOT_FOUND, "the group has no such member")
        at = self.wall_time()
        after = await self.directory.remove_member(command.group, user, at)
        self.news.removal(principal, GroupChange.KICKED, before.group, after, user, at)
        return Done()

    async def _delete(self, principal: Principal, group: str) -> Done:
        await self._as_owner(principal, group)
        record = await self.directory.delete_group(group)
        members = [member.user for member in record.group.members]
        at = self.wall_time()
        self.news.publish(principal, GroupChange.DELETED, group, principal.user, at, members)
        return Done()

    async def _check_password(self, user: str, record: GroupRecord, password: str) -> None:
        if not record.password_hash:
            raise ImError(ErrorCode.NOT_FOUND, _NOT_FOUND)
        if not password:
            raise ImError(ErrorCode.FORBIDDEN, "the group needs a password")
        key = (user, record.group.group)
        self._check_guesses(key)
        right = await self._hasher.verify(record.password_hash, self._hasher.digest(password, False))
        # Again: guesses that were under way together are not worth more than ten.
        self._check_guesses(key)
        if not right:
            self._wrong_passwords.record(key)
            raise ImError(ErrorCode.FORBIDDEN, "the group's password is another one")

    def _check_guesses(self, key: tuple[str, str]) -> None:
        if self._wrong_passwords.blocked(key):
            raise ImError(ErrorCode.TOO_FAST, "too many wrong passwords; wait a minute")

    async def check_has_room(self, user: str, asker: str) -> None:
        """CONFLICT if the user is in as many groups as a user may be."""
        if len(await self.directory.groups_of(user)) >= self.limits.groups:
            whose = "you are" if user == asker else "one of the members is"
            raise ImError(ErrorCode.CONFLICT, f"{whose} in {self.limits.groups} groups already")

    async def existing(self, group: str) -> GroupRecord:
        """The group. NOT_FOUND."""
        record = await self.directory.group(group) if id_fault(group) is None else None
        if record is None:
            raise ImError(ErrorCode.NOT_FOUND, _NOT_FOUND)
        return record

    async def _as_member(self, principal: Principal, group: str) -> GroupRecord:
        record = await self.existing(group)
        if not _is_member(record.group, principal.user):
            raise ImError(ErrorCode.NOT_FOUND, _NOT_FOUND)
        return record

    async def _as_owner(self, principal: Principal, group: str) -> GroupRecord:
        record = await self._as_member(principal, group)
        if record.group.owner != principal.user:
            raise ImError(ErrorCode.FORBIDDEN, "only the group's owner may do this")
        return record


def _checked_name(name: str) -> str:
    try:
        size = len(name.encode())
    except UnicodeEncodeError:
        raise ImError(ErrorCode.BAD_REQUEST, "the group name is not valid text") from None
    if size > MAX_NAME_BYTES:
        raise ImError(ErrorCode.BAD_REQUEST, f"the group name is longer than {MAX_NAME_BYTES} bytes")
    return name


def _is_member(group: Group, user: str) -> bool:
    return any(member.user == user for member in group.members)


def full() -> ImError:
    """What is answered where nobody more can join."""
    return ImError(ErrorCode.CONFLICT, "the group is full")
