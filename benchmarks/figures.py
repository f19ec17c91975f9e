"""What is measured, what each figure is compared with, and what it is meant to reach."""

from __future__ import annotations

import statistics
from typing import NamedTuple

ECHO = "echo, window 16"


class Figure(NamedTuple):
    """One line of the table.

    Attributes:
        measure: the figure of the same run it is divided by; "" = none.
        target: of the ratio, or of the figure where there is no measure; None = none is set.
        at_most: less is better.
    """

    unit: str
    measure: str = ""
    target: float | None = None
    at_most: bool = False


class Measured(NamedTuple):
    """What came out once.

    Attributes:
        value: a second of the clock's, where it is a rate.
        per_core: the same for a second of the server's processor time; 0 = not counted.
        load: share of its core that the load program took; at 1 the figure is the load program's.
        stolen: share of a core's time that the machine's host took meanwhile.
        measure: what the figure's measure came to in turn with it; 0 = that of the run counts.
        measure_per_core: likewise.
    """

    value: float
    per_core: float = 0.0
    load: float = 0.0
    stolen: float = 0.0
    measure: float = 0.0
    measure_per_core: float = 0.0


class Line(NamedTuple):
    """A figure's medians over all runs; None where there is nothing to compare with."""

    name: str
    unit: str
    value: float
    ratio: float | None
    core_ratio: float | None
    load: float
    stolen: float
    target: float | None
    at_most: bool
    reached: bool | None


Run = dict[str, Measured]

FIGURES = {
    ECHO: Figure("messages/s"),
    "echo, window 1": Figure("messages/s"),
    "echo, connections": Figure("connections/s"),
    "protobuf one-to-one, window 16": Figure("messages/s", ECHO, 1.0),
    "protobuf one-to-one, window 1": Figure("messages/s", ECHO, 0.45),
    "jsonline one-to-one, window 16": Figure("messages/s", ECHO, 1.2),
    "jsonline one-to-one, window 1": Figure("messages/s", ECHO),
    "qdatastream one-to-one, window 16": Figure("messages/s", ECHO, 1.2),
    "fan-out to 200": Figure("deliveries/s", ECHO, 3.0),
    "fan-out to 1,000": Figure("deliveries/s", ECHO, 3.0),
    "delay at 30 % of capacity, p50": Figure("ms", "", 3.0, at_most=True),
    "delay at 30 % of capacity, p99": Figure("ms", "", 15.0, at_most=True),
    "delay at 30 % of capacity, messages": Figure("messages/s"),
    "qdatastream idle session": Figure("KiB", "", 4.0, at_most=True),
    "jsonline idle session": Figure("KiB", "", 4.0, at_most=True),
    "protobuf idle session": Figure("KiB", "", 11.0, at_most=True),
    "jsonline idle session over TLS": Figure("KiB", "", 36.0, at_most=True),
    "protobuf idle session over TLS": Figure("KiB", "", 36.0, at_most=True),
    "protobuf log-ins by token": Figure("log-ins/s", "echo, connections", 0.6),
    "jsonline log-ins by token": Figure("log-ins/s", "echo, connections", 0.6),
    "storm: until all are back": Figure("s", "", 15.0, at_most=True),
    "storm: chat's p99, times as before": Figure("×", "", 10.0, at_most=True),
    "storm: chat's p99 before": Figure("ms"),
    "storm: chat's p99 while all are lost": Figure("ms"),
    "storm: pages read for each": Figure("pages", "", 0.0, at_most=True),
    "storm: processor time for each": Figure("ms"),
    "crowd: start": Figure("s", "", 10.0, at_most=True),
    "crowd: log-ins": Figure("log-ins/s"),
    "200 users: messages": Figure("messages/s"),
    "crowd: messages": Figure("messages/s", "200 users: messages", 0.8),
    "echo per core": Figure("messages/s per core"),
    "broadcast in a room of 200": Figure("deliveries/s per core", "echo per core"),
    "broadcast in a room of 1,000": Figure("deliveries/s per core", "echo per core"),
    "joins into one room": Figure("joins/s", "echo, connections"),
    "call set-ups": Figure("calls/s"),
    "relay, 60,000-byte packets": Figure("MB/s per core"),
    "relay, 1,000-byte packets": Figure("packets/s per core"),
    "call media, 60,000-byte packets": Figure("MB/s per core", "relay, 60,000-byte packets"),
    "call media, 1,000-byte packets": Figure("packets/s per core", "relay, 1,000-byte packets"),
    "file copy, up": Figure("MB/s per core"),
    "file copy, down": Figure("MB/s per core"),
    "file copy, up and hashed": Figure("MB/s per core"),
    "file channel, up": Figure("MB/s per core", "file copy, up and hashed"),
    "file channel, down": Figure("MB/s per core", "file copy, down"),
    "relay, p99 delay": Figure("ms"),
    "call media, p99 delay": Figure("ms", "relay, p99 delay"),
}


def summed_up(runs: list[Run], *, shared: bool) -> list[Line]:
    """The table's lines, for the figures that all runs have.

    Args:
        shared: other programs used the machine: processor time decides, where it was counted.
    """
    return [
        _line(name, figure, runs, shared)
        for name, figure in FIGURES.items()
        if all(name in run for run in runs)
    ]


def _line(name: str, figure: Figure, runs: list[Run], shared: bool) -> Line:
    value = statistics.median(run[name].value for run in runs)
    ratio = core_ratio = None
    if figure.measure and all(figure.measure in run for run in runs):
        pairs = [(run[name], _measure(run, name, figure)) for run in runs]
        ratio = statistics.median(one.value / measure.value for one, measure in pairs)
        if all(one.per_core and measure.per_core for one, measure in pairs):
            core_ratio = statistics.median(one.per_core / measure.per_core for one, measure in pairs)
    compared = value if not figure.measure else core_ratio if shared and core_ratio is not None else ratio
    reached = None
    if figure.target is not None and compared is not None:
        reached = compared <= figure.target if figure.at_most else compared >= figure.target
    load = statistics.median(run[name].load for run in runs)
    stolen = max(run[name].stolen for run in runs)
    return Line(
        name, figure.unit, value, ratio, core_ratio, load, stolen, figure.target, figure.at_most, reached
    )


def _measure(run: Run, name: str, figure: Figure) -> Measured:
    one = run[name]
    return Measured(one.measure, one.measure_per_core) if one.measure else run[figure.measure]


def table(lines: list[Line]) -> str:
    """The lines as text, for people and for docs/performance.md."""
    head = ("figure", "median", "unit", "× measure", "per core", "target", "", "load", "stolen")
    rows = [head, *(_cells(line) for line in lines)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    return "\n".join(
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"
        for row in (head, tuple("-" * width for width in widths), *rows[1:])
    )


def _cells(line: Line) -> tuple[str, ...]:
    number = f"{line.value:,.0f}" if line.value >= 1000 else f"{line.value:,.1f}"
    target = ""
    if line.target is not None:
        target = f"{'≤' if line.at_most else '≥'} {line.target:g}"
    verdict = {None: "", True: "reached", False: "falls short"}[line.reached]
    ratio, core = (f"{one:.2f}" if one is not None else "" for one in (line.ratio, line.core_ratio))
    load, stolen = (f"{share:.0%}" if share >= 0.005 else "" for share in (line.load, line.stolen))
    return line.name, number, line.unit, ratio, core, target, verdict, load, stolen
