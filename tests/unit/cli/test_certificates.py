"""Certificates as doctor sees them."""

from __future__ import annotations

import datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from imserver.cli import certificates
from imserver.cli.checks import Finding, Status
from imserver.config import Configuration, Listener
from imserver.config.schema import Certificate, Tls
from tests.unit.cli.running import CliCase

NOW = datetime.datetime(2026, 6, 1, tzinfo=datetime.UTC)
DAY = datetime.timedelta(days=1)
Pair = tuple[x509.Certificate, ec.EllipticCurvePrivateKey]


def issue(name: str, issuer: Pair | None = None, *, begin: int = -10, end: int = 60) -> Pair:
    """A certificate for a name, valid from and to so many days from NOW; self-signed without issuer."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer[0].subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW + begin * DAY)
        .not_valid_after(NOW + end * DAY)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    )
    return builder.sign(issuer[1] if issuer else key, hashes.SHA256()), key


class CertificateTests(CliCase):
    def setUp(self) -> None:
        super().setUp()
        self.root = issue("root.test", end=900)
        self.middle = issue("middle.test", self.root, end=500)
        self.chain, self.key = self.folder / "chain.pem", self.folder / "key.pem"

    def write(self, *pairs: Pair, key: Pair | None = None) -> None:
        self.chain.write_bytes(b"".join(pair[0].public_bytes(Encoding.PEM) for pair in pairs))
        private = (key or pairs[0])[1]
        self.key.write_bytes(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        self.key.chmod(0o600)

    def check(self, key: Path | None = None) -> Finding:
        (found,) = certificates.check(self.chain, key or self.key, NOW)
        return found

    def test_good(self) -> None:
        self.write(issue("im.test", self.middle), self.middle)
        found = self.check()
        self.assertEqual(found.status, Status.OK)
        self.assertIn("im.test, valid until 2026-07-31, chain of 2", found.text)

    def test_dates(self) -> None:
        for begin, end, status, word in (
            (-10, 13, Status.WARN, "expires"),
            (-10, -1, Status.FAIL, "expired"),
            (1, 60, Status.FAIL, "not valid before"),
        ):
            self.write(issue("im.test", self.middle, begin=begin, end=end), self.middle)
            found = self.check()
            self.assertEqual(found.status, status)
            self.assertIn(word, found.text)
        old = issue("old.test", self.root, end=3)
        self.write(issue("im.test", old), old)
        self.assertEqual(self.check().status, Status.WARN)

    def test_chain(self) -> None:
        leaf = issue("im.test", self.middle)
        self.write(leaf)
        self.assertIn("intermediate", self.check().text)
        self.write(self.middle, leaf, key=self.middle)
        self.assertEqual(self.check().status, Status.FAIL)
        self.write(leaf, self.root)
        self.assertIn("not issued by the next", self.check().text)
        self.write(issue("im.test"))
        self.assertEqual((self.check().status, "self-signed" in self.check().text), (Status.WARN, True))

    def test_key(self) -> None:
        leaf = issue("im.test", self.middle)
        self.write(leaf, self.middle, key=self.middle)
        self.assertIn("another certificate", self.check().text)
        self.write(leaf, self.middle)
        self.key.chmod(0o644)
        self.assertIn("everybody may read", self.check().text)
        self.key.write_text("nonsense")
        self.assertEqual(self.check().status, Status.FAIL)
        self.assertEqual(self.check(self.folder / "none").status, Status.FAIL)

    def test_no_certificate(self) -> None:
        self.write(issue("im.test"))
        self.chain.write_text("nonsense")
        self.assertIn("no certificate", self.check().text)
        self.chain.unlink()
        self.assertIn("No such file", self.check().text)

    def test_where_they_are_configured(self) -> None:
        settings = Configuration(
            listener=(
                Listener("jsonline", "ssl:8443:privateKey=/k.pem:certKey=/c.pem"),
                Listener("jsonline", "ssl:8444:privateKey=/k.pem:certKey=/c.pem"),
                Listener("jsonline", "ssl:8445:privateKey=/both.pem"),
                Listener("jsonline", "tcp:1"),
                Listener(
                    "jsonline", "tcp:2", tls=Tls("/t.pem", "/t.key", sni=(Certificate("/s.pem", "/s.key"),))
                ),
            )
        )
        expected = [
            ("/c.pem", "/k.pem"),
            ("/both.pem", "/both.pem"),
            ("/t.pem", "/t.key"),
            ("/s.pem", "/s.key"),
        ]
        self.assertEqual(
            certificates.configured(settings), [(Path(chain), Path(key)) for chain, key in expected]
        )

    def test_config_check_reads_them(self) -> None:
        settings = ("--set", f'listener.0.tls={{certificate="{self.chain}", key="{self.key}"}}')
        self.write(issue("im.test", self.middle), self.middle)
        self.assertIn("good", self.imserver("config", "check", *settings))
        self.write(issue("im.test", self.middle), self.middle, key=self.root)
        self.assertIn("listener[0].tls", self.imserver("config", "check", *settings, code=1))
