"""Document 003 through the real process, with a client written by hand."""

from __future__ import annotations

from typing import Any

import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import ensureDeferred

from tests.clients import jsonline_client, qdatastream_client
from tests.clients.meeting_client import MeetingClient, connect, connect_member
from tests.clients.rest_client import RestClient
from tests.e2e.conftest import Serve
from tests.e2e.server import Server, sleep


def port(server: Server) -> int:
    """The listener of the rooms."""
    return server.port("/meeting")


async def same_view(*clients: MeetingClient) -> None:
    """Whoever is in a room knows of it by events what the dump says, as soon as that comes."""
    for client in clients:
        await client.dump()
        assert client.heard == client.view


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


@pytest_twisted.ensureDeferred
async def test_where_tokens_stand_and_bad_ones(serve: Serve) -> None:
    server = await serve().start()
    for place in ("query", "header"):
        client = await connect(reactor, port(server), token="demo_token_carol", place=place)
        assert (await client.join("app", "room", f"c-{place}"))["err"] == 0
        assert (await client.join("app", "room2", "c2"))["err"] == 6
        await client.close()
    for token in ("", "nonsense", "demo_token_", "demo_token_a/b"):
        client = await connect(reactor, port(server), token=token)
        answer = await client.join("app", "room", "x")
        assert (answer["err"], answer["data"]) == (3, {})
        closed = await client.closed
        assert closed.code == 1008
    # What is in the request counts, not what the handshake brought.
    client = await connect(reactor, port(server), token="demo_token_carol")
    assert (await client.join("app", "room", "x", token="nonsense"))["err"] == 3
    await client.closed
    await server.stop()


@pytest_twisted.ensureDeferred
async def test_resume_and_replace(serve: Serve) -> None:
    server = await serve(overrides=["rooms.grace_seconds=8"]).start()
    bob = await connect_member(reactor, port(server), "bob")
    alice = await connect_member(reactor, port(server), "alice")
    await alice.publish("s1")
    session = alice.session
    await bob.expect("stream")

    # The connection is lost and another one goes on with the session, then a third beside it.
    alice.abort()
    await alice.closed
    for _ in range(2):
        before, alice = alice, await connect(reactor, port(server), token="demo_token_alice")
        alice.session = session
        assert (await alice.join("app", "room", "alice", session=session))["data"]["session"] == session
    assert (await before.expect("error"))["data"] == {"type": "replaced"}
    assert (await before.closed).code == 1008
    assert (await alice.request("broadcast", {"n": 1}))["err"] == 0
    await bob.expect("broadcast")
    assert [one["data"]["stat"] for one in bob.all_events if one["event"] == "endpoint"] == ["join"]
    await alice.dump()
    assert alice.view["alice"] == ("alice", "s1")

    # A newcomer without the session.
    newcomer = await connect(reactor, port(server), token="demo_token_alice")
    assert (await newcomer.join("app", "room", "alice"))["err"] == 0
    assert newcomer.session != session
    assert (await alice.expect("error"))["data"] == {"type": "replaced"}
    assert (await alice.closed).code == 1008
    assert (await bob.expect("stream"))["data"]["stat"] == "unpublish"
    await same_view(bob)
    thief = await connect(reactor, port(server), token="demo_token_carol")
    assert (await thief.join("app", "room", "alice"))["err"] == 6
    assert (await thief.join("app", "room", "alice", session=newcomer.session))["err"] == 4
    assert (await thief.join("app", "room", "c", session=session))["err"] == 4
    assert (await thief.join("app", "other", "c"))["err"] == 0  # the connection lives on
    await thief.close()

    # Nobody comes back.
    newcomer.abort()
    left = await bob.expect("endpoint", lambda data: data["stat"] == "leave")
    assert left["data"]["endpoint"] == "alice"
    await same_view(bob)
    late = await connect(reactor, port(server), token="demo_token_alice")
    assert (await late.join("app", "room", "alice", session=newcomer.session))["err"] == 0
    assert late.session != newcomer.session
    await bob.expect("endpoint", lambda data: data["stat"] == "join")
    await late.close()
    await bob.close()
    await server.stop()


@pytest_twisted.ensureDeferred
async def test_wrong_sessions_methods_and_versions(serve: Serve) -> None:
    server = await serve().start()
    alice = await connect_member(reactor, port(server), "alice")
    bob = await connect_member(reactor, port(server), "bob", "other")
    methods: dict[str, Any] = {
        "channel.leave": {}, "channel.dump": {}, "media_server.dump": {}, "broadcast": {},
        "stream.delete": {"stream_id": "s"},
        "stream.add": {"stream": {"type": "camera", "stream_id": "s", "has_video": True, "has_audio": True}},
    }  # fmt: skip
    stranger = await connect(reactor, port(server))
    for method, data in methods.items():
        for session in ("", bob.session, "0" * 32, alice.session.upper() + "x"):
            assert (await alice.request(method, data, session=session))["err"] == 4, method
            assert (await stranger.request(method, data, session=session))["err"] == 5, method
    for version in (1, -1, 2**40):
        answer = await alice.request("channel.dump", version=version)
        assert (answer["err"], answer["version"]) == (11, version)
    for method in ("channel.fly", "", "CHANNEL.DUMP", "channel.dump ", "x" * 1000):
        assert (await alice.request(method))["err"] == (2 if method else 1)
    for data in (None, {"x": 1}):
        assert (await alice.request("channel.dump", data))["err"] == 0
    stray = alice.stray()
    alice.send_text('{"cseq": "7", "method": "channel.dump"}')
    told = await stray
    assert (told["err"], told["cseq"]) == (1, 0)

    # A message that is too long is skipped; a broadcast that is too long is refused.
    stray = alice.stray()
    alice.send_text('{"cseq":9,"method":"broadcast","data":{"a":"%s"}}' % ("x" * 300_000))
    assert (await stray)["err"] == 1
    size = 65_536 - len('{"a":""}')
    assert (await alice.request("broadcast", {"a": "x" * size}))["err"] == 0
    assert (await alice.request("broadcast", {"a": "x" * (size + 1)}))["err"] == 1
    alice.send_binary(b"{}")
    assert (await alice.closed).code == 1003
    await stranger.close()
    await bob.close()
    await server.stop()


