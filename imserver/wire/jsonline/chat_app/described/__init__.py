"""The payloads of the dialect chat-app as the published schemas describe them (`schemas/chat_app/`).

As in `imserver.wire.jsonline.described`; what the dialect reads besides, for other programs, is left out.
"""

from __future__ import annotations

import enum
from typing import Final

from msgspec import Struct

from imserver.wire.jsonline.chat_app.commands import ChatAppType
from imserver.wire.jsonline.chat_app.described.base import Empty, Error, Ok
from imserver.wire.jsonline.chat_app.described.chat import (
    AccountAnswer,
    ChatEvent,
    FriendAnswer,
    FriendAsk,
    FriendEvent,
    FriendId,
    FriendListAnswer,
    FriendRequestId,
    HistoryAnswer,
    Login,
    PresenceAnswer,
    Refresh,
    Room,
    RoomCreate,
    RoomDone,
    RoomId,
    RoomJoin,
    RoomListAnswer,
    RoomMember,
    RoomMembersAnswer,
    SendAnswer,
)
from imserver.wire.jsonline.chat_app.described.files import (
    FileCompleted,
    FileDone,
    FileFailed,
    FileId,
    FileOffer,
    FileOfferAnswer,
    FileOffered,
    FilePlace,
    FilePlaceAnswer,
    FileRefusal,
    FileRejected,
    FileTrouble,
)
from imserver.wire.jsonline.chat_app.described.voice import (
    AboutCall,
    Call,
    CallAnswer,
    CallEvent,
    Data,
    Heard,
)
from imserver.wire.jsonline.commands import MsgType
from imserver.wire.jsonline.described import ALTERNATIVES as DRAFTED
from imserver.wire.jsonline.described.messages import (
    History,
    Read,
    ReadAnswer,
    Revoke,
    RevokeAnswer,
    Send,
    Typing,
)
from imserver.wire.jsonline.described.sessions import (
    Heartbeat,
    Kick,
    Notification,
    PingAnswer,
    PresenceOf,
    PresenceUpdate,
    PresenceUpdateAnswer,
)

REQUESTS: Final[dict[enum.StrEnum, type[Struct]]] = {
    MsgType.LOGIN: Login,
    MsgType.REGISTER: Login,
    MsgType.REFRESH: Refresh,
    MsgType.LOGOUT: Empty,
    MsgType.HEARTBEAT: Heartbeat,
    MsgType.PING: Empty,
    MsgType.PRESENCE_UPDATE: PresenceUpdate,
    MsgType.PRESENCE_LIST: Empty,
    MsgType.SEND: Send,
    MsgType.HISTORY: History,
    MsgType.READ: Read,
    MsgType.REVOKE: Revoke,
    MsgType.TYPING: Typing,
    MsgType.GROUP_CREATE: RoomCreate,
    MsgType.GROUP_JOIN: RoomJoin,
    MsgType.GROUP_LEAVE: RoomId,
    MsgType.GROUP_LIST: Empty,
    MsgType.GROUP_MEMBERS: RoomId,
    MsgType.GROUP_INFO: RoomId,
    MsgType.GROUP_INVITE: RoomMember,
    MsgType.GROUP_KICK: RoomMember,
    MsgType.GROUP_DELETE: RoomId,
    MsgType.FRIEND_REQUEST: FriendAsk,
    MsgType.FRIEND_ACCEPT: FriendRequestId,
    MsgType.FRIEND_REJECT: FriendRequestId,
    MsgType.FRIEND_DELETE: FriendId,
    MsgType.FRIEND_LIST: Empty,
    MsgType.FRIEND_BLOCK: FriendId,
    MsgType.FRIEND_UNBLOCK: FriendId,
    MsgType.FILE_REQUEST: FileOffer,
    MsgType.FILE_ACCEPT: FileId,
    MsgType.FILE_REJECT: FileRefusal,
    MsgType.FILE_COMPLETE: FileId,
    ChatAppType.FILE_ERROR: FileTrouble,
    ChatAppType.VOICE_CALL: Call,
    ChatAppType.VOICE_ANSWER: AboutCall,
    ChatAppType.VOICE_REJECT: AboutCall,
    ChatAppType.VOICE_END: AboutCall,
    ChatAppType.VOICE_DATA: Data,
}
"""The payloads of what clients send."""

