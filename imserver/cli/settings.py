"""`imserver config …`."""

from __future__ import annotations

import argparse
import re
from typing import Any

import msgspec
import tomli_w

from imserver.cli.errors import REFUSED, CommandError
from imserver.cli.output import Output
from imserver.cli.parsing import Parsers, add_command, add_family, add_file
from imserver.cli.place import configuration, data_path
from imserver.config import ConfigError, Configuration
from imserver.config.loading import self_registration

MASK = "********"
_SECRET_KEY = re.compile(r"(^|_)(secret|password|passphrase|token|credential|key)s?$")
_PATH_KEY = re.compile(r"(^|_)(public_key|file|path)$")
_PASSWORD_IN_URL = re.compile(r"(?<=://)([^/@\s:]*):[^/@\s]+(?=@)")


def add_commands(parsers: Parsers) -> None:
    """Adds them."""
    family = add_family(parsers, "config", "check and show the configuration")

    command = add_command(
        family,
        "check",
        _check,
        "check a configuration file",
        "Checks types, bounds, unknown keys, endpoints and key files, as the server does at its start.",
        "imserver config check /etc/imserver.toml",
    )
    add_file(command, "file", metavar="FILE", nargs="?", help="as --config")

    command = add_command(
        family,
        "show",
        _show,
        "show the effective configuration",
        "Shows every key with the value that the server uses, defaults included, as TOML.\n"
        "Secrets are masked.",
        "imserver config show --config /etc/imserver.toml\n"
        "imserver config show --set limits.connections=5000 --json",
    )
    add_file(command, "file", metavar="FILE", nargs="?", help="as --config")


def _check(options: argparse.Namespace, output: Output) -> int:
    settings = _read(options)
    fault = startup_fault(settings)
    if fault is not None:
        raise CommandError(REFUSED, f"{options.config or 'configuration'}: {fault}", "CONFIGURATION")
    output.result({"config": options.config, "ok": True}, f"{options.config or 'defaults'}: good")
    return 0


def _show(options: argparse.Namespace, output: Output) -> int:
    settings = _read(options)
    tree = effective(settings, str(data_path(options, settings)))
    output.result(tree, "" if output.json else tomli_w.dumps(tree).rstrip("\n"))
    return 0


def _read(options: argparse.Namespace) -> Configuration:
    if options.file is not None:
        options.config = options.file
    return configuration(options)


def startup_fault(settings: Configuration) -> str | None:
    """What else would keep a server from starting with it, in one line: endpoints, certificates, keys."""
    from twisted.internet import reactor
    from twisted.internet.endpoints import serverFromString

    from imserver.assembly import read_external_keys
    from imserver.config.certificates import read_certificates, read_credentials

    for number, listener in enumerate(settings.listener):
        try:
            serverFromString(reactor, listener.endpoint)
        except Exception as error:
            # Endpoint parsers come with plugins and raise what they like.
            reason = str(error) or type(error).__name__
            # Only the service itself is handed its sockets.
            if not (isinstance(error, LookupError) and listener.endpoint.startswith("systemd:")):
                return f"listener[{number}].endpoint: {listener.endpoint!r} cannot be used: {reason}"
        try:
            if listener.tls is not None:
                for pair in (listener.tls, *listener.tls.sni):
                    read_credentials(pair)
                if listener.tls.client_ca is not None:
                    read_certificates(listener.tls.client_ca)
        except ConfigError as error:
            return f"listener[{number}].tls: {error}"
    try:
        read_external_keys(settings)
    except ConfigError as error:
        return str(error)
    return None


def effective(settings: Configuration, data: str) -> dict[str, Any]:
    """The configuration as plain values, secrets masked, what is decided elsewhere filled in."""
    tree = msgspec.to_builtins(settings)
    tree["data_dir"] = data
    tree["auth"]["self_registration"] = self_registration(settings)
    shown: dict[str, Any] = _masked("", tree)
    return shown


def _masked(key: str, value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _masked(name, item) for name, item in value.items() if item is not None}
    if isinstance(value, list | tuple):
        return [_masked(key, item) for item in value]
    if isinstance(value, str) and value:
        if _SECRET_KEY.search(key) and not _PATH_KEY.search(key):
            return MASK
        return _PASSWORD_IN_URL.sub(rf"\1:{MASK}", value)
    return value
