# ruff: noqa: E501
# fmt: off
"""The vectors of document 004."""

from __future__ import annotations

from typing import Any

from tests.clients.jsonline_client import encode
from tests.vectors.making import HELLO, LONG_ID, SECONDS, Meaning, Vector, compact, error, message, row, text

S = "single_alice_bob"
BOB = {"type": "user", "id": "bob"}
TEXT = {"type": "text", "text": HELLO}


HASH = "0123456789abcdef" * 4
CHANNEL_WIRE = {
    "transfer_id": "tr-1", "mode": "passive", "endpoint": {"host": "files.example.org", "port": 9500, "protocol": "tcp"}, "channel_token": "t",
    "chunk_size": 65536, "resume_offset": 1048576, "encryption": "none", "file_id": "f-1", "file_size": 5242880, "role": "sender",
}
CHANNEL = {
    "transfer": "tr-1", "file": "f-1", "role": "sender", "size": 5242880, "offset": 1048576, "token": "t", "chunk": 65536, "host": "files.example.org", "port": 9500,
    "encryption": "none",
}
OPEN_WIRE = {
    "transfer_id": "tr-1", "sender_id": "bob", "file_name": "a.ogg", "file_size": 5, "file_type": "voice", "stored": False, "sent_at": SECONDS, "expires_at": SECONDS + 60,
    "target": {"type": "group", "id": "team"},
}
OPEN = {"transfer": "tr-1", "sender": "bob", "group": "team", "name": "a.ogg", "size": 5, "kind": "voice", "sent_at": SECONDS, "expires_at": SECONDS + 60}
FILE_WIRE = {**OPEN_WIRE, "stored": True, "hash": f"sha256:{HASH}", "file_id": "f-1", "target": {"type": "user", "id": "alice"}}
FILE = {**{k: v for k, v in OPEN.items() if k != "group"}, "file": "f-1", "recipient": "alice", "sha256": HASH, "stored": True}


def _requested(**fields: Any) -> Meaning:
    return {"is": "request_file", "kind": "file", "client_id": "1", "encryption": "none", **fields}


def _client(name: str, command: str, payload: Any, meaning: Any, *, id: Any = "1", also: bool = False, **form: Any) -> Vector:
    line = encode(command, payload, id=id, **form)[:-1].decode()
    vector: Vector = {"name": name, "from": "client", "text": line, "meaning": meaning}
    if id is not None:
        vector["tag"] = id
    return {**vector, "also": True} if also else vector


def _bad(name: str, line: str, code: str, **more: Any) -> Vector:
    return {"name": name, "from": "client", "text": line, "error": code, **more}


def _wrong(name: str, command: str, payload: Any, code: str = "BAD_REQUEST", **form: Any) -> Vector:
    return _bad(name, encode(command, payload, id="1", **form)[:-1].decode(), code, tag="1")


def _line(kind: str, id: Any, command: str, payload: Any, headers: Any = None) -> str:
    line = {"id": id, "type": kind, "timestamp": SECONDS, "command": command}
    if headers is not None:
        line["headers"] = headers
    return compact({**line, "payload": payload})


def _answer(name: str, request: str, command: str, payload: Any, meaning: Any, *, id: Any = "1", headers: Any = None, **more: Any) -> Vector:
    line = _line("response", id, command, {"status": 200, **payload}, headers)
    vector: Vector = {"name": name, "from": "server", "text": line, "answers": request, "meaning": meaning, **more}
    return {**vector, "tag": id} if id is not None else vector


def _refused(code: str, status: int, number: int, retryable: bool = False) -> dict[str, Any]:
    return {"status": status, "error_code": number, "error": code, "error_message": "no", "retryable": retryable}


def _refusal(name: str, request: str, command: str, code: str, status: int, number: int, *, retryable: bool = False, **more: Any) -> Vector:
    return _answer(name, request, command, _refused(code, status, number, retryable), error(code, "no"), **more)


