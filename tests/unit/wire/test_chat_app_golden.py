"""The dialect chat-app, byte for byte: every shape that its deployed client knows, in both roles."""

from __future__ import annotations

import json
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from imserver.model.accounts import (
    KickReason,
    LoggedIn,
    LogIn,
    LogOut,
    Ping,
    Pong,
    Register,
    Registered,
    RenewToken,
    SessionKicked,
    TokensRefreshed,
)
from imserver.model.call_records import CallMissed
from imserver.model.calls import (
    AnswerCall,
    CallAccepted,
    CallAnswered,
    CallEnded,
    CallError,
    CallFault,
    CallIncoming,
    CallMedia,
    CallRinging,
    CallStopped,
    EndCall,
    Ending,
    RejectCall,
    StartCall,
)
from imserver.model.errors import ErrorCode, ImError
from imserver.model.file_relays import (
    AcceptRelay,
    EndRelay,
    RejectRelay,
    RelayAccepted,
    RelayCompleted,
    RelayFailed,
    RelayOffered,
    RelayRejected,
    RelaysRequested,
    RelayTo,
    RequestRelay,
)
from imserver.model.files import (
    FileAccepted,
    FileCancelled,
    FileDelivered,
    FileInfo,
    FileOffered,
    FileRejected,
    FileStored,
    Kind,
)
from imserver.model.friends import (
    AcceptFriend,
    BlockedUser,
    DeleteFriend,
    Friend,
    FriendChange,
    FriendChanged,
    FriendList,
    FriendReply,
    FriendRequest,
    ListFriends,
    RejectFriend,
    RequestFriend,
    Standing,
)
from imserver.model.group_calls import GroupCallChange, GroupCallChanged, StartGroupCall
from imserver.model.groups import (
    CreateGroup,
    GetGroup,
    Group,
    GroupList,
    GroupMember,
    GroupReply,
    GroupRole,
    JoinGroup,
    KickMember,
    LeaveGroup,
    ListGroups,
    ListMembers,
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
    ReadHistory,
    Revocation,
    SendMessage,
)
from imserver.model.presence import ListPresence, PresenceChanged, PresenceList, PresenceState, UserPresence
from imserver.wire.base import Request, WireError
from imserver.wire.jsonline.chat_app import ChatAppClientCodec, ChatAppServerCodec
from imserver.wire.jsonline.chat_app.client import VoiceEvent
from imserver.wire.jsonline.chat_app.pages import ITEM_BYTES
from tests.clients import chat_app_client

NOW = 1730795174.9
HASH = "0123456789abcdef" * 4

HEAD = b'"type":"%b","timestamp":1730795174,"command":"%b","headers":{"version":"1.0"},"payload":'


def line_of(id: str, kind: str, command: str, payload: bytes) -> bytes:
    """A line as the server writes it."""
    return b'{"id":"%b",' % id.encode() + HEAD % (kind.encode(), command.encode()) + payload + b"}"


def asked(command: str, payload: Any = None, **fields: Any) -> bytes:
    """A line as the deployed client writes it."""
    line = {"id": "q1", "type": "request", "timestamp": 1730795173, "command": command}
    return json.dumps({**line, "headers": {"version": "1.0"}, "payload": payload or {}, **fields}).encode()


MESSAGE = Message(
    message_id="0192f8",
    conversation="room-001",
    canonical="single_alice_bob",
    position=3,
    sender="alice",
    recipient="bob",
    group="",
    client_id="c-1",
    content=Content(Form.TEXT, '你好 "x"'.encode()),
    sent_at=1.0,
    server_at=1730795220.75,
    attachments=b'[{"file_id":"f1"}]',
    meta=b'{"reply_to":"m0"}',
)


class Case(SynchronousTestCase):
    """A connection of alice's."""

    def setUp(self) -> None:
        self.server = ChatAppServerCodec(lambda: NOW)
        self.client = ChatAppClientCodec()

    def log_in(self) -> None:
        """From now on the codec knows whose events it writes."""
        request = self.server.decode(asked("auth/login", {"username": "alice", "password": HASH}))
        self.server.reply(request, LoggedIn("alice", "t", "", 1, 0, 1, "e"))

    def only(self, lines: list[bytes]) -> bytes:
        """The one line in a list, which the deployed client can read."""
        self.assertEqual(len(lines), 1, lines)
        chat_app_client.decode(lines[0])
        return lines[0]

    def reads(self, frame: bytes, command: Any) -> Request:
        """A line denotes this command, and the client's role writes one that does."""
        request = self.server.decode(frame)
        self.assertEqual(request.command, command)
        again = self.server.decode(self.client.request(command, "q1"))
        self.assertEqual(again.command, command)
        return request

    def answers(self, frame: bytes, reply: Any, command: str, payload: bytes, read: Any = None) -> None:
        """A request is answered so, and the client's role reads the reply again."""
        line = self.only(self.server.reply(self.server.decode(frame), reply))
        self.assertEqual(line, line_of("q1", "response", command, payload))
        self.assertEqual(self.client.decode(line), ("q1", reply if read is None else read))

    def refuses(self, frame: bytes, error: ImError, command: str, payload: bytes) -> None:
        """A request is refused so."""
        request = self.server.decode(frame)
        line = self.only(self.server.refusal(request.tag, error, request.command))
        self.assertEqual(line, line_of("q1", "response", command, payload))
        tag, read = self.client.decode(line)
        self.assertEqual((tag, read.code, read.text), ("q1", error.code, error.text))

    def tells(self, event: Any, command: str, *payloads: bytes, read: Any = None) -> None:
        """An event is told so."""
        lines = self.server.event(event)
        self.assertEqual(len(lines), len(payloads), lines)
        for line, payload in zip(lines, payloads, strict=True):
            chat_app_client.decode(line)
            id = json.loads(line)["id"]
            self.assertEqual(line, line_of(id, "event", command, payload))
            if read is not None:
                self.assertEqual(self.client.decode(line), (None, read))


