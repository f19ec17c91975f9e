"""One connection of a client: requests, their answers, and signs of life."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from imserver.client.links import Link
from imserver.model.accounts import Ping
from imserver.model.calls import CallError
from imserver.model.errors import ErrorCode, ImError
from imserver.wire.base import ClientCodec, WireError

CHECK_SECONDS = 5.0
PING_SECONDS = 25.0
"""Silence of the client after which it shows that it lives."""
ANSWER_SECONDS = 30.0
"""After which a connection without an answer counts as dead."""


class ConnectionGone(ImError):
    """The connection ended before the answer: nobody knows whether the request was done."""

    def __init__(self, text: str) -> None:
        super().__init__(ErrorCode.UNAVAILABLE, text)


class Connection:
    """A link and the codec that speaks over it.

    Attributes:
        clock: reactor time.
        waiting: how many requests have no answer yet, pings not counted.
        refusals: where it is a list, errors that belong to no request are put there
            instead of being events.

    Args:
        new_tag: makes what tells one request's answer from others.
        on_event: takes what the server pushes.
        on_lost: called once when the connection is gone.
    """

    log = Logger()

    def __init__(
        self,
        codec: ClientCodec,
        clock: IReactorTime,
        new_tag: Callable[[], Any],
        on_event: Callable[[Any], None],
        on_lost: Callable[[Connection, str], None],
    ) -> None:
        self.codec = codec
        self.clock = clock
        self.refusals: list[ImError] | None = None
        self._new_tag = new_tag
        self._on_event = on_event
        self._on_lost = on_lost
        self._link: Link | None = None
        self._early: list[bytes] | None = []
        self._first: Deferred[Any] | None = None
        self._lost = ""
        self._paused = False
        self._waiting: dict[Any, tuple[Deferred[Any], float]] = {}
        self._pings: dict[Any, float] = {}
        self._sent_at = clock.seconds()
        self._check: IDelayedCall | None = None

    @property
    def waiting(self) -> int:
        """See the class."""
        return len(self._waiting)

    @property
    def alive(self) -> bool:
        """Whether it can still be spoken over."""
        return self._link is not None and not self._lost

    def open(self, link: Link) -> None:
        """The link is there; what comes over it waits until `begin`.

        Raises:
            ConnectionGone: and gone again.
        """
        if self._lost:
            raise ConnectionGone(self._lost)
        self._link = link
        self._check = self.clock.callLater(CHECK_SECONDS, self._look)

    def begin(self) -> None:
        """Handles what has come, and what comes."""
        early, self._early = self._early, None
        for frame in early or ():
            self.received(frame)

    # Out

    def ask(self, command: Any, tag: Any = None) -> Deferred[Any]:
        """Sends a command; fires with its reply.

        The Deferred fails with ConnectionGone, with what the server refused it with, or
        with an ImError if this format cannot carry the command.
        """
        answer: Deferred[Any] = Deferred()
        tag = self._new_tag() if tag is None else tag
        self._waiting[tag] = (answer, self.clock.seconds())
        try:
            self._write(command, tag)
        except ImError as error:
            del self._waiting[tag]
            answer.errback(error)
        return answer

    def post(self, command: Any, *, tagged: bool = True) -> None:
        """Sends a command that has no answer.

        Args:
            tagged: False: what is said about it comes as an event.

        Raises:
            ImError: as from `ask`.
        """
        self._write(command, self._new_tag() if tagged else None)

    def first_event(self) -> Deferred[Any]:
        """Fires with the next thing the server pushes, which is no event then."""
        self._first = first = Deferred[Any]()
        return first

    def ping(self) -> None:
        """Shows that the client lives, and finds out whether the server does."""
        tag = self._new_tag()
        self._pings[tag] = self.clock.seconds()
        try:
            self._write(Ping(), tag)
        except ImError:
            self._pings.pop(tag, None)

    def _write(self, command: Any, tag: Any) -> None:
        if self._link is None or self._lost:
            raise ConnectionGone(self._lost or "not connected")
        try:
            frame = self.codec.request(command, tag)
        except ValueError as error:
            raise ImError(ErrorCode.UNKNOWN_COMMAND, str(error)) from None
        try:
            self._link.send(frame)
        except ValueError as error:
            raise ImError(ErrorCode.TOO_LARGE, str(error)) from None
        self._sent_at = self.clock.seconds()

    # In

    def received(self, frame: bytes) -> None:
        """See links.Receiver."""
        if self._lost:
            return
        if self._early is not None:
            self._early.append(frame)
            return
        try:
            tag, what = self.codec.decode(frame)
        except WireError as error:
            self.log.warn("the server cannot be understood: {text}", text=error.text)
            self._fail("the server cannot be understood")
            return
        if tag is not None:
            self._answered(tag, what)
        elif isinstance(what, ImError) and self.refusals is not None and not isinstance(what, CallError):
            self.refusals.append(what)
        elif self._first is not None:
            first, self._first = self._first, None
            first.callback(what)
        elif what is not None:
            self._on_event(what)

    def _answered(self, tag: Any, what: Any) -> None:
        if self._pings.pop(tag, None) is not None:
            return
        waiting = self._waiting.pop(tag, None)
        if waiting is None:
            return  # an answer to a command that has none, as a rule: a refused typing notice
        if isinstance(what, ImError):
            waiting[0].errback(what)
        else:
            waiting[0].callback(what)

    def lost(self, reason: str) -> None:
        """See links.Receiver."""
        if self._early:
            self.begin()  # the server's last words
        if self._lost:
            return
        self._lost = reason or "the connection was lost"
        if self._check is not None:
            self._check.cancel()
            self._check = None
        self._pings.clear()
        waiting, self._waiting = self._waiting, {}
        first, self._first = self._first, None
        self._on_lost(self, self._lost)
        if first is not None:
            first.errback(ConnectionGone(self._lost))
        for answer, _ in waiting.values():
            answer.errback(ConnectionGone(self._lost))

    # Life

    def set_paused(self, paused: bool) -> None:
        """Whether the server's frames wait in the kernel."""
        if self._link is not None and not self._lost and paused != self._paused:
            self._paused = paused
            if paused:
                self._link.pause()
                return
            # What is overdue came, perhaps, while nobody read.
            now = self.clock.seconds()
            self._pings = dict.fromkeys(self._pings, now)
            self._link.resume()

    def _look(self) -> None:
        self._check = self.clock.callLater(CHECK_SECONDS, self._look)
        now = self.clock.seconds()
        oldest = min((since for _, since in self._waiting.values()), default=now)
        if not self._paused:
            oldest = min(oldest, min(self._pings.values(), default=now))
        if now - oldest > ANSWER_SECONDS:
            self._fail("the server does not answer")
        elif now - self._sent_at >= PING_SECONDS:
            self.ping()

    def _fail(self, reason: str) -> None:
        link = self._link
        self.lost(reason)
        if link is not None:
            link.abort()

    def close(self) -> None:
        """Closes after everything that was written; aborts if the server does not close its end."""
        if self._link is not None and not self._lost:
            self._link.close()

    def abort(self, reason: str = "closed") -> None:
        """Closes at once."""
        self._fail(reason)
