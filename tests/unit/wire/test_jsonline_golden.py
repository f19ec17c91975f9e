"""Every chat example of document 004, byte for byte, and what answers it."""

from __future__ import annotations

import json
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from imserver.model.accounts import KickReason, LoggedIn, LogIn, Ping, Pong, SessionKicked
from imserver.model.errors import ErrorCode, ImError
from imserver.model.messages import (
    AckMessages,
    Content,
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
from imserver.wire.jsonline import JsonLineClientCodec, JsonLineServerCodec

NOW = 1730795174.9

LOGIN = b"""{
  "id": "9fbb4e7e-73f6-4e71-9f44-70cdaeb71b0b",
  "type": "request",
  "timestamp": 1730795173,
  "command": "auth/login",
  "payload": {
    "username": "alice",
    "password": "hashed-password",
    "client_info": {
      "device": "windows",
      "version": "cli-0.1.0"
    }
  }
}"""

HEARTBEAT = b"""{
  "id": "hb-1730795200",
  "type": "event",
  "command": "presence/heartbeat",
  "payload": {
    "seq": 1024
  }
}"""

SEND = b"""{
  "id": "msg-58123",
  "type": "request",
  "command": "message/send",
  "payload": {
    "conversation_id": "room-001",
    "target": {
      "type": "user",
      "id": "u-10002"
    },
    "content": {
      "type": "text",
      "text": "Hello world!"
    },
    "attachments": [
      {
        "file_id": "f-abc123",
        "name": "image.png",
        "size": 2048
      }
    ],
    "meta": {
      "reply_to": "msg-57111",
      "priority": "normal"
    }
  }
}"""

PUSH = b"""{
  "id": "msg-58123",
  "type": "event",
  "command": "message/event",
  "payload": {
    "status": 200,
    "message": {
      "message_id": "msg-58123",
      "conversation_id": "room-001",
      "sender_id": "u-10001",
      "sent_at": 1730795220,
      "content": {
        "type": "text",
        "text": "Hello world!"
      }
    }
  }
}"""

ATTACHMENTS = b'[{"file_id":"f-abc123","name":"image.png","size":2048}]'
META = b'{"reply_to":"msg-57111","priority":"normal"}'

MESSAGE = Message(
    message_id="msg-58123",
    conversation="room-001",
    canonical="single_u-10001_u-10002",
    position=3,
    sender="u-10001",
    recipient="u-10002",
    group="",
    client_id="c-1",
    content=Content(Form.TEXT, b"Hello world!"),
    sent_at=1.0,
    server_at=1730795220.75,
    attachments=ATTACHMENTS,
    meta=META,
)


def codec() -> JsonLineServerCodec:
    """A server's codec with a clock that stands still."""
    return JsonLineServerCodec(lambda: NOW)


def only(lines: list[bytes]) -> bytes:
    """The one line in a list."""
    assert len(lines) == 1, lines
    return lines[0]


class LoginExample(SynchronousTestCase):
    """§2.1."""

    def test_request(self) -> None:
        request = codec().decode(LOGIN)
        self.assertEqual(
            request.command, LogIn(user="alice", password="hashed-password", hashed=False, device="windows")
        )
        self.assertFalse(request.dedupe)

    def test_response(self) -> None:
        server = codec()
        reply = LoggedIn("u-10001", "jwt-or-session-id", "refresh", 3600, 12, 3, "e1")
        line = only(server.reply(server.decode(LOGIN), reply))
        self.assertEqual(
            line,
            b'{"id":"9fbb4e7e-73f6-4e71-9f44-70cdaeb71b0b","type":"response","timestamp":1730795174,'
            b'"command":"auth/login","payload":{"status":200,"token":"jwt-or-session-id",'
            b'"refresh_token":"refresh","user_id":"u-10001","expires_in":3600,"epoch":"e1","max_seq":12,'
            b'"first_seq":3}}',
        )
        self.assertEqual(JsonLineClientCodec().decode(line), ("9fbb4e7e-73f6-4e71-9f44-70cdaeb71b0b", reply))

    def test_refused(self) -> None:
        server = codec()
        tag = server.decode(LOGIN).tag
        line = only(server.refusal(tag, ImError(ErrorCode.AUTH_FAILED, "wrong password")))
        self.assertEqual(
            line,
            b'{"id":"9fbb4e7e-73f6-4e71-9f44-70cdaeb71b0b","type":"response","timestamp":1730795174,'
            b'"command":"auth/login","payload":{"status":401,"error_code":1001,"error":"AUTH_FAILED",'
            b'"error_message":"wrong password","retryable":false}}',
        )

    def test_password_forms(self) -> None:
        hexed = "0123456789abcdef" * 4
        for password, hashed in (
            (hexed, True),
            (hexed.upper(), False),
            (hexed[1:], False),
            ("g" * 64, False),
        ):
            line = json.dumps({"command": "auth/login", "payload": {"username": "a", "password": password}})
            command = codec().decode(line.encode()).command
            self.assertEqual(command, LogIn(user="a", password=password, hashed=hashed))

    def test_by_token(self) -> None:
        line = b'{"id":"1","command":"auth/login","payload":{"token":"t","client_info":{"platform":"iOS"}}}'
        self.assertEqual(codec().decode(line).command, LogIn(token="t", platform="iOS"))


class HeartbeatExample(SynchronousTestCase):
    """§2.2."""

    def test_echo(self) -> None:
        server = codec()
        request = server.decode(HEARTBEAT)
        self.assertEqual(request.command, Ping(0.0, 1024))
        self.assertEqual(
            only(server.reply(request, Pong(NOW, 0.0, 1024))),
            b'{"id":"hb-1730795200","type":"event","timestamp":1730795174,"command":"presence/heartbeat",'
            b'"payload":{"seq":1024}}',
        )

    def test_without_seq_there_is_no_echo(self) -> None:
        server = codec()
        request = server.decode(b'{"type":"event","command":"presence/heartbeat"}')
        self.assertEqual(server.reply(request, Pong(NOW)), [])

    def test_as_a_request(self) -> None:
        server = codec()
        request = server.decode(
            b'{"id":7,"type":"request","command":"presence.heartbeat","payload":{"seq":0}}'
        )
        self.assertEqual(
            only(server.reply(request, Pong(NOW, 0.0, 0))),
            b'{"id":7,"type":"response","timestamp":1730795174,"command":"presence.heartbeat",'
            b'"payload":{"status":200,"time":1730795174,"seq":0}}',
        )


class SendExample(SynchronousTestCase):
    """§2.3, sending."""

    def test_request(self) -> None:
        request = codec().decode(SEND)
        self.assertEqual(
            request.command,
            SendMessage(
                content=Content(Form.TEXT, b"Hello world!"),
                conversation="room-001",
                recipient="u-10002",
                client_id="msg-58123",
                attachments=ATTACHMENTS,
                meta=META,
            ),
        )
        # The store remembers sends, over restarts too; the session need not.
        self.assertFalse(request.dedupe)

    def test_accepted(self) -> None:
        server = codec()
        request = server.decode(SEND)
        for pending, status in ((False, b"200"), (True, b"202")):
            reply = MessageAccepted("m-1", "room-001", 9, 1730795220.0, pending)
            line = only(server.reply(request, reply))
            self.assertEqual(
                line,
                b'{"id":"msg-58123","type":"response","timestamp":1730795174,"command":"message/send",'
                b'"payload":{"status":%b,"message_id":"m-1","conversation_id":"room-001","seq":9,'
                b'"sent_at":1730795220}}' % status,
            )
            self.assertEqual(JsonLineClientCodec().decode(line), ("msg-58123", reply))

    def test_failed_is_told_twice(self) -> None:
        server = codec()
        request = server.decode(SEND)
        response, ack = server.refusal(request.tag, ImError(ErrorCode.TOO_FAST, "slow down"), request.command)
        payload = (
            b'{"status":429,"error_code":1005,"error":"TOO_FAST","error_message":"slow down",'
            b'"retryable":true}'
        )
        self.assertEqual(
            response,
            b'{"id":"msg-58123","type":"response","timestamp":1730795174,"command":"message/send",'
            b'"payload":%b}' % payload,
        )
        self.assertEqual(
            ack,
            b'{"id":"msg-58123","type":"event","timestamp":1730795174,"command":"message/ack",'
            b'"payload":%b}' % payload,
        )

    def test_dotted_alias(self) -> None:
        server = codec()
        dotted = SEND.replace(b"message/send", b"message.send").replace(b"conversation_id", b"conv_id")
        request = server.decode(dotted)
        self.assertEqual(request.command, server.decode(SEND).command)
        line = only(server.reply(request, MessageAccepted("m", "c", 1, 1.0)))
        self.assertIn(b'"command":"message.send"', line)

    def test_sender_clock(self) -> None:
        sent = SEND.replace(b'"type": "request"', b'"type": "request", "timestamp": 1730795173', 1)
        self.assertEqual(codec().decode(sent).command.sent_at, 1730795173.0)


class PushExample(SynchronousTestCase):
    """§2.3, the push."""

    def test_superset_of_the_example(self) -> None:
        server = codec()
        pushed = json.loads(server.splice(server.shared(MESSAGE), 42))
        example = json.loads(PUSH)
        for key in ("id", "type", "command"):
            self.assertEqual(pushed[key], example[key])
        self.assertEqual(pushed["payload"]["message"], example["payload"]["message"])
        self.assertEqual(pushed["payload"]["status"], 200)

    def test_bytes(self) -> None:
        server = codec()
        core = (
            b'"message_id":"msg-58123","conversation_id":"room-001","sender_id":"u-10001",'
            b'"sent_at":1730795220,"content":{"type":"text","text":"Hello world!"}'
        )
        self.assertEqual(
            server.splice(server.shared(MESSAGE), 42),
            b'{"id":"msg-58123","type":"event","timestamp":1730795220,"command":"message/event",'
            b'"payload":{"status":200,"seq":42,"message":{%b},%b,"target":{"type":"user","id":"u-10002"},'
            b'"client_id":"c-1","attachments":%b,"meta":%b}}' % (core, core, ATTACHMENTS, META),
        )

    def test_client_reads_the_example(self) -> None:
        tag, row = JsonLineClientCodec().decode(PUSH)
        self.assertIsNone(tag)
        self.assertEqual(row.message.message_id, "msg-58123")
        self.assertEqual(row.message.content, Content(Form.TEXT, b"Hello world!"))
        self.assertEqual(row.message.sent_at, 1730795220.0)

    def test_targets(self) -> None:
        for group, recipient, canonical, target in (
            ("g", "", "group_g", {"type": "group", "id": "g"}),
            ("", "b", "single_a_b", {"type": "user", "id": "b"}),
            ("", "", "broadcast", {"type": "broadcast"}),
        ):
            message = Message(
                "m", canonical, canonical, 1, "a", recipient, group, "", Content(Form.TEXT, b"x"), 1.0, 2.0
            )
            line = codec().splice(codec().shared(message), 1)
            self.assertEqual(json.loads(line)["payload"]["target"], target)
            _, row = JsonLineClientCodec().decode(line)
            self.assertEqual(
                (row.message.group, row.message.recipient, row.message.canonical),
                (group, recipient, canonical),
            )

    def test_tombstone(self) -> None:
        message = Message(
            "m",
            "c",
            "c",
            1,
            "a",
            "b",
            "",
            "",
            Content(Form.TEXT, b""),
            1.0,
            2.0,
            revoked=Revocation("a", 9.5),
        )
        payload = json.loads(codec().splice(codec().shared(message), 5))["payload"]
        self.assertEqual(payload["content"], {"type": "revoked"})
        self.assertEqual(payload["message"]["content"], {"type": "revoked"})
        self.assertEqual((payload["revoked"], payload["revoked_by"], payload["revoked_at"]), (True, "a", 9))


class HistoryAndOffline(SynchronousTestCase):
    """§2.3 and §7."""

    PAGE = InboxPage([InboxRow(41, MESSAGE), InboxRow(42, MESSAGE)], 50, 3, True, "e1")

    def test_history_request(self) -> None:
        for payload, command in (
            (b"{}", ReadHistory()),
            (b'{"since":17,"limit":5}', ReadHistory(since="17", limit=5)),
            (b'{"conversation_id":"room-001","since":"c-9"}', ReadHistory("room-001", since="c-9")),
            (b'{"target":{"type":"room","id":"g"},"conversation_id":"x"}', ReadHistory(group="g")),
            (b'{"target":{"type":"user","id":12}}', ReadHistory(recipient="12")),
        ):
            line = b'{"id":"h","type":"request","command":"message/history","payload":%b}' % payload
            self.assertEqual(codec().decode(line).command, command)

    def test_history_response(self) -> None:
        server = codec()
        request = server.decode(b'{"id":"h","type":"request","command":"message/history","payload":{}}')
        reply = MessagePage([InboxRow(41, MESSAGE), InboxRow(0, MESSAGE)], "c-10", True)
        payload = json.loads(only(server.reply(request, reply)))["payload"]
        self.assertEqual(payload["status"], 200)
        self.assertEqual((payload["next_cursor"], payload["has_more"]), ("c-10", True))
        first, second = payload["messages"]
        self.assertEqual(
            first,
            {
                "message_id": "msg-58123",
                "conversation_id": "room-001",
                "sender_id": "u-10001",
                "sent_at": 1730795220,
                "content": {"type": "text", "text": "Hello world!"},
                "seq": 41,
                "target": {"type": "user", "id": "u-10002"},
                "client_id": "c-1",
                "attachments": json.loads(ATTACHMENTS),
                "meta": json.loads(META),
            },
        )
        self.assertNotIn("seq", second)

    def test_offline(self) -> None:
        line = json.loads(only(codec().backlog(self.PAGE)))
        self.assertEqual((line["type"], line["command"]), ("event", "message/offline"))
        payload = line["payload"]
        self.assertEqual([one["seq"] for one in payload["messages"]], [41, 42])
        del payload["messages"]
        self.assertEqual(
            payload, {"status": 200, "has_more": True, "first_seq": 3, "max_seq": 50, "epoch": "e1"}
        )

    def test_ack(self) -> None:
        for payload, command in (
            (b'{"message_id":"m-1"}', AckMessages(0, "m-1")),
            (b'{"seq":12}', AckMessages(12)),
            (b'{"seq":0,"message_id":"m-1"}', AckMessages(0, "m-1")),
        ):
            line = b'{"id":"a","type":"event","command":"message/ack","payload":%b}' % payload
            self.assertEqual(codec().decode(line).command, command)


class ControlAndKick(SynchronousTestCase):
    """§2.5, §3."""

    def test_ping(self) -> None:
        server = codec()
        request = server.decode(b'{"id":"p","type":"request","timestamp":5,"command":"control/ping"}')
        self.assertEqual(request.command, Ping(5.0))
        self.assertEqual(
            only(server.reply(request, Pong(NOW, 5.0))),
            b'{"id":"p","type":"response","timestamp":1730795174,"command":"control/ping",'
            b'"payload":{"status":200,"time":1730795174}}',
        )

    def test_kick(self) -> None:
        self.assertEqual(
            only(codec().event(SessionKicked(KickReason.OTHER_DEVICE, "too many"))),
            b'{"id":"ev-1","type":"event","timestamp":1730795174,"command":"auth/kick",'
            b'"payload":{"reason":"other_device","message":"too many"}}',
        )

    def test_shutdown_and_slowness_are_control_errors(self) -> None:
        for reason in (KickReason.SHUTDOWN, KickReason.SLOW):
            line = json.loads(only(codec().event(SessionKicked(reason, "bye"))))
            self.assertEqual(line["command"], "control/error")
            self.assertEqual(
                line["payload"],
                {
                    "status": 503,
                    "error_code": 1012,
                    "error": "UNAVAILABLE",
                    "error_message": "bye",
                    "retryable": True,
                },
            )


class Envelope(SynchronousTestCase):
    """§1, §3, §4."""

    def decode(self, **fields: Any) -> Any:
        line = {"id": "x", "type": "request", "command": "control/ping", **fields}
        return codec().decode(json.dumps(line).encode())

    def test_trace_is_echoed_to_its_sender_only(self) -> None:
        server = codec()
        request = server.decode(
            b'{"id":"x","command":"control/ping","headers":{"trace": {"span": [1, "a b"]},"client":"c"}}'
        )
        line = json.loads(only(server.reply(request, Pong(NOW))))
        self.assertEqual(line["headers"], {"trace": {"span": [1, "a b"]}})
        refused = json.loads(server.refusal(request.tag, ImError(ErrorCode.INTERNAL, ""))[0])
        self.assertEqual(refused["headers"], {"trace": {"span": [1, "a b"]}})

    def test_authorization(self) -> None:
        for name in ("Authorization", "authorization"):
            for value in ("Bearer abc.def", "bearer  abc.def "):
                self.assertEqual(self.decode(headers={name: value}).authorization, "abc.def")
        self.assertEqual(self.decode(headers={}).authorization, "")

    def test_authorization_of_commands_with_credentials_of_their_own_is_not_read(self) -> None:
        request = self.decode(
            command="auth/refresh",
            headers={"Authorization": "Bearer expired"},
            payload={"refresh_token": "r"},
        )
        self.assertEqual(request.authorization, "")

    def test_supported_versions(self) -> None:
        for version in ("1.0", "1", "1.7", 1, 1.0, None):
            self.assertEqual(self.decode(headers={"version": version}).command, Ping())

    def test_ids(self) -> None:
        for id, written in ((5, b"5"), ("5", b'"5"'), (None, b"null"), ("", b'""'), ("a" * 255, None)):
            tag = self.decode(id=id).tag
            self.assertEqual(tag.id, written or b'"%b"' % (b"a" * 255))

    def test_null_stands_for_absent(self) -> None:
        request = codec().decode(
            b'{"id":null,"type":null,"timestamp":null,"headers":null,"payload":null,"command":"control/ping"}'
        )
        self.assertEqual(request.command, Ping())

    def test_unknown_fields_are_tolerated(self) -> None:
        line = SEND.replace(b'"payload": {', b'"flags": [1], "payload": {"colour": "red", ', 1)
        self.assertEqual(codec().decode(line).command, codec().decode(SEND).command)

    def test_blank_lines_and_edges(self) -> None:
        server = codec()
        for line in (b"", b" ", b"\r", b"\t \r"):
            request = server.decode(line)
            self.assertEqual(request.command, Ping())
            self.assertEqual(server.reply(request, Pong(NOW, 0.0, 1)), [])
        self.assertEqual(server.decode(b"  " + HEARTBEAT + b" \r").command, Ping(0.0, 1024))
