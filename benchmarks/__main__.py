"""`make bench`: three runs, the median of each figure, and its ratio to the measure of the same run."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from benchmarks import calls, files, loads, rooms, servers
from benchmarks.machine import LOAD_CORE, Busy, alone, pin

MIB = 1024 * 1024
RESULTS = Path(__file__).parent / "results"

# Figure -> (unit, the figure of the bare echo or relay it is compared with).
FIGURES = {
    "echo, window 16": ("messages/s", ""),
    "echo, window 1": ("messages/s", ""),
    "echo, connections": ("connections/s", ""),
    "protobuf one-to-one, window 16": ("messages/s", "echo, window 16"),
    "protobuf one-to-one, window 1": ("messages/s", "echo, window 16"),
    "jsonline one-to-one, window 16": ("messages/s", "echo, window 16"),
    "jsonline one-to-one, window 1": ("messages/s", "echo, window 16"),
    "fan-out to 200": ("deliveries/s", "echo, window 16"),
    "fan-out to 1,000": ("deliveries/s", "echo, window 16"),
    "protobuf idle session": ("KiB", ""),
    "jsonline idle session": ("KiB", ""),
    "protobuf log-ins by token": ("log-ins/s", "echo, connections"),
    "jsonline log-ins by token": ("log-ins/s", "echo, connections"),
    "echo per core": ("messages/s per core", ""),
    "broadcast in a room of 200": ("deliveries/s per core", "echo per core"),
    "broadcast in a room of 1,000": ("deliveries/s per core", "echo per core"),
    "joins into one room": ("joins/s", "echo, connections"),
    "call set-ups": ("calls/s", ""),
    "relay, 60,000-byte packets": ("MB/s per core", ""),
    "relay, 1,000-byte packets": ("packets/s per core", ""),
    "call media, 60,000-byte packets": ("MB/s per core", "relay, 60,000-byte packets"),
    "call media, 1,000-byte packets": ("packets/s per core", "relay, 1,000-byte packets"),
    "file copy, up": ("MB/s per core", ""),
    "file copy, down": ("MB/s per core", ""),
    "file copy, up and hashed": ("MB/s per core", ""),
    "file channel, up": ("MB/s per core", "file copy, up and hashed"),
    "file channel, down": ("MB/s per core", "file copy, down"),
    "relay, p99 delay": ("ms", ""),
    "call media, p99 delay": ("ms", "relay, p99 delay"),
}


def one_run(seconds: float, sessions: int, log_ins: int) -> dict[str, float]:
    """Every figure once."""
    figures: dict[str, float] = {}

    def measure(name: str, work: Awaitable[float]) -> None:
        figures[name] = asyncio.run(_timed(work))
        print(f"  {name:<34}{figures[name]:>12,.1f} {FIGURES[name][0]}", flush=True)

    with servers.echo() as echo:
        for window in (16, 1):
            measure(f"echo, window {window}", loads.echoed(echo.ports, window, seconds))
        measure("echo, connections", loads.connections(echo.ports, log_ins))
        measure("echo per core", loads.echoed(echo.ports, 16, seconds, pid=echo.pid))
    for format in ("protobuf", "jsonline"):
        with servers.imserver() as server:
            measure(f"{format} idle session", loads.idle_kib(server.pid, server.ports, format, sessions))
            measure(f"{format} log-ins by token", loads.log_ins(server.ports, format, log_ins))
        for window in (16, 1):
            with servers.imserver() as server:
                work = loads.one_to_one(server.ports, format, window, seconds)
                measure(f"{format} one-to-one, window {window}", work)
    for members in (200, 1000):
        with servers.imserver() as server:
            measure(f"fan-out to {members:,}", loads.fan_out(server.ports, members, seconds))
    for members in (200, 1000):
        with servers.imserver() as server:
            measure(f"broadcast in a room of {members:,}", rooms.broadcast(server, members, seconds))
    with servers.imserver() as server:
        measure("joins into one room", rooms.joins(server.ports, min(1000, log_ins)))
    _measure_calls(measure, seconds)
    _measure_files(figures, int(seconds) * 128 * MIB)
    return figures


def _measure_files(figures: dict[str, float], size: int) -> None:
    def tell(title: str, rates: tuple[float, ...]) -> None:
        for way, rate in zip(files.WAYS, rates, strict=False):
            figures[f"{title}, {way}"] = rate
            print(f"  {f'{title}, {way}':<34}{rate:>12,.1f} {FIGURES[f'{title}, {way}'][0]}", flush=True)

    with servers.filecopy() as server:
        tell("file copy", asyncio.run(files.copied(server, size)))
    with servers.imserver() as server:
        tell("file channel", asyncio.run(files.moved(server, size)))


def _measure_calls(measure: Callable[[str, Awaitable[float]], None], seconds: float) -> None:
    reached = 0.0

    async def per_core(server: servers.Running, kind: str, size: int, pairs: int, window: int) -> float:
        nonlocal reached
        rates = await calls.relayed(server, kind, size, seconds, pairs=pairs, window=window)
        if size == calls.LARGE:
            reached = rates.per_second
        return rates.per_core * (size / 1e6 if size == calls.LARGE else 1.0)

    with servers.imserver() as server:
        measure("call set-ups", calls.set_ups(server.ports, seconds))
    kinds = (("relay", servers.relay, "relay"), ("call", servers.imserver, "call media"))
    for name, size, pairs, window in (("60,000", calls.LARGE, 10, 8), ("1,000", calls.SMALL, 50, 16)):
        for kind, start, title in kinds:
            with start() as server:
                measure(f"{title}, {name}-byte packets", per_core(server, kind, size, pairs, window))
    half = reached / 2  # of what large packets of calls came to
    for kind, start, title in kinds:
        with start() as server:
            work = calls.p99_ms(server.ports, kind, calls.LARGE, half, seconds, pairs=10)
            measure(f"{title}, p99 delay", work)


async def _timed(work: Awaitable[float]) -> float:
    return await asyncio.wait_for(work, 300)


def report(runs: list[dict[str, float]]) -> dict[str, dict[str, float]]:
    """Medians, and the median of the ratios within each run."""
    summary: dict[str, dict[str, float]] = {}
    print(f"\n{'median of ' + str(len(runs)):<36}{'figure':>12}{'× measure':>10}")
    for name, (unit, measure) in FIGURES.items():
        figure = statistics.median(run[name] for run in runs)
        summary[name] = {"median": figure}
        ratio = ""
        if measure:
            summary[name]["ratio"] = statistics.median(run[name] / run[measure] for run in runs)
            ratio = f"{summary[name]['ratio']:.2f}"
        print(f"{name:<36}{figure:>12,.1f}{ratio:>10}  {unit}")
    return summary


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one short run: for a look, not for the record")
    parser.add_argument("--anyway", action="store_true", help="measure even if the machine is busy")
    options = parser.parse_args()
    runs, seconds, sessions, log_ins = (1, 2.0, 500, 500) if options.quick else (3, 5.0, 2000, 3000)
    try:
        with alone(anyway=options.anyway):
            pin(LOAD_CORE)
            results = []
            for number in range(runs):
                print(f"run {number + 1} of {runs}", flush=True)
                results.append(one_run(seconds, sessions, log_ins))
            summary = report(results)
    except Busy as busy:
        print(f"benchmarks: {busy}", file=sys.stderr)
        return 1
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    ).stdout.strip()
    RESULTS.mkdir(exist_ok=True)
    file = RESULTS / f"{time.strftime('%Y%m%d-%H%M%S')}.json"
    record = {
        "commit": commit,
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "runs": results,
        "summary": summary,
    }
    file.write_text(json.dumps(record, indent=2) + "\n")
    print(f"\nwritten to {file}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
