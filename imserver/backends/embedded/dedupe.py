"""Client ids: which send was this, and was it the same?

The last ones are in memory, the others in the `client_ids` table, by bucket and hash of the key; the log
row decides. Bloom filters over both, one for each bucket, spare almost every look-up.

They take two bytes a send for as long as it is remembered, and each is asked for every send: 40 filters and
350 MB where a thousand are sent each second of two days. (One for all of a span of time, of a bounded size,
let one in forty through after thirty million sends, and each was looked for in all buckets: the server spent
more time on it than on messages.)
"""

from __future__ import annotations

import sqlite3
from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterator
from functools import lru_cache
from hashlib import blake2b
from itertools import islice
from mmap import mmap
from struct import Struct
from typing import Any, Final

from imserver.backends.embedded.bloom import HIGH, LARGEST, PROBES, Bloom, Layer, empty, is_in
from imserver.backends.embedded.client_ids import COMPACT, Parts, Row, find, single_rows

SPAN_SECONDS = 12 * 3600.0
"""Spans are dropped whole. Part of the file format: the window may be configured anew, this may not."""
BUCKET_OFFSETS = 22
"""Bits of a log offset: a bucket has about so many sends at the most. Part of the file format.

What is written together is spread over all of its bucket by its hashes (see `client_ids`), and whoever looks
for one reads a five-hundredth of the bucket, until it is compact.
"""
ROW_WEIGHT = 16
"""So many entries of the other indexes are written in the time that a row of client ids takes."""
SCANS = 32
"""Of the tail, until it is entered in a dictionary: more are asked for where clients repeat themselves."""
_number: Final = Struct("<q").unpack
_native: Final = Struct("=q").pack
_hasher: Final = blake2b(digest_size=8).copy


def key_hash(sender: int, format: str, client_id: str) -> int:
    """A signed 64-bit hash, the same in every process (SQLite's integers are signed).

    Args:
        sender: the sender's number.
    """
    return hash_of(sender, format)(client_id)


class KeyHash:
    """The same of one sender's client ids: what they begin with is hashed once."""

    __slots__ = ("_begun",)

    def __init__(self, sender: int, format: str) -> None:
        hasher = _hasher()  # a copy takes half as long as a new one
        hasher.update(f"{sender}\0{format}\0".encode())
        self._begun = hasher.copy

    def __call__(self, client_id: str) -> int:
        """See `key_hash`."""
        hasher = self._begun()
        hasher.update(client_id.encode())
        return _number(hasher.digest())[0]  # type: ignore[no-any-return]


hash_of: Final = lru_cache(maxsize=4096)(KeyHash)
"""The same one again for who has sent of late."""


