"""The session of one connection: authentication states, order, and all error policy.

Frames are handled strictly in the order in which they came. Sends and acks are
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
from typing import Any, Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from imserver.model.accounts import (
    Disconnect,
    Hello,
    KickReason,
    LogIn,
    LogOut,
    Ping,
    RefreshTokens,
    Register,
    SessionKicked,
)
from imserver.model.errors import ErrorCode, ImError
from imserver.model.groups import LeaveGroup
from imserver.model.messages import (
    AckMessages,
    Done,
    InboxPage,
    MessageAccepted,
    MessageRevoked,
    MessagesRead,
    ReadHistory,
    SendMessage,
    SyncInbox,
    TypingChanged,
)
from imserver.model.presence import PresenceChanged
from imserver.protocols.connections import DoorLimits
from imserver.protocols.outbox import Outbox
from imserver.protocols.retries import RetryMemory
from imserver.services.sessions import Attachment, Client, Outgoing, SessionHub
from imserver.wire.base import Request, ServerCodec, WireError

MAX_UNANSWERED = 256
"""Sends that may wait for their commit; beyond it frames wait."""
QUEUED_FRAMES = 64
QUEUED_BYTES = 64 * 1024
"""Waiting frames from which on the connection is not read."""

NORMAL, GOING_AWAY, POLICY, BROKEN = 1000, 1001, 1008, 1011
"""WebSocket close codes (RFC 6455, 7.4.1)."""

_FRESH, _LOGGING_IN, _ACTIVE, _ENDED = range(4)
_BEFORE_LOG_IN = (Hello, Register, RefreshTokens, Ping)
# What must see, or must not overtake, the effect of the sends before it.
_BARRIERS = frozenset({SyncInbox, ReadHistory, LeaveGroup, LogOut, Disconnect})
_LAST = frozenset({LogOut, Disconnect})
# Seconds after which a connection that is just logging in is looked at again.
_DONE = Done()
_LOG_IN_PATIENCE = 1.0
# Events that the services tell again (or that nobody misses) when they are dropped.
_DROPPABLE = frozenset({TypingChanged, PresenceChanged, MessageRevoked, MessagesRead})


class SessionLink(Protocol):
    """What a session needs of its connection."""

    outbox: Outbox

    def frame(self, payload: bytes) -> bytes:
        """A codec's frame as it goes over the transport."""

    def authenticated(self) -> None:
        """Somebody logged in here."""

    def pause_reading(self) -> None:
        """Stop reading. May be called again."""

    def resume_reading(self) -> None:
        """Go on reading. May be called again."""

    def close(self, code: int, text: str) -> None:
        """Say goodbye after everything that is queued, then close; calls `Session.ended`."""


