"""What clients of the dialect chat-app write, where it is not as in the draft.

Everything may be absent or null; numbers and booleans may be strings. What else stands there is ignored.
"""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from imserver.wire.jsonline import messages
from imserver.wire.jsonline.messages import Id


class Envelope(messages.Envelope):
    """A client's line; a timestamp that cannot be read counts as none."""

    timestamp: Any = None


class LoginPayload(Struct, gc=False):
    """auth/login and auth/register."""

    username: Id | None = None
    user_id: Id | None = None
    password: str | None = None
    token: str | None = None
    client_info: Any = None


class RefreshPayload(Struct, gc=False):
    """auth/refresh."""

    token: str | None = None


class SendPayload(messages.SendPayload):
    """message/send; the content may be a bare text, the target a bare user id."""

    target: Any = None


class HistoryPayload(messages.HistoryPayload):
    """message/history."""

    target: Any = None


class TypingPayload(messages.TypingPayload):
    """message/typing."""

    target: Any = None


class RoomPayload(Struct):
    """room/*, group/*."""

    room_id: Id | None = None
    group_id: Id | None = None
    encrypted: bool | None = None
    password: Id | None = None
    name: str | None = None
    open: bool | None = None
    members: list[Id] | None = None
    user_id: Id | None = None
    target_id: Id | None = None


class FriendPayload(Struct, gc=False):
    """friend/*."""

    target_id: Id | None = None
    friend_id: Id | None = None
    user_id: Id | None = None
    request_id: int | None = None
    message: str | None = None


class FileRequestPayload(Struct):
    """file/request."""

    target: Any = None
    target_type: str | None = None
    target_id: Id | None = None
    file_name: Id | None = None
    file_size: int | None = None
    checksum: Id | None = None
    hash: Id | None = None


class FileSessionPayload(Struct, gc=False):
    """file/accept, file/reject, file/complete, file/error."""

    session_id: str | None = None
    reason: str | None = None
    error_message: str | None = None


class CallPayload(Struct):
    """voice/call."""

    call_type: str | None = None
    target: Any = None
    target_type: str | None = None
    target_id: Id | None = None


class CallIdPayload(Struct, gc=False):
    """voice/answer, voice/reject, voice/end."""

    call_id: Id | None = None
    reason: str | None = None


class DataPayload(Struct, gc=False):
    """voice/data; the data in hex."""

    call_id: Id | None = None
    data: str | None = None
