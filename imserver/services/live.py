"""One law of delivery: a session is a cursor over its user's inbox.

A feed entry is pushed directly only if its number is the session's next and the
outbox has room. Otherwise the session reads the store, page by page, as its
outbox drains. Backlog after log-in, slow peers and a log-in that races a send
are therefore one code path.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from imserver.model.accounts import KickReason, Principal, SessionKicked
from imserver.model.errors import ImError
from imserver.model.messages import AckMessages, InboxPage, InboxRow
from imserver.services.change_cursor import ChangeCursor, Reader
from imserver.services.outgoing import Outgoing, OutgoingRow
from imserver.services.ports import Change, DeviceCursor
from imserver.services.sessions import Client, Receiver

PAGE_ROWS = 200


class Home(Reader, Protocol):
    """What live sessions live in."""

    def started(self, session: LiveSession) -> None:
        """The session begins to receive."""

    def closed(self, session: LiveSession) -> None:
        """The session ended; called once."""


class LiveSession:
    """A logged-in session: its place in the inbox and in the change log.

    Attributes:
        principal: who.
        receiver: where frames go.
        feeder: called when the outbox has room again, for what is neither message nor change (files).
    """

    __slots__ = (
        "_changes",
        "_closed",
        "_direct",
        "_epoch",
        "_foreign",
        "_foreign_id",
        "_head",
        "_home",
        "_kicked",
        "_login_head",
        "_own",
        "_page_bytes",
        "_pushed",
        "_reading",
        "_settled",
        "_started",
        "client",
        "feeder",
        "principal",
        "receiver",
    )

    def __init__(
        self,
        home: Home,
        principal: Principal,
        client: Client,
        receiver: Receiver,
        page_bytes: int,
    ) -> None:
        self.principal = principal
        self.client = client
        self.receiver = receiver
        self.feeder: Callable[[], None] | None = None
        self._home = home
        self._changes = ChangeCursor(home, principal, receiver)
        self._page_bytes = page_bytes
        self._pushed = 0  # the last number pushed, or passed over as one's own
        self._head = 0  # the highest number known to be committed
        self._login_head = 0  # up to here it is backlog
        self._epoch = ""  # in which the numbers were given
        self._direct = False
        self._reading = False
        self._started = False
        self._closed = False
        self._kicked = False
        # The last message that was not this session's own, and whether it and all
        # before it are acknowledged: then the own ones behind it are, too.
        self._foreign = 0
        self._foreign_id = ""
        self._settled = False
        # Numbers of messages this very session sent while it was reading pages.
        self._own: set[int] | None = None  # a set for each session would be a twentieth of its memory

    # The session's side (services.sessions.Attachment)

    def prepare(self, cursor: DeviceCursor, head: int) -> None:
        """Places the cursors; feed entries that came since `enter` are accounted for."""
        self._epoch = self._home.store.epoch
        self._login_head = head
        self._head = max(self._head, head)
        self._pushed = head if self.client.pulls else min(cursor.acked, head)
        self._changes.told = cursor.changed
        self._foreign = self._pushed
        self._settled = cursor.acked >= self._pushed

    def start(self) -> None:
        """See Attachment.start."""
        if self._closed or self._started:
            return
        self._started = True
        self._home.started(self)
        self._resume()
        self._changes.resume()

    def drained(self) -> None:
        """See Attachment.drained."""
        if not self._direct:
            self._resume()
        self._changes.drained()
        if self.feeder is not None:
            self.feeder()

    def delivered(self, messages: bool) -> None:
        """See Attachment.delivered."""
        self._changes.delivered()
        if messages:
            self._pass_all()

    def passed(self, seq: int) -> None:
        """See Attachment.passed."""
        principal = self.principal
        self._home.store.acknowledge(principal.user, principal.format, principal.device, seq)

    def _pass_all(self) -> None:
        principal = self.principal
        self._home.store.acknowledge(principal.user, principal.format, principal.device, self._pushed)

    def acknowledge(self, command: AckMessages) -> None:
        """The peer has everything up to there."""
        principal = self.principal
        seq, message_id = command.seq, command.message_id
        self._home.store.acknowledge(principal.user, principal.format, principal.device, seq, message_id)
        # What the store ignores settles nothing: a number that was never given, no name at all.
        if self._foreign <= seq <= self._pushed if seq else message_id and message_id == self._foreign_id:
            self._settled = True

    def close(self) -> None:
        """See Attachment.close."""
        if not self._closed:
            self._closed = True
            self._changes.close()
            if self._settled:
                self._pass_all()
            self._own = None
            self._home.closed(self)

    # The feed's side

    def kick(self, event: SessionKicked) -> None:
        """Ends the session: it is out of the registry at once, whatever its peer does."""
        if not self._kicked:
            self._kicked = True
            self.close()
            self.receiver.kicked(event)

    @property
    def closed(self) -> bool:
        """Whether it was closed or kicked."""
        return self._closed

    @property
    def started(self) -> bool:
        """Whether delivery has begun."""
        return self._started

    def offer(self, outgoing: Outgoing, seq: int, own: bool) -> None:
        """A message was committed under `seq`; `own`: this session sent it and has the answer."""
        if self._direct and seq == self._pushed + 1:
            if own:
                self._pushed = self._head = seq
                return
            if self.receiver.writable:
                self._pushed = self._head = seq
                self._settled = False
                self._foreign = seq
                self._foreign_id = outgoing.message.message_id
                self.receiver.push(outgoing, seq)
                return
        self._read_later(seq, own)

    def offer_all(self, row: OutgoingRow, seq: int) -> None:
        """Messages of others were committed under `seq` and the numbers after it."""
        taken = 0
        if self._direct and seq == self._pushed + 1:
            taken = self.receiver.push_all(row, seq)
            if taken:
                self._settled = False
                self._pushed = self._head = self._foreign = seq + taken - 1
                self._foreign_id = row.messages.accepted[taken - 1].message_id
        if taken < len(row.messages):
            for number, outgoing in enumerate(row.each()[taken:], seq + taken):
                self.offer(outgoing, number, False)

    def pass_own(self, seq: int, count: int) -> None:
        """So many that this session sent were committed under `seq` and the numbers after it."""
        if self._direct and seq == self._pushed + 1:
            self._pushed = self._head = seq + count - 1
            return
        for number in range(seq, seq + count):
            if self._direct and number == self._pushed + 1:
                self._pushed = self._head = number
            else:
                self._read_later(number, own=True)

    def _read_later(self, seq: int, own: bool) -> None:
        if seq <= self._pushed:
            return
        if seq > self._head:
            self._head = seq
        if own:
            if self._own is None:
                self._own = set()
            self._own.add(seq)
        self._direct = False
        self._resume()

    def tell(self, change: Change, renamed: bool) -> None:
        """A change of the user's log was committed."""
        if self._started:
            self._changes.tell(change, renamed)

    def look_for_changes(self) -> None:
        """A change of the user's log was committed, and others before it may not have been told of."""
        if self._started:
            self._changes.missed()

    def missed(self, head: int) -> None:
        """Some of the feed may not have come; the inbox goes up to `head` now."""
        if head < self._pushed or self._epoch not in ("", self._home.store.epoch):
            # What this peer knows of numbers is no longer so; it hears of that when it logs in.
            self.kick(SessionKicked(KickReason.SHUTDOWN, "the message store began afresh; log in again"))
            return
        if head > self._head:
            self._head = head
            self._direct = False
        self._resume()
        self.look_for_changes()

    # Reading what was not pushed

    def _resume(self) -> None:
        if self._started and not self._reading and not self._closed:
            if self._pushed >= self._head:
                self._direct = True
            elif self.receiver.writable:
                self._reading = True
                self._home.spawn(self._read())

    async def _read(self) -> None:
        try:
            while not self.closed and self.receiver.writable and self._pushed < self._head:
                page = await self._home.store.inbox(
                    self.principal.user, self._pushed, 0, PAGE_ROWS, self._page_bytes
                )
                if self._closed:
                    return
                before = self._pushed
                self._push_page(page)
                if self._pushed == before:
                    # The feed told of what the store does not have. Asking again
                    # and again would help nobody; the next feed entry tries again.
                    break
        except ImError as error:
            # The store is away for now.
            self._home.unreadable(error, self._resume)
        finally:
            self._reading = False
        if self._pushed >= self._head:
            self._direct = True

    def _push_page(self, page: InboxPage) -> None:
        # Rows beyond what the feed has told are left to the feed, which knows
        # whose session sent them.
        known = self._head
        rows = [row for row in page.rows if row.seq <= known]
        if page.has_more and rows and rows[-1].seq < known:
            last = rows[-1].seq
        else:
            # Retention may have taken the rest; but nothing is known of what was
            # committed after the page was read, even if the feed has told of it since.
            last = min(known, page.head)
        backlog: list[InboxRow] = []
        for row in rows:
            if self._own and row.seq in self._own:
                continue
            self._settled = False
            self._foreign = row.seq
            self._foreign_id = row.message.message_id
            if row.seq <= self._login_head:
                backlog.append(row)
            else:
                self._flush_backlog(page, backlog)
                self.receiver.push(Outgoing(row.message), row.seq)
        self._flush_backlog(page, backlog)
        self._pushed = last
        if self._own:
            self._own = {seq for seq in self._own if seq > last} or None

    def _flush_backlog(self, page: InboxPage, backlog: list[InboxRow]) -> None:
        if backlog:
            more = backlog[-1].seq < self._login_head and page.has_more
            self.receiver.push_backlog(InboxPage(list(backlog), page.head, page.first_seq, more, page.epoch))
            backlog.clear()
