"""Ports for servers that a test starts and that can only be told a number."""

from __future__ import annotations

import random
import socket

_CHOICE = random.SystemRandom()
_FIRST, _LAST = 15_000, 32_000
"""Below those that Linux gives away on its own, so that nobody gets one by chance before it is used."""


def free_port() -> int:
    """A TCP port that nobody has on the loopback interface now."""
    while True:
        port = _CHOICE.randint(_FIRST, _LAST)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
