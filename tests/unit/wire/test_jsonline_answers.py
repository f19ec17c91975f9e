"""Every reply and event of the model in this format's bytes, read back by the client's role."""

from __future__ import annotations

import json
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from imserver.model.accounts import (
    Hello,
    KickReason,
    LoggedIn,
    Pong,
    Registered,
    SessionKicked,
    TokensRefreshed,
)
from imserver.model.call_records import CallMissed
from imserver.model.errors import RETRYABLE, ErrorCode, ImError
from imserver.model.friends import (
    BlockedUser,
    Friend,
    FriendChange,
    FriendChanged,
    FriendList,
    FriendReply,
    FriendRequest,
    Standing,
)
from imserver.model.groups import (
    CreateGroup,
    Group,
    GroupChange,
    GroupChanged,
    GroupList,
    GroupMember,
    GroupReply,
    GroupRole,
    MemberList,
)
from imserver.model.messages import (
    Content,
    Done,
    Form,
    InboxPage,
    InboxRow,
    Message,
    MessageAccepted,
    MessagePage,
    MessageRevoked,
    MessageRevokedReply,
    MessagesMarked,
    MessagesRead,
    TypingChanged,
)
from imserver.model.presence import PresenceChanged, PresenceList, PresenceState, UserPresence
from imserver.wire.base import WireError
from imserver.wire.jsonline import MAX_LINE, JsonLineClientCodec, JsonLineServerCodec, SendFailed

GROUP = Group("g1", "The group", "alice", True, False, 100.0, 2)
GROUP_FIELDS = {
    "group_id": "g1",
    "conversation_id": "group_g1",
    "name": "The group",
    "owner": "alice",
    "open": True,
    "has_password": False,
    "created_at": 100,
    "member_count": 2,
}
MEMBERS = [GroupMember("alice", GroupRole.OWNER, 100.0), GroupMember("bob", GroupRole.MEMBER, 101.0)]
MEMBER_FIELDS = [
    {"user_id": "alice", "role": "owner", "joined_at": 100},
    {"user_id": "bob", "role": "member", "joined_at": 101},
]
WITH_MEMBERS = Group("g1", "The group", "alice", True, False, 100.0, 2, MEMBERS)

# (command, its payload, reply, payload of the response)
REPLIES: list[tuple[str, dict[str, Any], Any, dict[str, Any]]] = [
    (
        "auth/login",
        {"token": "t"},
        LoggedIn("a", "", "", 60, 5, 1, "e"),
        {
            "token": "",
            "refresh_token": "",
            "user_id": "a",
            "expires_in": 60,
            "epoch": "e",
            "max_seq": 5,
            "first_seq": 1,
        },
    ),
    ("auth/register", {"username": "a", "password": "p"}, Registered("a"), {"user_id": "a"}),
    (
        "auth/refresh",
        {"refresh_token": "r"},
        TokensRefreshed("a", "t", "r2", 60),
        {"token": "t", "refresh_token": "r2", "user_id": "a", "expires_in": 60},
    ),
    ("auth/logout", {}, Done(), {}),
    ("presence/heartbeat", {"seq": 3}, Pong(9.0, 0.0, 3), {"time": 9, "seq": 3}),
    ("presence/update", {"state": "away"}, Done(), {"state": "away"}),
    (
        "presence/list",
        {},
        PresenceList([UserPresence("b", PresenceState.BUSY, 7.0)]),
        {"users": [{"user_id": "b", "state": "busy", "last_seen": 7}]},
    ),
    ("message/ack", {"seq": 5}, Done(), {}),
    (
        "message/history",
        {},
        MessagePage([], "", False),
        {"messages": [], "next_cursor": "", "has_more": False},
    ),
    (
        "message/revoke",
        {"message_id": "m"},
        MessageRevokedReply("m", 8.0),
        {"message_id": "m", "revoked_at": 8},
    ),
    ("message/read", {"message_id": "m"}, MessagesMarked(8.0), {"read_at": 8}),
    ("message/typing", {"typing": True, "conversation_id": "c"}, Done(), {}),
    (
        "group/create",
        {"group_id": "g1"},
        GroupReply(WITH_MEMBERS),
        {**GROUP_FIELDS, "members": MEMBER_FIELDS},
    ),
    ("group/join", {"group_id": "group_g1"}, GroupReply(GROUP), GROUP_FIELDS),
    ("group/leave", {"group_id": "g1"}, Done(), {"group_id": "g1"}),
    ("group/list", {}, GroupList([GROUP]), {"groups": [GROUP_FIELDS]}),
    (
        "group/members",
        {"group_id": "g1"},
        MemberList("g1", MEMBERS),
        {"group_id": "g1", "members": MEMBER_FIELDS},
    ),
    ("group/info", {"group_id": "g1"}, GroupReply(GROUP), GROUP_FIELDS),
    ("group/invite", {"group_id": "g1", "user_id": "u"}, Done(), {"group_id": "g1"}),
    ("group/kick", {"group_id": "g1", "user_id": "u"}, Done(), {"group_id": "g1"}),
    ("group/delete", {"group_id": "g1"}, Done(), {"group_id": "g1"}),
    (
        "friend/request",
        {"user_id": "b"},
        FriendReply("b", Standing.REQUESTED, 7),
        {"user_id": "b", "state": "requested", "request_id": 7},
    ),
    (
        "friend/accept",
        {"request_id": 7},
        FriendReply("b", Standing.FRIENDS),
        {"user_id": "b", "state": "friends"},
    ),
    ("friend/reject", {"user_id": "b"}, FriendReply("b", Standing.NONE), {"user_id": "b", "state": "none"}),
    ("friend/delete", {"user_id": "b"}, FriendReply("b", Standing.NONE), {"user_id": "b", "state": "none"}),
    (
        "friend/list",
        {},
        FriendList(
            [Friend("b", 5.0)],
            [FriendRequest(7, "c", "hi", 6.0)],
            [FriendRequest(8, "d", "", 7.0)],
            [BlockedUser("e", 8.0)],
        ),
        {
            "friends": [{"user_id": "b", "since": 5}],
            "pending_requests": [{"request_id": 7, "user_id": "c", "message": "hi", "at": 6}],
            "sent_requests": [{"request_id": 8, "user_id": "d", "message": "", "at": 7}],
            "blocked": [{"user_id": "e", "at": 8}],
        },
    ),
    (
        "friend/block",
        {"user_id": "b"},
        FriendReply("b", Standing.BLOCKED),
        {"user_id": "b", "state": "blocked"},
    ),
    ("friend/unblock", {"user_id": "b"}, FriendReply("b", Standing.NONE), {"user_id": "b", "state": "none"}),
    ("control/ping", {}, Pong(9.0), {"time": 9}),
]

