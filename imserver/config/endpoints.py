"""What an endpoint string says about who can reach it."""

from __future__ import annotations

import ipaddress
import re

from imserver.config.schema import Listener

_UNESCAPED_COLON = re.compile(r"(?<!\\):")


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
