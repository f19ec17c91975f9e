"""Frames that wait until those before them are done."""

from __future__ import annotations

from collections import deque

from imserver.wire.base import WireError

QUEUED_FRAMES = 64
QUEUED_BYTES = 64 * 1024
"""Waiting frames from which on the connection should not be read."""


class WaitingFrames:
    """A queue that knows when it is long."""

    __slots__ = ("_bytes", "_frames")

    def __init__(self) -> None:
        self._frames: deque[bytes | WireError] = deque()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._frames)

    @property
    def long(self) -> bool:
        """Whether nothing more should be read."""
        return len(self._frames) >= QUEUED_FRAMES or self._bytes >= QUEUED_BYTES

    def append(self, frame: bytes | WireError) -> None:
        """The next frame, or what the framing has to say instead of one."""
        self._frames.append(frame)
        if type(frame) is bytes:
            self._bytes += len(frame)

    def take(self) -> bytes | WireError:
        """The oldest one. IndexError if there is none."""
        frame = self._frames.popleft()
        if type(frame) is bytes:
            self._bytes -= len(frame)
        return frame

    def clear(self) -> None:
        """Forgets all."""
        self._frames.clear()
        self._bytes = 0
