"""Friends and blocks through the real server, with byte clients of every format."""

from __future__ import annotations

import sqlite3
import time
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor

from imserver.client import ImError, connect
from imserver.model.friends import BlockUser, FriendChange, FriendChanged, ListFriends, RequestFriend
from tests.clients import jsonline_client, protobuf_client, signalling_client
from tests.clients.rest_client import RestClient
from tests.e2e.conftest import Serve
from tests.e2e.people import Person
from tests.e2e.server import EVERY_FORMAT, Server, sleep
from tests.e2e.test_mixed_devices import RELAYS, WEBRTC, close, device
from tests.e2e.test_rest import demo, refused
from tests.e2e.variants import VARIANTS

PATIENCE = 60.0
REFUSED = {"protobuf": 102, "jsonline": 403, "signalling": 1}
"""`Sent.error` of a message that is FORBIDDEN."""
OFFLINE = {"state": "offline", "last_seen": 0}


async def person(server: Server, user: str, device: str = "laptop") -> Any:
    """A session of document 004."""
    client = await jsonline_client.connect_tcp(reactor, server.port("jsonline"))
    client.timeout = PATIENCE
    info = {"device": device}
    answer = await client.request("auth/login", {"token": f"demo_token_{user}", "client_info": info})
    assert answer["payload"]["status"] == 200, answer
    return client


async def ask(client: Any, command: str, status: int = 200, **payload: Any) -> dict[str, Any]:
    """A request and its answer's payload, which has this status."""
    answer: dict[str, Any] = (await client.request(f"friend/{command}", payload))["payload"]
    assert answer["status"] == status, (command, payload, answer)
    return answer


async def told(client: Any, kind: str) -> dict[str, Any]:
    """The next news."""
    line = await client.expect("notification/event")
    payload: dict[str, Any] = line["payload"]
    assert payload["event_type"] == kind, payload
    return payload


def news(client: Any) -> list[str]:
    """The news of friends that came and were not looked at."""
    payloads = [line["payload"] for line in client.events if line["command"] == "notification/event"]
    return [one["event_type"] for one in payloads if one["event_type"].startswith(("friend_", "user_"))]


async def knows(server: Server, user: str, device: str) -> None:
    """Waits until the disk says that a device has been told everything."""
    deadline = time.monotonic() + PATIENCE
    while True:
        connection = sqlite3.connect(server.data / "imserver.db", timeout=30)
        try:
            row = connection.execute(
                "SELECT 1 FROM devices d JOIN users u ON u.no = d.user_no WHERE u.name = ? AND d.device = ?"
                " AND d.format = 'jsonline'"
                " AND changed = (SELECT max(id) FROM change_index i WHERE i.user_no = u.no)",
                (user, device),
            ).fetchone()
        finally:
            connection.close()
        if row is not None:
            return
        assert time.monotonic() < deadline, device
        await sleep(0.05)


@pytest_twisted.ensureDeferred
async def test_requests_to_devices_that_are_there_and_away(serve: Serve) -> None:
    """A request survives SIGKILL, and reaches each device once; formats without friends see nothing."""
    server = await serve().start()
    for name in ("phone", "tablet"):
        await (await person(server, "bob", name)).close()
    alice = await person(server, "alice")
    beside = await person(server, "alice", "phone")
    bob = await person(server, "bob")
    web = await signalling_client.connect_user(reactor, server.port("/im"), "bob")
    old = await protobuf_client.connect_user(reactor, server.port("/ws"), "bob")
    request = (await ask(alice, "request", user_id="bob", message="是我 😀"))["request_id"]
    event = await told(bob, "friend_request")
    assert event["at"] > 0
    event.pop("at")
    wanted = {"event_type": "friend_request", "user_id": "bob", "by": "alice"}
    assert event == {**wanted, "request_id": request, "message": "是我 😀"}
    assert (await told(beside, "friend_request"))["request_id"] == request
    notice = (await web.expect("notification"))["payload"]
    assert (notice["event_type"], notice["by"], notice["request_id"]) == ("friend_request", "alice", request)
    await old.request("HEARTBEAT_REQ")
    assert [push["_command"] for push in old.pushes] == []
    await alice.request("control/ping")
    assert news(alice) == []

    server.kill()
    await server.start()
    for name in ("phone", "tablet"):
        late = await person(server, "bob", name)
        await told(late, "friend_request")
        await knows(server, "bob", name)
        await late.close()
        late = await person(server, "bob", name)
        await late.request("control/ping")
        assert news(late) == [], name
        await late.close()
    # Devices of this format know; a new one finds it in the list.
    late = await person(server, "bob", "brand new")
    listed = await ask(late, "list")
    assert [one["user_id"] for one in listed["pending_requests"]] == ["alice"]
    assert news(late) == []
    assert (await ask(late, "accept", request_id=request))["state"] == "friends"
    alice = await person(server, "alice")
    # What she was told before the kill, nobody may know any more: it may come again.
    await alice.expect("notification/event", lambda line: line["payload"]["event_type"] == "friend_accepted")
    listed = await ask(alice, "list")
    assert ([one["user_id"] for one in listed["friends"]], listed["sent_requests"]) == (["bob"], [])
    for client in (alice, late):
        await client.close()
    await server.stop()


