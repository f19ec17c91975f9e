"""What document 002's codec takes, refuses, and makes of content, ids and times."""

from __future__ import annotations

import json
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from imserver.model.accounts import LogIn
from imserver.model.errors import ErrorCode, ImError
from imserver.model.messages import Content, Form, SendMessage
from imserver.wire.base import Upgrade, WireError
from imserver.wire.signalling import SignallingServerCodec, negotiate, upgrade
from imserver.wire.signalling.envelope import id_value, iso, parse_time
from imserver.wire.signalling.errors import NAMES
from tests.clients import msgpack

NOON = 1759838400.0


def codec(binary: bool = False) -> SignallingServerCodec:
    """A codec at noon."""
    return SignallingServerCodec(lambda: NOON, binary=binary)


def send(**payload: Any) -> SendMessage:
    """What the server makes of a message.send to bob with these members."""
    frame = {"type": "message.send", "payload": {"to_user": "bob", **payload}}
    command = codec().decode(json.dumps(frame).encode()).command
    assert isinstance(command, SendMessage)
    return command


def refused(frame: bytes | dict[str, Any], binary: bool = False) -> dict[str, Any]:
    """The answer to a message that is refused."""
    server = codec(binary)
    if isinstance(frame, dict):
        frame = msgpack.pack(frame) if binary else json.dumps(frame).encode()
    try:
        request = server.decode(frame)
    except WireError as error:
        if error.fatal:
            raise
        (answer,) = server.refusal(error.tag, error)
        told = msgpack.unpack(answer) if binary else json.loads(answer)
        assert isinstance(told, dict)
        return told
    raise AssertionError(f"taken: {request}")


