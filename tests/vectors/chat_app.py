# ruff: noqa: E501
# fmt: off
"""The vectors of document 004's dialect chat-app."""

from __future__ import annotations

from typing import Any

from tests.clients.jsonline_client import encode
from tests.vectors.making import HELLO, LONG_ID, SECONDS, Meaning, Vector, compact, error, row, text

S = "single_alice_bob"
BOB = {"type": "user", "id": "bob"}
TEAM = {"type": "group", "id": "team"}
TEXT = {"type": "text", "text": HELLO}
HASH = "ab" * 32
VERSION = {"version": "1.0"}
RELAY = "5f0e" * 8


def _client(name: str, command: str, payload: Any, meaning: Any, *, id: Any = "1", also: bool = False, **form: Any) -> Vector:
    form = {"timestamp": SECONDS, "headers": VERSION, **form}
    line = encode(command, payload, id=id, **form)[:-1].decode()
    vector: Vector = {"name": name, "from": "client", "text": line, "meaning": meaning}
    if id:
        vector["tag"] = str(id)
    return {**vector, "also": True} if also else vector


def _wrong(name: str, command: str, payload: Any, code: str = "BAD_REQUEST", **form: Any) -> Vector:
    line = encode(command, payload, id="1", timestamp=SECONDS, **{"headers": VERSION, **form})[:-1].decode()
    return {"name": name, "from": "client", "text": line, "error": code, "tag": "1"}


def _line(kind: str, id: str, command: str, payload: Any, headers: Any = None) -> str:
    return compact({"id": id, "type": kind, "timestamp": SECONDS, "command": command, "headers": headers or VERSION, "payload": payload})


def _answer(name: str, request: str, command: str, payload: Any, meaning: Any, *, id: str = "1", headers: Any = None, **more: Any) -> Vector:
    line = _line("response", id, command, {"status": 200, **payload}, headers)
    vector: Vector = {"name": name, "from": "server", "text": line, "answers": request, "meaning": meaning, **more}
    return {**vector, "tag": id} if id else vector


def _refused(code: str, status: int, number: int, retryable: bool = False) -> dict[str, Any]:
    return {"status": status, "error_code": number, "error": code, "error_message": "no", "retryable": retryable}


def _refusal(name: str, request: str, command: str, code: str, status: int, number: int, repeats: Any = None, *, retryable: bool = False, **more: Any) -> Vector:
    payload = {**_refused(code, status, number, retryable), **(repeats or {})}
    return _answer(name, request, command, payload, error(code, "no"), **more)


def _account(name: str, request: str, command: str, code: str, status: int, number: int) -> Vector:
    """A refusal that has the members of a success, empty."""
    payload = {"status": status, "token": "", "user_id": "", "expires_in": 0, "error_code": number, "error_message": "no"}
    return _answer(name, request, command, payload, error(code, "no"))


def _event(name: str, command: str, payload: Any, meaning: Any, *, id: str = "ev-1", **more: Any) -> Vector:
    return {"name": name, "from": "server", "text": _line("event", id, command, payload), "meaning": meaning, **more}


def _send(name: str, fields: Meaning, *, id: Any = "1", also: bool = False, **payload: Any) -> Vector:
    meaning = {"is": "send_message", "recipient": "bob", "content": text(HELLO), "client_id": str(id or ""), "sent_at": SECONDS, **fields}
    kept = {key: value for key, value in meaning.items() if value != ""}
    given = {"target": BOB, "content": TEXT, **payload}
    return _client(name, "message/send", {k: v for k, v in given.items() if v is not None}, kept, id=id, also=also)


