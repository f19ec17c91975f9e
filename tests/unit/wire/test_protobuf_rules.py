"""The rules of document 001 that are the codec's to keep."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from imserver.model.accounts import KickReason, LoggedIn, SessionKicked
from imserver.model.errors import ErrorCode, ImError
from imserver.model.groups import GroupChange, GroupChanged
from imserver.model.messages import (
    AckMessages,
    Content,
    Done,
    Form,
    InboxPage,
    InboxRow,
    MessageAccepted,
    Revocation,
    SendMessage,
    SyncInbox,
)
from imserver.wire.base import Request, WireError
from imserver.wire.protobuf import ProtobufServerCodec
from tests.clients import protobuf_client as by_hand
from tests.unit.wire import protobuf_vectors as vectors

MAX_INT64 = 2**63 - 1
MIN_INT64 = -(2**63)


def frame(command: str, **values: Any) -> bytes:
    return by_hand.encode_envelope(by_hand.COMMANDS[command], 5, by_hand.encode(command, **values))


def read(octets: bytes) -> dict[str, Any]:
    number, sequence, body, timestamp = by_hand.decode_envelope(octets)
    name = by_hand.NAMES[number]
    return {
        **by_hand.decode(name, body),
        "_command": name,
        "_sequence": sequence,
        "_timestamp": timestamp,
    }


class CodecTestCase(SynchronousTestCase):
    """Has one server codec, with alice logged in."""

    def setUp(self) -> None:
        self.codec = self.codec_of()

    def codec_of(self, user: str = "alice", **options: Any) -> ProtobufServerCodec:
        codec = ProtobufServerCodec(lambda: vectors.NOW, **options)
        if user:
            request = codec.decode(frame("AUTH_REQ", user_id=user, token="t"))
            codec.reply(request, LoggedIn(user, "", "", 0, 0, 1, "e1"))
        return codec

    def decode(self, command: str, **values: Any) -> Request:
        return self.codec.decode(frame(command, **values))

    def refused(self, octets: bytes) -> tuple[WireError, list[dict[str, Any]]]:
        with self.assertRaises(WireError) as caught:
            self.codec.decode(octets)
        error = caught.exception
        return error, [read(answer) for answer in self.codec.refusal(error.tag, error)]


class SendTests(CodecTestCase):
    """SEND_MSG_REQ."""

    def test_receiver_and_group_both_or_neither(self) -> None:
        neither, both = {"conversation_id": "single_a_b"}, {"receiver_id": "bob", "group_id": "g"}
        for target in ({}, neither, both):
            _, answers = self.refused(frame("SEND_MSG_REQ", message_type=1, content=b"x", **target))
            (answer,) = answers
            self.assertEqual((answer["_command"], answer["_sequence"]), ("SEND_MSG_RSP", 5))
            self.assertEqual(answer["error_code"], 2)

    def test_to_a_group(self) -> None:
        command = self.decode("SEND_MSG_REQ", group_id="g", message_type=1, content=b"x").command
        self.assertEqual((command.group, command.recipient), ("g", ""))

    def test_foreign_sender(self) -> None:
        _, (answer,) = self.refused(
            frame("SEND_MSG_REQ", sender_id="mallory", receiver_id="bob", message_type=1, content=b"x")
        )
        self.assertEqual((answer["_command"], answer["error_code"]), ("SEND_MSG_RSP", 102))

    def test_sender_is_not_judged_before_the_log_in(self) -> None:
        """Then the session refuses the command itself, with AUTH_FAILED."""
        codec = self.codec_of(user="")
        request = codec.decode(frame("SEND_MSG_REQ", sender_id="mallory", receiver_id="bob"))
        self.assertIsInstance(request.command, SendMessage)

    def test_text_must_be_utf8(self) -> None:
        _, (answer,) = self.refused(
            frame("SEND_MSG_REQ", receiver_id="bob", message_type=1, content=b"\xff\xfe")
        )
        self.assertEqual(answer["error_code"], 2)

    def test_other_types_are_opaque(self) -> None:
        for number in (0, 2, 5, 99, -1, 2**31 - 1, -(2**31)):
            content = self.decode(
                "SEND_MSG_REQ", receiver_id="bob", message_type=number, content=b"\xff\x00"
            ).command.content
            self.assertEqual(content, Content(Form.OPAQUE, b"\xff\x00", number))

    def test_json_type(self) -> None:
        def content(data: bytes) -> Any:
            request = self.decode("SEND_MSG_REQ", receiver_id="bob", message_type=100, content=data)
            return request.command.content

        self.assertEqual(content(b'{ "type": "emoji",\n "n": 1 }').data, b'{"type":"emoji","n":1}')
        self.assertEqual(content(b'{"type":"emoji"}').form, Form.JSON)
        for other in (b"", b"[]", b'{"type":1}', b'{"type":""}', b"{", b"\xff", b"[" * 100_000):
            self.assertEqual(content(other), Content(Form.OPAQUE, other, 100))

    def test_attachments_and_meta_travel_in_extra(self) -> None:
        command = self.decode(
            "SEND_MSG_REQ",
            receiver_id="bob",
            message_type=1,
            content=b"x",
            extra={"im.attachments": '[{"file_id":"f"}]', "im.meta": '{ "reply_to": "m" }', "k": "v"},
        ).command
        self.assertEqual(command.extra, {"k": "v"})
        self.assertEqual(command.attachments, b'[{"file_id":"f"}]')
        self.assertEqual(command.meta, b'{"reply_to":"m"}')

    def test_a_text_with_members_travels_in_extra(self) -> None:
        whole = '{"type":"text","text":"x","mentions":["bob"]}'
        for number, content in ((1, b"x"), (100, whole.encode())):
            extra = {"im.content": whole, "k": "v"} if number == 1 else {"k": "v"}
            command = self.decode(
                "SEND_MSG_REQ", receiver_id="bob", message_type=number, content=content, extra=extra
            ).command
            self.assertEqual(command.content, Content(Form.JSON, whole.encode(), 0))
            self.assertEqual(command.extra, {"k": "v"})
        with self.assertRaises(WireError) as caught:
            self.decode(
                "SEND_MSG_REQ",
                receiver_id="bob",
                message_type=100,
                content=whole.encode(),
                extra={"im.content": whole},
            )
        self.assertEqual(caught.exception.code, ErrorCode.BAD_REQUEST)

    def test_reserved_keys_with_other_values_stay_as_they_are(self) -> None:
        extra = {"im.attachments": "[1]", "im.meta": "not JSON"}
        command = self.decode("SEND_MSG_REQ", receiver_id="bob", message_type=1, extra=extra).command
        self.assertEqual((command.extra, command.attachments, command.meta), (extra, b"", b""))

    def test_what_other_formats_cannot_carry_is_refused(self) -> None:
        for value in ("[" * 65 + "]" * 65, str(2**64), str(-(2**63) - 1)):
            with self.assertRaises(WireError) as caught:
                content = b'{"type":"x","a":%b}' % value.encode()
                self.decode("SEND_MSG_REQ", receiver_id="bob", message_type=100, content=content)
            self.assertEqual(caught.exception.code, ErrorCode.BAD_REQUEST)
            # Such values under the reserved keys stay strings, which everybody can carry.
            extra = {"im.attachments": f'[{{"a":{value}}}]', "im.meta": f'{{"a":{value}}}'}
            extra["im.content"] = f'{{"type":"text","text":"x","a":{value}}}'
            command = self.decode(
                "SEND_MSG_REQ", receiver_id="bob", message_type=1, content=b"x", extra=extra
            ).command
            self.assertEqual((command.extra, command.attachments, command.meta), (extra, b"", b""))
            self.assertEqual(command.content, Content(Form.TEXT, b"x", 1))

    def test_tombstones_are_the_servers(self) -> None:
        extra = {"revoked": "1", "revoked_by": "carol", "revoked_time": "5"}
        with self.assertRaises(WireError) as caught:
            self.decode("SEND_MSG_REQ", receiver_id="bob", message_type=1, extra=extra)
        self.assertEqual(caught.exception.code, ErrorCode.BAD_REQUEST)

    def test_send_time(self) -> None:
        for told, seconds in (
            (1, 0.001),
            (1730795220123, 1730795220.123),
            (253_402_300_799_999, 253_402_300_799.999),
            (0, 0.0),
            (-1, 0.0),
            (253_402_300_800_000, 0.0),
            (MAX_INT64, 0.0),
            (MIN_INT64, 0.0),
        ):
            command = self.decode("SEND_MSG_REQ", receiver_id="bob", send_time=told).command
            self.assertEqual(command.sent_at, seconds, told)

    def test_answer_carries_the_servers_id(self) -> None:
        request = self.decode("SEND_MSG_REQ", receiver_id="bob", client_msg_id="c-9", content=b"x")
        (answer,) = self.codec.reply(request, MessageAccepted("m-9", "single_alice_bob", 3, vectors.NOW))
        self.assertEqual(read(answer)["message_id"], "m-9")

    def test_echo_client_id(self) -> None:
        self.codec = self.codec_of(echo_client_id=True)
        accepted = MessageAccepted("m-9", "single_alice_bob", 3, vectors.NOW)
        request = self.decode("SEND_MSG_REQ", receiver_id="bob", client_msg_id="c-9", content=b"x")
        (answer,) = self.codec.reply(request, accepted)
        self.assertEqual(read(answer)["message_id"], "c-9")
        (refusal,) = self.codec.refusal(request.tag, ImError(ErrorCode.TOO_FAST, "slower"))
        self.assertEqual((read(refusal)["message_id"], read(refusal)["error_code"]), ("c-9", 201))
        request = self.decode("SEND_MSG_REQ", receiver_id="bob", content=b"x")
        (answer,) = self.codec.reply(request, accepted)
        self.assertEqual(read(answer)["message_id"], "m-9")


class SyncTests(CodecTestCase):
    """SYNC_REQ and what follows."""

    def page(self, has_more: bool) -> InboxPage:
        return InboxPage([InboxRow(1, vectors.MESSAGE)], 1, 1, has_more, "e1")

    def test_limits(self) -> None:
        for asked, given in ((0, 100), (-1, 100), (1, 1), (500, 500), (501, 500), (2**31 - 1, 500)):
            self.assertEqual(self.decode("SYNC_REQ", limit=asked).command.limit, given)

    def test_bounds(self) -> None:
        self.assertEqual(
            self.decode("SYNC_REQ", min_seq=MIN_INT64, max_seq=MIN_INT64).command, SyncInbox(0, 0, 100)
        )
        command = self.decode("SYNC_REQ", min_seq=MAX_INT64, max_seq=MAX_INT64).command
        self.assertEqual((command.after, command.at_least), (2**53 - 1, 2**53 - 1))

    def test_finished_only_after_connect(self) -> None:
        request = self.decode("SYNC_REQ")
        self.assertEqual(len(self.codec.reply(request, self.page(has_more=False))), 1)
        self.decode("CONNECT_REQ", client_id="d")
        frames = [read(octets) for octets in self.codec.reply(request, self.page(has_more=False))]
        self.assertEqual([answer["_command"] for answer in frames], ["SYNC_RSP", "SYNC_FINISHED"])
        self.assertEqual([answer["_sequence"] for answer in frames], [5, 0])

    def test_not_finished_while_there_is_more(self) -> None:
        self.decode("CONNECT_REQ")
        request = self.decode("SYNC_REQ")
        self.assertEqual(len(self.codec.reply(request, self.page(has_more=True))), 1)

    def test_refused_sync_is_not_finished(self) -> None:
        self.decode("CONNECT_REQ")
        request = self.decode("SYNC_REQ")
        answers = self.codec.refusal(request.tag, ImError(ErrorCode.UNAVAILABLE, "later"))
        self.assertEqual([read(answer)["_command"] for answer in answers], ["SYNC_RSP"])

    def test_tombstone(self) -> None:
        fields = {name: getattr(vectors.MESSAGE, name) for name in vectors.MESSAGE.__struct_fields__}
        fields |= {"revoked": Revocation("alice", vectors.NOW), "extra": {"k": "v"}, "meta": b'{"a":1}'}
        message = type(vectors.MESSAGE)(**fields)
        (answer,) = self.codec.reply(
            self.decode("SYNC_REQ"), InboxPage([InboxRow(9, message)], 9, 1, True, "e1")
        )
        (row,) = read(answer)["messages"]
        self.assertEqual((row["content"], row["message_type"], row["seq"]), (b"", 1, 9))
        self.assertEqual(
            row["extra"],
            {"revoked": "1", "revoked_by": "alice", "revoked_time": str(vectors.NOW_MS)},
        )

    def test_page_says_where_the_inbox_begins(self) -> None:
        (answer,) = self.codec.reply(self.decode("SYNC_REQ"), InboxPage([], 90, 40, True, "e7"))
        page = read(answer)
        self.assertEqual((page["server_max_seq"], page["first_seq"], page["epoch"]), (90, 40, "e7"))

    def test_backlog_without_batch_is_pushes(self) -> None:
        frames = self.codec.backlog(
            InboxPage([InboxRow(1, vectors.MESSAGE), InboxRow(2, vectors.MESSAGE)], 2, 1, False, "e1")
        )
        self.assertEqual(
            [(read(octets)["_command"], read(octets)["seq"]) for octets in frames],
            [("PUSH_MSG", 1), ("PUSH_MSG", 2)],
        )
        self.assertEqual(self.codec.backlog(InboxPage([], 0, 1, False, "e1")), [])

    def test_batch_needs_the_announcement(self) -> None:
        page = self.page(has_more=False)
        self.decode("CONNECT_REQ", extra={"batch": "0"})
        self.assertEqual(read(self.codec.backlog(page)[0])["_command"], "PUSH_MSG")
        self.decode("CONNECT_REQ", extra={"batch": "1"})
        self.assertEqual(read(self.codec.backlog(page)[0])["_command"], "BATCH_MSG")


class OtherRequestTests(CodecTestCase):
    """Receipts, acks, presence, typing."""

    def test_at_most_500_receipts(self) -> None:
        ids = [f"m-{number}" for number in range(501)]
        self.assertEqual(len(self.decode("READ_RECEIPT_REQ", message_ids=ids[:500]).command.message_ids), 500)
        _, (answer,) = self.refused(frame("READ_RECEIPT_REQ", message_ids=ids))
        self.assertEqual((answer["_command"], answer["error_code"]), ("READ_RECEIPT_RSP", 2))

    def test_at_most_500_users(self) -> None:
        _, (answer,) = self.refused(frame("ONLINE_STATUS_REQ", user_ids=["u"] * 501))
        self.assertEqual((answer["_command"], answer["error_code"]), ("ONLINE_STATUS_RSP", 2))

    def test_hostile_ack(self) -> None:
        self.assertEqual(self.decode("MSG_ACK", seq=MIN_INT64).command, AckMessages(0, ""))
        self.assertEqual(self.decode("MSG_ACK", seq=MAX_INT64).command, AckMessages(2**53 - 1, ""))

    def test_hostile_heartbeat(self) -> None:
        for told in (MAX_INT64, MIN_INT64):
            self.assertEqual(self.decode("HEARTBEAT_REQ", client_time=told).command.time, 0.0)

    def test_typing_status(self) -> None:
        for status, typing in ((0, False), (1, True), (7, True)):
            command = self.decode("TYPING_STATUS_REQ", conversation_id="c", status=status).command
            self.assertIs(command.typing, typing)

    def test_acks_and_typing_have_no_answer(self) -> None:
        for name in ("MSG_ACK", "TYPING_STATUS_REQ"):
            request = self.decode(name)
            self.assertEqual(self.codec.reply(request, Done()), [])
            self.assertEqual(self.codec.refusal(request.tag, ImError(ErrorCode.AUTH_FAILED, "no")), [])
            octets = by_hand.encode_envelope(by_hand.COMMANDS[name], 5, b"\xff")
            self.assertEqual(self.refused(octets)[1], [])


class BeforeLogInTests(CodecTestCase):
    """What strangers ask is refused for who they are, never for what they ask."""

    def refusal_of(self, octets: bytes) -> dict[str, Any]:
        codec = self.codec_of(user="")
        with self.assertRaises(WireError) as caught:
            codec.decode(octets)
        (answer,) = codec.refusal(caught.exception.tag, caught.exception)
        return read(answer)

    def test_faults_of_a_request_are_not_told(self) -> None:
        # Neither a receiver nor a group; then no body at all.
        for octets in (
            frame("SEND_MSG_REQ", content=b"x"),
            by_hand.encode_envelope(by_hand.COMMANDS["SEND_MSG_REQ"], 5, b"\xff"),
        ):
            answer = self.refusal_of(octets)
            self.assertEqual((answer["_command"], answer["error_code"]), ("SEND_MSG_RSP", 100))
        answer = self.refusal_of(by_hand.encode_envelope(by_hand.COMMANDS["SYNC_REQ"], 5, b"\xff"))
        self.assertEqual((answer["_command"], answer["error_code"]), ("SYNC_RSP", 100))

    def test_those_of_the_requests_open_to_strangers_are(self) -> None:
        for name in ("CONNECT", "AUTH", "REAUTH"):
            answer = self.refusal_of(by_hand.encode_envelope(by_hand.COMMANDS[f"{name}_REQ"], 5, b"\xff"))
            self.assertEqual((answer["_command"], answer["error_code"]), (f"{name}_RSP", 2))


class RefusalTests(CodecTestCase):
    """Errors on the wire."""

    NUMBERS = {
        ErrorCode.BAD_REQUEST: 2,
        ErrorCode.AUTH_FAILED: 100,
        ErrorCode.TOKEN_EXPIRED: 101,
        ErrorCode.FORBIDDEN: 102,
        ErrorCode.USER_NOT_FOUND: 103,
        ErrorCode.USER_EXISTS: 2,
        ErrorCode.CONVERSATION_NOT_FOUND: 202,
        ErrorCode.NOT_FOUND: 2,
        ErrorCode.UNKNOWN_COMMAND: 2,
        ErrorCode.CONFLICT: 2,
        ErrorCode.TOO_LARGE: 200,
        ErrorCode.TOO_FAST: 201,
        ErrorCode.VERSION: 2,
        ErrorCode.SIGNATURE: 100,
        ErrorCode.UNAVAILABLE: 1,
        ErrorCode.INTERNAL: 1,
    }

    def test_every_code_in_every_answer(self) -> None:
        self.assertEqual(set(self.NUMBERS), set(ErrorCode))
        for name in by_hand.COMMANDS:
            if not name.endswith("_REQ") or name == "TYPING_STATUS_REQ":
                continue
            tag = self.codec.decode(frame(name, **self.least(name))).tag
            for code, number in self.NUMBERS.items():
                (answer,) = (read(octets) for octets in self.codec.refusal(tag, ImError(code, "why")))
                expected = name[:-3] + "RSP"
                if name in ("HEARTBEAT_REQ", "DISCONNECT_REQ"):  # whose answers have no error fields
                    expected = "UNKNOWN"
                self.assertEqual(
                    (answer["_command"], answer["_sequence"], answer["error_code"], answer["error_msg"]),
                    (expected, 5, number, "why"),
                )

    def least(self, name: str) -> dict[str, str]:
        return {"receiver_id": "bob"} if name == "SEND_MSG_REQ" else {}

    def test_undecodable_bodies(self) -> None:
        bad = b"\x0a\x05abc"  # field 1, five bytes of which three are there
        for name, number in by_hand.COMMANDS.items():
            if not name.endswith("_REQ") or name in ("DISCONNECT_REQ", "TYPING_STATUS_REQ"):
                continue
            error, (answer,) = self.refused(by_hand.encode_envelope(number, 5, bad))
            self.assertFalse(error.fatal)
            self.assertEqual(error.command, "CMD_" + name)
            expected = "UNKNOWN" if name == "HEARTBEAT_REQ" else name[:-3] + "RSP"
            self.assertEqual(
                (answer["_command"], answer["_sequence"], answer["error_code"]), (expected, 5, 2)
            )

    def test_strings_must_be_utf8(self) -> None:
        _, (answer,) = self.refused(by_hand.encode_envelope(100, 5, by_hand.bytes_field(1, b"\xff")))
        self.assertEqual((answer["_command"], answer["error_code"]), ("AUTH_RSP", 2))

    def test_servers_own_commands_are_unknown_from_a_client(self) -> None:
        for name, number in by_hand.COMMANDS.items():
            if name.endswith("_REQ") or name == "MSG_ACK":
                continue
            error, (answer,) = self.refused(by_hand.encode_envelope(number, 5))
            self.assertEqual(error.code, ErrorCode.UNKNOWN_COMMAND)
            self.assertEqual((answer["_command"], answer["_sequence"]), ("UNKNOWN", 5))

    def test_undecodable_envelope_is_fatal(self) -> None:
        for octets in (b"\xff", b"\x08", b"\x1a\x05ab", b"\x0b\x00", b"\x00\x00"):
            error, answers = self.refused(octets)
            self.assertEqual((error.fatal, error.close_code, answers), (True, 1007, []))

    def test_too_large_a_frame(self) -> None:
        limit = self.codec.traits.max_frame
        body = by_hand.encode("SEND_MSG_REQ", receiver_id="bob", content=b"x" * limit)
        error, _ = self.refused(by_hand.encode_envelope(200, 1, body))
        self.assertEqual((error.fatal, error.close_code, error.code), (True, 1009, ErrorCode.TOO_LARGE))
        fits = by_hand.encode_envelope(5, 1, by_hand.bytes_field(9, b"x" * (limit - 13)))
        self.assertLessEqual(len(fits), limit)
        self.codec.decode(fits)


class TolerationTests(CodecTestCase):
    """What newer clients may add."""

    def test_unknown_fields(self) -> None:
        unknown = by_hand.bytes_field(77, b"new") + by_hand.varint_field(78, 5)
        body = by_hand.encode("AUTH_REQ", user_id="u", token="t") + unknown
        request = self.codec.decode(by_hand.encode_envelope(100, 6, body) + unknown)
        self.assertEqual((request.command.user, request.tag.sequence), ("u", 6))

    def test_fields_in_any_order_and_the_last_one_counts(self) -> None:
        octets = by_hand.varint_field(2, 1) + by_hand.varint_field(2, 9) + by_hand.varint_field(1, 5)
        self.assertEqual(self.codec.decode(octets).tag.sequence, 9)

    def test_command_beyond_the_enum(self) -> None:
        for number in (7, 700, 2**31 - 1, 2**32 - 1, 2**64 - 1):
            error, (answer,) = self.refused(by_hand.encode_envelope(number, 3))
            self.assertEqual((error.fatal, answer["_sequence"]), (False, 3))

    def test_largest_sequence(self) -> None:
        request = self.codec.decode(by_hand.encode_envelope(3, 2**32 - 1))
        (answer,) = self.codec.reply(request, Done())
        self.assertEqual(read(answer)["_sequence"], 2**32 - 1)


class EventTests(CodecTestCase):
    """Events beyond the plain ones."""

    def test_kick_reasons(self) -> None:
        def sent(reason: KickReason) -> list[dict[str, Any]]:
            return [read(octets) for octets in self.codec.event(SessionKicked(reason, "text"))]

        for reason in (KickReason.OTHER_DEVICE, KickReason.ACCOUNT):
            (kick,) = sent(reason)
            self.assertEqual(
                (kick["_command"], kick["reason"], kick["message"]), ("KICK_OUT", int(reason), "text")
            )
        (slow,) = sent(KickReason.SLOW)
        self.assertEqual((slow["_command"], slow["_sequence"], slow["error_code"]), ("UNKNOWN", 0, 1))
        self.assertEqual(sent(KickReason.SHUTDOWN), [])

    def test_what_the_document_cannot_carry(self) -> None:
        event = GroupChanged(GroupChange.JOINED, "g", "u", "u", vectors.NOW)
        self.assertEqual(self.codec.event(event), [])

    def test_splice_at_every_length_of_seq_and_body(self) -> None:
        fields = {name: getattr(vectors.MESSAGE, name) for name in vectors.MESSAGE.__struct_fields__}
        for size in (0, 20, 60, 127, 128, 16_300, 16_384, 65_536):
            message = type(vectors.MESSAGE)(**{**fields, "content": Content(Form.TEXT, b"x" * size)})
            shared = self.codec.shared(message)
            for seq in (1, 127, 128, 16_383, 16_384, 2_097_151, 2_097_152, 2**53):
                push = read(self.codec.splice(shared, seq))
                self.assertEqual((push["seq"], len(push["content"])), (seq, size))
                self.assertEqual(push["_timestamp"], vectors.NOW_MS)

    def test_sessions_of_this_format_share_one_profile(self) -> None:
        self.assertEqual(self.codec.profile, self.codec_of("bob", echo_client_id=True).profile)
