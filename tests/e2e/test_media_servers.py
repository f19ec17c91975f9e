"""Media servers behind the rooms: asked for their health, and rooms move when one is ill."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor, ssl
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.threads import deferToThread

from imserver.http.health_check import HttpProbe
from imserver.services.media_servers import ProbeError
from tests.clients.meeting_client import MeetingClient, connect, connect_member
from tests.clients.rest_client import RestClient
from tests.e2e.certificates import Authority
from tests.e2e.commands import imserver
from tests.e2e.conftest import Serve
from tests.e2e.server import Server, sleep
from tests.ports import free_port

WELL = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
ILL = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"
QUICK = "health_interval_seconds=0.1, health_timeout_seconds=5, health_failures=2, health_successes=3"


class Health:
    """A server that is asked for its health, written by hand.

    Attributes:
        answer: what it writes; None = nothing.
        asked: the requests' first lines.
    """

    def __init__(self, certificate: tuple[Path, Path] | None = None, answer: bytes | None = WELL) -> None:
        self.answer = answer
        self.asked: list[bytes] = []
        self.open: list[Any] = []
        factory: Any = Factory.forProtocol(_Asked)
        factory.health = self
        net: Any = reactor
        if certificate is None:
            self._port = net.listenTCP(0, factory, interface="127.0.0.1")
        else:
            pem, key = (str(path) for path in certificate)
            context = ssl.DefaultOpenSSLContextFactory(key, pem)
            context.getContext().use_certificate_chain_file(pem)
            self._port = net.listenSSL(0, factory, context, interface="127.0.0.1")
        scheme = "http" if certificate is None else "https"
        self.url = f"{scheme}://127.0.0.1:{self._port.getHost().port}/janus/info"

    async def close(self) -> None:
        """It is gone."""
        for connection in self.open:
            connection.abortConnection()
        await maybeDeferred(self._port.stopListening)


class _Asked(Protocol):
    def connectionMade(self) -> None:
        """Twisted: somebody is here."""
        factory: Any = self.factory
        self.health: Health = factory.health
        self.health.open.append(self.transport)
        self.data = b""

    def dataReceived(self, data: bytes) -> None:
        """Twisted: he says something."""
        self.data += data
        if self.data.endswith(b"\r\n\r\n"):
            self.health.asked.append(self.data.partition(b"\r\n")[0])
            if self.health.answer is not None:
                self.transport.write(self.health.answer)  # type: ignore[union-attr]
                if b"Content-Length" not in self.health.answer:
                    self.transport.loseConnection()  # type: ignore[union-attr]

    def connectionLost(self, reason: Any = None) -> None:
        """Twisted: he is gone."""
        self.health.open.remove(self.transport)


@pytest.fixture
def health() -> Iterator[Callable[..., Health]]:
    """Makes servers that are asked, which are gone at the end of the test."""
    made: list[Health] = []

    def make(*arguments: Any, **options: Any) -> Health:
        made.append(Health(*arguments, **options))
        return made[-1]

    yield make
    for one in made:
        pytest_twisted.blockon(Deferred.fromCoroutine(one.close()))


def configured(**healths: str) -> str:
    """`media_server` with a server for every name; "" = no health URL."""
    entries = []
    for name, url in healths.items():
        checked = f', health="{url}", {QUICK}' if url else ""
        entries.append(f'{{name="{name}", wss="wss://{name}.example/", rtsp="rtsp://{name}/"{checked}}}')
    return f"media_server=[{', '.join(entries)}]"


async def states(server: Server) -> dict[str, str]:
    """What /metrics says of each."""
    scraped = await deferToThread(RestClient(server.port("/meeting")).get, "/metrics")
    lines = scraped.raw.decode().splitlines()
    found = (line.partition("imserver_media_server_healthy")[2].rsplit(" ", 1) for line in lines)
    return {one[0][9:-2]: one[1] for one in found if one[0].startswith("{")}


async def until(server: Server, **wanted: str) -> None:
    """Waits for the health of each."""
    for _ in range(1200):
        if await states(server) == wanted:
            return
        await sleep(0.05)
    raise AssertionError((wanted, await states(server), server.output()))


async def address(client: MeetingClient) -> str:
    """The media server that a client's room has now; "" = none."""
    told = await client.request("media_server.dump", {"protocol": "webrtc"})
    if told["err"] == 10:
        return ""
    assert set(told["data"]["media_server"]) <= {"wss", "ws"}, told
    return str(told["data"]["media_server"]["wss"])


async def addresses(clients: list[MeetingClient]) -> dict[int, str]:
    """Those of all of them."""
    return {number: await address(client) for number, client in enumerate(clients)}


