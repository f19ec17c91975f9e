"""What clients get wrong: each command with bad payloads, and everything an envelope can have amiss."""

from __future__ import annotations

import json
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from imserver.model.accounts import Ping
from imserver.model.errors import ErrorCode
from imserver.wire.base import WireError
from imserver.wire.jsonline import JsonLineServerCodec

BAD = (400, 1004)
UNKNOWN = (404, 1007)
TEXT = {"type": "text", "text": "x"}
TO_BOB = {"type": "user", "id": "bob"}
DEEP: Any = json.loads("[" * 65 + "]" * 65)
NOT_STRINGS: tuple[Any, ...] = (1.5, True, [], {})

# command -> payloads that are refused with 400/1004
PAYLOADS: dict[str, list[Any]] = {
    "auth/login": [
        {},
        {"username": "a"},
        {"username": "a", "password": ""},
        {"username": "", "password": "p"},
        {"password": "p"},
        {"token": ""},
        {"username": -1, "password": "p"},
        {"username": 2**53, "password": "p"},
        {"username": "a", "password": 5},
        {"token": 5},
        {"token": "t", "client_info": []},
        {"token": "t", "client_info": {"device": 5}},
        {"token": "t", "client_info": {"device": "d" * 256}},
        {"token": "t", "client_info": {"platform": "界" * 86}},
        *({"username": wrong, "password": "p"} for wrong in NOT_STRINGS),
    ],
    "auth/register": [
        {},
        {"username": "a"},
        {"password": "p"},
        {"username": "", "password": "p"},
        {"username": "a", "password": ""},
        {"username": "a", "password": None},
    ],
    "auth/refresh": [{}, {"refresh_token": ""}, {"refresh_token": 1}, {"refresh_token": None}],
    "auth/logout": [5, "x", []],
    "presence/heartbeat": [{"seq": -1}, {"seq": 2**53}, {"seq": "1"}, {"seq": 1.5}, {"seq": True}],
    "presence/update": [{}, {"state": "offline"}, {"state": "ONLINE"}, {"state": 1}, {"state": None}],
    "presence/list": [{"users": "a"}, {"users": [1.5]}, {"users": [None]}, {"users": {}}, {"users": [-1]}],
    "message/send": [
        {},
        {"content": TEXT},
        {"target": TO_BOB},
        {"target": TO_BOB, "content": "x"},
        {"target": TO_BOB, "content": [TEXT]},
        {"target": TO_BOB, "content": {}},
        {"target": TO_BOB, "content": {"type": ""}},
        {"target": TO_BOB, "content": {"type": 5}},
        {"target": TO_BOB, "content": {"type": "custom", "deep": DEEP}},
        {"target": "bob", "content": TEXT},
        {"target": {}, "content": TEXT},
        {"target": {"type": "user"}, "content": TEXT},
        {"target": {"type": "user", "id": ""}, "content": TEXT},
        {"target": {"type": "user", "id": 1.5}, "content": TEXT},
        {"target": {"type": "group"}, "content": TEXT},
        {"target": {"type": "group", "id": "group_"}, "content": TEXT},
        {"target": {"type": "planet", "id": "x"}, "content": TEXT},
        {"target": {"type": 5, "id": "x"}, "content": TEXT},
        {"conversation_id": "", "content": TEXT},
        {"conversation_id": [], "content": TEXT},
        {"conversation_id": 2**60, "content": TEXT},
        {"target": TO_BOB, "content": TEXT, "attachments": {}},
        {"target": TO_BOB, "content": TEXT, "attachments": ["f"]},
        {"target": TO_BOB, "content": TEXT, "attachments": [{"deep": DEEP}]},
        {"target": TO_BOB, "content": TEXT, "meta": []},
        {"target": TO_BOB, "content": TEXT, "meta": {"reply_to": 5}},
        {"target": TO_BOB, "content": TEXT, "meta": {"reply_to": ""}},
        {"target": TO_BOB, "content": TEXT, "meta": {"reply_to": "m" * 256}},
        {"target": TO_BOB, "content": TEXT, "meta": {"priority": "urgent"}},
        {"target": TO_BOB, "content": TEXT, "meta": {"priority": []}},
        {"target": TO_BOB, "content": TEXT, "meta": {"deep": DEEP}},
        {"target": TO_BOB, "content": TEXT, "extra": []},
        {"target": TO_BOB, "content": TEXT, "extra": {"a": 1}},
    ],
    "message/ack": [{}, {"seq": 0}, {"seq": -1}, {"seq": "5"}, {"message_id": ""}, {"message_id": 5}],
    "message/history": [
        {"limit": -1},
        {"limit": "5"},
        {"limit": 2**70},
        {"since": 1.5},
        {"since": -1},
        {"since": 2**53},
        {"target": {"type": "broadcast"}},
        {"conversation_id": {}},
    ],
    "message/read": [
        {},
        {"message_ids": []},
        {"message_ids": [""]},
        {"message_ids": [5]},
        {"message_ids": "m"},
        {"message_ids": ["m"] * 501},
        {"message_id": ""},
    ],
    "message/revoke": [{}, {"message_id": ""}, {"message_id": 5}],
    "message/typing": [{}, {"typing": True}, {"conversation_id": "c"}, {"typing": 1, "conversation_id": "c"}],
    "group/create": [
        {"group_id": []},
        {"name": 5},
        {"open": "yes"},
        {"password": 5},
        {"members": "bob"},
        {"members": [[]]},
    ],
    "group/join": [{}, {"group_id": ""}, {"group_id": "group_"}, {"group_id": "g", "password": 5}],
    "group/leave": [{}, {"group_id": None}],
    "group/list": [[], 5],
    "group/members": [{}],
    "group/info": [{}],
    "group/invite": [{"group_id": "g"}, {"user_id": "u"}, {"group_id": "g", "user_id": ""}],
    "group/kick": [{"group_id": "g"}, {"user_id": "u"}, {"group_id": "g", "user_id": True}],
    "group/delete": [{}],
    "friend/request": [
        {},
        {"user_id": ""},
        {"user_id": None},
        {"user_id": -1},
        {"user_id": "bob", "message": 5},
        *({"user_id": wrong} for wrong in NOT_STRINGS),
    ],
    "friend/accept": [
        {},
        {"user_id": ""},
        {"user_id": "", "request_id": 0},
        {"request_id": 0},
        {"request_id": -1},
        {"request_id": 2**53},
        {"request_id": "7"},
        {"request_id": 1.5},
        {"request_id": True},
        {"user_id": []},
    ],
    "friend/reject": [{}, {"user_id": ""}, {"request_id": 0}, {"request_id": -1}, {"request_id": "7"}],
    "friend/delete": [{}, {"user_id": ""}, {"user_id": 1.5}, {"request_id": 7}],
    "friend/list": [[], 5, {"user_id": {}}],
    "friend/block": [{}, {"user_id": ""}, {"user_id": 2**53}],
    "friend/unblock": [{}, {"user_id": ""}, {"user_id": False}],
    "file/request": [
        {},
        {"file_name": "a"},
        {"file_size": 1},
        {"file_name": "a", "file_size": -1},
        {"file_name": "a", "file_size": 1.5},
        {"file_name": "a", "file_size": 2**53},
        {"file_name": "a", "file_size": True},
        {"file_name": 5, "file_size": 1},
        {"file_name": "a", "file_size": 1, "hash": 5},
        {"file_name": "a", "file_size": 1, "file_type": "virus"},
        {"file_name": "a", "file_size": 1, "target": {"type": "broadcast"}},
        {"file_name": "a", "file_size": 1, "target": {"type": "user"}},
        {"file_name": "a", "file_size": 1, "encryption": "rot13"},
        {"file_name": "a", "file_size": 1, "encryption": "aes-gcm"},
        {"file_name": "a", "file_size": 1, "resume": "tr-1"},
        {"file_name": "a", "file_size": 1, "resume": {"transfer_id": 5}},
        {"file_name": "a", "file_size": 1, "resume": {"transfer_id": "tr-1", "offset": -1}},
    ],
    "file/accept": [
        {},
        {"transfer_id": "t", "file_id": "f"},
        {"transfer_id": 5},
        {"transfer_id": "t", "encryption": "aes-gcm"},
    ],
    "file/reject": [{}, {"transfer_id": 5}, {"transfer_id": "t", "reason": 5}],
    "file/cancel": [{}, {"transfer_id": 5}, {"transfer_id": "t", "reason": 5}],
    "file/ack": [{}, {"transfer_id": "t", "offset": -1}, {"transfer_id": "t", "offset": "1"}],
    "file/complete": [{}, {"transfer_id": 5}],
    "file/list": [{"limit": -1}, {"limit": "1"}, {"after": 5}],
    "control/ping": [5, [], "x"],
    # Only the server sends these.
    "auth/kick": [{}],
    "presence/event": [{}],
    "message/event": [{}],
    "message/offline": [{}],
    "notification/event": [{}],
    "control/error": [{}],
}

