"""`imserver doctor media`: what it says of servers that do not do what they should."""

from __future__ import annotations

import socket
import ssl
import tempfile
import threading
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from imserver.cli import media, reaching
from imserver.cli.checks import Finding, Status
from imserver.config.schema import MediaServer
from tests.e2e.certificates import Authority
from tests.unit.cli.running import CliCase
from tests.unit.cli.turn_server import refused_port

UPGRADED = b"HTTP/1.1 101 Switching Protocols\r\n\r\n"


class Server:
    """Answers everybody the same, on a thread of its own.

    Attributes:
        asked: what it was asked, each up to the empty line.
    """

    def __init__(self, answer: bytes | None, tls: ssl.SSLContext | None = None) -> None:
        self._answer = answer
        self._tls = tls
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self.asked: list[str] = []
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while True:
            try:
                link, _ = self._socket.accept()
            except OSError:
                return
            with link:
                link.settimeout(30)
                try:
                    self._serve(link)
                except OSError:
                    pass

    def _serve(self, link: socket.socket) -> None:
        if self._tls is not None:
            link = self._tls.wrap_socket(link, server_side=True)
        asked = b""
        while b"\r\n\r\n" not in asked:
            asked += link.recv(4096)
        self.asked.append(asked.decode())
        if self._answer is None:
            link.recv(4096)  # until the other side gives up
        else:
            link.sendall(self._answer)
        link.close()

    def close(self) -> None:
        """It is gone."""
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join(30)


class Servers(SynchronousTestCase):
    """One server, one fault."""

    def setUp(self) -> None:
        self.patch(reaching, "PATIENCE", 1.5)

    def ask(self, key: str, url: str, answer: bytes | None, tls: ssl.SSLContext | None = None) -> Finding:
        """What is said of an address (or the health URL) where this answers; {} = its port."""
        self.server = Server(answer, tls)
        self.addCleanup(self.server.close)
        return self.look(key, url.format(self.server.port))

    def look(self, key: str, url: str) -> Finding:
        addresses: Any = {key: url}
        server = MediaServer("m", **addresses)
        if key == "health":
            return media._health(server)
        return media.examine([server])[0]

    def assertFails(self, finding: Finding, words: str) -> None:
        self.assertEqual(finding.status, Status.FAIL, finding.text)
        self.assertIn(words, finding.text)

    def test_good_ones(self) -> None:
        for key, url, answer, asked in (
            ("ws", "ws://127.0.0.1:{}/janus?a=b", UPGRADED, "GET /janus?a=b HTTP/1.1"),
            ("http", "http://127.0.0.1:{}", b"HTTP/1.1 404 Not Found\r\n\r\n", "GET / HTTP/1.1"),
            (
                "rtsp",
                "rtsp://127.0.0.1:{}/live",
                b"RTSP/1.0 200 OK\r\n\r\n",
                "OPTIONS rtsp://127.0.0.1:{}/live",
            ),
            ("health", "http://127.0.0.1:{}/info", b"HTTP/1.1 204 No Content\r\n\r\n", "GET /info HTTP/1.1"),
        ):
            finding = self.ask(key, url, answer)
            self.assertEqual(finding.status, Status.OK, finding.text)
            self.assertIn("m: ", finding.text)
            (request,) = self.server.asked
            self.assertTrue(request.startswith(asked.format(self.server.port)), request)
            if key != "rtsp":
                self.assertIn(f"\r\nHost: 127.0.0.1:{self.server.port}\r\n", request)
            self.assertEqual(key == "ws", "Sec-WebSocket-Protocol: janus-protocol" in request)

    def test_health(self) -> None:
        url = "http://127.0.0.1:{}/"
        self.assertFails(
            self.ask("health", url, b"HTTP/1.1 503 x\r\n\r\n"), "status 503, so it gets no rooms"
        )
        self.assertFails(self.ask("health", url, b"HTTP/1.1 302 x\r\n\r\n"), "status 302")
        self.assertFails(self.ask("health", url, b""), "without an answer")
        self.assertFails(self.ask("health", url, None), "connected, but no answer")
        self.assertFails(self.ask("health", url, b"SSH-2.0-x\r\n"), "no HTTP server")
        self.assertFails(self.look("health", f"http://127.0.0.1:{refused_port()}/"), "connection refused")
        self.assertFails(self.look("health", "http://nowhere.invalid/"), "cannot be resolved")

    def test_addresses(self) -> None:
        self.assertFails(self.ask("ws", "ws://127.0.0.1:{}", b"HTTP/1.1 403 x\r\n\r\n"), "(status 403)")
        self.assertFails(self.ask("ws", "ws://127.0.0.1:{}", b"HTTP/1.1 200 OK\r\n\r\n"), "(status 200)")
        self.assertFails(self.ask("http", "http://127.0.0.1:{}", b"x" * 9000), "no HTTP server")
        self.assertFails(self.ask("rtsp", "rtsp://127.0.0.1:{}", b"HTTP/1.1 400 x\r\n\r\n"), "no RTSP server")
        for key in ("wss", "ws", "https", "http", "rtsp"):
            self.assertFails(self.look(key, f"{key}://127.0.0.1:{refused_port()}/"), "connection refused")

    def test_tls(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            authority = Authority(Path(folder))
            trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            trusting.load_verify_locations(authority.root)
            self.patch(ssl, "create_default_context", lambda: trusting)
            for name, key, status in (
                ("127.0.0.1", "wss", Status.OK),
                ("127.0.0.1", "health", Status.OK),
                ("media.example", "wss", Status.FAIL),
            ):
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                context.load_cert_chain(*authority.issue("one", name))
                answer = UPGRADED if key == "wss" else b"HTTP/1.1 200 OK\r\n\r\n"
                scheme = "wss" if key == "wss" else "https"
                finding = self.ask(key, scheme + "://127.0.0.1:{}/", answer, context)
                self.assertEqual(finding.status, status, finding.text)
        self.assertIn("certificate is not good: IP address mismatch", finding.text)

    def test_what_is_missing(self) -> None:
        (finding,) = media.examine([])
        self.assertEqual((finding.status, "none is configured" in finding.text), (Status.WARN, True))
        found = media.examine([MediaServer("m", rtsp=f"rtsp://127.0.0.1:{refused_port()}/")])
        self.assertEqual([one.status for one in found], [Status.FAIL, Status.WARN])
        self.assertIn("m: has no health URL", found[1].text)
        found = media.examine([MediaServer("m", ws=f"ws://127.0.0.1:{refused_port()}/")])
        self.assertIn("has no wss address", found[2].text)


class Command(CliCase):
    def test_the_exit_code(self) -> None:
        self.assertIn("WARN  media: none is configured", self.imserver("doctor", "media"))
        url = f"ws://127.0.0.1:{refused_port()}/"
        given = ("--set", f'media_server=[{{name="m", ws="{url}"}}]')
        self.assertIn(
            f"FAIL  media: m: {url}: nothing listens", self.imserver("doctor", "media", *given, code=4)
        )
