"""Friends, open requests and blocks.

The writer decides, in one transaction with the change that tells of it, because two users may
act at once. A block alone is decided in memory, as sends are, for it must fall between two of them.
"""

from __future__ import annotations

from functools import partial

from imserver.backends.embedded import friend_rows as rows
from imserver.backends.embedded.change_log import tell
from imserver.backends.embedded.core import Core, guarded
from imserver.backends.embedded.entities import User
from imserver.backends.embedded.friend_rows import Deed, Outcome, Who
from imserver.backends.embedded.relations import NOBODY, are_apart, blocks_of, friends_of
from imserver.model.accounts import Principal
from imserver.model.errors import ErrorCode, ImError
from imserver.model.friends import (
    AcceptFriend,
    DeleteFriend,
    FriendList,
    FriendReply,
    RejectFriend,
    RequestFriend,
)
from imserver.services.ports.friends import Circle, FriendLimits


class Friends:
    """The part of `Directory` that is about friends."""

    def __init__(self, core: Core) -> None:
        self._core = core

    @guarded
    async def request_friend(
        self, principal: Principal, command: RequestFriend, limits: FriendLimits, at: float
    ) -> FriendReply:
        """See `FriendDirectory.request_friend`."""
        deed = self._deed(principal, command.user, at)
        return await self._do(deed, partial(rows.request, deed, command.message, limits))

    @guarded
    async def accept_friend(
        self, principal: Principal, command: AcceptFriend, limits: FriendLimits, at: float
    ) -> FriendReply:
        """See `FriendDirectory.accept_friend`."""
        deed = self._deed(principal, self._asker(principal, command), at)
        return await self._do(deed, partial(rows.accept, deed, command.request, limits))

    @guarded
    async def reject_friend(self, principal: Principal, command: RejectFriend, at: float) -> FriendReply:
        """See `FriendDirectory.reject_friend`."""
        deed = self._deed(principal, self._asker(principal, command), at)
        return await self._do(deed, partial(rows.reject, deed, command.request))

    @guarded
    async def delete_friend(self, principal: Principal, command: DeleteFriend, at: float) -> FriendReply:
        """See `FriendDirectory.delete_friend`."""
        deed = self._deed(principal, command.user, at)
        return await self._do(deed, partial(rows.delete, deed))

    @guarded
    async def block_user(
        self, principal: Principal, user: str, blocked: bool, limits: FriendLimits, at: float
    ) -> FriendReply:
        """See `FriendDirectory.block_user`."""
        core = self._core
        core.check_writable()
        deed = self._deed(principal, user, at)
        owner = self._known(principal.user)
        known = blocks_of(core.reader, owner)
        new = blocked is not (deed.other.no in known)
        if new:
            if blocked and len(known) >= limits.blocked:
                raise ImError(ErrorCode.CONFLICT, "you have blocked too many users")
            after = known | {deed.other.no} if blocked else known - {deed.other.no}
            owner.blocks = after or NOBODY
        # Not isolated: should it fail, the memory is read back from the disk.
        done = core.journal.task(
            partial(rows.block, deed, blocked, new), isolated=False, on_commit=self._tell
        )
        owner.mark = core.journal.serial
        outcome: Outcome = await done
        return outcome.reply

    @guarded
    async def list_friends(self, user: str) -> FriendList:
        """See `FriendDirectory.list_friends`."""
        owner = self._known(user)
        found: FriendList = await self._core.read(rows.list_of, owner.no)
        return found

    @guarded
    async def circle(self, user: str, largest_group: int = 0) -> Circle:
        """See `FriendDirectory.circle`."""
        state = self._core.state
        owner = state.user(user)
        if owner is None:
            return Circle(frozenset(), frozenset(), frozenset(), frozenset())
        around = rows.around(self._core.reader, owner.no)
        met = set(around.partners)
        for gid in around.groups:
            group = state.group(gid)
            if group is not None and owner.no in group.members and len(group.members) <= largest_group:
                met.update([member.name for member in group.members.values()])
        met.discard(owner.name)
        return Circle(*map(frozenset, (around.friends, around.blocks, around.blocked_by, met)))

    @guarded
    async def are_apart(self, one: str, other: str) -> bool:
        """See `FriendDirectory.are_apart`."""
        first, second = self._core.state.user(one), self._core.state.user(other)
        return first is not None and second is not None and are_apart(self._core.reader, first, second)

    @guarded
    async def are_friends(self, one: str, other: str) -> bool:
        """See `FriendDirectory.are_friends`."""
        first, second = self._core.state.user(one), self._core.state.user(other)
        if first is None or second is None:
            return False
        return second.no in friends_of(self._core.reader, first)

    def _known(self, name: str) -> User:
        user = self._core.state.user(name)
        if user is None:
            raise ImError(ErrorCode.USER_NOT_FOUND, "there is no such user")
        return user

    def _deed(self, principal: Principal, other: str, at: float) -> Deed:
        actor, peer = self._known(principal.user), self._known(other)
        return Deed(Who(actor.name, actor.no), Who(peer.name, peer.no), at, principal.session)

    def _asker(self, principal: Principal, command: AcceptFriend | RejectFriend) -> str:
        """Who asked; looked up by the request's number where no user is named."""
        if not command.request:
            return command.user
        row = self._core.reader.execute(
            "SELECT a.name FROM friend_requests r JOIN users a ON a.no = r.asker"
            " JOIN users me ON me.no = r.asked WHERE r.no = ? AND me.name = ?",
            (command.request, principal.user),
        ).fetchone()
        if row is None or command.user not in ("", row[0]):
            raise rows.no_such_request()
        return str(row[0])

    async def _do(self, deed: Deed, run: partial[Outcome]) -> FriendReply:
        def committed(done: Outcome) -> None:
            self._forget_friends(deed)
            self._tell(done)

        outcome: Outcome = await self._core.write(run, on_commit=committed)
        return outcome.reply

    def _forget_friends(self, deed: Deed) -> None:
        """Lets the sets in memory be read again: what is on the disk now is newer."""
        for who in (deed.actor, deed.other):
            user = self._core.state.users_by_no.get(who.no)
            if user is not None:
                user.friends = None

    def _tell(self, done: Outcome) -> None:
        for change in done.changes:
            tell(self._core, change)


def untold_request(core: Core, user: User, after: int) -> int:
    """The first change after `after` that tells a user of a request that is still open; 0 = there is none."""
    row = core.reader.execute(
        "SELECT min(change) FROM friend_requests WHERE asked = ? AND change > ?"
        " AND change >= (SELECT min(id) FROM changes)",
        (user.no, after),
    ).fetchone()
    return row[0] or 0
