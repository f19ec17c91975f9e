# ruff: noqa: E501
# fmt: off
"""The vectors of document 001."""

from __future__ import annotations

from typing import Any

from tests.clients.protobuf_client import COMMANDS, encode, encode_envelope, varint_field
from tests.vectors.making import CLOCK, HELLO, LONG_ID, MS, Meaning, Vector, error, row, text

S = "single_alice_bob"


def _client(name: str, command: str, sequence: int, meaning: Meaning, *, also: bool = False, **body: Any) -> Vector:
    data = encode_envelope(COMMANDS[command], sequence, encode(command, **body))
    vector: Vector = {"name": name, "from": "client", "hex": data.hex(), "tag": sequence, "meaning": meaning}
    return {**vector, "also": True} if also else vector


def _bad(name: str, data: bytes, code: str, **more: Any) -> Vector:
    return {"name": name, "from": "client", "hex": data.hex(), "error": code, **more}


def _server(name: str, command: str, meaning: Meaning, *, sequence: int = 0, body: Any = None, **more: Any) -> Vector:
    data = encode_envelope(COMMANDS[command], sequence, encode(command, **(body or {})), MS)
    vector: Vector = {"name": name, "from": "server", "hex": data.hex(), "meaning": meaning, **more}
    return {**vector, "tag": sequence} if sequence else vector


