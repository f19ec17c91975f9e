"""Who hears of a file: sessions at once, everybody else by a message."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any

import msgspec
from twisted.logger import Logger

from imserver.model.accounts import Principal
from imserver.model.errors import ImError
from imserver.model.files import FileInfo, FileOffered, FileStored
from imserver.model.messages import Content, Form, MessageAccepted, SendMessage
from imserver.services.file_access import FileAccess
from imserver.services.file_ports import FileStore, State, Transfer
from imserver.services.file_rules import info_of
from imserver.services.ports import Bus
from imserver.services.sessions import Receiver

FORMAT = "files"
"""The scope of the client ids of the messages that tell of files: the transfers' ids."""
MAX_OFFERS = 100
"""Offers that are told at a log-in; those beyond come with the messages that tell of them."""

_encode = msgspec.json.Encoder().encode


class FileNews:
    """See the module.

    Args:
        access: knows whom a file is for.
        send: sends a message (`Messages.send`).
    """

    log = Logger()

    def __init__(
        self,
        store: FileStore,
        access: FileAccess,
        bus: Bus,
        send: Callable[[Principal, SendMessage], Awaitable[MessageAccepted]],
        spawn: Callable[[Coroutine[Any, Any, Any]], None],
    ) -> None:
        self._store = store
        self._access = access
        self._bus = bus
        self._send = send
        self._spawn = spawn

    def tell(self, users: Sequence[str], event: Any, origin: str = "") -> None:
        """Tells an event to the sessions of these users."""
        self._bus.publish([user for user in users if user], event, origin)

    async def session_started(self, principal: Principal, receiver: Receiver) -> None:
        """Tells a session of what waits for its user."""
        for transfer in await self._store.offers(principal.user, MAX_OFFERS):
            receiver.notify(FileOffered(info_of(transfer)))

    async def stored(self, transfer: Transfer) -> None:
        """A file is whole: tells of it, and sends the message."""
        event = FileStored(info_of(transfer))
        self.tell([transfer.owner, *await self._access.recipients(transfer)], event)
        if transfer.recipient or transfer.group:
            self._spawn(self.send_message(transfer))

    async def send_message(self, transfer: Transfer) -> None:
        """Sends the message that tells of a file. Again: it is the same message."""
        principal = Principal(transfer.owner, "", FORMAT)
        command = SendMessage(
            reference(info_of(transfer)),
            conversation=transfer.conversation if transfer.recipient else "",
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
        try:
            await self._store.move_transfer(transfer.id, State.STORED, State.STORED, message_id=message_id)
        except ImError as error:
            # The store went away behind the message, as at the end of the server: it is sent again.
            self.log.debug("a file's message was not noted: {code}", code=error.code)


def reference(info: FileInfo) -> Content:
    """The body of the message that tells of a file (wire/content.py says how formats show it)."""
    fields = {"file_id": info.file, "name": info.name, "size": info.size, "hash": f"sha256:{info.sha256}"}
    return Content(Form.OPAQUE, _encode(fields), int(info.kind))
