"""The commands of document 004 (§2), their directions, and how they may be spelled.

Words are separated by "/" or "." (§8). `room/…` is `group/…`, and
`message/delete` is `message/revoke`.
"""

from __future__ import annotations

import enum
from typing import Final

from msgspec import Struct


class MsgType(enum.StrEnum):
    """The commands, in their normal spelling."""

    LOGIN = "auth/login"
    REGISTER = "auth/register"
    LOGOUT = "auth/logout"
    REFRESH = "auth/refresh"
    KICK = "auth/kick"

    HEARTBEAT = "presence/heartbeat"
    PRESENCE_UPDATE = "presence/update"
    PRESENCE_LIST = "presence/list"
    PRESENCE_EVENT = "presence/event"

    SEND = "message/send"
    ACK = "message/ack"
    HISTORY = "message/history"
    MESSAGE_EVENT = "message/event"
    OFFLINE = "message/offline"
    REVOKE = "message/revoke"
    READ = "message/read"
    TYPING = "message/typing"

    GROUP_CREATE = "group/create"
    GROUP_JOIN = "group/join"
    GROUP_LEAVE = "group/leave"
    GROUP_LIST = "group/list"
    GROUP_MEMBERS = "group/members"
    GROUP_INFO = "group/info"
    GROUP_INVITE = "group/invite"
    GROUP_KICK = "group/kick"
    GROUP_DELETE = "group/delete"

    FRIEND_REQUEST = "friend/request"
    FRIEND_ACCEPT = "friend/accept"
    FRIEND_REJECT = "friend/reject"
    FRIEND_DELETE = "friend/delete"
    FRIEND_LIST = "friend/list"
    FRIEND_BLOCK = "friend/block"
    FRIEND_UNBLOCK = "friend/unblock"
    FILE_REQUEST = "file/request"
    FILE_ACCEPT = "file/accept"
    FILE_REJECT = "file/reject"
    FILE_ACK = "file/ack"
    FILE_CANCEL = "file/cancel"
    FILE_COMPLETE = "file/complete"
    FILE_LIST = "file/list"

    PING = "control/ping"
    ERROR = "control/error"
    NOTIFICATION = "notification/event"


class Direction(enum.StrEnum):
    """Who sends a command."""

    CLIENT = "client to server"
    SERVER = "server to client"
    BOTH = "both"


class Command(Struct, frozen=True, gc=False):
    """What is known about one command.

    Attributes:
        name: the normal spelling.
        direction: who sends it.
        summary: one line for people.
        once: a retry with the same id is answered again, not done again.
            Sends have their own rule, in the store.
    """

    name: enum.StrEnum
    direction: Direction
    summary: str
    once: bool = False


_C, _S, _B = Direction.CLIENT, Direction.SERVER, Direction.BOTH

_COMMANDS: Final = (
    Command(MsgType.LOGIN, _C, "log in with a password or a token"),
    Command(MsgType.REGISTER, _C, "create an account"),
    Command(MsgType.LOGOUT, _C, "end the session and revoke its tokens"),
    Command(MsgType.REFRESH, _C, "exchange the refresh token"),
    Command(MsgType.KICK, _S, "the server ends the session"),
    Command(MsgType.HEARTBEAT, _B, "keep the link alive"),
    Command(MsgType.PRESENCE_UPDATE, _C, "set online, away or busy", once=True),
    Command(MsgType.PRESENCE_LIST, _C, "list the presence of contacts"),
    Command(MsgType.PRESENCE_EVENT, _S, "a contact's state changed"),
    Command(MsgType.SEND, _C, "send a message"),
    Command(MsgType.ACK, _B, "confirm what arrived; or: a send failed"),
    Command(MsgType.HISTORY, _C, "read a conversation or the whole inbox"),
    Command(MsgType.MESSAGE_EVENT, _S, "a message"),
    Command(MsgType.OFFLINE, _S, "a page of messages missed before the log-in"),
    Command(MsgType.REVOKE, _C, "take a message back", once=True),
    Command(MsgType.READ, _C, "mark messages as read", once=True),
    Command(MsgType.TYPING, _C, "began or stopped typing"),
    Command(MsgType.GROUP_CREATE, _C, "create a group", once=True),
    Command(MsgType.GROUP_JOIN, _C, "join a group", once=True),
    Command(MsgType.GROUP_LEAVE, _C, "leave a group", once=True),
    Command(MsgType.GROUP_LIST, _C, "list one's groups"),
    Command(MsgType.GROUP_MEMBERS, _C, "list a group's members"),
    Command(MsgType.GROUP_INFO, _C, "describe a group"),
    Command(MsgType.GROUP_INVITE, _C, "invite a user", once=True),
    Command(MsgType.GROUP_KICK, _C, "remove a member", once=True),
    Command(MsgType.GROUP_DELETE, _C, "delete a group", once=True),
    Command(MsgType.FRIEND_REQUEST, _C, "ask somebody to be a friend", once=True),
    Command(MsgType.FRIEND_ACCEPT, _C, "accept a friend request", once=True),
    Command(MsgType.FRIEND_REJECT, _C, "reject a friend request", once=True),
    Command(MsgType.FRIEND_DELETE, _C, "end a friendship, or take a request back", once=True),
    Command(MsgType.FRIEND_LIST, _C, "list friends, open requests and blocked users"),
    Command(MsgType.FRIEND_BLOCK, _C, "have nothing to do with a user", once=True),
    Command(MsgType.FRIEND_UNBLOCK, _C, "take a block back", once=True),
    Command(MsgType.FILE_REQUEST, _B, "ask to send a file; or: somebody sends one"),
    Command(MsgType.FILE_ACCEPT, _B, "ask to download a file; or: a recipient does"),
    Command(MsgType.FILE_REJECT, _B, "not want a file; or: a recipient does not", once=True),
    Command(MsgType.FILE_ACK, _C, "tell how much of a file arrived"),
    Command(MsgType.FILE_CANCEL, _B, "give a transfer up; or: it was given up", once=True),
    Command(
        MsgType.FILE_COMPLETE,
        _B,
        "have all of a file; or: it is whole, or a recipient has all of it",
        once=True,
    ),
    Command(MsgType.FILE_LIST, _C, "list one's transfers"),
    Command(MsgType.PING, _B, "probe the link"),
    Command(MsgType.ERROR, _S, "something went wrong that is no answer to a request"),
    Command(MsgType.NOTIFICATION, _S, "what happened to groups, friends and messages"),
)

COMMAND_MAP: Final[dict[str, Command]] = {command.name.value: command for command in _COMMANDS}
"""Every command by its normal spelling."""

_ALIASES: Final = {"message/delete": MsgType.REVOKE.value}


def find(spelling: str) -> Command | None:
    """The command that a client's spelling denotes, or None."""
    found = COMMAND_MAP.get(spelling)
    return COMMAND_MAP.get(normal(spelling)) if found is None else found


def normal(spelling: str) -> str:
    """The normal spelling of what may be spelled otherwise."""
    name = spelling.replace(".", "/")
    if name.startswith("room/"):
        name = "group/" + name.removeprefix("room/")
    return _ALIASES.get(name, name)


def is_room(spelling: str) -> bool:
    """Whether the client says room where others say group; it is then answered with `room_id` too."""
    return spelling[:5] in ("room/", "room.")
