"""Events, written as document 001's pushes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from imserver.model.accounts import KickReason, SessionKicked
from imserver.model.errors import ErrorCode
from imserver.model.messages import MessageRevoked, MessagesRead, TypingChanged
from imserver.model.presence import PresenceChanged, PresenceState
from imserver.wire.protobuf import im_protocol_pb2 as pb
from imserver.wire.protobuf import tables
from imserver.wire.protobuf.encoding import error_body, to_ms

Pushed = tuple[int, bytes]
"""A command's number and its body."""


def user_status(user: str, state: PresenceState, last_seen: float) -> pb.UserStatus:
    """One user's state: a row of OnlineStatusResponse, and the body of STATUS_CHANGE_PUSH."""
    return pb.UserStatus(user_id=user, status=tables.STATE_NUMBERS[state], last_seen=to_ms(last_seen))


def _revoked(event: MessageRevoked) -> Pushed:
    body = pb.RevokeMessagePush(
        message_id=event.message_id,
        conversation_id=event.conversation,
        revoked_by=event.by,
        revoked_time=to_ms(event.at),
    )
    return tables.REVOKE_MSG_PUSH, body.SerializeToString()


def _read(event: MessagesRead) -> Pushed:
    body = pb.ReadReceiptPush(
        message_ids=event.message_ids,
        conversation_id=event.conversation,
        user_id=event.reader,
        read_time=to_ms(event.at),
    )
    return tables.READ_RECEIPT_PUSH, body.SerializeToString()


def _typing(event: TypingChanged) -> Pushed:
    body = pb.TypingStatusPush(
        conversation_id=event.conversation, user_id=event.user, status=int(event.typing)
    )
    return tables.TYPING_STATUS_PUSH, body.SerializeToString()


def _presence(event: PresenceChanged) -> Pushed:
    body = user_status(event.user, event.state, event.last_seen)
    return tables.STATUS_CHANGE_PUSH, body.SerializeToString()


def _kicked(event: SessionKicked) -> Pushed | None:
    """KICK_OUT tells a client to stay away, so it is kept for the document's two reasons.

    A client that is welcome to connect again is told by the close code alone
    (shutdown), or by an error that belongs to no request (slow).
    """
    if event.reason is KickReason.SHUTDOWN:
        return None
    if event.reason is KickReason.SLOW:
        return tables.UNKNOWN, error_body(ErrorCode.UNAVAILABLE, event.text)
    body = pb.KickOutNotification(reason=int(event.reason), message=event.text)
    return tables.KICK_OUT, body.SerializeToString()


EVENTS: Final[dict[type, Callable[[Any], Pushed | None]]] = {
    MessageRevoked: _revoked,
    MessagesRead: _read,
    TypingChanged: _typing,
    PresenceChanged: _presence,
    SessionKicked: _kicked,
}
