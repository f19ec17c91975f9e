"""Files: requests, answers to them, and what is told to whom (docs/files.md).

The bytes are moved by `services.file_channels`; what becomes of old files is in
`services.file_keeping`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Sequence
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
    FileOffered,
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
from imserver.services.file_channels import Channels
from imserver.services.file_news import FileNews
from imserver.services.file_ports import Blobs, Delivery, FileStore, State, Transfer
from imserver.services.file_rules import (
    FileSettings,
    check_quotas,
    check_request,
    check_same,
    info_of,
    is_free,
    short,
)
from imserver.services.file_table import Event, Tickets, follow
from imserver.services.ports import Bus, Directory, Store

MAX_ROWS = 100

_CURSOR_MAX = 10**18


class Files:
    """The rules for files.

    Attributes:
        channels: where bytes are moved.
        news: who is told what.
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
        clock: IReactorTime,
        wall: Callable[[], float],
        random_bytes: Callable[[int], bytes],
        spawn: Callable[[Coroutine[Any, Any, Any]], None],
        settings: FileSettings = FileSettings(),  # noqa: B008 - frozen
    ) -> None:
        """Args:
        send: sends a message (`Messages.send`).
        clock: times channels; wall: the time of day, float seconds.
        """
        self.store = store
        self.blobs = blobs
        self.settings = settings
        self.ports = (0, 0)
        self.news = FileNews(store, directory, bus, send, spawn)
        self.tickets = Tickets(clock.seconds, random_bytes)
        self.channels = Channels(store, blobs, self.tickets, clock, settings, self.news.stored)
        self._messages = messages
        self._wall = wall
        self._random_bytes = random_bytes

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
        transfer = await self.open(principal, command)
        sealed = command.encryption is Encryption.AES_GCM
        offset = await self.channels.length(transfer)
        return self._channel(principal, transfer, Role.SENDER, offset, sealed)

    async def open(self, principal: Principal, command: RequestFile) -> Transfer:
        """The transfer of a request: a new one, or the one that is to go on."""
        check_request(command, self.settings)
        user = principal.user
        known: Transfer | None = None
        if command.resume:
            known = await self.store.transfer(command.resume)
            if known is None or known.owner != user:
                raise ImError(ErrorCode.NOT_FOUND, "there is no such transfer of yours")
        elif command.client_id:
            known = await self.store.transfer_of(user, principal.format, command.client_id)
            if known is not None and is_free(known, command):
                # Clients count from 1 at each start.
                await self.store.free_client_id(known.id)
                known = None
        if known is None:
            return await self._begin(principal, command)
        check_same(known, command)
        follow(known.state, Event.UPLOAD)
        return known

    async def _begin(self, principal: Principal, command: RequestFile) -> Transfer:
        recipient, group = command.recipient, command.group
        members: Sequence[str] = ()
        if recipient or group or command.conversation:
            found = await self._messages.resolve(principal.user, command.conversation, recipient, group)
            recipient, group, members = found.peer, found.group, found.members
        await check_quotas(self.store, principal.user, command.size, self.settings)
        now = self._wall()
        transfer = await self.store.add_transfer(
            Transfer(
                0,
                f"tr-{self._random_bytes(16).hex()}",
                f"f-{self._random_bytes(16).hex()}",
                principal.user,
                principal.format,
                command.client_id,
                command.name,
                command.size,
                command.sha256,
                command.kind,
                recipient,
                group,
                command.conversation,
                State.OPEN,
                now,
                now + self.settings.expiry_seconds,
            )
        )
        others = [member for member in members if member != principal.user]
        self.news.tell(others, FileOffered(info_of(transfer)), principal.session)
        return transfer

    async def cancel(self, principal: Principal, command: CancelTransfer) -> FileEnded:
        """Ends an upload; of a recipient: nothing but its channels."""
        transfer = await self.news.visible(principal.user, command.transfer)
        if transfer.owner != principal.user:
            self.channels.end_downloads(transfer.id, principal.user)
            return FileEnded(transfer.id)
        await self._end(transfer, Event.CANCEL, "the sender gave it up")
        event = FileCancelled(transfer.id, principal.user, short(command.reason))
        self.news.tell(await self.news.recipients(transfer), event, principal.session)
        return FileEnded(transfer.id)

    async def _end(self, transfer: Transfer, event: Event, text: str) -> None:
        after = follow(transfer.state, event)
        if after is not transfer.state and not await self.store.move_transfer(
            transfer.id, transfer.state, after
        ):
            raise ImError(ErrorCode.CONFLICT, "something else happened to the transfer")
        await self.channels.end(transfer.id, ImError(ErrorCode.NOT_FOUND, text))

    # What recipients ask

    async def accept(self, principal: Principal, command: AcceptFile) -> Channel:
        """Opens the way for a download."""
        if command.file:
            transfer = await self.readable(command.file)
        else:
            transfer = await self.news.visible(principal.user, command.transfer)
        follow(transfer.state, Event.UPLOAD)
        user = principal.user
        if user != transfer.owner and await self.store.set_delivery(
            transfer.no, user, Delivery.ACCEPTED, self._wall()
        ):
            self.news.tell([transfer.owner], FileAccepted(transfer.id, user), principal.session)
        sealed = command.encryption is Encryption.AES_GCM
        return self._channel(principal, transfer, Role.RECEIVER, 0, sealed)

    async def reject(self, principal: Principal, command: RejectFile) -> FileEnded:
        """The recipient does not want it."""
        transfer = await self.news.visible(principal.user, command.transfer)
        if transfer.owner == principal.user:
            raise ImError(ErrorCode.FORBIDDEN, "the sender cancels a transfer")
        if transfer.recipient and transfer.state is State.OPEN:
            await self._end(transfer, Event.REJECT, "the recipient does not want the file")
        if await self.store.set_delivery(transfer.no, principal.user, Delivery.REJECTED, self._wall()):
            event = FileRejected(transfer.id, principal.user, short(command.reason))
            self.news.tell([transfer.owner], event, principal.session)
        return FileEnded(transfer.id)

    async def report(self, principal: Principal, command: ReportFile) -> FileEnded:
        """How far a recipient is; at the end the sender is told."""
        transfer = await self.news.visible(principal.user, command.transfer)
        if command.offset is not None and not 0 <= command.offset <= transfer.size:
            raise ImError(ErrorCode.BAD_REQUEST, "the offset is beyond the file")
        if command.offset is None or command.offset == transfer.size:
            await self.delivered(principal.user, transfer, principal.session)
        return FileEnded(transfer.id)

    async def delivered(self, user: str, transfer: Transfer, origin: str = "") -> None:
        """A recipient has all of it."""
        if transfer.state is not State.STORED or user == transfer.owner:
            return
        if await self.store.set_delivery(transfer.no, user, Delivery.DELIVERED, self._wall()):
            self.news.tell([transfer.owner], FileDelivered(transfer.id, transfer.file, user), origin)

    async def fetched(self, user: str, transfer: Transfer) -> None:
        """Somebody read it to its end; who is no recipient has it from a message, and nobody is told."""
        try:
            await self.news.visible(user, transfer.id)
        except ImError:
            return
        await self.delivered(user, transfer)

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
        )
