"""The answers a session remembers, so that a retried request is answered again and not done again."""

from __future__ import annotations

from typing import Any, NamedTuple

REMEMBERED = 128
"""Answers per session."""
REMEMBERED_SECONDS = 600.0
REMEMBERED_BYTES = 16 * 1024
"""Longer answers are not kept: they are lists, which may as well be read again."""


class Remembered(NamedTuple):
    """What was asked under an id, how it was answered, and when (reactor seconds)."""

    command: Any
    frames: list[bytes]
    at: float


class RetryMemory:
    """The latest answers by retry id. Refusals are not remembered: such a request is done anew."""

    __slots__ = ("_answers",)

    def __init__(self) -> None:
        self._answers: dict[str, Remembered] = {}

    def find(self, retry_id: str, now: float) -> Remembered | None:
        """What was answered under this id, if it is not too long ago."""
        known = self._answers.get(retry_id)
        if known is None or now - known.at >= REMEMBERED_SECONDS:
            return None
        return known

    def remember(self, retry_id: str, command: Any, frames: list[bytes], now: float) -> None:
        """Keeps an answer; the oldest ones make room."""
        if sum(map(len, frames)) > REMEMBERED_BYTES:
            return
        answers = self._answers
        answers.pop(retry_id, None)
        answers[retry_id] = Remembered(command, frames, now)
        for oldest in list(answers):
            if len(answers) <= REMEMBERED and now - answers[oldest].at < REMEMBERED_SECONDS:
                break
            del answers[oldest]
