"""Everybody's connection is lost, and all come back at once, while a few pairs go on chatting."""

from __future__ import annotations

import asyncio
import itertools
import re
import time
import urllib.request
from typing import Any, NamedTuple

from benchmarks.chatter import PAIRS, chatting
from benchmarks.loads import close, fresh, many
from benchmarks.machine import cpu_seconds
from benchmarks.servers import Running
from benchmarks.speakers import connect_user

AT_ONCE = 1000
"""Connections that come back at the same time: what the listener's queue takes."""
_READS = re.compile(r"^imserver_store_reads_total (\S+)$", re.MULTILINE)
_OPEN = re.compile(r"^imserver_connections (\S+)$", re.MULTILINE)


class Storm(NamedTuple):
    """What became of one.

    Attributes:
        seconds: until all were logged in again.
        times: the chat's p99 meanwhile, as a multiple of that before.
        reads: pages of messages, changes and files that were read for each session that came back;
            none had missed anything.
        cpu_ms: the server's processor time for each of them.
        before_ms / meanwhile_ms / cut_ms: the chat's p99; the last while the connections were lost.
    """

    seconds: float
    times: float
    reads: float
    cpu_ms: float
    before_ms: float
    meanwhile_ms: float
    cut_ms: float


async def storm(server: Running, sessions: int, seconds: float, per_second: float = 200.0) -> Storm:
    """See the module. Args: seconds: how long the chat is watched before."""
    users = fresh(sessions)
    formats = dict(zip(users, itertools.cycle(("protobuf", "jsonline")), strict=False))

    async def enter(user: str) -> Any:
        return await connect_user(formats[user], server.ports, user)

    speakers = await many(enter, users)
    async with chatting(server, per_second) as chatter:
        await asyncio.sleep(seconds)
        before = await chatter.p99_ms()
        for speaker in speakers:
            speaker.transport.abort()
        await _left_alone(server)
        cut = await chatter.p99_ms()
        reads, used = await store_reads(server), cpu_seconds(server.pid)
        begun = time.perf_counter()
        again = await many(enter, users, AT_ONCE)
        took = time.perf_counter() - begun
        meanwhile = await chatter.p99_ms()
        used = cpu_seconds(server.pid) - used
        reads = await store_reads(server) - reads
    await close([*again])
    return Storm(took, meanwhile / before, reads / sessions, used / sessions * 1000, before, meanwhile, cut)


async def store_reads(server: Running) -> float:
    """How often anything was read in pages, since the server's start."""
    return float(_READS.findall(await _metrics(server))[0])


async def _left_alone(server: Running) -> None:
    """Waits until the server has noticed that all but those who chat are gone."""
    while float(_OPEN.findall(await _metrics(server))[0]) > 2 * PAIRS + 1:
        await asyncio.sleep(0.1)


async def _metrics(server: Running) -> str:
    # For programs on this machine, which have to ask for it by this name.
    url = f"http://localhost:{server.ports['/meeting']}/metrics"
    return await asyncio.to_thread(lambda: urllib.request.urlopen(url).read().decode())