REQUESTS = [
    _client("log in", "auth/login", {"username": "alice", "password": HASH, "client_info": {"device": "windows", "platform": "pc"}},
            {"is": "log_in", "user": "alice", "password": HASH, "hashed": True, "device": "chat-app windows", "platform": "pc"}),
    _client("log in with a plain password", "auth/login", {"username": "alice", "password": "pw"}, {"is": "log_in", "user": "alice", "password": "pw", "device": "chat-app"}, also=True),
    _client("log in with large digits", "auth.login", {"username": "alice", "password": HASH.upper(), "token": None}, {"is": "log_in", "user": "alice", "password": HASH, "hashed": True, "device": "chat-app"}, also=True),
    _client("register", "auth/register", {"username": LONG_ID, "password": HASH}, {"is": "register", "user": LONG_ID, "password": HASH, "hashed": True}),
    _client("renew the token", "auth/refresh", {"token": "t"}, {"is": "renew_token", "token": "t"}),
    _client("log out", "auth/logout", {}, {"is": "log_out"}),
    _client("heartbeat", "presence/heartbeat", {"seq": 1}, {"is": "ping", "seq": 1, "time": SECONDS}, type="event"),
    _client("be away", "presence/update", {"state": "away"}, {"is": "set_presence", "state": "away"}),
    _client("who is there", "presence/list", {}, {"is": "list_presence"}),
    _send("send a text", {"conversation": "ab"}, conversation_id="ab"),
    _send("send to a room", {"recipient": "", "group": "team"}, target=TEAM),
    _send("send as a room", {"recipient": "", "group": "team"}, target={"type": "room", "id": "team"}, also=True),
    _send("a bare text to a bare name", {}, target="bob", content=HELLO, also=True),
    _send("nulls, and a number as id", {}, id=7, also=True, attachments=None, conversation_id=None),
    _client("history", "message/history", {"conversation_id": "ab", "limit": 50}, {"is": "read_history", "conversation": "ab", "limit": 50, "page_bytes": 48128}),
    _client("create a room", "room/create", {"room_id": "team", "encrypted": True, "password": "pw"}, {"is": "create_group", "group": "team", "encrypted": True, "password": "pw"}),
    _client("create an open room", "room/create", {"room_id": "team", "encrypted": False}, {"is": "create_group", "group": "team", "open": True}),
    _client("create a room in words", "room/create", {"room_id": 7, "encrypted": "true", "password": None}, {"is": "create_group", "group": "7", "open": True, "encrypted": True}, also=True),
    _client("join a room", "room/join", {"room_id": "team", "password": "pw"}, {"is": "join_group", "group": "team", "password": "pw"}),
    _client("leave a room", "room/leave", {"room_id": "team"}, {"is": "leave_group", "group": "team"}),
    _client("the rooms", "room/list", {}, {"is": "list_groups"}),
    _client("who is in a room", "room/members", {"room_id": "team"}, {"is": "list_members", "group": "team"}),
    _client("kick", "room/kick", {"room_id": "team", "user_id": "bob"}, {"is": "kick_member", "group": "team", "user": "bob"}),
    _client("ask a friend", "friend/request", {"target_id": "bob", "message": "hi"}, {"is": "request_friend", "user": "bob", "message": "hi"}),
    _client("accept", "friend/accept", {"request_id": 7}, {"is": "accept_friend", "request": 7}),
    _client("accept, the number in a string", "friend/accept", {"request_id": "7"}, {"is": "accept_friend", "request": 7}, also=True),
    _client("reject", "friend/reject", {"request_id": 7}, {"is": "reject_friend", "request": 7}),
    _client("end a friendship", "friend/delete", {"friend_id": "bob"}, {"is": "delete_friend", "user": "bob"}),
    _client("the friends", "friend/list", {}, {"is": "list_friends"}),
    _client("offer a file", "file/request", {"target": BOB, "file_name": "张三.pdf", "file_size": 5242880, "checksum": "c"},
            {"is": "request_relay", "name": "张三.pdf", "size": 5242880, "checksum": "c", "recipient": "bob"}),
    _client("offer a file by its path", "file/request", {"target": {"type": "room", "id": "team"}, "file_name": "C:\\files\\a.png", "file_size": "5"},
            {"is": "request_relay", "name": "a.png", "size": 5, "group": "team"}, also=True),
    _client("take a file", "file/accept", {"session_id": RELAY}, {"is": "accept_relay", "relay": RELAY}),
    _client("take no file", "file/reject", {"session_id": RELAY, "reason": "no"}, {"is": "reject_relay", "relay": RELAY, "reason": "no"}),
    _client("a file has come", "file/complete", {"session_id": RELAY}, {"is": "end_relay", "relay": RELAY}),
    _client("a file does not come", "file/error", {"session_id": RELAY, "error_message": "no"}, {"is": "end_relay", "relay": RELAY, "failed": True, "reason": "no"}),
    _client("call bob", "voice/call", {"call_type": "direct", "target": BOB}, {"is": "start_call", "callee": "bob", "call": "call-1"}, id="call-1"),
    _client("call a room", "voice/call", {"call_type": "group", "target": TEAM}, {"is": "start_group_call", "group": "team", "call": "call-2"}, id="call-2"),
    _client("answer", "voice/answer", {"call_id": "call-1"}, {"is": "answer_call", "call": "call-1"}),
    _client("reject a call", "voice/reject", {"call_id": "call-1"}, {"is": "reject_call", "call": "call-1"}),
    _client("hang up", "voice/end", {"call_id": "call-1"}, {"is": "end_call", "call": "call-1"}),
    _client("speak", "voice/data", {"call_id": "call-1", "data": "00ff7f"}, {"is": "call_media", "data": "00ff7f", "call": "call-1"}, type="event"),
]

