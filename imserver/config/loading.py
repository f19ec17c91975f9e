"""Reads the configuration and says in one line, with the key's path, what is wrong with it."""

from __future__ import annotations

import ipaddress
import os
import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from imserver.config.endpoints import is_local
from imserver.config.faults import ConfigError
from imserver.config.ice_urls import parse_ice_url
from imserver.config.media_urls import fault as media_server_fault
from imserver.config.schema import STREAM_FORMATS, Configuration, Listener, Proxies, Turn
from imserver.config.store_faults import store_fault

_WEBSOCKET_FORMATS = ("protobuf", "signalling")
_ONLY_FOR = {
    "dialect": "jsonline",
    "require_authorization": "jsonline",
    "signature": "jsonline",
    "encryption": "jsonline",
    "paths": "http",
    "allowed_origins": "http",
    "rest": "http",
    "compression": "http",
    "echo_client_id": "http",
    "forwarded_for": "http",
    "auth": "qdatastream",
    "framing": "qdatastream",
    "presence": "qdatastream",
    "unframed_errors": "qdatastream",
}


def load(file: str | None = None, overrides: Sequence[str] = ()) -> Configuration:
    """Reads the file, applies `KEY=VALUE` overrides, checks everything.

    Args:
        file: path of a TOML file; None = all defaults.
        overrides: dotted keys, list items by number from 0 (`listener.0.endpoint=…`);
            the value is read as TOML and, where it is none, as text.

    Raises:
        ConfigError: unreadable, not TOML, an unknown key, a bad value.
    """
    tree = _read(file) if file is not None else {}
    where = file or "configuration"
    if overrides:
        # Overrides may reach into the default listeners, so these must be there.
        tree.setdefault("listener", msgspec.json.decode(msgspec.json.encode(Configuration().listener)))
        for override in overrides:
            _override(tree, override)
    try:
        configuration = msgspec.convert(tree, Configuration)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{where}: {_explain(error)}") from None
    fault = _fault(configuration)
    if fault is not None:
        raise ConfigError(f"{where}: {fault}")
    return configuration


def data_directory(configured: str, environment: Mapping[str, str]) -> Path:
    """Where the data lives: as configured, else systemd's state directory, else the user's data home."""
    if configured:
        return Path(configured).expanduser()
    state = environment.get("STATE_DIRECTORY", "").partition(":")[0]
    if state:
        return Path(state)
    home = environment.get("XDG_DATA_HOME") or os.path.join(environment.get("HOME") or "/", ".local/share")
    return Path(home) / "imserver"


def self_registration(configuration: Configuration) -> bool:
    """As configured; otherwise only where every listener is on the loopback interface."""
    if configuration.auth.self_registration is not None:
        return configuration.auth.self_registration
    return all(is_local(listener) for listener in configuration.listener)


def _read(file: str) -> dict[str, Any]:
    try:
        with open(file, "rb") as stream:
            return tomllib.load(stream)
    except OSError as error:
        raise ConfigError(f"{file}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigError(f"{file}: {str(error) or 'nested too deeply'}") from None


def _override(tree: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    parts = key.strip().split(".")
    if not equals or not all(parts):
        raise ConfigError(f"--set {override}: must be KEY=VALUE")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text
    place: Any = tree
    for part in parts[:-1]:
        if isinstance(place, dict):
            place = place.setdefault(part, {})
        else:
            place = _item(place, part, override)
    if isinstance(place, dict):
        place[parts[-1]] = value
    else:
        _item(place, parts[-1], override)
        place[int(parts[-1])] = value


def _item(place: Any, part: str, override: str) -> Any:
    if not isinstance(place, list) or not part.isdecimal() or int(part) >= len(place):
        raise ConfigError(f'--set {override}: there is no item "{part}"')
    return place[int(part)]


def _explain(error: msgspec.ValidationError) -> str:
    """msgspec's "reason - at `$.path`" as "path: reason"."""
    reason, _, place = str(error).partition(" - at ")
    path = place.removeprefix("`key` in ").strip("`").removeprefix("$").removeprefix(".")
    unknown = re.fullmatch(r"Object contains unknown field `(.*)`", reason)
    if unknown is not None:
        return f"{path}.{unknown[1]}: unknown key".removeprefix(".")
    return f"{path}: {reason[:1].lower()}{reason[1:]}" if path else reason


def _fault(configuration: Configuration) -> str | None:
    """What types alone do not tell."""
    for key in configuration.formats:
        if key in STREAM_FORMATS or key in _WEBSOCKET_FORMATS:
            return f"formats.{key}: is built in"
    for number, listener in enumerate(configuration.listener):
        fault = _listener_fault(listener, configuration.formats)
        if fault is not None:
            return f"listener[{number}].{fault}"
    for number, turn in enumerate(configuration.turn):
        fault = _turn_fault(turn)
        if fault is not None:
            return f"turn[{number}].{fault}"
    names: set[str] = set()
    for number, media_server in enumerate(configuration.media_server):
        fault = media_server_fault(media_server)
        if fault is not None:
            return f"media_server[{number}].{fault}"
        if media_server.name in names:
            return f"media_server[{number}].name: {media_server.name!r} has been given already"
        names.add(media_server.name)
    retention = configuration.retention
    if retention.days and retention.days * 24 < retention.dedupe_hours:
        return "retention.days: is shorter than retention.dedupe_hours: retries are answered from the log"
    fault = store_fault(configuration.store)
    if fault is not None:
        return f"store.{fault}"
    limits = configuration.limits
    if limits.outbox_bytes > limits.all_outboxes_bytes:
        return "limits.outbox_bytes: is larger than limits.all_outboxes_bytes"
    return None


def _listener_fault(listener: Listener, formats: Mapping[str, str]) -> str | None:
    if listener.format not in STREAM_FORMATS and listener.format not in formats:
        return f"format: {listener.format!r} is none of {', '.join([*STREAM_FORMATS, *formats])}"
    for option, format in _ONLY_FOR.items():
        if getattr(listener, option) is not None and listener.format != format:
            return f"{option}: is for listeners of format {format} only"
    for option in ("signature", "encryption"):
        if listener.dialect == "chat-app" and getattr(listener, option) not in (None, "off"):
            return f"{option}: the dialect chat-app has none"
    if listener.format == "http" and not listener.paths and not listener.rest:
        return "paths: an http listener needs at least one, or rest = true"
    for option in ("proxy_protocol", "forwarded_for"):
        proxies: Proxies | None = getattr(listener, option)
        for number, network in enumerate(proxies.trusted if proxies is not None else ()):
            try:
                ipaddress.ip_network(network, strict=False)
            except ValueError:
                return f"{option}.trusted[{number}]: {network!r} is neither an address nor a network"
    return None


def _turn_fault(turn: Turn) -> str | None:
    relays = False
    for number, text in enumerate(turn.urls):
        try:
            relays |= parse_ice_url(text).relays
        except ValueError as error:
            return f"urls[{number}]: {error}"
    if relays and turn.secret_file is None:
        return "secret_file: is needed for turn and turns"
    return None
