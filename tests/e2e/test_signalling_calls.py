"""Calls of document 002 through the real process, in JSON and MessagePack."""

from __future__ import annotations

import datetime
import json
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import ensureDeferred
from twisted.internet.threads import deferToThread

from tests.clients import jsonline_client
from tests.clients.rest_client import RestClient
from tests.clients.signalling_client import SignallingClient
from tests.e2e.conftest import Serve
from tests.e2e.phones import (
    answer,
    candidate,
    close,
    end,
    ended,
    heard,
    ice,
    log,
    offer,
    phone,
    refused,
    rings,
    runs,
    sdp,
    settle,
)
from tests.e2e.server import Server, sleep

ENCODINGS = pytest.mark.parametrize("binary", [False, True], ids=["json", "msgpack"])
DOCUMENT = json.loads(
    (Path(__file__).parents[1] / "unit/wire/signalling_document.json").read_text(encoding="utf-8")
)
OFFER, ANSWER, ICE, END, STATUS, *ERRORS = (message["payload"] for message in DOCUMENT["messages"])
ID = "call_123456789"


def seconds(text: str) -> float:
    """A time of the server."""
    return datetime.datetime.fromisoformat(text).timestamp()


async def numbered(server: Server, user: str, *, binary: bool = False) -> SignallingClient:
    """A user whose name is a number, as in the document."""
    rest = RestClient(server.port("/im"))
    body = {"username": user, "password": "a password"}
    given = await deferToThread(rest.call, "POST", "/api/auth/register", body)
    return await phone(server, user, binary=binary, token=given.data["token"])


@pytest_twisted.ensureDeferred
@ENCODINGS
async def test_the_sequence_of_the_document(serve: Serve, binary: bool) -> None:
    """Its diagram with its own messages: offer, answer, candidates both ways, status, errors, end."""
    server = await serve().start()
    one = await numbered(server, "1", binary=binary)
    two = await numbered(server, "2", binary=not binary)

    one.send("call.offer", OFFER)
    told = await heard(two, "call.offer")
    at = told.pop("created_at")
    assert {**told, "created_at": OFFER["created_at"]} == OFFER
    ringing = await heard(one, "call.status")
    assert ringing == {"call_id": ID, "status": "ringing", "created_at": at}

    two.send("call.answer", ANSWER)
    told = await heard(one, "call.answer")
    answered_at = told.pop("answered_at")
    assert {**told, "answered_at": ANSWER["answered_at"]} == ANSWER
    assert seconds(answered_at) >= seconds(at)
    told = await heard(one, "call.status")
    assert told == {"call_id": ID, "status": "answered", "answered_at": answered_at}

    back = {"from_user": 2, "to_user": 1}
    for speaker, listener, turned in ((one, two, {}), (two, one, back)):
        speaker.send("call.ice", ICE)
        assert await heard(listener, "call.ice") == {**ICE, **turned}
        speaker.send("call.status", STATUS)
        assert await heard(listener, "call.status") == {"from_user": 1, "to_user": 2, **STATUS, **turned}
        for error in ERRORS:
            speaker.send("call.error", error)
            assert await heard(listener, "call.error") == {"from_user": 1, "to_user": 2, **error, **turned}

    await sleep(1.1)
    one.send("call.end", END)
    for party in (one, two):
        told = await heard(party, "call.end")
        assert {key: told[key] for key in ("call_id", "from_user", "to_user", "reason")} == {
            "call_id": ID, "from_user": 1, "to_user": 2, "reason": "user_hangup",
        }  # fmt: skip
        lasted = seconds(told["ended_at"]) - seconds(answered_at)
        assert 1 <= told["duration"] <= lasted + 1
        assert told.keys() == END.keys()
    await settle(one, two)
    errors = ["error SDP解析错误", "error 无法获取摄像头权限", "error ICE连接失败"]
    both = ["ice", "status connected", *errors, "end user_hangup"]
    assert log(one, ID) == ["status ringing", "answer", "status answered", *both]
    assert log(two, ID) == ["offer", *both]
    await close(one, two)
    await server.stop()


