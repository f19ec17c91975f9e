"""Messages: what is sent, what is stored, what is told about it afterwards."""

from __future__ import annotations

import enum

from msgspec import Struct


class Form(enum.IntEnum):
    """How a content's bytes are to be read."""

    TEXT = 0
    """`data` is the text in UTF-8."""
    JSON = 1
    """`data` is a compact JSON object with a string "type": what the JSON formats write."""
    OPAQUE = 2
    """`data` is a body that only clients of document 001 understand; `number` is its message type."""


class Content(Struct, frozen=True, gc=False):
    """The body of a message, in one of three forms.

    Attributes:
        form: how to read `data`.
        data: the bytes.
        number: document 001's message type; 1 for TEXT, 0 for JSON.
    """

    form: Form
    data: bytes
    number: int = 1


class Revocation(Struct, frozen=True, gc=False):
    """Who took a message back, and when (float seconds since the epoch)."""

    by: str
    at: float


class Message(Struct, frozen=True, gc=False):
    """One stored message, the same for every recipient.

    Attributes:
        message_id: minted by the server; unique over all nodes, sorts by time.
        conversation: the name the sender used, or the canonical one.
        canonical: the canonical name (`single_<a>_<b>`, `group_<gid>`, `broadcast`).
        position: the place in the conversation, from 1 without gaps.
        sender: user id.
        recipient: user id of the other half of a single conversation; "" otherwise.
        group: group id; "" for a single conversation or a broadcast.
        client_id: the id the sender's program gave it; "" if none.
        content: the body; empty once revoked.
        extra: document 001's string map, carried unchanged.
        attachments: compact JSON array as the JSON formats write it, or b"".
        meta: compact JSON object, or b"".
        sent_at: the sender's clock, float seconds; the server's if it named none.
        server_at: the server's clock at the commit, float seconds.
        revoked: set once the message was taken back.
    """

    message_id: str
    conversation: str
    canonical: str
    position: int
    sender: str
    recipient: str
    group: str
    client_id: str
    content: Content
    sent_at: float
    server_at: float
    extra: dict[str, str] = {}
    attachments: bytes = b""
    meta: bytes = b""
    revoked: Revocation | None = None


class InboxRow(Struct, frozen=True, gc=False):
    """A message at its number in one user's inbox."""

    seq: int
    message: Message


# Commands


class SendMessage(Struct, frozen=True, gc=False):
    """Send one message. At most one of recipient, group and broadcast names the target.

    With none of them, `conversation` must denote exactly one of the sender's
    conversations. Fields as in `Message`.
    """

    content: Content
    conversation: str = ""
    recipient: str = ""
    group: str = ""
    broadcast: bool = False
    client_id: str = ""
    sent_at: float = 0.0
    extra: dict[str, str] = {}
    attachments: bytes = b""
    meta: bytes = b""


class AckMessages(Struct, frozen=True, gc=False):
    """This device has everything up to `seq`, or, where seq is 0, up to `message_id`."""

    seq: int = 0
    message_id: str = ""


class SyncInbox(Struct, frozen=True, gc=False):
    """Read inbox rows with number > `after` and >= `at_least`, ascending."""

    after: int = 0
    at_least: int = 0
    limit: int = 0


class ReadHistory(Struct, frozen=True, gc=False):
    """Read a conversation, or the whole inbox where nothing is named.

    Attributes:
        conversation / recipient / group: at most one; all empty = whole inbox.
        since: exclusive: a `next_cursor`, or for the whole inbox also a seq in digits; "" = from the start.
        limit: rows at the most; 0 = the default.
        page_bytes: where the page ends, for clients that take less than others; 0 = the default.
    """

    conversation: str = ""
    recipient: str = ""
    group: str = ""
    since: str = ""
    limit: int = 0
    page_bytes: int = 0


class MarkRead(Struct, frozen=True, gc=False):
    """The user has read these messages (at most 500)."""

    message_ids: tuple[str, ...]
    conversation: str = ""


class RevokeMessage(Struct, frozen=True, gc=False):
    """Take a message back."""

    message_id: str
    conversation: str = ""


class SetTyping(Struct, frozen=True, gc=False):
    """The user began or stopped typing in a conversation (or to a user, or in a group)."""

    typing: bool
    conversation: str = ""
    recipient: str = ""
    group: str = ""


# Replies


class MessageAccepted(Struct, frozen=True, gc=False):
    """The message is durable.

    Attributes:
        seq: its number in the sender's own inbox.
        pending: True while it is still being fanned out (broadcasts).
    """

    message_id: str
    conversation: str
    seq: int
    server_at: float
    pending: bool = False


class InboxPage(Struct, frozen=True):
    """Rows of an inbox, ascending.

    Attributes:
        head: the user's highest number now.
        first_seq: the first number still kept (1 until retention trimmed some).
        has_more: rows after the last one here exist and match the request.
        epoch: the inbox epoch; another one means the numbers start afresh.
    """

    rows: list[InboxRow]
    head: int
    first_seq: int
    has_more: bool
    epoch: str


class MessagePage(Struct, frozen=True):
    """A page of history, ascending. Rows of the whole inbox carry their seq, others seq 0."""

    rows: list[InboxRow]
    next_cursor: str
    has_more: bool


class MessageRevokedReply(Struct, frozen=True, gc=False):
    """The message was taken back (or had been already)."""

    message_id: str
    at: float


class MessagesMarked(Struct, frozen=True, gc=False):
    """The receipts are durable."""

    at: float


class Done(Struct, frozen=True, gc=False):
    """Done; there is nothing more to say."""


# Events


class MessageRevoked(Struct, frozen=True, gc=False):
    """A message was taken back; `conversation` as `Message.conversation`, `canonical` likewise."""

    message_id: str
    conversation: str
    canonical: str
    by: str
    at: float


class MessagesRead(Struct, frozen=True, gc=False):
    """A reader has read these messages of one conversation."""

    message_ids: tuple[str, ...]
    conversation: str
    canonical: str
    reader: str
    at: float


class TypingChanged(Struct, frozen=True, gc=False):
    """Somebody began or stopped typing."""

    conversation: str
    user: str
    typing: bool
