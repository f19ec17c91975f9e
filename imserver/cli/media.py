"""`imserver doctor media`: asks every configured media server, as the server and as clients would."""

from __future__ import annotations

import base64
import os
import socket
from collections.abc import Sequence
from urllib.parse import SplitResult

from imserver.cli import reaching
from imserver.cli.checks import Finding, Status
from imserver.cli.reaching import Fault
from imserver.config.media_urls import DEFAULT_PORTS, addresses, parse_media_url
from imserver.config.schema import MediaServer

_ENCRYPTED = ("wss", "https")
_MAX_LINE = 4096
_SUBPROTOCOL = "janus-protocol"


def examine(servers: Sequence[MediaServer]) -> list[Finding]:
    """What every server says."""
    if not servers:
        return [_finding(Status.WARN, "none is configured ([[media_server]]): rooms are without media")]
    findings = []
    for server in servers:
        findings += [_address(server.name, protocol, url) for protocol, url in addresses(server).items()]
        findings.append(_health(server))
        if server.wss is None and (server.ws or server.https or server.http):
            found = f"{server.name}: has no wss address, and browsers' pages of https use no other"
            findings.append(_finding(Status.WARN, found))
    return findings


def _finding(status: Status, text: str) -> Finding:
    return Finding("media", status, text)


def _health(server: MediaServer) -> Finding:
    if server.health is None:
        found = f"{server.name}: has no health URL, so rooms stay with it even when it is gone"
        return _finding(Status.WARN, found)
    name = f"{server.name}: health at {server.health}"
    try:
        status = _http(parse_media_url(server.health, "https", "http"))
    except Fault as fault:
        return _finding(Status.FAIL, f"{name}: {fault}")
    if not 200 <= status < 300:
        return _finding(Status.FAIL, f"{name}: answers with status {status}, so it gets no rooms")
    return _finding(Status.OK, f"{name}: well")


def _address(server: str, protocol: str, text: str) -> Finding:
    name = f"{server}: {text}"
    url = parse_media_url(text, protocol)
    try:
        if protocol in ("wss", "ws"):
            key = base64.b64encode(os.urandom(16)).decode()
            upgrade = ["Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13"]
            upgrade += [f"Sec-WebSocket-Key: {key}", f"Sec-WebSocket-Protocol: {_SUBPROTOCOL}"]
            status = _http(url, upgrade)
            if status != 101:
                raise Fault(f"takes no WebSocket of {_SUBPROTOCOL} (status {status})")
        elif protocol == "rtsp":
            line = _ask(url, f"OPTIONS {text} RTSP/1.0", ["CSeq: 1"])
            if not line.startswith("RTSP/"):
                raise Fault("what answers there is no RTSP server")
        else:
            # What an address answers to GET is its own affair; that it answers is what counts.
            _http(url)
    except Fault as fault:
        return _finding(Status.FAIL, f"{name}: {fault}")
    return _finding(Status.OK, f"{name}: answers")


def _http(url: SplitResult, fields: Sequence[str] = ()) -> int:
    """The status of the answer to a GET.

    Raises:
        Fault
    """
    path = (url.path or "/") + (f"?{url.query}" if url.query else "")
    line = _ask(url, f"GET {path} HTTP/1.1", [f"Host: {url.netloc}", *(fields or ["Connection: close"])])
    version, _, rest = line.partition(" ")
    if not version.startswith("HTTP/") or not rest[:3].isdecimal():
        raise Fault("what answers there is no HTTP server")
    return int(rest[:3])


def _ask(url: SplitResult, request: str, fields: Sequence[str]) -> str:
    """The first line of the answer.

    Raises:
        Fault
    """
    port = url.port or DEFAULT_PORTS[url.scheme]
    encrypted = url.scheme in _ENCRYPTED
    with reaching.connect(url.hostname or "", port, socket.SOCK_STREAM, encrypted=encrypted) as link:
        try:
            link.sendall("\r\n".join([request, *fields, "", ""]).encode())
            data = b""
            while b"\n" not in data and len(data) < _MAX_LINE:
                piece = link.recv(_MAX_LINE)
                if not piece:
                    break
                data += piece
        except TimeoutError:
            raise Fault(f"connected, but no answer in {reaching.PATIENCE:.0f} s") from None
        except OSError as error:
            raise Fault(f"the connection broke: {error.strerror or error}") from None
    if not data:
        raise Fault("it closed the connection without an answer")
    return data.partition(b"\n")[0].decode("latin-1").strip()
