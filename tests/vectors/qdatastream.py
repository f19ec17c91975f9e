# ruff: noqa: E501
# fmt: off
"""The vectors of document 000, in both framings and both string forms."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

from tests.clients.qdatastream_client import FORMS, qstring, utf8
from tests.vectors.making import HELLO, LONG_ID, Vector, error, text

CALL = "6f1a2b3c-0d4e-4f5a-8b6c-7d8e9f0a1b2c"
SHA256 = "0123456789abcdef" * 4
NULL = b"\xff\xff\xff\xff"
KINDS = [(framing, form) for framing in ("int16", "none") for form in ("utf8", "qstring")]

Write = Callable[[Callable[[str], bytes]], bytes]


def _wire(data: bytes, framing: str) -> bytes:
    return struct.pack(">H", len(data)) + data if framing == "int16" else data


def _vector(name: str, side: str, data: bytes | list[bytes], framing: str, form: str, **more: Any) -> Vector:
    parts = [_wire(part, framing).hex() for part in (data if isinstance(data, list) else [data])]
    vector: Vector = {"name": f"{name} ({framing}, {form})", "from": side, "framing": framing, "form": form}
    answers = more.pop("answers", "")
    if answers:
        more["answers"] = f"{answers} ({framing}, {form})"
    if "after" in more:
        more["after"] = [f"{more['after']} ({framing}, {form})"]
    return {**vector, "hex": parts if isinstance(data, list) else parts[0], **more}


def _all(name: str, side: str, write: Write, meaning: Any, **more: Any) -> list[Vector]:
    """A message in both framings and both forms."""
    return [
        _vector(name, side, write(FORMS[form]), framing, form, meaning=meaning, **more) for framing, form in KINDS
    ]


def _framed(name: str, side: str, write: Write, meaning: Any, **more: Any) -> list[Vector]:
    return [vector for vector in _all(name, side, write, meaning, **more) if vector["framing"] == "int16"]


def _opening(name: str, data: bytes, meaning: Any, framings: tuple[str, ...] = ("int16", "none"), **more: Any) -> list[Vector]:
    return [
        _vector(name, "client", data, framing, "utf8" if framing == "int16" else "qstring", opening=True, meaning=meaning, **more)
        for framing in framings
    ]


def _refused(name: str, framing: str, data: bytes, code: str, *, form: str = "utf8", **more: Any) -> Vector:
    return _vector(name, "client", data, framing, form, error=code, **more)


def _to(name: str, content: str = "hi") -> dict[str, Any]:
    return {"is": "send_message", "recipient": name, "content": text(content)}


def _from(sender: str, content: str, **more: Any) -> dict[str, Any]:
    return {"is": "inbox_row", "message": {"sender": sender, "content": text(content), **more}}


ALICE = {"is": "log_in", "user": "alice", "unproven": True}
OPENINGS = [
    *_opening("registration", b"\x07" + utf8("user123"), {"is": "log_in", "user": "user123", "unproven": True}),
    *_opening("registration of the longest id", b"\x07" + utf8(LONG_ID), {"is": "log_in", "user": LONG_ID, "unproven": True}),
    *_opening("registration of one character", b"\x07" + utf8("a"), {"is": "log_in", "user": "a", "unproven": True}),
    *_opening("registration with a token", b"\x07" + utf8("alice") + utf8("tok"), {"is": "log_in", "user": "alice", "token": "tok"}, ("int16",)),
    *_opening("registration with the token asked for", b"\x07" + utf8("alice") + utf8("tok"), {"is": "log_in", "user": "alice", "token": "tok"}, auth="token"),
    *_opening("the token as a QString", b"\x07" + utf8("alice") + qstring("tok"), {"is": "log_in", "user": "alice", "token": "tok"}, auth="token", also=True),
    *_opening("registration by a TEXT", b"\x00" + utf8("alice") + utf8("bob") + utf8("hi"), [ALICE, _to("bob")], also=True),
    *_opening("registration by a TEXT in QStrings", b"\x00" + utf8("alice") + qstring("bob") + qstring("hi"), [ALICE, _to("bob")], also=True),
    *_opening("registration by a call", b"\x02" + utf8("alice") + utf8("bob") + b"\x01", [ALICE, {"is": "start_call", "callee": "bob", "video": True}], also=True),
    *_opening("a heartbeat before the registration", b"\x07\x07" + utf8("alice"), ALICE, ("none",), also=True),
    *_opening("login", b"\x08" + utf8("alice") + utf8("pw"), {"is": "log_in", "user": "alice", "password": "pw"}),
    *_opening("register", b"\x09" + utf8("张三") + utf8("pw"), {"is": "log_in", "user": "张三", "password": "pw", "register": True}),
]

REQUESTS = [
    *_all("text", "client", lambda s: b"\x00" + s("bob") + s(HELLO), _to("bob", HELLO)),
    *_all("empty text", "client", lambda s: b"\x00" + s("bob") + s(""), _to("bob", "")),
    *_all("text to the longest id", "client", lambda s: b"\x00" + s(LONG_ID) + s("hi"), _to(LONG_ID)),
    *_all("text to a group", "client", lambda s: b"\x00" + s("group_demo") + s("hi"), {"is": "send_message", "group": "demo", "content": text("hi")}),
    *_all("text to a group as it was shown", "client", lambda s: b"\x00" + s("group_demo/bob") + s("hi"), {"is": "send_message", "group": "demo", "content": text("hi")}, also=True),
    *_all("video call", "client", lambda s: b"\x02" + s("targetUser") + b"\x01", {"is": "start_call", "callee": "targetUser", "video": True}),
    *_all("audio call", "client", lambda s: b"\x02" + s("bob") + b"\x00", {"is": "start_call", "callee": "bob"}),
    *_all("accept", "client", lambda s: b"\x03" + s(CALL), {"is": "answer_call", "call": CALL}),
    *_all("reject with a reason", "client", lambda s: b"\x04" + s(CALL) + s("忙"), {"is": "reject_call", "call": CALL, "reason": "忙"}),
    *_all("reject", "client", lambda s: b"\x04" + s(CALL), {"is": "reject_call", "call": CALL}, also=True),
    *_all("reject with an empty reason", "client", lambda s: b"\x04" + s(CALL) + (s("") if s is utf8 else NULL), {"is": "reject_call", "call": CALL}),
    *_all("end", "client", lambda s: b"\x05" + s(CALL), {"is": "end_call", "call": CALL}),
    *_all("end one's own call", "client", lambda s: b"\x05" + s(""), {"is": "end_call"}),
    *_all("end one's own call, null", "client", lambda s: b"\x05" + NULL, {"is": "end_call"}, also=True),
    *_all("media", "client", lambda s: b"\x06\x01\x02\xff", {"is": "call_media", "data": "0102ff"}),
    *_all("heartbeat", "client", lambda s: b"\x07", {"is": "ping"}),
    *_all("offer a file", "client", lambda s: b"\x01\x00" + s("bob") + s("t1") + s("图.png") + struct.pack(">Q", 2**40) + s(SHA256),
          {"is": "offer_file", "peer": "bob", "transfer": "t1", "name": "图.png", "size": 2**40, "sha256": SHA256}),
    *_all("a chunk", "client", lambda s: b"\x01\x01" + s("t1") + struct.pack(">QI", 7, 2) + b"\x00\xff", {"is": "send_chunk", "transfer": "t1", "offset": 7, "data": "00ff"}),
    *_all("acknowledge chunks", "client", lambda s: b"\x01\x02" + s("t1") + struct.pack(">Q", 9), {"is": "ack_chunks", "transfer": "t1", "offset": 9}),
    *_all("cancel a file", "client", lambda s: b"\x01\x03" + s("t1") + s("no"), {"is": "cancel_file", "transfer": "t1", "reason": "no"}),
    *_all("a file is complete", "client", lambda s: b"\x01\x04" + s("t1"), {"is": "complete_file", "transfer": "t1"}),
    _vector("three in one", "client", b"\x00" + qstring("bob") + qstring("1") + b"\x07\x00" + qstring("bob") + qstring("2"), "none", "qstring",
            meaning=[_to("bob", "1"), {"is": "ping"}, _to("bob", "2")], also=True),
    _vector("the form changes", "client", b"\x00" + qstring("bob") + qstring("1") + b"\x00" + utf8("bob") + utf8("2"), "none", "qstring",
            meaning=[_to("bob", "1"), _to("bob", "2")], also=True),
    _vector("reject, then a heartbeat", "client", b"\x04" + utf8(CALL) + b"\x07", "none", "utf8", meaning=[{"is": "reject_call", "call": CALL}, {"is": "ping"}], also=True),
    _vector("reject, then a text", "client", b"\x04" + utf8(CALL) + b"\x00" + utf8("bob") + utf8("hi"), "none", "utf8", meaning=[{"is": "reject_call", "call": CALL}, _to("bob")], also=True),
]

REFUSED = [
    _refused("an HTTP request", "none", b"GET / HTTP/1.1\r\n", "BAD_REQUEST", opening=True, closes=True),
    _refused("a first type above 9", "int16", b"\x0a" + utf8("a"), "BAD_REQUEST", opening=True, closes=True),
    _refused("a first id that is none", "int16", b"\x07" + utf8("a/b"), "BAD_REQUEST", opening=True, closes=True),
    _refused("a first id with a control character", "none", b"\x07" + utf8("ab\n"), "BAD_REQUEST", opening=True, closes=True),
    _refused("no token where one is asked for", "int16", b"\x07" + utf8("alice"), "AUTH_FAILED", opening=True, auth="token", closes=True),
    _refused("no password where one is asked for", "none", b"\x07" + utf8("alice"), "AUTH_FAILED", form="qstring", opening=True, auth="password", closes=True),
    _refused("a text without a text", "int16", b"\x00" + utf8("bob"), "BAD_REQUEST"),
    _refused("a text and more", "int16", b"\x00" + utf8("bob") + utf8("hi") + b"\x00", "BAD_REQUEST"),
    _refused("a text that is not UTF-8", "int16", b"\x00" + utf8("bob") + b"\x00\x01\xff", "BAD_REQUEST"),
    _refused("half a surrogate pair", "int16", b"\x00" + qstring("bob") + b"\x00\x00\x00\x02\xd8\x00", "BAD_REQUEST", form="qstring"),
    _refused("an id that is none", "int16", b"\x00" + utf8("a/b") + utf8("hi"), "BAD_REQUEST"),
    _refused("a CallId that is too short", "int16", b"\x03" + utf8("abc"), "BAD_REQUEST"),
    _refused("neither video nor audio", "int16", b"\x02" + utf8("bob") + b"\x02", "BAD_REQUEST"),
    _refused("a heartbeat and more", "int16", b"\x07\x00", "BAD_REQUEST"),
    _refused("a stream without a next message", "none", b"\x63", "UNKNOWN_COMMAND", form="qstring", closes=True),
    _refused("an unknown type", "int16", b"\x63", "UNKNOWN_COMMAND"),
]

ANSWERS = [
    *_all("the heartbeat comes back", "server", lambda s: b"\x07", {"is": "pong"}, answers="heartbeat"),
    *[vector for vector in _all("logged in", "server", lambda s: b"\x0a\x01" + utf8("tok") + utf8("alice"), {"is": "logged_in", "user": "alice", "token": "tok"}, answers="login")
      if (vector["framing"], vector["form"]) in (("int16", "utf8"), ("none", "qstring"))],
    *[vector for vector in _all("log-in refused", "server", lambda s: b"\x0a\x00" + utf8("no"), error("AUTH_FAILED", "no"), answers="login")
      if (vector["framing"], vector["form"]) in (("int16", "utf8"), ("none", "qstring"))],
    *_framed("text refused: no such user", "server", lambda s: b"\x0b\x00\x01\x94" + s("no"), error("NOT_FOUND", "no"), source=error("USER_NOT_FOUND", "no"), answers="text"),
    *_framed("text refused: not a member", "server", lambda s: b"\x0b\x00\x01\x93" + s("no"), error("FORBIDDEN", "no"), answers="text to a group"),
    *_framed("text refused: too large", "server", lambda s: b"\x0b\x00\x01\x9d" + s("no"), error("TOO_LARGE", "no"), answers="text"),
    *_framed("text refused: too fast", "server", lambda s: b"\x0b\x00\x01\xad" + s("no"), error("TOO_FAST", "no"), answers="text"),
    *_framed("call refused: unknown call", "server", lambda s: b"\x0b\x03\x01\x94" + s("no"), error("NOT_FOUND", "no"), answers="accept"),
    *_framed("goodbye: the server goes down", "server", lambda s: b"\x0b\xff\x01\xf7" + s("bye"), {"is": "session_kicked", "reason": "shutdown", "text": "bye"}),
    *_framed("goodbye: the account", "server", lambda s: b"\x0b\xff\x01\x91" + s("bye"), {"is": "session_kicked", "reason": "account", "text": "bye"}),
    *_framed("goodbye: one session too many", "server", lambda s: b"\x0b\xff\x01\x99" + s("bye"), {"is": "session_kicked", "reason": "other_device", "text": "bye"}),
]

PUSHES = [
    *_all("text from bob", "server", lambda s: b"\x00" + s("bob") + s(HELLO), _from("bob", HELLO)),
    *_all("empty text from bob", "server", lambda s: b"\x00" + s("bob") + s(""), _from("bob", "")),
    *_all("text in a group", "server", lambda s: b"\x00" + s("group_demo/bob") + s("hi"), _from("bob", "hi", group="demo", conversation="group_demo")),
    *_all("an emoji in words", "server", lambda s: b"\x00" + s("bob") + s("[emoji] smile"), _from("bob", "[emoji] smile"),
          source={"is": "inbox_row", "message": {"sender": "bob", "content": {"object": {"type": "emoji", "name": "smile"}}}}),
    *_all("an image of document 001 in words", "server", lambda s: b"\x00" + s("bob") + s("[image]"), _from("bob", "[image]"),
          source={"is": "inbox_row", "message": {"sender": "bob", "content": {"number": 2, "hex": "00ff"}}}),
    *[_vector("a text with an attachment", "server", [b"\x00" + FORMS[form]("bob") + FORMS[form](words) for words in ("hi", "[file] a.png")], framing, form,
              meaning=[_from("bob", "hi"), _from("bob", "[file] a.png")], source=_from("bob", "hi", attachments=[{"name": "a.png"}]))
      for framing, form in KINDS],
    *[_vector("what was taken back", "server", [], framing, form, meaning=[], source=_from("bob", "", revoked={"by": "bob", "at": 1.0})) for framing, form in KINDS],
    *_all("bob calls", "server", lambda s: b"\x02" + s(CALL) + s("bob") + b"\x01", {"is": "call_incoming", "call": CALL, "caller": "bob", "video": True},
          source={"is": "call_incoming", "call": CALL, "caller": "bob", "callee": "alice", "video": True, "created_at": 1.0}),
    *_all("bob calls, audio", "server", lambda s: b"\x02" + s(CALL) + s("bob") + b"\x00", {"is": "call_incoming", "call": CALL, "caller": "bob"}),
    *_all("accepted", "server", lambda s: b"\x03" + s(CALL), {"is": "call_answered", "call": CALL},
          source={"is": "call_answered", "call": CALL, "caller": "alice", "callee": "bob", "answered_at": 1.0}),
    *_all("accepted here", "server", lambda s: b"\x03" + s(CALL), {"is": "call_accepted", "call": CALL}, after="accept"),
    *_all("rejected", "server", lambda s: b"\x04" + s(CALL) + s("忙"), {"is": "call_ended", "call": CALL, "ending": "rejected", "reason": "忙"}),
    *_all("rejected without a reason", "server", lambda s: b"\x04" + s(CALL) + (s("") if s is utf8 else NULL), {"is": "call_ended", "call": CALL, "ending": "rejected"}),
    *[vector for ending, reason in (("busy", "user busy"), ("offline", "user offline"), ("no_answer", "no answer"), ("no_device", "no compatible device"))
      for vector in _all(reason, "server", lambda s, reason=reason: b"\x04" + s(CALL) + s(reason), {"is": "call_ended", "call": CALL, "ending": ending})],  # type: ignore[misc]
    *_all("ended", "server", lambda s: b"\x05" + s(CALL), {"is": "call_ended", "call": CALL, "ending": "hangup"},
          source={"is": "call_ended", "call": CALL, "caller": "alice", "callee": "bob", "ending": "hangup", "created_at": 1.0, "answered_at": 2.0, "ended_at": 9.0, "by": "bob"}),
    *[vector for ending in ("cancelled", "lost", "too_long", "shutdown")
      for vector in _all(f"ended: {ending}", "server", lambda s: b"\x05" + s(CALL), {"is": "call_ended", "call": CALL, "ending": "hangup"}, source={"is": "call_ended", "call": CALL, "ending": ending})],
    *_all("answered elsewhere", "server", lambda s: b"\x05" + s(CALL), {"is": "call_ended", "call": CALL, "ending": "hangup"},
          source={"is": "call_stopped", "call": CALL, "caller": "bob", "callee": "alice", "at": 2.0}),
    *_all("bob's media", "server", lambda s: b"\x06" + s(CALL) + b"\x00\xff", {"is": "call_media", "call": CALL, "data": "00ff"}),
    *_all("bob offers a file", "server", lambda s: b"\x01\x00" + s("bob") + s("t1") + s("a.png") + struct.pack(">Q", 7) + s(SHA256),
          {"is": "offer_file", "peer": "bob", "transfer": "t1", "name": "a.png", "size": 7, "sha256": SHA256}),
    *_framed("bob is online", "server", lambda s: b"\x0c" + s("bob") + b"\x01", {"is": "presence_changed", "user": "bob", "state": "online"}, presence=True),
    *_framed("bob is offline", "server", lambda s: b"\x0c" + s("bob") + b"\x00", {"is": "presence_changed", "user": "bob", "state": "offline"}, presence=True),
]

VECTORS: list[Vector] = [*OPENINGS, *REQUESTS, *REFUSED, *ANSWERS, *PUSHES]
