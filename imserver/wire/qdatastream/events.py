"""What a server writes: messages, calls, files, presence."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from msgspec import Struct

from imserver.model.calls import CallAccepted, CallAnswered, CallEnded, CallIncoming, CallStopped, Ending
from imserver.model.messages import Message
from imserver.model.presence import PresenceChanged
from imserver.wire.content import parse_json, to_plain
from imserver.wire.qdatastream import tables
from imserver.wire.qdatastream.commands import (
    FILE_COMMANDS,
    write_accept,
    write_end,
    write_file,
    write_reject,
)
from imserver.wire.qdatastream.framing import MAX_MESSAGE, Framing
from imserver.wire.qdatastream.grammar import MAX_MEDIA
from imserver.wire.qdatastream.ids import sender_text
from imserver.wire.qdatastream.strings import StringForm, cut, encode

_NO_BOUND: Final = 1 << 31


class Push(Struct, frozen=True, gc=False):
    """A message on its way out.

    Attributes:
        frames: TEXTs in order.
        hidden_from: the user who must not be sent them, the sender; "" if that is the recipient.
    """

    frames: list[bytes]
    hidden_from: str


def push(message: Message, form: StringForm, framing: Framing | None) -> Push:
    """The TEXTs that carry a message: one, unless it is too long or has attachments."""
    sender = message.sender
    hidden_from = "" if message.recipient == sender else sender
    if message.revoked is not None:
        return Push([], hidden_from)
    head = b"\0" + encode(sender_text(sender, message.group), form)
    room = MAX_MESSAGE - len(head) if framing is Framing.INT16 else _NO_BOUND
    pieces = cut(to_plain(message.content), form, room)
    if message.attachments:
        for line in _attachments(message.attachments):
            pieces += cut(line, form, room)
    return Push([head + piece for piece in pieces], hidden_from)


def _attachments(data: bytes) -> list[str]:
    """An attachment for people: `[kind] name`, as content of its kind would be."""
    value = parse_json(data)
    lines = []
    for item in value if type(value) is list else ():
        kind, name = item.get("type"), item.get("name") or item.get("file_name")
        line = f"[{kind if type(kind) is str and kind else 'file'}]"
        lines.append(f"{line} {name}" if type(name) is str and name else line)
    return lines


def presence(event: PresenceChanged, form: StringForm) -> bytes:
    """PRESENCE: user id, u8 state."""
    return b"\x0c" + encode(event.user, form) + bytes((tables.PRESENCE_STATES[event.state],))


def _incoming(event: CallIncoming, form: StringForm) -> bytes:
    return b"\x02" + encode(event.call, form) + encode(event.caller, form) + bytes((event.video,))


def _accepted(event: CallAnswered | CallAccepted, form: StringForm) -> bytes:
    return write_accept(event.call, form)


def _ended(event: CallEnded, form: StringForm) -> bytes:
    ending = event.ending
    if ending is Ending.REJECTED:
        return write_reject(event.call, event.reason, form)
    reason = tables.REJECT_REASONS.get(ending)
    return write_end(event.call, form) if reason is None else write_reject(event.call, reason, form)


def _stopped(event: CallStopped, form: StringForm) -> bytes:
    return write_end(event.call, form)


def media_head(call: str, form: StringForm) -> bytes:
    """What MEDIA begins with."""
    return b"\x06" + encode(call, form)


def media(head: bytes, data: bytes, framing: Framing | None) -> list[bytes]:
    """MEDIA: one, or several where it does not fit into a frame (it has no boundaries of its own)."""
    if framing is not Framing.INT16 or len(data) <= MAX_MEDIA:
        return [head + data]
    return [head + data[start : start + MAX_MEDIA] for start in range(0, len(data), MAX_MEDIA)]


EVENTS: Final[dict[type, Callable[[Any, StringForm], bytes]]] = {
    CallIncoming: _incoming,
    CallAnswered: _accepted,
    CallAccepted: _accepted,
    CallEnded: _ended,
    CallStopped: _stopped,
    **dict.fromkeys(FILE_COMMANDS, write_file),
}
"""Events of calls and files, by type, but for media."""