class Accounts(Case):
    def test_login(self) -> None:
        frame = asked(
            "auth/login",
            {
                "username": "alice",
                "password": HASH,
                "client_info": {"device": "windows", "version": "cli-0.1.0"},
            },
        )
        request = self.server.decode(frame)
        self.assertEqual(
            request.command, LogIn(user="alice", password=HASH, hashed=True, device="chat-app windows")
        )
        reply = LoggedIn("alice", "jwt", "refresh", 3600, 12, 3, "e1")
        self.answers(
            frame,
            reply,
            "auth/login_ack",
            b'{"status":200,"token":"jwt","user_id":"alice","expires_in":3600}',
            LoggedIn("alice", "jwt", "", 3600, 0, 0, ""),
        )
        self.refuses(
            frame,
            ImError(ErrorCode.AUTH_FAILED, "wrong"),
            "auth/login_ack",
            b'{"status":401,"token":"","user_id":"","expires_in":0,"error_code":1001,"error_message":"wrong"}',
        )

    def test_passwords_and_devices(self) -> None:
        for password, command in (
            (HASH, LogIn(user="a", password=HASH, hashed=True, device="chat-app")),
            (HASH.upper(), LogIn(user="a", password=HASH, hashed=True, device="chat-app")),
            ("plain", LogIn(user="a", password="plain", device="chat-app")),
            (HASH[1:], LogIn(user="a", password=HASH[1:], device="chat-app")),
        ):
            frame = asked("auth/login", {"username": "a", "password": password})
            self.assertEqual(self.server.decode(frame).command, command)
        for info, device, platform in (
            ({"device": "d", "platform": "p"}, "chat-app d", "p"),
            ({"platform": "p"}, "chat-app p", "p"),
            ({"device": 5}, "chat-app", ""),
            ({"device": "x" * 128}, "chat-app", ""),
            ("cli-0.1.0", "chat-app", ""),
            (None, "chat-app", ""),
        ):
            frame = asked("auth/login", {"token": "t", "client_info": info})
            self.assertEqual(
                self.server.decode(frame).command, LogIn(token="t", platform=platform, device=device)
            )

    def test_register(self) -> None:
        frame = asked("auth/register", {"username": "erin", "password": HASH})
        self.reads(frame, Register("erin", HASH, True))
        self.answers(
            frame,
            Registered("erin"),
            "auth/register_ack",
            b'{"status":200,"token":"","user_id":"erin","expires_in":0}',
        )
        self.refuses(
            frame,
            ImError(ErrorCode.USER_EXISTS, "taken"),
            "auth/register_ack",
            b'{"status":409,"token":"","user_id":"","expires_in":0,"error_code":1006,"error_message":"taken"}',
        )

    def test_refresh(self) -> None:
        frame = asked("auth/refresh", {"token": "old"})
        self.reads(frame, RenewToken("old"))
        self.answers(
            frame,
            TokensRefreshed("alice", "new", "", 3600),
            "auth/refresh_ack",
            b'{"status":200,"token":"new","user_id":"alice","expires_in":3600}',
        )
        by_header = asked("auth/refresh", headers={"version": "1.0", "Authorization": "Bearer old"})
        self.assertEqual(self.server.decode(by_header).command, RenewToken("old"))
        error = self.assertRaises(WireError, self.server.decode, asked("auth/refresh"))
        line = self.only(self.server.refusal(error.tag, error))
        self.assertEqual(json.loads(line)["payload"]["token"], "")

    def test_logout_and_kick(self) -> None:
        self.reads(asked("auth/logout"), LogOut())
        self.answers(asked("auth/logout"), Done(), "auth/logout", b'{"status":200}')
        self.tells(
            SessionKicked(KickReason.ACCOUNT, "bye"),
            "auth/kick",
            b'{"reason":"account","message":"bye"}',
            read=SessionKicked(KickReason.ACCOUNT, "bye"),
        )


