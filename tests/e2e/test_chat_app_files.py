"""Files of the dialect chat-app through a real process: control channel and byte channels by hand."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import DeferredList
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol

from tests.clients import jsonline_client
from tests.clients.chat_app_client import ChatAppClient, password_hash
from tests.clients.relay_channel import DATA, END, FAILED, RelayChannel, first_line, frame, open_channel
from tests.e2e.certificates import Authority
from tests.e2e.conftest import Serve
from tests.e2e.server import Server, sleep
from tests.e2e.test_chat_app import connect, start, user
from tests.e2e.tls_clients import endpoint, tls_override

CONTENT = os.urandom(300_000)


def offer(to: str, size: int, kind: str = "user", **more: Any) -> dict[str, Any]:
    return {
        "target": {"type": kind, "id": to},
        "file_name": "report.pdf",
        "file_size": size,
        "checksum": "sha256:abc",
        **more,
    }


async def close(*clients: ChatAppClient) -> None:
    for client in clients:
        await client.close()


async def accepted(
    alice: ChatAppClient, bob: ChatAppClient, size: int = len(CONTENT), to: str = "bob"
) -> dict[str, Any]:
    """A file that was offered and accepted: what file/accept says."""
    ack = await alice.ask("file/request", offer(to, size))
    (session,) = ack["sessions"]
    await bob.next("file/request", session_id=session["session_id"])
    await bob.ask("file/accept", {"session_id": session["session_id"]})
    told: dict[str, Any] = await alice.next("file/accept")
    assert await bob.next("file/accept") == told
    return told


async def bare(server: Server) -> RelayChannel:
    """A connection to the file channel's port on which nothing was said."""
    endpoint = TCP4ClientEndpoint(reactor, "127.0.0.1", server.port("files"), 10)
    channel: RelayChannel = await connectProtocol(endpoint, RelayChannel())
    return channel


@pytest_twisted.ensureDeferred
async def test_a_file(serve: Serve) -> None:
    server = await start(serve)
    alice, bob, phone = await user(server, "alice"), await user(server, "bob"), await user(server, "bob", "2")
    ack = await alice.ask("file/request", offer("bob", len(CONTENT)))
    (session,) = ack["sessions"]
    id = session["session_id"]
    assert len(bytes.fromhex(id)) == 16
    assert ack == {
        "status": 200,
        "sessions": [{"session_id": id, "target_id": "bob"}],
        "file_name": "report.pdf",
        "file_size": len(CONTENT),
    }
    for one in (bob, phone):
        assert await one.next("file/request") == {
            "session_id": id,
            "from_user": "alice",
            "file_name": "report.pdf",
            "file_size": len(CONTENT),
            "checksum": "sha256:abc",
        }
    answer = await bob.ask("file/accept", {"session_id": id})
    place = {
        "session_id": id,
        "file_name": "report.pdf",
        "file_size": len(CONTENT),
        "channel_host": "127.0.0.1",
        "channel_port": server.port("files"),
        "target_id": "bob",
    }
    assert answer == {"status": 200, **place}
    for one in (alice, bob):
        assert await one.next("file/accept") == place
    # The event comes before the answer.
    order = [line["command"] for line in bob.lines if line["command"].startswith("file/accept")]
    assert order == ["file/accept", "file/accept_ack"]
    elsewhere = await phone.next("file/error")
    assert (elsewhere["session_id"], type(elsewhere["error_code"])) == (id, int)
    assert (await phone.ask("file/accept", {"session_id": id}, status=409))["session_id"] == id

    # The sender begins before the receiver is there, in one write, and in awkward pieces.
    sender = await open_channel(reactor, place, "sender", "alice")
    pieces = [frame(DATA, CONTENT[:100_000]), frame(DATA), frame(DATA, CONTENT[100_000:]), frame(END, b"{}")]
    sender.send(*pieces[:2])
    receiver = await open_channel(reactor, place, "receiver", "bob")
    for start_at in range(0, len(pieces[2]), 7_001):
        sender.send(pieces[2][start_at : start_at + 7_001])
        await sleep(0)
    sender.send(pieces[3])
    await receiver.last()
    assert receiver.data() == CONTENT
    assert receiver.frames[-1] == (END, b"{}")
    done = {"session_id": id, "target_id": "bob", "file_name": "report.pdf", "file_size": len(CONTENT)}
    for one in (alice, bob):
        assert await one.next("file/complete") == done
    await sender.ended
    await receiver.ended
    # It was moved once.
    late = await open_channel(reactor, place, "receiver", "bob")
    await late.last()
    assert late.frames[0][0] == FAILED
    await bob.ask("file/accept", {"session_id": id}, status=404)
    await close(alice, bob, phone)
    await server.stop()


