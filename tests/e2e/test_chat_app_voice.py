"""voice/* of the dialect chat-app through a real process, by a client written by hand."""

from __future__ import annotations

from typing import Any

import pytest_twisted
from twisted.internet import reactor

from tests.clients import signalling_client
from tests.clients.chat_app_client import ChatAppClient
from tests.e2e.conftest import Serve
from tests.e2e.server import sleep
from tests.e2e.test_chat_app import start, user

SPOKEN = bytes(range(256)) * 4


async def close(*clients: ChatAppClient) -> None:
    for client in clients:
        await client.close()


def direct(to: str) -> dict[str, Any]:
    return {"call_type": "direct", "target": {"type": "user", "id": to}}


def group(room: str) -> dict[str, Any]:
    return {"call_type": "group", "target": {"type": "room", "id": room}}


async def says(speaker: ChatAppClient, call: str, data: bytes, *hearers: ChatAppClient, of: str) -> None:
    """One speaks, the others hear it."""
    speaker.send_event("voice/data", {"call_id": call, "data": data.hex()})
    for hearer in hearers:
        heard = await hearer.next("voice/data")
        assert heard == {"call_id": call, "data": data.hex(), "from_user": of}


async def settle(*clients: ChatAppClient) -> None:
    """Everything that was written before is here."""
    for client in clients:
        await client.ask("control/ping")


def heard(client: ChatAppClient) -> list[str]:
    """What of calls nobody waited for."""
    return [line["command"] for line in client.events if line["command"].startswith("voice/")]


@pytest_twisted.ensureDeferred
async def test_a_call_of_two(serve: Serve) -> None:
    server = await start(serve)
    alice, bob, other = await user(server, "alice"), await user(server, "bob"), await user(server, "bob", "2")
    ack = await alice.ask("voice/call", direct("bob"), id="call-1")
    assert ack == {"status": 200, "call_id": "call-1"}
    told = {
        "call_id": "call-1",
        "call_type": "direct",
        "target_type": "user",
        "target_id": "bob",
        "initiator": "alice",
    }
    for one in (bob, other):
        assert await one.next("voice/event") == {"event_type": "incoming", **told, "user_id": "alice"}
    assert await bob.ask("voice/answer", {"call_id": "call-1"}) == {"status": 200, "call_id": "call-1"}
    two = ["alice", "bob"]
    for one in (alice, bob):
        connected = await one.next("voice/event")
        assert connected == {"event_type": "connected", **told, "user_id": "bob", "participants": two}
    gone = await other.next("voice/event")
    assert (gone["event_type"], gone["reason"]) == ("ended", "answered_elsewhere")
    await says(alice, "call-1", SPOKEN, bob, of="alice")
    await says(bob, "call-1", b"", alice, of="bob")
    await says(bob, "call-1", b"\0" * 30_000, alice, of="bob")
    # What is nobody's, or nothing, is not answered.
    alice.send_event("voice/data", {"call_id": "another", "data": "00"})
    alice.send("voice/data", {"call_id": "call-1", "data": "nonsense"})
    other.send("voice/data", {"call_id": "call-1", "data": "00"})
    await settle(alice, other, bob)
    assert heard(alice) == heard(bob) == heard(other) == []
    assert await bob.ask("voice/end", {"call_id": "call-1"}) == {"status": 200, "call_id": "call-1"}
    for one in (alice, bob):
        ended = await one.next("voice/event")
        assert ended == {
            "event_type": "ended",
            **told,
            "user_id": "bob",
            "participants": two,
            "duration": ended["duration"],
            "reason": "hangup",
        }
        assert type(ended["duration"]) is int
    failed = await alice.ask("voice/end", {"call_id": "nothing"}, status=404)
    assert failed["call_id"] == "nothing"
    # The answer to a request about a call comes before what it leads to.
    order = [line["command"] for line in bob.lines if line["command"].startswith("voice/")]
    assert order.index("voice/end_ack") < len(order) - 1 - order[::-1].index("voice/event")
    await close(alice, bob, other)
    await server.stop()


