"""Runs Debian's Janus with etc/janus*.jcfg, in a `namespace`: it does not use the loopback interface."""

from __future__ import annotations

import http.client
import json
import re
import shutil
import subprocess
from pathlib import Path

from tests.e2e.namespace import ADDRESS, dying_with_us
from tests.e2e.server import sleep

SAMPLES = Path(__file__).parents[2] / "etc"
SECONDS = 60.0


class Janus:
    """One Janus.

    Attributes:
        name: its `server_name`.
        ws / wss / http: its addresses.
        health: what tells that it is well.
        log: what it wrote.
    """

    def __init__(
        self,
        folder: Path,
        number: int = 0,
        *,
        certificate: tuple[Path, Path] | None = None,
    ) -> None:
        """Args:
        number: of this Janus in the namespace, which decides its ports.
        certificate: PEM files of the certificate and the key; None = no wss.
        """
        folder.mkdir()
        self.name = folder.name
        self.log = folder / "janus.log"
        self.address = ADDRESS
        # Nobody else is in the namespace, so every port is free there.
        self.http_port, ws, wss, rtp = (base + 10 * number for base in (18788, 18188, 18989, 0))
        self.ws, self.wss = f"ws://{self.address}:{ws}/", f"wss://{self.address}:{wss}/"
        self.http = f"http://{self.address}:{self.http_port}/janus"
        self.health = f"{self.http}/info"
        first = 20000 + 500 * rtp
        pem, key = certificate or ("", "")
        _write(
            folder / "janus.jcfg",
            configs_folder=str(folder),
            server_name=self.name,
            debug_level=4,
            rtp_port_range=f"{first}-{first + 4000}",
            ice_enforce_list=self.address,
        )
        _write(folder / "janus.transport.http.jcfg", port=self.http_port, ip=self.address)
        _write(
            folder / "janus.transport.websockets.jcfg",
            ws_port=ws,
            ws_ip=self.address,
            wss=certificate is not None,
            wss_port=wss,
            wss_ip=self.address,
            cert_pem=str(pem),
            cert_key=str(key),
        )
        _write(folder / "janus.plugin.videoroom.jcfg")
        program = shutil.which("janus")
        assert program is not None, "janus is missing; see tests/system_packages.sh"
        options = ["-C", str(folder / "janus.jcfg"), "-F", str(folder), "--disable-colors"]
        self._command = dying_with_us(program, *options)
        self._process: subprocess.Popen[bytes] | None = None

    async def start(self) -> Janus:
        """Starts it and waits until it is well."""
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                self._command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
            )
        for _ in range(int(SECONDS / 0.05)):
            assert self._process.poll() is None, self.log.read_text(errors="replace")
            if self.info().get("server-name") == self.name:
                return self
            await sleep(0.05)
        raise AssertionError(self.log.read_text(errors="replace"))

    def info(self) -> dict[str, object]:
        """What it says of itself; empty if nobody answers."""
        connection = http.client.HTTPConnection(self.address, self.http_port, timeout=SECONDS)
        try:
            connection.request("GET", "/janus/info")
            told: dict[str, object] = json.loads(connection.getresponse().read())
        except (OSError, http.client.HTTPException):
            return {}
        finally:
            connection.close()
        return told

    @property
    def pid(self) -> int:
        """Its process."""
        assert self._process is not None
        return self._process.pid

    def close(self) -> None:
        """Kills it: no goodbye to anybody."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(30)
            self._process = None


def _write(file: Path, **changed: object) -> None:
    """The sample of that name, but for some settings, which must be in it, be it as comments."""
    text = (SAMPLES / file.name).read_text()
    for key, value in changed.items():
        written = json.dumps(value)
        text, found = re.subn(rf"(?m)^(\s*)#?{key} = .*$", rf"\g<1>{key} = {written}", text)
        assert found == 1, (file.name, key, found)
    file.write_text(text)
