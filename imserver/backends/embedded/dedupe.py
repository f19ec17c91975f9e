"""Client ids: which send was this, and was it the same?

The last ones are in memory, the others in the `dedupe` table as (bucket,
hash of the key, log offset); the log row decides. Bloom filters over both, one for each span of time,
spare almost every look-up.
"""

from __future__ import annotations

import sqlite3
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from hashlib import blake2b
from itertools import combinations, cycle, islice
from struct import Struct
from typing import Final

SPAN_SECONDS = 12 * 3600.0
"""Spans are dropped whole. Part of the file format: the window may be configured anew, this may not."""
_BUCKET_OFFSETS: Final = 22
"""Bits of a log offset: a bucket has about so many sends at the most.

What is written together is sorted by hash, so that it is spread over all of its bucket: in one of a whole
span of time each send would in the end have a page of the file written for itself.
"""
_SMALLEST_FILTER: Final = 1 << 20
_LARGEST_FILTER: Final = 1 << 25
"""Bytes of a filter's layer."""
PROBES: Final = tuple(
    islice(cycle(1 << one | 1 << two | 1 << three for one, two, three in combinations(range(8), 3)), 64)
)
"""Three bits of a byte, by six bits of a hash."""
_PROBE_SHIFT: Final = 57
_NEAR_SHIFT: Final = 43
_NEAR: Final = 62
"""Five bits of a hash, and one that is set: where a value's second byte is in the 64 around its first."""
_number = Struct("<q").unpack

Row = tuple[int, int, int]
"""(bucket, hash, log offset)."""


def key_hash(sender: int, format: str, client_id: str) -> int:
    """A signed 64-bit hash, the same in every process (SQLite's integers are signed).

    Args:
        sender: the sender's number.
    """
    return text_hash(f"{sender}\0{format}\0{client_id}")


def text_hash(key: str) -> int:
    """The same of the three, joined by NUL."""
    return _number(blake2b(key.encode(), digest_size=8).digest())[0]  # type: ignore[no-any-return]


