"""From configured listeners to open ports: all of them, or none."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from msgspec import Struct
from twisted.internet.defer import Deferred, gatherResults, maybeDeferred, succeed
from twisted.internet.endpoints import serverFromString
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort, IStreamServerEndpoint
from twisted.internet.protocol import Factory

from imserver.config import ConfigError, Listener
from imserver.config.endpoints import is_tcp, port_fault
from imserver.tap.accepting import pace
from imserver.tap.garbage import Newcomers
from imserver.tap.port_sharing import PortSharing

PORTS_FILE = "ports.json"


class StartError(Exception):
    """The server cannot start; the text is one line for the operator."""


class OpenPort(Struct, frozen=True):
    """A port that is open, and what it was opened for."""

    listener: Listener
    port: Any

    def spoken(self) -> str:
        """What is spoken there, for people: the format, and in brackets its dialect or paths."""
        paths = ", ".join(f"{path} {name}" for path, name in (self.listener.paths or {}).items())
        details = paths or (self.listener.dialect if self.listener.dialect != "draft" else "")
        return self.listener.format + (f" ({details})" if details else "")

    def address(self) -> str:
        """Where it is, for people: HOST:PORT, or what another kind of socket calls itself."""
        address = self.port.getHost()
        host = getattr(address, "host", None)
        if host is None:
            return str(address)
        return f"[{host}]:{address.port}" if ":" in host else f"{host}:{address.port}"


def parse_endpoints(reactor: Any, listeners: Sequence[Listener]) -> list[IStreamServerEndpoint]:
    """The endpoints, not listening yet.

    Raises:
        ConfigError: with the path of a listener whose endpoint string is none.
    """
    endpoints: list[IStreamServerEndpoint] = []
    for number, listener in enumerate(listeners):
        try:
            way = PortSharing(reactor) if listener.share_port else reactor
            endpoints.append(serverFromString(way, listener.endpoint))
        except Exception as error:
            # Endpoint parsers come with plugins and raise what they like.
            reason: str | None = str(error) or type(error).__name__
            if listener.endpoint.startswith("systemd:") and isinstance(error, LookupError):
                reason = "systemd handed over no such socket"
        else:
            reason = port_fault(listener.endpoint)
            if listener.share_port and not is_tcp(listener.endpoint):
                reason = "share_port needs a tcp endpoint"
        if reason is not None:
            raise ConfigError(f"listener[{number}].endpoint: {listener.endpoint!r} cannot be used: {reason}")
    return endpoints


async def open_ports(
    listeners: Sequence[Listener],
    endpoints: Sequence[IStreamServerEndpoint],
    factories: Sequence[Factory],
    newcomers: Newcomers,
) -> list[OpenPort]:
    """Listens everywhere.

    Args:
        newcomers: told of connections that come in.

    Raises:
        StartError: one could not be opened; those that were are closed again.
    """
    opened: list[OpenPort] = []
    try:
        for listener, endpoint, factory in zip(listeners, endpoints, factories, strict=True):
            try:
                port = await endpoint.listen(factory)
            except CannotListenError as error:
                reason = error.socketError
                text = getattr(reason, "strerror", None) or str(reason)
                raise StartError(f"{listener.endpoint}: cannot listen: {text}") from None
            except (OSError, ValueError) as error:
                raise StartError(f"{listener.endpoint}: cannot listen: {error}") from None
            pace(port, newcomers)
            opened.append(OpenPort(listener, port))
    except StartError:
        await close_ports(opened)
        raise
    return opened


def close_ports(ports: Sequence[OpenPort]) -> Deferred[Any]:
    """Stops listening; connections stay."""
    if not ports:
        return succeed(None)
    return gatherResults([maybeDeferred(opened.port.stopListening) for opened in ports])


def channel_ports(ports: Sequence[OpenPort]) -> tuple[int, int]:
    """The ports of the file channel, plain and TLS; 0 = there is none."""
    found = {True: 0, False: 0}
    for opened in ports:
        if opened.listener.format == "files":
            port = getattr(opened.port.getHost(), "port", 0)
            found[opened.listener.tls is not None] = found[opened.listener.tls is not None] or port
    return found[False], found[True]


def write_ports(directory: Path, ports: Sequence[OpenPort]) -> None:
    """Writes `ports.json`: who listens where, for programs on this machine."""
    listeners = []
    for opened in ports:
        port: IListeningPort = opened.port
        address = port.getHost()
        listeners.append(
            {
                "format": opened.listener.format,
                "dialect": opened.listener.dialect or "",
                "paths": opened.listener.paths or {},
                "endpoint": opened.listener.endpoint,
                "host": getattr(address, "host", ""),
                "port": getattr(address, "port", 0),
            }
        )
    temporary = directory / f"{PORTS_FILE}.new"
    temporary.write_text(json.dumps({"pid": os.getpid(), "listeners": listeners}, indent=2) + "\n")
    temporary.replace(directory / PORTS_FILE)


def remove_ports(directory: Path) -> None:
    """Nobody listens any more."""
    with contextlib.suppress(OSError):
        (directory / PORTS_FILE).unlink()