# (who asks, command, payload, status, error_code); alice has blocked carol, dave has asked bob
FAULTS: list[tuple[str, str, dict[str, Any], int, int]] = [
    ("bob", "request", {}, 400, 1004),
    ("bob", "request", {"user_id": "bob"}, 400, 1004),
    ("bob", "request", {"user_id": "a/b"}, 400, 1004),
    ("bob", "request", {"user_id": "group_demo"}, 400, 1004),
    ("bob", "request", {"user_id": "x" * 256}, 400, 1004),
    ("bob", "request", {"user_id": "alice", "message": "界" * 171}, 400, 1004),
    ("bob", "request", {"user_id": "alice", "message": 5}, 400, 1004),
    ("bob", "request", {"user_id": "nobody"}, 404, 1007),
    ("alice", "request", {"user_id": "carol"}, 403, 1008),
    ("bob", "accept", {}, 400, 1004),
    ("bob", "accept", {"request_id": 0}, 400, 1004),
    ("bob", "accept", {"request_id": "1"}, 400, 1004),
    ("bob", "accept", {"user_id": "bob"}, 400, 1004),
    ("bob", "accept", {"user_id": "nobody"}, 404, 1007),
    ("bob", "accept", {"user_id": "alice"}, 404, 1007),
    ("bob", "accept", {"request_id": 999}, 404, 1007),
    ("alice", "accept", {"user_id": "carol"}, 403, 1008),
    ("dave", "accept", {"user_id": "bob"}, 404, 1007),
    ("bob", "reject", {}, 400, 1004),
    ("bob", "reject", {"request_id": -1}, 400, 1004),
    ("bob", "reject", {"user_id": "nobody"}, 404, 1007),
    ("bob", "reject", {"user_id": "alice"}, 404, 1007),
    ("bob", "reject", {"request_id": 999}, 404, 1007),
    ("bob", "delete", {}, 400, 1004),
    ("bob", "delete", {"user_id": "bob"}, 400, 1004),
    ("bob", "delete", {"user_id": "nobody"}, 404, 1007),
    ("bob", "block", {}, 400, 1004),
    ("bob", "block", {"user_id": "bob"}, 400, 1004),
    ("bob", "block", {"user_id": "nobody"}, 404, 1007),
    ("bob", "unblock", {}, 400, 1004),
    ("bob", "unblock", {"user_id": "bob"}, 400, 1004),
    ("bob", "unblock", {"user_id": "nobody"}, 404, 1007),
    ("bob", "mute", {"user_id": "alice"}, 404, 1007),
]


