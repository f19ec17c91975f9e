"""A server in memory that speaks through the real server codecs, and does what a test says."""

from __future__ import annotations

from random import Random
from typing import Any

from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from imserver.client import Client, Position
from imserver.client.accounts import Credentials
from imserver.client.formats import FORMATS, ClientFormat
from imserver.client.links import Link, Receiver
from imserver.model.accounts import Hello, HelloReply, LoggedIn, LogIn, Ping, Pong
from imserver.model.errors import ErrorCode, ImError
from imserver.model.messages import (
    AckMessages,
    Content,
    Form,
    InboxPage,
    InboxRow,
    Message,
    MessageAccepted,
    MessagePage,
    ReadHistory,
    SendMessage,
    SyncInbox,
)
from imserver.wire.base import Request, ServerCodec, Upgrade
from imserver.wire.jsonline import JsonLineServerCodec
from imserver.wire.protobuf import ProtobufServerCodec
from imserver.wire.qdatastream import Framing, QDataStreamServerCodec
from imserver.wire.signalling import SignallingServerCodec

NUMBERED = ("jsonline", "protobuf", "signalling", "signalling+msgpack")


def server_codec(format: str) -> ServerCodec:
    """The other side's codec."""
    if format == "jsonline":
        return JsonLineServerCodec(lambda: 0.0)
    if format == "protobuf":
        return ProtobufServerCodec(lambda: 0.0)
    if format == "qdatastream":
        codec = QDataStreamServerCodec()
        codec.framing = Framing.INT16
        return codec
    return SignallingServerCodec(lambda: 0.0, binary=format.endswith("msgpack"))


def row(seq: int, text: str = "", sender: str = "bob", client_id: str = "", message_id: str = "") -> InboxRow:
    """A message to alice at this number."""
    text = text or f"t{seq}"
    recipient = "alice" if sender == "bob" else "bob"
    name = "single_alice_bob"
    message = Message(
        message_id or f"m{seq}", name, name, seq, sender, recipient, "", client_id,
        Content(Form.TEXT, text.encode()), 1.0, 1.0,
    )  # fmt: skip
    return InboxRow(seq, message)


class FakeLink:
    """One connection, both ends of it."""

    def __init__(self, server: FakeServer, receiver: Receiver) -> None:
        self.server = server
        self.receiver = receiver
        self.codec = server_codec(server.format)
        self.paused = False
        self.gone = False
        self.held: list[Request] = []

    # links.Link

    def send(self, frame: bytes) -> None:
        assert not self.gone
        self.server.take(self, self.codec.decode(frame))

    def pause(self) -> None:
        self.paused = True

    def resume(self) -> None:
        self.paused = False

    def close(self) -> None:
        self.lose("closed")

    def abort(self) -> None:
        self.lose("aborted")

    # The server's end

    def write(self, frames: list[bytes] | bytes) -> None:
        for frame in [frames] if isinstance(frames, bytes) else frames:
            self.receiver.received(frame.rstrip(b"\n") if self.server.format == "jsonline" else frame)

    def reply(self, request: Request, reply: Any) -> None:
        if isinstance(reply, ImError):
            self.write(self.codec.refusal(request.tag, reply, request.command))
        else:
            self.write(self.codec.reply(request, reply))

    def push(self, pushed: InboxRow) -> None:
        self.write(self.codec.splice(self.codec.shared(pushed.message), pushed.seq))

    def event(self, event: Any) -> None:
        self.write(self.codec.event(event))

    def lose(self, reason: str = "lost") -> None:
        if not self.gone:
            self.gone = True
            self.receiver.lost(reason)


