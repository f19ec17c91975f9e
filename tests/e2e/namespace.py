"""A network of a test's own: a namespace, and a pair of interfaces from it to this machine, nowhere else."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

_PREFIX = "imtest"
_INTERFACES = 1000


class Namespace:
    """One namespace. Whoever is killed leaves it behind; the next one that is made removes it.

    Attributes:
        outside: this machine's address in the network.
        inside: the namespace's.
    """

    def __init__(self) -> None:
        remove_left()
        # The name tells who made it; a process id alone may be another process' by now.
        self.name = f"{_PREFIX}-{os.getpid()}-{_started_at(os.getpid())}-{os.urandom(3).hex()}"
        _do("ip", "netns", "add", self.name)
        # `ip netns exec` also changes what is mounted, which does not work in every root directory.
        self._enter = ["nsenter", f"--net=/run/netns/{self.name}", "--"]
        try:
            # The interface's name is unique on this machine, so it decides who gets the addresses.
            number = next(number for number in range(_INTERFACES) if self._claim(number))
            self.interface = f"{_PREFIX}{number}"
            self.outside, self.inside = (f"10.213.{number // 64}.{number % 64 * 4 + one}" for one in (1, 2))
            _do("ip", "address", "add", f"{self.outside}/30", "dev", self.interface)
            _do("ip", "link", "set", self.interface, "up")
            for command in (
                ("address", "add", f"{self.inside}/30", "dev", "inside"),
                ("link", "set", "inside", "up"),
                ("link", "set", "lo", "up"),
            ):
                _do(*self._enter, "ip", *command)
        except BaseException:
            self.close()
            raise

    def _claim(self, number: int) -> bool:
        pair = ["link", "add", f"{_PREFIX}{number}", "type", "veth", "peer", "name", "inside"]
        done = _run("ip", *pair, "netns", self.name)
        assert done.returncode == 0 or "File exists" in done.stderr, done.stderr
        return done.returncode == 0

    def command(self, *arguments: str) -> list[str]:
        """A command line that runs inside, and whose process ends when this one does, however it ends."""
        return [*self._enter, "setpriv", "--pdeathsig", "KILL", *arguments]

    def close(self) -> None:
        """Removes it, and the interfaces with it."""
        _remove(self.name)


def remove_left() -> None:
    """Removes the namespaces of processes that are gone."""
    for name in _run("ip", "netns", "list").stdout.split():
        prefix, *owner = name.split("-")
        if prefix == _PREFIX and len(owner) == 3 and _started_at(int(owner[0])) != owner[1]:
            _remove(name)


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


def _do(*command: str) -> None:
    done = _run(*command)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr} (needs root)"


def _run(*command: str) -> subprocess.CompletedProcess[str]:
    line: Sequence[str] = command
    return subprocess.run(line, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)
