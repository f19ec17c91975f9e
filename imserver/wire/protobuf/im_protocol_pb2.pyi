from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class CommandType(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CMD_UNKNOWN: _ClassVar[CommandType]
    CMD_CONNECT_REQ: _ClassVar[CommandType]
    CMD_CONNECT_RSP: _ClassVar[CommandType]
    CMD_DISCONNECT_REQ: _ClassVar[CommandType]
    CMD_DISCONNECT_RSP: _ClassVar[CommandType]
    CMD_HEARTBEAT_REQ: _ClassVar[CommandType]
    CMD_HEARTBEAT_RSP: _ClassVar[CommandType]
    CMD_AUTH_REQ: _ClassVar[CommandType]
    CMD_AUTH_RSP: _ClassVar[CommandType]
    CMD_REAUTH_REQ: _ClassVar[CommandType]
    CMD_REAUTH_RSP: _ClassVar[CommandType]
    CMD_KICK_OUT: _ClassVar[CommandType]
    CMD_SEND_MSG_REQ: _ClassVar[CommandType]
    CMD_SEND_MSG_RSP: _ClassVar[CommandType]
    CMD_PUSH_MSG: _ClassVar[CommandType]
    CMD_MSG_ACK: _ClassVar[CommandType]
    CMD_BATCH_MSG: _ClassVar[CommandType]
    CMD_REVOKE_MSG_REQ: _ClassVar[CommandType]
    CMD_REVOKE_MSG_RSP: _ClassVar[CommandType]
    CMD_REVOKE_MSG_PUSH: _ClassVar[CommandType]
    CMD_SYNC_REQ: _ClassVar[CommandType]
    CMD_SYNC_RSP: _ClassVar[CommandType]
    CMD_SYNC_FINISHED: _ClassVar[CommandType]
    CMD_ONLINE_STATUS_REQ: _ClassVar[CommandType]
    CMD_ONLINE_STATUS_RSP: _ClassVar[CommandType]
    CMD_STATUS_CHANGE_PUSH: _ClassVar[CommandType]
    CMD_READ_RECEIPT_REQ: _ClassVar[CommandType]
    CMD_READ_RECEIPT_RSP: _ClassVar[CommandType]
    CMD_READ_RECEIPT_PUSH: _ClassVar[CommandType]
    CMD_TYPING_STATUS_REQ: _ClassVar[CommandType]
    CMD_TYPING_STATUS_PUSH: _ClassVar[CommandType]

class ErrorCode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ERR_SUCCESS: _ClassVar[ErrorCode]
    ERR_UNKNOWN: _ClassVar[ErrorCode]
    ERR_INVALID_PARAM: _ClassVar[ErrorCode]
    ERR_AUTH_FAILED: _ClassVar[ErrorCode]
    ERR_TOKEN_EXPIRED: _ClassVar[ErrorCode]
    ERR_PERMISSION_DENIED: _ClassVar[ErrorCode]
    ERR_USER_NOT_EXIST: _ClassVar[ErrorCode]
    ERR_MESSAGE_TOO_LARGE: _ClassVar[ErrorCode]
    ERR_SEND_TOO_FAST: _ClassVar[ErrorCode]
    ERR_CONVERSATION_NOT_EXIST: _ClassVar[ErrorCode]

class UserState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    USER_OFFLINE: _ClassVar[UserState]
    USER_ONLINE: _ClassVar[UserState]
    USER_AWAY: _ClassVar[UserState]
    USER_BUSY: _ClassVar[UserState]
CMD_UNKNOWN: CommandType
CMD_CONNECT_REQ: CommandType
CMD_CONNECT_RSP: CommandType
CMD_DISCONNECT_REQ: CommandType
CMD_DISCONNECT_RSP: CommandType
CMD_HEARTBEAT_REQ: CommandType
CMD_HEARTBEAT_RSP: CommandType
CMD_AUTH_REQ: CommandType
CMD_AUTH_RSP: CommandType
CMD_REAUTH_REQ: CommandType
CMD_REAUTH_RSP: CommandType
CMD_KICK_OUT: CommandType
CMD_SEND_MSG_REQ: CommandType
CMD_SEND_MSG_RSP: CommandType
CMD_PUSH_MSG: CommandType
CMD_MSG_ACK: CommandType
CMD_BATCH_MSG: CommandType
CMD_REVOKE_MSG_REQ: CommandType
CMD_REVOKE_MSG_RSP: CommandType
CMD_REVOKE_MSG_PUSH: CommandType
CMD_SYNC_REQ: CommandType
CMD_SYNC_RSP: CommandType
CMD_SYNC_FINISHED: CommandType
CMD_ONLINE_STATUS_REQ: CommandType
CMD_ONLINE_STATUS_RSP: CommandType
CMD_STATUS_CHANGE_PUSH: CommandType
CMD_READ_RECEIPT_REQ: CommandType
CMD_READ_RECEIPT_RSP: CommandType
CMD_READ_RECEIPT_PUSH: CommandType
CMD_TYPING_STATUS_REQ: CommandType
CMD_TYPING_STATUS_PUSH: CommandType
ERR_SUCCESS: ErrorCode
ERR_UNKNOWN: ErrorCode
ERR_INVALID_PARAM: ErrorCode
ERR_AUTH_FAILED: ErrorCode
ERR_TOKEN_EXPIRED: ErrorCode
ERR_PERMISSION_DENIED: ErrorCode
ERR_USER_NOT_EXIST: ErrorCode
ERR_MESSAGE_TOO_LARGE: ErrorCode
ERR_SEND_TOO_FAST: ErrorCode
ERR_CONVERSATION_NOT_EXIST: ErrorCode
USER_OFFLINE: UserState
USER_ONLINE: UserState
USER_AWAY: UserState
USER_BUSY: UserState

class WebSocketMessage(_message.Message):
    __slots__ = ("command", "sequence", "body", "timestamp")
    COMMAND_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    BODY_FIELD_NUMBER: _ClassVar[int]
    TIMESTAMP_FIELD_NUMBER: _ClassVar[int]
    command: CommandType
    sequence: int
    body: bytes
    timestamp: int
    def __init__(self, command: _Optional[_Union[CommandType, str]] = ..., sequence: _Optional[int] = ..., body: _Optional[bytes] = ..., timestamp: _Optional[int] = ...) -> None: ...

class ConnectRequest(_message.Message):
    __slots__ = ("client_id", "platform", "app_version", "sdk_version", "device_info", "extra")
    class ExtraEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    CLIENT_ID_FIELD_NUMBER: _ClassVar[int]
    PLATFORM_FIELD_NUMBER: _ClassVar[int]
    APP_VERSION_FIELD_NUMBER: _ClassVar[int]
    SDK_VERSION_FIELD_NUMBER: _ClassVar[int]
    DEVICE_INFO_FIELD_NUMBER: _ClassVar[int]
    EXTRA_FIELD_NUMBER: _ClassVar[int]
    client_id: str
    platform: str
    app_version: str
    sdk_version: str
    device_info: str
    extra: _containers.ScalarMap[str, str]
    def __init__(self, client_id: _Optional[str] = ..., platform: _Optional[str] = ..., app_version: _Optional[str] = ..., sdk_version: _Optional[str] = ..., device_info: _Optional[str] = ..., extra: _Optional[_Mapping[str, str]] = ...) -> None: ...

class ConnectResponse(_message.Message):
    __slots__ = ("error_code", "error_msg", "server_time", "session_id")
    ERROR_CODE_FIELD_NUMBER: _ClassVar[int]
    ERROR_MSG_FIELD_NUMBER: _ClassVar[int]
    SERVER_TIME_FIELD_NUMBER: _ClassVar[int]
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    error_code: ErrorCode
    error_msg: str
    server_time: int
    session_id: str
    def __init__(self, error_code: _Optional[_Union[ErrorCode, str]] = ..., error_msg: _Optional[str] = ..., server_time: _Optional[int] = ..., session_id: _Optional[str] = ...) -> None: ...

class HeartbeatRequest(_message.Message):
    __slots__ = ("client_time",)
    CLIENT_TIME_FIELD_NUMBER: _ClassVar[int]
    client_time: int
    def __init__(self, client_time: _Optional[int] = ...) -> None: ...

class HeartbeatResponse(_message.Message):
    __slots__ = ("server_time",)
    SERVER_TIME_FIELD_NUMBER: _ClassVar[int]
    server_time: int
    def __init__(self, server_time: _Optional[int] = ...) -> None: ...

class AuthRequest(_message.Message):
    __slots__ = ("user_id", "token", "platform")
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    PLATFORM_FIELD_NUMBER: _ClassVar[int]
    user_id: str
    token: str
    platform: str
    def __init__(self, user_id: _Optional[str] = ..., token: _Optional[str] = ..., platform: _Optional[str] = ...) -> None: ...

class AuthResponse(_message.Message):
    __slots__ = ("error_code", "error_msg", "max_seq", "epoch")
    ERROR_CODE_FIELD_NUMBER: _ClassVar[int]
    ERROR_MSG_FIELD_NUMBER: _ClassVar[int]
    MAX_SEQ_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    error_code: ErrorCode
    error_msg: str
    max_seq: int
    epoch: str
    def __init__(self, error_code: _Optional[_Union[ErrorCode, str]] = ..., error_msg: _Optional[str] = ..., max_seq: _Optional[int] = ..., epoch: _Optional[str] = ...) -> None: ...

class KickOutNotification(_message.Message):
    __slots__ = ("reason", "message")
    REASON_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    reason: int
    message: str
    def __init__(self, reason: _Optional[int] = ..., message: _Optional[str] = ...) -> None: ...

class SendMessageRequest(_message.Message):
    __slots__ = ("client_msg_id", "conversation_id", "sender_id", "receiver_id", "group_id", "message_type", "content", "send_time", "extra")
    class ExtraEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    CLIENT_MSG_ID_FIELD_NUMBER: _ClassVar[int]
    CONVERSATION_ID_FIELD_NUMBER: _ClassVar[int]
    SENDER_ID_FIELD_NUMBER: _ClassVar[int]
    RECEIVER_ID_FIELD_NUMBER: _ClassVar[int]
    GROUP_ID_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_TYPE_FIELD_NUMBER: _ClassVar[int]
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    SEND_TIME_FIELD_NUMBER: _ClassVar[int]
    EXTRA_FIELD_NUMBER: _ClassVar[int]
    client_msg_id: str
    conversation_id: str
    sender_id: str
    receiver_id: str
    group_id: str
    message_type: int
    content: bytes
    send_time: int
    extra: _containers.ScalarMap[str, str]
    def __init__(self, client_msg_id: _Optional[str] = ..., conversation_id: _Optional[str] = ..., sender_id: _Optional[str] = ..., receiver_id: _Optional[str] = ..., group_id: _Optional[str] = ..., message_type: _Optional[int] = ..., content: _Optional[bytes] = ..., send_time: _Optional[int] = ..., extra: _Optional[_Mapping[str, str]] = ...) -> None: ...

class SendMessageResponse(_message.Message):
    __slots__ = ("error_code", "error_msg", "message_id", "seq", "server_time")
    ERROR_CODE_FIELD_NUMBER: _ClassVar[int]
    ERROR_MSG_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_ID_FIELD_NUMBER: _ClassVar[int]
    SEQ_FIELD_NUMBER: _ClassVar[int]
    SERVER_TIME_FIELD_NUMBER: _ClassVar[int]
    error_code: ErrorCode
    error_msg: str
    message_id: str
    seq: int
    server_time: int
    def __init__(self, error_code: _Optional[_Union[ErrorCode, str]] = ..., error_msg: _Optional[str] = ..., message_id: _Optional[str] = ..., seq: _Optional[int] = ..., server_time: _Optional[int] = ...) -> None: ...

class PushMessage(_message.Message):
    __slots__ = ("message_id", "client_msg_id", "conversation_id", "sender_id", "receiver_id", "group_id", "message_type", "content", "send_time", "server_time", "seq", "extra")
    class ExtraEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    MESSAGE_ID_FIELD_NUMBER: _ClassVar[int]
    CLIENT_MSG_ID_FIELD_NUMBER: _ClassVar[int]
    CONVERSATION_ID_FIELD_NUMBER: _ClassVar[int]
    SENDER_ID_FIELD_NUMBER: _ClassVar[int]
    RECEIVER_ID_FIELD_NUMBER: _ClassVar[int]
    GROUP_ID_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_TYPE_FIELD_NUMBER: _ClassVar[int]
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    SEND_TIME_FIELD_NUMBER: _ClassVar[int]
    SERVER_TIME_FIELD_NUMBER: _ClassVar[int]
    SEQ_FIELD_NUMBER: _ClassVar[int]
    EXTRA_FIELD_NUMBER: _ClassVar[int]
    message_id: str
    client_msg_id: str
    conversation_id: str
    sender_id: str
    receiver_id: str
    group_id: str
    message_type: int
    content: bytes
    send_time: int
    server_time: int
    seq: int
    extra: _containers.ScalarMap[str, str]
    def __init__(self, message_id: _Optional[str] = ..., client_msg_id: _Optional[str] = ..., conversation_id: _Optional[str] = ..., sender_id: _Optional[str] = ..., receiver_id: _Optional[str] = ..., group_id: _Optional[str] = ..., message_type: _Optional[int] = ..., content: _Optional[bytes] = ..., send_time: _Optional[int] = ..., server_time: _Optional[int] = ..., seq: _Optional[int] = ..., extra: _Optional[_Mapping[str, str]] = ...) -> None: ...

class BatchMessages(_message.Message):
    __slots__ = ("messages",)
    MESSAGES_FIELD_NUMBER: _ClassVar[int]
    messages: _containers.RepeatedCompositeFieldContainer[PushMessage]
    def __init__(self, messages: _Optional[_Iterable[_Union[PushMessage, _Mapping]]] = ...) -> None: ...

class MessageAck(_message.Message):
    __slots__ = ("message_id", "seq")
    MESSAGE_ID_FIELD_NUMBER: _ClassVar[int]
    SEQ_FIELD_NUMBER: _ClassVar[int]
    message_id: str
    seq: int
    def __init__(self, message_id: _Optional[str] = ..., seq: _Optional[int] = ...) -> None: ...

class RevokeMessageRequest(_message.Message):
    __slots__ = ("message_id", "conversation_id")
    MESSAGE_ID_FIELD_NUMBER: _ClassVar[int]
    CONVERSATION_ID_FIELD_NUMBER: _ClassVar[int]
    message_id: str
    conversation_id: str
    def __init__(self, message_id: _Optional[str] = ..., conversation_id: _Optional[str] = ...) -> None: ...

class RevokeMessageResponse(_message.Message):
    __slots__ = ("error_code", "error_msg")
    ERROR_CODE_FIELD_NUMBER: _ClassVar[int]
    ERROR_MSG_FIELD_NUMBER: _ClassVar[int]
    error_code: ErrorCode
    error_msg: str
    def __init__(self, error_code: _Optional[_Union[ErrorCode, str]] = ..., error_msg: _Optional[str] = ...) -> None: ...

class RevokeMessagePush(_message.Message):
    __slots__ = ("message_id", "conversation_id", "revoked_by", "revoked_time")
    MESSAGE_ID_FIELD_NUMBER: _ClassVar[int]
    CONVERSATION_ID_FIELD_NUMBER: _ClassVar[int]
    REVOKED_BY_FIELD_NUMBER: _ClassVar[int]
    REVOKED_TIME_FIELD_NUMBER: _ClassVar[int]
    message_id: str
    conversation_id: str
    revoked_by: str
    revoked_time: int
    def __init__(self, message_id: _Optional[str] = ..., conversation_id: _Optional[str] = ..., revoked_by: _Optional[str] = ..., revoked_time: _Optional[int] = ...) -> None: ...

class SyncRequest(_message.Message):
    __slots__ = ("min_seq", "max_seq", "limit")
    MIN_SEQ_FIELD_NUMBER: _ClassVar[int]
    MAX_SEQ_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    min_seq: int
    max_seq: int
    limit: int
    def __init__(self, min_seq: _Optional[int] = ..., max_seq: _Optional[int] = ..., limit: _Optional[int] = ...) -> None: ...

class SyncResponse(_message.Message):
    __slots__ = ("error_code", "error_msg", "messages", "server_max_seq", "has_more", "first_seq", "epoch")
    ERROR_CODE_FIELD_NUMBER: _ClassVar[int]
    ERROR_MSG_FIELD_NUMBER: _ClassVar[int]
    MESSAGES_FIELD_NUMBER: _ClassVar[int]
    SERVER_MAX_SEQ_FIELD_NUMBER: _ClassVar[int]
    HAS_MORE_FIELD_NUMBER: _ClassVar[int]
    FIRST_SEQ_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    error_code: ErrorCode
    error_msg: str
    messages: _containers.RepeatedCompositeFieldContainer[PushMessage]
    server_max_seq: int
    has_more: bool
    first_seq: int
    epoch: str
    def __init__(self, error_code: _Optional[_Union[ErrorCode, str]] = ..., error_msg: _Optional[str] = ..., messages: _Optional[_Iterable[_Union[PushMessage, _Mapping]]] = ..., server_max_seq: _Optional[int] = ..., has_more: _Optional[bool] = ..., first_seq: _Optional[int] = ..., epoch: _Optional[str] = ...) -> None: ...

class UserStatus(_message.Message):
    __slots__ = ("user_id", "status", "last_seen")
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    LAST_SEEN_FIELD_NUMBER: _ClassVar[int]
    user_id: str
    status: UserState
    last_seen: int
    def __init__(self, user_id: _Optional[str] = ..., status: _Optional[_Union[UserState, str]] = ..., last_seen: _Optional[int] = ...) -> None: ...

class OnlineStatusRequest(_message.Message):
    __slots__ = ("user_ids",)
    USER_IDS_FIELD_NUMBER: _ClassVar[int]
    user_ids: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, user_ids: _Optional[_Iterable[str]] = ...) -> None: ...

