"""Calls between people who have devices of several formats: only those ring that can take the call."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor

from tests.clients import jsonline_client, protobuf_client, qdatastream_client
from tests.e2e import phones
from tests.e2e.conftest import Serve
from tests.e2e.phones import phone
from tests.e2e.server import Server

RELAYS = ("framed", "unframed")
WEBRTC = ("json", "msgpack")


class Device:
    """A device of whatever kind."""

    def __init__(self, kind: str, client: Any) -> None:
        self.kind = kind
        self.client = client
        client.timeout = 60.0

    @property
    def media(self) -> str:
        """What can call each other is equal."""
        return "relay" if self.kind in RELAYS else "webrtc" if self.kind in WEBRTC else ""

    def call(self, callee: str, call: str) -> None:
        """Calls somebody."""
        if self.media == "relay":
            self.client.call(callee)
        else:
            phones.offer(self.client, callee, call)

    async def rings(self) -> str:
        """Waits until it rings; the call's id."""
        if self.media == "relay":
            return str((await self.client.expect("call_request"))["call"])
        return str((await phones.heard(self.client, "call.offer"))["call_id"])

    def answer(self, call: str) -> None:
        """Takes the call."""
        if self.media == "relay":
            self.client.accept(call)
        else:
            phones.answer(self.client, call)

    async def answered(self, call: str) -> None:
        """Waits until the call that it made is taken."""
        if self.media == "relay":
            assert (await self.client.expect("call_accept"))["call"] == call
        else:
            await phones.heard(self.client, "call.answer", call)

    def end(self, call: str) -> None:
        """Ends the call."""
        if self.media == "relay":
            self.client.end(call)
        else:
            phones.end(self.client, call)

    async def ended(self, call: str) -> None:
        """Waits until it is over."""
        if self.media == "relay":
            assert (await self.client.expect("call_end"))["call"] == call
        else:
            await phones.ended(self.client, call, "user_hangup")

    async def refused(self, call: str, reason: str) -> None:
        """Waits until the call that it made comes to nothing."""
        if self.media == "relay":
            assert (await self.client.expect("call_reject"))["reason"] == reason
        elif reason == "user busy":
            await phones.ended(self.client, call, "user_busy")
        else:
            await phones.refused(self.client, call, reason.replace(" ", "_"))

    async def settle(self) -> None:
        """What was written to it before is there."""
        if self.media == "relay":
            await self.client.heartbeat()
        elif self.media == "webrtc":
            await self.client.request("ping")

    @property
    def rang(self) -> int:
        """How often."""
        kind = "call_request" if self.media == "relay" else "call.offer"
        return sum(message["type"] == kind for message in self.client.messages)


async def device(server: Server, user: str, kind: str) -> Device:
    """A session."""
    if kind in RELAYS:
        client: Any = await qdatastream_client.connect_user(
            reactor, server.port("qdatastream"), user, framed=kind == "framed"
        )
    elif kind in WEBRTC:
        client = await phone(server, user, binary=kind == "msgpack")
    elif kind == "jsonline":
        client = await jsonline_client.connect_tcp(reactor, server.port("jsonline"))
        await client.log_in(user)
    else:
        client = await protobuf_client.connect_user(reactor, server.port("/ws"), user)
    return Device(kind, client)


async def close(*devices: Device) -> None:
    """Ends sessions."""
    for one in devices:
        await one.client.close()


async def talk(caller: Device, callee: str, ringing: list[Device], quiet: list[Device], call: str) -> None:
    """A call that rings at some devices and not at others; the last one at which it rings takes it."""
    before = [one.rang for one in quiet]
    caller.call(callee, call)
    told = {await one.rings() for one in ringing}
    assert len(told) == 1
    (call,) = told
    ringing[-1].answer(call)
    await caller.answered(call)
    caller.end(call)
    await caller.ended(call)
    await ringing[-1].ended(call)
    for one in quiet:
        await one.settle()
    assert [one.rang for one in quiet] == before


@pytest_twisted.ensureDeferred
@pytest.mark.parametrize("kind", [*RELAYS, *WEBRTC])
async def test_only_devices_of_its_kind_ring(serve: Serve, kind: str) -> None:
    """Every set of devices that the callee may have."""
    server = await serve().start()
    caller = await device(server, "alice", kind)
    choices = ["framed", "json", "jsonline", "protobuf"]
    for count in range(len(choices) + 1):
        for kinds in itertools.combinations(choices, count):
            devices = [await device(server, "bob", one) for one in kinds]
            call = f"{kind} to {'+'.join(kinds)}"
            fit = [one for one in devices if one.media == caller.media]
            phones_of_others = [one for one in devices if one.media not in ("", caller.media)]
            if fit:
                await talk(caller, "bob", fit, phones_of_others, call)
            else:
                caller.call("bob", call)
                await caller.refused(call, "no compatible device" if devices else "user offline")
                for one in phones_of_others:
                    await one.settle()
                    assert not one.rang
            await close(*devices)
    await close(caller)
    await server.stop()


@pytest_twisted.ensureDeferred
async def test_every_pair_of_mixes(serve: Serve) -> None:
    """People with devices of document 000, of 002, or of both call each other from each of their devices."""
    server = await serve().start()
    mixes = [("framed",), ("unframed",), ("json",), ("msgpack",), ("framed", "json"), ("unframed", "msgpack")]
    for mine, theirs in itertools.product(mixes, mixes):
        own = [await device(server, "alice", kind) for kind in mine]
        others = [await device(server, "bob", kind) for kind in theirs]
        for caller in own:
            call = f"{caller.kind} of {mine} to {theirs}"
            fit = [one for one in others if one.media == caller.media]
            rest = [one for one in (*own, *others) if one not in (caller, *fit)]
            if fit:
                await talk(caller, "bob", fit, rest, call)
            else:
                caller.call("bob", call)
                await caller.refused(call, "no compatible device")
        await close(*own, *others)
    await server.stop()


@pytest_twisted.ensureDeferred
async def test_one_call_at_a_time_whatever_the_device(serve: Serve) -> None:
    """Who is in a call of one document is busy for the other's."""
    server = await serve().start()
    for kinds in (("framed", "json"), ("json", "framed")):
        own = [await device(server, "alice", kind) for kind in kinds]
        others = [await device(server, "bob", kind) for kind in kinds]
        third = [await device(server, "carol", kind) for kind in kinds]
        first, second = (one[0] for one in (own, others)), (one[1] for one in (own, others))
        caller, callee = first
        caller_too, callee_too = second
        caller.call("bob", f"{kinds} first")
        call = await callee.rings()
        for answered in (False, True):
            if answered:
                callee.answer(call)
                await caller.answered(call)
            for number, (busy, whom) in enumerate(
                ((caller_too, "carol"), (callee_too, "carol"), (third[1], "alice"), (third[1], "bob"))
            ):
                other = f"{kinds} {answered} {number}"
                busy.call(whom, other)
                await busy.refused(other, "user busy")
        caller.end(call)
        await callee.ended(call)
        await caller.ended(call)
        # The other devices may talk to each other now.
        await talk(caller_too, "bob", [callee_too], [caller, callee, *third], f"{kinds} last")
        await close(*own, *others, *third)
    await server.stop()
