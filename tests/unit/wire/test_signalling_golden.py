"""Document 002 (信令消息格式) and CONTRACT §4, byte by byte: every message, both directions, both roles."""

from __future__ import annotations

import json
import re
from typing import Any

from msgspec.structs import replace
from twisted.trial.unittest import SynchronousTestCase

from imserver.model.accounts import KickReason, LoggedIn, LogIn, Ping, Pong, SessionKicked
from imserver.model.errors import ErrorCode, ImError
from imserver.model.friends import FriendChange, FriendChanged
from imserver.model.groups import GroupChange, GroupChanged
from imserver.model.ice import IceServer
from imserver.model.messages import (
    AckMessages,
    Content,
    Done,
    Form,
    InboxPage,
    InboxRow,
    MarkRead,
    Message,
    MessageAccepted,
    MessagePage,
    MessageRevoked,
    MessageRevokedReply,
    MessagesMarked,
    MessagesRead,
    ReadHistory,
    Revocation,
    RevokeMessage,
    SendMessage,
    SetTyping,
    TypingChanged,
)
from imserver.model.presence import (
    ListPresence,
    PresenceChanged,
    PresenceList,
    PresenceState,
    SetPresence,
    UserPresence,
)
from imserver.wire.base import Request, WireError
from imserver.wire.signalling import SignallingClientCodec, SignallingServerCodec
from tests.clients import msgpack

NOON = 1759838400.0
"""The document's 2025-10-07T12:00:00Z."""

TEXT = Content(Form.TEXT, "你好 😀".encode())
IMAGE = Content(Form.JSON, b'{"type":"image","name":"a.png"}', 0)
OPAQUE = Content(Form.OPAQUE, b"\x00\xff", 7)

REQUESTS: list[tuple[str, str, Any]] = [
    ("ping", '{"type":"ping","payload":{"timestamp":1759838400.5}}', Ping()),
    ("ping, bare", '{"type":"ping"}', Ping()),
    ("ping, null payload", '{"type":"ping","payload":null}', Ping()),
    (
        "send to a user",
        '{"type":"message.send","payload":{"to_user":2,"content":"你好 😀","message_type":"text",'
        '"client_msg_id":"c-1"},"timestamp":"2025-10-07T12:00:00Z"}',
        SendMessage(TEXT, recipient="2", client_id="c-1", sent_at=NOON),
    ),
    (
        "send to a group, a reply",
        '{"type":"message.send","payload":{"group_id":"team","content":"","reply_to_id":"m0"}}',
        SendMessage(Content(Form.TEXT, b""), group="team", meta=b'{"reply_to":"m0"}'),
    ),
    (
        "send to a conversation, an object",
        '{"type":"message.send","payload":{"conversation_id":"our talk","message_type":"image",'
        '"content":{"type":"image","name":"a.png"},"attachments":[{"file_id":"f"}],"meta":{"a":1},'
        '"extra":{"k":"v"}}}',
        SendMessage(
            IMAGE,
            conversation="our talk",
            attachments=b'[{"file_id":"f"}]',
            meta=b'{"a":1}',
            extra={"k": "v"},
        ),
    ),
    ("ack by seq", '{"type":"message.ack","payload":{"seq":7}}', AckMessages(7)),
    ("ack by id", '{"type":"message.ack","payload":{"message_id":"m1"}}', AckMessages(0, "m1")),
    (
        "read",
        '{"type":"message.read","payload":{"message_ids":["m1","m2"],"conversation_id":"single_1_2"}}',
        MarkRead(("m1", "m2"), "single_1_2"),
    ),
    ("read one", '{"type":"message.read","payload":{"message_id":"m1"}}', MarkRead(("m1",))),
    ("delete", '{"type":"message.delete","payload":{"message_id":"m1"}}', RevokeMessage("m1")),
    ("history of all", '{"type":"message.history"}', ReadHistory()),
    (
        "history with a user",
        '{"type":"message.history","payload":{"to_user":"bob","since":41,"limit":20}}',
        ReadHistory(recipient="bob", since="41", limit=20),
    ),
    (
        "history of a group",
        '{"type":"message.history","payload":{"group_id":"group_team","since":"x"}}',
        ReadHistory(group="team", since="x"),
    ),
    (
        "typing to a user",
        '{"type":"typing","payload":{"to_user":2,"is_typing":true}}',
        SetTyping(True, recipient="2"),
    ),
    (
        "typing in a conversation",
        '{"type":"typing","payload":{"conversation_id":"group_team","is_typing":false}}',
        SetTyping(False, "group_team"),
    ),
    ("presence", '{"type":"presence","payload":{"state":"busy"}}', SetPresence(PresenceState.BUSY)),
    ("presence of some", '{"type":"presence","payload":{"users":["bob",3]}}', ListPresence(("bob", "3"))),
    ("presence of all", '{"type":"presence"}', ListPresence()),
]