class OnlineStatusResponse(_message.Message):
    __slots__ = ("error_code", "error_msg", "users")
    ERROR_CODE_FIELD_NUMBER: _ClassVar[int]
    ERROR_MSG_FIELD_NUMBER: _ClassVar[int]
    USERS_FIELD_NUMBER: _ClassVar[int]
    error_code: ErrorCode
    error_msg: str
    users: _containers.RepeatedCompositeFieldContainer[UserStatus]
    def __init__(self, error_code: _Optional[_Union[ErrorCode, str]] = ..., error_msg: _Optional[str] = ..., users: _Optional[_Iterable[_Union[UserStatus, _Mapping]]] = ...) -> None: ...

class ReadReceiptRequest(_message.Message):
    __slots__ = ("message_ids", "conversation_id")
    MESSAGE_IDS_FIELD_NUMBER: _ClassVar[int]
    CONVERSATION_ID_FIELD_NUMBER: _ClassVar[int]
    message_ids: _containers.RepeatedScalarFieldContainer[str]
    conversation_id: str
    def __init__(self, message_ids: _Optional[_Iterable[str]] = ..., conversation_id: _Optional[str] = ...) -> None: ...

class ReadReceiptResponse(_message.Message):
    __slots__ = ("error_code", "error_msg")
    ERROR_CODE_FIELD_NUMBER: _ClassVar[int]
    ERROR_MSG_FIELD_NUMBER: _ClassVar[int]
    error_code: ErrorCode
    error_msg: str
    def __init__(self, error_code: _Optional[_Union[ErrorCode, str]] = ..., error_msg: _Optional[str] = ...) -> None: ...