@pytest_twisted.ensureDeferred
async def test_every_fault_has_its_status_and_code(serve: Serve) -> None:
    server = await serve(overrides=["friends.friends_per_user=1"]).start()
    people = {name: await person(server, name) for name in ("alice", "bob", "carol", "dave")}
    await ask(people["alice"], "block", user_id="carol")
    await ask(people["dave"], "request", user_id="bob")
    for who, command, payload, status, number in FAULTS:
        for spelling in (f"friend/{command}", f"friend.{command}"):
            answer = (await people[who].request(spelling, payload))["payload"]
            assert (answer["status"], answer["error_code"]) == (status, number), (
                who,
                command,
                payload,
                answer,
            )
            assert answer["retryable"] is False
    # One friend is enough for everybody here.
    await ask(people["bob"], "accept", user_id="dave")
    await ask(people["carol"], "request", user_id="bob")
    assert (await ask(people["bob"], "accept", 409, user_id="carol"))["error_code"] == 1010
    # A retried id is answered again; another payload under it is a conflict.
    first = await people["alice"].request("friend/request", {"user_id": "dave"}, id="same")
    again = await people["alice"].request("friend/request", {"user_id": "dave"}, id="same")
    assert again["payload"] == first["payload"]
    other = await people["alice"].request("friend/request", {"user_id": "bob"}, id="same")
    assert (other["payload"]["status"], other["payload"]["error_code"]) == (409, 1010)
    answers = [
        (await people["bob"].request("friend/request", {"user_id": "alice"}))["payload"] for _ in range(40)
    ]
    assert {(one["status"], one.get("error_code")) for one in answers} == {(200, None), (429, 1005)}
    # Nothing of it before the log-in.
    stranger = await jsonline_client.connect_tcp(reactor, server.port("jsonline"))
    for command in ("request", "accept", "reject", "delete", "list", "block", "unblock"):
        answer = (await stranger.request(f"friend/{command}", {"user_id": "bob"}))["payload"]
        assert (answer["status"], answer["error_code"]) == (401, 1001), answer
    for client in (*people.values(), stranger):
        await client.close()
    await server.stop()


def texts(one: Person) -> list[str]:
    """What a person was pushed."""
    return [row.text for row in one.pushed()]


async def hears(one: Person, wanted: list[str]) -> None:
    """Waits until exactly these texts are there."""
    deadline = time.monotonic() + PATIENCE
    while len(texts(one)) < len(wanted):
        assert time.monotonic() < deadline, (texts(one), wanted)
        await sleep(0.01)
    await one.barrier()
    assert texts(one) == wanted


@pytest_twisted.ensureDeferred
async def test_messages_between_all_formats(serve: Serve) -> None:
    """Who blocks has a device of every format, and the one who is blocked writes in every format."""
    overrides = ["limits.unauthenticated_per_address=0"]
    server = await serve(overrides=overrides, listeners=EVERY_FORMAT).start()
    made = await person(server, "alice")
    for number, (name, make) in enumerate(VARIANTS.items()):
        mallory, alice = make(f"mallory{number}", "m"), f"alice{number}"
        of_000 = [one for one in VARIANTS if VARIANTS[one].format == "qdatastream"][number % 4]  # type: ignore[attr-defined]
        kinds = [of_000, "protobuf", "signalling-json", "signalling-msgpack", "jsonline", "chat-app"]
        devices = [VARIANTS[kind](alice, kind) for kind in kinds]
        for one in (mallory, *devices):
            await one.log_in(server)
        group = f"g{number}"
        await made.request("group/create", {"group_id": group, "members": [alice, mallory.user]})
        rest = demo(server, alice)
        await mallory.send("c1", "before", user=alice)
        assert rest.post(f"/api/friends/{mallory.user}/block").data["state"] == "blocked"
        sent = await mallory.send("c2", "refused", user=alice)
        if mallory.tells:
            assert sent.error == REFUSED[mallory.format], (name, sent)
            assert (await mallory.send("c1", "before", user=alice)).error == 0, name
        elif mallory.framed:  # type: ignore[attr-defined]
            assert (await mallory.connection.expect("error"))["code"] == 403
        for one in devices:
            if one.tells:
                assert (await one.send(f"{one.device}-1", "refused", user=mallory.user)).error
        await mallory.send("c3", "in the group", group=group)
        assert rest.post(f"/api/friends/{mallory.user}/unblock").data["state"] == "none"
        await mallory.send("c4", "after", user=alice)
        for one in devices:
            await hears(one, ["before", "in the group", "after"])
        assert "refused" not in texts(mallory)
        rest.close()
        for one in (mallory, *devices):
            await one.log_out()
    await made.close()
    await server.stop()


@pytest_twisted.ensureDeferred
async def test_calls_between_all_formats(serve: Serve) -> None:
    """Neither can call the other, and nothing rings; the caller is told what of one who is away."""
    server = await serve().start()
    rest = demo(server, "alice")
    for kind in (*RELAYS, *WEBRTC):
        alice, bob = await device(server, "alice", kind), await device(server, "bob", kind)
        notes = await person(server, "alice", kind)
        assert rest.post("/api/friends/bob/block").data["state"] == "blocked"
        bob.call("alice", f"{kind} 1")
        await bob.refused(f"{kind} 1", "user offline")
        alice.call("bob", f"{kind} 2")
        await alice.refused(f"{kind} 2", "user offline")
        for one in (alice, bob):
            await one.settle()
            assert not one.rang, kind
        rest.post("/api/friends/bob/unblock")
        bob.call("alice", f"{kind} 3")
        call = await alice.rings()
        alice.answer(call)
        await bob.answered(call)
        bob.end(call)
        await alice.ended(call)
        await notes.request("control/ping")
        kinds = [line["payload"]["event_type"] for line in notes.events if "event_type" in line["payload"]]
        assert "missed_call" not in kinds, kind
        await notes.close()
        await close(alice, bob)
    rest.close()
    await server.stop()


