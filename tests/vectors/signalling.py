# ruff: noqa: E501
# fmt: off
"""The vectors of document 002: each in JSON and in MessagePack."""

from __future__ import annotations

from typing import Any

from tests.clients.msgpack import pack
from tests.vectors.making import (
    HELLO,
    ISO,
    LONG_ID,
    SECONDS,
    Meaning,
    Vector,
    compact,
    error,
    message,
    row,
    text,
    without,
)

S = "single_alice_bob"


def _both(value: Any) -> dict[str, Any]:
    return {"text": compact(value), "msgpack": pack(value).hex()}


def _client(name: str, kind: str, payload: Any, meaning: Any, *, id: Any = None, also: bool = False, **more: Any) -> Vector:
    envelope = {"type": kind, "payload": payload, **more}
    vector: Vector = {"name": name, "from": "client", "meaning": meaning}
    if id is not None:
        envelope["id"] = id
        vector["tag"] = id
    vector |= _both(envelope)
    return {**vector, "also": True} if also else vector


def _wrong(name: str, kind: str, payload: Any, code: str = "BAD_REQUEST") -> Vector:
    return {"name": name, "from": "client", **_both({"type": kind, "payload": payload, "id": "r1"}), "error": code, "tag": "r1"}


def _server(name: str, kind: str, payload: Any, meaning: Any, *, id: Any = None, **more: Any) -> Vector:
    envelope = {"type": kind, "payload": payload, "timestamp": ISO}
    vector: Vector = {"name": name, "from": "server", "meaning": meaning, **more}
    if id is not None:
        envelope["id"] = id
        vector["tag"] = id
    return {**vector, **_both(envelope)}


def _send(name: str, fields: Meaning, *, also: bool = False, timestamp: Any = None, id: Any = None, **payload: Any) -> Vector:
    meaning = {"is": "send_message", "recipient": "bob", "content": text(HELLO), **fields}
    kept = {key: value for key, value in meaning.items() if value != ""}
    given = {"to_user": "bob", "content": HELLO, "message_type": "text", **payload}
    more = {} if timestamp is None else {"timestamp": timestamp}
    return _client(name, "message.send", {k: v for k, v in given.items() if v is not None}, kept, also=also, id=id, **more)


REQUESTS = [
    _client("ping", "ping", {}, {"is": "ping"}, id="r1"),
    _client("ping with a timestamp", "ping", {"timestamp": 1759838400123}, {"is": "ping"}, also=True),
    _send("send a text", {"client_id": "c-1"}, client_msg_id="c-1", id="r1"),
    _send("send to an integer", {"recipient": "2"}, to_user=2),
    _send("send to an integer in digits", {"recipient": "2"}, to_user="2", also=True),
    _send("send to the largest integer", {"recipient": "9007199254740991"}, to_user=2**53 - 1),
    _send("send to digits that are no integer", {"recipient": "007"}, to_user="007"),
    _send("send to the longest id", {"recipient": LONG_ID}, to_user=LONG_ID),
    _send("send to a group", {"group": "demo", "recipient": ""}, to_user=None, group_id="demo"),
    _send("send to a group by its conversation's name", {"group": "demo", "recipient": ""}, to_user=None, group_id="group_demo", also=True),
    _send("send to a conversation", {"conversation": S, "recipient": ""}, to_user=None, conversation_id=S),
    _send("send under one's own name", {"conversation": "our talk"}, conversation_id="our talk"),
    _send("send the empty text", {"content": text("")}, content=""),
    _send("send without a message_type", {}, message_type=None, also=True),
    _send("send with the sender's clock", {"sent_at": SECONDS}, timestamp=ISO),
    _send("the clock in milliseconds", {"sent_at": SECONDS}, timestamp=SECONDS * 1000, also=True),
    _send("send an object", {"content": {"object": {"type": "image", "name": "a.png"}}}, content={"type": "image", "name": "a.png"}, message_type=None),
    _send("a string that is no text", {"content": {"object": {"type": "image", "text": "https://x/a.png"}}}, content="https://x/a.png", message_type="image", also=True),
    _send("an object that takes its type from message_type", {"content": {"object": {"name": "smile", "type": "emoji"}}}, content={"name": "smile"}, message_type="emoji", also=True),
    _send("send a body of document 001", {"content": {"number": 2, "hex": "00ff"}}, content={"type": "custom", "message_type": 2, "data": "AP8="}, message_type=None),
    _send("send what belongs to a message", {"attachments": [{"file_id": "f1"}], "meta": {"reply_to": "m-0", "a": 1}, "extra": {"k": "值"}},
          attachments=[{"file_id": "f1"}], meta={"reply_to": "m-0", "a": 1}, extra={"k": "值"}),
    _send("send an answer", {"meta": {"reply_to": "m-0"}}, reply_to_id="m-0", also=True),
    _client("ack by number", "message.ack", {"seq": 9}, {"is": "ack_messages", "seq": 9}),
    _client("ack by id", "message.ack", {"message_id": "m-1"}, {"is": "ack_messages", "message_id": "m-1"}),
    _client("read", "message.read", {"message_ids": ["m-1", "m-2"], "conversation_id": S}, {"is": "mark_read", "message_ids": ["m-1", "m-2"], "conversation": S}, id="r1"),
    _client("read one", "message.read", {"message_id": "m-1"}, {"is": "mark_read", "message_ids": ["m-1"]}, also=True),
    _client("delete", "message.delete", {"message_id": "m-1"}, {"is": "revoke_message", "message_id": "m-1"}, id="r1"),
    _client("history with a user", "message.history", {"to_user": 2, "limit": 50, "since": "c:17"}, {"is": "read_history", "recipient": "2", "limit": 50, "since": "c:17"}, id=7),
    _client("the whole inbox from a number on", "message.history", {"since": 41}, {"is": "read_history", "since": "41"}, also=True),
    _client("typing", "typing", {"to_user": "bob", "is_typing": True}, {"is": "set_typing", "typing": True, "recipient": "bob"}),
    _client("stopped typing", "typing", {"conversation_id": S, "is_typing": False}, {"is": "set_typing", "conversation": S}),
    _client("be busy", "presence", {"state": "busy"}, {"is": "set_presence", "state": "busy"}, id="r1"),
    _client("list users", "presence", {"users": ["bob", 7]}, {"is": "list_presence", "users": ["bob", "7"]}, id="r1"),
    _client("list all users", "presence", {}, {"is": "list_presence"}),
]

