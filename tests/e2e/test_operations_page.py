"""What docs/operations.md shows to copy does what it says."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import textwrap
from pathlib import Path
from urllib.parse import urlsplit

from imserver.config import load
from tests.e2e.certificates import Authority, serial

PAGE = (Path(__file__).parents[2] / "docs" / "operations.md").read_text()


def block(first: str) -> str:
    """The indented block that begins with a line."""
    lines = PAGE.splitlines()
    start = next(number for number, line in enumerate(lines) if line.strip() == first)
    indent = len(lines[start]) - len(lines[start].lstrip())
    taken = []
    for line in lines[start:]:
        if line.strip() and len(line) - len(line.lstrip()) < indent:
            break
        taken.append(line)
    return textwrap.dedent("\n".join(taken)).strip() + "\n"


def test_the_renewal_hook_brings_the_certificate_and_reloads(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "pki")
    live, served = tmp_path / "live", tmp_path / "tls"
    live.mkdir()
    served.mkdir()
    certificate, key = authority.issue("renewed", "localhost")
    shutil.copy(certificate, live / "fullchain.pem")
    shutil.copy(key, live / "privkey.pem")
    (served / "fullchain.pem").write_text("the old one")
    called = tmp_path / "called"
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "systemctl").write_text(f'#!/bin/sh\necho "$@" > {called}\n')
    (programs / "systemctl").chmod(0o755)
    # Owner and group need root, and the group.
    script = block("#!/bin/sh").replace("/etc/imserver/tls", str(served)).replace("-o root -g imserver ", "")
    hook = tmp_path / "hook"
    hook.write_text(script)
    environment = {"PATH": f"{programs}:{os.environ['PATH']}", "RENEWED_LINEAGE": str(live)}
    subprocess.run(["sh", str(hook)], check=True, env=environment, timeout=30)
    assert serial(served / "fullchain.pem") == serial(certificate)
    assert (served / "privkey.pem").read_bytes() == key.read_bytes()
    assert {(file.name, file.stat().st_mode & 0o777) for file in served.iterdir()} == {
        ("fullchain.pem", 0o640),
        ("privkey.pem", 0o640),
    }
    assert called.read_text() == "try-reload-or-restart imserver\n"
    # Half a renewal changes nothing that the server would read.
    (live / "privkey.pem").unlink()
    called.unlink()
    assert subprocess.run(["sh", str(hook)], env=environment, timeout=30, capture_output=True).returncode
    assert not called.exists()


def test_the_proxys_configuration_and_the_listeners(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "pki")
    certificate, key = authority.issue("proxy", "localhost")
    both = tmp_path / "im.pem"
    both.write_bytes(certificate.read_bytes() + key.read_bytes())
    text = block("frontend im").replace("/etc/haproxy/im.pem", str(both))
    text, _, _ = text.partition("[[listener]]")
    file = tmp_path / "haproxy.cfg"
    file.write_text("defaults\n timeout connect 5s\n timeout client 1m\n timeout server 1m\n" + text)
    program = shutil.which("haproxy", path=f"{os.environ['PATH']}:/usr/sbin")
    assert program is not None, "haproxy is missing; see tests/system_packages.sh"
    checked = subprocess.run([program, "-c", "-f", str(file)], capture_output=True, text=True, timeout=30)
    assert checked.returncode == 0, checked.stderr
    listener = tmp_path / "im.toml"
    listener.write_text(block("[[listener]]"))
    (configured,) = load(str(listener)).listener
    assert configured.proxy_protocol is not None
    assert configured.endpoint.split(":")[1] in text, "the balancer's port is the listener's"


def test_the_ports_are_those_of_the_example() -> None:
    listeners = load(str(Path(__file__).parents[2] / "etc" / "imserver.toml")).listener
    shown = set(re.findall(r"^ *\| (\d{4}) \|", PAGE, re.MULTILINE))
    assert shown == {listener.endpoint.split(":")[1] for listener in listeners}


def test_the_media_server_is_that_of_the_sample(tmp_path: Path) -> None:
    file = tmp_path / "im.toml"
    file.write_text(block("[[media_server]]"))
    (server,) = load(str(file)).media_server
    etc = Path(__file__).parents[2] / "etc"
    websockets, http = ((etc / f"janus.transport.{name}.jcfg").read_text() for name in ("websockets", "http"))
    assert f"wss_port = {urlsplit(server.wss or '').port}\n" in websockets
    assert f"\tport = {urlsplit(server.health or '').port}\n" in http
