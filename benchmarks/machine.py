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
