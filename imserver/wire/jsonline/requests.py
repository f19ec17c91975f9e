"""Payloads of document 004 to the model's commands: what the server reads."""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec
from msgspec import Raw

from imserver.model.accounts import LogIn, LogOut, Ping, RefreshTokens, Register
from imserver.model.messages import (
    AckMessages,
    MarkRead,
    ReadHistory,
    RevokeMessage,
    SendMessage,
    SetTyping,
)
from imserver.model.presence import ListPresence, PresenceState, SetPresence
from imserver.wire import content as contents
from imserver.wire import extras
from imserver.wire.jsonline.commands import MsgType
from imserver.wire.jsonline.files import FILE_READERS
from imserver.wire.jsonline.friends import FRIEND_READERS
from imserver.wire.jsonline.groups import GROUP_READERS, group_id
from imserver.wire.jsonline.messages import (
    AckPayload,
    ClientInfo,
    Envelope,
    HeartbeatPayload,
    HistoryPayload,
    Id,
    LoginPayload,
    Nothing,
    PresenceListPayload,
    PresenceUpdatePayload,
    ReadPayload,
    RefreshPayload,
    RegisterPayload,
    RevokePayload,
    SendPayload,
    Target,
    TypingPayload,
)
from imserver.wire.jsonline.validator import (
    MAX_ID_BYTES,
    bad,
    check_number,
    id_text,
    is_password_hash,
)

MAX_READ_IDS: Final = 500
_STATES: Final = {
    state.value: state for state in (PresenceState.ONLINE, PresenceState.AWAY, PresenceState.BUSY)
}
# Looking a member up in its enumeration costs as much as a small struct.
_PRIORITIES: Final = (None, "normal", "high")


def _login(payload: LoginPayload, envelope: Envelope) -> LogIn:
    user = id_text(payload.username or "", "username")
    device, platform = _client(payload.client_info)
    if payload.token:
        return LogIn(user=user, token=payload.token, platform=platform, device=device)
    if not user or not payload.password:
        raise bad("auth/login needs username and password, or token")
    hashed = is_password_hash(payload.password)
    return LogIn(user=user, password=payload.password, hashed=hashed, platform=platform, device=device)


def _register(payload: RegisterPayload, envelope: Envelope) -> Register:
    user = id_text(payload.username, "username")
    if not user or not payload.password:
        raise bad("auth/register needs username and password")
    hashed = is_password_hash(payload.password)
    return Register(user, payload.password, hashed, _client(payload.client_info)[1])


def _client(info: ClientInfo | None) -> tuple[str, str]:
    """(device, platform), both "" where not told."""
    if info is None:
        return "", ""
    device, platform = info.device or "", info.platform or ""
    if len(device.encode()) > MAX_ID_BYTES or len(platform.encode()) > MAX_ID_BYTES:
        raise bad("client_info is too long")
    return device, platform


def _refresh(payload: RefreshPayload, envelope: Envelope) -> RefreshTokens:
    if not payload.refresh_token:
        raise bad("refresh_token is empty")
    return RefreshTokens(payload.refresh_token, "" if envelope.id is None else str(envelope.id))


def _logout(payload: Nothing, envelope: Envelope) -> LogOut:
    return LogOut()


def _heartbeat(payload: HeartbeatPayload, envelope: Envelope) -> Ping:
    seq = payload.seq
    return Ping(_time(envelope), None if seq is None else check_number(seq, "seq"))


def _ping(payload: Nothing, envelope: Envelope) -> Ping:
    return Ping(_time(envelope))


def _time(envelope: Envelope) -> float:
    """The client's clock as the codec has checked it, 0.0 where it told none."""
    return envelope.timestamp or 0.0


def _presence_update(payload: PresenceUpdatePayload, envelope: Envelope) -> SetPresence:
    state = _STATES.get(payload.state)
    if state is None:
        raise bad("state must be online, away or busy")
    return SetPresence(state)


def _presence_list(payload: PresenceListPayload, envelope: Envelope) -> ListPresence:
    return ListPresence(tuple(id_text(user, "users") for user in payload.users or ()))


def send(payload: SendPayload, envelope: Envelope) -> SendMessage:
    """message/send."""
    content = contents.from_json(payload.content)
    attachments = meta = b""
    if payload.attachments is not None:
        attachments = extras.attachments_from_json(payload.attachments)
    if payload.meta is not None:
        meta = _meta(payload.meta)
    recipient, group, broadcast = _target(payload.target)
    conversation = _conversation(payload)
    if not (recipient or conversation or group or broadcast):
        raise bad("message/send needs conversation_id or target")
    return SendMessage(
        content,
        conversation,
        recipient,
        group,
        broadcast,
        "" if envelope.id is None else str(envelope.id),
        _time(envelope),
        {} if payload.extra is None else extras.extra_from_json(payload.extra),
        attachments,
        meta,
    )


def _meta(value: Any) -> bytes:
    data = extras.meta_from_json(value)
    if data:
        reply_to = value.get("reply_to")
        if reply_to is not None and (
            type(reply_to) is not str or not 0 < len(reply_to.encode()) <= MAX_ID_BYTES
        ):
            raise bad("meta.reply_to must be a message id")
        if value.get("priority") not in _PRIORITIES:
            raise bad("meta.priority must be normal or high")
    return data


