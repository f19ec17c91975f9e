"""Clients that say everything and close their sending side, as `printf … | nc -q 3` does."""

from __future__ import annotations

import json
import socket
from typing import Any

import pytest_twisted
from twisted.internet.threads import deferToThread

from tests.e2e.conftest import Serve

SENDS = 40


def _tell(port: int, requests: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Sends lines and the end of input in one go; everything that comes until the server closes."""
    lines = b"".join(json.dumps(request).encode() + b"\n" for request in requests)
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(lines)
        connection.shutdown(socket.SHUT_WR)
        received = b""
        while data := connection.recv(65536):
            received += data
    return [json.loads(line) for line in received.splitlines()]


@pytest_twisted.ensureDeferred
async def test_everything_asked_is_answered_before_the_server_closes(serve: Serve) -> None:
    server = await serve().start()
    content = {"type": "text", "text": "x"}
    send = {"target": {"type": "user", "id": "bob"}, "content": content}
    requests = [
        # A password takes a while to check, so all the rest comes before its answer.
        {"id": "login", "command": "auth/login", "payload": {"username": "alice", "password": "alice"}},
        *({"id": f"s{n}", "command": "message/send", "payload": send} for n in range(SENDS)),
        {"id": "history", "command": "message/history", "payload": {"target": send["target"]}},
    ]
    answers = await deferToThread(_tell, server.port("jsonline"), requests)
    answers = [answer for answer in answers if answer["type"] == "response"]
    assert [answer["id"] for answer in answers] == [request["id"] for request in requests]
    assert {answer["payload"]["status"] for answer in answers} == {200}
    assert len(answers[-1]["payload"]["messages"]) == SENDS
    await server.stop()


@pytest_twisted.ensureDeferred
async def test_a_stranger_too(serve: Serve) -> None:
    server = await serve().start()
    requests = [{"id": "p", "command": "control/ping"}, {"id": "l", "command": "presence/list"}]
    answers = await deferToThread(_tell, server.port("jsonline"), requests)
    assert [(answer["id"], answer["payload"]["status"]) for answer in answers] == [("p", 200), ("l", 401)]
    await server.stop()