CALL = "call_123456789"
SDP = {"type": "offer", "sdp": "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\n"}
CANDIDATE = {"candidate": "candidate:1 1 UDP 2113667326 192.168.1.100 54400 typ host", "sdpMLineIndex": 0, "sdpMid": "0"}
OFFERED = {"call_type": "video", "sdp": SDP, "ice_candidates": [CANDIDATE], "constraints": {"audio": True, "video": True}}
QUALITY = {"status": "connected", "duration": 60, "audio_quality": "good", "network_stats": {"packet_loss": 0.01, "jitter": 5, "rtt": 50}}
FIGURES = {"packet_loss": 0.01, "jitter": 0.005, "round_trip": 0.05}
CAMERA = {"error_code": "MEDIA_ERROR", "error_message": "媒体处理失败", "details": {"reason": "无法获取摄像头权限"}}

CALLS = [
    _client("call", "call.offer", {"call_id": CALL, "to_user": "bob", **OFFERED}, {"is": "start_call", "callee": "bob", "video": True, "call": CALL, "detail": OFFERED}),
    _client("call under an id of the server", "call.offer", {"to_user": 2, "call_type": "audio", "sdp": "v=0"}, {"is": "start_call", "callee": "2", "detail": {"call_type": "audio", "sdp": "v=0"}}, id="r1"),
    _client("call with the server's members", "call.offer", {"call_id": CALL, "from_user": "eve", "to_user": "bob", **OFFERED, "created_at": ISO},
            {"is": "start_call", "callee": "bob", "video": True, "call": CALL, "detail": OFFERED}, also=True),
    _client("call under an integer", "call.offer", {"call_id": 7, "to_user": "bob", "call_type": "audio", "sdp": SDP}, {"is": "start_call", "callee": "bob", "call": "7", "detail": {"call_type": "audio", "sdp": SDP}}),
    _client("call with a sealed description", "call.offer", {"call_id": CALL, "to_user": "bob", "call_type": "audio", "sealed": "c2VjcmV0"},
            {"is": "start_call", "callee": "bob", "call": CALL, "detail": {"call_type": "audio", "sealed": "c2VjcmV0"}}),
    _client("answer", "call.answer", {"call_id": CALL, "sdp": SDP}, {"is": "answer_call", "call": CALL, "detail": {"sdp": SDP}}),
    _client("answer with the server's members", "call.answer", {"call_id": CALL, "from_user": 2, "to_user": 1, "sdp": SDP, "answered_at": ISO}, {"is": "answer_call", "call": CALL, "detail": {"sdp": SDP}}, also=True),
    _client("a candidate", "call.ice", {"call_id": CALL, "ice_candidate": CANDIDATE}, {"is": "signal_call", "call": CALL, "signal": "ice", "detail": {"ice_candidate": CANDIDATE}}, id="r1"),
    _client("no more candidates", "call.ice", {"call_id": CALL, "ice_candidate": None}, {"is": "signal_call", "call": CALL, "signal": "ice", "detail": {"ice_candidate": None}}),
    _client("end a call", "call.end", {"call_id": CALL, "reason": "user_hangup"}, {"is": "end_call", "call": CALL, "reason": "user_hangup"}),
    _client("end a call with the server's members", "call.end", {"call_id": CALL, "from_user": 1, "to_user": 2, "reason": "user_hangup", "duration": 120, "ended_at": ISO}, {"is": "end_call", "call": CALL, "reason": "user_hangup"}, also=True),
    _client("end whatever call", "call.end", {}, {"is": "end_call"}),
    _client("how it goes", "call.status", {"call_id": CALL, **QUALITY}, {"is": "signal_call", "call": CALL, "signal": "status", "detail": QUALITY, "quality": FIGURES}),
    _client("no camera", "call.error", {"call_id": CALL, **CAMERA}, {"is": "signal_call", "call": CALL, "signal": "error", "detail": CAMERA}),
]

