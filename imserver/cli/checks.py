"""What `imserver doctor` looks at: each check gives findings and changes nothing."""

from __future__ import annotations

import os
import platform
import re
import resource
import shutil
import socket
import sqlite3
import ssl
import stat
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from enum import StrEnum
from importlib.metadata import version
from pathlib import Path

from msgspec import Struct

from imserver import __version__, compiled
from imserver.config import Configuration
from imserver.config.control import SOCKET_NAME
from imserver.config.endpoints import is_local
from imserver.config.loading import self_registration

PRIVATE_FILES = (
    "imserver.db",
    "imserver.db-wal",
    "imserver.db-shm",
    "token-keys.json",
    "message-keys.json",
    SOCKET_NAME,
)
FREE_FAIL = 100 * 1024**2
FREE_WARN = 1024**3
SYNC_WARN = 0.02
SYNC_ROUNDS = 20
SPARE_DESCRIPTORS = 200
CLOCK_STEP = 0.05
_ENDPOINT = re.compile(r"^(?:tcp|tcp4|tcp6|ssl|tls):(?:port=)?(\d+)")
_INTERFACE = re.compile(r":interface=((?:\\:|[^:])*)")


class Status(StrEnum):
    """How bad it is."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


class Finding(Struct, frozen=True):
    """One thing that was looked at, and what was found, in one line."""

    check: str
    status: Status
    text: str


def versions() -> list[Finding]:
    """Ours and those of what matters below us."""
    from autobahn.websocket import USES_NVX

    found = (
        f"imserver {__version__}, Python {platform.python_version()}, Twisted {version('Twisted')},"
        f" Autobahn {version('autobahn')}, SQLite {sqlite3.sqlite_version}, {ssl.OPENSSL_VERSION}"
    )
    findings = [Finding("versions", Status.OK, found)]
    if USES_NVX:
        findings.append(Finding("nvx", Status.OK, "Autobahn's C part is in use"))
    else:
        text = "Autobahn runs without its C part: WebSockets cost several times the CPU; install its wheel"
        findings.append(Finding("nvx", Status.WARN, text))
    if compiled.why_not:
        findings.append(Finding("compiled", Status.OK, f"no: {compiled.why_not}"))
    else:
        findings.append(Finding("compiled", Status.OK, "what every message goes through is machine code"))
    return findings


def clock(
    data: Path,
    wall: Callable[[], float] = time.time,
    monotonic: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> list[Finding]:
    """Whether the clock is plausible, goes evenly, and is not behind what was written."""
    at, begun = wall(), monotonic()
    sleep(0.2)
    drift = (wall() - at) - (monotonic() - begun)
    year = time.gmtime(at).tm_year
    if not 2025 <= year < 2100:
        return [Finding("clock", Status.FAIL, f"the year is {year}: tokens will not be valid; set the clock")]
    if abs(drift) > CLOCK_STEP:
        text = f"the time of day jumped by {drift * 1000:+.0f} ms in 0.2 s; is it being set?"
        return [Finding("clock", Status.WARN, text)]
    try:
        ahead = (data / "imserver.db").stat().st_mtime - at
    except OSError:
        ahead = 0.0
    if ahead > 60:
        text = f"the database was written {ahead:.0f} s in the future: the clock was set back"
        return [Finding("clock", Status.FAIL, text)]
    return [Finding("clock", Status.OK, time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(at)))]


def open_files(settings: Configuration, pid: int) -> list[Finding]:
    """Whether there may be as many descriptors as connections; `pid`: the server's, 0 = this process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    whose = "here (a service has its own: LimitNOFILE)"
    if pid:
        try:
            soft, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
            whose = f"of the server (process {pid})"
        except OSError:
            pass
    wanted = settings.limits.connections + SPARE_DESCRIPTORS
    text = f"limit of open files {whose}: {soft} (hard {hard})"
    if soft != resource.RLIM_INFINITY and soft < wanted:
        text += f"; limits.connections = {settings.limits.connections} needs {wanted}"
        return [Finding("open files", Status.WARN, text)]
    return [Finding("open files", Status.OK, text)]


def data_directory(data: Path) -> list[Finding]:
    """Whether others may read it and we may write it."""
    try:
        about = data.stat()
    except FileNotFoundError:
        return [Finding("data directory", Status.WARN, f"{data}: is not there yet; a server creates it")]
    except OSError as error:
        return [Finding("data directory", Status.FAIL, f"{data}: {error.strerror}")]
    if not stat.S_ISDIR(about.st_mode):
        return [Finding("data directory", Status.FAIL, f"{data}: is not a directory")]
    findings = []
    if about.st_mode & 0o077:
        text = f"{data}: other users may enter it (mode {stat.S_IMODE(about.st_mode):04o}); chmod 700 it"
        findings.append(Finding("data directory", Status.WARN, text))
    if not os.access(data, os.W_OK | os.X_OK):
        text = f"{data}: this user may not write there; run doctor as the server's user"
        findings.append(Finding("data directory", Status.FAIL, text))
    for name in PRIVATE_FILES:
        path = data / name
        try:
            file = path.lstat()
        except OSError:
            continue
        if file.st_mode & 0o077:
            text = f"{path}: other users may read it (mode {stat.S_IMODE(file.st_mode):04o}); chmod 600 it"
            findings.append(Finding("permissions", Status.FAIL, text))
        if file.st_uid != about.st_uid:
            text = f"{path}: belongs to user {file.st_uid}, the directory to {about.st_uid}; chown it"
            findings.append(Finding("permissions", Status.FAIL, text))
    return findings or [Finding("data directory", Status.OK, f"{data}: private and writable")]


