"""Envelopes, times, and the one kind of frame that is put together by hand: the push.

A protobuf object per frame is cheaper than its fields written one by one in
Python (and assigning its fields cheaper than naming them to the constructor),
so answers are built that way. A push goes to many sessions and differs
in `seq` only: its body is encoded once and the field appended per session
(protobuf fields may come in any order). The answer to a send has few fields, most of
them as short as its tag, and is written by hand, too.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from imserver.model.errors import ErrorCode
from imserver.model.messages import Form, InboxRow, Message
from imserver.wire.content import to_numbered
from imserver.wire.extras import REVOKED_KEY, pack_extra
from imserver.wire.protobuf import im_protocol_pb2 as pb
from imserver.wire.protobuf.tables import ERROR_NUMBERS

MAX_TIME_MS: Final = 253_402_300_799_999
"""The last millisecond of the year 9999: other formats write dates, which end there."""

Push = tuple[bytes, bytes]
"""The part of a push that sessions share: its body without `seq`, and the envelope's end after the body."""

PUSH_HEAD: Final = b"\x08\xca\x01\x1a"  # command = CMD_PUSH_MSG (202), then the body's tag
SEQ_TAG: Final = b"\x58"  # PushMessage.seq (11), varint
ACCEPTED_HEAD: Final = b"\x08\xc9\x01"  # command = CMD_SEND_MSG_RSP (201)
ONE_BYTE: Final = tuple(bytes((number,)) for number in range(128))
_MORE_FOLLOW: Final = tuple(bytes((number | 0x80,)) for number in range(128))
ONE_CHARACTER: Final = tuple(map(chr, range(128)))

_TEXT: Final = Form.TEXT  # by a name that need not be looked up in the enumeration
_Envelope = pb.WebSocketMessage
_PushMessage = pb.PushMessage


def varint(number: int) -> bytes:
    """A number >= 0 as a protobuf varint."""
    if number < 0x80:
        return ONE_BYTE[number]
    if number < 0x4000:
        return _MORE_FOLLOW[number & 0x7F] + ONE_BYTE[number >> 7]
    if number < 0x200000:
        return _MORE_FOLLOW[number & 0x7F] + _MORE_FOLLOW[number >> 7 & 0x7F] + ONE_BYTE[number >> 14]
    digits = bytearray()
    while number > 0x7F:
        digits.append(number & 0x7F | 0x80)
        number >>= 7
    digits.append(number)
    return bytes(digits)


@lru_cache(maxsize=64)
def moment(seconds: float) -> bytes:
    """A time as a varint of milliseconds; that of a commit is needed for all of its messages."""
    return varint(to_ms(seconds))


@lru_cache(maxsize=64)
def _timestamp(milliseconds: int) -> bytes:
    """The envelope's last field."""
    return b"\x20" + varint(milliseconds) if milliseconds else b""


def envelope(command: int, sequence: int, body: bytes, timestamp: int) -> bytes:
    """A whole frame; `timestamp` in milliseconds."""
    frame = _Envelope()
    frame.command = command  # type: ignore[assignment]  # a plain integer; the stub wants the enum's wrapper
    frame.sequence = sequence
    frame.body = body
    frame.timestamp = timestamp
    return frame.SerializeToString()


def error_body(code: ErrorCode, text: str) -> bytes:
    """`error_code = 1`, `error_msg = 2`: how every answer that can carry an error begins."""
    return pb.AuthResponse(
        error_code=ERROR_NUMBERS[code],  # type: ignore[arg-type]
        error_msg=text,
    ).SerializeToString()


def to_ms(seconds: float) -> int:
    """Float seconds to whole milliseconds, at the most the year 9999 and not below 1970."""
    milliseconds = seconds * 1000 + 0.5
    if 0 <= milliseconds < MAX_TIME_MS + 1:
        return int(milliseconds)
    return MAX_TIME_MS if milliseconds > 0 else 0


def from_client_ms(milliseconds: int) -> float:
    """A client's milliseconds to float seconds; 0 (not told) for what is not between 1970 and 9999."""
    if 0 < milliseconds <= MAX_TIME_MS:
        return milliseconds / 1000
    return 0.0


