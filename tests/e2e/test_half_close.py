"""Clients that say everything and close their sending side, as `printf … | nc -q 3` does."""

from __future__ import annotations

import json
import socket
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.threads import deferToThread

from tests.clients import jsonline_client
from tests.clients.qdatastream_client import utf8
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


def _register(port: int, framed: bool) -> socket.socket:
    """A client of document 000: alice."""
    connection = socket.create_connection(("127.0.0.1", port), timeout=30)
    message = b"\x07" + utf8("alice")
    connection.sendall(len(message).to_bytes(2, "big") + message if framed else message)
    return connection


def _read_until(connection: socket.socket, last: bytes) -> bytes:
    received = b""
    while not received.endswith(last):
        data = connection.recv(65536)
        assert data
        received += data
    return received


@pytest_twisted.ensureDeferred
@pytest.mark.parametrize("framed", [True, False])
async def test_who_reads_and_closes_at_once_is_not_sent_it_again(serve: Serve, framed: bool) -> None:
    # This format's clients cannot tell a repeated text from another one.
    server = await serve().start()
    port = server.port("qdatastream")
    bob = await jsonline_client.connect_tcp(reactor, server.port("jsonline"))
    await bob.log_in("bob")

    def text(number: int) -> bytes:
        # Unframed, QStrings come.
        words = f"text {number:02}"
        return utf8(words) if framed else words.encode("utf-16-be")

    for number in range(10):
        await bob.send_text("alice", f"text {number:02}")

        def read_and_close(number: int = number) -> bytes:
            with _register(port, framed) as connection:
                return _read_until(connection, text(number))

        heard = await deferToThread(read_and_close)
        for earlier in range(number):
            assert text(earlier) not in heard, (number, earlier)
    await bob.close()
    await server.stop()
