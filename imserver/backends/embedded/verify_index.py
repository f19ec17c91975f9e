"""The index part of `verify`: compares index rows with what the log says."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

from imserver.backends.embedded.records import unpack_offsets

_MASK = (1 << 64) - 1


class Numbers:
    """The numbers of all users (or conversations) as the log has them.

    Attributes:
        last: the highest number of each.
        sums: a running hash of (number, offset) of what is indexed; equal sums mean an equal index.
        tail: what is behind the watermark, exactly.
    """

    def __init__(self, what: str, floor: int, watermark: int) -> None:
        self.what = what
        self._trimmed = floor > 1
        self._watermark = watermark
        self.first: dict[int, int] = {}
        self.last: dict[int, int] = {}
        self.sums: dict[int, int] = {}
        self.tail: dict[tuple[int, int], int] = {}

    def add(self, no: int, number: int, offset: int) -> str:
        """Adds a row in log order; returns what is wrong with its number, or ""."""
        before = self.last.get(no)
        self.last[no] = number
        if offset <= self._watermark:
            self.sums[no] = chain(self.sums.get(no, 0), number, offset)
        else:
            self.tail[no, number] = offset
        if before is None:
            self.first[no] = number
            if number != 1 and not self._trimmed:
                return f"{self.what} {no}: begins at {number} (log offset {offset})"
        elif number != before + 1:
            return f"{self.what} {no}: {number} follows {before} (log offset {offset})"
        return ""


def chain(before: int, number: int, offset: int) -> int:
    """The next value of a running hash."""
    return ((before * 0x9E3779B97F4A7C15) ^ (number << 1) ^ (offset * 0x2545F4914F6CDD1D)) & _MASK


class IndexCheck:
    """Walks one index table."""

    def __init__(self, connection: sqlite3.Connection, table: str, floor: int, watermark: int) -> None:
        self._connection = connection
        self._table = table
        self._floor = floor
        self._watermark = watermark

    def run(self, numbers: Numbers, progress: Callable[[str, int], None]) -> list[str]:
        """Returns the faults."""
        faults: list[str] = []
        sums: dict[int, int] = {}
        heads: dict[int, int] = {}
        current, expected, previous = -1, 0, 0
        rows = self._connection.execute(
            f"SELECT no, first, last_offset, offsets FROM {self._table} ORDER BY no, first"  # noqa: S608
        )
        for count, (no, first, last_offset, packed) in enumerate(rows, 1):
            where = f"{self._table}: {numbers.what} {no} from {first}"
            offsets = unpack_offsets(packed)
            if not offsets or offsets[-1] != last_offset:
                faults.append(f"{where}: the last offset is not {last_offset}")
            if no != current:
                current, expected, previous = no, first, 0
            if first != expected:
                faults.append(f"{where}: should begin at {expected}")
            for index, offset in enumerate(offsets):
                if offset <= previous:
                    faults.append(f"{where}: offset {offset} follows {previous}")
                previous = offset
                if offset > self._watermark:
                    if numbers.tail.get((no, first + index)) != offset:
                        faults.append(f"{where}: {first + index} is not at {offset}")
                    continue
                heads[no] = first + index
                if offset >= self._floor:
                    sums[no] = chain(sums.get(no, 0), first + index, offset)
            expected = first + len(offsets)
            if count % 10_000 == 0:
                progress(self._table, count)
        faults += [
            f"{self._table}: {numbers.what} {no}: the index is not what the log says"
            for no in sorted(sums.keys() | numbers.sums.keys())
            if sums.get(no) != numbers.sums.get(no)
        ]
        for no, first in sorted(numbers.first.items()):
            # Where nothing indexed was kept, the numbers must go on from the last index row.
            if no not in numbers.sums and first != heads.get(no, 0) + 1:
                faults.append(
                    f"{self._table}: {numbers.what} {no}: goes on at {first} after {heads.get(no, 0)}"
                )
        return faults