async def seen(client: Any, user: str, state: str) -> dict[str, Any]:
    """Waits until a session of document 004 is told this of somebody."""
    line = await client.expect(
        "presence/event", lambda line: (line["payload"]["user_id"], line["payload"]["state"]) == (user, state)
    )
    payload: dict[str, Any] = line["payload"]
    return payload


@pytest_twisted.ensureDeferred
async def test_presence_and_typing_in_all_formats(serve: Serve) -> None:
    server = await serve().start()
    alice, bob = await person(server, "ann"), await person(server, "ben")
    web = await signalling_client.connect_user(reactor, server.port("/im"), "ben")
    old = await protobuf_client.connect_user(reactor, server.port("/ws"), "ben")
    for client in (web, old):
        client.timeout = PATIENCE
    await ask(alice, "request", user_id="ben")
    await ask(bob, "accept", user_id="ann")
    assert (await seen(bob, "ann", "online"))["last_seen"] > 0  # without any conversation
    await seen(alice, "ben", "online")
    await alice.send_text("ben", "hi")
    await ask(alice, "block", user_id="ben")
    assert (await seen(bob, "ann", "offline"))["last_seen"] == 0
    listed = (await bob.request("presence/list", {"users": ["ann"]}))["payload"]["users"]
    assert listed == [{"user_id": "ann", **OFFLINE}]
    of_web = (await web.request("presence", {"users": ["ann"]}))["payload"]["users"]
    assert [(one["user_id"], one["state"], one["last_seen"]) for one in of_web] == [("ann", "offline", None)]
    of_old = (await old.request("ONLINE_STATUS_REQ", user_ids=["ann"]))["users"]
    assert [(one["user_id"], one["last_seen"]) for one in of_old] == [("ann", 0)]
    listed = (await alice.request("presence/list", {"users": ["ben"]}))["payload"]["users"]
    assert listed == []
    # Typing arrives at nobody; what comes behind it does.
    bob.send_event("message/typing", {"typing": True, "target": {"type": "user", "id": "ann"}})
    web.send("typing", {"to_user": "ann", "is_typing": True})
    await web.request("ping")
    old.send("TYPING_STATUS_REQ", conversation_id="single_ann_ben", status=1)
    await old.request("HEARTBEAT_REQ")
    await bob.request("control/ping")
    await alice.request("control/ping")
    assert "typing" not in [line["payload"].get("event_type") for line in alice.lines]
    await ask(alice, "unblock", user_id="ben")
    await seen(bob, "ann", "online")
    bob.send_event("message/typing", {"typing": True, "target": {"type": "user", "id": "ann"}})
    assert await alice.expect("notification/event", lambda line: line["payload"]["event_type"] == "typing")
    for client in (alice, bob, web, old):
        await client.close()
    await server.stop()


@pytest_twisted.ensureDeferred
@pytest.mark.parametrize("kind", ["framed", "json"])
async def test_where_everything_is_for_friends_only(serve: Serve, kind: str) -> None:
    overrides = ["friends.messages=friends", "friends.calls=friends", "friends.presence=friends"]
    server = await serve(overrides=overrides).start()
    alice, bob = await person(server, "alice"), await person(server, "bob")
    caller, callee = await device(server, "alice", kind), await device(server, "bob", kind)
    for turn in range(2):
        answer = (await alice.send_text("bob", "hi"))["payload"]
        assert (answer["status"], answer["error_code"]) == (403, 1008)
        assert (await alice.request("presence/list"))["payload"]["users"] == []
        caller.call("bob", f"{turn} in vain")
        await caller.refused(f"{turn} in vain", "user offline")
        assert (await alice.send_text("", "hi", group="demo"))["payload"]["status"] == 200
        # Friends for a while.
        request = (await ask(alice, "request", user_id="bob"))["request_id"]
        await ask(bob, "accept", request_id=request)
        await seen(alice, "bob", "online")
        assert (await alice.send_text("bob", "hi"))["payload"]["status"] == 200
        caller.call("bob", f"{turn} heard")
        call = await callee.rings()
        callee.answer(call)
        await caller.answered(call)
        caller.end(call)
        await callee.ended(call)
        await ask(bob, "delete", user_id="alice")
        await seen(alice, "bob", "offline")
    for client in (alice, bob, caller.client, callee.client):
        await client.close()
    await server.stop()


