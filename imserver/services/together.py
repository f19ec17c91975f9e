"""Many questions to a backend at once: over a network it is the round trips that take time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from itertools import islice
from typing import Any, TypeVar

from twisted.internet.defer import Deferred, ensureDeferred

A = TypeVar("A")
T = TypeVar("T")

AT_ONCE = 100


async def together(ask: Callable[[A], Awaitable[T]], about: Iterable[A], at_once: int = AT_ONCE) -> list[T]:
    """What is answered about each, in order; so many are asked at a time. Raises as the first that fails."""
    answers: list[T] = []
    remaining = iter(about)
    while batch := list(islice(remaining, at_once)):
        answers += await _all([ensureDeferred(_asked(ask, one)) for one in batch])
    return answers


async def _asked(ask: Callable[[A], Awaitable[T]], one: A) -> T:
    return await ask(one)


async def _all(asked: Sequence[Deferred[Any]]) -> list[Any]:
    for one in asked:
        one.addErrback(lambda failure: failure.value)
    answers = [await one for one in asked]
    for answer in answers:
        if isinstance(answer, BaseException):
            raise answer
    return answers