PUSH = {
    "message_id": "m-1", "client_msg_id": "c-9", "conversation_id": S, "sender_id": "bob", "receiver_id": "alice",
    "message_type": 1, "content": HELLO.encode(), "send_time": MS - 123, "server_time": MS, "seq": 300,
}
PUSHED = row(300, text(HELLO), client_id="c-9", sent_at=MS // 1000, server_at=CLOCK)


def _push(name: str, meaning: Any, body: dict[str, Any], **fields: Any) -> Vector:
    changed = {**PUSHED["message"], **meaning}
    kept = {key: value for key, value in changed.items() if value != ""}
    return _server(name, "PUSH_MSG", {**PUSHED, "message": kept}, body={**PUSH, **body}, **fields)


def _send(name: str, sequence: int, fields: Meaning, **body: Any) -> Vector:
    also = body.pop("also", False)
    meaning = {"is": "send_message", "recipient": "bob", "content": text("hi"), **fields}
    kept = {key: value for key, value in meaning.items() if value != ""}
    given = {"receiver_id": "bob", "message_type": 1, "content": b"hi", **body}
    return _client(name, "SEND_MSG_REQ", sequence, kept, also=also, **given)


REQUESTS = [
    _client(
        "connect", "CONNECT_REQ", 1,
        {"is": "hello", "client_id": "phone-1", "platform": "iOS", "app_version": "1.0", "sdk_version": "2.0",
         "device_info": "iPhone", "extra": {"batch": "1"}},
        client_id="phone-1", platform="iOS", app_version="1.0", sdk_version="2.0", device_info="iPhone",
        extra={"batch": "1"},
    ),
    _client(
        "auth (the contract's bytes)", "AUTH_REQ", 1,
        {"is": "log_in", "user": "user123", "token": "demo_token_user123", "platform": "iOS"},
        user_id="user123", token="demo_token_user123", platform="iOS",
    ),
    _client("auth, the token alone", "AUTH_REQ", 1, {"is": "log_in", "token": "t"}, token="t"),
    _client("auth of the longest id", "AUTH_REQ", 1, {"is": "log_in", "user": LONG_ID, "token": "t"}, user_id=LONG_ID, token="t"),
    {**_client("reauth", "REAUTH_REQ", 2, {"is": "log_in", "user": "alice", "token": "t2"}, user_id="alice", token="t2"),
     "after": ["auth of alice"]},
    _client("auth of alice", "AUTH_REQ", 1, {"is": "log_in", "user": "alice", "token": "t"}, user_id="alice", token="t"),
    _client("heartbeat", "HEARTBEAT_REQ", 2, {"is": "ping", "time": MS // 1000}, client_time=MS - 123),
    _client("heartbeat without a time", "HEARTBEAT_REQ", 2, {"is": "ping"}),
    _client("disconnect", "DISCONNECT_REQ", 9, {"is": "disconnect"}),
    _send("send a text", 3, {"content": text(HELLO), "client_id": "c-1", "conversation": S, "sent_at": MS // 1000, "extra": {"k": "值"}},
          content=HELLO.encode(), client_msg_id="c-1", conversation_id=S, send_time=MS - 123, extra={"k": "值"}),
    _send("send the empty text", 4, {"content": text("")}, content=b""),
    _send("send to a group", 5, {"group": "demo", "recipient": ""}, group_id="demo", receiver_id=""),
    _send("send with the own sender_id", 6, {}, sender_id="alice", also=True),
    _send("send an object", 7, {"content": {"object": {"type": "emoji", "name": "smile"}}},
          message_type=100, content=b'{"type":"emoji","name":"smile"}'),
    _send("send an object with spaces", 8, {"content": {"object": {"type": "emoji"}}},
          message_type=100, content=b'{ "type" : "emoji" }', also=True),
    _send("send a text as an object", 9, {"content": text("a")}, message_type=100, content=b'{"type":"text","text":"a"}', also=True),
    _send("send a text with members", 91, {"content": {"object": {"type": "text", "text": "a", "lang": "en"}}},
          content=b"a", extra={"im.content": '{"type":"text","text":"a","lang":"en"}'}),
    _send("send an image", 10, {"content": {"number": 2, "hex": "00ff"}}, message_type=2, content=b"\x00\xff"),
    _send("send a type nobody knows", 11, {"content": {"number": -1, "hex": ""}}, message_type=-1, content=b""),
    _send("send with attachments and meta", 12, {"attachments": [{"file_id": "f1"}], "meta": {"reply_to": "m-0"}},
          extra={"im.attachments": '[{"file_id":"f1"}]', "im.meta": '{"reply_to":"m-0"}'}),
    _client("ack by number", "MSG_ACK", 13, {"is": "ack_messages", "seq": 300, "message_id": "m-1"}, message_id="m-1", seq=300),
    _client("ack by id", "MSG_ACK", 14, {"is": "ack_messages", "message_id": "m-1"}, message_id="m-1"),
    _client("revoke", "REVOKE_MSG_REQ", 15, {"is": "revoke_message", "message_id": "m-1", "conversation": S}, message_id="m-1", conversation_id=S),
    _client("sync", "SYNC_REQ", 16, {"is": "sync_inbox", "after": 300, "at_least": 1, "limit": 50}, min_seq=1, max_seq=300, limit=50),
    _client("sync without a limit", "SYNC_REQ", 17, {"is": "sync_inbox", "limit": 100}, also=True),
    _client("sync above every limit", "SYNC_REQ", 18, {"is": "sync_inbox", "after": 2**53 - 1, "limit": 500}, also=True, max_seq=2**63 - 1, limit=501),
    _client("sync from a negative number", "SYNC_REQ", 19, {"is": "sync_inbox", "limit": 100}, also=True, max_seq=-1, limit=-1),
    _client("online status", "ONLINE_STATUS_REQ", 20, {"is": "list_presence", "users": ["bob", "张三😀"]}, user_ids=["bob", "张三😀"]),
    _client("read receipt", "READ_RECEIPT_REQ", 21, {"is": "mark_read", "message_ids": ["m-1", "m-2"], "conversation": S}, message_ids=["m-1", "m-2"], conversation_id=S),
    _client("typing", "TYPING_STATUS_REQ", 22, {"is": "set_typing", "typing": True, "conversation": S}, conversation_id=S, status=1),
    _client("stopped typing", "TYPING_STATUS_REQ", 23, {"is": "set_typing", "conversation": S}, conversation_id=S),
    _client("typing, told otherwise", "TYPING_STATUS_REQ", 24, {"is": "set_typing", "typing": True, "conversation": S}, also=True, conversation_id=S, status=7),
    {"name": "unknown fields, fields in another order", "from": "client", "tag": 25, "also": True,
     "hex": (varint_field(99, 1) + varint_field(2, 25) + varint_field(1, 5) + varint_field(98, 2)).hex(),
     "meaning": {"is": "ping"}},
]

REFUSED = [
    _bad("not an envelope", b"\xff\xff\xff", "BAD_REQUEST", closes=1007),
    _bad("a cut envelope", bytes.fromhex("08641a22"), "BAD_REQUEST", closes=1007),
    _bad("an unknown command", encode_envelope(999, 77), "UNKNOWN_COMMAND", tag=77),
    _bad("a command of the server", encode_envelope(202, 78), "UNKNOWN_COMMAND", tag=78),
    _bad("an undecodable body", encode_envelope(200, 30, b"\x0a\x05a"), "BAD_REQUEST", tag=30),
    _bad("receiver and group", encode_envelope(200, 31, encode("SEND_MSG_REQ", receiver_id="bob", group_id="demo", message_type=1)), "BAD_REQUEST", tag=31),
    _bad("neither receiver nor group", encode_envelope(200, 32, encode("SEND_MSG_REQ", message_type=1)), "BAD_REQUEST", tag=32),
    _bad("somebody else's sender_id", encode_envelope(200, 33, encode("SEND_MSG_REQ", sender_id="bob", receiver_id="bob", message_type=1)), "FORBIDDEN", tag=33),
    _bad("a text that is not UTF-8", encode_envelope(200, 34, encode("SEND_MSG_REQ", receiver_id="bob", message_type=1, content=b"\xff")), "BAD_REQUEST", tag=34),
    _bad("501 receipts", encode_envelope(500, 35, encode("READ_RECEIPT_REQ", message_ids=["m"] * 501)), "BAD_REQUEST", tag=35),
]

NO = {"error_msg": "no"}
CONNECTED = ["connect", "auth of alice"]


def _synced_and_finished() -> Vector:
    page = {"is": "inbox_page", "head": 300, "first_seq": 1, "epoch": "e1"}
    vector = _server("synced to the end, for a client that said CONNECT", "SYNC_RSP", page, sequence=16, answers="sync",
                     body={"server_max_seq": 300, "first_seq": 1, "epoch": "e1"}, after=CONNECTED)
    finished = encode_envelope(COMMANDS["SYNC_FINISHED"], 0, b"", MS).hex()
    return {**vector, "hex": [vector["hex"], finished], "meaning": [page, {"is": "sync_finished"}]}


ANSWERS = [
    _server("connected", "CONNECT_RSP", {"is": "hello_reply", "session": "s-1", "server_time": CLOCK}, sequence=1, answers="connect", body={"server_time": MS, "session_id": "s-1"}),
    _server("authenticated", "AUTH_RSP", {"is": "logged_in", "head": 41, "epoch": "e1"}, sequence=1, answers="auth of alice",
            source={"is": "logged_in", "user": "alice", "head": 41, "epoch": "e1"}, body={"max_seq": 41, "epoch": "e1"}),
    _server("authenticated again", "REAUTH_RSP", {"is": "logged_in", "head": 41, "epoch": "e1"}, sequence=2, answers="reauth", body={"max_seq": 41, "epoch": "e1"}),
    _server("refused: bad token", "AUTH_RSP", error("AUTH_FAILED", "no"), sequence=1, answers="auth of alice", body={"error_code": 100, **NO}),
    _server("refused: expired token", "AUTH_RSP", error("TOKEN_EXPIRED", "no"), sequence=1, answers="auth of alice", body={"error_code": 101, **NO}),
    _server("heartbeat answered", "HEARTBEAT_RSP", {"is": "pong", "server_time": CLOCK}, sequence=2, answers="heartbeat", body={"server_time": MS}),
    _server("disconnected", "DISCONNECT_RSP", {"is": "done"}, sequence=9, answers="disconnect"),
    _server("sent", "SEND_MSG_RSP", {"is": "message_accepted", "message_id": "m-1", "seq": 42, "server_at": CLOCK}, sequence=3, answers="send a text", body={"message_id": "m-1", "seq": 42, "server_time": MS}),
    _server("refused: no such user", "SEND_MSG_RSP", error("USER_NOT_FOUND", "no"), sequence=3, answers="send a text", body={"error_code": 103, **NO}),
    _server("refused: no such conversation", "SEND_MSG_RSP", error("CONVERSATION_NOT_FOUND", "no"), sequence=3, answers="send a text", body={"error_code": 202, **NO}),
    _server("refused: not a member", "SEND_MSG_RSP", error("FORBIDDEN", "no"), sequence=5, answers="send to a group", body={"error_code": 102, **NO}),
    _server("refused: too large", "SEND_MSG_RSP", error("TOO_LARGE", "no"), sequence=3, answers="send a text", body={"error_code": 200, **NO}),
    _server("refused: too fast", "SEND_MSG_RSP", error("TOO_FAST", "no"), sequence=3, answers="send a text", body={"error_code": 201, **NO}),
    _server("refused: a retry with another message", "SEND_MSG_RSP", error("BAD_REQUEST", "no"), sequence=3, answers="send a text", source=error("CONFLICT", "no"), body={"error_code": 2, **NO}),
    _server("refused: later", "SEND_MSG_RSP", error("UNAVAILABLE", "no"), sequence=3, answers="send a text", body={"error_code": 1, **NO}),
    _server("refused: receiver and group", "SEND_MSG_RSP", error("BAD_REQUEST", "no"), sequence=31, answers="receiver and group", body={"error_code": 2, **NO}),
    _server("refused: unknown command", "UNKNOWN", error("BAD_REQUEST", "no"), sequence=77, answers="an unknown command", source=error("UNKNOWN_COMMAND", "no"), body={"error_code": 2, **NO}),
    _server("a heartbeat is refused", "UNKNOWN", error("TOO_FAST", "no"), sequence=2, answers="heartbeat", body={"error_code": 201, **NO}),
    _server("revoked", "REVOKE_MSG_RSP", {"is": "message_revoked_reply"}, sequence=15, answers="revoke"),
    _server("synced", "SYNC_RSP",
            {"is": "inbox_page", "rows": [{"seq": 300, "message": PUSHED["message"]}], "head": 301, "first_seq": 1, "has_more": True, "epoch": "e1"},
            sequence=16, answers="sync",
            body={"messages": [PUSH], "server_max_seq": 301, "has_more": 1, "first_seq": 1, "epoch": "e1"}),
    _server("synced, nothing new", "SYNC_RSP", {"is": "inbox_page", "head": 300, "first_seq": 7, "epoch": "e1"},
            sequence=16, answers="sync", body={"server_max_seq": 300, "first_seq": 7, "epoch": "e1"}),
    _synced_and_finished(),
    _server("the status of users", "ONLINE_STATUS_RSP",
            {"is": "presence_list", "users": [{"user": "bob", "state": "online", "last_seen": CLOCK}, {"user": "张三😀", "state": "offline"}]},
            sequence=20, answers="online status",
            body={"users": [{"user_id": "bob", "status": 1, "last_seen": MS}, {"user_id": "张三😀"}]}),
    _server("marked as read", "READ_RECEIPT_RSP", {"is": "messages_marked"}, sequence=21, answers="read receipt"),
]

PUSHES = [
    _push("a text is pushed", {}, {}),
    _push("a message of a group", {"group": "demo", "recipient": "", "conversation": "group_demo"},
          {"group_id": "demo", "receiver_id": "", "conversation_id": "group_demo"}),
    _push("an object is pushed", {"content": {"object": {"type": "voice"}}}, {"message_type": 100, "content": b'{"type":"voice"}'}),
    _push("a text with members is pushed", {"content": {"object": {"type": "text", "text": "a", "lang": "en"}}},
          {"content": b"a", "extra": {"im.content": '{"type":"text","text":"a","lang":"en"}'}}),
    _push("an image is pushed", {"content": {"number": 2, "hex": "00ff"}}, {"message_type": 2, "content": b"\x00\xff"}),
    _push("all that belongs to a message", {"attachments": [{"file_id": "f1"}], "meta": {"reply_to": "m-0"}, "extra": {"k": "v"}},
          {"extra": {"k": "v", "im.attachments": '[{"file_id":"f1"}]', "im.meta": '{"reply_to":"m-0"}'}}),
    _push("a tombstone", {"content": text(""), "revoked": {"by": "bob", "at": CLOCK}},
          {"content": b"", "extra": {"revoked": "1", "revoked_by": "bob", "revoked_time": str(MS)}}),
    _server("two at once, for a client that announced it", "BATCH_MSG",
            {"is": "inbox_page", "rows": [{"seq": 300, "message": PUSHED["message"]}, {"seq": 301, "message": PUSHED["message"]}]},
            body={"messages": [PUSH, {**PUSH, "seq": 301}]}, after=CONNECTED),
    _server("revoked by bob", "REVOKE_MSG_PUSH", {"is": "message_revoked", "message_id": "m-1", "conversation": S, "by": "bob", "at": CLOCK},
            body={"message_id": "m-1", "conversation_id": S, "revoked_by": "bob", "revoked_time": MS}),
    _server("read by bob", "READ_RECEIPT_PUSH", {"is": "messages_read", "message_ids": ["m-1", "m-2"], "conversation": S, "reader": "bob", "at": CLOCK},
            body={"message_ids": ["m-1", "m-2"], "conversation_id": S, "user_id": "bob", "read_time": MS}),
    _server("bob types", "TYPING_STATUS_PUSH", {"is": "typing_changed", "conversation": S, "user": "bob", "typing": True},
            body={"conversation_id": S, "user_id": "bob", "status": 1}),
    _server("bob stopped typing", "TYPING_STATUS_PUSH", {"is": "typing_changed", "conversation": S, "user": "bob"},
            body={"conversation_id": S, "user_id": "bob"}),
    _server("bob is away", "STATUS_CHANGE_PUSH", {"is": "presence_changed", "user": "bob", "state": "away", "last_seen": CLOCK},
            body={"user_id": "bob", "status": 2, "last_seen": MS}),
    _server("kicked: one session too many", "KICK_OUT", {"is": "session_kicked", "reason": "other_device", "text": "bye"}, body={"reason": 1, "message": "bye"}),
    _server("kicked: the account", "KICK_OUT", {"is": "session_kicked", "reason": "account", "text": "bye"}, body={"reason": 2, "message": "bye"}),
]

VECTORS: list[Vector] = [*REQUESTS, *REFUSED, *ANSWERS, *PUSHES]
