"""The PROXY protocol's header, versions 1 and 2: whose connection a proxy passes on.

See https://www.haproxy.org/download/2.9/doc/proxy-protocol.txt, sections 2.1 and 2.2.
"""

from __future__ import annotations

import ipaddress
import struct

from msgspec import Struct

_SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
_V1 = b"PROXY "
_V1_LONGEST = 107
_V2_LONGEST = 4096  # addresses take 36 bytes, the rest is left to the proxy's own remarks
_V2_FAMILIES = {0x11: 4, 0x21: 16}  # TCP over IPv4 and IPv6: bytes of an address


class ProxyHeaderError(Exception):
    """These bytes do not begin with such a header."""


class ProxyHeader(Struct, frozen=True):
    """A header.

    Attributes:
        host / port: the client; host "" = the proxy speaks for itself (a health check), or does not know.
        length: bytes the header takes.
    """

    host: str
    port: int
    length: int


def parse_header(data: bytes) -> ProxyHeader | None:
    """Reads a header from the first bytes of a connection.

    Returns:
        None while more bytes are needed.

    Raises:
        ProxyHeaderError: it is none, whatever may follow.
    """
    if data[:12] == _SIGNATURE[: len(data)]:
        return _version_2(data)
    if data[:6] == _V1[: len(data)]:
        return _version_1(data)
    raise ProxyHeaderError("no PROXY header")


def _version_1(data: bytes) -> ProxyHeader | None:
    end = data.find(b"\r\n", 0, _V1_LONGEST)
    if end < 0:
        if len(data) >= _V1_LONGEST:
            raise ProxyHeaderError("an over-long PROXY line")
        return None
    try:
        words = data[:end].decode("ascii").split(" ")
    except UnicodeDecodeError:
        raise ProxyHeaderError("a PROXY line that is not ASCII") from None
    if words[1:2] == ["UNKNOWN"]:
        return ProxyHeader("", 0, end + 2)
    if len(words) != 6 or words[1] not in ("TCP4", "TCP6"):
        raise ProxyHeaderError("a malformed PROXY line")
    address = ipaddress.IPv4Address if words[1] == "TCP4" else ipaddress.IPv6Address
    try:
        source, _ = address(words[2]), address(words[3])
        port, _ = _port(words[4]), _port(words[5])
    except ValueError:
        raise ProxyHeaderError("a malformed address in a PROXY line") from None
    return ProxyHeader(str(source), port, end + 2)


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 5 and int(text) <= 65_535):
        raise ValueError(text)
    return int(text)


def _version_2(data: bytes) -> ProxyHeader | None:
    if len(data) < 16:
        return None
    kind, family, length = struct.unpack_from("!BBH", data, 12)
    if kind not in (0x20, 0x21):
        raise ProxyHeaderError("an unknown version or command in a PROXY header")
    if length > _V2_LONGEST:
        raise ProxyHeaderError("an over-long PROXY header")
    size = _V2_FAMILIES.get(family, 0)
    if kind == 0x21 and length < 2 * size + (4 if size else 0):
        raise ProxyHeaderError("a PROXY header too short for its addresses")
    if len(data) < 16 + length:
        return None
    if kind == 0x20 or not size:
        return ProxyHeader("", 0, 16 + length)
    (port,) = struct.unpack_from("!H", data, 16 + 2 * size)
    return ProxyHeader(str(ipaddress.ip_address(data[16 : 16 + size])), port, 16 + length)
