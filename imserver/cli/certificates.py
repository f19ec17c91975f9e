"""Checks of certificate files for `imserver doctor`: dates, chain, key."""

from __future__ import annotations

import datetime
import re
import stat
from itertools import pairwise
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from imserver.cli.checks import Finding, Status
from imserver.config import Configuration

EXPIRY_WARN = datetime.timedelta(days=14)
_CHECK = "certificate"
_ARGUMENT = re.compile(r"(?<!\\):")


def configured(settings: Configuration) -> list[tuple[Path, Path | None]]:
    """(certificates, private key) of every listener that has them, each pair once."""
    pairs: dict[tuple[Path, Path | None], None] = {}
    for listener in settings.listener:
        if listener.tls is not None:
            for pair in (listener.tls, *listener.tls.sni):
                pairs[Path(pair.certificate), Path(pair.key)] = None
        kind, *arguments = _ARGUMENT.split(listener.endpoint)
        named = dict(argument.split("=", 1) for argument in arguments if "=" in argument)
        if kind == "ssl":
            key = named.get("privateKey", "server.pem")
            pairs[Path(named.get("certKey", key)), Path(key)] = None
    return list(pairs)


def check(chain: Path, key: Path | None, now: datetime.datetime | None = None) -> list[Finding]:
    """One certificate with its intermediates, and the key that belongs to it.

    Args:
        chain: PEM, the server's own certificate first.
        key: PEM; None = not looked at.
        now: with a time zone; None = now.
    """
    now = now or datetime.datetime.now(datetime.UTC)
    try:
        certificates = x509.load_pem_x509_certificates(chain.read_bytes())
    except OSError as error:
        return [Finding(_CHECK, Status.FAIL, f"{chain}: {error.strerror}")]
    except ValueError:
        return [Finding(_CHECK, Status.FAIL, f"{chain}: holds no certificate in PEM form")]
    findings = [finding for certificate in certificates for finding in _dates(chain, certificate, now)]
    findings += _links(chain, certificates)
    if key is not None:
        findings += _key(key, certificates[0])
    if findings:
        return findings
    leaf = certificates[0]
    until = f"{leaf.not_valid_after_utc:%Y-%m-%d}"
    text = f"{chain}: {_names(leaf)}, valid until {until}, chain of {len(certificates)}"
    return [Finding(_CHECK, Status.OK, text)]


def _dates(chain: Path, certificate: x509.Certificate, now: datetime.datetime) -> list[Finding]:
    name, end = certificate.subject.rfc4514_string(), certificate.not_valid_after_utc
    if now < certificate.not_valid_before_utc:
        text = f"{chain}: {name} is not valid before {certificate.not_valid_before_utc:%Y-%m-%d %H:%M} UTC"
        return [Finding(_CHECK, Status.FAIL, text)]
    if now > end:
        return [Finding(_CHECK, Status.FAIL, f"{chain}: {name} expired on {end:%Y-%m-%d}")]
    if end - now < EXPIRY_WARN:
        text = f"{chain}: {name} expires on {end:%Y-%m-%d}, in {(end - now).days} days"
        return [Finding(_CHECK, Status.WARN, text)]
    return []


def _links(chain: Path, certificates: list[x509.Certificate]) -> list[Finding]:
    for child, parent in pairwise(certificates):
        try:
            child.verify_directly_issued_by(parent)
        except (ValueError, TypeError, InvalidSignature):
            text = (
                f"{chain}: {child.subject.rfc4514_string()} is not issued by the next one,"
                f" {parent.subject.rfc4514_string()}; the order is own, intermediates"
            )
            return [Finding(_CHECK, Status.FAIL, text)]
    leaf = certificates[0]
    if len(certificates) == 1:
        issued_by = leaf.issuer.rfc4514_string()
        if leaf.issuer == leaf.subject:
            text = f"{chain}: is self-signed; clients must be told to trust it"
        else:
            text = f"{chain}: has no intermediate certificate of {issued_by}; many clients will refuse it"
        return [Finding(_CHECK, Status.WARN, text)]
    return []


def _key(key: Path, certificate: x509.Certificate) -> list[Finding]:
    try:
        mode, data = key.stat().st_mode, key.read_bytes()
        private = load_pem_private_key(data, None)
    except OSError as error:
        return [Finding(_CHECK, Status.FAIL, f"{key}: {error.strerror}")]
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return [Finding(_CHECK, Status.FAIL, f"{key}: is no private key in PEM form without a password")]
    findings = []
    form = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if private.public_key().public_bytes(*form) != certificate.public_key().public_bytes(*form):
        findings.append(Finding(_CHECK, Status.FAIL, f"{key}: is the key of another certificate"))
    if mode & 0o007:
        text = f"{key}: everybody may read it (mode {stat.S_IMODE(mode):04o}); chmod 640 it"
        findings.append(Finding(_CHECK, Status.FAIL, text))
    return findings


def _names(certificate: x509.Certificate) -> str:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return certificate.subject.rfc4514_string()
    return ", ".join(names.get_values_for_type(x509.DNSName)) or certificate.subject.rfc4514_string()
