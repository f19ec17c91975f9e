"""What a store holds, in words of no engine: what `imserver migrate` carries from one to another.

A source gives these in the order in which they stand here, messages by their numbers in the log. Users
and groups go by their names. The numbers that clients have seen (of messages, inboxes, positions, changes,
requests, calls, files) stay.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Protocol

from msgspec import Struct

from imserver.model.accounts import Account, Grant
from imserver.model.call_records import CallRecord
from imserver.services.file_ports import Delivery, Transfer


class Numbers(Struct, frozen=True):
    """How far everything is counted.

    Attributes:
        epoch: of the inboxes.
        no / ms / part: the last number in the log, its time, and the middle of new ids.
        floor: the first number in the log that is kept.
        broadcast / change / request / call / transfer: the last position or number of each.
    """

    epoch: str
    no: int
    ms: int
    part: int
    floor: int
    broadcast: int
    change: int
    request: int
    call: int
    transfer: int


class Person(Struct, frozen=True):
    """An account; `head`: the last number in its inbox; `seen`: when last, 0 = never."""

    account: Account
    seen: float
    head: int


class Team(Struct, frozen=True):
    """A group.

    Attributes:
        live: False = it was deleted; its id stays taken.
        members: (user, since), those of longest standing first.
        intervals: (user, after, upto): positions a user sees; `upto` None = still a member.
        head: the last position.
    """

    group: str
    live: bool
    name: str
    owner: str
    open: bool
    password_hash: str
    created_at: float
    members: Sequence[tuple[str, float]]
    intervals: Sequence[tuple[str, int, int | None]]
    invited: Sequence[str]
    head: int
    encrypted: bool


class Pair(Struct, frozen=True):
    """A single conversation; `names`: (user, a name of the user's own for it)."""

    one: str
    other: str
    head: int
    names: Sequence[tuple[str, str]]


class Letter(Struct, frozen=True):
    """A message.

    Attributes:
        to: (user, number in the user's inbox), the sender first.
        renamed: users who are written the canonical name.
        format: of the client id; "" = not known any more.
        sent_at: 0 = the server's time.
    """

    no: int
    ms: int
    part: int
    position: int
    name: str
    sender: str
    recipient: str
    group: str
    to: Sequence[tuple[str, int]]
    renamed: Sequence[str]
    client_id: str
    format: str
    form: int
    number: int
    data: bytes
    sent_at: float
    extra: dict[str, str]
    attachments: bytes
    meta: bytes
    revoked_by: str
    revoked_at: float


class Copies(Struct, frozen=True):
    """Rows by which a broadcast is in inboxes; they have a number in the log of their own."""

    no: int
    message: int
    to: Sequence[tuple[str, int]]


class Device(Struct, frozen=True):
    """Cursors of a device."""

    user: str
    format: str
    device: str
    acked: int
    changed: int
    touched: float


class ChangeRow(Struct, frozen=True):
    """A change; `users` None = everybody's. `fields` begin with its kind: 0 messages (the last field: users
    who are written the canonical name), 1 a missed call, 2 friends."""

    number: int
    at: float
    users: Sequence[str] | None
    fields: Sequence[object]


class Call(Struct, frozen=True):
    """The record of a call that has ended."""

    no: int
    record: CallRecord


class Friendship(Struct, frozen=True):
    """Two friends."""

    one: str
    other: str
    since: float


class OpenRequest(Struct, frozen=True):
    """`change`: the one that tells the one who is asked; 0 = none does."""

    no: int
    asker: str
    asked: str
    message: str
    at: float
    change: int


class Block(Struct, frozen=True):
    """Who has blocked whom."""

    user: str
    blocked: str
    at: float


class Sent(Struct, frozen=True):
    """A file that is sent, in whatever state; `deliveries`: (recipient, where this one is).

    The bytes, and what came in of those that are open, are in a directory, whatever the engine.
    """

    transfer: Transfer
    deliveries: Sequence[tuple[str, Delivery]]


Thing = (
    Numbers
    | Person
    | Grant
    | Team
    | Pair
    | Letter
    | Copies
    | Device
    | ChangeRow
    | Call
    | Friendship
    | OpenRequest
    | Block
    | Sent
)


class Source(Protocol):
    """A store that is at rest."""

    def everything(self) -> AsyncIterator[Thing]:
        """All it holds."""


class Target(Protocol):
    """An empty store."""

    async def put(self, thing: Thing) -> None:
        """Takes the next thing."""

    async def finish(self) -> None:
        """That was all."""


def runs(reached: Sequence[tuple[str, int]]) -> list[tuple[str, int]]:
    """For users and the rows by which a broadcast reached them: (last user, row) of each run of one row.

    Users are in byte order, so who is looked for finds the row by the first run that does not end before.
    """
    found: list[tuple[str, int]] = []
    for user, row in sorted(reached, key=lambda one: one[0].encode()):
        if found and found[-1][1] == row:
            found[-1] = (user, row)
        else:
            found.append((user, row))
    return found
