"""Many rows of one table in few steps.

Python lets go of its lock for every step of a statement, and a thread that wants it back
from a busy one waits for it, up to 5 ms a time. `executemany` takes a step for every row.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from itertools import chain
from typing import Any

_AT_ONCE = (64, 16, 4, 1)
"""Rows in one step, as many as there are; five columns of them are far from SQLite's limit of parameters."""


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
        self._many = [(count, f"{self.one}{f', {row}' * (count - 1)}") for count in _AT_ONCE]

    def __call__(self, connection: sqlite3.Connection, rows: Sequence[Sequence[Any]]) -> None:
        """Puts the rows in, in their order; raises sqlite3.Error."""
        start = 0
        for count, statement in self._many:
            while len(rows) - start >= count:
                connection.execute(statement, [*chain.from_iterable(rows[start : start + count])])
                start += count
