"""File transfer inside a chat connection (document 000, type 1).

Each struct serves both directions. `transfer` is the sender's own id of the
transfer, at most 255 UTF-8 bytes; offsets and sizes are in bytes.
"""

from __future__ import annotations

from msgspec import Struct


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
