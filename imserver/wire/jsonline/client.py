"""The client's role of document 004: commands to lines, lines of the server to replies and events."""

from __future__ import annotations

import enum
import hashlib
from collections.abc import Callable
from typing import Any, Final

import msgspec
from msgspec import Raw, Struct

from imserver.model.accounts import LogIn, LogOut, Ping, Pong, RefreshTokens, Register
from imserver.model.errors import ErrorCode, ImError
from imserver.model.messages import (
    AckMessages,
    MarkRead,
    ReadHistory,
    RevokeMessage,
    SendMessage,
    SetTyping,
)
from imserver.model.presence import ListPresence, SetPresence
from imserver.wire import content as contents
from imserver.wire.base import WireError
from imserver.wire.jsonline.commands import MsgType, find
from imserver.wire.jsonline.errors import ProtocolError, error_from_payload
from imserver.wire.jsonline.events import event_from_payload
from imserver.wire.jsonline.file_client import FILE_WRITERS
from imserver.wire.jsonline.framing import decode_msg
from imserver.wire.jsonline.friends import FRIEND_WRITERS
from imserver.wire.jsonline.groups import GROUP_WRITERS
from imserver.wire.jsonline.messages import Id, MsgBase
from imserver.wire.jsonline.pushes import page_from_dict, row_from_dict
from imserver.wire.jsonline.replies import join_parts, read_reply
from imserver.wire.jsonline.validator import is_password_hash

encode: Final = msgspec.json.Encoder().encode
"""Writes a line, without its newline."""
_EVENTS: Final = (AckMessages, SetTyping)
# What reading a server's fields can come to when they are not what they should be.
FAULTS: Final = (
    ProtocolError,
    ImError,
    LookupError,
    TypeError,
    ValueError,
    AttributeError,
    OverflowError,
)


class SendFailed(Struct, frozen=True):
    """The event message/ack of a send that failed; its response said the same."""

    id: Id | None
    error: ImError


class JsonLineClientCodec:
    """One connection's codec for client programs (`imserver.wire.base.ClientCodec`).

    Args:
        now: the wall clock, float seconds, for timestamps; None = lines have
            only the times that their commands tell.
    """

    def __init__(self, now: Callable[[], float] | None = None) -> None:
        self._now = now
        self._parts: dict[Id, list[dict[str, Any]]] = {}

    def request(self, command: Any, tag: Any) -> bytes:
        """The line for a command; `tag` becomes its id, the key for retries.

        Acks, typing and heartbeats with a seq go out as events, without an answer
        (a heartbeat is echoed).

        Raises:
            ValueError: this format cannot carry the command.
        """
        name, payload = payload_of(command)
        kind, at = "request", 0.0
        if isinstance(command, Ping):
            at = command.time
            if command.seq is not None:
                name, kind = MsgType.HEARTBEAT, "event"
        elif isinstance(command, SendMessage):
            at = command.sent_at
            tag = command.client_id if tag is None else tag
        elif isinstance(command, _EVENTS):
            kind = "event"
        if at <= 0 and self._now is not None:
            at = float(int(self._now()))
        line: dict[str, Any] = {"id": tag, "type": kind, "command": name.value}
        if at > 0:
            line["timestamp"] = int(at) if at.is_integer() else at
        line["payload"] = payload
        return encode(line)

    def decode(self, frame: bytes) -> tuple[Any, Any]:
        """Reads one line of the server; see `ClientCodec.decode`.

        Returns:
            besides (None, None) for the leading parts of an answer that comes in several lines:
            the last one returns the whole.

        Raises:
            WireError: the server broke the format.
        """
        try:
            return self._decode(decode_msg(frame))
        except FAULTS as fault:
            raise WireError(ErrorCode.BAD_REQUEST, "this is no line of a server") from fault

    def _decode(self, message: MsgBase) -> tuple[Any, Any]:
        payload = message.payload
        known = find(message.command)
        if message.type == "response":
            status = payload["status"]
            if status not in (200, 202):
                return message.id, error_from_payload(payload)
            if known is None:
                raise ValueError("an answer to an unknown command")
            return self._response(known.name, message.id, payload)
        if known is None:
            raise ValueError("an unknown event")
        return None, self._event(known.name, message.id, payload)

    def _response(self, name: enum.StrEnum, id: Id | None, payload: dict[str, Any]) -> tuple[Any, Any]:
        if id is not None and (payload.get("continued") or id in self._parts):
            self._parts.setdefault(id, []).append(payload)
            if payload.get("continued"):
                return None, None
            payload = join_parts(self._parts.pop(id))
        return id, read_reply(name, payload)

    def _event(self, name: enum.StrEnum, id: Id | None, payload: dict[str, Any]) -> Any:
        if name is MsgType.MESSAGE_EVENT:
            flat = {key: value for key, value in payload.items() if key != "message"}
            return row_from_dict({**payload["message"], **flat})
        if name is MsgType.OFFLINE:
            return page_from_dict(payload)
        if name is MsgType.HEARTBEAT:
            return Pong(0.0, 0.0, payload["seq"])
        if name is MsgType.ACK:
            return SendFailed(id, error_from_payload(payload))
        return event_from_payload(name, payload)


