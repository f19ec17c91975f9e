"""Calls of document 000 through the real process: its sequences, in both framings and string forms."""

from __future__ import annotations

import itertools
import re
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor

from imserver.client import connect
from imserver.model.calls import (
    CallAnswered,
    CallEnded,
    CallError,
    CallFault,
    CallIncoming,
    CallMedia,
    EndCall,
    Ending,
    RejectCall,
    StartCall,
)
from tests.clients import jsonline_client, signalling_client
from tests.clients.qdatastream_client import CALL_REQUEST, QDataStreamClient, connect_tcp, connect_user
from tests.e2e.conftest import Serve
from tests.e2e.server import Server, sleep

KINDS = [(True, "utf8"), (True, "qstring"), (False, "utf8"), (False, "qstring")]
CALLERS = pytest.mark.parametrize(("framed", "form"), KINDS)
CALL_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
NOBODY = "00000000-0000-0000-0000-000000000000"
CALLS = ("call_request", "call_accept", "call_reject", "call_end", "media")


async def user(server: Server, name: str, framed: bool = True, form: str = "utf8") -> QDataStreamClient:
    """Somebody, registered."""
    client = await connect_user(reactor, server.port("qdatastream"), name, framed=framed, form=form)
    client.timeout = 60.0
    return client


def heard(client: QDataStreamClient) -> list[tuple[str, ...]]:
    """What a client was told of calls, in order, without the ids; pieces of media in a row are one."""
    told: list[tuple[str, ...]] = []
    for message in client.messages:
        kind = message["type"]
        if kind in CALLS and not (kind == "media" and told and told[-1] == ("media",)):
            told.append((kind, message["reason"]) if kind == "call_reject" else (kind,))
    return told


async def ring(caller: QDataStreamClient, callee: QDataStreamClient, name: str, *, video: bool = True) -> str:
    """Calls somebody; the call's id, as it rings there."""
    caller.call(name, video=video)
    request = await callee.expect("call_request")
    assert CALL_ID.fullmatch(request["call"]), request
    assert request["video"] == video
    call: str = request["call"]
    return call


async def running(caller: QDataStreamClient, callee: QDataStreamClient, name: str) -> str:
    """A call that was accepted."""
    call = await ring(caller, callee, name)
    callee.accept(call)
    for party in (caller, callee):
        assert (await party.expect("call_accept"))["call"] == call
    return call


async def media_arrives(client: QDataStreamClient, call: str, data: bytes) -> None:
    """Waits until so much media came; it must be this."""
    while len(client.heard(call)) < len(data):
        await client.expect("media")
    assert client.heard(call) == data
    client.pending = [message for message in client.pending if message["type"] != "media"]


async def settle(*clients: QDataStreamClient) -> None:
    """What was written to them before is there."""
    for client in clients:
        await client.heartbeat()


async def close(*clients: Any) -> None:
    for client in clients:
        await client.close()


@pytest_twisted.ensureDeferred
@CALLERS
async def test_the_sequence_of_the_document(serve: Serve, framed: bool, form: str) -> None:
    """Request, accept, media both ways, end: between all kinds of clients, ended by either."""
    server = await serve().start()
    ends = [(True, True), (False, False)] if framed else [(True, False), (False, True)]
    for (other_framed, other_form), (caller_ends, named) in itertools.product(KINDS, ends):
        alice = await user(server, "alice", framed, form)
        bob = await user(server, "bob", other_framed, other_form)
        call = await ring(alice, bob, "bob", video=caller_ends)
        assert (bob.messages[-1]["caller"], heard(alice)) == ("alice", [])
        bob.accept(call)
        assert (await alice.expect("call_accept"))["call"] == call
        assert (await bob.expect("call_accept"))["call"] == call
        to_bob, to_alice = bytes(range(128, 256)) * 9, bytes(range(255, 127, -1)) * 99
        alice.media(to_bob)
        await media_arrives(bob, call, to_bob)
        bob.media(to_alice)
        await media_arrives(alice, call, to_alice)
        (alice if caller_ends else bob).end(call if named else "")
        assert (await alice.expect("call_end"))["call"] == call
        assert (await bob.expect("call_end"))["call"] == call
        await settle(alice, bob)
        assert heard(alice) == [("call_accept",), ("media",), ("call_end",)]
        assert heard(bob) == [("call_request",), ("call_accept",), ("media",), ("call_end",)]
        await close(alice, bob)
    await server.stop()