REFUSED = [
    {"name": "not JSON", "from": "client", "text": "{", "error": "BAD_REQUEST"},
    _wrong("an unknown command", "message/fly", {}, "UNKNOWN_COMMAND"),
    _wrong("a command of the draft that is not here", "file/list", {}, "UNKNOWN_COMMAND"),
    _wrong("another version", "control/ping", {}, "VERSION", headers={"version": "2.0"}),
    _wrong("a login without a password", "auth/login", {"username": "alice"}),
    _wrong("no token to renew", "auth/refresh", {}),
    _wrong("nobody to send to", "message/send", {"content": TEXT}),
    _wrong("no room to join", "room/join", {}),
    _wrong("nobody to kick", "room/kick", {"room_id": "team"}),
    _wrong("accepting nothing", "friend/accept", {"request_id": "x"}),
    _wrong("a file without a size", "file/request", {"target": BOB, "file_name": "a"}),
    _wrong("a file to all", "file/request", {"target": {"type": "broadcast"}, "file_name": "a", "file_size": 1}),
    _wrong("taking nothing", "file/accept", {}),
    _wrong("a call of a kind that is none", "voice/call", {"call_type": "video", "target": BOB}),
    _wrong("a user called as a room", "voice/call", {"call_type": "group", "target": BOB}),
    _wrong("what is no voice", "voice/data", {"call_id": "call-1", "data": "zz"}),
]

ROOM = {"room_id": "team", "encrypted": True, "owner": "alice", "created_at": SECONDS, "members": ["alice", "bob"]}
GROUP = {"group": "team", "name": "team", "owner": "alice", "created_at": SECONDS, "member_count": 2, "encrypted": True,
         "members": [{"user": "alice", "role": "owner"}, {"user": "bob", "role": "member"}]}
ASKED = {"request_id": 7, "from_user": "carol", "target_id": "alice", "user_id": "carol", "message": "hi", "created_at": SECONDS}
PLACE = {"session_id": RELAY, "file_name": "a.pdf", "file_size": 5, "channel_host": "files.example.org", "channel_port": 9500, "target_id": "bob"}
PLACED = {"is": "relay_accepted", "relay": RELAY, "target": "bob", "name": "a.pdf", "size": 5, "host": "files.example.org", "port": 9500, "tls_port": 9500}


def _standing(state: str, request: int = 0) -> dict[str, Any]:
    return {"state": state, "user_id": "bob", "target_id": "bob", "friend_id": "bob", "request_id": request}


