"""Connects to another server, and says in an operator's words why it cannot."""

from __future__ import annotations

import socket
import ssl

PATIENCE = 5.0
"""Seconds for a connection, and for each answer."""


class Fault(Exception):
    """Why a server cannot be used; one line for the operator."""


def connect(host: str, port: int, kind: socket.SocketKind, *, encrypted: bool) -> socket.socket:
    """Connects; certificates are checked against the system's authorities, or those of SSL_CERT_FILE.

    Raises:
        Fault
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=kind)[0]
    except OSError as error:
        raise Fault(f"its name cannot be resolved: {error.strerror}") from None
    link = socket.socket(family, kind)
    link.settimeout(PATIENCE)
    try:
        link.connect(address)
        if encrypted:
            link = ssl.create_default_context().wrap_socket(link, server_hostname=host)
    except ssl.SSLCertVerificationError as error:
        link.close()
        raise Fault(f"TLS: its certificate is not good: {error.verify_message}") from None
    except ssl.SSLError as error:
        link.close()
        raise Fault(f"TLS: no handshake: {error.reason or error}") from None
    except ConnectionRefusedError:
        link.close()
        raise Fault("nothing listens there (connection refused)") from None
    except TimeoutError:
        link.close()
        raise Fault(f"no connection in {PATIENCE:.0f} s: a firewall?") from None
    except OSError as error:
        link.close()
        raise Fault(f"no connection: {error.strerror or error}") from None
    return link