@pytest_twisted.ensureDeferred
@CALLERS
async def test_rejected(serve: Serve, framed: bool, form: str) -> None:
    server = await serve().start()
    alice = await user(server, "alice")
    bob = await user(server, "bob", framed, form)
    expected = []
    for reason in ("忙，请稍后 😀", "user busy", "", None):
        call = await ring(alice, bob, "bob")
        bob.reject(call, reason)
        # Without a reason an unframed message ends in silence.
        for party in (alice, bob):
            told = await party.expect("call_reject")
            assert (told["call"], told["reason"]) == (call, reason or "")
        expected.append(("call_reject", reason or ""))
    await settle(alice, bob)
    assert heard(alice) == expected
    assert heard(bob) == [told for rejected in expected for told in (("call_request",), rejected)]
    await close(alice, bob)
    await server.stop()


@pytest_twisted.ensureDeferred
@CALLERS
async def test_the_caller_ends_it_before_the_answer(serve: Serve, framed: bool, form: str) -> None:
    server = await serve().start()
    alice = await user(server, "alice", framed, form)
    bob = await user(server, "bob", form=form)
    call = await ring(alice, bob, "bob")
    alice.end()
    for party in (alice, bob):
        assert (await party.expect("call_end"))["call"] == call
    # An accept that crossed it is no error, and its sender is told again.
    bob.accept(call)
    assert (await bob.expect("call_end"))["call"] == call
    await settle(alice, bob)
    assert heard(alice) == [("call_end",)]
    assert not [message for message in bob.messages if message["type"] == "error" and message["request"] != 3]
    # Nothing is left of it: the next one rings.
    await running(alice, bob, "bob")
    await close(alice, bob)
    await server.stop()


@pytest_twisted.ensureDeferred
async def test_calls_that_come_to_nothing(serve: Serve) -> None:
    """Nobody there, nobody of that name, busy while it rings and while it runs, no device, no answer."""
    server = await serve(overrides=["calls.ring_seconds=2"]).start()
    alice, bob = await user(server, "alice", False, "qstring"), await user(server, "bob", False, "utf8")
    carol = await user(server, "carol")

    async def rejected(caller: QDataStreamClient, callee: str) -> str:
        caller.call(callee)
        told = await caller.expect("call_reject")
        assert CALL_ID.fullmatch(told["call"])
        reason: str = told["reason"]
        return reason

    assert await rejected(alice, "dave") == "user offline"
    assert await rejected(carol, "nobody") == "user offline"

    # Sessions of formats without calls, and with calls of another kind, are no devices.
    line = await jsonline_client.connect_tcp(reactor, server.port("jsonline"))
    await line.log_in("dave")
    assert await rejected(alice, "dave") == "no compatible device"
    browser = await signalling_client.connect_user(reactor, server.port("/im"), "dave")
    assert await rejected(alice, "dave") == "no compatible device"
    await close(line, browser)

    call = await ring(alice, bob, "bob")
    assert await rejected(carol, "bob") == "user busy"  # called
    assert await rejected(carol, "alice") == "user busy"  # calls
    bob.accept(call)
    for party in (alice, bob):
        await party.expect("call_accept")
    for callee in ("alice", "bob"):
        assert await rejected(carol, callee) == "user busy"
    assert await rejected(alice, "carol") == "user busy"  # oneself
    bob.end(call)
    for party in (alice, bob):
        await party.expect("call_end")

    call = await ring(carol, alice, "alice")
    told = await carol.expect("call_reject")
    assert (told["call"], told["reason"]) == (call, "no answer")
    assert (await alice.expect("call_end"))["call"] == call
    await settle(alice, bob, carol)
    assert [told for told in heard(bob) if told != ("media",)] == [
        ("call_request",),
        ("call_accept",),
        ("call_end",),
    ]
    await close(alice, bob, carol)
    await server.stop()


@pytest_twisted.ensureDeferred
async def test_both_call_each_other(serve: Serve) -> None:
    """One of the two calls stands, and both hear which."""
    server = await serve().start()
    for number in range(4):
        alice, bob = await user(server, "alice"), await user(server, "bob", number % 2 == 0)
        alice.call("bob")
        bob.call("alice")
        await settle(alice, bob)
        told = {client: heard(client) for client in (alice, bob)}
        stands, ends = (alice, bob) if told[alice] == [] else (bob, alice)
        assert sorted(told[ends]) == [("call_reject", "user busy"), ("call_request",)], told
        call = (await ends.expect("call_request"))["call"]
        assert (await ends.expect("call_reject"))["call"] != call
        ends.accept(call)
        assert (await stands.expect("call_accept"))["call"] == call
        await ends.expect("call_accept")
        stands.end()
        for party in (stands, ends):
            await party.expect("call_end")
        await close(alice, bob)
    await server.stop()