@pytest_twisted.ensureDeferred
async def test_calls_that_come_to_nothing(serve: Serve) -> None:
    server = await start(serve, overrides=["calls.ring_seconds=0.5"])
    alice, bob = await user(server, "alice"), await user(server, "bob")

    async def ends(client: ChatAppClient, call: str, reason: str) -> None:
        ended = await client.next("voice/event", event_type="ended", call_id=call)
        assert (ended["reason"], ended["duration"], ended["participants"]) == (reason, 0, ["alice"])

    await alice.ask("voice/call", direct("bob"), id="rejected")
    await bob.next("voice/event", event_type="incoming")
    await bob.ask("voice/reject", {"call_id": "rejected"})
    rejected = await alice.next("voice/event", call_id="rejected")
    assert (rejected["event_type"], rejected["user_id"]) == ("rejected", "bob")
    await ends(alice, "rejected", "rejected")
    await ends(bob, "rejected", "rejected")

    await alice.ask("voice/call", direct("bob"), id="unanswered")
    for one in (alice, bob):
        await ends(one, "unanswered", "no_answer")
    missed = await bob.next("notification/event", event_type="missed_call")
    assert missed["call_id"] == "unanswered"

    await alice.ask("voice/call", direct("bob"), id="cancelled")
    await alice.ask("voice/end", {"call_id": "cancelled"})
    for one in (alice, bob):
        await ends(one, "cancelled", "cancelled")

    for call, callee, reason in (("away", "carol", "offline"), ("nobody", "nobody", "offline")):
        await alice.ask("voice/call", direct(callee), id=call)
        await ends(alice, call, reason)
    phone = await signalling_client.connect_user(reactor, server.port("/im"), "carol")
    await alice.ask("voice/call", direct("carol"), id="other")
    await ends(alice, "other", "no_device")
    await phone.close()

    # Who is in a call is busy, in every format; his connection's end is the call's.
    await alice.ask("voice/call", direct("bob"), id="runs")
    await bob.ask("voice/answer", {"call_id": "runs"})
    dave = await user(server, "dave")
    await dave.ask("voice/call", direct("bob"), id="busy")
    assert (await dave.next("voice/event"))["reason"] == "busy"
    await dave.ask("voice/answer", {"call_id": "runs"}, status=403)
    await dave.ask("voice/call", direct("bob"), id="runs", status=409)
    await bob.close()
    lost = await alice.next("voice/event", event_type="ended", call_id="runs")
    assert (lost["reason"], lost["participants"]) == ("lost", ["alice", "bob"])

    for payload, id in (
        ({}, "x"),
        (direct("alice"), "x"),
        ({"call_type": "direct"}, "x"),
        ({"call_type": "party", "target": {"type": "user", "id": "bob"}}, "x"),
        ({"call_type": "group", "target": {"type": "user", "id": "bob"}}, "x"),
        (direct("bob"), ""),
        (direct("bob"), "x" * 129),
    ):
        answer = await alice.ask("voice/call", payload, id=id, status=400)
        assert answer["call_id"] == (id if len(id) < 256 else "")
    await close(alice, dave)
    await server.stop()


