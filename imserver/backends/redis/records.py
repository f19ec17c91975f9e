"""Messages as they stand in Redis and on its channels: MessagePack arrays.

What scripts look into (numbers, names, users) they write themselves; the body is written once by
the sender's node and passed on as it is. New fields go to the end and have defaults.
"""

from __future__ import annotations

import re

import msgspec
from msgspec import Struct

from imserver.model.ids import BROADCAST_NAME, group_name, single_name
from imserver.model.messages import Content, Form, Message, Revocation, SendMessage

_ID = re.compile(r"[0-9a-f]{28}")


class Body(Struct, array_like=True, frozen=True, gc=False):
    """What the sender said; fields as in `Message`. `sent_at` 0 = the server's time.

    Scripts cannot read bytes and what comes after them.
    """

    client_id: str
    form: int
    number: int
    sent_at: float
    data: bytes
    extra: dict[str, str]
    attachments: bytes
    meta: bytes


class Stored(Struct, array_like=True, frozen=True):
    """A message.

    Attributes:
        no, ms, part: make its id: the number in the log, milliseconds, and what tells apart
            ids given before and after a Redis was restarted.
        name: its conversation's name where it is not the canonical one.
        renamed: users who are written the canonical name.
        revoked_by: "" = it was not taken back.
    """

    no: int
    ms: int
    part: int
    position: int
    name: str
    sender: str
    recipient: str
    group: str
    renamed: list[str]
    revoked_by: str
    revoked_at: float
    body: Body


encode = msgspec.msgpack.Encoder().encode
decode_stored = msgspec.msgpack.Decoder(Stored).decode


def message_id(no: int, ms: int, part: int) -> str:
    """Ids so made sort by time, are unique, and tell where the message is."""
    return f"{ms:012x}{part:04x}{no:012x}"


def parse_message_id(message_id: str) -> tuple[int, int, int] | None:
    """The numbers (no, ms, part) in a message id; None if it is none of ours."""
    if _ID.fullmatch(message_id) is None:
        return None
    return int(message_id[16:], 16), int(message_id[:12], 16), int(message_id[12:16], 16)


def body_of(command: SendMessage) -> bytes:
    """What is stored of a command as it is."""
    content = command.content
    # A Body, written without making one.
    return encode(
        (
            command.client_id, int(content.form), content.number, command.sent_at, content.data,
            command.extra, command.attachments, command.meta,
        )
    )  # fmt: skip


def canonical_name(stored: Stored) -> str:
    """The canonical name of a message's conversation."""
    if stored.group:
        return group_name(stored.group)
    if stored.recipient:
        return single_name(stored.sender, stored.recipient)
    return BROADCAST_NAME


def message_of(stored: Stored, reader: str = "") -> Message:
    """The message, with the conversation name that is right for this reader."""
    canonical = canonical_name(stored)
    name = stored.name
    if not name or (stored.renamed and reader in stored.renamed):
        name = canonical
    body = stored.body
    server_at = stored.ms / 1000
    return Message(
        message_id(stored.no, stored.ms, stored.part),
        name,
        canonical,
        stored.position,
        stored.sender,
        stored.recipient,
        stored.group,
        body.client_id,
        Content(Form(body.form), body.data, body.number),
        body.sent_at or server_at,
        server_at,
        body.extra,
        body.attachments,
        body.meta,
        Revocation(stored.revoked_by, stored.revoked_at) if stored.revoked_by else None,
    )
