"""Who hears of a file: sessions at once, everybody else by a message."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any

import msgspec
from twisted.logger import Logger

from imserver.model.accounts import Principal
from imserver.model.errors import ErrorCode, ImError
from imserver.model.files import FileInfo, FileOffered, FileStored
from imserver.model.messages import Content, Form, MessageAccepted, SendMessage
from imserver.services.file_ports import FileStore, State, Transfer
from imserver.services.file_rules import info_of
from imserver.services.ports import Bus, Directory
from imserver.services.sessions import Receiver

FORMAT = "files"
"""The scope of the client ids of the messages that tell of files: the transfers' ids."""
MAX_OFFERS = 100
"""Offers that are told at a log-in; those beyond come with the messages that tell of them."""

_encode = msgspec.json.Encoder().encode


class FileNews:
    """See the module.

    Args:
        send: sends a message (`Messages.send`).
    """

    log = Logger()

    def __init__(
        self,
        store: FileStore,
        directory: Directory,
        bus: Bus,
        send: Callable[[Principal, SendMessage], Awaitable[MessageAccepted]],
        spawn: Callable[[Coroutine[Any, Any, Any]], None],
    ) -> None:
        self._store = store
        self._directory = directory
        self._bus = bus
        self._send = send
        self._spawn = spawn

    async def visible(self, user: str, id: str) -> Transfer:
        """A transfer of which the user is the sender or a recipient. NOT_FOUND."""
        transfer = await self._store.transfer(id) if id else None
        if transfer is not None:
            if user in (transfer.owner, transfer.recipient):
                return transfer
            if transfer.group and user in await self.members(transfer.group):
                return transfer
        raise ImError(ErrorCode.NOT_FOUND, "there is no such transfer")

    async def members(self, group: str) -> Sequence[str]:
        """The users in a group now."""
        record = await self._directory.group(group)
        return () if record is None else [member.user for member in record.group.members]

    async def recipients(self, transfer: Transfer) -> list[str]:
        """Whom a transfer is for, its sender not among them."""
        users = await self.members(transfer.group) if transfer.group else [transfer.recipient]
        return [user for user in users if user and user != transfer.owner]

    def tell(self, users: Sequence[str], event: Any, origin: str = "") -> None:
        """Tells an event to the sessions of these users."""
        self._bus.publish([user for user in users if user], event, origin)

    async def session_started(self, principal: Principal, receiver: Receiver) -> None:
        """Tells a session of what waits for its user."""
        groups = [group.group for group in await self._directory.groups_of(principal.user)]
        for transfer in await self._store.offers(principal.user, groups, MAX_OFFERS):
            receiver.notify(FileOffered(info_of(transfer)))

    async def stored(self, transfer: Transfer) -> None:
        """A file is whole: tells of it, and sends the message."""
        event = FileStored(info_of(transfer))
        self.tell([transfer.owner, *await self.recipients(transfer)], event)
        if transfer.recipient or transfer.group:
            self._spawn(self.send_message(transfer))

    async def send_message(self, transfer: Transfer) -> None:
        """Sends the message that tells of a file. Again: it is the same message."""
        principal = Principal(transfer.owner, "", FORMAT)
        command = SendMessage(
            reference(info_of(transfer)),
            recipient=transfer.recipient,
            group=transfer.group,
            client_id=transfer.id,
        )
        try:
            message_id = (await self._send(principal, command)).message_id
        except ImError as error:
            if error.retryable:
                return  # `file_keeping` tries again
            self.log.info("a file's message was refused: {code}", code=error.code)
            message_id = "-"
        await self._store.move_transfer(transfer.id, State.STORED, State.STORED, message_id=message_id)


def reference(info: FileInfo) -> Content:
    """The body of the message that tells of a file (wire/content.py says how formats show it)."""
    fields = {"file_id": info.file, "name": info.name, "size": info.size, "hash": f"sha256:{info.sha256}"}
    return Content(Form.OPAQUE, _encode(fields), int(info.kind))
