"""Document 000 over a real socket: both framings and string forms talk to the other formats."""

from __future__ import annotations

import socket
import struct

import pytest
import pytest_twisted
from twisted.internet import reactor

from tests.clients import jsonline_client, protobuf_client, qdatastream_client
from tests.clients.qdatastream_client import CANCEL, connect_tcp, connect_user, utf8
from tests.e2e.conftest import Serve
from tests.e2e.server import sleep

KINDS = pytest.mark.parametrize(
    ("framed", "form"), [(True, "utf8"), (True, "qstring"), (False, "utf8"), (False, "qstring")]
)


@pytest_twisted.ensureDeferred
@KINDS
async def test_with_a_json_lines_client(serve: Serve, framed: bool, form: str) -> None:
    server = await serve().start()
    alice = await connect_user(reactor, server.port("qdatastream"), "alice", framed=framed, form=form)
    bob = await jsonline_client.connect_tcp(reactor, server.port("jsonline"))
    await bob.log_in("bob")

    # One way …
    texts = ["hello", "你好 😀", "", "x" * 30_000]
    for number, text in enumerate(texts, 1):
        alice.send_text("bob", text)
        event = (await bob.expect("message/event"))["payload"]
        assert event["seq"] == number
        assert event["conversation_id"] == "single_alice_bob"
        assert event["message"]["sender_id"] == "alice"
        assert event["message"]["content"] == {"type": "text", "text": text}

    # … and back.
    for text in texts:
        assert (await bob.send_text("alice", text))["payload"]["status"] == 200
        got = await alice.expect("text")
        assert (got["sender"], got["text"]) == ("bob", text)

    # The longest texts of other formats arrive whole, in as many pieces as form and frame need.
    for text, count in (
        ("界" * 20_000 + "😀" * 1_384, 2 if form == "utf8" else 1),
        ("x" * 65_536, 1 if (framed, form) == (False, "qstring") else 2 if form == "utf8" else 3),
    ):
        assert (await bob.send_text("alice", text))["payload"]["status"] == 200
        pieces = [(await alice.expect("text"))["text"] for _ in range(count)]
        assert "".join(pieces) == text

    # What has no text is told in words.
    sent = await bob.request(
        "message/send",
        {"target": {"type": "user", "id": "alice"}, "content": {"type": "emoji", "name": "smile"}},
    )
    assert sent["payload"]["status"] == 200, sent
    assert (await alice.expect("text"))["text"] == "[emoji] smile"
    assert not alice.pending

    await alice.close()
    await bob.close()
    await server.stop()


@pytest_twisted.ensureDeferred
@KINDS
async def test_groups(serve: Serve, framed: bool, form: str) -> None:
    server = await serve().start()
    alice = await connect_user(reactor, server.port("qdatastream"), "alice", framed=framed, form=form)
    carol = await connect_user(reactor, server.port("qdatastream"), "carol", framed=not framed)
    bob = await protobuf_client.connect_user(reactor, server.port("/ws"), "bob")
    alice.send_text("group_demo", "to all")
    push = await bob.expect("PUSH_MSG")
    assert (push["group_id"], push["sender_id"], push["content"]) == ("demo", "alice", b"to all")
    got = await carol.expect("text")
    assert (got["sender"], got["text"]) == ("group_demo/alice", "to all")
    # An answer to the sender as it is shown goes to the group.
    carol.send_text(got["sender"], "and back")
    got = await alice.expect("text")
    assert (got["sender"], got["text"]) == ("group_demo/carol", "and back")
    assert [message["text"] for message in alice.messages if message["type"] == "text"] == ["and back"]
    await alice.close()
    await carol.close()
    await bob.close()
    await server.stop()


