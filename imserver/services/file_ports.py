"""What the file service needs from a backend: records of transfers, and a place for bytes."""

from __future__ import annotations

import enum
from collections.abc import Collection, Sequence
from typing import Protocol

from msgspec import Struct

from imserver.model.files import Kind


class State(enum.StrEnum):
    """Where a transfer is; `services.file_table` says how it changes."""

    OPEN = "open"
    STORED = "stored"
    REJECTED = "rejected"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


class Delivery(enum.StrEnum):
    """Where one recipient of a transfer is."""

    ACCEPTED = "accepted"
    REJECTED = "rejected"
    DELIVERED = "delivered"


class Transfer(Struct, frozen=True):
    """One transfer.

    Attributes:
        no: its number, in the order of requests; 0 before it is kept.
        id / file: the two ids the server minted.
        owner: who sends it.
        format / client_id: by which a repeated request is recognised.
        recipient / group: the target, resolved; both "" for an upload without one.
        conversation: the name the sender used, "" = none.
        sha256: "" until it is known.
        message_id: of the message that told of the file; "" = not sent yet.
        created_at / expires_at: float seconds.
    """

    no: int
    id: str
    file: str
    owner: str
    format: str
    client_id: str
    name: str
    size: int
    sha256: str
    kind: Kind
    recipient: str
    group: str
    conversation: str
    state: State
    created_at: float
    expires_at: float
    message_id: str = ""


class Usage(Struct, frozen=True, gc=False):
    """What a user's transfers take.

    Attributes:
        open: transfers whose upload is not at its end.
        files: open and stored ones.
        bytes: their sizes.
    """

    open: int
    files: int
    bytes: int


class Quotas(Struct, frozen=True, gc=False):
    """What there may be.

    Attributes:
        open / files / bytes: of one owner, as in `Usage`.
        total: bytes of all owners' files; 0 = no limit.
    """

    open: int
    files: int
    bytes: int
    total: int = 0


class Quota(enum.StrEnum):
    """Which of the quotas is used up."""

    OPEN = "open"
    FILES = "files"
    BYTES = "bytes"
    TOTAL = "total"


class NoRoom(Exception):
    """A quota is used up."""

    def __init__(self, quota: Quota) -> None:
        super().__init__(quota)
        self.quota = quota


class FileStore(Protocol):
    """Records of transfers. Every change is durable before its coroutine returns.

    All raise ImError UNAVAILABLE if the disk fails.
    """

    async def add_transfer(self, transfer: Transfer, quotas: Quotas | None = None) -> Transfer:
        """Keeps a new one; returns it with its number, or the older one of the same owner,
        format and client id.

        The owner's quotas hold however many are asked for at the same moment, and wherever.

        Raises:
            NoRoom
        """

    async def transfer(self, transfer: str) -> Transfer | None:
        """By its id."""

    async def transfer_of(self, owner: str, format: str, client_id: str) -> Transfer | None:
        """By the sender's own id."""

    async def free_client_id(self, transfer: str) -> None:
        """The sender's own id of this transfer may be used for another one."""

    async def transfer_of_file(self, file: str) -> Transfer | None:
        """By the id of its file."""

    async def move_transfer(
        self, transfer: str, before: State, after: State, *, sha256: str = "", message_id: str = ""
    ) -> bool:
        """Compare-and-swap of the state; "" leaves the other fields. False: it was in another state."""

    async def transfers(self, user: str, before: int, limit: int) -> list[Transfer]:
        """Those the user sends, and those to the user alone, with number < before, newest first."""

    async def offers(self, user: str, limit: int) -> list[Transfer]:
        """Open and stored ones of others which the user has neither fetched nor rejected, oldest first:
        to the user, from somebody whom the user has not blocked; to a group, asked for since the user
        joined it.
        """

    async def unsent(self, limit: int) -> list[Transfer]:
        """Stored ones with a target of which no message has told yet."""

    async def usage(self, user: str) -> Usage:
        """What the user's transfers take."""

    async def total_bytes(self) -> int:
        """Sizes of all open and stored files."""

    async def delivery(self, no: int, user: str) -> Delivery | None:
        """Where a recipient is; None = has said nothing."""

    async def set_delivery(self, no: int, user: str, delivery: Delivery, at: float) -> bool:
        """Remembers it; False if it was so already. DELIVERED stays."""

    async def expire(self, now: float, limit: int) -> list[Transfer]:
        """Moves open and stored transfers whose time is over to EXPIRED; returns them as they were."""

    async def forget(self, before: float, limit: int) -> int:
        """Deletes ended transfers that were to expire before this time; how many there were."""

    async def kept(self, hashes: Collection[str], parts: Collection[str]) -> tuple[set[str], set[str]]:
        """Those of the hashes that stored files have, and those of the ids that are open transfers'."""


Piece = bytes | bytearray | memoryview


class Mismatch(Exception):
    """A whole part is not the file that was announced; it is empty now."""


class Part(Protocol):
    """The bytes of one upload so far. One call at a time.

    All raise ImError UNAVAILABLE if the disk fails or is full; the part then is as it was after the
    last call that succeeded.
    """

    @property
    def length(self) -> int:
        """Bytes that are synced."""

    async def append(self, pieces: Sequence[Piece]) -> int:
        """Appends and syncs; the new length."""

    async def verify(self, size: int, sha256: str) -> str:
        """Syncs it for good. Returns its hash, which may not have been known ("").

        Raises:
            Mismatch: another size or hash; the part is empty.
        """

    async def keep(self, sha256: str) -> None:
        """Makes it the blob of the hash that `verify` gave, or finds that this is there already; durable."""

    async def close(self) -> None:
        """Lets go of it; what is synced stays."""


class Blob(Protocol):
    """A verified file, open for reading."""

    @property
    def size(self) -> int:
        """Bytes."""

    async def read(self, offset: int, length: int) -> bytes:
        """At most `length` bytes; b"" at the end only. UNAVAILABLE if the disk fails."""

    async def pieces(self, offset: int, length: int, size: int) -> list[bytes]:
        """The same in pieces of `size` bytes but the last one."""

    def close(self) -> None:
        """Lets go of it, once a read that is under way has ended."""


class Lock(Protocol):
    """See `Blobs.lock`."""

    def release(self) -> None:
        """Lets go of it. To be called once."""


class Blobs(Protocol):
    """Where bytes are kept."""

    async def part(self, transfer: str) -> Part | None:
        """Opens the part of a transfer; an empty one where there is none. UNAVAILABLE.

        None: another server has it open, or is just removing it.
        """

    async def length(self, transfer: str) -> int:
        """The bytes of a part, whoever has it open; 0 where there is none. UNAVAILABLE."""

    async def lock(self, sha256: str) -> Lock | None:
        """Keeps a blob from being made or removed by other servers; None: one of them does so now.

        It may be free again soon. UNAVAILABLE.
        """

    async def discard(self, transfer: str) -> None:
        """Removes the part of a transfer, if there is one."""

    async def blob(self, sha256: str) -> Blob | None:
        """Opens a blob; None if it is not there. UNAVAILABLE."""

    async def listing(self) -> tuple[set[str], set[str]]:
        """(hashes of all blobs, ids of all parts)."""

    async def remove(self, sha256: str) -> None:
        """Removes a blob, if it is there."""