UNKNOWN_COMMANDS = (
    "",
    "/",
    "nope",
    "auth",
    "auth/",
    "auth//login",
    "Auth/Login",
    "message/send/",
    "friend/mute",
    "file/chunk",
    "room/fly",
    "x" * 5000,
)


def refused(line: bytes) -> tuple[WireError, list[dict[str, Any]]]:
    """The error that a line is refused with, and the lines that say so."""
    codec = JsonLineServerCodec(lambda: 5.0)
    try:
        request = codec.decode(line)
    except WireError as error:
        return error, [json.loads(answer) for answer in codec.refusal(error.tag, error)]
    raise AssertionError(f"{line[:200]!r} was read as {request.command!r}")


def numbers(answer: dict[str, Any]) -> tuple[int, int]:
    return answer["payload"]["status"], answer["payload"]["error_code"]


class Payloads(SynchronousTestCase):
    def test_every_command_with_every_fault(self) -> None:
        for command, payloads in PAYLOADS.items():
            for spelling in (command, command.replace("/", ".")):
                for payload in (*payloads, "a string", 5, [1]):
                    line = {"id": "r1", "type": "request", "command": spelling, "payload": payload}
                    error, answers = refused(json.dumps(line).encode())
                    where = f"{spelling} {str(payload)[:200]}"
                    self.assertEqual(numbers(answers[0]), BAD, where)
                    self.assertEqual(answers[0]["id"], "r1", where)
                    self.assertEqual(answers[0]["type"], "response", where)
                    self.assertEqual(answers[0]["command"], spelling, where)
                    self.assertFalse(answers[0]["payload"]["retryable"])
                    self.assertEqual(error.command, command)
                    self.assertFalse(error.fatal)
                    if command == "message/send":
                        self.assertEqual(answers[1]["command"], "message/ack")
                        self.assertEqual(answers[1]["id"], "r1")
                        self.assertEqual(answers[1]["payload"], answers[0]["payload"])
                    self.assertEqual(len(answers), 2 if command == "message/send" else 1)

    def test_as_events_they_get_no_answer(self) -> None:
        for command, payloads in PAYLOADS.items():
            line = {"id": "r1", "type": "event", "command": command, "payload": payloads[0]}
            _, answers = refused(json.dumps(line).encode())
            if command == "message/send":
                self.assertEqual([answer["command"] for answer in answers], ["message/ack"])
            else:
                self.assertEqual(answers, [], command)

    def test_unknown_commands(self) -> None:
        for command in UNKNOWN_COMMANDS:
            error, answers = refused(json.dumps({"id": 3, "command": command}).encode())
            self.assertEqual([numbers(answer) for answer in answers], [UNKNOWN], command)
            self.assertEqual(answers[0]["id"], 3)
            self.assertEqual(answers[0]["command"], command if len(command) <= 128 else "control/error")
            self.assertEqual(error.command, "")

    def test_error_texts_do_not_repeat_the_peer(self) -> None:
        for command, payload in (
            ("presence/update", {"state": "secret-word"}),
            ("message/send", {"target": {"type": "secret-word"}, "content": TEXT}),
            ("message/send", {"target": TO_BOB, "content": "secret-word"}),
            ("message/send", {"target": TO_BOB, "content": TEXT, "extra": {"secret-word": 5}}),
            ("auth/login", {"username": ["secret-word"], "password": "secret-word"}),
            ("secret-word", {}),
        ):
            error, _ = refused(json.dumps({"command": command, "payload": payload}).encode())
            self.assertNotIn("secret-word", error.text)


