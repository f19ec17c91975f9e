"""Addresses of media servers, and what is asked for their health."""

from __future__ import annotations

from urllib.parse import SplitResult, urlsplit

from imserver.config.schema import MediaServer

PROTOCOLS = ("wss", "ws", "https", "http", "rtsp")
"""The keys of document 003's `media_server` (1.1), each the scheme of its address."""
DEFAULT_PORTS = {"wss": 443, "ws": 80, "https": 443, "http": 80, "rtsp": 554}


def addresses(server: MediaServer) -> dict[str, str]:
    """Those that a server has, by protocol."""
    found = {protocol: getattr(server, protocol) for protocol in PROTOCOLS}
    return {protocol: url for protocol, url in found.items() if url is not None}


def parse_media_url(text: str, *schemes: str) -> SplitResult:
    """Reads an address of one of some schemes.

    Raises:
        ValueError: with what is wrong, in a few words.
    """
    like = " or ".join(f"{scheme}://HOST" for scheme in schemes)
    if not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError(f"{text!r}: must be printable ASCII without spaces")
    try:
        url = urlsplit(text)
        port = url.port
    except ValueError as error:
        raise ValueError(f"{text!r}: {error}") from None
    if url.scheme not in schemes or not url.hostname:
        raise ValueError(f"{text!r} is not like {like}")
    if port == 0:
        raise ValueError(f"{text!r}: the port must be between 1 and 65535")
    if "@" in url.netloc:
        raise ValueError(f"{text!r}: no name or password may stand in it")
    if url.fragment:
        raise ValueError(f"{text!r}: nothing after a # is ever sent")
    return url


def fault(server: MediaServer) -> str | None:
    """What types alone do not tell of a media server; with the key."""
    own = addresses(server)
    if not own:
        return f"{PROTOCOLS[0]}: at least one of {', '.join(PROTOCOLS)} is needed"
    wanted: list[tuple[str, str, tuple[str, ...]]] = [(key, url, (key,)) for key, url in own.items()]
    if server.health is not None:
        wanted.append(("health", server.health, ("https", "http")))
    for key, url, schemes in wanted:
        try:
            parse_media_url(url, *schemes)
        except ValueError as error:
            return f"{key}: {error}"
    return None