ANSWERS: Final[dict[enum.StrEnum, type[Struct]]] = {
    MsgType.LOGIN: AccountAnswer,
    MsgType.REGISTER: AccountAnswer,
    MsgType.REFRESH: AccountAnswer,
    MsgType.LOGOUT: Ok,
    MsgType.PING: PingAnswer,
    MsgType.PRESENCE_UPDATE: PresenceUpdateAnswer,
    MsgType.PRESENCE_LIST: PresenceAnswer,
    MsgType.SEND: SendAnswer,
    MsgType.HISTORY: HistoryAnswer,
    MsgType.READ: ReadAnswer,
    MsgType.REVOKE: RevokeAnswer,
    MsgType.TYPING: Ok,
    MsgType.GROUP_CREATE: Room,
    MsgType.GROUP_JOIN: Room,
    MsgType.GROUP_LEAVE: RoomDone,
    MsgType.GROUP_LIST: RoomListAnswer,
    MsgType.GROUP_MEMBERS: RoomMembersAnswer,
    MsgType.GROUP_INFO: Room,
    MsgType.GROUP_INVITE: RoomDone,
    MsgType.GROUP_KICK: RoomDone,
    MsgType.GROUP_DELETE: RoomDone,
    MsgType.FRIEND_REQUEST: FriendAnswer,
    MsgType.FRIEND_ACCEPT: FriendAnswer,
    MsgType.FRIEND_REJECT: FriendAnswer,
    MsgType.FRIEND_DELETE: FriendAnswer,
    MsgType.FRIEND_LIST: FriendListAnswer,
    MsgType.FRIEND_BLOCK: FriendAnswer,
    MsgType.FRIEND_UNBLOCK: FriendAnswer,
    MsgType.FILE_REQUEST: FileOfferAnswer,
    MsgType.FILE_ACCEPT: FilePlaceAnswer,
    MsgType.FILE_REJECT: FileDone,
    MsgType.FILE_COMPLETE: FileDone,
    ChatAppType.FILE_ERROR: FileDone,
    ChatAppType.VOICE_CALL: CallAnswer,
    ChatAppType.VOICE_ANSWER: CallAnswer,
    ChatAppType.VOICE_REJECT: CallAnswer,
    ChatAppType.VOICE_END: CallAnswer,
}
"""The payloads of successful answers."""

EVENTS: Final[dict[enum.StrEnum, type[Struct]]] = {
    MsgType.KICK: Kick,
    MsgType.PRESENCE_EVENT: PresenceOf,
    MsgType.MESSAGE_EVENT: ChatEvent,
    MsgType.ACK: Error,
    MsgType.ERROR: Error,
    MsgType.NOTIFICATION: Notification,
    ChatAppType.FRIEND_EVENT: FriendEvent,
    MsgType.FILE_REQUEST: FileOffered,
    MsgType.FILE_ACCEPT: FilePlace,
    MsgType.FILE_REJECT: FileRejected,
    MsgType.FILE_COMPLETE: FileCompleted,
    ChatAppType.FILE_ERROR: FileFailed,
    ChatAppType.VOICE_EVENT: CallEvent,
    ChatAppType.VOICE_DATA: Heard,
}
"""The payloads of the server's events."""

ALTERNATIVES: Final[dict[type[Struct], list[list[str]]]] = {
    kind: DRAFTED[kind] for kind in (Send, Read, Typing)
}
"""Members of which at least one group must be there."""
