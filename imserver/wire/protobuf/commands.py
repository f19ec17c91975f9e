"""Commands, written as document 001's requests (the client's role)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from imserver.model.accounts import Disconnect, Hello, LogIn, Ping
from imserver.model.messages import AckMessages, MarkRead, RevokeMessage, SendMessage, SetTyping, SyncInbox
from imserver.model.presence import ListPresence
from imserver.wire.content import to_numbered
from imserver.wire.extras import pack_extra
from imserver.wire.protobuf import im_protocol_pb2 as pb
from imserver.wire.protobuf import tables
from imserver.wire.protobuf.encoding import to_ms


def _hello(command: Hello) -> bytes:
    return pb.ConnectRequest(
        client_id=command.client_id,
        platform=command.platform,
        app_version=command.app_version,
        sdk_version=command.sdk_version,
        device_info=command.device_info,
        extra=command.extra,
    ).SerializeToString()


def _disconnect(command: Disconnect) -> bytes:
    return b""


def _ping(command: Ping) -> bytes:
    return pb.HeartbeatRequest(client_time=to_ms(command.time)).SerializeToString()


def _log_in(command: LogIn) -> bytes:
    if not command.token:
        raise ValueError("document 001 logs in by token only")
    return pb.AuthRequest(
        user_id=command.user, token=command.token, platform=command.platform
    ).SerializeToString()


def _send(command: SendMessage) -> bytes:
    if bool(command.recipient) == bool(command.group) or command.broadcast:
        raise ValueError("document 001 sends to one recipient or one group")
    number, data = to_numbered(command.content)
    return pb.SendMessageRequest(
        client_msg_id=command.client_id,
        conversation_id=command.conversation,
        receiver_id=command.recipient,
        group_id=command.group,
        message_type=number,
        content=data,
        send_time=to_ms(command.sent_at),
        extra=pack_extra(command.extra, command.attachments, command.meta, command.content),
    ).SerializeToString()


def _ack(command: AckMessages) -> bytes:
    return pb.MessageAck(message_id=command.message_id, seq=command.seq).SerializeToString()


def _sync(command: SyncInbox) -> bytes:
    return pb.SyncRequest(
        min_seq=command.at_least, max_seq=command.after, limit=command.limit
    ).SerializeToString()


def _mark_read(command: MarkRead) -> bytes:
    return pb.ReadReceiptRequest(
        message_ids=command.message_ids, conversation_id=command.conversation
    ).SerializeToString()


def _revoke(command: RevokeMessage) -> bytes:
    return pb.RevokeMessageRequest(
        message_id=command.message_id, conversation_id=command.conversation
    ).SerializeToString()


def _typing(command: SetTyping) -> bytes:
    if not command.conversation:
        raise ValueError("document 001 names the conversation of a typing status")
    return pb.TypingStatusRequest(
        conversation_id=command.conversation, status=int(command.typing)
    ).SerializeToString()


def _list_presence(command: ListPresence) -> bytes:
    return pb.OnlineStatusRequest(user_ids=command.users).SerializeToString()


_WRITERS: Final[dict[type, tuple[int, Callable[[Any], bytes]]]] = {
    Hello: (tables.CONNECT_REQ, _hello),
    Disconnect: (tables.DISCONNECT_REQ, _disconnect),
    Ping: (tables.HEARTBEAT_REQ, _ping),
    LogIn: (tables.AUTH_REQ, _log_in),
    SendMessage: (tables.SEND_MSG_REQ, _send),
    AckMessages: (tables.MSG_ACK, _ack),
    SyncInbox: (tables.SYNC_REQ, _sync),
    MarkRead: (tables.READ_RECEIPT_REQ, _mark_read),
    RevokeMessage: (tables.REVOKE_MSG_REQ, _revoke),
    SetTyping: (tables.TYPING_STATUS_REQ, _typing),
    ListPresence: (tables.ONLINE_STATUS_REQ, _list_presence),
}


def command_body(command: Any) -> tuple[int, bytes]:
    """The number and body of a command's request.

    Raises:
        ValueError: document 001 cannot carry the command.
    """
    writer = _WRITERS.get(type(command))
    if writer is None:
        raise ValueError(f"document 001 cannot carry {type(command).__name__}")
    number, write = writer
    return number, write(command)
