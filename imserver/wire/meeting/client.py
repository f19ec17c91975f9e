"""The client's role of document 003."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from msgspec import Raw, Struct

from imserver.model.errors import ErrorCode, ImError
from imserver.wire.base import WireError
from imserver.wire.meeting.answers import READERS
from imserver.wire.meeting.errors import error_of
from imserver.wire.meeting.events import read_event
from imserver.wire.meeting.requests import write_command

_FAULTS: Final = (msgspec.MsgspecError, ImError, ValueError, RecursionError)


class _Message(Struct):
    cseq: int = 0
    event: str | None = None
    err: int = 0
    err_msg: str = ""
    data: Raw = Raw(b"{}")


_read: Final = msgspec.json.Decoder(_Message).decode


class MeetingClientCodec:
    """One connection's codec for client programs (`imserver.wire.base.ClientCodec`).

    Commands bear the session that `RoomJoined` gave. A tag is the request's `cseq`: a number
    above 0, by which its answer is known.
    """

    def __init__(self) -> None:
        self._asked: dict[int, str] = {}

    def request(self, command: Any, tag: Any) -> bytes:
        """See ClientCodec. Raises TypeError for a command that is none of this format."""
        method, session, data = write_command(command)
        self._asked[tag] = method
        return msgspec.json.encode(
            {"version": 0, "cseq": tag, "method": method, "session": session, "data": data}
        )

    def decode(self, frame: bytes) -> tuple[Any, Any]:
        """See ClientCodec.

        Raises:
            WireError: it is no message of a server.
        """
        try:
            message = _read(frame)
            if message.event is not None:
                return None, read_event(message.event, message.data)
            method = self._asked.pop(message.cseq, "")
            if message.err:
                return message.cseq, error_of(message.err, message.err_msg)
            if not method:
                raise ValueError("an answer to nothing")
            return message.cseq, READERS[method](message.data)
        except _FAULTS:
            raise WireError(ErrorCode.BAD_REQUEST, "the server's message cannot be read") from None
