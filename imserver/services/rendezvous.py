"""Weighted rendezvous hashing: which of several servers a key belongs to.

Every server draws a number for every key, from nothing but its own name and the key, and
the best number wins. So all nodes agree without asking each other; a server that is gone
leaves only its own keys to the others, each to its second best; and one that comes back
gets exactly these again. The numbers are exponentially distributed with the weight as
rate, which gives each server its weight's share of all keys.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable
from functools import lru_cache

from msgspec import Struct

_BITS = 52


class Candidate(Struct, frozen=True):
    """Who takes part.

    Attributes:
        name: unique; another name draws other numbers.
        weight: > 0; twice the weight gets twice the keys.
    """

    name: str
    weight: float = 1.0


@lru_cache(maxsize=256)
def _hasher(name: str) -> hashlib.blake2b:
    return hashlib.blake2b(key=hashlib.blake2b(name.encode()).digest(), digest_size=8)


def draw(name: str, key: str) -> float:
    """A number that looks like chance but always is the same, exponentially distributed around 1."""
    digest = _hasher(name).copy()
    digest.update(key.encode())
    # 52 bits and a half: never 0, and never rounded to 1.
    number = (int.from_bytes(digest.digest(), "big") >> (64 - _BITS)) + 0.5
    return -math.log(number / (1 << _BITS))


def choose(candidates: Iterable[Candidate], key: str) -> Candidate | None:
    """The one that a key belongs to; None where there is none. The order does not matter."""
    return min(
        candidates,
        key=lambda candidate: (draw(candidate.name, key) / candidate.weight, candidate.name),
        default=None,
    )
