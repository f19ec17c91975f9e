"""Document 001's answers and pushes, read into replies and events (the client's role).

Every reader raises protobuf's `DecodeError` for a body that is not of its type.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from msgspec import Struct

from imserver.model.accounts import HelloReply, KickReason, LoggedIn, Pong, SessionKicked
from imserver.model.errors import ErrorCode, ImError
from imserver.model.ids import group_name, single_name
from imserver.model.messages import (
    Content,
    Done,
    Form,
    InboxPage,
    InboxRow,
    Message,
    MessageAccepted,
    MessageRevoked,
    MessageRevokedReply,
    MessagesMarked,
    MessagesRead,
    Revocation,
    TypingChanged,
)
from imserver.model.presence import PresenceChanged, PresenceList, PresenceState, UserPresence
from imserver.wire.content import TEXT_NUMBER, from_numbered
from imserver.wire.extras import unpack_extra
from imserver.wire.protobuf import im_protocol_pb2 as pb
from imserver.wire.protobuf import tables


class SyncFinished(Struct, frozen=True, gc=False):
    """Event: the page before was the last one (SYNC_FINISHED)."""


def error_of(body: bytes) -> ImError | None:
    """The error an answer carries; all of them begin `error_code = 1`, `error_msg = 2`."""
    head = pb.RevokeMessageResponse.FromString(body)
    if not head.error_code:
        return None
    return ImError(tables.ERROR_CODES.get(head.error_code, ErrorCode.INTERNAL), head.error_msg)


# Answers


def _hello(body: bytes) -> HelloReply:
    answer = pb.ConnectResponse.FromString(body)
    return HelloReply(answer.session_id, answer.server_time / 1000)


def _pong(body: bytes) -> Pong:
    return Pong(pb.HeartbeatResponse.FromString(body).server_time / 1000)


def _logged_in(body: bytes) -> LoggedIn:
    answer = pb.AuthResponse.FromString(body)
    return LoggedIn("", "", "", 0, answer.max_seq, 1, answer.epoch)


def _accepted(body: bytes) -> MessageAccepted:
    answer = pb.SendMessageResponse.FromString(body)
    return MessageAccepted(answer.message_id, "", answer.seq, answer.server_time / 1000)


def _page(body: bytes) -> InboxPage:
    answer = pb.SyncResponse.FromString(body)
    return InboxPage(
        [inbox_row(push) for push in answer.messages],
        answer.server_max_seq,
        answer.first_seq,
        answer.has_more,
        answer.epoch,
    )


def _presence_list(body: bytes) -> PresenceList:
    users = pb.OnlineStatusResponse.FromString(body).users
    return PresenceList([UserPresence(user.user_id, _state(user), user.last_seen / 1000) for user in users])


def _done(body: bytes) -> Done:
    return Done()


def _revoked_reply(body: bytes) -> MessageRevokedReply:
    return MessageRevokedReply("", 0.0)


def _marked(body: bytes) -> MessagesMarked:
    return MessagesMarked(0.0)


ANSWERS: Final[dict[int, Callable[[bytes], Any]]] = {
    tables.CONNECT_RSP: _hello,
    tables.DISCONNECT_RSP: _done,
    tables.HEARTBEAT_RSP: _pong,
    tables.AUTH_RSP: _logged_in,
    tables.REAUTH_RSP: _logged_in,
    tables.SEND_MSG_RSP: _accepted,
    tables.REVOKE_MSG_RSP: _revoked_reply,
    tables.SYNC_RSP: _page,
    tables.ONLINE_STATUS_RSP: _presence_list,
    tables.READ_RECEIPT_RSP: _marked,
}


# Pushes


def inbox_row(push: pb.PushMessage) -> InboxRow:
    """A pushed or synchronised message; a tombstone becomes a revoked message.

    A text that is not UTF-8 (only a faulty server sends one) is kept as opaque bytes.
    """
    number, data = push.message_type, push.content
    try:
        content = from_numbered(number, data)
    except ImError:
        content = Content(Form.OPAQUE, data, TEXT_NUMBER)
    extra, attachments, meta, content = unpack_extra(dict(push.extra), content)
    revoked = None
    if not data and extra.get("revoked") == "1" and extra.get("revoked_time", "").isdecimal():
        revoked = Revocation(extra.get("revoked_by", ""), int(extra["revoked_time"][:16]) / 1000)
        extra = {}
    group = push.group_id
    message = Message(
        message_id=push.message_id,
        conversation=push.conversation_id,
        canonical=group_name(group) if group else single_name(push.sender_id, push.receiver_id),
        position=0,
        sender=push.sender_id,
        recipient=push.receiver_id,
        group=group,
        client_id=push.client_msg_id,
        content=content,
        sent_at=push.send_time / 1000,
        server_at=push.server_time / 1000,
        extra=extra,
        attachments=attachments,
        meta=meta,
        revoked=revoked,
    )
    return InboxRow(push.seq, message)


def _push(body: bytes) -> InboxRow:
    return inbox_row(pb.PushMessage.FromString(body))


def _batch(body: bytes) -> InboxPage:
    rows = [inbox_row(push) for push in pb.BatchMessages.FromString(body).messages]
    return InboxPage(rows, rows[-1].seq if rows else 0, 0, False, "")


def _sync_finished(body: bytes) -> SyncFinished:
    return SyncFinished()


def _revoked(body: bytes) -> MessageRevoked:
    push = pb.RevokeMessagePush.FromString(body)
    name = push.conversation_id
    return MessageRevoked(push.message_id, name, name, push.revoked_by, push.revoked_time / 1000)


def _read(body: bytes) -> MessagesRead:
    push = pb.ReadReceiptPush.FromString(body)
    name = push.conversation_id
    return MessagesRead(tuple(push.message_ids), name, name, push.user_id, push.read_time / 1000)


def _typing(body: bytes) -> TypingChanged:
    push = pb.TypingStatusPush.FromString(body)
    return TypingChanged(push.conversation_id, push.user_id, push.status != 0)


def _presence(body: bytes) -> PresenceChanged:
    push = pb.UserStatus.FromString(body)
    return PresenceChanged(push.user_id, _state(push), push.last_seen / 1000)


def _state(status: pb.UserStatus) -> PresenceState:
    return tables.STATES.get(status.status, PresenceState.ONLINE)


def _kicked(body: bytes) -> SessionKicked:
    push = pb.KickOutNotification.FromString(body)
    reason = KickReason.OTHER_DEVICE if push.reason == KickReason.OTHER_DEVICE else KickReason.ACCOUNT
    return SessionKicked(reason, push.message)


PUSHES: Final[dict[int, Callable[[bytes], Any]]] = {
    tables.KICK_OUT: _kicked,
    tables.PUSH_MSG: _push,
    tables.BATCH_MSG: _batch,
    tables.REVOKE_MSG_PUSH: _revoked,
    tables.SYNC_FINISHED: _sync_finished,
    tables.STATUS_CHANGE_PUSH: _presence,
    tables.READ_RECEIPT_PUSH: _read,
    tables.TYPING_STATUS_PUSH: _typing,
}
