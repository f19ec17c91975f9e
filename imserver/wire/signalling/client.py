"""The client's role of document 002."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec
from msgspec import Raw

from imserver.model.accounts import LogIn, Ping
from imserver.model.errors import ErrorCode, ImError
from imserver.model.messages import (
    AckMessages,
    Form,
    MarkRead,
    ReadHistory,
    RevokeMessage,
    SendMessage,
    SetTyping,
)
from imserver.model.presence import ListPresence, SetPresence
from imserver.wire import content as contents
from imserver.wire.base import Upgrade, WireError
from imserver.wire.signalling import handshake, msgpack
from imserver.wire.signalling.answers import ANSWER_READERS, read_connect
from imserver.wire.signalling.call_events import CALL_READERS
from imserver.wire.signalling.calls import write_call
from imserver.wire.signalling.envelope import decode, encode, id_value, iso
from imserver.wire.signalling.events import EVENT_READERS
from imserver.wire.signalling.fields import split_extra
from imserver.wire.signalling.pushes import row_from_dict

# What reading a server's fields can come to when they are not what they should be.
_FAULTS: Final = (
    msgspec.MsgspecError,
    ImError,
    LookupError,
    TypeError,
    ValueError,
    AttributeError,
    OverflowError,
    RecursionError,
)


class SignallingClientCodec:
    """One connection's codec for client programs (`imserver.wire.base.ClientCodec`).

    The log-in is no message: `upgrade` says what the WebSocket handshake needs for it.
    The first message of the server is decoded as (None, LoggedIn).

    Args:
        now: the wall clock, float seconds, for timestamps; None = messages have
            only the times that their commands tell.
        binary: MessagePack instead of JSON.
    """

    def __init__(self, now: Callable[[], float] | None = None, *, binary: bool = False) -> None:
        self._now = now
        self._binary = binary

    def upgrade(self, command: LogIn) -> Upgrade:
        """The handshake that logs in. Raises ValueError where the command has no token."""
        return handshake.upgrade(command, binary=self._binary)

    def request(self, command: Any, tag: Any) -> bytes:
        """The message for a command; `tag` (a string or a small integer) becomes its id.

        Acks, typing and what concerns calls are not answered, unless they are refused.

        Raises:
            ValueError: this format cannot carry the command.
        """
        call = write_call(command)
        if call is not None:
            message: dict[str, Any] = {"type": call[0], "payload": Raw(call[1])}
        else:
            found = _WRITERS.get(type(command))
            if found is None:
                raise ValueError(f"document 002 has no {type(command).__name__}")
            name, write = found
            message = {"type": name, "payload": write(command)}
        at = command.sent_at if isinstance(command, SendMessage) else 0.0
        if at <= 0 and self._now is not None:
            at = self._now()
        if at > 0:
            message["timestamp"] = iso(at)
        if tag is not None:
            message["id"] = tag
        frame = encode(message)
        return msgpack.msgpack_of(frame) if self._binary else frame

    def decode(self, frame: bytes) -> tuple[Any, Any]:
        """Reads one message of the server; see `ClientCodec.decode`.

        Raises:
            WireError: the server broke the format.
        """
        try:
            return self._decode(decode(msgpack.json_of(frame) if self._binary else frame))
        except _FAULTS as fault:
            raise WireError(ErrorCode.BAD_REQUEST, "this is no message of a server") from fault

    @staticmethod
    def _decode(message: dict[str, Any]) -> tuple[Any, Any]:
        kind, payload, tag = message["type"], message["payload"], message.get("id")
        if kind == "message.new":
            return None, row_from_dict(payload)
        if kind == "connect":
            return None, read_connect(payload)
        if kind in CALL_READERS:
            return tag, CALL_READERS[kind](payload, message["timestamp"])
        if kind != "error" and (tag is not None or kind not in EVENT_READERS):
            return tag, ANSWER_READERS[kind](payload, message["timestamp"])
        return tag, EVENT_READERS[kind](payload)


def _place(command: Any) -> dict[str, Any]:
    """conversation_id, to_user and group_id, as far as the command names them."""
    payload: dict[str, Any] = {}
    if command.conversation:
        payload["conversation_id"] = command.conversation
    if command.recipient:
        payload["to_user"] = id_value(command.recipient)
    if command.group:
        payload["group_id"] = id_value(command.group)
    return payload


def _send(command: SendMessage) -> dict[str, Any]:
    if command.broadcast:
        raise ValueError("document 002 has no broadcasts")
    payload = _place(command)
    if command.content.form == Form.TEXT:
        payload["content"] = command.content.data.decode()
        payload["message_type"] = "text"
    else:
        payload["content"] = Raw(contents.to_json(command.content))
    if command.client_id:
        payload["client_msg_id"] = command.client_id
    if command.attachments:
        payload["attachments"] = Raw(command.attachments)
    if command.meta:
        payload["meta"] = Raw(command.meta)
    if command.extra:
        more, extra = split_extra(command.extra)
        if extra:
            payload["extra"] = extra
        if more:
            payload.update(decode(more))
    return payload


def _conversation(command: Any) -> dict[str, Any]:
    return {"conversation_id": command.conversation} if command.conversation else {}


def _history(command: ReadHistory) -> dict[str, Any]:
    payload = _place(command)
    if command.since:
        payload["since"] = command.since
    if command.limit:
        payload["limit"] = command.limit
    return payload


def _ack(command: AckMessages) -> dict[str, Any]:
    return {"seq": command.seq} if command.seq else {"message_id": command.message_id}


def _read(command: MarkRead) -> dict[str, Any]:
    return {"message_ids": command.message_ids, **_conversation(command)}


def _delete(command: RevokeMessage) -> dict[str, Any]:
    return {"message_id": command.message_id, **_conversation(command)}


def _typing(command: SetTyping) -> dict[str, Any]:
    return {**_place(command), "is_typing": command.typing}


def _users(command: ListPresence) -> dict[str, Any]:
    return {"users": [id_value(user) for user in command.users]} if command.users else {}


_WRITERS: Final[dict[type, tuple[str, Callable[[Any], dict[str, Any]]]]] = {
    Ping: ("ping", lambda command: {"timestamp": command.time} if command.time else {}),
    SendMessage: ("message.send", _send),
    AckMessages: ("message.ack", _ack),
    MarkRead: ("message.read", _read),
    RevokeMessage: ("message.delete", _delete),
    ReadHistory: ("message.history", _history),
    SetTyping: ("typing", _typing),
    SetPresence: ("presence", lambda command: {"state": command.state.value}),
    ListPresence: ("presence", _users),
}