class Presence(Case):
    def test_heartbeat_is_unanswered(self) -> None:
        for kind in ("event", "request"):
            request = self.server.decode(asked("presence/heartbeat", {"seq": "7"}, type=kind))
            self.assertEqual(request.command, Ping(1730795173.0, 7))
            self.assertEqual(self.server.reply(request, Pong(NOW, 0.0, 7)), [])
            self.assertEqual(self.server.refusal(request.tag, ImError(ErrorCode.TOO_FAST, "x")), [])
        self.assertEqual(json.loads(self.client.request(Ping(0.0, 7), "h"))["type"], "event")

    def test_list(self) -> None:
        frame = asked("presence/list")
        self.reads(frame, ListPresence())
        users = [
            UserPresence("bob", PresenceState.BUSY, 1.5),
            UserPresence("carol", PresenceState.OFFLINE, 2.0),
            UserPresence("dave", PresenceState.ONLINE, 0.0),
        ]
        self.answers(
            frame,
            PresenceList(users),
            "presence/list",
            b'{"status":200,"users":["bob","dave"]}',
            PresenceList([UserPresence(name, PresenceState.ONLINE, 0.0) for name in ("bob", "dave")]),
        )

    def test_event(self) -> None:
        event = PresenceChanged("bob", PresenceState.AWAY, 1730795170.0)
        self.tells(
            event,
            "presence/event",
            b'{"user_id":"bob","state":"away","last_seen":1730795170}',
            read=event,
        )


class Messages(Case):
    def test_send(self) -> None:
        frame = asked(
            "message/send",
            {
                "conversation_id": "room-001",
                "target": {"type": "user", "id": "bob"},
                "content": {"type": "text", "text": "hi"},
                "meta": {"reply_to": "m-1.2"},
            },
        )
        request = self.server.decode(frame)
        self.assertEqual(
            request.command,
            SendMessage(
                Content(Form.TEXT, b"hi"),
                "room-001",
                "bob",
                client_id="q1",
                sent_at=1730795173.0,
                meta=b'{"reply_to":"m-1"}',
            ),
        )
        self.answers(
            frame,
            MessageAccepted("m-1", "room-001", 9, 1730795220.0),
            "message/ack",
            b'{"status":200,"message_id":"m-1","conversation_id":"room-001","seq":9,"sent_at":1730795220}',
        )
        self.refuses(
            frame,
            ImError(ErrorCode.TOO_FAST, "slow down"),
            "message/ack",
            b'{"status":429,"error_code":1005,"error":"TOO_FAST","error_message":"slow down",'
            b'"retryable":true,"message_id":""}',
        )

    def test_a_failed_send_of_type_event_is_told(self) -> None:
        payload = {"target": {"type": "user", "id": "bob"}, "content": "hi"}
        request = self.server.decode(asked("message/send", payload, type="event"))
        self.assertEqual(self.server.reply(request, MessageAccepted("m", "c", 1, 1.0)), [])
        line = self.only(
            self.server.refusal(request.tag, ImError(ErrorCode.FORBIDDEN, "no"), request.command)
        )
        told = json.loads(line)
        self.assertEqual((told["type"], told["command"], told["id"]), ("event", "message/ack", "q1"))

    def test_event(self) -> None:
        line = self.server.splice(self.server.shared(MESSAGE), 42)
        self.assertEqual(
            line,
            b'{"id":"0192f8","type":"event","timestamp":1730795220,"command":"message/event",'
            b'"headers":{"version":"1.0"},"payload":{"status":200,"seq":42,"message_id":"0192f8",'
            b'"conversation_id":"room-001","sender_id":"alice","sent_at":1730795220,'
            + '"content":{"type":"text","text":"你好 \\"x\\""}'.encode()
            + b',"target":{"type":"user","id":"bob"},"client_id":"c-1","attachments":[{"file_id":"f1"}],'
            b'"meta":{"reply_to":"m0"}}}',
        )
        chat_app_client.decode(line)
        tag, row = self.client.decode(line)
        self.assertEqual((tag, row.seq, row.message.content), (None, 42, MESSAGE.content))

    def test_what_was_missed_comes_as_events(self) -> None:
        rows = [InboxRow(seq, MESSAGE) for seq in (1, 2)]
        lines = self.server.backlog(InboxPage(rows, 2, 1, False, "e"))
        self.assertEqual(lines, [self.server.splice(self.server.shared(MESSAGE), seq) for seq in (1, 2)])

    def test_revoked(self) -> None:
        gone = Message(
            "m", "c", "group_g", 1, "alice", "", "g", "", Content(Form.TEXT, b""), 1.0, 2.0,
            revoked=Revocation("alice", 3.0),
        )  # fmt: skip
        line = self.server.splice(self.server.shared(gone), 5)
        self.assertTrue(
            line.endswith(
                b'"content":{"type":"revoked"},"target":{"type":"group","id":"g"},"revoked":true,'
                b'"revoked_by":"alice","revoked_at":3}}'
            )
        )
        self.assertEqual(self.client.decode(line)[1].message.revoked, Revocation("alice", 3.0))

    def test_history(self) -> None:
        frame = asked("message/history", {"conversation_id": "room-001", "limit": "50"})
        command = ReadHistory("room-001", limit=50, page_bytes=ITEM_BYTES)
        self.reads(frame, command)
        bare = Message(
            "m", "c", "group_g", 1, "alice", "", "g", "", Content(Form.TEXT, b"x"), 2.0, 2.0
        )  # fmt: skip
        self.answers(
            frame,
            MessagePage([InboxRow(0, bare)], "c:17", True),
            "message/history",
            b'{"status":200,"messages":[{"message_id":"m","conversation_id":"c","sender_id":"alice","sent_at":2,'
            b'"content":{"type":"text","text":"x"},"target":{"type":"group","id":"g"}}],"next_cursor":"c:17",'
            b'"has_more":true}',
            MessagePage([InboxRow(0, Message(
                "m", "c", "group_g", 0, "alice", "", "g", "", Content(Form.TEXT, b"x"), 2.0, 2.0
            ))], "c:17", True),
        )  # fmt: skip


