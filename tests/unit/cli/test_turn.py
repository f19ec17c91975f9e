"""`imserver doctor turn`: what it says of servers that do not do what they should."""

from __future__ import annotations

import ssl
import tempfile
from functools import partial
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from imserver.cli import reaching, stun, turn
from imserver.cli.checks import Finding, Status
from imserver.config.ice_urls import parse_ice_url
from imserver.services.ice import TurnServer as Configured
from tests.e2e.certificates import Authority
from tests.unit.cli.running import CliCase
from tests.unit.cli.turn_server import Asked, Script, TurnServer, refused_port, usual

REQUEST = bytes.fromhex(
    "000100602112a44278ad3433c6ad72c029da412e00060012e3839ee38388e383aae38383e382afe382b900000015001c"
    "662f2f3439396b39353464364f4c33346f4c394653547679363473410014000b6578616d706c652e6f72670000080014"
    "f67024656dd64a3e02b8e0712e85c9a28ca89666"
)
"""RFC 5769, 2.4: with long-term credentials."""
RESPONSE = bytes.fromhex(
    "0101003c2112a442b7e7a701bc34d686fa87dfae8022000b7465737420766563746f7220002000080001a147e112a643"
    "000800142b91f599fd9e90c38c7489f92af9ba53f06be7d780280004c07d4c96"
)
"""RFC 5769, 2.2."""
RESPONSE_V6 = bytes.fromhex(
    "010100482112a442b7e7a701bc34d686fa87dfae8022000b7465737420766563746f7220002000140002a1470113a9fa"
    "a5d3f179bc25f4b5bed2b9d900080014a382954e4be67bf11784c97c8292c275bfe3ed4180280004c8fb0b4c"
)
"""RFC 5769, 2.3."""


class Messages(SynchronousTestCase):
    def test_the_rfcs_samples(self) -> None:
        key = stun.long_term_key("マトリックス", "example.org", "TheMatrIX")
        message = stun.read(REQUEST)
        self.assertTrue(message.sealed_with(key))
        self.assertFalse(message.sealed_with(key[:-1]))
        attributes = [
            (stun.USERNAME, "マトリックス".encode()),
            (stun.NONCE, b"f//499k954d6OL34oL9FSTvy64sA"),
            (stun.REALM, b"example.org"),
        ]
        self.assertEqual(stun.write(stun.BINDING, message.transaction, attributes, key), REQUEST)
        for sample, address in (
            (RESPONSE, ("192.0.2.1", 32853)),
            (RESPONSE_V6, ("2001:db8:1234:5678:11:2233:4455:6677", 32853)),
        ):
            message = stun.read(sample)
            self.assertEqual(message.kind, stun.BINDING | stun.SUCCESS)
            self.assertEqual(message.address(stun.XOR_MAPPED_ADDRESS), address)
            self.assertEqual(message.text(stun.SOFTWARE), "test vector")
            self.assertTrue(message.sealed_with(b"VOkJxbRl1RmTxUk/WvJxBt"))

    def test_what_is_none(self) -> None:
        for end in range(len(REQUEST)):
            self.assertRaises(stun.NotStun, stun.read, REQUEST[:end])
        self.assertRaises(stun.NotStun, stun.read, b"HTTP/1.1 400 Bad Request\r\n\r\n")
        cut = REQUEST[:2] + b"\0\x04" + REQUEST[4:20] + b"\0\x06\0\xff"
        self.assertRaises(stun.NotStun, stun.read, cut)


