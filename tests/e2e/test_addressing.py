"""Where a bare id goes, and what a 002 client puts beside the known fields, through the real process."""

from __future__ import annotations

import json
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor

from tests.clients import jsonline_client, protobuf_client, qdatastream_client, signalling_client
from tests.e2e.conftest import Serve


@pytest_twisted.ensureDeferred
async def test_a_bare_group_id_is_no_recipient(serve: Serve) -> None:
    server = await serve().start()
    bob = await jsonline_client.connect_tcp(reactor, server.port("jsonline"))
    await bob.log_in("bob")
    alice = await qdatastream_client.connect_user(reactor, server.port("qdatastream"), "alice")
    alice.send_text("demo", "for the user demo, who is not there")
    assert (await alice.expect("error"))["code"] == 404
    carol = await signalling_client.connect_user(reactor, server.port("/im"), "carol")
    refused = await carol.send_text_message("demo", "for the user demo, who is not there")
    assert refused["payload"]["error_code"] == "NOT_FOUND"
    assert refused["payload"]["details"]["reason"] == "user_not_found"
    # As a conversation it is read, and written with its full name.
    sent = await carol.request("message.send", {"conversation_id": "demo", "content": "to all"})
    assert sent["payload"]["conversation_id"] == "group_demo"
    alice.send_text("group_demo", "to all, too")
    for text in ("to all", "to all, too"):
        event = await bob.expect("message/event")
        assert event["payload"]["content"]["text"] == text
    # A user of that name is another matter.
    demo = await qdatastream_client.connect_user(reactor, server.port("qdatastream"), "demo")
    alice.send_text("demo", "for the user demo")
    got = await demo.expect("text")
    assert (got["sender"], got["text"]) == ("alice", "for the user demo")
    for client in (alice, demo, carol, bob):
        await client.close()
    await server.stop()


@pytest_twisted.ensureDeferred
@pytest.mark.parametrize("binary", [False, True], ids=["json", "msgpack"])
async def test_unknown_fields_reach_the_recipients(serve: Serve, binary: bool) -> None:
    server = await serve().start()
    port = server.port("/im")
    alice = await signalling_client.connect_user(reactor, port, "alice", binary=binary)
    phone = await signalling_client.connect_user(reactor, port, "alice", binary=not binary, device="phone")
    bob = await signalling_client.connect_user(reactor, port, "bob", binary=not binary)
    old = await protobuf_client.connect_user(reactor, server.port("/ws"), "bob")
    sealed = {"ciphertext": "q80=", "keys": [{"device": "d1", "key": "a2V5"}]}
    claims = {"from_user": "carol", "seq": 1000}
    query = {"to_user": "bob", "content": "", "client_msg_id": 7, **sealed, **claims}
    sent = (await alice.request("message.send", query))["payload"]
    assert sent["client_msg_id"] == 7
    for client in (bob, phone):
        new = (await client.expect("message.new"))["payload"]
        assert {name: new.get(name) for name in sealed} == sealed
        assert (new["from_user"], new["seq"], new["client_msg_id"]) == ("alice", 1, 7)
        assert "extra" not in new
    push = await old.expect("PUSH_MSG")
    assert json.loads(push["extra"]["im.fields"]) == sealed
    assert push["client_msg_id"] == "7"
    # The same again is the same message; other fields under its id are another one.
    assert (await alice.request("message.send", query))["payload"] == sent
    other = await alice.request("message.send", {**query, "ciphertext": "AAAA"})
    assert other["payload"]["error_code"] == "CONFLICT"
    # The way back, and the history.
    answer = await old.request(
        "SEND_MSG_REQ", receiver_id="alice", message_type=1, content=b"", extra={"im.fields": '{"k":[1]}'}
    )
    assert answer["error_code"] == 0, answer
    assert (await alice.expect("message.new"))["payload"]["k"] == [1]
    items = (await bob.request("message.history"))["payload"]["messages"]
    assert [(item.get("ciphertext"), item.get("k")) for item in items] == [("q80=", None), (None, [1])]
    everyone: list[Any] = [alice, phone, bob, old]
    for client in everyone:
        await client.close()
    await server.stop()
