"""The payloads of document 004 as the published schemas describe them (§8, `schemas/`).

What clients send is described more strictly than it is read (null for "absent" and the spellings
for other clients are left out); what the server sends as it is. Codecs do not use these structs.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from imserver.wire.jsonline.commands import MsgType
from imserver.wire.jsonline.described.base import Empty, Error, Ok
from imserver.wire.jsonline.described.files import (
    ChannelAnswer,
    FileAccept,
    FileAccepted,
    FileAck,
    FileComplete,
    FileCompleted,
    FileDone,
    FileEnd,
    FileEnded,
    FileList,
    FileListAnswer,
    FileOffer,
    FileRequest,
)
from imserver.wire.jsonline.described.friends import (
    FriendAnswer,
    FriendAsk,
    FriendListAnswer,
    FriendRequestId,
    FriendUser,
)
from imserver.wire.jsonline.described.groups import (
    GroupAnswer,
    GroupCreate,
    GroupDone,
    GroupId,
    GroupJoin,
    GroupListAnswer,
    GroupMemberId,
    GroupMembersAnswer,
)
from imserver.wire.jsonline.described.messages import (
    Ack,
    History,
    HistoryAnswer,
    MessageEvent,
    Offline,
    Read,
    ReadAnswer,
    Revoke,
    RevokeAnswer,
    Send,
    SendAnswer,
    Typing,
)
from imserver.wire.jsonline.described.sessions import (
    Heartbeat,
    HeartbeatEcho,
    Kick,
    Login,
    LoginAnswer,
    Notification,
    PingAnswer,
    PresenceList,
    PresenceListAnswer,
    PresenceOf,
    PresenceUpdate,
    PresenceUpdateAnswer,
    Refresh,
    RefreshAnswer,
    Register,
    RegisterAnswer,
)

REQUESTS: Final[dict[MsgType, type[Struct]]] = {
    MsgType.LOGIN: Login,
    MsgType.REGISTER: Register,
    MsgType.REFRESH: Refresh,
    MsgType.LOGOUT: Empty,
    MsgType.HEARTBEAT: Heartbeat,
    MsgType.PING: Empty,
    MsgType.PRESENCE_UPDATE: PresenceUpdate,
    MsgType.PRESENCE_LIST: PresenceList,
    MsgType.SEND: Send,
    MsgType.ACK: Ack,
    MsgType.HISTORY: History,
    MsgType.READ: Read,
    MsgType.REVOKE: Revoke,
    MsgType.TYPING: Typing,
    MsgType.GROUP_CREATE: GroupCreate,
    MsgType.GROUP_JOIN: GroupJoin,
    MsgType.GROUP_LEAVE: GroupId,
    MsgType.GROUP_LIST: Empty,
    MsgType.GROUP_MEMBERS: GroupId,
    MsgType.GROUP_INFO: GroupId,
    MsgType.GROUP_INVITE: GroupMemberId,
    MsgType.GROUP_KICK: GroupMemberId,
    MsgType.GROUP_DELETE: GroupId,
    MsgType.FRIEND_REQUEST: FriendAsk,
    MsgType.FRIEND_ACCEPT: FriendRequestId,
    MsgType.FRIEND_REJECT: FriendRequestId,
    MsgType.FRIEND_DELETE: FriendUser,
    MsgType.FRIEND_LIST: Empty,
    MsgType.FRIEND_BLOCK: FriendUser,
    MsgType.FRIEND_UNBLOCK: FriendUser,
    MsgType.FILE_REQUEST: FileRequest,
    MsgType.FILE_ACCEPT: FileAccept,
    MsgType.FILE_REJECT: FileEnd,
    MsgType.FILE_ACK: FileAck,
    MsgType.FILE_CANCEL: FileEnd,
    MsgType.FILE_COMPLETE: FileComplete,
    MsgType.FILE_LIST: FileList,
}
"""The payloads of what clients send."""

ANSWERS: Final[dict[MsgType, type[Struct]]] = {
    MsgType.LOGIN: LoginAnswer,
    MsgType.REGISTER: RegisterAnswer,
    MsgType.REFRESH: RefreshAnswer,
    MsgType.LOGOUT: Ok,
    MsgType.HEARTBEAT: PingAnswer,
    MsgType.PING: PingAnswer,
    MsgType.PRESENCE_UPDATE: PresenceUpdateAnswer,
    MsgType.PRESENCE_LIST: PresenceListAnswer,
    MsgType.SEND: SendAnswer,
    MsgType.ACK: Ok,
    MsgType.HISTORY: HistoryAnswer,
    MsgType.READ: ReadAnswer,
    MsgType.REVOKE: RevokeAnswer,
    MsgType.TYPING: Ok,
    MsgType.GROUP_CREATE: GroupAnswer,
    MsgType.GROUP_JOIN: GroupAnswer,
    MsgType.GROUP_LEAVE: GroupDone,
    MsgType.GROUP_LIST: GroupListAnswer,
    MsgType.GROUP_MEMBERS: GroupMembersAnswer,
    MsgType.GROUP_INFO: GroupAnswer,
    MsgType.GROUP_INVITE: GroupDone,
    MsgType.GROUP_KICK: GroupDone,
    MsgType.GROUP_DELETE: GroupDone,
    MsgType.FRIEND_REQUEST: FriendAnswer,
    MsgType.FRIEND_ACCEPT: FriendAnswer,
    MsgType.FRIEND_REJECT: FriendAnswer,
    MsgType.FRIEND_DELETE: FriendAnswer,
    MsgType.FRIEND_LIST: FriendListAnswer,
    MsgType.FRIEND_BLOCK: FriendAnswer,
    MsgType.FRIEND_UNBLOCK: FriendAnswer,
    MsgType.FILE_REQUEST: ChannelAnswer,
    MsgType.FILE_ACCEPT: ChannelAnswer,
    MsgType.FILE_REJECT: FileDone,
    MsgType.FILE_ACK: FileDone,
    MsgType.FILE_CANCEL: FileDone,
    MsgType.FILE_COMPLETE: FileDone,
    MsgType.FILE_LIST: FileListAnswer,
}
"""The payloads of successful responses."""

EVENTS: Final[dict[MsgType, type[Struct]]] = {
    MsgType.KICK: Kick,
    MsgType.HEARTBEAT: HeartbeatEcho,
    MsgType.PRESENCE_EVENT: PresenceOf,
    MsgType.ACK: Error,
    MsgType.MESSAGE_EVENT: MessageEvent,
    MsgType.OFFLINE: Offline,
    MsgType.FILE_REQUEST: FileOffer,
    MsgType.FILE_ACCEPT: FileAccepted,
    MsgType.FILE_REJECT: FileEnded,
    MsgType.FILE_CANCEL: FileEnded,
    MsgType.FILE_COMPLETE: FileCompleted,
    MsgType.ERROR: Error,
    MsgType.NOTIFICATION: Notification,
}
"""The payloads of the server's events."""

ALTERNATIVES: Final[dict[type[Struct], list[list[str]]]] = {
    Login: [["username", "password"], ["token"]],
    Send: [["conversation_id"], ["target"]],
    Ack: [["message_id"], ["seq"]],
    Read: [["message_ids"], ["message_id"]],
    Typing: [["conversation_id"], ["target"]],
    FriendRequestId: [["user_id"], ["request_id"]],
    FileAccept: [["transfer_id"], ["file_id"]],
}
"""Members of which at least one group must be there."""