REFUSED = [
    {"name": "not an envelope", "from": "client", "text": "{", "msgpack": "81", "error": "BAD_REQUEST"},
    {"name": "not an object", "from": "client", **_both([1]), "error": "BAD_REQUEST"},
    {"name": "no type", "from": "client", **_both({"payload": {}, "id": "r1"}), "error": "BAD_REQUEST", "tag": "r1"},
    _wrong("an unknown type", "message.fly", {}, "UNKNOWN_COMMAND"),
    _wrong("a type of the server", "message.new", {}, "UNKNOWN_COMMAND"),
    _wrong("nothing to send", "message.send", {"to_user": "bob"}),
    _wrong("nobody to send to", "message.send", {"content": "x"}),
    _wrong("a user and a group", "message.send", {"to_user": "bob", "group_id": "demo", "content": "x"}),
    _wrong("a number as content", "message.send", {"to_user": "bob", "content": 7}),
    _wrong("two types that differ", "message.send", {"to_user": "bob", "content": {"type": "emoji"}, "message_type": "image"}),
    _wrong("an object without a type", "message.send", {"to_user": "bob", "content": {"name": "smile"}}),
    _wrong("two answers in one", "message.send", {"to_user": "bob", "content": "x", "reply_to_id": "m-0", "meta": {"reply_to": "m-1"}}),
    _wrong("an extra that is no string", "message.send", {"to_user": "bob", "content": "x", "extra": {"a": 1}}),
    _wrong("an ack of nothing", "message.ack", {}),
    _wrong("a receipt for 501 messages", "message.read", {"message_ids": ["m"] * 501}),
    _wrong("offline as a state", "presence", {"state": "offline"}),
    _wrong("typing or not", "typing", {"to_user": "bob"}),
    _wrong("a call to nobody", "call.offer", {"call_type": "audio", "sdp": "v=0"}),
    _wrong("a call of another type", "call.offer", {"call_id": CALL, "to_user": "bob", "call_type": "screen", "sdp": "v=0"}),
    _wrong("a call without a description", "call.offer", {"call_id": CALL, "to_user": "bob", "call_type": "audio"}),
    _wrong("an answer that is none", "call.answer", {"call_id": CALL, "sdp": {"type": "answer", "sdp": "hello"}}),
    _wrong("a candidate of no call", "call.ice", {"ice_candidate": CANDIDATE}),
    _wrong("a candidate that is too large", "call.ice", {"call_id": CALL, "ice_candidate": {"candidate": "x" * 2048}}, "TOO_LARGE"),
    _wrong("a status without a word", "call.status", {"call_id": CALL}),
    _wrong("an unknown type of a call", "call.hold", {"call_id": CALL}, "UNKNOWN_COMMAND"),
]

CONNECT = {"status": "connected", "user_id": "alice", "server_time": ISO, "epoch": "e1", "ice_servers": []}
WIRE = {"message_id": "m-1", "conversation_id": S, "from_user": "bob", "to_user": "alice", "content": HELLO, "message_type": "text", "sent_at": ISO}

