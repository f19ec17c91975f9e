"""Which HTTP requests are let in: the origin of browsers, and the rule of demonstrations."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable
from functools import lru_cache
from urllib.parse import urlsplit

from twisted.web.iweb import IRequest

Rule = Callable[[IRequest], str | None]
"""Looks at a request; returns why it is forbidden, or None."""

_DEFAULT_PORTS = {"http": 80, "https": 443}


def origin_rule(allowed: Iterable[str]) -> Rule:
    """Browsers may come from the server's own host and from the origins named; others send no Origin.

    Args:
        allowed: origins as browsers write them, e.g. "https://chat.example.org".
    """
    named = {_origin(origin) or (origin.lower(), "", None) for origin in allowed}

    def rule(request: IRequest) -> str | None:
        headers = request.requestHeaders.getRawHeaders(b"origin")
        if headers is None:
            return None
        if len(headers) == 1:
            text = headers[0].decode("latin-1")
            origin = _origin(text) or (text.lower(), "", None)
            if origin in named or (origin[1] and origin[1:] == _own_host(request, origin[0])):
                return None
        return "this origin is not allowed"

    return rule


def loopback_rule(request: IRequest) -> str | None:
    """For demonstrations, which know no secrets: nobody behind a proxy, no foreign name for this host."""
    if request.requestHeaders.hasHeader(b"x-forwarded-for"):
        return "demonstrations are not served through a proxy"
    if _is_own(_host_header(request)):
        return None
    return "demonstrations are served on the loopback interface only"


@lru_cache(64)
def _is_own(header: str) -> bool:
    """Whether a Host header names this machine to itself."""
    host, _ = _split_host(header, None)
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _host_header(request: IRequest) -> str:
    values = request.requestHeaders.getRawHeaders(b"host") or [b""]
    return values[0].decode("latin-1") if len(values) == 1 else ""


def _own_host(request: IRequest, scheme: str) -> tuple[str, int | None]:
    return _split_host(_host_header(request), _DEFAULT_PORTS.get(scheme))


def _split_host(host: str, default_port: int | None) -> tuple[str, int | None]:
    try:
        parts = urlsplit(f"//{host}")
        return parts.hostname or "", parts.port or default_port
    except ValueError:
        return "", None


def _origin(text: str) -> tuple[str, str, int | None] | None:
    """(scheme, host, port), or None for what is no origin of a host ("null" for example)."""
    try:
        parts = urlsplit(text.strip())
        if not parts.scheme or not parts.hostname:
            return None
        return parts.scheme, parts.hostname, parts.port or _DEFAULT_PORTS.get(parts.scheme)
    except ValueError:
        return None
