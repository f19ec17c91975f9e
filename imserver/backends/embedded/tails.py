"""The part of an index that is not on the disk yet: a list of log offsets per user or conversation."""

from __future__ import annotations

from bisect import bisect_left, bisect_right

from imserver.backends.embedded.records import pack_offsets

CHUNK = 1000
"""Offsets per index row at the most."""

IndexRow = tuple[int, int, int, bytes]
"""(number of the user or conversation, first, last offset, packed offsets)."""


class Tail:
    """Offsets of the numbers `base`, `base` + 1, ..., ascending."""

    __slots__ = ("base", "offsets")

    def __init__(self, base: int, offset: int) -> None:
        self.base = base
        self.offsets = [offset]


class TailIndex:
    """One index (of inboxes or of conversations) for the rows after the watermark.

    It also holds rows that are not committed yet; readers pass the last
    committed offset and see nothing beyond it.
    """

    __slots__ = ("entries", "tails")

    def __init__(self) -> None:
        self.tails: dict[int, Tail] = {}
        self.entries = 0

    def add(self, no: int, number: int, offset: int) -> None:
        """Notes that `number` of the user or conversation `no` is in the row at `offset`."""
        tail = self.tails.get(no)
        if tail is None:
            self.tails[no] = Tail(number, offset)
        else:
            tail.offsets.append(offset)
        self.entries += 1

    def last(self, no: int) -> int:
        """The highest number, committed or not; 0 if the tail is empty."""
        tail = self.tails.get(no)
        return 0 if tail is None else tail.base + len(tail.offsets) - 1

    def visible(self, no: int, last: int, committed: int) -> int:
        """The highest committed number, `last` being the highest one."""
        tail = self.tails.get(no)
        if tail is None or tail.offsets[-1] <= committed:
            return last
        return tail.base + bisect_right(tail.offsets, committed) - 1

    def number_at(self, no: int, offset: int) -> int:
        """The number whose row is at `offset`; 0 if it is not in the tail."""
        tail = self.tails.get(no)
        if tail is None:
            return 0
        index = bisect_left(tail.offsets, offset)
        if index < len(tail.offsets) and tail.offsets[index] == offset:
            return tail.base + index
        return 0

    def cut(self, no: int, first: int, last: int) -> tuple[int, list[int]]:
        """What the tail has of the numbers first..last.

        Returns:
            (the number from which the tail has them, their offsets); numbers before it are on the disk.
        """
        tail = self.tails.get(no)
        if tail is None or last < tail.base:
            return last + 1, []
        start = max(first, tail.base)
        return start, tail.offsets[start - tail.base : last + 1 - tail.base]

    def rows_up_to(self, no: int, watermark: int) -> list[IndexRow]:
        """Index rows for what the tail of `no` has up to the watermark.

        Writing them again after a crash replaces the same rows by the same or longer ones.
        """
        tail = self.tails.get(no)
        if tail is None:
            return []
        offsets = tail.offsets
        count = bisect_right(offsets, watermark)
        rows = []
        for start in range(0, count, CHUNK):
            part = offsets[start : min(start + CHUNK, count)]
            rows.append((no, tail.base + start, part[-1], pack_offsets(part)))
        return rows

    def drop_up_to(self, numbers: list[int], watermark: int) -> None:
        """Forgets what is on the disk now."""
        for no in numbers:
            tail = self.tails.get(no)
            if tail is None:
                continue
            offsets = tail.offsets
            if offsets[-1] <= watermark:
                self.entries -= len(offsets)
                del self.tails[no]
                continue
            count = bisect_right(offsets, watermark)
            self.entries -= count
            tail.base += count
            del offsets[:count]