class ReadReceiptPush(_message.Message):
    __slots__ = ("message_ids", "conversation_id", "user_id", "read_time")
    MESSAGE_IDS_FIELD_NUMBER: _ClassVar[int]
    CONVERSATION_ID_FIELD_NUMBER: _ClassVar[int]
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    READ_TIME_FIELD_NUMBER: _ClassVar[int]
    message_ids: _containers.RepeatedScalarFieldContainer[str]
    conversation_id: str
    user_id: str
    read_time: int
    def __init__(self, message_ids: _Optional[_Iterable[str]] = ..., conversation_id: _Optional[str] = ..., user_id: _Optional[str] = ..., read_time: _Optional[int] = ...) -> None: ...

class TypingStatusRequest(_message.Message):
    __slots__ = ("conversation_id", "status")
    CONVERSATION_ID_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    conversation_id: str
    status: int
    def __init__(self, conversation_id: _Optional[str] = ..., status: _Optional[int] = ...) -> None: ...

class TypingStatusPush(_message.Message):
    __slots__ = ("conversation_id", "user_id", "status")
    CONVERSATION_ID_FIELD_NUMBER: _ClassVar[int]
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    conversation_id: str
    user_id: str
    status: int
    def __init__(self, conversation_id: _Optional[str] = ..., user_id: _Optional[str] = ..., status: _Optional[int] = ...) -> None: ...