class Envelopes(SynchronousTestCase):
    def test_lines_that_are_no_message(self) -> None:
        for line in (
            b"x",
            b"{",
            b"[]",
            b"5",
            b'"text"',
            b"null",
            b"true",
            b"{} {}",
            b'{"command":"control/ping"',
            b'{"command":"control/ping"}x',
            b'\xef\xbb\xbf{"command":"control/ping"}',
            '{"command":"control/ping"}'.encode("utf-16"),
            b'{"command":"control/ping","x":"\xff"}',
            b'{"command":"control/ping","payload":{"x":"\xed\xa0\x80"}}',
            b'{"command":"control/ping","payload":{"x":"\xc0\x80"}}',
            b'{"command":"control/ping","x":NaN}',
            b'{"command":"control/ping","x":Infinity}',
            b'{"command":"control/ping","x":-Infinity}',
            b'{"command":"control/ping","x":01}',
            b'{"command":"control/ping","x":"\\ud800"}',
            b'{"command":"control/ping","x":"\\udc00"}',
            b'{"command":"control/ping","x":"a\x00b"}',
            b'{"command":"control/ping","x":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
            b'{"command":"control/ping","payload":' + b'{"a":' * 30_000 + b"1" + b"}" * 30_000 + b"}",
            b"[" * 200_000,
            b'{"a":' * 40_000,
        ):
            _, answers = refused(line)
            self.assertEqual([numbers(answer) for answer in answers], [BAD], line[:60])
            self.assertEqual(answers[0]["id"], None, line[:60])
            self.assertEqual(answers[0]["command"], "control/error")

    def test_wrong_fields_keep_what_can_be_echoed(self) -> None:
        for fields in (
            b'"type":"response"',
            b'"type":"REQUEST"',
            b'"type":5',
            b'"type":[]',
            b'"timestamp":0',
            b'"timestamp":-1',
            b'"timestamp":"now"',
            b'"timestamp":true',
            b'"timestamp":1e300',
            b'"timestamp":1e999',
            b'"timestamp":9007199254740993',
            b'"timestamp":%b' % (b"9" * 5000),
            b'"headers":[]',
            b'"headers":5',
            b'"headers":{"version":[]}',
            b'"headers":{"version":true}',
            b'"headers":{"Authorization":5}',
            b'"headers":{"trace":"%b"}' % (b"t" * 1024),
            b'"headers":{"trace":%b}' % (b"[" * 65 + b"]" * 65),
        ):
            _, answers = refused(b'{"id":"e1","command":"control/ping",%b}' % fields)
            self.assertEqual([numbers(answer) for answer in answers], [BAD], fields[:60])
            self.assertEqual((answers[0]["id"], answers[0]["command"]), ("e1", "control/ping"), fields[:60])

    def test_commands_that_are_no_string(self) -> None:
        for command in (b"5", b"null", b"[]", b"{}", b"true"):
            _, answers = refused(b'{"id":"e1","command":%b}' % command)
            self.assertEqual([numbers(answer) for answer in answers], [BAD])
            self.assertEqual((answers[0]["id"], answers[0]["command"]), ("e1", "control/error"))
        _, answers = refused(b'{"id":"e1"}')
        self.assertEqual(numbers(answers[0]), BAD)

    def test_ids_that_cannot_be_echoed(self) -> None:
        for id in (
            b"1.5",
            b"true",
            b"[]",
            b"{}",
            b"9007199254740992",
            b"-9007199254740992",
            b'"%b"' % (b"a" * 256),
            '"{}"'.format("界" * 86).encode(),
        ):
            _, answers = refused(b'{"id":%b,"command":"control/ping"}' % id)
            self.assertEqual([numbers(answer) for answer in answers], [BAD], id[:60])
            self.assertEqual((answers[0]["id"], answers[0]["command"]), (None, "control/ping"))

    def test_an_id_that_cannot_even_be_read(self) -> None:
        _, answers = refused(b'{"id":%b,"command":"control/ping"}' % (b"9" * 5000))
        self.assertEqual((numbers(answers[0]), answers[0]["id"]), (BAD, None))

    def test_a_failed_send_without_an_id_has_no_ack(self) -> None:
        _, answers = refused(b'{"command":"message/send"}')
        self.assertEqual([answer["type"] for answer in answers], ["response"])

    def test_the_last_of_duplicate_keys_counts(self) -> None:
        codec = JsonLineServerCodec(lambda: 5.0)
        request = codec.decode(b'{"command":"nope","command":"control/ping","id":1,"id":"b"}')
        self.assertEqual((request.command, request.tag.id), (Ping(), b'"b"'))

    def test_versions_not_supported(self) -> None:
        for version in ("2.0", "0.9", "1.", "1.0.0", "", "one", "1.x", " 1.0", "١", 2, 0, -1, 1.5, 1e300):
            line = {"id": "v", "command": "auth/login", "headers": {"version": version, "trace": "t"}}
            error, answers = refused(json.dumps(line).encode())
            self.assertEqual(error.code, ErrorCode.VERSION, version)
            self.assertEqual([numbers(answer) for answer in answers], [(426, 1002)], version)
            self.assertEqual(
                answers[0]["headers"], {"trace": "t", "supported_versions": ["1.0", "1.0"]}, version
            )
            self.assertIn("1.0", answers[0]["payload"]["advice"])

    def test_authorization_that_is_no_bearer_token(self) -> None:
        for value in ("", "Bearer", "Bearer ", "Basic abc", "abc", "Bearerabc"):
            line = {"id": "v", "command": "control/ping", "headers": {"Authorization": value}}
            _, answers = refused(json.dumps(line).encode())
            self.assertEqual([numbers(answer) for answer in answers], [(401, 1001)], value)


