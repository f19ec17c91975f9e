"""What a file may be called, how large it may be, and how many of them a user may have."""

from __future__ import annotations

import unicodedata

from msgspec import Struct

from imserver.model.errors import ErrorCode, ImError
from imserver.model.files import FileInfo, RequestFile
from imserver.services.file_ports import Quota, Quotas, State, Transfer
from imserver.services.file_table import OVER

MAX_NAME_BYTES = 255
MAX_REASON_BYTES = 255
_HEX = frozenset("0123456789abcdef")
_FORBIDDEN = frozenset({"Cc", "Cs", "Cf", "Zl", "Zp"})


class FileSettings(Struct, frozen=True):
    """Limits on files.

    Attributes:
        max_bytes: one file.
        user_bytes: all open and stored files of one sender.
        user_files: how many these may be.
        total_bytes: of all; 0 = no limit.
        user_transfers: uploads of one user that are not at their end.
        channels / user_channels: transfers of bytes at a time.
        expiry_seconds: how long a file is kept after its request.
        chunk_bytes: of the largest chunk on a file channel.
        host: told to clients as the file channel's; "" = the one they are connected to.
        port: likewise; 0 = the listener's.
        protocol: likewise; "" = as the session.
    """

    max_bytes: int = 4 * 1024**3
    user_bytes: int = 16 * 1024**3
    user_files: int = 10_000
    total_bytes: int = 0
    user_transfers: int = 64
    channels: int = 256
    user_channels: int = 16
    expiry_seconds: float = 30 * 86400.0
    chunk_bytes: int = 65536
    host: str = ""
    port: int = 0
    protocol: str = ""


def _bad(text: str) -> ImError:
    return ImError(ErrorCode.BAD_REQUEST, text)


def check_name(name: str) -> None:
    """Raises ImError BAD_REQUEST for what should not be shown, or saved, as a file's name."""
    if any(unicodedata.category(character) in _FORBIDDEN for character in name):
        raise _bad("the file name has a control, format or surrogate character")
    if not 0 < len(name.encode()) <= MAX_NAME_BYTES:
        raise _bad(f"the file name must have 1 to {MAX_NAME_BYTES} bytes")
    if "/" in name or "\\" in name or name in (".", "..") or name != name.strip():
        raise _bad("the file name must not be a path")


def check_request(command: RequestFile, settings: FileSettings) -> None:
    """What can be said of a request by itself.

    Raises:
        ImError: BAD_REQUEST, TOO_LARGE.
    """
    check_name(command.name)
    if command.sha256 and (len(command.sha256) != 64 or not _HEX.issuperset(command.sha256)):
        raise _bad("the hash must be the SHA-256 as 64 characters 0-9a-f")
    if command.size < 0:
        raise _bad("the size is negative")
    if command.size > settings.max_bytes:
        raise ImError(ErrorCode.TOO_LARGE, f"a file may have {settings.max_bytes} bytes")
    if sum(1 for one in (command.recipient, command.group, command.conversation) if one) > 1:
        raise _bad("a file has one target")


def quotas_of(settings: FileSettings) -> Quotas:
    """What the store has to look at."""
    return Quotas(settings.user_transfers, settings.user_files, settings.user_bytes, settings.total_bytes)


def no_room(quota: Quota, settings: FileSettings) -> ImError:
    """The refusal of one more file: TOO_FAST, TOO_LARGE or UNAVAILABLE."""
    if quota is Quota.OPEN:
        text = f"{settings.user_transfers} of your uploads are not at their end"
        return ImError(ErrorCode.TOO_FAST, text)
    if quota is Quota.FILES:
        return ImError(ErrorCode.TOO_LARGE, f"you may have {settings.user_files} files here")
    if quota is Quota.BYTES:
        text = f"all your files together may have {settings.user_bytes} bytes"
        return ImError(ErrorCode.TOO_LARGE, text)
    return ImError(ErrorCode.UNAVAILABLE, "the server has no room for files now")


def _same(transfer: Transfer, command: RequestFile) -> bool:
    """Whether a request asks for what the transfer is; a target that is named otherwise is not compared."""
    return (
        (transfer.name, transfer.size) == (command.name, command.size)
        and (not command.sha256 or not transfer.sha256 or command.sha256 == transfer.sha256)
        and (not command.recipient or command.recipient == transfer.recipient)
        and (not command.group or command.group == transfer.group)
    )


def check_same(transfer: Transfer, command: RequestFile) -> None:
    """Raises ImError CONFLICT unless a repeated or resumed request is about the same file and target."""
    if not _same(transfer, command):
        raise ImError(ErrorCode.CONFLICT, "the transfer is of another file")


def is_free(transfer: Transfer, command: RequestFile) -> bool:
    """Whether the id by which a transfer was asked for may be used for this request.

    It is once the transfer is over, or whole and another one.
    """
    return transfer.state in OVER or (transfer.state is State.STORED and not _same(transfer, command))


def short(reason: str) -> str:
    """A reason as it may be passed on."""
    return reason.encode()[:MAX_REASON_BYTES].decode(errors="ignore")


def info_of(transfer: Transfer) -> FileInfo:
    """What those may know who may read it."""
    return FileInfo(
        transfer.id,
        transfer.file,
        transfer.owner,
        transfer.recipient,
        transfer.group,
        transfer.name,
        transfer.size,
        transfer.sha256,
        transfer.kind,
        transfer.state is State.STORED,
        transfer.created_at,
        transfer.expires_at,
    )
