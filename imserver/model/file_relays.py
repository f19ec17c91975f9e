"""Files that go straight from one user to another (document 004, dialect chat-app).

Nothing is stored: both are there, and the server passes on what the sender's channel brings to the
receiver's. Each relay has an id of 128 random bits, known to its two users alone.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence

from msgspec import Struct


class RelayRole(enum.StrEnum):
    """Which end of a relay a channel is."""

    SENDER = "sender"
    RECEIVER = "receiver"


# Commands; a session must be live to give them


class RequestRelay(Struct, frozen=True):
    """Offer a file to a user, or to each member of a group that is there.

    Attributes:
        name: for people.
        size: bytes; exactly so many are passed on.
        checksum: for the receiver, carried unchanged; "" = none.
        recipient / group: exactly one.
    """

    name: str
    size: int
    checksum: str = ""
    recipient: str = ""
    group: str = ""


class AcceptRelay(Struct, frozen=True, gc=False):
    """The receiver wants the file."""

    relay: str


class RejectRelay(Struct, frozen=True, gc=False):
    """The receiver does not want it; or its sender takes the offer back."""

    relay: str
    reason: str = ""


class EndRelay(Struct, frozen=True, gc=False):
    """One of the two says that it is over.

    Attributes:
        failed: it did not work; otherwise all is well, and nothing is to be done.
    """

    relay: str
    failed: bool
    reason: str = ""


# Replies


class RelayTo(Struct, frozen=True, gc=False):
    """One relay of a request."""

    relay: str
    target: str


class RelaysRequested(Struct, frozen=True):
    """Reply to RequestRelay."""

    relays: Sequence[RelayTo]
    name: str
    size: int


# Events


class RelayOffered(Struct, frozen=True, gc=False):
    """To the receiver's sessions: somebody offers a file."""

    relay: str
    sender: str
    name: str
    size: int
    checksum: str


class RelayAccepted(Struct, frozen=True, gc=False):
    """To both sessions, and the reply to AcceptRelay: connect there.

    Attributes:
        host: of the channel; "" = the one the client is connected to.
        port / tls_port: 0 = there is none.
    """

    relay: str
    target: str
    name: str
    size: int
    host: str
    port: int
    tls_port: int


class RelayRejected(Struct, frozen=True, gc=False):
    """To the sender's session: the receiver does not want it."""

    relay: str
    target: str
    name: str
    reason: str


class RelayCompleted(Struct, frozen=True, gc=False):
    """To both sessions: the receiver has all of it."""

    relay: str
    target: str
    name: str
    size: int


class RelayFailed(Struct, frozen=True, gc=False):
    """To a session that was told of it: nothing comes of it, or nothing comes of it here."""

    relay: str
    target: str
    name: str
    reason: str
