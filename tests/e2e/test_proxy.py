"""Behind HAProxy: whose connection it is, and that nobody can claim another's address."""

from __future__ import annotations

import http.client
import json
import socket
import struct
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pytest_twisted import ensureDeferred
from twisted.internet import reactor
from twisted.internet.endpoints import TCP4ClientEndpoint

from tests.clients import jsonline_client, protobuf_client, websocket_client
from tests.clients.jsonline_client import JsonLineClient
from tests.e2e.certificates import Authority
from tests.e2e.commands import imserver
from tests.e2e.conftest import Serve
from tests.e2e.haproxy import HAProxy
from tests.e2e.server import Server, StartFailed, sleep
from tests.e2e.tls_clients import aside, endpoint, tls_override

TRUSTED = "{trusted=['127.0.0.1']}"
V2 = bytes.fromhex("0d0a0d0a000d0a515549540a")

Front = Any


@pytest.fixture
def front(tmp_path: Path) -> Iterator[Front]:
    """Starts HAProxies that are gone at the end of the test."""
    made: list[HAProxy] = []

    async def start(**ways: str) -> HAProxy:
        made.append(HAProxy(tmp_path, ways))
        return await made[-1].start()

    yield start
    for proxy in made:
        proxy.close()


async def _connect(port: int, source: str = "127.0.0.1") -> JsonLineClient:
    way = TCP4ClientEndpoint(reactor, "127.0.0.1", port, 30, (source, 0))
    return await jsonline_client.connect(way, JsonLineClient(reactor))


async def _account(client: JsonLineClient, user: str) -> JsonLineClient:
    payload = {"username": user, "password": user, "client_info": {"device": "test"}}
    answer = await client.request("auth/register", payload)
    assert answer["payload"]["status"] == 200, answer
    assert (await client.log_in(user))["payload"]["status"] == 200
    return client


async def _addresses(server: Server) -> dict[str, str]:
    """The address that each user's session is from, as the operator sees it."""
    listed = await aside(imserver, "session", "list", "--json", "--data-dir", str(server.data))
    assert listed.returncode == 0, listed.stderr
    found: Any = json.loads(listed.stdout)
    sessions = found if isinstance(found, list) else found["sessions"]
    return {session["user"]: session["address"] for session in sessions}


def _behind(*more: str) -> dict[str, Any]:
    overrides = [f"listener.{number}.proxy_protocol={TRUSTED}" for number in (0, 1, 2)]
    return {"demo": False, "overrides": [*overrides, "auth.self_registration=true", *more]}


@ensureDeferred
async def test_haproxy_with_either_version_and_with_tls(serve: Serve, front: Front, tmp_path: Path) -> None:
    authority = Authority(tmp_path / "pki")
    pair = authority.issue("server", "localhost")
    server = await serve(**_behind(tls_override(1, pair))).start()
    lines, web, plain_web = server.port("jsonline"), server.port("/im"), server.port("/ws")
    proxy = await front(
        v1=f"mode tcp;server s 127.0.0.1:{lines} send-proxy",
        v2=f"mode tcp;server s 127.0.0.1:{lines} send-proxy-v2",
        tls=f"mode tcp;server s 127.0.0.1:{web} send-proxy-v2",
        # A balancer's own checks are not clients, and have to find a server there.
        checked=f"mode tcp;option httpchk GET /healthz;http-check expect status 200"
        f";server s 127.0.0.1:{web} send-proxy-v2 check check-send-proxy check-ssl verify none inter 100ms",
        web=f"mode http;server s 127.0.0.1:{plain_web} send-proxy-v2",
    )
    ann = await _account(await _connect(proxy.ports["v1"], "127.0.0.2"), "ann")
    ben = await _account(await _connect(proxy.ports["v2"], "127.0.0.3"), "ben")
    token = (await (await _connect(proxy.ports["v2"], "127.0.0.4")).log_in("ann"))["payload"]["token"]
    sockets = []
    for way, client, source in (
        (endpoint(authority, proxy.ports["tls"], "127.0.0.5"), "tls", "/im"),
        (endpoint(authority, proxy.ports["checked"], "127.0.0.5"), "checked", "/im"),
        (TCP4ClientEndpoint(reactor, "127.0.0.1", proxy.ports["web"], 30, ("127.0.0.6", 0)), "web", "/ws"),
    ):
        await sleep(0.5 if client == "checked" else 0)
        socket_client = await websocket_client.connect(way, protobuf_client.ProtobufClient(reactor, source))
        assert (await socket_client.log_in("ann", token, client))["error_code"] == 0
        sockets.append(socket_client)
    listed = await aside(imserver, "session", "list", "--json", "--data-dir", str(server.data))
    for address in ("127.0.0.2", "127.0.0.3", "127.0.0.4", "127.0.0.5", "127.0.0.6"):
        assert f'"{address}"' in listed.stdout, listed.stdout
    assert '"127.0.0.1"' not in listed.stdout, listed.stdout
    # What is said goes through as without.
    assert (await ann.send_text("ben", "x" * 60_000))["payload"]["status"] == 200
    assert (await ben.expect("message/event"))["payload"]["sender_id"] == "ann"
    for socket_client in sockets:
        socket_client.abort()
    for line_client in (ann, ben):
        await line_client.close()
    proxy.close()
    await server.stop()


