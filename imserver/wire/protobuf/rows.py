"""Answers and pushes of several messages in a row, written with what they have in common made once.

What one session sends to one user within a commit is answered and pushed together. The bytes are those
that each would be by itself (`encoding`); a call for each of their fields would take longer than the fields.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from imserver.model.message_rows import MessageRow
from imserver.model.messages import Form, MessageAccepted
from imserver.wire.base import Request
from imserver.wire.protobuf.encoding import (
    ACCEPTED_HEAD,
    ONE_BYTE,
    ONE_CHARACTER,
    PUSH_HEAD,
    SEQ_TAG,
    moment,
    shared_push,
    splice_push,
    timestamp,
    varint,
)

_TEXT: Final = Form.TEXT
_UNTOLD: Final = b"\0"


def accepted_row(
    requests: Sequence[Request], replies: Sequence[MessageAccepted], echo: bool, now: float
) -> list[bytes]:
    """The SEND_MSG_RSPs of messages that were accepted; see `encoding.accepted_frame`.

    Args:
        echo: whether `message_id` is the client's own, where it gave one.
    """
    end = timestamp(now)
    one_byte = ONE_BYTE
    frames = []
    at, served = -1.0, b""
    for request, reply in zip(requests, replies, strict=True):
        tag = request.tag
        sequence, client_id = tag.sequence, tag.client_id if echo else ""
        if reply.server_at != at:
            at = reply.server_at
            served = moment(at)
        message_id = (client_id or reply.message_id).encode()
        size = len(message_id)
        id_length = one_byte[size] if size < 128 else varint(size)
        number = varint(reply.seq)
        length = size + len(id_length) + len(number) + len(served) + 3
        frames.append(b"".join((
            ACCEPTED_HEAD,
            b"\x10" + varint(sequence) if sequence else b"",
            b"\x1a", one_byte[length] if length < 128 else varint(length),
            b"\x1a", id_length, message_id, b"\x20", number, b"\x28", served, end,
        )))  # fmt: skip
    return frames


def pushed_row(messages: MessageRow, seq: int, now: float) -> list[bytes]:
    """The PUSH_MSGs of messages under `seq` and the numbers after it; see `encoding.splice_push`."""
    end, one_byte, short = timestamp(now), ONE_BYTE, ONE_CHARACTER
    names = _names(messages.conversation, messages.sender, messages.recipient)
    frames = []
    at, served = -1.0, _UNTOLD
    sent_then, sent = -1.0, _UNTOLD
    number = seq - 1
    for send, accepted in zip(messages.sends, messages.accepted, strict=True):
        number += 1
        content, message_id, client_id = send.content, accepted.message_id, send.client_id
        data = content.data
        if (
            names and content.form is _TEXT and data and message_id
            and not (send.extra or send.attachments or send.meta)
            and len(message_id) < 128 and len(client_id) < 128
        ):  # fmt: skip
            if accepted.server_at != at:
                at = accepted.server_at
                served = moment(at)
            sent_at = send.sent_at or at
            if sent_at != sent_then:
                sent_then = sent_at
                sent = moment(sent_then)
            ids = (
                f"\x0a{short[len(message_id)]}{message_id}\x12{short[len(client_id)]}{client_id}"
                if client_id
                else f"\x0a{short[len(message_id)]}{message_id}"
            )
            if ids.isascii() and served != _UNTOLD and sent != _UNTOLD:
                size = len(data)
                data_length = one_byte[size] if size < 128 else varint(size)
                under = varint(number)
                body = (
                    len(ids) + len(names) + len(data_length) + size + len(sent) + len(served) + len(under) + 3
                )
                frames.append(b"".join((
                    PUSH_HEAD, varint(body), ids.encode(), names, data_length, data,
                    b"\x48", sent, b"\x50", served, SEQ_TAG, under, end,
                )))  # fmt: skip
                continue
        frames.append(splice_push(shared_push(messages.at(number - seq), now), number))
    return frames


def _names(conversation: str, sender: str, recipient: str) -> bytes:
    """What stands between a plain push's ids and its content; b"" where that is nothing plain."""
    names = (conversation, sender, recipient)
    if not all(name and name.isascii() and len(name) < 128 for name in names):
        return b""
    fields = [
        f"{tag}{ONE_CHARACTER[len(name)]}{name}" for tag, name in zip("\x1a\x22\x2a", names, strict=True)
    ]
    return "".join(fields).encode() + b"\x38\x01\x42"
