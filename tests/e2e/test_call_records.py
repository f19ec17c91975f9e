"""What is kept of calls: missed ones are told to every device once, both users can read the records."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor

from tests.clients import jsonline_client, qdatastream_client
from tests.clients.rest_client import RestClient
from tests.clients.signalling_client import SignallingClient, connect_user
from tests.e2e.conftest import Serve
from tests.e2e.server import Server, sleep
from tests.e2e.test_rest import demo, port_of, promote, refused

PATIENCE = 60.0
SDP = {"type": "offer", "sdp": "v=0\r\n"}


async def phone(
    server: Server, user: str, device: str = "phone", *, binary: bool = False
) -> SignallingClient:
    """A session of document 002."""
    client = await connect_user(reactor, server.port("/im"), user, device=device, binary=binary)
    client.timeout = PATIENCE
    return client


async def laptop(server: Server, user: str) -> jsonline_client.JsonLineClient:
    """A session of document 004."""
    client: jsonline_client.JsonLineClient = await jsonline_client.connect_tcp(
        reactor, server.port("jsonline")
    )
    client.timeout = PATIENCE
    answer = await client.log_in(user, device="laptop")
    assert answer["payload"]["status"] == 200, answer
    return client


async def told(client: SignallingClient | jsonline_client.JsonLineClient, *ids: str) -> dict[str, Any]:
    """The next missed calls a session is told of must be these; returns the last one's payload."""
    payload: dict[str, Any] = {}
    for id in ids:
        if isinstance(client, SignallingClient):
            payload = (await client.expect("notification"))["payload"]
        else:
            payload = (await client.expect("notification/event"))["payload"]
        assert (payload["event_type"], payload["call_id"]) == ("missed_call", id), payload
    return payload


def heard(client: SignallingClient | jsonline_client.JsonLineClient) -> list[str]:
    """The calls of which a session was told that they were missed."""
    if isinstance(client, SignallingClient):
        payloads = [one["payload"] for one in client.messages if one["type"] == "notification"]
    else:
        payloads = [one["payload"] for one in client.lines if one["command"] == "notification/event"]
    return [payload["call_id"] for payload in payloads if payload["event_type"] == "missed_call"]


async def on_disk(
    server: Server, query: str, arguments: tuple[str, ...], enough: Callable[[list[Any]], bool]
) -> None:
    """Waits until what a query finds in the store is enough."""
    deadline = time.monotonic() + PATIENCE
    while True:
        connection = sqlite3.connect(server.data / "imserver.db", timeout=30)
        try:
            found = connection.execute(query, arguments).fetchall()
        finally:
            connection.close()
        if enough(found):
            return
        assert time.monotonic() < deadline, (query, arguments, found)
        await sleep(0.05)


async def known(server: Server, user: str, *devices: tuple[str, str]) -> None:
    """Waits until the disk says that these devices have been told everything.

    Until then it is told again: a device counts as told when its kernel has confirmed.
    """
    query = (
        "SELECT format, device FROM devices d JOIN users u ON u.no = d.user_no"
        " WHERE u.name = ? AND changed = (SELECT max(id) FROM changes)"
    )
    await on_disk(server, query, (user,), lambda found: set(devices) <= set(found))


async def durable(server: Server, id: str, state: str) -> None:
    """Waits until the disk has the time or the end of a call: the parties do not wait for that."""
    query = f"SELECT {state} FROM calls WHERE id = ?"
    await on_disk(server, query, (id,), lambda found: bool(found and found[0][0]))


async def miss(caller: SignallingClient, callee: str, id: str) -> None:
    """Calls somebody who is not there."""
    caller.send("call.offer", {"call_id": id, "to_user": callee, "call_type": "video", "sdp": SDP})
    error = (await caller.expect("call.error"))["payload"]
    assert (error["call_id"], error["details"]["reason"]) == (id, "user_offline"), error


def calls(server: Server, user: str, query: str = "") -> list[dict[str, Any]]:
    """A user's calls as REST tells them."""
    data = demo(server, user).get(f"/api/calls{query}").data
    assert data["has_more"] == bool(data["next_cursor"])
    found: list[dict[str, Any]] = data["calls"]
    return found


def ids(records: Sequence[dict[str, Any]]) -> list[str]:
    return [record["call_id"] for record in records]


DEVICES = (("signalling", "phone"), ("jsonline", "laptop"))


