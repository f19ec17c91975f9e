"""A client of document 004, written out by hand: JSON lines over TCP.

Knows nothing of imserver. It is strict about what a server may send, and lets a
test send anything at all.
"""

from __future__ import annotations

import base64
import itertools
import json
import os
import zlib
from collections.abc import Callable
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.error import ConnectionLost
from twisted.internet.interfaces import IStreamClientEndpoint, ITCPTransport
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure

Line = dict[str, Any]
Where = Callable[[Line], bool]

MAX_LINE = 256 * 1024


class ServerViolation(Exception):
    """The server broke document 004."""


def encode(
    command: str,
    payload: Any = None,
    *,
    id: Any = None,
    type: str = "request",
    timestamp: Any = None,
    headers: Any = None,
) -> bytes:
    """A line with its newline. `id` and the optional fields are left out where they are None."""
    line: Line = {} if id is None else {"id": id}
    line["type"] = type
    if timestamp is not None:
        line["timestamp"] = timestamp
    line["command"] = command
    if headers is not None:
        line["headers"] = headers
    line["payload"] = {} if payload is None else payload
    return json.dumps(line, ensure_ascii=False).encode() + b"\n"


def decode(line: bytes) -> Line:
    """A line of the server as an object.

    Raises:
        ServerViolation: it is not what document 004 allows a server to send.
    """
    try:
        message = json.loads(line.decode(), parse_constant=_not_json)
    except ValueError as fault:
        raise ServerViolation(f"not a line of JSON in UTF-8: {fault}") from None
    if type(message) is not dict:
        raise ServerViolation("not an object")
    if message.get("type") not in ("response", "event"):
        raise ServerViolation(f"type {message.get('type')!r}")
    if type(message.get("timestamp")) is not int or message["timestamp"] <= 0:
        raise ServerViolation(f"timestamp {message.get('timestamp')!r}")
    if type(message.get("command")) is not str or not message["command"]:
        raise ServerViolation(f"command {message.get('command')!r}")
    if type(message.get("payload")) is not dict:
        raise ServerViolation("no payload")
    if message.get("headers", {}).get("encoding") == "zlib":
        message["payload"] = json.loads(zlib.decompress(base64.b64decode(message["payload"]["data"])))
    if "id" not in message or type(message["id"]) not in (str, int, type(None)):
        raise ServerViolation("no id")
    if message["type"] == "response" and type(message["payload"].get("status")) is not int:
        raise ServerViolation("a response without a status")
    messages = message["payload"].get("messages", ())
    if len(line) > MAX_LINE and message["command"] != "message/event" and len(messages) != 1:
        raise ServerViolation(f"a line of {len(line)} bytes")
    return message


def _not_json(constant: str) -> Any:
    raise ValueError(constant)


