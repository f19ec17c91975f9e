"""The model's replies to payloads of responses: what the server writes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec

from imserver.model.accounts import LoggedIn, Pong, Registered, TokensRefreshed
from imserver.model.extensions import OwnReply
from imserver.model.files import TransferPage
from imserver.model.friends import FriendList, FriendReply
from imserver.model.groups import GroupList, GroupReply, MemberList
from imserver.model.messages import (
    Done,
    MessageAccepted,
    MessagePage,
    MessageRevokedReply,
    MessagesMarked,
)
from imserver.model.presence import PresenceList, SetPresence
from imserver.wire.jsonline.events import presence_to_dict
from imserver.wire.jsonline.files import FILE_ANSWERS, transfer_to_dict
from imserver.wire.jsonline.friends import friend_list_payloads, standing_to_dict
from imserver.wire.jsonline.groups import group_to_dict, member_to_dict
from imserver.wire.jsonline.pushes import PAGE_BYTES, item, split
from imserver.wire.jsonline.tags import Tag

_encode: Final = msgspec.json.Encoder().encode


def accepted_payload(reply: MessageAccepted) -> bytes:
    """The payload that answers message/send, written by hand: the hot path (and `rows`).

    Joined, and numbers written by msgspec: formatting bytes takes twice as long.
    """
    return b"".join((
        b'{"status":202,"message_id":' if reply.pending else b'{"status":200,"message_id":',
        _encode(reply.message_id),
        b',"conversation_id":', _encode(reply.conversation),
        b',"seq":', _encode(reply.seq),
        b',"sent_at":', _encode(int(reply.server_at)), b"}",
    ))  # fmt: skip


def accepted_line(tag: Tag, reply: MessageAccepted, now: int) -> bytes:
    """The line with it, of a request without a trace.

    Args:
        now: the wall clock, seconds.
    """
    return b"".join((
        b'{"id":', tag.id, b',"type":"response","timestamp":', _encode(now), b',"command":', tag.command,
        b',"payload":', accepted_payload(reply), b"}",
    ))  # fmt: skip


def _logged_in(reply: LoggedIn, command: Any) -> list[bytes]:
    return _one(
        token=reply.token,
        refresh_token=reply.refresh_token,
        user_id=reply.user,
        expires_in=reply.expires_in,
        epoch=reply.epoch,
        max_seq=reply.head,
        first_seq=reply.first_seq,
    )


def _registered(reply: Registered, command: Any) -> list[bytes]:
    return _one(user_id=reply.user)


def _refreshed(reply: TokensRefreshed, command: Any) -> list[bytes]:
    return _one(
        token=reply.token,
        refresh_token=reply.refresh_token,
        user_id=reply.user,
        expires_in=reply.expires_in,
    )


def _pong(reply: Pong, command: Any) -> list[bytes]:
    if reply.seq is None:
        return _one(time=int(reply.server_time))
    return _one(time=int(reply.server_time), seq=reply.seq)


def _accepted(reply: MessageAccepted, command: Any) -> list[bytes]:
    return [accepted_payload(reply)]


def _page(reply: MessagePage, command: Any) -> list[bytes]:
    arrays = split([item(row) for row in reply.rows])
    parts = [
        b'{"status":200,"messages":%b,"has_more":true,"continued":true}' % array for array in arrays[:-1]
    ]
    parts.append(
        b'{"status":200,"messages":%b,"next_cursor":%b,"has_more":%b}'
        % (arrays[-1], _encode(reply.next_cursor), b"true" if reply.has_more else b"false")
    )
    return parts


def _revoked(reply: MessageRevokedReply, command: Any) -> list[bytes]:
    return _one(message_id=reply.message_id, revoked_at=int(reply.at))


def _marked(reply: MessagesMarked, command: Any) -> list[bytes]:
    return _one(read_at=int(reply.at))


def _presence(reply: PresenceList, command: Any) -> list[bytes]:
    return _list("users", [_encode(presence_to_dict(user)) for user in reply.users])


def _group(reply: GroupReply, command: Any) -> list[bytes]:
    payload = {"status": 200, **group_to_dict(reply.group)}
    members = _encode([member_to_dict(member) for member in reply.group.members])
    # A list that is too long for one line is left to group/members.
    if reply.group.members and len(members) <= PAGE_BYTES:
        payload["members"] = msgspec.Raw(members)
    return [_encode(payload)]


def _groups(reply: GroupList, command: Any) -> list[bytes]:
    return _list("groups", [_encode(group_to_dict(group)) for group in reply.groups])


def _members(reply: MemberList, command: Any) -> list[bytes]:
    return _list("members", [_encode(member_to_dict(one)) for one in reply.members], group_id=reply.group)


def _standing(reply: FriendReply, command: Any) -> list[bytes]:
    return _one(**standing_to_dict(reply))


def _friends(reply: FriendList, command: Any) -> list[bytes]:
    return friend_list_payloads(reply)


def _done(reply: Done, command: Any) -> list[bytes]:
    if isinstance(command, SetPresence):
        return _one(state=command.state.value)
    group = getattr(command, "group", "")
    return _one(group_id=group) if group else _one()


def _transfers(reply: TransferPage, command: Any) -> list[bytes]:
    items = [_encode(transfer_to_dict(one)) for one in reply.transfers]
    return _list("transfers", items, next_cursor=reply.next_cursor, has_more=bool(reply.next_cursor))


def _one(**fields: Any) -> list[bytes]:
    return [_encode({"status": 200, **fields})]


def _list(name: str, items: list[bytes], **fields: Any) -> list[bytes]:
    """A list, cut into several payloads where it is too long; all but the last are marked `continued`."""
    arrays = split(items)
    last = len(arrays) - 1
    return [
        _encode(
            {
                "status": 200,
                **fields,
                name: msgspec.Raw(array),
                **({"continued": True} if number < last else {}),
            }
        )
        for number, array in enumerate(arrays)
    ]


def _own(reply: OwnReply, command: Any) -> list[bytes]:
    return [_encode({**reply.payload, "status": 200})]


def _fields(write: Callable[[Any], dict[str, Any]]) -> Callable[[Any, Any], list[bytes]]:
    return lambda reply, command: _one(**write(reply))


_WRITERS: Final[dict[type, Callable[[Any, Any], list[bytes]]]] = {
    LoggedIn: _logged_in,
    Registered: _registered,
    TokensRefreshed: _refreshed,
    Pong: _pong,
    MessageAccepted: _accepted,
    MessagePage: _page,
    MessageRevokedReply: _revoked,
    MessagesMarked: _marked,
    PresenceList: _presence,
    GroupReply: _group,
    GroupList: _groups,
    MemberList: _members,
    FriendReply: _standing,
    FriendList: _friends,
    Done: _done,
    OwnReply: _own,
    TransferPage: _transfers,
    **{kind: _fields(write) for kind, write in FILE_ANSWERS.items()},
}


def answer_payloads(reply: Any, command: Any) -> list[bytes]:
    """The payloads that answer a command, nearly always one.

    Raises:
        KeyError: this format has no answer of this kind.
    """
    return _WRITERS[type(reply)](reply, command)
