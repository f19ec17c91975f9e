"""The main job: a protobuf WebSocket client and a JSON-lines client talk to each other."""

from __future__ import annotations

import pytest
import pytest_twisted
from twisted.internet import reactor

from tests.clients import jsonline_client, protobuf_client
from tests.e2e.conftest import Serve


@pytest_twisted.ensureDeferred
@pytest.mark.parametrize("path", ["/ws", "/im"])
async def test_two_formats_talk(serve: Serve, path: str) -> None:
    server = await serve().start()
    alice = await protobuf_client.connect_user(reactor, server.port(path), "alice", path)
    bob = await jsonline_client.connect_tcp(reactor, server.port("jsonline"))
    answer = (await bob.log_in("bob"))["payload"]
    assert (answer["status"], answer["user_id"]) == (200, "bob")

    # One way …
    for number, text in enumerate(["hello", "你好 😀", "", "x" * 60_000], 1):
        sent = await alice.send_text_message("bob", text, client_msg_id=f"a{number}")
        assert sent["error_code"] == 0, sent
        event = (await bob.expect("message/event"))["payload"]
        assert event["seq"] == number
        assert event["message"]["message_id"] == sent["message_id"]
        assert event["message"]["sender_id"] == event["sender_id"] == "alice"
        assert event["message"]["content"] == {"type": "text", "text": text}

    # … and back, in the same conversation.
    reply = (await bob.send_text("alice", "hi alice"))["payload"]
    assert reply["status"] == 200
    push = await alice.expect("PUSH_MSG")
    assert push["content"] == b"hi alice"
    assert (push["message_id"], push["message_type"]) == (reply["message_id"], 1)
    assert (
        push["conversation_id"] == reply["conversation_id"] == event["conversation_id"] == "single_alice_bob"
    )

    # Both see the same inbox afterwards.
    synced = await alice.sync_all()
    history = (await bob.request("message/history", {}))["payload"]
    assert [row["message_id"] for row in synced] == [row["message_id"] for row in history["messages"]]

    # A receipt and a revoke cross the formats, too.
    marked = await alice.request("READ_RECEIPT_REQ", message_ids=[reply["message_id"]], conversation_id="")
    assert marked["error_code"] == 0, marked
    revoked = await alice.request("REVOKE_MSG_REQ", message_id=sent["message_id"], conversation_id="")
    assert revoked["error_code"] == 0, revoked
    notice = await bob.expect(
        "notification/event", lambda line: line["payload"].get("event_type") == "message_revoked"
    )
    assert notice["payload"]["message_id"] == sent["message_id"]

    await alice.close()
    await bob.close()
    await server.stop()


@pytest_twisted.ensureDeferred
async def test_what_was_missed_comes_after_the_log_in(serve: Serve) -> None:
    server = await serve().start()
    alice = await protobuf_client.connect_user(reactor, server.port("/ws"), "alice")
    ids = []
    for number in range(5):
        sent = await alice.send_text_message("bob", f"missed {number}")
        ids.append(sent["message_id"])
    bob = await jsonline_client.connect_tcp(reactor, server.port("jsonline"))
    await bob.log_in("bob")
    page = (await bob.expect("message/offline"))["payload"]
    assert [message["message_id"] for message in page["messages"]] == ids
    await bob.request("message/ack", {"message_id": ids[-1]})
    await bob.close()

    # Acknowledged: a restart of the server does not bring it again.
    await alice.close()
    await server.stop()
    await server.start()
    bob = await jsonline_client.connect_tcp(reactor, server.port("jsonline"))
    await bob.log_in("bob")
    alice = await protobuf_client.connect_user(reactor, server.port("/ws"), "alice")
    await alice.send_text_message("bob", "now")
    event = (await bob.expect("message/event"))["payload"]
    assert (event["content"]["text"], event["seq"]) == ("now", 6)
    assert not [line for line in bob.lines if line["command"] == "message/offline"]
    await alice.close()
    await bob.close()
    await server.stop()


@pytest_twisted.ensureDeferred
async def test_registration_password_and_token_work_in_both_formats(serve: Serve) -> None:
    server = await serve(demo=False).start()
    json_client = await jsonline_client.connect_tcp(reactor, server.port("jsonline"))
    registered = (await json_client.request("auth/register", {"username": "erin", "password": "pw"}))[
        "payload"
    ]
    assert registered["status"] == 200, registered
    answer = (await json_client.log_in("erin", "pw"))["payload"]
    assert answer["status"] == 200, answer
    protobuf = await protobuf_client.connect_user(reactor, server.port("/ws"), "erin", token=answer["token"])
    # One account: what one session sends, the other one gets.
    sent = await protobuf.send_text_message("erin", "note to myself")
    assert sent["error_code"] == 0, sent
    event = (await json_client.expect("message/event"))["payload"]
    assert event["message"]["message_id"] == sent["message_id"]
    # Logging out ends every session of the grant.
    await json_client.request("auth/logout")
    assert (await protobuf.expect("KICK_OUT"))["reason"] == 2
    await protobuf.closed
    await json_client.ended
    await server.stop()
