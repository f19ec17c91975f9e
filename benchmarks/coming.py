"""How many connections come, say who they are, and go in a second, in turn with the bare echo's.

As with messages (`rates`) what is a ratio is measured in turn, here some hundred connections at a time.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Awaitable, Callable

from benchmarks.figures import Measured
from benchmarks.loads import close, many
from benchmarks.machine import PATIENCE, TAKEN, Theft
from benchmarks.servers import Running
from benchmarks.speakers import LineSpeaker, WebSocketSpeaker, connect, connect_user

EACH = 500
"""Connections that come before it is the other one's turn."""
WARM_UP = 100

Once = Callable[[str], Awaitable[None]]
"""One that comes and goes, by its user."""


async def connections(echo: Running, count: int) -> float:
    """Connections a second to the bare echo: handshake, one message, close."""
    return count / await _seconds(_to_echo(echo), [""] * count)


async def log_ins(server: Running, format: str, count: int, echo: Running | None) -> Measured:
    """Connections a second that are opened, logged in by a signed token, and closed.

    Args:
        echo: in turn with it; None = not.
    """
    users = ("alice", "bob", "carol", "dave")
    names = [users[number % 4] for number in range(count)]
    once = await _by_token(server, format, users)
    if echo is None:
        return Measured(count / await _seconds(once, names))
    sides = [(once, echo), (_to_echo(echo), server)]  # each with who stands still meanwhile
    del names[EACH:]
    rounds: list[list[float]] = []
    undisturbed: list[list[float]] = []
    wanted = count // len(names)
    for side, _ in sides:
        await _seconds(side, names[:WARM_UP])
    while len(undisturbed) < wanted and len(rounds) < PATIENCE * wanted:
        order = -1 if len(rounds) % 2 else 1  # so that what drifts favours none
        theft = Theft()
        took = [await _alone(side, names, other) for side, other in sides[::order]]
        rounds.append(took[::order])
        if theft.share <= TAKEN:
            undisturbed.append(rounds[-1])
    counted = undisturbed if len(undisturbed) == wanted else rounds
    mine, echos = (len(counted) * len(names) / sum(seconds) for seconds in zip(*counted, strict=True))
    return Measured(mine, measure=echos)


async def _alone(once: Once, names: list[str], other: Running) -> float:
    """Seconds that these take, while the other server stands still as a whole."""
    os.kill(other.pid, signal.SIGSTOP)
    try:
        return await _seconds(once, names)
    finally:
        os.kill(other.pid, signal.SIGCONT)


async def _seconds(once: Once, names: list[str]) -> float:
    begun = time.perf_counter()
    await many(once, names)
    return time.perf_counter() - begun


async def _by_token(server: Running, format: str, users: tuple[str, ...]) -> Once:
    tokens: dict[str, str] = {}
    for user in users:
        speaker = await connect(LineSpeaker, server.ports["jsonline"])
        answer = await speaker.request("auth/login", {"username": user, "password": user})
        tokens[user] = answer["token"]
        await close([speaker])

    async def once(user: str) -> None:
        await close([await connect_user(format, server.ports, user, tokens[user])])

    return once


def _to_echo(echo: Running) -> Once:
    async def once(_: str) -> None:
        speaker = await connect(WebSocketSpeaker, echo.ports["echo"])
        speaker.send(b"x")
        await speaker.receive()
        await close([speaker])

    return once
