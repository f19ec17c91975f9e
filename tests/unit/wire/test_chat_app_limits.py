"""The dialect chat-app writes no line that its clients cannot read: long messages, pages, lists."""

from __future__ import annotations

import base64
import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from twisted.trial.unittest import SynchronousTestCase

from imserver.model.errors import ErrorCode, ImError
from imserver.model.extensions import OwnEvent, OwnReply
from imserver.model.friends import Friend, FriendList, FriendRequest
from imserver.model.groups import Group, GroupList, GroupMember, GroupReply, GroupRole
from imserver.model.messages import Content, Done, Form, InboxRow, Message, MessagePage, ReadHistory
from imserver.model.presence import PresenceList, PresenceState, UserPresence
from imserver.wire.jsonline.chat_app import ChatAppServerCodec
from imserver.wire.jsonline.chat_app.pages import ITEM_BYTES, PAGE_BYTES
from imserver.wire.jsonline.chat_app.parts import cut, parts, whole_id
from tests.clients import chat_app_client
from tests.clients.chat_app_client import join_parts
from tests.unit.wire.test_chat_app_golden import asked

LONGEST = "x界😀" * 8_192
WORST = '"\\\n\x01' * 16_384
"""64 KiB, and nearly all of it has to be escaped."""

BARE = Message(
    "0192f8", "single_a_b", "single_a_b", 1, "a", "b", "", "c-1", Content(Form.TEXT, b"x"), 1.0, 2.0
)


def codec() -> ChatAppServerCodec:
    return ChatAppServerCodec(lambda: 5.0)


def pushed(message: Message) -> list[dict[str, Any]]:
    """The payloads of the events that push a message, all of which the client can read."""
    server = codec()
    lines = server.splice(server.shared(message), 2**53 - 1)
    return [chat_app_client.decode(line)["payload"] for line in ([lines] if type(lines) is bytes else lines)]


def text(words: str, **fields: Any) -> Message:
    return replace(BARE, content=Content(Form.TEXT, words.encode()), **fields)


def typed(value: Any, **fields: Any) -> Message:
    data = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    return replace(BARE, content=Content(Form.JSON, data, 0), **fields)


class Cut(SynchronousTestCase):
    @given(
        st.text(max_size=300) | st.text('\\"\n\x00a', max_size=300), st.integers(8, 40), st.integers(8, 40)
    )
    def test_every_piece_is_the_inside_of_a_string(self, words: str, first: int, others: int) -> None:
        words = words.encode(errors="replace").decode()
        written = json.dumps(words, ensure_ascii=False)[1:-1].encode()
        pieces = cut(written, first, others)
        self.assertEqual("".join(json.loads(b'"%b"' % piece) for piece in pieces), words)
        self.assertLessEqual(len(pieces[0]), first)
        for piece in pieces[1:]:
            self.assertLessEqual(len(piece), others)

    def test_a_long_run_of_backslashes(self) -> None:
        written = json.dumps("\\" * 40_000 + '"')[1:-1].encode()
        pieces = cut(written, 1_001, 1_000)
        self.assertEqual("".join(json.loads(b'"%b"' % piece) for piece in pieces), "\\" * 40_000 + '"')


