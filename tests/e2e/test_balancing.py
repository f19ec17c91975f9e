"""etc/haproxy.cfg in front of two servers that are restarted one after the other: nobody is turned away."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path
from typing import Any

from pytest_twisted import ensureDeferred
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectError, ConnectionClosed

from tests.clients import jsonline_client, protobuf_client, websocket_client
from tests.e2e.certificates import Authority
from tests.e2e.conftest import Serve
from tests.e2e.haproxy import HAProxy
from tests.e2e.server import NO_RATES, Server, sleep
from tests.e2e.tls_clients import endpoint
from tests.ports import free_port

SAMPLE = Path(__file__).parents[2] / "etc" / "haproxy.cfg"
TRUSTED = "{trusted=['127.0.0.1']}"
FRONTS = {
    8443: "web",
    8444: "protobuf",
    8089: "jsonline",
    8889: "qdatastream",
    9501: "files1",
    9502: "files2",
}
SPOKEN = {8080: "/im", 8081: "/ws", 8088: "jsonline", 8888: "qdatastream", 9500: "files"}


def balancer(folder: Path, authority: Authority, nodes: list[Server]) -> HAProxy:
    """The sample with other addresses, and nothing else changed."""
    text = SAMPLE.read_text()
    certificate, key = authority.issue("balancer", "localhost")
    bundle = folder / "im.pem"
    bundle.write_bytes(certificate.read_bytes() + key.read_bytes())
    ports = {name: free_port() for name in FRONTS.values()}
    text = text.replace("/etc/haproxy/im.pem", str(bundle)).replace("maxconn 200000", "maxconn 1000")
    for number, name in FRONTS.items():
        text, count = re.subn(rf"bind :{number}\b", f"bind 127.0.0.1:{ports[name]}", text)
        assert count == 1
    for index, node in enumerate(nodes, 1):
        for number, spoken in SPOKEN.items():
            text = re.sub(
                rf"(server node{index}) 10.0.0.1{index}:{number}", rf"\1 127.0.0.1:{node.port(spoken)}", text
            )
        text = re.sub(rf"(server node{index} .*) port 8080", rf"\1 port {node.port('/im')}", text)
    assert "10.0.0" not in "".join(line for line in text.splitlines() if not line.startswith("#"))
    return HAProxy.configured(folder, text, ports)


class Visitors:
    """Somebody comes, says something and goes, again and again.

    Attributes:
        served: how many visits went well.
        faults: what did not.
    """

    def __init__(self, visit: Any) -> None:
        self._visit = visit
        self.served = 0
        self.faults: list[str] = []
        self._over = False
        self.running = Deferred.fromCoroutine(self._run())

    async def _run(self) -> None:
        while not self._over:
            try:
                await self._visit()
                self.served += 1
            except (ConnectError, ConnectionClosed, AssertionError) as error:
                self.faults.append(repr(error))
            await sleep(0.02)

    async def more(self, count: int) -> None:
        """Waits for more visits."""
        goal, waited = self.served + count, 0.0
        while self.served < goal:
            await sleep(0.05)
            waited += 0.05
            assert waited < 60, self.faults

    def close(self) -> Deferred[None]:
        """No more; fires when the last is over."""
        self._over = True
        return self.running


@ensureDeferred
async def test_rolling_restart_behind_the_sample(serve: Serve, tmp_path: Path) -> None:
    authority = Authority(tmp_path / "pki")
    overrides = [
        *NO_RATES,
        *(f"listener.{number}.proxy_protocol={TRUSTED}" for number in range(5)),
        "listener.3.auth=password",
        "auth.self_registration=true",
        "shutdown.notice_seconds=5",
        "shutdown.drain_seconds=1",
    ]
    nodes = []
    for name in ("one", "two"):
        # A restart takes the same ports: the balancer knows no others.
        ports = [free_port() for _ in range(5)]
        listeners = [f"listener.{n}.endpoint=tcp:{port}:interface=127.0.0.1" for n, port in enumerate(ports)]
        nodes.append(await serve(name, demo=False, overrides=overrides, listeners=listeners).start())
    proxy = await balancer(tmp_path, authority, nodes).start()
    try:

        async def by_line() -> None:
            client = await jsonline_client.connect(
                endpoint(authority, proxy.ports["jsonline"]), jsonline_client.JsonLineClient(reactor)
            )
            answer = await client.request("control/ping", {})
            assert answer["payload"]["status"] == 200, answer
            await client.close()

        async def by_protobuf() -> None:
            way = endpoint(authority, proxy.ports["protobuf"])
            client = await websocket_client.connect(way, protobuf_client.ProtobufClient(reactor, "/ws"))
            await client.close()

        visitors = [Visitors(by_line), Visitors(by_protobuf)]
        stayed = await jsonline_client.connect(
            endpoint(authority, proxy.ports["jsonline"]), jsonline_client.JsonLineClient(reactor)
        )
        assert (await stayed.request("control/ping", {}))["payload"]["status"] == 200
        for visitor in visitors:
            await visitor.more(5)
        for node in nodes:
            os.kill(node.pid, signal.SIGTERM)
            assert await node.ended() in (0, -signal.SIGTERM)
            for visitor in visitors:
                await visitor.more(5)
            await node.start()
            # Two good checks, one second apart, and it is asked again.
            await sleep(4)
        for visitor in visitors:
            await visitor.more(5)
            await visitor.close()
            assert visitor.faults == []
        # Whoever was on one of them was told.
        assert (await stayed.expect("control/error"))["payload"]["status"] == 503
        await stayed.ended
    finally:
        proxy.close()
    for node in nodes:
        node.assert_clean()
        node.kill()
