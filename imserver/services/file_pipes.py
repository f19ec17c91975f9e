"""One file on its way from the sender's channel to the receiver's; nothing of it is kept.

What the sender's channel reads is written to the receiver's at once. While that one takes no more, or is
not there yet, the sender's is not read, and TCP slows the sender down.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from twisted.internet.interfaces import IDelayedCall

from imserver.model.file_relays import RelayRole, RequestRelay
from imserver.services.ports import Seat


class PipeEnd(Protocol):
    """A channel, as the pipe needs it. None of these raises, or calls the pipe back at once."""

    def pause(self) -> None:
        """Read no more. May be called again."""

    def resume(self) -> None:
        """Read on. May be called again."""

    def write(self, data: bytes) -> None:
        """Pass bytes on to the peer."""

    def finish(self) -> None:
        """Nothing more comes: close after everything that was written."""

    def break_off(self, reason: str, *, between: bool = True) -> None:
        """Tell the peer that it failed, and close.

        Args:
            between: no frame has begun that is not whole; in the middle of one nothing can be told.
        """


class Pipe:
    """A relay, from its offer to its end.

    Attributes:
        sender: the session that offers it.
        target: the user it is for.
        devices: where it was offered, by session.
        receiver: the session that accepted it; None = nobody has.
        passed: bytes of the file so far.
        over: whether it has ended.
    """

    def __init__(
        self,
        id: str,
        request: RequestRelay,
        sender: Seat,
        sid: str,
        target: str,
        devices: dict[str, Seat],
        on_over: Callable[[Pipe, str], None],
    ) -> None:
        """Args:
        sid: the log-in of the sender.
        on_over: told of the end, with the reason; "" = the receiver has all of it.
        """
        self.id = id
        self.name = request.name
        self.size = request.size
        self.sender = sender
        self.target = target
        self.devices = devices
        self.receiver: Seat | None = None
        self.passed = 0
        self.over = False
        self._sids = {(sender.user, sid)}
        self._on_over = on_over
        self._source: PipeEnd | None = None
        self._sink: PipeEnd | None = None
        self._inside = False  # a frame has begun that is not whole
        self._full = False  # the receiver's channel takes no more
        self._ended = False  # the sender said that this was all
        self._timer: IDelayedCall | None = None

    def time_out(self, timer: IDelayedCall | None) -> None:
        """Another timer runs from now on, or none."""
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = timer

    def concerns(self, user: str, sid: str = "") -> bool:
        """Whether it is a file of this user; with `sid`, one moved by this log-in."""
        if sid:
            return (user, sid) in self._sids
        return user in (self.sender.user, self.target)

    def accepted(self, seat: Seat, sid: str) -> None:
        """The receiver wants it."""
        self.receiver = seat
        self._sids.add((seat.user, sid))

    # Channels

    @property
    def joined(self) -> bool:
        """Whether both channels are, or were, there."""
        return self._source is not None and self._sink is not None

    def join(self, role: RelayRole, user: str, end: PipeEnd) -> bool:
        """A channel is one end of it; False if it may not be."""
        if self.receiver is None or self.over:
            return False
        if role is RelayRole.SENDER:
            if user != self.sender.user or self._source is not None:
                return False
            self._source = end
        else:
            if user != self.target or self._sink is not None:
                return False
            self._sink = end
        self._flow()
        return True

    def data(self, piece: bytes, count: int, *, whole: bool) -> None:
        """The sender's channel brings bytes.

        Args:
            count: how many of them are the file's.
            whole: they end a frame.
        """
        if self.over or self._ended or self._sink is None:
            return
        self.passed += count
        if self.passed > self.size:
            self.fail("more was sent than was announced")
        else:
            self._inside = not whole
            self._sink.write(piece)

    def end(self, piece: bytes) -> None:
        """The sender has sent all. `piece`: the frame that says so."""
        if self.over or self._ended or self._sink is None:
            return
        if self.passed != self.size:
            self.fail("less was sent than was announced")
            return
        self._ended = True
        self._sink.write(piece)
        self._sink.finish()
        assert self._source is not None
        self._source.finish()

    def full(self, is_full: bool) -> None:
        """Whether the receiver's channel takes no more for now."""
        self._full = is_full
        self._flow()

    def arrived(self) -> None:
        """The receiver's kernel has everything that was written."""
        if self._ended and not self.over:
            self.over = True
            self._on_over(self, "")

    def gone(self, end: PipeEnd) -> None:
        """A channel is closed."""
        if self.over:
            return
        if end is self._source:
            if not self._ended:
                self.fail("the sender's channel is lost")
        elif end is self._sink:
            self.fail("the receiver's channel is lost")

    def fail(self, reason: str) -> None:
        """It does not work. Does nothing where it is over."""
        if self.over:
            return
        self.over = True
        if self._source is not None:
            self._source.break_off(reason)
        if self._sink is not None:
            self._sink.break_off(reason, between=not self._inside)
        self._on_over(self, reason)

    def _flow(self) -> None:
        if self._source is not None:
            if self._sink is None or self._full:
                self._source.pause()
            else:
                self._source.resume()
