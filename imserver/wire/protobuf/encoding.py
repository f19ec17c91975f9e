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

_PUSH_HEAD = b"\x08\xca\x01\x1a"  # command = CMD_PUSH_MSG (202), then the body's tag
_SEQ_TAG = b"\x58"  # PushMessage.seq (11), varint
_ACCEPTED_HEAD = b"\x08\xc9\x01"  # command = CMD_SEND_MSG_RSP (201)
_ONE_BYTE: Final = tuple(bytes((number,)) for number in range(128))

_Envelope = pb.WebSocketMessage
_PushMessage = pb.PushMessage


def varint(number: int) -> bytes:
    """A number >= 0 as a protobuf varint."""
    if number < 0x80:
        return _ONE_BYTE[number]
    if number < 0x4000:
        return bytes((number & 0x7F | 0x80, number >> 7))
    if number < 0x200000:
        return bytes((number & 0x7F | 0x80, number >> 7 & 0x7F | 0x80, number >> 14))
    digits = bytearray()
    while number > 0x7F:
        digits.append(number & 0x7F | 0x80)
        number >>= 7
    digits.append(number)
    return bytes(digits)


@lru_cache(maxsize=64)
def _moment(milliseconds: int) -> bytes:
    """A varint that is needed again and again within one millisecond."""
    return varint(milliseconds)


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


def _plain_body(message: Message, send_time: int, server_time: int) -> bytes:
    """PushMessage of a message from one user to another that has nothing beside its text, without seq.

    Times in milliseconds, not 0, nothing else empty but the client's id: most messages are such.

    Raises:
        IndexError: a name is so long that its length takes two bytes.
    """
    message_id, client_id = message.message_id.encode(), message.client_id.encode()
    conversation, sender = message.conversation.encode(), message.sender.encode()
    recipient, data = message.recipient.encode(), message.content.data
    short = _ONE_BYTE
    return b"".join((
        b"\x0a", short[len(message_id)], message_id,
        b"\x12" + short[len(client_id)] + client_id if client_id else b"",
        b"\x1a", short[len(conversation)], conversation,
        b"\x22", short[len(sender)], sender,
        b"\x2a", short[len(recipient)], recipient,
        b"\x38\x01\x42", varint(len(data)), data,
        b"\x48", _moment(send_time),
        b"\x50", _moment(server_time),
    ))  # fmt: skip


def push_row(row: InboxRow) -> pb.PushMessage:
    """A message with its number, for SYNC and BATCH answers."""
    return push_message(row.message, row.seq)


def shared_push(message: Message, timestamp: int) -> Push:
    """What all sessions' pushes of a message have in common."""
    return _body(message), b"\x20" + _moment(timestamp) if timestamp else b""


def _body(message: Message) -> bytes:
    if (
        message.recipient and not message.group and message.content.form == Form.TEXT and message.content.data
        and message.message_id and message.conversation and message.sender
        and not (message.extra or message.attachments or message.meta or message.revoked)
    ):  # fmt: skip
        server_time = to_ms(message.server_at)
        send_time = server_time if message.sent_at == message.server_at else to_ms(message.sent_at)
        if send_time and server_time:
            try:
                return _plain_body(message, send_time, server_time)
            except IndexError:
                pass
    return push_message(message).SerializeToString()


def splice_push(push: Push, seq: int) -> bytes:
    """The frame that pushes it under `seq` (> 0); `sequence` is 0 and so left out."""
    body, end = push
    number = varint(seq)
    return b"".join((_PUSH_HEAD, varint(len(body) + len(number) + 1), body, _SEQ_TAG, number, end))


def accepted_frame(sequence: int, message_id: bytes, seq: int, server_time: int, timestamp: int) -> bytes:
    """The SEND_MSG_RSP of a message that was accepted; times in milliseconds, none of the numbers < 0.

    As `envelope` would write it: fields in order, those that are zero or empty left out.
    """
    body = b"".join((
        b"\x1a", varint(len(message_id)), message_id,
        b"\x20", varint(seq),
        b"\x28", _moment(server_time),
    ))  # fmt: skip
    return b"".join((
        _ACCEPTED_HEAD,
        b"\x10" + varint(sequence) if sequence else b"",
        b"\x1a", varint(len(body)), body,
        b"\x20", _moment(timestamp),
    ))  # fmt: skip
