"""The numbers of `err` (CONTRACT §5)."""

from __future__ import annotations

from typing import Final

from imserver.model.errors import ErrorCode, ImError
from imserver.model.rooms import RoomError, RoomFault
from imserver.wire.base import WireError

NUMBERS: Final = {
    RoomFault.BAD_REQUEST: 1,
    RoomFault.UNKNOWN_METHOD: 2,
    RoomFault.UNAUTHORISED: 3,
    RoomFault.BAD_SESSION: 4,
    RoomFault.NOT_JOINED: 5,
    RoomFault.CONFLICT: 6,
    RoomFault.NOT_FOUND: 7,
    RoomFault.FULL: 8,
    RoomFault.TOO_FAST: 9,
    RoomFault.NO_MEDIA_SERVER: 10,
    RoomFault.VERSION: 11,
    RoomFault.INTERNAL: 99,
}
FAULTS: Final = {number: fault for fault, number in NUMBERS.items()}

_BY_CODE: Final = {
    ErrorCode.BAD_REQUEST: RoomFault.BAD_REQUEST,
    ErrorCode.TOO_LARGE: RoomFault.BAD_REQUEST,
    ErrorCode.UNKNOWN_COMMAND: RoomFault.UNKNOWN_METHOD,
    ErrorCode.AUTH_FAILED: RoomFault.UNAUTHORISED,
    ErrorCode.TOKEN_EXPIRED: RoomFault.UNAUTHORISED,
    ErrorCode.FORBIDDEN: RoomFault.UNAUTHORISED,
    ErrorCode.CONFLICT: RoomFault.CONFLICT,
    ErrorCode.USER_EXISTS: RoomFault.CONFLICT,
    ErrorCode.NOT_FOUND: RoomFault.NOT_FOUND,
    ErrorCode.USER_NOT_FOUND: RoomFault.NOT_FOUND,
    ErrorCode.CONVERSATION_NOT_FOUND: RoomFault.NOT_FOUND,
    ErrorCode.TOO_FAST: RoomFault.TOO_FAST,
    ErrorCode.VERSION: RoomFault.VERSION,
}


def number_of(error: ImError | WireError) -> int:
    """The number of a refusal; 99 for what this format has no number for."""
    if isinstance(error, RoomError):
        return NUMBERS[error.fault]
    return NUMBERS[_BY_CODE.get(error.code, RoomFault.INTERNAL)]


def error_of(number: int, text: str) -> RoomError:
    """The client's side."""
    return RoomError(FAULTS.get(number, RoomFault.INTERNAL), text)
