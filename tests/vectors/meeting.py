# ruff: noqa: E501
# fmt: off
"""The vectors of document 003."""

from __future__ import annotations

from typing import Any

from tests.vectors.making import HELLO, LONG_ID, Vector, compact

SESSION = "0123456789abcdef0123456789abcdef"
SERVER = {"wss": "wss://m.example:8989/janus", "ws": "ws://m.example:8188/janus", "https": "https://m.example:8089/janus", "http": "http://m.example:8088/janus", "rtsp": "rtsp://m.example:554/live"}
ROOM = {"app": "school", "channel": "class-7", "endpoint": "alice-phone", "role": "normal"}
CAMERA = {"type": "camera", "stream_id": "s-1", "has_video": True, "has_audio": True, "audio_codec": "opus", "video_codec": "vp8"}
DESKTOP = {"type": "desktop", "stream_id": "live/s-2", "has_video": True, "has_audio": False, "audio_codec": "", "video_codec": "h264"}
WITH_SESSION = ("channel.leave", "stream.add", "stream.delete")


def _client(name: str, method: str, data: Any, meaning: Any, *, cseq: int = 1, session: str = SESSION, also: bool = False, **more: Any) -> Vector:
    envelope = {"version": 0, "cseq": cseq, "method": method, "session": session, "data": data, **more}
    envelope = {key: value for key, value in envelope.items() if value is not ...}
    vector: Vector = {"name": name, "from": "client", "meaning": meaning, "text": compact(envelope)}
    if "cseq" in envelope and cseq:
        vector["tag"] = cseq
    return {**vector, "also": True} if also else vector


def _join(name: str, *, session: str = "", also: bool = False, cseq: int = 1, fields: Any = None, **data: Any) -> Vector:
    given = {key: value for key, value in {**ROOM, **data}.items() if value is not ...}
    meaning = {"is": "join_room", **ROOM, **({"session": session} if session else {}), **({} if fields is None else fields)}
    return _client(name, "channel.join", given, {k: v for k, v in meaning.items() if v != ""}, session=session, also=also, cseq=cseq)


def _act(kind: str, **fields: Any) -> dict[str, Any]:
    return {"is": kind, "session": SESSION, **fields}


REQUESTS = [
    _join("join"),
    _join("join with everything", device="phone 7", token="a.b.c", role="recorder", fields={"device": "phone 7", "token": "a.b.c", "role": "recorder"}, cseq=2),
    _join("join without a name", endpoint="", fields={"endpoint": ""}, cseq=3),
    _join("join as somebody", endpoint=..., role=..., fields={"endpoint": ""}, also=True, cseq=3),
    _join("come back", session=SESSION, cseq=4),
    _join("join with integers", app=7, channel=0, endpoint=9007199254740991, device=1, fields={"app": "7", "channel": "0", "endpoint": "9007199254740991", "device": "1"}, also=True, cseq=5),
    _join("join with the longest names", app=LONG_ID, channel=HELLO, endpoint="e" * 255, fields={"app": LONG_ID, "channel": HELLO, "endpoint": "e" * 255}, cseq=6),
    _join("join with nulls", device=None, token=None, role=None, also=True, cseq=7),
    _client("leave", "channel.leave", {}, _act("leave_room"), cseq=8),
    _client("leave without data", "channel.leave", ..., _act("leave_room"), cseq=8, also=True),
    _client("leave, data null", "channel.leave", None, _act("leave_room"), cseq=8, also=True),
    _client("publish a camera", "stream.add", {"stream": CAMERA}, _act("add_stream", stream=CAMERA), cseq=9),
    _client("publish a desktop", "stream.add", {"stream": DESKTOP}, _act("add_stream", stream={k: v for k, v in DESKTOP.items() if v}), cseq=10),
    _client("publish without codecs", "stream.add", {"stream": {k: v for k, v in CAMERA.items() if "codec" not in k}}, _act("add_stream", stream={k: v for k, v in CAMERA.items() if "codec" not in k}), cseq=11, also=True),
    _client("publish no more", "stream.delete", {"stream_id": "s-1"}, _act("delete_stream", stream_id="s-1"), cseq=12),
    _client("dump", "channel.dump", {}, _act("dump_room"), cseq=13),
    _client("where is the media server", "media_server.dump", {}, _act("dump_media_server"), cseq=14),
    _client("where is it for WebRTC", "media_server.dump", {"protocol": "webrtc"}, _act("dump_media_server", protocol="webrtc"), cseq=15),
    _client("broadcast", "broadcast", {"text": HELLO, "n": [1, 2.5, None, True]}, _act("broadcast_in_room", payload={"text": HELLO, "n": [1, 2.5, None, True]}), cseq=16),
    _client("broadcast nothing", "broadcast", {}, _act("broadcast_in_room", payload={}), cseq=17),
    _client("the least there may be", "channel.dump", ..., {"is": "dump_room"}, cseq=0, version=..., also=True, session=...),  # type: ignore[arg-type]
    _client("a negative cseq", "channel.dump", {}, _act("dump_room"), cseq=-5, also=True),
    _client("more members than are known", "channel.dump", {"x": [1]}, _act("dump_room"), cseq=18, also=True, extra="?"),
]


