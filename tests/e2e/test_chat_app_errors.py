"""Each command of the dialect chat-app with whatever only the server can know to be wrong with it.

What is wrong with the form of a line or a payload is in `tests/unit/wire/test_chat_app_bad_input.py`.
"""

from __future__ import annotations

import json
from typing import Any

import pytest_twisted

from imserver.wire.jsonline import Direction
from imserver.wire.jsonline.chat_app.commands import COMMANDS
from tests.e2e.conftest import Serve
from tests.e2e.test_chat_app import connect, start, user
from tests.e2e.test_chat_app_files import offer

TEXT = {"type": "text", "text": "x"}
BOB = {"type": "user", "id": "bob"}
LONG = "x" * 300

BAD, DENIED, FORBIDDEN, MISSING = (400, 1004), (401, 1001), (403, 1008), (404, 1007)
EXISTS, CONFLICT, TOO_LARGE = (409, 1006), (409, 1010), (413, 1009)


def direct(to: Any) -> dict[str, Any]:
    return {"call_type": "direct", "target": {"type": "user", "id": to}}


def group(to: Any) -> dict[str, Any]:
    return {"call_type": "group", "target": {"type": "room", "id": to}}


# What carol, who is logged in, may not ask. "RELAY" is a file that alice offers bob, "REQUEST" what she asked
# him, "HIDDEN" a message to him, "THEIRS" one of hers to carol; both are in calls of others.
TABLE: dict[str, list[tuple[Any, tuple[int, int]]]] = {
    "auth/login": [({"username": "carol", "password": "carol"}, CONFLICT)],
    "auth/register": [
        ({"username": "alice", "password": "p"}, EXISTS),
        ({"username": "a/b", "password": "p"}, BAD),
        ({"username": LONG, "password": "p"}, BAD),
    ],
    "auth/refresh": [({"token": "nonsense"}, DENIED), ({"token": LONG * 100}, DENIED)],
    "auth/logout": [([], BAD)],
    "presence/update": [({"state": "gone"}, BAD)],
    "presence/list": [({"users": [None]}, BAD)],
    "message/send": [
        ({"target": "nobody", "content": TEXT}, MISSING),
        ({"target": {"type": "room", "id": "nowhere"}, "content": TEXT}, MISSING),
        ({"target": {"type": "room", "id": "closed"}, "content": TEXT}, FORBIDDEN),
        ({"target": {"type": "broadcast"}, "content": TEXT}, FORBIDDEN),
        ({"conversation_id": "single_alice_bob", "content": TEXT}, MISSING),
        ({"conversation_id": "group_closed", "content": TEXT}, FORBIDDEN),
        ({"target": BOB, "content": "x" * 70_000}, TOO_LARGE),
    ],
    "message/ack": [({}, BAD)],
    "message/history": [
        ({"conversation_id": "single_alice_bob"}, MISSING),
        ({"target": {"type": "room", "id": "closed"}}, MISSING),
        ({"since": "no-cursor"}, BAD),
        ({"since": "no-cursor~2"}, BAD),
    ],
    "message/read": [({"message_id": "HIDDEN"}, FORBIDDEN), ({"message_id": "HIDDEN.2"}, FORBIDDEN)],
    "message/revoke": [({"message_id": "HIDDEN"}, MISSING), ({"message_id": "THEIRS"}, FORBIDDEN)],
    "message/typing": [({"typing": True, "target": {"type": "room", "id": "closed"}}, FORBIDDEN)],
    "group/create": [
        ({"room_id": "closed"}, CONFLICT),
        ({"room_id": "a/b"}, BAD),
        ({"room_id": LONG}, BAD),
        ({"room_id": "new", "members": ["nobody"]}, MISSING),
    ],
    "group/join": [
        ({"room_id": "nowhere"}, MISSING),
        ({"room_id": "closed", "password": "wrong"}, FORBIDDEN),
        ({"room_id": "closed"}, FORBIDDEN),
    ],
    "group/leave": [({"room_id": "nowhere"}, MISSING), ({"room_id": "closed"}, MISSING)],
    "group/list": [(5, BAD)],
    "group/members": [({"room_id": "closed"}, MISSING)],
    "group/info": [({"room_id": "closed"}, MISSING)],
    "group/invite": [
        ({"room_id": "closed", "user_id": "carol"}, MISSING),
        ({"room_id": "demo", "user_id": "nobody"}, MISSING),
    ],
    "group/kick": [
        ({"room_id": "closed", "user_id": "bob"}, MISSING),
        ({"room_id": "demo", "user_id": "bob"}, FORBIDDEN),
    ],
    "group/delete": [({"room_id": "closed"}, MISSING), ({"room_id": "demo"}, FORBIDDEN)],
    "friend/request": [
        ({"target_id": "carol"}, BAD),
        ({"target_id": "nobody"}, MISSING),
        ({"target_id": "dave"}, FORBIDDEN),
        ({"target_id": "alice", "message": "x" * 513}, BAD),
    ],
    "friend/accept": [({"request_id": "REQUEST"}, MISSING), ({"request_id": 999}, MISSING)],
    "friend/reject": [({"request_id": "REQUEST"}, MISSING), ({"request_id": 999}, MISSING)],
    "friend/delete": [({"friend_id": "nobody"}, MISSING), ({"friend_id": "carol"}, BAD)],
    "friend/list": [(True, BAD)],
    "friend/block": [({"friend_id": "nobody"}, MISSING), ({"friend_id": "carol"}, BAD)],
    "friend/unblock": [({"friend_id": "nobody"}, MISSING), ({"friend_id": "carol"}, BAD)],
    "file/request": [
        (offer("nobody", 5), MISSING),
        (offer("carol", 5), BAD),
        (offer("dave", 5), FORBIDDEN),
        (offer("closed", 5, "room"), MISSING),
        (offer("bob", 2**52), TOO_LARGE),
        (offer("bob", 5, file_name=LONG), BAD),
    ],
    "file/accept": [({"session_id": "RELAY"}, MISSING), ({"session_id": "0" * 32}, MISSING)],
    "file/reject": [({"session_id": "RELAY"}, MISSING), ({"session_id": LONG}, MISSING)],
    "file/complete": [({"session_id": "RELAY"}, MISSING)],
    "file/error": [({"session_id": "RELAY"}, MISSING)],
    "voice/call": [
        (direct("carol"), BAD),
        (group("nowhere"), MISSING),
        (group("closed"), MISSING),
        (group(LONG), MISSING),
    ],
    "voice/answer": [
        ({"call_id": "theirs"}, FORBIDDEN),
        ({"call_id": "rooms"}, FORBIDDEN),
        ({"call_id": "none"}, MISSING),
    ],
    "voice/reject": [
        ({"call_id": "theirs"}, FORBIDDEN),
        ({"call_id": "rooms"}, FORBIDDEN),
        ({"call_id": LONG}, MISSING),
    ],
    "voice/end": [
        ({"call_id": "theirs"}, FORBIDDEN),
        ({"call_id": "rooms"}, FORBIDDEN),
        ({"call_id": "none"}, MISSING),
    ],
    "control/ping": [("x", BAD)],
}
BEFORE_LOG_IN = {"auth/login", "auth/register", "auth/refresh", "control/ping"}
GOOD: dict[str, Any] = {
    "presence/update": {"state": "away"},
    "message/send": {"target": BOB, "content": TEXT},
    "message/ack": {"seq": 1},
    "message/read": {"message_id": "m"},
    "message/revoke": {"message_id": "m"},
    "message/typing": {"typing": True, "target": BOB},
    "file/request": offer("bob", 5),
    "voice/call": direct("bob"),
    "group/kick": {"room_id": "demo", "user_id": "bob"},
    "group/invite": {"room_id": "demo", "user_id": "bob"},
}
OTHERS = {"room_id": "demo", "request_id": 7, "call_id": "theirs", "session_id": "s", "friend_id": "bob"}


