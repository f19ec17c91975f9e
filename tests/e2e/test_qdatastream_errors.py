"""What a document 000 client is told of its faults: one answer to each, and the connection lives on."""

from __future__ import annotations

import pytest_twisted
from twisted.internet import reactor

from tests.clients.qdatastream_client import connect_tcp, connect_user, qstring, utf8
from tests.e2e.conftest import Serve

NULL = b"\xff\xff\xff\xff"
UTF8_FAULTS = [
    (b"", 255, 400),
    (b"\x00", 0, 400),
    (b"\x00" + utf8("bob"), 0, 400),
    (b"\x00" + utf8("bob") + utf8("hello")[:-1], 0, 400),
    (b"\x00" + utf8("bob") + utf8("hello") + b"!", 0, 400),
    (b"\x00" + utf8("bob") + b"\xff\xff", 0, 400),
    (b"\x00" + utf8("bob") + b"\x00\x02\xff\xfe", 0, 400),
    (b"\x00" + utf8("a/b") + utf8("hello"), 0, 400),
    (b"\x00" + utf8("x" * 256) + utf8("hello"), 0, 400),
    (b"\x00" + utf8("nobody") + utf8("hello"), 0, 404),
    (b"\x00" + utf8("group_none") + utf8("hello"), 0, 404),
    (b"\x01\x09", 1, 400),
    (b"\x02" + utf8("bob") + b"\x02", 2, 400),
    (b"\x03" + utf8("no id"), 3, 400),
    (b"\x07again", 7, 400),
    (b"\x0b\x00", 11, 404),
    (b"\xff" * 60_000, 255, 404),
]
QSTRING_FAULTS = [
    (b"\x00" + qstring("bob") + b"\x7f\xff\xff\xff", 0, 400),
    (b"\x00" + qstring("bob") + b"\x00\x00\x00\x03abc", 0, 400),
    (b"\x00" + qstring("bob") + b"\x00\x00\x00\x02\xd8\x3d", 0, 400),
    (b"\x00" + NULL + qstring("hello"), 0, 400),
    (b"\x00" + qstring("nobody") + NULL, 0, 404),
    (b"\x00" + qstring("bob") + qstring("界" * 30_000), 0, 413),
]


@pytest_twisted.ensureDeferred
async def test_each_framed_fault_has_its_answer(serve: Serve) -> None:
    server = await serve().start()
    for form, faults in (("utf8", UTF8_FAULTS), ("qstring", QSTRING_FAULTS)):
        alice = await connect_user(reactor, server.port("qdatastream"), "alice", form=form)
        for message, request, code in faults:
            alice.send(message)
            error = await alice.expect("error")
            assert (error["request"], error["code"]) == (request, code), (message[:20], error)
            assert error["reason"]
        await alice.heartbeat()
        assert not alice.pending
        await alice.close()
    await server.stop()


@pytest_twisted.ensureDeferred
async def test_an_unframed_stream_goes_on_where_it_can(serve: Serve) -> None:
    server = await serve().start()
    port = server.port("qdatastream")
    alice = await connect_user(reactor, port, "alice", framed=False)
    # What is whole but means nothing is passed over.
    for message in (
        b"\x00" + utf8("nobody") + utf8("hello"),
        b"\x00" + utf8("a/b") + utf8("hello"),
        b"\x00" + qstring("bob") + b"\x00\x00\x00\x02\xd8\x3d",
        b"\x05" + qstring(""),
    ):
        alice.send(message)
        await alice.heartbeat()
    assert [message["type"] for message in alice.messages] == ["heartbeat"] * 5
    await alice.close()
    # What has no end that could be found ends the connection, and only that.
    for message in (
        b"\x0c",
        b"\x00" + NULL + NULL,
        b"\x01\x09",
        b"\x02" + utf8("bob") + b"\x02",
        b"\x00" + qstring("bob") + b"\x7f\xff\xff\xff",
        b"\x00" + b"\xff\xff\xff\xfe",
        b"\x03" + utf8("no id"),
    ):
        client = await connect_user(reactor, port, "alice", framed=False)
        client.send(message)
        await client.ended
        assert [message["type"] for message in client.messages] == ["heartbeat"]
    await server.stop()


@pytest_twisted.ensureDeferred
async def test_a_message_of_nobody_is_refused(serve: Serve) -> None:
    server = await serve(overrides=["listener.3.auth=password"]).start()
    for framed in (True, False):
        for message in (
            b"\x00" + utf8("alice") + utf8("bob") + utf8("hello"),
            b"\x07" + utf8("alice"),
            b"\x05" + utf8("alice"),
        ):
            stranger = await connect_tcp(reactor, server.port("qdatastream"), framed=framed)
            stranger.send(message)
            answer = await stranger.expect("auth_response")
            assert not answer["success"]
            assert "password" in answer["error"]
            await stranger.ended
        client = await connect_tcp(reactor, server.port("qdatastream"), framed=framed)
        assert not (await client.log_in("alice", "wrong"))["success"]
        # Not logged in: a message is refused, and the connection waits for another LOGIN.
        client.send_text("bob", "hello")
        if framed:
            assert (await client.expect("error"))["code"] == 401
        assert (await client.log_in("alice", "alice"))["success"]
        await client.close()
    await server.stop()
