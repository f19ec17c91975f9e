"""New connections come in a few at a time, so that those that are there are served in between.

Twisted accepts a hundred and more in one turn of the reactor. After an outage thousands come back at once,
each with a handshake and a log-in; messages would wait behind all of them, turn after turn. What is not
accepted yet waits in the kernel, in its order (`backlog` of the endpoint).
"""

from __future__ import annotations

from typing import Any

from twisted.internet.tcp import Port

from imserver.tap.fast_loop import loop_of
from imserver.tap.garbage import Newcomers

PER_TURN = 2
"""Connections that one port accepts in a turn of the reactor. An idle turn takes some 50 µs, so that this
limits nobody who comes in peace."""

TURNS_FOR_ONE = 8
"""Where very many newcomers wait to be read, one is accepted in so many turns: those who are never done, as
programs that ask over HTTP again and again, must not keep everybody else out."""

WAITING = 4096
"""Connections that may wait in the kernel, where an endpoint says nothing else; it may have a lower limit of
its own (`net.core.somaxconn`)."""


def pace(port: Any, newcomers: Newcomers) -> None:
    """Has a listening port accept a few connections at a time; other kinds of ports stay as they are."""
    if not isinstance(port, Port):
        return
    if port.backlog == Port.backlog:  # Twisted's default, 50
        port.socket.listen(WAITING)
    accept, turns = port.doRead, 0

    def few() -> None:
        nonlocal turns
        loop = loop_of(port.reactor)
        many = PER_TURN
        if loop is not None and loop.full:
            turns += 1
            if turns % TURNS_FOR_ONE:
                return  # the kernel tells of them again
            many = 1
        # Twisted's own measure, which it raises while connections wait and lowers otherwise.
        port.numberAccepts = min(port.numberAccepts, many)
        accept()  # type: ignore[no-untyped-call]
        newcomers.came()

    port.doRead = few  # type: ignore[method-assign]
