"""Messages of the client to the model's commands, and back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from imserver.model.accounts import LogIn, Ping
from imserver.model.calls import AnswerCall, CallMedia, EndCall, RejectCall, StartCall
from imserver.model.errors import ErrorCode
from imserver.model.files import AckChunks, CancelFile, CompleteFile, OfferFile, SendChunk
from imserver.model.ids import MAX_CLIENT_ID_BYTES
from imserver.model.messages import Content, Form, SendMessage
from imserver.wire.base import WireError
from imserver.wire.qdatastream import tables
from imserver.wire.qdatastream.grammar import Parsed
from imserver.wire.qdatastream.ids import Address, address_of
from imserver.wire.qdatastream.reason import MAX_REASON_BYTES
from imserver.wire.qdatastream.strings import NULL, StringForm, cut, decode, encode, encode_u16

_TEXT: Final = Form.TEXT
_UTF8: Final = StringForm.UTF8
_HEX: Final = frozenset("0123456789abcdef")
MAX_FILE_NAME_BYTES: Final = 255


def _bad(parsed: Parsed, text: str) -> WireError:
    return WireError(ErrorCode.BAD_REQUEST, text, tag=parsed.type)


# Fields


def text_of(parsed: Parsed, raw: bytes) -> str:
    """A string of the message. Raises WireError if it is not well formed."""
    try:
        return decode(raw, parsed.form or StringForm.UTF8)
    except ValueError:
        raise _bad(parsed, "a string is not valid text") from None


def u16_text(parsed: Parsed, raw: bytes) -> str:
    """A string whose form is fixed. Raises WireError if it is not UTF-8."""
    try:
        return decode(raw, StringForm.UTF8)
    except ValueError:
        raise _bad(parsed, "a string is not valid text") from None


def address(parsed: Parsed, raw: bytes) -> Address:
    """An id field. Raises WireError if it is none."""
    found = address_of(text_of(parsed, raw))
    if found is None:
        raise _bad(parsed, "an id is not valid")
    return found


def _user(parsed: Parsed, raw: bytes) -> str:
    found = address(parsed, raw)
    if found.group:
        raise _bad(parsed, "this is between two users")
    return found.user


def call_id(parsed: Parsed, raw: bytes) -> str:
    """A CallId. Raises WireError if it is none."""
    call = text_of(parsed, raw)
    if not call.isascii() or not call.isprintable():
        raise _bad(parsed, "a CallId is not valid")
    return call


# Reading


def send_text(parsed: Parsed, recipient: str, group: str, raw: bytes) -> SendMessage:
    """TEXT to a user or a group. Raises WireError if the text is not well formed."""
    text = text_of(parsed, raw)
    data = raw if parsed.form is _UTF8 else text.encode()
    return SendMessage(Content(_TEXT, data), recipient=recipient, group=group)


def _read_call(parsed: Parsed) -> StartCall:
    raw, video = parsed.fields
    return StartCall(_user(parsed, raw), video)


def _read_answer(parsed: Parsed) -> AnswerCall:
    return AnswerCall(call_id(parsed, parsed.fields[0]))


def reason_of(parsed: Parsed) -> str:
    """CALL_REJECT's reason, "" if there is none. Raises WireError if it is not well formed."""
    reason = parsed.fields[1]
    return "" if reason is None else text_of(parsed, reason)


def _read_reject(parsed: Parsed) -> RejectCall:
    return RejectCall(call_id(parsed, parsed.fields[0]), reason_of(parsed))


def _read_end(parsed: Parsed) -> EndCall:
    return EndCall(call_id(parsed, parsed.fields[0]))


def _read_media(parsed: Parsed) -> CallMedia:
    return CallMedia(parsed.fields[0])


def _read_ping(parsed: Parsed) -> Ping:
    return _PING


def _read_login(parsed: Parsed) -> LogIn:
    name, password = parsed.fields
    return LogIn(
        user=u16_text(parsed, name),
        password=u16_text(parsed, password),
        register=parsed.type == tables.REGISTER,
    )


