"""What an endpoint string says about who can reach it."""

from __future__ import annotations

import ipaddress
import re

from imserver.config.schema import Listener

MAX_PORT = 65_535
_UNESCAPED_COLON = re.compile(r"(?<!\\):")


def port_fault(endpoint: str) -> str | None:
    """What is wrong with the port of a TCP endpoint string: listening there would fail with a traceback."""
    kind, *arguments = _UNESCAPED_COLON.split(endpoint)
    if kind not in ("tcp", "tcp4", "tcp6", "ssl"):
        return None
    for number, argument in enumerate(arguments):
        name, is_named, value = argument.partition("=")
        port = value if is_named and name == "port" else argument if number == 0 and not is_named else ""
        if port.isascii() and port.isdecimal() and int(port) > MAX_PORT:
            return f"there is no port {port}"
    return None


def is_tcp(endpoint: str) -> bool:
    """Whether this is a TCP endpoint, without TLS of Twisted's own."""
    return _UNESCAPED_COLON.split(endpoint)[0] in ("tcp", "tcp4", "tcp6")


def is_local(listener: Listener) -> bool:
    """Whether only programs of this machine can be the clients of a listener: a proxy brings others."""
    proxied = listener.proxy_protocol is not None or listener.forwarded_for is not None
    return not proxied and is_loopback(listener.endpoint)


def is_loopback(endpoint: str) -> bool:
    """Whether only this machine can reach a server endpoint (Twisted endpoint string).

    Anything but a unix socket or a tcp endpoint bound to a loopback address counts as reachable.
    """
    kind, *arguments = _UNESCAPED_COLON.split(endpoint)
    if kind == "unix":
        return True
    if kind not in ("tcp", "tcp4", "tcp6"):
        return False
    for argument in arguments:
        name, _, value = argument.partition("=")
        if name == "interface":
            try:
                return ipaddress.ip_address(value.replace("\\", "")).is_loopback
            except ValueError:
                return False
    return False