def _wrong(name: str, method: Any, data: Any, code: str = "BAD_REQUEST", **more: Any) -> Vector:
    envelope = {"version": 0, "cseq": 21, "method": method, "session": SESSION, "data": data, **more}
    return {"name": name, "from": "client", "text": compact(envelope), "error": code, "tag": envelope["cseq"]}


def _stream(**fields: Any) -> Any:
    return {"stream": {**CAMERA, **fields}}


REFUSED: list[Vector] = [
    {"name": "not JSON", "from": "client", "text": "{", "error": "BAD_REQUEST"},
    {"name": "not an object", "from": "client", "text": "[1]", "error": "BAD_REQUEST"},
    _wrong("another version", "channel.dump", {}, "VERSION", version=1),
    _wrong("a version that is a string", "channel.dump", {}, version="0"),
    _wrong("an unknown method", "channel.fly", {}, "UNKNOWN_COMMAND"),
    _wrong("no method", None, {}),
    _wrong("a session that is a number", "channel.dump", {}, session=5),
    _wrong("data that is a list", "channel.dump", []),
    _wrong("no app", "channel.join", {"channel": "c"}, session=""),
    _wrong("a channel with a slash", "channel.join", {**ROOM, "channel": "a/b"}, session=""),
    _wrong("an unknown role", "channel.join", {**ROOM, "role": "boss"}, session=""),
    _wrong("an endpoint that is true", "channel.join", {**ROOM, "endpoint": True}, session=""),
    _wrong("a negative name", "channel.join", {**ROOM, "channel": -1}, session=""),
    _wrong("no stream", "stream.add", {}),
    _wrong("a stream of no type", "stream.add", _stream(type="film")),
    _wrong("has_video is a number", "stream.add", _stream(has_video=1)),
    _wrong("a codec with a line end", "stream.add", _stream(audio_codec="opus\n")),
    _wrong("a codec that is too long", "stream.add", _stream(video_codec="v" * 65)),
    _wrong("no stream id", "stream.delete", {"stream_id": ""}),
    _wrong("a protocol that is a number", "media_server.dump", {"protocol": 1}),
    _wrong("a broadcast of a string", "broadcast", "hello"),
]


def _answer(name: str, answers: str, data: Any, meaning: Any, *, err: int = 0, text: str = "ok", method: str = "", **more: Any) -> Vector:
    asked = next(vector for vector in [*REQUESTS, *REFUSED] if vector["name"] == answers)
    envelope = {"version": 0, "cseq": asked.get("tag", 0), "err": err, "err_msg": text, **({"session": SESSION} if method in WITH_SESSION else {}), "data": data}
    vector: Vector = {"name": name, "from": "server", "answers": answers, "meaning": meaning, "text": compact(envelope), **more}
    if asked.get("tag"):
        vector["tag"] = asked["tag"]
    return vector if answers.startswith(("join", "come")) else {**vector, "after": ["join"]}


def _refusal(fault: str, number: int, answers: str, method: str = "") -> Vector:
    return _answer(f"refused: {fault}", answers, {}, {"is": "room_error", "fault": fault, "text": "no"}, err=number, text="no", method=method)