SENT = '"message_id":"m1","conversation_id":"single_1_2","seq":5,"sent_at":"2025-10-07T12:00:00Z"'
AT_NOON = '},"timestamp":"2025-10-07T12:00:00Z"}'
ANSWERS: list[tuple[str, Any, str]] = [
    # (request, reply, answer): "id" is asked for in the request where it is in the answer
    (
        '{"type":"message.send","payload":{"to_user":2,"content":"x","client_msg_id":"c-1"}}',
        MessageAccepted("m1", "single_1_2", 5, NOON + 0.9),
        '{"type":"message.sent","payload":{"client_msg_id":"c-1",' + SENT + AT_NOON,
    ),
    (
        '{"type":"message.send","payload":{"to_user":2,"content":"x","client_msg_id":17},"id":"q"}',
        MessageAccepted("m1", "single_1_2", 5, NOON),
        '{"type":"message.sent","payload":{"client_msg_id":17,' + SENT + AT_NOON[:-1] + ',"id":"q"}',
    ),
    (
        '{"type":"message.send","payload":{"to_user":2,"content":"x"}}',
        MessageAccepted("m1", "single_1_2", 5, NOON),
        '{"type":"message.sent","payload":{' + SENT + AT_NOON,
    ),
    (
        '{"type":"ping","payload":{"timestamp":"2025-10-07T11:59:59.5Z"}}',
        Pong(NOON),
        '{"type":"pong","payload":{"timestamp":"2025-10-07T11:59:59.5Z"},"timestamp":"2025-10-07T12:00:00Z"}',
    ),
    ('{"type":"ping"}', Pong(NOON), '{"type":"pong","payload":{},"timestamp":"2025-10-07T12:00:00Z"}'),
    (
        '{"type":"message.read","payload":{"message_ids":["m1"]},"id":1}',
        MessagesMarked(NOON),
        '{"type":"message.read","payload":{"message_ids":["m1"],"from_user":1,'
        '"read_at":"2025-10-07T12:00:00Z"},"timestamp":"2025-10-07T12:00:00Z","id":1}',
    ),
    (
        '{"type":"message.delete","payload":{"message_id":"m1","conversation_id":"ours"}}',
        MessageRevokedReply("m1", NOON),
        '{"type":"message.delete","payload":{"message_id":"m1","conversation_id":"ours","from_user":1,'
        '"deleted_at":"2025-10-07T12:00:00Z"},"timestamp":"2025-10-07T12:00:00Z"}',
    ),
    (
        '{"type":"presence","payload":{"state":"away"}}',
        Done(),
        '{"type":"presence","payload":{"user_id":1,"state":"away"},"timestamp":"2025-10-07T12:00:00Z"}',
    ),
    (
        '{"type":"presence","payload":{},"id":"p"}',
        PresenceList(
            [
                UserPresence("2", PresenceState.ONLINE, NOON),
                UserPresence("carol", PresenceState.OFFLINE, 0.0),
            ]
        ),
        '{"type":"presence","payload":{"users":[{"user_id":2,"state":"online",'
        '"last_seen":"2025-10-07T12:00:00Z"},{"user_id":"carol","state":"offline","last_seen":null}]},'
        '"timestamp":"2025-10-07T12:00:00Z","id":"p"}',
    ),
]