@pytest_twisted.ensureDeferred
async def test_every_device_rings_and_one_answers(serve: Serve) -> None:
    server = await serve().start()
    alice = await user(server, "alice")
    first, second = await user(server, "bob", False, "qstring"), await user(server, "bob", True, "qstring")
    call = await ring(alice, first, "bob")
    assert (await second.expect("call_request"))["call"] == call
    # Who comes later hears it, too, even by the first message of the connection.
    late = await user(server, "bob", False, "qstring")
    request = await late.expect("call_request")
    assert (request["call"], request["caller"], request["video"]) == (call, "alice", 1)

    late.accept(call)
    for party in (alice, late):
        assert (await party.expect("call_accept"))["call"] == call
    for other in (first, second):
        assert (await other.expect("call_end"))["call"] == call
    # A second answer comes too late, and so does a rejection: told again, no error, nothing changes.
    first.accept(call)
    assert (await first.expect("call_end"))["call"] == call
    second.reject(call, "no")
    assert (await second.expect("call_end"))["call"] == call
    later = await user(server, "bob")
    alice.media(b"\xaa" * 1000)
    await media_arrives(late, call, b"\xaa" * 1000)
    # Only the party sends media; another device of the same user does not.
    first.media(b"\xbb")
    late.media(b"\xcc")
    await media_arrives(alice, call, b"\xcc")
    # But any device may hang up.
    second.end(call)
    for party in (alice, late):
        assert (await party.expect("call_end"))["call"] == call
    await settle(alice, first, second, late, later)
    assert heard(alice) == [("call_accept",), ("media",), ("call_end",)]
    assert heard(late) == [("call_request",), ("call_accept",), ("media",), ("call_end",)]
    assert heard(first) == heard(second) == [("call_request",), ("call_end",), ("call_end",)]
    assert heard(later) == []
    assert not [one for one in second.messages if one["type"] == "error" and one["code"] != 404]

    call = await ring(alice, first, "bob")
    for other in (second, late, later):
        assert (await other.expect("call_request"))["call"] == call
    late.reject(call, "no time")
    for party in (alice, late):
        assert (await party.expect("call_reject"))["reason"] == "no time"
    for other in (first, second, later):
        assert (await other.expect("call_end"))["call"] == call
    await close(alice, first, second, late, later)
    await server.stop()


@pytest_twisted.ensureDeferred
async def test_a_first_message_that_registers_and_calls(serve: Serve) -> None:
    server = await serve().start()
    bob = await user(server, "bob")
    for framed, form in KINDS:
        alice = await connect_tcp(reactor, server.port("qdatastream"), framed=framed, form=form)
        alice.register("alice", kind=CALL_REQUEST, payload=alice.string("bob") + b"\x00")
        request = await bob.expect("call_request")
        assert (request["caller"], request["video"]) == ("alice", 0)
        bob.accept(request["call"])
        assert (await alice.expect("call_accept"))["call"] == request["call"]
        await bob.expect("call_accept")
        # And its loss is the end.
        alice.abort()
        assert (await bob.expect("call_end"))["call"] == request["call"]
    await close(bob)
    await server.stop()


@pytest_twisted.ensureDeferred
async def test_who_may_do_what(serve: Serve) -> None:
    """Errors are told to framed peers, and to nobody else."""
    server = await serve().start()
    alice, bob = await user(server, "alice"), await user(server, "bob")
    carol, dave = await user(server, "carol"), await user(server, "dave", False, "qstring")

    async def refused(client: QDataStreamClient, kind: int, code: int) -> None:
        error = await client.expect("error")
        assert (error["request"], error["code"]) == (kind, code), error

    for stranger in (carol, dave):
        stranger.accept(NOBODY)
        stranger.reject(NOBODY, "no")
        stranger.end(NOBODY)
    for kind in (3, 4, 5):
        await refused(carol, kind, 404)
    carol.call("carol")
    await refused(carol, 2, 400)
    carol.send(b"\x02" + carol.string("group_demo") + b"\x01")
    await refused(carol, 2, 400)

    call = await ring(alice, bob, "bob")
    for stranger in (carol, dave):
        stranger.accept(call)
        stranger.reject(call, "no")
        stranger.end(call)
    for kind in (3, 4, 5):
        await refused(carol, kind, 403)
    alice.accept(call)  # the caller cannot take its own call
    await refused(alice, 3, 400)
    carol.end()  # one's own call, without having one: nothing to say
    bob.accept(call)
    for party in (alice, bob):
        await party.expect("call_accept")
    for stranger in (carol, dave):
        stranger.end(call)
    carol.media(b"\xff" * 100)
    await refused(carol, 5, 403)
    await settle(carol, dave, alice, bob)
    assert heard(alice) == [("call_accept",)]
    assert heard(bob) == [("call_request",), ("call_accept",)]
    assert heard(carol) == heard(dave) == []
    carol.send(b"\x06" + b"\xff" * 65_001)
    await refused(carol, 6, 413)
    await close(alice, bob, carol, dave)
    await server.stop()


