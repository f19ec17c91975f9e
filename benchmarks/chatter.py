"""A few pairs that chat in a process of their own: what the load program does meanwhile does not count.

`python -m benchmarks.chatter PORTS RATE` is what `Chatter` starts: it chats until its input ends, and
answers each line of input with the delays since the one before.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import AsyncIterator

from benchmarks.delays import Steady, percentile
from benchmarks.machine import LOAD_CORE, pin
from benchmarks.rates import WARM_UP
from benchmarks.servers import Running

PAIRS = 10


class Chatter:
    """The process, seen from the load program."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def p99_ms(self) -> float:
        """Of what was sent since the last call, milliseconds; waits until it has arrived."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(b"\n")
        return float(await self._process.stdout.readline())


@contextlib.asynccontextmanager
async def chatting(server: Running, per_second: float) -> AsyncIterator[Chatter]:
    """Chats at that rate meanwhile."""
    arguments = ("-m", "benchmarks.chatter", json.dumps(server.ports), str(per_second))
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *arguments,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        cwd=os.getcwd(),
    )
    try:
        chatter = Chatter(process)
        await chatter.p99_ms()  # it has logged in and is warm
        yield chatter
    finally:
        assert process.stdin is not None
        process.stdin.close()
        await process.wait()


async def chat(ports: dict[str, int], per_second: float) -> None:
    """The other process."""
    loop = asyncio.get_running_loop()
    steady = Steady(per_second)
    await steady.connect(ports, "jsonline", PAIRS)
    await steady.chat(WARM_UP)
    going = asyncio.ensure_future(steady.chat(float("inf")))
    while await loop.run_in_executor(None, sys.stdin.readline):
        going.cancel()
        await steady.settled()
        print(percentile(steady.take(), 99) * 1000, flush=True)
        going = asyncio.ensure_future(steady.chat(float("inf")))
    going.cancel()
    await steady.close()


if __name__ == "__main__":
    pin(LOAD_CORE)
    asyncio.run(chat(json.loads(sys.argv[1]), float(sys.argv[2])))
