"""Answers and pushes of several messages in a row, written with what they have in common made once.

What one session sends to one user within a commit is answered and pushed together. The bytes are those
that each would be by itself (`answers`, `pushes`), with the end of the line: to add it later is to copy it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from imserver.model.message_rows import MessageRow
from imserver.model.messages import Form, MessageAccepted
from imserver.wire.base import Request
from imserver.wire.jsonline.pushes import shared_push
from imserver.wire.jsonline.tags import Tag

_encode: Final = msgspec.json.Encoder().encode
_TEXT: Final = Form.TEXT
_ACCEPTED: Final = b',"type":"response","timestamp":%d,"command":%b,"payload":{"status":%d,"message_id":'

Reply = Callable[[Request, Any], list[bytes]]
"""See `ServerCodec.reply`."""


def accepted_row(
    requests: Sequence[Request], replies: Sequence[MessageAccepted], now: int, reply: Reply
) -> list[bytes]:
    """The lines that answer message/send.

    Args:
        now: whole seconds, for the timestamps.
        reply: the general way (`ServerCodec.reply`), for who wants a trace.
    """
    conversation: str | None = None
    spelled = b""
    sent_then: float | None = None
    head = name = tail = b""
    lines = []
    for request, accepted in zip(requests, replies, strict=True):
        tag: Tag = request.tag
        if tag.silent:
            continue
        if tag.trace:
            lines += reply(request, accepted)
            continue
        if accepted.pending:
            spelled = b""
            head = _ACCEPTED % (now, tag.command, 202)
        elif tag.command is not spelled:
            spelled = tag.command
            head = _ACCEPTED % (now, spelled, 200)
        if accepted.conversation is not conversation:
            conversation = accepted.conversation
            name = b',"conversation_id":%b,"seq":' % _encode(conversation)
        if accepted.server_at != sent_then:
            sent_then = accepted.server_at
            tail = b',"sent_at":%d}}\n' % int(sent_then)
        lines.append(b"".join((
            b'{"id":', tag.id, head, _encode(accepted.message_id), name, _encode(accepted.seq), tail,
        )))  # fmt: skip
    return lines


def pushed_row(messages: MessageRow, seq: int) -> list[bytes]:
    """message/event of messages under `seq` and the numbers after it; see `pushes.shared_push`."""
    names = b',"conversation_id":%b,"sender_id":%b,"sent_at":' % (
        _encode(messages.conversation), _encode(messages.sender),
    )  # fmt: skip
    target = b'},"target":{"type":"user","id":%b}' % _encode(messages.recipient)
    lines = []
    at: float | None = None
    head = fields = b""
    number = seq
    for send, accepted in zip(messages.sends, messages.accepted, strict=True):
        content, client_id = send.content, send.client_id
        if content.form is not _TEXT or send.extra or send.attachments or send.meta:
            shared = shared_push(messages.at(number - seq))
            lines.append(b"".join((shared[0], _encode(number), shared[1])))
            number += 1
            continue
        if accepted.server_at != at:
            at = accepted.server_at
            sent_at = _encode(int(at))
            head = (
                b',"type":"event","timestamp":%b,"command":"message/event","payload":{"status":200,"seq":'
                % sent_at
            )
            fields = b'%b%b,"content":{"type":"text","text":' % (names, sent_at)
        message_id, text = _encode(accepted.message_id), _encode(content.data.decode())
        lines.append(b"".join((
            b'{"id":', message_id, head, _encode(number),
            b',"message":{"message_id":', message_id, fields, text,
            b'}},"message_id":', message_id, fields, text, target,
            b',"client_id":' + _encode(client_id) + b"}}\n" if client_id else b"}}\n",
        )))  # fmt: skip
        number += 1
    return lines
