"""Messages that are taken back while they are being read.

A page is read while the store goes on (by another thread, or over another connection than the news).
A revoke that is committed meanwhile is told at once, and the page would come after
that with the content: such a page is read again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

from imserver.model.messages import Message

Page = TypeVar("Page")


class TakenBack:
    """What was taken back since the oldest reading that is under way began."""

    def __init__(self) -> None:
        self._revoked: deque[str] = deque()
        self._first = 0  # the number of the first one kept
        self._readings: dict[object, int] = {}  # in the order of their beginning: what was next then

    def add(self, message_id: str) -> None:
        """A revoke was committed; nobody has been told yet."""
        if self._readings:
            self._revoked.append(message_id)

    async def read(
        self, read: Callable[[], Awaitable[Page]], messages: Callable[[Page], Iterable[Message]]
    ) -> Page:
        """Reads a page until none of its content was taken back meanwhile.

        Args:
            messages: those in a page.
        """
        reading = object()
        self._readings[reading] = self._first + len(self._revoked)
        try:
            while True:
                page = await read()
                if not self._revoked or not self._spoils(messages(page)):
                    return page
        finally:
            del self._readings[reading]
            self._forget()

    def _spoils(self, messages: Iterable[Message]) -> bool:
        revoked = set(self._revoked)
        return any(message.revoked is None and message.message_id in revoked for message in messages)

    def _forget(self) -> None:
        if not self._readings:
            self._revoked.clear()
            self._first = 0
            return
        oldest = next(iter(self._readings.values()))
        while self._revoked and self._first < oldest:
            self._revoked.popleft()
            self._first += 1
