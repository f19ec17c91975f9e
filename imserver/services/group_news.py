"""Who hears of what happens to a group."""

from __future__ import annotations

from collections.abc import Iterable

from imserver.model.accounts import Principal
from imserver.model.groups import Group, GroupChange, GroupChanged
from imserver.services.ports import Bus, GroupRecord


class GroupNews:
    """Publishes GroupChanged to members and the one concerned, but not to the session that did it.

    Args:
        bus: the backend's.
        told: above this many members, who comes and goes is told only to the one
            concerned and the owner.
    """

    def __init__(self, bus: Bus, told: int) -> None:
        self._bus = bus
        self._told = told

    def publish(
        self,
        principal: Principal,
        change: GroupChange,
        group: str,
        user: str,
        at: float,
        users: Iterable[str],
    ) -> None:
        """Tells these users, and `user`, of a change that the principal made (`at` in float seconds)."""
        event = GroupChanged(change, group, user, principal.user, at)
        self._bus.publish(dict.fromkeys((*users, user)), event, principal.session)

    def passing(self, principal: Principal, change: GroupChange, group: Group, user: str, at: float) -> None:
        """`user` comes or goes; `group` is as it is now."""
        if group.member_count > self._told:
            users = [group.owner]
        else:
            users = [member.user for member in group.members]
        self.publish(principal, change, group.group, user, at, users)

    def removal(
        self,
        principal: Principal,
        change: GroupChange,
        before: Group,
        after: GroupRecord | None,
        user: str,
        at: float,
    ) -> None:
        """`user` is no member any more; `after` is None if that was the last one."""
        if after is None:
            self.publish(principal, change, before.group, user, at, [user])
            return
        self.passing(principal, change, after.group, user, at)
        if after.group.owner != before.owner:
            members = [member.user for member in after.group.members]
            owner = after.group.owner
            self.publish(principal, GroupChange.OWNER_CHANGED, before.group, owner, at, members)
