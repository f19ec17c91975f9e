"""Answers and pushes of several messages in a row, written with what they have in common made once.

What one session sends to one user within a commit is answered and pushed together. The bytes are those
that each would be by itself (`answers`, `pushes`), with the end of the line: to add it later is to copy it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from imserver.model.messages import Form, Message, MessageAccepted
from imserver.wire.jsonline.pushes import shared_push
from imserver.wire.jsonline.tags import Tag

_encode: Final = msgspec.json.Encoder().encode
_TEXT: Final = Form.TEXT


def accepted_line(tag: Tag, at: bytes, reply: MessageAccepted, conversation: bytes, sent_at: bytes) -> bytes:
    """The line that answers message/send to a client that wants no trace.

    Args:
        at: `","timestamp":…` up to the command, for all lines of a row.
        conversation: its name in JSON.
        sent_at: the time in whole seconds.
    """
    return b"".join((
        b'{"id":', tag.id, b',"type":"response', at, tag.command,
        b',"payload":{"status":202,' if reply.pending else b',"payload":{"status":200,',
        b'"message_id":', _encode(reply.message_id), b',"conversation_id":', conversation,
        b',"seq":', _encode(reply.seq), b',"sent_at":', sent_at, b"}}\n",
    ))  # fmt: skip


def pushed_row(messages: Sequence[Message], seq: int) -> list[bytes]:
    """message/event of messages under `seq` and the numbers after it; see `pushes.shared_push`."""
    first = messages[0]
    conversation, sender, recipient = first.conversation, first.sender, first.recipient
    names = b',"conversation_id":%b,"sender_id":%b,"sent_at":' % (_encode(conversation), _encode(sender))
    target = b'},"target":{"type":"user","id":%b}' % _encode(recipient)
    lines = []
    at: float | None = None
    head = fields = b""
    for number, message in enumerate(messages, seq):
        content, client_id = message.content, message.client_id
        if (
            not recipient or content.form is not _TEXT
            or message.group or message.extra or message.attachments or message.meta or message.revoked
            or message.recipient != recipient or message.sender != sender
            or message.conversation != conversation
        ):  # fmt: skip
            shared = shared_push(message)
            lines.append(b"".join((shared[0], _encode(number), shared[1])))
            continue
        if message.server_at != at:
            at = message.server_at
            sent_at = _encode(int(at))
            head = (
                b',"type":"event","timestamp":%b,"command":"message/event","payload":{"status":200,"seq":'
                % sent_at
            )
            fields = b'%b%b,"content":{"type":"text","text":' % (names, sent_at)
        message_id, text = _encode(message.message_id), _encode(content.data.decode())
        lines.append(b"".join((
            b'{"id":', message_id, head, _encode(number),
            b',"message":{"message_id":', message_id, fields, text,
            b'}},"message_id":', message_id, fields, text, target,
            b',"client_id":' + _encode(client_id) + b"}}\n" if client_id else b"}}\n",
        )))  # fmt: skip
    return lines