def message(content: Content = TEXT, **more: Any) -> Message:
    """A message of user 1 to user 2."""
    fields: dict[str, Any] = {
        "message_id": "m1",
        "conversation": "single_1_2",
        "canonical": "single_1_2",
        "position": 1,
        "sender": "1",
        "recipient": "2",
        "group": "",
        "client_id": "c-1",
        "content": content,
        "sent_at": NOON - 5,
        "server_at": NOON,
    }
    return Message(**{**fields, **more})


def push(seq: int, rest: str) -> str:
    """message.new."""
    return f'{{"type":"message.new","payload":{{"seq":{seq},"message_id":"m1",{rest}{AT_NOON}'


TIMES = '"sent_at":"2025-10-07T12:00:00Z"'
PUSHES: list[tuple[int, Message, str]] = [
    (
        5,
        message(),
        push(
            5,
            '"conversation_id":"single_1_2","from_user":1,"to_user":2,"content":"你好 😀",'
            '"message_type":"text","client_msg_id":"c-1",' + TIMES,
        ),
    ),
    (
        300,
        message(
            IMAGE,
            sender="alice",
            recipient="",
            group="9007199254740991",
            conversation="group_9007199254740991",
            client_id="",
            attachments=b'[{"file_id":"f"}]',
            meta=b'{"reply_to":"m0","a":1}',
            extra={"k": "v"},
        ),
        push(
            300,
            '"conversation_id":"group_9007199254740991","from_user":"alice","group_id":9007199254740991,'
            '"content":{"type":"image","name":"a.png"},"message_type":"image",'
            + TIMES
            + ',"attachments":[{"file_id":"f"}],"reply_to_id":"m0","meta":{"reply_to":"m0","a":1},'
            '"extra":{"k":"v"}',
        ),
    ),
    (
        1,
        message(OPAQUE, sender="007", recipient="9007199254740992", conversation="x", client_id=""),
        push(
            1,
            '"conversation_id":"x","from_user":"007","to_user":"9007199254740992",'
            '"content":{"type":"custom","message_type":7,"data":"AP8="},"message_type":"custom",' + TIMES,
        ),
    ),
    (
        2,
        message(
            Content(Form.JSON, b'{"type":"text","text":"x","format":"md"}', 0),
            recipient="",
            conversation="broadcast",
            client_id="",
        ),
        push(
            2,
            '"conversation_id":"broadcast","from_user":1,"content":{"type":"text","text":"x","format":"md"},'
            '"message_type":"custom",' + TIMES,
        ),
    ),
    (
        3,
        message(Content(Form.TEXT, b""), revoked=Revocation("1", NOON)),
        push(
            3,
            '"conversation_id":"single_1_2","from_user":1,"to_user":2,"content":"","message_type":"revoked",'
            '"revoked_by":1,"revoked_at":"2025-10-07T12:00:00Z","client_msg_id":"c-1",' + TIMES,
        ),
    ),
]

