"""Runs Debian's coturn with etc/turnserver.conf, as far as a loopback interface allows."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.e2e.server import sleep
from tests.ports import free_port

SAMPLE = Path(__file__).parents[2] / "etc/turnserver.conf"
SECRET = "a secret of coturn and imserver"
# The sample's, which do not suit a test: the peers are on this machine, and there are no certificates.
_LEFT_OUT = ("denied-peer-ip=", "cert=", "pkey=", "tls-listening-port=", "syslog")


class Coturn:
    """One coturn.

    Attributes:
        port / tls_port: where it listens, TCP and UDP.
        log: what it wrote.
    """

    def __init__(
        self,
        folder: Path,
        *,
        secret: str = SECRET,
        certificate: tuple[Path, Path] | None = None,
        address: str = "127.0.0.1",
        wrapper: Sequence[str] = (),
        more: Sequence[str] = (),
    ) -> None:
        """Args:
        certificate: PEM files of the certificate and the key; None = no TLS.
        wrapper: a command line before coturn's, such as `ip netns exec NAME`.
        more: lines that take the place of the sample's.
        """
        folder.mkdir(exist_ok=True)
        self.address = address
        self.port, self.tls_port = free_port(), free_port()
        self.log = folder / "coturn.log"
        self._wrapper = list(wrapper)
        own = [
            f"listening-ip={address}",
            f"relay-ip={address}",
            f"listening-port={self.port}",
            f"tls-listening-port={self.tls_port}",
            f"static-auth-secret={secret}",
            "allow-loopback-peers",
            f"userdb={folder / 'turndb'}",
            f"pidfile={folder / 'coturn.pid'}",
            "log-file=stdout",
            "no-dtls",
            "verbose",
            *(["no-tls"] if certificate is None else [f"cert={certificate[0]}", f"pkey={certificate[1]}"]),
            *more,
        ]
        replaced = tuple(line.partition("=")[0] + "=" for line in own if "=" in line)
        kept = [
            line
            for line in SAMPLE.read_text().splitlines()
            if line and not line.startswith(("#", *_LEFT_OUT, *replaced))
        ]
        self._file = folder / "turnserver.conf"
        self._file.write_text("\n".join([*kept, *own]) + "\n")
        self._process: subprocess.Popen[bytes] | None = None

    async def start(self) -> Coturn:
        """Starts it and waits until it listens."""
        program = shutil.which("turnserver", path=f"{os.environ['PATH']}:/usr/sbin")
        assert program is not None, "coturn is missing; see tests/system_packages.sh"
        with self.log.open("wb") as output:
            self._process = subprocess.Popen(
                [*self._wrapper, program, "-c", str(self._file)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        for _ in range(1500):
            assert self._process.poll() is None, self.log.read_text()
            if f"UDP listener opened on: {self.address}:{self.port}" in self.log.read_text(errors="replace"):
                return self
            await sleep(0.02)
        raise AssertionError(self.log.read_text())

    def close(self) -> None:
        """Ends it."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(30)
