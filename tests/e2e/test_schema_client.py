"""A conversation of two clients that know nothing but the published schemas."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest_twisted
from twisted.internet import reactor
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol

import imserver
from tests.clients.filechannel_client import Content
from tests.clients.relay_channel import DATA, END, frame, open_channel
from tests.clients.schema_client import SchemaClient, Schemas
from tests.e2e.conftest import Serve
from tests.e2e.server import EVERY_FORMAT, Server
from tests.e2e.test_files import download, upload

FOLDER = Path(imserver.__file__).parent / "wire" / "jsonline" / "schemas"


async def _connect(server: Server, schemas: Schemas, dialect: str = "jsonline") -> Any:
    endpoint = TCP4ClientEndpoint(reactor, "127.0.0.1", server.port(dialect), 30)
    return await connectProtocol(endpoint, SchemaClient(reactor, schemas))


@pytest_twisted.ensureDeferred
async def test_a_conversation_by_the_schemas_alone(serve: Serve) -> None:
    server = await serve().start()
    schemas = Schemas(FOLDER)
    said = schemas.index["commands"]
    used: set[str] = set()
    ann, ben = await _connect(server, schemas), await _connect(server, schemas)

    async def ask(client: Any, command: str, status: int = 200, **payload: Any) -> Any:
        used.add(command)
        answer = await client.call(command, **payload)
        assert answer["status"] == status, answer
        return answer

    for client, name in ((ann, "ann"), (ben, "ben")):
        await ask(client, "auth/login", 401, username=name, password="secret")
        await ask(client, "auth/register", username=name, password="secret")
        session = await ask(
            client, "auth/login", username=name, password="secret", client_info={"device": "d"}
        )
        assert session["user_id"] == name
        refreshed = await ask(client, "auth/refresh", refresh_token=session["refresh_token"])
        assert refreshed["refresh_token"] != session["refresh_token"]
        await ask(client, "control/ping")
        await ask(client, "presence/heartbeat", seq=5)
        client.tell("presence/heartbeat", seq=6)
        assert (await client.next("presence/heartbeat"))["seq"] == 6

    content = {"type": "text", "text": "hello"}
    sent = await ask(
        ann, "message/send", content=content, target={"type": "user", "id": "ben"}, conversation_id="us"
    )
    event = await ben.next("message/event")
    assert event["message"]["message_id"] == event["message_id"] == sent["message_id"]
    await ask(ben, "message/ack", message_id=event["message_id"])
    ben.tell("message/ack", seq=event["seq"])
    await ask(ben, "message/typing", typing=True, conversation_id="us")
    assert (await ann.next("notification/event"))["event_type"] == "typing"
    await ask(ben, "message/read", message_ids=[event["message_id"]])
    assert (await ann.next("notification/event"))["event_type"] == "messages_read"
    await ask(ann, "message/revoke", message_id=sent["message_id"])
    assert (await ben.next("notification/event"))["event_type"] == "message_revoked"
    page = await ask(ben, "message/history", conversation_id="us")
    assert page["messages"][0]["revoked"] is True
    await ask(ben, "message/history", limit=10)

    ann.tell("message/send", content=content, target={"type": "user", "id": "nobody"})
    failed = await ann.next("message/ack")
    assert failed["status"] == 404

    await ask(ann, "presence/update", state="away")
    assert (await ben.next("presence/event"))["user_id"] == "ann"
    assert (await ask(ben, "presence/list"))["users"][0]["state"] == "away"

    asked = await ask(ann, "friend/request", user_id="ben", message="hello")
    news = await ben.next("notification/event")
    assert (news["event_type"], news["request_id"]) == ("friend_request", asked["request_id"])
    await ask(ben, "friend/reject", request_id=news["request_id"])
    assert (await ann.next("notification/event"))["event_type"] == "friend_rejected"
    await ask(ann, "friend/request", user_id="ben")
    assert (await ben.next("notification/event"))["event_type"] == "friend_request"
    assert (await ask(ben, "friend/list"))["pending_requests"][0]["user_id"] == "ann"
    assert (await ask(ben, "friend/accept", user_id="ann"))["state"] == "friends"
    assert (await ann.next("notification/event"))["event_type"] == "friend_accepted"
    assert (await ask(ann, "friend/list"))["friends"][0]["user_id"] == "ben"
    await ask(ann, "friend/delete", user_id="ben")
    assert (await ben.next("notification/event"))["event_type"] == "friend_deleted"
    assert (await ask(ann, "friend/block", user_id="alice"))["state"] == "blocked"
    assert (await ask(ann, "friend/list"))["blocked"][0]["user_id"] == "alice"
    await ask(ann, "friend/request", 403, user_id="alice")
    await ask(ann, "friend/unblock", user_id="alice")

    await ask(ann, "group/create", group_id="team", name="The team", open=True, members=["ben"])
    assert (await ben.next("notification/event"))["group_id"] == "team"
    calls: tuple[tuple[str, dict[str, Any]], ...] = (
        ("group/list", {}),
        ("group/info", {"group_id": "team"}),
        ("group/members", {"group_id": "team"}),
        ("group/invite", {"group_id": "team", "user_id": "alice"}),
    )
    for command, payload in calls:
        await ask(ann, command, **payload)
    await ask(ben, "group/leave", group_id="team")
    await ask(ben, "group/join", group_id="team")
    await ask(ann, "group/kick", group_id="team", user_id="ben")
    await ask(ann, "group/delete", group_id="team")
    await ask(ben, "group/join", 404, group_id="team")

    # A file: what the channel itself speaks is told by its page.
    data = Content(200_000)
    target = {"type": "user", "id": "ben"}
    place = await ask(
        ann, "file/request", file_name="a.pdf", file_size=data.size, hash=data.sha256, target=target
    )
    offer = await ben.next("file/request")
    assert offer["stored"] is False
    end = await upload(place, data)
    stored = await ann.next("file/complete")
    assert (stored["stage"], stored["file_id"]) == ("stored", end["file_id"])
    assert (await ben.next("file/complete"))["stage"] == "stored"
    accepted = await ask(ben, "file/accept", transfer_id=offer["transfer_id"])
    assert (await ann.next("file/accept"))["user_id"] == "ben"
    await download(accepted, data)
    assert (await ann.next("file/complete"))["stage"] == "delivered"
    await ask(ben, "file/ack", transfer_id=offer["transfer_id"], offset=data.size)
    await ask(ben, "file/complete", transfer_id=offer["transfer_id"])
    assert (await ask(ann, "file/list", limit=10))["transfers"][0]["file_id"] == end["file_id"]
    for ending, asker, told in (("file/reject", ben, ann), ("file/cancel", ann, ben)):
        place = await ask(ann, "file/request", file_name="b.pdf", file_size=5, target=target)
        await ben.next("file/request")
        await ask(asker, ending, transfer_id=place["transfer_id"], reason="too large")
        assert (await told.next(ending))["reason"] == "too large"

    await ask(ann, "message/send", content=content, target={"type": "user", "id": "ben"})
    await ask(ben, "auth/logout")
    await ben.ended
    again = await _connect(server, schemas)
    await ask(again, "auth/login", username="ben", password="secret", client_info={"device": "d"})
    assert (await again.next("message/offline"))["messages"]
    # Every command of clients was used.
    assert used == {name for name, entry in said.items() if "request" in entry}
    goodbye = again.next("control/error")
    await server.stop()
    assert (await goodbye)["status"] == 503
    await ann.ended
    await again.ended


@pytest_twisted.ensureDeferred
async def test_a_conversation_in_the_dialect_by_its_schemas_alone(serve: Serve) -> None:
    server = await serve(listeners=EVERY_FORMAT, overrides=["calls.ring_seconds=60"]).start()
    schemas = Schemas(FOLDER / "chat_app")
    said = schemas.index["commands"]
    used: set[str] = set()
    ann, ben = await _connect(server, schemas, "chat-app"), await _connect(server, schemas, "chat-app")

    async def ask(client: Any, command: str, status: int = 200, **payload: Any) -> Any:
        used.add(command)
        answer = await client.call(command, **payload)
        assert answer["status"] == status, answer
        return answer

    password = hashlib.sha256(b"secret").hexdigest()
    for client, name in ((ann, "ann"), (ben, "ben")):
        await ask(client, "auth/login", 401, username=name, password=password)
        await ask(client, "auth/register", username=name, password=password)
        session = await ask(client, "auth/login", username=name, password=password)
        assert session["user_id"] == name
        await ask(client, "auth/refresh", token=session["token"])
        await ask(client, "control/ping")
        client.tell("presence/heartbeat", seq=6)
        used.add("presence/heartbeat")

    content = {"type": "text", "text": "hello"}
    to_ben = {"type": "user", "id": "ben"}
    sent = await ask(ann, "message/send", content=content, target=to_ben, conversation_id="us")
    event = await ben.next("message/event")
    assert event["message_id"] == sent["message_id"]
    await ask(ann, "message/send", 404, content=content, target={"type": "user", "id": "nobody"})
    await ask(ann, "message/send", content={"type": "text", "text": "x" * 65_536}, target=to_ben)
    assert (await ben.next("message/event"))["part"] == 1
    assert (await ben.next("message/event"))["part"] == 2
    await ask(ben, "message/typing", typing=True, conversation_id="us")
    assert (await ann.next("notification/event"))["event_type"] == "typing"
    await ask(ben, "message/read", message_ids=[event["message_id"]])
    await ask(ann, "message/revoke", message_id=sent["message_id"])
    page = await ask(ben, "message/history", conversation_id="us")
    assert page["messages"][0]["revoked"] is True
    page = await ask(ben, "message/history", limit=10)
    while page["has_more"]:
        page = await ask(ben, "message/history", since=page["next_cursor"])
    await ask(ann, "presence/update", state="away")
    assert (await ben.next("presence/event"))["user_id"] == "ann"
    assert (await ask(ben, "presence/list"))["users"] == ["ann"]

    request = await ask(ann, "friend/request", target_id="ben", message="hi")
    offered = await ben.next("friend/event")
    assert (offered["event_type"], offered["request_id"]) == ("new_request", request["request_id"])
    await ask(ben, "friend/accept", request_id=offered["request_id"])
    assert (await ann.next("friend/event"))["event_type"] == "request_accepted"
    assert (await ask(ann, "friend/list"))["friends"][0]["friend_id"] == "ben"
    await ask(ben, "friend/reject", 404, request_id=offered["request_id"])
    await ask(ann, "friend/delete", friend_id="ben")
    assert (await ben.next("friend/event"))["event_type"] == "friend_deleted"
    await ask(ann, "friend/block", friend_id="ben")
    await ask(ann, "friend/unblock", friend_id="ben")

    room = await ask(ann, "room/create", room_id="team", encrypted=True, password="pw")
    assert (room["encrypted"], room["members"]) == (True, ["ann"])
    await ask(ben, "room/join", 403, room_id="team", password="wrong")
    joined = await ask(ben, "room/join", room_id="team", password="pw")
    assert (joined["encrypted"], joined["members"]) == (True, ["ann", "ben"])
    calls: tuple[tuple[str, dict[str, Any]], ...] = (
        ("room/list", {}),
        ("room/info", {"room_id": "team"}),
        ("room/members", {"room_id": "team"}),
        ("room/invite", {"room_id": "team", "user_id": "alice"}),
    )
    for command, payload in calls:
        await ask(ann, command, **payload)

    for target in (to_ben, {"type": "room", "id": "team"}):
        kind = "direct" if target is to_ben else "group"
        call = (await ask(ann, "voice/call", call_type=kind, target=target))["call_id"]
        incoming = await ben.next("voice/event")
        assert (incoming["event_type"], incoming["call_id"]) == ("incoming", call)
        await ask(ben, "voice/answer", call_id=call)
        for client in (ann, ben):
            assert (await client.next("voice/event"))["event_type"] == "connected"
        if kind == "group":
            assert (await ann.next("voice/event"))["event_type"] == "member_joined"
        ann.tell("voice/data", call_id=call, data="00ff")
        assert (await ben.next("voice/data"))["from_user"] == "ann"
        await ask(ben, "voice/end", call_id=call)
        # Who leaves a call of a room has his answer; of a call of two both are told the end.
        for client in (ann, ben) if kind == "direct" else (ann,):
            while (await client.next("voice/event"))["event_type"] != "ended":
                pass
    used.add("voice/data")
    call = (await ask(ann, "voice/call", call_type="direct", target=to_ben))["call_id"]
    await ask(ben, "voice/reject", call_id=call)
    assert (await ann.next("voice/event"))["event_type"] == "rejected"

    offer: dict[str, Any] = {"target": to_ben, "file_name": "a.txt", "file_size": 5}
    refusals: tuple[tuple[str, dict[str, Any]], ...] = (
        ("file/reject", {"reason": "no"}),
        ("file/error", {"error_message": "no"}),
    )
    for command, payload in refusals:
        (one,) = (await ask(ann, "file/request", **offer))["sessions"]
        await ben.next("file/request")
        await ask(ben, command, session_id=one["session_id"], **payload)
        assert (await ann.next(command))["session_id"] == one["session_id"]
    (one,) = (await ask(ann, "file/request", **offer))["sessions"]
    answer = await ask(ben, "file/accept", session_id=one["session_id"])
    place = await ann.next("file/accept")
    assert {**place, "status": 200} == answer
    receiver = await open_channel(reactor, place, "receiver", "ben")
    sender = await open_channel(reactor, place, "sender", "ann")
    sender.send(frame(DATA, b"hello"), frame(END))
    await receiver.last()
    assert receiver.data() == b"hello"
    assert (await ann.next("file/complete"))["session_id"] == one["session_id"]
    (one,) = (await ask(ann, "file/request", **offer))["sessions"]
    await ask(ben, "file/complete", session_id=one["session_id"])

    await ask(ann, "room/kick", room_id="team", user_id="ben")
    await ask(ben, "room/leave", 404, room_id="team")
    await ask(ann, "room/delete", room_id="team")
    await ask(ben, "auth/logout")
    await ben.ended
    # Every command of clients was used.
    assert used == {name for name, entry in said.items() if "request" in entry}
    goodbye = ann.next("control/error")
    await server.stop()
    assert (await goodbye)["status"] == 503
    await ann.ended
