"""URLs of Redis, as its own clients write them."""

from __future__ import annotations

from urllib.parse import parse_qs, unquote, urlsplit

from msgspec import Struct

DEFAULT_PORT = 6379
SENTINEL_PORT = 26379


class RedisUrl(Struct, frozen=True):
    """One Redis.

    Attributes:
        host / port: "" and 0 where `path` is a unix socket.
        tls: whether the connection is encrypted, and the server's certificate checked.
        user / password: "" = none.
        database: its number.
    """

    host: str
    port: int
    path: str
    tls: bool
    user: str
    password: str
    database: int


def parse_redis_url(text: str) -> RedisUrl:
    """Reads redis://[[user]:password@]host[:port][/database], rediss:// (TLS), or unix:///path[?db=N].

    Raises:
        ValueError: says what is wrong, without the password.
    """
    try:
        parts = urlsplit(text)
        host, port = parts.hostname or "", parts.port or DEFAULT_PORT
    except ValueError:
        raise ValueError("is not a URL") from None
    if parts.scheme not in ("redis", "rediss", "unix"):
        raise ValueError("must start with redis://, rediss:// or unix://")
    path, database = "", parts.path.removeprefix("/")
    if parts.scheme == "unix":
        path, database = unquote(parts.path), parse_qs(parts.query).get("db", [""])[0]
        if host or not path.startswith("/") or path == "/":
            raise ValueError("must name a socket by its absolute path")
        port = 0
    elif not host:
        raise ValueError("names no host")
    elif parts.query or parts.fragment:
        raise ValueError("must end with the database")
    if database and not (database.isascii() and database.isdecimal() and len(database) < 5):
        raise ValueError("the database must be a number")
    return RedisUrl(
        host,
        port,
        path,
        parts.scheme == "rediss",
        unquote(parts.username or ""),
        unquote(parts.password or ""),
        int(database or 0),
    )


def parse_address(text: str) -> tuple[str, int]:
    """Reads host[:port] of a sentinel; an IPv6 address stands in brackets.

    Raises:
        ValueError: says what is wrong.
    """
    try:
        parts = urlsplit(f"//{text}")
        host, port = parts.hostname or "", parts.port or SENTINEL_PORT
    except ValueError:
        raise ValueError("is not host:port") from None
    if not host or parts.netloc != text or "@" in text or any(letter.isspace() for letter in text):
        raise ValueError("is not host:port")
    return host, port