@pytest_twisted.ensureDeferred
@ENCODINGS
async def test_ids_and_fields_come_as_they_went(serve: Serve, binary: bool) -> None:
    server = await serve().start()
    alice = await phone(server, "alice", binary=binary)
    bob = await phone(server, "bob", binary=not binary)
    extra: dict[str, Any] = {"x": [1, 2.5, None, True, {"键": "值 😀"}], "keys": "c2VjcmV0"}
    for call in (7, "7", "call_1", "界" * 42, 2**53 - 1):
        offer(alice, "bob", call, **extra, from_user="eve", created_at="never", duration=5)
        told = await heard(bob, "call.offer", call)
        assert {key: told[key] for key in extra} == extra
        assert (told["from_user"], told["to_user"], told["duration"]) == ("alice", "bob", 5)
        assert type((await heard(alice, "call.status", call))["call_id"]) is type(call)
        answer(bob, call, **extra, from_user="eve")
        told = await heard(alice, "call.answer", call)
        assert {key: told[key] for key in extra} == extra
        bob.send("call.end", {"call_id": call, "reason": "user_hangup", "duration": 99, **extra})
        told = await ended(alice, call, "user_hangup")
        assert {key: told[key] for key in extra} == extra
        assert (told["from_user"], told["duration"]) == ("bob", 0)
        await ended(bob, call, "user_hangup")
    # An id of the server's; a description that is a bare text, or a secret.
    offer(alice, "bob", sdp="v=0\r\nbare", call_type="audio")
    told = await heard(bob, "call.offer")
    assert told["call_id"].startswith("call_")
    assert (told["sdp"], told["call_type"]) == ("v=0\r\nbare", "audio")
    assert (await heard(alice, "call.status", told["call_id"]))["status"] == "ringing"
    alice.send("call.end")
    await ended(bob, told["call_id"], "user_hangup")
    await ended(alice, told["call_id"], "user_hangup")
    alice.send("call.offer", {"to_user": "bob", "call_type": "audio", "sealed": "c2VjcmV0"})
    assert (await heard(bob, "call.offer"))["sealed"] == "c2VjcmV0"
    await close(alice, bob)
    await server.stop()


@pytest_twisted.ensureDeferred
async def test_every_device_rings_and_one_answers(serve: Serve) -> None:
    """Late devices too; candidates are kept for them; the others are told, also if they answer again."""
    server = await serve().start()
    alice = await phone(server, "alice")
    desk, tablet = await phone(server, "bob", "desk"), await phone(server, "bob", "tablet", binary=True)
    offer(alice, "bob", ID, "first")
    for device in (desk, tablet):
        assert (await heard(device, "call.offer", ID))["sdp"] == sdp("offer", "first")
    for number in (1, 2):
        ice(alice, ID, number)
    # Another offer takes the first one's place, at devices that ring already, too.
    offer(alice, "bob", ID, "second")
    for device in (desk, tablet):
        assert (await heard(device, "call.offer", ID))["sdp"] == sdp("offer", "second")
    # The same one again is answered and rings nowhere twice.
    offer(alice, "bob", ID, "second")
    for _ in range(3):
        assert (await heard(alice, "call.status", ID))["status"] == "ringing"

    late = await phone(server, "bob", "late")
    assert (await heard(late, "call.offer", ID))["sdp"] == sdp("offer", "second")
    ice(alice, ID, 3)
    for device in (desk, tablet, late):
        for number in (1, 2, 3):
            assert (await heard(device, "call.ice", ID))["ice_candidate"] == candidate(number)

    # Candidates of the callee wait for its answer; those of the devices that did not answer are dropped.
    ice(desk, ID, 10)
    ice(late, ID, 20)
    ice(late, ID, 21)
    desk.send("call.status", {"call_id": ID, "status": "ringing"})
    assert (await heard(alice, "call.status", ID))["from_user"] == "bob"
    await settle(desk, late, alice)
    assert "ice" not in log(alice, ID)
    answer(late, ID, "late")
    assert (await heard(alice, "call.answer", ID))["sdp"] == sdp("answer", "late")
    for number in (20, 21):
        assert (await heard(alice, "call.ice", ID))["ice_candidate"] == candidate(number)
    for device in (desk, tablet):
        told = await ended(device, ID, "answered_elsewhere")
        assert (told["from_user"], told["to_user"], told["duration"]) == ("alice", "bob", 0)

    # A late answer or rejection is told again that it is too late; it changes nothing.
    answer(desk, ID, "desk")
    await ended(desk, ID, "answered_elsewhere")
    end(tablet, ID, "user_rejected")
    await ended(tablet, ID, "answered_elsewhere")
    ice(desk, ID, 11)
    ice(late, ID, 22)
    assert (await heard(alice, "call.ice", ID))["ice_candidate"] == candidate(22)
    # A device that comes now does not ring; it may hang up, like the user's other sessions.
    last = await phone(server, "bob", "last")
    await settle(last, desk, tablet, alice)
    assert log(last, ID) == []
    end(last, ID)
    for party in (alice, late):
        assert (await ended(party, ID, "user_hangup"))["from_user"] == "bob"
    assert log(alice, ID).count("answer") == 1
    assert log(alice, ID).count("ice") == 3
    await close(alice, desk, tablet, late, last)
    await server.stop()