@pytest_twisted.ensureDeferred
async def test_rest(serve: Serve) -> None:
    server = await serve().start()
    alice, bob = demo(server, "alice"), demo(server, "bob")
    watching = await person(server, "bob")
    asked = alice.post("/api/friends", {"user_id": "bob", "message": "hi"}).data
    assert (asked["user_id"], asked["state"]) == ("bob", "requested")
    assert (await told(watching, "friend_request"))["request_id"] == asked["request_id"]
    assert alice.post("/api/friends", {"user_id": "bob"}).data == asked
    listed = bob.get("/api/friends").data
    (request,) = listed["pending_requests"]
    assert (request["request_id"], request["user_id"], request["message"]) == (
        asked["request_id"],
        "alice",
        "hi",
    )
    assert bob.post("/api/friends/alice/reject").data == {
        "user_id": "alice",
        "state": "none",
        "request_id": 0,
    }
    refused(bob.post("/api/friends/alice/accept"), 404, "NOT_FOUND")
    alice.post("/api/friends", {"user_id": "bob"})
    assert bob.post("/api/friends/alice/accept").data["state"] == "friends"
    assert [one["user_id"] for one in alice.get("/api/friends").data["friends"]] == ["bob"]
    assert alice.call("DELETE", "/api/friends/bob").data["state"] == "none"
    assert alice.post("/api/friends/bob/block").data["state"] == "blocked"
    assert [one["user_id"] for one in alice.get("/api/friends").data["blocked"]] == ["bob"]
    refused(alice.post("/api/friends", {"user_id": "bob"}), 403, "FORBIDDEN")
    message = {"content": "x", "target": {"type": "user", "id": "alice"}}
    refused(bob.post("/api/messages", message), 403, "FORBIDDEN")
    assert alice.post("/api/friends/bob/unblock").data["state"] == "none"
    assert bob.post("/api/messages", message).status == 200
    for client, path in ((alice, "nobody/block"), (alice, "nobody/unblock"), (alice, "nobody/accept")):
        refused(client.post(f"/api/friends/{path}"), 404, "USER_NOT_FOUND")
    refused(alice.call("DELETE", "/api/friends/nobody"), 404, "USER_NOT_FOUND")
    for path in ("alice/block", "alice/accept", "a%2Fb/block"):
        refused(alice.post(f"/api/friends/{path}"), 400, "BAD_REQUEST")
    refused(alice.post("/api/friends", {"user_id": "bob", "note": "x"}), 400)
    refused(RestClient(alice.port).get("/api/friends"), 401)
    await watching.close()
    await server.stop()


@pytest_twisted.ensureDeferred
async def test_the_client_library(serve: Serve) -> None:
    server = await serve().start()
    bob = await person(server, "bob")
    heard: list[Any] = []
    alice = await connect("jsonline", f"tcp:127.0.0.1:{server.port('jsonline')}", "alice", password="alice")
    alice.on_event = heard.append
    asked = await alice.request(RequestFriend("bob", "hi"))
    assert (await told(bob, "friend_request"))["request_id"] == asked.request
    await ask(bob, "accept", request_id=asked.request)
    deadline = time.monotonic() + PATIENCE
    while not any(isinstance(event, FriendChanged) for event in heard):
        assert time.monotonic() < deadline, heard
        await sleep(0.01)
    (event,) = (event for event in heard if isinstance(event, FriendChanged))
    assert (event.change, event.by, event.request) == (FriendChange.ACCEPTED, "bob", asked.request)
    assert [one.user for one in (await alice.request(ListFriends())).friends] == ["bob"]
    await alice.request(BlockUser("bob"))
    assert (await bob.send_text("alice", "x"))["payload"]["status"] == 403
    with pytest.raises(ImError, match="blocked"):
        await alice.send("bob", "x")
    await alice.close()
    await bob.close()
    await server.stop()
