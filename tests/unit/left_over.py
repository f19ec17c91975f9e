"""Finds what is left over: objects that only the collector of cycles would free, or nobody."""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Callable
from typing import Any

from imserver.http.answers import Refused
from imserver.model.errors import ImError
from imserver.wire.base import WireError

ROUNDS = 3


def _errors() -> int:
    return sum(isinstance(one, (ImError, WireError, Refused)) for one in gc.get_objects())


def left_over(visit: Callable[[], Any]) -> Counter[str]:
    """Whose objects the collector finds after some visits, by class; and the errors it never finds."""
    visit()  # what is made once for all
    while gc.collect():  # what others left, and what came to light with that
        pass
    errors = _errors()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        for _ in range(ROUNDS):
            visit()
        gc.collect()
        found = Counter(f"{type(one).__module__}.{type(one).__qualname__}" for one in gc.garbage)
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.collect()
    # Structs that are exempt from the collector hide a cycle that leads through them from it.
    found["errors for good"] = _errors() - errors
    return Counter({name: count for name, count in found.items() if count >= ROUNDS})
