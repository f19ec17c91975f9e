"""file/* (§2.4) on the control channel: what the server reads, answers and tells."""

from __future__ import annotations

import base64
import enum
from collections.abc import Callable
from typing import Any, Final

from msgspec import Struct

from imserver.model.errors import ErrorCode, ImError
from imserver.model.files import (
    AcceptFile,
    CancelTransfer,
    Channel,
    Encryption,
    FileAccepted,
    FileCancelled,
    FileDelivered,
    FileEnded,
    FileInfo,
    FileOffered,
    FileRejected,
    FileStored,
    Kind,
    ListTransfers,
    RejectFile,
    ReportFile,
    RequestFile,
)
from imserver.wire.jsonline.commands import MsgType
from imserver.wire.jsonline.groups import group_id
from imserver.wire.jsonline.messages import Envelope, Id, Target
from imserver.wire.jsonline.validator import bad, check_number, id_text

KINDS: Final = {"image": Kind.IMAGE, "voice": Kind.VOICE, "video": Kind.VIDEO, "file": Kind.FILE}
KIND_NAMES: Final = {kind: name for name, kind in KINDS.items()}
HASH_PREFIX: Final = "sha256:"


# What the server reads


class ResumePayload(Struct, gc=False):
    """The transfer to go on with; the offset is the client's opinion, the server's own counts."""

    transfer_id: str | None = None
    offset: int | None = None


class FileRequestPayload(Struct):
    """file/request; `checksum` is another name of `hash`."""

    file_name: str
    file_size: int
    hash: str | None = None
    checksum: str | None = None
    target: Target | None = None
    conversation_id: Id | None = None
    conv_id: Id | None = None
    resume: ResumePayload | None = None
    file_type: str | None = None
    encryption: str | None = None


class FileAcceptPayload(Struct, gc=False):
    """file/accept: a transfer's id as offered, or a file's as a message has it."""

    transfer_id: str | None = None
    file_id: str | None = None
    encryption: str | None = None


class FileEndPayload(Struct, gc=False):
    """file/reject, file/cancel."""

    transfer_id: str
    reason: str | None = None


class FileAckPayload(Struct, gc=False):
    """file/ack; without an offset it is file/complete."""

    transfer_id: str
    offset: int | None = None


class FileListPayload(Struct, gc=False):
    """file/list."""

    after: str | None = None
    limit: int | None = None


def hash_of(value: str | None) -> str:
    """A hash in lower-case hex, "" for none."""
    return (value or "").removeprefix(HASH_PREFIX).lower()


def _encryption(value: str | None) -> Encryption:
    try:
        return Encryption(value or "none")
    except ValueError:
        raise bad("encryption must be none or aes-gcm") from None


def _target(payload: FileRequestPayload) -> tuple[str, str, str]:
    """(conversation, recipient, group); a target decides."""
    target = payload.target
    if target is None:
        named = payload.conversation_id if payload.conversation_id is not None else payload.conv_id
        return ("" if named is None else id_text(named, "conversation_id")), "", ""
    name = "" if target.id is None else id_text(target.id, "target.id")
    if target.type == "user" and name:
        return "", name, ""
    if target.type in ("group", "room") and name:
        return "", "", group_id(name)
    raise bad("target must be a user, group or room, with its id")


def _request(payload: FileRequestPayload, envelope: Envelope) -> RequestFile:
    conversation, recipient, group = _target(payload)
    kind = KINDS.get(payload.file_type or "file")
    if kind is None:
        raise bad("file_type must be image, voice, video or file")
    resume = payload.resume
    if resume is not None and resume.offset is not None:
        check_number(resume.offset, "resume.offset")
    return RequestFile(
        name=payload.file_name,
        size=check_number(payload.file_size, "file_size"),
        sha256=hash_of(payload.hash or payload.checksum),
        conversation=conversation,
        recipient=recipient,
        group=group,
        kind=kind,
        resume="" if resume is None else resume.transfer_id or "",
        client_id="" if envelope.id is None else str(envelope.id),
        encryption=_encryption(payload.encryption),
    )


def _accept(payload: FileAcceptPayload, envelope: Envelope) -> AcceptFile:
    if bool(payload.transfer_id) == bool(payload.file_id):
        raise bad("file/accept needs either transfer_id or file_id")
    return AcceptFile(payload.transfer_id or "", payload.file_id or "", _encryption(payload.encryption))


def _reject(payload: FileEndPayload, envelope: Envelope) -> RejectFile:
    return RejectFile(payload.transfer_id, payload.reason or "")


def _cancel(payload: FileEndPayload, envelope: Envelope) -> CancelTransfer:
    return CancelTransfer(payload.transfer_id, payload.reason or "")


def _ack(payload: FileAckPayload, envelope: Envelope) -> ReportFile:
    offset = payload.offset
    return ReportFile(payload.transfer_id, None if offset is None else check_number(offset, "offset"))