GROUP = Group(
    "r1", "r1", "alice", False, True, 1730795170.5, 2,
    [GroupMember("alice", GroupRole.OWNER, 1.0), GroupMember("bob", GroupRole.MEMBER, 2.0)], True,
)  # fmt: skip
ROOM = (
    b'{"status":200,"room_id":"r1","encrypted":true,"owner":"alice","created_at":1730795170,'
    b'"members":["alice","bob"]}'
)
ROOM_READ = GroupReply(
    Group(
        "r1", "r1", "alice", False, False, 1730795170.0, 2,
        [GroupMember("alice", GroupRole.OWNER, 0.0), GroupMember("bob", GroupRole.MEMBER, 0.0)], True,
    )
)  # fmt: skip


class Rooms(Case):
    def test_create(self) -> None:
        frame = asked("room/create", {"room_id": "r1", "encrypted": True, "password": "pw"})
        self.reads(frame, CreateGroup("r1", password="pw", encrypted=True))
        self.answers(frame, GroupReply(GROUP), "room/create", ROOM, ROOM_READ)
        self.reads(asked("room/create", {"room_id": "r1"}), CreateGroup("r1", open=True))
        empty = asked("room/create", {"room_id": "r1", "encrypted": False, "password": None})
        self.reads(empty, CreateGroup("r1", open=True))
        self.refuses(
            frame,
            ImError(ErrorCode.CONFLICT, "taken"),
            "room/create",
            b'{"status":409,"error_code":1010,"error":"CONFLICT","error_message":"taken","retryable":false,'
            b'"room_id":"r1"}',
        )

    def test_join_leave_list_info_members(self) -> None:
        frame = asked("room/join", {"room_id": "r1", "password": "pw"})
        self.reads(frame, JoinGroup("r1", "pw"))
        self.answers(frame, GroupReply(GROUP), "room/join", ROOM, ROOM_READ)
        self.answers(asked("room/info", {"room_id": "r1"}), GroupReply(GROUP), "room/info", ROOM, ROOM_READ)
        self.reads(asked("room/info", {"room_id": "group_r1"}), GetGroup("r1"))
        frame = asked("room/leave", {"room_id": "r1"})
        self.reads(frame, LeaveGroup("r1"))
        self.answers(frame, Done(), "room/leave", b'{"status":200,"room_id":"r1"}')
        self.reads(asked("room/list"), ListGroups())
        self.answers(
            asked("room/list"),
            GroupList([GROUP]),
            "room/list",
            b'{"status":200,"rooms":["r1"]}',
            GroupList([Group("r1", "r1", "", False, False, 0.0, 0)]),
        )
        frame = asked("room/members", {"room_id": "r1"})
        self.reads(frame, ListMembers("r1"))
        self.answers(
            frame,
            MemberList("r1", GROUP.members),
            "room/members",
            b'{"status":200,"room_id":"r1","members":["alice","bob"]}',
            MemberList("r1", [GroupMember(name, GroupRole.MEMBER, 0.0) for name in ("alice", "bob")]),
        )

    def test_kick(self) -> None:
        frame = asked("room/kick", {"room_id": "r1", "user_id": "bob"})
        self.reads(frame, KickMember("r1", "bob"))
        self.answers(frame, Done(), "room/kick", b'{"status":200,"room_id":"r1","user_id":"bob"}')
        self.refuses(
            frame,
            ImError(ErrorCode.FORBIDDEN, "no"),
            "room/kick",
            b'{"status":403,"error_code":1008,"error":"FORBIDDEN","error_message":"no","retryable":false,'
            b'"room_id":"r1","user_id":"bob"}',
        )

    def test_errors_of_lines_that_are_no_command_repeat_it_too(self) -> None:
        for command, payload, repeated in (
            ("room/join", {"room_id": "r1", "password": []}, {"room_id": "r1"}),
            ("room/leave", {}, {"room_id": ""}),
            ("room/kick", {"room_id": 7, "user_id": ["x"]}, {"room_id": "7", "user_id": ""}),
            ("room/leave", {"room_id": -5}, {"room_id": "-5"}),
            ("room/leave", {"room_id": ["x"]}, {"room_id": ""}),
            ("voice/answer", {}, {"call_id": ""}),
            ("voice/end", {"call_id": {}}, {"call_id": ""}),
            ("friend/accept", {"request_id": -1}, {"request_id": -1}),
            ("file/accept", {"session_id": 5}, {"session_id": "5"}),
            (
                "file/request",
                {"file_name": "x", "file_size": 7},
                {"sessions": [], "file_name": "x", "file_size": 7},
            ),
        ):
            error = self.assertRaises(WireError, self.server.decode, asked(command, payload))
            told = json.loads(self.only(self.server.refusal(error.tag, error)))["payload"]
            self.assertEqual({name: told[name] for name in repeated}, repeated, command)


