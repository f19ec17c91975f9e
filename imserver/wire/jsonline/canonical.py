"""The one form of a JSON value that both sides sign: RFC 8785.

Numbers are what JavaScript makes of them (IEEE 754 doubles), so an integer beyond
2^53 - 1 is signed as the nearest double, whoever signs.
"""

from __future__ import annotations

from typing import Any

import rfc8785

from imserver.model.ids import MAX_JSON_INTEGER


def canonical(value: Any) -> bytes:
    """The canonical JSON of a value made of None, bool, int, float, str, list and dict.

    Raises:
        ValueError: it has none: a number beyond the doubles, a lone surrogate, too deep a nesting.
    """
    try:
        try:
            return rfc8785.dumps(value)
        except rfc8785.IntegerDomainError:
            return rfc8785.dumps(_doubles(value))
    except (OverflowError, RecursionError) as fault:
        raise ValueError("the value has no canonical form") from fault


def _doubles(value: Any) -> Any:
    """The value with its large integers as doubles."""
    if isinstance(value, dict):
        return {key: _doubles(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_doubles(item) for item in value]
    if type(value) is int and not -MAX_JSON_INTEGER <= value <= MAX_JSON_INTEGER:
        return float(value)
    return value
