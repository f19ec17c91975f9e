"""Nobody gets into what is somebody else's: identity, conversations, names, headers, sessions."""

from __future__ import annotations

from typing import Any

import pytest_twisted
from twisted.internet import reactor

from tests.clients import jsonline_client, protobuf_client
from tests.e2e.conftest import Serve
from tests.e2e.server import Server

INVALID_PARAM, AUTH_FAILED, PERMISSION_DENIED, NO_CONVERSATION = 2, 100, 102, 202


async def _lines(server: Server, user: str) -> Any:
    client = await jsonline_client.connect_tcp(reactor, server.port("jsonline"))
    answer = await client.log_in(user)
    assert answer["payload"]["status"] == 200
    return client


async def _protobuf(server: Server, user: str) -> Any:
    return await protobuf_client.connect_user(reactor, server.port("/ws"), user)


async def _end(server: Server, *clients: Any) -> None:
    for client in clients:
        await client.close()
    await server.stop()


@pytest_twisted.ensureDeferred
async def test_a_forged_sender_is_refused(serve: Serve) -> None:
    server = await serve().start()
    alice, bob = await _protobuf(server, "alice"), await _lines(server, "bob")
    answer = await alice.request(
        "SEND_MSG_REQ", sender_id="carol", receiver_id="bob", message_type=1, content=b"x", client_msg_id="1"
    )
    assert answer["error_code"] == PERMISSION_DENIED
    # Document 004 has no field for it; what a client puts there changes nothing.
    target = {"type": "user", "id": "alice"}
    content = {"type": "text", "text": "hi"}
    sent = await bob.request("message/send", {"sender_id": "carol", "target": target, "content": content})
    assert sent["payload"]["status"] == 200
    assert (await alice.expect("PUSH_MSG"))["sender_id"] == "bob"
    await _end(server, alice, bob)


@pytest_twisted.ensureDeferred
async def test_another_users_token_is_refused(serve: Serve) -> None:
    server = await serve().start()
    alice = await _lines(server, "alice")
    token = (await _log_in_again(server, "alice"))["token"]
    thief = await protobuf_client.connect(reactor, server.port("/ws"))
    answer = await thief.request("AUTH_REQ", user_id="bob", token=token, platform="iOS")
    assert answer["error_code"] == AUTH_FAILED
    await thief.closed

    bob = await _lines(server, "bob")
    payload = {"target": {"type": "user", "id": "alice"}, "content": {"type": "text", "text": "x"}}
    headers = {"Authorization": f"Bearer {token}"}
    answer = await bob.request("message/send", payload, headers=headers)
    assert answer["payload"]["status"] == 401
    own = bob.lines[0]["payload"]["token"]
    answer = await bob.request("message/send", payload, headers={"Authorization": f"Bearer {own}"})
    assert answer["payload"]["status"] == 200
    await _end(server, alice, bob)


async def _log_in_again(server: Server, user: str) -> dict[str, Any]:
    client = await jsonline_client.connect_tcp(reactor, server.port("jsonline"))
    payload: dict[str, Any] = (await client.log_in(user))["payload"]
    await client.close()
    return payload


@pytest_twisted.ensureDeferred
async def test_foreign_conversations_are_closed(serve: Serve) -> None:
    server = await serve().start()
    alice, bob = await _lines(server, "alice"), await _lines(server, "bob")
    carol, dave = await _lines(server, "carol"), await _protobuf(server, "dave")
    created = await alice.request("group/create", {"group_id": "secret", "members": ["bob"]})
    assert created["payload"]["status"] == 200
    group = {"target": {"type": "group", "id": "secret"}}
    text = {"content": {"type": "text", "text": "for two"}}
    sent = (await alice.request("message/send", group | text))["payload"]
    private = (await alice.send_text("bob", "for bob"))["payload"]

    # Neither writing nor reading, neither by target nor by name, whatever the format.
    for place in (group, {"conversation_id": "group_secret"}, {"conversation_id": "secret"}):
        for command, payload in (("message/send", place | text), ("message/history", place)):
            answer = (await carol.request(command, payload))["payload"]
            assert answer["status"] in (403, 404), (command, place, answer)
            assert "messages" not in answer
    answer = await dave.request("SEND_MSG_REQ", group_id="secret", message_type=1, content=b"x")
    assert answer["error_code"] in (PERMISSION_DENIED, NO_CONVERSATION)
    for name in ("single_alice_bob", private["conversation_id"]):
        answer = (await carol.request("message/history", {"conversation_id": name}))["payload"]
        assert answer["status"] in (403, 404), answer

    # Nor touching its messages.
    for message in (sent, private):
        ids = {"message_id": message["message_id"]}
        for command, payload in (("message/revoke", ids), ("message/read", ids)):
            answer = (await carol.request(command, payload))["payload"]
            assert answer["status"] in (403, 404), (command, answer)
        revoked = await dave.request("REVOKE_MSG_REQ", message_id=message["message_id"], conversation_id="")
        assert revoked["error_code"] in (INVALID_PARAM, PERMISSION_DENIED)
    members = (await carol.request("group/members", {"group_id": "secret"}))["payload"]
    assert members["status"] in (403, 404)
    assert "members" not in members

    # Nobody heard of any of it.
    whole = (await bob.request("message/history", {}))["payload"]["messages"]
    assert [one["content"].get("text") for one in whole] == ["for two", "for bob"]
    assert not [line for line in bob.lines if line["command"] == "notification/event"
                and line["payload"].get("event_type") == "message_revoked"]  # fmt: skip
    await _end(server, alice, bob, carol, dave)


