"""The disk's side of `dedupe`: hashes and log offsets, a part of a bucket's in one row.

A row for each send would be in a page of its own, since what is written together is spread by its hash over
the whole bucket: a page of 4 KiB a message, once millions are there. So the hashes of a bucket are divided
into 512 parts, and what is written at a time has few rows in each of them. The part is all that is
sorted; within it the bytes are searched, in as many rows as there were times. Where little is written at a
time there would be too many of these: then each has a row of its own after all, by its whole hash.

Whoever looks for a hash reads a five-hundredth of the bucket, in a hundred rows and more. So a bucket to
which no more comes is written anew, a part at a time: in much finer parts, of which mostly one row is read.
"""

from __future__ import annotations

import sqlite3
from array import array
from collections.abc import Iterable, Iterator
from struct import Struct
from typing import Final

from imserver.backends.embedded.bloom import Bloom
from imserver.backends.embedded.bulk import Insert
from imserver.backends.embedded.records import native, portable

PART_SHIFT: Final = 55
"""A part is what the hashes (signed 64 bits) have above these bits: -256 to 255."""
MOST_IDS: Final = 48
"""In one row. Of rows of more than a thousand bytes SQLite keeps the rest in pages of their own."""
INSERT_CLIENT_IDS: Final = Insert("INSERT OR REPLACE INTO client_ids", 4)
COMPACT: Final = 1 << 31
"""In the number of a bucket: its finer parts. (Below it there is room for 2^53 log offsets.)"""
FINE_SHIFT: Final = 47
"""As PART_SHIFT: some 32 of the four million hashes in a full bucket are in a finer part."""
_SELECT: Final = (
    "SELECT ids FROM client_ids WHERE bucket = ?1 AND part IN (?3, ?4)"
    " UNION ALL SELECT ids FROM client_ids WHERE bucket = ?2 AND part = ?5"
)
_SELECT_PART: Final = (
    "SELECT bucket, part, first, ids FROM client_ids WHERE bucket = ?1 AND part = ?2"
    # Those of rows of their own, but for what cannot be told from parts' numbers.
    " UNION ALL SELECT bucket, part, first, ids FROM client_ids WHERE bucket = ?1"
    " AND part BETWEEN ?3 AND ?4 AND part NOT BETWEEN ?5 AND ?6"
)
_SELECT_FINER: Final = (
    "SELECT bucket, part, first, ids FROM client_ids WHERE bucket = ? AND part BETWEEN ? AND ?"
)
_DELETE: Final = "DELETE FROM client_ids WHERE bucket = ? AND part = ? AND first = ?"
_hash_bytes: Final = Struct("<q").pack
_pair: Final = Struct("<qQ").pack
_hash: Final = Struct("<q").unpack_from
_offset: Final = Struct("<Q").unpack_from

Row = tuple[int, int, int, bytes]
"""(bucket, part, first, ids). `part` is a part, or a whole hash, or, with COMPACT in the bucket, a finer one.
`first` is a log offset, and nothing that is written at this time is before it; it tells rows of different
times apart, and is one more for each further row of the same part. `ids` are hashes (signed, 64 bits), then
as many log offsets (64 bits) in the same order, little-endian."""


def parts() -> range:
    """All that a bucket has."""
    return range(-(1 << 63 - PART_SHIFT), 1 << 63 - PART_SHIFT)


def single_rows(bucket: int, first: int, hashes: Iterable[int], offsets: Iterable[int]) -> Iterator[Row]:
    """Rows for the disk with one id each, in the order of its keys.

    Whoever could not bring it to an end gives the same `first` again, and all that he gave then, and more: a
    row that takes the place of another may have others in it, but none is missing in the end.

    Args:
        first: see Row; no log offset is below it.
        hashes: sorted.
        offsets: in the same order.
    """
    before: int | None = None
    further = 0
    for hashed, offset in zip(hashes, offsets, strict=True):
        further = further + 1 if hashed == before else 0
        before = hashed
        yield bucket, hashed, first + further, _pair(hashed, offset)


class Parts:
    """What is written at a time, by parts, to share rows.

    It is added some at a time: to sort 20,000 hashes at once kept the reactor for 9 to 18 ms.
    """

    __slots__ = ("_pairs",)

    def __init__(self) -> None:
        # Of each part hash, log offset, hash, ...; by the part, -256 to 255.
        self._pairs: list[list[int]] = [[] for _ in parts()]

    def add(self, hashes: Iterable[int], offsets: Iterable[int]) -> None:
        """Takes these in, in any order; a hundred nanoseconds each."""
        pairs = self._pairs
        for hashed, offset in zip(hashes, offsets, strict=True):
            part = pairs[hashed >> PART_SHIFT]
            part.append(hashed)
            part.append(offset)

    def rows(self, bucket: int, first: int) -> Iterator[Row]:
        """Rows for the disk, in the order of its keys; made as they are taken. See `single_rows`."""
        for part in parts():
            pairs = self._pairs[part]
            for further, at in enumerate(range(0, len(pairs), 2 * MOST_IDS)):
                some = pairs[at : at + 2 * MOST_IDS]
                yield bucket, part, first + further, _packed(some[::2], some[1::2])