class Friends(Case):
    def test_request(self) -> None:
        frame = asked("friend/request", {"target_id": "bob", "message": "It is me"})
        self.reads(frame, RequestFriend("bob", "It is me"))
        self.answers(
            frame,
            FriendReply("bob", Standing.REQUESTED, 7),
            "friend/request_ack",
            b'{"status":200,"state":"requested","user_id":"bob","target_id":"bob","friend_id":"bob","request_id":7}',
        )

    def test_accept_reject_delete(self) -> None:
        for word, command, standing in (
            ("accept", AcceptFriend(request=7), Standing.FRIENDS),
            ("reject", RejectFriend(request=7), Standing.NONE),
        ):
            for number in (7, "7"):
                frame = asked(f"friend/{word}", {"request_id": number})
                self.reads(frame, command)
            self.answers(
                frame,
                FriendReply("bob", standing),
                f"friend/{word}_ack",
                b'{"status":200,"state":"%b","user_id":"bob","target_id":"bob","friend_id":"bob","request_id":7}'
                % standing.value.encode(),
                FriendReply("bob", standing, 7),
            )
        frame = asked("friend/delete", {"friend_id": "bob"})
        self.reads(frame, DeleteFriend("bob"))
        self.answers(
            frame,
            FriendReply("bob", Standing.NONE),
            "friend/delete_ack",
            b'{"status":200,"state":"none","user_id":"bob","target_id":"bob","friend_id":"bob","request_id":0}',
        )

    def test_list(self) -> None:
        self.log_in()
        frame = asked("friend/list")
        self.reads(frame, ListFriends())
        reply = FriendList(
            [Friend("bob", 5.0)],
            [FriendRequest(9, "carol", "hi", 6.0)],
            [FriendRequest(8, "dave", "", 7.0)],
            [BlockedUser("mallory", 8.0)],
        )
        self.answers(
            frame,
            reply,
            "friend/list_ack",
            b'{"status":200,"friends":[{"friend_id":"bob","user_id":"bob","since":5}],"pending_requests":'
            b'[{"request_id":9,"from_user":"carol","target_id":"alice","user_id":"carol","message":"hi",'
            b'"created_at":6}],"sent_requests":[{"request_id":8,"from_user":"alice","target_id":"dave",'
            b'"user_id":"dave","message":"","created_at":7}]}',
            FriendList(reply.friends, reply.received, reply.sent, []),
        )

    def test_events(self) -> None:
        self.log_in()
        for change, word, by, user, friend in (
            (FriendChange.REQUESTED, "new_request", "bob", "alice", "bob"),
            (FriendChange.ACCEPTED, "request_accepted", "bob", "alice", "bob"),
            (FriendChange.REJECTED, "request_rejected", "bob", "alice", "bob"),
            (FriendChange.DELETED, "friend_deleted", "alice", "bob", "bob"),
        ):
            event = FriendChanged(change, user, by, 5.0, 7, "hi")
            self.tells(
                event,
                "friend/event",
                b'{"event_type":"%b","request_id":7,"from_user":"%b","target_id":"%b","friend_id":"%b",'
                b'"user_id":"%b","message":"hi","created_at":5}'
                % (word.encode(), by.encode(), user.encode(), friend.encode(), by.encode()),
                read=event,
            )

    def test_what_it_has_no_words_for_comes_as_in_the_draft(self) -> None:
        self.log_in()
        for change, by in (
            (FriendChange.REQUESTED, "alice"),  # made on another device of one's own
            (FriendChange.WITHDRAWN, "bob"),
            (FriendChange.BLOCKED, "alice"),
        ):
            (line,) = self.server.event(FriendChanged(change, "bob" if by == "alice" else "alice", by, 5.0))
            told = chat_app_client.decode(line)
            self.assertEqual(told["command"], "notification/event")
            self.assertEqual(told["payload"]["event_type"], change.value)


DIRECT = (
    b'"call_id":"c1","call_type":"direct","target_type":"user","target_id":"bob","initiator":"alice",'
    b'"user_id":"%b"'
)
BAND = (
    b'"call_id":"c1","call_type":"group","target_type":"group","target_id":"band","initiator":"alice",'
    b'"user_id":"%b","participants":[%b]'
)


