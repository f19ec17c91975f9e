"""Bloom filters over hashes of client ids; see `dedupe`."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import combinations, cycle, islice
from typing import Final

_SMALLEST_FILTER = 1 << 20
_LARGEST_FILTER = 1 << 25
"""Bytes of a filter's layer."""
PROBES: Final = tuple(
    islice(cycle(1 << one | 1 << two | 1 << three for one, two, three in combinations(range(8), 3)), 64)
)
"""Three bits of a byte, by six bits of a hash."""
PROBE_SHIFT: Final = 57
NEAR_SHIFT: Final = 43
NEAR: Final = 62
"""Five bits of a hash, and one that is set: where a value's second byte is in the 64 around its first."""

Layer = tuple[bytearray, int]
"""(bytes, mask of a hash's bits that number them)"""


class Bloom:
    """A growing Bloom filter: a layer four times as large whenever the last one is full.

    A value has three bits in each of two bytes that are near each other, so that asking for it mostly looks
    at memory once. With four bytes a value one absent value in a thousand gets through a full layer; the
    largest one just fills up and lets more through.

    Attributes:
        layers: the one that is filled last.
    """

    __slots__ = ("_room", "layers")

    def __init__(self) -> None:
        self.layers: list[Layer] = []
        self._room = 0

    def add(self, values: Iterable[int]) -> None:
        """Adds signed 64-bit hashes."""
        for value in values:
            if self._room <= 0:
                self.reserve(0)
            self._room -= 1
            # In place, as in `Dedupe.note`: whoever starts waits for millions of these.
            layer, mask = self.layers[-1]
            bits, at = PROBES[value >> PROBE_SHIFT & 63], value & mask
            layer[at] |= bits
            layer[at ^ (value >> NEAR_SHIFT & NEAR | 1)] |= bits

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
        return any(is_in(layer, value) for layer in self.layers)


def is_in(layer: Layer, value: int) -> bool:
    """Whether a layer lets a value through."""
    bits, at = PROBES[value >> PROBE_SHIFT & 63], value & layer[1]
    return layer[0][at] & bits == bits and layer[0][at ^ (value >> NEAR_SHIFT & NEAR | 1)] & bits == bits
