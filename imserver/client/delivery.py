"""Messages on their way to the program: in order, one at a time, acknowledged once they are handled."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

from twisted.internet.defer import Deferred, ensureDeferred
from twisted.logger import Logger

from imserver.client.inbox import Inbox
from imserver.model.messages import InboxRow, Message

OnMessage = Callable[[Message], Awaitable[Any] | None]
ACK_EVERY = 20
"""Messages handled in one go after which an acknowledgement is sent, even if more wait."""


class Delivery:
    """A bounded queue between the connection and the program.

    A callback (`on_message`) or the iterator takes from it, never both. What is handled
    (the callback returned, its awaitable fired, or the iterator asked for the next one) is
    acknowledged by `acknowledge(seq)`. A callback that fails is logged, and its message
    counts as handled: it would fail again.

    Attributes:
        rows: what waits.
    """

    log = Logger()

    def __init__(
        self,
        inbox: Inbox,
        limit: int,
        acknowledge: Callable[[int], None],
        room_changed: Callable[[], None],
    ) -> None:
        self.rows: deque[InboxRow] = deque()
        self._inbox = inbox
        self._limit = limit
        self._acknowledge = acknowledge
        self._room_changed = room_changed
        self._on_message: OnMessage | None = None
        self._pumping = False
        self._unacknowledged = 0
        self._in_hand: InboxRow | None = None
        self._next: Deferred[InboxRow | None] | None = None
        self._room: list[Deferred[None]] = []
        self._ended = False

    @property
    def full(self) -> bool:
        """Whether nothing more should be put in."""
        return len(self.rows) >= self._limit

    def put(self, row: InboxRow) -> None:
        """Queues it; the limit is for `full` to be looked at, nothing is dropped."""
        if self._ended:
            return
        self.rows.append(row)
        if self._next is not None:
            waiting, self._next = self._next, None
            waiting.callback(self._take())
        else:
            self._start()
        self._room_changed()

    def room(self) -> Deferred[None]:
        """Fires when there is room."""
        room: Deferred[None] = Deferred()
        if self.full and not self._ended:
            self._room.append(room)
        else:
            room.callback(None)
        return room

    def end(self) -> None:
        """Nothing more will come; what waits is still given out by the iterator."""
        self._ended = True
        if self._next is not None:
            waiting, self._next = self._next, None
            waiting.callback(None)
        self._tell_room()

    # To a callback

    @property
    def on_message(self) -> OnMessage | None:
        """Called with each message; may return an awaitable, which is waited for."""
        return self._on_message

    @on_message.setter
    def on_message(self, callback: OnMessage | None) -> None:
        self._on_message = callback
        self._start()

    def _start(self) -> None:
        if self._on_message is not None and self.rows and not self._pumping and not self._ended:
            self._pumping = True
            ensureDeferred(self._pump()).addErrback(
                lambda failure: self.log.failure("messages are no longer delivered", failure)
            )

    async def _pump(self) -> None:
        try:
            while self.rows and self._on_message is not None and not self._ended:
                row = self._take()
                try:
                    outcome = self._on_message(row.message)
                    if outcome is not None:
                        await outcome
                except Exception:
                    self.log.failure("on_message failed")
                self._handled(row)
        finally:
            self._pumping = False

    # To an iterator

    async def next(self) -> Message | None:
        """The next message; the one before it is handled then. None = the end."""
        self._finish_in_hand()
        if self.rows:
            row: InboxRow | None = self._take()
        elif self._ended:
            row = None
        else:
            self._next = Deferred()
            row = await self._next
        self._in_hand = row
        return None if row is None else row.message

    def _finish_in_hand(self) -> None:
        row, self._in_hand = self._in_hand, None
        if row is not None:
            self._handled(row)

    # Both

    def _take(self) -> InboxRow:
        row = self.rows.popleft()
        self._tell_room()
        return row

    def _tell_room(self) -> None:
        if not self.full or self._ended:
            room, self._room = self._room, []
            for waiting in room:
                waiting.callback(None)
            self._room_changed()

    def _handled(self, row: InboxRow) -> None:
        last = not self.rows
        self._inbox.handled(row.seq, last=last)
        self._unacknowledged += 1
        if row.seq and (last or self._unacknowledged >= ACK_EVERY):
            self._unacknowledged = 0
            self._acknowledge(self._inbox.position.seq)
