"""Media of document 000 through the real process: beside chat, to slow readers, to who is killed."""

from __future__ import annotations

import os
import random
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import ensureDeferred, gatherResults
from twisted.internet.protocol import ClientFactory
from twisted.internet.threads import deferToThread

from tests.clients import jsonline_client
from tests.clients.qdatastream_client import QDataStreamClient, connect, packet, packets
from tests.clients.rest_client import RestClient
from tests.e2e.certificates import Authority
from tests.e2e.conftest import Serve
from tests.e2e.server import NO_RATES, Server, sleep
from tests.e2e.test_calls import KINDS, close, running, user
from tests.e2e.tls_clients import endpoint, tls_override

SIZE = 60_000
"""Bytes of a packet, as the document's largest."""
WINDOW = 8
"""Packets under way in one direction, so that no reader is slow."""
FREE = ("calls.media_bytes_per_second=1000000000000", *NO_RATES)
ROOT = Path(__file__).parent.parent.parent


def counted(server: Server, name: str, **labels: str) -> float:
    """A counter of /metrics."""
    text = RestClient(server.port("/im")).get("/metrics").raw.decode()
    wanted = name + (
        "{" + ",".join(f'{key}="{value}"' for key, value in labels.items()) + "}" if labels else ""
    )
    (value,) = re.findall(rf"^{re.escape(wanted)} (\S+)$", text, re.MULTILINE)
    return float(value)


async def counts(server: Server, wanted: float, name: str, **labels: str) -> None:
    """Waits until a counter is there."""
    deadline = time.monotonic() + 60
    while counted(server, name, **labels) < wanted:
        assert time.monotonic() < deadline, f"{name} stays below {wanted}"
        await sleep(0.05)


async def talk(sender: QDataStreamClient, receiver: QDataStreamClient, call: str, count: int) -> None:
    """Sends packets one after the other, a few under way at a time."""
    for number in range(count + WINDOW):
        if number < count:
            sender.media(packet(number, SIZE))
        if number >= WINDOW:
            while len(receiver.heard(call)) < (number - WINDOW + 1) * SIZE:
                await receiver.expect("media")


async def chat(sender: QDataStreamClient, receiver: QDataStreamClient, name: str, count: int) -> None:
    """Texts, one for each that arrived."""
    for number in range(count):
        sender.send_text(name, f"text {number} to {name}")
        got = await receiver.expect("text")
        assert got["text"] == f"text {number} to {name}"


@pytest_twisted.ensureDeferred
@pytest.mark.parametrize("kinds", [(KINDS[0], KINDS[0]), (KINDS[1], KINDS[3]), (KINDS[0], KINDS[2])])
async def test_chat_goes_on_beside_media(
    serve: Serve, kinds: tuple[tuple[bool, str], tuple[bool, str]]
) -> None:
    """60,000-byte packets both ways, and texts over the same sockets and others: all of it, in order.

    Texts come from the framed side: an unframed text may be taken for media.
    """
    server = await serve(overrides=FREE).start()
    alice, bob = await user(server, "alice", *kinds[0]), await user(server, "bob", *kinds[1])
    carol, dave = await user(server, "carol"), await user(server, "dave", False, "qstring")
    call = await running(alice, bob, "bob")
    line = await jsonline_client.connect_tcp(reactor, server.port("jsonline"))
    await line.log_in("carol")
    work = [
        talk(alice, bob, call, 60),
        talk(bob, alice, call, 60),
        chat(alice, bob, "bob", 100),
        chat(dave, carol, "carol", 100),
    ]
    if bob.framed:
        work.append(chat(bob, alice, "alice", 100))
    await gatherResults([ensureDeferred(one) for one in work])
    assert packets(bob.heard(call), SIZE) == list(range(60))
    # What is received together without frames is one piece, the next one's type included.
    glued = alice.heard(call).count(b"\x06")
    assert packets(alice.heard(call).replace(b"\x06", b""), SIZE) == list(range(60))
    assert glued == 0 or not bob.framed
    alice.end()
    for party in (alice, bob):
        assert (await party.expect("call_end"))["call"] == call
    assert counted(server, "imserver_calls_media_bytes_total") == 120 * SIZE + glued
    assert counted(server, "imserver_calls_media_dropped_total", reason="slow") == 0
    await close(alice, bob, carol, dave, line)
    await server.stop()