def _event(name: str, command: str, payload: Any, meaning: Any, *, id: str = "ev-1", **more: Any) -> Vector:
    return {"name": name, "from": "server", "text": _line("event", id, command, payload), "meaning": meaning, **more}


def _send(name: str, fields: Meaning, *, id: Any = "1", also: bool = False, timestamp: Any = None, **payload: Any) -> Vector:
    meaning = {"is": "send_message", "recipient": "bob", "content": text(HELLO), "client_id": str(id or ""), **fields}
    kept = {key: value for key, value in meaning.items() if value != ""}
    given = {"target": BOB, "content": TEXT, **payload}
    return _client(name, "message/send", {k: v for k, v in given.items() if v is not None}, kept, id=id, also=also, timestamp=timestamp)


REQUESTS = [
    _client("log in with a password", "auth/login", {"username": "alice", "password": "pw", "client_info": {"device": "windows", "platform": "pc"}},
            {"is": "log_in", "user": "alice", "password": "pw", "device": "windows", "platform": "pc"}),
    _client("log in with the hash of a password", "auth/login", {"username": "alice", "password": "ab" * 32},
            {"is": "log_in", "user": "alice", "password": "ab" * 32, "hashed": True}),
    _client("log in with a token", "auth/login", {"token": "t"}, {"is": "log_in", "token": "t"}),
    _client("the longest id, in dots", "auth.login", {"username": LONG_ID, "password": "pw"}, {"is": "log_in", "user": LONG_ID, "password": "pw"}, also=True),
    _client("an integer as id", "auth/login", {"username": 2**53 - 1, "password": "pw"}, {"is": "log_in", "user": "9007199254740991", "password": "pw"}, also=True, id=2**53 - 1),
    _client("register", "auth/register", {"username": "张三", "password": "pw"}, {"is": "register", "user": "张三", "password": "pw"}),
    _client("refresh", "auth/refresh", {"refresh_token": "r"}, {"is": "refresh_tokens", "refresh_token": "r", "request_id": "1"}),
    _client("log out", "auth/logout", {}, {"is": "log_out"}),
    _client("heartbeat", "presence/heartbeat", {"seq": 1024}, {"is": "ping", "seq": 1024}, type="event"),
    _client("heartbeat as a request", "presence/heartbeat", {}, {"is": "ping"}, also=True),
    _client("ping", "control/ping", {}, {"is": "ping"}),
    _client("ping with everything", "control/ping", {}, {"is": "ping", "time": SECONDS}, also=True, timestamp=SECONDS,
            headers={"version": "1.0", "trace": {"span": 7}, "client": "x"}, id=7),
    _client("be away", "presence/update", {"state": "away"}, {"is": "set_presence", "state": "away"}),
    _client("list users", "presence/list", {"users": ["bob", "7"]}, {"is": "list_presence", "users": ["bob", "7"]}),
    _client("list all users", "presence/list", {}, {"is": "list_presence"}),
    _send("send a text", {}),
    _send("send under one's own name", {"conversation": "room-001"}, conversation_id="room-001"),
    _send("send to a conversation", {"conversation": S, "recipient": ""}, target=None, conversation_id=S),
    _send("send, the short name of the field", {"conversation": S, "recipient": ""}, target=None, conv_id=S, also=True),
    _send("send with the sender's clock", {"sent_at": SECONDS}, timestamp=SECONDS),
    _send("send without an id", {}, id=None, also=True),
    _send("send the empty text", {"content": text("")}, content={"type": "text", "text": ""}),
    _send("send an emoji to a group", {"group": "demo", "recipient": "", "content": {"object": {"type": "emoji", "name": "smile"}}},
          target={"type": "group", "id": "demo"}, content={"type": "emoji", "name": "smile"}),
    _send("send to a room", {"group": "demo", "recipient": ""}, target={"type": "room", "id": "group_demo"}, also=True),
    _send("send to all", {"broadcast": True, "recipient": ""}, target={"type": "broadcast"}),
    _send("send a body of document 001", {"content": {"number": 2, "hex": "00ff"}}, content={"type": "custom", "message_type": 2, "data": "AP8="}),
    _send("send what belongs to a message", {"attachments": [{"file_id": "f-abc123", "name": "image.png", "size": 2048}], "meta": {"reply_to": "msg-57111", "priority": "normal"}, "extra": {"k": "值"}},
          attachments=[{"file_id": "f-abc123", "name": "image.png", "size": 2048}], meta={"reply_to": "msg-57111", "priority": "normal"}, extra={"k": "值"}),
    _client("ack by id", "message/ack", {"message_id": "m-1"}, {"is": "ack_messages", "message_id": "m-1"}, type="event"),
    _client("ack by number", "message/ack", {"seq": 42}, {"is": "ack_messages", "seq": 42}, type="event"),
    _client("ack as a request", "message/ack", {"seq": 42}, {"is": "ack_messages", "seq": 42}, also=True),
    _client("history of a conversation", "message/history", {"conversation_id": S, "since": "c:17", "limit": 50}, {"is": "read_history", "conversation": S, "since": "c:17", "limit": 50}),
    _client("history of a group", "message/history", {"target": {"type": "group", "id": "demo"}}, {"is": "read_history", "group": "demo"}),
    _client("the whole inbox from a number on", "message/history", {"since": 41}, {"is": "read_history", "since": "41"}, also=True),
    _client("read", "message/read", {"message_ids": ["m-1", "m-2"], "conversation_id": S}, {"is": "mark_read", "message_ids": ["m-1", "m-2"], "conversation": S}),
    _client("revoke", "message/revoke", {"message_id": "m-1"}, {"is": "revoke_message", "message_id": "m-1"}),
    _client("revoke by its other name", "message/delete", {"message_id": "m-1"}, {"is": "revoke_message", "message_id": "m-1"}, also=True),
    _client("typing", "message/typing", {"typing": True, "target": BOB}, {"is": "set_typing", "typing": True, "recipient": "bob"}, type="event"),
    _client("create a group", "group/create", {"group_id": "team", "name": "The team", "open": False, "password": "pw", "members": ["bob"]},
            {"is": "create_group", "group": "team", "name": "The team", "password": "pw", "members": ["bob"]}),
    _client("join a group", "group/join", {"group_id": "team", "password": "pw"}, {"is": "join_group", "group": "team", "password": "pw"}),
    _client("leave a room", "room.leave", {"room_id": "team"}, {"is": "leave_group", "group": "team"}, also=True),
    _client("list groups", "group/list", {}, {"is": "list_groups"}),
    _client("list members", "group/members", {"group_id": "team"}, {"is": "list_members", "group": "team"}),
    _client("describe a group", "group/info", {"group_id": "team"}, {"is": "get_group", "group": "team"}),
    _client("invite", "group/invite", {"group_id": "team", "user_id": "bob"}, {"is": "invite_member", "group": "team", "user": "bob"}),
    _client("kick", "group/kick", {"group_id": "team", "user_id": "bob"}, {"is": "kick_member", "group": "team", "user": "bob"}),
    _client("delete a group", "group/delete", {"group_id": "team"}, {"is": "delete_group", "group": "team"}),
    _client("ask a friend", "friend/request", {"user_id": "bob", "message": "hi"}, {"is": "request_friend", "user": "bob", "message": "hi"}),
    _client("accept by name", "friend/accept", {"user_id": "bob"}, {"is": "accept_friend", "user": "bob"}),
    _client("accept by number", "friend.accept", {"request_id": 7}, {"is": "accept_friend", "request": 7}, also=True),
    _client("reject by number", "friend/reject", {"request_id": 7}, {"is": "reject_friend", "request": 7}),
    _client("end a friendship", "friend/delete", {"user_id": "bob"}, {"is": "delete_friend", "user": "bob"}),
    _client("list friends", "friend/list", {}, {"is": "list_friends"}),
    _client("block", "friend/block", {"user_id": "bob"}, {"is": "block_user", "user": "bob"}),
    _client("unblock", "friend/unblock", {"user_id": "bob"}, {"is": "unblock_user", "user": "bob"}),
    _client("send a file", "file/request", {"file_name": "张三.pdf", "file_size": 5242880, "hash": f"sha256:{HASH}", "target": BOB},
            _requested(name="张三.pdf", size=5242880, sha256=HASH, recipient="bob")),
    _client("send a picture to a group", "file/request", {"file_name": "a.png", "file_size": 0, "target": {"type": "group", "id": "team"}, "file_type": "image"},
            _requested(name="a.png", group="team", kind="image")),
    _client("go on with a file", "file/request", {"file_name": "a.png", "file_size": 5, "conversation_id": S, "resume": {"transfer_id": "tr-1"}},
            _requested(name="a.png", size=5, conversation=S, resume="tr-1")),
    _client("go on as the document does", "file.request", {"file_name": "a.png", "file_size": 5, "checksum": HASH.upper(), "resume": {"transfer_id": "tr-1", "offset": 5}},
            _requested(name="a.png", size=5, sha256=HASH, resume="tr-1"), also=True),
    _client("fetch a file that was offered", "file/accept", {"transfer_id": "tr-1"}, {"is": "accept_file", "transfer": "tr-1", "encryption": "none"}),
    _client("fetch a file from a message", "file/accept", {"file_id": "f-1"}, {"is": "accept_file", "file": "f-1", "encryption": "none"}),
    _client("not this file", "file/reject", {"transfer_id": "tr-1", "reason": "太大"}, {"is": "reject_file", "transfer": "tr-1", "reason": "太大"}),
    _client("no more of this file", "file/cancel", {"transfer_id": "tr-1"}, {"is": "cancel_transfer", "transfer": "tr-1"}),
    _client("some of a file has come", "file/ack", {"transfer_id": "tr-1", "offset": 1310720}, {"is": "report_file", "transfer": "tr-1", "offset": 1310720}),
    _client("all of a file has come", "file/complete", {"transfer_id": "tr-1"}, {"is": "report_file", "transfer": "tr-1"}, also=True),
    _client("list one's files", "file/list", {"after": "17", "limit": 5}, {"is": "list_transfers", "after": "17", "limit": 5}),
]

