"""`make bench`: three runs, the median of each figure, and its ratio to the measure of the same run."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import platform
import re
import sqlite3
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from importlib import metadata
from pathlib import Path
from typing import TypeVar

from benchmarks import calls, coming, crowds, delays, files, loads, rooms, servers, storms
from benchmarks.chart import chart
from benchmarks.figures import ECHO, FIGURES, Measured, Run, summed_up, table
from benchmarks.machine import LOAD_CORE, TAKEN, Busy, Theft, alone, pin
from benchmarks.rates import Load, measured
from imserver import compiled

T = TypeVar("T")
MIB = 1024 * 1024
RESULTS = Path(__file__).parent / "results"

STORMS = 3
SHARE = 0.3
"""Of what it can, for the delays."""
TLS_LISTENERS = ("jsonline", "http")


class Bench:
    """One run over everything.

    Args:
        seconds: how long a rate is measured.
        idle: sessions whose memory is measured.
        log_ins: how many are timed.
        crowd: sessions that come back at once.
        shared: one server for all that does not look at its memory; None = a fresh one for each.
    """

    def __init__(
        self,
        seconds: float,
        idle: int,
        log_ins: int,
        crowd: int,
        shared: servers.Running | None = None,
    ) -> None:
        self.seconds = seconds
        self.idle = idle
        self.log_ins = log_ins
        self.crowd = crowd
        self.shared = shared
        self.figures: Run = {}

    def measure(self, name: str, work: Awaitable[float | Measured]) -> None:
        """Does it, and tells and keeps what came out."""
        result = asyncio.run(_timed(work))
        self.tell(name, result if isinstance(result, Measured) else Measured(result))

    def tell(self, name: str, measured: Measured) -> None:
        """Keeps a figure."""
        self.figures[name] = measured
        print(f"  {name:<36}{measured.value:>12,.1f} {FIGURES[name].unit}", flush=True)

    def server(self) -> contextlib.AbstractContextManager[servers.Running]:
        """What is measured."""
        return servers.imserver() if self.shared is None else contextlib.nullcontext(self.shared)

    def messages(self) -> None:
        """Echo, chat, groups, log-ins."""
        with servers.echo() as echo:
            for window in (16, 1):
                self.measure(f"echo, window {window}", self.rate(loads.echoing(echo, window)))
            self.measure("echo, connections", coming.connections(echo, self.log_ins))
            self.tell("echo per core", Measured(self.figures[ECHO].per_core))
            for format in ("qdatastream", "protobuf", "jsonline"):
                with self.server() as server:
                    for window in (16,) if format == "qdatastream" else (16, 1):
                        work = self.rate(loads.one_to_one(server, format, window), echo)
                        self.measure(f"{format} one-to-one, window {window}", work)
            with self.server() as server:
                for members in (200, 1000):
                    work = self.rate(loads.fan_out(server, members), echo)
                    self.measure(f"fan-out to {members:,}", work)
        found = self.at_ease()
        for name, value in (("p50", found.middle), ("p99", found.late), ("messages", found.per_second)):
            self.tell(f"delay at 30 % of capacity, {name}", Measured(value))

    def at_ease(self) -> delays.Delays:
        """The delays at 30 % of what the same pairs reach with 16 messages under way each."""
        if self.shared is None:
            with servers.imserver() as other, self.server() as server:
                work = delays.at_share(server, SHARE, loads.mixed(other), self.seconds)
                return asyncio.run(_timed(work))
        # A short run has no time for that.
        formats = ("protobuf", "jsonline")
        capacity = min(self.figures[f"{format} one-to-one, window 16"].value for format in formats)
        with self.server() as server:
            return asyncio.run(_timed(delays.at_rate(server, SHARE * capacity, self.seconds)))

    async def rate(self, load: Awaitable[Load], echo: servers.Running | None = None) -> Measured:
        """Of what begins now; with an echo, in turn with it."""
        if echo is None or self.shared is not None:  # a short run has no time for it
            return await measured(await load, self.seconds)
        measure = await loads.echoing(echo)
        measure.hold()  # so that connecting takes no longer than by itself
        try:
            busy = await load
        finally:
            measure.go_on()
        return await measured(busy, self.seconds, measure)

    def sessions(self) -> None:
        """What silent sessions cost."""
        for format in ("qdatastream", "protobuf", "jsonline"):
            with servers.imserver() as server:
                work = loads.idle_kib(server.pid, server.ports, format, self.idle)
                self.measure(f"{format} idle session", work)
        for format in ("protobuf", "jsonline"):
            with servers.imserver(tls=TLS_LISTENERS) as server:
                work = loads.idle_kib(
                    server.pid, server.ports, format, self.idle // 2, servers.client_context()
                )
                self.measure(f"{format} idle session over TLS", work)

    def log_ins_and_storms(self) -> None:
        """What it costs when sessions come, and come back."""
        for format in ("protobuf", "jsonline"):
            with servers.echo() as echo, self.server() as server:
                beside = echo if self.shared is None else None  # a short run has no time for it
                work = coming.log_ins(server, format, self.log_ins, beside)
                self.measure(f"{format} log-ins by token", work)
        storm, taken = self.undisturbed_storm()
        self.tell("storm: until all are back", Measured(storm.seconds, stolen=taken))
        self.tell("storm: chat's p99, times as before", Measured(storm.times, stolen=taken))
        self.tell("storm: chat's p99 before", Measured(storm.before_ms))
        self.tell("storm: chat's p99 while all are lost", Measured(storm.cut_ms))
        self.tell("storm: pages read for each", Measured(storm.reads))
        self.tell("storm: processor time for each", Measured(storm.cpu_ms))

    def undisturbed_storm(self) -> tuple[storms.Storm, float]:
        """The one from which the machine's host took least, of up to three; and that share of a core."""
        tried: list[tuple[float, storms.Storm]] = []
        while not tried or (min(tried)[0] > TAKEN and len(tried) < STORMS):
            with self.server() as server:
                theft = Theft()
                storm = asyncio.run(_timed(storms.storm(server, self.crowd, self.seconds)))
                tried.append((theft.share, storm))
        taken, storm = min(tried)
        return storm, taken

    def crowds(self, users: int, sessions: int) -> None:
        """Many users known and many connected, beside a few."""
        with crowds.server(200) as few, crowds.server(users) as server:
            self.tell("crowd: start", Measured(server.start))
            many, log_ins = asyncio.run(_timed(crowds.among(few, server, sessions, users, self.seconds)))
        self.tell("crowd: log-ins", Measured(log_ins))
        self.tell("200 users: messages", Measured(many.measure, many.measure_per_core))
        self.tell("crowd: messages", many)

    def rooms_calls_files(self) -> None:
        """Everything that is not chat."""
        seconds = self.seconds
        for members in (200, 1000):
            with servers.imserver() as server:
                work = rooms.broadcast(server, members, seconds)
                self.measure(f"broadcast in a room of {members:,}", work)
        with servers.imserver() as server:
            self.measure("joins into one room", rooms.joins(server.ports, min(1000, self.log_ins)))
        _measure_calls(self.measure, seconds)
        _measure_files(self.figures, int(seconds) * 128 * MIB)


