"""Files of the dialect chat-app, which go straight from one user to another: in, and out."""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import Any, Final

from imserver.model.errors import ErrorCode
from imserver.model.file_relays import (
    AcceptRelay,
    EndRelay,
    RejectRelay,
    RelayAccepted,
    RelayCompleted,
    RelayFailed,
    RelayOffered,
    RelayRejected,
    RelaysRequested,
    RequestRelay,
)
from imserver.model.files import (
    FileAccepted,
    FileCancelled,
    FileDelivered,
    FileOffered,
    FileRejected,
    FileStored,
)
from imserver.wire.jsonline.chat_app.commands import ChatAppType
from imserver.wire.jsonline.chat_app.payloads import FileRequestPayload, FileSessionPayload
from imserver.wire.jsonline.chat_app.targets import target
from imserver.wire.jsonline.commands import MsgType
from imserver.wire.jsonline.errors import NUMBERS
from imserver.wire.jsonline.groups import group_id
from imserver.wire.jsonline.messages import Envelope, Target
from imserver.wire.jsonline.validator import bad, check_number, id_text

TRANSFERS: Final = frozenset(
    {FileAccepted, FileCancelled, FileDelivered, FileOffered, FileRejected, FileStored}
)
"""News of stored files, which other clients send: this dialect's have other shapes for the same names.

They are told by the message that refers to the file."""

_FAILED: Final = NUMBERS[ErrorCode.UNAVAILABLE]


# In


def _request(payload: FileRequestPayload, envelope: Envelope) -> RequestRelay:
    to = target(payload.target)
    if to is None and payload.target_id is not None:
        to = Target(payload.target_type or "user", payload.target_id)
    if to is None or to.id is None or to.type not in ("user", "group", "room"):
        raise bad("target must be a user, a group or a room")
    named = id_text(to.id, "target.id")
    if not named:
        raise bad("target needs an id")
    if payload.file_size is None:
        raise bad("file_size is missing")
    # Some programs send the path that the file has on their machine.
    name = str(payload.file_name or "").replace("\\", "/").rpartition("/")[2]
    size = check_number(payload.file_size, "file_size")
    checksum = str(payload.checksum or payload.hash or "")
    if to.type == "user":
        return RequestRelay(name, size, checksum, named)
    return RequestRelay(name, size, checksum, group=group_id(named))


def _session(payload: FileSessionPayload) -> str:
    if not payload.session_id:
        raise bad("session_id is missing")
    return payload.session_id


def _accept(payload: FileSessionPayload, envelope: Envelope) -> AcceptRelay:
    return AcceptRelay(_session(payload))


def _reject(payload: FileSessionPayload, envelope: Envelope) -> RejectRelay:
    return RejectRelay(_session(payload), payload.reason or "")


def _complete(payload: FileSessionPayload, envelope: Envelope) -> EndRelay:
    return EndRelay(_session(payload), False)


def _error(payload: FileSessionPayload, envelope: Envelope) -> EndRelay:
    return EndRelay(_session(payload), True, payload.error_message or payload.reason or "")


FILE_READERS: Final[dict[enum.StrEnum, tuple[type, Callable[[Any, Envelope], Any]]]] = {
    MsgType.FILE_REQUEST: (FileRequestPayload, _request),
    MsgType.FILE_ACCEPT: (FileSessionPayload, _accept),
    MsgType.FILE_REJECT: (FileSessionPayload, _reject),
    MsgType.FILE_COMPLETE: (FileSessionPayload, _complete),
    ChatAppType.FILE_ERROR: (FileSessionPayload, _error),
}


# Out


def requested_fields(reply: RelaysRequested) -> dict[str, Any]:
    """What answers file/request."""
    return {
        "status": 200,
        "sessions": [{"session_id": one.relay, "target_id": one.target} for one in reply.relays],
        "file_name": reply.name,
        "file_size": reply.size,
    }


def accepted_fields(event: RelayAccepted, host: str, secure: bool) -> dict[str, Any]:
    """Where to move the bytes.

    Args:
        host: of this server's end of the connection.
        secure: whether the connection is encrypted.
    """
    return {
        "session_id": event.relay,
        "file_name": event.name,
        "file_size": event.size,
        "channel_host": event.host or host,
        "channel_port": event.tls_port if secure else event.port,
        "target_id": event.target,
    }


def file_event(event: Any, host: str, secure: bool) -> tuple[str, dict[str, Any]] | None:
    """(command, payload) of what tells an event; None if it is none of a file."""
    match event:
        case RelayOffered():
            return MsgType.FILE_REQUEST.value, {
                "session_id": event.relay,
                "from_user": event.sender,
                "file_name": event.name,
                "file_size": event.size,
                "checksum": event.checksum,
            }
        case RelayAccepted():
            return MsgType.FILE_ACCEPT.value, accepted_fields(event, host, secure)
        case RelayRejected():
            return MsgType.FILE_REJECT.value, {**_about(event), "reason": event.reason}
        case RelayCompleted():
            return MsgType.FILE_COMPLETE.value, {**_about(event), "file_size": event.size}
        case RelayFailed():
            status, code = _FAILED
            return ChatAppType.FILE_ERROR.value, {
                **_about(event),
                "status": status.value,
                "error_code": code.value,
                "error_message": event.reason,
            }
    return None


def _about(event: RelayRejected | RelayCompleted | RelayFailed) -> dict[str, Any]:
    return {"session_id": event.relay, "target_id": event.target, "file_name": event.name}


# For clients


def request_payload(command: RequestRelay) -> dict[str, Any]:
    """The payload of file/request."""
    kind, named = ("group", command.group) if command.group else ("user", command.recipient)
    return {
        "target": {"type": kind, "id": named},
        "file_name": command.name,
        "file_size": command.size,
        "checksum": command.checksum,
    }


def event_from_fields(name: str, payload: dict[str, Any]) -> Any:
    """The reverse of `file_event`.

    Raises:
        ValueError: it is none of a file.
    """
    relay = payload["session_id"]
    if name == MsgType.FILE_REQUEST:
        return RelayOffered(
            relay, payload["from_user"], payload["file_name"], payload["file_size"], payload["checksum"]
        )
    target, file = payload["target_id"], payload["file_name"]
    if name == MsgType.FILE_ACCEPT:
        return accepted_from_fields(payload)
    if name == MsgType.FILE_REJECT:
        return RelayRejected(relay, target, file, payload["reason"])
    if name == MsgType.FILE_COMPLETE:
        return RelayCompleted(relay, target, file, payload["file_size"])
    if name == ChatAppType.FILE_ERROR:
        return RelayFailed(relay, target, file, payload["error_message"])
    raise ValueError("no event of a file")


def accepted_from_fields(payload: dict[str, Any]) -> RelayAccepted:
    """The reverse of `accepted_fields`; the port stands for both."""
    port = payload["channel_port"]
    return RelayAccepted(
        payload["session_id"],
        payload["target_id"],
        payload["file_name"],
        payload["file_size"],
        payload["channel_host"],
        port,
        port,
    )