ANSWERS = [
    _server("connected", "connect", CONNECT, {"is": "logged_in", "user": "alice", "epoch": "e1"}, answers="the handshake"),
    _server("connected: an integer", "connect", {**CONNECT, "user_id": 7}, {"is": "logged_in", "user": "7", "epoch": "e1"}, answers="the handshake"),
    _server("pong", "pong", {}, {"is": "pong", "server_time": SECONDS}, id="r1", answers="ping"),
    _server("pong with the timestamp", "pong", {"timestamp": 1759838400123}, {"is": "pong", "server_time": SECONDS, "time": 1759838400123}, answers="ping with a timestamp"),
    _server("sent", "message.sent", {"client_msg_id": "c-1", "message_id": "m-1", "conversation_id": S, "seq": 5, "sent_at": ISO},
            {"is": "message_accepted", "message_id": "m-1", "conversation": S, "seq": 5, "server_at": SECONDS}, id="r1", answers="send a text"),
    _server("marked as read", "message.read", {"message_ids": ["m-1", "m-2"], "conversation_id": S, "from_user": "alice", "read_at": ISO},
            {"is": "messages_marked", "at": SECONDS}, id="r1", answers="read"),
    _server("deleted", "message.delete", {"message_id": "m-1", "from_user": "alice", "deleted_at": ISO},
            {"is": "message_revoked_reply", "message_id": "m-1", "at": SECONDS}, id="r1", answers="delete"),
    _server("the history", "message.history", {"messages": [WIRE], "next_cursor": "c:18", "has_more": True},
            {"is": "message_page", "rows": [{"message": message(text(HELLO))}], "next_cursor": "c:18", "has_more": True}, id=7, answers="history with a user"),
    _server("busy now", "presence", {"user_id": "alice", "state": "busy"}, {"is": "done"}, id="r1", answers="be busy"),
    _server("the users", "presence", {"users": [{"user_id": "bob", "state": "online", "last_seen": ISO}, {"user_id": 7, "state": "offline", "last_seen": None}]},
            {"is": "presence_list", "users": [{"user": "bob", "state": "online", "last_seen": SECONDS}, {"user": "7", "state": "offline"}]}, id="r1", answers="list users"),
]
for _name, _code, _wire, _reason in (
    ("not allowed", "FORBIDDEN", "FORBIDDEN", "forbidden"), ("no such user", "USER_NOT_FOUND", "NOT_FOUND", "user_not_found"),
    ("no such conversation", "CONVERSATION_NOT_FOUND", "NOT_FOUND", "conversation_not_found"), ("a conflict", "CONFLICT", "CONFLICT", "conflict"),
    ("too large", "TOO_LARGE", "TOO_LARGE", "too_large"), ("too fast", "TOO_FAST", "TOO_FAST", "too_fast"),
    ("later", "UNAVAILABLE", "UNAVAILABLE", "unavailable"), ("a fault", "INTERNAL", "INTERNAL", "internal"),
):
    ANSWERS.append(_server(
        f"a send fails: {_name}", "error",
        {"error_code": _wire, "message": "no", "details": {"reason": _reason, "type": "message.send", "client_msg_id": "c-1"}},
        error(_code, "no"), id="r1", answers="send a text",
    ))
ANSWERS += [
    _server("refused: unknown type", "error", {"error_code": "NOT_FOUND", "message": "no", "details": {"reason": "unknown_command", "type": "message.fly"}},
            error("UNKNOWN_COMMAND", "no"), id="r1", answers="an unknown type"),
    _server("refused: not an envelope", "error", {"error_code": "BAD_REQUEST", "message": "no", "details": {"reason": "bad_request"}},
            error("BAD_REQUEST", "no"), answers="not an envelope"),
    _server("refused: no description", "call.error", {"call_id": CALL, "error_code": "SIGNALING_ERROR", "error_message": "no", "details": {"reason": "bad_sdp"}},
            error("BAD_REQUEST", "no"), id="r1", answers="a call without a description"),
    _server("refused: a candidate, too fast", "call.error", {"call_id": CALL, "error_code": "SIGNALING_ERROR", "error_message": "no", "details": {"reason": "too_fast"}},
            error("TOO_FAST", "no"), id="r1", answers="a candidate"),
]