def payload_of(command: Any) -> tuple[MsgType, dict[str, Any]]:
    """What a command is called, and its payload.

    Raises:
        ValueError: this format cannot carry the command.
    """
    found = _WRITERS.get(type(command))
    if found is None:
        raise ValueError(f"document 004 has no {type(command).__name__}")
    name, write = found
    return name, write(command)


def _client_info(device: str, platform: str) -> dict[str, Any]:
    info = {"device": device, "platform": platform}
    return {"client_info": info} if device or platform else {}


def _password(password: str, hashed: bool) -> str:
    # A plain password that looks like a hash would be taken for one.
    if not hashed and is_password_hash(password):
        return hashlib.sha256(password.encode()).hexdigest()
    return password


def _login(command: LogIn) -> dict[str, Any]:
    payload: dict[str, Any] = _client_info(command.device, command.platform)
    if command.user:
        payload["username"] = command.user
    if command.token:
        payload["token"] = command.token
    else:
        payload["password"] = _password(command.password, command.hashed)
    return payload


def _register(command: Register) -> dict[str, Any]:
    return {
        "username": command.user,
        "password": _password(command.password, command.hashed),
        **_client_info("", command.platform),
    }


def _place(command: Any) -> dict[str, Any]:
    """conversation_id and target, as far as the command names them."""
    payload: dict[str, Any] = {}
    if command.conversation:
        payload["conversation_id"] = command.conversation
    if command.recipient:
        payload["target"] = {"type": "user", "id": command.recipient}
    elif command.group:
        payload["target"] = {"type": "group", "id": command.group}
    return payload


def _send(command: SendMessage) -> dict[str, Any]:
    payload = _place(command)
    if command.broadcast:
        payload["target"] = {"type": "broadcast"}
    payload["content"] = Raw(contents.to_json(command.content))
    if command.attachments:
        payload["attachments"] = Raw(command.attachments)
    if command.meta:
        payload["meta"] = Raw(command.meta)
    if command.extra:
        payload["extra"] = command.extra
    return payload


def _ack(command: AckMessages) -> dict[str, Any]:
    return {"seq": command.seq} if command.seq else {"message_id": command.message_id}


def _history(command: ReadHistory) -> dict[str, Any]:
    payload = _place(command)
    if command.since:
        payload["since"] = command.since
    if command.limit:
        payload["limit"] = command.limit
    return payload


def _conversation(command: Any) -> dict[str, Any]:
    return {"conversation_id": command.conversation} if command.conversation else {}


_WRITERS: Final[dict[type, tuple[MsgType, Callable[[Any], dict[str, Any]]]]] = {
    LogIn: (MsgType.LOGIN, _login),
    Register: (MsgType.REGISTER, _register),
    RefreshTokens: (MsgType.REFRESH, lambda command: {"refresh_token": command.refresh_token}),
    LogOut: (MsgType.LOGOUT, lambda command: {}),
    Ping: (MsgType.PING, lambda command: {} if command.seq is None else {"seq": command.seq}),
    SetPresence: (MsgType.PRESENCE_UPDATE, lambda command: {"state": command.state.value}),
    ListPresence: (
        MsgType.PRESENCE_LIST,
        lambda command: {"users": command.users} if command.users else {},
    ),
    SendMessage: (MsgType.SEND, _send),
    AckMessages: (MsgType.ACK, _ack),
    ReadHistory: (MsgType.HISTORY, _history),
    MarkRead: (
        MsgType.READ,
        lambda command: {"message_ids": command.message_ids, **_conversation(command)},
    ),
    RevokeMessage: (
        MsgType.REVOKE,
        lambda command: {"message_id": command.message_id, **_conversation(command)},
    ),
    SetTyping: (MsgType.TYPING, lambda command: {"typing": command.typing, **_place(command)}),
    **GROUP_WRITERS,
    **FRIEND_WRITERS,
    **FILE_WRITERS,
}
