"""What clients of the dialect chat-app get wrong: each command with bad payloads, and how it is answered."""

from __future__ import annotations

import json
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from imserver.wire.base import WireError
from imserver.wire.jsonline import Direction
from imserver.wire.jsonline.chat_app import ChatAppServerCodec
from imserver.wire.jsonline.chat_app.commands import COMMANDS
from tests.clients.chat_app_client import ACKS, decode

BAD = (400, 1004)
TEXT = {"type": "text", "text": "x"}
BOB = {"type": "user", "id": "bob"}
FILE = {"file_name": "a", "file_size": 5}
NO_IDS: tuple[Any, ...] = (1.5, True, [], {}, -1, 2**53)
"""What is neither a name nor a number that can be one."""
NO_SIZES: tuple[Any, ...] = (-1, 2**53, 1.5, "x", "", None, [])
NO_REQUESTS: tuple[Any, ...] = (0, -1, 2**53, "x", "", 1.5, [])
NO_TARGETS: tuple[Any, ...] = (1.5, True, [], {}, {"type": "user"}, {"type": 5, "id": "x"}, {"id": "bob"})
ROOM: list[Any] = [{}, {"room_id": None}, {"room_id": ""}, *({"room_id": wrong} for wrong in NO_IDS)]
MEMBER: list[Any] = [*ROOM, {"room_id": "r"}, {"user_id": "u"}, {"room_id": "r", "user_id": ""}]
OTHER: list[Any] = [{}, {"target_id": ""}, {"request_id": 7}, *({"friend_id": wrong} for wrong in NO_IDS)]
REQUEST: list[Any] = [
    {},
    {"request_id": None},
    *({"request_id": wrong} for wrong in NO_REQUESTS),
]
CALL: list[Any] = [{}, {"call_id": ""}, {"call_id": None}, {"call_id": []}, {"call_id": "c", "reason": 5}]
SESSION: list[Any] = [
    {},
    {"session_id": ""},
    {"session_id": 5},
    {"session_id": []},
    {"session_id": "s", "reason": 5},
]

# command -> payloads that are refused with 400/1004
PAYLOADS: dict[str, list[Any]] = {
    "auth/login": [
        {},
        {"username": "a"},
        {"password": "p"},
        {"username": "a", "password": ""},
        {"username": "a", "password": 5},
        {"token": 5},
        *({"username": wrong, "password": "p"} for wrong in NO_IDS),
    ],
    "auth/register": [{}, {"username": "a"}, {"password": "p"}, {"username": "", "password": "p"}],
    "auth/refresh": [{}, {"token": ""}, {"token": None}, {"token": 5}, {"refresh_token": "r"}],
    "auth/logout": [],
    "presence/update": [{}, {"state": "offline"}, {"state": 1}, {"state": None}],
    "presence/list": [{"users": "a"}, {"users": [1.5]}],
    "message/send": [
        {},
        {"content": TEXT},
        {"target": BOB},
        {"target": BOB, "content": 5},
        {"target": BOB, "content": [TEXT]},
        {"target": BOB, "content": {}},
        {"target": BOB, "content": {"text": 5}},
        {"target": BOB, "content": {"type": "text", "text": 5}},
        {"target": "", "content": TEXT},
        {"target": {"type": "planet", "id": "x"}, "content": TEXT},
        {"target": {"type": "room", "id": ""}, "content": TEXT},
        {"target": {"type": "group", "id": "group_"}, "content": TEXT},
        {"conversation_id": [], "content": TEXT},
        {"target": BOB, "content": TEXT, "attachments": ["f"]},
        {"target": BOB, "content": TEXT, "meta": []},
        {"target": BOB, "content": TEXT, "meta": {"reply_to": 5}},
        {"target": BOB, "content": TEXT, "extra": {"a": 1}},
        *({"target": wrong, "content": TEXT} for wrong in NO_TARGETS),
    ],
    "message/ack": [{}, {"seq": 0}, {"message_id": 5}],
    "message/history": [
        {"limit": -1},
        {"limit": "x"},
        {"since": -1},
        {"target": {"type": "broadcast"}},
        *({"target": wrong} for wrong in NO_TARGETS),
    ],
    "message/read": [{}, {"message_ids": []}, {"message_ids": [5]}, {"message_ids": ["m"] * 501}],
    "message/revoke": [{}, {"message_id": ""}, {"message_id": 5}],
    "message/typing": [
        {},
        {"typing": True},
        {"typing": "perhaps", "target": BOB},
        {"typing": True, "target": []},
    ],
    "group/create": [
        {"room_id": []},
        {"room_id": "r", "encrypted": "perhaps"},
        {"room_id": "r", "password": []},
        {"room_id": "r", "members": "bob"},
        {"room_id": "r", "members": [[]]},
        {"room_id": "r", "name": 5},
    ],
    "group/join": [*ROOM, {"room_id": "r", "password": []}],
    "group/leave": ROOM,
    "group/list": [{"room_id": []}],
    "group/members": ROOM,
    "group/info": ROOM,
    "group/invite": MEMBER,
    "group/kick": [*MEMBER, *({"room_id": "r", "user_id": wrong} for wrong in NO_IDS)],
    "group/delete": ROOM,
    "friend/request": [*OTHER, {"target_id": "bob", "message": 5}],
    "friend/accept": REQUEST,
    "friend/reject": REQUEST,
    "friend/delete": OTHER,
    "friend/list": [{"target_id": []}],
    "friend/block": OTHER,
    "friend/unblock": OTHER,
    "file/request": [
        {},
        FILE,
        {"target": BOB, "file_name": "a"},
        {"target": {"type": "broadcast"}, **FILE},
        {"target": {"type": "user", "id": ""}, **FILE},
        {"target": BOB, "file_name": [], "file_size": 5},
        {"target": BOB, "file_name": "a", "checksum": []},
        *({"target": BOB, "file_name": "a", "file_size": wrong} for wrong in NO_SIZES),
        *({"target": wrong, **FILE} for wrong in NO_TARGETS),
    ],
    "file/accept": SESSION,
    "file/reject": SESSION,
    "file/complete": SESSION,
    "file/error": [*SESSION, {"session_id": "s", "error_message": 5}],
    "voice/call": [
        {},
        {"target": {"type": "user", "id": ""}},
        {"target": {"type": "planet", "id": "x"}},
        {"target": BOB, "call_type": "video"},
        {"target": BOB, "call_type": 5},
        {"target": BOB, "call_type": "group"},
        {"target": {"type": "room", "id": "r"}, "call_type": "direct"},
        {"target": ""},
        *({"target": wrong} for wrong in NO_TARGETS[:-1]),
    ],
    "voice/answer": CALL,
    "voice/reject": CALL,
    "voice/end": CALL,
    "control/ping": [],
}
UNANSWERED: dict[str, list[Any]] = {
    "presence/heartbeat": [{"seq": -1}, {"seq": "x"}, 5],
    "voice/data": [
        {},
        {"call_id": "c", "data": "zz"},
        {"call_id": "c", "data": 5},
        {"data": "00" * 30_001, "call_id": "c"},
        [],
    ],
}
SERVERS = (
    "auth/kick",
    "presence/event",
    "message/event",
    "friend/event",
    "voice/event",
    "notification/event",
)