@pytest_twisted.ensureDeferred
async def test_accounts_of_every_format_meet(serve: Serve) -> None:
    server = await serve(demo=False).start()
    rest = RestClient(server.port("/im"))
    tokens = {}
    # 001 and 002 log in with the tokens of REST; 000 and 004 are given theirs.
    for user in ("one", "two"):
        registered = {"username": user, "password": "secret"}
        assert rest.post("/api/auth/register", registered).status in (200, 201)
        tokens[user] = rest.post("/api/auth/login", registered).data["token"]
    zero = await qdatastream_client.connect_tcp(reactor, server.port("qdatastream"))
    answer = await zero.log_in("zero", "secret", kind=qdatastream_client.REGISTER)
    tokens["zero"] = answer["token"]
    four = await jsonline_client.connect_tcp(reactor, server.port("jsonline"))
    login = {"username": "two", "password": "secret", "client_info": {}}
    tokens["four"] = (await four.request("auth/login", login))["payload"]["token"]
    users = {"one": "one", "two": "two", "zero": "zero", "four": "two"}
    people = {}
    for name, token in tokens.items():
        people[name] = await connect(reactor, port(server), token=token)
        joined = await people[name].join("app", "room", name)
        assert joined["err"] == 0, (name, users[name], joined)
        await people[name].dump()
    assert (await people["zero"].request("broadcast", {"hello": 0}))["err"] == 0
    for name in ("one", "two", "four"):
        assert (await people[name].expect("broadcast"))["data"]["payload"] == {"hello": 0}
    recorder = await connect(reactor, port(server), token=tokens["one"])
    assert (await recorder.join("app", "room", "tape", role="recorder"))["err"] == 3
    await recorder.closed
    # Who logs out is gone from the room, too; his other log-in stays.
    await four.request("auth/logout", {})
    assert (await people["four"].expect("error"))["data"] == {"type": "logged_out"}
    assert (await people["four"].closed).code == 1008
    left = await people["two"].expect("endpoint", lambda data: data["stat"] == "leave")
    assert left["data"]["endpoint"] == "four"
    for name in ("zero", "one", "two"):
        await people[name].close()
    await zero.close()
    await server.stop()


@pytest_twisted.ensureDeferred
async def test_who_does_not_read_is_sent_away_and_may_come_back(serve: Serve) -> None:
    server = await serve(overrides=["limits.outbox_bytes=262144", "rooms.broadcasts_per_second=1000"]).start()
    alice = await connect_member(reactor, port(server), "alice")
    bob = await connect_member(reactor, port(server), "bob")
    carol = await connect_member(reactor, port(server), "carol")
    bob.keep_events = carol.keep_events = False
    await bob.publish("s1")
    bob.pause()
    session, view = bob.session, {}
    heard = 0
    for number in range(400):
        answer = await alice.request("broadcast", {"n": number, "x": "x" * 60_000})
        assert answer["err"] in (0, 9), answer
        heard += answer["err"] == 0
        if answer["err"]:
            await sleep(0.1)
        listed = {one["endpoint"]: one for one in await alice.dump()}
        view = {name: one["stream"] and one["stream"]["stream_id"] for name, one in listed.items()}
        assert view["bob"] == "s1"
        again = await connect(reactor, port(server), token="demo_token_bob")
        if number % 40 == 39:
            text = RestClient(server.port("/im")).get("/metrics").raw.decode()
            if 'imserver_slow_peers_total{format="meeting"} 1.0' in text:
                break
        await again.close()
    else:
        raise AssertionError("nobody was slow")
    # The others heard everything; the slow one goes on with its session.
    assert (await again.join("app", "room", "bob", session=session))["data"]["session"] == session
    await again.dump()
    assert again.view["bob"] == ("bob", "s1")
    bob.abort()
    await again.close()
    await same_view(carol)
    await carol.close()
    await alice.close()
    await server.stop()


@pytest_twisted.ensureDeferred
async def test_shutdown_says_so(serve: Serve) -> None:
    server = await serve().start()
    alice = await connect_member(reactor, port(server), "alice")
    bob = await connect_member(reactor, port(server), "bob")
    await alice.request("broadcast", {"last": True})
    stopping = ensureDeferred(server.stop())
    for client in (alice, bob):
        assert (await client.expect("error"))["data"] == {"type": "shutdown"}
        assert (await client.closed).code == 1001
    assert (await bob.expect("broadcast"))["data"]["payload"] == {"last": True}
    assert [one["data"] for one in bob.all_events if one["event"] == "endpoint"] == []
    await stopping
