"""Messages on their way to a client: message.new and the items of message.history.

A message is written once for all sessions but for its seq, which is spliced in.
"""

from __future__ import annotations

from typing import Any

from imserver.model.ids import BROADCAST_NAME, group_name, single_name
from imserver.model.messages import Content, Form, InboxRow, Message, Revocation
from imserver.wire import content as contents
from imserver.wire import extras
from imserver.wire.signalling.bodies import read_content, reply_to, write_content
from imserver.wire.signalling.envelope import encode, id_json, iso_json, parse_time
from imserver.wire.signalling.fields import fields_of, split_extra


def message_fields(message: Message) -> bytes:
    """The members of a message, without their braces and without the seq."""
    fields = b'"message_id":%b,"conversation_id":%b,"from_user":%b' % (
        encode(message.message_id),
        encode(message.conversation),
        id_json(message.sender),
    )
    if message.group:
        fields += b',"group_id":' + id_json(message.group)
    elif message.recipient:
        fields += b',"to_user":' + id_json(message.recipient)
    if message.revoked is not None:
        fields += b',"content":"","message_type":"revoked","revoked_by":%b,"revoked_at":%b' % (
            id_json(message.revoked.by),
            iso_json(message.revoked.at),
        )
    else:
        fields += b',"content":%b,"message_type":%b' % write_content(message.content)
    if message.client_id:
        fields += b',"client_msg_id":' + id_json(message.client_id)
    fields += b',"sent_at":' + iso_json(message.server_at)
    if message.revoked is not None:
        return fields
    attachments = contents.attachments_of(message)
    if attachments:
        fields += b',"attachments":' + attachments
    if message.meta:
        replied = reply_to(message.meta)
        if replied:
            fields += b',"reply_to_id":' + replied
        fields += b',"meta":' + message.meta
    if message.extra:
        more, extra = split_extra(message.extra)
        if extra:
            fields += b',"extra":' + encode(extra)
        if more:
            fields += b"," + more[1:-1]
    return fields


def shared_push(message: Message) -> tuple[bytes, bytes]:
    """message.new in two parts: the seq goes between them."""
    return b'{"type":"message.new","payload":{"seq":', b',%b},"timestamp":%b}' % (
        message_fields(message),
        iso_json(message.server_at),
    )


def item(row: InboxRow) -> bytes:
    """A message of the history, with its seq where it has one."""
    seq = b'"seq":%d,' % row.seq if row.seq else b""
    return b"{%b%b}" % (seq, message_fields(row.message))


# The client's side


def text_id(value: Any) -> str:
    """An id as the server writes it."""
    if type(value) is int:
        return str(value)
    if type(value) is not str:
        raise TypeError("an id is a string or an integer")
    return value


def row_from_dict(value: dict[str, Any]) -> InboxRow:
    """A message as the client reads it; what this format does not carry is left at "" and 0."""
    sender = text_id(value["from_user"])
    recipient = text_id(value["to_user"]) if "to_user" in value else ""
    group = text_id(value["group_id"]) if "group_id" in value else ""
    revoked = None
    content = Content(Form.TEXT, b"")
    if "revoked_by" in value:
        revoked = Revocation(text_id(value["revoked_by"]), parse_time(value["revoked_at"]))
    else:
        content = read_content(value["content"], value["message_type"])
    if group:
        canonical = group_name(group)
    elif recipient:
        canonical = single_name(sender, recipient)
    else:
        canonical = BROADCAST_NAME
    sent_at = parse_time(value["sent_at"])
    return InboxRow(
        int(value.get("seq", 0)),
        Message(
            message_id=text_id(value["message_id"]),
            conversation=text_id(value["conversation_id"]),
            canonical=canonical,
            position=0,
            sender=sender,
            recipient=recipient,
            group=group,
            client_id=text_id(value.get("client_msg_id", "")),
            content=content,
            sent_at=sent_at,
            server_at=sent_at,
            extra={**extras.extra_from_json(value.get("extra")), **fields_of(value)},
            attachments=extras.attachments_from_json(value.get("attachments")),
            meta=extras.meta_from_json(value.get("meta")),
            revoked=revoked,
        ),
    )
