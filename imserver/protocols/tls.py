"""TLS in front of any factory.

The contexts are held apart from the listener: new files are taken up by later
handshakes, and connections that are open never notice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from OpenSSL import SSL
from twisted.internet.interfaces import IAddress, IOpenSSLServerConnectionCreator, IProtocolFactory
from twisted.internet.protocol import connectionDone
from twisted.protocols.tls import BufferingTLSTransport, TLSMemoryBIOFactory
from twisted.python.failure import Failure
from zope.interface import implementer

from imserver.config import ConfigError
from imserver.config.certificates import Credentials, read_certificates, read_credentials
from imserver.config.schema import Tls
from imserver.protocols.doors import Doors

CIPHERS = b"ECDHE+AESGCM:ECDHE+CHACHA20"
"""For TLS 1.2: forward secrecy and authenticated encryption only. TLS 1.3 has no others."""


@implementer(IOpenSSLServerConnectionCreator)
class TlsContexts:
    """The OpenSSL contexts of one listener: one for each certificate.

    Attributes:
        certificates: what is shown at present, the default first.
    """

    def __init__(self, settings: Tls, protocols: Sequence[bytes] = ()) -> None:
        """Args:
        protocols: for ALPN; of those a client offers, the first one that is here is chosen.
            No common one, or none here: the handshake goes on without.

        Raises:
            ConfigError: a file cannot be used.
        """
        self._settings = settings
        self._protocols = tuple(protocols)
        self.reload()

    def reload(self) -> None:
        """Reads all files again; handshakes from now on use what they hold.

        Raises:
            ConfigError: a file cannot be used; then nothing changed.
        """
        settings = self._settings
        read = [read_credentials(pair) for pair in (settings, *settings.sni)]
        contexts = [self._context(credentials) for credentials in read]
        by_name: dict[bytes, SSL.Context] = {}
        for credentials, context in zip(read, contexts, strict=True):
            for name in credentials.names:
                by_name.setdefault(name.encode("idna" if not name.isascii() else "ascii"), context)
        for context in contexts:
            context.set_tlsext_servername_callback(_chooser(by_name, contexts[0]))
        self.certificates = tuple(credentials.chain[0] for credentials in read)
        self._default = contexts[0]

    def _context(self, credentials: Credentials) -> SSL.Context:
        settings = self._settings
        context = SSL.Context(SSL.TLS_SERVER_METHOD)
        context.set_min_proto_version(SSL.TLS1_2_VERSION)
        context.set_options(SSL.OP_NO_COMPRESSION | SSL.OP_NO_RENEGOTIATION | SSL.OP_CIPHER_SERVER_PREFERENCE)
        # Idle connections give their record buffers back.
        context.set_mode(SSL.MODE_RELEASE_BUFFERS)
        context.set_cipher_list(CIPHERS)
        # Tickets (on unless forbidden) spare returning clients a third of the handshake's work;
        # the cache they take the place of would keep every session here.
        context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
        context.set_session_id(b"imserver")
        try:
            context.use_certificate(credentials.chain[0])
            for certificate in credentials.chain[1:]:
                context.add_extra_chain_cert(certificate)
            context.use_privatekey(credentials.key)
            context.check_privatekey()
        except (SSL.Error, TypeError, ValueError) as error:
            # Weaker than OpenSSL's security level allows, for example.
            raise ConfigError(f"{settings.certificate}: OpenSSL refuses it: {_reason(error)}") from None
        if settings.client_ca is not None:
            authorities = context.get_cert_store()
            assert authorities is not None
            for certificate in read_certificates(settings.client_ca):
                authorities.add_cert(_x509(certificate))
                context.add_client_ca(certificate)
            context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT)
        if self._protocols:
            context.set_alpn_select_callback(self._select)
        return context

    def _select(self, connection: SSL.Connection, offered: list[bytes]) -> Any:
        for protocol in offered:
            if protocol in self._protocols:
                return protocol
        return SSL.NO_OVERLAPPING_PROTOCOLS

    def serverConnectionForTLS(self, protocol: Any) -> SSL.Connection:
        """See IOpenSSLServerConnectionCreator."""
        return SSL.Connection(self._default, None)


def _chooser(by_name: Mapping[bytes, SSL.Context], default: SSL.Context) -> Callable[[SSL.Connection], None]:
    def choose(connection: SSL.Connection) -> None:
        name = (connection.get_servername() or b"").lower().rstrip(b".")
        context = by_name.get(name) or by_name.get(b"*." + name.partition(b".")[2], default)
        if context is not connection.get_context():
            connection.set_context(context)

    return choose


def _reason(error: Exception) -> str:
    if isinstance(error, SSL.Error) and error.args and error.args[0]:
        return str(error.args[0][0][2])
    return str(error) or type(error).__name__


def _x509(certificate: Any) -> Any:
    # The store takes pyOpenSSL's own objects only.
    from OpenSSL.crypto import X509

    return X509.from_cryptography(certificate)


class TlsProtocol(BufferingTLSTransport):
    """One TLS connection, whose handshake has its time.

    Attributes:
        wheel_slot: the wheel's.
    """

    wheel_slot = -1
    factory: Any

    def makeConnection(self, transport: Any) -> None:
        """See IProtocol."""
        super().makeConnection(transport)  # type: ignore[no-untyped-call]
        doors = self.factory.doors
        doors.wheel.watch(self, doors.clock.seconds() + doors.limits.handshake_time)

    def check(self, now: float) -> float | None:
        """See liveness.Watched."""
        # The last thing a handshake brings.
        if self.connected and self.getHandle().get_peer_finished() is None:  # type: ignore[no-untyped-call]
            self.abortConnection()  # type: ignore[no-untyped-call]
        return None

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """See IProtocol."""
        self.factory.doors.wheel.forget(self)
        super().connectionLost(reason)


class TlsFactory(TLSMemoryBIOFactory):
    """Puts TLS before a factory's protocols.

    The protocols are built when a connection comes, so a handshake that is under way
    counts among its address's unauthenticated connections.
    """

    protocol = TlsProtocol

    def __init__(self, contexts: TlsContexts, factory: IProtocolFactory, doors: Doors) -> None:
        super().__init__(contexts, False, factory, doors.clock)
        self.doors = doors

    def buildProtocol(self, addr: IAddress | None) -> TlsProtocol | None:  # type: ignore[override]
        """See IProtocolFactory; None (the connection is closed) where there is no room."""
        inner = self.wrappedFactory.buildProtocol(addr)
        return None if inner is None else TlsProtocol(self, inner)