def _numbers(line: dict[str, Any]) -> tuple[int, int]:
    return line["payload"]["status"], line["payload"].get("error_code", 0)


@pytest_twisted.ensureDeferred
async def test_each_command_with_each_fault(serve: Serve) -> None:
    assert set(TABLE) | {"presence/heartbeat", "voice/data"} == {
        command.name.value for command in COMMANDS.values() if command.direction is not Direction.SERVER
    }
    server = await start(serve)
    alice, bob, carol = [await user(server, name) for name in ("alice", "bob", "carol")]
    dave, stranger = await user(server, "dave"), await connect(server)
    await carol.ask("friend/block", {"friend_id": "dave"})
    await alice.ask("room/create", {"room_id": "closed", "password": "right", "members": ["bob"]})
    names = {
        "REQUEST": (await alice.ask("friend/request", {"target_id": "bob"}))["request_id"],
        "RELAY": (await alice.ask("file/request", offer("bob", 5)))["sessions"][0]["session_id"],
        "HIDDEN": (await alice.ask("message/send", {"target": "bob", "content": "x"}))["message_id"],
        "THEIRS": (await alice.ask("message/send", {"target": "carol", "content": "x"}))["message_id"],
    }
    await alice.ask("voice/call", direct("dave"), id="theirs")
    await bob.ask("voice/call", group("closed"), id="rooms")
    wrong: list[str] = []

    async def check(client: Any, command: str, payload: Any, expected: tuple[int, int]) -> None:
        got = _numbers(await client.request(command, payload))
        if got != expected:
            wrong.append(f"{command} {str(payload)[:150]}: {got}, not {expected}")

    for command, faults in TABLE.items():
        named = command.replace("group/", "room/")
        for payload, expected in faults:
            written = json.dumps(payload)
            for name, value in names.items():
                written = written.replace(name, str(value))
            await check(carol, named, json.loads(written), expected)
        if command not in BEFORE_LOG_IN:
            await check(stranger, named, GOOD.get(command, OTHERS if "list" not in command else {}), DENIED)
    assert not wrong, "\n".join(wrong)
    # Nobody has noticed any of it.
    (request,) = (await bob.ask("friend/list"))["pending_requests"]
    assert request["request_id"] == names["REQUEST"]
    await bob.ask("file/accept", {"session_id": names["RELAY"]})
    await dave.ask("voice/answer", {"call_id": "theirs"})
    # What stands in voice/data of a stranger goes nowhere.
    for call in ("theirs", "rooms", "none"):
        carol.send_event("voice/data", {"call_id": call, "data": "00"})
    await carol.ask("control/ping")
    for one in (alice, bob, dave):
        await one.ask("control/ping")
        assert not [line for line in one.lines if line["command"] == "voice/data"]
    for one in (alice, bob, carol, dave, stranger):
        await one.close()
    await server.stop()


@pytest_twisted.ensureDeferred
async def test_too_fast(serve: Serve) -> None:
    overrides = ("limits.sends_per_second=1", "limits.send_burst=2", "limits.commands_per_second=1")
    server = await start(serve, overrides=[*overrides, "limits.command_burst=8"])
    alice = await user(server, "alice")
    for command, payload in (
        ("message/send", {"target": "bob", "content": "x"}),
        ("voice/answer", {"call_id": "c"}),
        ("file/accept", {"session_id": "s"}),
    ):
        answers = [alice.request(command, payload) for _ in range(12)]
        assert (429, 1005) in [_numbers(await answer) for answer in answers], command
    await alice.close()
    await server.stop()