@pytest_twisted.ensureDeferred
@ENCODINGS
async def test_calls_that_come_to_nothing(serve: Serve, binary: bool) -> None:
    server = await serve(overrides=["calls.ring_seconds=1.5"]).start()
    alice = await phone(server, "alice", binary=binary)
    desk, tablet = await phone(server, "bob", "desk"), await phone(server, "bob", "tablet", binary=binary)

    # Rejected by one device, for all, with the person's word.
    for word, told in (
        ("user_rejected", "user_rejected"),
        ("user_busy", "user_busy"),
        ("user_hangup", "user_rejected"),
        ("later", "user_rejected"),
    ):
        call = f"rejected-{word}"
        await rings(alice, desk, "bob", call)
        await heard(tablet, "call.offer", call)
        end(desk, call, word)
        for client in (alice, desk):
            payload = await ended(client, call, told)
            assert (payload["from_user"], payload["duration"]) == ("bob", 0)
        await ended(tablet, call, "user_rejected")

    # The caller gives up.
    await rings(alice, desk, "bob", "cancelled")
    end(alice, "cancelled")
    for client in (alice, desk, tablet):
        assert (await ended(client, "cancelled", "user_hangup"))["from_user"] == "alice"

    # Nobody answers.
    await rings(alice, desk, "bob", "unanswered")
    for client in (alice, desk, tablet):
        await ended(client, "unanswered", "timeout")
    answer(desk, "unanswered")  # too late
    await ended(desk, "unanswered", "timeout")

    # Nobody is there, or nobody is.
    for callee in ("carol", "nobody", 12345):
        offer(alice, callee, f"to {callee}")
        await refused(alice, f"to {callee}", "user_offline")
    # There are devices, but none of these calls.
    laptop: Any = await jsonline_client.connect_tcp(reactor, server.port("jsonline"))
    await laptop.log_in("carol")
    offer(alice, "carol", "incompatible")
    await refused(alice, "incompatible", "no_compatible_device")
    offer(alice, "alice", "to myself")
    await refused(alice, "to myself", "bad_request")

    # After all that everybody is free.
    await runs(alice, desk, "bob", "at last")
    end(desk, "at last")
    await ended(alice, "at last", "user_hangup")
    await close(alice, desk, tablet, laptop)
    await server.stop()


@pytest_twisted.ensureDeferred
async def test_busy(serve: Serve) -> None:
    """In any call, ringing or running, on any device, at either end."""
    server = await serve().start()
    alice, other = await phone(server, "alice"), await phone(server, "alice", "other")
    bob, carol, dave = await phone(server, "bob"), await phone(server, "carol"), await phone(server, "dave")
    await rings(alice, bob, "bob", ID)
    for running in (False, True):
        if running:
            answer(bob, ID)
            await heard(alice, "call.answer", ID)
        for number, (caller, callee) in enumerate(
            ((carol, "alice"), (carol, "bob"), (alice, "carol"), (other, "carol"), (bob, "carol"))
        ):
            call = f"busy-{running}-{number}"
            offer(caller, callee, call)
            told = await ended(caller, call, "user_busy")
            assert (told["duration"], "details" in told) == (0, False)
    await settle(alice, other, bob, carol)
    assert not [message for message in carol.messages if message["type"] == "call.offer"]
    assert log(bob, ID) == ["offer"]
    # Others are not concerned.
    await runs(carol, dave, "dave", "another")
    end(other, ID)
    for party in (alice, bob):
        await ended(party, ID, "user_hangup")
    await runs(bob, alice, "alice", "now")
    await close(alice, other, bob, carol, dave)
    await server.stop()


