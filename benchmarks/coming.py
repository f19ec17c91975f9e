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
    once = await _by_token(server, format, users)
    if echo is None:
        return Measured(count / await _seconds(once, [users[number % 4] for number in range(count)]))
    sides = [(server, once), (echo, _to_echo(echo))]
    each = min(count, EACH)
    names = [users[number % 4] for number in range(each)]
    rounds: list[list[float]] = []
    undisturbed: list[list[float]] = []
    wanted = max(1, count // each)
    for _, side in sides:
        await _seconds(side, names[:WARM_UP])
    while len(undisturbed) < wanted and len(rounds) < PATIENCE * wanted:
        backwards = len(rounds) % 2 == 1  # so that what drifts favours none
        theft = Theft()
        took = [await _alone(side, sides, names) for side in (sides[::-1] if backwards else sides)]
        rounds.append(took[::-1] if backwards else took)
        if theft.share <= TAKEN:
            undisturbed.append(rounds[-1])
    counted = undisturbed if len(undisturbed) == wanted else rounds
    mine, echos = (sum(seconds) for seconds in zip(*counted, strict=True))
    return Measured(len(counted) * each / mine, measure=len(counted) * each / echos)


async def _alone(side: tuple[Running, Once], sides: list[tuple[Running, Once]], names: list[str]) -> float:
    """Seconds that these take, while the other server stands still as a whole."""
    others = [server for server, _ in sides if server is not side[0]]
    for other in others:
        os.kill(other.pid, signal.SIGSTOP)
    try:
        return await _seconds(side[1], names)
    finally:
        for other in others:
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