@pytest_twisted.ensureDeferred
async def test_who_does_not_close(serve: Serve) -> None:
    """A receiver that stays connected has the file all the same, and an empty one is a file, too."""
    server = await start(serve)
    alice, bob = await user(server, "alice"), await user(server, "bob")
    for size in (0, 50_000):
        place = await accepted(alice, bob, size)
        receiver = await open_channel(reactor, place, "receiver", "bob", close_at_end=False)
        sender = await open_channel(reactor, place, "sender", "alice", close_at_end=False)
        sender.send(frame(DATA, b"x" * size), frame(END))
        for one in (alice, bob):
            assert (await one.next("file/complete"))["file_size"] == size
        await receiver.last()
        assert receiver.size == size
        receiver.transport.loseConnection()
        sender.transport.loseConnection()
        await receiver.ended
        await sender.ended
    await close(alice, bob)
    await server.stop()


@pytest_twisted.ensureDeferred
async def test_a_room(serve: Serve) -> None:
    """One session for each member who is there; each is its own affair."""
    server = await start(serve)
    alice, bob, carol = [await user(server, name) for name in ("alice", "bob", "carol")]
    await alice.ask("room/create", {"room_id": "team", "members": ["bob", "carol", "dave"]})
    ack = await alice.ask("file/request", offer("team", 5, "room"))
    sessions = {one["target_id"]: one["session_id"] for one in ack["sessions"]}
    assert set(sessions) == {"bob", "carol"}
    await bob.ask("file/accept", {"session_id": sessions["carol"]}, status=404)
    rejected = await carol.ask("file/reject", {"session_id": sessions["carol"], "reason": "no room"})
    assert rejected == {"status": 200, "session_id": sessions["carol"]}
    told = await alice.next("file/reject")
    assert told == {
        "session_id": sessions["carol"],
        "target_id": "carol",
        "file_name": "report.pdf",
        "reason": "no room",
    }
    await bob.ask("file/accept", {"session_id": sessions["bob"]})
    place = await alice.next("file/accept")
    sender = await open_channel(reactor, place, "sender", "alice")
    receiver = await open_channel(reactor, place, "receiver", "bob")
    sender.send(frame(DATA, b"hello"), frame(END))
    await receiver.last()
    assert receiver.data() == b"hello"
    await alice.next("file/complete", target_id="bob")
    outsider = await connect(server)
    await outsider.ask("auth/login", {"token": "demo_token_mallory"})
    await outsider.ask("file/request", offer("team", 5, "room"), status=404)
    await close(alice, bob, carol, outsider)
    await server.stop()


