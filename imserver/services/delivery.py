"""One law of delivery: a session is a cursor over its user's inbox.

A feed entry is pushed directly only if its number is the session's next and the
outbox has room. Otherwise the session reads the store, page by page, as its
outbox drains. Backlog after log-in, slow peers and a log-in that races a send
are therefore one code path. The change log (revokes, receipts) is followed the
same way by a cursor of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import msgspec
from twisted.logger import Logger

from imserver.model.accounts import Principal, SessionKicked
from imserver.model.errors import ImError
from imserver.model.messages import AckMessages, InboxPage, InboxRow
from imserver.services.ports import Answer, Change, DeviceCursor, Entry, Store
from imserver.services.registry import Registry
from imserver.services.sessions import Client, Outgoing, Receiver

PAGE_ROWS = 200
CHANGES_PER_READ = 200

Spawn = Callable[[Coroutine[Any, Any, Any]], Any]


class LiveSession:
    """A logged-in session: its place in the inbox and in the change log.

    Attributes:
        principal: who.
        receiver: where frames go.
    """

    __slots__ = (
        "_closed",
        "_delivery",
        "_direct",
        "_foreign",
        "_foreign_id",
        "_head",
        "_kicked",
        "_login_head",
        "_lost_change",
        "_own",
        "_page_bytes",
        "_pushed",
        "_reading",
        "_reading_changes",
        "_settled",
        "_started",
        "_told",
        "_unconfirmed",
        "client",
        "principal",
        "receiver",
    )

    def __init__(
        self,
        delivery: Delivery,
        principal: Principal,
        client: Client,
        receiver: Receiver,
        page_bytes: int,
    ) -> None:
        self.principal = principal
        self.client = client
        self.receiver = receiver
        self._delivery = delivery
        self._page_bytes = page_bytes
        self._pushed = 0  # the last number pushed, or passed over as one's own
        self._head = 0  # the highest number known to be committed
        self._login_head = 0  # up to here it is backlog
        self._told = 0  # the last change told
        self._unconfirmed = False  # whether the peer's kernel may not have it yet
        self._direct = False
        self._reading = False
        self._reading_changes = False
        self._lost_change = False
        self._started = False
        self._closed = False
        self._kicked = False
        # The last message that was not this session's own, and whether it and all
        # before it are acknowledged: then the own ones behind it are, too.
        self._foreign = 0
        self._foreign_id = ""
        self._settled = False
        # Numbers of messages this very session sent while it was reading pages.
        self._own: set[int] = set()

    # The session's side (services.sessions.Attachment)

    def prepare(self, cursor: DeviceCursor, head: int) -> None:
        """Places the cursors; feed entries that came since `enter` are accounted for."""
        self._login_head = head
        self._head = max(self._head, head)
        self._pushed = head if self.client.pulls else min(cursor.acked, head)
        self._told = cursor.changed
        self._foreign = self._pushed
        self._settled = cursor.acked >= self._pushed

    def start(self) -> None:
        """See Attachment.start."""
        if self._closed or self._started:
            return
        self._started = True
        self._delivery.started(self)
        self._resume()
        self._resume_changes()

    def drained(self) -> None:
        """See Attachment.drained."""
        if not self._direct:
            self._resume()
        if self._lost_change:
            self._resume_changes()

    def delivered(self, messages: bool) -> None:
        """See Attachment.delivered."""
        if self._unconfirmed:
            self._unconfirmed = False
            self._confirm_changes()
        if messages:
            self._pass_all()

    def _pass_all(self) -> None:
        principal = self.principal
        self._delivery.store.acknowledge(principal.user, principal.format, principal.device, self._pushed)

    def acknowledge(self, command: AckMessages) -> None:
        """The peer has everything up to there."""
        principal = self.principal
        seq, message_id = command.seq, command.message_id
        self._delivery.store.acknowledge(
            principal.user, principal.format, principal.device, seq, message_id
        )
        if seq >= self._foreign if seq else message_id == self._foreign_id:
            self._settled = True

    def close(self) -> None:
        """See Attachment.close."""
        if not self._closed:
            self._closed = True
            if self._settled:
                self._pass_all()
            self._own.clear()
            self._delivery.closed(self)

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
        if seq <= self._pushed:
            return
        if seq > self._head:
            self._head = seq
        if own:
            self._own.add(seq)
        self._direct = False
        self._resume()

    def tell(self, change: Change, renamed: bool) -> None:
        """A revoke or receipt was committed; told at once only if nothing before it is missing."""
        if not self._started or self._reading_changes or self._lost_change:
            return  # the change log is being read, or will be: it comes with that
        event = change.event
        if renamed:
            event = msgspec.structs.replace(event, conversation=event.canonical)
        if change.origin == self.principal.session:
            self._told = change.change_id
            if not self._unconfirmed:
                self._confirm_changes()
        elif self.receiver.notify(event):
            self._told = change.change_id
            self._unconfirmed = True
        else:
            self._lost_change = True

    # Reading what was not pushed

    def _resume(self) -> None:
        if self._started and not self._reading and not self._closed:
            if self._pushed >= self._head:
                self._direct = True
            elif self.receiver.writable:
                self._reading = True
                self._delivery.spawn(self._read())

    async def _read(self) -> None:
        try:
            while not self.closed and self.receiver.writable and self._pushed < self._head:
                page = await self._delivery.store.inbox(
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
            # The store is away for now. The next feed entry or drain tries again.
            self._delivery.log.warn("inbox not readable: {code}", code=error.code)
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
            if row.seq in self._own:
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
            self._own = {seq for seq in self._own if seq > last}

    def _flush_backlog(self, page: InboxPage, backlog: list[InboxRow]) -> None:
        if backlog:
            more = backlog[-1].seq < self._login_head and page.has_more
            self.receiver.push_backlog(InboxPage(list(backlog), page.head, page.first_seq, more, page.epoch))
            backlog.clear()

    def _resume_changes(self) -> None:
        if self._started and not self._reading_changes and not self._closed:
            self._reading_changes = True
            self._lost_change = False
            self._delivery.spawn(self._read_changes())

    async def _read_changes(self) -> None:
        try:
            while not self.closed:
                changes = await self._delivery.store.changes(
                    self.principal.user, self._told, CHANGES_PER_READ
                )
                if self._closed or not changes:
                    return
                for change_id, event in changes:
                    if not self.receiver.notify(event):
                        self._lost_change = True
                        return
                    self._told = change_id
                    self._unconfirmed = True
        except ImError as error:
            self._lost_change = True
            self._delivery.log.warn("change log not readable: {code}", code=error.code)
        finally:
            self._reading_changes = False

    def _confirm_changes(self) -> None:
        principal = self.principal
        self._delivery.store.changes_told(principal.user, principal.format, principal.device, self._told)


class Delivery:
    """Consumes the feed (ports.FeedSink) and hands it to the live sessions of this node."""

    log = Logger()

    def __init__(
        self,
        store: Store,
        registry: Registry[LiveSession],
        spawn: Spawn,
        on_started: Callable[[LiveSession], None],
        on_closed: Callable[[LiveSession], None],
    ) -> None:
        """Args:
        spawn: runs a coroutine on its own and logs what it raises.
        on_started: a session began to receive.
        on_closed: a session left the registry.
        """
        self.store = store
        self.registry = registry
        self.spawn = spawn
        self._on_started = on_started
        self._on_closed = on_closed

    def started(self, session: LiveSession) -> None:
        """Called by the session."""
        self._on_started(session)

    def closed(self, session: LiveSession) -> None:
        """Called by the session, once."""
        if self.registry.leave(session):
            self._on_closed(session)

    def answered(self, answers: Sequence[Answer]) -> None:
        """Answers go to the sessions that asked; a ticket is (receiver, tag)."""
        for answer in answers:
            receiver, tag = answer.ticket
            receiver.answer(tag, answer.outcome)

    def committed(self, entries: Sequence[Entry]) -> None:
        """Messages go to every live session of every recipient."""
        of = self.registry.of
        for entry in entries:
            outgoing: Outgoing | None = None
            canonical: Outgoing | None = None
            for user, seq in entry.recipients:
                sessions = of(user)
                if not sessions:
                    continue
                if user in entry.renamed:
                    if canonical is None:
                        canonical = Outgoing(
                            msgspec.structs.replace(entry.message, conversation=entry.message.canonical)
                        )
                    out = canonical
                else:
                    if outgoing is None:
                        outgoing = Outgoing(entry.message)
                    out = outgoing
                for session in sessions:
                    session.offer(out, seq, session.principal.session == entry.origin)

    def changed(self, changes: Sequence[Change]) -> None:
        """Revokes and receipts go to every live session of everyone concerned."""
        for change in changes:
            for user in change.users:
                for session in self.registry.of(user):
                    session.tell(change, user in change.renamed)