ANSWERS = [
    _answer("joined", "join", {"session": SESSION, "media_server": SERVER}, {"is": "room_joined", "session": SESSION, "media_server": SERVER}),
    _answer("joined under a minted name", "join without a name", {"session": SESSION, "media_server": {}, "endpoint": "ab" * 16}, {"is": "room_joined", "session": SESSION, "endpoint": "ab" * 16}),
    _answer("left", "leave", {}, {"is": "done"}, method="channel.leave"),
    _answer("published", "publish a camera", {}, {"is": "done"}, method="stream.add"),
    _answer("published no more", "publish no more", {}, {"is": "done"}, method="stream.delete"),
    _answer("everybody", "dump", {"endpoint_list": [
        {"endpoint": "alice-phone", "device": "alice-phone", "role": "normal", "stream": None},
        {"endpoint": "tape", "device": "rack 1", "role": "recorder", "stream": CAMERA},
        {"endpoint": "screen", "device": "pc", "role": "relayer", "stream": DESKTOP}]},
        {"is": "room_dump", "endpoints": [
            {"endpoint": "alice-phone", "device": "alice-phone", "role": "normal"},
            {"endpoint": "tape", "device": "rack 1", "role": "recorder", "stream": CAMERA},
            {"endpoint": "screen", "device": "pc", "role": "relayer", "stream": {k: v for k, v in DESKTOP.items() if v}}]}),
    _answer("the media server", "where is the media server", {"media_server": SERVER}, {"is": "media_server_reply", "media_server": SERVER}),
    _answer("the media server for WebRTC", "where is it for WebRTC", {"media_server": {k: v for k, v in SERVER.items() if k != "rtsp"}}, {"is": "media_server_reply", "media_server": {k: v for k, v in SERVER.items() if k != "rtsp"}}),
    _answer("it was broadcast", "broadcast", {}, {"is": "done"}),
    _refusal("bad_request", 1, "dump"), _refusal("unknown_method", 2, "an unknown method"), _refusal("unauthorised", 3, "join"),
    _refusal("bad_session", 4, "leave", "channel.leave"), _refusal("not_joined", 5, "publish no more", "stream.delete"), _refusal("conflict", 6, "publish a camera", "stream.add"),
    _refusal("not_found", 7, "publish no more", "stream.delete") | {"name": "refused: not_found"}, _refusal("room_full", 8, "join"), _refusal("too_fast", 9, "broadcast"),
    _refusal("no_media_server", 10, "where is the media server"), _refusal("version", 11, "dump"), _refusal("internal", 99, "dump"),
]


def _event(name: str, event: str, data: Any, meaning: Any) -> Vector:
    envelope = {"version": 0, "cseq": 0, "event": event, "session": SESSION, "data": data}
    return {"name": name, "from": "server", "after": ["join"], "meaning": meaning, "text": compact(envelope)}


BOB = {"device": "bob-pc", "endpoint": "bob"}
EVENTS = [
    _event("bob joins", "endpoint", {**BOB, "stat": "join"}, {"is": "endpoint_changed", **BOB, "joined": True}),
    _event("bob leaves", "endpoint", {**BOB, "stat": "leave"}, {"is": "endpoint_changed", **BOB}),
    _event("bob publishes", "stream", {**BOB, "stream": "s-3", "stat": "publish"}, {"is": "stream_changed", **BOB, "stream_id": "s-3", "published": True}),
    _event("bob publishes no more", "stream", {**BOB, "stream": "s-3", "stat": "unpublish"}, {"is": "stream_changed", **BOB, "stream_id": "s-3"}),
    _event("bob broadcasts", "broadcast", {"source_endpoint": BOB, "payload": {"text": HELLO}}, {"is": "room_broadcast", **BOB, "payload": {"text": HELLO}}),
    *[_event(f"error {kind}", "error", {"type": kind}, {"is": "room_notice", "type": kind})
      for kind in ("media_server_changed", "replaced", "kicked", "room_closed", "logged_out", "too_slow", "shutdown")],
]

VECTORS: list[Vector] = [*REQUESTS, *REFUSED, *ANSWERS, *EVENTS]
