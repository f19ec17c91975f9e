"""The dialect chat-app through a real process, by a client written by hand."""

from __future__ import annotations

from typing import Any

import pytest_twisted
from twisted.internet import reactor

from tests.clients import jsonline_client
from tests.clients.chat_app_client import ChatAppClient, join_parts, password_hash
from tests.e2e.conftest import Serve
from tests.e2e.server import EVERY_FORMAT, NO_RATES, Server, sleep

LONG = 'x界😀"\\\n' * 5_000
"""Longer than these clients can read in one line."""


async def start(serve: Serve, **options: Any) -> Server:
    """A server that has the dialect."""
    options.setdefault("listeners", EVERY_FORMAT)
    return await serve(**options).start()


async def connect(server: Server) -> ChatAppClient:
    """A connection."""
    client: ChatAppClient = await jsonline_client.connect_tcp(
        reactor, server.port("chat-app"), ChatAppClient(reactor)
    )
    return client


async def user(server: Server, name: str, device: str = "") -> ChatAppClient:
    """Somebody who is logged in."""
    client = await connect(server)
    answer = (await client.log_in(name, device=device))["payload"]
    assert answer["status"] == 200, answer
    return client


async def say(client: ChatAppClient, to: str, text: str) -> Any:
    """Sends a text to a user; the answer's payload."""
    target = {"type": "user", "id": to}
    return await client.ask("message/send", {"target": target, "content": {"type": "text", "text": text}})


async def leave(client: ChatAppClient) -> None:
    """Goes, once what it has received counts as delivered: the server asks its kernel every 50 ms, at the
    latest before the answer to a request that comes after that."""
    await sleep(0.5)
    await client.ask("control/ping")
    await client.close()


@pytest_twisted.ensureDeferred
async def test_accounts(serve: Serve) -> None:
    server = await start(serve, demo=False)
    assert "listening: jsonline (chat-app) on 127.0.0.1:" in server.output()
    client = await connect(server)
    client.heartbeat()
    hashed = password_hash("secret")
    registered = await client.ask("auth/register", {"username": "erin", "password": hashed})
    assert registered == {"status": 200, "token": "", "user_id": "erin", "expires_in": 0}
    taken = await client.ask("auth/register", {"username": "erin", "password": hashed}, status=409)
    assert taken["error_code"] == 1006
    wrong = (await client.log_in("erin", "another"))["payload"]
    assert wrong == {
        "status": 401,
        "token": "",
        "user_id": "",
        "expires_in": 0,
        "error_code": 1001,
        "error_message": wrong["error_message"],
    }
    answer = (await client.log_in("erin", "secret", device="windows"))["payload"]
    assert answer == {"status": 200, "token": answer["token"], "user_id": "erin", "expires_in": 3600}
    again = (await client.log_in("erin", "secret"))["payload"]
    assert (again["status"], again["token"]) == (409, "")

    # A token is exchanged for a later one, here and before a log-in; both are good.
    later = await client.ask("auth/refresh", {"token": answer["token"]})
    assert (later["user_id"], later["expires_in"]) == ("erin", 3600)
    other = await connect(server)
    renewed = await other.ask("auth/refresh", {"token": later["token"]})
    await other.ask("auth/refresh", {"token": later["token"] + "x"}, status=401)
    await other.ask("auth/refresh", {}, status=400)
    by_token = await other.ask("auth/login", {"token": renewed["token"]})
    assert by_token["token"] == renewed["token"]
    pong = await other.ask("control/ping", headers={"Authorization": f"Bearer {answer['token']}"})
    assert pong["status"] == 200

    # The same account in another format; the log-out ends the tokens and whoever lives on them.
    draft = await jsonline_client.connect_tcp(reactor, server.port("jsonline"))
    assert (await draft.log_in("erin", "secret"))["payload"]["status"] == 200
    await client.ask("auth/logout")
    await client.ended
    assert (await other.next("auth/kick"))["reason"] == "account"
    await other.ended
    last = await connect(server)
    await last.ask("auth/refresh", {"token": renewed["token"]}, status=401)
    await last.ask("auth/login", {"token": renewed["token"]}, status=401)
    await last.close()
    await draft.close()
    await server.stop()


