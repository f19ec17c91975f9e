"""A simulated device: speaks one format over one connection at a time and remembers what it saw.

It behaves as a decent client does: it acknowledges only what it holds without a
gap, reads its backlog after every log-in, and sends unanswered messages again
under the same id. What it must not do, it does nowhere; what it may leave out
(acks, reads, retries) it leaves out now and then.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any, Protocol

from imserver.model.accounts import Disconnect, Hello, LoggedIn, LogIn, LogOut, Ping, SessionKicked
from imserver.model.errors import ErrorCode, ImError
from imserver.model.messages import (
    AckMessages,
    InboxPage,
    InboxRow,
    MessageAccepted,
    MessagePage,
    ReadHistory,
    RevokeMessage,
    SyncInbox,
)
from imserver.wire.base import ClientCodec, WireError
from imserver.wire.jsonline import JsonLineClientCodec
from imserver.wire.protobuf import ProtobufClientCodec
from tests.simulation.framing import Framing, LineFraming, WebSocketFraming
from tests.simulation.history import Ack, Attempt, History, Link, Pushed, Read, Revoke, Send
from tests.simulation.network import Connection, Manner
from tests.simulation.world import World

PROTOBUF = "protobuf"
JSONLINE = "jsonline"

Reply = Callable[[Any], None]


class Dialler(Protocol):
    """Connects devices to nodes."""

    def dial(
        self,
        format: str,
        received: Callable[[bytes], None],
        lost: Callable[[], None],
        manner: Manner | None,
    ) -> Connection | None:
        """A new connection to some node; None if it is refused."""


class Habits:
    """What a device's owner tends to do; probabilities.

    Attributes:
        ack: acknowledge after a push.
        ack_by_id: do so by message id where the format can.
        retry: send unanswered messages again after a log-in.
        sync: read the backlog after a log-in where the format pulls.
        token: log in by a token instead of a password, where there is a choice.
    """

    __slots__ = ("ack", "ack_by_id", "retry", "sync", "token")

    def __init__(
        self,
        ack: float = 0.6,
        ack_by_id: float = 0.2,
        retry: float = 0.8,
        sync: float = 0.9,
        token: float = 0.3,
    ) -> None:
        self.ack = ack
        self.ack_by_id = ack_by_id
        self.retry = retry
        self.sync = sync
        self.token = token


class Person:
    """What the devices of one user share: the password and the tokens they were given."""

    __slots__ = ("last_token", "name", "seen")

    def __init__(self, name: str) -> None:
        self.name = name
        self.last_token = ""
        self.seen: dict[str, str] = {}  # message id -> sender

    @property
    def password(self) -> str:
        """As the server knows it."""
        return f"password of {self.name}"


class Device:
    """One device of one user.

    Attributes:
        held: everything up to this inbox number has reached the device.
        unanswered: sends without a final answer, oldest first.
        state: "offline", "connecting", "online".
    """

    def __init__(
        self,
        world: World,
        history: History,
        dialler: Dialler,
        person: Person,
        format: str,
        name: str,
        chance: Random,
        habits: Habits,
    ) -> None:
        self.world = world
        self.history = history
        self.person = person
        self.user = person.name
        self.format = format
        self.name = name
        self.chance = chance
        self.habits = habits
        self.state = "offline"
        self.held = 0
        self.connection: Connection | None = None
        self.link: Link | None = None
        self.unanswered: list[Send] = []
        self.on_online: Callable[[], None] | None = None
        self.finished = False
        self.manner: Manner | None = None  # of its connections; None = the run's
        self._dialler = dialler
        self._label = f"{self.user}/{name}"
        self._ahead: dict[int, str] = {}  # numbers held beyond `held`, with their message ids
        self._last_id = ""  # the message id at `held`, if it was seen
        self._tag = 0
        self._waiting: dict[Any, list[Reply]] = {}  # a tag may be used twice; answers come in order
        self._framing: Framing = LineFraming()
        self._codec: ClientCodec
        self._knows_start = format == PROTOBUF
        self._acked = -1
        self._base = -1  # where this device began, at the furthest

    # Connecting

    def connect(self) -> None:
        """Dials and logs in."""
        if self.state != "offline":
            return
        link = Link(len(self.history.links), self.user, self.format, self.name, self.world.step)

        def received(data: bytes) -> None:
            if self.link is link:
                self._received(data)

        def lost() -> None:
            if self.link is link:
                self.note("lost")
                self._offline()

        connection = self._dialler.dial(self.format, received, lost, self.manner)
        if connection is None:
            return
        self.history.links.append(link)
        self.state = "connecting"
        self.link = link
        self.connection = connection
        self._waiting = {}
        if self.format == PROTOBUF:
            self._framing = WebSocketFraming()
            self._codec = ProtobufClientCodec(self.world.wall_time)
        else:
            self._framing = LineFraming()
            self._codec = JsonLineClientCodec()
        self.note("connect", f"link={link.number}")
        hello = self._framing.hello()
        if hello:
            connection.write(hello)
        else:
            self._log_in()

    def hang_up(self) -> None:
        """Closes the connection in good order."""
        if self.connection is not None:
            self.note("close")
            self.connection.close()
            self._offline()

    def grow_old(self) -> None:
        """Days have passed: nothing sent before is worth a retry."""
        self.unanswered.clear()
        self.history.young_from = len(self.history.sends)

    def _offline(self) -> None:
        self.state = "offline"
        if self.link is not None:
            self.link.closed = self.world.step
        self.link = None
        self.connection = None
        self._waiting = {}

    def _log_in(self) -> None:
        link = self.link
        assert link is not None
        token = ""
        if self.format == PROTOBUF:
            self.request(Hello(client_id=self.name, platform="Web"), None)
            if self.person.last_token and self.chance.random() < self.habits.token:
                token = self.person.last_token
            else:
                token = f"demo_token_{self.user}"
            command = LogIn(user=self.user, token=token, platform="Web")
        else:
            if self.person.last_token and self.chance.random() < self.habits.token:
                command = LogIn(token=self.person.last_token, device=self.name)
            else:
                command = LogIn(user=self.user, password=self.person.password, device=self.name)
        self.request(command, self._logged_in)

    def _logged_in(self, reply: Any) -> None:
        if not isinstance(reply, LoggedIn):
            # A token that was revoked or has expired: the next log-in is by password.
            self.note("refused", getattr(reply, "code", reply))
            self.person.last_token = ""
            self.hang_up()
            return
        link = self.link
        assert link is not None
        if self._base < 0:
            # A new device begins after the furthest of the user's devices.
            link.new = True
            self._base = max((ack.seq for ack in self.history.acks if ack.user == self.user), default=0)
        link.acked = max(self._acked, self._base)
        link.logged_in = reply
        link.login_step = self.world.step
        self.state = "online"
        self.history.epochs.add(reply.epoch)
        if reply.token:
            self.person.last_token = reply.token
        self.note("online", f"head={reply.head}")
        if self._knows_start and reply.first_seq - 1 > self.held:
            self._skip_to(reply.first_seq - 1)
        if self.format == PROTOBUF and self.chance.random() < self.habits.sync:
            self.sync(self.held)
        for send in list(self.unanswered):
            if not send.client_id:
                # Sent again, it would be another message.
                self.unanswered.remove(send)
            elif self.chance.random() < self.habits.retry:
                self.send(send)
        if self.on_online is not None:
            self.on_online()

    # Requests

    def request(self, command: Any, reply: Reply | None, tag: Any = None) -> None:
        """Sends a command; `reply` hears its outcome unless the connection goes first."""
        if self.connection is None:
            return
        if tag is None:
            self._tag += 1
            tag = self._tag if self.format == PROTOBUF else f"{self.name}-{self.link_number}-{self._tag}"
        if reply is not None:
            self._waiting.setdefault(tag, []).append(reply)
        self.connection.write(self._framing.wrap(self._codec.request(command, tag)))

    @property
    def link_number(self) -> int:
        """The number of the connection in the history."""
        return self.link.number if self.link is not None else -1

    def send(self, send: Send) -> None:
        """Sends a message, or sends it again."""
        if self.state != "online":
            return
        assert self.link is not None
        attempt = Attempt(self.link, self.world.step)
        send.attempts.append(attempt)
        if send not in self.unanswered:
            self.unanswered.append(send)
        self.note("send", send.text, f"id={send.client_id or '-'}", f"try={len(send.attempts)}")

        def answered(outcome: Any) -> None:
            attempt.answered = self.world.step
            attempt.outcome = outcome
            if isinstance(outcome, MessageAccepted):
                self.note("accepted", send.text, f"seq={outcome.seq}", outcome.message_id)
                self.person.seen[outcome.message_id] = self.user
                self._hold(outcome.seq, outcome.message_id)
            else:
                self.note("not accepted", send.text, getattr(outcome, "code", outcome))
                if isinstance(outcome, ImError) and outcome.retryable:
                    return
            if send in self.unanswered:
                self.unanswered.remove(send)

        self.request(send.command, answered, send.client_id if self.format == JSONLINE else None)

    def ping(self) -> None:
        """Says that it is still there."""
        if self.state == "online":
            self.request(Ping(), lambda _: None)

    @property
    def can_retry(self) -> bool:
        """Whether it has something that is worth sending again."""
        return any(send.client_id for send in self.unanswered)

    def retry_all(self) -> None:
        """Sends everything again that has no final answer and is not on its way on this connection."""
        for send in list(self.unanswered):
            last = send.attempts[-1]
            if send.client_id and (last.link is not self.link or last.answered):
                self.send(send)

    def sync(
        self,
        after: int,
        then: Callable[[], None] | None = None,
        at_least: int = 0,
        rows: list[InboxRow] | None = None,
    ) -> None:
        """Reads the inbox page by page (document 001).

        Args:
            then: told when the last page is there.
            rows: where the rows of all pages go.
        """
        invoked = self.world.step

        def page(reply: Any) -> None:
            if not isinstance(reply, InboxPage):
                self.note("sync refused", getattr(reply, "code", reply))
                return
            found = reply.rows
            self.history.reads.append(
                Read(self.user, "inbox", max(after, at_least - 1), found, invoked, self.world.step)
            )
            self.note("synced", f"after={after}", f"rows={len(found)}", f"head={reply.head}")
            if rows is not None:
                rows.extend(found)
            for row in found:
                self._saw(row)
            if after <= self.held and at_least <= after + 1:
                # What retention took will never come.
                self._skip_to(reply.first_seq - 1)
            for row in found:
                self._hold(row.seq, row.message.message_id)
            if reply.has_more and found:
                self.sync(found[-1].seq, then, rows=rows)
            elif then is not None:
                then()

        limit = self.chance.choice((0, 3, 10, 500))
        self.request(SyncInbox(after=after, at_least=at_least, limit=limit), page)

    def read_history(
        self,
        query: ReadHistory,
        scope: str,
        rows: list[InboxRow] | None = None,
        then: Callable[[Any], None] | None = None,
    ) -> None:
        """Reads a conversation or the whole inbox page by page (document 004).

        Args:
            then: told all rows, or the refusal.
        """
        invoked = self.world.step
        gathered: list[InboxRow] = [] if rows is None else rows

        def page(reply: Any) -> None:
            if not isinstance(reply, MessagePage):
                self.note("history refused", scope, getattr(reply, "code", reply))
                if then is not None:
                    then(reply)
                return
            for row in reply.rows:
                self._saw(row)
            gathered.extend(reply.rows)
            if reply.has_more and reply.rows:
                self.read_history(
                    ReadHistory(
                        query.conversation, query.recipient, query.group, reply.next_cursor, query.limit
                    ),
                    scope,
                    gathered,
                    then,
                )
                return
            self.note("history", scope, f"rows={len(gathered)}")
            if then is not None:
                then(gathered)

        def page_of_reads(reply: Any) -> None:
            if isinstance(reply, MessagePage) and not query.since:
                self.history.reads.append(
                    Read(self.user, scope, 0, list(reply.rows), invoked, self.world.step)
                )
            page(reply)

        self.request(query, page_of_reads)

    def revoke(self, message_id: str) -> None:
        """Takes a message back."""
        if self.link is None:
            return
        revoke = Revoke(self.user, message_id, self.link, self.world.step)
        self.history.revokes.append(revoke)
        self.note("revoke", message_id)

        def answered(outcome: Any) -> None:
            revoke.answered = self.world.step
            revoke.outcome = outcome
            self.note("revoke answered", message_id, getattr(outcome, "code", "done"))

        self.request(RevokeMessage(message_id), answered)

    def ack(self) -> None:
        """Acknowledges everything held."""
        if self.state != "online" or not self._knows_start or self.held <= 0:
            return
        self.history.acks.append(Ack(self.user, self.format, self.name, self.held, self.world.step))
        self._acked = max(self._acked, self.held)
        if self._last_id and self.chance.random() < self.habits.ack_by_id:
            command = AckMessages(message_id=self._last_id)
        else:
            command = AckMessages(seq=self.held, message_id=self._last_id if self.format == JSONLINE else "")
        self.note("ack", self.held)
        self.request(command, _ignore)

    def log_out(self) -> None:
        """Ends the session by its own command."""
        if self.format == JSONLINE:
            self.person.last_token = ""
            self.note("log out")
            self.request(LogOut(), _ignore)
        else:
            self.note("disconnect")
            self.request(Disconnect(), _ignore)

    # What comes in

    def _received(self, data: bytes) -> None:
        try:
            frames, back = self._framing.feed(data)
        except ValueError as error:
            self.history.faults.append(f"{self._label}: {error}")
            self.hang_up()
            return
        if back and self.connection is not None:
            self.connection.write(back)
        link = self.link
        if self.state == "connecting" and self._framing.ready and not self._waiting:
            self._log_in()
        for frame in frames:
            if self.link is not link:
                return
            try:
                tag, what = self._codec.decode(frame)
            except WireError as error:
                self.history.faults.append(f"{self._label}: undecodable frame: {error.text}")
                continue
            waiting = self._waiting.get(tag) if tag is not None else None
            if waiting:
                waiting.pop(0)(what)
            elif what is not None:
                self._event(what)
        if self.link is link and self._framing.closing:
            self.hang_up()

    def _event(self, event: Any) -> None:
        link = self.link
        assert link is not None
        if isinstance(event, InboxRow):
            self._pushed(event, False)
            self._maybe_ack()
        elif isinstance(event, InboxPage):
            for row in event.rows:
                self._pushed(row, True)
            self._maybe_ack()
        else:
            link.events.append((self.world.step, event))
            if isinstance(event, SessionKicked):
                link.kicked = True
            self.note("event", type(event).__name__, getattr(event, "message_id", ""))
            if isinstance(event, ImError) and event.code is ErrorCode.INTERNAL:
                self.history.faults.append(f"{self._label}: internal error: {event.text}")

    def _pushed(self, row: InboxRow, backlog: bool) -> None:
        assert self.link is not None
        self.link.pushes.append(Pushed(row.seq, row.message, self.world.step, backlog))
        self.note("backlog" if backlog else "push", f"seq={row.seq}", row.message.message_id)
        self._saw(row)
        if not self._knows_start:
            # A new device of a format that is sent its backlog learns from the
            # first message where its part of the inbox begins.
            self._knows_start = True
            self._skip_to(row.seq - 1)
        self._hold(row.seq, row.message.message_id)

    def _saw(self, row: InboxRow) -> None:
        self.person.seen[row.message.message_id] = row.message.sender

    def _hold(self, seq: int, message_id: str) -> None:
        if seq <= self.held or not self._knows_start:
            return
        self._ahead[seq] = message_id
        self._advance()

    def _skip_to(self, seq: int) -> None:
        if seq > self.held:
            self.held = seq
            self._last_id = ""
            self._ahead = {number: text for number, text in self._ahead.items() if number > seq}
            self._advance()

    def _advance(self) -> None:
        while (following := self._ahead.pop(self.held + 1, None)) is not None:
            self.held += 1
            self._last_id = following

    def _maybe_ack(self) -> None:
        if self.chance.random() < self.habits.ack:
            self.ack()

    def note(self, what: str, *details: object) -> None:
        """Adds to the trace."""
        self.world.note(self._label, what, *details)


def _ignore(reply: Any) -> None:
    return None
