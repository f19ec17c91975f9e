"""Members of message.send that nobody knows reach the recipients, and pass for none of the server's."""

from __future__ import annotations

import json
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from imserver.model.messages import Content, Form, Message
from imserver.wire.signalling import SignallingClientCodec, SignallingServerCodec
from imserver.wire.signalling.fields import FIELDS_KEY, OWN
from tests.clients import msgpack
from tests.unit.wire.test_signalling_rules import refused, send

SEALED = {"ciphertext": "q80=", "keys": [{"device": "d1", "key": {"n": 1.5}}], "名": None, "algorithm": ""}


def message(extra: dict[str, str], **more: Any) -> Message:
    fields: dict[str, Any] = {"client_id": "", "meta": b"", "attachments": b"", **more}
    return Message(
        message_id="m1", conversation="single_alice_bob", canonical="single_alice_bob", position=1,
        sender="alice", recipient="bob", group="", content=Content(Form.TEXT, b""), sent_at=5.0,
        server_at=5.0, extra=extra, **fields,
    )  # fmt: skip


def pushed(extra: dict[str, str], *, binary: bool = False, **more: Any) -> dict[str, Any]:
    """The payload of message.new."""
    codec = SignallingServerCodec(lambda: 5.0, binary=binary)
    frame = codec.splice(codec.shared(message(extra, **more)), 7)
    new = msgpack.unpack(frame) if binary else json.loads(frame)
    payload = new["payload"]
    assert isinstance(payload, dict)
    return payload


def others(payload: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in payload.items() if name not in OWN}


class Fields(SynchronousTestCase):
    def test_they_come_out_as_they_went_in(self) -> None:
        command = send(content="", extra={"k": "v"}, **SEALED)
        self.assertEqual(json.loads(command.extra[FIELDS_KEY]), SEALED)
        self.assertEqual(command.extra["k"], "v")
        for binary in (False, True):
            payload = pushed(command.extra, binary=binary)
            self.assertEqual(others(payload), SEALED)
            self.assertEqual(
                (payload["extra"], payload["seq"], payload["from_user"]), ({"k": "v"}, 7, "alice")
            )
        self.assertNotIn("extra", pushed(send(content="", **SEALED).extra))

    def test_many_of_them(self) -> None:
        for count in (1, 5, 6, 20, 300):
            fields = {f"field{number}": number for number in range(count)}
            extra = send(content="x", **fields).extra
            for binary in (False, True):
                payload = pushed(extra, binary=binary, client_id="c", meta=b'{"a":1}', attachments=b"[{}]")
                self.assertEqual(others(payload), fields)
                self.assertEqual((payload["client_msg_id"], payload["meta"]), ("c", {"a": 1}))

    def test_what_has_a_meaning_is_not_passed_on(self) -> None:
        """Deployed clients write from_user into everything; it is always the authenticated one."""
        claims = dict.fromkeys(OWN - {"content", "extra", "to_user"})
        claims |= {"from_user": "eve", "seq": 99, "message_id": "m0", "revoked_by": "eve"}
        self.assertEqual(send(content="x", **claims).extra, {})

    def test_every_member_of_the_servers_is_known_here(self) -> None:
        revoked = {
            "message_id", "conversation_id", "from_user", "to_user", "content", "message_type", "revoked_by",
            "revoked_at", "sent_at", "seq", "group_id", "client_msg_id", "attachments", "meta", "reply_to_id",
            "extra",
        }  # fmt: skip
        self.assertEqual(revoked, OWN)
        full = pushed({"k": "v"}, client_id="c", meta=b'{"reply_to":"m"}', attachments=b"[{}]")
        self.assertLessEqual(full.keys(), OWN)

    def test_other_formats_cannot_forge_members_with_them(self) -> None:
        for text in (
            '{"from_user":"eve"}', '{"x":1,"seq":1}', "[]", "{}", "null", "{", '{"a":1}}', "x", "",
            '{"a":' + "[" * 70 + "]" * 70 + "}", '{"a":1e999}', '{"a":NaN}',
            '{"a":18446744073709551616}',
        ):  # fmt: skip
            for binary in (False, True):
                payload = pushed({FIELDS_KEY: text}, binary=binary)
                self.assertEqual(payload["extra"], {FIELDS_KEY: text})
                self.assertEqual((payload["from_user"], payload["seq"]), ("alice", 7))
        self.assertEqual(others(pushed({FIELDS_KEY: ' { "a" : 1 } '})), {"a": 1})

    def test_what_cannot_be_carried_is_refused(self) -> None:
        deep: Any = 1
        for _ in range(70):
            deep = [deep]
        for fields in ({"x": deep}, {"x": "\ud800"}, {"x": 2**64}, {"x": 1, "extra": {FIELDS_KEY: "{}"}}):
            frame = {"type": "message.send", "payload": {"to_user": "bob", "content": "", **fields}}
            self.assertEqual(refused(frame)["payload"]["error_code"], "BAD_REQUEST")

    def test_client_programs_get_and_send_them(self) -> None:
        for binary in (False, True):
            server = SignallingServerCodec(lambda: 5.0, binary=binary)
            client = SignallingClientCodec(binary=binary)
            command = send(content="", extra={"k": "v"}, **SEALED)
            self.assertEqual(server.decode(client.request(command, 1)).command, command)
            _, row = client.decode(server.splice(server.shared(message(command.extra)), 7))
            self.assertEqual(row.message.extra, command.extra)


class ClientIds(SynchronousTestCase):
    def test_a_number_is_written_as_a_number(self) -> None:
        """CONTRACT §4: ids of the form 0 or [1-9][0-9]*, up to 2^53-1, are JSON integers."""
        for written, shown in (
            (5, 5),
            ("5", 5),
            (0, 0),
            ("007", "007"),
            ("c-1", "c-1"),
            (2**53 - 1, 2**53 - 1),
        ):
            command = send(content="x", client_msg_id=written)
            self.assertEqual(command.client_id, str(written))
            self.assertEqual(pushed({}, client_id=command.client_id)["client_msg_id"], shown)