class BadInput(SynchronousTestCase):
    def test_what_is_no_json_object(self) -> None:
        for frame in (b"", b" ", b"{", b"[]", b"1", b"null", b'"x"', b"\xff", b'{"type":"ping"}x', b"NaN",
                      b"[" * 100_000, b'{"type":"ping","x":"\xff"}',
                      b'{"type":"ping","payload":{"x":"\\ud800"}'):  # fmt: skip
            answer = refused(frame)
            self.assertEqual(answer["type"], "error", frame)
            self.assertEqual(answer["payload"]["error_code"], "BAD_REQUEST")
            self.assertNotIn("id", answer)

    def test_what_is_no_message_pack_or_not_json_in_it(self) -> None:
        deep = b"\x91" * 100_000 + b"\xc0"
        ping = {"type": "ping", "payload": {"timestamp": b"\x00"}}
        for frame in (b"", b"\xc1", b"\x80\x80", deep, b"\x81\xa4type\xa2\xff\xff", b"\xd4\x05\x00",
                      b"\x82\xa4type\xa4ping\x01\x02", b"\xd6\xff\x00\x00\x00\x00", msgpack.pack(ping),
                      msgpack.pack({"type": "ping", "payload": {"timestamp": float("nan")}}),
                      msgpack.pack({"type": "ping", "x": float("inf")}), b'{"type":"ping"}'):  # fmt: skip
            answer = refused(frame, binary=True)
            self.assertEqual(answer["payload"]["error_code"], "BAD_REQUEST", frame[:40])

    def test_unknown_types(self) -> None:
        for kind in ("", "x", "message", "connect", "pong", "message.new", "message.sent", "error", "PING"):
            answer = refused({"type": kind, "id": 5})
            self.assertEqual((answer["type"], answer["id"]), ("error", 5))
            self.assertEqual(answer["payload"]["error_code"], "NOT_FOUND")
            self.assertEqual(answer["payload"]["details"].get("type", ""), kind)
        self.assertNotIn("type", refused({"type": "x" * 200})["payload"]["details"])

    def test_wrong_types_in_every_field(self) -> None:
        right: dict[str, dict[str, Any]] = {
            "message.send": {"to_user": "b", "content": "x"},
            "message.ack": {"seq": 1},
            "message.read": {"message_ids": ["m"]},
            "message.delete": {"message_id": "m"},
            "message.history": {},
            "typing": {"to_user": "b", "is_typing": True},
            "presence": {},
        }
        ids: tuple[Any, ...] = (1.5, True, [], {}, -1, 2**53)
        words: tuple[Any, ...] = (1, 1.5, True, [], {})
        wrong: dict[str, dict[str, tuple[Any, ...]]] = {
            "message.send": {
                "to_user": ids,
                "group_id": ids,
                "conversation_id": ids,
                "client_msg_id": (*ids, "x" * 256),
                "reply_to_id": (*ids, "x" * 256),
                "message_type": words,
                "content": (1, True, [], ["x"], None, {}, {"type": 5}, {"type": ""}),
                "attachments": (1, "x", {}, [1], ["x"]),
                "meta": (1, "x", [1], {"reply_to": 5}, {"priority": "urgent"}),
                "extra": (1, "x", [1], {"a": 1}, {"im.meta": "x"}),
            },
            "message.ack": {"seq": (-1, 2**53, 1.5, "1", True, [], 0), "message_id": words},
            "message.read": {
                "message_ids": (1, "x", {}, [1], [None], [""], [], ["m"] * 501),
                "message_id": words,
                "conversation_id": ids,
            },
            "message.delete": {"message_id": (*words, ""), "conversation_id": ids},
            "message.history": {
                "conversation_id": ids,
                "to_user": ids,
                "group_id": ids,
                "since": ids,
                "limit": (-1, 2**53, 1.5, "5", True, []),
            },
            "typing": {
                "conversation_id": ids[:4],
                "to_user": ids,
                "group_id": ids,
                "is_typing": (0, 1, "true", None, []),
            },
            "presence": {
                "state": (*words, "", "offline", "Online"),
                "users": (1, "x", {}, [1.5], [None], [-1]),
            },
        }
        for kind, fields in wrong.items():
            codec().decode(json.dumps({"type": kind, "payload": right[kind]}).encode())
            for name, values in fields.items():
                for value in values:
                    frame = {"type": kind, "payload": {**right[kind], name: value}, "id": "q"}
                    for binary in (False, True):
                        answer = refused(frame, binary)
                        self.assertEqual((answer["type"], answer["id"]), ("error", "q"), frame)
                        self.assertEqual(answer["payload"]["error_code"], "BAD_REQUEST", frame)
                        self.assertEqual(answer["payload"]["details"]["type"], kind)

    def test_wrong_envelopes(self) -> None:
        for name, values in {
            "type": (5, None, [], {}),
            "payload": (5, "x", [], True),
            "id": (1.5, True, [], {}, -1, 2**53, "x" * 256),
            "timestamp": (True, [], {}),
        }.items():
            for value in values:
                answer = refused({"type": "ping", name: value})
                self.assertEqual(answer["payload"]["error_code"], "BAD_REQUEST", (name, value))

    def test_a_refused_send_names_its_client_msg_id(self) -> None:
        for given in ("c-1", 17):
            payload: dict[str, Any] = {"client_msg_id": given, "to_user": [], "content": "x"}
            frame = {"type": "message.send", "payload": payload}
            self.assertEqual(
                refused(frame)["payload"]["details"],
                {"reason": "bad_request", "type": "message.send", "client_msg_id": given},
            )

    def test_targets(self) -> None:
        nowhere: tuple[dict[str, Any], ...] = (
            {},
            {"to_user": ""},
            {"to_user": None, "group_id": ""},
            {"to_user": 1, "group_id": 2},
        )
        for payload in nowhere:
            refused({"type": "message.send", "payload": {"content": "x", **payload}})
            refused({"type": "typing", "payload": {"is_typing": True, **payload}})
        both = {"to_user": 1, "conversation_id": "ours", "content": "x"}
        command = codec().decode(json.dumps({"type": "message.send", "payload": both}).encode()).command
        self.assertEqual((command.recipient, command.conversation), ("1", "ours"))
        self.assertEqual(send(to_user=0, content="x").recipient, "0")

    def test_nesting(self) -> None:
        def nested(levels: int) -> Any:
            value: Any = 1
            for _ in range(levels):
                value = {"a": [value]}
            return value

        for name, wrap in {
            "content": lambda value: {"type": "x", "a": value},
            "meta": lambda value: {"a": value},
            "attachments": lambda value: [{"a": value}],
        }.items():
            for levels, fits in ((31, True), (33, False), (150, False)):
                payload = {"to_user": "b", "content": "x", name: wrap(nested(levels))}
                frame = json.dumps({"type": "message.send", "payload": payload}).encode()
                if fits and name != "attachments":
                    codec().decode(frame)
                elif not fits:
                    self.assertIn("nested", refused(frame)["payload"]["message"])
        frame = b'{"type":"ping","payload":{"timestamp":%b}}' % json.dumps(nested(33)).encode()
        self.assertIn("nested", refused(frame)["payload"]["message"])
        long = b'{"type":"ping","payload":{"timestamp":"%b"}}' % (b"x" * 1100)
        self.assertIn("longer", refused(long)["payload"]["message"])

    def test_every_error_code_has_a_name(self) -> None:
        named = {"BAD_REQUEST", "AUTH_FAILED", "TOKEN_EXPIRED", "FORBIDDEN", "NOT_FOUND", "TOO_LARGE",
                 "TOO_FAST", "CONFLICT", "UNAVAILABLE", "INTERNAL"}  # fmt: skip
        for code in ErrorCode:
            (frame,) = codec().refusal(None, ImError(code, "why"))
            payload = json.loads(frame)["payload"]
            self.assertIn(payload["error_code"], named)
            self.assertEqual(payload["error_code"], NAMES[code])
            self.assertEqual(payload["details"]["reason"], code.value.lower())

    def test_call_errors_repeat_what_can_be_repeated(self) -> None:
        longest = "x" * 128
        for given, told in ((longest, longest), (longest + "x", None), (5, 5), ([], None), ("", None)):
            answer = refused({"type": "call.offer", "payload": {"call_id": given}, "id": "q"})
            self.assertEqual((answer["type"], answer["id"]), ("call.error", "q"))
            self.assertEqual(answer["payload"].get("call_id"), told)
        self.assertEqual(refused({"type": "call.offer", "payload": []})["type"], "call.error")