class Voice(Case):
    def test_call(self) -> None:
        for payload in (
            {"call_type": "direct", "target": {"type": "user", "id": "bob"}},
            {"call_type": "direct", "target": "bob"},
            {"target": {"type": "user", "id": "bob"}},
            {"call_type": "direct", "target_type": "user", "target_id": "bob"},
        ):
            frame = asked("voice/call", payload)
            self.reads(frame, StartCall("bob", False, "q1"))
        self.answers(frame, Done(), "voice/call_ack", b'{"status":200,"call_id":"q1"}')
        self.refuses(
            frame,
            CallError(CallFault.CALL_ID_IN_USE, "in use", "q1"),
            "voice/call_ack",
            b'{"status":409,"error_code":1010,"error":"CONFLICT","error_message":"in use","retryable":false,'
            b'"call_id":"q1"}',
        )
        for payload in (
            {"call_type": "group", "target": {"type": "room", "id": "band"}},
            {"call_type": "group", "target": {"type": "group", "id": "group_band"}},
            {"call_type": "group", "target": "band"},
        ):
            frame = asked("voice/call", payload)
            self.reads(frame, StartGroupCall("band", "q1"))
        self.answers(frame, Done(), "voice/call_ack", b'{"status":200,"call_id":"q1"}')

    def test_answer_reject_end(self) -> None:
        for word, command in (
            ("answer", AnswerCall("c1")),
            ("reject", RejectCall("c1")),
            ("end", EndCall("c1")),
        ):
            frame = asked(f"voice/{word}", {"call_id": "c1"})
            self.reads(frame, command)
            self.answers(frame, Done(), f"voice/{word}_ack", b'{"status":200,"call_id":"c1"}')

    def test_data(self) -> None:
        frame = asked("voice/data", {"call_id": "c1", "data": "00FFab"}, type="event")
        request = self.reads(frame, CallMedia(b"\x00\xff\xab", "c1"))
        self.assertEqual(self.server.refusal(request.tag, ImError(ErrorCode.TOO_FAST, "x")), [])
        event = CallMedia(b"\x00\xff\xab", "c1", "bob")
        self.tells(event, "voice/data", b'{"call_id":"c1","data":"00ffab","from_user":"bob"}', read=event)
        longest = b"\xff" * 30_000
        (line,) = self.server.event(CallMedia(longest, "c" * 128, "\\" * 255))
        chat_app_client.decode(line)
        for data in ("0", "zz", "00" * 30_001):
            error = self.assertRaises(
                WireError, self.server.decode, asked("voice/data", {"call_id": "c1", "data": data})
            )
            self.assertEqual(self.server.refusal(error.tag, error), [])

    def test_events_of_a_call_of_two(self) -> None:
        self.log_in()
        told = VoiceEvent("incoming", "c1", "direct", "bob", "alice", "alice")
        self.tells(
            CallIncoming("c1", "alice", "bob", False, 1.0),
            "voice/event",
            b'{"event_type":"incoming",' + DIRECT % b"alice" + b"}",
            read=told,
        )
        self.assertEqual(self.server.event(CallRinging("c1", "alice", "bob", False, 1.0)), [])
        for event in (CallAnswered("c1", "alice", "bob", 1.0), CallAccepted("c1", "alice", "bob", 1.0)):
            self.tells(
                event,
                "voice/event",
                b'{"event_type":"connected",' + DIRECT % b"bob" + b',"participants":["alice","bob"]}',
            )
        ended = CallEnded("c1", "alice", "bob", Ending.HANGUP, 1.0, 9.5, 3.0, "bob")
        self.tells(
            ended,
            "voice/event",
            b'{"event_type":"ended",'
            + DIRECT % b"bob"
            + b',"participants":["alice","bob"],"duration":6,"reason":"hangup"}',
            read=VoiceEvent("ended", "c1", "direct", "bob", "alice", "bob", ("alice", "bob"), 6, "hangup"),
        )
        rejected = CallEnded("c1", "alice", "bob", Ending.REJECTED, 1.0, 9.5, by="bob")
        self.tells(
            rejected,
            "voice/event",
            b'{"event_type":"rejected",' + DIRECT % b"bob" + b"}",
            b'{"event_type":"ended",'
            + DIRECT % b"bob"
            + b',"participants":["alice"],"duration":0,"reason":"rejected"}',
        )
        self.tells(
            CallStopped("c1", "alice", "bob", 2.0),
            "voice/event",
            b'{"event_type":"ended",'
            + DIRECT % b"alice"
            + b',"participants":["alice"],"duration":0,"reason":"answered_elsewhere"}',
        )
        self.tells(
            CallMissed("c1", "alice", "bob", False, 1.0, 2.0),
            "notification/event",
            b'{"event_type":"missed_call","call_id":"c1","caller_id":"alice","callee_id":"bob","call_type":"audio",'
            b'"created_at":1,"ended_at":2}',
        )

    def test_the_one_who_rejected_is_told_the_end_alone(self) -> None:
        rejected = CallEnded("c1", "bob", "alice", Ending.REJECTED, 1.0, 9.5, by="alice")
        self.log_in()
        (line,) = self.server.event(rejected)
        self.assertEqual(json.loads(line)["payload"]["event_type"], "ended")

    def test_events_of_a_call_of_a_room(self) -> None:
        for change, word in (
            (GroupCallChange.INCOMING, "incoming"),
            (GroupCallChange.CONNECTED, "connected"),
            (GroupCallChange.JOINED, "member_joined"),
            (GroupCallChange.LEFT, "member_left"),
            (GroupCallChange.REJECTED, "rejected"),
        ):
            self.tells(
                GroupCallChanged(change, "c1", "band", "alice", "bob", ("alice", "bob")),
                "voice/event",
                b'{"event_type":"%b",' % word.encode() + BAND % (b"bob", b'"alice","bob"') + b"}",
                read=VoiceEvent(word, "c1", "group", "band", "alice", "bob", ("alice", "bob")),
            )
        for change, ending, reason in (
            (GroupCallChange.ENDED, Ending.HANGUP, b"hangup"),
            (GroupCallChange.STOPPED, None, b"answered_elsewhere"),
            (GroupCallChange.STOPPED, Ending.REJECTED, b"rejected"),
        ):
            self.tells(
                GroupCallChanged(change, "c1", "band", "alice", "bob", ("alice",), 7, ending),
                "voice/event",
                b'{"event_type":"ended",'
                + BAND % (b"bob", b'"alice"')
                + b',"duration":7,"reason":"%b"}' % reason,
            )

    def test_the_answer_comes_before_what_it_leads_to(self) -> None:
        incoming = CallIncoming("other", "carol", "alice", False, 1.0)
        ended = CallEnded("q1", "alice", "bob", Ending.OFFLINE, 1.0, 1.0)
        frame = asked("voice/call", {"target": {"type": "user", "id": "bob"}})
        for finish in ("reply", "refuse"):
            request = self.server.decode(frame)
            self.assertEqual(self.server.event(ended), [])
            self.assertEqual(self.server.event(incoming), [])
            self.assertEqual(len(self.server.event(PresenceChanged("bob", PresenceState.AWAY, 1.0))), 1)
            self.assertEqual(len(self.server.event(CallMedia(b"x", "other", "bob"))), 1)
            if finish == "reply":
                lines = self.server.reply(request, Done())
            else:
                lines = self.server.refusal(request.tag, ImError(ErrorCode.TOO_FAST, "x"), request.command)
            found = [(told["command"], told["payload"].get("event_type")) for told in map(json.loads, lines)]
            self.assertEqual(
                found,
                [("voice/call_ack", None), ("voice/event", "ended"), ("voice/event", "incoming")],
            )
            self.assertEqual(len(self.server.event(incoming)), 1)


