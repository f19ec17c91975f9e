"""`imserver doctor`: what would keep a server from running well."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from imserver import __version__
from imserver.cli import certificates, checks
from imserver.cli.checks import Finding, Status
from imserver.cli.errors import FAULTS, OK, CommandError
from imserver.cli.operator import Remote, connect
from imserver.cli.output import Output, printable
from imserver.cli.parsing import Parsers, add_command
from imserver.cli.place import configuration, data_path
from imserver.cli.settings import startup_fault
from imserver.config import Configuration
from imserver.wire.control import Describe

_SIGNS = {Status.OK: "ok  ", Status.WARN: "WARN", Status.FAIL: "FAIL"}


def add_commands(parsers: Parsers) -> None:
    """Adds it."""
    add_command(
        parsers,
        "doctor",
        _doctor,
        "look for what would keep a server from running well",
        "Looks at versions, configuration, clock, limits, data directory, disk, ports, certificates and the\n"
        "running server. Changes nothing. Ends with 4 if anything FAILs; a WARN alone does not count.",
        "imserver doctor --config /etc/imserver.toml",
    )


def _doctor(options: argparse.Namespace, output: Output) -> int:
    findings = checks.versions()
    try:
        settings = configuration(options)
        fault = startup_fault(settings)
    except CommandError as error:
        settings, fault = Configuration(), error.text
    if fault is None:
        findings.append(Finding("configuration", Status.OK, f"{options.config or 'defaults'}: good"))
    else:
        findings.append(Finding("configuration", Status.FAIL, fault))
    data = data_path(options, settings)
    findings += examine(data, settings)
    output.result(findings, "\n".join(map(_line, findings)))
    return FAULTS if any(finding.status is Status.FAIL for finding in findings) else OK


def examine(data: Path, settings: Configuration) -> list[Finding]:
    """Everything that depends on the data directory and the configuration."""
    server, pid = _server(data)
    findings = server + checks.clock(data) + checks.open_files(settings, pid)
    findings += checks.data_directory(data) + checks.disk(data)
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


def _line(finding: Finding) -> str:
    return f"{_SIGNS[finding.status]}  {finding.check}: {printable(finding.text)}"
