"""Lines and lists of the dialect chat-app, whose clients cannot read 64 KiB in a line."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import msgspec

from imserver.model.messages import InboxRow
from imserver.wire.jsonline.chat_app.parts import parts

LINE_BYTES: Final = 64 * 1024 - 256
"""Bytes of the longest line, without its newline."""
ENVELOPE_BYTES: Final = 4096
"""More bytes than a line has around its payload: id, command and trace are of the client's length."""
PAGE_BYTES: Final = 48 * 1024
"""Where pages and lists end."""
ITEM_BYTES: Final = PAGE_BYTES - 1024
"""Bytes of one message in a page."""

_encode: Final = msgspec.json.Encoder().encode


def shortened(items: Iterable[Any], room: int = PAGE_BYTES) -> tuple[msgspec.Raw, int, bool]:
    """A list as far as it fits.

    Returns:
        (the JSON array, its length, whether something was left out).
    """
    written: list[bytes] = []
    size = 2
    for item in items:
        one = _encode(item)
        size += len(one) + 1
        if size > room:
            break
        written.append(one)
    else:
        return msgspec.Raw(b"[%b]" % b",".join(written)), size, False
    return msgspec.Raw(b"[%b]" % b",".join(written)), size - len(one) - 1, True


def listed(fields: dict[str, Any], **lists: Iterable[Any]) -> dict[str, Any]:
    """Fields with lists behind them, as far as they fit; `truncated` is true where they do not."""
    room = PAGE_BYTES
    payload, truncated = dict(fields), False
    for name, items in lists.items():
        payload[name], size, cut = shortened(items, room)
        room -= size
        truncated |= cut
    if truncated:
        payload["truncated"] = True
    return payload


def history_payload(
    rows: list[InboxRow], next_cursor: str, has_more: bool, since: str, first_part: int
) -> bytes:
    """The payload of a page.

    A message that is longer than a page comes alone, in parts, over several of them. Their cursor is
    that of the page it began, and the number of the part: `CURSOR~NUMBER`.

    Args:
        since: the cursor that led here.
        first_part: from which part of the first message on.
    """
    items: list[bytes] = []
    size = 0
    for number, row in enumerate(rows):
        seq = b',"seq":%d' % row.seq if row.seq else b""
        pieces = parts(row.message, ITEM_BYTES)
        alone = number == 0 and len(pieces) > 1
        for place, piece in enumerate(pieces, 1):
            if alone and place < first_part:
                continue
            if alone and items and size + len(piece.fields) > ITEM_BYTES:
                return _page(items, f"{since}~{place}", True)
            items.append(b"{%b%b}" % (piece.fields, seq))
            size += len(items[-1]) + 1
    return _page(items, next_cursor, has_more)


def _page(items: list[bytes], next_cursor: str, has_more: bool) -> bytes:
    return b'{"status":200,"messages":[%b],"next_cursor":%b,"has_more":%b}' % (
        b",".join(items),
        _encode(next_cursor),
        b"true" if has_more else b"false",
    )
