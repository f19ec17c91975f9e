"""A new message's id and its record for the log, which every send makes (`records` has the rest of both)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final

from imserver.backends.embedded.records import encode
from imserver.model.messages import Content

_IN_BLOCK: Final = tuple(f"{number:03x}" for number in range(0x1000))


def message_row(
    message_id: str,
    no: int,
    position: int,
    name: str,
    sender: str,
    recipient: str,
    group: str,
    to: list[Any] | bytes,
    client_id: str,
    format: str,
    content: Content,
    sent_at: Any,
    server_at: Any,
    extra: dict[str, str],
    attachments: bytes,
    meta: bytes,
    renamed: Sequence[int],
) -> bytes:
    """What `encode` gives of a new MessageRecord, without making one.

    Args:
        sent_at, server_at: floats; compiled, they would be boxed anew if that were said.
    """
    return encode(
        (
            0, message_id, no, position, name, sender, recipient, group, to, client_id,
            format if client_id else "", b"", content.form._value_, content.number, content.data, sent_at,
            server_at, extra, attachments, meta, renamed,
        )
    )  # fmt: skip


def message_id_of(block: str, offset: int) -> str:
    """A message's id. Args: block: what `id_block` gives."""
    return block + _IN_BLOCK[offset & 0xFFF]


@lru_cache(maxsize=64)
def id_block(prefix: str, block: int) -> str:
    """The first part of the ids of 4,096 log offsets in a row: formatting a number costs half a hash.

    Args:
        prefix: see `records.message_id_prefix`.
        block: log offset >> 12.
    """
    return f"{prefix}{block:09x}"
