"""What Autobahn would log of each connection is put into words only where it is logged.

It makes coloured texts of each handshake and each end for lines that nobody asked for: a thirtieth of what a
log-in costs. Here the logger gets the values as they are, and makes texts of them where it writes a line.
"""

from __future__ import annotations

from typing import Any

from autobahn.websocket import protocol


def _plain(value: Any, **colours: object) -> Any:
    return value


def _named(function: Any) -> str:
    return str(getattr(function, "__qualname__", function))


def defer_texts() -> None:
    """For this process; where Autobahn has no such functions any more, nothing is changed."""
    for name, instead in (("hltype", _named), ("hlval", _plain), ("pformat", _plain)):
        if hasattr(protocol, name):
            setattr(protocol, name, instead)
