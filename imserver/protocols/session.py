"""The session of one connection: what becomes of a frame, of its answer, and of every error.

Sends, acks and media are plain calls, so sends are pipelined: many may wait for their
commit at a time. Every other command is a coroutine and runs alone (`turns`). How a session
comes by its user is told in `authentication`, what it says in `output`.

Errors: `WireError` (the peer broke the format) is answered if the format can,
and closes only if the stream cannot go on. `ImError` (a refusal) is answered.
Anything else is logged, answered as INTERNAL, and closes.
"""

from __future__ import annotations

from collections.abc import Coroutine, Sequence
from typing import Any

from msgspec.structs import replace
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from imserver.model.accounts import Disconnect, LogIn, LogOut, Ping
from imserver.model.calls import CallMedia
from imserver.model.errors import ErrorCode, ImError
from imserver.model.files import SendChunk
from imserver.model.groups import LeaveGroup
from imserver.model.messages import (
    AckMessages,
    Done,
    MessageAccepted,
    ReadHistory,
    SendMessage,
    SyncInbox,
)
from imserver.model.protection import Once
from imserver.protocols.authentication import BEFORE_LOG_IN, SessionAuthentication
from imserver.protocols.connections import DoorLimits
from imserver.protocols.output import ACTIVE, BROKEN, ENDED, LOGGING_IN, NORMAL, POLICY, SessionLink
from imserver.protocols.tallies import Tally
from imserver.services.sessions import SessionHub
from imserver.services.turnstile import Turnstile
from imserver.wire.base import Request, ServerCodec, WireError, each_accepted

# What must see, or must not overtake, the effect of the sends before it.
_BARRIERS = frozenset({SyncInbox, ReadHistory, LeaveGroup, LogOut, Disconnect})
_LAST = frozenset({LogOut, Disconnect})
SMALL_CHUNK = 4096
"""Bytes of a file's chunk from which on it is no command to be counted."""
_DONE = Done()
_ACCEPTED = frozenset({MessageAccepted})


