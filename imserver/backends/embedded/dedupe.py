"""Client ids: which send was this, and was it the same?

The last ones are in memory, the others in the `dedupe` table as (span of time,
hash of the key, log offset); the log row decides. Bloom filters spare almost
every look-up there.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable
from hashlib import blake2b
from itertools import groupby
from operator import itemgetter

from msgspec import Struct

from imserver.model.messages import MessageAccepted

Key = tuple[int, str, str]
"""(sender's number, format, client id)."""

BUCKET_SECONDS = 12 * 3600.0
"""Spans are dropped whole. Part of the file format: the window may be configured anew, this may not."""
_HASH = itemgetter(1)
_SMALLEST_FILTER = 1 << 20
_LARGEST_FILTER = 1 << 28


def key_hash(key: Key) -> int:
    """A signed 64-bit hash, the same in every process (SQLite's integers are signed)."""
    sender, format, client_id = key
    data = f"{sender}\0{format}\0{client_id}".encode()
    return int.from_bytes(blake2b(data, digest_size=8).digest(), "little", signed=True)


def bucket_of(at: float) -> int:
    """The span of time a send belongs to."""
    return int(at // BUCKET_SECONDS)


class Bloom:
    """A growing Bloom filter: a layer four times as large whenever the last one is full.

    The hashes are good ones, so two parts of a hash are two probes. Sixteen bits
    a value let one absent value in seventy through; the largest layer just fills
    up and lets more through.
    """

    __slots__ = ("_room", "layers")

    def __init__(self) -> None:
        self.layers: list[tuple[bytearray, int]] = []
        self._room = 0

    def add(self, values: Iterable[int]) -> None:
        """Adds signed 64-bit hashes."""
        for value in values:
            if self._room <= 0:
                self._grow()
            layer, mask = self.layers[-1]
            self._room -= 1
            bit = value & mask
            layer[bit >> 3] |= 1 << (bit & 7)
            bit = (value >> 32) & mask
            layer[bit >> 3] |= 1 << (bit & 7)

    def _grow(self) -> None:
        bits = _SMALLEST_FILTER
        if self.layers:
            bits = min(len(self.layers[-1][0]) * 32, _LARGEST_FILTER)
        if not self.layers or bits > len(self.layers[-1][0]) * 8:
            self.layers.append((bytearray(bits // 8), bits - 1))
        self._room = bits // 16

    def __contains__(self, value: int) -> bool:
        for layer, mask in self.layers:
            bit = value & mask
            if layer[bit >> 3] & (1 << (bit & 7)):
                bit = (value >> 32) & mask
                if layer[bit >> 3] & (1 << (bit & 7)):
                    return True
        return False


class Remembered(Struct, frozen=True, gc=False):
    """A send that was accepted."""

    offset: int
    hashed: int
    answer: MessageAccepted


class Dedupe:
    """Sends by key.

    Attributes:
        recent: of the log's tail, by key, in log order; committed or on the way.
        blooms: per span of time on the disk; a span without a filter is looked up always.
    """

    def __init__(self, seconds: float) -> None:
        self.recent: dict[Key, Remembered] = {}
        self.blooms: dict[int, Bloom | None] = {}
        self._late: dict[int, list[int]] = {}
        self.seconds = seconds

    def load(self, connection: sqlite3.Connection) -> None:
        """Notes which spans are on the disk. Their filters come later, see `filter_of`."""
        bucket: int | None = -(1 << 62)
        while bucket is not None:
            (bucket,) = connection.execute(
                "SELECT min(bucket) FROM dedupe WHERE bucket > ?", (bucket,)
            ).fetchone()
            if bucket is not None:
                self.blooms[bucket] = None

    def may_be_on_disk(self, hashed: int) -> bool:
        """Whether any filter lets this hash through: nearly never, unless it is there."""
        for bloom in self.blooms.values():
            if bloom is None:
                return True
            # As in Bloom.__contains__, without a call: this is asked for every send.
            for layer, mask in bloom.layers:
                bit = hashed & mask
                if layer[bit >> 3] & (1 << (bit & 7)) and hashed in bloom:
                    return True
        return False

    def candidates(self, connection: sqlite3.Connection, hashed: int, now: Callable[[], float]) -> list[int]:
        """Log offsets of older sends that may have this key, newest first."""
        found: list[int] = []
        oldest = 0
        for bucket, bloom in self.blooms.items():
            if bloom is None or hashed in bloom:
                oldest = oldest or bucket_of(now() - self.seconds)
                if bucket < oldest:
                    continue
                rows = connection.execute(
                    "SELECT offset FROM dedupe WHERE bucket = ? AND hash = ?", (bucket, hashed)
                )
                found.extend(offset for (offset,) in rows)
        if len(found) > 1:
            found.sort(reverse=True)
        return found

    def rows_up_to(self, watermark: int) -> list[tuple[int, int, int]]:
        """Rows (bucket, hash, offset) for the disk, sorted."""
        spans: dict[int, list[tuple[int, int, int]]] = {}
        for kept in self.recent.values():
            offset = kept.offset
            if offset > watermark:
                break
            bucket = bucket_of(kept.answer.server_at)
            spans.setdefault(bucket, []).append((bucket, kept.hashed, offset))
        rows = []
        for bucket in sorted(spans):
            # In log order before, so that equal hashes stay in the order of their offsets.
            spans[bucket].sort(key=_HASH)
            rows += spans[bucket]
        return rows

    def written(self, rows: list[tuple[int, int, int]]) -> None:
        """These rows, sorted, are on the disk now."""
        for bucket, group in groupby(rows, itemgetter(0)):
            hashes = list(map(_HASH, group))
            if bucket not in self.blooms:
                self.blooms[bucket] = Bloom()
            bloom = self.blooms[bucket]
            if bloom is not None:
                bloom.add(hashes)
            else:
                # A filter being read from the disk meanwhile may have missed them.
                self._late.setdefault(bucket, []).extend(hashes)

    def install(self, bucket: int, bloom: Bloom) -> None:
        """Uses a filter that `filter_of` read."""
        bloom.add(self._late.pop(bucket, ()))
        if bucket in self.blooms:
            self.blooms[bucket] = bloom

    def expire(self, oldest: int) -> None:
        """Forgets spans before `oldest`."""
        for bucket in [bucket for bucket in self.blooms if bucket < oldest]:
            del self.blooms[bucket]
            self._late.pop(bucket, None)

    def drop_up_to(self, watermark: int) -> None:
        """Forgets in memory what the disk has."""
        recent = self.recent
        due = []
        for key, kept in recent.items():
            if kept.offset > watermark:
                break
            due.append(key)
        for key in due:
            del recent[key]


def filter_of(connection: sqlite3.Connection, bucket: int) -> Bloom:
    """Reads a span of the disk into a filter; takes a second for a million sends, so it runs on a thread."""
    bloom = Bloom()
    rows = connection.execute("SELECT hash FROM dedupe WHERE bucket = ?", (bucket,))
    bloom.add(hashed for (hashed,) in rows)
    return bloom
