"""A codec of one word a frame, a session hub that does what a test says, and a bench to connect over.

The format: `verb#tag argument`, answered `verb#tag reply` or `refused#tag CODE`; `once:` before the verb:
it came encrypted.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

from imserver.model.accounts import (
    Disconnect,
    Hello,
    LoggedIn,
    LogIn,
    LogOut,
    Ping,
    Principal,
    RefreshTokens,
    Register,
    SessionKicked,
)
from imserver.model.calls import CallMedia
from imserver.model.errors import ErrorCode, ImError
from imserver.model.groups import CreateGroup, GroupChanged, LeaveGroup, ListGroups
from imserver.model.message_rows import row_of
from imserver.model.messages import (
    AckMessages,
    Content,
    Form,
    InboxPage,
    Message,
    MessageAccepted,
    ReadHistory,
    SendMessage,
    SetTyping,
    SyncInbox,
    TypingChanged,
)
from imserver.model.protection import Once
from imserver.protocols.connections import DoorLimits
from imserver.protocols.doors import Doors
from imserver.protocols.jsonline import JsonLineFactory
from imserver.services.outgoing import Outgoing, OutgoingRow
from imserver.services.sessions import Client, Receiver
from imserver.wire.base import Request, Traits, WireError

STUB = Traits(name="stub", login_deadline=10.0, login_deadline_alive=600.0, max_frame=1000)

_VERBS: dict[str, Callable[[str], Any]] = {
    "hello": lambda text: Hello(client_id=text),
    "login": lambda text: LogIn(user=text, password="p"),
    "register": lambda text: Register(user=text, password="p"),
    "refresh": lambda text: RefreshTokens(text),
    "ping": lambda text: Ping(),
    "logout": lambda text: LogOut(),
    "disconnect": lambda text: Disconnect(),
    "send": lambda text: SendMessage(Content(Form.TEXT, text.encode()), recipient="bob"),
    "ack": lambda text: AckMessages(int(text)),
    "sync": lambda text: SyncInbox(),
    "history": lambda text: ReadHistory(),
    "leave": lambda text: LeaveGroup(text),
    "create": lambda text: CreateGroup(text),
    "groups": lambda text: ListGroups(),
    "typing": lambda text: SetTyping(True),
    "media": lambda text: CallMedia(text.encode()),
}


class StubCodec:
    """See the module. `auth=…` before the argument is a bearer token; `create` is remembered for retries."""

    def __init__(self, traits: Traits = STUB) -> None:
        self.traits = traits
        self.encoded = 0
        self.decoded: list[bytes] = []

    @property
    def profile(self) -> Hashable:
        return "stub"

    def decode(self, frame: bytes) -> Request:
        self.decoded.append(frame)
        try:
            head, _, rest = frame.decode().partition(" ")
        except UnicodeDecodeError:
            raise WireError(ErrorCode.BAD_REQUEST, "not UTF-8", fatal=True, close_code=1007) from None
        verb, _, tag = head.partition("#")
        encrypted = verb.startswith("once:")
        verb = verb.removeprefix("once:")
        if verb == "crash":
            raise ZeroDivisionError
        if verb not in _VERBS:
            raise WireError(ErrorCode.UNKNOWN_COMMAND, "no such verb", tag=("unknown", tag))
        token = ""
        if rest.startswith("auth="):
            token, _, rest = rest[5:].partition(" ")
        command = _VERBS[verb](rest)
        if encrypted:
            command = Once(command, "kid", b"nonce", 0.0)
        return Request(command, (verb, tag), authorization=token, dedupe=verb == "create", retry_id=tag)

    def reply(self, request: Request, reply: Any) -> list[bytes]:
        if reply == "unencodable":
            raise ZeroDivisionError
        verb, tag = request.tag
        if isinstance(request.command, AckMessages):
            return []
        if isinstance(reply, MessageAccepted):
            reply = reply.message_id
        elif isinstance(reply, LoggedIn):
            reply = reply.user
        elif not isinstance(reply, str):
            reply = "done"
        return [f"{verb}#{tag} {reply}".encode()]

    def refusal(self, tag: Any, error: ImError | WireError, command: Any = None) -> list[bytes]:
        if tag is None:
            return [f"refused {error.code.value}".encode()]
        return [] if tag[0] == "typing" else [f"refused#{tag[1]} {error.code.value}".encode()]

    def event(self, event: Any) -> list[bytes]:
        if isinstance(event, SessionKicked):
            return [f"kicked {event.reason.name}".encode()]
        if isinstance(event, GroupChanged):
            return [b"group " + event.group.encode()]
        if isinstance(event, CallMedia):
            return [b"media " + event.data]
        return [b"typing"] if isinstance(event, TypingChanged) else []

    def shared(self, message: Message) -> bytes:
        self.encoded += 1
        return message.content.data

    def splice(self, shared: bytes, seq: int) -> bytes:
        return b"push %d " % seq + shared

    def backlog(self, page: InboxPage) -> list[bytes]:
        return [self.splice(self.shared(row.message), row.seq) for row in page.rows]


class StubAttachment:
    """Remembers what the session told it."""

    def __init__(self, principal: Principal, client: Client) -> None:
        self.principal = principal
        self.client = client
        self.told: list[str] = []

    def start(self) -> None:
        self.told.append("start")

    def drained(self) -> None:
        self.told.append("drained")

    def delivered(self, messages: bool) -> None:
        self.told.append("delivered" if messages else "confirmed")

    def passed(self, seq: int) -> None:
        self.told.append(f"passed {seq}")

    def close(self) -> None:
        self.told.append("close")


class StubHub:
    """Answers at once, unless a test holds the answers back.

    Attributes:
        done: every command, in the order in which it got here.
        hold: commands wait in `waiting` instead of being answered.
        sends: unanswered sends, as (tag, command).
        outcomes: reply or exception by command type, instead of "ok".
        retry_ids: of the commands that had one.
        allowed: sends that the rate lets through; None = all.
    """

    def __init__(self) -> None:
        self.done: list[Any] = []
        self.hold = False
        self.waiting: list[Deferred[Any]] = []
        self.sends: list[tuple[Any, SendMessage]] = []
        self.outcomes: dict[type, Any] = {}
        self.attachments: list[StubAttachment] = []
        self.receivers: list[Receiver] = []
        self.hellos: list[Hello] = []
        self.retry_ids: list[str] = []
        self.allowed: int | None = None
        self.answered = 0
        self._ids = 0

    def new_session_id(self) -> str:
        self._ids += 1
        return f"s{self._ids}"

    async def log_in(
        self, client: Client, hello: Hello, command: LogIn, receiver: Receiver
    ) -> tuple[StubAttachment, LoggedIn]:
        self.hellos.append(hello)
        await self._run(command)
        attachment = StubAttachment(Principal(command.user, client.session, client.format), client)
        self.attachments.append(attachment)
        self.receivers.append(receiver)
        return attachment, LoggedIn(command.user, "t", "r", 60, 0, 1, "e")

    async def before_log_in(self, client: Client, command: Any) -> Any:
        return await self._run(command)

    def send_delay(self, attachment: Any) -> float:
        return 0.0 if self.allowed is None or self.allowed > 0 else 0.5

    def media(self, attachment: Any, command: CallMedia) -> None:
        self.done.append(command)

    def send(self, attachment: Any, command: Any, tag: Any) -> None:
        if self.allowed is not None:
            self.allowed -= 1
        self.done.append(command)
        self.sends.append((tag, command))

    def acknowledge(self, attachment: Any, command: Any) -> None:
        self.done.append(command)

    async def admit(self, once: Once) -> None:
        await self._run(once)

    async def handle(self, attachment: Any, command: Any, retry_id: str = "") -> Any:
        if retry_id:
            self.retry_ids.append(retry_id)
        return await self._run(command)

    def authorizes(self, attachment: Any, token: str) -> bool:
        return token == "good"

    async def _run(self, command: Any) -> Any:
        self.done.append(command)
        if self.hold:
            waiting: Deferred[Any] = Deferred()
            self.waiting.append(waiting)
            await waiting
        outcome = self.outcomes.get(type(command), "ok")
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def release(self) -> None:
        """Lets the oldest waiting command go on."""
        self.waiting.pop(0).callback(None)

    def answer(self, count: int = 1) -> None:
        """Commits the oldest sends."""
        for _ in range(count):
            tag, _ = self.sends.pop(0)
            self.answered += 1
            self.receivers[0].answer([tag], [MessageAccepted(f"m{self.answered}", "c", self.answered, 0.0)])


def message(text: bytes = b"text") -> Outgoing:
    """A message on its way out."""
    return Outgoing(Message("m", "c", "c", 1, "alice", "bob", "", "", Content(Form.TEXT, text), 0.0, 0.0))


def row(*texts: bytes) -> OutgoingRow:
    """Messages in a row on their way out."""
    return OutgoingRow(row_of([message(text).message for text in texts]))


def doors(hub: Any, clock: Any = None, **limits: Any) -> Doors:
    """Doors over a stub hub and a Clock."""
    return Doors(hub, Clock() if clock is None else clock, DoorLimits(**limits))


class LinePeer:
    """A peer on a line connection over a StringTransport and a Clock."""

    def __init__(self, doors: Doors, traits: Traits = STUB, host: str = "192.0.2.1") -> None:
        assert isinstance(doors.clock, Clock)
        self.doors = doors
        self.clock = doors.clock
        self.codec = StubCodec(traits)
        self.transport = StringTransport(peerAddress=IPv4Address("TCP", host, 1))
        protocol = JsonLineFactory(doors, lambda: self.codec).buildProtocol(self.transport.getPeer())
        self.admitted = protocol is not None
        if protocol is not None:
            self.protocol = protocol
            protocol.makeConnection(self.transport)

    def say(self, *lines: str | bytes) -> None:
        """Sends lines in one piece."""
        self.feed(b"".join(b"%s\n" % (line if isinstance(line, bytes) else line.encode()) for line in lines))

    def feed(self, data: bytes) -> None:
        """Sends bytes."""
        self.protocol.dataReceived(data)

    def heard(self) -> list[str]:
        """What was written since the last call."""
        self.clock.advance(0)
        text: str = self.transport.value().decode()
        self.transport.clear()
        return text.splitlines()

    def end_input(self) -> None:
        """Closes the peer's sending side only."""
        self.protocol.readConnectionLost()

    def lose(self) -> None:
        """The connection is lost."""
        self.protocol.connectionLost(Failure(ConnectionDone()))

    @property
    def reading(self) -> bool:
        """Whether the server reads from this peer."""
        return self.transport.producerState == "producing"

    @property
    def closing(self) -> bool:
        """Whether the server closes the connection."""
        return self.transport.disconnecting

    @property
    def aborted(self) -> bool:
        """Whether the server tore the connection down."""
        return self.transport.disconnected


def logged_in(hub: StubHub, **limits: Any) -> LinePeer:
    """A peer that logged in as alice."""
    peer = LinePeer(doors(hub, **limits))
    peer.say("login#1 alice")
    assert peer.heard() == ["login#1 alice"]
    return peer
