"""The model's replies to payloads of the dialect chat-app's answers, each of them one line."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec

from imserver.model.accounts import LoggedIn, Registered, TokensRefreshed
from imserver.model.file_relays import RelaysRequested
from imserver.model.friends import AcceptFriend, FriendList, FriendReply, FriendRequest, RejectFriend
from imserver.model.groups import GroupList, GroupReply, MemberList
from imserver.model.messages import Done
from imserver.model.presence import PresenceList, PresenceState
from imserver.wire.jsonline.answers import answer_payloads
from imserver.wire.jsonline.chat_app.errors import repeated
from imserver.wire.jsonline.chat_app.files import requested_fields
from imserver.wire.jsonline.chat_app.pages import listed
from imserver.wire.jsonline.chat_app.rooms import room_fields

_encode: Final = msgspec.json.Encoder().encode

Fields = dict[str, Any]


def account_fields(status: int, token: str = "", user: str = "", expires_in: int = 0) -> Fields:
    """What answers auth/*, whatever came of it."""
    return {"status": status, "token": token, "user_id": user, "expires_in": expires_in}


def _logged_in(reply: LoggedIn, command: Any, user: str) -> Fields:
    return account_fields(200, reply.token, reply.user, reply.expires_in)


def _registered(reply: Registered, command: Any, user: str) -> Fields:
    return account_fields(200, user=reply.user)


def _refreshed(reply: TokensRefreshed, command: Any, user: str) -> Fields:
    return account_fields(200, reply.token, reply.user, reply.expires_in)


def _presence(reply: PresenceList, command: Any, user: str) -> Fields:
    present = [one.user for one in reply.users if one.state is not PresenceState.OFFLINE]
    return listed({"status": 200}, users=present)


def _room(reply: GroupReply, command: Any, user: str) -> Fields:
    return listed(room_fields(reply.group), members=[member.user for member in reply.group.members])


def _rooms(reply: GroupList, command: Any, user: str) -> Fields:
    return listed({"status": 200}, rooms=[group.group for group in reply.groups])


def _members(reply: MemberList, command: Any, user: str) -> Fields:
    fields = {"status": 200, "room_id": reply.group}
    return listed(fields, members=[member.user for member in reply.members])


def _standing(reply: FriendReply, command: Any, user: str) -> Fields:
    request = reply.request
    if isinstance(command, AcceptFriend | RejectFriend) and command.request:
        request = command.request
    fields = {"status": 200, "state": reply.standing.value, "user_id": reply.user}
    fields |= {"target_id": reply.user, "friend_id": reply.user, "request_id": request}
    return fields


def _friends(reply: FriendList, command: Any, user: str) -> Fields:
    return listed(
        {"status": 200},
        friends=[
            {"friend_id": one.user, "user_id": one.user, "since": int(one.since)} for one in reply.friends
        ],
        pending_requests=[_request(one, one.user, user) for one in reply.received],
        sent_requests=[_request(one, user, one.user) for one in reply.sent],
    )


def _request(request: FriendRequest, asker: str, asked: str) -> Fields:
    return {
        "request_id": request.request,
        "from_user": asker,
        "target_id": asked,
        "user_id": request.user,
        "message": request.message,
        "created_at": int(request.at),
    }


_WRITERS: Final[dict[type, Callable[[Any, Any, str], Fields]]] = {
    LoggedIn: _logged_in,
    Registered: _registered,
    TokensRefreshed: _refreshed,
    PresenceList: _presence,
    GroupReply: _room,
    GroupList: _rooms,
    MemberList: _members,
    FriendReply: _standing,
    FriendList: _friends,
    RelaysRequested: lambda reply, command, user: requested_fields(reply),
}


def answer_payload(reply: Any, command: Any, user: str) -> bytes:
    """The payload that answers a command.

    Args:
        user: who is logged in; "" = nobody yet.

    Raises:
        KeyError: there is no answer of this kind.
    """
    write = _WRITERS.get(type(reply))
    if write is not None:
        return _encode(write(reply, command, user))
    repeats = repeated(command)
    if type(reply) is Done and repeats:
        return _encode({"status": 200, **repeats})
    (payload,) = answer_payloads(reply, command)
    return payload