@ensureDeferred
async def test_limits_count_the_real_address(serve: Serve, front: Front) -> None:
    server = await serve(**_behind("limits.unauthenticated_per_address=3")).start()
    proxy = await front(v2=f"mode tcp;server s 127.0.0.1:{server.port('jsonline')} send-proxy-v2")
    port = proxy.ports["v2"]
    strangers = [await _connect(port, "127.0.0.2") for _ in range(3)]
    for stranger in strangers:
        assert (await stranger.request("control/ping"))["payload"]["status"] == 200
    await (await _connect(port, "127.0.0.2")).ended
    elsewhere = await _connect(port, "127.0.0.3")
    assert (await elsewhere.request("control/ping"))["payload"]["status"] == 200
    for client in (*strangers, elsewhere):
        assert not client.ended.called
        client.abort()
        await client.ended
    proxy.close()
    await server.stop()


@ensureDeferred
async def test_a_header_that_a_client_wrote_changes_nothing(serve: Serve, front: Front) -> None:
    server = await serve(**_behind()).start()
    proxy = await front(v2=f"mode tcp;server s 127.0.0.1:{server.port('jsonline')} send-proxy-v2")
    liar = await _connect(proxy.ports["v2"], "127.0.0.2")
    # HAProxy writes its own header before it; the client's is a line that is not JSON.
    liar.send_raw(b"PROXY TCP4 6.6.6.6 127.0.0.1 1 2\r\n")
    assert (await liar.answer_to(None))["payload"]["status"] == 400
    await _account(liar, "liar")
    assert await _addresses(server) == {"liar": "127.0.0.2"}
    await liar.close()
    proxy.close()
    await server.stop()


def _answer(port: int, data: bytes, source: str) -> bytes:
    """What a listener answers to these bytes from an address; b"" = it closed."""
    with socket.create_connection(("127.0.0.1", port), timeout=30, source_address=(source, 0)) as plain:
        try:
            plain.sendall(data)
            return plain.recv(4096)
        except ConnectionError:
            return b""


@ensureDeferred
async def test_the_header_is_required_and_only_from_trusted_addresses(serve: Serve) -> None:
    server = await serve(**_behind()).start()
    proxied, direct = server.port("jsonline"), server.port("qdatastream")
    ping = b'{"id":"1","type":"request","command":"control/ping","payload":{}}\n'
    version_1 = b"PROXY TCP4 6.6.6.6 127.0.0.1 1 2\r\n"
    version_2 = V2 + struct.pack("!BBH", 0x21, 0x11, 12) + bytes([6, 6, 6, 6, 127, 0, 0, 1, 0, 1, 0, 2])
    for header in (version_1, version_2):
        assert b'"status":200' in await aside(_answer, proxied, header + ping, "127.0.0.1")
        # Somebody who is no proxy, and writes one.
        assert await aside(_answer, proxied, header + ping, "127.0.0.9") == b""
    for data in (ping, b"GET / HTTP/1.1\r\n\r\n", version_2[:14] + b"\xff\xff" + ping, b"PROXY x\r\n" + ping):
        assert await aside(_answer, proxied, data, "127.0.0.1") == b""
    # A listener not so configured takes it for what it is there: no message, and it ends.
    assert await aside(_answer, direct, version_1, "127.0.0.1") == b""
    warned = [line for line in server.output().splitlines() if "PROXY listener" in line]
    assert len(warned) == 1, "one line a minute, whatever comes"
    assert "127.0.0.9" in warned[0]
    await server.stop()