def _packed(hashes: Iterable[int], offsets: Iterable[int]) -> bytes:
    return portable(array("q", hashes)) + portable(array("Q", offsets))


def find(connection: sqlite3.Connection, bucket: int, hashed: int) -> list[int]:
    """The log offsets of a hash in a bucket, in no order; one may be there twice."""
    found: list[int] = []
    sought = _hash_bytes(hashed)
    keys = (bucket, bucket | COMPACT, hashed >> PART_SHIFT, hashed, hashed >> FINE_SHIFT)
    for (ids,) in connection.execute(_SELECT, keys):
        half = len(ids) // 2
        at = ids.find(sought, 0, half)
        while at >= 0:
            if at & 7:
                at = ids.find(sought, at + 1, half)  # the end of one hash and the beginning of the next
            else:
                found += _offset(ids, half + at)
                at = ids.find(sought, at + 8, half)
    return found


def all_hashes(connection: sqlite3.Connection, bucket: int) -> Iterator[int]:
    """Every hash in a bucket, in no order."""
    sql = "SELECT ids FROM client_ids WHERE bucket IN (?, ?)"
    for (ids,) in connection.execute(sql, (bucket, bucket | COMPACT)):
        if len(ids) == 16:
            yield _hash(ids)[0]
        else:
            yield from hashes_of(ids)


def filter_of(connection: sqlite3.Connection, bucket: int) -> Bloom:
    """Reads a bucket into a filter; half a second for a million sends, so it runs on a thread."""
    bloom = Bloom()
    bloom.add(all_hashes(connection, bucket))
    return bloom


def hashes_of(ids: bytes) -> array[int]:
    """The hashes in a row."""
    return native("q", memoryview(ids)[: len(ids) // 2])


def offsets_of(ids: bytes) -> array[int]:
    """The log offsets in a row."""
    return native("Q", memoryview(ids)[len(ids) // 2 :])


def is_found(bucket: int, part: int, hashed: int) -> bool:
    """Whether `find` looks for this hash in a row of this part."""
    if bucket & COMPACT:
        return part == hashed >> FINE_SHIFT
    return part in (hashed, hashed >> PART_SHIFT)


def many_rows(connection: sqlite3.Connection, bucket: int, most: int) -> bool:
    """Whether whoever looks for a hash in this bucket reads more rows than so many.

    It is told by those of the last part, which is made compact when all others are.
    """
    sql = "SELECT count(*) FROM (SELECT 1 FROM client_ids WHERE bucket = ? AND part = ? LIMIT ?)"
    (count,) = connection.execute(sql, (bucket, parts()[-1], most + 1)).fetchone()
    return bool(count > most)


def compact(bucket: int, part: int, connection: sqlite3.Connection) -> None:
    """Writes a part of a bucket anew, in finer parts; in one transaction. It may be done again.

    The disk should have all of the bucket: what comes to it later is found, but in more rows again.
    """
    whole, finer = part << PART_SHIFT, part << PART_SHIFT - FINE_SHIFT
    keys = (bucket, part, whole, whole + (1 << PART_SHIFT) - 1, parts()[0], parts()[-1])
    old = [
        row
        for row in connection.execute(_SELECT_PART, keys).fetchall()
        # One of another part, whose hash is this one's number, stays where it is.
        if len(row[3]) != 16 or _hash(row[3])[0] >> PART_SHIFT == part
    ]
    if not old:
        return
    last = finer + (1 << PART_SHIFT - FINE_SHIFT) - 1
    old += connection.execute(_SELECT_FINER, (bucket | COMPACT, finer, last)).fetchall()
    fine: dict[int, dict[int, int]] = {}  # by its finer part, each log offset's hash
    for *_, ids in old:
        for hashed, offset in zip(hashes_of(ids), offsets_of(ids), strict=True):
            fine.setdefault(hashed >> FINE_SHIFT, {})[offset] = hashed
    connection.executemany(_DELETE, [row[:3] for row in old])
    rows: list[Row] = []
    for at in sorted(fine):
        pairs = fine[at]
        offsets = sorted(pairs)
        for begin in range(0, len(offsets), MOST_IDS):
            some = offsets[begin : begin + MOST_IDS]
            rows.append((bucket | COMPACT, at, some[0], _packed(map(pairs.__getitem__, some), some)))
    INSERT_CLIENT_IDS(connection, rows)


def converted(rows: Iterable[tuple[int, int, int]]) -> Iterator[Row]:
    """Rows of (bucket, hash, log offset), in that order, as older files have them, as Rows.

    What two of them may have in common (the same send, in a bucket of the first versions and in one of later
    ones) is in the log's tail, and written again with that.
    """
    bucket = 0
    hashes: list[int] = []
    offsets: list[int] = []
    for row_bucket, hashed, offset in rows:
        if hashes and (
            row_bucket != bucket or hashed >> PART_SHIFT != hashes[0] >> PART_SHIFT or len(hashes) == MOST_IDS
        ):
            yield bucket, hashes[0] >> PART_SHIFT, min(offsets), _packed(hashes, offsets)
            hashes, offsets = [], []
        bucket = row_bucket
        hashes.append(hashed)
        offsets.append(offset)
    if hashes:
        yield bucket, hashes[0] >> PART_SHIFT, min(offsets), _packed(hashes, offsets)
