"""file/* (§2.4) on the control channel, for clients: what they write and read."""

from __future__ import annotations

import base64
import enum
from collections.abc import Callable
from typing import Any, Final

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
    Role,
    TransferPage,
)
from imserver.wire.jsonline.commands import MsgType
from imserver.wire.jsonline.files import HASH_PREFIX, KIND_NAMES, KINDS, hash_of

# What the client reads


def _info(payload: dict[str, Any]) -> FileInfo:
    target = payload.get("target") or {}
    named = {target.get("type"): target.get("id", "")}
    return FileInfo(
        payload["transfer_id"],
        payload.get("file_id", ""),
        payload["sender_id"],
        named.get("user", ""),
        named.get("group", ""),
        payload["file_name"],
        payload["file_size"],
        hash_of(payload.get("hash")),
        KINDS[payload["file_type"]],
        payload["stored"],
        float(payload["sent_at"]),
        float(payload["expires_at"]),
    )


def _channel(payload: dict[str, Any]) -> Channel:
    place = payload["endpoint"]
    secure = place["protocol"] == "tls"
    return Channel(
        payload["transfer_id"],
        payload["file_id"],
        Role(payload["role"]),
        payload["file_size"],
        payload["resume_offset"],
        payload["channel_token"],
        payload["chunk_size"],
        place["host"],
        0 if secure else place["port"],
        place["port"] if secure else 0,
        Encryption(payload["encryption"]),
        base64.b64decode(payload.get("key", "")),
    )


def _file_ended(payload: dict[str, Any]) -> FileEnded:
    return FileEnded(payload["transfer_id"])


def _page(payload: dict[str, Any]) -> TransferPage:
    return TransferPage([_info(one) for one in payload["transfers"]], payload["next_cursor"])


FILE_ANSWER_READERS: Final[dict[enum.StrEnum, Callable[[dict[str, Any]], Any]]] = {
    MsgType.FILE_REQUEST: _channel,
    MsgType.FILE_ACCEPT: _channel,
    MsgType.FILE_REJECT: _file_ended,
    MsgType.FILE_CANCEL: _file_ended,
    MsgType.FILE_ACK: _file_ended,
    MsgType.FILE_COMPLETE: _file_ended,
    MsgType.FILE_LIST: _page,
}

FILE_EVENTS: Final = frozenset(
    {
        MsgType.FILE_REQUEST,
        MsgType.FILE_ACCEPT,
        MsgType.FILE_REJECT,
        MsgType.FILE_CANCEL,
        MsgType.FILE_COMPLETE,
    }
)


def file_event(name: enum.StrEnum, payload: dict[str, Any]) -> Any:
    """The event in a push."""
    if name is MsgType.FILE_REQUEST:
        return FileOffered(_info(payload))
    if name is MsgType.FILE_COMPLETE and payload["stage"] == "stored":
        return FileStored(_info(payload))
    transfer, user = payload["transfer_id"], payload["user_id"]
    if name is MsgType.FILE_COMPLETE:
        return FileDelivered(transfer, payload["file_id"], user)
    if name is MsgType.FILE_ACCEPT:
        return FileAccepted(transfer, user)
    made = FileRejected if name is MsgType.FILE_REJECT else FileCancelled
    return made(transfer, user, payload["reason"])


# What the client writes


def _write_request(command: RequestFile) -> dict[str, Any]:
    payload: dict[str, Any] = {"file_name": command.name, "file_size": command.size}
    if command.sha256:
        payload["hash"] = HASH_PREFIX + command.sha256
    if command.recipient:
        payload["target"] = {"type": "user", "id": command.recipient}
    elif command.group:
        payload["target"] = {"type": "group", "id": command.group}
    elif command.conversation:
        payload["conversation_id"] = command.conversation
    if command.resume:
        payload["resume"] = {"transfer_id": command.resume}
    if command.kind is not Kind.FILE:
        payload["file_type"] = KIND_NAMES[command.kind]
    return _with_encryption(payload, command.encryption)


def _with_encryption(payload: dict[str, Any], encryption: Encryption) -> dict[str, Any]:
    return payload if encryption is Encryption.NONE else {**payload, "encryption": encryption.value}


def _write_accept(command: AcceptFile) -> dict[str, Any]:
    named = {"transfer_id": command.transfer} if command.transfer else {"file_id": command.file}
    return _with_encryption(named, command.encryption)


def _write_end(command: RejectFile | CancelTransfer) -> dict[str, Any]:
    payload = {"transfer_id": command.transfer}
    return {**payload, "reason": command.reason} if command.reason else payload


def _write_report(command: ReportFile) -> dict[str, Any]:
    payload: dict[str, Any] = {"transfer_id": command.transfer}
    return payload if command.offset is None else {**payload, "offset": command.offset}


def _write_list(command: ListTransfers) -> dict[str, Any]:
    payload: dict[str, Any] = {"after": command.after} if command.after else {}
    return {**payload, "limit": command.limit} if command.limit else payload


FILE_WRITERS: Final[dict[type, tuple[MsgType, Callable[[Any], dict[str, Any]]]]] = {
    RequestFile: (MsgType.FILE_REQUEST, _write_request),
    AcceptFile: (MsgType.FILE_ACCEPT, _write_accept),
    RejectFile: (MsgType.FILE_REJECT, _write_end),
    CancelTransfer: (MsgType.FILE_CANCEL, _write_end),
    ReportFile: (MsgType.FILE_ACK, _write_report),
    ListTransfers: (MsgType.FILE_LIST, _write_list),
}