@ensureDeferred
async def test_demo_refuses_proxies(serve: Serve) -> None:
    for option in ("listener.2.proxy_protocol", "listener.1.forwarded_for"):
        with pytest.raises(StartFailed) as failed:
            await serve(option, overrides=[f"{option}={TRUSTED}"]).start()
        assert "--demo: listener[" in failed.value.output


@ensureDeferred
async def test_x_forwarded_for(serve: Serve, front: Front) -> None:
    server = await serve(
        demo=False,
        overrides=[
            f"listener.1.forwarded_for={TRUSTED}",
            "auth.self_registration=true",
            "log.format=json",
            "log.access=true",
            "limits.unauthenticated_per_address=2",
        ],
    ).start()
    port = server.port("/im")
    proxy = await front(web=f"mode http;option forwardfor;server s 127.0.0.1:{port}")
    through = proxy.ports["web"]

    def get(port: int, forwarded: str | None, source: str) -> int:
        request = urllib.request.Request(f"http://127.0.0.1:{port}/healthz")
        if forwarded is not None:
            request.add_header("X-Forwarded-For", forwarded)
        opener = urllib.request.OpenerDirector()
        for handler in (_From(source), urllib.request.HTTPDefaultErrorHandler()):
            opener.add_handler(handler)
        answer = opener.open(request, timeout=30)
        assert answer is not None
        with answer:
            return int(answer.status)

    assert await aside(get, through, None, "127.0.0.2") == 200
    assert await aside(get, through, "6.6.6.6", "127.0.0.3") == 200
    # Without the proxy, whatever is claimed; and from its address, but not by it.
    assert await aside(get, port, "6.6.6.6", "127.0.0.4") == 403
    assert await aside(get, port, None, "127.0.0.4") == 403
    assert await aside(get, port, None, "127.0.0.1") == 403
    assert await aside(get, port, "nonsense", "127.0.0.1") == 403
    logged = [json.loads(line) for line in server.output().splitlines() if line.startswith("{")]
    asked = [
        (event["fields"]["address"], event["fields"]["status"])
        for event in logged
        if event["namespace"] == "imserver.access"
    ]
    assert asked[:2] == [("127.0.0.2", 200), ("127.0.0.3", 200)]
    assert {status for _, status in asked[2:]} == {403}
    assert "6.6.6.6" not in {address for address, _ in asked}
    # The limit on connections that have not logged in is the client's, not the proxy's.
    sockets = []
    for source in ("127.0.0.5", "127.0.0.5", "127.0.0.6", "127.0.0.7"):
        way = TCP4ClientEndpoint(reactor, "127.0.0.1", through, 30, (source, 0))
        client = protobuf_client.ProtobufClient(reactor, "/im")
        sockets.append(await websocket_client.connect(way, client))
    way = TCP4ClientEndpoint(reactor, "127.0.0.1", through, 30, ("127.0.0.5", 0))
    with pytest.raises(websocket_client.HandshakeRefused) as refused:
        await websocket_client.connect(way, protobuf_client.ProtobufClient(reactor, "/im"))
    assert refused.value.status == 429
    for open_socket in sockets:
        open_socket.abort()
    proxy.close()
    await server.stop()


class _From(urllib.request.HTTPHandler):
    """HTTP from a source address."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self._source = source

    def http_open(self, req: urllib.request.Request) -> Any:
        def connection(host: str, timeout: float = 30) -> http.client.HTTPConnection:
            return http.client.HTTPConnection(host, timeout=timeout, source_address=(self._source, 0))

        return self.do_open(connection, req)  # type: ignore[arg-type]