# (event, command, payload)
EVENTS: list[tuple[Any, str, dict[str, Any]]] = [
    (
        SessionKicked(KickReason.SHUTDOWN, "bye", 1.25),
        "control/error",
        {
            "status": 503,
            "error_code": 1012,
            "error": "UNAVAILABLE",
            "error_message": "bye",
            "retryable": True,
            "retry_after": 1.25,
        },
    ),
    (
        SessionKicked(KickReason.ACCOUNT, "disabled"),
        "auth/kick",
        {"reason": "account", "message": "disabled"},
    ),
    (
        PresenceChanged("b", PresenceState.OFFLINE, 7.0),
        "presence/event",
        {"user_id": "b", "state": "offline", "last_seen": 7},
    ),
    (
        GroupChanged(GroupChange.KICKED, "g", "bob", "alice", 9.0),
        "notification/event",
        {
            "event_type": "group_kicked",
            "group_id": "g",
            "conversation_id": "group_g",
            "user_id": "bob",
            "by": "alice",
            "at": 9,
        },
    ),
    (
        FriendChanged(FriendChange.REQUESTED, "bob", "alice", 9.0, 7, "hi"),
        "notification/event",
        {
            "event_type": "friend_request",
            "user_id": "bob",
            "by": "alice",
            "at": 9,
            "request_id": 7,
            "message": "hi",
        },
    ),
    (
        FriendChanged(FriendChange.ACCEPTED, "alice", "bob", 9.0, 7),
        "notification/event",
        {"event_type": "friend_accepted", "user_id": "alice", "by": "bob", "at": 9, "request_id": 7},
    ),
    (
        FriendChanged(FriendChange.BLOCKED, "bob", "alice", 9.0),
        "notification/event",
        {"event_type": "user_blocked", "user_id": "bob", "by": "alice", "at": 9},
    ),
    (
        MessageRevoked("m", "c", "", "alice", 9.0),
        "notification/event",
        {
            "event_type": "message_revoked",
            "message_id": "m",
            "conversation_id": "c",
            "revoked_by": "alice",
            "revoked_at": 9,
        },
    ),
    (
        MessagesRead(("m", "n"), "c", "", "bob", 9.0),
        "notification/event",
        {
            "event_type": "messages_read",
            "message_ids": ["m", "n"],
            "conversation_id": "c",
            "reader_id": "bob",
            "read_at": 9,
        },
    ),
    (
        CallMissed("call_1", "alice", "bob", True, 7.0, 9.0),
        "notification/event",
        {
            "event_type": "missed_call",
            "call_id": "call_1",
            "caller_id": "alice",
            "callee_id": "bob",
            "call_type": "video",
            "created_at": 7,
            "ended_at": 9,
        },
    ),
    (
        TypingChanged("c", "bob", True),
        "notification/event",
        {"event_type": "typing", "conversation_id": "c", "user_id": "bob", "typing": True},
    ),
]