@pytest_twisted.ensureDeferred
async def test_a_lost_connection_and_the_longest_call(serve: Serve) -> None:
    server = await serve(overrides=["calls.max_seconds=3"]).start()
    for framed, form in KINDS:
        alice, bob = await user(server, "alice", framed, form), await user(server, "bob", not framed, form)
        # In the middle of the call, either side.
        for gone in ("alice", "bob"):
            call = await running(alice, bob, "bob")
            (alice if gone == "alice" else bob).abort()
            left = bob if gone == "alice" else alice
            assert (await left.expect("call_end"))["call"] == call
            if gone == "alice":
                alice = await user(server, "alice", framed, form)
        bob = await user(server, "bob", not framed, form)
        # The caller, while it rings.
        call = await ring(alice, bob, "bob")
        alice.abort()
        assert (await bob.expect("call_end"))["call"] == call
        # The callee, while it rings: it goes on ringing, and rings at who comes.
        alice = await user(server, "alice", framed, form)
        call = await ring(alice, bob, "bob")
        bob.abort()
        await bob.ended
        # It has used no form of strings yet.
        bob = await user(server, "bob", not framed, "qstring" if framed else "utf8")
        assert (await bob.expect("call_request"))["call"] == call
        bob.accept(call)
        for party in (alice, bob):
            assert (await party.expect("call_accept"))["call"] == call
        for party in (alice, bob):  # after three seconds
            assert (await party.expect("call_end"))["call"] == call
        await close(alice, bob)
    await server.stop()


@pytest_twisted.ensureDeferred
async def test_the_server_goes_down(serve: Serve) -> None:
    server = await serve().start()
    alice, bob = await user(server, "alice"), await user(server, "bob", False, "qstring")
    carol, dave = await user(server, "carol", False, "utf8"), await user(server, "dave", True, "qstring")
    talking = await running(alice, bob, "bob")
    ringing = await ring(carol, dave, "dave")
    await server.stop()
    for client, call in ((alice, talking), (bob, talking), (carol, ringing), (dave, ringing)):
        await client.ended
        assert client.messages[-2 if client.framed else -1] == {"type": "call_end", "call": call}


@pytest_twisted.ensureDeferred
async def test_the_client_of_this_repository(serve: Serve) -> None:
    server = await serve().start()
    bob = await user(server, "bob", False, "qstring")
    events: list[Any] = []
    address = f"tcp:127.0.0.1:{server.port('qdatastream')}"
    alice = await connect("qdatastream", address, "alice", on_event=events.append)

    async def event(kind: type) -> Any:
        for _ in range(3000):
            for place, found in enumerate(events):
                if isinstance(found, kind):
                    return events.pop(place)
            await sleep(0.02)
        raise AssertionError(f"no {kind.__name__} in {events}")

    alice.tell(StartCall("bob", False))
    call = (await bob.expect("call_request"))["call"]
    bob.accept(call)
    assert (await event(CallAnswered)).call == call
    await bob.expect("call_accept")
    alice.tell(CallMedia(b"\xff" * 1000))
    await media_arrives(bob, call, b"\xff" * 1000)
    bob.media(b"\xee" * 1000)
    assert await event(CallMedia) == CallMedia(b"\xee" * 1000, call)
    await alice.send("bob", "hi")
    assert (await bob.expect("text"))["text"] == "hi"
    bob.end(call)
    assert (await event(CallEnded)).ending is Ending.HANGUP
    await bob.expect("call_end")

    bob.call("alice")
    incoming = await event(CallIncoming)
    assert (incoming.caller, incoming.video) == ("bob", True)
    alice.tell(RejectCall(incoming.call, "later"))
    assert (await bob.expect("call_reject"))["reason"] == "later"
    assert (await event(CallEnded)).reason == "later"
    alice.tell(EndCall(NOBODY))
    assert (await event(CallError)).fault is CallFault.UNKNOWN_CALL
    await alice.close()
    await close(bob)
    await server.stop()