@pytest_twisted.ensureDeferred
async def test_rooms_move_with_their_servers_health(serve: Serve, health: Callable[..., Health]) -> None:
    one, two = health(), health()
    server = await serve(overrides=[configured(a=one.url, b=two.url)]).start()
    names = ("alice", "bob", "carol", "dave")
    clients = [
        await connect_member(
            reactor, server.port("/meeting"), names[number % 4], f"room {number}", f"e{number}"
        )
        for number in range(16)
    ]
    before = await addresses(clients)
    assert set(before.values()) == {"wss://a.example/", "wss://b.example/"}
    of_a = {number for number, told in before.items() if "//a." in told}

    # One bad answer is none; several are.
    while len(one.asked) < 3:
        await sleep(0.02)
    assert set(one.asked) == {b"GET /janus/info HTTP/1.1"}
    one.answer = ILL
    await until(server, a="0.0", b="1.0")
    scraped = await deferToThread(RestClient(server.port("/meeting")).get, "/metrics")
    failed = re.search(rb'media_server_checks_total\{result="failed",server="a"\} (\d+)', scraped.raw)
    assert failed is not None
    assert int(failed[1]) >= 2
    assert b'media_server_checks_total{result="failed",server="b"} 0' in scraped.raw
    for number in of_a:
        event = await clients[number].expect("error")
        assert event["data"] == {"type": "media_server_changed"}
    assert set((await addresses(clients)).values()) == {"wss://b.example/"}

    # A room that is new goes where the others are.
    late = await connect(reactor, server.port("/meeting"), token="demo_token_alice")
    joined = await late.join("app", "late", "late")
    assert joined["data"]["media_server"] == {"wss": "wss://b.example/", "rtsp": "rtsp://b/"}
    await late.close()

    # It comes back, and so do its rooms, and no others.
    one.answer = WELL
    await until(server, a="1.0", b="1.0")
    for number in of_a:
        await clients[number].expect("error")
    assert await addresses(clients) == before
    assert [client.events for client in clients if client.events] == []

    # Nobody is left.
    await one.close()
    two.answer = None
    await until(server, a="0.0", b="0.0")
    for client in clients:
        await client.expect("error", lambda data: data["type"] == "media_server_changed")
    assert set((await addresses(clients)).values()) == {""}
    for client in clients:
        await client.close()
    output = server.output()
    assert "media server a is ill: it answers with status 503" in output
    assert "media server a is healthy again" in output
    assert "media server a is ill: connection refused" in output
    assert "media server b is ill: no answer in 5 s" in output
    await server.stop()


@pytest_twisted.ensureDeferred
async def test_without_health_urls_and_without_media_servers(serve: Serve) -> None:
    server = await serve(overrides=[configured(a="")]).start()
    assert await states(server) == {"a": "1.0"}
    client = await connect_member(reactor, server.port("/meeting"), "alice")
    assert await address(client) == "wss://a.example/"
    await client.close()
    await server.stop()

    # --demo shows what the answer looks like.
    server = await serve("demo").start()
    client = await connect_member(reactor, server.port("/meeting"), "alice")
    assert await address(client) == "wss://127.0.0.1:8989/"
    await client.close()
    await server.stop()


@pytest_twisted.ensureDeferred
async def test_what_counts_as_well(health: Callable[..., Health]) -> None:
    probe = HttpProbe(reactor)
    for answer in (WELL, b"HTTP/1.1 204 No Content\r\n\r\n", b"HTTP/1.0 200 OK\r\n\r\nas long as it lasts"):
        await probe(health(answer=answer).url)
    for answer, words in (
        (ILL, "status 503"),
        (b"HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n", "status 302"),
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "status 404"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{}", "."),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "."),
        (b"", "."),
    ):
        with pytest.raises(ProbeError, match=words):
            await probe(health(answer=answer).url)
    with pytest.raises(ProbeError, match="connection refused"):
        await probe(f"http://127.0.0.1:{free_port()}/")


@pytest_twisted.ensureDeferred
async def test_certificates(
    health: Callable[..., Health], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = Authority(tmp_path / "ca")
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.root))
    probe = HttpProbe(reactor)
    await probe(health(authority.issue("good", "127.0.0.1")).url)
    for certificate in (
        authority.issue("other", "127.0.0.2"),
        authority.issue("old", "127.0.0.1", days=-1),
        Authority(tmp_path / "ca", "foreign").issue("foreign", "127.0.0.1"),
    ):
        with pytest.raises(ProbeError, match="TLS: "):
            await probe(health(certificate).url)


@pytest_twisted.ensureDeferred
async def test_a_check_that_is_given_up_lets_go_of_its_connection(health: Callable[..., Health]) -> None:
    probe = HttpProbe(reactor)
    for answer in (None, b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}"):
        silent = health(answer=answer)
        check = Deferred.fromCoroutine(probe(silent.url))
        while not silent.asked:
            await sleep(0.01)
        check.cancel()
        check.addErrback(lambda failure: None)
        while silent.open:
            await sleep(0.01)


@pytest_twisted.ensureDeferred
async def test_check_config() -> None:
    good = await deferToThread(imserver, "config", "check", "--set", configured(a="http://a/janus/info"))
    assert good.returncode == 0, good
    bad = await deferToThread(imserver, "config", "check", "--set", configured(a="ws://a/janus/info"))
    assert bad.returncode != 0
    assert "media_server[0].health: 'ws://a/janus/info' is not like https://HOST or http://HOST" in (
        bad.stdout + bad.stderr
    )