def line_of(command: str, payload: Any, **fields: Any) -> bytes:
    line = {"id": "q", "type": "request", "command": command, "payload": payload, **fields}
    return json.dumps(line).encode()


def long_row(seq: int, text: bytes) -> InboxRow:
    content = Content(Form.TEXT, text)
    return InboxRow(seq, Message(f"m{seq}", "c", "single_a_b", seq, "a", "b", "", "", content, 1.0, 1.0))


class Replies(SynchronousTestCase):
    def test_each(self) -> None:
        for command, asked, reply, payload in REPLIES:
            server = JsonLineServerCodec(lambda: 5.0)
            request = server.decode(line_of(command, asked))
            (line,) = server.reply(request, reply)
            self.assertEqual(
                json.loads(line),
                {
                    "id": "q",
                    "type": "response",
                    "timestamp": 5,
                    "command": command,
                    "payload": {"status": 200, **payload},
                },
            )
            self.assertEqual(JsonLineClientCodec().decode(line), ("q", reply), command)

    def test_none_for_events(self) -> None:
        for command, asked, reply, _ in REPLIES:
            if command != "presence/heartbeat":
                server = JsonLineServerCodec(lambda: 5.0)
                request = server.decode(line_of(command, asked, type="event"))
                self.assertEqual(server.reply(request, reply), [], command)

    def test_rooms_are_answered_as_rooms(self) -> None:
        server = JsonLineServerCodec(lambda: 5.0)
        for spelling in ("room/create", "room.create"):
            request = server.decode(line_of(spelling, {"room_id": "g1"}))
            self.assertEqual(request.command, CreateGroup("g1"))
            line = json.loads(server.reply(request, GroupReply(GROUP))[0])
            self.assertEqual(line["command"], spelling)
            self.assertEqual(line["payload"], {"status": 200, **GROUP_FIELDS, "room_id": "g1"})

    def test_retries_are_recognised_where_repeating_would_do_harm(self) -> None:
        server = JsonLineServerCodec(lambda: 5.0)
        once = {command for command, asked, _, _ in REPLIES if server.decode(line_of(command, asked)).dedupe}
        self.assertEqual(
            once,
            {
                "presence/update",
                "message/revoke",
                "message/read",
                "group/create",
                "group/join",
                "group/leave",
                "group/invite",
                "group/kick",
                "group/delete",
                "friend/request",
                "friend/accept",
                "friend/reject",
                "friend/delete",
                "friend/block",
                "friend/unblock",
            },
        )
        for id in (None, ""):
            self.assertFalse(server.decode(line_of("group/create", {}, id=id)).dedupe)
        ids = {
            server.decode(line_of(command, asked)).retry_id
            for command, asked, _, _ in REPLIES
            if command in once
        }
        self.assertEqual(len(ids), len(once))


class Events(SynchronousTestCase):
    def test_each(self) -> None:
        for event, command, payload in EVENTS:
            (line,) = JsonLineServerCodec(lambda: 5.0).event(event)
            self.assertEqual(
                json.loads(line),
                {"id": "ev-1", "type": "event", "timestamp": 5, "command": command, "payload": payload},
            )
            self.assertEqual(JsonLineClientCodec().decode(line), (None, event))

    def test_ids_differ(self) -> None:
        server = JsonLineServerCodec(lambda: 5.0)
        lines = [json.loads(line) for event, _, _ in EVENTS for line in server.event(event)]
        self.assertEqual(len({line["id"] for line in lines}), len(EVENTS))

    def test_errors(self) -> None:
        server = JsonLineServerCodec(lambda: 5.0)
        for error in (ImError(ErrorCode.TOO_FAST, "x"), WireError(ErrorCode.TOO_FAST, "x")):
            (line,) = server.event(error)
            self.assertEqual(json.loads(line)["command"], "control/error")
            _, read = JsonLineClientCodec().decode(line)
            self.assertEqual((read.code, read.text), (ErrorCode.TOO_FAST, "x"))

    def test_what_the_format_cannot_carry(self) -> None:
        self.assertEqual(JsonLineServerCodec(lambda: 5.0).event(Hello()), [])
        with self.assertRaises(ValueError):
            JsonLineClientCodec().request(Hello(), "x")


