"""Document 002 through the real process, in JSON and MessagePack, with clients of documents 001 and 004."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import gatherResults

from tests.clients import jsonline_client, protobuf_client
from tests.clients.signalling_client import SignallingClient, connect_user
from tests.clients.websocket_client import TEXT, HandshakeRefused, connect_tcp
from tests.e2e.conftest import Serve
from tests.e2e.server import Server, sleep

ENCODINGS = pytest.mark.parametrize("binary", [False, True], ids=["json", "msgpack"])


def port(server: Server) -> int:
    """The listener whose `/ws` is this format; the protobuf one has a `/ws` too, but no `/im`."""
    return server.port("/im")


async def json_user(server: Server, user: str) -> Any:
    """A client of document 004, logged in."""
    client = await jsonline_client.connect_tcp(reactor, server.port("jsonline"))
    answer = (await client.log_in(user))["payload"]
    assert answer["status"] == 200, answer
    return client


@pytest_twisted.ensureDeferred
@ENCODINGS
async def test_three_formats_talk(serve: Serve, binary: bool) -> None:
    server = await serve().start()
    alice = await connect_user(reactor, port(server), "alice", binary=binary)
    other = await connect_user(reactor, port(server), "alice", binary=not binary, device="second")
    bob = await json_user(server, "bob")
    carol = await protobuf_client.connect_user(reactor, server.port("/ws"), "carol")

    # To everybody at once; the sender's other session hears it, the sending one has the answer.
    for number, text in enumerate(["hello", "你好 😀", "", "x" * 60_000], 1):
        sent = (await alice.send_text_message(group="demo", text=text, client_msg_id=f"a{number}"))["payload"]
        assert sent["client_msg_id"] == f"a{number}"
        assert (sent["seq"], sent["conversation_id"]) == (number, "group_demo")
        new = (await other.expect("message.new"))["payload"]
        assert {key: new[key] for key in ("message_id", "seq", "from_user", "group_id", "content")} == {
            "message_id": sent["message_id"], "seq": number, "from_user": "alice", "group_id": "demo",
            "content": text,
        }  # fmt: skip
        assert (new["message_type"], new["client_msg_id"]) == ("text", f"a{number}")
        event = (await bob.expect("message/event"))["payload"]
        assert event["message"]["message_id"] == sent["message_id"]
        assert event["message"]["content"] == {"type": "text", "text": text}
        push = await carol.expect("PUSH_MSG")
        assert (push["message_id"], push["content"]) == (sent["message_id"], text.encode())

    # From the others, one to one.
    reply = (await bob.send_text("alice", "hi from 004"))["payload"]
    for client in (alice, other):
        new = (await client.expect("message.new"))["payload"]
        assert (new["from_user"], new["to_user"], new["content"]) == ("bob", "alice", "hi from 004")
        assert (new["message_id"], new["conversation_id"]) == (reply["message_id"], "single_alice_bob")
    answer = await carol.send_text_message("alice", "hi from 001", client_msg_id="p1")
    new = (await alice.expect("message.new"))["payload"]
    assert (new["message_id"], new["content"]) == (answer["message_id"], "hi from 001")
    assert new["client_msg_id"] == "p1"
    await other.expect("message.new")

    # Content that only some formats know comes back as it was.
    image = {"type": "image", "name": "a.png", "n": [1, 2.5, None, True, -(2**63), 2**64 - 1]}
    attachments, extra = [{"file_id": "f1"}], {"k": "v"}
    sent = (
        await alice.request(
            "message.send",
            {"to_user": "bob", "content": image, "message_type": "image", "reply_to_id": reply["message_id"],
             "attachments": attachments, "meta": {"a": 1}, "extra": extra},
        )
    )["payload"]  # fmt: skip
    event = (await bob.expect("message/event"))["payload"]
    assert event["message"]["content"] == image
    assert (event["attachments"], event["extra"]) == (attachments, extra)
    assert event["meta"] == {"a": 1, "reply_to": reply["message_id"]}
    new = (await other.expect("message.new"))["payload"]
    assert (new["content"], new["message_type"], new["attachments"]) == (image, "image", attachments)
    assert (new["reply_to_id"], new["extra"], new["meta"]["a"]) == (reply["message_id"], extra, 1)
    await carol.request("SEND_MSG_REQ", receiver_id="alice", message_type=3, content=b"\x00\xff")
    new = (await alice.expect("message.new"))["payload"]
    assert new["content"] == {"type": "custom", "message_type": 3, "data": "AP8="}
    assert new["message_type"] == "custom"
    sent = (await alice.request("message.send", {"to_user": "carol", "content": new["content"]}))["payload"]
    push = await carol.expect("PUSH_MSG")
    assert (push["message_type"], push["content"]) == (3, b"\x00\xff")

    # Receipts, revokes and typing cross the formats.
    read = await alice.request("message.read", {"message_ids": [reply["message_id"]]})
    assert read["payload"]["message_ids"] == [reply["message_id"]]
    notice = await bob.expect(
        "notification/event", lambda line: line["payload"]["event_type"] == "messages_read"
    )
    assert notice["payload"]["reader_id"] == "alice"
    assert (await other.expect("message.read"))["payload"]["from_user"] == "alice"
    deleted = await alice.request("message.delete", {"message_id": sent["message_id"]})
    assert deleted["payload"]["from_user"] == "alice"
    push = await carol.expect("REVOKE_MSG_PUSH")
    assert push["message_id"] == sent["message_id"]
    assert (await other.expect("message.delete"))["payload"]["message_id"] == sent["message_id"]
    alice.send("typing", {"to_user": "bob", "is_typing": True})
    notice = await bob.expect("notification/event", lambda line: line["payload"]["event_type"] == "typing")
    assert notice["payload"]["user_id"] == "alice"
    bob.send_event("message/typing", {"target": {"type": "user", "id": "alice"}, "typing": True})
    typing = (await alice.expect("typing"))["payload"]
    assert typing == {"conversation_id": "single_alice_bob", "from_user": "bob", "is_typing": True}

    # Both encodings see the same history.
    query = {"limit": 500}
    pages = [(await one.request("message.history", query))["payload"] for one in (alice, other)]
    assert pages[0] == pages[1]
    assert [item["seq"] for item in pages[0]["messages"]] == list(range(1, len(pages[0]["messages"]) + 1))
    assert pages[0]["messages"][-1]["message_type"] == "revoked"

    everybody: list[Any] = [alice, other, bob, carol]
    for one in everybody:
        await one.close()
    await server.stop()


@pytest_twisted.ensureDeferred
@ENCODINGS
async def test_presence(serve: Serve, binary: bool) -> None:
    server = await serve().start()
    alice = await connect_user(reactor, port(server), "alice", binary=binary)
    bob = await json_user(server, "bob")
    assert (await alice.expect("presence", lambda m: m["payload"]["user_id"] == "bob"))["payload"][
        "state"
    ] == "online"
    set_to = await alice.request("presence", {"state": "busy"})
    assert set_to["payload"] == {"user_id": "alice", "state": "busy"}
    await bob.expect("presence/event", lambda line: line["payload"]["state"] == "busy")
    listed = await alice.request("presence", {"users": ["bob", "nobody"]})
    (one,) = listed["payload"]["users"]
    assert (one["user_id"], one["state"]) == ("bob", "online")
    everybody = (await alice.request("presence"))["payload"]["users"]
    assert [user["user_id"] for user in everybody] == ["bob", "carol", "dave"]
    await alice.close()
    await bob.close()
    await server.stop()


@pytest_twisted.ensureDeferred
async def test_places_of_the_token_and_refusals(serve: Serve) -> None:
    server = await serve().start()
    # The three places; the answer never selects the token.
    for place, binary, selected in (
        ("query", False, None),
        ("header", False, None),
        ("subprotocol", False, "bearer"),
        ("query", True, "msgpack"),
        ("header", True, "msgpack"),
        ("subprotocol", True, "msgpack"),
    ):
        client = await connect_user(reactor, port(server), "alice", place=place, binary=binary)
        assert client.response_headers.get("sec-websocket-protocol") == selected
        connect = client.messages[0]["payload"]
        assert connect.keys() == {"status", "user_id", "server_time", "epoch", "ice_servers"}
        assert (connect["status"], connect["user_id"], connect["ice_servers"]) == ("connected", "alice", [])
        assert connect["epoch"]
        await client.close()
    # Anything else in the query string is tolerated.
    client = await connect_user(
        reactor, port(server), "alice", path="/ws?v=2&EIO=3&transport=websocket&x=%ff&token=demo_token_alice",
        place="header",
    )  # fmt: skip
    await client.close()

    refusals: list[tuple[str, dict[str, Any], int]] = [
        ("/ws", {}, 401),
        ("/ws?token=", {}, 401),
        ("/ws?token=wrong", {}, 401),
        ("/ws?token=demo_token_", {}, 401),
        ("/ws", {"headers": [("Authorization", "Bearer a.b.c")]}, 401),
        ("/ws", {"headers": [("Authorization", "Basic YWxpY2U6YWxpY2U=")]}, 401),
        ("/ws", {"subprotocols": ["bearer"]}, 401),
        ("/ws", {"subprotocols": ["bearer", "s3cret-token", "msgpack"]}, 401),
        ("/ws?token=demo_token_alice&device=" + "x" * 256, {}, 400),
        ("/ws?token=demo_token_alice", {"headers": [("Origin", "https://evil.example")]}, 403),
    ]
    for path, form, status in refusals:
        with pytest.raises(HandshakeRefused) as caught:
            await connect_tcp(reactor, port(server), SignallingClient(reactor, path=path, **form))
        refusal = caught.value
        assert refusal.status == status, (path, form)
        assert refusal.headers["content-type"] == "application/json"
        if status == 401:
            assert refusal.headers["www-authenticate"] == "Bearer"
        body = json.loads(refusal.body) if refusal.body else {"success": False, "code": status}
        assert (body["success"], body["code"]) == (False, status)
    own = SignallingClient(
        reactor, path="/ws?token=demo_token_alice", headers=[("Origin", f"http://127.0.0.1:{port(server)}")],
        host=f"127.0.0.1:{port(server)}",
    )  # fmt: skip
    await connect_tcp(reactor, port(server), own)
    await own.expect("connect")
    await own.close()
    await server.stop()
    # Nothing of it is in the log.
    for secret in ("demo_token_alice", "s3cret-token", "a.b.c", "YWxp", "EIO=3"):
        assert secret not in server.output()


@pytest_twisted.ensureDeferred
async def test_too_many_wrong_tokens(serve: Serve) -> None:
    server = await serve(overrides=["limits.failed_logins_per_address=3"]).start()
    statuses = []
    for _ in range(5):
        with pytest.raises(HandshakeRefused) as caught:
            await connect_tcp(reactor, port(server), SignallingClient(reactor, path="/ws?token=wrong"))
        statuses.append(caught.value.status)
    assert statuses == [401, 401, 401, 429, 429]
    await server.stop()


@pytest_twisted.ensureDeferred
@ENCODINGS
async def test_bad_messages_are_answered_and_the_connection_lives_on(serve: Serve, binary: bool) -> None:
    server = await serve().start()
    alice = await connect_user(reactor, port(server), "alice", binary=binary)

    async def error() -> tuple[str, dict[str, Any]]:
        payload = (await alice.expect("error"))["payload"]
        return payload["error_code"], payload["details"]

    write = alice.send_binary if binary else lambda data: alice.send_frame(TEXT, data)
    write(b"\x81" if binary else b"{")
    assert (await error())[0] == "BAD_REQUEST"
    write((b"\x91" if binary else b"[") * 100_000)
    assert (await error())[0] == "BAD_REQUEST"
    alice.send("message.fly")
    assert await error() == ("NOT_FOUND", {"reason": "unknown_command", "type": "message.fly"})
    alice.send("message.send", {"to_user": "nobody here", "content": "x", "client_msg_id": "c1"})
    assert await error() == (
        "NOT_FOUND", {"reason": "user_not_found", "type": "message.send", "client_msg_id": "c1"},
    )  # fmt: skip
    alice.send("message.send", {"to_user": "bob", "content": "x" * 65_537, "client_msg_id": "c2"})
    assert await error() == (
        "TOO_LARGE", {"reason": "too_large", "type": "message.send", "client_msg_id": "c2"},
    )  # fmt: skip
    # A message longer than 256 KiB is skipped, whole or in frames.
    alice.send("message.send", {"to_user": "bob", "content": "x" * 262_144})
    assert await error() == ("TOO_LARGE", {"reason": "too_large"})
    # A retried id is answered again; another content under it is a conflict.
    first = await alice.send_text_message("bob", "once", client_msg_id="c3")
    again = await alice.send_text_message("bob", "once", client_msg_id="c3")
    assert again["payload"] == first["payload"]
    other = await alice.send_text_message("bob", "twice", client_msg_id="c3")
    assert other["payload"]["error_code"] == "CONFLICT"
    # What concerns a call is refused in the document's own terms.
    alice.send("call.offer", {"call_id": "call_1", "to_user": "bob", "call_type": "audio", "sdp": "hello"})
    refusal = (await alice.expect("call.error"))["payload"]
    assert (refusal["call_id"], refusal["error_code"]) == ("call_1", "SIGNALING_ERROR")
    assert refusal["details"] == {"reason": "bad_sdp"}
    # It still lives.
    pong = await alice.request("ping", {"timestamp": 1759838400123})
    assert (pong["type"], pong["payload"]) == ("pong", {"timestamp": 1759838400123})
    # The other kind of message is no message of this format.
    alice.send_frame(TEXT if binary else 2, b"{}")
    assert (await alice.closed).code == 1003
    await server.stop()


@pytest_twisted.ensureDeferred
@ENCODINGS
async def test_backlog_and_both_ways_to_acknowledge(serve: Serve, binary: bool) -> None:
    server = await serve().start()
    alice = await json_user(server, "alice")

    async def come_back(**form: Any) -> tuple[SignallingClient, list[int]]:
        """Bob with the numbers he is sent after his log-in, up to a message that is sent then."""
        bob = await connect_user(reactor, port(server), "bob", device="d1", binary=binary, **form)
        mark = (await alice.send_text("bob", "mark"))["payload"]["message_id"]
        await bob.expect("message.new", lambda m: m["payload"]["message_id"] == mark)
        return bob, [m["payload"]["seq"] for m in bob.messages if m["type"] == "message.new"]

    await gatherResults([alice.send_text("bob", f"missed {number}") for number in range(150)])
    bob, seqs = await come_back()
    assert seqs == list(range(1, 152))
    texts = [m["payload"]["content"] for m in bob.messages if m["type"] == "message.new"]
    assert texts == [f"missed {number}" for number in range(150)] + ["mark"]

    # It never acknowledged, so what its kernel has counts as delivered. The kernel is asked every 50 ms,
    # at the latest before the answer to a ping that comes after that.
    await sleep(0.5)
    await bob.request("ping")
    bob.abort()
    bob, seqs = await come_back()
    assert seqs == [152]

    # From its first ack on only its acks count.
    bob.send("message.ack", {"seq": 152})
    await bob.request("ping")
    await alice.send_text("bob", "not acknowledged")
    await bob.expect("message.new", lambda m: m["payload"]["seq"] == 153)
    await sleep(0.5)
    await bob.request("ping")
    bob.abort()
    bob, seqs = await come_back()
    assert seqs == [153, 154]
    # By the message's id; the first ack comes before what it is about, whose delivery would count otherwise.
    bob.send("message.ack", {"seq": 154})
    await bob.request("ping")
    for words in ("acknowledged", "not this one"):
        await alice.send_text("bob", words)
    await bob.expect("message.new", lambda m: m["payload"]["seq"] == 156)
    new = next(
        m["payload"] for m in bob.messages if m["type"] == "message.new" and m["payload"]["seq"] == 155
    )
    bob.send("message.ack", {"message_id": new["message_id"]})
    await bob.request("ping")
    bob.abort()
    bob, seqs = await come_back()
    assert seqs == [156, 157]

    # Another device has its own place: it starts after the furthest one.
    other = await connect_user(reactor, port(server), "bob", device="d2", binary=binary)
    await alice.send_text("bob", "last")
    new = (await other.expect("message.new", lambda m: m["payload"]["content"] == "last"))["payload"]
    assert new["seq"] == 158
    for client in (alice, bob, other):
        await client.close()
    await server.stop()


@pytest_twisted.ensureDeferred
async def test_tokens_of_a_real_account(serve: Serve) -> None:
    server = await serve(demo=False).start()
    console = await jsonline_client.connect_tcp(reactor, server.port("jsonline"))
    for name in ("12", "007"):
        await console.request("auth/register", {"username": name, "password": "pw"})
    answer = (await console.log_in("12", "pw"))["payload"]
    with pytest.raises(HandshakeRefused) as caught:
        await connect_user(reactor, port(server), "12")
    assert caught.value.status == 401
    with pytest.raises(HandshakeRefused) as caught:
        await connect_user(reactor, port(server), "12", token=answer["refresh_token"])
    assert caught.value.status == 401
    client = await connect_user(reactor, port(server), "12", token=answer["token"], place="subprotocol")
    assert client.messages[0]["payload"]["user_id"] == 12
    # Ids that look like small numbers are integers, others are not; both forms are read.
    for written in ("12", 12):
        await client.send_text_message(written, "note to myself")
    sent = (await client.send_text_message("007", "x"))["payload"]
    assert sent["conversation_id"] == "single_007_12"
    history = (await client.request("message.history"))["payload"]["messages"]
    assert [(item["from_user"], item["to_user"]) for item in history] == [(12, 12), (12, 12), (12, "007")]
    # The end of the grant ends the session, and its token with it.
    await console.request("auth/logout")
    ended = (await client.expect("notification"))["payload"]
    assert (ended["event_type"], ended["reason"]) == ("session_ended", "account")
    assert (await client.closed).code == 1008
    with pytest.raises(HandshakeRefused) as caught:
        await connect_user(reactor, port(server), "12", token=answer["token"])
    assert caught.value.status == 401
    assert answer["token"] not in server.output()
    await server.stop()


@pytest_twisted.ensureDeferred
async def test_the_shutdown_is_told(serve: Serve) -> None:
    server = await serve().start()
    alice = await connect_user(reactor, port(server), "alice")
    await server.stop()
    ended = (await alice.expect("notification"))["payload"]
    assert (ended["event_type"], ended["reason"]) == ("session_ended", "shutdown")
    assert (await alice.closed).code == 1001
    assert re.search("listening: .*signalling", server.output())
