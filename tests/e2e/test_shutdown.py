"""SIGTERM under load: every format's goodbye, nothing acknowledged lost, gone within ten seconds."""

from __future__ import annotations

import itertools
import os
import signal
import socket
import time
from pathlib import Path
from typing import Any

from pytest_twisted import ensureDeferred
from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.error import ConnectionLost

from tests.clients import (
    jsonline_client,
    protobuf_client,
    qdatastream_client,
    signalling_client,
    websocket_client,
)
from tests.e2e.certificates import Authority
from tests.e2e.conftest import Serve
from tests.e2e.server import NO_RATES, sleep
from tests.e2e.tls_clients import endpoint, tls_override

EACH = 8
"""Connections of each format, half of the lines encrypted."""
EXIT_SECONDS = 10.0


class Load:
    """Clients that send to bob as fast as they are answered.

    Attributes:
        acknowledged: the ids of messages the server said are kept.
    """

    def __init__(self) -> None:
        self.acknowledged: set[str] = set()
        self.running: list[Deferred[None]] = []

    def lines(self, client: Any) -> None:
        """Through document 004."""
        self._start(lambda text: client.send_text("bob", text), lambda answer: answer["payload"])

    def protobuf(self, client: Any) -> None:
        """Through document 001."""
        self._start(lambda text: client.send_text_message("bob", text), lambda answer: answer)

    def signalling(self, client: Any) -> None:
        """Through document 002."""
        self._start(lambda text: client.send_text_message("bob", text), lambda answer: answer["payload"])

    def _start(self, send: Any, fields: Any) -> None:
        self.running.append(Deferred.fromCoroutine(self._run(send, fields)))

    async def _run(self, send: Any, fields: Any) -> None:
        for number in itertools.count():
            try:
                answer = fields(await send(f"message {number}"))
            except ConnectionLost:
                return
            message_id = answer.get("message_id")
            if message_id:
                self.acknowledged.add(message_id)


@ensureDeferred
async def test_sigterm_under_load(serve: Serve, tmp_path: Path) -> None:
    authority = Authority(tmp_path / "pki")
    server = await serve(
        overrides=[*NO_RATES, tls_override(1, authority.issue("server", "localhost"))]
    ).start()
    lines_port, web_port = server.port("jsonline"), server.port("/im")
    load = Load()
    lines, protobufs, signallings, stations = [], [], [], []
    for number in range(EACH):
        line = await jsonline_client.connect_tcp(reactor, lines_port)
        assert (await line.log_in("alice", device=f"d{number}"))["payload"]["status"] == 200
        load.lines(line)
        lines.append(line)
        if number % 2:
            way = endpoint(authority, web_port)
            protobuf = await websocket_client.connect(way, protobuf_client.ProtobufClient(reactor, "/im"))
            assert (await protobuf.log_in("carol"))["error_code"] == 0
        else:
            protobuf = await protobuf_client.connect_user(reactor, server.port("/ws"), "carol")
        load.protobuf(protobuf)
        protobufs.append(protobuf)
        client = signalling_client.SignallingClient(reactor, path="/ws?token=demo_token_dave")
        signalling = await websocket_client.connect(endpoint(authority, web_port), client)
        await signalling.expect("connect")
        load.signalling(signalling)
        signallings.append(signalling)
        framed = bool(number % 2)
        station = await qdatastream_client.connect_user(
            reactor, server.port("qdatastream"), f"station{number}", framed=framed
        )
        stations.append((station, framed))
    # Those that would hold up a server that waits for everybody: one that reads nothing of all
    # that is for bob, and one in the middle of its handshake.
    deaf = await jsonline_client.connect_tcp(reactor, lines_port)
    await deaf.log_in("bob", device="deaf")
    deaf.pause()
    half = socket.create_connection(("127.0.0.1", web_port), timeout=30)
    half.sendall(b"\x16\x03\x01\x02\x00\x01")
    await sleep(1.5)
    sent_before = len(load.acknowledged)
    assert sent_before > EACH

    latest = time.monotonic() + EXIT_SECONDS
    os.kill(server.pid, signal.SIGTERM)
    for line in lines:
        goodbye = await line.expect("control/error")
        assert goodbye["payload"]["status"] == 503
        await line.ended
    for web_socket in (*protobufs, *signallings):
        closed = await web_socket.closed
        assert (closed.code, closed.clean) == (1001, True), closed
    for station, framed in stations:
        if framed:
            # Document 000 has none; what has it is framed.
            assert (await station.expect("error"))["code"] == 503
        await station.ended
    assert await server.ended(latest - time.monotonic()) in (0, -signal.SIGTERM)
    await gatherResults(load.running)
    server.assert_clean()
    deaf.abort()
    await deaf.ended
    half.close()

    await server.start()
    bob = await protobuf_client.connect_user(reactor, server.port("/ws"), "bob")
    kept = {row["message_id"] for row in await bob.sync_all()}
    assert load.acknowledged <= kept
    assert load.acknowledged
    await bob.close()
    await server.stop()
