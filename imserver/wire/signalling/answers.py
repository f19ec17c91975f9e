"""The model's replies to answers, in both directions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from imserver.model.accounts import LoggedIn, Pong
from imserver.model.ice import IceServer
from imserver.model.messages import (
    Done,
    MarkRead,
    MessageAccepted,
    MessagePage,
    MessageRevokedReply,
    MessagesMarked,
    RevokeMessage,
)
from imserver.model.presence import PresenceList, SetPresence
from imserver.wire.signalling.calls import COMMANDS
from imserver.wire.signalling.envelope import encode, id_json, id_value, iso, iso_json, parse_time
from imserver.wire.signalling.events import presence_from_dict, presence_to_dict
from imserver.wire.signalling.pushes import item, row_from_dict, text_id

Answer = tuple[bytes, bytes]
"""Type and payload, as JSON."""


def accepted_payload(reply: MessageAccepted, client_msg_id: bytes) -> bytes:
    """The payload of message.sent, written by hand: the hot path.

    Args:
        client_msg_id: as JSON, as the client wrote it; b"" = none.
    """
    return b'{%b"message_id":%b,"conversation_id":%b,"seq":%d,"sent_at":%b}' % (
        b'"client_msg_id":%b,' % client_msg_id if client_msg_id else b"",
        encode(reply.message_id),
        encode(reply.conversation),
        reply.seq,
        iso_json(reply.server_at),
    )


def connect_payload(reply: LoggedIn, now: float) -> bytes:
    """The payload of connect (CONTRACT §4)."""
    return encode(
        {
            "status": "connected",
            "user_id": id_value(reply.user),
            "server_time": iso(now),
            "epoch": reply.epoch,
            "ice_servers": reply.ice_servers,
        }
    )


def _page(reply: MessagePage, command: Any, user: str) -> Answer:
    return b"message.history", b'{"messages":[%b],"next_cursor":%b,"has_more":%b}' % (
        b",".join(item(row) for row in reply.rows),
        encode(reply.next_cursor),
        b"true" if reply.has_more else b"false",
    )


def _named(conversation: str) -> bytes:
    """The conversation, if the client named one."""
    return b'"conversation_id":%b,' % encode(conversation) if conversation else b""


def _revoked(reply: MessageRevokedReply, command: RevokeMessage, user: str) -> Answer:
    return b"message.delete", b'{"message_id":%b,%b"from_user":%b,"deleted_at":%b}' % (
        encode(reply.message_id),
        _named(command.conversation),
        id_json(user),
        iso_json(reply.at),
    )


def _marked(reply: MessagesMarked, command: MarkRead, user: str) -> Answer:
    return b"message.read", b'{"message_ids":%b,%b"from_user":%b,"read_at":%b}' % (
        encode(command.message_ids),
        _named(command.conversation),
        id_json(user),
        iso_json(reply.at),
    )


def _presence(reply: PresenceList, command: Any, user: str) -> Answer:
    return b"presence", encode({"users": [presence_to_dict(one) for one in reply.users]})


def _done(reply: Done, command: Any, user: str) -> Answer | None:
    if isinstance(command, SetPresence):
        return b"presence", encode({"user_id": id_value(user), "state": command.state.value})
    return None


_WRITERS: Final[dict[type, Callable[[Any, Any, str], Answer | None]]] = {
    MessagePage: _page,
    MessageRevokedReply: _revoked,
    MessagesMarked: _marked,
    PresenceList: _presence,
    Done: _done,
}


def answer(reply: Any, command: Any, user: str) -> Answer | None:
    """The answer to a command; None where there is none (acks, typing, calls).

    Args:
        user: who asked.

    Raises:
        KeyError: this format has no answer of this kind.
    """
    if type(command) in COMMANDS:
        return None
    return _WRITERS[type(reply)](reply, command, user)


# The client's side


def _read_pong(payload: dict[str, Any], timestamp: str) -> Pong:
    told = payload.get("timestamp", 0)
    return Pong(parse_time(timestamp), float(told) if type(told) in (int, float) else 0.0)


def _read_sent(payload: dict[str, Any], timestamp: str) -> MessageAccepted:
    return MessageAccepted(
        text_id(payload["message_id"]),
        text_id(payload["conversation_id"]),
        int(payload["seq"]),
        parse_time(payload["sent_at"]),
    )


def _read_page(payload: dict[str, Any], timestamp: str) -> MessagePage:
    return MessagePage(
        [row_from_dict(one) for one in payload["messages"]],
        text_id(payload["next_cursor"]),
        bool(payload["has_more"]),
    )


def _read_revoked(payload: dict[str, Any], timestamp: str) -> MessageRevokedReply:
    return MessageRevokedReply(text_id(payload["message_id"]), parse_time(payload["deleted_at"]))


def _read_marked(payload: dict[str, Any], timestamp: str) -> MessagesMarked:
    return MessagesMarked(parse_time(payload["read_at"]))


def _read_presence(payload: dict[str, Any], timestamp: str) -> PresenceList | Done:
    if "users" in payload:
        return PresenceList([presence_from_dict(one) for one in payload["users"]])
    return Done()


ANSWER_READERS: Final[dict[str, Callable[[dict[str, Any], str], Any]]] = {
    "pong": _read_pong,
    "message.sent": _read_sent,
    "message.history": _read_page,
    "message.delete": _read_revoked,
    "message.read": _read_marked,
    "presence": _read_presence,
}
"""(payload, timestamp) of answers to replies, by type."""


def read_connect(payload: dict[str, Any]) -> LoggedIn:
    """connect as a reply to the log-in; what it does not tell is left at "" and 0."""
    if payload["status"] != "connected":
        raise ValueError("not connected")
    servers = tuple(
        IceServer(tuple(one["urls"]), text_id(one.get("username", "")), text_id(one.get("credential", "")))
        for one in payload["ice_servers"]
    )
    return LoggedIn(text_id(payload["user_id"]), "", "", 0, 0, 0, text_id(payload["epoch"]), servers)