@pytest_twisted.ensureDeferred
async def test_another_pairs_names_are_refused(serve: Serve) -> None:
    server = await serve().start()
    alice, carol = await _protobuf(server, "alice"), await _lines(server, "carol")
    target = {"target": {"type": "user", "id": "dave"}, "content": {"type": "text", "text": "x"}}
    named = (await carol.request("message/send", target | {"conversation_id": "our-room"}))["payload"]
    assert (named["status"], named["conversation_id"]) == (200, "our-room")

    answer = await alice.request(
        "SEND_MSG_REQ", receiver_id="bob", conversation_id="single_carol_dave", message_type=1, content=b"x"
    )
    assert answer["error_code"] in (INVALID_PARAM, PERMISSION_DENIED)
    # The pair's own name means nothing to others: alice may use it for a chat of hers.
    bob = await _lines(server, "bob")
    for name in ("our-room", "single_carol_dave"):
        content = {"content": {"type": "text", "text": "x"}}
        answer = (await bob.request("message/send", content | {"conversation_id": name}))["payload"]
        assert answer["status"] == 404, answer
        answer = (await bob.request("message/history", {"conversation_id": name}))["payload"]
        assert answer["status"] == 404, answer
    sent = await alice.request(
        "SEND_MSG_REQ", receiver_id="bob", conversation_id="our-room", message_type=1, content=b"mine"
    )
    assert sent["error_code"] == 0
    event = (await bob.expect("message/event"))["payload"]
    assert (event["conversation_id"], event["sender_id"]) == ("our-room", "alice")
    history = (await carol.request("message/history", {"conversation_id": "our-room"}))["payload"]
    assert [one["content"]["text"] for one in history["messages"]] == ["x"]
    await _end(server, alice, bob, carol)


@pytest_twisted.ensureDeferred
async def test_one_peers_headers_never_reach_another(serve: Serve) -> None:
    server = await serve().start()
    alice, bob = await _lines(server, "alice"), await _lines(server, "bob")
    payload = {"target": {"type": "user", "id": "bob"}, "content": {"type": "text", "text": "x"}}
    token = alice.lines[0]["payload"]["token"]
    headers = {"trace": "alices-trace", "client": "alices-client", "Authorization": f"Bearer {token}"}
    answer = await alice.request("message/send", payload, headers=headers)
    assert answer["headers"]["trace"] == "alices-trace"
    event = await bob.expect("message/event")
    seen = repr(event)
    assert "alices-trace" not in seen
    assert "alices-client" not in seen
    assert token not in seen
    assert token not in server.output()
    await _end(server, alice, bob)


@pytest_twisted.ensureDeferred
async def test_an_old_connections_close_never_removes_the_newcomer(serve: Serve) -> None:
    server = await serve().start()
    alice = await _protobuf(server, "alice")
    for _ in range(20):
        old, new = await _lines(server, "bob"), await _lines(server, "bob")
        await old.close()
        sent = await alice.send_text_message("bob", "still there?")
        assert sent["error_code"] == 0
        event = (await new.expect("message/event"))["payload"]
        assert event["message_id"] == sent["message_id"]
        await new.request("message/ack", {"message_id": sent["message_id"]})
        await new.close()
    await _end(server, alice)
