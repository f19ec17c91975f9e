"""Files: requests, answers to them, and what is told to whom (docs/files.md).

The bytes are moved by `services.file_channels`; what becomes of old files is in
`services.file_keeping`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from imserver.model.accounts import Principal
from imserver.model.errors import ErrorCode, ImError
from imserver.model.files import (
    AcceptFile,
    CancelTransfer,
    Channel,
    Encryption,
    FileAccepted,
    FileCancelled,
    FileDelivered,
    FileEnded,
    FileRejected,
    ListTransfers,
    RejectFile,
    ReportFile,
    RequestFile,
    Role,
    TransferPage,
)
from imserver.model.messages import MessageAccepted, SendMessage
from imserver.services.dispatch import Handler
from imserver.services.file_access import FileAccess, Refusal
from imserver.services.file_channels import Channels
from imserver.services.file_news import FileNews
from imserver.services.file_nodes import FileNodes, FileNote, What
from imserver.services.file_ports import Blobs, Delivery, FileStore, State, Transfer
from imserver.services.file_requests import FileRequests
from imserver.services.file_rules import FileSettings, info_of, short
from imserver.services.file_table import Event, Tickets, follow
from imserver.services.ports import Bus, Directory, Store

MAX_ROWS = 100

_CURSOR_MAX = 10**18


class Files:
    """The rules for files.

    Attributes:
        access: who may send to whom.
        channels: where bytes are moved.
        news: who is told what.
        nodes: what is said to and by other nodes.
        requests: uploads that are asked for.
        store / blobs: see `services.file_ports`.
        ports: of the file channel's listeners, plain and TLS; 0 = there is none.
    """

    log = Logger()

    def __init__(
        self,
        store: FileStore,
        blobs: Blobs,
        messages: Store,
        directory: Directory,
        bus: Bus,
        send: Callable[[Principal, SendMessage], Awaitable[MessageAccepted]],
        refusal: Refusal,
        clock: IReactorTime,
        wall: Callable[[], float],
        random_bytes: Callable[[int], bytes],
        spawn: Callable[[Coroutine[Any, Any, Any]], None],
        settings: FileSettings = FileSettings(),  # noqa: B008 - frozen
    ) -> None:
        """Args:
        send: sends a message (`Messages.send`).
        refusal: why a user may send nothing to another one (`Friends.refusal`).
        clock: times channels; wall: the time of day, float seconds.
        """
        self.store = store
        self.blobs = blobs
        self.settings = settings
        self.ports = (0, 0)
        self.access = FileAccess(store, messages, directory, refusal)
        self.news = FileNews(store, self.access, bus, send, spawn)
        self.nodes = FileNodes(bus, store, self.news, spawn)
        self.tickets = Tickets(clock.seconds, random_bytes)
        self.channels = Channels(
            store,
            blobs,
            self.tickets,
            clock,
            settings,
            self.news.stored,
            self.access.check_target,
            self.nodes,
        )
        self.nodes.channels = self.channels
        self.requests = FileRequests(store, self.access, self.news, wall, random_bytes, settings)
        self._wall = wall

    def handlers(self) -> dict[type, Handler]:
        """For the dispatch."""
        return {
            RequestFile: self.request,
            AcceptFile: self.accept,
            RejectFile: self.reject,
            CancelTransfer: self.cancel,
            ReportFile: self.report,
            ListTransfers: self.listing,
        }

    # What the sender asks

    async def request(self, principal: Principal, command: RequestFile) -> Channel:
        """Begins a transfer, or goes on with one."""
        transfer = await self.requests.open(principal, command)
        sealed = command.encryption is Encryption.AES_GCM
        offset = await self.channels.length(transfer)
        return self._channel(principal, transfer, Role.SENDER, offset, sealed)

    async def cancel(self, principal: Principal, command: CancelTransfer) -> FileEnded:
        """Ends an upload; of a recipient: nothing but its channels."""
        transfer = await self.access.visible(principal.user, command.transfer)
        if transfer.owner != principal.user:
            self.channels.end_downloads(transfer.id, principal.user)
            self.nodes.say(FileNote(What.GIVEN_UP, transfer.id, principal.user))
            return FileEnded(transfer.id)
        await self._end(transfer, Event.CANCEL, "the sender gave it up")
        event = FileCancelled(transfer.id, principal.user, short(command.reason))
        self.news.tell(await self.access.recipients(transfer), event, principal.session)
        return FileEnded(transfer.id)

    async def _end(self, transfer: Transfer, event: Event, text: str) -> None:
        after = follow(transfer.state, event)
        if after is not transfer.state and not await self.store.move_transfer(
            transfer.id, transfer.state, after
        ):
            raise ImError(ErrorCode.CONFLICT, "something else happened to the transfer")
        self.nodes.say(FileNote(What.OVER, transfer.id, text=text))
        await self.channels.end(transfer.id, ImError(ErrorCode.NOT_FOUND, text))

    # What recipients ask

    async def accept(self, principal: Principal, command: AcceptFile) -> Channel:
        """Opens the way for a download."""
        if command.file:
            transfer = await self.readable(command.file)
        else:
            transfer = await self.access.visible(principal.user, command.transfer)
        follow(transfer.state, Event.UPLOAD)
        user = principal.user
        if await self._note(user, transfer, Delivery.ACCEPTED):
            self.news.tell([transfer.owner], FileAccepted(transfer.id, user), principal.session)
        sealed = command.encryption is Encryption.AES_GCM
        return self._channel(principal, transfer, Role.RECEIVER, 0, sealed)

    async def reject(self, principal: Principal, command: RejectFile) -> FileEnded:
        """The recipient does not want it."""
        transfer = await self.access.visible(principal.user, command.transfer)
        if transfer.owner == principal.user:
            raise ImError(ErrorCode.FORBIDDEN, "the sender cancels a transfer")
        if transfer.recipient and transfer.state is State.OPEN:
            await self._end(transfer, Event.REJECT, "the recipient does not want the file")
        if await self._note(principal.user, transfer, Delivery.REJECTED):
            event = FileRejected(transfer.id, principal.user, short(command.reason))
            self.news.tell([transfer.owner], event, principal.session)
        return FileEnded(transfer.id)

    async def report(self, principal: Principal, command: ReportFile) -> FileEnded:
        """How far a recipient is; at the end the sender is told."""
        transfer = await self.access.visible(principal.user, command.transfer)
        if command.offset is not None and not 0 <= command.offset <= transfer.size:
            raise ImError(ErrorCode.BAD_REQUEST, "the offset is beyond the file")
        if command.offset is None or command.offset == transfer.size:
            await self.delivered(principal.user, transfer, principal.session)
        return FileEnded(transfer.id)

    async def delivered(self, user: str, transfer: Transfer, origin: str = "") -> None:
        """Somebody has all of it."""
        if transfer.state is State.STORED and await self._note(user, transfer, Delivery.DELIVERED):
            self.news.tell([transfer.owner], FileDelivered(transfer.id, transfer.file, user), origin)

    async def _note(self, user: str, transfer: Transfer, delivery: Delivery) -> bool:
        """Whether the sender is to be told: not for the second time, and not what others do than recipients.

        These have the file from a message that somebody passed on.
        """
        return await self.access.is_for(user, transfer) and await self.store.set_delivery(
            transfer.no, user, delivery, self._wall()
        )

    async def readable(self, file: str) -> Transfer:
        """The transfer of a whole file: its id is the right to read it.

        Raises:
            ImError: NOT_FOUND.
        """
        transfer = await self.store.transfer_of_file(file)
        if transfer is None or transfer.state is not State.STORED:
            raise ImError(ErrorCode.NOT_FOUND, "there is no such file, or no longer")
        return transfer

    async def listing(self, principal: Principal, command: ListTransfers) -> TransferPage:
        """One's transfers, newest first."""
        before = _CURSOR_MAX
        if command.after:
            if not command.after.isdecimal() or len(command.after) > 18:
                raise ImError(ErrorCode.BAD_REQUEST, "the cursor was never given out")
            before = int(command.after)
        limit = min(command.limit, MAX_ROWS) if command.limit > 0 else MAX_ROWS
        found = await self.store.transfers(principal.user, before, limit + 1)
        cursor = str(found[limit - 1].no) if len(found) > limit else ""
        return TransferPage([info_of(transfer) for transfer in found[:limit]], cursor)

    async def close(self) -> None:
        """Ends every channel; what came in is synced as far as it was acknowledged."""
        await self.channels.close()

    # Common

    def _channel(
        self, principal: Principal, transfer: Transfer, role: Role, offset: int, sealed: bool
    ) -> Channel:
        token, key = self.tickets.issue(principal.user, transfer.id, role, sealed, principal.sid)
        settings = self.settings
        plain, tls = self.ports
        if settings.protocol:
            plain = tls = plain or tls
        return Channel(
            transfer.id,
            transfer.file,
            role,
            transfer.size,
            offset,
            token,
            settings.chunk_bytes,
            settings.host,
            plain and (settings.port or plain),
            tls and (settings.port or tls),
            Encryption.AES_GCM if sealed else Encryption.NONE,
            key,
            settings.protocol,
        )
