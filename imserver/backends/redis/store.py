"""The store: one face over its parts."""

from __future__ import annotations

from typing import Any

from imserver.backends.redis.appends import Appender
from imserver.backends.redis.broadcasts import Broadcasts
from imserver.backends.redis.calls import Calls
from imserver.backends.redis.changes import Changes
from imserver.backends.redis.core import Core
from imserver.backends.redis.devices import Devices
from imserver.backends.redis.epoch import Epoch
from imserver.backends.redis.faults import unavailable
from imserver.backends.redis.inboxes import Inboxes
from imserver.backends.redis.link import Redis
from imserver.backends.redis.listings import Listings
from imserver.backends.redis.replicas import AckSettings, Replicas
from imserver.model.accounts import Principal
from imserver.model.call_records import CallPage, CallRecord
from imserver.model.conversations import ConversationPage
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


class RedisStore:
    """`ports.Store` over Redis; the documentation of the methods is there.

    Args:
        second: a connection on which replicas are waited for; None = nobody waits for them.
    """

    def __init__(
        self,
        core: Core,
        epoch: Epoch,
        devices: Devices,
        broadcasts: Broadcasts,
        calls: Calls,
        timeout: float,
        second: Redis | None = None,
        ack: AckSettings = AckSettings(),  # noqa: B008 - frozen
    ) -> None:
        self._core = core
        self._epoch = epoch
        self._appender = Appender(core, timeout, broadcasts.start)
        self._replicas: Replicas | None = None
        if second is not None:
            self._replicas = Replicas(core.redis, second, ack, self._appender.deliver)
            self._appender.deliver = self._replicas.take
        self._inboxes = Inboxes(core, lambda: epoch.name)
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
        return self._epoch.name

    def attach(self, sink: FeedSink) -> None:
        """See `Store.attach`."""
        self._core.sink = sink

    async def inbox(self, user: str, after: int, at_least: int, limit: int, max_bytes: int) -> InboxPage:
        """See `Store.inbox`."""
        return await self._inboxes.inbox(user, after, at_least, limit, max_bytes)

    async def history(self, user: str, query: ReadHistory, limit: int, max_bytes: int) -> MessagePage:
        """See `Store.history`."""
        return await self._inboxes.history(user, query, limit, max_bytes)

    async def conversations(self, user: str, after: str, limit: int, max_bytes: int) -> ConversationPage:
        """See `Store.conversations`."""
        return await self._listings.conversations(user, after, limit, max_bytes)

    async def check(self) -> None:
        """See `Store.check`. Writes, because a Redis that cannot is of no use."""
        redis = self._core.redis
        await redis.call("HSET", redis.prefix + "epoch", "checked", repr(self._core.wall()))
        if not self._core.hearing:
            raise unavailable("the feed cannot be heard now")
        await self.confirmed()

    async def confirmed(self) -> None:
        """Waits until replicas have all that was done by now, where that is configured.

        Raises:
            ImError: UNAVAILABLE if too few have.
        """
        if self._replicas is not None:
            await self._replicas.confirmed()

    async def head(self, user: str) -> tuple[int, int]:
        """See `Store.head`."""
        return await self._inboxes.head(user)

    async def cursor(self, user: str, format: str, device: str) -> DeviceCursor:
        """See `Store.cursor`."""
        return await self._devices.cursor(user, format, device)

    def acknowledge(self, user: str, format: str, device: str, seq: int, message_id: str = "") -> None:
        """See `Store.acknowledge`."""
        self._devices.acknowledge(user, format, device, seq, message_id)

    async def changes(self, user: str, after: int, limit: int) -> list[tuple[int, Any]]:
        """See `Store.changes`."""
        return await self._changes.changes(user, after, limit)

    def changes_told(self, user: str, format: str, device: str, change_id: int) -> None:
        """See `Store.changes_told`."""
        self._devices.changes_told(user, format, device, change_id)

    async def revoke(
        self, principal: Principal, command: RevokeMessage, window: float
    ) -> MessageRevokedReply:
        """See `Store.revoke`."""
        return await self._changes.revoke(principal, command, window)

    async def mark_read(self, principal: Principal, command: MarkRead) -> MessagesMarked:
        """See `Store.mark_read`."""
        return await self._changes.mark_read(principal, command)

    async def resolve(
        self, user: str, conversation: str = "", recipient: str = "", group: str = ""
    ) -> Conversation:
        """See `Store.resolve`."""
        return await self._inboxes.resolve(user, conversation, recipient, group)

    async def record_call(self, record: CallRecord) -> None:
        """See `Store.record_call`."""
        await self._calls.record(record)

    async def calls(self, user: str, after: str, limit: int) -> CallPage:
        """See `Store.calls`."""
        return await self._calls.calls(user, after, limit)