@pytest_twisted.ensureDeferred
@pytest.mark.parametrize("binary", [False, True], ids=["json", "msgpack"])
async def test_every_device_is_told_once(serve: Serve, binary: bool) -> None:
    server = await serve().start()
    alice = await phone(server, "alice")
    await miss(alice, "bob", "first")
    await miss(alice, "bob", "second")

    # The next session of document 002, and that of document 004, though neither was ever there before.
    bob = await phone(server, "bob", binary=binary)
    payload = await told(bob, "first", "second")
    assert (payload["from_user"], payload["to_user"], payload["call_type"]) == ("alice", "bob", "video")
    assert payload["created_at"] <= payload["ended_at"]
    talker = await laptop(server, "bob")
    payload = await told(talker, "first", "second")
    assert (payload["caller_id"], payload["callee_id"], payload["call_type"]) == ("alice", "bob", "video")
    assert 0 < payload["created_at"] <= payload["ended_at"]
    await known(server, "bob", *DEVICES)
    await bob.close()
    await talker.close()

    # Afterwards only what is new: on a server that was stopped in between, too.
    await miss(alice, "bob", "third")
    await server.stop()
    await server.start()
    alice = await phone(server, "alice")
    bob = await phone(server, "bob", binary=binary)
    talker = await laptop(server, "bob")
    await told(bob, "third")
    await told(talker, "third")
    await known(server, "bob", *DEVICES)
    await bob.close()
    await talker.close()

    # Another device of the same formats starts where they are.
    await miss(alice, "bob", "fourth")
    bob = await phone(server, "bob", binary=binary)
    await told(bob, "fourth")
    await known(server, "bob", DEVICES[0])
    other = await phone(server, "bob", "tablet")
    # The caller is told of nothing.
    await miss(alice, "carol", "fifth")
    assert (heard(alice), heard(other)) == ([], [])
    for client in (alice, bob, other):
        await client.close()
    await server.stop()


@pytest_twisted.ensureDeferred
async def test_whoever_is_there_is_told_at_once(serve: Serve) -> None:
    """No answer, cancelled, busy, no device: one telling each; not for a call that was rejected or taken."""
    server = await serve(overrides=("calls.ring_seconds=1.5",)).start()
    alice, carol = await phone(server, "alice"), await phone(server, "carol")
    bob, tablet, talker = (
        await phone(server, "bob"),
        await phone(server, "bob", "tablet"),
        await laptop(server, "bob"),
    )
    sessions = (bob, tablet, talker)
    offer = {"to_user": "bob", "call_type": "audio", "sdp": SDP}

    alice.send("call.offer", {"call_id": "unanswered", **offer})
    assert (await alice.expect("call.end"))["payload"]["reason"] == "timeout"
    for session in sessions:
        assert (await told(session, "unanswered"))["call_type"] == "audio"

    alice.send("call.offer", {"call_id": "cancelled", **offer})
    await bob.expect("call.offer", lambda one: one["payload"]["call_id"] == "cancelled")
    alice.send("call.end", {"call_id": "cancelled", "reason": "user_hangup"})
    for session in sessions:
        await told(session, "cancelled")

    alice.send("call.offer", {"call_id": "rejected", **offer})
    await bob.expect("call.offer", lambda one: one["payload"]["call_id"] == "rejected")
    bob.send("call.end", {"call_id": "rejected", "reason": "user_rejected"})
    await alice.expect("call.end", lambda one: one["payload"]["call_id"] == "rejected")

    alice.send("call.offer", {"call_id": "taken", **offer})
    await bob.expect("call.offer", lambda one: one["payload"]["call_id"] == "taken")
    bob.send("call.answer", {"call_id": "taken", "sdp": {"type": "answer", "sdp": "v=0\r\n"}})
    await alice.expect("call.answer")
    carol.send("call.offer", {"call_id": "busy", **offer})
    await carol.expect("call.end", lambda one: one["payload"]["call_id"] == "busy")
    for session in sessions:
        await told(session, "busy")
    alice.send("call.end", {"call_id": "taken", "reason": "user_hangup"})
    await bob.expect("call.end", lambda one: one["payload"]["call_id"] == "taken")

    # Document 000 has no way to reach them, and no words for it itself.
    dave = await qdatastream_client.connect_user(reactor, server.port("qdatastream"), "dave")
    dave.timeout = PATIENCE
    dave.call("bob", video=True)
    reject = await dave.expect("call_reject")
    assert reject["reason"] == "no compatible device"
    minted = reject["call"]
    for session in sessions:
        await told(session, minted)
        assert heard(session) == ["unanswered", "cancelled", "busy", minted]
    await miss(alice, "erin", "offline")
    assert (heard(alice), heard(carol)) == ([], [])

    endings = {
        "unanswered": ("no_answer", None, True), "cancelled": ("cancelled", "alice", True),
        "rejected": ("rejected", "bob", False), "taken": ("hangup", "alice", False),
        "busy": ("busy", None, True), minted: ("no_device", None, True),
    }  # fmt: skip
    records = calls(server, "bob")
    assert ids(records) == [minted, "busy", "taken", "rejected", "cancelled", "unanswered"]
    for record in records:
        facts = record["ending"], record["ended_by"], record["missed"]
        assert facts == endings[record["call_id"]], record
        answered = record["answered_at"]
        assert (answered is not None) == (record["call_id"] == "taken"), record
        assert record["created_at"] <= (answered or record["created_at"]) <= record["ended_at"], record
        assert record["duration"] >= 0
    for client in (alice, carol, bob, tablet, talker):
        await client.close()
    await server.stop()


