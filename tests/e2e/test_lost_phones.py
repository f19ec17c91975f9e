"""Calls of document 002 whose parties lose their connections, or their lives."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import pytest_twisted
from twisted.internet.threads import deferToThread

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

ID = "call_1"
ROOT = Path(__file__).parents[2]
SHORT = "calls.grace_seconds=1.5"
LONG = "calls.grace_seconds=600"


class Process:
    """A telephone that is a process."""

    def __init__(self, server: Server, user: str, *arguments: str) -> None:
        self._process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "tests.clients.signalling_phone",
                str(server.port("/im")),
                user,
                *arguments,
            ],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            text=True,
        )

    async def says(self, word: str) -> None:
        """Waits for a line."""
        output = self._process.stdout
        assert output is not None
        while (line := await deferToThread(output.readline)).strip() != word:
            assert line, "it ended"

    def kill(self) -> None:
        """As the kernel does when there is no memory left."""
        os.kill(self._process.pid, signal.SIGKILL)
        self._process.wait(30)

    def close(self) -> None:
        """Whatever it does."""
        self._process.kill()
        self._process.wait(30)
        assert self._process.stdout is not None
        self._process.stdout.close()


Start = Callable[..., Process]


@pytest.fixture
def process(serve: Serve) -> Iterator[Start]:
    """Starts telephones that end with the test."""
    made: list[Process] = []

    def start(server: Server, user: str, *arguments: str) -> Process:
        made.append(Process(server, user, *arguments))
        return made[-1]

    yield start
    for one in made:
        one.close()


async def gone(client: SignallingClient, *others: SignallingClient) -> None:
    """Loses the connection without a word; the server has seen it before anybody else says more.

    A reset is there before what the others write from now on, but the server may read
    them first in its turn. By the second answer a turn has passed that began after it.
    """
    client.abort()
    await client.closed
    for _ in range(2):
        await settle(*others)


@pytest_twisted.ensureDeferred
@pytest.mark.parametrize("binary", [False, True], ids=["json", "msgpack"])
async def test_a_party_comes_back(serve: Serve, binary: bool) -> None:
    """The first session that names the call takes the place; what was said meanwhile comes then."""
    server = await serve(overrides=[LONG]).start()
    for lost, kept in (("alice", "bob"), ("bob", "alice")):
        call = f"{lost} is lost"
        people = {name: await phone(server, name, binary=binary) for name in ("alice", "bob")}
        await runs(people["alice"], people["bob"], "bob", call)
        there = people[kept]
        await gone(people[lost], there)
        for number in (1, 2):
            ice(there, call, number)
        offer(there, lost, call, "restart", call_type="audio")
        await settle(there)

        # Another session of the user that does not name it, takes nothing.
        idle, back = await phone(server, lost, "idle"), await phone(server, lost, "back")
        await settle(idle, back)
        assert log(idle, call) == log(back, call) == []
        back.send("call.status", {"call_id": call, "status": "connected"})
        assert (await heard(there, "call.status", call))["from_user"] == lost
        for number in (1, 2):
            assert (await heard(back, "call.ice", call))["ice_candidate"] == candidate(number)
        assert (await heard(back, "call.offer", call))["sdp"] == sdp("offer", "restart")
        answer(back, call, "restarted")
        assert (await heard(there, "call.answer", call))["sdp"] == sdp("answer", "restarted")
        # The place is taken now.
        idle.send("call.status", {"call_id": call, "status": "connected"})
        ice(idle, call, 9)
        await settle(idle, there)
        assert log(there, call).count("status connected") == 1
        assert log(there, call).count("ice") == 0
        end(there, call)
        for client in (there, back):
            assert (await ended(client, call, "user_hangup"))["from_user"] == kept
        await settle(idle)
        assert not [line for line in log(idle, call) if line.startswith("end")]
        await close(there, idle, back)
    await server.stop()


@pytest_twisted.ensureDeferred
async def test_a_device_comes_back_before_its_loss_is_noticed(serve: Serve) -> None:
    """As after a change of networks: the old connection looks alive for a long time."""
    server = await serve(overrides=[LONG]).start()
    for lost, kept in (("alice", "bob"), ("bob", "alice")):
        call = f"{lost} has moved"
        people = {name: await phone(server, name, "mobile") for name in ("alice", "bob")}
        await runs(people["alice"], people["bob"], "bob", call)
        there, old = people[kept], people[lost]
        tablet, back = await phone(server, lost, "tablet"), await phone(server, lost, "mobile")
        offer(tablet, kept, call, "not mine", call_type="audio")
        await refused(tablet, call, "not_participant")
        offer(back, kept, call, "restart", call_type="audio")
        assert (await heard(there, "call.offer", call))["sdp"] == sdp("offer", "restart")
        answer(there, call, "restarted")
        assert (await heard(back, "call.answer", call))["sdp"] == sdp("answer", "restarted")
        await ended(old, call, "answered_elsewhere")
        # What the old one still has to say, and its end, change nothing.
        offer(old, kept, call, "late", call_type="audio")
        await refused(old, call, "not_participant")
        await gone(old, there)
        ice(back, call, 1)
        assert (await heard(there, "call.ice", call))["ice_candidate"] == candidate(1)
        assert log(there, call).count("offer") == (2 if kept == "bob" else 1)
        end(back, call)
        await ended(there, call, "user_hangup")
        await close(there, tablet, back)
    await server.stop()


@pytest_twisted.ensureDeferred
async def test_both_come_back(serve: Serve) -> None:
    server = await serve(overrides=[LONG]).start()
    alice, bob = await phone(server, "alice"), await phone(server, "bob")
    await runs(alice, bob, "bob", ID)
    await gone(alice)
    await gone(bob)
    alice, bob = await phone(server, "alice", "new"), await phone(server, "bob", "new")
    ice(alice, ID, 1)
    await settle(alice)
    ice(bob, ID, 2)
    assert (await heard(bob, "call.ice", ID))["ice_candidate"] == candidate(1)
    assert (await heard(alice, "call.ice", ID))["ice_candidate"] == candidate(2)
    end(alice, ID)
    await ended(bob, ID, "user_hangup")
    await close(alice, bob)
    await server.stop()


@pytest_twisted.ensureDeferred
async def test_a_caller_comes_back_while_it_rings(serve: Serve) -> None:
    server = await serve(overrides=[LONG]).start()
    alice, bob = await phone(server, "alice"), await phone(server, "bob")
    await rings(alice, bob, "bob", ID)
    await gone(alice, bob)
    assert log(bob, ID) == ["offer"], "it goes on ringing"
    answer(bob, ID, "while you were out")
    ice(bob, ID, 1)
    await settle(bob)
    alice = await phone(server, "alice", "new")
    alice.send("call.status", {"call_id": ID, "status": "connected"})
    assert (await heard(alice, "call.answer", ID))["sdp"] == sdp("answer", "while you were out")
    assert (await heard(alice, "call.status", ID))["status"] == "answered"
    assert (await heard(alice, "call.ice", ID))["ice_candidate"] == candidate(1)
    end(alice, ID)
    await ended(bob, ID, "user_hangup")
    await close(alice, bob)
    await server.stop()


@pytest_twisted.ensureDeferred
async def test_nobody_comes_back(serve: Serve) -> None:
    server = await serve(overrides=[SHORT]).start()
    for lost, kept in (("alice", "bob"), ("bob", "alice")):
        people = {name: await phone(server, name) for name in ("alice", "bob")}
        await runs(people["alice"], people["bob"], "bob", lost)
        begun = time.monotonic()
        await gone(people[lost])
        told = await ended(people[kept], lost, "network_error")
        assert time.monotonic() - begun > 1.4, "it was waited for"
        assert (told["from_user"], told["to_user"]) == (lost, kept)
        assert told["duration"] >= 1
        # Whoever comes too late is told so; both are free.
        late = await phone(server, lost, "late")
        ice(late, lost, 1)
        await ended(late, lost, "network_error")
        await runs(late, people[kept], kept, f"{lost} again")
        end(late, f"{lost} again")
        await ended(people[kept], f"{lost} again", "user_hangup")
        await close(late, people[kept])
    await server.stop()


@pytest_twisted.ensureDeferred
async def test_the_callees_devices_are_lost_while_it_rings(serve: Serve) -> None:
    """It goes on ringing: a device may be woken up."""
    server = await serve(overrides=[SHORT]).start()
    alice, bob = await phone(server, "alice"), await phone(server, "bob")
    await rings(alice, bob, "bob", ID)
    await gone(bob)
    await sleep(2.0)
    await settle(alice)
    assert log(alice, ID) == ["status ringing"]
    bob = await phone(server, "bob", "woken")
    await heard(bob, "call.offer", ID)
    answer(bob, ID)
    await heard(alice, "call.answer", ID)
    await close(alice, bob)
    await server.stop()


@pytest_twisted.ensureDeferred
async def test_processes_that_are_killed(serve: Serve, process: Start) -> None:
    """SIGKILL in the middle of the ringing and of the call: the other side is told within the grace."""
    server = await serve(overrides=[SHORT]).start()
    alice = await phone(server, "alice")

    # A callee, in the call.
    bob = process(server, "bob", "--answer")
    await bob.says("connect connected")
    offer(alice, "bob", "answered")
    await heard(alice, "call.answer", "answered")
    bob.kill()
    assert (await ended(alice, "answered", "network_error"))["from_user"] == "bob"

    # A callee, ringing: another device takes the call.
    bob = process(server, "bob")
    await bob.says("connect connected")
    offer(alice, "bob", "ringing")
    await bob.says("call.offer")
    bob.kill()
    other = await phone(server, "bob")
    await heard(other, "call.offer", "ringing")
    answer(other, "ringing")
    await heard(alice, "call.answer", "ringing")
    end(alice, "ringing")
    await ended(other, "ringing", "user_hangup")

    # A caller, ringing.
    bob = process(server, "bob", "--call", "alice")
    await heard(alice, "call.offer", "of bob")
    await bob.says("call.status ringing")
    bob.kill()
    told = await ended(alice, "of bob", "network_error")
    assert (told["from_user"], told["duration"]) == ("bob", 0)

    # A caller, in the call.
    carol = process(server, "carol", "--call", "alice")
    await heard(alice, "call.offer", "of carol")
    answer(alice, "of carol")
    await carol.says("call.status answered")
    carol.kill()
    assert (await ended(alice, "of carol", "network_error"))["from_user"] == "carol"

    # Everybody is free after all that.
    await runs(alice, other, "bob", "at last")
    await close(alice, other)
    await server.stop()