ANSWERS = [
    _answer("logged in", "log in", "auth/login_ack", {"token": "t", "user_id": "alice", "expires_in": 3600}, {"is": "logged_in", "user": "alice", "token": "t", "expires_in": 3600}),
    _answer("registered", "register", "auth/register_ack", {"token": "", "user_id": LONG_ID, "expires_in": 0}, {"is": "registered", "user": LONG_ID}),
    _answer("renewed", "renew the token", "auth/refresh_ack", {"token": "t2", "user_id": "alice", "expires_in": 3600}, {"is": "tokens_refreshed", "user": "alice", "token": "t2", "expires_in": 3600}),
    _answer("logged out", "log out", "auth/logout", {}, {"is": "done"}),
    _answer("those who are there", "who is there", "presence/list", {"users": ["bob", "7"]}, {"is": "presence_list", "users": [{"user": "bob", "state": "online"}, {"user": "7", "state": "online"}]}),
    _answer("sent", "send a text", "message/ack", {"message_id": "m-1", "conversation_id": "ab", "seq": 42, "sent_at": SECONDS},
            {"is": "message_accepted", "message_id": "m-1", "conversation": "ab", "seq": 42, "server_at": SECONDS}),
    _answer("a number comes back as a string", "nulls, and a number as id", "message/ack", {"message_id": "m-1", "conversation_id": S, "seq": 42, "sent_at": SECONDS},
            {"is": "message_accepted", "message_id": "m-1", "conversation": S, "seq": 42, "server_at": SECONDS}, id="7"),
    _answer("the room", "create a room", "room/create", ROOM, {"is": "group_reply", "group": GROUP}),
    _answer("in the room", "join a room", "room/join", ROOM, {"is": "group_reply", "group": GROUP}),
    _answer("out of the room", "leave a room", "room/leave", {"room_id": "team"}, {"is": "done"}),
    _answer("one's rooms", "the rooms", "room/list", {"rooms": ["team"]}, {"is": "group_list", "groups": [{"group": "team", "name": "team"}]}),
    _answer("those in a room", "who is in a room", "room/members", {"room_id": "team", "members": ["alice", "bob"]},
            {"is": "member_list", "group": "team", "members": [{"user": "alice", "role": "member"}, {"user": "bob", "role": "member"}]}),
    _answer("kicked out", "kick", "room/kick", {"room_id": "team", "user_id": "bob"}, {"is": "done"}),
    _answer("asked", "ask a friend", "friend/request_ack", _standing("requested", 7), {"is": "friend_reply", "user": "bob", "standing": "requested", "request": 7}),
    _answer("accepted", "accept", "friend/accept_ack", _standing("friends", 7), {"is": "friend_reply", "user": "bob", "standing": "friends", "request": 7}),
    _answer("not accepted", "reject", "friend/reject_ack", _standing("none", 7), {"is": "friend_reply", "user": "bob", "standing": "none", "request": 7}),
    _answer("friends no more", "end a friendship", "friend/delete_ack", _standing("none"), {"is": "friend_reply", "user": "bob", "standing": "none"}),
    _answer("one's friends", "the friends", "friend/list_ack", {"friends": [{"friend_id": "bob", "user_id": "bob", "since": SECONDS}], "pending_requests": [ASKED], "sent_requests": []},
            {"is": "friend_list", "friends": [{"user": "bob", "since": SECONDS}], "received": [{"request": 7, "user": "carol", "message": "hi", "at": SECONDS}]}),
    _answer("the file is offered", "offer a file", "file/request_ack", {"sessions": [{"session_id": RELAY, "target_id": "bob"}], "file_name": "张三.pdf", "file_size": 5242880},
            {"is": "relays_requested", "relays": [{"relay": RELAY, "target": "bob"}], "name": "张三.pdf", "size": 5242880}),
    _answer("where to fetch it", "take a file", "file/accept_ack", PLACE, PLACED),
    _answer("it is not taken", "take no file", "file/reject_ack", {"session_id": RELAY}, {"is": "done"}),
    _answer("it rings", "call bob", "voice/call_ack", {"call_id": "call-1"}, {"is": "done"}, id="call-1"),
    _answer("it rings in the room", "call a room", "voice/call_ack", {"call_id": "call-2"}, {"is": "done"}, id="call-2"),
    _answer("answered", "answer", "voice/answer_ack", {"call_id": "call-1"}, {"is": "done"}),
    _answer("rejected", "reject a call", "voice/reject_ack", {"call_id": "call-1"}, {"is": "done"}),
    _answer("hung up", "hang up", "voice/end_ack", {"call_id": "call-1"}, {"is": "done"}),
]

