"""Bloom filters over hashes of client ids; see `dedupe`."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import combinations, cycle, islice
from mmap import MAP_ANONYMOUS, MAP_PRIVATE, mmap
from typing import Final

SMALLEST = 1 << 20
LARGEST = 1 << 23
"""Bytes of a filter's layer."""
PROBES: Final = tuple(islice(cycle(1 << one | 1 << two for one, two in combinations(range(8), 2)), 64))
"""Two bits of a byte, by six bits of a hash."""
HIGH: Final = 29
"""What a hash has above these bits says the rest: six bits which PROBE, then thrice six which other bytes of
the 64 around the one that the bits below name."""

Layer = tuple[mmap, int]
"""(bytes, mask of a hash's bits that number them). The kernel makes pages of them as they are touched: all
8 MiB of a bytearray at once kept everybody waiting for 20 ms."""


class Bloom:
    """A growing Bloom filter: a layer eight times as large when the first one is full.

    A value has two bits in each of four bytes that are near each other, so that asking for it looks at memory
    once. With two bytes a value, which the largest layer has for a full bucket, one absent value in four
    hundred gets through; with four bytes, as in the smaller ones before it, one in six thousand. The largest
    one just fills up and lets more through.

    Args:
        first: bytes of the first layer; 0 = a small one.

    Attributes:
        layers: the one that is filled last.
    """

    __slots__ = ("_first", "_room", "layers")

    def __init__(self, first: int = 0) -> None:
        self.layers: list[Layer] = []
        self._room = 0
        self._first = first or SMALLEST

    def add(self, values: Iterable[int]) -> None:
        """Adds signed 64-bit hashes."""
        for value in values:
            if self._room <= 0:
                self.reserve(0)
            self._room -= 1
            # In place, as in `Dedupe.note`: whoever starts waits for millions of these.
            layer, mask = self.layers[-1]
            high, at = value >> HIGH, value & mask
            bits = PROBES[high & 63]
            layer[at] |= bits
            layer[at ^ (high >> 6 & 63)] |= bits
            layer[at ^ (high >> 12 & 63)] |= bits
            layer[at ^ (high >> 18 & 63)] |= bits

    def reserve(self, count: int) -> bool:
        """Sees to room for so many more in the last layer, where whoever calls puts them.

        Returns:
            whether there is a new layer.
        """
        grown = False
        if self._room <= 0:
            size = min(len(self.layers[-1][0]) * 8, LARGEST) if self.layers else self._first
            if not self.layers or size > len(self.layers[-1][0]):
                self.layers.append((empty(size), size - 1))
                grown = True
            self._room = size // (2 if size == LARGEST else 4)
        self._room -= count
        return grown

    def __contains__(self, value: int) -> bool:
        return any(is_in(layer, value) for layer in self.layers)


def empty(size: int) -> mmap:
    """So many bytes, all 0."""
    return mmap(-1, size, flags=MAP_PRIVATE | MAP_ANONYMOUS)


def is_in(layer: Layer, value: int) -> bool:
    """Whether a layer lets a value through."""
    taken, mask = layer
    high, at = value >> HIGH, value & mask
    bits = PROBES[high & 63]
    return (
        taken[at] & bits == bits
        and taken[at ^ (high >> 6 & 63)] & bits == bits
        and taken[at ^ (high >> 12 & 63)] & bits == bits
        and taken[at ^ (high >> 18 & 63)] & bits == bits
    )
