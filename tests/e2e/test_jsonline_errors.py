"""Each command of document 004 with whatever may be wrong with it gives the documented status and error code.

What is wrong with the form of a line or a payload is in `tests/unit/wire/test_jsonline_bad_input.py`; here is
what only the server can know.
"""

from __future__ import annotations

import json
from typing import Any

import pytest_twisted
from twisted.internet import reactor

from imserver.wire.jsonline import COMMAND_MAP, Direction
from tests.clients import jsonline_client
from tests.e2e.conftest import Serve

TEXT = {"type": "text", "text": "x"}
BOB = {"type": "user", "id": "bob"}
LONG = "x" * 300
FILE = {"file_name": "a", "file_size": 1}

BAD, DENIED, FORBIDDEN, MISSING = (400, 1004), (401, 1001), (403, 1008), (404, 1007)
EXISTS, CONFLICT, TOO_LARGE = (409, 1006), (409, 1010), (413, 1009)

# What carol, who is logged in, may not ask; "THEIRS" and "HIDDEN" are messages of others, "TRANSFER" is a
# transfer between others.
TABLE: dict[str, list[tuple[Any, tuple[int, int]]]] = {
    "auth/login": [({"username": "carol", "password": "carol"}, CONFLICT)],
    "auth/register": [
        ({"username": "alice", "password": "p"}, EXISTS),
        ({"username": "a/b", "password": "p"}, BAD),
        ({"username": "group_x", "password": "p"}, BAD),
        ({"username": LONG, "password": "p"}, BAD),
    ],
    "auth/refresh": [({"refresh_token": "nonsense"}, DENIED), ({"refresh_token": LONG * 100}, DENIED)],
    "auth/logout": [([], BAD)],
    "presence/heartbeat": [({"seq": -1}, BAD)],
    "presence/update": [({"state": "gone"}, BAD)],
    "presence/list": [({"users": [None]}, BAD)],
    "message/send": [
        ({"target": {"type": "user", "id": "nobody"}, "content": TEXT}, MISSING),
        ({"target": {"type": "user", "id": LONG}, "content": TEXT}, MISSING),
        ({"target": {"type": "group", "id": "nowhere"}, "content": TEXT}, MISSING),
        ({"target": {"type": "room", "id": "closed"}, "content": TEXT}, FORBIDDEN),
        ({"target": {"type": "broadcast"}, "content": TEXT}, FORBIDDEN),
        ({"conversation_id": "no-such-name", "content": TEXT}, MISSING),
        ({"conversation_id": "single_alice_bob", "content": TEXT}, MISSING),
        ({"conversation_id": "group_closed", "content": TEXT}, FORBIDDEN),
        ({"conversation_id": "x" * 129, "target": BOB, "content": TEXT}, BAD),
        ({"target": BOB, "content": {"type": "text", "text": "x" * 70_000}}, TOO_LARGE),
        ({"target": BOB, "content": TEXT, "meta": {"reply_to": 5}}, BAD),
    ],
    "message/ack": [({}, BAD)],
    "message/history": [
        ({"conversation_id": "no-such-name"}, MISSING),
        ({"target": {"type": "group", "id": "closed"}}, MISSING),
        ({"target": {"type": "user", "id": "nobody"}}, MISSING),
        ({"since": "no-cursor"}, BAD),
    ],
    "message/read": [({"message_id": "no-such-message"}, MISSING), ({"message_id": "HIDDEN"}, FORBIDDEN)],
    "message/revoke": [
        ({"message_id": "no-such-message"}, MISSING),
        ({"message_id": "THEIRS"}, FORBIDDEN),
        ({"message_id": "HIDDEN"}, MISSING),
    ],
    "message/typing": [
        ({"typing": True, "conversation_id": "no-such-name"}, MISSING),
        ({"typing": True, "target": {"type": "group", "id": "closed"}}, FORBIDDEN),
    ],
    "group/create": [
        ({"group_id": "demo"}, CONFLICT),
        ({"group_id": "a/b"}, BAD),
        ({"group_id": "new", "members": ["nobody"]}, MISSING),
    ],
    "group/join": [
        ({"group_id": "nowhere"}, MISSING),
        ({"group_id": "closed"}, MISSING),
        ({"group_id": "locked", "password": "wrong"}, FORBIDDEN),
        ({"group_id": "locked"}, FORBIDDEN),
    ],
    "group/leave": [({"group_id": "nowhere"}, MISSING), ({"group_id": "closed"}, MISSING)],
    "group/list": [(5, BAD)],
    "group/members": [({"group_id": "nowhere"}, MISSING), ({"group_id": "closed"}, MISSING)],
    "group/info": [({"group_id": "nowhere"}, MISSING)],
    "group/invite": [
        ({"group_id": "nowhere", "user_id": "bob"}, MISSING),
        ({"group_id": "closed", "user_id": "bob"}, MISSING),
        ({"group_id": "demo", "user_id": "nobody"}, MISSING),
    ],
    "group/kick": [
        ({"group_id": "nowhere", "user_id": "bob"}, MISSING),
        ({"group_id": "demo", "user_id": "bob"}, FORBIDDEN),
    ],
    "group/delete": [({"group_id": "nowhere"}, MISSING), ({"group_id": "demo"}, FORBIDDEN)],
    "friend/request": [
        ({}, BAD),
        ({"user_id": "carol"}, BAD),
        ({"user_id": "a/b"}, BAD),
        ({"user_id": "alice", "message": "x" * 513}, BAD),
        ({"user_id": "nobody"}, MISSING),
        ({"user_id": "dave"}, FORBIDDEN),
    ],
    "friend/accept": [
        ({}, BAD),
        ({"request_id": 0}, BAD),
        ({"user_id": "nobody"}, MISSING),
        ({"user_id": "bob"}, MISSING),
        ({"request_id": 999}, MISSING),
        ({"user_id": "dave"}, FORBIDDEN),
    ],
    "friend/reject": [({}, BAD), ({"user_id": "bob"}, MISSING), ({"request_id": 999}, MISSING)],
    "friend/delete": [({}, BAD), ({"user_id": "carol"}, BAD), ({"user_id": "nobody"}, MISSING)],
    "friend/list": [(True, BAD)],
    "friend/block": [({}, BAD), ({"user_id": "carol"}, BAD), ({"user_id": "nobody"}, MISSING)],
    "friend/unblock": [({}, BAD), ({"user_id": "carol"}, BAD), ({"user_id": "nobody"}, MISSING)],
    "file/request": [
        ({**FILE, "target": {"type": "user", "id": "nobody"}}, MISSING),
        ({**FILE, "target": {"type": "group", "id": "nowhere"}}, MISSING),
        ({**FILE, "target": {"type": "room", "id": "closed"}}, FORBIDDEN),
        ({**FILE, "conversation_id": "no-such-name"}, MISSING),
        ({**FILE, "file_name": "../a"}, BAD),
        ({**FILE, "file_name": LONG}, BAD),
        ({**FILE, "file_size": 2**52}, TOO_LARGE),
        ({**FILE, "hash": "sha256:00"}, BAD),
        ({**FILE, "resume": {"transfer_id": "tr-none"}}, MISSING),
        ({**FILE, "resume": {"transfer_id": "TRANSFER"}}, MISSING),
        ({**FILE, "encryption": "aes-gcm"}, BAD),
    ],
    "file/accept": [
        ({"transfer_id": "tr-none"}, MISSING),
        ({"file_id": "f-none"}, MISSING),
        ({"transfer_id": "TRANSFER"}, MISSING),
    ],
    "file/reject": [({"transfer_id": "tr-none"}, MISSING), ({"transfer_id": "TRANSFER"}, MISSING)],
    "file/ack": [({"transfer_id": "tr-none"}, MISSING), ({"transfer_id": "TRANSFER"}, MISSING)],
    "file/cancel": [({"transfer_id": "tr-none"}, MISSING), ({"transfer_id": "TRANSFER"}, MISSING)],
    "file/complete": [({"transfer_id": "tr-none"}, MISSING), ({"transfer_id": "TRANSFER"}, MISSING)],
    "file/list": [({"after": "no-cursor"}, BAD)],
    "control/ping": [("x", BAD)],
}
BEFORE_LOG_IN = {"auth/login", "auth/register", "auth/refresh", "presence/heartbeat", "control/ping"}
GOOD = {
    "auth/logout": {},
    "presence/update": {"state": "away"},
    "presence/list": {},
    "message/send": {"target": BOB, "content": TEXT},
    "message/ack": {"seq": 1},
    "message/history": {},
    "message/read": {"message_id": "m"},
    "message/revoke": {"message_id": "m"},
    "message/typing": {"typing": True, "target": BOB},
    "group/create": {},
    "group/list": {},
    "group/invite": {"group_id": "demo", "user_id": "bob"},
    "group/kick": {"group_id": "demo", "user_id": "bob"},
    "friend/request": {"user_id": "bob"},
    "friend/accept": {"user_id": "bob"},
    "friend/reject": {"user_id": "bob"},
    "friend/delete": {"user_id": "bob"},
    "friend/list": {},
    "friend/block": {"user_id": "bob"},
    "friend/unblock": {"user_id": "bob"},
    "file/request": FILE,
    **{f"file/{name}": {"transfer_id": "t"} for name in ("accept", "reject", "ack", "cancel", "complete")},
}