class FakeServer:
    """See the module.

    Attributes:
        refuses: what the next log-ins are refused with.
        down: nobody answers.
        answers: sends are accepted at once; else they are `held` by their link.
        pings: heartbeats are answered.
        hold_pages: SYNC and history are not answered but `held` by their link.
        rows: the inbox, as SYNC and history see it.
    """

    def __init__(self, format: str) -> None:
        self.format = format
        self.links: list[FakeLink] = []
        self.refuses: ImError | None = None
        self.down = False
        self.answers = True
        self.pings = True
        self.hold_pages = False
        self.epoch = "e1"
        self.rows: list[InboxRow] = []
        self.sent: list[str] = []
        self.acks: list[int] = []
        self.asked: list[Any] = []
        self.next_seq = 100

    @property
    def link(self) -> FakeLink:
        return self.links[-1]

    async def dial(self, receiver: Receiver, upgrade: Upgrade) -> Link:
        if self.down:
            raise ImError(ErrorCode.UNAVAILABLE, "nobody is there")
        link = FakeLink(self, receiver)
        if self.format.startswith("signalling"):
            if self.refuses is not None:
                raise self.refuses
            assert upgrade.authorization == "Bearer t"
            self.links.append(link)
            link.reply(Request(LogIn(token="t"), None), self.logged_in())
        else:
            self.links.append(link)
        return link

    def logged_in(self) -> LoggedIn:
        head = self.rows[-1].seq if self.rows else 0
        return LoggedIn("alice", "tok", "ref", 60, head, 1, self.epoch)

    def take(self, link: FakeLink, request: Request) -> None:
        command = request.command
        match command:
            case Hello():
                link.reply(request, HelloReply("s", 0.0))
            case LogIn():
                link.reply(request, self.refuses or self.logged_in())
                if self.refuses is not None:
                    link.lose("refused")
            case Ping():
                if self.pings:
                    link.reply(request, Pong(0.0, command.time, command.seq))
            case SendMessage():
                self.sent.append(command.content.data.decode())
                if self.answers:
                    self.accept(link, request)
                else:
                    link.held.append(request)
            case AckMessages():
                self.acks.append(command.seq)
            case SyncInbox() | ReadHistory():
                self.asked.append(command)
                if self.hold_pages:
                    link.held.append(request)
                else:
                    self.page(link, request, self.rows)
            case _:
                self.asked.append(command)

    def page(self, link: FakeLink, request: Request, inbox: list[InboxRow]) -> None:
        """Answers with at most two rows of the inbox."""
        command = request.command
        after = command.after if isinstance(command, SyncInbox) else int(command.since or 0)
        rows = [one for one in inbox if one.seq > after][:2]
        more = bool(rows) and rows[-1].seq < inbox[-1].seq
        if isinstance(command, SyncInbox):
            link.reply(request, InboxPage(rows, inbox[-1].seq if inbox else 0, 1, more, self.epoch))
        else:
            link.reply(request, MessagePage(rows, str(rows[-1].seq) if rows else "", more))

    def accept(self, link: FakeLink, request: Request) -> None:
        self.next_seq += 1
        link.reply(request, MessageAccepted(f"m{self.next_seq}", "single_alice_bob", self.next_seq, 1.0))


class ClientCase(SynchronousTestCase):
    """A client and its server."""

    def start(self, format: str, position: Position | None = None, **options: Any) -> Client:
        """Logged in; `heard` are the texts, `events` the events."""
        self.clock = Clock()
        self.server = FakeServer(format)
        self.heard: list[str] = []
        self.events: list[Any] = []
        options.setdefault("on_message", lambda message: self.heard.append(message.content.data.decode()))
        self.client = self.make(FORMATS[format], position, **options)
        self.successResultOf(ensureDeferred(self.client.start()))
        return self.client

    def make(self, format: ClientFormat, position: Position | None = None, **options: Any) -> Client:
        return Client(
            format, self.server.dial, Credentials("alice", token="t", device="d"), self.clock,
            lambda: 5.0, Random(1), position=position, on_event=self.events.append, **options,
        )  # fmt: skip

    def refusal_of(self, answer: Deferred[Any]) -> ErrorCode:
        """The code an answer failed with."""
        failure = self.failureResultOf(answer, ImError)
        code: ErrorCode = failure.value.code
        return code

    def come_back(self) -> None:
        """Waits for the next attempt to connect."""
        self.clock.advance(60.0)

    def finish(self) -> None:
        """Closes; nothing may be left of it."""
        self.successResultOf(self.client.close())
        self.assertEqual(self.clock.getDelayedCalls(), [])
