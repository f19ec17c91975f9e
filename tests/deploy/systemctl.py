#!/usr/bin/python3
"""Stands in for systemctl where systemd does not run: starts a unit's ExecStart by hand.

    systemctl daemon-reload | enable --now UNIT | status UNIT | reload UNIT | stop UNIT

It checks the unit with systemd-analyze, makes its state directory, changes to its user, keeps what
the service writes in /var/log/UNIT.log, and waits, as Type=notify asks, until the service says that it is
ready. Of the sandbox it has nothing. It needs nothing but Python; systemd, which every Debian server has
and a bare root has not, it installs.
"""

from __future__ import annotations

import os
import pwd
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

UNITS = Path("/etc/systemd/system")
RUN = Path("/run")
START_SECONDS = 60.0
STOP_SECONDS = 20.0


def options(unit: str) -> dict[str, str]:
    """KEY=VALUE of a unit file."""
    lines = (UNITS / f"{unit}.service").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))


def start(unit: str) -> None:
    """Returns when the service has said READY=1."""
    if shutil.which("systemd-analyze") is None:
        command = ["apt-get", "install", "-y", "-qq", "systemd"]
        subprocess.run(command, check=True, capture_output=True)
    file = str(UNITS / f"{unit}.service")
    checked = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", file], capture_output=True, text=True, check=False
    )
    if checked.returncode or checked.stderr:
        sys.exit(checked.stdout + checked.stderr)
    asked = options(unit)
    user = pwd.getpwnam(asked["User"])
    state = Path("/var/lib") / asked["StateDirectory"]
    state.mkdir(mode=int(asked["StateDirectoryMode"], 8), exist_ok=True)
    os.chown(state, user.pw_uid, user.pw_gid)
    address = RUN / f"{unit}.notify"
    with (
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager,
        Path(f"/var/log/{unit}.log").open("ab") as log,
    ):
        manager.bind(str(address))
        address.chmod(0o666)
        manager.settimeout(START_SECONDS)
        process = subprocess.Popen(
            shlex.split(asked["ExecStart"]),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd="/",
            env={"PATH": os.environ["PATH"], "STATE_DIRECTORY": str(state), "NOTIFY_SOCKET": str(address)},
            user=user.pw_uid,
            group=user.pw_gid,
            extra_groups=[],
            umask=int(asked["UMask"], 8),
            start_new_session=True,
        )
        (RUN / f"{unit}.pid").write_text(str(process.pid))
        while b"READY=1" not in manager.recv(4096).split(b"\n"):
            pass


def pid(unit: str) -> int:
    """Of the service."""
    return int((RUN / f"{unit}.pid").read_text())


def stop(unit: str) -> None:
    """SIGTERM, and waits until it is gone."""
    number = pid(unit)
    os.kill(number, signal.SIGTERM)
    deadline = time.monotonic() + STOP_SECONDS
    # Nobody waits for it, so its entry may stay; its program goes.
    while Path(f"/proc/{number}/exe").exists():
        if time.monotonic() > deadline:
            sys.exit(f"{unit} does not end")
        time.sleep(0.1)


def main() -> None:
    """See above."""
    arguments = [argument for argument in sys.argv[1:] if not argument.startswith("--")]
    unit = arguments[-1]
    match arguments[0]:
        case "daemon-reload":
            pass
        case "enable":
            start(unit)
        case "status":
            os.kill(pid(unit), 0)
            print(f"     Active: active (running)\n   Main PID: {pid(unit)}")
        case "reload":
            command = shlex.split(options(unit)["ExecReload"].replace("$MAINPID", str(pid(unit))))
            subprocess.run(command, check=True)
        case "stop":
            stop(unit)
        case other:
            sys.exit(f"not known here: {other}")


main()
