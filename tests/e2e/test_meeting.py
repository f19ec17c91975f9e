"""Document 003 through the real process, with a client written by hand."""

from __future__ import annotations

from typing import Any

import pytest_twisted
from twisted.internet import reactor

from tests.clients.meeting_client import MeetingClient, connect, connect_member, view_of
from tests.e2e.conftest import Serve
from tests.e2e.server import Server


def port(server: Server) -> int:
    """The listener of the rooms."""
    return server.port("/meeting")


async def same_view(*clients: MeetingClient) -> None:
    """Whoever is in a room knows of it by events what the dump says."""
    for client in clients:
        before = dict(client.view)
        assert before == view_of(await client.dump())


@pytest_twisted.ensureDeferred
async def test_join_publish_dump_leave(serve: Serve) -> None:
    server = await serve().start()
    alice = await connect(reactor, port(server))
    joined = await alice.join("app", "room", "a1", token="demo_token_alice", device="phone")
    assert (joined["err"], joined["err_msg"], joined["data"]["session"]) == (0, "ok", alice.session)
    await alice.dump()
    bob = await connect_member(reactor, port(server), "bob", endpoint="b1")
    event = await alice.expect("endpoint")
    assert event["data"] == {"device": "b1", "endpoint": "b1", "stat": "join"}

    assert (await alice.publish("s1", type="desktop"))["err"] == 0
    event = await bob.expect("stream")
    assert event["data"] == {"device": "phone", "endpoint": "a1", "stream": "s1", "stat": "publish"}
    stream = {
        "stream_id": "s1", "type": "desktop", "has_video": True, "has_audio": True,
        "audio_codec": "opus", "video_codec": "vp8",
    }  # fmt: skip
    expected: list[Any] = [
        {"endpoint": "a1", "device": "phone", "role": "normal", "stream": stream},
        {"endpoint": "b1", "device": "b1", "role": "normal", "stream": None},
    ]
    assert await bob.dump() == expected

    data = {"text": "你好 😀", "deep": [{"n": [1, 2.5, None, True]}]}
    assert (await bob.request("broadcast", data))["err"] == 0
    event = await alice.expect("broadcast")
    assert event["data"] == {"source_endpoint": {"device": "b1", "endpoint": "b1"}, "payload": data}

    assert (await alice.request("stream.delete", {"stream_id": "s1"}))["session"] == alice.session
    assert (await bob.expect("stream"))["data"]["stat"] == "unpublish"
    await same_view(alice, bob)
    session = alice.session
    left = await alice.request("channel.leave")
    assert (left["err"], left["session"]) == (0, session)
    assert (await bob.expect("endpoint"))["data"] == {"device": "phone", "endpoint": "a1", "stat": "leave"}
    await same_view(bob)
    # Nobody heard of himself.
    assert not [one for one in bob.all_events if one["data"].get("endpoint") == "b1"]
    assert (await alice.request("channel.dump"))["err"] == 5
    assert (await alice.join("app", "other"))["err"] == 3  # its token was for that one join
    await alice.closed
    await bob.close()
    await server.stop()