def _target(target: Target | None) -> tuple[str, str, bool]:
    """(recipient, group, broadcast) of a target."""
    if target is None:
        return "", "", False
    if target.type == "broadcast":
        return "", "", True
    named = "" if target.id is None else id_text(target.id, "target.id")
    if target.type == "user":
        recipient, group = named, ""
    elif target.type in ("group", "room"):
        recipient, group = "", group_id(named)
    else:
        raise bad("target.type must be user, group, room or broadcast")
    if not (recipient or group):
        raise bad("target needs an id")
    return recipient, group, False


def _conversation(payload: Any) -> str:
    named: Id | None = payload.conversation_id
    if named is None:
        named = payload.conv_id
    return "" if named is None else id_text(named, "conversation_id")


def _place(payload: Any) -> tuple[str, str, str]:
    """(conversation, recipient, group), at most one of them: the target decides, if given."""
    recipient, group, broadcast = _target(payload.target)
    if broadcast:
        raise bad("a broadcast is not a conversation to read or write in")
    conversation = "" if recipient or group else _conversation(payload)
    return conversation, recipient, group


def _ack(payload: AckPayload, envelope: Envelope) -> AckMessages:
    seq = 0 if payload.seq is None else check_number(payload.seq, "seq")
    message_id = payload.message_id or ""
    if not seq and not message_id:
        raise bad("message/ack needs message_id or seq")
    return AckMessages(seq, message_id)


def history(payload: HistoryPayload, envelope: Envelope) -> ReadHistory:
    """message/history."""
    conversation, recipient, group = _place(payload)
    since = "" if payload.since is None else id_text(payload.since, "since")
    limit = 0 if payload.limit is None else check_number(payload.limit, "limit")
    return ReadHistory(conversation, recipient, group, since, limit)


def read(payload: ReadPayload, envelope: Envelope) -> MarkRead:
    """message/read."""
    ids = payload.message_ids or ([payload.message_id] if payload.message_id else [])
    if not ids or "" in ids:
        raise bad("message/read needs message_ids or message_id")
    if len(ids) > MAX_READ_IDS:
        raise bad(f"more than {MAX_READ_IDS} message ids")
    return MarkRead(tuple(ids), _conversation(payload))


def revoke(payload: RevokePayload, envelope: Envelope) -> RevokeMessage:
    """message/revoke."""
    if not payload.message_id:
        raise bad("message_id is empty")
    return RevokeMessage(payload.message_id, _conversation(payload))


def typing(payload: TypingPayload, envelope: Envelope) -> SetTyping:
    """message/typing."""
    typing = payload.typing if payload.typing is not None else payload.is_typing
    if typing is None:
        raise bad("message/typing needs typing")
    conversation, recipient, group = _place(payload)
    if not (conversation or recipient or group):
        raise bad("message/typing needs conversation_id or target")
    return SetTyping(typing, conversation, recipient, group)


Build = Callable[[Any, Envelope], Any]
Read = Callable[[enum.StrEnum, Envelope], Any]

READERS: Final[dict[enum.StrEnum, tuple[type, Build]]] = {
    MsgType.LOGIN: (LoginPayload, _login),
    MsgType.REGISTER: (RegisterPayload, _register),
    MsgType.REFRESH: (RefreshPayload, _refresh),
    MsgType.LOGOUT: (Nothing, _logout),
    MsgType.HEARTBEAT: (HeartbeatPayload, _heartbeat),
    MsgType.PING: (Nothing, _ping),
    MsgType.PRESENCE_UPDATE: (PresenceUpdatePayload, _presence_update),
    MsgType.PRESENCE_LIST: (PresenceListPayload, _presence_list),
    MsgType.SEND: (SendPayload, send),
    MsgType.ACK: (AckPayload, _ack),
    MsgType.HISTORY: (HistoryPayload, history),
    MsgType.READ: (ReadPayload, read),
    MsgType.REVOKE: (RevokePayload, revoke),
    MsgType.TYPING: (TypingPayload, typing),
    **GROUP_READERS,
    **FRIEND_READERS,
    **FILE_READERS,
}
"""Of each command: the struct of its payload, and what makes the model's command of it."""


def reader(readers: Mapping[enum.StrEnum, tuple[type, Build]], *, strict: bool = True) -> Read:
    """What makes the model's command of a line, by a table like `READERS`.

    Args:
        strict: False: numbers and booleans may also be written as strings.
    """
    by_name: dict[enum.StrEnum, tuple[Callable[[bytes | Raw], Any], Build]] = {
        name: (msgspec.json.Decoder(payload, strict=strict).decode, build)
        for name, (payload, build) in readers.items()
    }

    def read(name: enum.StrEnum, envelope: Envelope) -> Any:
        """The model command in an envelope.

        Raises:
            ImError: BAD_REQUEST where the payload is not what the command needs.
        """
        found = by_name.get(name)
        if found is None:
            raise bad("only the server sends this command")
        decode, build = found
        try:
            payload = decode(envelope.payload)
        except msgspec.ValidationError as fault:
            if bytes(envelope.payload) != b"null":
                raise bad(f"payload: {fault}") from None
            return read(name, msgspec.structs.replace(envelope, payload=Raw(b"{}")))
        except (msgspec.MsgspecError, ValueError, RecursionError):
            raise bad("the payload cannot be read") from None
        return build(payload, envelope)

    return read


read_command: Final = reader(READERS)
