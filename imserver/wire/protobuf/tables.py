"""Document 001's numbers: commands and their answers, error codes, user states."""

from __future__ import annotations

from typing import Final

from imserver.model.errors import ErrorCode
from imserver.model.presence import PresenceState
from imserver.wire.protobuf import im_protocol_pb2 as pb

# Plain integers, compared once a frame: a look-up in the generated enum costs ten times as much.
UNKNOWN: Final = 0
CONNECT_REQ: Final = 1
CONNECT_RSP: Final = 2
DISCONNECT_REQ: Final = 3
DISCONNECT_RSP: Final = 4
HEARTBEAT_REQ: Final = 5
HEARTBEAT_RSP: Final = 6
AUTH_REQ: Final = 100
AUTH_RSP: Final = 101
REAUTH_REQ: Final = 102
REAUTH_RSP: Final = 103
KICK_OUT: Final = 104
SEND_MSG_REQ: Final = 200
SEND_MSG_RSP: Final = 201
PUSH_MSG: Final = 202
MSG_ACK: Final = 203
BATCH_MSG: Final = 204
REVOKE_MSG_REQ: Final = 205
REVOKE_MSG_RSP: Final = 206
REVOKE_MSG_PUSH: Final = 207
SYNC_REQ: Final = 300
SYNC_RSP: Final = 301
SYNC_FINISHED: Final = 302
ONLINE_STATUS_REQ: Final = 400
ONLINE_STATUS_RSP: Final = 401
STATUS_CHANGE_PUSH: Final = 402
READ_RECEIPT_REQ: Final = 500
READ_RECEIPT_RSP: Final = 501
READ_RECEIPT_PUSH: Final = 502
TYPING_STATUS_REQ: Final = 600
TYPING_STATUS_PUSH: Final = 601

COMMAND_NAMES: Final[dict[int, str]] = {number: name for name, number in pb.CommandType.items()}

RESPONSES: Final[dict[int, int]] = {
    CONNECT_REQ: CONNECT_RSP,
    DISCONNECT_REQ: DISCONNECT_RSP,
    HEARTBEAT_REQ: HEARTBEAT_RSP,
    AUTH_REQ: AUTH_RSP,
    REAUTH_REQ: REAUTH_RSP,
    SEND_MSG_REQ: SEND_MSG_RSP,
    REVOKE_MSG_REQ: REVOKE_MSG_RSP,
    SYNC_REQ: SYNC_RSP,
    ONLINE_STATUS_REQ: ONLINE_STATUS_RSP,
    READ_RECEIPT_REQ: READ_RECEIPT_RSP,
}
"""The command that answers each request."""

BEFORE_LOG_IN: Final = frozenset({CONNECT_REQ, DISCONNECT_REQ, HEARTBEAT_REQ, AUTH_REQ, REAUTH_REQ})
"""Requests that are read whoever sends them; of the others a stranger's are not even looked into."""

UNANSWERED: Final = frozenset({MSG_ACK, TYPING_STATUS_REQ})
"""Requests the document gives no answer."""

ERRORLESS: Final = frozenset({DISCONNECT_RSP, HEARTBEAT_RSP})
"""Answers whose body has no error fields: their refusals go out as UNKNOWN."""

ERROR_NUMBERS: Final[dict[ErrorCode, int]] = {
    ErrorCode.BAD_REQUEST: 2,
    ErrorCode.AUTH_FAILED: 100,
    ErrorCode.TOKEN_EXPIRED: 101,
    ErrorCode.FORBIDDEN: 102,
    ErrorCode.USER_NOT_FOUND: 103,
    ErrorCode.USER_EXISTS: 2,
    ErrorCode.CONVERSATION_NOT_FOUND: 202,
    ErrorCode.NOT_FOUND: 2,
    ErrorCode.UNKNOWN_COMMAND: 2,
    ErrorCode.CONFLICT: 2,
    ErrorCode.TOO_LARGE: 200,
    ErrorCode.TOO_FAST: 201,
    ErrorCode.VERSION: 2,
    ErrorCode.SIGNATURE: 100,
    ErrorCode.UNAVAILABLE: 1,
    ErrorCode.INTERNAL: 1,
}

ERROR_CODES: Final[dict[int, ErrorCode]] = {
    1: ErrorCode.UNAVAILABLE,
    2: ErrorCode.BAD_REQUEST,
    100: ErrorCode.AUTH_FAILED,
    101: ErrorCode.TOKEN_EXPIRED,
    102: ErrorCode.FORBIDDEN,
    103: ErrorCode.USER_NOT_FOUND,
    200: ErrorCode.TOO_LARGE,
    201: ErrorCode.TOO_FAST,
    202: ErrorCode.CONVERSATION_NOT_FOUND,
}
"""What a client makes of them; any other number is INTERNAL."""

STATE_NUMBERS: Final[dict[PresenceState, pb.UserState]] = {
    PresenceState.OFFLINE: pb.USER_OFFLINE,
    PresenceState.ONLINE: pb.USER_ONLINE,
    PresenceState.AWAY: pb.USER_AWAY,
    PresenceState.BUSY: pb.USER_BUSY,
}

STATES: Final[dict[int, PresenceState]] = {number: state for state, number in STATE_NUMBERS.items()}
"""What a client makes of them; any other number is ONLINE."""
