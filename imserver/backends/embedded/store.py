"""The store: one face over the parts of the engine."""

from __future__ import annotations

from typing import Any

from imserver.backends.embedded.appends import Appender
from imserver.backends.embedded.broadcasts import Broadcasts
from imserver.backends.embedded.calls import Calls
from imserver.backends.embedded.changes import Changes
from imserver.backends.embedded.core import Core, guarded
from imserver.backends.embedded.devices import Devices
from imserver.backends.embedded.inboxes import Inboxes
from imserver.backends.embedded.listings import Listings
from imserver.backends.embedded.targets import resolve
from imserver.model.accounts import Principal
from imserver.model.call_records import CallPage, CallRecord
from imserver.model.conversations import ConversationPage
from imserver.model.errors import ErrorCode, ImError
from imserver.model.ids import group_name, single_name
from imserver.model.messages import (
    InboxPage,
    MarkRead,
    MessagePage,
    MessageRevokedReply,
    MessagesMarked,
    ReadHistory,
    RevokeMessage,
)
from imserver.services.ports import Conversation, DeviceCursor, FeedSink


class EmbeddedStore:
    """`ports.Store` over the embedded engine; the documentation of the methods is there."""

    def __init__(self, core: Core, devices: Devices, broadcasts: Broadcasts, calls: Calls) -> None:
        self._core = core
        self._appender = Appender(core, broadcasts.start)
        self._inboxes = Inboxes(core)
        self._listings = Listings(core)
        self._devices = devices
        self._changes = Changes(core)
        self._calls = calls
        self.append = self._appender.append
        self.refuse = self._appender.refuse
        self.send_delay = self._appender.send_delay

    @property
    def epoch(self) -> str:
        """See `Store.epoch`."""
        return self._core.epoch

    def attach(self, sink: FeedSink) -> None:
        """See `Store.attach`."""
        self._core.journal.sink = sink

    @guarded
    async def inbox(self, user: str, after: int, at_least: int, limit: int, max_bytes: int) -> InboxPage:
        """See `Store.inbox`."""
        return await self._inboxes.inbox(user, after, at_least, limit, max_bytes)

    @guarded
    async def history(self, user: str, query: ReadHistory, limit: int, max_bytes: int) -> MessagePage:
        """See `Store.history`."""
        return await self._inboxes.history(user, query, limit, max_bytes)

    async def conversations(self, user: str, after: str, limit: int, max_bytes: int) -> ConversationPage:
        """See `Store.conversations`."""
        return await self._listings.conversations(user, after, limit, max_bytes)

    async def check(self) -> None:
        """See `Store.check`."""
        self._core.check_writable()
        await self._core.journal.barrier()

    @guarded
    async def head(self, user: str) -> tuple[int, int]:
        """See `Store.head`."""
        return await self._inboxes.head(user)

    @guarded
    async def cursor(self, user: str, format: str, device: str) -> DeviceCursor:
        """See `Store.cursor`."""
        return await self._devices.cursor(user, format, device)

    def acknowledge(self, user: str, format: str, device: str, seq: int, message_id: str = "") -> None:
        """See `Store.acknowledge`."""
        self._devices.acknowledge(user, format, device, seq, message_id)

    @guarded
    async def changes(self, user: str, after: int, limit: int) -> list[tuple[int, Any]]:
        """See `Store.changes`."""
        return await self._changes.changes(user, after, limit)

    def changes_told(self, user: str, format: str, device: str, change_id: int) -> None:
        """See `Store.changes_told`."""
        self._devices.changes_told(user, format, device, change_id)

    @guarded
    async def revoke(
        self, principal: Principal, command: RevokeMessage, window: float
    ) -> MessageRevokedReply:
        """See `Store.revoke`."""
        return await self._changes.revoke(principal, command, window)

    @guarded
    async def mark_read(self, principal: Principal, command: MarkRead) -> MessagesMarked:
        """See `Store.mark_read`."""
        return await self._changes.mark_read(principal, command)

    @guarded
    async def resolve(
        self, user: str, conversation: str = "", recipient: str = "", group: str = ""
    ) -> Conversation:
        """See `Store.resolve`."""
        state = self._core.state
        asker = state.user(user)
        if asker is None:
            raise ImError(ErrorCode.USER_NOT_FOUND, "the asker has no account")
        peer, found, name = resolve(state, asker, conversation, recipient, group)
        if peer is not None:
            canonical = single_name(user, peer.name)
            return Conversation(
                canonical, name or canonical, peer.name, "", tuple(dict.fromkeys((user, peer.name)))
            )
        assert found is not None
        canonical = group_name(found.gid)
        return Conversation(
            canonical, canonical, "", found.gid, [member.name for member in found.members.values()]
        )

    @guarded
    async def record_call(self, record: CallRecord) -> None:
        """See `Store.record_call`."""
        await self._calls.record(record)

    @guarded
    async def calls(self, user: str, after: str, limit: int) -> CallPage:
        """See `Store.calls`."""
        return await self._calls.calls(user, after, limit)
