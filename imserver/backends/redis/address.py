"""Where Redis is: URLs, passwords, TLS."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

from msgspec import Struct
from twisted.internet.endpoints import HostnameEndpoint, UNIXClientEndpoint, wrapClientTLS
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.ssl import Certificate, optionsForClientTLS, trustRootFromCertificates

from imserver.backends.redis.connection import Greeting

DEFAULT_PORT = 6379


class Address(Struct, frozen=True):
    """One Redis.

    Attributes:
        host / port: "" and 0 where `path` is a unix socket.
        tls: whether the connection is encrypted, and the server's certificate checked.
    """

    host: str
    port: int
    path: str
    tls: bool
    greeting: Greeting


def parse_address(url: str) -> Address:
    """Reads redis://[user[:password]@]host[:port][/database], rediss:// (TLS), or unix:///path[?db=N].

    Raises:
        ValueError: says what is wrong, without the password.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or DEFAULT_PORT
    except ValueError:
        raise ValueError("it is not a URL") from None
    if parts.scheme not in ("redis", "rediss", "unix"):
        raise ValueError("it must start with redis://, rediss:// or unix://")
    path, database = "", parts.path.removeprefix("/")
    if parts.scheme == "unix":
        path, database = unquote(parts.path), parse_qs(parts.query).get("db", [""])[0]
        if not path.startswith("/"):
            raise ValueError("it must name the socket's absolute path")
        host, port = "", 0
    elif not host:
        raise ValueError("it names no host")
    elif parts.query:
        raise ValueError("nothing may follow the database")
    if database and not (database.isascii() and database.isdecimal()):
        raise ValueError("the database must be a number")
    greeting = Greeting(unquote(parts.username or ""), unquote(parts.password or ""), int(database or 0))
    return Address(host, port, path, parts.scheme == "rediss", greeting)


def endpoint(reactor: object, address: Address, ca: Path | None = None) -> IStreamClientEndpoint:
    """The way there.

    Args:
        ca: PEM file of the authorities that may vouch for Redis; None = the system's.

    Raises:
        OSError, ValueError: the file cannot be read, or holds no certificate.
    """
    if address.path:
        return UNIXClientEndpoint(reactor, address.path)
    plain = HostnameEndpoint(reactor, address.host, address.port)
    if not address.tls:
        return plain
    trust = None
    if ca is not None:
        blocks = ca.read_bytes().split(b"-----END CERTIFICATE-----")[:-1]
        if not blocks:
            raise ValueError("it holds no certificate")
        trust = trustRootFromCertificates(
            [Certificate.loadPEM(block + b"-----END CERTIFICATE-----\n") for block in blocks]
        )
    return wrapClientTLS(optionsForClientTLS(address.host, trustRoot=trust), plain)