class LongMessages(SynchronousTestCase):
    def test_a_text_that_fits_is_one(self) -> None:
        (payload,) = pushed(text("x" * 60_000))
        self.assertNotIn("part", payload)
        self.assertNotIn("truncated", payload)

    def test_a_longer_text_comes_in_several(self) -> None:
        for words, least in ((LONGEST, 2), ("x" * 65_536, 2), (WORST, 3)):
            payloads = pushed(text(words))
            self.assertGreaterEqual(len(payloads), least)
            ids = [payload["message_id"] for payload in payloads]
            self.assertEqual(ids, ["0192f8", *(f"0192f8.{n}" for n in range(2, len(ids) + 1))])
            self.assertEqual({whole_id(id) for id in ids}, {"0192f8"})
            (whole,) = join_parts(payloads)
            self.assertEqual(whole["content"], {"type": "text", "text": words})
            self.assertNotIn("truncated", whole)

    def test_attachments_stay_with_the_first_piece(self) -> None:
        attachments = b'[{"file_id":"%b"}]' % (b"f" * 20_000)
        first, *others = pushed(text("x" * 45_000, attachments=attachments, meta=b'{"a":1}'))
        self.assertEqual(len(first["attachments"][0]["file_id"]), 20_000)
        self.assertEqual(first["meta"], {"a": 1})
        self.assertTrue(others)
        for payload in others:
            self.assertFalse({"attachments", "meta"} & payload.keys())
        self.assertNotIn("truncated", first)

    def test_what_does_not_fit_is_left_out(self) -> None:
        attachments = b'[{"file_id":"%b"}]' % (b"f" * 62_000)
        (payload,) = pushed(text("x" * 3_000, attachments=attachments, meta=b'{"a":1}'))
        self.assertNotIn("attachments", payload)
        self.assertEqual((payload["meta"], payload["truncated"]), ({"a": 1}, True))
        self.assertEqual(len(payload["content"]["text"]), 3_000)
        (payload,) = pushed(text("x", meta=b'{"a":"%b"}' % (b"\\u0001" * 10_900)))
        self.assertTrue(payload["truncated"])
        (payload,) = pushed(text("x", extra={"k": "\x01" * 20_000}, meta=b'{"a":1}'))
        self.assertEqual((payload["meta"], payload["truncated"]), ({"a": 1}, True))

    def test_objects(self) -> None:
        content = {"type": "markup", "text": "x" * 65_000, "style": "bold"}
        payloads = pushed(typed(content))
        self.assertTrue(all(payload["truncated"] for payload in payloads))
        (whole,) = join_parts(payloads)
        self.assertEqual(whole["content"], {"type": "markup", "text": content["text"]})
        plain = {"type": "markup", "text": "x" * 65_000}
        (whole,) = join_parts(pushed(typed(plain)))
        self.assertEqual(whole["content"], plain)
        self.assertNotIn("truncated", whole)
        (payload,) = pushed(typed({"type": "voice", "data": "x" * 65_000}))
        self.assertEqual((payload["content"], payload["truncated"]), ({"type": "voice"}, True))
        whole_object = {"type": "voice", "data": "x" * 50_000}
        (payload,) = pushed(typed(whole_object, attachments=b'[{"a":"%b"}]' % (b"x" * 15_400)))
        self.assertEqual((payload["content"], payload["truncated"]), (whole_object, True))

    def test_opaque_bodies(self) -> None:
        body = bytes(range(256)) * 256
        (payload,) = pushed(replace(BARE, content=Content(Form.OPAQUE, body, 7)))
        self.assertEqual(payload["content"], {"type": "custom", "message_type": 7})
        (payload,) = pushed(replace(BARE, content=Content(Form.OPAQUE, body[:40_000], 7)))
        self.assertEqual(base64.b64decode(payload["content"]["data"]), body[:40_000])

    @given(
        st.sampled_from(["x", "界", '"', "\x01"]),
        st.integers(0, 65_536),
        st.integers(0, 65_536),
        st.sampled_from(["x", '"', "\x01"]),
        st.sampled_from(["a", '"' * 200]),
    )
    def test_nothing_is_too_long(self, sign: str, length: int, beside: int, other: str, name: str) -> None:
        length //= len(sign.encode())
        meta = json.dumps({"m": other * (beside // 8)}).encode()
        message = text(sign * length, meta=meta, client_id=other * 255, sender=name, conversation=name * 2)
        payloads = pushed(message)
        (whole,) = join_parts(payloads)
        self.assertEqual(whole["content"]["text"], sign * length)
        self.assertEqual(whole.get("meta", json.loads(meta)), json.loads(meta))
        self.assertEqual("truncated" in whole, "meta" not in whole)


def history(server: ChatAppServerCodec, message: Message, since: str) -> dict[str, Any]:
    """A page with one message in it, as the services give it again and again."""
    request = server.decode(asked("message/history", {"since": since} if since else {}))
    command: ReadHistory = request.command
    assert command.page_bytes == ITEM_BYTES
    assert command.since == since.partition("~")[0]
    (line,) = server.reply(request, MessagePage([InboxRow(7, message)], "9", True))
    payload: dict[str, Any] = chat_app_client.decode(line)["payload"]
    return payload


class Pages(SynchronousTestCase):
    def test_a_message_longer_than_a_page_goes_over_several(self) -> None:
        for start in ("", "5"):
            for words in (LONGEST, WORST):
                server, found, since = codec(), [], start
                for _ in range(20):
                    page = history(server, text(words), since)
                    found += page["messages"]
                    self.assertTrue(page["has_more"])
                    since = page["next_cursor"]
                    if since == "9":
                        break
                    self.assertTrue(since.startswith(f"{start}~"), since)
                (whole,) = join_parts(found)
                self.assertEqual((whole["content"]["text"], whole["seq"]), (words, 7))

    def test_a_cursor_beyond_the_parts_goes_on_behind(self) -> None:
        page = history(codec(), text("x"), "5~9")
        self.assertEqual((len(page["messages"]), page["next_cursor"]), (1, "9"))
        page = history(codec(), text(LONGEST), "5~99")
        self.assertEqual((page["messages"], page["next_cursor"]), ([], "9"))

    def test_cursors_that_are_none(self) -> None:
        for since in ("5~", "~", "5~x", "5~12345", "5~²"):
            request = codec().decode(asked("message/history", {"since": since}))
            self.assertEqual(request.command.since, since)

    def test_lists_end_with_the_page(self) -> None:
        names = [f"user {number} " + "界" * 20 for number in range(2_000)]
        for command, reply, keys in (
            (
                "presence/list",
                PresenceList([UserPresence(n, PresenceState.ONLINE, 1.0) for n in names]),
                ["users"],
            ),
            ("room/list", GroupList([Group(n, n, "a", True, False, 1.0, 1) for n in names]), ["rooms"]),
            (
                "room/info",
                GroupReply(
                    Group(
                        "r",
                        "r",
                        "a",
                        True,
                        False,
                        1.0,
                        1,
                        [GroupMember(n, GroupRole.MEMBER, 1.0) for n in names],
                    )
                ),
                ["members"],
            ),
            (
                "friend/list",
                FriendList(
                    [Friend(n, 1.0) for n in names[:200]],
                    [FriendRequest(1, n, "x" * 400, 1.0) for n in names[:200]],
                    [FriendRequest(1, n, "x", 1.0) for n in names[:5]],
                    [],
                ),
                ["friends", "pending_requests", "sent_requests"],
            ),
        ):
            server = codec()
            payload = {"room_id": "r"} if command == "room/info" else {}
            (line,) = server.reply(server.decode(asked(command, payload)), reply)
            told = chat_app_client.decode(line)["payload"]
            self.assertTrue(told["truncated"], command)
            size = sum(len(json.dumps(told[key], ensure_ascii=False).encode()) for key in keys)
            self.assertGreater(size, PAGE_BYTES * 9 // 10)
            self.assertLess(len(line), PAGE_BYTES + 1024)

    def test_own_answers_and_events_that_are_too_long(self) -> None:
        server = codec()
        request = server.decode(asked("control/ping"))
        (line,) = server.reply(request, OwnReply({"x": "y" * 70_000}))
        self.assertEqual(chat_app_client.decode(line)["payload"]["status"], 413)
        self.assertEqual(server.event(OwnEvent("chess/move", {"x": "y" * 70_000})), [])
        self.assertEqual(len(server.event(OwnEvent("chess/move", {"x": "y"}))), 1)

    def test_the_longest_of_what_is_echoed(self) -> None:
        server = codec()
        trace = ["x" * 1_018]
        line = asked("room/leave", {"room_id": '"' * 255}, id="\x01" * 255, headers={"trace": trace})
        request = server.decode(line)
        for lines in (
            server.reply(request, Done()),
            server.refusal(request.tag, ImError(ErrorCode.NOT_FOUND, "x"), request.command),
        ):
            told = chat_app_client.decode(lines[0])
            self.assertEqual(told["payload"]["room_id"], '"' * 255)
        request = server.decode(asked("room/leave", {"room_id": "x" * 200_000}))
        (line,) = server.refusal(request.tag, ImError(ErrorCode.BAD_REQUEST, "x"), request.command)
        self.assertEqual(chat_app_client.decode(line)["payload"]["room_id"], "")

    def test_parts_of_a_page_have_room_for_their_numbers(self) -> None:
        for part in parts(text("x" * 65_536), ITEM_BYTES):
            self.assertLessEqual(len(part.fields), ITEM_BYTES)