class Errors(SynchronousTestCase):
    NUMBERS = {
        "BAD_REQUEST": (400, 1004),
        "AUTH_FAILED": (401, 1001),
        "TOKEN_EXPIRED": (401, 1001),
        "FORBIDDEN": (403, 1008),
        "USER_NOT_FOUND": (404, 1007),
        "USER_EXISTS": (409, 1006),
        "CONVERSATION_NOT_FOUND": (404, 1007),
        "NOT_FOUND": (404, 1007),
        "UNKNOWN_COMMAND": (404, 1007),
        "CONFLICT": (409, 1010),
        "TOO_LARGE": (413, 1009),
        "TOO_FAST": (429, 1005),
        "VERSION": (426, 1002),
        "SIGNATURE": (401, 1003),
        "UNAVAILABLE": (503, 1012),
        "INTERNAL": (500, 1011),
    }

    def test_numbers(self) -> None:
        self.assertEqual(set(self.NUMBERS), {code.value for code in ErrorCode})
        server = JsonLineServerCodec(lambda: 5.0)
        tag = server.decode(line_of("control/ping", {})).tag
        for code in ErrorCode:
            (line,) = server.refusal(tag, ImError(code, "why"))
            payload = json.loads(line)["payload"]
            self.assertEqual((payload["status"], payload["error_code"]), self.NUMBERS[code.value], code)
            self.assertEqual(payload["retryable"], code in RETRYABLE)
            self.assertEqual(payload["error_message"], "why")
            read_tag, read = JsonLineClientCodec().decode(line)
            self.assertEqual((read_tag, read.code, read.text), ("q", code, "why"))

    def test_other_servers_name_no_error(self) -> None:
        for status, number, code in (
            (404, 1007, ErrorCode.NOT_FOUND),
            (401, 1001, ErrorCode.AUTH_FAILED),
            (401, 1003, ErrorCode.SIGNATURE),
            (409, 1006, ErrorCode.USER_EXISTS),
            (409, 7, ErrorCode.CONFLICT),
            (500, None, ErrorCode.INTERNAL),
            (418, 1, ErrorCode.INTERNAL),
        ):
            payload = {"status": status, "error_code": number, "error_message": "x"}
            line = json.dumps({"id": 1, "type": "response", "command": "control/ping", "payload": payload})
            self.assertEqual(JsonLineClientCodec().decode(line.encode())[1].code, code)

    def test_a_failed_send_at_the_client(self) -> None:
        server, client = JsonLineServerCodec(lambda: 5.0), JsonLineClientCodec()
        asked = {"target": {"type": "user", "id": "b"}, "content": {"type": "text", "text": "x"}}
        tag = server.decode(line_of("message/send", asked)).tag
        response, ack = map(client.decode, server.refusal(tag, ImError(ErrorCode.FORBIDDEN, "no")))
        self.assertEqual((response[0], response[1].code), ("q", ErrorCode.FORBIDDEN))
        self.assertIsNone(ack[0])
        assert isinstance(ack[1], SendFailed)
        self.assertEqual((ack[1].id, ack[1].error.code), ("q", ErrorCode.FORBIDDEN))

    def test_lines_that_no_server_sends(self) -> None:
        for line in (
            b"",
            b"x",
            b"[]",
            b'{"id":1,"type":"response","command":"control/ping"}',
            b'{"id":1,"type":"response","command":"nope","payload":{"status":200}}',
            b'{"id":1,"type":"response","command":"auth/login","payload":{"status":200}}',
            b'{"id":1,"type":"response","command":"group/list","payload":{"status":200,"groups":[5]}}',
            b'{"id":1,"type":"response","command":"control/ping","payload":{"status":[]}}',
            b'{"type":"event","command":"message/event","payload":{"message":5}}',
            b'{"type":"event","command":"notification/event","payload":{"event_type":"nope"}}',
            b'{"type":"event","command":"auth/login","payload":{}}',
            b'{"type":"event","command":"nope","payload":{}}',
        ):
            with self.assertRaises(WireError):
                JsonLineClientCodec().decode(line)


