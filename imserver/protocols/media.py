"""Media of a call that waits for one peer: behind everything else, bounded, the oldest dropped."""

from __future__ import annotations

import contextlib
import socket
from collections import deque
from typing import Any

from imserver.protocols.flushing import Budget

UNSENT = 128 * 1024
"""Bytes the kernel takes of a connection with media beyond what is on its way: what else is written
has to wait for these, and what is dropped is older the more of them there are."""


class MediaQueue:
    """Frames of media for one peer.

    Attributes:
        size: bytes that wait here.

    Args:
        limit: bytes that may wait here; the newest frame always may.
    """

    __slots__ = ("_budget", "_frames", "_limit", "_sending", "size")

    def __init__(self, limit: int, budget: Budget) -> None:
        self._limit = limit
        self._budget = budget
        self._frames: deque[bytes] = deque()
        self._sending = 0  # bytes the transport has and may still hold
        self.size = 0

    def put(self, frame: bytes) -> int:
        """Queues a frame. Returns how many were dropped for it, or 1 if there is no room for itself."""
        count = len(frame)
        budget, frames = self._budget, self._frames
        dropped = 0
        while frames and (self.size + count > self._limit or not budget.media_fits(count)):
            oldest = len(frames.popleft())
            self.size -= oldest
            budget.release_media(oldest)
            dropped += 1
        if not budget.media_fits(count):
            return dropped + 1
        frames.append(frame)
        self.size += count
        budget.take_media(count)
        return dropped

    def take(self, most: int) -> bytes:
        """The oldest frame for the transport, and those behind it that fit into so many bytes with it."""
        frames = self._frames
        size = len(frames[0])
        taken = [frames.popleft()]
        while frames and size + len(frames[0]) <= most:
            size += len(frames[0])
            taken.append(frames.popleft())
        self.size -= size
        self._sending += size
        return taken[0] if len(taken) == 1 else b"".join(taken)

    @property
    def sending(self) -> bool:
        """Whether the transport may still hold some."""
        return self._sending > 0

    def sent(self) -> None:
        """The transport has given on what it was given."""
        count, self._sending = self._sending, 0
        self._budget.release_media(count)

    def clear(self) -> int:
        """Forgets what waits here; returns how many frames that were."""
        dropped = len(self._frames)
        self._frames.clear()
        count, self.size = self.size, 0
        self._budget.release_media(count)
        return dropped


def keep_unsent_low(transport: Any) -> None:
    """Has the kernel take no more for a peer than is soon on its way; other transports stay as they are."""
    # A TLS transport wraps the one that has the socket.
    for _ in range(4):
        found = getattr(transport, "socket", None)
        if found is not None:
            with contextlib.suppress(OSError, ValueError):
                found.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT)
            if hasattr(transport, "asks_first"):
                # It says that there is room where half of that is; it would take twice as much.
                transport.asks_first = True
            return
        transport = getattr(transport, "transport", None)