@pytest_twisted.ensureDeferred
async def test_messages(serve: Serve) -> None:
    server = await start(serve, overrides=NO_RATES)
    alice, bob = await user(server, "alice"), await user(server, "bob")
    sent = await alice.ask(
        "message/send",
        {
            "conversation_id": "ab",
            "target": {"type": "user", "id": "bob"},
            "content": {"type": "text", "text": "hi"},
        },
        id="m-1",
    )
    event = await bob.next("message/event")
    assert event["message_id"] == sent["message_id"]
    assert (event["conversation_id"], event["sender_id"]) == ("ab", "alice")
    assert event["content"] == {"type": "text", "text": "hi"}
    failed = await alice.ask(
        "message/send",
        {"target": {"type": "user", "id": "nobody"}, "content": {"type": "text", "text": "x"}},
        status=404,
    )
    assert (failed["error_code"], failed["message_id"]) == (1007, "")

    # A text that is cut; attachments stay with the first piece.
    await alice.ask(
        "message/send",
        {
            "target": {"type": "user", "id": "bob"},
            "content": {"type": "text", "text": LONG},
            "attachments": [{"file_id": "f", "name": "n"}],
        },
    )
    pieces = [await bob.next("message/event")]
    while pieces[-1]["part"] < pieces[-1]["parts"]:
        pieces.append(await bob.next("message/event"))
    assert len(pieces) > 1
    (whole,) = join_parts(pieces)
    assert whole["content"]["text"] == LONG
    assert whole["attachments"] == [{"file_id": "f", "name": "n"}]
    await bob.close()
    await alice.close()
    await server.stop()


@pytest_twisted.ensureDeferred
async def test_what_was_missed_and_histories(serve: Serve) -> None:
    """Through a restart; what a client has received is not told again, though it acknowledges nothing."""
    server = await start(serve, overrides=NO_RATES)
    alice, bob = await user(server, "alice"), await user(server, "bob")
    await say(alice, "bob", "one")
    one = await bob.next("message/event")
    assert one["content"]["text"] == "one"
    await bob.ask("message/read", {"message_id": one["message_id"]})
    await leave(bob)
    sent = [await say(alice, "bob", text) for text in ("two", "three")]
    long = await say(alice, "bob", LONG)
    taken = await say(alice, "bob", "no")
    await alice.ask("message/revoke", {"message_id": taken["message_id"]})
    await alice.close()
    await server.stop()
    await server.start()

    bob = await user(server, "bob")
    told: list[dict[str, Any]] = []
    while len(told) < 3 or told[-1]["part"] < told[-1]["parts"]:
        told.append(await bob.next("message/event"))
    rows = join_parts(told)
    assert [row["content"]["text"] for row in rows[:2]] == ["two", "three"]
    assert [row["message_id"] for row in rows] == [answer["message_id"] for answer in (*sent, long)]
    assert rows[2]["content"]["text"] == LONG
    gone = await bob.next("message/event")
    assert (gone["message_id"], gone["revoked"]) == (taken["message_id"], True)
    assert "text" not in gone.get("content", {})
    await leave(bob)
    bob = await user(server, "bob")
    await bob.ask("control/ping")
    assert "message/event" not in {line["command"] for line in bob.events}

    # The whole conversation, page by page; the long one goes over several of them.
    query = {"target": {"type": "user", "id": "alice"}, "limit": 2}
    found: list[dict[str, Any]] = []
    pages = 0
    while True:
        page = await bob.ask("message/history", query)
        found += page["messages"]
        pages += 1
        if not page["has_more"]:
            break
        query["since"] = page["next_cursor"]
    assert pages > 2
    texts = [row["content"]["text"] for row in join_parts(found) if not row.get("revoked")]
    assert texts == ["one", "two", "three", LONG]
    await bob.close()
    await server.stop()


@pytest_twisted.ensureDeferred
async def test_presence(serve: Serve) -> None:
    server = await start(serve, overrides=NO_RATES)
    bob = await user(server, "bob")
    alice = await user(server, "alice")
    assert (await bob.next("presence/event", user_id="alice"))["state"] == "online"
    assert (await alice.ask("presence/list"))["users"] == ["bob"]
    changed = await bob.ask("presence/update", {"state": "busy"})
    assert changed["state"] == "busy"
    await alice.next("presence/event", user_id="bob", state="busy")
    await bob.close()
    event = await alice.next("presence/event", user_id="bob", state="offline")
    assert type(event["last_seen"]) is int
    assert (await alice.ask("presence/list"))["users"] == []
    await alice.close()
    await server.stop()