@pytest_twisted.ensureDeferred
async def test_both_read_the_record_and_nobody_else(serve: Serve) -> None:
    server = await serve().start()
    alice, bob = await phone(server, "alice"), await phone(server, "bob")
    await miss(alice, "carol", "offline")
    alice.send("call.offer", {"call_id": 7, "to_user": "bob", "call_type": "video", "sdp": SDP})
    await bob.expect("call.offer")
    bob.send("call.answer", {"call_id": 7, "sdp": {"type": "answer", "sdp": "v=0\r\n"}})
    await alice.expect("call.answer")

    # While it lasts, and when it is over: the same for both.
    for state in ("answered_at", "ending"):
        await durable(server, "7", state)
        mine, theirs = calls(server, "alice"), calls(server, "bob")
        assert ids(mine) == ["7", "offline"]
        assert theirs == mine[:1]
        record = theirs[0]
        people = record["caller_id"], record["callee_id"], record["call_type"], record["missed"]
        assert people == ("alice", "bob", "video", False)
        assert record["answered_at"] >= record["created_at"] > 0
        if state == "answered_at":
            over = record["ending"], record["ended_at"], record["ended_by"], record["duration"]
            assert over == (None, None, None, 0)
            bob.send("call.end", {"call_id": 7, "reason": "user_hangup"})
            await alice.expect("call.end")
    assert (record["ending"], record["ended_by"]) == ("hangup", "bob")
    assert record["ended_at"] >= record["answered_at"]
    assert record["duration"] == int(record["ended_at"] - record["answered_at"])

    # Nobody else: another user, an administrator, a stranger.
    assert ids(calls(server, "carol")) == ["offline"]
    promote(server, "dave")
    assert calls(server, "dave") == []
    refused(RestClient(port_of(server)).get("/api/calls"), 401)
    refused(demo(server, "alice").get("/api/calls?user=bob"), 400)

    # In pages, the newest first.
    for number in range(5):
        await miss(alice, "carol", f"c{number}")
        await durable(server, f"c{number}", "ending")
    found: list[str] = []
    after = ""
    for _ in range(4):
        data = demo(server, "alice").get(f"/api/calls?limit=2&after={after}").data
        found += ids(data["calls"])
        after = data["next_cursor"]
    assert (found, after) == (["c4", "c3", "c2", "c1", "c0", "7", "offline"], "")
    refused(demo(server, "alice").get("/api/calls?after=nonsense"), 400, "BAD_REQUEST")
    await alice.close()
    await bob.close()
    await server.stop()


@pytest_twisted.ensureDeferred
async def test_calls_of_a_server_that_died(serve: Serve) -> None:
    """They have ended; whoever had not answered missed one and is told so once."""
    server = await serve().start()
    alice, bob, carol = [await phone(server, name) for name in ("alice", "bob", "carol")]
    offer = {"call_type": "audio", "sdp": SDP}
    alice.send("call.offer", {"call_id": "running", "to_user": "bob", **offer})
    await bob.expect("call.offer")
    bob.send("call.answer", {"call_id": "running", "sdp": {"type": "answer", "sdp": "v=0\r\n"}})
    await alice.expect("call.answer")
    carol.send("call.offer", {"call_id": "ringing", "to_user": "dave", **offer})
    await carol.expect("call.error")
    dave = await phone(server, "dave")
    await told(dave, "ringing")
    await known(server, "dave", DEVICES[0])
    carol.send("call.offer", {"call_id": "rings", "to_user": "dave", **offer})
    await dave.expect("call.offer")
    await durable(server, "running", "answered_at")
    await durable(server, "rings", "created_at")
    server.kill()
    for client in (alice, bob, carol, dave):
        await client.closed

    await server.start()
    running, rings = calls(server, "bob")[0], calls(server, "carol")[0]
    for record in (running, rings):
        assert (record["ending"], record["ended_by"]) == ("shutdown", None), record
        assert record["ended_at"] >= (record["answered_at"] or record["created_at"])
    assert (running["missed"], rings["missed"]) == (False, True)
    dave = await phone(server, "dave")
    await told(dave, "rings")
    assert heard(dave) == ["rings"]
    await known(server, "dave", DEVICES[0])
    await dave.close()
    await server.stop()
    await server.start()
    dave, carol = await phone(server, "dave"), await phone(server, "carol")
    await dave.close()
    await miss(carol, "dave", "later")
    dave = await phone(server, "dave")
    await told(dave, "later")
    assert heard(dave) == ["later"]
    for client in (dave, carol):
        await client.close()
    await server.stop()
