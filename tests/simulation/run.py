"""Runs simulated histories.

`python -m tests.simulation.run --seed N` replays one and prints its digest (and
with --trace everything that happened); `--histories N` runs many. The first
history that breaks a rule is printed with its seed; the exit status is then 1.
"""

from __future__ import annotations

import argparse
import gc
import sys
import time
import traceback
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from unittest.mock import patch

from twisted.logger import globalLogBeginner

from imserver.backends.embedded import bloom, client_ids, compaction, dedupe, indexing, log_packing, tails
from tests.redis.server import RedisServer
from tests.simulation.cluster import NODES, Cluster
from tests.simulation.simulation import Simulation

CHUNK = 25
COLLECT_EVERY = 5
TRACE_LINES = 400


def run_seed(seed: int, calls: bool = True, redis_port: int = 0) -> tuple[Simulation, list[str]]:
    """Runs one history; returns it and what was wrong.

    Args:
        redis_port: of a redis-server: three nodes share it. 0 = one node over the embedded engine.
    """
    simulation = Cluster(seed, redis_port, calls=calls) if redis_port else Simulation(seed, calls=calls)
    try:
        # So that client ids do share rows, parts have several, buckets are soon full and become compact,
        # rows of the indexes are short and not all that waits is written at once, a commit has several
        # rows of the log, and the tail's ids are looked up in both ways.
        with (
            patch.multiple(client_ids, PART_SHIFT=62, FINE_SHIFT=60, MOST_IDS=3),
            patch.object(log_packing, "ROW_BYTES", 600),
            patch.multiple(dedupe, SCANS=2, BUCKET_OFFSETS=4, LARGEST=1 << 12),
            patch.object(bloom, "LARGEST", 1 << 12),
            patch.object(compaction, "MOST_ROWS", 0),
            patch.multiple(indexing, MOST_AT_ONCE=1, MOST_BEHIND=2),
            patch.object(tails, "CHUNK", 3),
        ):
            violations = simulation.run()
    except Exception:
        violations = [f"the run broke down:\n{traceback.format_exc()}"]
    return simulation, violations


@contextmanager
def redis_port(nodes: int) -> Iterator[int]:
    """What `run_seed` is told for so many nodes; the redis-server ends afterwards."""
    if nodes == 1:
        yield 0
        return
    server = RedisServer().start()
    try:
        yield server.port
    finally:
        server.close()


def run_chunk(first: int, count: int, calls: bool, nodes: int) -> list[tuple[int, list[str]]]:
    """Runs some histories; returns the seeds that broke a rule."""
    with redis_port(nodes) as port:
        return _run_chunk(first, count, calls, port)


def _run_chunk(first: int, count: int, calls: bool, port: int) -> list[tuple[int, list[str]]]:
    failed = []
    # A world is one big cycle and dies as a whole: collecting inside of it is lost time.
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        for seed in range(first, first + count):
            _, violations = run_seed(seed, calls, port)
            if violations:
                failed.append((seed, violations))
            if seed % COLLECT_EVERY == 0:
                gc.collect()
    finally:
        gc.enable()
        gc.unfreeze()
    return failed


def report(seed: int, violations: Sequence[str], lines: Sequence[str], calls: bool, nodes: int = 1) -> None:
    """Prints a failure so that it can be understood and replayed."""
    print(f"seed {seed}: {len(violations)} violation(s)")
    for violation in violations[:20]:
        print(f"  {violation}")
    for line in lines:
        print(f"    {line}")
    others = "" if calls else " --no-calls"
    if nodes > 1:
        others += f" --nodes {nodes}"
    print(f"replay: python -m tests.simulation.run --seed {seed} --trace{others}")


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.run", description=__doc__)
    parser.add_argument("--seed", type=int, help="run this one history")
    parser.add_argument("--trace", action="store_true", help="print everything that happened in it")
    parser.add_argument("--histories", type=int, default=100, help="how many to run")
    parser.add_argument("--first", type=int, default=1, help="the first seed of many")
    parser.add_argument("--jobs", type=int, default=1, help="processes to run them in")
    parser.add_argument("--keep-going", action="store_true", help="report every failure, not only the first")
    parser.add_argument("--no-calls", dest="calls", action="store_false", help="nobody has a telephone")
    parser.add_argument("--nodes", type=int, choices=(1, NODES), default=1, help="several share one Redis")
    options = parser.parse_args(arguments)
    # The server's log is read by the simulation and belongs into its report only.
    globalLogBeginner.beginLoggingTo([], redirectStandardIO=False)
    if options.seed is not None:
        return _one(options.seed, options.trace, options.calls, options.nodes)
    return _many(
        options.first, options.histories, options.jobs, options.keep_going, options.calls, options.nodes
    )


def _one(seed: int, trace: bool, calls: bool, nodes: int) -> int:
    with redis_port(nodes) as port:
        simulation, violations = run_seed(seed, calls, port)
    lines = simulation.world.trace.lines()
    if trace:
        print("\n".join(lines))
    print(f"seed {seed}: digest {simulation.world.trace.digest()}, {len(lines)} events")
    if violations:
        report(seed, violations, [], calls, nodes)
    return 1 if violations else 0


def _many(first: int, count: int, jobs: int, keep_going: bool, calls: bool, nodes: int) -> int:
    begun = shown = time.monotonic()
    done = 0
    failed: list[tuple[int, list[str]]] = []
    for ran, failures in _chunks(first, count, jobs, calls, nodes):
        done += ran
        failed.extend(failures)
        now = time.monotonic()
        if now - shown >= 10 or done == count:
            shown = now
            print(f"{done}/{count} histories, {done / (now - begun):.1f}/s, {len(failed)} failed", flush=True)
        if failed and not keep_going:
            break
    for seed, violations in sorted(failed)[: 10 if keep_going else 1]:
        with redis_port(nodes) as port:
            simulation, _ = run_seed(seed, calls, port)
        lines = [] if keep_going else simulation.world.trace.lines()[-TRACE_LINES:]
        report(seed, violations, lines, calls, nodes)
    spent = time.monotonic() - begun
    verdict = f"{len(failed)} FAILED" if failed else "no violation"
    print(
        f"seeds {first}..{first + done - 1}: {done} histories in {spent:.1f} s "
        f"({done / spent:.1f}/s, {jobs} process(es)): {verdict}"
    )
    return 1 if failed else 0


def _chunks(
    first: int, count: int, jobs: int, calls: bool, nodes: int
) -> Iterator[tuple[int, list[tuple[int, list[str]]]]]:
    pieces = [(start, min(CHUNK, first + count - start)) for start in range(first, first + count, CHUNK)]
    if jobs <= 1:
        for start, size in pieces:
            yield size, run_chunk(start, size, calls, nodes)
        return
    with ProcessPoolExecutor(jobs) as pool:
        futures = {pool.submit(run_chunk, start, size, calls, nodes): size for start, size in pieces}
        try:
            for future in as_completed(futures):
                yield futures[future], future.result()
        finally:
            pool.shutdown(cancel_futures=True)


if __name__ == "__main__":
    sys.exit(main())