def _new(name: str, meaning: Any, payload: Any) -> Vector:
    given = {"seq": 300, **WIRE, **payload}
    return _server(name, "message.new", {k: v for k, v in given.items() if v is not None}, meaning)


PUSHES = [
    _new("a text is pushed", row(300, text(HELLO), client_id="c-9"), {"client_msg_id": "c-9"}),
    _new("ids that are integers", row(300, text(HELLO), sender="1", recipient="2", conversation="single_1_2"), {"from_user": 1, "to_user": 2, "conversation_id": "single_1_2"}),
    _new("an object is pushed", row(300, {"object": {"type": "image", "name": "a.png"}}), {"content": {"type": "image", "name": "a.png"}, "message_type": "image"}),
    _new("an object that is more than a text", row(300, {"object": {"type": "text", "text": "a", "lang": "en"}}), {"content": {"type": "text", "text": "a", "lang": "en"}, "message_type": "custom"}),
    _new("a body of document 001", row(300, {"number": 7, "hex": "00"}), {"content": {"type": "custom", "message_type": 7, "data": "AA=="}, "message_type": "custom"}),
    _new("all that belongs to a message", row(300, text(HELLO), attachments=[{"file_id": "f1"}], meta={"reply_to": "m-0"}, extra={"k": "v"}),
         {"attachments": [{"file_id": "f1"}], "reply_to_id": "m-0", "meta": {"reply_to": "m-0"}, "extra": {"k": "v"}}),
    _new("a message of a group", without(row(300, text(HELLO), group="demo", conversation="group_demo"), "recipient"), {"to_user": None, "group_id": "demo", "conversation_id": "group_demo"}),
    _new("a tombstone", row(300, text(""), revoked={"by": "bob", "at": SECONDS}), {"content": "", "message_type": "revoked", "revoked_by": "bob", "revoked_at": ISO}),
    _server("deleted by bob", "message.delete", {"message_id": "m-1", "conversation_id": S, "from_user": "bob", "deleted_at": ISO},
            {"is": "message_revoked", "message_id": "m-1", "conversation": S, "by": "bob", "at": SECONDS}),
    _server("read by bob", "message.read", {"message_ids": ["m-1"], "conversation_id": S, "from_user": "bob", "read_at": ISO},
            {"is": "messages_read", "message_ids": ["m-1"], "conversation": S, "reader": "bob", "at": SECONDS}),
    _server("bob types", "typing", {"conversation_id": S, "from_user": "bob", "is_typing": True}, {"is": "typing_changed", "conversation": S, "user": "bob", "typing": True}),
    _server("bob is away", "presence", {"user_id": "bob", "state": "away", "last_seen": ISO}, {"is": "presence_changed", "user": "bob", "state": "away", "last_seen": SECONDS}),
    _server("news of a group", "notification", {"event_type": "group_joined", "group_id": "team", "conversation_id": "group_team", "user_id": 3, "by": "alice", "at": ISO},
            {"is": "group_changed", "change": "group_joined", "group": "team", "user": "3", "by": "alice", "at": SECONDS}),
    _server("bob asks", "notification", {"event_type": "friend_request", "user_id": "alice", "by": "bob", "at": ISO, "request_id": 7, "message": "hi"},
            {"is": "friend_changed", "change": "friend_request", "user": "alice", "by": "bob", "at": SECONDS, "request": 7, "message": "hi"}),
    _server("news of a friend", "notification", {"event_type": "friend_deleted", "user_id": "alice", "by": 3, "at": ISO},
            {"is": "friend_changed", "change": "friend_deleted", "user": "alice", "by": "3", "at": SECONDS}),
    *[_server(f"the end: {reason}", "notification", {"event_type": "session_ended", "reason": reason, "message": "bye"}, {"is": "session_kicked", "reason": reason, "text": "bye"})
      for reason in ("other_device", "account", "shutdown", "slow")],
]

_TO_ALICE = {"call_id": CALL, "from_user": "bob", "to_user": "alice"}
_BETWEEN = {"call": CALL, "caller": "alice", "callee": "bob"}


def _ended(name: str, source: Any, reason: str, meaning: Any, **payload: Any) -> Vector:
    given = {**_TO_ALICE, "reason": reason, "duration": 0, "ended_at": ISO, **payload}
    known = {"is": "call_ended", "call": CALL, "ended_at": SECONDS, "by": "bob", **meaning}
    return _server(name, "call.end", given, known,
                   source={"is": "call_ended", **_BETWEEN, "created_at": SECONDS - 60, "ended_at": SECONDS, **source})


