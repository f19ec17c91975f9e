"""What the services need of whoever runs threads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol


class Threads(Protocol):
    """Where blocking work goes (password hashing, disk reads)."""

    def call(self, function: Callable[..., Any], *args: Any) -> Any:
        """Runs it elsewhere; returns an awaitable of its result.

        Raises:
            ImError: UNAVAILABLE if the queue is full, at once.
        """
