"""What the services need of a backend for messages: appending, reading, cursors, changes, calls.

`append`, `refuse` and `acknowledge` are plain calls, because they are the hot path and
are answered in batches.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from msgspec import Struct

from imserver.model.accounts import Principal
from imserver.model.call_records import CallPage, CallRecord
from imserver.model.conversations import ConversationPage
from imserver.model.errors import ImError
from imserver.model.messages import (
    InboxPage,
    MarkRead,
    MessagePage,
    MessageRevokedReply,
    MessagesMarked,
    ReadHistory,
    RevokeMessage,
    SendMessage,
)
from imserver.services.ports.feed import FeedSink


class DeviceCursor(Struct, frozen=True, gc=False):
    """How far a device is: acknowledged inbox number, last change told; `new`: just created."""

    acked: int
    changed: int
    new: bool


class Conversation(Struct, frozen=True):
    """A conversation resolved for one user.

    Attributes:
        canonical: the canonical name.
        name: the name the asker used, where it may be used for this conversation.
        peer: the other user of a single conversation ("" for groups).
        group: the group id ("" for single conversations).
        members: current members (both users of a single conversation).
    """

    canonical: str
    name: str
    peer: str
    group: str
    members: Sequence[str]


class Store(Protocol):
    """Messages."""

    @property
    def epoch(self) -> str:
        """The inbox epoch; changes after a restore or a failover that may have lost rows."""

    def attach(self, sink: FeedSink) -> None:
        """Names the one consumer of the feed."""

    def append(self, principal: Principal, command: SendMessage, ticket: Any) -> None:
        """The commit point. Its outcome comes through `FeedSink.answered`, never by an exception.

        Checks, in this order: the target (USER_NOT_FOUND, CONVERSATION_NOT_FOUND,
        CONFLICT, FORBIDDEN for a group one is not in and for another pair's
        canonical name, BAD_REQUEST for a name no client may use), dedupe by
        (sender, format, client id) — the same digest: the first answer again;
        another: CONFLICT —, whether the two may write to each other (FORBIDDEN: one has
        blocked the other, or they would have to be friends), the send rate (TOO_FAST), then
        assigns message id, position and every inbox seq and makes it durable. UNAVAILABLE if it
        could not be made durable.
        """

    def send_delay(self, user: str) -> float:
        """Seconds until the send rate lets this user's next message through; 0.0: `append` would now."""

    def refuse(self, ticket: Any, error: ImError) -> None:
        """Answers a send that was refused before it got here, in order with the others."""

    async def inbox(self, user: str, after: int, at_least: int, limit: int, max_bytes: int) -> InboxPage:
        """Rows with seq > after and >= at_least; at least one row if there is any.

        `max_bytes` bounds what any format needs to write the rows.
        Messages bear the conversation name that is right for this user; revoked ones are empty tombstones.
        """

    async def history(self, user: str, query: ReadHistory, limit: int, max_bytes: int) -> MessagePage:
        """One conversation as far as this user may see it, or the whole inbox.

        Raises:
            ImError: as `append` for the target; BAD_REQUEST for a cursor that was never given out.
        """

    async def conversations(self, user: str, after: str, limit: int, max_bytes: int) -> ConversationPage:
        """The user's conversations, the one with the newest message first; `after` is a `next_cursor`.

        Raises:
            ImError: BAD_REQUEST for a cursor that was never given out.
        """

    async def check(self) -> None:
        """Asks the writer for a sign of life; UNAVAILABLE if it would refuse a message now."""

    async def head(self, user: str) -> tuple[int, int]:
        """(highest seq, first kept seq) of a user's inbox; (0, 1) for an empty one."""

    async def cursor(self, user: str, format: str, device: str) -> DeviceCursor:
        """The device's cursor.

        A new device starts at the furthest of the user's devices in the inbox, and at the end of
        the change log, but before missed calls and open friend requests of which no device of its
        format was told.
        """

    def acknowledge(self, user: str, format: str, device: str, seq: int, message_id: str = "") -> None:
        """Advances the cursor, never back, never beyond the head. seq 0: by message_id. Unknown: ignored."""

    async def changes(self, user: str, after: int, limit: int) -> list[tuple[int, Any]]:
        """(change id, event) of the user's change log with id > after, ascending,
        names right for this user.
        """

    def changes_told(self, user: str, format: str, device: str, change_id: int) -> None:
        """Remembers that the device has been told all changes up to this one."""

    async def revoke(
        self, principal: Principal, command: RevokeMessage, window: float
    ) -> MessageRevokedReply:
        """Takes a message back: by its sender or the group's owner, within `window` seconds; again = the
            same answer.

        Raises:
            ImError: NOT_FOUND (no such message, or not the asker's to see), FORBIDDEN.
        """

    async def mark_read(self, principal: Principal, command: MarkRead) -> MessagesMarked:
        """Tells the senders and the reader's other devices.

        NOT_FOUND for an unknown id, FORBIDDEN for a foreign one.
        """

    async def resolve(
        self, user: str, conversation: str = "", recipient: str = "", group: str = ""
    ) -> Conversation:
        """Resolves a target for typing and the like; errors as `append`. Creates nothing."""

    async def record_call(self, record: CallRecord) -> None:
        """Keeps a call's record durably, in place of an older one of the same call.

        A call is known by its id, its caller and `created_at`: others may choose the id again.
        A record that has ended stays as it is. When one ends that is `told`, a CallMissed enters
        the callee's change log with it, once. What still lasts when a store is opened has ended
        with `Ending.SHUTDOWN`, at the last time known.

        Raises:
            ImError: USER_NOT_FOUND if one of the two has no account.
        """

    async def calls(self, user: str, after: str, limit: int) -> CallPage:
        """The calls a user took part in, newest first; `after` is a `next_cursor`.

        Without those that were `withheld` from the user.

        Raises:
            ImError: BAD_REQUEST for a cursor that was never given out.
        """