@pytest_twisted.ensureDeferred
async def test_what_is_refused(serve: Serve) -> None:
    server = await start(serve, overrides=["files.max_bytes=1000", "files.offer_seconds=0.5"])
    alice, bob = await user(server, "alice"), await user(server, "bob")
    for payload, status in (
        (offer("nobody", 5), 404),
        (offer("carol", 5), 404),  # she is not there
        (offer("alice", 5), 400),
        (offer("bob", 1001), 413),
        (offer("bob", -1), 400),
        (offer("bob", 5, file_name=""), 400),
        (offer("bob", 5, file_name="a\n"), 400),
        (offer("bob", 5, checksum="x" * 300), 400),
        (offer("bob", 5, target={"type": "broadcast"}), 400),
        ({"file_name": "x", "file_size": 5}, 400),
    ):
        answer = await alice.ask("file/request", payload, status=status)
        assert answer["sessions"] == []
    for command in ("file/accept", "file/reject", "file/error"):
        answer = await alice.ask(command, {"session_id": "0" * 32}, status=404)
        assert answer["session_id"] == "0" * 32
        await alice.ask(command, {}, status=400)
    await alice.ask("file/list", {}, status=404)
    # Draft clients are told of stored files in their own words, this dialect's not at all.
    draft = await jsonline_client.connect_tcp(reactor, server.port("jsonline"))
    await draft.log_in("carol")
    stored = await draft.request(
        "file/request", {"file_name": "x", "file_size": 5, "target": {"type": "user", "id": "bob"}}
    )
    assert stored["payload"]["status"] == 200, stored
    await bob.ask("control/ping")
    assert not [line for line in bob.events if line["command"].startswith("file/")]
    await draft.close()

    # An offer that nobody answers.
    (session,) = (await alice.ask("file/request", offer("bob", 5)))["sessions"]
    await bob.next("file/request")
    for one in (alice, bob):
        failed = await one.next("file/error")
        assert (failed["session_id"], failed["error_message"]) == (
            session["session_id"],
            "nobody answered in time",
        )
    # One whose sender takes it back, or goes.
    (session,) = (await alice.ask("file/request", offer("bob", 5)))["sessions"]
    await alice.ask("file/reject", {"session_id": session["session_id"]})
    assert "took it back" in (await bob.next("file/error"))["error_message"]
    dave = await user(server, "dave")
    await dave.ask("file/request", offer("bob", 5))
    await dave.close()
    assert "has gone" in (await bob.next("file/error"))["error_message"]

    # Blocks count for files, too.
    await bob.ask("friend/block", {"friend_id": "alice"})
    await alice.ask("file/request", offer("bob", 5), status=403)
    await close(alice, bob)
    await server.stop()


@pytest_twisted.ensureDeferred
async def test_asked_again(serve: Serve) -> None:
    """A request that is sent again under its id is answered again, and not done again."""
    server = await start(serve)
    alice, bob = await user(server, "alice"), await user(server, "bob")
    asked = await alice.ask("file/request", offer("bob", 5), id="ask")
    assert await alice.ask("file/request", offer("bob", 5), id="ask") == asked
    await alice.ask("file/request", offer("bob", 6), id="ask", status=409)
    (session,) = asked["sessions"]
    about = {"session_id": session["session_id"]}
    for command, id in (("file/accept", "take"), ("file/error", "lose")):
        told = await bob.ask(command, about, id=id)
        assert await bob.ask(command, about, id=id) == told
    (session,) = (await alice.ask("file/request", offer("bob", 5)))["sessions"]
    about = {"session_id": session["session_id"]}
    assert await bob.ask("file/reject", about, id="no") == await bob.ask("file/reject", about, id="no")
    await alice.ask("control/ping")
    heard = [line["command"] for line in bob.events if line["command"].startswith("file/")]
    assert heard == ["file/request", "file/accept", "file/error", "file/request"]
    heard = [line["command"] for line in alice.events if line["command"].startswith("file/")]
    assert heard == ["file/accept", "file/error", "file/reject"]
    # What it was about goes with the connection; on the next one it is another request.
    (session,) = (await alice.ask("file/request", offer("bob", 5), id="other"))["sessions"]
    await alice.close()
    await bob.next("file/error", session_id=session["session_id"])
    alice = await user(server, "alice")
    (again,) = (await alice.ask("file/request", offer("bob", 5), id="other"))["sessions"]
    assert again["session_id"] != session["session_id"]
    await bob.next("file/request", session_id=again["session_id"])
    await close(alice, bob)
    await server.stop()


@pytest_twisted.ensureDeferred
async def test_without_a_channel_there_are_no_files(serve: Serve) -> None:
    only = 'listener=[{format="jsonline",dialect="chat-app",endpoint="tcp:0:interface=127.0.0.1"}]'
    server = await start(serve, listeners=[only])
    alice, bob = await user(server, "alice"), await user(server, "bob")
    await alice.ask("file/request", offer("bob", 5), status=503)
    await close(alice, bob)
    await server.stop()


