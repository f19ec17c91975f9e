"""The disk's side of `dedupe`: hashes and log offsets, a part of a bucket's in one row.

A row for each send would be in a page of its own, since what is written together is spread by its hash over
the whole bucket: a page of 4 KiB a message, once millions are there. So the hashes of a bucket are divided
into 512 parts, and what is written at a time has at the most one row in each of them. The part is all that is
sorted; within it the bytes are searched.
"""

from __future__ import annotations

import sqlite3
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from struct import Struct
from typing import Final

from imserver.backends.embedded.bulk import Insert
from imserver.backends.embedded.records import native, portable

PART_SHIFT: Final = 55
"""A part is what the hashes (signed 64 bits) have above these bits: -256 to 255."""
INSERT_CLIENT_IDS: Final = Insert("INSERT OR REPLACE INTO client_ids", 4)
_SELECT: Final = "SELECT ids FROM client_ids WHERE bucket = ? AND part = ?"
_hash_bytes: Final = Struct("<q").pack
_offset: Final = Struct("<Q").unpack_from

Row = tuple[int, int, int, bytes]
"""(bucket, part, first, ids): `first` is a log offset that tells rows of different times apart; `ids` are
hashes (signed, 64 bits), then as many log offsets (64 bits) in the same order, little-endian."""


def rows_of(bucket: int, first: int, hashes: Sequence[int], offsets: Iterable[int]) -> Iterator[Row]:
    """Rows for the disk, in the order of its keys.

    Args:
        first: see Row; whoever writes the same sends again gives the same number, and replaces the rows.
        hashes: sorted.
        offsets: in the same order.
    """
    packed_hashes = portable(array("q", hashes))
    packed_offsets = portable(array("Q", offsets))
    start, count = 0, len(hashes)
    while start < count:
        part = hashes[start] >> PART_SHIFT
        end = bisect_left(hashes, (part + 1) << PART_SHIFT, start)
        begin, stop = 8 * start, 8 * end
        yield bucket, part, first, packed_hashes[begin:stop] + packed_offsets[begin:stop]
        start = end


def find(connection: sqlite3.Connection, bucket: int, hashed: int) -> list[int]:
    """The log offsets of a hash in a bucket, in no order."""
    found: list[int] = []
    sought = _hash_bytes(hashed)
    for (ids,) in connection.execute(_SELECT, (bucket, hashed >> PART_SHIFT)):
        half = len(ids) // 2
        at = ids.find(sought, 0, half)
        while at >= 0:
            if at & 7:
                at = ids.find(sought, at + 1, half)  # the end of one hash and the beginning of the next
            else:
                found += _offset(ids, half + at)
                at = ids.find(sought, at + 8, half)
    return found


def hashes_of(ids: bytes) -> array[int]:
    """The hashes in a row."""
    return native("q", memoryview(ids)[: len(ids) // 2])


def offsets_of(ids: bytes) -> array[int]:
    """The log offsets in a row."""
    return native("Q", memoryview(ids)[len(ids) // 2 :])


def converted(rows: Iterable[tuple[int, int, int]], at_most: int = 64) -> Iterator[Row]:
    """Rows of (bucket, hash, log offset), in that order, as older files have them, as Rows."""
    bucket = 0
    hashes: list[int] = []
    offsets: list[int] = []
    for row_bucket, hashed, offset in rows:
        if hashes and (
            row_bucket != bucket
            or hashed >> PART_SHIFT != hashes[0] >> PART_SHIFT
            or len(hashes) == at_most
        ):
            yield from rows_of(bucket, min(offsets), hashes, offsets)
            hashes, offsets = [], []
        bucket = row_bucket
        hashes.append(hashed)
        offsets.append(offset)
    if hashes:
        yield from rows_of(bucket, min(offsets), hashes, offsets)
