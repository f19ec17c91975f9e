"""What the dialect chat-app calls things: commands of its own, and answers under other names.

It knows the draft's commands besides, `room/…` as `group/…`, and both spellings of each.
"""

from __future__ import annotations

import enum
from typing import Final

from imserver.wire.jsonline.commands import COMMAND_MAP, Command, Direction, MsgType, normal


class ChatAppType(enum.StrEnum):
    """The commands that only this dialect has."""

    FRIEND_EVENT = "friend/event"

    FILE_ERROR = "file/error"

    VOICE_CALL = "voice/call"
    VOICE_ANSWER = "voice/answer"
    VOICE_REJECT = "voice/reject"
    VOICE_END = "voice/end"
    VOICE_EVENT = "voice/event"
    VOICE_DATA = "voice/data"


_C, _S, _B = Direction.CLIENT, Direction.SERVER, Direction.BOTH

_OWN: Final = (
    Command(ChatAppType.FRIEND_EVENT, _S, "what happened between two users"),
    Command(MsgType.FILE_REQUEST, _B, "offer a file; or: somebody offers one", once=True),
    Command(MsgType.FILE_ACCEPT, _B, "take a file; or: where to move its bytes", once=True),
    Command(MsgType.FILE_REJECT, _B, "not take a file; or: the receiver does not", once=True),
    Command(MsgType.FILE_COMPLETE, _B, "all of a file has arrived", once=True),
    Command(ChatAppType.FILE_ERROR, _B, "nothing comes of a file", once=True),
    # What is asked again under the same id is the same call, so it needs no memory of answers.
    Command(ChatAppType.VOICE_CALL, _C, "call a user, or the members of a room"),
    Command(ChatAppType.VOICE_ANSWER, _C, "take a call, or join that of a room", once=True),
    Command(ChatAppType.VOICE_REJECT, _C, "not take a call", once=True),
    Command(ChatAppType.VOICE_END, _C, "end a call, or leave that of a room", once=True),
    Command(ChatAppType.VOICE_EVENT, _S, "what happened to a call"),
    Command(ChatAppType.VOICE_DATA, _B, "a piece of what is said"),
)

_ABSENT: Final = frozenset({MsgType.OFFLINE, MsgType.FILE_ACK, MsgType.FILE_CANCEL, MsgType.FILE_LIST})

COMMANDS: Final[dict[str, Command]] = {
    **{name: command for name, command in COMMAND_MAP.items() if command.name not in _ABSENT},
    **{command.name.value: command for command in _OWN},
}
"""Every command of the dialect by its normal spelling."""

ANSWERS: Final[dict[enum.StrEnum, str]] = {
    **{
        name: f"{name.value}_ack"
        for name in (
            MsgType.LOGIN,
            MsgType.REGISTER,
            MsgType.REFRESH,
            MsgType.FRIEND_REQUEST,
            MsgType.FRIEND_ACCEPT,
            MsgType.FRIEND_REJECT,
            MsgType.FRIEND_DELETE,
            MsgType.FRIEND_LIST,
            MsgType.FRIEND_BLOCK,
            MsgType.FRIEND_UNBLOCK,
            MsgType.FILE_REQUEST,
            MsgType.FILE_ACCEPT,
            MsgType.FILE_REJECT,
            ChatAppType.VOICE_CALL,
            ChatAppType.VOICE_ANSWER,
            ChatAppType.VOICE_REJECT,
            ChatAppType.VOICE_END,
        )
    },
    MsgType.SEND: MsgType.ACK.value,
}
"""The command of the answer, where it is not the request's."""

UNANSWERED: Final = frozenset({MsgType.HEARTBEAT, ChatAppType.VOICE_DATA})
"""What gets no answer, and no error either."""

ACCOUNTS: Final = frozenset({MsgType.LOGIN, MsgType.REGISTER, MsgType.REFRESH})
"""What is answered with a token, or with an empty one."""

VOICE: Final = frozenset(
    {ChatAppType.VOICE_CALL, ChatAppType.VOICE_ANSWER, ChatAppType.VOICE_REJECT, ChatAppType.VOICE_END}
)
"""What is answered before the events that it leads to."""


def find(spelling: str) -> Command | None:
    """The command that a client's spelling denotes, or None."""
    found = COMMANDS.get(spelling)
    return COMMANDS.get(normal(spelling)) if found is None else found