REFUSED = [
    _bad("not JSON", "{", "BAD_REQUEST"),
    _bad("not an object", "[1]", "BAD_REQUEST"),
    _bad("no command", '{"id":"1"}', "BAD_REQUEST", tag="1"),
    _wrong("an unknown command", "message/fly", {}, "UNKNOWN_COMMAND"),
    _wrong("a command of the server", "message/event", {}),
    _wrong("another version", "control/ping", {}, "VERSION", headers={"version": "2.0"}),
    _wrong("a response", "control/ping", {}, type="response"),
    _wrong("a timestamp of the past", "control/ping", {}, timestamp=-1),
    _wrong("nothing to send", "message/send", {"target": BOB}),
    _wrong("nobody to send to", "message/send", {"content": TEXT}),
    _wrong("content without a type", "message/send", {"target": BOB, "content": {"text": "hi"}}),
    _wrong("an unpaired surrogate", "message/send", {"target": BOB, "content": {"type": "text", "text": "x"}}) | {
        "text": '{"id":"1","type":"request","command":"message/send","payload":{"target":{"type":"user","id":"bob"},"content":{"type":"text","text":"\\ud800"}}}'},
    _wrong("attachments that are none", "message/send", {"target": BOB, "content": TEXT, "attachments": [1]}),
    _wrong("a priority nobody knows", "message/send", {"target": BOB, "content": TEXT, "meta": {"priority": "urgent"}}),
    _wrong("an ack of nothing", "message/ack", {}),
    _wrong("offline as a state", "presence/update", {"state": "offline"}),
    _wrong("friends with nobody", "friend/request", {}),
    _wrong("accepting nothing", "friend/accept", {"request_id": 0}),
    _wrong("a file without a size", "file/request", {"file_name": "a", "target": BOB}),
    _wrong("a file to all", "file/request", {"file_name": "a", "file_size": 1, "target": {"type": "broadcast"}}),
    _wrong("a key where others may read it", "file/request", {"file_name": "a", "file_size": 1, "encryption": "aes-gcm"}),
    _wrong("fetching nothing", "file/accept", {}),
    _wrong("a login without a password", "auth/login", {"username": "alice"}),
]