class Session:
    """See the module; implements services.sessions.Receiver."""

    log = Logger()

    __slots__ = (
        "_attachment",
        "_busy",
        "_client",
        "_clock",
        "_codec",
        "_frame",
        "_heartbeats",
        "_held",
        "_hello",
        "_hub",
        "_limits",
        "_link",
        "_opened_at",
        "_outbox",
        "_pumping",
        "_queue",
        "_queued_bytes",
        "_retries",
        "_state",
        "_tokens",
        "_tokens_at",
        "_unanswered",
    )

    def __init__(
        self,
        codec: ServerCodec,
        hub: SessionHub,
        link: SessionLink,
        clock: IReactorTime,
        limits: DoorLimits,
    ) -> None:
        self._codec = codec
        self._hub = hub
        self._link = link
        self._outbox = link.outbox
        self._frame = link.frame
        self._clock = clock
        self._limits = limits
        self._client: Client
        self._state = _FRESH
        self._attachment: Attachment | None = None
        self._hello = Hello()
        self._opened_at = self._tokens_at = clock.seconds()
        self._heartbeats = False
        self._busy = False  # a coroutine runs, or `_held` waits
        self._held: Request | None = None  # waits until all sends are answered
        self._pumping = False
        self._unanswered = 0
        self._queue: deque[bytes | WireError] | None = None
        self._queued_bytes = 0
        self._retries: RetryMemory | None = None
        self._tokens = limits.command_burst

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
        )

    # Frames in

    def received(self, frame: bytes | WireError) -> None:
        """Takes the next frame, or what the framing has to say instead of one."""
        if self._state == _ENDED:
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

    def _blocked(self) -> bool:
        return self._busy or self._unanswered >= MAX_UNANSWERED or self._outbox.congested

    def _pump(self) -> None:
        """Handles what waits, as far as it may be handled now."""
        if self._pumping or self._queue is None:
            return
        self._pumping = True
        try:
            while self._queue and not self._blocked():
                frame = self._queue.popleft()
                if type(frame) is bytes:
                    self._queued_bytes -= len(frame)
                self._handle(frame)
        finally:
            self._pumping = False
        if not self._queue:
            self._queue = None
            if self._state != _ENDED:
                self._link.resume_reading()

    def _handle(self, frame: bytes | WireError) -> None:
        request: Request | None = None
        try:
            if isinstance(frame, WireError):
                raise frame
            request = self._codec.decode(frame)
            kind = type(request.command)
            if kind is SendMessage and self._state == _ACTIVE:
                self._send(request)
            elif kind is AckMessages and self._state == _ACTIVE:
                self._check_authorization(request)
                assert self._attachment is not None
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
        self._unanswered += 1
        assert self._attachment is not None
        try:
            self._hub.send(self._attachment, request.command, request)
        except BaseException:
            self._unanswered -= 1
            raise

    def _command(self, request: Request) -> None:
        """Raises ImError for what is refused at once."""
        command = request.command
        kind = type(command)
        self._take_token()
        if self._state == _ACTIVE:
            self._check_authorization(request)
            if self._unanswered and (kind in _BARRIERS or request.dedupe):
                self._busy = True
                self._held = request
                return
            if kind is LogIn and not self._codec.traits.reauthenticates:
                raise ImError(ErrorCode.CONFLICT, "already logged in")
            if request.dedupe and self._answered_before(request):
                return
            self._start(self._perform(request))
        elif kind is LogIn:
            self._state = _LOGGING_IN
            self._start(self._log_in(request))
        elif kind in _BEFORE_LOG_IN:
            if kind is Ping:
                self._heartbeats = True
            self._start(self._perform(request))
        elif self._codec.traits.answers_before_login:
            raise ImError(ErrorCode.AUTH_FAILED, "log in first")
        else:
            self._link.close(POLICY, "log in first")

    def _take_token(self) -> None:
        limits = self._limits
        now = self._clock.seconds()
        tokens = self._tokens + (now - self._tokens_at) * limits.commands_per_second
        self._tokens_at = now
        self._tokens = tokens = min(tokens, limits.command_burst)
        if tokens < 1:
            raise ImError(ErrorCode.TOO_FAST, "too many commands a second")
        self._tokens = tokens - 1

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
            elif self._state == _ACTIVE:
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
            if self._state != _ENDED:
                self._put(frames)
                self._remember(request, frames)
        if kind in _LAST:
            self._link.close(NORMAL, "")
        self._done()

    async def _log_in(self, request: Request) -> None:
        try:
            attachment, reply = await self._hub.log_in(
                self._client, self._hello, request.command, self
            )
        except ImError as error:
            if self._state == _LOGGING_IN:
                self._state = _FRESH
                self._refuse(request, error)
                if self._codec.traits.close_on_refused_login:
                    self._link.close(POLICY, "log-in refused")
        except Exception:
            self._internal_error(request)
        else:
            if self._state == _ENDED:  # lost or kicked meanwhile
                attachment.close()
                return
            self._attachment = attachment
            self._state = _ACTIVE
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

    def _put(self, frames: list[bytes]) -> None:
        for frame in frames:
            self._outbox.put(self._frame(frame))

    def _remember(self, request: Request, frames: list[bytes]) -> None:
        if request.dedupe and request.retry_id:
            if self._retries is None:
                self._retries = RetryMemory()
            self._retries.remember(
                request.retry_id, request.command, frames, self._clock.seconds()
            )

    def _refuse(self, request: Request | None, error: ImError) -> None:
        if self._state == _ENDED:
            return
        try:
            if request is None:
                self._put(self._codec.refusal(None, error))
            else:
                self._put(self._codec.refusal(request.tag, error, request.command))
        except Exception:
            self._broken("a refusal could not be encoded")

    def _wire_error(self, error: WireError) -> None:
        try:
            self._put(self._codec.refusal(error.tag, error))
        except Exception:
            self._broken("a refusal could not be encoded")
            return
        if error.fatal:
            self._link.close(error.close_code, error.text)

    def _internal_error(self, request: Request | None) -> None:
        """Called in an except block: logs, answers INTERNAL, closes."""
        name = "an undecoded frame" if request is None else type(request.command).__name__
        self.log.failure("{door}: {name} failed", door=self._client.format, name=name)
        self._refuse(request, ImError(ErrorCode.INTERNAL, "internal error"))
        self._link.close(BROKEN, "internal error")

    def _broken(self, what: str) -> None:
        """Called in an except block, where not even an answer can be made: logs and closes."""
        self.log.failure("{door}: {what}", door=self._client.format, what=what)
        self._link.close(BROKEN, "internal error")

    # services.sessions.Receiver

    @property
    def writable(self) -> bool:
        """See Receiver."""
        return self._state == _ACTIVE and self._outbox.writable

    def push(self, outgoing: Outgoing, seq: int) -> None:
        """See Receiver."""
        if self._state == _ENDED:
            return
        try:
            codec = self._codec
            profile = codec.profile
            shared = outgoing.cache.get(profile)
            if shared is None:
                shared = outgoing.cache[profile] = codec.shared(outgoing.message)
            self._outbox.push(self._frame(codec.splice(shared, seq)))
        except Exception:
            self._broken("a message could not be encoded")

    def push_backlog(self, page: InboxPage) -> None:
        """See Receiver."""
        if self._state == _ENDED:
            return
        try:
            for frame in self._codec.backlog(page):
                self._outbox.push(self._frame(frame))
        except Exception:
            self._broken("a page of backlog could not be encoded")

    def notify(self, event: Any) -> bool:
        """See Receiver."""
        if self._state == _ENDED or (type(event) in _DROPPABLE and not self._outbox.writable):
            return False
        try:
            self._put(self._codec.event(event))
        except Exception:
            self._broken("an event could not be encoded")
            return False
        return True

    def answer(self, tag: Any, outcome: MessageAccepted | ImError) -> None:
        """See Receiver; `tag` is the request."""
        self._unanswered -= 1
        if self._state == _ENDED:
            return
        request: Request = tag
        if isinstance(outcome, ImError):
            self._refuse(request, outcome)
        else:
            try:
                frames = self._codec.reply(request, outcome)
                self._put(frames)
                self._remember(request, frames)
            except Exception:
                self._broken("an answer could not be encoded")
        if self._held is not None and not self._unanswered:
            self._release_held()
        elif self._queue is not None:
            self._pump()

    def _release_held(self) -> None:
        request, self._held = self._held, None
        self._busy = False
        assert request is not None
        self._tokens += 1  # it has paid already
        try:
            self._command(request)
        except ImError as error:
            self._refuse(request, error)
        except Exception:
            self._internal_error(request)
        self._pump()

    def kicked(self, event: SessionKicked) -> None:
        """See Receiver."""
        if self._state != _ENDED:
            self.notify(event)
            code = GOING_AWAY if event.reason == KickReason.SHUTDOWN else POLICY
            self._link.close(code, event.text)

    # The connection's side

    def deadline(self, now: float) -> float:
        """When (reactor seconds) this connection ends unless somebody has logged in by then."""
        if self._state == _FRESH:
            traits = self._codec.traits
            return self._opened_at + (
                traits.login_deadline_alive if self._heartbeats else traits.login_deadline
            )
        if self._state == _LOGGING_IN:
            return now + _LOG_IN_PATIENCE
        return math.inf

    def drained(self) -> None:
        """The outbox has room again."""
        if self._attachment is not None:
            self._attachment.drained()
        self._pump()
        if self._queue is None and not self._outbox.congested:
            self._link.resume_reading()

    def delivered(self) -> None:
        """The peer's kernel has every message pushed so far."""
        if self._attachment is not None:
            self._attachment.delivered()

    def slow(self) -> None:
        """The peer does not take what is queued for it: what can still be dropped is, then goodbye."""
        if self._state != _ENDED:
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
        if self._state != _ENDED:
            self._state = _ENDED
            self._queue = self._held = self._retries = None
            if self._attachment is not None:
                self._attachment.close()
