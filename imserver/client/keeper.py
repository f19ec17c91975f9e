"""A connection that comes back, and goes on where the one before it stopped."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from random import Random
from typing import Any

from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from imserver.client.accounts import Credentials
from imserver.client.backoff import Backoff
from imserver.client.connection import Connection, ConnectionGone
from imserver.client.delivery import Delivery, OnMessage
from imserver.client.events import Connected, Disconnected, EpochChanged
from imserver.client.formats import Catching, ClientFormat
from imserver.client.inbox import Inbox, Position, Verdict
from imserver.client.links import Link, Receiver
from imserver.client.sends import Sends
from imserver.model.accounts import KickReason, LoggedIn, SessionKicked
from imserver.model.errors import ErrorCode, ImError
from imserver.model.messages import AckMessages, InboxPage, InboxRow, MessagePage, ReadHistory, SyncInbox
from imserver.wire.base import ClientCodec, Upgrade

PAGE_ROWS = 200
CLOSING_SECONDS = 5.0
STEADY_SECONDS = 10.0
"""A connection that lasted this long was a good one: the next attempt comes soon."""

Dial = Callable[[Receiver, Upgrade], Awaitable[Link]]
_STAY_AWAY = {KickReason.OTHER_DEVICE: ErrorCode.CONFLICT, KickReason.ACCOUNT: ErrorCode.AUTH_FAILED}


class Keeper:
    """Connects, comes back after losses, and catches up; `Client` is what programs see of it.

    Attributes: see `Client`.
    """

    log = Logger()

    def __init__(
        self,
        format: ClientFormat,
        dial: Dial,
        credentials: Credentials,
        clock: IReactorTime,
        wall_time: Callable[[], float],
        random: Random,
        *,
        position: Position | None = None,
        on_message: OnMessage | None = None,
        on_event: Callable[[Any], None] | None = None,
        queue: int = 1000,
    ) -> None:
        self.user = credentials.user
        self.on_event = on_event
        self.ended: Deferred[None] = Deferred()
        self._format = format
        self._dial = dial
        self._credentials = credentials
        self._clock = clock
        self._wall_time = wall_time
        self._random = random
        self._sequence = 0
        self._backoff = Backoff(random)
        self._stay_away = 0.0  # what the server asked for when it went down
        self._inbox = Inbox(position)
        self._delivery = Delivery(self._inbox, queue, self._acknowledge, self._look_at_room)
        self._delivery.on_message = on_message
        self._sends = Sends(format, queue, self._inbox.own)
        self._connection: Connection | None = None  # logged in
        self._attempt: Connection | None = None  # the newest, logged in or not
        self._fetch = format.catching is Catching.SYNC or position is not None
        self._catching_up = False
        self._missed = False
        self._since = 0.0
        self._error: ImError | None = None
        self._connecting: Deferred[None] | None = None
        self._retry: IDelayedCall | None = None
        self._closing: IDelayedCall | None = None
        self._started = False
        self._over = False

    # Connecting

    async def start(self) -> None:
        """Connects and logs in for the first time.

        Raises:
            ImError: it did not work; the client is of no use then.
        """
        try:
            await self._connect()
        except ImError as error:
            self._end(error)
            self.ended.addErrback(lambda failure: None)
            raise
        self._started = True

    async def _connect(self) -> None:
        command = await self._credentials.log_in()
        codec = self._format.codec(self._wall_time)
        upgrade = Upgrade()
        if self._format.upgrade is not None:
            upgrade = _carried(codec, self._format.upgrade, command)
        connection = Connection(codec, self._clock, self._new_tag, self._event, self._lost)
        link = await self._dial(connection, upgrade)
        if self._over:
            link.abort()
            raise ConnectionGone("the client was closed")
        self._attempt = connection
        connection.open(link)
        established = ensureDeferred(self._establish(connection, command))
        connection.begin()
        await established

    async def _establish(self, connection: Connection, command: Any) -> None:
        try:
            logged_in = await self._format.log_in(connection, command)
        except ImError:
            connection.abort("the log-in was refused")
            raise
        self._logged_in(connection, logged_in)

    def _logged_in(self, connection: Connection, logged_in: LoggedIn) -> None:
        self._connection = connection
        self._since = self._clock.seconds()
        self.user = logged_in.user or self.user
        old = self._inbox.epoch
        changed = self._inbox.logged_in(logged_in.epoch)
        self._tell(Connected(logged_in))
        if changed:
            self._tell(EpochChanged(old, logged_in.epoch))
        history = self._format.catching is Catching.HISTORY or (
            self._fetch and self._format.catching is not Catching.NO
        )
        if self._format.catching is Catching.SYNC or (history and self._inbox.seen is not None):
            self._catch_up()
        self._fetch = False
        self._sends.connected(connection)

    def _lost(self, connection: Connection, reason: str) -> None:
        if connection is self._attempt:
            self._attempt = None
        if connection is not self._connection:
            return
        self._connection = None
        self._sends.disconnected()
        if self._clock.seconds() - self._since >= STEADY_SECONDS:
            self._backoff.reset()
        if self._over:
            self._finished()
        else:
            self._retry_later(reason)

    def _retry_later(self, reason: str) -> None:
        delay = self._backoff.next() + self._stay_away
        self._stay_away = 0.0
        self._retry = self._clock.callLater(delay, self._try_again)
        self._tell(Disconnected(reason, delay))

    def _try_again(self) -> None:
        self._retry = None
        self._connecting = ensureDeferred(self._connect())
        self._connecting.addErrback(self._failed)

    def _failed(self, failure: Failure) -> None:
        error = failure.value
        if self._over:
            return
        if not isinstance(error, ImError):
            self.log.failure("the client failed", failure)
            self._end(ImError(ErrorCode.INTERNAL, "the client failed; its log says why"))
        elif error.retryable:
            self._retry_later(error.text)
        else:
            self._end(error)

    # What comes in

    def _event(self, event: Any) -> None:
        if isinstance(event, InboxRow):
            self._row(event)
        elif isinstance(event, InboxPage):
            for row in event.rows:
                self._row(row)
        elif isinstance(event, SessionKicked):
            if event.reason in _STAY_AWAY:
                self._end(ImError(_STAY_AWAY[event.reason], event.text))
            self._stay_away = event.retry_after
        elif not isinstance(event, self._format.unsaid):
            self._tell(event)

    def _row(self, row: InboxRow, *, whole: bool = False) -> None:
        if self._over:
            return
        if self._catching_up and not whole:
            self._missed = True
            return
        if row.message.client_id in self._sends and row.message.sender == self.user:
            # Sent over a connection that is gone: its answer is on the way.
            self._inbox.own(row.seq)
        verdict = self._inbox.take(row, whole=whole)
        if verdict is Verdict.NEW:
            self._delivery.put(row)
        elif verdict is Verdict.GAP:
            self._catch_up()

    def _catch_up(self) -> None:
        if not self._catching_up:
            self._catching_up = True
            ensureDeferred(self._read_missed()).addErrback(self._not_read)

    async def _read_missed(self) -> None:
        try:
            more = True
            while more:
                await self._delivery.room()
                if self._connection is None:
                    raise ConnectionGone("not connected")
                # What is pushed from now on may be behind what is read.
                self._missed = False
                page: InboxPage | MessagePage = await self._connection.ask(self._question())
                for row in page.rows:
                    self._row(row, whole=True)
                more = self._missed or (page.has_more and bool(page.rows))
        finally:
            self._catching_up = False

    def _question(self) -> SyncInbox | ReadHistory:
        after = self._inbox.seen or 0
        if self._format.catching is Catching.SYNC:
            return SyncInbox(after, limit=PAGE_ROWS)
        return ReadHistory(since=str(after), limit=PAGE_ROWS)

    def _not_read(self, failure: Failure) -> None:
        # The next connection reads it; without it there would be a hole.
        self._fetch = True
        if failure.check(ConnectionGone):
            return
        if not failure.check(ImError):
            self.log.failure("what was missed could not be read", failure)
        if self._connection is not None:
            self._connection.abort(f"what was missed could not be read: {failure.value}")

    def _acknowledge(self, seq: int) -> None:
        if self._format.acks and self._connection is not None and seq:
            self._connection.post(AckMessages(seq))

    def _look_at_room(self) -> None:
        # While somebody waits for an answer, it must be possible for it to come.
        if self._connection is not None:
            self._connection.set_paused(self._delivery.full and not self._connection.waiting)

    def _tell(self, event: Any) -> None:
        if self.on_event is not None:
            try:
                self.on_event(event)
            except Exception:
                self.log.failure("on_event failed")

    # The end

    def _end(self, error: ImError) -> None:
        if not self._over:
            if self._started:
                self.log.warn("the client ends: {text}", text=error.text)
            self._error = error
            self._shut(error)

    def _shut(self, error: ImError) -> None:
        if self._over:
            return
        self._over = True
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None
        if self._connecting is not None:
            self._connecting.cancel()
        connection = self._connection
        if connection is not None:
            # Acknowledged is what was handled by now.
            connection.set_paused(False)
            self._closing = self._clock.callLater(CLOSING_SECONDS, connection.abort)
            connection.close()
        elif self._attempt is not None:
            self._attempt.abort()
        self._sends.fail(error)
        self._delivery.end()
        if connection is None:
            self._finished()

    def _finished(self) -> None:
        if self._closing is not None:
            if self._closing.active():
                self._closing.cancel()
            self._closing = None
        if self._error is None:
            self.ended.callback(None)
        else:
            self.ended.errback(self._error)

    # Names for requests and messages

    def _new_tag(self) -> Any:
        if self._format.ids:
            return self._new_id()
        self._sequence = self._sequence % 0x7FFFFFFF + 1
        return self._sequence

    def _new_id(self) -> str:
        return f"{self._random.getrandbits(128):032x}"


def _carried(codec: ClientCodec, upgrade: Callable[[ClientCodec, Any], Upgrade], command: Any) -> Upgrade:
    try:
        return upgrade(codec, command)
    except ValueError as error:
        raise ImError(ErrorCode.AUTH_FAILED, str(error)) from None
