# ruff: noqa: UP031 - the braces are JSON's
"""Every JSON of document 003, as it stands there, both directions, both roles.

Where the document has a placeholder ("....", "a/b") one of the values it stands for is put
in; its comments are left out.
"""

from __future__ import annotations

import json
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from imserver.model.messages import Done
from imserver.model.rooms import (
    AddStream,
    BroadcastInRoom,
    DeleteStream,
    DumpMediaServer,
    DumpRoom,
    EndpointChanged,
    EndpointInfo,
    EndpointRole,
    JoinRoom,
    LeaveRoom,
    MediaServerReply,
    Notice,
    RoomBroadcast,
    RoomDump,
    RoomJoined,
    RoomNotice,
    Stream,
    StreamChanged,
    StreamType,
)
from imserver.wire.base import Upgrade
from imserver.wire.meeting import MeetingClientCodec, MeetingServerCodec, negotiate

NORMAL = EndpointRole.NORMAL
CAMERA = Stream("xxxx", StreamType.CAMERA, True, True, "opus", "vp8")
SERVER = {
    "wss": "wss://xxx:port/xxx",
    "ws": "ws://xxx:port/xxx",
    "https": "https://xxx:port/xxx",
    "http": "http://xxx:port/xxx",
    "rtsp": "rtsp://xxx:port/xxx",
}
MEDIA_SERVER = """
        "media_server": {
            "wss": "wss://xxx:port/xxx",
            "ws": "ws://xxx:port/xxx",
            "https": "https://xxx:port/xxx",
            "http": "http://xxx:port/xxx",
            "rtsp": "rtsp://xxx:port/xxx"
        }"""
STREAM = """
                    "stream_id": "xxxx",
                    "type": "%s",
                    "has_video": true,
                    "has_audio": true,
                    "audio_codec": "opus",
                    "video_codec": "vp8"
"""

# (section, request, command, answer, reply)
METHODS: list[tuple[str, str, Any, str, Any]] = [
    (
        "1.1 channel.join",
        """{"version": 0, "cseq": 0, "method": "channel.join", "session": "",
            "data": {"app": "xxx", "channel": "xxx", "endpoint": "xxx", "role": "normal"}}""",
        JoinRoom("xxx", "xxx", "xxx", NORMAL),
        """{"version": 0, "cseq": 0, "err": 0, "err_msg": "xxx",
            "data": {"session": "xxx", %s}}"""
        % MEDIA_SERVER,
        RoomJoined("xxx", SERVER),
    ),
    (
        "1.2 channel.leave",
        '{"version": 0, "cseq": 0, "method": "channel.leave", "session": "xxx", "data": {}}',
        LeaveRoom("xxx"),
        '{"version": 0, "cseq": 0, "err": 0, "err_msg": "xxx", "session": "xxx", "data": {}}',
        Done(),
    ),
    (
        "1.3 stream.add",
        """{"version": 0, "cseq": 0, "method": "stream.add", "session": "xxx", "data": {"stream": {%s}}}"""
        % (STREAM % "camera"),
        AddStream("xxx", CAMERA),
        '{"version": 0, "cseq": 0, "err": 0, "err_msg": "xxx", "session": "xxx", "data": {}}',
        Done(),
    ),
    (
        "1.4 stream.delete",
        """{"version": 0, "cseq": 0, "method": "stream.delete", "session": "xxx",
            "data": {"stream_id": "xxx"}}""",
        DeleteStream("xxx", "xxx"),
        '{"version": 0, "cseq": 0, "err": 0, "err_msg": "xxx", "session": "xxx", "data": {}}',
        Done(),
    ),
    (
        "1.5 channel.dump",
        '{"version": 0, "cseq": 0, "method": "channel.dump", "session": "xxx", "data": {}}',
        DumpRoom("xxx"),
        """{"version": 0, "cseq": 0, "err": 0, "err_msg": "xxx", "data": {"endpoint_list": [
            {"endpoint": "xxx", "device": "xxx", "role": "normal", "stream": {%s}},
            {"endpoint": "yyy", "device": "xxx", "role": "recorder", "stream": {%s}},
            {"endpoint": "zzz", "device": "xxx", "role": "relayer", "stream": null}]}}"""
        % (STREAM % "camera", STREAM % "desktop"),
        RoomDump(
            [
                EndpointInfo("xxx", "xxx", NORMAL, CAMERA),
                EndpointInfo(
                    "yyy",
                    "xxx",
                    EndpointRole.RECORDER,
                    Stream("xxxx", StreamType.DESKTOP, True, True, "opus", "vp8"),
                ),
                EndpointInfo("zzz", "xxx", EndpointRole.RELAYER),
            ]
        ),
    ),
    (
        "1.6 media_server.dump",
        """{"version": 0, "cseq": 0, "method": "media_server.dump", "session": "xxx",
            "data": {"protocol": "webrtc"}}""",
        DumpMediaServer("xxx", "webrtc"),
        '{"version": 0, "cseq": 0, "err": 0, "err_msg": "xxx", "data": {%s}}' % MEDIA_SERVER,
        MediaServerReply(SERVER),
    ),
    (
        "1.7 broadcast",
        """{"version": 0, "cseq": 0, "method": "broadcast", "session": "xxx",
            "data": {"a": [1, "你好"], "b": {}}}""",
        BroadcastInRoom("xxx", '{"a":[1,"你好"],"b":{}}'.encode()),
        '{"version": 0, "cseq": 0, "err": 0, "err_msg": "xxx", "data": {}}',
        Done(),
    ),
]
EVENTS: list[tuple[str, Any]] = [
    (
        """{"version": 0, "cseq": 0, "event": "stream", "session": "xxx",
            "data": {"device": "xxx", "endpoint": "xxx", "stream": "xxx", "stat": "publish"}}""",
        StreamChanged("xxx", "xxx", "xxx", True),
    ),
    (
        """{"version": 0, "cseq": 0, "event": "stream", "session": "xxx",
            "data": {"device": "xxx", "endpoint": "xxx", "stream": "xxx", "stat": "unpublish"}}""",
        StreamChanged("xxx", "xxx", "xxx", False),
    ),
    (
        """{"version": 0, "cseq": 0, "event": "endpoint", "session": "xxx",
            "data": {"device": "xxx", "endpoint": "xxx", "stat": "join"}}""",
        EndpointChanged("xxx", "xxx", True),
    ),
    (
        """{"version": 0, "cseq": 0, "event": "endpoint", "session": "xxx",
            "data": {"device": "xxx", "endpoint": "xxx", "stat": "leave"}}""",
        EndpointChanged("xxx", "xxx", False),
    ),
    (
        """{"version": 0, "cseq": 0, "event": "error", "session": "xxx",
            "data": {"type": "media_server_changed"}}""",
        RoomNotice(Notice.MEDIA_SERVER_CHANGED),
    ),
    (
        """{"version": 0, "cseq": 0, "event": "broadcast", "session": "xxx",
            "data": {"source_endpoint": {"device": "xxx", "endpoint": "xxx"},
                     "payload": {"a": [1, "你好"], "b": {}}}}""",
        RoomBroadcast("xxx", "xxx", '{"a":[1,"你好"],"b":{}}'.encode()),
    ),
]


