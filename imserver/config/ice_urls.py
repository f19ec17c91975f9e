"""Addresses of STUN and TURN servers as WebRTC writes them (RFC 7064, RFC 7065)."""

from __future__ import annotations

import ipaddress
import re

from msgspec import Struct

_URL = re.compile(
    r"(stuns?|turns?):([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::([0-9]{1,5}))?(?:\?transport=(udp|tcp))?",
    re.ASCII,
)


class IceUrl(Struct, frozen=True):
    """A server's address.

    Attributes:
        scheme: "stun", "stuns", "turn" or "turns"; with an s: encrypted.
        transport: "udp" or "tcp", between client and server; with an s: below DTLS or TLS.
    """

    scheme: str
    host: str
    port: int
    transport: str

    @property
    def relays(self) -> bool:
        """Whether it is a TURN server, which wants credentials."""
        return self.scheme.startswith("turn")

    @property
    def encrypted(self) -> bool:
        """Whether the way to it is."""
        return self.scheme.endswith("s")


def parse_ice_url(text: str) -> IceUrl:
    """Reads "turn:HOST[:PORT][?transport=udp|tcp]" and the like.

    Raises:
        ValueError: with what is wrong, in a few words.
    """
    found = _URL.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is not like turn:HOST, turns:HOST:PORT?transport=tcp or stun:HOST")
    scheme, host, port, transport = found.groups()
    if transport is not None and scheme.startswith("stun"):
        raise ValueError(f"{text!r}: only turn and turns have a transport")
    if port is not None and not 0 < int(port) < 65536:
        raise ValueError(f"{text!r}: the port must be between 1 and 65535")
    if host.startswith("["):
        host = host[1:-1]
        try:
            ipaddress.IPv6Address(host)
        except ValueError:
            raise ValueError(f"{text!r}: what stands in brackets is no IPv6 address") from None
    secure = scheme.endswith("s")
    default = 5349 if secure else 3478
    return IceUrl(scheme, host, int(port or default), transport or ("tcp" if secure else "udp"))
