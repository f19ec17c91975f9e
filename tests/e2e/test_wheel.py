"""The wheel, installed elsewhere, is all that `twistd imserver` needs."""

from __future__ import annotations

import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from pytest_twisted import ensureDeferred
from twisted.internet import reactor

from tests.clients import jsonline_client
from tests.deploy.clean_root import copy_project
from tests.e2e.conftest import Serve

PYTHON = f"python{sys.version_info.major}.{sys.version_info.minor}"


def run(*command: str | Path, cwd: Path) -> str:
    """What a command prints, both streams; it must end well."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(cwd), "LANG": "C.UTF-8"}
    result = subprocess.run(
        [str(word) for word in command], cwd=cwd, env=environment, capture_output=True, text=True, timeout=300
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout + result.stderr


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A copy of the project."""
    copy_project(tmp_path / "source")
    return tmp_path / "source"


@pytest.fixture
def wheel(source: Path, tmp_path: Path) -> Path:
    """The wheel made of it, without network."""
    offline = ("--quiet", "--no-index", "--no-deps", "--no-build-isolation")
    run(sys.executable, "-m", "pip", "wheel", *offline, "-w", tmp_path / "wheels", source, cwd=tmp_path)
    (wheel,) = (tmp_path / "wheels").iterdir()
    return wheel


@pytest.fixture
def elsewhere(wheel: Path, tmp_path: Path) -> Path:
    """The programs of a new environment with the locked dependencies and the wheel, nothing editable.

    The dependencies are copied from the environment of these tests, as pip recorded them there.
    """
    environment = tmp_path / "environment"
    run(sys.executable, "-m", "venv", "--without-pip", environment, cwd=tmp_path)
    packages = environment / "lib" / PYTHON / "site-packages"
    lock = (tmp_path / "source/requirements/runtime.txt").read_text()
    for name in re.findall(r"^([\w.-]+)==", lock, re.MULTILINE):
        for file in importlib.metadata.distribution(name).files or []:
            target = Path(os.path.normpath(packages / file))
            target.parent.mkdir(parents=True, exist_ok=True)
            if target.suffix != ".pyc" and target.name != "dropin.cache":
                shutil.copy(file.locate(), target)
            if target.parent == environment / "bin":
                _, _, rest = target.read_text().partition("\n")
                target.write_text(f"#!{environment / 'bin/python'}\n{rest}")
    pip = (sys.executable, "-m", "pip", "--python", environment / "bin/python")
    run(*pip, "install", "--quiet", "--no-index", "--no-deps", wheel, cwd=tmp_path)
    assert "No broken requirements" in run(*pip, "check", cwd=tmp_path)
    return environment / "bin"


def test_what_is_in_it(source: Path, wheel: Path) -> None:
    package = [*(source / "imserver").rglob("*"), *(source / "twisted").rglob("*")]
    expected = {str(file.relative_to(source)) for file in package if file.is_file()}
    assert "imserver/py.typed" in expected
    names = zipfile.ZipFile(wheel).namelist()
    data = {name.partition(".data/data/")[2] for name in names if ".data/" in name}
    assert {name for name in names if ".data/" not in name and ".dist-info/" not in name} == expected
    assert data == {f"share/imserver/{file.name}" for file in (source / "etc").iterdir()}


@ensureDeferred
async def test_it_serves_where_nothing_else_is(serve: Serve, elsewhere: Path, tmp_path: Path) -> None:
    shutil.rmtree(tmp_path / "source")
    twistd = elsewhere / "twistd"
    cache = elsewhere.parent / "lib" / PYTHON / "site-packages/twisted/plugins/dropin.cache"
    help_ = run(twistd, "imserver", "--help", cwd=tmp_path)
    for option in ("--config", "--data-dir", "--demo", "--set", "--check-config"):
        assert option in help_
    # Twisted has found the plugin and remembers where.
    assert b"imserver_plugin" in cache.read_bytes()
    written = cache.stat().st_mtime_ns
    assert "imserver" in run(elsewhere / "imserver", "--version", cwd=tmp_path)

    server = await serve(twistd=twistd).start()
    bob = await jsonline_client.connect_tcp(reactor, server.port("jsonline"))
    assert (await bob.log_in("bob"))["payload"]["status"] == 200
    mapped = Path(f"/proc/{server.pid}/cmdline").read_bytes()
    assert str(twistd).encode() in mapped
    await bob.close()
    await server.stop()
    assert "cache" not in server.output(), server.output()
    assert cache.stat().st_mtime_ns == written
