"""Many users known, many of them connected: how long a start takes, and what a message costs then."""

from __future__ import annotations

import itertools
import os
import time
from pathlib import Path
from typing import Any

from twisted.internet.defer import ensureDeferred
from twisted.internet.task import Clock

from benchmarks import servers
from benchmarks.figures import Measured
from benchmarks.loads import close, many, one_to_one
from benchmarks.rates import measured
from benchmarks.servers import Running
from benchmarks.speakers import connect_user
from imserver.backends.embedded.database import FileDatabase
from imserver.backends.embedded.memory import deterministic_cellar
from imserver.model.accounts import Account

BATCH = 1_000
"""Accounts of one transaction."""
AT_ONCE = 200
FORMAT = "protobuf"
"""Of the pairs that chat."""


def name(number: int) -> str:
    """Of a known user."""
    return f"known{number:06}"


def prepare(data: Path, users: int) -> None:
    """Makes a data directory with so many accounts, by the store's own interface."""
    data.mkdir(exist_ok=True)
    clock = Clock()
    cellar = deterministic_cellar(clock, database=FileDatabase(data), wall=time.time, random_bytes=os.urandom)
    cellar.open()
    for first in range(0, users, BATCH):
        made = [
            ensureDeferred(cellar.directory.create_account(Account(name(number), "", created_at=1.0)))
            for number in range(first, min(first + BATCH, users))
        ]
        while not all(one.called for one in made):
            clock.advance(0)
    closed = ensureDeferred(cellar.close())
    while not closed.called:
        clock.advance(0.01)


def server(users: int) -> Any:
    """A server that knows so many users, as a context manager; see `servers.imserver`."""
    return servers.imserver(prepare=lambda data: prepare(data, users))


async def connect(running: Running, sessions: int, users: int) -> tuple[list[Any], float]:
    """So many of the known users come, spread over all; their connections, and how many came a second."""
    names = [name(number * users // sessions) for number in range(sessions)]
    formats = dict(zip(names, itertools.cycle(("protobuf", "jsonline", "qdatastream")), strict=False))
    begun = time.perf_counter()
    speakers = await many(lambda user: connect_user(formats[user], running.ports, user), names, AT_ONCE)
    return speakers, sessions / (time.perf_counter() - begun)


async def among(
    few: Running, running: Running, sessions: int, users: int, seconds: float
) -> tuple[Measured, float]:
    """Messages of 100 pairs while so many are connected beside them; and how fast these came.

    Args:
        few: a server that knows few users; what its pairs say is the measure.
    """
    speakers, log_ins = await connect(running, sessions, users)
    for speaker in speakers:
        speaker.sign_of_life()  # the first ones came a while ago
    result = await measured(await one_to_one(running, FORMAT), seconds, await one_to_one(few, FORMAT))
    if any(speaker.ended.done() for speaker in speakers):
        raise RuntimeError("the crowd was not there all the time")
    await close(speakers)
    return result, log_ins
