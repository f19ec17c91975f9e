"""What most lines of clients are, read in one go: texts from one user to another, and acknowledgements.

The general way (`server`, `requests`) reads a line in three steps, since any field may be missing,
null, of several types, spelled otherwise, or unknown. A line that has nothing of this is read
here, in a third of the time, and comes to the very same `Request`; every other one, with or
without fault, is left to the general way.
"""

from __future__ import annotations

from typing import Final

import msgspec

from imserver.model.ids import MAX_JSON_INTEGER
from imserver.model.messages import AckMessages, Content, Form, SendMessage
from imserver.wire.base import Request
from imserver.wire.content import TEXT_NUMBER
from imserver.wire.jsonline.commands import MsgType
from imserver.wire.jsonline.plain_lines import Ack, Send
from imserver.wire.jsonline.tags import Tag
from imserver.wire.jsonline.validator import LAST_SECOND, MAX_ID_BYTES, VERSION

_ID_LETTERS: Final = MAX_ID_BYTES // 4
"""So many letters are an id that can be echoed, whatever letters they are."""


_encode: Final = msgspec.json.Encoder().encode
_read: Final = msgspec.json.Decoder(Send | Ack).decode
_FAULTS: Final = (msgspec.MsgspecError, ValueError, RecursionError)

# Members of enumerations, by names that need not be looked up in them.
_TEXT: Final = Form.TEXT
_SEND: Final = MsgType.SEND
_ACK: Final = MsgType.ACK
_SEND_JSON: Final = b'"message/send"'
_ACK_JSON: Final = b'"message/ack"'


def read_plain(frame: bytes) -> Request | None:
    """The request in a plain line; None for every other line."""
    try:
        line = _read(frame)
        id = line.id
        if id is not None and len(id) > _ID_LETTERS:
            return None
        at = line.timestamp
        if at is None:
            at = 0.0
        elif not 0 < at <= LAST_SECOND:
            return None
        if line.headers is not None and line.headers.version != VERSION:
            return None
        return _ack(line) if type(line) is Ack else _send(line, at)
    except _FAULTS:
        return None


def _send(line: Send, at: float) -> Request | None:
    id, payload = line.id, line.payload
    recipient = payload.target.id
    if not recipient:
        return None
    return Request(
        SendMessage(
            Content(_TEXT, payload.content.text.encode(), TEXT_NUMBER), "", recipient, "", False, id, at
        ),
        Tag(_encode(id), _SEND_JSON, _SEND),
    )


def _ack(line: Ack) -> Request | None:
    seq, message_id = line.payload.seq, line.payload.message_id
    if not 0 <= seq <= MAX_JSON_INTEGER or not (seq or message_id):
        return None
    return Request(AckMessages(seq, message_id), Tag(_encode(line.id), _ACK_JSON, _ACK, line.type == "event"))
