"""A test's own network: nothing of it is seen outside, and who is killed leaves none behind for long."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.namespace import ADDRESS, Namespace, remove_left

MAKES_ONE = """
import subprocess, time
from tests.e2e.namespace import Namespace, dying_with_us
one = Namespace()
one.enter()
commands = dying_with_us("sleep", "600"), ["sleep", "600"]
print(one.name, *[subprocess.Popen(command).pid for command in commands], flush=True)
time.sleep(600)
"""


def gone(pid: str) -> bool:
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


def interfaces() -> str:
    """The interfaces and addresses that a process has that is started now."""
    command = ["ip", "-brief", "address"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_a_killed_run() -> None:
    command, here = [sys.executable, "-c", MAKES_ONE], Path(__file__).parents[2]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=here) as run:
        assert run.stdout is not None
        name, dying, staying = run.stdout.readline().split()
        file = Path(f"/run/netns/{name}")
        remove_left()
        assert file.exists(), "its owner lives"
        run.send_signal(signal.SIGKILL)
    until(lambda: gone(dying))
    assert file.exists()
    assert not gone(staying)
    remove_left()
    assert not file.exists()
    until(lambda: gone(staying))


def test_two_at_a_time_see_nothing_of_each_other() -> None:
    before = interfaces()
    one, two = Namespace(), Namespace()
    try:
        assert interfaces() == before
        one.enter()
        with socket.create_server((ADDRESS, 0)) as listening:
            assert ADDRESS in interfaces()
            socket.create_connection(listening.getsockname()).close()
            with pytest.raises(OSError, match="unreachable"):
                socket.create_connection(("192.0.2.1", 9))
            one.leave()
            two.enter()
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(listening.getsockname())
            two.leave()
        assert interfaces() == before
    finally:
        one.close()
        two.close()
    assert not [name for name in os.listdir("/run/netns") if name in (one.name, two.name)]