class Bodies(SynchronousTestCase):
    def test_text(self) -> None:
        text = Content(Form.TEXT, b"x")
        for payload in (
            {"content": "x"},
            {"content": "x", "message_type": "text"},
            {"content": "x", "message_type": ""},
            {"content": "x", "message_type": None},
            {"content": {"type": "text", "text": "x"}},
            {"content": {"text": "x"}, "message_type": "text"},
            {"content": {"type": "text", "text": "x"}, "message_type": "custom"},
        ):
            self.assertEqual(send(**payload).content, text, payload)

    def test_objects(self) -> None:
        def json_form(data: bytes) -> Content:
            return Content(Form.JSON, data, 0)

        for payload, data in (
            ({"content": {"type": "image", "n": 1}}, b'{"type":"image","n":1}'),
            ({"content": {"type": "image"}, "message_type": "image"}, b'{"type":"image"}'),
            ({"content": {"type": "image"}, "message_type": "custom"}, b'{"type":"image"}'),
            ({"content": {"n": 1}, "message_type": "image"}, b'{"n":1,"type":"image"}'),
            ({"content": "u", "message_type": "image"}, b'{"type":"image","text":"u"}'),
        ):
            self.assertEqual(send(**payload).content, json_form(data), payload)
        refused({"type": "message.send", "payload": {"to_user": "b", "content": {"type": "image"},
                                                     "message_type": "voice"}})  # fmt: skip

    def test_opaque(self) -> None:
        content = {"type": "custom", "message_type": 9, "data": "AP8="}
        self.assertEqual(send(content=content).content, Content(Form.OPAQUE, b"\x00\xff", 9))

    def test_reply_to(self) -> None:
        self.assertEqual(send(content="x", reply_to_id="m").meta, b'{"reply_to":"m"}')
        self.assertEqual(send(content="x", reply_to_id="m", meta={"a": 1}).meta, b'{"a":1,"reply_to":"m"}')
        self.assertEqual(send(content="x", reply_to_id="m", meta={"reply_to": "m"}).meta, b'{"reply_to":"m"}')
        self.assertEqual(send(content="x", reply_to_id="", meta={}).meta, b"")
        refused({"type": "message.send", "payload": {"to_user": "b", "content": "x", "reply_to_id": "m",
                                                     "meta": {"reply_to": "n"}}})  # fmt: skip