PLACE = (
    b'"session_id":"s1","file_name":"a.pdf","file_size":5,"channel_host":"%b","channel_port":%d,'
    b'"target_id":"bob"'
)


class Files(Case):
    def test_request(self) -> None:
        fields = {"file_name": "a.pdf", "file_size": 5, "checksum": "sha256:00"}
        self.reads(
            asked("file/request", {"target": {"type": "user", "id": "bob"}, **fields}),
            RequestRelay("a.pdf", 5, "sha256:00", "bob"),
        )
        for payload in (
            {"target": {"type": "room", "id": "r1"}, **fields},
            {"target": {"type": "group", "id": "group_r1"}, **fields},
            {"target_type": "room", "target_id": "r1", **fields},
        ):
            self.reads(asked("file/request", payload), RequestRelay("a.pdf", 5, "sha256:00", group="r1"))
        loose = {"target": "bob", "file_name": "C:\\docs\\a.pdf", "file_size": "5"}
        self.reads(asked("file/request", loose), RequestRelay("a.pdf", 5, "", "bob"))
        frame = asked("file/request", loose)
        self.answers(
            frame,
            RelaysRequested([RelayTo("s1", "bob")], "a.pdf", 5),
            "file/request_ack",
            b'{"status":200,"sessions":[{"session_id":"s1","target_id":"bob"}],"file_name":"a.pdf","file_size":5}',
        )
        self.refuses(
            frame,
            ImError(ErrorCode.NOT_FOUND, "nobody"),
            "file/request_ack",
            b'{"status":404,"error_code":1007,"error":"NOT_FOUND","error_message":"nobody","retryable":false,'
            b'"sessions":[],"file_name":"a.pdf","file_size":5}',
        )

    def test_accept_reject_and_the_rest(self) -> None:
        frame = asked("file/accept", {"session_id": "s1"})
        self.reads(frame, AcceptRelay("s1"))
        self.server.located("10.0.0.1", False)
        self.answers(
            frame,
            RelayAccepted("s1", "bob", "a.pdf", 5, "", 9500, 9501),
            "file/accept_ack",
            b'{"status":200,' + PLACE % (b"10.0.0.1", 9500) + b"}",
            RelayAccepted("s1", "bob", "a.pdf", 5, "10.0.0.1", 9500, 9500),
        )
        self.refuses(
            frame,
            ImError(ErrorCode.NOT_FOUND, "none"),
            "file/accept_ack",
            b'{"status":404,"error_code":1007,"error":"NOT_FOUND","error_message":"none","retryable":false,'
            b'"session_id":"s1"}',
        )
        frame = asked("file/reject", {"session_id": "s1", "reason": "no"})
        self.reads(frame, RejectRelay("s1", "no"))
        self.answers(frame, Done(), "file/reject_ack", b'{"status":200,"session_id":"s1"}')
        for word, payload, command in (
            ("complete", {}, EndRelay("s1", False)),
            ("error", {"error_message": "x"}, EndRelay("s1", True, "x")),
        ):
            frame = asked(f"file/{word}", {"session_id": "s1", **payload})
            self.reads(frame, command)
            self.answers(frame, Done(), f"file/{word}", b'{"status":200,"session_id":"s1"}')

    def test_events(self) -> None:
        offered = RelayOffered("s1", "alice", "a.pdf", 5, "sha256:00")
        self.tells(
            offered,
            "file/request",
            b'{"session_id":"s1","from_user":"alice","file_name":"a.pdf","file_size":5,"checksum":"sha256:00"}',
            read=offered,
        )
        self.server.located("10.0.0.1", False)
        for host, ports, secure, place in (
            ("", (9500, 9501), False, (b"10.0.0.1", 9500)),
            ("", (9500, 9501), True, (b"10.0.0.1", 9501)),
            ("files.example", (9500, 9501), False, (b"files.example", 9500)),
        ):
            self.server.located("10.0.0.1", secure)
            accepted = RelayAccepted("s1", "bob", "a.pdf", 5, host, *ports)
            self.tells(accepted, "file/accept", b"{" + PLACE % place + b"}")
        about = b'{"session_id":"s1","target_id":"bob","file_name":"a.pdf",'
        rejected = RelayRejected("s1", "bob", "a.pdf", "no")
        self.tells(rejected, "file/reject", about + b'"reason":"no"}', read=rejected)
        done = RelayCompleted("s1", "bob", "a.pdf", 5)
        self.tells(done, "file/complete", about + b'"file_size":5}', read=done)
        failed = RelayFailed("s1", "bob", "a.pdf", "lost")
        self.tells(
            failed,
            "file/error",
            about + b'"status":503,"error_code":1012,"error_message":"lost"}',
            read=failed,
        )

    def test_news_of_stored_files_have_no_words_here(self) -> None:
        info = FileInfo("t", "f", "alice", "bob", "", "a.pdf", 5, "", Kind.FILE, True, 1.0, 2.0)
        for event in (
            FileOffered(info),
            FileStored(info),
            FileAccepted("t", "bob"),
            FileRejected("t", "bob", ""),
            FileDelivered("t", "f", "bob"),
            FileCancelled("t", "bob", ""),
        ):
            self.assertEqual(self.server.event(event), [])
        for command in ("file/list", "file/ack", "file/cancel", "message/offline"):
            error = self.assertRaises(WireError, self.server.decode, asked(command))
            self.assertEqual(error.code, ErrorCode.UNKNOWN_COMMAND)