def _transfer(parsed: Parsed, raw: bytes) -> str:
    transfer = text_of(parsed, raw)
    if not 0 < len(transfer.encode()) <= MAX_CLIENT_ID_BYTES:
        raise _bad(parsed, "a transfer id has no valid length")
    return transfer


def read_file(parsed: Parsed) -> Any:
    """FILE, in either direction."""
    op, *fields = parsed.fields
    if op == tables.FileOp.OFFER:
        peer, transfer, name, size, sha256 = fields
        digest = text_of(parsed, sha256)
        if len(digest) != 64 or not _HEX.issuperset(digest):
            raise _bad(parsed, "a file's hash is not 64 characters 0-9a-f")
        file_name = text_of(parsed, name)
        if not 0 < len(file_name.encode()) <= MAX_FILE_NAME_BYTES:
            raise _bad(parsed, "a file's name has no valid length")
        return OfferFile(_user(parsed, peer), _transfer(parsed, transfer), file_name, size, digest)
    transfer = _transfer(parsed, fields[0])
    if op == tables.FileOp.CHUNK:
        return SendChunk(transfer, fields[1], fields[2])
    if op == tables.FileOp.ACK:
        return AckChunks(transfer, fields[1])
    if op == tables.FileOp.CANCEL:
        return CancelFile(transfer, text_of(parsed, fields[1]))
    return CompleteFile(transfer)


_PING: Final = Ping()
READERS: Final[dict[int, Callable[[Parsed], Any]]] = {
    tables.FILE: read_file,
    tables.CALL_REQUEST: _read_call,
    tables.CALL_ACCEPT: _read_answer,
    tables.CALL_REJECT: _read_reject,
    tables.CALL_END: _read_end,
    tables.MEDIA_DATA: _read_media,
    tables.HEARTBEAT: _read_ping,
    tables.LOGIN: _read_login,
    tables.REGISTER: _read_login,
}
"""What a server reads, by message type, but for TEXT. They raise WireError."""


# Writing: the types that look the same in both directions


def write_accept(call: str, form: StringForm) -> bytes:
    """CALL_ACCEPT."""
    return b"\x03" + encode(call, form)


def write_reject(call: str, reason: str, form: StringForm) -> bytes:
    """CALL_REJECT; without a reason a null string, or in UTF-8 an empty one. What is too long is cut."""
    if reason:
        # 255 bytes of UTF-8, twice as many of UTF-16, and their length.
        room = 2 + MAX_REASON_BYTES if form is _UTF8 else 4 + 2 * MAX_REASON_BYTES
        words = cut(reason, form, room)[0]
    else:
        words = NULL if form is StringForm.QSTRING else encode("", form)
    return b"\x04" + encode(call, form) + words


def write_end(call: str, form: StringForm) -> bytes:
    """CALL_END."""
    return b"\x05" + encode(call, form)


def write_file(command: Any, form: StringForm) -> bytes:
    """FILE."""
    transfer = encode(command.transfer, form)
    match command:
        case OfferFile():
            return b"".join(
                (
                    b"\x01\x00",
                    encode(command.peer, form),
                    transfer,
                    encode(command.name, form),
                    command.size.to_bytes(8, "big"),
                    encode(command.sha256, form),
                )
            )
        case SendChunk():
            head = command.offset.to_bytes(8, "big") + len(command.data).to_bytes(4, "big")
            return b"\x01\x01" + transfer + head + command.data
        case AckChunks():
            return b"\x01\x02" + transfer + command.offset.to_bytes(8, "big")
        case CancelFile():
            return b"\x01\x03" + transfer + encode(command.reason, form)
        case _:
            return b"\x01\x04" + transfer


FILE_COMMANDS: Final = (OfferFile, SendChunk, AckChunks, CancelFile, CompleteFile)


def write_opening(command: LogIn) -> bytes:
    """The first message of a connection, or a later LOGIN."""
    if command.password:
        kind = tables.REGISTER if command.register else tables.LOGIN
        return bytes((kind,)) + encode_u16(command.user) + encode_u16(command.password)
    token = encode_u16(command.token) if command.token else b""
    return b"\x07" + encode_u16(command.user) + token
