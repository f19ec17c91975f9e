"""A client of document 000, written out by hand: Qt's QDataStream over TCP.

Knows nothing of imserver. Framed, there is a u16 length before each message, as
Int16StringReceiver writes it. Unframed, messages are bare; the deployed program
takes what one read gives it for one message (`strict_reads`), this one can also
cut it by its fields. MEDIA has no end then; the media of these tests has no byte
below 0x80 (`packet`), and every message begins with one.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.error import ConnectionLost
from twisted.internet.interfaces import IStreamClientEndpoint, ITCPTransport
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure

_MESSAGE_TYPE = re.compile(rb"[\x00-\x7f]")

Message = dict[str, Any]
Where = Callable[[Message], bool]

OFFER, CHUNK, CHUNK_ACK, CANCEL, COMPLETE = range(5)
TEXT, FILE, CALL_REQUEST, CALL_ACCEPT, CALL_REJECT, CALL_END, MEDIA, HEARTBEAT = range(8)
LOGIN, REGISTER, AUTH_RESPONSE, ERROR, PRESENCE = range(8, 13)
NAMES = [
    "text",
    "file",
    "call_request",
    "call_accept",
    "call_reject",
    "call_end",
    "media",
    "heartbeat",
    "login",
    "register",
    "auth_response",
    "error",
    "presence",
]


def packet(number: int, size: int) -> bytes:
    """A packet of media that can be found again in a stream of them, cut anyhow: no byte is below 0x80.

    Args:
        size: its bytes, at least 5.
    """
    digits = bytes(0x80 | number >> shift & 0x3F for shift in (18, 12, 6, 0))
    return b"\xff" + digits + bytes((0x80 + number % 0x60,)) * (size - 5)


def packets(stream: bytes, size: int) -> list[int]:
    """The numbers of the whole packets in a stream of media; others, cut short, are left out."""
    found = []
    for part in stream.split(b"\xff")[1:]:
        number = sum((digit & 0x3F) << shift for digit, shift in zip(part, (18, 12, 6, 0), strict=False))
        if b"\xff" + part == packet(number, size):
            found.append(number)
    return found


class ServerViolation(Exception):
    """The server broke document 000."""


# Strings


def utf8(text: str) -> bytes:
    """u16 byte length, UTF-8: what the document's tables say."""
    data = text.encode("utf-8")
    return struct.pack(">H", len(data)) + data


def qstring(text: str) -> bytes:
    """u32 byte length, UTF-16 big-endian: what `stream << QString` writes."""
    data = text.encode("utf-16-be")
    return struct.pack(">I", len(data)) + data


FORMS: dict[str, Callable[[str], bytes]] = {"utf8": utf8, "qstring": qstring}


class Reader:
    """Reads fields; running out of bytes is a violation."""

    def __init__(self, data: bytes, form: str) -> None:
        self.data = data
        self.form = form
        self.at = 0

    def take(self, count: int) -> bytes:
        if self.at + count > len(self.data):
            raise ServerViolation("a message is too short")
        self.at += count
        return self.data[self.at - count : self.at]

    def number(self, format: str) -> int:
        (value,) = struct.unpack(">" + format, self.take(struct.calcsize(">" + format)))
        return int(value)

    def utf8(self) -> str:
        return self.take(self.number("H")).decode("utf-8")

    def string(self) -> str:
        if self.form == "utf8":
            return self.utf8()
        length = self.number("I")
        if length == 0xFFFFFFFF:
            return ""
        if length % 2:
            raise ServerViolation("a QString of an odd length")
        return self.take(length).decode("utf-16-be")


def _file(r: Reader) -> Message:
    op = r.number("B")
    if op == OFFER:
        offer = {"op": op, "peer": r.string(), "transfer": r.string(), "name": r.string()}
        return {**offer, "size": r.number("Q"), "sha256": r.string()}
    fields: Message = {"op": op, "transfer": r.string()}
    if op == CHUNK:
        fields["offset"] = r.number("Q")
        return {**fields, "data": r.take(r.number("I"))}
    if op == CHUNK_ACK:
        return {**fields, "offset": r.number("Q")}
    if op == CANCEL:
        return {**fields, "reason": r.string()}
    if op == COMPLETE:
        return fields
    raise ServerViolation(f"file operation {op}")


def _fields(kind: int, r: Reader) -> Message:
    if kind == TEXT:
        return {"sender": r.string(), "text": r.string()}
    if kind == FILE:
        return _file(r)
    if kind == CALL_REQUEST:
        return {"call": r.string(), "caller": r.string(), "video": r.number("B")}
    if kind in (CALL_ACCEPT, CALL_END):
        return {"call": r.string()}
    if kind == CALL_REJECT:
        return {"call": r.string(), "reason": r.string()}
    if kind == MEDIA:
        return {"call": r.string(), "data": r.take(len(r.data) - r.at)}
    if kind == AUTH_RESPONSE:
        if r.number("B"):
            return {"success": True, "token": r.utf8(), "user": r.utf8()}
        return {"success": False, "error": r.utf8()}
    if kind == ERROR:
        return {"request": r.number("B"), "code": r.number("H"), "reason": r.string()}
    if kind == PRESENCE:
        return {"user": r.string(), "state": r.number("B")}
    if kind == HEARTBEAT:
        return {}
    raise ServerViolation(f"message type {kind}")