@pytest_twisted.ensureDeferred
async def test_both_call_each_other(serve: Serve) -> None:
    server = await serve().start()
    alice, bob = await phone(server, "alice"), await phone(server, "bob", binary=True)
    for round in range(20):
        ids = {alice: f"alice-{round}", bob: f"bob-{round}"}
        offer(alice, "bob", ids[alice])
        offer(bob, "alice", ids[bob])
        # The one that stands rings at the other's; the other one is over, and says why.
        await settle(alice, bob)
        ends = {client: log(client, ids[client]) for client in (alice, bob)}
        (lost,) = [client for client, told in ends.items() if told == ["end user_busy"]]
        won = bob if lost is alice else alice
        assert ends[won] == ["status ringing"]
        assert log(lost, ids[won]) == ["offer"]
        assert log(won, ids[lost]) == []
        over = next(m["payload"] for m in lost.messages if m["payload"].get("call_id") == ids[lost])
        assert over["details"] == {"glare": True}
        answer(lost, ids[won])
        await heard(won, "call.answer", ids[won])
        end(won, ids[won])
        for client in (alice, bob):
            await ended(client, ids[won], "user_hangup")
    await close(alice, bob)
    await server.stop()


@pytest_twisted.ensureDeferred
async def test_renegotiation(serve: Serve) -> None:
    """Offers and answers inside a running call go to the other party, from either side, and ring nowhere."""
    server = await serve().start()
    alice, bob, other = (
        await phone(server, "alice"),
        await phone(server, "bob"),
        await phone(server, "bob", "other"),
    )
    await runs(alice, bob, "bob", ID)
    await ended(other, ID, "answered_elsewhere")
    for number, (speaker, listener, callee) in enumerate(((alice, bob, "bob"), (bob, alice, "alice")) * 2):
        kind = "audio" if number % 2 else "video"
        offer(speaker, callee, ID, f"offer {number}", call_type=kind)
        told = await heard(listener, "call.offer", ID)
        assert (told["sdp"], told["call_type"]) == (sdp("offer", f"offer {number}"), kind)
        answer(listener, ID, f"answer {number}")
        told = await heard(speaker, "call.answer", ID)
        assert told["sdp"] == sdp("answer", f"answer {number}")
    offer(other, "alice", ID, "mine")
    await refused(other, ID, "not_participant")
    # The target is the call's, whatever the message says.
    offer(alice, "carol", ID, "again")
    assert (await heard(bob, "call.offer", ID))["to_user"] == "bob"
    await settle(alice, bob, other)
    assert log(other, ID) == ["offer", "end answered_elsewhere", "error not_participant"]
    end(alice, ID)
    await ended(bob, ID, "user_hangup")
    await close(alice, bob, other)
    await server.stop()