@pytest_twisted.ensureDeferred
@pytest.mark.parametrize("framed", [True, False])
async def test_unframed_media_that_the_network_cuts(serve: Serve, framed: bool) -> None:
    """Every packet in pieces; what is received is what was sent, and the connection lives."""
    server = await serve(overrides=FREE).start()
    chance = random.Random(5)
    alice, bob = await user(server, "alice", False, "qstring"), await user(server, "bob", framed)
    for late in range(1, 4):
        call = await running(alice, bob, "bob")
        sent = 0
        for number in range(10):
            data = b"\x06" + packet(number, SIZE)
            while data:
                # A piece that begins like a message may be one: packets have no such bytes.
                size = chance.choice([1, 100, 1460, 20_000])
                alice.send_raw(data[:size])
                sent += len(data[:size]) - data[:size].startswith(b"\x06")
                data = data[size:]
                if chance.random() < 0.3:
                    await sleep(0.001)
            # The next one's type byte would be taken for media, were it received with this one.
            while len(bob.heard(call)) < sent:
                await bob.expect("media")
        assert packets(bob.heard(call), SIZE) == list(range(10))
        # Hung up by the other side, in the middle of a packet: what comes later breaks nothing.
        alice.send_raw(b"\x06" + packet(10, SIZE)[:30_000])
        while len(bob.heard(call)) < sent + 1:
            await bob.expect("media")
        bob.end(call)
        assert (await alice.expect("call_end"))["call"] == call
        alice.send_raw(packet(10, SIZE)[30_000:])
        await bob.expect("call_end")
        await counts(server, late, "imserver_calls_media_dropped_total", reason="no_call")
        await alice.heartbeat()
    await close(alice, bob)
    await server.stop()


@pytest_twisted.ensureDeferred
async def test_the_rate_of_a_call(serve: Serve) -> None:
    server = await serve(overrides=["calls.media_bytes_per_second=65536"]).start()
    alice, bob = await user(server, "alice"), await user(server, "bob")
    alice.media(b"\xff")  # in no call
    call = await running(alice, bob, "bob")
    for number in range(50):
        alice.media(packet(number, SIZE))
    await alice.heartbeat()
    await bob.heartbeat()
    got = packets(bob.heard(call), SIZE)
    assert got[0] == 0
    assert got == sorted(got)
    assert len(got) < 25
    assert counted(server, "imserver_calls_media_dropped_total", reason="no_call") == 1
    dropped = counted(server, "imserver_calls_media_dropped_total", reason="rate")
    # What is on its way to bob may be behind the echo of his heartbeat.
    relayed = counted(server, "imserver_calls_media_packets_total")
    assert relayed + dropped == 50
    assert dropped > 25
    await close(alice, bob)
    await server.stop()


async def narrow(server: Server, name: str) -> QDataStreamClient:
    """Somebody whose kernel takes little."""
    client = QDataStreamClient(reactor)
    client.timeout = 60.0

    class Factory(ClientFactory):
        noisy = False

        def buildProtocol(self, addr: object) -> QDataStreamClient:
            return client

    plain = socket.socket()
    plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 * 1024)
    await deferToThread(plain.connect, ("127.0.0.1", server.port("qdatastream")))
    plain.setblocking(False)
    reactor.adoptStreamConnection(  # type: ignore[attr-defined]
        plain.fileno(), socket.AF_INET, Factory()
    )
    plain.close()
    client.register(name)
    await client.heartbeat()
    return client


@pytest_twisted.ensureDeferred
async def test_a_slow_reader_loses_the_oldest_media_and_nothing_else(serve: Serve) -> None:
    server = await serve(overrides=FREE).start()
    alice, carol = await user(server, "alice"), await user(server, "carol")
    bob = await narrow(server, "bob")
    call = await running(alice, bob, "bob")
    bob.pause()
    count = 200
    for number in range(count):
        alice.media(packet(number, SIZE))
    await alice.heartbeat()  # the server has it all
    for number in range(50):
        carol.send_text("bob", f"text {number}")
    await carol.heartbeat()
    dropped = counted(server, "imserver_calls_media_dropped_total", reason="slow")
    assert counted(server, "imserver_calls_media_packets_total") == count

    bob.resume()
    for number in range(50):
        assert (await bob.expect("text"))["text"] == f"text {number}"
    while (count - 1) not in packets(bob.heard(call), SIZE):
        await bob.expect("media")
    got = packets(bob.heard(call), SIZE)
    # Every packet is whole, they are in order, and it was the oldest of those that waited that went.
    assert len(bob.heard(call)) == len(got) * SIZE
    assert got == sorted(got)
    assert len(got) + dropped == count
    assert got[-16:] == list(range(count - 16, count))  # a MiB of them
    assert dropped > count / 2
    # The texts came before what waited, though they were sent after it.
    kinds = [message["type"] for message in bob.messages if message["type"] in ("text", "media")]
    last_text = len(kinds) - 1 - kinds[::-1].index("text")
    assert kinds[last_text + 1 :].count("media") >= 16
    assert kinds[: kinds.index("text")].count("media") == len(got) - kinds[kinds.index("text") :].count(
        "media"
    )
    # It is still in its call, and not slow.
    bob.media(b"\x80")
    await alice.expect("media")
    assert counted(server, "imserver_slow_peers_total", format="qdatastream") == 0
    await close(alice, bob, carol)
    await server.stop()


@pytest_twisted.ensureDeferred
async def test_what_waits_when_a_call_ends_is_dropped(serve: Serve) -> None:
    server = await serve(overrides=FREE).start()
    alice, bob = await user(server, "alice"), await narrow(server, "bob")
    call = await running(alice, bob, "bob")
    bob.pause()
    for number in range(100):
        alice.media(packet(number, SIZE))
    alice.end()
    assert (await alice.expect("call_end"))["call"] == call
    bob.resume()
    assert (await bob.expect("call_end"))["call"] == call
    await bob.heartbeat()
    got = packets(bob.heard(call), SIZE)
    assert got == list(range(len(got)))
    assert [message["type"] for message in bob.messages[-2:]] == ["call_end", "heartbeat"]
    dropped = counted(server, "imserver_calls_media_dropped_total", reason="slow")
    assert len(got) + dropped == 100
    await close(alice, bob)
    await server.stop()


