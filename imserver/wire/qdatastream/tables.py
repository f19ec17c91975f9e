"""Numbers of document 000 and of its deployed extension."""

from __future__ import annotations

import enum
from typing import Final

from imserver.model.calls import Ending
from imserver.model.errors import ErrorCode
from imserver.model.presence import PresenceState


class MessageType(enum.IntEnum):
    """The first byte of a message."""

    TEXT = 0
    FILE = 1
    CALL_REQUEST = 2
    CALL_ACCEPT = 3
    CALL_REJECT = 4
    CALL_END = 5
    MEDIA_DATA = 6
    HEARTBEAT = 7
    LOGIN = 8
    REGISTER = 9
    AUTH_RESPONSE = 10
    ERROR = 11
    PRESENCE = 12


class FileOp(enum.IntEnum):
    """The second byte of a FILE message."""

    OFFER = 0
    CHUNK = 1
    ACK = 2
    CANCEL = 3
    COMPLETE = 4


# Plain integers: looking up a member of an enumeration costs more than the work at hand.
TEXT: Final = 0
FILE: Final = 1
CALL_REQUEST: Final = 2
CALL_ACCEPT: Final = 3
CALL_REJECT: Final = 4
CALL_END: Final = 5
MEDIA_DATA: Final = 6
HEARTBEAT: Final = 7
LOGIN: Final = 8
REGISTER: Final = 9
AUTH_RESPONSE: Final = 10
ERROR: Final = 11
PRESENCE: Final = 12

LAST_OPENING: Final = REGISTER
"""A connection's first message has a type up to this one."""
NO_REQUEST: Final = 255
"""The request type of an ERROR that answers nothing: a message without a type, a goodbye."""

STATUS: Final[dict[ErrorCode, int]] = {
    ErrorCode.BAD_REQUEST: 400,
    ErrorCode.AUTH_FAILED: 401,
    ErrorCode.TOKEN_EXPIRED: 401,
    ErrorCode.SIGNATURE: 401,
    ErrorCode.FORBIDDEN: 403,
    ErrorCode.NOT_FOUND: 404,
    ErrorCode.USER_NOT_FOUND: 404,
    ErrorCode.CONVERSATION_NOT_FOUND: 404,
    ErrorCode.UNKNOWN_COMMAND: 404,
    ErrorCode.CONFLICT: 409,
    ErrorCode.USER_EXISTS: 409,
    ErrorCode.TOO_LARGE: 413,
    ErrorCode.VERSION: 426,
    ErrorCode.TOO_FAST: 429,
    ErrorCode.INTERNAL: 500,
    ErrorCode.UNAVAILABLE: 503,
}
"""ERROR's code: document 004's status. Where several share one, a client reads the first."""

ERROR_CODES: Final[dict[int, ErrorCode]] = {}
for _code, _status in STATUS.items():
    ERROR_CODES.setdefault(_status, _code)

REJECT_REASONS: Final[dict[Ending, str]] = {
    Ending.OFFLINE: "user offline",
    Ending.BUSY: "user busy",
    Ending.NO_ANSWER: "no answer",
    Ending.NO_DEVICE: "no compatible device",
}
"""CALL_REJECT's reason where nobody rejected the call: it came to nothing. Other endings are CALL_END."""
REJECT_ENDINGS: Final = {reason: ending for ending, reason in REJECT_REASONS.items()}

NO_CALL: Final = "00000000-0000-0000-0000-000000000000"
"""The CallId where a call could not even be begun: of a peer that understands no ERROR."""

PRESENCE_STATES: Final[dict[PresenceState, int]] = {
    PresenceState.OFFLINE: 0,
    PresenceState.ONLINE: 1,
    PresenceState.AWAY: 2,
    PresenceState.BUSY: 3,
}
PRESENCE_NAMES: Final = {number: state for state, number in PRESENCE_STATES.items()}
