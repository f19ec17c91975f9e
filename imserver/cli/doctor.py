"""`imserver doctor`: what would keep a server from running well."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from imserver.cli.errors import FAULTS, OK, CommandError
from imserver.cli.output import Output, printable
from imserver.cli.parsing import Parsers, add_command
from imserver.cli.place import configuration, data_path
from imserver.cli.settings import startup_fault
from imserver.config import ConfigError, Configuration

if TYPE_CHECKING:
    from imserver.cli.checks import Finding

_SIGNS = {"ok": "ok  ", "warn": "WARN", "fail": "FAIL"}


def add_commands(parsers: Parsers) -> None:
    """Adds it."""
    command = add_command(
        parsers,
        "doctor",
        _doctor,
        "look for what would keep a server from running well",
        "Looks at versions, configuration, clock, limits, data directory, disk, ports, certificates and the\n"
        "running server. `doctor turn` asks every configured STUN and TURN server instead, and `doctor\n"
        "media` every media server. Changes nothing.\n"
        "Ends with 4 if anything FAILs; a WARN alone does not count.",
        "imserver doctor --config /etc/imserver.toml\n"
        "imserver doctor turn --config /etc/imserver.toml\n"
        "imserver doctor media --config /etc/imserver.toml",
    )
    command.add_argument("what", nargs="?", choices=["turn", "media"], help="look at these servers instead")


def _doctor(options: argparse.Namespace, output: Output) -> int:
    look = {"turn": _turn, "media": _media}.get(options.what, _everything)
    return _report(look(options), output)


def _turn(options: argparse.Namespace) -> list[Finding]:
    from imserver.assembly import read_turn_servers
    from imserver.cli.checks import Finding, Status
    from imserver.cli.turn import examine

    try:
        servers = read_turn_servers(configuration(options))
    except ConfigError as error:
        return [Finding("turn", Status.FAIL, str(error))]
    return examine(servers)


def _media(options: argparse.Namespace) -> list[Finding]:
    from imserver.cli.media import examine

    return examine(configuration(options).media_server)


def _everything(options: argparse.Namespace) -> list[Finding]:
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
    return findings + examine(data_path(options, settings), settings)


def _report(findings: list[Finding], output: Output) -> int:
    from imserver.cli.checks import Status

    lines = [f"{_SIGNS[found.status]}  {found.check}: {printable(found.text)}" for found in findings]
    output.result(findings, "\n".join(lines))
    return FAULTS if any(found.status is Status.FAIL for found in findings) else OK