@pytest_twisted.ensureDeferred
async def test_who_may_do_what(serve: Serve) -> None:
    server = await serve().start()
    alice, bob, eve = await phone(server, "alice"), await phone(server, "bob"), await phone(server, "carol")
    other = await phone(server, "alice", "other")

    async def attempts(call: Any, reason: str) -> None:
        """Everything that a stranger could try."""
        answer(eve, call)
        await refused(eve, call, reason)
        ice(eve, call, 1)
        await refused(eve, call, reason)
        end(eve, call)
        await refused(eve, call, reason)
        for kind, word in (("call.status", "status"), ("call.error", "error_code")):
            eve.send(kind, {"call_id": call, word: "x"})
            await refused(eve, call, reason)

    await attempts(ID, "unknown_call")
    await rings(alice, bob, "bob", ID)
    await attempts(ID, "not_participant")
    offer(eve, "bob", ID)
    await refused(eve, ID, "call_id_in_use")
    answer(bob, ID)
    await heard(alice, "call.answer", ID)
    await attempts(ID, "not_participant")
    # A participant's other session may end the call, and nothing else.
    answer(other, ID)
    await refused(other, ID, "not_participant")
    ice(other, ID, 1)
    await refused(other, ID, "not_participant")
    # Nor does it answer its own call.
    await settle(alice, bob)
    assert log(bob, ID) == ["offer"]
    end(bob, ID)
    await ended(alice, ID, "user_hangup")
    # What crosses the end is no error for those who took part; others learn nothing still.
    for client in (alice, bob):
        end(client, ID)
        ice(client, ID, 1)
        client.send("call.status", {"call_id": ID, "status": "disconnected"})
    await settle(alice, bob)
    assert not [message for message in (*alice.messages, *bob.messages) if message["type"] == "call.error"]
    await attempts(ID, "not_participant")
    offer(eve, "bob", ID)
    await refused(eve, ID, "call_id_in_use")
    assert not [message for message in eve.messages if message["type"] not in ("connect", "call.error")]
    # An answer before it rings, by the one who calls.
    await rings(alice, bob, "bob", "next")
    answer(alice, "next")
    await refused(alice, "next", "bad_request")
    await close(alice, bob, eve, other)
    await server.stop()


@pytest_twisted.ensureDeferred
@ENCODINGS
async def test_what_is_too_large_or_none(serve: Serve, binary: bool) -> None:
    server = await serve().start()
    alice, bob = await phone(server, "alice", binary=binary), await phone(server, "bob")
    fits = "v=0" + "x" * 65_533
    for more, reason in (
        ({"sdp": fits + "x"}, "too_large"),
        ({"sdp": {"sdp": fits + "x"}}, "too_large"),
        ({"sdp": "hello"}, "bad_sdp"),
        ({"sdp": None}, "bad_sdp"),
        ({"ice_candidates": [{"candidate": "x" * 2048}]}, "too_large"),
        ({"padding": "x" * 200_000}, "too_large"),
        ({"call_type": "screen"}, "bad_request"),
    ):
        offer(alice, "bob", ID, **more)
        await refused(alice, ID, reason)
    offer(alice, "bob", "x" * 129)
    await refused(alice, None, "bad_request")
    offer(alice, "bob", ID, sdp=fits, ice_candidates=[candidate(n) for n in range(64)])
    assert (await heard(bob, "call.offer", ID))["sdp"] == fits
    alice.send("call.ice", {"call_id": ID, "ice_candidate": {"candidate": "x" * 2048}})
    await refused(alice, ID, "too_large")
    # As many candidates as are kept, as large as they may be: a late device gets all of them.
    large = [{"candidate": f"{number:02}" + "x" * 2000} for number in range(70)]
    for one in large:
        alice.send("call.ice", {"call_id": ID, "ice_candidate": one})
    for one in large:
        assert (await heard(bob, "call.ice", ID))["ice_candidate"] == one
    late = await phone(server, "bob", "late")
    assert (await heard(late, "call.offer", ID))["sdp"] == fits
    kept = [(await heard(late, "call.ice", ID))["ice_candidate"] for _ in range(64)]
    assert kept == large[:64]
    await close(alice, bob, late)
    await server.stop()


@pytest_twisted.ensureDeferred
async def test_the_server_goes_down(serve: Serve) -> None:
    """Every call ends with its reason before the goodbye."""
    server = await serve().start()
    alice, bob, carol, dave = [await phone(server, name) for name in ("alice", "bob", "carol", "dave")]
    await runs(alice, bob, "bob", "running")
    await rings(carol, dave, "dave", "ringing")
    stopping = ensureDeferred(server.stop())
    for client, call in ((alice, "running"), (bob, "running"), (carol, "ringing"), (dave, "ringing")):
        await ended(client, call, "server_error")
        await client.closed
        *_, goodbye = client.messages
        assert goodbye["payload"]["event_type"] == "session_ended", client.messages
    await stopping