GROUP = {"group": "team", "name": "The team", "owner": "alice", "created_at": SECONDS, "member_count": 1,
         "members": [{"user": "alice", "role": "owner", "joined_at": SECONDS}]}
GROUP_WIRE = {"group_id": "team", "conversation_id": "group_team", "name": "The team", "owner": "alice", "open": False, "has_password": False,
              "created_at": SECONDS, "member_count": 1, "members": [{"user_id": "alice", "role": "owner", "joined_at": SECONDS}]}
WIRE = {"message_id": "m-1", "conversation_id": S, "sender_id": "bob", "sent_at": SECONDS, "content": TEXT}
ITEM = {**WIRE, "seq": 41, "target": {"type": "user", "id": "alice"}}

ANSWERS = [
    _answer("logged in", "log in with a password", "auth/login",
            {"token": "t", "refresh_token": "r", "user_id": "alice", "expires_in": 3600, "epoch": "e1", "max_seq": 41, "first_seq": 1},
            {"is": "logged_in", "user": "alice", "token": "t", "refresh_token": "r", "expires_in": 3600, "epoch": "e1", "head": 41, "first_seq": 1}),
    _answer("registered", "register", "auth/register", {"user_id": "张三"}, {"is": "registered", "user": "张三"}),
    _answer("refreshed", "refresh", "auth/refresh", {"token": "t", "refresh_token": "r", "user_id": "alice", "expires_in": 3600},
            {"is": "tokens_refreshed", "user": "alice", "token": "t", "refresh_token": "r", "expires_in": 3600}),
    _answer("logged out", "log out", "auth/logout", {}, {"is": "done"}),
    _event("the heartbeat comes back", "presence/heartbeat", {"seq": 1024}, {"is": "pong", "seq": 1024}, id="1", answers="heartbeat"),
    _answer("pong", "ping", "control/ping", {"time": SECONDS}, {"is": "pong", "server_time": SECONDS}),
    _answer("the trace comes back", "ping with everything", "control/ping", {"time": SECONDS}, {"is": "pong", "server_time": SECONDS}, id=7, headers={"trace": {"span": 7}}),
    _answer("away now", "be away", "presence/update", {"state": "away"}, {"is": "done"}),
    _answer("the users", "list users", "presence/list", {"users": [{"user_id": "bob", "state": "online", "last_seen": SECONDS}, {"user_id": "7", "state": "offline", "last_seen": 0}]},
            {"is": "presence_list", "users": [{"user": "bob", "state": "online", "last_seen": SECONDS}, {"user": "7", "state": "offline"}]}),
    _answer("sent", "send a text", "message/send", {"message_id": "m-1", "conversation_id": S, "seq": 42, "sent_at": SECONDS},
            {"is": "message_accepted", "message_id": "m-1", "conversation": S, "seq": 42, "server_at": SECONDS}),
    _answer("being sent to all", "send to all", "message/send", {"status": 202, "message_id": "m-1", "conversation_id": "broadcast", "seq": 42, "sent_at": SECONDS},
            {"is": "message_accepted", "message_id": "m-1", "conversation": "broadcast", "seq": 42, "server_at": SECONDS, "pending": True}),
    _answer("the history", "history of a conversation", "message/history", {"messages": [{k: v for k, v in ITEM.items() if k != "seq"}], "next_cursor": "c:18", "has_more": True},
            {"is": "message_page", "rows": [{"message": message(text(HELLO))}], "next_cursor": "c:18", "has_more": True}),
    _answer("marked as read", "read", "message/read", {"read_at": SECONDS}, {"is": "messages_marked", "at": SECONDS}),
    _answer("revoked", "revoke", "message/revoke", {"message_id": "m-1", "revoked_at": SECONDS}, {"is": "message_revoked_reply", "message_id": "m-1", "at": SECONDS}),
    _answer("the new group", "create a group", "group/create", GROUP_WIRE, {"is": "group_reply", "group": GROUP}),
    _answer("the room was left", "leave a room", "room.leave", {"group_id": "team", "room_id": "team"}, {"is": "done"}),
    _answer("the groups", "list groups", "group/list", {"groups": [{k: v for k, v in GROUP_WIRE.items() if k != "members"}]}, {"is": "group_list", "groups": [{k: v for k, v in GROUP.items() if k != "members"}]}),
    _answer("the members", "list members", "group/members", {"group_id": "team", "members": GROUP_WIRE["members"]}, {"is": "member_list", "group": "team", "members": GROUP["members"]}),
    _answer("asked", "ask a friend", "friend/request", {"user_id": "bob", "state": "requested", "request_id": 7}, {"is": "friend_reply", "user": "bob", "standing": "requested", "request": 7}),
    _answer("accepted", "accept by name", "friend/accept", {"user_id": "bob", "state": "friends"}, {"is": "friend_reply", "user": "bob", "standing": "friends"}),
    _answer("rejected", "reject by number", "friend/reject", {"user_id": "bob", "state": "none"}, {"is": "friend_reply", "user": "bob", "standing": "none"}),
    _answer("where to send a file", "send a file", "file/request", CHANNEL_WIRE, {"is": "channel", **CHANNEL}),
    _answer("where to fetch a file", "fetch a file that was offered", "file/accept", {**CHANNEL_WIRE, "resume_offset": 0, "role": "receiver"},
            {"is": "channel", **{k: v for k, v in CHANNEL.items() if k != "offset"}, "role": "receiver"}),
    _answer("the file was rejected", "not this file", "file/reject", {"transfer_id": "tr-1"}, {"is": "file_ended", "transfer": "tr-1"}),
    _answer("one's files", "list one's files", "file/list", {"transfers": [FILE_WIRE, OPEN_WIRE], "next_cursor": "12", "has_more": True},
            {"is": "transfer_page", "transfers": [FILE, OPEN], "next_cursor": "12"}),
    _answer("blocked", "block", "friend/block", {"user_id": "bob", "state": "blocked"}, {"is": "friend_reply", "user": "bob", "standing": "blocked"}),
    _answer("the friends", "list friends", "friend/list",
            {"friends": [{"user_id": "bob", "since": SECONDS}], "pending_requests": [{"request_id": 7, "user_id": "carol", "message": "hi", "at": SECONDS}],
             "sent_requests": [{"request_id": 8, "user_id": "7", "message": "", "at": SECONDS}], "blocked": [{"user_id": "eve", "at": SECONDS}]},
            {"is": "friend_list", "friends": [{"user": "bob", "since": SECONDS}], "received": [{"request": 7, "user": "carol", "message": "hi", "at": SECONDS}],
             "sent": [{"request": 8, "user": "7", "at": SECONDS}], "blocked": [{"user": "eve", "at": SECONDS}]}),
]

