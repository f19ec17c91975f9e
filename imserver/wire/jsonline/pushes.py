"""Messages on their way to a client: message/event, message/offline and the items of message/history.

One message is written as the draft's `message` object (§2.3) and flat beside it,
so that both kinds of client find what they look for. Its bytes are the same for
every session but for the seq, which is spliced in.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from imserver.model.ids import BROADCAST_NAME, group_name, single_name
from imserver.model.messages import Content, Form, InboxPage, InboxRow, Message, Revocation
from imserver.wire import content as contents
from imserver.wire import extras
from imserver.wire.jsonline.extensions import ContentType

PAGE_BYTES: Final = 190 * 1024
"""Where lists are cut into several lines; an item that is longer alone still goes in one.

Encrypted, and so in base64, such a line still has less than 256 KiB."""

_encode: Final = msgspec.json.Encoder().encode
_REVOKED: Final = b'{"type":"%b"}' % ContentType.REVOKED.value.encode()


def message_fields(message: Message, content: bytes | None = None) -> bytes:
    """The members of the draft's `message` object, without its braces.

    Args:
        content: JSON to write instead of the message's own content.
    """
    if content is None:
        content = _REVOKED if message.revoked is not None else contents.to_json(message.content)
    return b'"message_id":%b,"conversation_id":%b,"sender_id":%b,"sent_at":%d,"content":%b' % (
        _encode(message.message_id),
        _encode(message.conversation),
        _encode(message.sender),
        message.server_at,
        content,
    )


def beside_fields(message: Message) -> list[bytes]:
    """Attachments, meta and extra, where there are any; each led by a comma."""
    found: list[bytes] = []
    attachments = contents.attachments_of(message)
    if attachments:
        found.append(b',"attachments":' + attachments)
    if message.meta:
        found.append(b',"meta":' + message.meta)
    if message.extra:
        found.append(b',"extra":' + _encode(message.extra))
    return found


def more_fields(message: Message, beside: Sequence[bytes] | None = None) -> bytes:
    """What stands beside the draft's members, each led by a comma.

    Args:
        beside: instead of all of `beside_fields`.
    """
    if message.group:
        more = b',"target":{"type":"group","id":%b}' % _encode(message.group)
    elif message.recipient:
        more = b',"target":{"type":"user","id":%b}' % _encode(message.recipient)
    else:
        more = b',"target":{"type":"broadcast"}'
    if message.client_id:
        more += b',"client_id":%b' % _encode(message.client_id)
    if message.revoked is not None:
        return more + b',"revoked":true,"revoked_by":%b,"revoked_at":%d' % (
            _encode(message.revoked.by),
            message.revoked.at,
        )
    return more + b"".join(beside_fields(message) if beside is None else beside)


def shared_push(message: Message) -> tuple[bytes, bytes]:
    """The line message/event, in two parts: the seq goes between them."""
    if (
        message.recipient and message.content.form == Form.TEXT
        and not (message.group or message.extra or message.attachments or message.meta or message.revoked)
    ):  # fmt: skip
        return _plain_push(message)
    fields = message_fields(message)
    head = (
        b'{"id":%b,"type":"event","timestamp":%d,"command":"message/event","payload":{"status":200,"seq":'
        % (_encode(message.message_id), message.server_at)
    )
    return head, b',"message":{%b},%b%b}}' % (fields, fields, more_fields(message))


def _plain_push(message: Message) -> tuple[bytes, bytes]:
    """The same of a text from one user to another with nothing beside it: most messages are such.

    Written in one go, which takes half as long.
    """
    message_id, sent_at = _encode(message.message_id), _encode(int(message.server_at))
    fields = b"".join((
        b'"message_id":', message_id,
        b',"conversation_id":', _encode(message.conversation),
        b',"sender_id":', _encode(message.sender),
        b',"sent_at":', sent_at,
        b',"content":{"type":"text","text":', _encode(message.content.data.decode()), b"}",
    ))  # fmt: skip
    client_id = b',"client_id":' + _encode(message.client_id) if message.client_id else b""
    return b"".join((
        b'{"id":', message_id, b',"type":"event","timestamp":', sent_at,
        b',"command":"message/event","payload":{"status":200,"seq":',
    )), b"".join((
        b',"message":{', fields, b"},", fields,
        b',"target":{"type":"user","id":', _encode(message.recipient), b"}", client_id, b"}}",
    ))  # fmt: skip


def spliced_push(shared: tuple[bytes, bytes], seq: int) -> bytes:
    """The line of what `shared_push` gave."""
    return b"".join((shared[0], _encode(seq), shared[1]))


def item(row: InboxRow) -> bytes:
    """A message in a list: the members of `message`, those beside it, and its seq where it has one."""
    seq = b',"seq":%d' % row.seq if row.seq else b""
    return b"{%b%b%b}" % (message_fields(row.message), seq, more_fields(row.message))


def split(items: list[bytes]) -> list[bytes]:
    """Joins items to JSON arrays of at most `PAGE_BYTES` each; at least one array."""
    arrays: list[bytes] = []
    size, start = 0, 0
    for index, one in enumerate(items):
        if size and size + len(one) > PAGE_BYTES:
            arrays.append(b"[%b]" % b",".join(items[start:index]))
            size, start = 0, index
        size += len(one) + 1
    arrays.append(b"[%b]" % b",".join(items[start:]))
    return arrays


def offline_payloads(page: InboxPage) -> list[bytes]:
    """The payloads of message/offline for a page of backlog: one, or more where JSON swelled it."""
    arrays = split([item(row) for row in page.rows])
    last = len(arrays) - 1
    return [
        b'{"status":200,"messages":%b,"has_more":%b,"first_seq":%d,"max_seq":%d,"epoch":%b}'
        % (
            array,
            b"true" if page.has_more or number < last else b"false",
            page.first_seq,
            page.head,
            _encode(page.epoch),
        )
        for number, array in enumerate(arrays)
    ]


# The client's side


def row_from_dict(value: dict[str, Any]) -> InboxRow:
    """A message as the client reads it; what this format does not carry is left at "" and 0."""
    target = value.get("target") or {}
    kind = target.get("type")
    revoked = None
    content = Content(Form.TEXT, b"")
    if value.get("revoked"):
        revoked = Revocation(value["revoked_by"], float(value["revoked_at"]))
    else:
        content = contents.from_json(value["content"])
    group = target["id"] if kind == "group" else ""
    recipient = target["id"] if kind == "user" else ""
    if group:
        canonical = group_name(group)
    elif recipient:
        canonical = single_name(value["sender_id"], recipient)
    else:
        canonical = BROADCAST_NAME
    return InboxRow(
        value.get("seq", 0),
        Message(
            message_id=value["message_id"],
            conversation=value["conversation_id"],
            canonical=canonical,
            position=0,
            sender=value["sender_id"],
            recipient=recipient,
            group=group,
            client_id=value.get("client_id", ""),
            content=content,
            sent_at=float(value["sent_at"]),
            server_at=float(value["sent_at"]),
            extra=extras.extra_from_json(value.get("extra")),
            attachments=extras.attachments_from_json(value.get("attachments")),
            meta=extras.meta_from_json(value.get("meta")),
            revoked=revoked,
        ),
    )


def page_from_dict(payload: dict[str, Any]) -> InboxPage:
    """A payload of message/offline."""
    return InboxPage(
        [row_from_dict(one) for one in payload["messages"]],
        payload["max_seq"],
        payload["first_seq"],
        payload["has_more"],
        payload["epoch"],
    )
