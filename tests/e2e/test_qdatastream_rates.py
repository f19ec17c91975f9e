"""Unframed document 000 peers cannot be told that they are too fast: they are slowed, and lose nothing."""

from __future__ import annotations

import json
import socket
import struct

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.threads import deferToThread

from tests.clients import jsonline_client
from tests.clients.qdatastream_client import FORMS, connect_user, utf8
from tests.e2e.conftest import Serve

BURST = 400


@pytest_twisted.ensureDeferred
@pytest.mark.parametrize("form", ["utf8", "qstring"])
async def test_a_burst_above_the_send_rate_arrives_in_order(serve: Serve, form: str) -> None:
    server = await serve().start()
    bob = await jsonline_client.connect_tcp(reactor, server.port("jsonline"))
    await bob.log_in("bob")
    alice = await connect_user(reactor, server.port("qdatastream"), "alice", framed=False, form=form)
    alice.send_raw(b"".join(alice.text("bob", f"text {number}") for number in range(BURST)))
    echo = alice.heartbeat()
    # Others go on meanwhile, a second connection of the same user, too: it shares the rate.
    second = await connect_user(reactor, server.port("qdatastream"), "alice", framed=False, form=form)
    second.send_raw(b"".join(second.text("carol", f"second {number}") for number in range(5)))
    assert (await bob.send_text("carol", "hello"))["payload"]["status"] == 200
    for number in range(BURST):
        event = await bob.expect("message/event")
        assert event["payload"]["content"]["text"] == f"text {number}"
    await echo
    await second.heartbeat()
    carol = await jsonline_client.connect_tcp(reactor, server.port("jsonline"))
    await carol.log_in("carol")
    history = await carol.request("message/history", {"target": {"type": "user", "id": "alice"}})
    texts = [item["content"]["text"] for item in history["payload"]["messages"]]
    assert texts == [f"second {number}" for number in range(5)]
    for client in (alice, second, bob, carol):
        await client.close()
    await server.stop()


def _say_and_leave(port: int, data: bytes) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(data)


@pytest_twisted.ensureDeferred
@pytest.mark.parametrize("framed", [True, False])
async def test_who_says_everything_at_once_and_leaves_is_heard_out(serve: Serve, framed: bool) -> None:
    server = await serve(overrides=["limits.send_burst=40"]).start()
    bob = await jsonline_client.connect_tcp(reactor, server.port("jsonline"))
    await bob.log_in("bob")
    count = 40 if framed else 120
    said = [b"\x07" + utf8("alice")]
    said += [b"\x00" + FORMS["utf8"]("bob") + utf8(f"text {number}") for number in range(count)]
    data = b"".join((struct.pack(">H", len(message)) if framed else b"") + message for message in said)
    await deferToThread(_say_and_leave, server.port("qdatastream"), data)
    for number in range(count):
        event = await bob.expect("message/event")
        assert event["payload"]["content"]["text"] == f"text {number}", json.dumps(event)
    await bob.close()
    await server.stop()
