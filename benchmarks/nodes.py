"""`python -m benchmarks.nodes`: durable messages through one, two and three nodes over one Redis.

Beside a bare EVALSHA loop through txredisapi over the same Redis, in the same run. Nodes, Redis and load
share the machine, so what it has to give is soon shared out; the figures to reckon with
are the processor times a message costs Redis and a node (docs/scaling.md).
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from benchmarks import servers
from benchmarks.loads import TEXT, Windows, fresh
from benchmarks.machine import Busy, alone, cpu_seconds
from benchmarks.rates import WARM_UP
from benchmarks.speakers import Speaker, connect_user
from tests.redis.server import RedisServer

PAIRS = 60
WINDOW = 16
MEMBERS = 200


class Spent(NamedTuple):
    """Seconds, processor time of Redis and of the nodes, publications, and bytes that Redis keeps."""

    seconds: float
    redis: float
    nodes: float
    published: float
    kept: float


class Costs:
    """What was done between two looks, and what it cost.

    Args:
        redis: the one Redis.
        nodes: the servers' process ids; their time is added up.
    """

    def __init__(self, redis: RedisServer, nodes: list[int]) -> None:
        self._redis = redis
        self._nodes = nodes
        self._begun = self._look()

    def _look(self) -> Spent:
        published = re.search(r"cmdstat_publish:calls=(\d+)", self._redis.info("commandstats"))
        kept = re.search(r"used_memory:(\d+)", self._redis.info("memory"))
        return Spent(
            time.perf_counter(),
            cpu_seconds(self._redis.pid),
            sum(cpu_seconds(node) for node in self._nodes),
            int(published[1]) if published else 0,
            int(kept[1]) if kept else 0,
        )

    def since(self) -> Spent:
        """What was spent."""
        return Spent(*(after - before for after, before in zip(self._look(), self._begun, strict=True)))


@contextlib.contextmanager
def nodes(redis: RedisServer, count: int) -> Iterator[list[servers.Running]]:
    """So many nodes that share one folder of keys."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="imserver-benchmark-keys-")))
        folder.chmod(0o700)
        running = [
            stack.enter_context(
                servers.imserver(
                    more=(
                        "store.engine=redis",
                        f"store.url={redis.url}",
                        f"node=node{number}",
                        f"keys_dir={folder}",
                        f"files.directory={folder}",
                    ),
                    pinned=False,
                )
            )
            for number in range(count)
        ]
        time.sleep(3)  # until each has seen all the others
        yield running


def _ignore(count: int) -> None:
    pass


async def one_to_one(redis: RedisServer, running: list[servers.Running], seconds: float) -> str:
    """Messages of document 004 whose recipient is on the next node."""
    windows = Windows()
    senders: list[Speaker] = []
    receivers: list[Speaker] = []
    for number, (sender, receiver) in enumerate(zip(fresh(PAIRS), fresh(PAIRS), strict=True)):
        here, there = running[number % len(running)], running[(number + 1) % len(running)]
        receivers.append(await connect_user("jsonline", there.ports, receiver))
        senders.append(await connect_user("jsonline", here.ports, sender))
        receivers[-1].count_from_now(_ignore)
        windows.add(senders[-1], senders[-1].message(receiver, "", TEXT), WINDOW, senders[-1])
    await asyncio.sleep(WARM_UP)
    before, costs = sum(one.frames for one in receivers), Costs(redis, [one.pid for one in running])
    await asyncio.sleep(seconds)
    count = sum(one.frames for one in receivers) - before
    spent = costs.since()
    await windows.end(senders + receivers)
    return (
        f"{count / spent.seconds:>10,.0f} messages/s, {spent.redis / count * 1e6:>6.1f} µs of Redis"
        f" and {spent.nodes / count * 1e6:>6.1f} µs of nodes a message, {spent.kept / count:.0f} bytes kept"
    )


async def to_a_group(redis: RedisServer, running: list[servers.Running], seconds: float) -> str:
    """Messages into one group whose members are spread over all nodes."""
    users = fresh(MEMBERS)
    receivers = [
        await connect_user("jsonline", running[number % len(running)].ports, user)
        for number, user in enumerate(users)
    ]
    (owner,) = fresh(1)
    sender = await connect_user("jsonline", running[0].ports, owner)
    await sender.request("group/create", {"group_id": f"group-of-{owner}", "members": users})
    for receiver in receivers:
        receiver.count_from_now(_ignore)
    windows = Windows()
    windows.add(sender, sender.message("", f"group-of-{owner}", TEXT), 4, sender)
    await asyncio.sleep(WARM_UP)
    before, costs = sum(one.frames for one in receivers), Costs(redis, [one.pid for one in running])
    await asyncio.sleep(seconds)
    count = sum(one.frames for one in receivers) - before
    spent = costs.since()
    await windows.end([sender, *receivers])
    messages = count / MEMBERS
    return (
        f"{count / spent.seconds:>10,.0f} deliveries/s, {spent.redis / count * 1e6:>6.2f} µs of Redis"
        f" and {spent.nodes / count * 1e6:>6.2f} µs of nodes a delivery,"
        f" {spent.published / messages:.2f} publications, {spent.kept / messages:,.0f} bytes a message"
    )


def bare(redis: RedisServer, seconds: float) -> str:
    """A script that sets one key, through txredisapi."""
    costs = Costs(redis, [])
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.evalsha", str(redis.port), str(seconds)],
        capture_output=True, text=True, check=True, timeout=60 + 2 * seconds,
    )  # fmt: skip
    count, used = done.stdout.split()
    redis_time = costs.since().redis
    return (
        f"{int(count) / seconds:>10,.0f} calls/s, {redis_time / int(count) * 1e6:>9.1f} µs of Redis"
        f" and {float(used) / int(count) * 1e6:>6.1f} µs of its client a call"
    )


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.nodes", description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0, help="for each figure")
    parser.add_argument("--anyway", action="store_true", help="measure even if the machine is busy")
    options = parser.parse_args()
    try:
        with alone(anyway=options.anyway) as busy:
            if busy:
                print("the machine is busy with something else")
            redis = RedisServer(aof="always").start()
            try:
                print(f"{'bare EVALSHA':<22}{bare(redis, options.seconds)}", flush=True)
                for count in (1, 2, 3):
                    for title, work in (("one-to-one", one_to_one), (f"group of {MEMBERS}", to_a_group)):
                        with nodes(redis, count) as running:
                            line = asyncio.run(asyncio.wait_for(work(redis, running, options.seconds), 300))
                            print(f"{f'{count} node(s), {title}':<22}{line}", flush=True)
            finally:
                redis.close()
    except Busy as busy_with:
        print(f"benchmarks: {busy_with}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
