"""What every client did and saw, and what the harness itself witnessed: the checker's only evidence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from imserver.model.accounts import LoggedIn
from imserver.model.errors import ImError
from imserver.model.messages import InboxRow, Message, MessageAccepted, SendMessage

DAY = 86_400.0
"""Seconds for which a client id is remembered."""
FOREVER = 1 << 60


@dataclass(slots=True)
class Attempt:
    """One time a send went over the wire; steps are the world's event numbers."""

    link: Link
    invoked: int
    answered: int = 0
    outcome: MessageAccepted | ImError | None = None


@dataclass(slots=True, eq=False)
class Send:
    """One message somebody wanted to send, with all its retries.

    Attributes:
        text: the token inside the content by which the message is recognised anywhere.
        peer / group: the target, however the command names it; both "" for a broadcast.
        variant: it reuses the client id of another message on purpose.
    """

    number: int
    user: str
    format: str
    client_id: str
    text: str
    command: SendMessage
    peer: str = ""
    group: str = ""
    variant: bool = False
    attempts: list[Attempt] = field(default_factory=list)

    @property
    def accepted(self) -> MessageAccepted | None:
        """The first positive answer."""
        for attempt in self.attempts:
            if isinstance(attempt.outcome, MessageAccepted):
                return attempt.outcome
        return None

    @property
    def invoked(self) -> int:
        """When it was first sent."""
        return self.attempts[0].invoked

    @property
    def settled(self) -> int:
        """When it was first accepted; for ever if it never was."""
        for attempt in self.attempts:
            if isinstance(attempt.outcome, MessageAccepted):
                return attempt.answered
        return FOREVER


@dataclass(slots=True)
class Pushed:
    """One message that reached a client without being asked for."""

    seq: int
    message: Message
    step: int
    backlog: bool


@dataclass(slots=True, eq=False)
class Link:
    """One connection of a device.

    Attributes:
        acked: the furthest inbox number from which the server may go on: what this
            device acknowledged, at least what any of the user's had when it was new.
        new: it was the device's first log-in.
        logged_in: the log-in's answer.
        pushes: in the order of arrival.
        closed: when the client knew that it was over (for ever: it lived to the end).
    """

    number: int
    user: str
    format: str
    device: str
    opened: int
    acked: int = 0
    new: bool = False
    logged_in: LoggedIn | None = None
    login_step: int = 0
    pushes: list[Pushed] = field(default_factory=list)
    events: list[tuple[int, Any]] = field(default_factory=list)
    closed: int = FOREVER
    kicked: bool = False


@dataclass(slots=True)
class Read:
    """A page or a whole listing that a client asked for.

    Attributes:
        scope: "inbox", or the canonical name of the conversation.
        after: rows were asked for from behind this number (inbox reads).
    """

    user: str
    scope: str
    after: int
    rows: Sequence[InboxRow]
    invoked: int
    answered: int


@dataclass(slots=True)
class Revoke:
    """A message that somebody tried to take back."""

    user: str
    message_id: str
    link: Link
    invoked: int
    answered: int = 0
    outcome: Any = None


@dataclass(slots=True)
class Ack:
    """An acknowledgement that a device sent; whether it arrived is not known."""

    user: str
    format: str
    device: str
    seq: int
    step: int


@dataclass(slots=True)
class Membership:
    """One change of a group's membership as the directory carried it out.

    Attributes:
        joined: added (True) or removed (False).
        began / ended: steps of the call and of its return; the change took
            effect somewhere between.
        certain: False if it failed or the node died meanwhile.
    """

    group: str
    user: str
    joined: bool
    began: int
    ended: int = FOREVER
    certain: bool = False


@dataclass(slots=True)
class FinalView:
    """One user's account of the world after everything had come to rest.

    Attributes:
        synced: the inbox as document 001 reads it (SYNC from 0).
        listed: the inbox as document 004 reads it (message/history of everything).
        conversations: by canonical name, as document 004 reads each.
        refused: canonical names that this user was refused.
        stored: the inbox as the engine itself has it, with conversation positions.
        head / first_seq: the inbox's bounds.
    """

    user: str
    synced: list[InboxRow] = field(default_factory=list)
    listed: list[InboxRow] = field(default_factory=list)
    conversations: dict[str, list[InboxRow]] = field(default_factory=dict)
    refused: dict[str, ImError] = field(default_factory=dict)
    stored: list[InboxRow] = field(default_factory=list)
    head: int = 0
    first_seq: int = 1


@dataclass(slots=True)
class History:
    """Everything the checker may look at."""

    users: list[str] = field(default_factory=list)
    sends: list[Send] = field(default_factory=list)
    links: list[Link] = field(default_factory=list)
    reads: list[Read] = field(default_factory=list)
    revokes: list[Revoke] = field(default_factory=list)
    acks: list[Ack] = field(default_factory=list)
    memberships: list[Membership] = field(default_factory=list)
    finals: dict[str, FinalView] = field(default_factory=dict)
    cursors: dict[tuple[str, str, str], int] = field(default_factory=dict)
    members: dict[str, set[str]] = field(default_factory=dict)
    epochs: set[str] = field(default_factory=set)
    faults: list[str] = field(default_factory=list)
    verified: list[str] = field(default_factory=list)
    young_from: int = 0
    """Sends before this number are so old that the server may have forgotten their client ids."""
    rested: int = FOREVER
    """The step at which all faults were over and nothing moved any more."""