def nested(value: str) -> bytes:
    """A message/send whose content object holds `value`."""
    head = '{"id":"d","command":"message/send","payload":{"target":{"type":"user","id":"b"},'
    return (head + '"content":{"type":"custom","a":' + value + "}}}").encode()


class Depth(SynchronousTestCase):
    """Carried values may be nested 64 levels deep, whatever brackets their strings contain."""

    def test_limit(self) -> None:
        codec = JsonLineServerCodec(lambda: 5.0)
        for opening, closing in (("[", "]"), ('{"a":', "}")):
            inner = opening * 63 + "1" + closing * 63
            codec.decode(nested(inner))
            error, _ = refused(nested(opening + inner + closing))
            self.assertEqual(error.code, ErrorCode.BAD_REQUEST)

    def test_mixed(self) -> None:
        inner = '[{"a":' * 31 + "[]" + "}]" * 31
        JsonLineServerCodec(lambda: 5.0).decode(nested(inner))
        refused(nested(f"[{inner}]"))

    def test_brackets_in_strings_and_side_by_side(self) -> None:
        text = json.dumps('\\"' + "[{" * 200 + '"]\\')
        siblings = ",".join(["[[]]"] * 300)
        JsonLineServerCodec(lambda: 5.0).decode(nested(f"[{text},{siblings}]"))