class JsonLineClient(Protocol):
    """One connection.

    Attributes:
        lines: every line that came, in order, decoded.
        events: events that no `expect` took yet, and responses nobody asked for.
        ended: fires with None when the connection is gone; fails with ServerViolation.
        timeout: seconds after which a request or an expectation fails.
    """

    transport: ITCPTransport

    def __init__(self, reactor: Any = None) -> None:
        """Args:
        reactor: for the timeouts; None = none.
        """
        self.reactor = reactor
        self.timeout = 20.0
        self.lines: list[Line] = []
        self.events: list[Line] = []
        self.ended: Deferred[None] = Deferred()
        self._rest = bytearray()
        self._ids = itertools.count(1)
        self._prefix = os.urandom(6).hex()
        self._requests: dict[Any, Deferred[Line]] = {}
        self._expected: list[tuple[str, Where | None, Deferred[Line]]] = []
        self._violation: ServerViolation | None = None

    # What a test does

    def new_id(self) -> str:
        """An id that no connection has used yet: a send's id is its key over reconnects and restarts."""
        return f"{self._prefix}-{next(self._ids)}"

    def send_raw(self, data: bytes) -> None:
        """Bytes as they are."""
        self.transport.write(data)

    def send(self, command: str, payload: Any = None, *, id: Any = None, **form: Any) -> Any:
        """Send a line without waiting; returns its id. `form` as in `encode`."""
        id = self.new_id() if id is None else id
        self.send_raw(self.encoded(command, payload, id=id, **form))
        return id

    def send_event(self, command: str, payload: Any = None, **form: Any) -> None:
        """Send an event: it has no answer."""
        self.send(command, payload, type="event", **form)

    def request(self, command: str, payload: Any = None, *, id: Any = None, **form: Any) -> Deferred[Line]:
        """Send a request; fires with its response line, whatever the status."""
        id = self.new_id() if id is None else id
        answer = self.answer_to(id)
        self.send(command, payload, id=id, **form)
        return answer

    def answer_to(self, id: Any) -> Deferred[Line]:
        """The next response with this id; None = one to a line whose id could not be read."""
        answer: Deferred[Line] = Deferred()
        if self.ended.called:
            answer.errback(Failure(ConnectionLost()))
            return answer
        self._requests[id] = answer
        return self._bounded(answer)

    def expect(self, command: str, where: Where | None = None) -> Deferred[Line]:
        """The first event of a command (for which `where` holds) that nobody took yet; waits for it."""
        waiter: Deferred[Line] = Deferred()
        for index, line in enumerate(self.events):
            if line["command"] == command and (where is None or where(line)):
                del self.events[index]
                waiter.callback(line)
                return waiter
        if self.ended.called:
            waiter.errback(Failure(ConnectionLost()))
            return waiter
        self._expected.append((command, where, waiter))
        return self._bounded(waiter)

    def close(self) -> Deferred[None]:
        """Close in good order; returns `ended`."""
        self.transport.loseConnection()
        return self.ended

    def abort(self) -> None:
        """Drop the connection with a reset."""
        self.transport.abortConnection()

    def pause(self) -> None:
        """Stop reading: the server's bytes pile up."""
        self.transport.pauseProducing()  # type: ignore[attr-defined]

    def resume(self) -> None:
        """Read again."""
        self.transport.resumeProducing()  # type: ignore[attr-defined]

    # Shorthands

    def log_in(self, user: str, password: str = "", device: str = "test", **more: Any) -> Deferred[Line]:
        """auth/login with a password (the user's name where none is given)."""
        payload = {"username": user, "password": password or user, "client_info": {"device": device}}
        return self.request("auth/login", {**payload, **more})

    def send_text(
        self, user: str = "", text: str = "", *, group: str = "", id: Any = None, **more: Any
    ) -> Deferred[Line]:
        """message/send of a text to a user or a group."""
        target = {"type": "group", "id": group} if group else {"type": "user", "id": user}
        payload = {"target": target, "content": {"type": "text", "text": text}, **more}
        return self.request("message/send", payload, id=id)

    def encoded(self, command: str, payload: Any, **form: Any) -> bytes:
        """The bytes of a line; see `encode`."""
        return encode(command, payload, **form)

    def decoded(self, line: bytes) -> Line:
        """What a line of the server says. Raises ServerViolation."""
        return decode(line)

    # Twisted

    def _bounded(self, waiter: Deferred[Line]) -> Deferred[Line]:
        return waiter if self.reactor is None else waiter.addTimeout(self.timeout, self.reactor)

    def dataReceived(self, data: bytes) -> None:
        """Cuts lines and sorts them."""
        if self._violation is not None:
            return
        self._rest += data
        *lines, rest = bytes(self._rest).split(b"\n")
        self._rest = bytearray(rest)
        for line in lines:
            try:
                self._line_received(self.decoded(line))
            except ServerViolation as violation:
                self._violation = violation
                self.transport.abortConnection()
                return

    def _line_received(self, line: Line) -> None:
        self.lines.append(line)
        if line["type"] == "response":
            answer = self._requests.pop(line["id"], None)
            if answer is not None:
                if not answer.called:
                    answer.callback(line)
                return
        for index, (command, where, waiter) in enumerate(self._expected):
            if command == line["command"] and not waiter.called and (where is None or where(line)):
                del self._expected[index]
                waiter.callback(line)
                return
        self.events.append(line)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Fails whatever still waits."""
        waiting = [*self._requests.values(), *(entry[2] for entry in self._expected)]
        self._requests.clear()
        self._expected.clear()
        if self._violation is not None:
            self.ended.errback(Failure(self._violation))
        else:
            self.ended.callback(None)
        for waiter in waiting:
            if not waiter.called:
                waiter.errback(Failure(self._violation or ConnectionLost()))


Client = TypeVar("Client", bound=JsonLineClient)


async def connect(endpoint: IStreamClientEndpoint, client: Client) -> Client:
    """Connects."""
    await connectProtocol(endpoint, client)
    return client


async def connect_tcp(reactor: Any, port: int, client: Client | None = None, host: str = "127.0.0.1") -> Any:
    """`connect` over plain TCP, with a new client unless one is given."""
    return await connect(
        TCP4ClientEndpoint(reactor, host, port, timeout=10), client or JsonLineClient(reactor)
    )