def disk(data: Path) -> list[Finding]:
    """Free space, and what one durable write costs."""
    try:
        usage = shutil.disk_usage(data)
    except FileNotFoundError:
        return []
    except OSError as error:
        return [Finding("disk", Status.FAIL, f"{data}: {error.strerror}")]
    status = Status.FAIL if usage.free < FREE_FAIL else Status.WARN if usage.free < FREE_WARN else Status.OK
    text = f"{usage.free / 1024**3:.1f} GiB free of {usage.total / 1024**3:.1f}"
    findings = [Finding("disk", status, text)]
    try:
        times = sync_times(data)
    except OSError as error:
        return [*findings, Finding("disk", Status.FAIL, f"{data}: cannot be written: {error.strerror}")]
    median = statistics.median(times)
    longest = f"longest of {len(times)}: {max(times) * 1000:.1f} ms"
    text = f"a durable write takes {median * 1000:.2f} ms ({longest})"
    findings.append(Finding("disk", Status.WARN if median > SYNC_WARN else Status.OK, text))
    return findings


def sync_times(data: Path) -> list[float]:
    """Seconds that writing and syncing 4 KiB took, some times. Raises OSError."""
    times = []
    with tempfile.TemporaryFile(dir=data) as file:
        for _ in range(SYNC_ROUNDS):
            begun = time.perf_counter()
            file.write(bytes(4096))
            file.flush()
            os.fsync(file.fileno())
            times.append(time.perf_counter() - begun)
    return times


def ports(settings: Configuration, ours: Sequence[str]) -> list[Finding]:
    """Whether the configured ports are free, or open already by our server.

    Args:
        ours: the endpoints that the running server has open.
    """
    findings = []
    other = "" if ours else "; if a server of yours has it: --data-dir names its directory"
    for listener in settings.listener:
        endpoint = listener.endpoint
        name = f"{listener.format} on {endpoint}"
        if endpoint in ours:
            findings.append(Finding("ports", Status.OK, f"{name}: open, by this server"))
            continue
        address = _address(endpoint)
        if address is None:
            findings.append(Finding("ports", Status.OK, f"{name}: not a TCP port; not looked at"))
            continue
        reason = _bind_fault(*address)
        if reason is None:
            findings.append(Finding("ports", Status.OK, f"{name}: free"))
        else:
            findings.append(Finding("ports", Status.FAIL, f"{name}: {reason}{other}"))
    return findings


def _address(endpoint: str) -> tuple[str, int] | None:
    port = _ENDPOINT.match(endpoint)
    if port is None:
        return None
    interface = _INTERFACE.search(endpoint)
    host = interface[1].replace("\\", "") if interface else ""
    return host, int(port[1])


def _bind_fault(host: str, port: int) -> str | None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        # As Twisted does: ports of connections that ended a moment ago are free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen(1)
        except (OSError, OverflowError) as error:
            return getattr(error, "strerror", None) or str(error)
    return None


def production(settings: Configuration) -> list[Finding]:
    """Whether the configuration suits the addresses it listens on."""
    public = [listener for listener in settings.listener if not is_local(listener)]
    if not public:
        return [Finding("exposure", Status.OK, "only this machine can reach it (all listeners on loopback)")]
    findings = []
    for listener in public:
        name = f"{listener.format} on {listener.endpoint}"
        proxied = listener.proxy_protocol is not None or listener.forwarded_for is not None
        if listener.tls is None and listener.endpoint.startswith(("tcp:", "tcp4:", "tcp6:")):
            if proxied:
                text = f"{name}: not encrypted here; the proxy in front must do it"
                findings.append(Finding("exposure", Status.OK, text))
            else:
                text = f"{name}: not encrypted, and others can reach it"
                findings.append(Finding("exposure", Status.WARN, text))
        if listener.auth == "none":
            text = f"{name}: others can reach it, and anybody may be anybody"
            findings.append(Finding("exposure", Status.FAIL, text))
        if "*" in (listener.allowed_origins or ()):
            text = f"{name}: allowed_origins: * stands for nothing here; name every origin"
            findings.append(Finding("exposure", Status.WARN, text))
    if self_registration(settings):
        text = "anybody who can reach it may create an account (auth.self_registration)"
        findings.append(Finding("exposure", Status.WARN, text))
    return findings or [Finding("exposure", Status.OK, "other machines can reach it, encrypted")]