@pytest_twisted.ensureDeferred
async def test_channels_that_go_wrong(serve: Serve) -> None:
    server = await start(serve)
    alice, bob = await user(server, "alice"), await user(server, "bob")

    async def fails(words: str, *ends: RelayChannel) -> None:
        for one in (alice, bob):
            told = await one.next("file/error")
            assert words in told["error_message"], told
        for end in ends:
            await end.last()
            assert end.frames[-1][0] == FAILED, end.frames[-1]
            assert words in end.frames[-1][1].decode()
            await end.ended

    async def both() -> tuple[RelayChannel, RelayChannel]:
        place = await accepted(alice, bob, 10)
        receiver = await open_channel(reactor, place, "receiver", "bob")
        sender = await open_channel(reactor, place, "sender", "alice")
        sender.send(frame(DATA))
        while not receiver.frames:
            await sleep(0.01)
        receiver.frames.clear()
        return sender, receiver

    sender, receiver = await both()
    sender.send(frame(DATA, b"x" * 5), frame(FAILED, b"disk gone"))
    await fails("disk gone", receiver)
    assert receiver.data() == b"x" * 5

    sender, receiver = await both()
    sender.send(frame(DATA, b"x" * 11))
    await fails("more was sent", sender, receiver)

    sender, receiver = await both()
    sender.send(frame(DATA, b"x" * 9), frame(END))
    await fails("less was sent", sender, receiver)

    sender, receiver = await both()
    sender.send(frame(7, b"x"))
    await fails("unknown type", sender, receiver)

    sender, receiver = await both()
    sender.send(frame(DATA, b"x"))
    sender.transport.loseConnection()
    await fails("sender's channel", receiver)

    # In the middle of a frame nothing can be said: the connection just ends.
    sender, receiver = await both()
    sender.send(frame(DATA, b"x" * 10)[:9])
    await sleep(0.1)
    sender.transport.abortConnection()
    await fails("sender's channel")
    await receiver.ended
    assert receiver.frames == []

    sender, receiver = await both()
    receiver.transport.abortConnection()
    await fails("receiver's channel", sender)

    sender, receiver = await both()
    receiver.send(frame(FAILED, b"no space"))
    await fails("no space", sender)

    sender, receiver = await both()
    place = sender  # the connection stays; the control channel ends it
    told = next(line for line in reversed(alice.lines) if line["command"] == "file/accept")["payload"]
    await bob.ask("file/error", {"session_id": told["session_id"], "error_message": "changed my mind"})
    await fails("changed my mind", place, receiver)
    await close(alice, bob)
    await server.stop()


@pytest_twisted.ensureDeferred
async def test_strangers_at_the_channel(serve: Serve) -> None:
    server = await start(serve)
    alice, bob = await user(server, "alice"), await user(server, "bob")
    place = await accepted(alice, bob, 5)
    id = place["session_id"]
    (waiting,) = (await alice.ask("file/request", offer("bob", 5)))["sessions"]
    for line in (
        first_line("0" * 32, "sender", "alice"),
        first_line(id, "sender", "bob"),
        first_line(id, "receiver", "alice"),
        first_line(id, "receiver", "carol"),
        first_line(id, "sender", ""),
        first_line(id, "owner", "alice"),
        first_line(waiting["session_id"], "sender", "alice"),  # not accepted yet
        b"{}\n",
        b"{nonsense\n",
        b'{"session_id":5,"role":"sender","user_id":"alice"}\n',
        b"{" + b"x" * 5_000,
        b"{\xff\n",
    ):
        channel = await bare(server)
        channel.send(line)
        await channel.last()
        assert channel.frames[0][0] == FAILED, line
        await channel.ended
    # None of it has hurt the file.
    both = [await open_channel(reactor, place, "sender", "alice") for _ in range(2)]
    # Whichever is heard first is the sender.
    _, refused = await DeferredList([one.last() for one in both], fireOnOneCallback=True, consumeErrors=True)
    second, sender = both[refused], both[1 - refused]
    assert second.frames[0][0] == FAILED
    await second.ended
    receiver = await open_channel(reactor, place, "receiver", "bob")
    sender.send(frame(DATA, b"hello"), frame(END))
    await receiver.last()
    assert receiver.data() == b"hello"
    # The draft's channel is at the same port.
    draft = await bare(server)
    draft.send(frame(3, b'{"transfer_id":"x","token":"y","role":"sender","offset":0}'))
    await draft.last()
    assert draft.frames[0][0] == 5
    quiet = await bare(server)
    quiet.transport.loseConnection()
    await quiet.ended
    await close(alice, bob)
    await server.stop()


