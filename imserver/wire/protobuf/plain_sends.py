"""The send that nearly all are, read by hand: a text for one user or one group, with nothing beside it.

Two parses and a dozen attributes of protobuf objects cost twice as much. Only what every serializer
writes is read here: fields in order, each once, in its shortest form. Everything else, and
everything that has to be refused, is left to protobuf.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from imserver.model.messages import Content, Form, SendMessage
from imserver.wire.protobuf.encoding import from_client_ms

HEAD: Final = b"\x08\xc8\x01"
"""How such a frame begins: command = CMD_SEND_MSG_REQ (200)."""
_SHORT: Final = tuple(range(128))
"""A length of one byte; IndexError for the first byte of a longer one."""


class _Unusual(Exception):
    """Protobuf may make something of it."""


def _varint(data: bytes, at: int, limit: int) -> tuple[int, int]:
    """A number below `limit` of two bytes or more that begins there, and where it ends."""
    number = shift = 0
    while True:
        byte = data[at]
        at += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            if number >= limit or not byte:
                raise _Unusual
            return number, at
        shift += 7
        if shift > 56:
            raise _Unusual


def _end_of_varint(data: bytes, at: int) -> int:
    """Where a number of nine bytes or less ends that begins there."""
    start = at
    while data[at] > 0x7F:
        at += 1
    if at - start > 8:
        raise _Unusual
    return at + 1


@lru_cache(maxsize=64)
def _sent_at(digits: bytes) -> float:
    """A client's time; what comes in at once was mostly sent at the same."""
    milliseconds, end = _varint(digits, 0, 1 << 56)
    if end != len(digits):
        raise _Unusual
    return from_client_ms(milliseconds)


def plain_send(frame: bytes, user: str) -> tuple[int, SendMessage] | None:
    """The sequence number and the command of a frame that begins with HEAD; None: ask protobuf.

    Args:
        user: who is logged in; "" = nobody yet.
    """
    try:
        at = 3
        sequence = 0
        if frame[3] == 0x10:
            sequence = frame[4]
            at = 5
            if sequence > 0x7F:
                if 0 < frame[5] < 0x80:
                    sequence, at = sequence & 0x7F | frame[5] << 7, 6
                else:
                    sequence, at = _varint(frame, 4, 1 << 32)
        if frame[at] != 0x1A:
            return None
        length = frame[at + 1]
        at += 2
        if length > 0x7F:
            if 0 < frame[at] < 0x80:
                length, at = length & 0x7F | frame[at] << 7, at + 1
            else:
                length, at = _varint(frame, at - 1, 1 << 31)
        end = at + length
        size = len(frame)
        if end != size and (frame[end] != 0x20 or _end_of_varint(frame, end + 1) != size):
            return None  # there is more than the time behind the body
        client_id = conversation = recipient = group = ""
        tag = frame[at]
        if tag == 0x0A:
            start = at + 2
            at = start + _SHORT[frame[at + 1]]
            client_id = frame[start:at].decode()
            tag = frame[at]
        if tag == 0x12:
            start = at + 2
            at = start + _SHORT[frame[at + 1]]
            conversation = frame[start:at].decode()
            tag = frame[at]
        if tag == 0x1A:
            start = at + 2
            at = start + _SHORT[frame[at + 1]]
            sender = frame[start:at].decode()
            if user and sender and sender != user:
                return None
            tag = frame[at]
        if tag == 0x22:
            start = at + 2
            at = start + _SHORT[frame[at + 1]]
            recipient = frame[start:at].decode()
            tag = frame[at]
        if tag == 0x2A:
            start = at + 2
            at = start + _SHORT[frame[at + 1]]
            group = frame[start:at].decode()
            tag = frame[at]
        if tag != 0x30 or frame[at + 1] != 1 or frame[at + 2] != 0x3A or bool(recipient) is bool(group):
            return None
        length = frame[at + 3]
        start = at + 4
        if length > 0x7F:
            length, start = _varint(frame, at + 3, 1 << 31)
        at = start + length
        data = frame[start:at]
        if not data.isascii():
            data.decode()
        sent_at = 0.0
        if at != end:
            if frame[at] != 0x40:
                return None
            sent_at = _sent_at(frame[at + 1 : end])
        content = Content(Form.TEXT, data, 1)
        return sequence, SendMessage(content, conversation, recipient, group, False, client_id, sent_at)
    except (IndexError, UnicodeDecodeError, _Unusual):
        return None
