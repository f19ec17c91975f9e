"""A bare Debian in a directory, in which programs run with nothing of this machine around them.

The root has python3, python3-venv and make, as README.md asks for, and nothing else. What commands in it
will ask for later, packages of Debian and of Python, is fetched beforehand with this machine's own
settings and lies there unused, so that they run without any network but a loopback of their own: no port
is in use, nothing from outside can help, and nothing is fetched twice. The root and the wheels are kept
for FRESH_SECONDS in the user's cache directory.

Needs root (namespaces, chroot) and debootstrap; see tests/system_packages.sh.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

PROJECT = Path(__file__).parents[2]
SUITE = "bookworm"
PYTHON = "3.11"
GIVEN = ("python3", "python3-venv", "make")
FRESH_SECONDS = 7 * 86400.0
# Where things are in the root.
HOME = Path("root/imserver")
WHEELS = Path("wheels")
ENTER = """
set -eu
root=$1; shift
ip link set lo up
mount -t proc proc "$root/proc"
mount -t sysfs sysfs "$root/sys"
mount --rbind /dev "$root/dev"
mount -t tmpfs tmpfs "$root/tmp"
exec chroot "$root" "$@"
"""
CLEAN = {
    "HOME": "/root",
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "LANG": "C.UTF-8",
    "DEBIAN_FRONTEND": "noninteractive",
    "PIP_NO_INDEX": "1",
    "PIP_FIND_LINKS": f"/{WHEELS}",
}


class Root:
    """One root of one's own; `close` removes it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def command(self, *command: str) -> list[str]:
        """The command line that runs a command in the root, in the project's directory there.

        It has mounts, process numbers and a network of its own, all of which end with it.
        """
        environment = [f"{name}={value}" for name, value in CLEAN.items()]
        inside = ["env", "-i", "-C", f"/{HOME}", *environment, *command]
        apart = ["unshare", "--mount", "--pid", "--net", "--fork", "--kill-child", "--propagation", "private"]
        return [*apart, "sh", "-c", ENTER, "enter", str(self.folder), *inside]

    def close(self) -> None:
        """Removes everything; the mounts are gone with the last command."""
        shutil.rmtree(self.folder)


def make_root(folder: Path, debian: Sequence[str], requirements: str) -> Root:
    """A new root with the project in /root/imserver.

    Args:
        debian: packages that `apt-get install` in the root will find.
        requirements: the lock file whose wheels pip in the root will find.
    """
    for program in ("debootstrap", "unshare", "ip"):
        path = f"{os.environ['PATH']}:/usr/sbin"
        assert shutil.which(program, path=path), f"{program} is missing; see tests/system_packages.sh"
    assert os.geteuid() == 0, "a root directory of one's own needs root"
    packed = _kept(f"debian-{_digest(SUITE, *GIVEN, *sorted(debian))}.tar", lambda to: _bootstrap(to, debian))
    lock = (PROJECT / "requirements" / requirements).read_text()
    wheels = _kept(f"wheels-{_digest(PYTHON, lock)}", lambda to: _download(to, requirements))
    folder.mkdir(parents=True)
    _run("tar", "-C", str(folder), "-xf", str(packed))
    # Every installer and every container writes this one.
    (folder / "etc/hosts").write_text("127.0.0.1 localhost\n")
    shutil.copytree(wheels, folder / WHEELS)
    copy_project(folder / HOME)
    return Root(folder)


def copy_project(folder: Path) -> None:
    """Copies the work tree but for what git ignores; asks no git, which is not everywhere."""
    rules = [".git", *(PROJECT / ".gitignore").read_text().split()]
    anywhere = shutil.ignore_patterns(*(rule.strip("/") for rule in rules))

    def ignored(parent: str, names: list[str]) -> set[str]:
        here = Path(parent).relative_to(PROJECT)
        anchored = {name for name in names if f"/{here / name}/" in rules}
        # A name that is ignored at the top alone may be had elsewhere.
        tops = {rule.strip("/") for rule in rules if rule.startswith("/")}
        return anchored | (set(anywhere(parent, names)) - tops)

    shutil.copytree(PROJECT, folder, ignore=ignored)


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def _kept(name: str, make: Callable[[Path], None]) -> Path:
    """What is in the cache directory under a name, made if it is not there or stale."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "imserver-tests"
    cache.mkdir(parents=True, exist_ok=True)
    for old in cache.iterdir():
        if old.stat().st_mtime < time.time() - FRESH_SECONDS:
            _remove(old)
    kept = cache / name
    if not kept.exists():
        half = cache / f"{name}.{os.getpid()}"
        try:
            make(half)
            half.rename(kept)
        finally:
            if half.exists():
                _remove(half)
    return kept


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()


def _run(*command: str) -> None:
    result = subprocess.run(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=1800
    )
    assert result.returncode == 0, f"{' '.join(command)}:\n{result.stdout.decode(errors='replace')[-4000:]}"


def _bootstrap(packed: Path, debian: Sequence[str]) -> None:
    """Debian with GIVEN installed, and the packages for later in its apt's archive."""
    folder = packed.with_name(f"{packed.name}.root")
    # What is mounted there meanwhile is gone with each command, whatever happens.
    alone = ("unshare", "--mount", "--propagation", "private")
    try:
        path = f"{os.environ['PATH']}:/usr/sbin"
        debootstrap = shutil.which("debootstrap", path=path) or ""
        _run(*alone, debootstrap, "--variant=minbase", f"--include={','.join(GIVEN)}", SUITE, str(folder))
        settings = subprocess.run(["apt-config", "dump"], check=True, capture_output=True, text=True).stdout
        asked = [line for line in settings.splitlines() if re.match(r"Acquire::(http|https|Check|Max)", line)]
        mine = folder / "etc/apt/apt.conf.d/00-this-machine"
        mine.write_text("\n".join(asked) + "\n")
        resolver = folder / "etc/resolv.conf"
        shutil.copy("/etc/resolv.conf", resolver)
        _run(*alone, "chroot", str(folder), "apt-get", "update")
        _run(*alone, "chroot", str(folder), "apt-get", "install", "-y", "--download-only", *debian)
        resolver.unlink()
        mine.unlink()
        _run("tar", "-C", str(folder), "-cf", str(packed), ".")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _download(folder: Path, requirements: str) -> None:
    """The wheels of a lock file, for Debian's Python."""
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", "download"]
    kind = ["--only-binary=:all:", "--implementation=cp", f"--python-version={PYTHON}", "--require-hashes"]
    lock = str(PROJECT / "requirements" / requirements)
    _run(*pip, *kind, "--dest", str(folder), "-r", lock)