@pytest_twisted.ensureDeferred
@pytest.mark.parametrize("framed", [True, False])
async def test_what_was_missed_comes_once_and_without_what_was_taken_back(serve: Serve, framed: bool) -> None:
    server = await serve().start()
    bob = await protobuf_client.connect_user(reactor, server.port("/ws"), "bob")
    ids = [(await bob.send_text_message("alice", f"missed {number}"))["message_id"] for number in range(120)]
    revoked = await bob.request("REVOKE_MSG_REQ", message_id=ids[5], conversation_id="")
    assert revoked["error_code"] == 0, revoked
    alice = await connect_user(reactor, server.port("qdatastream"), "alice", framed=framed)
    expected = [f"missed {number}" for number in range(120) if number != 5]
    for text in expected:
        assert (await alice.expect("text"))["text"] == text
    # No acknowledgements here: the place is kept once the peer's kernel has the bytes.
    await alice.heartbeat()
    await sleep(0.3)
    await alice.close()
    await bob.send_text_message("alice", "later")
    alice = await connect_user(reactor, server.port("qdatastream"), "alice", framed=not framed)
    assert (await alice.expect("text"))["text"] == "later"
    assert len(alice.messages) == 1 + 1  # and the heartbeat's echo
    await alice.close()
    await bob.close()
    await server.stop()


@pytest_twisted.ensureDeferred
async def test_the_senders_other_devices(serve: Serve) -> None:
    server = await serve().start()
    port = server.port("qdatastream")
    alice = await connect_user(reactor, port, "alice")
    second = await connect_user(reactor, port, "alice")
    other = await jsonline_client.connect_tcp(reactor, server.port("jsonline"))
    await other.log_in("alice")
    alice.send_text("bob", "from 000")
    event = (await other.expect("message/event"))["payload"]
    assert (event["sender_id"], event["content"]["text"]) == ("alice", "from 000")
    # 000 cannot say to whom it was sent, so its other session is not told.
    await second.heartbeat()
    await alice.heartbeat()
    assert not [message for message in second.messages + alice.messages if message["type"] == "text"]
    # What one sends to oneself names its recipient.
    alice.send_text("alice", "note")
    got = await second.expect("text")
    assert (got["sender"], got["text"]) == ("alice", "note")
    for client in (alice, second, other):
        await client.close()
    await server.stop()


@pytest_twisted.ensureDeferred
async def test_unframed_messages_are_segments_of_their_own(serve: Serve) -> None:
    server = await serve().start()
    alice = await connect_user(reactor, server.port("qdatastream"), "alice", framed=False, form="qstring")
    before = _segments(alice)
    bob = await jsonline_client.connect_tcp(reactor, server.port("jsonline"))
    await bob.log_in("bob")
    answers = [bob.send_text("alice", f"text {number}") for number in range(30)]
    for answer in answers:
        assert (await answer)["payload"]["status"] == 200
    for number in range(30):
        assert (await alice.expect("text"))["text"] == f"text {number}"
    assert _segments(alice) - before >= 30
    await alice.close()
    await bob.close()
    await server.stop()


def _segments(client: qdatastream_client.QDataStreamClient) -> int:
    """TCP segments with data that a client has received (tcpi_data_segs_in)."""
    handle: socket.socket = client.transport.getHandle()  # type: ignore[attr-defined]
    (count,) = struct.unpack_from("I", handle.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256), 152)
    return int(count)


@pytest_twisted.ensureDeferred
async def test_login_and_register(serve: Serve) -> None:
    server = await serve(demo=False).start()
    port = server.port("qdatastream")
    erin = await connect_tcp(reactor, port)
    refused = await erin.log_in("erin", "wrong")
    assert refused == {
        "type": "auth_response",
        "success": False,
        "error": "unknown user or wrong password",
    }
    answer = await erin.log_in("erin", "pw", kind=qdatastream_client.REGISTER)
    assert (answer["success"], answer["user"]) == (True, "erin")
    assert len(answer["token"]) > 20

    # The id has a password now: the bare word is not enough, a token or the password is.
    stranger = await connect_tcp(reactor, port, framed=False)
    stranger.register("erin")
    assert not (await stranger.expect("auth_response"))["success"]
    await stranger.ended
    again = await connect_tcp(reactor, port)
    again.register("erin", answer["token"])
    await again.heartbeat()
    unframed = await connect_tcp(reactor, port, framed=False, form="qstring")
    assert (await unframed.log_in("erin", "pw"))["success"]
    unframed.send_text("erin", "to myself")
    assert (await again.expect("text"))["text"] == "to myself"
    # One account in all formats.
    other = await jsonline_client.connect_tcp(reactor, server.port("jsonline"))
    assert (await other.log_in("erin", "pw"))["payload"]["status"] == 200

    bad = await connect_tcp(reactor, port)
    bad.register("erin", "no token")
    assert not (await bad.expect("auth_response"))["success"]
    await bad.ended
    for client in (erin, again, unframed, other):
        await client.close()
    await server.stop()