def span_of(at: float) -> int:
    """The span of time a send belongs to."""
    return int(at // SPAN_SECONDS)


def bucket_of(span: int, offset: int) -> int:
    """What the disk keeps together: the sends of a span of time, and of a part of the log."""
    return span << 32 | offset >> BUCKET_OFFSETS


def _span_in(bucket: int) -> int:
    return bucket >> 32


class Dedupe:
    """Sends by the hash of their key.

    What is accepted is noted in two columns, and sorted when it is written. To enter each send in a
    dictionary would cost as much as its hash, and mostly not one in a thousand is asked for.

    Attributes:
        blooms: per bucket, what was accepted and what is on the disk of it; in the order of time.
        unread: buckets of which `blooms` has only what was accepted since start-up: the disk is asked always.
        filling: the one that takes what is accepted now; see `turn_to`.
    """

    def __init__(self, seconds: float, together_from: int) -> None:
        # Of the log's tail, in log order, committed or on the way.
        self._hashes: array[int] = array("q")
        self._offsets: list[int] = []
        # The same by hash, where many are asked for; and further offsets under a hash: hardly ever any.
        self._known: dict[int, int] = {}
        self._twins: dict[int, list[int]] = {}
        self._entered = 0
        self._looks = 0  # since the tail was cut
        self.blooms: dict[int, Bloom] = {}
        self.unread: set[int] = set()
        self._layers: list[tuple[int, list[mmap]]] = []  # all filters' layers, by their masks
        self.filling: Layer = (empty(1), 0)
        self.seconds = seconds
        self._together_from = together_from
        self._bucket = -1
        self._counted = 0  # of the tail, as filters' room
        self._filled: list[tuple[int, int]] = []  # (first log offset, bucket) of the tail, in order
        self._filtered: list[tuple[int, Layer]] = []  # (first log offset, filter that took it), likewise

    def load(self, connection: sqlite3.Connection) -> None:
        """Notes what is on the disk. The filters of that come later, see `filter_of`."""
        bucket: int | None = -(1 << 62)
        found: set[int] = set()
        while bucket is not None:
            (bucket,) = connection.execute(
                "SELECT min(bucket) FROM client_ids WHERE bucket > ?", (bucket,)
            ).fetchone()
            if bucket is not None:
                found.add(bucket & ~COMPACT)
        for bucket in sorted(found):
            self.blooms[bucket] = Bloom()
        self.unread |= found
        self._renew_layers()

    def complete(self) -> list[int]:
        """The buckets that the disk has all of, in the order of time."""
        open_ones = {bucket for _, bucket in self._filled}
        buckets = [*self.blooms]
        return [bucket for bucket in buckets[:-1] if bucket not in open_ones]

    # What is accepted

    def turn_to(self, at: float, offset: int) -> None:
        """Prepares for sends of one reactor turn, the first at log offset `offset`.

        Args:
            at: the server's time of all of them.
        """
        span = span_of(at)
        bucket = bucket_of(span, offset)
        if bucket != self._bucket:
            self._bucket = bucket
            self._filled.append((offset, bucket))
            if bucket not in self.blooms:
                # The next one of a span is going to be full, too.
                self.blooms[bucket] = Bloom(LARGEST if bucket - 1 in self.blooms else 0)
                self._renew_layers()
        bloom = self.blooms[bucket]
        count = len(self._offsets)
        if bloom.reserve(count - self._counted):
            self._renew_layers()
        self._counted = count
        filling = bloom.layers[-1]
        if filling[0] is not self.filling[0]:
            self.filling = filling
            self._filtered.append((offset, filling))

    def may_know(self, hashed: int) -> bool:
        """Whether any filter lets this hash through: nearly never, unless there is such a send."""
        # As `bloom.is_in` has it; a call of its own would cost every send.
        high = hashed >> HIGH
        bits = PROBES[high & 63]
        for mask, layers in self._layers:
            at = hashed & mask
            for layer in layers:
                if (
                    layer[at] & bits == bits
                    and layer[at ^ (high >> 6 & 63)] & bits == bits
                    and layer[at ^ (high >> 12 & 63)] & bits == bits
                    and layer[at ^ (high >> 18 & 63)] & bits == bits
                ):
                    return True
        return bool(self.unread)

    def note(self, hashed: int, offset: Any) -> None:
        """A send was accepted; `turn_to` has been called.

        Args:
            offset: an int; compiled, it would be boxed anew if that were said.
        """
        self._hashes.append(hashed)
        self._offsets.append(offset)
        # As in `Bloom.add`, likewise.
        layer, mask = self.filling
        high, at = hashed >> HIGH, hashed & mask
        bits = PROBES[high & 63]
        layer[at] |= bits
        layer[at ^ (high >> 6 & 63)] |= bits
        layer[at ^ (high >> 12 & 63)] |= bits
        layer[at ^ (high >> 18 & 63)] |= bits

    # What was accepted

    def in_tail(self, hashed: int) -> list[int]:
        """Log offsets in the tail that may have this key, newest first."""
        if not any(is_in(layer, hashed) for _, layer in self._filtered):
            return []  # what let it through is a filter of older ones
        self._looks += 1
        if self._looks <= SCANS:
            return self._scan(hashed)
        known, start = self._known, self._entered
        if start < len(self._offsets):
            for entered, offset in zip(self._hashes[start:], self._offsets[start:], strict=True):
                if known.setdefault(entered, offset) != offset:
                    self._twins.setdefault(entered, []).append(offset)
            self._entered = len(self._offsets)
        first = known.get(hashed)
        return [] if first is None else [*reversed(self._twins.get(hashed, ())), first]

    def _scan(self, hashed: int) -> list[int]:
        """The same without a dictionary of all: a twentieth of the time that entering a full tail takes."""
        packed, sought = self._hashes.tobytes(), _native(hashed)
        found: list[int] = []
        at = packed.find(sought)
        while at >= 0:
            if at & 7:
                at = packed.find(sought, at + 1)  # the end of one and the beginning of the next
            else:
                found.append(self._offsets[at >> 3])
                at = packed.find(sought, at + 8)
        return found[::-1]

    def __len__(self) -> int:
        """Sends in the tail."""
        return len(self._offsets)

    def on_disk(self, connection: sqlite3.Connection, now: Callable[[], float], hashed: int) -> list[int]:
        """Log offsets of older sends that may have this key, newest first."""
        found: list[int] = []
        oldest = -1
        for bucket, bloom in self.blooms.items():
            if bucket in self.unread or hashed in bloom:
                if oldest < 0:
                    oldest = span_of(now() - self.seconds)
                if _span_in(bucket) >= oldest:
                    found += find(connection, bucket, hashed)
        if len(found) > 1:
            found = sorted(set(found), reverse=True)
        return found

    # The disk

    def due(self, first: int, watermark: int, at_once: int) -> Iterator[list[Row]]:
        """Rows for the disk of all that is in the log up to `watermark`.

        Made as they are taken, so that no turn of the reactor is long, and after an empty list there may be
        another one; `drop_up_to` comes after.

        Args:
            first: the first log offset that the disk does not have: if this is not brought to its end, the
                next attempt begins there, too, and replaces what was written.
            at_once: rows in one list, where each has one id; a row with many weighs `ROW_WEIGHT`.
        """
        filled, offsets = self._filled, self._offsets
        for index, (begin, bucket) in enumerate(filled):
            last = min(filled[index + 1][0] - 1 if index + 1 < len(filled) else watermark, watermark)
            start, end = bisect_right(offsets, begin - 1), bisect_right(offsets, last)
            if end - start >= self._together_from:
                parts = Parts()
                for at in range(start, end, at_once):
                    until = min(at + at_once, end)
                    parts.add(self._hashes[at:until], offsets[at:until])
                    yield []
                rows, size = parts.rows(bucket, first), max(1, at_once // ROW_WEIGHT)
            else:
                unsorted = self._hashes[start:end]
                order = sorted(range(end - start), key=unsorted.__getitem__)
                of_hashes = map(offsets[start:end].__getitem__, order)
                hashes = map(unsorted.__getitem__, order)
                rows, size = single_rows(bucket, first, hashes, of_hashes), at_once
            while piece := [*islice(rows, size)]:
                yield piece

    def drop_up_to(self, watermark: int) -> None:
        """Forgets in memory what the disk has."""
        count = bisect_right(self._offsets, watermark)
        del self._offsets[:count], self._hashes[:count]
        self._known, self._twins, self._entered, self._looks = {}, {}, 0, 0
        self._counted = len(self._offsets)
        while len(self._filled) > 1 and self._filled[1][0] <= watermark + 1:
            del self._filled[0]
        while len(self._filtered) > 1 and self._filtered[1][0] <= watermark + 1:
            del self._filtered[0]

    def install(self, bucket: int, bloom: Bloom) -> None:
        """Uses a filter that `filter_of` read."""
        if bucket in self.unread:
            self.unread.discard(bucket)
            self.blooms[bucket].layers[:0] = bloom.layers
            self._renew_layers()

    def expire(self, oldest: int) -> None:
        """Forgets spans before `oldest`, but for buckets in the tail: filters know whatever is there."""
        in_tail = {bucket for _, bucket in self._filled}
        for bucket in [bucket for bucket in self.blooms if _span_in(bucket) < oldest]:
            self.unread.discard(bucket)
            if bucket not in in_tail:
                del self.blooms[bucket]
        self._renew_layers()

    def _renew_layers(self) -> None:
        sizes: dict[int, list[mmap]] = {}
        for bloom in self.blooms.values():
            for layer, mask in bloom.layers:
                sizes.setdefault(mask, []).append(layer)
        self._layers = [*sizes.items()]