@pytest_twisted.ensureDeferred
async def test_rooms(serve: Serve) -> None:
    """Rooms are the groups of all formats."""
    server = await start(serve, overrides=NO_RATES)
    alice, bob = await user(server, "alice"), await user(server, "bob")
    carol = await jsonline_client.connect_tcp(reactor, server.port("jsonline"))
    await carol.log_in("carol")
    room = {"room_id": "team", "encrypted": True, "password": "secret"}
    created = await alice.ask("room/create", room)
    assert created == {
        "status": 200,
        "room_id": "team",
        "encrypted": True,
        "owner": "alice",
        "created_at": created["created_at"],
        "members": ["alice"],
    }
    taken = await bob.ask("room/create", room, status=409)
    assert taken["room_id"] == "team"
    for wrong in ({"room_id": "team"}, {"room_id": "team", "password": "guess"}):
        refused = await bob.ask("room/join", wrong, status=403)
        assert refused["room_id"] == "team"
    missing = await bob.ask("room/join", {"room_id": "nowhere"}, status=404)
    assert missing["room_id"] == "nowhere"
    joined = await bob.ask("room/join", {"room_id": "team", "password": "secret"})
    assert (joined["encrypted"], joined["members"]) == (True, ["alice", "bob"])
    await carol.request("group/join", {"group_id": "team", "password": "secret"})
    listed = await bob.ask("room/list")
    assert set(listed) == {"status", "rooms"}
    assert sorted(listed["rooms"]) == ["demo", "team"]
    assert (await bob.ask("room/members", {"room_id": "team"}))["members"] == ["alice", "bob", "carol"]

    # A message reaches every format under the room's own conversation, and the answer comes back.
    target = {"type": "room", "id": "team"}
    await bob.ask("message/send", {"target": target, "content": {"type": "text", "text": "all"}})
    event = await alice.next("message/event")
    assert (event["conversation_id"], event["target"]) == ("group_team", {"type": "group", "id": "team"})
    assert event["content"]["text"] == "all"
    await carol.expect("message/event")
    await carol.request("message/send", {"target": target, "content": {"type": "text", "text": "back"}})
    assert (await bob.next("message/event"))["content"]["text"] == "back"

    # Who may put somebody out; who is out hears nothing more.
    kick = {"room_id": "team", "user_id": "carol"}
    refused = await bob.ask("room/kick", kick, status=403)
    assert (refused["room_id"], refused["user_id"]) == ("team", "carol")
    done = await alice.ask("room/kick", kick)
    assert done == {"status": 200, "room_id": "team", "user_id": "carol"}
    again = await alice.ask("room/kick", kick, status=404)
    assert again["user_id"] == "carol"
    left = await bob.ask("room/leave", {"room_id": "team"})
    assert left == {"status": 200, "room_id": "team"}
    await bob.ask("message/send", {"target": target, "content": {"type": "text", "text": "x"}}, status=403)

    # Without a password everybody may come in.
    await bob.ask("room/create", {"room_id": "open"})
    assert (await alice.ask("room/join", {"room_id": "open"}))["encrypted"] is False
    for one in (alice, bob, carol):
        await one.close()
    await server.stop()


@pytest_twisted.ensureDeferred
async def test_friends(serve: Serve) -> None:
    server = await start(serve, overrides=NO_RATES)
    alice, bob = await user(server, "alice"), await user(server, "bob")
    asked = await alice.ask("friend/request", {"target_id": "bob", "message": "It is me"})
    request = asked["request_id"]
    assert type(request) is int
    event = await bob.next("friend/event", event_type="new_request")
    assert (event["request_id"], event["from_user"], event["message"]) == (request, "alice", "It is me")
    pending = (await bob.ask("friend/list"))["pending_requests"]
    assert [(one["request_id"], one["from_user"]) for one in pending] == [(request, "alice")]
    sent = (await alice.ask("friend/list"))["sent_requests"]
    assert [(one["request_id"], one["target_id"]) for one in sent] == [(request, "bob")]
    refused = await alice.ask("friend/accept", {"request_id": request}, status=404)
    assert refused["request_id"] == request
    await bob.ask("friend/accept", {"request_id": str(request)})
    event = await alice.next("friend/event", event_type="request_accepted")
    assert (event["from_user"], event["request_id"]) == ("bob", request)
    assert [one["friend_id"] for one in (await alice.ask("friend/list"))["friends"]] == ["bob"]

    # Told to who was away, once.
    await bob.close()
    await alice.ask("friend/delete", {"friend_id": "bob"})
    bob = await user(server, "bob")
    event = await bob.next("friend/event", event_type="friend_deleted")
    assert event["friend_id"] == "alice"
    other = (await bob.ask("friend/request", {"target_id": "alice"}))["request_id"]
    assert other != request
    await alice.next("friend/event", event_type="new_request")
    await alice.ask("friend/reject", {"request_id": other})
    await bob.next("friend/event", event_type="request_rejected")
    await bob.ask("friend/request", {"target_id": "nobody"}, status=404)
    await bob.ask("friend/request", {"target_id": "bob"}, status=400)
    assert "friend/event" not in {line["command"] for line in bob.events}
    await bob.close()
    await alice.close()
    await server.stop()