def span_of(at: float) -> int:
    """The span of time a send belongs to."""
    return int(at // SPAN_SECONDS)


def bucket_of(span: int, offset: int) -> int:
    """What the disk keeps together: the sends of a span of time, and of a part of the log."""
    return span << 32 | offset >> _BUCKET_OFFSETS


def _span_in(bucket: int) -> int:
    return bucket >> 32 or bucket  # once they were whole spans


def _set(layer: bytearray, mask: int, value: int) -> None:
    bits, at = PROBES[value >> _PROBE_SHIFT & 63], value & mask
    layer[at] |= bits
    layer[at ^ (value >> _NEAR_SHIFT & _NEAR | 1)] |= bits


def _is_set(layers: list[tuple[bytearray, int]], value: int) -> bool:
    """Whether any of the layers has it, or seems to."""
    bits = PROBES[value >> _PROBE_SHIFT & 63]
    for layer, mask in layers:
        at = value & mask
        if layer[at] & bits == bits and layer[at ^ (value >> _NEAR_SHIFT & _NEAR | 1)] & bits == bits:
            return True
    return False


class Bloom:
    """A growing Bloom filter: a layer four times as large whenever the last one is full.

    A value has three bits in each of two bytes that are near each other, so that asking for it mostly looks
    at memory once. With four bytes a value one absent value in a thousand gets through a full layer; the
    largest one just fills up and lets more through.

    Attributes:
        layers: (bytes, mask of a hash's bits that number them), the one that is filled last.
    """

    __slots__ = ("_room", "layers")

    def __init__(self) -> None:
        self.layers: list[tuple[bytearray, int]] = []
        self._room = 0

    def add(self, values: Iterable[int]) -> None:
        """Adds signed 64-bit hashes."""
        for value in values:
            self.reserve(1)
            _set(*self.layers[-1], value)

    def reserve(self, count: int) -> bool:
        """Sees to room for so many more in the last layer, where whoever calls puts them.

        Returns:
            whether there is a new layer.
        """
        grown = False
        if self._room <= 0:
            size = _SMALLEST_FILTER
            if self.layers:
                size = min(len(self.layers[-1][0]) * 4, _LARGEST_FILTER)
            if not self.layers or size > len(self.layers[-1][0]):
                self.layers.append((bytearray(size), size - 1))
                grown = True
            self._room = size // 4
        self._room -= count
        return grown

    def __contains__(self, value: int) -> bool:
        return _is_set(self.layers, value)


class Dedupe:
    """Sends by the hash of their key.

    Attributes:
        recent: log offsets of the log's tail, by hash, in log order; committed or on the way.
        twins: further offsets under a hash that `recent` has, in log order: hardly ever any.
        blooms: per span of time, what was accepted and what is on the disk of it.
        unread: spans of which `blooms` has only what was accepted since start-up: the disk is asked always.
        layers: those of all filters.
        filling: the one that takes what is accepted now; see `turn_to`.
    """

    def __init__(self, seconds: float) -> None:
        self.recent: dict[int, int] = {}
        self.twins: dict[int, list[int]] = {}
        self.blooms: dict[int, Bloom] = {}
        self.unread: set[int] = set()
        self.layers: list[tuple[bytearray, int]] = []
        self.filling: tuple[bytearray, int] = (bytearray(1), 0)
        self.seconds = seconds
        self._bucket = -1
        self._buckets: dict[int, list[int]] = {}  # per span, those that the disk may have, in order
        self._counted = 0  # of `recent`, as filters' room
        self._filled: list[tuple[int, int]] = []  # (first log offset, bucket) of the tail, in order

    def load(self, connection: sqlite3.Connection) -> None:
        """Notes what is on the disk. The filters of that come later, see `filter_of`."""
        bucket: int | None = -(1 << 62)
        while bucket is not None:
            (bucket,) = connection.execute(
                "SELECT min(bucket) FROM dedupe WHERE bucket > ?", (bucket,)
            ).fetchone()
            if bucket is not None:
                span = _span_in(bucket)
                self.blooms[span] = Bloom()
                self.unread.add(span)
                self._note_bucket(span, bucket)
        self._renew_layers()

    def _note_bucket(self, span: int, bucket: int) -> None:
        buckets = self._buckets.setdefault(span, [])
        if bucket not in buckets:
            buckets.append(bucket)

    def buckets(self, span: int) -> tuple[int, ...]:
        """Those of a span that the disk may have, in the order of time."""
        return tuple(self._buckets.get(span, ()))

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
            self._note_bucket(span, bucket)
            if span not in self.blooms:
                self.blooms[span] = Bloom()
            self._renew_layers()
        bloom = self.blooms[span]
        count = len(self.recent)
        if bloom.reserve(count - self._counted):
            self._renew_layers()
        self._counted = count
        self.filling = bloom.layers[-1]

    def may_know(self, hashed: int) -> bool:
        """Whether any filter lets this hash through: nearly never, unless there is such a send."""
        # As `_is_set` has it; a call of its own would cost every send.
        bits = PROBES[hashed >> _PROBE_SHIFT & 63]
        for layer, mask in self.layers:
            at = hashed & mask
            if layer[at] & bits == bits and layer[at ^ (hashed >> _NEAR_SHIFT & _NEAR | 1)] & bits == bits:
                return True
        return bool(self.unread)

    def note(self, hashed: int, offset: int) -> None:
        """A send was accepted; `turn_to` has been called."""
        if hashed in self.recent:
            self.twins.setdefault(hashed, []).append(offset)
        else:
            self.recent[hashed] = offset
        # As `_set` has it, likewise.
        layer, mask = self.filling
        bits, at = PROBES[hashed >> _PROBE_SHIFT & 63], hashed & mask
        layer[at] |= bits
        layer[at ^ (hashed >> _NEAR_SHIFT & _NEAR | 1)] |= bits

    # What was accepted

    def in_tail(self, hashed: int) -> list[int]:
        """Log offsets in the tail that may have this key, newest first."""
        offset = self.recent.get(hashed)
        return [] if offset is None else [*reversed(self.twins.get(hashed, ())), offset]

    def on_disk(self, connection: sqlite3.Connection, now: Callable[[], float], hashed: int) -> list[int]:
        """Log offsets of older sends that may have this key, newest first."""
        found: list[int] = []
        oldest = 0
        for span, bloom in self.blooms.items():
            if span in self.unread or hashed in bloom:
                oldest = oldest or span_of(now() - self.seconds)
                if span < oldest:
                    continue
                for bucket in self._buckets.get(span, ()):
                    rows = connection.execute(
                        "SELECT offset FROM dedupe WHERE bucket = ? AND hash = ?", (bucket, hashed)
                    )
                    found.extend(offset for (offset,) in rows)
        if len(found) > 1:
            found.sort(reverse=True)
        return found

    # The disk

    def due(self, watermark: int, at_once: int) -> Iterator[list[Row]]:
        """Rows for the disk of all that is in the log up to there, sorted by bucket and hash.

        Made as they are taken, so that no turn of the reactor is long; `drop_up_to` comes after.

        Args:
            at_once: rows in one list.
        """
        offsets = list(self.recent.values())
        filled = self._filled
        for index, (first, bucket) in enumerate(filled):
            last = min(filled[index + 1][0] - 1 if index + 1 < len(filled) else watermark, watermark)
            start, end = bisect_right(offsets, first - 1), bisect_right(offsets, last)
            hashes = sorted(islice(self.recent, start, end))
            for begin in range(0, len(hashes), at_once):
                recent = self.recent
                yield [(bucket, hashed, recent[hashed]) for hashed in hashes[begin : begin + at_once]]
            twins = [
                (bucket, hashed, offset)
                for hashed, others in self.twins.items()
                for offset in others
                if first <= offset <= last
            ]
            if twins:
                yield sorted(twins)

    def drop_up_to(self, watermark: int) -> None:
        """Forgets in memory what the disk has."""
        recent = self.recent
        count = bisect_right(list(recent.values()), watermark)
        self.recent = dict(islice(recent.items(), count, None))
        if self.twins:
            # One that stays has the place of its twin that went.
            twins, self.twins = self.twins, {}
            kept = sorted(
                [(offset, hashed) for hashed, offset in self.recent.items()]
                + [(o, hashed) for hashed, others in twins.items() for o in others if o > watermark]
            )
            self.recent = {}
            for offset, hashed in kept:
                if hashed in self.recent:
                    self.twins.setdefault(hashed, []).append(offset)
                else:
                    self.recent[hashed] = offset
        self._counted = len(self.recent)
        while len(self._filled) > 1 and self._filled[1][0] <= watermark + 1:
            del self._filled[0]

    def install(self, span: int, bloom: Bloom) -> None:
        """Uses a filter that `filter_of` read."""
        if span in self.unread:
            self.unread.discard(span)
            self.blooms[span].layers[:0] = bloom.layers
            self._renew_layers()

    def expire(self, oldest: int) -> None:
        """Forgets spans before `oldest`, but for those in the tail: filters know whatever is there."""
        in_tail = {_span_in(bucket) for _, bucket in self._filled}
        for span in [span for span in self.blooms if span < oldest]:
            self.unread.discard(span)
            if span not in in_tail:
                del self.blooms[span]
                self._buckets.pop(span, None)
        self._renew_layers()

    def _renew_layers(self) -> None:
        self.layers = [layer for bloom in self.blooms.values() for layer in bloom.layers]


def filter_of(connection: sqlite3.Connection, buckets: Iterable[int]) -> Bloom:
    """Reads buckets of the disk into a filter; a second for a million sends, so it runs on a thread."""
    bloom = Bloom()
    for bucket in buckets:
        rows = connection.execute("SELECT hash FROM dedupe WHERE bucket = ?", (bucket,))
        bloom.add(hashed for (hashed,) in rows)
    return bloom
