"""`imserver doctor`: what would keep a server from running well."""

from __future__ import annotations

import argparse

from imserver.cli.errors import FAULTS, OK, CommandError
from imserver.cli.output import Output, printable
from imserver.cli.parsing import Parsers, add_command
from imserver.cli.place import configuration, data_path
from imserver.cli.settings import startup_fault
from imserver.config import Configuration

_SIGNS = {"ok": "ok  ", "warn": "WARN", "fail": "FAIL"}


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
    # Here, so that no other command loads what reads certificates.
    from imserver.cli.checks import Finding, Status, versions
    from imserver.cli.examination import examine

    findings = versions()
    try:
        settings = configuration(options)
        fault = startup_fault(settings)
    except CommandError as error:
        settings, fault = Configuration(), error.text
    if fault is None:
        findings.append(Finding("configuration", Status.OK, f"{options.config or 'defaults'}: good"))
    else:
        findings.append(Finding("configuration", Status.FAIL, fault))
    findings += examine(data_path(options, settings), settings)
    lines = [f"{_SIGNS[found.status]}  {found.check}: {printable(found.text)}" for found in findings]
    output.result(findings, "\n".join(lines))
    return FAULTS if any(found.status is Status.FAIL for found in findings) else OK
