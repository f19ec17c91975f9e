"""A real browser over TLS: trust, the page's origin, and a conversation from its WebSocket."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from pytest_twisted import async_yield_fixture, ensureDeferred
from twisted.internet import reactor

from tests.clients import jsonline_client
from tests.e2e.certificates import Authority
from tests.e2e.chromium import Chromium, PageFault
from tests.e2e.conftest import Serve
from tests.e2e.tls_clients import tls_override

# Opens a WebSocket with a token as browsers can, sends one message and answers with what came back.
TALK = """
new Promise((done, failed) => {
  const socket = new WebSocket('wss://localhost:%d/ws', ['bearer', 'demo_token_alice']);
  const heard = [];
  socket.onerror = () => failed(new Error('refused'));
  socket.onmessage = event => {
    const message = JSON.parse(event.data);
    heard.push(message);
    if (message.type === 'connect')
      socket.send(JSON.stringify({type: 'message.send', payload:
        {to_user: 'bob', content: '你好 😀', message_type: 'text', client_msg_id: 'b-1'}}));
    if (message.type === 'message.sent') {
      socket.onclose = end => done({heard, protocol: socket.protocol, code: end.code});
      socket.close(1000);
    }
  };
})
"""
# Whether one opens at all; it has no way to know why not.
OPENS = """
new Promise(done => {
  const socket = new WebSocket('wss://localhost:%d%s');
  socket.onopen = () => { done(true); socket.close(); };
  socket.onerror = () => done(false);
})
"""

Browse = Callable[[Path], Chromium]


@async_yield_fixture
async def browse(tmp_path: Path) -> AsyncIterator[Browse]:
    """Makes a browser that trusts an authority and is gone at the end of the test."""
    made: list[Chromium] = []

    def make(trusted: Path) -> Chromium:
        made.append(Chromium(tmp_path / "browser", trusted).start())
        return made[-1]

    yield make
    for browser in made:
        await browser.close()


@pytest.fixture
def foreign_site() -> Iterator[int]:
    """The port of a foreign web server, whose every page is empty."""

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()

        def log_message(self, *arguments: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


@ensureDeferred
async def test_a_browser_talks_over_tls(
    serve: Serve, browse: Browse, foreign_site: int, tmp_path: Path
) -> None:
    authority = Authority(tmp_path / "pki")
    pair = authority.issue("server", "localhost")
    origins = f"listener.1.allowed_origins=['http://localhost:{foreign_site}']"
    server = await serve(overrides=[tls_override(1, pair), origins]).start()
    port = server.port("/im")
    bob = await jsonline_client.connect_tcp(reactor, server.port("jsonline"))
    await bob.log_in("bob")

    page = await browse(authority.root).page(f"http://localhost:{foreign_site}/")
    talked = await page.run(TALK % port)
    connected, sent = talked["heard"]
    assert connected["payload"]["status"] == "connected"
    assert sent["payload"]["client_msg_id"] == "b-1"
    assert (talked["protocol"], talked["code"]) == ("bearer", 1000)
    event = await bob.expect("message/event")
    assert event["payload"]["content"]["text"] == "你好 😀"
    assert event["payload"]["sender_id"] == "alice"
    doors = ("/ws?token=demo_token_alice", "/im")
    for path in doors:
        assert await page.run(OPENS % (port, path)) is True, path
    # The same server under a name that was not allowed.
    await page.load(f"http://127.0.0.1:{foreign_site}/")
    for path in doors:
        assert await page.run(OPENS % (port, path)) is False, path
    await bob.close()
    await server.stop()


@ensureDeferred
async def test_a_browser_refuses_whom_it_does_not_trust(serve: Serve, browse: Browse, tmp_path: Path) -> None:
    authority, foreign = Authority(tmp_path / "pki"), Authority(tmp_path / "foreign", "foreign")
    page = await browse(authority.root).page()
    for pair, refused in (
        (authority.issue("right", "localhost"), None),
        (foreign.issue("unknown", "localhost"), "ERR_CERT_AUTHORITY_INVALID"),
        (authority.issue("misnamed", "chat.example"), "ERR_CERT_COMMON_NAME_INVALID"),
        (authority.issue("outdated", "localhost", days=-1), "ERR_CERT_DATE_INVALID"),
        (authority.issue("alone", "localhost", chain=False), "ERR_CERT_AUTHORITY_INVALID"),
    ):
        server = await serve(name=pair[0].stem, overrides=[tls_override(1, pair)]).start()
        address = f"https://localhost:{server.port('/im')}/healthz"
        if refused is None:
            await page.load(address)
            assert '"success":true' in await page.run("document.body.innerText")
        else:
            with pytest.raises(PageFault, match=f"^net::{refused}$"):
                await page.load(address)
        await server.stop()