REFUSALS = [
    _refusal("refused: wrong password", "log in with a password", "auth/login", "AUTH_FAILED", 401, 1001),
    _refusal("refused: expired token", "log in with a token", "auth/login", "TOKEN_EXPIRED", 401, 1001),
    _refusal("refused: the name is taken", "register", "auth/register", "USER_EXISTS", 409, 1006),
    _refusal("refused: not the owner", "kick", "group/kick", "FORBIDDEN", 403, 1008),
    _refusal("refused: unknown message", "revoke", "message/revoke", "NOT_FOUND", 404, 1007),
    _refusal("refused: unknown command", "an unknown command", "message/fly", "UNKNOWN_COMMAND", 404, 1007),
    _refusal("refused: no line of JSON", "not JSON", "control/error", "BAD_REQUEST", 400, 1004, id=None),
    _answer("refused: another version", "another version", "control/ping", {**_refused("VERSION", 426, 1002), "advice": "use version 1.0 of the protocol"},
            error("VERSION", "no"), headers={"supported_versions": ["1.0", "1.0"]}),
]
for _name, _code, _status, _number, _again in (
    ("no such user", "USER_NOT_FOUND", 404, 1007, False), ("no such conversation", "CONVERSATION_NOT_FOUND", 404, 1007, False),
    ("a conflict", "CONFLICT", 409, 1010, False), ("too large", "TOO_LARGE", 413, 1009, False), ("too fast", "TOO_FAST", 429, 1005, True),
    ("later", "UNAVAILABLE", 503, 1012, True), ("a fault", "INTERNAL", 500, 1011, True),
):
    # A failed send is told twice: by its answer and by an event under its id.
    _payload = _refused(_code, _status, _number, _again)
    REFUSALS.append({
        "name": f"a send fails: {_name}", "from": "server", "answers": "send a text",
        "text": [_line("response", "1", "message/send", _payload), _line("event", "1", "message/ack", _payload)],
        "tag": "1", "meaning": [error(_code, "no"), {"is": "send_failed", "id": "1", "error": error(_code, "no")}],
    })


