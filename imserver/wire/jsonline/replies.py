"""Payloads of responses to the model's replies: what the client reads."""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import Any, Final

from imserver.model.accounts import LoggedIn, Pong, Registered, TokensRefreshed
from imserver.model.groups import GroupList, GroupReply, MemberList
from imserver.model.messages import (
    Done,
    MessageAccepted,
    MessagePage,
    MessageRevokedReply,
    MessagesMarked,
)
from imserver.model.presence import PresenceList
from imserver.wire.jsonline.commands import MsgType
from imserver.wire.jsonline.events import presence_from_dict
from imserver.wire.jsonline.file_client import FILE_ANSWER_READERS
from imserver.wire.jsonline.friends import FRIEND_LISTS, friend_list_from_dict, standing_from_dict
from imserver.wire.jsonline.groups import group_from_dict, member_from_dict
from imserver.wire.jsonline.pushes import row_from_dict


def _logged_in(payload: dict[str, Any]) -> LoggedIn:
    return LoggedIn(
        payload["user_id"],
        payload["token"],
        payload["refresh_token"],
        payload["expires_in"],
        payload["max_seq"],
        payload["first_seq"],
        payload["epoch"],
    )


def _registered(payload: dict[str, Any]) -> Registered:
    return Registered(payload["user_id"])


def _refreshed(payload: dict[str, Any]) -> TokensRefreshed:
    return TokensRefreshed(
        payload["user_id"], payload["token"], payload["refresh_token"], payload["expires_in"]
    )


def _pong(payload: dict[str, Any]) -> Pong:
    return Pong(float(payload["time"]), 0.0, payload.get("seq"))


def _accepted(payload: dict[str, Any]) -> MessageAccepted:
    return MessageAccepted(
        payload["message_id"],
        payload["conversation_id"],
        payload["seq"],
        float(payload["sent_at"]),
        payload["status"] == 202,
    )


def _page(payload: dict[str, Any]) -> MessagePage:
    return MessagePage(
        [row_from_dict(one) for one in payload["messages"]], payload["next_cursor"], payload["has_more"]
    )


def _revoked(payload: dict[str, Any]) -> MessageRevokedReply:
    return MessageRevokedReply(payload["message_id"], float(payload["revoked_at"]))


def _marked(payload: dict[str, Any]) -> MessagesMarked:
    return MessagesMarked(float(payload["read_at"]))


def _presence(payload: dict[str, Any]) -> PresenceList:
    return PresenceList([presence_from_dict(user) for user in payload["users"]])


def _group_or_done(payload: dict[str, Any]) -> GroupReply | Done:
    return GroupReply(group_from_dict(payload)) if "owner" in payload else Done()


def _groups(payload: dict[str, Any]) -> GroupList:
    return GroupList([group_from_dict(group) for group in payload["groups"]])


def _members(payload: dict[str, Any]) -> MemberList:
    return MemberList(payload["group_id"], [member_from_dict(one) for one in payload["members"]])


_READERS: Final[dict[enum.StrEnum, Callable[[dict[str, Any]], Any]]] = {
    MsgType.LOGIN: _logged_in,
    MsgType.REGISTER: _registered,
    MsgType.REFRESH: _refreshed,
    MsgType.HEARTBEAT: _pong,
    MsgType.PING: _pong,
    MsgType.SEND: _accepted,
    MsgType.HISTORY: _page,
    MsgType.REVOKE: _revoked,
    MsgType.READ: _marked,
    MsgType.PRESENCE_LIST: _presence,
    MsgType.GROUP_LIST: _groups,
    MsgType.GROUP_MEMBERS: _members,
    MsgType.GROUP_CREATE: _group_or_done,
    MsgType.GROUP_JOIN: _group_or_done,
    MsgType.GROUP_LEAVE: _group_or_done,
    MsgType.GROUP_INFO: _group_or_done,
    MsgType.GROUP_INVITE: _group_or_done,
    MsgType.GROUP_KICK: _group_or_done,
    MsgType.GROUP_DELETE: _group_or_done,
    MsgType.FRIEND_REQUEST: standing_from_dict,
    MsgType.FRIEND_ACCEPT: standing_from_dict,
    MsgType.FRIEND_REJECT: standing_from_dict,
    MsgType.FRIEND_DELETE: standing_from_dict,
    MsgType.FRIEND_LIST: friend_list_from_dict,
    MsgType.FRIEND_BLOCK: standing_from_dict,
    MsgType.FRIEND_UNBLOCK: standing_from_dict,
    **FILE_ANSWER_READERS,
}

_LISTS: Final = ("messages", "users", "groups", "members", "transfers", *FRIEND_LISTS)


def read_reply(name: enum.StrEnum, payload: dict[str, Any]) -> Any:
    """The reply in the payload of a successful response to the command `name`."""
    read = _READERS.get(name)
    return Done() if read is None else read(payload)


def join_parts(parts: list[dict[str, Any]]) -> dict[str, Any]:
    """One payload out of the parts of a long answer: the last part with all their lists."""
    whole = dict(parts[-1])
    for name in _LISTS:
        if name in whole:
            whole[name] = [one for part in parts for one in part[name]]
    return whole
