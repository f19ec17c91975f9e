"""A network of a test's own: a namespace that nothing leaves, with the loopback interface and one more.

What the test's process then opens, and every process that it starts, is in there. This machine's own
interfaces stay as they are: a browser of another test would notice if some came and went.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import threading
from pathlib import Path

ADDRESS = "10.9.9.1"
_PREFIX = "imtest"
_CLONE_NEWNET = 0x40000000


class Namespace:
    """One namespace. Whoever is killed leaves it behind; the next one that is made removes it."""

    def __init__(self) -> None:
        remove_left()
        # The name tells who made it; a process id alone may be another process' by now.
        self.name = f"{_PREFIX}-{os.getpid()}-{_started_at(os.getpid())}-{os.urandom(3).hex()}"
        self._left_at: int | None = None
        self._threads: set[threading.Thread] = set()
        _do("ip", "netns", "add", self.name)
        try:
            for command in (
                "link set lo up",
                "link add one type veth peer name other",
                f"address add {ADDRESS}/24 dev one",
                "link set one up",
                "link set other up",
            ):
                # `ip netns exec` also changes what is mounted, which does not work in every root directory.
                _do("nsenter", f"--net={self._file}", "--", "ip", *command.split())
        except BaseException:
            self.close()
            raise

    @property
    def _file(self) -> str:
        return f"/run/netns/{self.name}"

    def enter(self) -> None:
        """From now on this thread is inside, with all that it opens and starts."""
        self._threads = set(threading.enumerate())
        self._left_at = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        inside = os.open(self._file, os.O_RDONLY | os.O_CLOEXEC)
        _set_namespace(inside)
        os.close(inside)

    def leave(self) -> None:
        """This thread is where it was before."""
        if self._left_at is not None:
            _set_namespace(self._left_at)
            os.close(self._left_at)
            self._left_at = None
            # A thread of the pool would stay inside and fail tests that come later.
            started = set(threading.enumerate()) - self._threads
            assert not started, started

    def close(self) -> None:
        """Leaves and removes it, with the processes that are still inside."""
        try:
            self.leave()
        finally:
            _remove(self.name)


def dying_with_us(*command: str) -> list[str]:
    """A command line whose process ends when the one that starts it does, however that ends."""
    return ["setpriv", "--pdeathsig", "KILL", *command]


def remove_left() -> None:
    """Removes the namespaces of processes that are gone."""
    # Its first word is the name.
    for line in _run("ip", "netns", "list").stdout.splitlines():
        prefix, *owner = line.split()[0].split("-")
        if prefix == _PREFIX and len(owner) == 3 and _started_at(int(owner[0])) != owner[1]:
            _remove(line.split()[0])


def _remove(name: str) -> None:
    # A namespace lives on as long as a process is in it.
    for pid in _run("ip", "netns", "pids", name).stdout.split():
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(pid), signal.SIGKILL)
    # Two that clean up at the same time find one of them too late.
    _run("ip", "netns", "delete", name)


def _started_at(pid: int) -> str:
    """When a process began, in ticks since the machine did; "" = it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (FileNotFoundError, ProcessLookupError):
        return ""


def _set_namespace(file: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(file, _CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def _do(*command: str) -> None:
    done = _run(*command)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr} (needs root)"


def _run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)
