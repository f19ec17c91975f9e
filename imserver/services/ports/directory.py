"""What the services need of a backend for accounts, grants, groups, and (in `friends`) friends."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct

from imserver.model.accounts import Account, Grant, Role
from imserver.model.groups import Group
from imserver.services.ports.friends import FriendDirectory


class GroupRecord(Struct, frozen=True):
    """A group with what only services may see."""

    group: Group
    password_hash: str
    invited: frozenset[str]


class Directory(FriendDirectory, Protocol):
    """Accounts, grants, groups and friends. Every change is durable before its coroutine returns."""

    @property
    def account_changes(self) -> int | None:
        """Grows with each change of an account and each revoking of grants, before that is told.

        None: this node would not know of all of them.
        """

    async def account(self, user: str) -> Account | None:
        """The account, or None."""

    async def create_account(self, account: Account) -> None:
        """USER_EXISTS if the name is taken."""

    async def change_account(
        self,
        user: str,
        *,
        password_hash: str | None = None,
        role: Role | None = None,
        disabled: bool | None = None,
    ) -> Account:
        """Changes the given fields; `generation` grows. USER_NOT_FOUND."""

    async def bump_generation(self, user: str) -> Account:
        """Makes log-ins under way fail (kick). USER_NOT_FOUND."""

    async def accounts(self, after: str, limit: int) -> list[Account]:
        """Accounts with user > after in byte order."""

    async def last_seen(self, users: Sequence[str]) -> dict[str, float]:
        """Last time each was seen; absent = never."""

    def seen(self, user: str, at: float) -> None:
        """Remembers that a user was seen; may be lost in a crash."""

    async def create_grant(self, grant: Grant) -> None:
        """Stores a log-in."""

    async def grant(self, sid: str) -> Grant | None:
        """The log-in, revoked or not; None if unknown or expired long ago."""

    async def rotate_grant(
        self,
        sid: str,
        refresh_id: str,
        new_refresh_id: str,
        request_digest: str,
        at: float,
        expires_at: float,
    ) -> Grant | None:
        """Compare-and-swap of `refresh_id`, which becomes `previous_id`.

        None if it is not the current one or revoked.
        """

    async def revoke_grants(self, user: str, sid: str = "") -> list[str]:
        """Revokes one grant of the user, or all; returns the sids that were live."""

    async def group(self, group: str) -> GroupRecord | None:
        """The group with all members, or None."""

    async def groups_of(self, user: str) -> list[Group]:
        """The user's groups without their member lists, by id."""

    async def groups(self, after: str, limit: int) -> list[Group]:
        """Groups with id > after in byte order, without their member lists."""

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
        """CONFLICT if the id is (or was) taken; USER_NOT_FOUND if a member has no account."""

    async def add_member(self, group: str, user: str, at: float) -> bool:
        """Adds a member whose history starts here, spends the invitation; False if already one.

        NOT_FOUND, USER_NOT_FOUND; CONFLICT when full.
        """

    async def remove_member(self, group: str, user: str, at: float) -> GroupRecord | None:
        """Ends a membership (history ends here); the owner's goes to the member of longest standing; the
            last one's deletes the group.

        Returns:
            the group as it is now, or None if it was deleted. NOT_FOUND if there was no such group or
                membership.
        """

    async def invite(self, group: str, user: str, by: str, at: float) -> None:
        """Remembers an invitation. NOT_FOUND, USER_NOT_FOUND."""

    async def delete_group(self, group: str) -> GroupRecord:
        """Deletes it; returns it as it was. NOT_FOUND."""
