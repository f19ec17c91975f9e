"""Locks by name that are there only while somebody uses them."""

from __future__ import annotations

from twisted.internet.defer import DeferredLock


class NamedLock:
    """`async with NamedLock(locks, name)`: one at a time for each name."""

    def __init__(self, locks: dict[str, DeferredLock], name: str) -> None:
        self._locks = locks
        self._name = name

    async def __aenter__(self) -> None:
        self._lock = self._locks.setdefault(self._name, DeferredLock())
        await self._lock.acquire()

    async def __aexit__(self, *exception: object) -> None:
        self._lock.release()
        if not self._lock.locked and not self._lock.waiting:
            self._locks.pop(self._name, None)