@pytest_twisted.ensureDeferred
async def test_over_tls(serve: Serve, tmp_path: Path) -> None:
    authority = Authority(tmp_path / "pki")
    pair = authority.issue("server", "localhost")
    server = await serve(overrides=[*FREE, tls_override(3, pair)]).start()
    parties = []
    for name in ("alice", "bob", "carol"):
        client = await connect(endpoint(authority, server.port("qdatastream")), QDataStreamClient(reactor))
        client.timeout = 60.0
        client.register(name)
        await client.heartbeat()
        parties.append(client)
    alice, bob, carol = parties
    call = await running(alice, bob, "bob")
    await gatherResults(
        [ensureDeferred(talk(alice, bob, call, 30)), ensureDeferred(talk(bob, alice, call, 30))]
    )
    for party in (alice, bob):
        assert packets(party.heard(call), SIZE) == list(range(30))
    # A reader that is too slow, here too.
    bob.pause()
    count = 300
    for number in range(30, count):
        alice.media(packet(number, SIZE))
    await alice.heartbeat()
    for number in range(20):
        carol.send_text("bob", f"text {number}")
    await carol.heartbeat()
    bob.resume()
    for number in range(20):
        assert (await bob.expect("text"))["text"] == f"text {number}"
    while (count - 1) not in packets(bob.heard(call)[-SIZE:], SIZE):
        await bob.expect("media")
    got = packets(bob.heard(call), SIZE)
    assert got == sorted(got)
    dropped = counted(server, "imserver_calls_media_dropped_total", reason="slow")
    assert len(got) + dropped == count
    assert dropped > 0
    await close(*parties)
    await server.stop()


# Parties that are killed


@contextmanager
def phone(server: Server, name: str, *options: str) -> Iterator[subprocess.Popen[str]]:
    """A client that is a process of its own."""
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "tests.clients.qdatastream_phone",
            str(server.port("qdatastream")),
            name,
            *options,
        ],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


async def says(process: subprocess.Popen[str], kind: str) -> None:
    """Waits until a phone has got something."""
    out: IO[str] | None = process.stdout
    assert out is not None
    while True:
        line = await deferToThread(out.readline)
        assert line, "the phone is gone"
        if line.strip() == kind:
            return


@pytest_twisted.ensureDeferred
@pytest.mark.parametrize("framed", [True, False])
async def test_a_party_that_is_killed(serve: Serve, framed: bool) -> None:
    """In the middle of a call, of its media, and of the ringing: the other one is told."""
    server = await serve(overrides=["calls.ring_seconds=3"]).start()
    bob = await user(server, "bob", framed, "utf8" if framed else "qstring")

    with phone(server, "alice", "--call", "bob", "--talk") as alice:
        call = (await bob.expect("call_request"))["call"]
        bob.accept(call)
        await bob.expect("call_accept")
        await bob.expect("media")
        os.kill(alice.pid, signal.SIGKILL)
        assert (await bob.expect("call_end"))["call"] == call

    with phone(server, "alice", "--call", "bob") as alice:
        call = (await bob.expect("call_request"))["call"]
        os.kill(alice.pid, signal.SIGKILL)
        assert (await bob.expect("call_end"))["call"] == call

    with phone(server, "alice", "--answer", "--talk") as alice:
        await says(alice, "heartbeat")
        bob.call("alice")
        call = (await bob.expect("call_accept"))["call"]
        await bob.expect("media", lambda media: media["call"] == call)
        os.kill(alice.pid, signal.SIGKILL)
        assert (await bob.expect("call_end"))["call"] == call

    # Called, and killed while it rings: it rings for the others, until the time is over.
    with phone(server, "carol") as carol:
        await says(carol, "heartbeat")
        other = await user(server, "carol")
        bob.call("carol")
        await says(carol, "call_request")
        call = (await other.expect("call_request"))["call"]
        os.kill(carol.pid, signal.SIGKILL)
        told = await bob.expect("call_reject")
        assert (told["call"], told["reason"]) == (call, "no answer")
        assert (await other.expect("call_end"))["call"] == call
    await close(bob, other)
    await server.stop()


@pytest_twisted.ensureDeferred
async def test_after_the_servers_death_nobody_is_busy(serve: Serve) -> None:
    server = await serve().start()
    alice, bob = await user(server, "alice"), await user(server, "bob", False, "qstring")
    await running(alice, bob, "bob")
    server.kill()
    for client in (alice, bob):
        await client.ended
    await server.start()
    alice, bob = await user(server, "alice"), await user(server, "bob", False, "qstring")
    call = await running(bob, alice, "alice")
    alice.media(packet(1, 100))
    while not packets(bob.heard(call), 100):
        await bob.expect("media")
    await close(alice, bob)
    await server.stop()