@pytest_twisted.ensureDeferred
async def test_back_pressure(serve: Serve) -> None:
    """A receiver that does not read stops the sender; the server's memory does not grow."""
    server = await start(serve)
    alice, bob = await user(server, "alice"), await user(server, "bob")
    size = 96 * 1024 * 1024
    place = await accepted(alice, bob, size)
    receiver = await open_channel(reactor, place, "receiver", "bob", keep=False)
    sender = await open_channel(reactor, place, "sender", "alice")
    receiver.transport.pauseProducing()
    before = server.rss()
    block = frame(DATA, b"x" * (1024 * 1024))
    for _ in range(size // (1024 * 1024)):
        sender.send(block)
    sender.send(frame(END))
    for _ in range(10):
        await sleep(0.1)
        assert server.rss() - before < 24 * 1024 * 1024
    await bob.ask("control/ping")
    assert not [line for line in bob.events if line["command"] == "file/complete"]
    receiver.transport.resumeProducing()
    for one in (alice, bob):
        one.timeout = 60.0
        await one.next("file/complete")
    await receiver.last()
    assert receiver.size == size
    assert server.rss() - before < 24 * 1024 * 1024
    await close(alice, bob)
    await server.stop()


@pytest_twisted.ensureDeferred
async def test_a_log_out_ends_what_it_moves(serve: Serve) -> None:
    server = await start(serve, demo=False)
    clients = []
    for name in ("ann", "ben"):
        made = await _registered(server, name)
        clients.append(made)
    ann, ben = clients
    place = await accepted(ann, ben, 10, "ben")
    receiver = await open_channel(reactor, place, "receiver", "ben")
    sender = await open_channel(reactor, place, "sender", "ann")
    sender.send(frame(DATA, b"x"))
    await ann.ask("auth/logout")
    assert "log-in" in (await ben.next("file/error"))["error_message"]
    await receiver.last()
    assert receiver.frames[-1][0] == FAILED
    await ann.ended
    await ben.close()
    await server.stop()


async def _registered(server: Server, name: str) -> ChatAppClient:
    client = await connect(server)
    await client.ask("auth/register", {"username": name, "password": password_hash(name)})
    await client.log_in(name)
    return client


@pytest_twisted.ensureDeferred
async def test_over_tls(serve: Serve, tmp_path: Path) -> None:
    """Where the session is encrypted the channel is, too, and ends as well."""
    authority = Authority(tmp_path / "pki")
    pair = authority.issue("server", "localhost")
    server = await start(serve, overrides=[tls_override(4, pair), tls_override(5, pair)])
    alice, bob = [
        await jsonline_client.connect(endpoint(authority, server.port("chat-app")), ChatAppClient(reactor))
        for _ in range(2)
    ]
    for one, name in ((alice, "alice"), (bob, "bob")):
        assert (await one.log_in(name))["payload"]["status"] == 200
    content = os.urandom(3_000_000)
    for whole in (True, False):
        place = await accepted(alice, bob, len(content))
        assert place["channel_port"] == server.port("files")
        receiver, sender = [
            await connectProtocol(endpoint(authority, place["channel_port"]), RelayChannel())
            for _ in range(2)
        ]
        receiver.send(first_line(place["session_id"], "receiver", "bob"))
        sender.send(first_line(place["session_id"], "sender", "alice"))
        if whole:
            sender.send(*[frame(DATA, content[at : at + 65536]) for at in range(0, len(content), 65536)])
            sender.send(frame(END))
        else:
            sender.send(frame(DATA, content[:1_000_000]))
            sender.transport.loseConnection()
        await receiver.last()
        assert receiver.data() == (content if whole else content[:1_000_000])
        assert receiver.frames[-1][0] == (END if whole else FAILED)
        for one in (alice, bob):
            await one.next("file/complete" if whole else "file/error", session_id=place["session_id"])
        await receiver.ended
        await sender.ended
    await close(alice, bob)
    await server.stop()