def joined() -> MeetingServerCodec:
    """A server's codec whose peer has the session "xxx"."""
    codec = MeetingServerCodec()
    _, request, _, _, reply = METHODS[0]
    codec.reply(codec.decode(request.encode()), reply)
    return codec


class Golden(SynchronousTestCase):
    def test_the_server_reads_every_request(self) -> None:
        for name, request, command, *_ in METHODS:
            self.assertEqual(MeetingServerCodec().decode(request.encode()).command, command, name)

    def test_a_client_writes_every_request(self) -> None:
        for name, request, command, *_ in METHODS:
            written = json.loads(MeetingClientCodec().request(command, 0))
            self.assertEqual(written, json.loads(request), name)
            self.assertEqual(list(written), ["version", "cseq", "method", "session", "data"])

    def test_the_server_writes_every_answer(self) -> None:
        for name, request, _, answer, reply in METHODS:
            codec = joined()
            (written,) = codec.reply(codec.decode(request.encode()), reply)
            wanted = json.loads(answer) | {"err_msg": "ok"}
            self.assertEqual(json.loads(written), wanted, name)
            self.assertEqual(list(json.loads(written)), list(wanted), name)

    def test_a_client_reads_every_answer(self) -> None:
        for name, _, command, answer, reply in METHODS:
            codec = MeetingClientCodec()
            codec.request(command, 0)
            self.assertEqual(codec.decode(answer.encode()), (0, reply), name)

    def test_the_server_writes_every_event(self) -> None:
        for text, event in EVENTS:
            (written,) = joined().event(event)
            self.assertEqual(json.loads(written), json.loads(text))
            self.assertEqual(list(json.loads(written)), list(json.loads(text)))
            halves = joined().shared_event(event)
            assert halves is not None
            self.assertEqual(b"xxx".join(halves), written)

    def test_a_client_reads_every_event(self) -> None:
        for text, event in EVENTS:
            self.assertEqual(MeetingClientCodec().decode(text.encode()), (None, event))


class Echo(SynchronousTestCase):
    def test_cseq_and_version_come_back(self) -> None:
        codec = MeetingServerCodec()
        for cseq in (0, 1, -1, 2**53 - 1, -(2**53) + 1):
            text = json.dumps(
                {"version": 0, "cseq": cseq, "method": "channel.dump", "session": "", "data": {}}
            )
            (answer,) = codec.reply(codec.decode(text.encode()), RoomDump([]))
            self.assertEqual((json.loads(answer)["cseq"], json.loads(answer)["version"]), (cseq, 0))

    def test_no_session_before_the_join_and_after_the_leave(self) -> None:
        codec = joined()
        leave = codec.decode(METHODS[1][1].encode())
        self.assertEqual(json.loads(codec.reply(leave, Done())[0])["session"], "xxx")
        self.assertEqual(codec.session, "")
        delete = codec.decode(METHODS[3][1].encode())
        self.assertEqual(json.loads(codec.reply(delete, Done())[0])["session"], "")


class Handshake(SynchronousTestCase):
    def token(self, upgrade: Upgrade, data: str = "") -> str:
        codec = negotiate(upgrade).codec
        more = f', "token": "{data}"' if data else ""
        text = '{"method": "channel.join", "data": {"app": "a", "channel": "c"%s}}' % more
        token: str = codec.decode(text.encode()).command.token
        return token

    def test_where_tokens_stand(self) -> None:
        query = Upgrade({"token": ["q", "x"]}, "Bearer h")
        self.assertEqual(self.token(query, "d"), "d")
        self.assertEqual(self.token(query), "q")
        for header in ("Bearer h", "bearer  h ", " BEARER h"):
            self.assertEqual(self.token(Upgrade({}, header)), "h")
        for header in ("", "Basic h", "h", "Bearer", "Bearer "):
            self.assertEqual(self.token(Upgrade({"token": [""]}, header)), "")
        self.assertIsNone(negotiate(query).log_in)
