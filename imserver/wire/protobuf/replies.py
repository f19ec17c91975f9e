"""Replies, written as the bodies of document 001's answers (but for SendMessageResponse, the hot one)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from imserver.model.accounts import HelloReply, LoggedIn, Pong
from imserver.model.messages import Done, InboxPage, MessageRevokedReply, MessagesMarked
from imserver.model.presence import PresenceList
from imserver.wire.protobuf import im_protocol_pb2 as pb
from imserver.wire.protobuf.encoding import push_row, to_ms
from imserver.wire.protobuf.pushes import user_status


def _hello(reply: HelloReply) -> bytes:
    return pb.ConnectResponse(
        server_time=to_ms(reply.server_time), session_id=reply.session
    ).SerializeToString()


def _pong(reply: Pong) -> bytes:
    return pb.HeartbeatResponse(server_time=to_ms(reply.server_time)).SerializeToString()


def _logged_in(reply: LoggedIn) -> bytes:
    return pb.AuthResponse(max_seq=reply.head, epoch=reply.epoch).SerializeToString()


def _page(reply: InboxPage) -> bytes:
    return pb.SyncResponse(
        messages=[push_row(row) for row in reply.rows],
        server_max_seq=reply.head,
        has_more=reply.has_more,
        first_seq=reply.first_seq,
        epoch=reply.epoch,
    ).SerializeToString()


def _presence(reply: PresenceList) -> bytes:
    return pb.OnlineStatusResponse(
        users=[user_status(user.user, user.state, user.last_seen) for user in reply.users]
    ).SerializeToString()


def _success(reply: Any) -> bytes:
    return b""


REPLIES: Final[dict[type, Callable[[Any], bytes]]] = {
    HelloReply: _hello,
    Pong: _pong,
    LoggedIn: _logged_in,
    InboxPage: _page,
    PresenceList: _presence,
    MessageRevokedReply: _success,
    MessagesMarked: _success,
    Done: _success,
}
