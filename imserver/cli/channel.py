"""Whole frames over a blocking socket."""

from __future__ import annotations

import socket
from typing import Protocol

MAX_LINE = 4 * 1024 * 1024
_RECEIVE = 65_536


class ChannelClosed(Exception):
    """The connection ended; the text is one line for the person in front of it."""


class Channel(Protocol):
    """A connection that carries frames."""

    def fileno(self) -> int:
        """For select; what TLS holds back is not seen there."""

    def send(self, frame: bytes) -> None:
        """Sends one frame."""

    def receive(self) -> list[bytes]:
        """Waits for bytes once and gives the frames that are whole now, maybe none.

        Raises:
            ChannelClosed: the end; TimeoutError: nothing came in the socket's time; OSError.
        """

    def close(self) -> None:
        """Says goodbye and closes."""


class LineChannel:
    """Frames that end with a line feed; see Channel."""

    def __init__(self, link: socket.socket) -> None:
        self._link = link
        self._buffer = bytearray()

    def fileno(self) -> int:
        """See Channel."""
        return self._link.fileno()

    def send(self, frame: bytes) -> None:
        """See Channel."""
        self._link.sendall(frame + b"\n")

    def receive(self) -> list[bytes]:
        """See Channel."""
        data = self._link.recv(_RECEIVE)
        if not data:
            raise ChannelClosed("the server hung up")
        self._buffer += data
        if b"\n" not in data:
            if len(self._buffer) > MAX_LINE:
                raise ChannelClosed("the server's line is too long")
            return []
        *lines, rest = bytes(self._buffer).split(b"\n")
        self._buffer = bytearray(rest)
        return [line for line in lines if line.strip()]

    def close(self) -> None:
        """See Channel."""
        self._link.close()
