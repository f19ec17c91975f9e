"""Meeting rooms moderated over REST and from the command line."""

from __future__ import annotations

from pytest_twisted import ensureDeferred
from twisted.internet import reactor

from tests.clients.meeting_client import connect, connect_member
from tests.clients.rest_client import RestClient
from tests.e2e.conftest import Serve
from tests.e2e.test_cli import done, refused
from tests.e2e.test_rest import promote


@ensureDeferred
async def test_over_rest(serve: Serve) -> None:
    server = await serve().start()
    port = server.port("/meeting")
    alice = await connect_member(reactor, port, "alice", "class 7", device="pc")
    bob = await connect_member(reactor, port, "bob", "class 7")
    await alice.publish("s1", audio_codec="opus")
    await bob.expect("stream")
    await connect_member(reactor, port, "carol", "other")
    room = "/api/admin/rooms/app/class%207"
    user = RestClient(server.port("/im"), "demo_token_dave")
    paths = (
        ("GET", "/api/admin/rooms"),
        ("GET", room),
        ("DELETE", room),
        ("DELETE", room + "/endpoints/alice"),
    )
    for method, path in paths:
        assert user.call(method, path).status == 403, path
    admin = RestClient(server.port("/im"), "demo_token_dave")
    promote(server, "dave")

    listed = admin.get("/api/admin/rooms?limit=1").data
    assert listed["has_more"]
    (first,) = listed["rooms"]
    assert (first["app"], first["channel"], first["endpoints"], first["streams"]) == ("app", "class 7", 2, 1)
    assert [one["channel"] for one in admin.get("/api/admin/rooms?after=app/class%207").data["rooms"]] == [
        "other"
    ]
    shown = admin.get(room).data
    assert shown["room"] == first
    assert shown["endpoints"][0] == {
        "endpoint": "alice", "device": "pc", "role": "normal", "user_id": "alice", "connected": True,
        "stream": {"stream_id": "s1", "type": "camera", "has_video": True, "has_audio": True,
                   "audio_codec": "opus", "video_codec": "vp8"},
    }  # fmt: skip
    sessions = admin.get("/api/admin/sessions?user=alice").data["sessions"]
    assert [one["format"] for one in sessions] == ["meeting"]

    session = alice.session
    assert admin.call("DELETE", room + "/endpoints/alice").data == {}
    assert (await alice.expect("error"))["data"] == {"type": "kicked"}
    assert (await alice.closed).code == 1008
    assert (await bob.expect("stream"))["data"]["stat"] == "unpublish"
    left = await bob.expect("endpoint", lambda data: data["stat"] == "leave")
    assert left["data"] == {"device": "pc", "endpoint": "alice", "stat": "leave"}
    alice = await connect(reactor, port, token="demo_token_alice")
    assert (await alice.join("app", "class 7", "alice", session=session))["err"] == 4
    assert (await alice.join("app", "class 7", "alice"))["err"] == 0
    for path in (room + "/endpoints/nobody", "/api/admin/rooms/app/none", "/api/admin/rooms/app/a%2Fb"):
        assert admin.call("DELETE", path).status == 404, path

    assert admin.call("DELETE", room).data == {}
    for client in (alice, bob):
        assert (await client.expect("error"))["data"] == {"type": "room_closed"}
        assert (await client.closed).code == 1008
    assert admin.get(room).status == 404
    metrics = RestClient(server.port("/im")).get("/metrics").raw.decode()
    for line in (
        "imserver_rooms 1.0",
        "imserver_rooms_endpoints 1.0",
        "imserver_rooms_streams 0.0",
        'imserver_rooms_joins_total{kind="new"} 4.0',
        'imserver_rooms_leaves_total{reason="removed"} 3.0',
        'imserver_rooms_refused_total{fault="bad_session"} 1.0',
        'imserver_sessions{format="meeting"} 1.0',
    ):
        assert f"\n{line}\n" in metrics, (line, metrics)
    await server.stop()


@ensureDeferred
async def test_from_the_command_line(serve: Serve) -> None:
    server = await serve().start()
    port, data = server.port("/meeting"), server.data
    alice = await connect_member(reactor, port, "alice", "room")
    bob = await connect_member(reactor, port, "bob", "room")
    rooms = await done(data, "room", "list")
    assert [(one["app"], one["channel"], one["endpoints"]) for one in rooms] == [("app", "room", 2)]
    found = await done(data, "room", "list", "app/room")
    assert [(one["info"]["endpoint"], one["user"]) for one in found] == [("alice", "alice"), ("bob", "bob")]
    await done(data, "room", "kick", "app/room", "alice")
    assert (await alice.expect("error"))["data"] == {"type": "kicked"}
    assert "no such endpoint" in await refused(data, 1, "room", "kick", "app/room", "alice")
    assert "APP/CHANNEL" in await refused(data, 2, "room", "close", "room")
    await done(data, "room", "close", "app/room")
    assert (await bob.expect("error"))["data"] == {"type": "room_closed"}
    assert await done(data, "room", "list") == []

    # A token for one role in one room.
    issued = await done(data, "token", "issue", "alice", "--role", "recorder", "--room", "app/tape")
    tape = await connect(reactor, port)
    assert (await tape.join("app", "tape", "t", role="recorder", token=issued["token"]))["err"] == 0
    assert [one["role"] for one in await tape.dump()] == ["recorder"]
    for fields in ({"channel": "other"}, {"role": "normal"}):
        other = await connect(reactor, port)
        asked = {"channel": "tape", "role": "recorder", "token": issued["token"], **fields}
        assert (await other.join("app", asked.pop("channel"), "o", **asked))["err"] == 3
        await other.closed
    await tape.close()
    await server.stop()
    assert await done(data, "room", "list") == []  # without a server there are none