class TimesAndIds(SynchronousTestCase):
    def test_times_are_read(self) -> None:
        for written, seconds in (
            ("2025-10-07T12:00:00Z", NOON),
            ("2025-10-07T12:00:00.250Z", NOON + 0.25),
            ("2025-10-07T14:00:00+02:00", NOON),
            ("2025-10-07T12:00:00", NOON),
            (1759838400, NOON),
            (1759838400123, NOON + 0.123),
            (1759838400.5, NOON + 0.5),
            (0, 0.0),
            ("1969-12-31T23:59:59Z", 0.0),
            ("0001-01-01T00:00:00+14:00", 0.0),
            ("9999-12-31T23:59:59Z", 253402300799.0),
        ):
            self.assertEqual(parse_time(written), seconds, written)
        for wrong in ("", "now", "2025-13-01T00:00:00Z", -1, 1e300, 10**400, "١٢٣"):
            with self.assertRaises(ImError):
                parse_time(wrong)

    def test_times_are_written(self) -> None:
        self.assertEqual(iso(NOON), "2025-10-07T12:00:00Z")
        self.assertEqual(iso(NOON + 0.999), "2025-10-07T12:00:00Z")
        self.assertEqual(iso(0), "1970-01-01T00:00:00Z")

    def test_ids_are_integers_where_they_look_like_it(self) -> None:
        for name, written in (
            ("0", 0),
            ("1", 1),
            ("9007199254740991", 2**53 - 1),
            ("9007199254740992", "9007199254740992"),
            ("00", "00"),
            ("01", "01"),
            ("-1", "-1"),
            ("+1", "+1"),
            ("1.0", "1.0"),
            ("1e3", "1e3"),
            ("٣", "٣"),
            ("²", "²"),
            ("alice", "alice"),
            ("10000000000000000", "10000000000000000"),
        ):
            self.assertEqual(id_value(name), written)
            self.assertIs(type(id_value(name)), type(written))


class Negotiation(SynchronousTestCase):
    def agreed(self, upgrade: Upgrade) -> tuple[str, str | None, bool]:
        """(token, subprotocol, binary) of an upgrade."""
        found = negotiate(upgrade, lambda: NOON)
        assert found.log_in is not None
        self.assertEqual(found.codec.profile, codec(found.binary).profile)
        return found.log_in.token, found.subprotocol, found.binary

    def test_the_places_of_the_token(self) -> None:
        for asked, found in (
            (Upgrade({"token": ["t"]}), ("t", None, False)),
            (Upgrade({}, "Bearer t"), ("t", None, False)),
            (Upgrade({}, "bearer  t "), ("t", None, False)),
            (Upgrade({}, "", ("bearer", "t")), ("t", "bearer", False)),
            (Upgrade({}, "", ("bearer", "t", "msgpack")), ("t", "msgpack", True)),
            (Upgrade({}, "", ("msgpack", "bearer", "t")), ("t", "msgpack", True)),
            (Upgrade({}, "", ("bearer", "msgpack", "t")), ("t", "msgpack", True)),
            (Upgrade({"token": ["t"]}, "", ("msgpack",)), ("t", "msgpack", True)),
            (Upgrade({"token": ["t"]}, "", ("soap",)), ("t", None, False)),
            (Upgrade({"token": ["t", "u"]}, "Bearer v", ("bearer", "w")), ("t", "bearer", False)),
            (Upgrade({}, "Bearer v", ("bearer", "w")), ("v", "bearer", False)),
        ):
            self.assertEqual(self.agreed(asked), found, asked)

    def test_no_token(self) -> None:
        for asked in (
            Upgrade(),
            Upgrade({"token": [""]}),
            Upgrade({}, "Basic dDp0"),
            Upgrade({}, "Bearer"),
            Upgrade({}, "t"),
            Upgrade({}, "", ("bearer",)),
            Upgrade({}, "", ("bearer", "msgpack")),
            Upgrade({}, "", ("t", "bearer")),
        ):
            with self.assertRaises(ImError) as caught:
                negotiate(asked, lambda: NOON)
            self.assertIs(caught.exception.code, ErrorCode.AUTH_FAILED)

    def test_the_device(self) -> None:
        found = negotiate(Upgrade({"token": ["t"], "device": ["phone"], "x": ["y"]}), lambda: NOON)
        self.assertEqual(found.log_in, LogIn(token="t", device="phone"))
        with self.assertRaises(ImError) as caught:
            negotiate(Upgrade({"token": ["t"], "device": ["x" * 256]}), lambda: NOON)
        self.assertIs(caught.exception.code, ErrorCode.BAD_REQUEST)

    def test_the_clients_upgrade(self) -> None:
        for binary in (False, True):
            command = LogIn(token="t", device="phone")
            found = negotiate(upgrade(command, binary=binary), lambda: NOON)
            self.assertEqual((found.log_in, found.binary), (command, binary))
        self.assertRaises(ValueError, upgrade, LogIn("alice", password="p"))