EVENTS: list[tuple[Any, str]] = [
    (
        MessageRevoked("m1", "single_1_2", "single_1_2", "2", NOON),
        '{"type":"message.delete","payload":{"message_id":"m1","conversation_id":"single_1_2","from_user":2,'
        '"deleted_at":"2025-10-07T12:00:00Z"},"timestamp":"2025-10-07T12:00:00Z"}',
    ),
    (
        MessagesRead(("m1", "m2"), "ours", "single_1_2", "2", NOON),
        '{"type":"message.read","payload":{"message_ids":["m1","m2"],"conversation_id":"ours","from_user":2,'
        '"read_at":"2025-10-07T12:00:00Z"},"timestamp":"2025-10-07T12:00:00Z"}',
    ),
    (
        TypingChanged("single_1_2", "2", True),
        '{"type":"typing","payload":{"conversation_id":"single_1_2","from_user":2,"is_typing":true},'
        '"timestamp":"2025-10-07T12:00:00Z"}',
    ),
    (
        PresenceChanged("bob", PresenceState.AWAY, NOON),
        '{"type":"presence","payload":{"user_id":"bob","state":"away","last_seen":"2025-10-07T12:00:00Z"},'
        '"timestamp":"2025-10-07T12:00:00Z"}',
    ),
    (
        GroupChanged(GroupChange.KICKED, "team", "3", "alice", NOON),
        '{"type":"notification","payload":{"event_type":"group_kicked","group_id":"team",'
        '"conversation_id":"group_team","user_id":3,"by":"alice","at":"2025-10-07T12:00:00Z"},'
        '"timestamp":"2025-10-07T12:00:00Z"}',
    ),
    (
        FriendChanged(FriendChange.REQUESTED, "2", "alice", NOON, 7, "hi"),
        '{"type":"notification","payload":{"event_type":"friend_request","user_id":2,"by":"alice",'
        '"at":"2025-10-07T12:00:00Z","request_id":7,"message":"hi"},"timestamp":"2025-10-07T12:00:00Z"}',
    ),
    (
        FriendChanged(FriendChange.DELETED, "2", "alice", NOON),
        '{"type":"notification","payload":{"event_type":"friend_deleted","user_id":2,"by":"alice",'
        '"at":"2025-10-07T12:00:00Z"},"timestamp":"2025-10-07T12:00:00Z"}',
    ),
    (
        SessionKicked(KickReason.OTHER_DEVICE, "too many"),
        '{"type":"notification","payload":{"event_type":"session_ended","reason":"other_device",'
        '"message":"too many"},"timestamp":"2025-10-07T12:00:00Z"}',
    ),
    (
        SessionKicked(KickReason.SHUTDOWN, "going down", 0.5),
        '{"type":"notification","payload":{"event_type":"session_ended","reason":"shutdown",'
        '"message":"going down","retry_after":0.5},"timestamp":"2025-10-07T12:00:00Z"}',
    ),
    (
        ImError(ErrorCode.UNAVAILABLE, "later"),
        '{"type":"error","payload":{"error_code":"UNAVAILABLE","message":"later",'
        '"details":{"reason":"unavailable"}},"timestamp":"2025-10-07T12:00:00Z"}',
    ),
]

CONNECT = (
    '{"type":"connect","payload":{"status":"connected","user_id":1,"server_time":"2025-10-07T12:00:00Z",'
    '"epoch":"e1","ice_servers":[]},"timestamp":"2025-10-07T12:00:00Z"}'
)
LOGGED_IN = LoggedIn("1", "t", "", 60, 41, 1, "e1")

MSGPACK_PUSH = bytes.fromhex(
    "83a474797065ab6d6573736167652e6e6577a77061796c6f616489a3736571cd012caa6d6573736167655f6964a26d31"
    "af636f6e766572736174696f6e5f6964aa73696e676c655f315f32a966726f6d5f7573657201a7746f5f7573657202"
    "a7636f6e74656e74abe4bda0e5a5bd20f09f9880ac6d6573736167655f74797065a474657874ad636c69656e745f6d7367"
    "5f6964a3632d31a773656e745f6174b4323032352d31302d30375431323a30303a30305aa974696d657374616d70b43230"
    "32352d31302d30375431323a30303a30305a"
)
"""`PUSHES[0]` under the number 300."""


def server(binary: bool = False) -> SignallingServerCodec:
    """A codec at the document's noon, logged in as user 1."""
    codec = SignallingServerCodec(lambda: NOON, binary=binary)
    codec.reply(Request(LogIn(token="t"), None), LOGGED_IN)
    return codec


