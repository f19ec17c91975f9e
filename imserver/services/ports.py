"""What the services need from a backend ("cellar"): store, feed, directory, bus.

Every backend (embedded, Redis) implements these over its own set of
connections and passes the same contract suite (tests/contracts/). Methods that
may wait are coroutines; `append`, `refuse` and `acknowledge` are plain calls,
because they are the hot path and are answered in batches.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

from msgspec import Struct

from imserver.model.accounts import Account, Grant, Principal, Role, SessionKicked
from imserver.model.calls import CallPage, CallRecord, Media
from imserver.model.conversations import ConversationPage
from imserver.model.errors import ImError
from imserver.model.groups import Group
from imserver.model.messages import (
    InboxPage,
    MarkRead,
    Message,
    MessageAccepted,
    MessagePage,
    MessageRevokedReply,
    MessagesMarked,
    ReadHistory,
    RevokeMessage,
    SendMessage,
)


class Entry(Struct, frozen=True):
    """One committed message on the feed.

    Attributes:
        message: with `conversation` as the sender named it.
        recipients: (user, seq) for every inbox it was written to, the sender's included.
        renamed: users who know that conversation name for another conversation;
            they are written the canonical name instead.
        origin: id of the session that sent it ("" if unknown): it has the answer and is not pushed its
            own message.
    """

    message: Message
    recipients: Sequence[tuple[str, int]]
    renamed: frozenset[str] = frozenset()
    origin: str = ""


class Change(Struct, frozen=True):
    """A committed revoke, read receipt or missed call on the feed.

    Attributes:
        change_id: number in the change log, ascending over all users.
        event: MessageRevoked, MessagesRead or CallMissed.
        users: whom it concerns, in their change logs.
        renamed: as in Entry.
        origin: id of the session that caused it; it has the answer.
    """

    change_id: int
    event: Any
    users: Sequence[str]
    renamed: frozenset[str] = frozenset()
    origin: str = ""


class Answer(Struct, frozen=True, gc=False):
    """The outcome of one `append` or `refuse`, in the order in which they were called."""

    ticket: Any
    outcome: MessageAccepted | ImError


class FeedSink(Protocol):
    """Who consumes what is committed; called on the reactor thread, once a commit."""

    def answered(self, answers: Sequence[Answer]) -> None:
        """Outcomes for the local submitters, in submission order."""

    def committed(self, entries: Sequence[Entry]) -> None:
        """New messages, in seq order per user."""

    def changed(self, changes: Sequence[Change]) -> None:
        """Revokes, receipts and missed calls, in change order."""


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
        another: CONFLICT —, the send rate (TOO_FAST), then assigns message id, position
        and every inbox seq and makes it durable. UNAVAILABLE if it could not be made durable.
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
        the change log, but before missed calls of which no device of its format was told.
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
        A record that has ended stays as it is. When one ends that is `missed`, a CallMissed enters
        the callee's change log with it, once. What still lasts when a store is opened has ended
        with `Ending.SHUTDOWN`, at the last time known.

        Raises:
            ImError: USER_NOT_FOUND if one of the two has no account.
        """

    async def calls(self, user: str, after: str, limit: int) -> CallPage:
        """The calls a user took part in, newest first; `after` is a `next_cursor`.

        Raises:
            ImError: BAD_REQUEST for a cursor that was never given out.
        """

    async def partners(self, user: str) -> Sequence[str]:
        """Users with whom a single conversation exists."""


class GroupRecord(Struct, frozen=True):
    """A group with what only services may see."""

    group: Group
    password_hash: str
    invited: frozenset[str]


class Directory(Protocol):
    """Accounts, grants and groups. Every change is durable before its coroutine returns."""

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


class Seat(Struct, frozen=True, gc=False):
    """A live session as other nodes can address it.

    Attributes:
        node: the node it is connected to.
        media: how its format's calls travel.
    """

    user: str
    session: str
    node: str
    media: Media


class Bus(Protocol):
    """What may be lost (typing, presence, notifications) or is addressed (kick, calls).

    One node: function calls. Something stateful that belongs to no one user (a call,
    a room) lives at its **home**, one node on which all agree; whoever needs it asks there.
    """

    def attach(
        self,
        on_event: Callable[[Iterable[str], Any, str], None],
        on_kick: Callable[[str, str, str, SessionKicked], None],
    ) -> None:
        """Names the consumers on this node."""

    def serve(
        self,
        seats: Callable[[str], Sequence[Seat]],
        on_tell: Callable[[str, str, Any], None],
        handler: Callable[[Any], Awaitable[Any]],
    ) -> None:
        """Names who answers on this node for what is addressed.

        Args:
            seats: the live sessions of a user here.
            on_tell: an event for one session (user, session id, event).
            handler: a request to something whose home is here.
        """

    @property
    def node(self) -> str:
        """This node's name."""

    def home(self, key: str) -> str:
        """The live node that is home to whatever `key` names; the same on every node."""

    async def ask(self, node: str, request: Any) -> Any:
        """Has a node's handler answer. Raises what that raises; ImError UNAVAILABLE if the node is away."""

    async def seats(self, user: str) -> Sequence[Seat]:
        """The user's live sessions on all nodes, oldest first."""

    def tell(self, seat: Seat, event: Any) -> None:
        """Tells an event to one session; lost if it is gone.

        What one node tells one session stays in order.
        """

    async def claim(self, key: str, value: str) -> str:
        """Takes a slot that only one may have at a time, over all nodes.

        Returns:
            the value that has it now: `value` if it was free or had it already.
        """

    def release(self, key: str, value: str) -> None:
        """Frees the slot if this value has it."""

    async def holder(self, key: str) -> str:
        """The value that has the slot now; "" = it is free."""

    def publish(self, users: Iterable[str], event: Any, origin: str = "") -> None:
        """Tells an event to every live session of these users but the session `origin`."""

    def kick(self, user: str, event: SessionKicked, sid: str = "", session: str = "") -> None:
        """Ends sessions of a user: one, those of a grant, or all; on every node."""


class Threads(Protocol):
    """Where blocking work goes (password hashing, disk reads)."""

    def call(self, function: Callable[..., Any], *args: Any) -> Any:
        """Runs it elsewhere; returns an awaitable of its result. ImError UNAVAILABLE if the queue is full."""


class MediaServers(Protocol):
    """The media servers that stand behind the rooms (document 003)."""

    def pick(self, room: str) -> Mapping[str, str] | None:
        """The addresses of the server that serves a room now; the same one on every node.

        Args:
            room: "<app>/<channel>".

        Returns:
            URLs by protocol, of "wss", "ws", "https", "http", "rtsp" those it has; None where no
            media server is configured, or none is healthy.
        """

    def watch(self, callback: Callable[[], None]) -> None:
        """Calls back whenever `pick` may give another answer than before: a server's health changed."""