class LongLists(SynchronousTestCase):
    """Lines stay within 256 KiB; a list that does not fit comes in parts."""

    def read(self, lines: list[bytes]) -> Any:
        client = JsonLineClientCodec()
        *parts, last = [client.decode(line) for line in lines]
        self.assertEqual(parts, [(None, None)] * len(parts))
        for line in lines:
            self.assertLessEqual(len(line), MAX_LINE)
        for line in lines[:-1]:
            self.assertIs(json.loads(line)["payload"]["continued"], True)
        self.assertNotIn("continued", json.loads(lines[-1])["payload"])
        return last

    def test_members_groups_and_presence(self) -> None:
        members = [GroupMember(f"user-{n}", GroupRole.MEMBER, 1.0) for n in range(20_000)]
        groups = [Group(f"g{n}", "x" * 200, "a", False, False, 1.0, 1) for n in range(3_000)]
        users = [UserPresence(f"user-{n}", PresenceState.AWAY, 1.0) for n in range(9_000)]
        friends = FriendList(
            [Friend(f"user-{n}", 1.0) for n in range(9_000)],
            [FriendRequest(n, f"user-{n}", "hello", 1.0) for n in range(1, 5_000)],
            [FriendRequest(n, f"user-{n}", "", 1.0) for n in range(5_000, 5_100)],
            [BlockedUser(f"user-{n}", 1.0) for n in range(6_000)],
        )
        for command, asked, reply in (
            ("group/members", {"group_id": "g"}, MemberList("g", members)),
            ("group/list", {}, GroupList(groups)),
            ("presence/list", {}, PresenceList(users)),
            ("friend/list", {}, friends),
        ):
            server = JsonLineServerCodec(lambda: 5.0)
            lines = server.reply(server.decode(line_of(command, asked)), reply)
            self.assertGreater(len(lines), 1)
            self.assertEqual(self.read(lines), ("q", reply))

    def test_group_with_too_many_members_to_tell(self) -> None:
        members = [GroupMember(f"user-{n}", GroupRole.MEMBER, 1.0) for n in range(20_000)]
        server = JsonLineServerCodec(lambda: 5.0)
        request = server.decode(line_of("group/info", {"group_id": "g"}))
        group = Group("g", "n", "a", True, False, 1.0, 20_000, members)
        (line,) = server.reply(request, GroupReply(group))
        self.assertNotIn("members", json.loads(line)["payload"])

    def test_history_that_swells(self) -> None:
        # A control character is one byte in the store and six in JSON.
        rows = [long_row(seq, b"\x01" * 30_000) for seq in range(1, 7)]
        server = JsonLineServerCodec(lambda: 5.0)
        lines = server.reply(server.decode(line_of("message/history", {})), MessagePage(rows, "cur", True))
        self.assertGreater(len(lines), 1)
        for line in lines[:-1]:
            self.assertNotIn("next_cursor", json.loads(line)["payload"])
        _, page = self.read(lines)
        self.assertEqual([row.seq for row in page.rows], [1, 2, 3, 4, 5, 6])
        self.assertEqual((page.next_cursor, page.has_more), ("cur", True))

    def test_backlog_that_swells(self) -> None:
        rows = [long_row(seq, b"\x01" * 30_000) for seq in range(1, 7)]
        lines = JsonLineServerCodec(lambda: 5.0).backlog(InboxPage(rows, 6, 1, False, "e"))
        pages = [JsonLineClientCodec().decode(line)[1] for line in lines]
        self.assertGreater(len(pages), 1)
        for line in lines:
            self.assertLessEqual(len(line), MAX_LINE)
        self.assertEqual([row.seq for page in pages for row in page.rows], [1, 2, 3, 4, 5, 6])
        self.assertEqual([page.has_more for page in pages], [True] * (len(pages) - 1) + [False])

    def test_a_single_message_may_be_longer(self) -> None:
        row = long_row(1, b"\x01" * 65_536)
        server = JsonLineServerCodec(lambda: 5.0)
        (line,) = server.backlog(InboxPage([row], 1, 1, False, "e"))
        self.assertGreater(len(line), MAX_LINE)
        self.assertEqual(JsonLineClientCodec().decode(line)[1].rows[0].message.content, row.message.content)

    def test_interleaved_parts(self) -> None:
        server, client = JsonLineServerCodec(lambda: 5.0), JsonLineClientCodec()
        members = [GroupMember(f"user-{n}", GroupRole.MEMBER, 1.0) for n in range(9_000)]
        first = server.reply(
            server.decode(line_of("group/members", {"group_id": "g"}, id=1)), MemberList("g", members)
        )
        accepted = MessageAccepted("m", "c", 1, 1.0)
        asked = {"conversation_id": "c", "content": {"type": "text", "text": "x"}}
        between = server.reply(server.decode(line_of("message/send", asked, id=2)), accepted)
        self.assertEqual(client.decode(first[0]), (None, None))
        self.assertEqual(client.decode(between[0]), (2, accepted))
        outcome = [client.decode(line) for line in first[1:]][-1]
        self.assertEqual(outcome, (1, MemberList("g", members)))
