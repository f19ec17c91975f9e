"""Many rows of one table in few steps.

Python lets go of its lock for every step of a statement, and a thread that wants it back
from a busy one waits for it, up to 5 ms a time. `executemany` takes a step for every row.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from itertools import chain
from typing import Any

_AT_ONCE = 64
"""Rows in one step; five columns of them are far from SQLite's limit of parameters."""


class Insert:
    """One INSERT statement of some columns.

    Attributes:
        one: the statement for a single row.

    Args:
        into: all of it before VALUES.
        columns: their number.
    """

    __slots__ = ("_many", "one")

    def __init__(self, into: str, columns: int) -> None:
        row = f"({', '.join('?' * columns)})"
        self.one = f"{into} VALUES {row}"
        self._many = f"{self.one}{f', {row}' * (_AT_ONCE - 1)}"

    def __call__(self, connection: sqlite3.Connection, rows: Sequence[Sequence[Any]]) -> None:
        """Puts the rows in, in their order; raises sqlite3.Error."""
        end = len(rows) - len(rows) % _AT_ONCE
        for start in range(0, end, _AT_ONCE):
            connection.execute(self._many, [*chain.from_iterable(rows[start : start + _AT_ONCE])])
        if end < len(rows):
            connection.executemany(self.one, rows[end:])
