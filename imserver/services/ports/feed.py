"""What leaves a backend: committed messages, changes, and the answers to those who sent them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from msgspec import Struct

from imserver.model.errors import ImError
from imserver.model.message_rows import MessageRow
from imserver.model.messages import Message, MessageAccepted


class Entry(Struct, frozen=True, gc=False):
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


class EntryRow(Struct, frozen=True, gc=False):
    """Messages of one session to one user, one or more, committed one after the other; none is renamed.

    Attributes:
        messages: more are added until the row is handed on.
        recipients: (user, seq of the first) for both inboxes; each has the messages without a gap.
        origin: as in Entry.
    """

    messages: MessageRow
    recipients: Sequence[tuple[str, int]]
    origin: str


class Change(Struct, frozen=True):
    """A committed revoke, read receipt, missed call or news of a friend on the feed.

    Attributes:
        change_id: number in the change log, ascending over all users.
        event: MessageRevoked, MessagesRead, CallMissed or FriendChanged.
        users: whom it concerns, in their change logs.
        renamed: as in Entry.
        origin: id of the session that caused it; it has the answer.
        heard: the users of whom this node hears everything; None = all. Of the others it hears only what it
            does itself, for the other nodes take it for lost: what came before this may be missing.
    """

    change_id: int
    event: Any
    users: Sequence[str]
    renamed: frozenset[str] = frozenset()
    origin: str = ""
    heard: frozenset[str] | None = None


class FeedSink(Protocol):
    """Who consumes what is committed; called on the reactor thread, once a commit."""

    def answered(self, tickets: Sequence[Any], outcomes: Sequence[MessageAccepted | ImError]) -> None:
        """Outcomes of `append` and `refuse` for the local submitters, in submission order."""

    def committed(self, entries: Sequence[Entry | EntryRow]) -> None:
        """New messages, in seq order per user."""

    def changed(self, changes: Sequence[Change]) -> None:
        """Revokes, receipts, missed calls and news of friends, in change order."""

    def interrupted(self) -> None:
        """From now on some of the feed may not come, until `missed` is called: a change that comes may not
        be the next one."""

    def missed(self) -> None:
        """Some of the feed may not have come: every session must look for itself how far the store is."""
