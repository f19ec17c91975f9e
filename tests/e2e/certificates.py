"""Makes certificates for tests: a root, an intermediate authority, servers and clients."""

from __future__ import annotations

import datetime
import ipaddress
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

DAY = datetime.timedelta(days=1)


class Authority:
    """A root and an intermediate below it, in a directory.

    Attributes:
        root: PEM file of the root.
    """

    def __init__(self, folder: Path, name: str = "test") -> None:
        folder.mkdir(exist_ok=True)
        self._folder = folder
        self._root_key, self._key = (
            ec.generate_private_key(ec.SECP256R1()),
            ec.generate_private_key(ec.SECP256R1()),
        )
        root_name, own_name = _name(f"{name} root"), _name(f"{name} intermediate")
        root = _sign(root_name, self._root_key.public_key(), root_name, self._root_key, authority=True)
        self._certificate = _sign(own_name, self._key.public_key(), root_name, self._root_key, authority=True)
        self.root = folder / f"{name}-root.pem"
        self.root.write_bytes(root.public_bytes(Encoding.PEM))

    def issue(self, file: str, *names: str, days: float = 30, chain: bool = True) -> tuple[Path, Path]:
        """Writes FILE.pem (with the intermediate) and FILE.key; returns both paths.

        Args:
        names: DNS names and addresses.
        days: until when it is valid; negative = it is no longer.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = _sign(
            _name(names[0]), key.public_key(), self._certificate.subject, self._key, names, days=days
        )
        written = certificate.public_bytes(Encoding.PEM)
        if chain:
            written += self._certificate.public_bytes(Encoding.PEM)
        paths = self._folder / f"{file}.pem", self._folder / f"{file}.key"
        paths[0].write_bytes(written)
        paths[1].write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        paths[1].chmod(0o600)
        return paths


def serial(file: Path) -> int:
    """The serial number of the first certificate in a file."""
    return x509.load_pem_x509_certificate(file.read_bytes()).serial_number


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _sign(
    subject: x509.Name,
    key: Any,
    issuer: x509.Name,
    issuer_key: Any,
    names: tuple[str, ...] = (),
    *,
    authority: bool = False,
    days: float = 30,
) -> x509.Certificate:
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - 60 * DAY)
        .not_valid_after(now + days * DAY)
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )
    if names:
        builder = builder.add_extension(
            x509.SubjectAlternativeName([_alternative(name) for name in names]), critical=False
        )
    return builder.sign(issuer_key, SHA256())


def _alternative(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
