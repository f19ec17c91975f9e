"""The way to a Redis."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twisted.internet.endpoints import HostnameEndpoint, UNIXClientEndpoint, wrapClientTLS
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.ssl import Certificate, optionsForClientTLS, trustRootFromCertificates

_END = b"-----END CERTIFICATE-----"


def socket_endpoint(reactor: Any, path: str) -> IStreamClientEndpoint:
    """Over a unix socket."""
    endpoint: IStreamClientEndpoint = UNIXClientEndpoint(reactor, path)
    return endpoint


def tcp_endpoint(
    reactor: Any, host: str, port: int, *, tls: bool = False, ca: Path | None = None
) -> IStreamClientEndpoint:
    """Over TCP.

    Args:
        tls: encrypted, and the server's certificate is checked against its host name.
        ca: PEM file of the authorities that may vouch for it; None = the system's.

    Raises:
        OSError: the file cannot be read.
        ValueError: it holds no certificate.
    """
    plain: IStreamClientEndpoint = HostnameEndpoint(reactor, host, port)
    if not tls:
        return plain
    trust = None
    if ca is not None:
        blocks = ca.read_bytes().split(_END)[:-1]
        try:
            authorities = [Certificate.loadPEM(block + _END + b"\n") for block in blocks]
        except Exception as error:  # whatever pyOpenSSL raises
            raise ValueError("holds something that is no certificate") from error
        if not authorities:
            raise ValueError("holds no certificate")
        trust = trustRootFromCertificates(authorities)
    endpoint: IStreamClientEndpoint = wrapClientTLS(optionsForClientTLS(host, trustRoot=trust), plain)
    return endpoint
