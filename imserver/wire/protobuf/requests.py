"""Document 001's request bodies, read into commands.

Every reader takes a body and raises protobuf's `DecodeError` for one that is
not of its type, `ImError` for one that breaks a rule of the format.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from imserver.model.accounts import Disconnect, Hello, LogIn, Ping
from imserver.model.errors import ErrorCode, ImError
from imserver.model.messages import AckMessages, MarkRead, RevokeMessage, SendMessage, SetTyping, SyncInbox
from imserver.model.presence import ListPresence
from imserver.wire.content import from_numbered, to_numbered
from imserver.wire.extras import CONTENT_KEY, check_extra, unpack_extra
from imserver.wire.protobuf import im_protocol_pb2 as pb
from imserver.wire.protobuf import tables
from imserver.wire.protobuf.encoding import from_client_ms

MAX_RECEIPTS: Final = 500
"""Message ids in one ReadReceiptRequest, user ids in one OnlineStatusRequest."""
DEFAULT_SYNC: Final = 100
MAX_SYNC: Final = 500
MAX_SEQ: Final = 2**53 - 1
"""No inbox gets that far: larger numbers from a client mean the same as this one."""

_SendRequest = pb.SendMessageRequest


def _seq(number: int) -> int:
    return min(max(number, 0), MAX_SEQ)


def _connect(body: bytes) -> Hello:
    request = pb.ConnectRequest.FromString(body)
    return Hello(
        client_id=request.client_id,
        platform=request.platform,
        app_version=request.app_version,
        sdk_version=request.sdk_version,
        device_info=request.device_info,
        extra=dict(request.extra),
    )


def _disconnect(body: bytes) -> Disconnect:
    return Disconnect()


def _heartbeat(body: bytes) -> Ping:
    return Ping(time=from_client_ms(pb.HeartbeatRequest.FromString(body).client_time))


def _auth(body: bytes) -> LogIn:
    request = pb.AuthRequest.FromString(body)
    return LogIn(user=request.user_id, token=request.token, platform=request.platform)


def _ack(body: bytes) -> AckMessages:
    request = pb.MessageAck.FromString(body)
    return AckMessages(seq=_seq(request.seq), message_id=request.message_id)


def _revoke(body: bytes) -> RevokeMessage:
    request = pb.RevokeMessageRequest.FromString(body)
    return RevokeMessage(message_id=request.message_id, conversation=request.conversation_id)


def _sync(body: bytes) -> SyncInbox:
    request = pb.SyncRequest.FromString(body)
    limit = min(request.limit, MAX_SYNC) if request.limit > 0 else DEFAULT_SYNC
    return SyncInbox(after=_seq(request.max_seq), at_least=_seq(request.min_seq), limit=limit)


def _online_status(body: bytes) -> ListPresence:
    users = tuple(pb.OnlineStatusRequest.FromString(body).user_ids)
    if len(users) > MAX_RECEIPTS:
        raise ImError(ErrorCode.BAD_REQUEST, f"more than {MAX_RECEIPTS} user_ids")
    return ListPresence(users)


def _read_receipt(body: bytes) -> MarkRead:
    request = pb.ReadReceiptRequest.FromString(body)
    if len(request.message_ids) > MAX_RECEIPTS:
        raise ImError(ErrorCode.BAD_REQUEST, f"more than {MAX_RECEIPTS} message_ids")
    return MarkRead(tuple(request.message_ids), request.conversation_id)


def _typing(body: bytes) -> SetTyping:
    request = pb.TypingStatusRequest.FromString(body)
    return SetTyping(typing=request.status != 0, conversation=request.conversation_id)


READERS: Final[dict[int, Callable[[bytes], Any]]] = {
    tables.CONNECT_REQ: _connect,
    tables.DISCONNECT_REQ: _disconnect,
    tables.HEARTBEAT_REQ: _heartbeat,
    tables.AUTH_REQ: _auth,
    tables.REAUTH_REQ: _auth,
    tables.MSG_ACK: _ack,
    tables.REVOKE_MSG_REQ: _revoke,
    tables.SYNC_REQ: _sync,
    tables.ONLINE_STATUS_REQ: _online_status,
    tables.READ_RECEIPT_REQ: _read_receipt,
    tables.TYPING_STATUS_REQ: _typing,
}
"""Every command a client may send, but for SEND_MSG_REQ (`read_send`)."""


def read_send(body: bytes) -> pb.SendMessageRequest:
    """Parses a SendMessageRequest.

    Raises:
        DecodeError: it is none.
    """
    return _SendRequest.FromString(body)


def send_command(request: pb.SendMessageRequest, user: str) -> SendMessage:
    """The command of a SendMessageRequest.

    Args:
        user: who is logged in; "" = nobody yet, then the session refuses the command.

    Raises:
        ImError: BAD_REQUEST for both or neither of receiver_id and group_id, or a
            text that is not UTF-8; FORBIDDEN for somebody else's sender_id.
    """
    recipient = request.receiver_id
    group = request.group_id
    if bool(recipient) == bool(group):
        raise ImError(ErrorCode.BAD_REQUEST, "name either receiver_id or group_id")
    sender = request.sender_id
    if sender and user and sender != user:
        raise ImError(ErrorCode.FORBIDDEN, "sender_id is not the user who is logged in")
    content = from_numbered(request.message_type, request.content)
    if not request.extra:
        return SendMessage(
            content,
            request.conversation_id,
            recipient,
            group,
            False,
            request.client_msg_id,
            from_client_ms(request.send_time),
        )
    extra, attachments, meta, whole = unpack_extra(dict(request.extra), content)
    check_extra(extra)
    if whole is content and CONTENT_KEY in extra and to_numbered(content)[0] != request.message_type:
        raise ImError(ErrorCode.BAD_REQUEST, f'extra must not hold "{CONTENT_KEY}" beside such a text')
    return SendMessage(
        content=whole,
        conversation=request.conversation_id,
        recipient=recipient,
        group=group,
        client_id=request.client_msg_id,
        sent_at=from_client_ms(request.send_time),
        extra=extra,
        attachments=attachments,
        meta=meta,
    )
