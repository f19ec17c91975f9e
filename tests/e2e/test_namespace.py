"""A test that is killed leaves no process behind, and its network is removed by the next one."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tests.e2e.namespace import Namespace, remove_left

MAKES_ONE = """
import subprocess, time
from tests.e2e.namespace import Namespace
one = Namespace()
inside = subprocess.Popen(one.command("sleep", "600"))
print(one.name, one.interface, inside.pid, flush=True)
time.sleep(600)
"""


def exists(name: str, interface: str) -> tuple[bool, bool]:
    """Whether there is such a namespace, and such an interface."""
    return Path(f"/run/netns/{name}").exists(), Path(f"/sys/class/net/{interface}").exists()


def gone(pid: int) -> bool:
    """Whether a process has ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def until(condition: Callable[[], bool]) -> None:
    """Waits for it."""
    for _ in range(1500):
        if condition():
            return
        time.sleep(0.02)
    raise AssertionError("in vain")


def test_a_killed_run() -> None:
    command, here = [sys.executable, "-c", MAKES_ONE], Path(__file__).parents[2]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=here) as run:
        assert run.stdout is not None
        name, interface, inside = run.stdout.readline().split()
        remove_left()
        assert exists(name, interface) == (True, True), "its owner lives"
        run.send_signal(signal.SIGKILL)
    until(lambda: gone(int(inside)))
    assert exists(name, interface)[0]
    remove_left()
    # The kernel takes its time with the interface.
    until(lambda: exists(name, interface) == (False, False))


def test_two_at_a_time() -> None:
    one, two = Namespace(), Namespace()
    try:
        assert len({one.name, two.name, one.outside, two.outside, one.inside, two.inside}) == 6
        assert all(exists(network.name, network.interface) == (True, True) for network in (one, two))
        # Neither reaches anything but its own end.
        for network, reached in ((one, True), (two, False)):
            ping = network.command("bash", "-c", f"exec 3<>/dev/udp/{one.outside}/9")
            assert (subprocess.run(ping, capture_output=True).returncode == 0) is reached
    finally:
        one.close()
        two.close()
    assert not exists(one.name, "lo")[0]
