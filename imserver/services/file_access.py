"""Who may send a file to whom, and whom a file is for."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from imserver.model.errors import ErrorCode, ImError, raise_if
from imserver.model.files import RequestFile
from imserver.model.groups import GroupMember
from imserver.services.file_ports import FileStore, Transfer
from imserver.services.ports import Conversation, Directory, Store

Refusal = Callable[[str, str], Awaitable[ImError | None]]
"""Why nothing may be sent from one user to another one; None = it may (`Friends.refusal`)."""


class FileAccess:
    """See the module.

    A file is subject to the same rules as the message that will tell of it: blocks, friends only,
    membership. They are looked at when it is asked for, when its upload goes on, and when it is
    whole; the message itself is decided on by the store.

    Args:
        messages: resolves targets.
    """

    def __init__(self, store: FileStore, messages: Store, directory: Directory, refusal: Refusal) -> None:
        self._store = store
        self._messages = messages
        self._directory = directory
        self._refusal = refusal

    async def target(self, user: str, command: RequestFile) -> Conversation | None:
        """Where a file is to go; None for one without a target.

        Raises:
            ImError: as for a message.
        """
        if not (command.recipient or command.group or command.conversation):
            return None
        found = await self._messages.resolve(user, command.conversation, command.recipient, command.group)
        await self._check_peer(user, found.peer)
        return found

    async def check_target(self, transfer: Transfer) -> None:
        """Whether the file may still go where it is to go. Raises ImError as for a message."""
        if transfer.recipient or transfer.group:
            await self._messages.resolve(transfer.owner, "", transfer.recipient, transfer.group)
            await self._check_peer(transfer.owner, transfer.recipient)

    async def _check_peer(self, user: str, peer: str) -> None:
        if peer and peer != user:
            raise_if(await self._refusal(user, peer))

    async def visible(self, user: str, id: str) -> Transfer:
        """A transfer of which the user is the sender or a recipient. NOT_FOUND."""
        transfer = await self._store.transfer(id) if id else None
        if transfer is None or not (user == transfer.owner or await self.is_for(user, transfer)):
            raise ImError(ErrorCode.NOT_FOUND, "there is no such transfer")
        return transfer

    async def is_for(self, user: str, transfer: Transfer) -> bool:
        """Whether the user is a recipient. (Others may have the file from a message.)"""
        return user in await self.recipients(transfer)

    async def recipients(self, transfer: Transfer) -> list[str]:
        """Whom a transfer is for, its sender not among them.

        Of a group these are the members who were there when it was asked for: a history begins with
        the joining.
        """
        if transfer.group:
            members = await self._members(transfer.group)
            users = [member.user for member in members if member.joined_at <= transfer.created_at]
        else:
            users = [transfer.recipient] if transfer.recipient else []
        return [user for user in users if user != transfer.owner]

    async def _members(self, group: str) -> Sequence[GroupMember]:
        record = await self._directory.group(group)
        return () if record is None else record.group.members