def _pushed(name: str, meaning: Any, body: Any, beside: Any) -> Vector:
    payload = {"status": 200, "seq": 42, "message": {**WIRE, **body}, **WIRE, **body, "target": {"type": "user", "id": "alice"}, **beside}
    return _event(name, "message/event", payload, meaning, id="m-1")


def _notice(name: str, kind: str, payload: Any, meaning: Any) -> Vector:
    return _event(name, "notification/event", {"event_type": kind, **payload}, meaning)


PUSHES = [
    _pushed("a text is pushed", row(42, text(HELLO), client_id="c-9"), {}, {"client_id": "c-9"}),
    _pushed("an object is pushed", row(42, {"object": {"type": "voice"}}), {"content": {"type": "voice"}}, {}),
    _pushed("a body of document 001", row(42, {"number": 7, "hex": "00"}), {"content": {"type": "custom", "message_type": 7, "data": "AA=="}}, {}),
    _pushed("all that belongs to a message", row(42, text(HELLO), attachments=[{"file_id": "f1"}], meta={"reply_to": "m-0"}, extra={"k": "v"}), {},
            {"attachments": [{"file_id": "f1"}], "meta": {"reply_to": "m-0"}, "extra": {"k": "v"}}),
    _pushed("a message of a group", {"is": "inbox_row", "seq": 42, "message": {"message_id": "m-1", "conversation": "group_demo", "sender": "bob", "group": "demo", "server_at": SECONDS, "content": text(HELLO)}},
            {"conversation_id": "group_demo"}, {"target": {"type": "group", "id": "demo"}}),
    _event("what was missed", "message/offline",
           {"status": 200, "messages": [ITEM, {**{k: v for k, v in ITEM.items() if k != "content"}, "seq": 42, "content": {"type": "revoked"}, "revoked": True, "revoked_by": "bob", "revoked_at": SECONDS}],
            "has_more": True, "first_seq": 1, "max_seq": 43, "epoch": "e1"},
           {"is": "inbox_page", "rows": [{"seq": 41, "message": message(text(HELLO))}, {"seq": 42, "message": message(text(""), revoked={"by": "bob", "at": SECONDS})}],
            "has_more": True, "first_seq": 1, "head": 43, "epoch": "e1"}),
    _notice("revoked by bob", "message_revoked", {"message_id": "m-1", "conversation_id": S, "revoked_by": "bob", "revoked_at": SECONDS},
            {"is": "message_revoked", "message_id": "m-1", "conversation": S, "by": "bob", "at": SECONDS}),
    _notice("read by bob", "messages_read", {"message_ids": ["m-1"], "conversation_id": S, "reader_id": "bob", "read_at": SECONDS},
            {"is": "messages_read", "message_ids": ["m-1"], "conversation": S, "reader": "bob", "at": SECONDS}),
    _notice("a missed call", "missed_call", {"call_id": "call_1", "caller_id": "bob", "callee_id": "alice", "call_type": "audio", "created_at": SECONDS - 30, "ended_at": SECONDS},
            {"is": "call_missed", "call": "call_1", "caller": "bob", "callee": "alice", "created_at": SECONDS - 30, "ended_at": SECONDS}),
    _notice("bob types", "typing", {"conversation_id": S, "user_id": "bob", "typing": True}, {"is": "typing_changed", "conversation": S, "user": "bob", "typing": True}),
    *[_notice(f"news of a group: {kind}", kind, {"group_id": "team", "conversation_id": "group_team", "user_id": "carol", "by": "alice", "at": SECONDS},
              {"is": "group_changed", "change": kind, "group": "team", "user": "carol", "by": "alice", "at": SECONDS})
      for kind in ("group_created", "group_invited", "group_joined", "group_left", "group_kicked", "group_deleted", "group_owner_changed")],
    _notice("bob asks", "friend_request", {"user_id": "alice", "by": "bob", "at": SECONDS, "request_id": 7, "message": "hi"},
            {"is": "friend_changed", "change": "friend_request", "user": "alice", "by": "bob", "at": SECONDS, "request": 7, "message": "hi"}),
    *[_notice(f"news of a friend: {kind}", kind, {"user_id": "alice", "by": "bob", "at": SECONDS, "request_id": 7},
              {"is": "friend_changed", "change": kind, "user": "alice", "by": "bob", "at": SECONDS, "request": 7})
      for kind in ("friend_accepted", "friend_rejected", "friend_withdrawn")],
    *[_notice(f"news of a friend: {kind}", kind, {"user_id": "alice", "by": "bob", "at": SECONDS}, {"is": "friend_changed", "change": kind, "user": "alice", "by": "bob", "at": SECONDS})
      for kind in ("friend_deleted", "user_blocked", "user_unblocked")],
    _event("bob sends a file", "file/request", OPEN_WIRE, {"is": "file_offered", "info": OPEN}),
    _event("bob's file is whole", "file/complete", {"stage": "stored", **FILE_WIRE}, {"is": "file_stored", "info": FILE}),
    _event("bob has a file", "file/complete", {"stage": "delivered", "transfer_id": "tr-1", "file_id": "f-1", "user_id": "bob"}, {"is": "file_delivered", "transfer": "tr-1", "file": "f-1", "user": "bob"}),
    _event("bob wants a file", "file/accept", {"transfer_id": "tr-1", "user_id": "bob"}, {"is": "file_accepted", "transfer": "tr-1", "user": "bob"}),
    _event("bob wants no file", "file/reject", {"transfer_id": "tr-1", "user_id": "bob", "reason": ""}, {"is": "file_rejected", "transfer": "tr-1", "user": "bob"}),
    _event("bob sends no file after all", "file/cancel", {"transfer_id": "tr-1", "user_id": "bob", "reason": "no"}, {"is": "file_cancelled", "transfer": "tr-1", "user": "bob", "reason": "no"}),
    _event("bob is offline", "presence/event", {"user_id": "bob", "state": "offline", "last_seen": SECONDS}, {"is": "presence_changed", "user": "bob", "state": "offline", "last_seen": SECONDS}),
    _event("kicked: one session too many", "auth/kick", {"reason": "other_device", "message": "bye"}, {"is": "session_kicked", "reason": "other_device", "text": "bye"}),
    _event("kicked: the account", "auth/kick", {"reason": "account", "message": "bye"}, {"is": "session_kicked", "reason": "account", "text": "bye"}),
    _event("the server goes down", "control/error", _refused("UNAVAILABLE", 503, 1012, True), error("UNAVAILABLE", "no"), source={"is": "session_kicked", "reason": "shutdown", "text": "no"}),
]

VECTORS: list[Vector] = [*REQUESTS, *REFUSED, *ANSWERS, *REFUSALS, *PUSHES]