def push_message(message: Message, seq: int = 0) -> pb.PushMessage:
    """A message as document 001 pushes it; a revoked one as a tombstone (`extra` says by whom and when)."""
    number, data = to_numbered(message.content)
    revoked = message.revoked
    if revoked is None:
        extra = pack_extra(message.extra, message.attachments, message.meta, message.content)
    else:
        data = b""
        extra = {REVOKED_KEY: "1", "revoked_by": revoked.by, "revoked_time": str(to_ms(revoked.at))}
    push = _PushMessage()
    push.message_id = message.message_id
    push.client_msg_id = message.client_id
    push.conversation_id = message.conversation
    push.sender_id = message.sender
    push.receiver_id = message.recipient
    push.group_id = message.group
    push.message_type = number
    push.content = data
    server_time = to_ms(message.server_at)
    push.send_time = server_time if message.sent_at == message.server_at else to_ms(message.sent_at)
    push.server_time = server_time
    push.seq = seq
    if extra:
        push.extra.update(extra)
    return push


def _plain_body(message: Message) -> bytes:
    """PushMessage of a message from one user to another that has nothing beside its text, without seq.

    Nothing may be empty but the client's id: most messages are such.

    Returns:
        b"" where a name is not ASCII, or a time not told: for protobuf to write.

    Raises:
        IndexError: a name is so long that its length takes two bytes.
    """
    short = ONE_CHARACTER
    message_id, client_id, conversation = message.message_id, message.client_id, message.conversation
    sender, recipient, data = message.sender, message.recipient, message.content.data
    client = f"\x12{short[len(client_id)]}{client_id}" if client_id else ""
    head = (
        f"\x0a{short[len(message_id)]}{message_id}{client}\x1a{short[len(conversation)]}{conversation}"
        f"\x22{short[len(sender)]}{sender}\x2a{short[len(recipient)]}{recipient}\x38\x01\x42"
    )
    served = sent = moment(message.server_at)
    if message.sent_at != message.server_at:
        sent = moment(message.sent_at)
    if served == b"\0" or sent == b"\0" or not head.isascii():
        return b""
    return b"".join((head.encode(), varint(len(data)), data, b"\x48", sent, b"\x50", served))


def push_row(row: InboxRow) -> pb.PushMessage:
    """A message with its number, for SYNC and BATCH answers."""
    return push_message(row.message, row.seq)


def shared_push(message: Message, now: float) -> Push:
    """What all sessions' pushes of a message have in common; `now` in float seconds."""
    return _body(message), timestamp(now)


def _body(message: Message) -> bytes:
    content = message.content
    if (
        content.form is _TEXT and content.data and message.recipient and not message.group
        and message.message_id and message.conversation and message.sender
        and not (message.extra or message.attachments or message.meta or message.revoked)
    ):  # fmt: skip
        try:
            body = _plain_body(message)
        except IndexError:
            body = b""
        if body:
            return body
    return push_message(message).SerializeToString()


def splice_push(push: Push, seq: int) -> bytes:
    """The frame that pushes it under `seq` (> 0); `sequence` is 0 and so left out."""
    body, end = push
    number = varint(seq)
    return b"".join((PUSH_HEAD, varint(len(body) + len(number) + 1), body, SEQ_TAG, number, end))


def timestamp(now: float) -> bytes:
    """The end of every envelope that is written at this time (float seconds)."""
    return _timestamp(to_ms(now))


def accepted_frame(sequence: int, message_id: bytes, seq: int, server_at: float, end: bytes) -> bytes:
    """The SEND_MSG_RSP of a message that was accepted; the time in float seconds, none of the numbers < 1.

    As `envelope` would write it: fields in order; only `sequence` and a time of 0 are left out.

    Args:
        end: see `timestamp`.
    """
    id_length, number, served = varint(len(message_id)), varint(seq), moment(server_at)
    length = len(message_id) + len(id_length) + len(number) + len(served) + 3
    return b"".join((
        ACCEPTED_HEAD,
        b"\x10" + varint(sequence) if sequence else b"",
        b"\x1a", varint(length), b"\x1a", id_length, message_id, b"\x20", number, b"\x28", served, end,
    ))  # fmt: skip