class Json(SynchronousTestCase):
    def test_the_envelope_is_the_documents(self) -> None:
        for _, _, answer in ANSWERS:
            told = json.loads(answer)
            self.assertEqual(list(told)[:3], ["type", "payload", "timestamp"])
            self.assertTrue(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", told["timestamp"]))

    def test_connect(self) -> None:
        codec = SignallingServerCodec(lambda: NOON)
        (frame,) = codec.reply(Request(LogIn(token="t"), None), LOGGED_IN)
        self.assertEqual(frame.decode(), CONNECT)
        self.assertEqual(SignallingClientCodec().decode(frame), (None, LoggedIn("1", "", "", 0, 0, 0, "e1")))

    def test_connect_with_turn(self) -> None:
        servers = (IceServer(("stun:a",)), IceServer(("turn:a", "turns:a"), "1759842000:1", "cGFzcw=="))
        for binary in (False, True):
            codec = SignallingServerCodec(lambda: NOON, binary=binary)
            (frame,) = codec.reply(Request(LogIn(token="t"), None), replace(LOGGED_IN, ice_servers=servers))
            told = msgpack.unpack(frame) if binary else json.loads(frame)
            self.assertEqual(
                told["payload"]["ice_servers"],
                [
                    {"urls": ["stun:a"]},
                    {"urls": ["turn:a", "turns:a"], "username": "1759842000:1", "credential": "cGFzcw=="},
                ],
            )
            self.assertEqual(SignallingClientCodec(binary=binary).decode(frame)[1].ice_servers, servers)

    def test_requests(self) -> None:
        for name, frame, command in REQUESTS:
            self.assertEqual(server().decode(frame.encode()).command, command, name)

    def test_answers(self) -> None:
        for request, reply, answer in ANSWERS:
            codec = server()
            decoded = codec.decode(request.encode())
            self.assertEqual([frame.decode() for frame in codec.reply(decoded, reply)], [answer], request)

    def test_the_client_reads_the_answers(self) -> None:
        client = SignallingClientCodec()
        for request, reply, answer in ANSWERS:
            tag = json.loads(answer).get("id")
            self.assertEqual(tag, json.loads(request).get("id"))
            told = json.loads(answer)
            told["id"] = "q"
            found = client.decode(json.dumps(told).encode())
            expected = reply
            if isinstance(reply, MessageAccepted):
                expected = MessageAccepted("m1", "single_1_2", 5, NOON)
            self.assertEqual(found, ("q", expected))

    def test_history(self) -> None:
        codec = server()
        request = codec.decode(b'{"type":"message.history","id":"h"}')
        rows = [InboxRow(seq, pushed) for seq, pushed, _ in PUSHES]
        (frame,) = codec.reply(request, MessagePage(rows, "9", True))
        told = json.loads(frame)
        self.assertEqual(
            told["payload"],
            {
                "messages": [json.loads(text)["payload"] for _, _, text in PUSHES],
                "next_cursor": "9",
                "has_more": True,
            },
        )
        (frame,) = codec.reply(request, MessagePage([InboxRow(0, PUSHES[0][1])], "", False))
        self.assertNotIn("seq", json.loads(frame)["payload"]["messages"][0])

    def test_acks_and_typing_are_not_answered(self) -> None:
        codec = server()
        for name in ("ack by seq", "typing to a user"):
            frame = next(frame for title, frame, _ in REQUESTS if title == name)
            self.assertEqual(codec.reply(codec.decode(frame.encode()), Done()), [])

    def test_pushes(self) -> None:
        codec = server()
        for seq, pushed, text in PUSHES:
            self.assertEqual(codec.splice(codec.shared(pushed), seq).decode(), text)
            (frame,) = codec.backlog(InboxPage([InboxRow(seq, pushed)], seq, 1, False, "e1"))
            self.assertEqual(frame.decode(), text)

    def test_the_client_reads_the_pushes(self) -> None:
        for seq, pushed, text in PUSHES:
            tag, row = SignallingClientCodec().decode(text.encode())
            self.assertIs(tag, None)
            self.assertEqual(row.seq, seq)
            for field in ("message_id", "conversation", "sender", "recipient", "group", "client_id",
                          "content", "extra", "attachments", "meta", "revoked", "server_at"):  # fmt: skip
                self.assertEqual(getattr(row.message, field), getattr(pushed, field), field)

    def test_events(self) -> None:
        for event, text in EVENTS:
            self.assertEqual([frame.decode() for frame in server().event(event)], [text])

    def test_the_client_reads_the_events(self) -> None:
        for event, text in EVENTS:
            tag, found = SignallingClientCodec().decode(text.encode())
            self.assertIs(tag, None)
            if isinstance(event, ImError):
                self.assertEqual((found.code, found.text), (event.code, event.text))
            elif isinstance(event, MessageRevoked | MessagesRead):
                self.assertEqual(repr(found), repr(event).replace("canonical='single_1_2'", "canonical=''"))
            else:
                self.assertEqual(found, event)

    def test_what_this_format_does_not_tell(self) -> None:
        self.assertEqual(server().event(object()), [])

    def test_calls_are_refused_in_the_documents_terms(self) -> None:
        codec = server()
        with self.assertRaises(WireError) as caught:
            codec.decode(b'{"type":"call.hold","payload":{"call_id":"call_123456789"}}')
        self.assertFalse(caught.exception.fatal)
        (frame,) = codec.refusal(caught.exception.tag, caught.exception)
        self.assertEqual(
            frame.decode(),
            '{"type":"call.error","payload":{"call_id":"call_123456789","error_code":"SIGNALING_ERROR",'
            '"error_message":"this type is not known","details":{"reason":"unknown_command"}},'
            '"timestamp":"2025-10-07T12:00:00Z"}',
        )
        tag, found = SignallingClientCodec().decode(frame)
        self.assertEqual((tag, found.code), (None, ErrorCode.UNKNOWN_COMMAND))

    def test_the_client_writes_the_documents_envelope(self) -> None:
        client = SignallingClientCodec()
        _, frame, command = REQUESTS[3]
        self.assertEqual(json.loads(client.request(command, None)), json.loads(frame))
        self.assertEqual(client.request(AckMessages(7), None), b'{"type":"message.ack","payload":{"seq":7}}')
        self.assertEqual(
            SignallingClientCodec(lambda: NOON).request(SetTyping(True, group="12"), "t"),
            b'{"type":"typing","payload":{"group_id":12,"is_typing":true},'
            b'"timestamp":"2025-10-07T12:00:00Z","id":"t"}',
        )


class MessagePack(SynchronousTestCase):
    """The same messages; a MessagePack written by hand reads and writes the other side."""

    def test_requests(self) -> None:
        codec = server(binary=True)
        for name, frame, command in REQUESTS:
            self.assertEqual(codec.decode(msgpack.pack(json.loads(frame))).command, command, name)

    def test_answers(self) -> None:
        for request, reply, answer in ANSWERS:
            codec = server(binary=True)
            decoded = codec.decode(msgpack.pack(json.loads(request)))
            (frame,) = codec.reply(decoded, reply)
            self.assertEqual(msgpack.unpack(frame), json.loads(answer))
            self.assertEqual(frame, msgpack.pack(json.loads(answer)))

    def test_a_push_byte_by_byte(self) -> None:
        codec = server(binary=True)
        self.assertEqual(codec.splice(codec.shared(PUSHES[0][1]), 300), MSGPACK_PUSH)

    def test_pushes(self) -> None:
        codec = server(binary=True)
        for seq, pushed, text in PUSHES:
            frame = codec.splice(codec.shared(pushed), seq)
            self.assertEqual(frame, msgpack.pack(json.loads(text)))
            tag, row = SignallingClientCodec(binary=True).decode(frame)
            self.assertEqual((tag, row.seq, row.message.content), (None, seq, pushed.content))

    def test_the_largest_push(self) -> None:
        codec = server(binary=True)
        full = message(group="g", meta=b'{"reply_to":"m0"}', extra={"a": "b"}, attachments=b"[{}]")
        for seq in (1, 127, 128, 255, 256, 65535, 65536, 2**32, 2**53):
            told = msgpack.unpack(codec.splice(codec.shared(full), seq))
            self.assertEqual((told["payload"]["seq"], len(told["payload"])), (seq, 13))

    def test_events_and_refusals(self) -> None:
        codec = server(binary=True)
        for event, text in EVENTS:
            self.assertEqual([msgpack.unpack(frame) for frame in codec.event(event)], [json.loads(text)])
        (frame,) = codec.refusal(None, ImError(ErrorCode.UNAVAILABLE, "later"))
        self.assertEqual(msgpack.unpack(frame), json.loads(EVENTS[-1][1]))

    def test_sessions_share_bytes_only_with_their_like(self) -> None:
        self.assertEqual(server().profile, server().profile)
        self.assertNotEqual(server().profile, server(binary=True).profile)