def refused(command: str, payload: Any, kind: str = "request") -> list[dict[str, Any]]:
    """The lines that say that a line is refused."""
    codec = ChatAppServerCodec(lambda: 1_730_795_174.9)
    line = {"id": "r1", "type": kind, "timestamp": 5, "command": command, "payload": payload}
    try:
        request = codec.decode(json.dumps(line).encode())
    except WireError as error:
        if error.fatal:
            raise AssertionError("the next line stands for itself") from None
        return [decode(answer) for answer in codec.refusal(error.tag, error)]
    raise AssertionError(f"{json.dumps(line)[:300]} was read as {request.command!r}")


class BadInput(SynchronousTestCase):
    def test_every_command_is_here(self) -> None:
        asked = {
            command.name.value for command in COMMANDS.values() if command.direction is not Direction.SERVER
        }
        self.assertEqual(asked - PAYLOADS.keys() - UNANSWERED.keys(), set())

    def test_every_command_with_every_fault(self) -> None:
        for command, payloads in PAYLOADS.items():
            named = command.replace("group/", "room/")
            for spelling in (named, named.replace("/", ".")):
                for payload in (*payloads, "a string", 5, [1]):
                    where = f"{spelling} {str(payload)[:200]}"
                    (answer,) = refused(spelling, payload)
                    told = answer["payload"]
                    self.assertEqual((told["status"], told["error_code"]), BAD, where)
                    self.assertEqual((answer["id"], answer["type"]), ("r1", "response"), where)
                    self.assertEqual(answer["command"], ACKS.get(command, spelling), where)
                    self.check_repeated(command, told, where)

    def check_repeated(self, command: str, told: dict[str, Any], where: str) -> None:
        """What a client looks for is there, whatever it sent."""
        repeated: dict[str, type] = {}
        if command.startswith("group/") and command != "group/list":
            repeated = {"room_id": str}
            if command in ("group/kick", "group/invite"):
                repeated["user_id"] = str
        elif command.startswith("voice/"):
            repeated = {"call_id": str}
        elif command in ("friend/accept", "friend/reject"):
            repeated = {"request_id": int}
        elif command == "file/request":
            repeated = {"sessions": list, "file_name": str, "file_size": int}
        elif command.startswith("file/"):
            repeated = {"session_id": str}
        elif command == "message/send":
            repeated = {"message_id": str}
        self.assertEqual({name: type(told.get(name)) for name in repeated}, repeated, where)

    def test_what_is_never_answered(self) -> None:
        for command, payloads in UNANSWERED.items():
            for payload in payloads:
                for kind in ("request", "event"):
                    self.assertEqual(refused(command, payload, kind), [], f"{command} {str(payload)[:200]}")

    def test_as_events_they_get_no_answer(self) -> None:
        for command, payloads in PAYLOADS.items():
            answers = refused(command, (*payloads, 5)[0], "event")
            said = [answer["command"] for answer in answers]
            self.assertEqual(said, ["message/ack"] if command == "message/send" else [], command)

    def test_commands_of_the_server_and_unknown_ones(self) -> None:
        for command in SERVERS:
            (answer,) = refused(command, {})
            self.assertEqual((answer["payload"]["status"], answer["payload"]["error_code"]), BAD)
        for command in (
            "voice/mute",
            "file/chunk",
            "file/list",
            "file/cancel",
            "message/offline",
            "room/fly",
            "",
        ):
            (answer,) = refused(command, {})
            self.assertEqual((answer["payload"]["status"], answer["payload"]["error_code"]), (404, 1007))

    def test_a_call_needs_an_id(self) -> None:
        for id in (None, "", "x" * 129):
            codec = ChatAppServerCodec(lambda: 5.0)
            line = {"id": id, "type": "request", "command": "voice/call", "payload": {"target": BOB}}
            error = self.assertRaises(WireError, codec.decode, json.dumps(line).encode())
            (answer,) = map(json.loads, codec.refusal(error.tag, error))
            self.assertEqual(answer["payload"]["status"], 400)
            self.assertEqual(answer["payload"]["call_id"], id or "")