@pytest_twisted.ensureDeferred
async def test_a_token_is_required_where_the_listener_says_so(serve: Serve) -> None:
    server = await serve(overrides=["listener.3.auth=token"]).start()
    port = server.port("qdatastream")
    for framed in (True, False):
        client = await connect_tcp(reactor, port, framed=framed)
        client.register("alice", "demo_token_alice")
        await client.heartbeat()
        await client.close()
    stranger = await connect_tcp(reactor, port)
    stranger.register("alice")
    assert not (await stranger.expect("auth_response"))["success"]
    await stranger.ended
    for framed in (True, False):
        for empty in (b"\0\0", b"\0\0\0\0", b"\xff\xff\xff\xff"):
            stranger = await connect_tcp(reactor, port, framed=framed)
            stranger.register("alice", payload=empty)
            answer = await stranger.expect("auth_response")
            assert (answer["success"], answer["error"]) == (False, "the token is empty")
            await stranger.ended
    await server.stop()


@pytest_twisted.ensureDeferred
async def test_other_protocols_and_bad_ids_are_closed_and_logged(serve: Serve) -> None:
    server = await serve().start()
    for start in (
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01",
        b"\x07\x00\x03a/b",
        b"\x00\x06\x07\x00\x03a/b",
        b"\x0a\x00\x01a",
    ):
        client = await connect_tcp(reactor, server.port("qdatastream"))
        client.send_raw(start)
        await client.ended
        assert client.reads == []
    assert server.output().count("qdatastream: a connection from 127.0.0.1 is closed") == 5
    await server.stop()


@pytest_twisted.ensureDeferred
async def test_errors_are_told_to_framed_peers_only(serve: Serve) -> None:
    server = await serve().start()
    framed = await connect_user(reactor, server.port("qdatastream"), "alice")
    unframed = await connect_user(reactor, server.port("qdatastream"), "carol", framed=False, form="qstring")
    for client in (framed, unframed):
        client.send_text("nobody", "hello")
        client.complete_file("t1")  # which was never offered
        await client.heartbeat()
    error = await framed.expect("error", lambda message: message["request"] == 0)
    assert error["code"] == 404
    error = await framed.expect("error", lambda message: message["request"] == 1)
    assert error["code"] == 404
    framed.send(b"\x00" + utf8("bob"))
    assert (await framed.expect("error"))["code"] == 400
    # A file is called off in words that everybody has.
    assert [message["type"] for message in unframed.messages] == ["heartbeat", "file", "heartbeat"]
    assert (unframed.messages[1]["op"], unframed.messages[1]["transfer"]) == (CANCEL, "t1")
    await framed.close()
    await unframed.close()
    await server.stop()


@pytest_twisted.ensureDeferred
async def test_presence_by_configuration(serve: Serve) -> None:
    server = await serve(overrides=["listener.3.presence=true"]).start()
    alice = await connect_user(reactor, server.port("qdatastream"), "alice")
    bob = await jsonline_client.connect_tcp(reactor, server.port("jsonline"))
    await bob.log_in("bob")
    seen = await alice.expect("presence", lambda message: message["user"] == "bob")
    assert seen["state"] == 1
    await bob.request("presence/update", {"state": "busy"})
    assert (await alice.expect("presence", lambda message: message["user"] == "bob"))["state"] == 3
    await bob.close()
    assert (await alice.expect("presence", lambda message: message["user"] == "bob"))["state"] == 0
    await alice.close()
    await server.stop()