def _numbers(line: dict[str, Any]) -> tuple[int, int]:
    return line["payload"]["status"], line["payload"].get("error_code", 0)


@pytest_twisted.ensureDeferred
async def test_each_command_with_each_fault(serve: Serve) -> None:
    assert set(TABLE) == {
        name for name, command in COMMAND_MAP.items() if command.direction is not Direction.SERVER
    }
    server = await serve().start()

    async def client(user: str = "") -> Any:
        found = await jsonline_client.connect_tcp(reactor, server.port("jsonline"))
        if user:
            assert _numbers(await found.log_in(user)) == (200, 0)
        return found

    alice, carol, stranger = await client("alice"), await client("carol"), await client()
    await carol.request("friend/block", {"user_id": "dave"})
    await alice.request("group/create", {"group_id": "closed"})
    await alice.request("group/create", {"group_id": "locked", "password": "right"})
    ids = {
        "THEIRS": (await alice.send_text("carol", "x"))["payload"]["message_id"],
        "HIDDEN": (await alice.send_text("bob", "x"))["payload"]["message_id"],
    }
    begun = (await alice.request("file/request", {**FILE, "target": BOB}))["payload"]["transfer_id"]
    wrong: list[str] = []
    for command, faults in TABLE.items():
        for payload, expected in faults:
            if isinstance(payload, dict) and payload.get("message_id") in ids:
                payload = {**payload, "message_id": ids[payload["message_id"]]}
            if isinstance(payload, dict) and "TRANSFER" in str(payload):
                payload = json.loads(json.dumps(payload).replace("TRANSFER", begun))
            for spelling in (command, command.replace("/", ".")):
                got = _numbers(await carol.request(spelling, payload))
                if got != expected:
                    wrong.append(f"{spelling} {str(payload)[:150]}: {got}, not {expected}")
        if command not in BEFORE_LOG_IN:
            got = _numbers(await stranger.request(command, GOOD.get(command, {"group_id": "demo"})))
            if got != DENIED:
                wrong.append(f"{command} before the log-in: {got}")
    assert not wrong, "\n".join(wrong)
    for password in ("wrong", ""):
        assert _numbers(await stranger.log_in("alice", password or "x")) == DENIED
    assert _numbers(await stranger.request("auth/login", {"token": "nonsense"})) == DENIED
    assert _numbers(await stranger.request("no/such", {})) == MISSING
    # The same id with another message.
    assert _numbers(await carol.send_text("bob", "one", id="same")) == (200, 0)
    assert _numbers(await carol.send_text("bob", "two", id="same")) == CONFLICT
    # The sessions are none the worse for it.
    assert _numbers(await carol.request("control/ping")) == (200, 0)
    for one in (alice, carol, stranger):
        await one.close()
    await server.stop()


@pytest_twisted.ensureDeferred
async def test_too_fast(serve: Serve) -> None:
    overrides = ("limits.sends_per_second=1", "limits.send_burst=2", "limits.commands_per_second=1")
    server = await serve(overrides=(*overrides, "limits.command_burst=3")).start()
    alice = await jsonline_client.connect_tcp(reactor, server.port("jsonline"))
    await alice.log_in("alice")
    ids = [alice.send("message/send", {"target": BOB, "content": TEXT}) for _ in range(10)]
    answers = [alice.answer_to(id) for id in ids]
    assert (429, 1005) in [_numbers(await answer) for answer in answers]
    pings = [alice.request("control/ping") for _ in range(10)]
    refused = [line for line in [await ping for ping in pings] if _numbers(line) == (429, 1005)]
    assert refused
    assert all(line["payload"]["retryable"] for line in refused)
    await alice.close()
    await server.stop()
