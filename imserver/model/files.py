"""Files: transfers (document 004, 2.4), and those inside a chat connection (document 000, type 1).

The structs of document 000 serve both directions. Their `transfer` is the sender's
own id of the transfer, at most 255 UTF-8 bytes; elsewhere it is the server's.
Offsets and sizes are in bytes.
"""

from __future__ import annotations

import enum

from msgspec import Struct

# Inside a chat connection


class OfferFile(Struct, frozen=True, gc=False):
    """Offer a file.

    Attributes:
        peer: the recipient; as an event the sender.
        sha256: lower-case hex of the whole file.
    """

    peer: str
    transfer: str
    name: str
    size: int
    sha256: str


class SendChunk(Struct, frozen=True, gc=False):
    """A piece of the file, at most 60,000 bytes."""

    transfer: str
    offset: int
    data: bytes


class AckChunks(Struct, frozen=True, gc=False):
    """Everything below `offset` was received; the answer to an offer says where to (re)start."""

    transfer: str
    offset: int


class CancelFile(Struct, frozen=True, gc=False):
    """Give the transfer up."""

    transfer: str
    reason: str = ""


class CompleteFile(Struct, frozen=True, gc=False):
    """Everything was sent."""

    transfer: str


# Transfers (document 004, 2.4; HTTP)


class Role(enum.StrEnum):
    """Which end of a transfer a channel serves."""

    SENDER = "sender"
    RECEIVER = "receiver"


class Encryption(enum.StrEnum):
    """How chunks travel between a client and this server."""

    NONE = "none"
    AES_GCM = "aes-gcm"


class Kind(enum.IntEnum):
    """What sort of file it is: document 001's message type."""

    IMAGE = 2
    VOICE = 3
    VIDEO = 4
    FILE = 5


class RequestFile(Struct, frozen=True):
    """Ask to send a file; at most one of conversation, recipient and group names the target.

    Attributes:
        name: for people; checked, never used as a path.
        size: bytes.
        sha256: lower-case hex; "" = it is not known yet, then nothing is checked against it.
        resume: the transfer to go on with; "" = a new one.
        client_id: by which a repeated request is recognised; "" = it is not.
    """

    name: str
    size: int
    sha256: str = ""
    conversation: str = ""
    recipient: str = ""
    group: str = ""
    kind: Kind = Kind.FILE
    resume: str = ""
    client_id: str = ""
    encryption: Encryption = Encryption.NONE


class AcceptFile(Struct, frozen=True):
    """Ask to download a file, by its transfer, or by its id as a message has it."""

    transfer: str = ""
    file: str = ""
    encryption: Encryption = Encryption.NONE


class RejectFile(Struct, frozen=True, gc=False):
    """The recipient does not want it."""

    transfer: str
    reason: str = ""


class CancelTransfer(Struct, frozen=True, gc=False):
    """The sender gives it up; a recipient gives its download up (and may accept again)."""

    transfer: str
    reason: str = ""


class ReportFile(Struct, frozen=True, gc=False):
    """How far the recipient is.

    Attributes:
        offset: bytes it has; None = all of them.
    """

    transfer: str
    offset: int | None = None


class ListTransfers(Struct, frozen=True, gc=False):
    """One's transfers, newest first; `after` is a `next_cursor`."""

    after: str = ""
    limit: int = 0


class Channel(Struct, frozen=True):
    """Where and how to move the bytes.

    Attributes:
        transfer: its id.
        file: the file's id.
        role: which end this is.
        size: bytes of the whole file.
        offset: where to go on: bytes the server has (sender), 0 (receiver).
        token: opens the file channel; "" where no channel is needed.
        chunk: bytes of the largest chunk.
        host: the host to connect to; "" = the one the client is connected to.
        port / tls_port: of the listeners; 0 = there is none.
        protocol: "tcp" or "tls" where it is not the session's that counts.
        encryption: how chunks travel.
        key: 32 bytes for AES-GCM; b"" without.
    """

    transfer: str
    file: str
    role: Role
    size: int
    offset: int
    token: str
    chunk: int
    host: str = ""
    port: int = 0
    tls_port: int = 0
    encryption: Encryption = Encryption.NONE
    key: bytes = b""
    protocol: str = ""


class FileEnded(Struct, frozen=True, gc=False):
    """The transfer was ended, or the report taken."""

    transfer: str


class FileInfo(Struct, frozen=True):
    """A file as those may know it who may read it.

    Attributes:
        sha256: "" until it is known.
        stored: it is whole and verified.
        sent_at / expires_at: float seconds.
    """

    transfer: str
    file: str
    sender: str
    recipient: str
    group: str
    name: str
    size: int
    sha256: str
    kind: Kind
    stored: bool
    sent_at: float
    expires_at: float


class TransferPage(Struct, frozen=True):
    """Transfers, newest first."""

    transfers: list[FileInfo]
    next_cursor: str = ""


# Events


class FileOffered(Struct, frozen=True):
    """Somebody sends a file: `info.stored` says whether it can be had already.

    Told again at the log-in of a recipient who has neither fetched nor rejected it.
    """

    info: FileInfo


class FileStored(Struct, frozen=True):
    """The file is whole: recipients may fetch it; to the sender it means that it was sent."""

    info: FileInfo


class FileAccepted(Struct, frozen=True, gc=False):
    """A recipient wants it; told to the sender."""

    transfer: str
    user: str


class FileRejected(Struct, frozen=True, gc=False):
    """A recipient does not want it; told to the sender."""

    transfer: str
    user: str
    reason: str


class FileDelivered(Struct, frozen=True, gc=False):
    """A recipient has all of it; told to the sender."""

    transfer: str
    file: str
    user: str


class FileCancelled(Struct, frozen=True, gc=False):
    """The transfer is over before its end; told to the other side."""

    transfer: str
    user: str
    reason: str
