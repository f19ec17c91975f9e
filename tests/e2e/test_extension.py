"""`examples/chess.py`: a command, an event and a content type by one line of configuration."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor

from tests.clients import jsonline_client
from tests.e2e.conftest import Serve
from tests.e2e.server import StartFailed

ROOT = Path(__file__).parents[2]
MOVE = {"opponent": "bob", "game": "g1", "move": "e2e4"}


@pytest_twisted.ensureDeferred
async def test_chess(serve: Serve) -> None:
    server = await serve(overrides=("extensions.chess=examples.chess:EXTENSION",)).start()

    async def client(user: str) -> Any:
        found = await jsonline_client.connect_tcp(reactor, server.port("jsonline"))
        assert (await found.log_in(user))["payload"]["status"] == 200
        return found

    stranger = await jsonline_client.connect_tcp(reactor, server.port("jsonline"))
    assert (await stranger.request("chess/move", MOVE))["payload"]["status"] == 401
    alice, bob = await client("alice"), await client("bob")
    # As the page shows it.
    page = (ROOT / "docs/extending.md").read_text(encoding="utf-8")
    asked, answered, told = [json.loads(line[2:]) for line in page.splitlines() if line[:3] in ("→ {", "← {")]
    answer = await alice.request(asked["command"], asked["payload"], id=asked["id"])
    assert {**answer, "timestamp": 0} == {**answered, "timestamp": 0}
    event = await bob.expect("chess/move")
    assert event["payload"] == told["payload"]
    # A retry is not another move.
    assert (await alice.request("chess/move", MOVE, id="1"))["payload"] == answer["payload"]
    assert (await alice.request("chess/move", MOVE, id="2"))["payload"]["number"] == 2
    assert (await alice.request("chess/move", {**MOVE, "opponent": "alice"}))["payload"]["status"] == 403
    assert (await alice.request("chess/move", {**MOVE, "move": "x"}))["payload"]["status"] == 400
    target = {"type": "user", "id": "bob"}
    position = {"type": "chess-position", "fen": "8/8/8/8/8/8/8/8"}
    sent = await alice.request("message/send", {"target": target, "content": position})
    assert sent["payload"]["status"] == 200
    assert (await bob.expect("message/event"))["payload"]["content"] == position
    refused = await alice.request("message/send", {"target": target, "content": {"type": "chess-position"}})
    assert refused["payload"]["status"] == 400
    for one in (stranger, alice, bob):
        await one.close()
    await server.stop()


@pytest_twisted.ensureDeferred
async def test_one_that_is_not_there(serve: Serve) -> None:
    with pytest.raises(StartFailed) as caught:
        await serve(overrides=("extensions.chess=examples.chess:NOTHING",)).start(dict(os.environ))
    lines = caught.value.output.strip().splitlines()
    assert len(lines) == 1
    assert "extensions.chess: examples.chess:NOTHING" in lines[0]