def _complete(payload: FileAckPayload, envelope: Envelope) -> ReportFile:
    return ReportFile(payload.transfer_id)


def _list(payload: FileListPayload, envelope: Envelope) -> ListTransfers:
    limit = 0 if payload.limit is None else check_number(payload.limit, "limit")
    return ListTransfers(payload.after or "", limit)


FILE_READERS: Final[dict[enum.StrEnum, tuple[type, Callable[[Any, Envelope], Any]]]] = {
    MsgType.FILE_REQUEST: (FileRequestPayload, _request),
    MsgType.FILE_ACCEPT: (FileAcceptPayload, _accept),
    MsgType.FILE_REJECT: (FileEndPayload, _reject),
    MsgType.FILE_CANCEL: (FileEndPayload, _cancel),
    MsgType.FILE_ACK: (FileAckPayload, _ack),
    MsgType.FILE_COMPLETE: (FileAckPayload, _complete),
    MsgType.FILE_LIST: (FileListPayload, _list),
}


def check_sealing(command: Any, secure: bool) -> None:
    """A key is told only where nobody else can read it.

    Raises:
        ImError: BAD_REQUEST.
    """
    if not secure and getattr(command, "encryption", Encryption.NONE) is not Encryption.NONE:
        raise bad("aes-gcm needs a session over TLS: the answer has the key")


# What the server writes


def transfer_to_dict(info: FileInfo) -> dict[str, Any]:
    """A transfer as requests, lists and events show it; `file_id` once the file is whole."""
    fields: dict[str, Any] = {
        "transfer_id": info.transfer,
        "sender_id": info.sender,
        "file_name": info.name,
        "file_size": info.size,
        "file_type": KIND_NAMES[info.kind],
        "stored": info.stored,
        "sent_at": int(info.sent_at),
        "expires_at": int(info.expires_at),
    }
    if info.sha256:
        fields["hash"] = HASH_PREFIX + info.sha256
    if info.stored:
        fields["file_id"] = info.file
    if info.group:
        fields["target"] = {"type": "group", "id": info.group}
    elif info.recipient:
        fields["target"] = {"type": "user", "id": info.recipient}
    return fields


def place_channel(channel: Channel, host: str, secure: bool) -> tuple[str, int, str]:
    """(host, port, protocol) of the channel for a session at `host`.

    Raises:
        ImError: UNAVAILABLE where no channel is as safe as the session.
    """
    port = channel.tls_port if secure else channel.port
    if not port:
        raise ImError(ErrorCode.UNAVAILABLE, "there is no file channel here")
    return channel.host or host, port, channel.protocol or ("tls" if secure else "tcp")


def channel_to_dict(channel: Channel, place: tuple[str, int, str]) -> dict[str, Any]:
    """The answer to file/request and file/accept."""
    host, port, protocol = place
    fields = {
        "transfer_id": channel.transfer,
        "mode": "passive",
        "endpoint": {"host": host, "port": port, "protocol": protocol},
        "channel_token": channel.token,
        "chunk_size": channel.chunk,
        "resume_offset": channel.offset,
        "encryption": channel.encryption.value,
        "file_id": channel.file,
        "file_size": channel.size,
        "role": channel.role.value,
    }
    if channel.key:
        fields["key"] = base64.b64encode(channel.key).decode()
    return fields


def _ended(reply: FileEnded) -> dict[str, Any]:
    return {"transfer_id": reply.transfer}


FILE_ANSWERS: Final[dict[type, Callable[[Any], dict[str, Any]]]] = {FileEnded: _ended}


Written = tuple[MsgType, dict[str, Any]]


def _offered(event: FileOffered) -> Written:
    return MsgType.FILE_REQUEST, transfer_to_dict(event.info)


def _stored(event: FileStored) -> Written:
    return MsgType.FILE_COMPLETE, {"stage": "stored", **transfer_to_dict(event.info)}


def _delivered(event: FileDelivered) -> Written:
    return MsgType.FILE_COMPLETE, {
        "stage": "delivered",
        "transfer_id": event.transfer,
        "file_id": event.file,
        "user_id": event.user,
    }


def _accepted(event: FileAccepted) -> Written:
    return MsgType.FILE_ACCEPT, {"transfer_id": event.transfer, "user_id": event.user}


def _rejected(event: FileRejected) -> Written:
    fields = {"transfer_id": event.transfer, "user_id": event.user, "reason": event.reason}
    return MsgType.FILE_REJECT, fields


def _cancelled(event: FileCancelled) -> Written:
    fields = {"transfer_id": event.transfer, "user_id": event.user, "reason": event.reason}
    return MsgType.FILE_CANCEL, fields


FILE_EVENT_WRITERS: Final[dict[type, Callable[[Any], Written]]] = {
    FileOffered: _offered,
    FileStored: _stored,
    FileDelivered: _delivered,
    FileAccepted: _accepted,
    FileRejected: _rejected,
    FileCancelled: _cancelled,
}
