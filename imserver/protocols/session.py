"""The session of one connection: authentication states, order, and all error policy.

Frames are handled strictly in the order in which they came. Sends, acks and media are
plain calls, so sends are pipelined: many may wait for their commit at a time.
Every other command is a coroutine and runs alone; what comes meanwhile waits
here, and when much of it waits, reading stops. Nothing is lost or refused.

Errors: `WireError` (the peer broke the format) is answered if the format can,
and closes only if the stream cannot go on. `ImError` (a refusal) is answered.
Anything else is logged, answered as INTERNAL, and closes.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Coroutine
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from imserver.model.accounts import (
    Disconnect,
    Hello,
    KickReason,
    LoggedIn,
    LogIn,
    LogOut,
    Ping,
    RefreshTokens,
    Register,
    SessionKicked,
)
from imserver.model.calls import CallMedia
from imserver.model.errors import ErrorCode, ImError
from imserver.model.groups import LeaveGroup
from imserver.model.messages import (
    AckMessages,
    Done,
    MessageAccepted,
    ReadHistory,
    SendMessage,
    SyncInbox,
)
from imserver.protocols.connections import DoorLimits, TokenBucket
from imserver.protocols.output import (
    ACTIVE,
    BROKEN,
    ENDED,
    FRESH,
    GOING_AWAY,
    LOGGING_IN,
    NORMAL,
    POLICY,
    SHAKING,
    SessionLink,
    SessionOutput,
)
from imserver.protocols.retries import RetryMemory
from imserver.protocols.tallies import Tally
from imserver.services.sessions import Attachment, Client, SessionHub
from imserver.wire.base import Request, ServerCodec, WireError

MAX_UNANSWERED = 256
"""Sends that may wait for their commit; beyond it frames wait."""
QUEUED_FRAMES = 64
QUEUED_BYTES = 64 * 1024
"""Waiting frames from which on the connection is not read."""

_BEFORE_LOG_IN = (Hello, Register, RefreshTokens, Ping)
# What must see, or must not overtake, the effect of the sends before it.
_BARRIERS = frozenset({SyncInbox, ReadHistory, LeaveGroup, LogOut, Disconnect})
_LAST = frozenset({LogOut, Disconnect})
_DONE = Done()
# Seconds after which a connection that is just logging in is looked at again.
_LOG_IN_PATIENCE = 1.0


class Session(SessionOutput):
    """See the module; implements services.sessions.Receiver."""

    __slots__ = (
        "_acks",
        "_attachment",
        "_busy",
        "_client",
        "_clock",
        "_delayed",
        "_heartbeats",
        "_held",
        "_hello",
        "_hub",
        "_input_ended",
        "_opened_at",
        "_pumping",
        "_queue",
        "_queued_bytes",
        "_retries",
        "_tokens",
        "_unanswered",
    )

    def __init__(
        self,
        codec: ServerCodec,
        hub: SessionHub,
        link: SessionLink,
        clock: IReactorTime,
        limits: DoorLimits,
        tally: Tally | None = None,
    ) -> None:
        super().__init__(codec, link, tally)
        self._hub = hub
        self._clock = clock
        self._client: Client
        self._acks = False  # the peer said what it has, and is taken at its word
        self._attachment: Attachment | None = None
        self._hello = Hello()
        self._opened_at = clock.seconds()
        self._heartbeats = False
        self._busy = False  # a coroutine runs, `_held` waits, or the peer is slowed
        self._delayed: IDelayedCall | None = None  # the peer is slowed until then
        self._held: Request | None = None  # waits until all sends are answered
        self._pumping = False
        self._input_ended = False  # the peer asks nothing more
        self._unanswered = 0
        self._queue: deque[bytes | WireError] | None = None
        self._queued_bytes = 0
        self._retries: RetryMemory | None = None
        self._tokens = TokenBucket(limits.commands_per_second, limits.command_burst, self._opened_at)

    def start(self, address: str, secure: bool) -> None:
        """The connection is ready. Args: as in services.sessions.Client."""
        traits = self._codec.traits
        self._client = Client(
            session=self._hub.new_session_id(),
            format=traits.name,
            address=address,
            pulls=traits.pulls,
            acks=traits.acks,
            secure=secure,
            media=traits.media,
        )

    # Formats that log in with the transport's handshake

    async def log_in(self, command: LogIn) -> LoggedIn:
        """Logs in before any frame; what comes meanwhile waits. `begin` has to follow at once.

        Raises:
            ImError: refused, or the connection ended meanwhile.
        """
        self._state = SHAKING
        self._busy = True
        attachment, reply = await self._hub.log_in(self._client, self._hello, command, self)
        if self._state == ENDED:  # lost or kicked meanwhile
            attachment.close()
            raise ImError(ErrorCode.UNAVAILABLE, "the connection ended")
        self._attachment = attachment
        self._link.authenticated()
        return reply

    def begin(self, command: LogIn, reply: LoggedIn) -> None:
        """The handshake is done: the answer to its log-in is the first frame."""
        assert self._attachment is not None
        self._state = ACTIVE
        try:
            self._put(self._codec.reply(Request(command, None), reply))
            self._attachment.start()
        except Exception:
            self._internal_error(None)
        self._done()

    # Frames in

    def received(self, frame: bytes | WireError) -> None:
        """Takes the next frame, or what the framing has to say instead of one."""
        if self._state == ENDED:
            return
        if self._queue is None and not self._blocked():
            self._handle(frame)
            return
        queue = self._queue
        if queue is None:
            queue = self._queue = deque()
        queue.append(frame)
        if type(frame) is bytes:
            self._queued_bytes += len(frame)
        if len(queue) >= QUEUED_FRAMES or self._queued_bytes >= QUEUED_BYTES:
            self._link.pause_reading()

    def input_ended(self) -> None:
        """The peer asks nothing more: what it asked is answered, then the connection ends."""
        self._input_ended = True
        self._pump()

    @property
    def unheard(self) -> bool:
        """Whether something that was asked is still to be done."""
        return self._state != ENDED and (self._queue is not None or self._busy)

    def _blocked(self) -> bool:
        return self._busy or self._unanswered >= MAX_UNANSWERED or self._outbox.congested

    def _pump(self) -> None:
        """Handles what waits, as far as it may be handled now."""
        if self._pumping:
            return
        if self._queue is not None:
            self._pump_queue(self._queue)
        if self._input_ended and self._queue is None and not (self._busy or self._unanswered):
            self._link.close(NORMAL, "")

    def _pump_queue(self, queue: deque[bytes | WireError]) -> None:
        self._pumping = True
        try:
            while queue and self._state != ENDED and not self._blocked():
                frame = queue.popleft()
                if type(frame) is bytes:
                    self._queued_bytes -= len(frame)
                self._handle(frame)
        finally:
            self._pumping = False
        if not queue:
            self._queue = None
            self._read_on()

    def _read_on(self) -> None:
        if self._queue is None and self._delayed is None and self._state != ENDED:
            self._link.resume_reading()

    def _handle(self, frame: bytes | WireError) -> None:
        request: Request | None = None
        try:
            if isinstance(frame, WireError):
                raise frame
            request = self._codec.decode(frame)
            kind = type(request.command)
            if kind is SendMessage and self._state == ACTIVE:
                self._send(request)
            elif kind is CallMedia and self._state == ACTIVE:
                self._check_authorization(request)
                assert self._attachment is not None
                self._hub.media(self._attachment, request.command)
            elif kind is AckMessages and self._state == ACTIVE:
                self._check_authorization(request)
                assert self._attachment is not None
                self._acks = True
                self._hub.acknowledge(self._attachment, request.command)
                frames = self._codec.reply(request, _DONE)
                if frames:
                    self._put(frames)
            else:
                self._command(request)
        except WireError as error:
            self._wire_error(error)
        except ImError as error:
            self._refuse(request, error)
        except Exception:
            self._internal_error(request)

    # Commands

    def _send(self, request: Request) -> None:
        self._check_authorization(request)
        if request.dedupe and self._answered_before(request):
            return
        assert self._attachment is not None
        if self._codec.traits.waits_for_rate:
            delay = self._hub.send_delay(self._attachment)
            if delay > 0:
                self._slow_down(request, delay)
                return
        self._unanswered += 1
        try:
            self._hub.send(self._attachment, request.command, request)
        except BaseException:
            self._unanswered -= 1
            raise

    def _command(self, request: Request) -> None:
        """Raises ImError for what is refused at once."""
        command = request.command
        kind = type(command)
        now = self._clock.seconds()
        if not self._tokens.take(now):
            if self._codec.traits.waits_for_rate:
                self._slow_down(request, self._tokens.delay(now))
                return
            raise ImError(ErrorCode.TOO_FAST, "too many commands a second")
        if self._state == ACTIVE:
            self._check_authorization(request)
            if self._unanswered and (kind in _BARRIERS or request.dedupe or self._ping_waits(kind)):
                self._busy = True
                self._held = request
                return
            if kind is LogIn and not self._codec.traits.reauthenticates:
                raise ImError(ErrorCode.CONFLICT, "already logged in")
            if request.dedupe and self._answered_before(request):
                return
            self._start(self._perform(request))
        elif kind is LogIn:
            self._state = LOGGING_IN
            self._start(self._log_in(request))
        elif kind in _BEFORE_LOG_IN:
            if kind is Ping:
                self._heartbeats = True
            self._start(self._perform(request))
        elif self._codec.traits.answers_before_login:
            raise ImError(ErrorCode.AUTH_FAILED, "log in first")
        else:
            self._link.close(POLICY, "log in first")

    def _slow_down(self, request: Request, delay: float) -> None:
        """Lets the request wait, the frames behind it, and the peer in its kernel."""
        self._busy = True
        self._link.pause_reading()
        self._delayed = self._clock.callLater(delay, self._try_again, request)

    def _try_again(self, request: Request) -> None:
        self._delayed = None
        self._go_on_with(request)
        self._read_on()

    def _ping_waits(self, kind: type) -> bool:
        return kind is Ping and self._codec.traits.ping_follows_sends

    def _check_authorization(self, request: Request) -> None:
        token = request.authorization
        if token:
            assert self._attachment is not None
            if not self._hub.authorizes(self._attachment, token):
                raise ImError(ErrorCode.AUTH_FAILED, "the token sent along is not valid here")
        elif self._codec.traits.requires_authorization and type(request.command) is not Ping:
            raise ImError(ErrorCode.AUTH_FAILED, "every request needs a token here")

    def _answered_before(self, request: Request) -> bool:
        """Answers a retry from memory.

        Raises:
            ImError: CONFLICT, if something else was asked under this id.
        """
        if self._retries is None or not request.retry_id:
            return False
        known = self._retries.find(request.retry_id, self._clock.seconds())
        if known is None:
            return False
        if known.command != request.command:
            raise ImError(ErrorCode.CONFLICT, "another request bore this id")
        self._put(known.frames)
        return True

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        self._busy = True
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
                reply = await self._hub.handle(self._attachment, command)
            else:
                reply = await self._hub.before_log_in(self._client, command)
                if kind is Hello:
                    self._hello = command
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
                self._remember(request, frames)
        if kind in _LAST:
            self._link.close(NORMAL, "")
        self._done()

    async def _log_in(self, request: Request) -> None:
        try:
            attachment, reply = await self._hub.log_in(self._client, self._hello, request.command, self)
        except ImError as error:
            if self._state == LOGGING_IN:
                self._state = FRESH
                self._refuse(request, error)
                if self._codec.traits.close_on_refused_login or request.close_if_refused:
                    self._link.close(POLICY, "log-in refused")
        except Exception:
            self._internal_error(request)
        else:
            if self._state == ENDED:  # lost or kicked meanwhile
                attachment.close()
                return
            self._attachment = attachment
            self._state = ACTIVE
            self._link.authenticated()
            try:
                self._put(self._codec.reply(request, reply))
                attachment.start()
            except Exception:
                self._internal_error(request)
        self._done()

    def _done(self) -> None:
        self._busy = False
        self._pump()

    # Answers out

    def _remember(self, request: Request, frames: list[bytes]) -> None:
        if request.dedupe and request.retry_id:
            if self._retries is None:
                self._retries = RetryMemory()
            self._retries.remember(request.retry_id, request.command, frames, self._clock.seconds())

    # services.sessions.Receiver

    def answer(self, tag: Any, outcome: MessageAccepted | ImError) -> None:
        """See Receiver; `tag` is the request."""
        self._unanswered -= 1
        if self._state == ENDED:
            return
        request: Request = tag
        if isinstance(outcome, ImError):
            self._tally.refuse(outcome.code)
            self._refuse(request, outcome)
        else:
            self._tally.accepted += 1
            try:
                frames = self._codec.reply(request, outcome)
                self._put(frames)
                self._remember(request, frames)
            except Exception:
                self._broken("an answer could not be encoded")
            # Its own message has a row, too, which is not pushed: the cursor passes it.
            self._outbox.pass_over()
        if self._held is not None and not self._unanswered:
            self._release_held()
        elif self._queue is not None or self._input_ended:
            self._pump()

    def _release_held(self) -> None:
        request, self._held = self._held, None
        assert request is not None
        self._tokens.give_back()  # it has paid already
        self._go_on_with(request)

    def _go_on_with(self, request: Request) -> None:
        """Does what had to wait, then what waits behind it."""
        self._busy = False
        try:
            if type(request.command) is SendMessage and self._state == ACTIVE:
                self._send(request)
            else:
                self._command(request)
        except ImError as error:
            self._refuse(request, error)
        except Exception:
            self._internal_error(request)
        self._pump()

    def kicked(self, event: SessionKicked) -> None:
        """See Receiver."""
        if self._state != ENDED:
            self.notify(event)
            code = GOING_AWAY if event.reason == KickReason.SHUTDOWN else POLICY
            self._link.close(code, event.text)

    # The connection's side

    def deadline(self, now: float) -> float:
        """When (reactor seconds) this connection ends unless somebody has logged in by then."""
        if self._state == FRESH:
            traits = self._codec.traits
            return self._opened_at + (
                traits.login_deadline_alive if self._heartbeats else traits.login_deadline
            )
        if self._state in (LOGGING_IN, SHAKING):
            return now + _LOG_IN_PATIENCE
        return math.inf

    def drained(self) -> None:
        """The outbox has room again."""
        if self._attachment is not None:
            self._attachment.drained()
        self._pump()
        if not self._outbox.congested:
            self._read_on()

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

    def slow(self) -> None:
        """The peer does not take what is queued for it: what can still be dropped is, then goodbye."""
        if self._state != ENDED:
            self._tally.slow += 1
            self._outbox.drop_unsent()
            self.kicked(SessionKicked(KickReason.SLOW, "you read too slowly"))

    def silent(self) -> None:
        """Nothing was received for too long."""
        self._link.close(POLICY, "no sign of life")

    def too_late(self) -> None:
        """Nobody logged in in time."""
        self._refuse(None, ImError(ErrorCode.AUTH_FAILED, "nobody logged in in time"))
        self._link.close(POLICY, "nobody logged in in time")

    def ended(self) -> None:
        """The connection is gone, or only takes what is queued. May be called again."""
        if self._state != ENDED:
            self._state = ENDED
            self._queue = self._held = self._retries = None
            if self._delayed is not None:
                self._delayed.cancel()
                self._delayed = None
            if self._attachment is not None:
                self._attachment.close()
