"""Payloads of the dialect chat-app to the model's commands, where they are not the draft's."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

from msgspec.structs import replace

from imserver.model.accounts import LogIn, Register, RenewToken
from imserver.model.friends import (
    AcceptFriend,
    BlockUser,
    DeleteFriend,
    ListFriends,
    RejectFriend,
    RequestFriend,
    UnblockUser,
)
from imserver.model.messages import MarkRead, ReadHistory, RevokeMessage, SendMessage, SetTyping
from imserver.wire.jsonline import requests as drafted
from imserver.wire.jsonline.chat_app.files import FILE_READERS
from imserver.wire.jsonline.chat_app.pages import ITEM_BYTES
from imserver.wire.jsonline.chat_app.parts import whole_id
from imserver.wire.jsonline.chat_app.payloads import (
    FriendPayload,
    HistoryPayload,
    LoginPayload,
    RefreshPayload,
    SendPayload,
    TypingPayload,
)
from imserver.wire.jsonline.chat_app.rooms import ROOM_READERS
from imserver.wire.jsonline.chat_app.targets import target
from imserver.wire.jsonline.chat_app.voice import VOICE_READERS
from imserver.wire.jsonline.commands import MsgType
from imserver.wire.jsonline.messages import Envelope, Id, ReadPayload, RevokePayload
from imserver.wire.jsonline.validator import MAX_ID_BYTES, bad, bearer_token, check_number, id_text

DEVICE: Final = "chat-app"
"""What a device is called that has no name; the others bear it before theirs.

The draft's clients acknowledge and these do not, so none may be taken for the other.
"""

_HASH: Final = re.compile(r"[0-9a-fA-F]{64}", re.ASCII)


# Accounts


def _login(payload: LoginPayload, envelope: Envelope) -> LogIn:
    user = _name(payload)
    device, platform = _client(payload.client_info)
    if payload.token:
        return LogIn(user=user, token=payload.token, platform=platform, device=device)
    if not user or not payload.password:
        raise bad("auth/login needs username and password")
    password, hashed = _password(payload.password)
    return LogIn(user=user, password=password, hashed=hashed, platform=platform, device=device)


def _register(payload: LoginPayload, envelope: Envelope) -> Register:
    user = _name(payload)
    if not user or not payload.password:
        raise bad("auth/register needs username and password")
    password, hashed = _password(payload.password)
    return Register(user, password, hashed, _client(payload.client_info)[1])


def _name(payload: LoginPayload) -> str:
    name = payload.user_id if payload.username is None else payload.username
    return "" if name is None else id_text(name, "username")


def _password(password: str) -> tuple[str, bool]:
    """(password, whether it is the hash): the dialect's clients send the hash, in either case."""
    hashed = _HASH.fullmatch(password) is not None
    return (password.lower() if hashed else password), hashed


def _client(info: Any) -> tuple[str, str]:
    """(device, platform); what cannot be read is not told."""
    fields = info if type(info) is dict else {}
    device, platform = (
        value if type(value) is str and len(value.encode("utf-8", "replace")) <= MAX_ID_BYTES // 2 else ""
        for value in (fields.get("device"), fields.get("platform"))
    )
    named = device or platform
    return (f"{DEVICE} {named}" if named else DEVICE), platform


def _refresh(payload: RefreshPayload, envelope: Envelope) -> RenewToken:
    token = payload.token
    if not token and envelope.headers is not None and envelope.headers.authorization is not None:
        token = bearer_token(envelope.headers.authorization)
    if not token:
        raise bad("auth/refresh needs the token")
    return RenewToken(token)


# Messages


def _send(payload: SendPayload, envelope: Envelope) -> SendMessage:
    content = payload.content
    if type(content) is str:
        payload.content = {"type": "text", "text": content}
    elif type(content) is dict and "type" not in content and type(content.get("text")) is str:
        payload.content = {**content, "type": "text"}
    if type(payload.meta) is dict and type(payload.meta.get("reply_to")) is str:
        payload.meta = {**payload.meta, "reply_to": whole_id(payload.meta["reply_to"])}
    payload.target = target(payload.target)
    return drafted.send(payload, envelope)


def _history(payload: HistoryPayload, envelope: Envelope) -> ReadHistory:
    payload.target = target(payload.target)
    return replace(drafted.history(payload, envelope), page_bytes=ITEM_BYTES)


def _typing(payload: TypingPayload, envelope: Envelope) -> SetTyping:
    payload.target = target(payload.target)
    return drafted.typing(payload, envelope)


def _read(payload: ReadPayload, envelope: Envelope) -> MarkRead:
    command = drafted.read(payload, envelope)
    return replace(command, message_ids=tuple(dict.fromkeys(whole_id(one) for one in command.message_ids)))


def _revoke(payload: RevokePayload, envelope: Envelope) -> RevokeMessage:
    command = drafted.revoke(payload, envelope)
    return replace(command, message_id=whole_id(command.message_id))


# Friends


def _other(payload: FriendPayload, *names: str) -> str:
    for name in names:
        value: Id | None = getattr(payload, name)
        if value is not None and value != "":
            return id_text(value, name)
    return ""


def _user(payload: FriendPayload) -> str:
    user = _other(payload, "target_id", "friend_id", "user_id")
    if not user:
        raise bad("target_id is missing")
    return user


def _friend_request(payload: FriendPayload, envelope: Envelope) -> RequestFriend:
    return RequestFriend(_user(payload), payload.message or "")


def _request_of(payload: FriendPayload) -> tuple[str, int]:
    number = 0 if payload.request_id is None else check_number(payload.request_id, "request_id")
    # The number alone decides: it is what these clients show to people.
    user = "" if number else _other(payload, "user_id", "friend_id", "target_id")
    if not user and not number:
        raise bad("request_id is missing")
    return user, number


def _friend_accept(payload: FriendPayload, envelope: Envelope) -> AcceptFriend:
    return AcceptFriend(*_request_of(payload))


def _friend_reject(payload: FriendPayload, envelope: Envelope) -> RejectFriend:
    return RejectFriend(*_request_of(payload))


def _with_user(make: Callable[[str], Any]) -> Callable[[FriendPayload, Envelope], Any]:
    return lambda payload, envelope: make(_user(payload))


read: Final = drafted.reader(
    {
        **drafted.READERS,
        MsgType.LOGIN: (LoginPayload, _login),
        MsgType.REGISTER: (LoginPayload, _register),
        MsgType.REFRESH: (RefreshPayload, _refresh),
        MsgType.SEND: (SendPayload, _send),
        MsgType.HISTORY: (HistoryPayload, _history),
        MsgType.TYPING: (TypingPayload, _typing),
        MsgType.READ: (ReadPayload, _read),
        MsgType.REVOKE: (RevokePayload, _revoke),
        MsgType.FRIEND_REQUEST: (FriendPayload, _friend_request),
        MsgType.FRIEND_ACCEPT: (FriendPayload, _friend_accept),
        MsgType.FRIEND_REJECT: (FriendPayload, _friend_reject),
        MsgType.FRIEND_DELETE: (FriendPayload, _with_user(DeleteFriend)),
        MsgType.FRIEND_LIST: (FriendPayload, lambda payload, envelope: ListFriends()),
        MsgType.FRIEND_BLOCK: (FriendPayload, _with_user(BlockUser)),
        MsgType.FRIEND_UNBLOCK: (FriendPayload, _with_user(UnblockUser)),
        **ROOM_READERS,
        **VOICE_READERS,
        **FILE_READERS,
    },
    strict=False,
)
"""Makes the model's command of a line."""
