"""The client's role in document 000."""

from __future__ import annotations

from collections import deque
from typing import Any, Final

from imserver.model.accounts import KickReason, LoggedIn, LogIn, Ping, Pong, SessionKicked
from imserver.model.calls import (
    AnswerCall,
    CallAccepted,
    CallAnswered,
    CallEnded,
    CallError,
    CallFault,
    CallIncoming,
    CallMedia,
    EndCall,
    Ending,
    RejectCall,
    StartCall,
)
from imserver.model.errors import ErrorCode, ImError
from imserver.model.ids import group_name
from imserver.model.messages import Content, Form, InboxRow, Message, SendMessage
from imserver.model.presence import PresenceChanged, PresenceState
from imserver.wire.base import WireError
from imserver.wire.content import to_plain
from imserver.wire.qdatastream import tables
from imserver.wire.qdatastream.commands import (
    FILE_COMMANDS,
    address,
    call_id,
    read_file,
    reason_of,
    text_of,
    u16_text,
    write_accept,
    write_end,
    write_file,
    write_opening,
    write_reject,
)
from imserver.wire.qdatastream.grammar import Malformed, Mode, Parsed, Role, parse
from imserver.wire.qdatastream.strings import StringForm, encode

# What a goodbye means; the reverse of what the server writes.
_KICKS: Final = {
    ErrorCode.CONFLICT: KickReason.OTHER_DEVICE,
    ErrorCode.AUTH_FAILED: KickReason.ACCOUNT,
    ErrorCode.UNAVAILABLE: KickReason.SHUTDOWN,
    ErrorCode.TOO_FAST: KickReason.SLOW,
}
_CALL_TYPES: Final = range(tables.CALL_REQUEST, tables.HEARTBEAT)
_FAULTS: Final = {
    400: CallFault.BAD_REQUEST,
    403: CallFault.NOT_PARTICIPANT,
    404: CallFault.UNKNOWN_CALL,
    409: CallFault.CALL_ID_IN_USE,
}


class QDataStreamClientCodec:
    """One connection to a server that speaks document 000.

    Requests have no ids there: LogIn by password and Ping are answered in order,
    with their tags; nothing else has an answer, and an ERROR to it comes as
    (None, ImError), of a call (None, CallError), one that belongs to no request as
    (None, SessionKicked) where it is a goodbye. A TEXT does not say which message it is: its InboxRow has
    number 0, no message id and no times. Events of calls have no times either; how
    a call ended is read from CALL_REJECT's reason, and every CALL_END is a HANGUP.

    Args:
        form: how strings are written.
    """

    __slots__ = ("_answering", "_form", "_logins", "_pings")

    def __init__(self, form: StringForm = StringForm.UTF8) -> None:
        self._answering = ""  # the call that was accepted here
        self._form = form
        self._logins: deque[Any] = deque()
        self._pings: deque[Any] = deque()

    def request(self, command: Any, tag: Any) -> bytes:
        """The message that sends a command; a LogIn must be the first one.

        Raises:
            ValueError: document 000 cannot carry the command.
        """
        form = self._form
        match command:
            case SendMessage():
                return b"\0" + encode(_recipient(command), form) + encode(to_plain(command.content), form)
            case LogIn():
                if command.password or command.token:
                    self._logins.append(tag)
                return write_opening(command)
            case Ping():
                self._pings.append(tag)
                return b"\x07"
            case StartCall(call=""):
                return b"\x02" + encode(command.callee, form) + bytes((command.video,))
            case AnswerCall():
                self._answering = command.call
                return write_accept(command.call, form)
            case RejectCall():
                return write_reject(command.call, command.reason, form)
            case EndCall():
                return write_end(command.call, form)
            case CallMedia():
                return b"\x06" + command.data
        if isinstance(command, FILE_COMMANDS):
            return write_file(command, form)
        raise ValueError(f"document 000 has no such {type(command).__name__}")

    def decode(self, frame: bytes) -> tuple[Any, Any]:
        """Reads one message of the server; see the class for what comes back.

        Raises:
            WireError: it is none.
        """
        try:
            parsed = parse(frame, 0, Mode.WHOLE, self._form, Role.SERVER)
        except Malformed as fault:
            raise WireError(fault.code, fault.text) from None
        match parsed.type:
            case tables.HEARTBEAT:
                return (self._pings.popleft() if self._pings else None), Pong(0.0)
            case tables.AUTH_RESPONSE:
                return (self._logins.popleft() if self._logins else None), _auth_response(parsed)
            case tables.ERROR:
                return self._error(parsed)
        return None, self._push(parsed)

    def _error(self, parsed: Parsed) -> tuple[Any, Any]:
        request, status, reason = parsed.fields
        error = ImError(tables.ERROR_CODES.get(status, ErrorCode.INTERNAL), text_of(parsed, reason))
        if request == tables.HEARTBEAT and self._pings:
            return self._pings.popleft(), error
        if request == tables.NO_REQUEST and error.code in _KICKS:
            return None, SessionKicked(_KICKS[error.code], error.text)
        if request in _CALL_TYPES and status in _FAULTS:
            return None, CallError(_FAULTS[status], error.text)
        return None, error

    def _push(self, parsed: Parsed) -> Any:
        fields = parsed.fields
        match parsed.type:
            case tables.TEXT:
                return _row(parsed)
            case tables.FILE:
                return read_file(parsed)
            case tables.PRESENCE:
                state = tables.PRESENCE_NAMES.get(fields[1], PresenceState.ONLINE)
                return PresenceChanged(address(parsed, fields[0]).user, state, 0.0)
        call = call_id(parsed, fields[0])
        match parsed.type:
            case tables.CALL_REQUEST:
                return CallIncoming(call, address(parsed, fields[1]).user, "", fields[2], 0.0)
            case tables.CALL_ACCEPT:
                # The same bytes go to both; this one said so itself, or was waiting for it.
                accepted = CallAccepted if call == self._answering else CallAnswered
                return accepted(call, "", "", 0.0)
            case tables.CALL_REJECT:
                return _rejected(call, reason_of(parsed))
            case tables.CALL_END:
                return CallEnded(call, "", "", Ending.HANGUP, 0.0, 0.0)
        return CallMedia(fields[1], call)


def _rejected(call: str, reason: str) -> CallEnded:
    ending = tables.REJECT_ENDINGS.get(reason)
    if ending is None:
        return CallEnded(call, "", "", Ending.REJECTED, 0.0, 0.0, reason=reason)
    return CallEnded(call, "", "", ending, 0.0, 0.0)


def _recipient(command: SendMessage) -> str:
    if command.group:
        return group_name(command.group)
    if not command.recipient:
        raise ValueError("document 000 only knows users and groups")
    return command.recipient


def _auth_response(parsed: Parsed) -> LoggedIn | ImError:
    success, *fields = parsed.fields
    texts = [u16_text(parsed, raw) for raw in fields]
    if success:
        return LoggedIn(texts[1], texts[0], "", 0, 0, 1, "")
    return ImError(ErrorCode.AUTH_FAILED, texts[0])


def _row(parsed: Parsed) -> InboxRow:
    raw, body = parsed.fields
    sender = address(parsed, raw)
    canonical = group_name(sender.group) if sender.group else ""
    return InboxRow(
        0,
        Message(
            message_id="",
            conversation=canonical,
            canonical=canonical,
            position=0,
            sender=sender.user,
            recipient="",
            group=sender.group,
            client_id="",
            content=Content(Form.TEXT, text_of(parsed, body).encode()),
            sent_at=0.0,
            server_at=0.0,
        ),
    )