def _unreached(name: str, ending: str, reason: str, words: str) -> Vector:
    payload = {"call_id": CALL, "error_code": "SIGNALING_ERROR", "error_message": words, "details": {"reason": reason}}
    return _server(name, "call.error", payload, {"is": "call_ended", "call": CALL, "ending": ending, "ended_at": SECONDS},
                   source={"is": "call_ended", **_BETWEEN, "ending": ending, "ended_at": SECONDS})


def _answered(name: str) -> Vector:
    answer = _server(name, "call.answer", {**_TO_ALICE, "sdp": SDP, "answered_at": ISO}, {"is": "call_answered", **_BETWEEN, "answered_at": SECONDS, "detail": {"sdp": SDP}})
    told = {"status": "answered", "answered_at": ISO}
    status = _server(name, "call.status", {"call_id": CALL, **told}, {"is": "call_signal", "call": CALL, "signal": "status", "detail": told})
    return {**answer, **{key: [answer[key], status[key]] for key in ("meaning", "text", "msgpack")}}


CALL_EVENTS = [
    _server("bob calls", "call.offer", {**_TO_ALICE, **OFFERED, "created_at": ISO},
            {"is": "call_incoming", "call": CALL, "caller": "bob", "callee": "alice", "video": True, "created_at": SECONDS, "detail": {k: v for k, v in OFFERED.items() if k != "call_type"}}),
    _server("it rings", "call.status", {"call_id": CALL, "status": "ringing", "created_at": ISO}, {"is": "call_ringing", "call": CALL, "created_at": SECONDS},
            source={"is": "call_ringing", **_BETWEEN, "video": True, "created_at": SECONDS}),
    _answered("bob answers"),
    _server("bob's candidate", "call.ice", {**_TO_ALICE, "ice_candidate": CANDIDATE}, {"is": "call_signal", "call": CALL, "signal": "ice", "sender": "bob", "recipient": "alice", "detail": {"ice_candidate": CANDIDATE}}),
    _server("bob's status", "call.status", {**_TO_ALICE, **QUALITY}, {"is": "call_signal", "call": CALL, "signal": "status", "sender": "bob", "recipient": "alice", "detail": QUALITY}),
    _server("bob has no camera", "call.error", {**_TO_ALICE, **CAMERA}, {"is": "call_signal", "call": CALL, "signal": "error", "sender": "bob", "recipient": "alice", "detail": CAMERA}),
    _ended("bob hangs up", {"ending": "hangup", "answered_at": SECONDS - 50, "by": "bob"}, "user_hangup", {"ending": "hangup", "answered_at": SECONDS - 50}, duration=50),
    _ended("bob rejects", {"ending": "rejected", "by": "bob", "detail": {"note": "later"}}, "user_rejected", {"ending": "rejected", "detail": {"note": "later"}}, note="later"),
    _ended("bob is busy", {"ending": "busy"}, "user_busy", {"ending": "busy"}),
    _ended("both called", {"ending": "busy", "glare": True}, "user_busy", {"ending": "busy", "glare": True}, details={"glare": True}),
    _ended("nobody answers", {"ending": "no_answer"}, "timeout", {"ending": "no_answer"}),
    _ended("bob is lost", {"ending": "lost", "answered_at": SECONDS - 9}, "network_error", {"ending": "lost", "answered_at": SECONDS - 9}, duration=9),
    _ended("the server goes down", {"ending": "shutdown"}, "server_error", {"ending": "shutdown"}),
    _server("answered elsewhere", "call.end", {**_TO_ALICE, "reason": "answered_elsewhere", "duration": 0, "ended_at": ISO}, {"is": "call_stopped", "call": CALL, "caller": "bob", "callee": "alice", "at": SECONDS}),
    _unreached("bob is offline", "offline", "user_offline", "the user is offline"),
    _unreached("bob has no device for it", "no_device", "no_compatible_device", "none of the user's devices can take this call"),
    _server("a missed call", "notification", {"event_type": "missed_call", **_TO_ALICE, "call_type": "audio", "created_at": ISO, "ended_at": ISO},
            {"is": "call_missed", "call": CALL, "caller": "bob", "callee": "alice", "created_at": SECONDS, "ended_at": SECONDS}),
]

VECTORS: list[Vector] = [*REQUESTS, *CALLS, *REFUSED, *ANSWERS, *PUSHES, *CALL_EVENTS]