@pytest_twisted.ensureDeferred
async def test_a_call_of_a_room(serve: Serve) -> None:
    server = await start(serve)
    alice, bob, carol, dave = [await user(server, name) for name in ("alice", "bob", "carol", "dave")]
    await alice.ask("room/create", {"room_id": "band"})
    for one in (bob, carol):
        await one.ask("room/join", {"room_id": "band"})
    assert await alice.ask("voice/call", group("band"), id="c") == {"status": 200, "call_id": "c"}
    told = {
        "call_id": "c",
        "call_type": "group",
        "target_type": "group",
        "target_id": "band",
        "initiator": "alice",
    }
    for one in (bob, carol):
        incoming = await one.next("voice/event")
        assert incoming == {"event_type": "incoming", **told, "user_id": "alice", "participants": ["alice"]}
    assert (await bob.ask("voice/call", group("band"), id="d", status=409))["call_id"] == "d"
    assert (await dave.ask("voice/call", group("band"), id="e", status=404))["error_code"] == 1007
    await dave.ask("voice/answer", {"call_id": "c"}, status=403)

    await bob.ask("voice/answer", {"call_id": "c"})
    both = ["alice", "bob"]
    for one, changes in ((bob, ["connected"]), (alice, ["connected", "member_joined"])):
        for change in changes:
            event = await one.next("voice/event")
            assert event == {"event_type": change, **told, "user_id": "bob", "participants": both}
    await says(alice, "c", SPOKEN, bob, of="alice")
    # She does not want to, twice under one id, and then does.
    rejected = await carol.ask("voice/reject", {"call_id": "c"}, id="no")
    assert await carol.ask("voice/reject", {"call_id": "c"}, id="no") == rejected
    for one in (alice, bob):
        assert (await one.next("voice/event"))["event_type"] == "rejected"
    await carol.ask("voice/answer", {"call_id": "c"})
    assert (await carol.next("voice/event"))["event_type"] == "connected"
    for one in (alice, bob):
        joined = await one.next("voice/event")
        assert (joined["event_type"], joined["user_id"]) == ("member_joined", "carol")
        assert joined["participants"] == ["alice", "bob", "carol"]
    await says(carol, "c", SPOKEN, alice, bob, of="carol")
    await says(alice, "c", b"x", bob, carol, of="alice")

    # In one call at a time, of whichever kind.
    await dave.ask("voice/call", direct("carol"), id="f")
    assert (await dave.next("voice/event"))["reason"] == "busy"

    # Whoever started it may go, the others stay; who is no member any more hears nothing.
    await alice.ask("voice/end", {"call_id": "c"})
    for one in (bob, carol):
        left = await one.next("voice/event")
        assert (left["event_type"], left["user_id"], left["participants"]) == (
            "member_left",
            "alice",
            ["bob", "carol"],
        )
    await says(bob, "c", SPOKEN, carol, of="bob")
    await settle(alice)
    assert heard(alice) == []
    await alice.ask("voice/answer", {"call_id": "c"})
    assert (await alice.next("voice/event"))["event_type"] == "connected"
    assert (await bob.next("voice/event"))["event_type"] == "member_joined"
    await alice.ask("room/kick", {"room_id": "band", "user_id": "carol"})
    assert (await carol.next("voice/event", event_type="ended"))["reason"] == "hangup"
    for one in (alice, bob):
        left = await one.next("voice/event", event_type="member_left")
        assert left["user_id"] == "carol"
    carol.send_event("voice/data", {"call_id": "c", "data": "00"})
    await settle(carol, alice, bob)
    assert heard(bob) == []

    # With the last but one it is over.
    await bob.close()
    ended = await alice.next("voice/event", event_type="ended")
    assert ended == {
        "event_type": "ended",
        **told,
        "user_id": "alice",
        "participants": ["alice", "bob", "carol"],
        "duration": ended["duration"],
        "reason": "hangup",
    }
    await alice.ask("voice/end", {"call_id": "c"})
    await alice.ask("voice/answer", {"call_id": "c"}, status=404)
    await alice.ask("voice/call", group("band"), id="again")
    assert (await alice.next("voice/event", call_id="again"))["reason"] == "offline"
    await close(alice, carol, dave)
    await server.stop()


@pytest_twisted.ensureDeferred
async def test_a_room_where_nobody_answers(serve: Serve) -> None:
    server = await start(serve, overrides=["calls.ring_seconds=0.5"])
    alice, bob = await user(server, "alice"), await user(server, "bob")
    phone = await user(server, "bob", "phone")
    await alice.ask("room/create", {"room_id": "duo", "members": ["bob"]})
    await alice.ask("voice/call", group("duo"), id="c1")
    for one in (bob, phone):
        await one.next("voice/event", event_type="incoming")
    await bob.ask("voice/reject", {"call_id": "c1"})
    stopped = await phone.next("voice/event")
    assert (stopped["event_type"], stopped["reason"]) == ("ended", "rejected")
    assert (await alice.next("voice/event"))["event_type"] == "rejected"
    ended = await alice.next("voice/event")
    assert (ended["event_type"], ended["reason"], ended["duration"]) == ("ended", "rejected", 0)
    await alice.ask("voice/call", group("duo"), id="c2")
    for one in (alice, bob, phone):
        ended = await one.next("voice/event", event_type="ended", call_id="c2")
        assert ended["reason"] == "no_answer"
    await alice.ask("voice/call", group("duo"), id="c3")
    await alice.ask("voice/end", {"call_id": "c3"})
    ended = await bob.next("voice/event", event_type="ended", call_id="c3")
    assert ended["reason"] == "cancelled"
    await sleep(0)
    await close(alice, bob, phone)
    await server.stop()
