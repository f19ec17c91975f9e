"""Rows of the log's table from its records; what they are is told in `log_rows`, which reads them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

ROW_BYTES = 1300
"""Of records that share a row: three rows fit into a page of 4 KiB, so little of the last stays empty."""

SEVERAL: Final = b"\x02"
"""In the place where a record has its tag."""
LIST: Final = b"\xdc"
"""How an array of MessagePack begins whose length, two bytes, follows."""


def rows_of(records: Iterable[tuple[int, Any]]) -> list[tuple[int, bytes]]:
    """Rows for records (bytes or msgspec.Raw) by their log offsets, which ascend."""
    rows: list[tuple[int, bytes]] = []
    bodies: list[Any] = []
    limit = ROW_BYTES
    first = expected = size = 0
    for offset, body in records:
        size += len(body)
        if bodies and (size > limit or offset != expected):
            rows.append((first, _joined(bodies)))
            bodies = []
            size = len(body)
        if not bodies:
            first = offset
        bodies.append(body)
        expected = offset + 1
    if bodies:
        rows.append((first, _joined(bodies)))
    return rows


def _joined(bodies: Sequence[Any]) -> bytes:
    if len(bodies) == 1:
        return bytes(bodies[0])
    return b"".join((LIST, (len(bodies) + 1).to_bytes(2, "big"), SEVERAL, *bodies))
