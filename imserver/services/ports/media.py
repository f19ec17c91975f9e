"""The media servers behind the rooms, as the services need them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol


class MediaServers(Protocol):
    """The media servers that stand behind the rooms (document 003)."""

    def pick(self, room: str) -> Mapping[str, str] | None:
        """The addresses of the server that serves a room now; the same one on every node.

        Args:
            room: "<app>/<channel>".

        Returns:
            URLs by protocol, of "wss", "ws", "https", "http", "rtsp" those it has; None where no
            media server is configured, or none is healthy.
        """

    def watch(self, callback: Callable[[], None]) -> None:
        """Calls back whenever `pick` may give another answer than before: a server's health changed."""