REFUSALS = [
    _account("refused: wrong password", "log in", "auth/login_ack", "AUTH_FAILED", 401, 1001),
    _account("refused: the name is taken", "register", "auth/register_ack", "USER_EXISTS", 409, 1006),
    _account("refused: the token is no more", "renew the token", "auth/refresh_ack", "AUTH_FAILED", 401, 1001),
    _refusal("refused: no such user", "send a text", "message/ack", "USER_NOT_FOUND", 404, 1007, {"message_id": ""}),
    _refusal("refused: not the owner", "kick", "room/kick", "FORBIDDEN", 403, 1008, {"room_id": "team", "user_id": "bob"}),
    _refusal("refused: no such room", "join a room", "room/join", "NOT_FOUND", 404, 1007, {"room_id": "team"}),
    _refusal("refused: no such request", "accept", "friend/accept_ack", "NOT_FOUND", 404, 1007, {"request_id": 7}),
    _refusal("refused: nobody is there", "offer a file", "file/request_ack", "NOT_FOUND", 404, 1007, {"sessions": [], "file_name": "张三.pdf", "file_size": 5242880}),
    _refusal("refused: no such file", "take a file", "file/accept_ack", "NOT_FOUND", 404, 1007, {"session_id": RELAY}),
    _refusal("refused: in another call", "answer", "voice/answer_ack", "CONFLICT", 409, 1010, {"call_id": "call-1"}),
    _refusal("refused: too fast", "call bob", "voice/call_ack", "TOO_FAST", 429, 1005, {"call_id": "call-1"}, retryable=True, id="call-1"),
    _refusal("refused: no room is named", "no room to join", "room/join", "BAD_REQUEST", 400, 1004, {"room_id": ""}),
    _refusal("refused: no line of JSON", "not JSON", "control/error", "BAD_REQUEST", 400, 1004, id=""),
    _answer("refused: another version", "another version", "control/ping", {**_refused("VERSION", 426, 1002), "advice": "use version 1.0 of the protocol"},
            error("VERSION", "no"), headers={**VERSION, "supported_versions": ["1.0", "1.0"]}),
]


def _pushed(name: str, meaning: Any, **more: Any) -> Vector:
    payload = {"status": 200, "seq": 42, "message_id": "m-1", "conversation_id": S, "sender_id": "bob", "sent_at": SECONDS, "content": TEXT, "target": {"type": "user", "id": "alice"}, **more}
    return _event(name, "message/event", payload, meaning, id="m-1")


def _friend(name: str, word: str, change: str, **more: Any) -> Vector:
    payload = {"event_type": word, "request_id": 7, "from_user": "bob", "target_id": "alice", "friend_id": "bob", "user_id": "bob", "message": "", "created_at": SECONDS, **more}
    return _event(name, "friend/event", payload, {"is": "friend_changed", "change": change, "user": "alice", "by": "bob", "at": SECONDS, "request": 7, **more})


def _file(name: str, command: str, more: Any, meaning: Any) -> Vector:
    return _event(name, command, {"session_id": RELAY, "target_id": "bob", "file_name": "a.pdf", **more}, {**meaning, "relay": RELAY, "target": "bob", "name": "a.pdf"})


CALL = {"call": "call-1", "caller": "bob", "callee": "alice"}
ENDED = {"is": "call_ended", **CALL, "created_at": SECONDS - 60, "ended_at": SECONDS}


def _told(word: str, user: str, more: Any = None, *, group: bool = False) -> tuple[Any, Any]:
    """The payload of a voice/event, and what a client learns from it."""
    more = more or {}
    call, target, initiator = ("call-2", "team", "carol") if group else ("call-1", "alice", "bob")
    kind = "group" if group else "direct"
    payload = {"event_type": word, "call_id": call, "call_type": kind, "target_type": "group" if group else "user", "target_id": target, "initiator": initiator, "user_id": user, **more}
    learned = {"is": "voice_event", "event_type": word, "call": call, "call_type": kind, "target": target, "initiator": initiator, "user": user, **more}
    return payload, {name: value for name, value in learned.items() if value}


def _voice(name: str, source: Any, word: str, user: str, **more: Any) -> Vector:
    payload, meaning = _told(word, user, more)
    return _event(name, "voice/event", payload, meaning, source=source)


def _room(name: str, change: str, word: str, user: str, **more: Any) -> Vector:
    payload, meaning = _told(word, user, {"participants": ["carol", "alice"], **more}, group=True)
    source = {"is": "group_call_changed", "change": change, "call": "call-2", "group": "team", "initiator": "carol", "user": user, "participants": ["carol", "alice"]}
    if "duration" in more:
        source |= {"duration": more["duration"], "ending": more["reason"]}
    return _event(name, "voice/event", payload, meaning, source=source)


def _notice(name: str, kind: str, payload: Any, meaning: Any) -> Vector:
    return _event(name, "notification/event", {"event_type": kind, **payload}, meaning)


