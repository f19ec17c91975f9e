"""Everything that `imserver doctor` looks at, in order."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from imserver import __version__
from imserver.cli import certificates, checks
from imserver.cli.checks import Finding, Status
from imserver.cli.errors import CommandError
from imserver.cli.operator import Remote, connect
from imserver.config import Configuration
from imserver.wire.control import Describe


def examine(data: Path, settings: Configuration) -> list[Finding]:
    """Everything that depends on the data directory and the configuration."""
    server, pid = _server(data)
    findings = server + checks.clock(data) + checks.open_files(settings, pid)
    findings += checks.data_directory(data) + checks.disk(data)
    if settings.keys_dir:
        findings += checks.data_directory(Path(settings.keys_dir))
    findings += checks.ports(settings, open_endpoints(data) if pid else [])
    for chain, key in certificates.configured(settings):
        findings += certificates.check(chain, key)
    return findings + checks.production(settings)


def _server(data: Path) -> tuple[list[Finding], int]:
    """What the running server says of itself, and its process id (0 = none runs)."""
    try:
        link = connect(data) if data.is_dir() else None
        if link is None:
            return [Finding("server", Status.OK, "none runs on this data directory")], 0
        with link:
            info = Remote(link).perform(Describe())
    except (CommandError, OSError) as error:
        return [Finding("server", Status.FAIL, str(error))], 0
    text = f"version {info.version} runs as process {info.pid}"
    if info.version != __version__:
        text += f"; this command is of version {__version__}: restart the server"
        return [Finding("server", Status.WARN, text)], info.pid
    return [Finding("server", Status.OK, text)], info.pid


def open_endpoints(data: Path) -> list[str]:
    """The endpoints that the running server has open."""
    try:
        listeners: list[dict[str, Any]] = json.loads((data / "ports.json").read_bytes())["listeners"]
        return [listener["endpoint"] for listener in listeners]
    except (OSError, ValueError, LookupError, TypeError):
        return []