class Session(SessionAuthentication):
    """See the module; implements services.sessions.Receiver."""

    __slots__ = ("_acks", "_gate", "_limits")

    def __init__(
        self,
        codec: ServerCodec,
        hub: SessionHub,
        link: SessionLink,
        clock: IReactorTime,
        limits: DoorLimits,
        tally: Tally | None = None,
        gate: Turnstile | None = None,
    ) -> None:
        """Args:
        gate: where the first frame waits for its turn, before it costs anything; None = it does not wait.
        """
        super().__init__(codec, hub, link, clock, tally)
        self._acks = False  # the peer said what it has, and is taken at its word
        self._limits = limits
        self._gate = gate

    # turns.Handler

    def handle(self, frame: bytes | WireError) -> None:
        """See Handler."""
        gate = self._gate
        if gate is not None:
            self._gate = None
            if not gate.take():
                self._start(self._wait(gate, frame))
                return
        if type(frame) is not bytes:
            assert isinstance(frame, WireError)
            # Not raised: an error in a variable of the frame that raises it makes a cycle with all of it.
            self._wire_error(frame)
            return
        request: Request | None = None
        try:
            request = self._codec.decode(frame)
            kind = type(request.command)
            if kind is SendMessage and self._state == ACTIVE:
                self._send(request)
            elif kind is CallMedia and self._state == ACTIVE:
                self._check_authorization(request)
                assert self._attachment is not None
                self._hub.media(self._attachment, request.command)
            elif kind is AckMessages and self._state == ACTIVE:
                self._acknowledge(request)
            elif kind is Once:
                self._start(self._admit(request))
            else:
                self._command(request)
        except WireError as error:
            self._wire_error(error)
        except ImError as error:
            self._refuse(request, error)
        except Exception:
            self._internal_error(request)

    def handle_again(self, request: Request) -> None:
        """See Handler."""
        try:
            kind = type(request.command)
            if kind is SendMessage and self._state == ACTIVE:
                self._send(request)
            elif kind is AckMessages and self._state == ACTIVE:
                self._acknowledge(request)
            else:
                self._command(request)
        except ImError as error:
            self._refuse(request, error)
        except Exception:
            self._internal_error(request)

    async def _wait(self, gate: Turnstile, frame: bytes | WireError) -> None:
        await gate.passed()
        if self._state == ENDED:
            return
        self.turns.busy = False
        self.handle(frame)
        if not self.turns.busy:
            self.turns.done()

    # Commands

    def _send(self, request: Request) -> None:
        traits = self._codec.traits
        if request.authorization or traits.requires_authorization:
            self._check_authorization(request)
        assert self._attachment is not None
        if traits.waits_for_rate:
            delay = self._hub.send_delay(self._attachment)
            if delay > 0:
                self.turns.slow_down(request, delay)
                return
        self.turns.unanswered += 1
        try:
            self._hub.send(self._attachment, request.command, request)
        except BaseException:
            self.turns.unanswered -= 1
            raise

    def _acknowledge(self, request: Request) -> None:
        self._check_authorization(request)
        assert self._attachment is not None
        self._acks = True
        self._hub.acknowledge(self._attachment, request.command)
        frames = self._codec.reply(request, _DONE)
        if frames:
            self._put(frames)

    async def _admit(self, request: Request) -> None:
        """Does what came encrypted, if it comes for the first time."""
        once = request.command
        try:
            await self._hub.admit(once)
        except ImError as error:
            self._refuse(request, error)
        except Exception:
            self._internal_error(request)
        else:
            if self._state != ENDED:
                self.turns.go_on_with(replace(request, command=once.command))
                return
        self.turns.done()

    def _command(self, request: Request) -> None:
        """Raises ImError for what is refused at once."""
        command = request.command
        kind = type(command)
        now = self._clock.seconds()
        # A chunk of a file waits for the disk instead, unless it is so small that it costs like a command.
        free = kind is SendChunk and len(command.data) >= SMALL_CHUNK
        limits = self._limits
        if not free:
            delay = limits.command_delay(self._commands_at, now)
            if delay:
                if self._codec.traits.waits_for_rate:
                    self.turns.slow_down(request, delay)
                    return
                raise ImError(ErrorCode.TOO_FAST, "too many commands a second")
            self._commands_at = limits.command_taken(self._commands_at, now)
        if self._state == ACTIVE:
            self._check_authorization(request)
            if self.turns.unanswered and (kind in _BARRIERS or request.dedupe or self._ping_waits(kind)):
                if not free:  # it pays when its turn has come
                    self._commands_at = limits.command_given_back(self._commands_at)
                self.turns.hold(request)
                return
            if kind is LogIn and not self._codec.traits.reauthenticates:
                raise ImError(ErrorCode.CONFLICT, "already logged in")
            self._start(self._perform(request))
        elif kind is LogIn:
            self._state = LOGGING_IN
            self._start(self._log_in(request))
        elif kind in BEFORE_LOG_IN:
            if kind is Ping:
                self._heartbeats = True
            self._start(self._perform(request))
        elif self._codec.traits.answers_before_login:
            raise ImError(ErrorCode.AUTH_FAILED, "log in first")
        else:
            self._link.close(POLICY, "log in first")

    def _ping_waits(self, kind: type) -> bool:
        return kind is Ping and self._codec.traits.ping_follows_sends

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        self.turns.busy = True
        Deferred.fromCoroutine(work).addErrback(self._work_failed)

    def _work_failed(self, failure: Any) -> None:
        self.log.failure("a session failed", failure)
        self._link.close(BROKEN, "internal error")

    async def _perform(self, request: Request) -> None:
        command = request.command
        kind = type(command)
        try:
            if kind is Disconnect:
                reply: Any = Done()
            elif self._state == ACTIVE:
                assert self._attachment is not None
                if kind is LogOut:
                    # It ends all sessions of the grant that are in the
                    # registry; this one still has to answer.
                    self._attachment.close()
                retry_id = request.retry_id if request.dedupe else ""
                reply = await self._hub.handle(self._attachment, command, retry_id)
            else:
                reply = await self._ask_as_stranger(command)
            frames = self._codec.reply(request, reply)
        except ImError as error:
            self._refuse(request, error)
            if kind is LogIn and self._codec.traits.close_on_refused_login:
                self._link.close(POLICY, "log-in refused")
        except Exception:
            self._internal_error(request)
        else:
            if self._state != ENDED:
                self._put(frames)
        if kind in _LAST:
            self._link.close(NORMAL, "")
        self.turns.done()

    # services.sessions.Receiver

    def answer(self, tags: Sequence[Request], outcomes: Sequence[MessageAccepted | ImError]) -> None:
        """See Receiver; tags are requests."""
        turns = self.turns
        turns.unanswered -= len(tags)
        if self._state == ENDED:
            return
        if len(tags) > 1 and _ACCEPTED.issuperset(map(type, outcomes)):
            self._accepted(tags, outcomes)  # type: ignore[arg-type]  # which that says
        else:
            for request, outcome in zip(tags, outcomes, strict=True):
                self._answer(request, outcome)
        if turns.held is not None or turns.queue is not None or turns.input_ended:
            turns.answered()

    def _answer(self, request: Request, outcome: MessageAccepted | ImError) -> None:
        if self._state == ENDED:
            return
        if isinstance(outcome, ImError):
            self._tally.refuse(outcome.code)
            self._refuse(request, outcome)
            return
        self._tally.accepted += 1
        try:
            self._put(self._codec.reply(request, outcome))
        except Exception:
            self._broken("an answer could not be encoded")
        # Its own message has a row, too, which is not pushed: the cursor passes it.
        self._outbox.pass_over()

    def _accepted(self, requests: Sequence[Request], replies: Sequence[MessageAccepted]) -> None:
        """The same for several that were accepted."""
        try:
            frame, codec = self._frame, self._codec
            accepted = getattr(codec, "accepted", None)  # wire.base.AnswersRows, which a codec may have
            if accepted is None:
                answers = each_accepted(codec, requests, replies)
            else:
                answers = accepted(requests, replies)
            frames = [*map(frame, answers)]
        except Exception:
            # Those before the one that cannot be encoded are owed all the same.
            for request, reply in zip(requests, replies, strict=True):
                self._answer(request, reply)
            return
        self._tally.accepted += len(requests)
        self._outbox.put_all(frames)
        self._outbox.pass_over()

    # The connection's side

    def drained(self) -> None:
        """The outbox has room again."""
        if self._attachment is not None:
            self._attachment.drained()
        self.turns.drained()

    def delivered(self) -> None:
        """The peer's kernel has everything queued so far."""
        if self._attachment is not None:
            self._attachment.delivered(self._kernel_counts)

    def passed(self, seq: int) -> None:
        """The peer's kernel has the messages up to this number, and not yet all that is queued."""
        if self._attachment is not None and self._kernel_counts:
            self._attachment.passed(seq)

    @property
    def _kernel_counts(self) -> bool:
        """Whether messages are acknowledged by what the peer's kernel has."""
        traits = self._codec.traits
        return not traits.acks and not (self._acks and traits.acks_by_choice)

    def ended(self) -> None:
        """The connection is gone, or only takes what is queued. May be called again."""
        if self._state != ENDED:
            self._state = ENDED
            self.turns.end()
            # The attachment knows this session: see `gone`.
            attachment, self._attachment = self._attachment, None
            if attachment is not None:
                attachment.close()