class Servers(SynchronousTestCase):
    """One server, one fault."""

    def setUp(self) -> None:
        self.patch(reaching, "PATIENCE", 1.5)
        self.patch(turn, "turn_password", lambda username, secret: "right")

    def look(self, url: str, region: str = "") -> Finding:
        relays = url.startswith("turn")
        server = Configured(region, [] if relays else [url], [url] if relays else [], b"s", 3600)
        (finding,) = turn.examine([server], lambda: 1000.0)
        return finding

    def ask(self, script: Script, url: str = "turn:127.0.0.1:{}", **options: object) -> Finding:
        server = TurnServer(script, **options)  # type: ignore[arg-type]
        self.addCleanup(server.close)
        self.server = server
        return self.look(url.format(server.port))

    def assertFails(self, finding: Finding, words: str) -> None:
        self.assertEqual(finding.status, Status.FAIL, finding.text)
        self.assertIn(words, finding.text)

    def test_a_good_one(self) -> None:
        for transport in ("udp", "tcp"):
            finding = self.ask(usual, "turn:127.0.0.1:{}?transport=" + transport)
            self.assertEqual(finding.status, Status.OK, finding.text)
            self.assertIn("relays from 127.0.0.1", finding.text)
            self.assertEqual([one.method for one in self.server.asked], [3, 3, 4])
            self.assertEqual(self.server.asked[1].attributes[6], b"1600:doctor")
            self.assertEqual(
                self.server.asked[2].attributes[0x0D], bytes(4), "the relay address is given back"
            )
        finding = self.ask(usual, "stun:127.0.0.1:{}")
        self.assertEqual((finding.status, "203.0.113.9" in finding.text), (Status.OK, True))

    def test_the_region_is_named(self) -> None:
        self.assertIn("(north)", self.look("stun:127.0.0.1:1", "north").text)

    def test_another_secret(self) -> None:
        self.assertFails(
            self.ask(lambda asked: asked.challenge()), "refuses the credentials (401): another secret"
        )

    def test_an_answer_that_is_not_signed_with_the_secret(self) -> None:
        def script(asked: Asked) -> bytes | None:
            return asked.relay(sign=False) if asked.signed else asked.challenge()

        self.assertFails(self.ask(script), "not signed with our secret")

    def test_a_nonce_that_is_stale_is_no_fault(self) -> None:
        def script(asked: Asked) -> bytes | None:
            if asked.signed and asked.attributes[0x15] == b"old":
                return asked.challenge(438)
            return usual(asked) if asked.signed else asked.challenge(nonce=b"old")

        self.assertEqual(self.ask(script).status, Status.OK)

    def test_nonces_that_are_always_stale(self) -> None:
        def script(asked: Asked) -> bytes | None:
            return asked.challenge(438 if asked.signed else 401)

        self.assertFails(self.ask(script), "438")

    def test_refusals(self) -> None:
        def refusing(code: int, asked: Asked) -> bytes | None:
            return asked.error(code) if asked.signed else asked.challenge()

        for code, words in (
            (508, "no relay address left"),
            (486, "user-quota"),
            (403, "not for this address"),
            (442, "does not relay UDP"),
            (437, "another"),
            (441, "other credentials"),
            (500, "refuses (500 no)"),
        ):
            finding = self.ask(partial(refusing, code))
            self.assertFails(finding, words)
        self.assertFails(self.ask(lambda asked: asked.error(403)), "not for this address")
        self.assertFails(self.ask(lambda asked: asked.error(401)), "401")

    def test_relay_addresses_that_are_none(self) -> None:
        def relaying(host: str) -> Script:
            return lambda asked: asked.relay(host) if asked.method == 3 and asked.signed else usual(asked)

        self.assertFails(self.ask(relaying("0.0.0.0")), "gives no relay address")
        self.assertEqual(self.ask(relaying("10.0.0.1")).status, Status.OK, "its own network is private, too")
        self.patch(turn, "_is_local", lambda url: False)
        finding = self.ask(relaying("10.0.0.1"))
        self.assertEqual((finding.status, "external-ip" in finding.text), (Status.WARN, True))
        self.assertEqual(self.ask(relaying("8.8.8.8")).status, Status.OK)

        def nameless(asked: Asked) -> bytes | None:
            return asked.answer(0x100, sign=True) if asked.signed else asked.challenge()

        self.assertFails(self.ask(nameless), "does not name the relay address")
        self.assertFails(self.ask(lambda asked: asked.answer(0x100), "stun:127.0.0.1:{}"), "does not say")

    def test_an_open_relay(self) -> None:
        self.assertFails(self.ask(lambda asked: asked.relay(sign=False)), "relays for anybody")

    def test_silence(self) -> None:
        self.assertFails(self.ask(lambda asked: None), "no answer")
        self.assertGreater(len(self.server.asked), 1, "requests are repeated")
        self.assertFails(
            self.ask(lambda asked: None, "turn:127.0.0.1:{}?transport=tcp"), "the connection broke"
        )

    def test_something_else_listens(self) -> None:
        http = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n"
        finding = self.ask(usual, "turn:127.0.0.1:{}?transport=tcp", greeting=http)
        self.assertFails(finding, "no STUN server")
        self.assertFails(self.ask(lambda asked: b"\x01\x01\0\0nonsense\0\0\0\0\0\0\0\0\0"), "no STUN server")

    def test_nobody_listens(self) -> None:
        for transport in ("udp", "tcp"):
            finding = self.look(f"turn:127.0.0.1:{refused_port()}?transport={transport}")
            self.assertFails(finding, "connection refused")
        self.assertFails(self.look(f"turns:127.0.0.1:{refused_port()}"), "connection refused")

    def test_a_name_that_is_none(self) -> None:
        self.assertFails(self.look("turn:nowhere.invalid"), "cannot be resolved")

    def test_tls(self) -> None:
        authority, other = Authority(self.folder()), Authority(self.folder(), "other")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(authority.root)
        self.patch(ssl, "create_default_context", lambda: context)
        good = self.tls(authority.issue("good", "127.0.0.1"))
        finding = self.ask(usual, "turns:127.0.0.1:{}", tls=good)
        self.assertEqual(finding.status, Status.OK, finding.text)
        for files, words in (
            (authority.issue("name", "turn.example.org"), "IP address mismatch"),
            (authority.issue("old", "127.0.0.1", days=-1), "certificate has expired"),
            (other.issue("other", "127.0.0.1"), "certificate is not good"),
            (authority.issue("chain", "127.0.0.1", chain=False), "certificate is not good"),
        ):
            finding = self.ask(usual, "turns:127.0.0.1:{}", tls=self.tls(files))
            self.assertFails(finding, "TLS: ")
            self.assertIn(words, finding.text)
        finding = self.ask(usual, "turns:127.0.0.1:{}", greeting=b"SSH-2.0-x\r\n")
        self.assertFails(finding, "TLS: no handshake")

    def folder(self) -> Path:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        return Path(folder.name)

    @staticmethod
    def tls(files: tuple[Path, Path]) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*files)
        return context

    def test_dtls_is_not_looked_at(self) -> None:
        finding = self.look("turns:127.0.0.1:1?transport=udp")
        self.assertEqual((finding.status, "DTLS" in finding.text), (Status.WARN, True))
        self.assertTrue(parse_ice_url("turns:a?transport=udp").encrypted)

    def test_none_configured(self) -> None:
        (finding,) = turn.examine([])
        self.assertEqual(finding.status, Status.WARN)


class Command(CliCase):
    def test_the_command(self) -> None:
        secret = self.data.parent / "turn.secret"
        secret.write_text("north\n")
        server = TurnServer()
        self.addCleanup(server.close)
        urls = f'"stun:127.0.0.1:{server.port}", "turn:127.0.0.1:{server.port}"'
        configured = f'turn=[{{urls=[{urls}], secret_file="{secret}"}}]'
        text = self.imserver("doctor", "turn", "--set", configured, code=4)
        lines = text.splitlines()
        self.assertEqual([line[:4] for line in lines], ["ok  ", "FAIL"])
        self.assertIn("another secret", lines[1])
        self.assertNotIn("north", text)
        (finding,) = self.json("doctor", "turn", code=0)
        self.assertEqual(finding["status"], "warn")
        secret.write_text("")
        self.assertIn("secret_file", self.imserver("doctor", "turn", "--set", configured, code=4))
        self.imserver("doctor", "fish", code=2)
