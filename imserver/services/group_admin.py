"""Administration of groups, for those who need not be members."""

from __future__ import annotations

from typing import Any

from imserver.model.accounts import Principal
from imserver.model.errors import ErrorCode, ImError
from imserver.model.group_admin import (
    AddMember,
    CreateGroupFor,
    DescribeGroup,
    GroupPage,
    ListAllGroups,
    RemoveGroup,
    RemoveMember,
)
from imserver.model.groups import CreateGroup, GroupChange, GroupReply
from imserver.model.ids import check_id
from imserver.model.messages import Done
from imserver.services.groups import Groups, full

GROUP_ADMIN_COMMANDS: tuple[type, ...] = (
    AddMember,
    CreateGroupFor,
    DescribeGroup,
    ListAllGroups,
    RemoveGroup,
    RemoveMember,
)
DEFAULT_PAGE = 100
MAX_PAGE = 1000


class GroupAdministration:
    """Handles the commands of `model.group_admin`. Members are told as of any change to their group."""

    def __init__(self, groups: Groups) -> None:
        self._groups = groups

    async def perform(self, principal: Principal, command: Any) -> Any:
        """Runs a command without a check of role.

        Raises:
            ImError: NOT_FOUND for an unknown group or membership; USER_NOT_FOUND; CONFLICT
                for a taken id, a present member or a limit; BAD_REQUEST; TOO_FAST.
        """
        match command:
            case CreateGroupFor():
                return await self._create(principal, command)
            case AddMember():
                return await self._add(principal, command.group, command.user)
            case RemoveMember():
                return await self._remove(principal, command.group, command.user)
            case RemoveGroup():
                return await self._delete(principal, command.group)
            case DescribeGroup():
                return GroupReply((await self._groups.existing(command.group)).group)
            case ListAllGroups():
                return await self._list(command)
            case _:
                raise ImError(ErrorCode.UNKNOWN_COMMAND, "this command is not served here")

    async def _create(self, principal: Principal, command: CreateGroupFor) -> GroupReply:
        owner = Principal(check_id(command.owner), principal.session, principal.format)
        reply: GroupReply = await self._groups.handle(
            owner,
            CreateGroup(command.group, command.name, command.open, command.password, command.members),
        )
        return reply

    async def _add(self, principal: Principal, group: str, user: str) -> GroupReply:
        groups, record = self._groups, await self._groups.existing(group)
        check_id(user)
        if any(member.user == user for member in record.group.members):
            raise _present()
        if record.group.member_count >= groups.limits.members:
            raise full()
        await groups.check_has_room(user, principal.user)
        at = groups.wall_time()
        if not await groups.directory.add_member(group, user, at):
            raise _present()
        record = await groups.existing(group)
        groups.news.passing(principal, GroupChange.JOINED, record.group, user, at)
        return GroupReply(record.group)

    async def _remove(self, principal: Principal, group: str, user: str) -> Done:
        groups, before = self._groups, await self._groups.existing(group)
        if not any(member.user == user for member in before.group.members):
            raise ImError(ErrorCode.NOT_FOUND, "the group has no such member")
        at = groups.wall_time()
        after = await groups.directory.remove_member(group, user, at)
        groups.news.removal(principal, GroupChange.KICKED, before.group, after, user, at)
        return Done()

    async def _delete(self, principal: Principal, group: str) -> Done:
        groups = self._groups
        await groups.existing(group)
        record = await groups.directory.delete_group(group)
        members = [member.user for member in record.group.members]
        at = groups.wall_time()
        groups.news.publish(principal, GroupChange.DELETED, group, record.group.owner, at, members)
        return Done()

    async def _list(self, command: ListAllGroups) -> GroupPage:
        if command.after:
            check_id(command.after, "group id")
        limit = min(command.limit, MAX_PAGE) if command.limit > 0 else DEFAULT_PAGE
        found = await self._groups.directory.groups(command.after, limit + 1)
        return GroupPage(found[:limit], len(found) > limit)


def _present() -> ImError:
    return ImError(ErrorCode.CONFLICT, "the user is a member already")