class Envelopes(Case):
    def test_what_could_not_be_read(self) -> None:
        for frame in (b"nonsense", b"[]", b'{"command":5}', b"\xff", b'{"id":null,"command":null}'):
            error = self.assertRaises(WireError, self.server.decode, frame)
            line = self.only(self.server.refusal(error.tag, error))
            told = json.loads(line)
            self.assertEqual((told["id"], told["command"]), ("", "control/error"))

    def test_ids_are_strings(self) -> None:
        for id, written in ((5, "5"), (-7, "-7"), (None, ""), ("é", "é")):
            request = self.server.decode(asked("control/ping", id=id))
            line = self.only(self.server.reply(request, Pong(NOW)))
            self.assertEqual(json.loads(line)["id"], written)

    def test_versions_and_traces(self) -> None:
        error = self.assertRaises(
            WireError, self.server.decode, asked("control/ping", headers={"version": "2.0", "trace": [1]})
        )
        line = self.only(self.server.refusal(error.tag, error))
        told = json.loads(line)
        self.assertEqual(told["payload"]["status"], 426)
        self.assertEqual(
            told["headers"], {"version": "1.0", "trace": [1], "supported_versions": ["1.0", "1.0"]}
        )

    def test_unknown_commands_keep_their_name(self) -> None:
        error = self.assertRaises(WireError, self.server.decode, asked("chess/move"))
        told = json.loads(self.only(self.server.refusal(error.tag, error)))
        self.assertEqual((told["command"], told["payload"]["error_code"]), ("chess/move", 1007))
        error = self.assertRaises(WireError, self.server.decode, asked("voice/event"))
        self.assertEqual(error.code, ErrorCode.BAD_REQUEST)

    def test_dots(self) -> None:
        request = self.server.decode(asked("voice.end", {"call_id": "c"}))
        self.assertEqual(request.command, EndCall("c"))
        self.assertEqual(self.server.decode(asked("room.list")).command, ListGroups())

    def test_nothing_is_compressed(self) -> None:
        headers = {"accept_encoding": "zlib"}
        request = self.server.decode(asked("room/list", headers=headers))
        rooms = GroupList([Group(f"r{n}", "", "", True, False, 0.0, 0) for n in range(500)])
        self.assertNotIn(b"zlib", self.only(self.server.reply(request, rooms)))
