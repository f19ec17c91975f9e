"""`[performance] transport`: which one is used; messages pass over either, and over another reactor."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from pytest_twisted import ensureDeferred
from twisted.internet import reactor

from tests.clients import jsonline_client
from tests.e2e.conftest import Serve


@pytest.mark.parametrize(
    ("wanted", "turning", "line"),
    [
        ("fast", "", "transport: fast"),
        ("stock", "", "transport: stock"),
        (
            "fast",
            "poll",
            "transport: stock, for the fast one does not know this Twisted: the reactor is PollReactor",
        ),
    ],
)
@ensureDeferred
async def test_transport(serve: Serve, tmp_path: Path, wanted: str, turning: str, line: str) -> None:
    twistd = Path(sys.executable).with_name("twistd")
    if turning:
        script = tmp_path / "twistd"
        script.write_text(f'#!/bin/sh\nexec {twistd} --reactor={turning} "$@"\n')
        script.chmod(0o755)
        twistd = script
    server = await serve(overrides=[f"performance.transport={wanted}"], twistd=twistd).start()
    said = [text.partition("] ")[2] for text in server.output().splitlines() if "transport:" in text]
    assert said == [line]
    clients = []
    for name in ("alice", "bob"):
        clients.append(await jsonline_client.connect_tcp(reactor, server.port("jsonline")))
        await clients[-1].log_in(name, name)
    alice, bob = clients
    for text in ("one", "two"):
        pushed = bob.expect("message/event")
        answer = await alice.send_text("bob", text)
        assert answer["payload"]["status"] == 200
        assert (await pushed)["payload"]["content"]["text"] == text
    for client in clients:
        await client.close()
    await server.stop()
