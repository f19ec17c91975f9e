"""One benchmark at a time, on a machine that does nothing else; server and load on a core each."""

from __future__ import annotations

import contextlib
import fcntl
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

SERVER_CORE = 0
LOAD_CORE = 1
BUSY = 0.15
"""Share of the machine's time that others may take before figures mean nothing."""
TAKEN = 0.02
"""Share of a core's time the host may take from what is measured; then it is measured again,"""
PATIENCE = 4
"""but no longer than so many times as long as it should take."""


class Busy(Exception):
    """The machine is not free; the text says why."""


@contextlib.contextmanager
def alone(*, anyway: bool = False) -> Iterator[bool]:
    """Holds the lock, on an idle machine; gives whether it is busy with something else all the same.

    Args:
        anyway: measure even if the machine is busy.

    Raises:
        Busy: another benchmark runs, or something else does.
    """
    path = Path(tempfile.gettempdir()) / "imserver-benchmark.lock"
    with path.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Busy("another benchmark is running") from None
        busy = busy_share(2.0)
        if busy > BUSY and not anyway:
            raise Busy(f"the machine is {busy:.0%} busy with something else")
        yield busy > BUSY


def busy_share(seconds: float) -> float:
    """How much of the machine's time is in use, watched for so many seconds."""
    before = _times()
    time.sleep(seconds)
    after = _times()
    total = sum(after) - sum(before)
    idle = after[3] + after[4] - before[3] - before[4]
    return 1.0 - idle / total


def _times() -> list[int]:
    with Path("/proc/stat").open() as stat:
        return [int(field) for field in stat.readline().split()[1:]]


def stolen() -> float:
    """Seconds, of all cores together, for which the host of a virtual machine had something else to do."""
    return _times()[7] / os.sysconf("SC_CLK_TCK")


class Theft:
    """What the host took since this was made."""

    def __init__(self) -> None:
        self._before = stolen()
        self._begun = time.perf_counter()

    @property
    def share(self) -> float:
        """Of one core's time."""
        return (stolen() - self._before) / max(time.perf_counter() - self._begun, 0.001)


def pin(core: int, pid: int = 0) -> None:
    """Keeps a process on one core, where there is more than one."""
    with contextlib.suppress(OSError):
        os.sched_setaffinity(pid, {core})


def cpu_seconds(pid: int) -> float:
    """Processor time that a process has used, in user and kernel mode."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def rss(pid: int) -> int:
    """Resident bytes of a process."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise LookupError("VmRSS")
