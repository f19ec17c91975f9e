"""Clients that speak TLS: endpoints for the byte clients, one-off handshakes, programs."""

from __future__ import annotations

import socket
import ssl
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, wrapClientTLS
from twisted.internet.ssl import Certificate, optionsForClientTLS
from twisted.internet.threads import deferToThread

from tests.e2e.certificates import Authority

Result = TypeVar("Result")


def aside(work: Callable[..., Result], *arguments: Any) -> Deferred[Result]:
    """Blocking work beside the reactor, which drives the other clients meanwhile."""
    return deferToThread(work, *arguments)


def endpoint(authority: Authority, port: int, source: str = "") -> Any:
    """A TLS client endpoint that checks the certificate for `localhost`."""
    options = optionsForClientTLS("localhost", trustRoot=Certificate.loadPEM(authority.root.read_bytes()))
    bind = (source, 0) if source else None
    return wrapClientTLS(options, TCP4ClientEndpoint(reactor, "127.0.0.1", port, 30, bind))


def handshake(
    authority: Authority,
    port: int,
    name: str = "localhost",
    *,
    alpn: tuple[str, ...] = (),
    client: tuple[Path, Path] | None = None,
    say: bytes = b"",
    context: ssl.SSLContext | None = None,
) -> tuple[int, str | None, bytes]:
    """One connection of Python's own ssl module; checks chain and name.

    Returns:
        the certificate's serial number, the protocol ALPN chose, the first bytes that answered `say`.
    """
    context = context or ssl.create_default_context(cafile=str(authority.root))
    if alpn:
        context.set_alpn_protocols(list(alpn))
    if client is not None:
        context.load_cert_chain(*client)
    with (
        socket.create_connection(("127.0.0.1", port), timeout=30) as plain,
        context.wrap_socket(plain, server_hostname=name) as secure,
    ):
        certificate: Any = secure.getpeercert()
        answer = b""
        if say:
            secure.sendall(say)
            answer = secure.recv(4096)
        return int(certificate["serialNumber"], 16), secure.selected_alpn_protocol(), answer


def s_client(port: int, *arguments: str) -> str:
    """What `openssl s_client` writes, both streams."""
    result = subprocess.run(
        ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=60,
    )
    return result.stdout.decode(errors="replace")


def tls_override(listener: int, pair: tuple[Path, Path], *more: str) -> str:
    """The `--set` value that puts a certificate on a default listener; `more`: further keys as TOML."""
    fields = [f"certificate='{pair[0]}'", f"key='{pair[1]}'", *more]
    return f"listener.{listener}.tls={{{','.join(fields)}}}"
