"""The control socket's lines."""

from __future__ import annotations

import json
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from imserver.model import admin, group_admin, key_admin, room_admin
from imserver.model.accounts import Role
from imserver.model.errors import ErrorCode, ImError
from imserver.model.groups import Group, GroupMember, GroupReply, GroupRole
from imserver.model.messages import Done
from imserver.model.rooms import EndpointInfo, EndpointRole, Stream, StreamType
from imserver.services.administration import OPERATOR_COMMANDS
from imserver.wire import control

REPLIES: list[Any] = [
    Done(),
    control.ServerInfo("1.2", 3),
    admin.UserReply(admin.UserInfo("é", Role.ADMIN, True, 1.5, False)),
    admin.UserList([admin.UserInfo("a", Role.USER, False, 0.0, True)], True),
    admin.TokenKeysRotated("k"),
    admin.TokensIssued("a", "s", "t", "r", 60),
    admin.TokenReply("a", "s", "web", 2.5, True),
    admin.SessionList([admin.SessionInfo("s", "a", "f", "d", "p", Role.USER, "::1", True)], False),
    GroupReply(Group("g", "G", "a", True, False, 1.0, 1, [GroupMember("a", GroupRole.OWNER, 1.0)])),
    key_admin.MessageKeyAdded(key_admin.MessageKeyInfo("k", "a", "preshared", 1.5), "s"),
    key_admin.MessageKeyList([key_admin.MessageKeyInfo("k", "a", "ed25519", 1.5)], "server", "p"),
    group_admin.GroupPage([Group("g", "G", "a", False, True, 1.0, 7)], False),
    room_admin.RoomList([room_admin.RoomInfo("a", "c", 2, 1, 1.5)], True),
    room_admin.RoomReply(
        room_admin.RoomInfo("a", "c", 1, 1, 1.5),
        [
            room_admin.SeatedEndpoint(
                EndpointInfo(
                    "e", "d", EndpointRole.RECORDER, Stream("s", StreamType.CAMERA, True, False, "", "vp8")
                ),
                "alice",
                False,
            )
        ],
        {"wss": "wss://m"},
    ),
]


class ControlTests(SynchronousTestCase):
    def test_all_commands_of_the_operator_and_no_others(self) -> None:
        self.assertEqual({control.Describe, *OPERATOR_COMMANDS}, set(control.COMMANDS.values()))

    def test_a_request_as_documented(self) -> None:
        line = b'{"id":1,"command":"CreateUser","arguments":{"user":"alice","password":"x","role":"admin"}}'
        command = admin.CreateUser("alice", "x", role=Role.ADMIN)
        self.assertEqual(control.decode_request(line), (1, command))
        self.assertEqual(control.decode_request(control.encode_request(1, command)), (1, command))

    def test_answers_as_documented(self) -> None:
        line = control.encode_refusal(1, ImError(ErrorCode.USER_EXISTS, "this user exists already"))
        self.assertEqual(line, b'{"id":1,"error":"USER_EXISTS","text":"this user exists already"}')
        id, error = control.decode_answer(line)
        self.assertEqual((id, error.code, error.text), (1, ErrorCode.USER_EXISTS, "this user exists already"))
        line = control.encode_reply(2, admin.TokenKeysRotated("k"))
        self.assertEqual(json.loads(line), {"id": 2, "reply": "TokenKeysRotated", "value": {"kid": "k"}})

    def test_every_reply_comes_back(self) -> None:
        self.assertEqual({type(reply) for reply in REPLIES}, set(control.REPLIES.values()))
        for reply in REPLIES:
            self.assertEqual(control.decode_answer(control.encode_reply(9, reply)), (9, reply))

    def test_every_command_comes_back(self) -> None:
        for kind in control.COMMANDS.values():
            fields = {
                field.name: ("g", "h") if field.name == "members" else "x"
                for field in msgspec.structs.fields(kind)
                if field.required or field.name == "members"
            }
            if "role" in fields:
                fields["role"] = Role.ADMIN
            command = kind(**fields)
            self.assertEqual(control.decode_request(control.encode_request(3, command)), (3, command))

    def test_what_is_not_understood_is_refused_under_its_id(self) -> None:
        cases = {
            b"": 0,
            b"[]": 0,
            b'{"id":"a","command":"Describe"}': 0,
            b'{"id":4}': 0,
            b'{"id":4,"command":"Describe","more":1}': 0,
            b'{"id":4,"command":"Nonsense"}': 4,
            b'{"id":4,"command":"Describe","arguments":{"a":1}}': 4,
            b'{"id":4,"command":"CreateUser"}': 4,
            b'{"id":4,"command":"CreateUser","arguments":{"user":1}}': 4,
            b'{"id":4,"command":"SetRole","arguments":{"user":"a","role":"king"}}': 4,
            b"[" * 100_000: 0,
        }
        for line, id in cases.items():
            with self.assertRaises(control.ControlError) as caught:
                control.decode_request(line)
            self.assertEqual(caught.exception.id, id, line[:60])
        secret = b'{"id":4,"command":"ChangePassword","arguments":{"user":"a","password":["hunter2"]}}'
        with self.assertRaises(control.ControlError) as caught:
            control.decode_request(secret)
        self.assertNotIn("hunter2", caught.exception.text)

    @given(
        st.binary(max_size=200) | st.text().map(lambda text: json.dumps({"id": 1, "command": text}).encode())
    )
    def test_bytes_are_a_command_or_an_error(self, line: bytes) -> None:
        for decode in (control.decode_request, control.decode_answer):
            try:
                decode(line)
            except control.ControlError as error:
                self.assertTrue(error.text)
