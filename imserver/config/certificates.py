"""Reads certificates and keys, and says in one line what is wrong with them."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from msgspec import Struct

from imserver.config.faults import ConfigError
from imserver.config.schema import Certificate


class Credentials(Struct, frozen=True):
    """A server's certificate with its intermediates, and its key.

    Attributes:
        chain: the server's own certificate first.
        names: its DNS names, in lower case; "*.example.org" stands for one label.
    """

    chain: tuple[x509.Certificate, ...]
    key: Any
    names: tuple[str, ...]


def read_credentials(pair: Certificate) -> Credentials:
    """Reads both files.

    Raises:
        ConfigError: one cannot be read or holds something else, they do not
            belong together, or the chain is out of order.
    """
    chain = read_certificates(pair.certificate)
    for child, parent in pairwise(chain):
        try:
            child.verify_directly_issued_by(parent)
        except (ValueError, TypeError, InvalidSignature):
            raise ConfigError(
                f"{pair.certificate}: the chain is out of order: own certificate, then each one's issuer"
            ) from None
    try:
        key: Any = load_pem_private_key(Path(pair.key).read_bytes(), None)
    except OSError as error:
        raise ConfigError(f"{pair.key}: {error.strerror}") from None
    except TypeError:
        raise ConfigError(f"{pair.key}: is encrypted, and nobody is there to give its password") from None
    except (ValueError, UnsupportedAlgorithm):
        raise ConfigError(f"{pair.key}: is not a private key in PEM form") from None
    form = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if key.public_key().public_bytes(*form) != chain[0].public_key().public_bytes(*form):
        raise ConfigError(f"{pair.key}: is not the key of {pair.certificate}")
    return Credentials(chain, key, _names(chain[0]))


def read_certificates(file: str) -> tuple[x509.Certificate, ...]:
    """Every certificate of a PEM file. Raises ConfigError."""
    try:
        found = x509.load_pem_x509_certificates(Path(file).read_bytes())
    except OSError as error:
        raise ConfigError(f"{file}: {error.strerror}") from None
    except ValueError:
        raise ConfigError(f"{file}: is not a certificate in PEM form") from None
    return tuple(found)


def _names(certificate: x509.Certificate) -> tuple[str, ...]:
    try:
        alternatives = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return ()
    return tuple(name.lower() for name in alternatives.get_values_for_type(x509.DNSName))