def _measure_files(figures: Run, size: int) -> None:
    def tell(title: str, rates: tuple[float, ...]) -> None:
        for way, rate in zip(files.WAYS, rates, strict=False):
            figures[f"{title}, {way}"] = Measured(rate)
            print(f"  {f'{title}, {way}':<36}{rate:>12,.1f} {FIGURES[f'{title}, {way}'].unit}", flush=True)

    with servers.filecopy() as server:
        tell("file copy", asyncio.run(files.copied(server, size)))
    with servers.imserver() as server:
        tell("file channel", asyncio.run(files.moved(server, size)))


def _measure_calls(measure: Callable[[str, Awaitable[float | Measured]], None], seconds: float) -> None:
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


async def _timed(work: Awaitable[T]) -> T:
    return await asyncio.wait_for(work, 600)


def versions() -> dict[str, str]:
    """What the figures depend on, besides this program."""
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    ).stdout.strip()
    found = {
        "commit": commit,
        "compiled": "no" if compiled.why_not else "yes",
        "Python": platform.python_version(),
        "SQLite": sqlite3.sqlite_version,
    }
    for package in ("Twisted", "autobahn", "protobuf", "msgspec"):
        found[package] = metadata.version(package)
    model = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    found["machine"] = f"{os.cpu_count()} x {model[1] if model else platform.machine()}, {platform.release()}"
    return found


def report(runs: list[Run], about: dict[str, str], *, shared: bool) -> str:
    """The table, and what it says about itself."""
    lines = summed_up(runs, shared=shared)
    judged = [line.reached for line in lines if line.reached is not None]
    words = [
        ", ".join(f"{name} {value}" for name, value in about.items()),
        f"median of {len(runs)}; {sum(judged)} of {len(judged)} targets reached"
        + ("; other programs used the machine: rates are judged by processor time" if shared else ""),
        "",
        table(lines),
    ]
    return "\n".join(words) + "\n"


def _quick() -> Run:
    """In less than two minutes."""
    with servers.imserver() as shared:
        run = Bench(0.7, 500, 300, 300, shared)
        run.messages()
        run.log_ins_and_storms()
    run.sessions()
    return run.figures


def _whole() -> Run:
    run = Bench(5.0, 2000, 3000, 10_000)
    run.messages()
    run.sessions()
    run.log_ins_and_storms()
    run.crowds(100_000, 15_000)
    run.rooms_calls_files()
    return run.figures


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one short run: for a look, not for the record")
    parser.add_argument("--anyway", action="store_true", help="measure even if the machine is busy")
    parser.add_argument("--runs", type=int, default=3, help="of which the medians are told (default: 3)")
    options = parser.parse_args()
    runs = 1 if options.quick else options.runs
    try:
        with alone(anyway=options.anyway) as shared:
            pin(LOAD_CORE)
            results = []
            for number in range(runs):
                print(f"run {number + 1} of {runs}", flush=True)
                results.append(_quick() if options.quick else _whole())
    except Busy as busy:
        print(f"benchmarks: {busy}", file=sys.stderr)
        return 1
    about = versions()
    text = report(results, about, shared=shared)
    print(f"\n{text}")
    RESULTS.mkdir(exist_ok=True)
    file = RESULTS / time.strftime("%Y%m%d-%H%M%S")
    record = {"about": about, "shared": shared, "runs": results}
    file.with_suffix(".json").write_text(json.dumps(record, indent=2) + "\n")
    file.with_suffix(".md").write_text(text)
    title = f"imserver {about['commit']} beside its targets"
    file.with_suffix(".svg").write_text(chart(summed_up(results, shared=shared), title, shared=shared))
    print(f"written to {file}.json, .md and .svg")
    return 0


if __name__ == "__main__":
    sys.exit(main())
