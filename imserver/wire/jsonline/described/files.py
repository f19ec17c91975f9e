"""Payloads of file."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from imserver.wire.jsonline.described.base import Id, Ok, Seconds, Text

Bytes = Annotated[int, Meta(ge=0, le=2**53 - 1, description="a number of bytes")]
Hash = Annotated[str, Meta(pattern="^(sha256:)?[0-9A-Fa-f]{64}$", description="the SHA-256 in hex")]
Name = Annotated[str, Meta(min_length=1, max_length=255, description="for people; never a path")]
FileType = Literal["image", "voice", "video", "file"]
Encryption = Literal["none", "aes-gcm"]


class FileTarget(Struct):
    """To whom a file goes."""

    type: Literal["user", "group", "room"]
    id: Id


class Resume(Struct):
    """Which transfer to go on with; the server knows better how far it is."""

    transfer_id: Text
    offset: Bytes | UnsetType = UNSET


class FileRequest(Struct):
    """A file to send. Without a target it is for messages of one's own."""

    file_name: Name
    file_size: Bytes
    hash: Hash | UnsetType = UNSET
    target: FileTarget | UnsetType = UNSET
    conversation_id: Id | UnsetType = UNSET
    resume: Resume | UnsetType = UNSET
    file_type: FileType | UnsetType = UNSET
    encryption: Encryption | UnsetType = UNSET


class FileAccept(Struct):
    """A file to fetch: the transfer as it was offered, or the file's id as a message has it."""

    transfer_id: Text | UnsetType = UNSET
    file_id: Text | UnsetType = UNSET
    encryption: Encryption | UnsetType = UNSET


class Endpoint(Struct):
    """Where the file channel is."""

    host: Text
    port: Annotated[int, Meta(ge=1, le=65535)]
    protocol: Literal["tcp", "tls"]


class ChannelAnswer(Ok):
    """How to move the bytes; `key` is base64 of 32 bytes, for aes-gcm."""

    transfer_id: Text
    mode: Literal["passive"]
    endpoint: Endpoint
    channel_token: Text
    chunk_size: Annotated[int, Meta(ge=1)]
    resume_offset: Bytes
    encryption: Encryption
    file_id: Text
    file_size: Bytes
    role: Literal["sender", "receiver"]
    key: Annotated[str, Meta(min_length=44, max_length=44)] | UnsetType = UNSET


class FileEnd(Struct):
    """Not this file, or not any more."""

    transfer_id: Text
    reason: str | UnsetType = UNSET


class FileAck(Struct):
    """Everything below `offset` arrived."""

    transfer_id: Text
    offset: Bytes | UnsetType = UNSET


class FileComplete(Struct):
    """All of it arrived."""

    transfer_id: Text


class FileDone(Ok):
    """It is done, or noted."""

    transfer_id: Text


class FileList(Struct):
    """One's transfers; `after` is a `next_cursor`."""

    after: Text | UnsetType = UNSET
    limit: Annotated[int, Meta(ge=0, le=2**53 - 1)] | UnsetType = UNSET


class TransferTarget(Struct):
    """To whom a file was sent."""

    type: Literal["user", "group"]
    id: Text


class Transfer(Struct):
    """A file that somebody sends. It can be had for good once it is `stored`, and has a `file_id` then."""

    transfer_id: Text
    sender_id: Text
    file_name: Name
    file_size: Bytes
    file_type: FileType
    stored: bool
    sent_at: Seconds
    expires_at: Seconds
    hash: Hash | UnsetType = UNSET
    file_id: Text | UnsetType = UNSET
    target: TransferTarget | UnsetType = UNSET


class FileListAnswer(Ok):
    """A page, the newest first."""

    transfers: list[Transfer]
    next_cursor: str
    has_more: bool


class FileOffer(Transfer):
    """Somebody sends a file."""


class FileAccepted(Struct):
    """A recipient wants it."""

    transfer_id: Text
    user_id: Text


class FileEnded(FileAccepted):
    """A recipient does not want it, or the other side gave it up; `reason` is for people."""

    reason: str


class FileCompleted(Struct):
    """`stored`: the file is whole, and described as in a list. `delivered`: `user_id` has all of it."""

    stage: Literal["stored", "delivered"]
    transfer_id: Text
    file_id: Text
    user_id: Text | UnsetType = UNSET
    sender_id: Text | UnsetType = UNSET
    file_name: Name | UnsetType = UNSET
    file_size: Bytes | UnsetType = UNSET
    file_type: FileType | UnsetType = UNSET
    stored: Literal[True] | UnsetType = UNSET
    sent_at: Seconds | UnsetType = UNSET
    expires_at: Seconds | UnsetType = UNSET
    hash: Hash | UnsetType = UNSET
    target: TransferTarget | UnsetType = UNSET
