"""Payloads of file."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from imserver.wire.jsonline.chat_app.described.base import ErrorNumber, Failure, Ok
from imserver.wire.jsonline.chat_app.described.voice import CallTarget
from imserver.wire.jsonline.described.base import Text

SessionId = Annotated[str, Meta(min_length=1, max_length=255)]
Size = Annotated[int, Meta(ge=0, le=2**53 - 1)]


class FileOffer(Struct):
    """A file for a user, or for each member of a room who is there."""

    target: CallTarget
    file_name: Text
    file_size: Size
    checksum: str | UnsetType = UNSET


class FileSession(Struct):
    """One file for one receiver."""

    session_id: SessionId
    target_id: Text


class FileOfferAnswer(Ok):
    """It was offered."""

    sessions: list[FileSession]
    file_name: Text
    file_size: Size


class FileId(Struct):
    """Which file."""

    session_id: SessionId


class FileRefusal(FileId):
    """Which file, and why not."""

    reason: str | UnsetType = UNSET


class FileTrouble(FileId):
    """Which file, and what is wrong."""

    error_message: str | UnsetType = UNSET


class FileDone(Ok):
    """It is done."""

    session_id: SessionId


class FileOffered(Struct):
    """Somebody offers a file."""

    session_id: SessionId
    from_user: Text
    file_name: Text
    file_size: Size
    checksum: str


class FilePlace(Struct):
    """Where to move its bytes."""

    session_id: SessionId
    file_name: Text
    file_size: Size
    channel_host: Text
    channel_port: Annotated[int, Meta(ge=1, le=65_535)]
    target_id: Text


class FilePlaceAnswer(FilePlace, kw_only=True):
    """The same, as the answer to who accepts it."""

    status: Literal[200]


class FileRejected(FileSession):
    """The receiver does not want it."""

    file_name: Text
    reason: str


class FileCompleted(FileSession):
    """All of it has arrived."""

    file_name: Text
    file_size: Size


class FileFailed(FileSession):
    """Nothing comes of it."""

    file_name: Text
    status: Failure
    error_code: ErrorNumber
    error_message: str
