"""The log's records and message ids as bytes.

A record is one of two in MessagePack, written as arrays (new fields
go to the end and have defaults); how they share rows is told in `log_rows`.
Messages carry the names they need, so that a page can be read without looking
anything up.
"""

from __future__ import annotations

import sys
from array import array

import msgspec
from msgspec import Struct

from imserver.backends.common.digests import payload_digest
from imserver.model.ids import BROADCAST_NAME, group_name, single_name
from imserver.model.messages import Content, Form, Message, MessageAccepted, Revocation, SendMessage

PACKED_FROM = 17
"""Recipients from which they are packed into bytes instead of a list."""

MESSAGE_ID_LENGTH = 28
_HEX = frozenset("0123456789abcdef")


class MessageRecord(Struct, array_like=True, tag=0, frozen=True, gc=False):
    """A message and everybody it went to.

    Attributes:
        no: number of the conversation; 0 = broadcast.
        name: the conversation name the sender used; "" = the canonical one.
        to: user number, seq, user number, seq, ...; the sender first. Many are packed
            (see `pack_recipients`). A broadcast's other recipients are in its fan-out records.
        renamed: numbers of users who are written the canonical name.
        digest: of the payload, where there is a client id and the payload is gone (see `digest_of`).
        revoked_by: "" = not revoked.
    """

    message_id: str
    no: int
    position: int
    name: str
    sender: str
    recipient: str
    group: str
    to: list[int] | bytes
    client_id: str
    format: str
    digest: bytes
    form: int
    number: int
    data: bytes
    sent_at: float
    server_at: float
    extra: dict[str, str] = {}
    attachments: bytes = b""
    meta: bytes = b""
    renamed: list[int] = []
    revoked_by: str = ""
    revoked_at: float = 0.0


class FanoutRecord(Struct, array_like=True, tag=1, frozen=True, gc=False):
    """Part of a broadcast's recipients; `message` is the offset of its MessageRecord."""

    message: int
    to: bytes


encoder = msgspec.msgpack.Encoder()
decoder: msgspec.msgpack.Decoder[MessageRecord | FanoutRecord] = msgspec.msgpack.Decoder(
    MessageRecord | FanoutRecord
)
encode = encoder.encode
decode = decoder.decode


def portable(numbers: array[int]) -> bytes:
    """Numbers as bytes, little-endian."""
    if sys.byteorder == "big":
        numbers = numbers[:]
        numbers.byteswap()
    return numbers.tobytes()


def native(typecode: str, packed: bytes | memoryview) -> array[int]:
    """The reverse of `portable`."""
    numbers: array[int] = array(typecode)
    numbers.frombytes(packed)
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers


def pack_offsets(offsets: list[int]) -> bytes:
    """Offsets as little-endian 64-bit numbers."""
    return portable(array("Q", offsets))


def unpack_offsets(packed: bytes) -> array[int]:
    """The reverse of `pack_offsets`."""
    return native("Q", packed)


def pack_recipients(numbers: list[int], seqs: list[int]) -> bytes:
    """User numbers (32 bits each), then their seqs (64 bits each), in the same order."""
    return portable(array("I", numbers)) + portable(array("Q", seqs))


def recipients(record: MessageRecord | FanoutRecord) -> list[tuple[int, int]]:
    """(user number, seq) of everybody in a record."""
    to = record.to
    if isinstance(to, bytes):
        count = len(to) // 12
        view = memoryview(to)
        return list(zip(native("I", view[: 4 * count]), native("Q", view[4 * count :]), strict=True))
    return list(zip(to[::2], to[1::2], strict=True))


def seq_of(record: MessageRecord | FanoutRecord, user_no: int) -> int:
    """The seq under which a record is in a user's inbox, 0 if it is not."""
    to = record.to
    if isinstance(to, bytes):
        count = len(to) // 12
        view = memoryview(to)
        try:
            index = native("I", view[: 4 * count]).index(user_no)
        except ValueError:
            return 0
        return native("Q", view[4 * (count + 2 * index) : 4 * (count + 2 * index) + 8])[0]
    for index in range(0, len(to), 2):
        if to[index] == user_no:
            return to[index + 1]
    return 0


ID_PREFIX = 16
"""Characters of it."""


def message_id_prefix(milliseconds: int, node: int) -> str:
    """The first part of a message id; the log offset, in twelve hexadecimal digits, follows.

    Ids so made sort by time, are unique over nodes, and tell where the row is.
    """
    return f"{milliseconds:012x}{node:04x}"


def offset_in_id(message_id: str) -> int:
    """The log offset a message id names, 0 if it is none of ours; the row must then be compared."""
    if len(message_id) != MESSAGE_ID_LENGTH or not _HEX.issuperset(message_id):
        return 0
    return int(message_id[ID_PREFIX:], 16)


def milliseconds_in_id(message_id: str) -> int:
    """The time in a message id."""
    return int(message_id[:12], 16)


def canonical_name(record: MessageRecord) -> str:
    """The canonical name of a record's conversation."""
    if record.group:
        return group_name(record.group)
    if record.recipient:
        return single_name(record.sender, record.recipient)
    return BROADCAST_NAME


def digest_of(record: MessageRecord) -> bytes:
    """What a retry of this send must be equal to (see `payload_digest`).

    It follows from the row and is seldom asked for, so rows are written without it; but a
    message that is taken back loses its payload, and older versions always wrote it.
    """
    if record.digest or record.revoked_by:
        return record.digest
    return payload_digest(
        canonical_name(record),
        SendMessage(
            Content(Form(record.form), record.data, record.number),
            extra=record.extra,
            attachments=record.attachments,
            meta=record.meta,
        ),
    )


def message_of(record: MessageRecord, reader_no: int = 0) -> Message:
    """The message in a record, with the conversation name that is right for this reader."""
    canonical = canonical_name(record)
    name = record.name
    if not name or (record.renamed and reader_no in record.renamed):
        name = canonical
    return Message(
        message_id=record.message_id,
        conversation=name,
        canonical=canonical,
        position=record.position,
        sender=record.sender,
        recipient=record.recipient,
        group=record.group,
        client_id=record.client_id,
        content=Content(Form(record.form), record.data, record.number),
        sent_at=record.sent_at,
        server_at=record.server_at,
        extra=record.extra,
        attachments=record.attachments,
        meta=record.meta,
        revoked=Revocation(record.revoked_by, record.revoked_at) if record.revoked_by else None,
    )


def first_answer(record: MessageRecord) -> MessageAccepted:
    """The answer a message's sender was given, and is given again for a retry."""
    sender_no, seq = recipients(record)[0]
    name = record.name
    if not name or sender_no in record.renamed:
        name = canonical_name(record)
    broadcast = not record.recipient and not record.group
    return MessageAccepted(record.message_id, name, seq, record.server_at, broadcast)