def _rejected() -> Vector:
    """Alice called bob, who does not want to: two events."""
    about = {"call_id": "call-1", "call_type": "direct", "target_type": "user", "target_id": "bob", "initiator": "alice", "user_id": "bob"}
    more = {"participants": ["alice"], "duration": 0, "reason": "rejected"}
    learned = {"is": "voice_event", "call": "call-1", "call_type": "direct", "target": "bob", "initiator": "alice", "user": "bob"}
    return {
        "name": "bob rejects", "from": "server",
        "text": [_line("event", "ev-1", "voice/event", {"event_type": "rejected", **about}), _line("event", "ev-2", "voice/event", {"event_type": "ended", **about, **more})],
        "meaning": [{**learned, "event_type": "rejected"}, {**learned, "event_type": "ended", "participants": ["alice"], "reason": "rejected"}],
        "source": {"is": "call_ended", "call": "call-1", "caller": "alice", "callee": "bob", "ending": "rejected", "created_at": SECONDS - 9, "ended_at": SECONDS, "by": "bob"},
    }


PUSHES = [
    _pushed("a text", row(42, text(HELLO), client_id="c-9"), client_id="c-9"),
    _pushed("an object, and what belongs to it", row(42, {"object": {"type": "emoji", "name": "smile"}}, meta={"reply_to": "m-0"}), content={"type": "emoji", "name": "smile"}, meta={"reply_to": "m-0"}),
    _friend("bob asks", "new_request", "friend_request", message="hi"),
    _friend("bob accepts", "request_accepted", "friend_accepted"),
    _friend("bob does not accept", "request_rejected", "friend_rejected"),
    _event("bob offers a file", "file/request", {"session_id": RELAY, "from_user": "bob", "file_name": "a.pdf", "file_size": 5, "checksum": "c"},
           {"is": "relay_offered", "relay": RELAY, "sender": "bob", "name": "a.pdf", "size": 5, "checksum": "c"}),
    _event("bob takes a file", "file/accept", PLACE, PLACED),
    _file("bob takes no file", "file/reject", {"reason": "no"}, {"is": "relay_rejected", "reason": "no"}),
    _file("a file is there", "file/complete", {"file_size": 5}, {"is": "relay_completed", "size": 5}),
    _file("a file is lost", "file/error", {"status": 503, "error_code": 1012, "error_message": "no"}, {"is": "relay_failed", "reason": "no"}),
    _voice("bob calls", {"is": "call_incoming", **CALL, "created_at": SECONDS}, "incoming", "bob"),
    _voice("alice has answered", {"is": "call_accepted", **CALL, "answered_at": SECONDS}, "connected", "alice", participants=["bob", "alice"]),
    _voice("bob hangs up", {**ENDED, "ending": "hangup", "answered_at": SECONDS - 16, "by": "bob"}, "ended", "bob", participants=["bob", "alice"], duration=16, reason="hangup"),
    _voice("answered elsewhere", {"is": "call_stopped", **CALL, "at": SECONDS}, "ended", "bob", participants=["bob"], duration=0, reason="answered_elsewhere"),
    _rejected(),
    _room("carol calls the room", "incoming", "incoming", "carol"),
    _room("alice is in it", "connected", "connected", "alice"),
    _room("dave comes", "joined", "member_joined", "dave"),
    _room("dave goes", "left", "member_left", "dave"),
    _room("dave does not want to", "rejected", "rejected", "dave"),
    _room("it is over", "ended", "ended", "carol", duration=7, reason="hangup"),
    _event("bob speaks", "voice/data", {"call_id": "call-1", "data": "00ff7f", "from_user": "bob"}, {"is": "call_media", "data": "00ff7f", "call": "call-1", "sender": "bob"}),
    _event("bob is offline", "presence/event", {"user_id": "bob", "state": "offline", "last_seen": SECONDS}, {"is": "presence_changed", "user": "bob", "state": "offline", "last_seen": SECONDS}),
    _notice("a room is deleted", "group_deleted", {"group_id": "team", "conversation_id": "group_team", "user_id": "bob", "by": "bob", "at": SECONDS},
            {"is": "group_changed", "change": "group_deleted", "group": "team", "user": "bob", "by": "bob", "at": SECONDS}),
    _event("kicked: the account", "auth/kick", {"reason": "account", "message": "bye"}, {"is": "session_kicked", "reason": "account", "text": "bye"}),
]

VECTORS: list[Vector] = [*REQUESTS, *REFUSED, *ANSWERS, *REFUSALS, *PUSHES]