def decode(data: bytes, form: str) -> tuple[Message, int]:
    """One message of the server, and where it ends.

    Raises:
        ServerViolation: it is none.
    """
    if not data:
        raise ServerViolation("an empty message")
    reader = Reader(data, form)
    kind = reader.number("B")
    try:
        fields = _fields(kind, reader)
    except UnicodeDecodeError:
        raise ServerViolation("a string is not valid text") from None
    return {"type": NAMES[kind], **fields}, reader.at


class QDataStreamClient(Protocol):
    """One connection.

    Attributes:
        messages: everything that came, in order.
        reads: the bytes of each read.
        pending: messages that no `expect` took yet.
        ended: fires with None when the connection is gone; fails with ServerViolation.
        timeout: seconds after which an expectation fails.
    """

    transport: ITCPTransport

    def __init__(
        self, reactor: Any = None, *, framed: bool = True, form: str = "utf8", strict_reads: bool = False
    ) -> None:
        """Args:
        reactor: for the timeouts; None = none.
        form: "utf8" or "qstring", spoken and expected.
        strict_reads: unframed: one read must be one message (server and test on a quiet machine).
        """
        self.reactor = reactor
        self.framed = framed
        self.form = form
        self.strict_reads = strict_reads
        self.string = FORMS[form]
        self.timeout = 20.0
        self.messages: list[Message] = []
        self.reads: list[bytes] = []
        self.pending: list[Message] = []
        self.ended: Deferred[None] = Deferred()
        self._rest = b""
        self._expected: list[tuple[str, Where | None, Deferred[Message]]] = []
        self._violation: ServerViolation | None = None

    # What a test does

    def send_raw(self, data: bytes) -> None:
        """Bytes as they are."""
        self.transport.write(data)

    def wrap(self, message: bytes) -> bytes:
        """A message as it goes over this connection."""
        return struct.pack(">H", len(message)) + message if self.framed else message

    def send(self, message: bytes) -> None:
        """One message."""
        self.send_raw(self.wrap(message))

    def register(self, user: str, token: str = "", *, kind: int = HEARTBEAT, payload: bytes = b"") -> None:
        """The registration: the first message, of any type."""
        self.send(bytes((kind,)) + utf8(user) + (utf8(token) if token else b"") + payload)

    def log_in(self, user: str, password: str, *, kind: int = LOGIN) -> Deferred[Message]:
        """LOGIN (or REGISTER); fires with the AUTH_RESPONSE."""
        answer = self.expect("auth_response")
        self.send(bytes((kind,)) + utf8(user) + utf8(password))
        return answer

    def text(self, to: str, text: str) -> bytes:
        """A TEXT message, not sent."""
        return b"\x00" + self.string(to) + self.string(text)

    def send_text(self, to: str, text: str) -> None:
        """TEXT has no answer."""
        self.send(self.text(to, text))

    def offer_file(self, to: str, transfer: str, name: str, size: int, sha256: str) -> None:
        """FILE 0."""
        fields = self.string(to) + self.string(transfer) + self.string(name)
        self.send(bytes((FILE, OFFER)) + fields + struct.pack(">Q", size) + self.string(sha256))

    def chunk(self, transfer: str, offset: int, data: bytes) -> bytes:
        """FILE 1."""
        head = bytes((FILE, CHUNK)) + self.string(transfer)
        return head + struct.pack(">QI", offset, len(data)) + data

    def ack_file(self, transfer: str, offset: int) -> None:
        """FILE 2."""
        self.send(bytes((FILE, CHUNK_ACK)) + self.string(transfer) + struct.pack(">Q", offset))

    def cancel_file(self, transfer: str, reason: str = "") -> None:
        """FILE 3."""
        self.send(bytes((FILE, CANCEL)) + self.string(transfer) + self.string(reason))

    def complete_file(self, transfer: str) -> None:
        """FILE 4."""
        self.send(bytes((FILE, COMPLETE)) + self.string(transfer))

    def call(self, callee: str, *, video: bool = True) -> None:
        """CALL_REQUEST. The caller hears of it when it is accepted, rejected or over."""
        self.send(b"\x02" + self.string(callee) + bytes((video,)))

    def accept(self, call: str) -> None:
        """CALL_ACCEPT."""
        self.send(b"\x03" + self.string(call))

    def reject(self, call: str, reason: str | None = None) -> None:
        """CALL_REJECT, with a reason or without any."""
        self.send(b"\x04" + self.string(call) + (b"" if reason is None else self.string(reason)))

    def end(self, call: str = "") -> None:
        """CALL_END; "" = one's own call."""
        self.send(b"\x05" + self.string(call))

    def media(self, data: bytes) -> None:
        """MEDIA."""
        self.send(b"\x06" + data)

    def heard(self, call: str) -> bytes:
        """All the media of a call that came, joined."""
        return b"".join(
            one["data"] for one in self.messages if one["type"] == "media" and one["call"] == call
        )

    def heartbeat(self) -> Deferred[Message]:
        """Fires with the echo: everything sent before it was handled."""
        answer = self.expect("heartbeat")
        self.send(b"\x07")
        return answer

    def expect(self, kind: str, where: Where | None = None) -> Deferred[Message]:
        """The first message of a type (for which `where` holds) that nobody took yet; waits for it."""
        waiter: Deferred[Message] = Deferred()
        for index, message in enumerate(self.pending):
            if message["type"] == kind and (where is None or where(message)):
                del self.pending[index]
                waiter.callback(message)
                return waiter
        if self.ended.called:
            waiter.errback(Failure(ConnectionLost()))
            return waiter
        self._expected.append((kind, where, waiter))
        return waiter if self.reactor is None else waiter.addTimeout(self.timeout, self.reactor)

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

    # Twisted

    def connectionMade(self) -> None:
        """See IProtocol."""
        self.transport.setTcpNoDelay(True)

    def dataReceived(self, data: bytes) -> None:
        """Cuts messages and hands them to whoever waits."""
        if self._violation is not None:
            return
        self.reads.append(data)
        self._rest += data
        try:
            if self.framed:
                self._cut_frames()
            else:
                self._cut_fields()
        except ServerViolation as violation:
            self._violation = violation
            self.transport.abortConnection()

    def _cut_frames(self) -> None:
        while len(self._rest) >= 2:
            (length,) = struct.unpack(">H", self._rest[:2])
            if len(self._rest) < 2 + length:
                return
            frame, self._rest = self._rest[2 : 2 + length], self._rest[2 + length :]
            message, end = decode(frame, self.form)
            if end != length:
                raise ServerViolation("bytes are left over in a frame")
            self._received(message)

    def _cut_fields(self) -> None:
        while self._rest:
            if self._rest[0] >= 0x80 and self.messages[-1]["type"] == "media":
                more = self._media_end(0)
                self._received({**self.messages[-1], "data": self._rest[:more]})
                self._rest = self._rest[more:]
                continue
            try:
                message, end = decode(self._rest, self.form)
                if message["type"] == "media":
                    end -= len(message["data"])
                    message["data"] = self._rest[end : self._media_end(end)]
                    end += len(message["data"])
            except ServerViolation as violation:
                if "too short" in str(violation) and not self.strict_reads:
                    return
                raise
            if self.strict_reads and end != len(self._rest):
                raise ServerViolation("one read was more than one message")
            self._rest = self._rest[end:]
            self._received(message)

    def _media_end(self, start: int) -> int:
        found = _MESSAGE_TYPE.search(self._rest, start)
        return len(self._rest) if found is None else found.start()

    def _received(self, message: Message) -> None:
        self.messages.append(message)
        for index, (kind, where, waiter) in enumerate(self._expected):
            if kind == message["type"] and not waiter.called and (where is None or where(message)):
                del self._expected[index]
                waiter.callback(message)
                return
        self.pending.append(message)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Fails whatever still waits."""
        waiting = [waiter for _, _, waiter in self._expected]
        self._expected.clear()
        if self._violation is not None:
            self.ended.errback(Failure(self._violation))
        else:
            self.ended.callback(None)
        for waiter in waiting:
            if not waiter.called:
                waiter.errback(Failure(self._violation or ConnectionLost()))


Client = TypeVar("Client", bound=QDataStreamClient)


async def connect(endpoint: IStreamClientEndpoint, client: Client) -> Client:
    """Connects."""
    await connectProtocol(endpoint, client)
    return client


async def connect_tcp(
    reactor: Any, port: int, *, framed: bool = True, form: str = "utf8", host: str = "127.0.0.1"
) -> QDataStreamClient:
    """A new client, connected over plain TCP; it has still to register."""
    client = QDataStreamClient(reactor, framed=framed, form=form)
    return await connect(TCP4ClientEndpoint(reactor, host, port, timeout=10), client)


async def connect_user(
    reactor: Any, port: int, user: str, *, framed: bool = True, form: str = "utf8"
) -> QDataStreamClient:
    """Connected and registered, and known to the server by this form of strings."""
    client = await connect_tcp(reactor, port, framed=framed, form=form)
    client.register(user)
    if form != ("utf8" if framed else "qstring"):
        # There is no such call; but the server learns the form by it.
        client.send(b"\x03" + client.string("00000000-0000-0000-0000-000000000000"))
        if framed:
            await client.expect("error")
    await client.heartbeat()
    return client
