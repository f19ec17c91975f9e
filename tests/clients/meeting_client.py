"""A client of document 003 (meeting rooms), written out by hand.

Knows nothing of imserver. It is strict about what a server may send, keeps the view of the
room that a client has who hears only its own dump and the events after it, and lets a test
send anything at all.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionLost
from twisted.python.failure import Failure

from tests.clients.websocket_client import TEXT, ServerViolation, WebSocketClient, connect_tcp

Message = dict[str, Any]
Where = Callable[[Message], bool]

EVENT_DATA = {
    "stream": {"device", "endpoint", "stream", "stat"},
    "endpoint": {"device", "endpoint", "stat"},
    "error": {"type"},
    "broadcast": {"source_endpoint", "payload"},
}
STATS = {"stream": {"publish", "unpublish"}, "endpoint": {"join", "leave"}}
STREAM = {"stream_id", "type", "has_video", "has_audio", "audio_codec", "video_codec"}
MEDIA = {"wss", "ws", "https", "http", "rtsp"}
ERRORS = {
    "media_server_changed", "replaced", "kicked", "room_closed", "logged_out", "too_slow", "shutdown",
}  # fmt: skip
ERR = {*range(12), 99}
WITH_SESSION = {"channel.leave", "stream.add", "stream.delete"}


def violated(condition: bool, what: Any) -> None:
    """Raises ServerViolation if the condition holds."""
    if condition:
        raise ServerViolation(repr(what))


def check_event(message: Message, session: str) -> None:
    """An event of the server (document 003, section 2). Raises ServerViolation."""
    violated(set(message) != {"version", "cseq", "event", "session", "data"}, message)
    violated((message["version"], message["cseq"]) != (0, 0), message)
    violated(message["session"] != session, (message, session))
    name, data = message["event"], message["data"]
    violated(EVENT_DATA.get(name) != set(data), message)
    violated("stat" in data and data["stat"] not in STATS[name], message)
    violated(name == "error" and data["type"] not in ERRORS, message)
    if name == "broadcast":
        violated(set(data["source_endpoint"]) != {"device", "endpoint"}, message)
        violated(type(data["payload"]) is not dict, message)


def check_answer(message: Message, method: str) -> None:
    """An answer of the server to a method (section 1); "" = to nothing that is known."""
    needed = {"version", "cseq", "err", "err_msg", "data"} | (
        {"session"} if method in WITH_SESSION else set()
    )
    violated(set(message) != needed, message)
    violated(message["err"] not in ERR or type(message["err"]) is not int, message)
    violated(type(message["err_msg"]) is not str or not message["err_msg"], message)
    data = message["data"]
    violated(type(data) is not dict, message)
    if message["err"]:
        violated(data != {}, message)
    elif method == "channel.join":
        violated(
            not {"session", "media_server"} <= set(data) <= {"session", "media_server", "endpoint"}, message
        )
        violated(len(data["session"]) < 32, message)
        violated(not set(data["media_server"]) <= MEDIA, message)
    elif method == "channel.dump":
        violated(set(data) != {"endpoint_list"}, message)
        for one in data["endpoint_list"]:
            violated(set(one) != {"endpoint", "device", "role", "stream"}, one)
            violated(one["role"] not in ("normal", "recorder", "relayer"), one)
            violated(one["stream"] is not None and set(one["stream"]) != STREAM, one)
    elif method == "media_server.dump":
        violated(set(data) != {"media_server"}, message)
        violated(not set(data["media_server"]) <= MEDIA, message)
    else:
        violated(data != {}, message)


class MeetingClient(WebSocketClient):
    """One connection.

    Attributes:
        session: what the server gave, sent with every request.
        endpoint: the name it joined under.
        events: what came and no `expect` took yet.
        all_events: everything that came, in order.
        view: (device, stream id or None) by endpoint: the last dump, and the events since.
        heard: what it was when the last dump came.
        timeout: seconds after which a request or an expectation fails.
    """

    def __init__(self, reactor: Any = None, **form: Any) -> None:
        """Args:
        reactor: for the timeouts; None = none.
        form: as in WebSocketClient.
        """
        super().__init__(**{"path": "/meeting", **form})
        self.reactor = reactor
        self.timeout = 30.0
        self.session = ""
        self.endpoint = ""
        self.events: list[Message] = []
        self.all_events: list[Message] = []
        self.keep_events = True
        self.view: dict[str, tuple[str, str | None]] = {}
        self.heard = self.view
        self._cseqs = itertools.count(1)
        self._asked: dict[int, tuple[str, Any, Deferred[Message]]] = {}
        self._strays: list[Deferred[Message]] = []
        self._expected: list[tuple[str, Where | None, Deferred[Message]]] = []

    # What a test does

    def send(self, message: Any) -> None:
        """Send anything that can be written."""
        self.send_text(json.dumps(message, ensure_ascii=False))

    def request(
        self, method: str, data: Any = None, *, session: Any = None, cseq: int | None = None, **more: Any
    ) -> Deferred[Message]:
        """Send a request; fires with its answer."""
        cseq = next(self._cseqs) if cseq is None else cseq
        answer: Deferred[Message] = Deferred()
        if self.closed.called:
            answer.errback(Failure(ConnectionLost()))
            return answer
        self._asked[cseq] = (method, data, answer)
        envelope = {
            "version": 0,
            "cseq": cseq,
            "method": method,
            "session": self.session if session is None else session,
            "data": {} if data is None else data,
        }
        self.send({**envelope, **more})
        return self._bounded(answer)

    async def join(
        self, app: str, channel: str, endpoint: str = "", *, session: str = "", **data: Any
    ) -> Message:
        """channel.join; takes the session."""
        data = {"app": app, "channel": channel, "endpoint": endpoint, "role": "normal", **data}
        return await self.request("channel.join", data, session=session)

    async def publish(self, stream_id: str, **fields: Any) -> Message:
        """stream.add."""
        stream = {
            "type": "camera", "stream_id": stream_id, "has_video": True, "has_audio": True,
            "audio_codec": "opus", "video_codec": "vp8", **fields,
        }  # fmt: skip
        return await self.request("stream.add", {"stream": stream})

    async def dump(self) -> list[Message]:
        """channel.dump; the view begins anew with it."""
        answer = await self.request("channel.dump")
        assert answer["err"] == 0, answer
        endpoints: list[Message] = answer["data"]["endpoint_list"]
        return endpoints

    def stray(self) -> Deferred[Message]:
        """The next answer that belongs to no request of `request` (its cseq is none of theirs)."""
        waiter: Deferred[Message] = Deferred()
        self._strays.append(waiter)
        return self._bounded(waiter)

    def expect(self, event: str, where: Where | None = None) -> Deferred[Message]:
        """The first event of a name (for whose data `where` holds) that nobody took yet."""
        waiter: Deferred[Message] = Deferred()
        for index, message in enumerate(self.events):
            if message["event"] == event and (where is None or where(message["data"])):
                del self.events[index]
                waiter.callback(message)
                return waiter
        if self.closed.called:
            waiter.errback(Failure(ConnectionLost()))
            return waiter
        self._expected.append((event, where, waiter))
        return self._bounded(waiter)

    # WebSocketClient

    def message_received(self, opcode: int, payload: bytes) -> None:
        """See WebSocketClient."""
        violated(opcode != TEXT, opcode)
        try:
            message = json.loads(payload)
        except ValueError:
            raise ServerViolation("not JSON") from None
        violated(type(message) is not dict, message)
        if "event" in message:
            check_event(message, self.session)
            self._event(message)
        else:
            self._answer(message)

    def _answer(self, message: Message) -> None:
        nothing: tuple[str, Any, Any] = ("", {}, None)
        method, asked, answer = self._asked.pop(message.get("cseq", 0), nothing)
        if answer is None:
            violated(not self._strays, message)
            check_answer(message, "")
            self._strays.pop(0).callback(message)
            return
        check_answer(message, method)
        if not message["err"]:
            if method == "channel.join":
                self.session = message["data"]["session"]
                self.endpoint = message["data"].get("endpoint") or asked["endpoint"]
            elif method.startswith("stream."):  # nobody hears of himself
                stream = asked["stream"]["stream_id"] if method == "stream.add" else None
                self.view[self.endpoint] = (self.view.get(self.endpoint, (self.endpoint, None))[0], stream)
            elif method == "channel.leave":
                self.session = ""
            elif method == "channel.dump":
                self.heard = self.view
                self.view = view_of(message["data"]["endpoint_list"])
        if not answer.called:
            answer.callback(message)

    def _event(self, message: Message) -> None:
        apply(self.view, message)
        for index, (event, where, waiter) in enumerate(self._expected):
            if event == message["event"] and not waiter.called and (where is None or where(message["data"])):
                del self._expected[index]
                waiter.callback(message)
                return
        if self.keep_events:
            self.events.append(message)
            self.all_events.append(message)

    def connection_ended(self) -> None:
        """Fails whatever still waits."""
        super().connection_ended()
        waiting = [one for _, _, one in self._asked.values()] + [entry[2] for entry in self._expected]
        waiting += self._strays
        self._asked.clear()
        self._expected.clear()
        self._strays.clear()
        for waiter in waiting:
            if not waiter.called:
                waiter.errback(Failure(ConnectionLost()))

    def _bounded(self, waiter: Deferred[Message]) -> Deferred[Message]:
        return waiter if self.reactor is None else waiter.addTimeout(self.timeout, self.reactor)


def view_of(endpoints: list[Message]) -> dict[str, tuple[str, str | None]]:
    """The view that a dump gives."""
    return {
        one["endpoint"]: (one["device"], one["stream"] and one["stream"]["stream_id"]) for one in endpoints
    }


def apply(view: dict[str, tuple[str, str | None]], message: Message) -> None:
    """What an event changes in a view. What cannot be, given the view, is the server's fault."""
    data = message["data"]
    if message["event"] == "endpoint":
        if data["stat"] == "join":
            violated(data["endpoint"] in view, (data, "is there already"))
            view[data["endpoint"]] = (data["device"], None)
        else:
            violated(view.pop(data["endpoint"], (0, None))[1] is not None, (data, "left with a stream"))
    elif message["event"] == "stream":
        device, stream = view.get(data["endpoint"], (data["device"], None))
        published = data["stat"] == "publish"
        violated(published == (stream is not None), (data, stream))
        view[data["endpoint"]] = (device, data["stream"] if published else None)


async def connect(
    reactor: Any, port: int, *, token: str = "", place: str = "query", **form: Any
) -> MeetingClient:
    """Connects.

    Args:
        token: for the handshake; "" = none.
        place: "query" or "header".
    """
    headers = []
    path = "/meeting"
    if token and place == "query":
        path += "?" + urlencode({"token": token})
    elif token:
        headers.append(("Authorization", f"Bearer {token}"))
    client = MeetingClient(reactor, path=path, headers=headers, **form)
    await connect_tcp(reactor, port, client)
    return client


async def connect_member(
    reactor: Any, port: int, user: str, channel: str = "room", endpoint: str = "", **data: Any
) -> MeetingClient:
    """Connects, and joins a room of the app `app` with the demo token; takes the dump."""
    client = await connect(reactor, port, token=f"demo_token_{user}")
    answer = await client.join("app", channel, endpoint or user, **data)
    assert answer["err"] == 0, answer
    await client.dump()
    return client
