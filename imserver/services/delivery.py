"""From the feed to the live sessions of this node."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import msgspec
from twisted.internet.defer import DeferredList, ensureDeferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from imserver.model.errors import ImError
from imserver.model.message_rows import MessageRow, row_of
from imserver.model.messages import MessageAccepted
from imserver.services.change_cursor import Spawn
from imserver.services.live import LiveSession
from imserver.services.outgoing import Outgoing, OutgoingRow
from imserver.services.ports import Change, Entry, EntryRow, Store
from imserver.services.registry import Registry

__all__ = ["Delivery", "LiveSession", "Spawn"]

USERS_AT_ONCE = 100
"""Users whose sessions look at the same time how far the store is, after something was missed."""
RETRY_SECONDS = 1.0
"""After so long what could not be read is asked for again."""


class Delivery:
    """Consumes the feed (ports.FeedSink) and hands it to the live sessions of this node."""

    log: ClassVar[Any] = Logger()

    def __init__(
        self,
        store: Store,
        registry: Registry[LiveSession],
        spawn: Spawn,
        on_started: Callable[[LiveSession], None],
        on_closed: Callable[[LiveSession], None],
        clock: IReactorTime,
    ) -> None:
        """Args:
        spawn: runs a coroutine on its own and logs what it raises.
        on_started: a session began to receive.
        on_closed: a session left the registry.
        clock: times new attempts to read.
        """
        self.store = store
        self.registry = registry
        self.spawn = spawn
        self._on_started = on_started
        self._on_closed = on_closed
        self._clock = clock
        self._catching_up = False
        self._missed = 0
        self._interrupted = False
        self._behind = False  # since an interruption, until all sessions have looked for what they missed
        self._unread: list[Callable[[], None]] = []

    def started(self, session: LiveSession) -> None:
        """Called by the session."""
        self._on_started(session)

    def closed(self, session: LiveSession) -> None:
        """Called by the session, once."""
        if self.registry.leave(session):
            self._on_closed(session)

    def answered(self, tickets: Sequence[Any], outcomes: Sequence[MessageAccepted | ImError]) -> None:
        """Answers go to the sessions that asked, all in a row to one at once; a ticket is (receiver, tag)."""
        last: Any = None
        tags: list[Any] = []
        first = 0
        for receiver, tag in tickets:
            if receiver is not last:
                if tags:
                    last.answer(tags, outcomes[first : first + len(tags)])
                    first += len(tags)
                last, tags = receiver, []
            tags.append(tag)
        if tags:
            last.answer(tags, outcomes[first:])

    def committed(self, entries: Sequence[Entry | EntryRow]) -> None:
        """Messages go to every live session of every recipient."""
        first, count = 0, len(entries)
        while first < count:
            entry = entries[first]
            end = first + 1
            if type(entry) is EntryRow:
                self._committed_row(entry.messages, entry.recipients, entry.origin)
            else:
                while end < count and _goes_on(entry, entries[end]):  # type: ignore[arg-type]  # it is an Entry
                    end += 1
                if end - first == 1:
                    self._committed(entry)  # type: ignore[arg-type]
                else:
                    self._committed_run(entries[first:end])  # type: ignore[arg-type]
            first = end

    def _committed(self, entry: Entry) -> None:
        of = self.registry.of
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

    def _committed_run(self, run: Sequence[Entry]) -> None:
        """Several of one session to one user, one after the other if nothing is missing between them."""
        first, last = run[0], run[-1]
        steps = len(run) - 1
        if [(user, seq + steps) for user, seq in first.recipients] == [*last.recipients]:
            messages = row_of([entry.message for entry in run])
            self._committed_row(messages, first.recipients, first.origin)
        else:
            for entry in run:
                self._committed(entry)

    def _committed_row(
        self, messages: MessageRow, recipients: Sequence[tuple[str, int]], origin: str
    ) -> None:
        """Messages of one session to one user; the numbers are the first one's."""
        count = len(messages)
        outgoing = Outgoing(messages.at(0)) if count == 1 else None  # a row of one costs more
        row: OutgoingRow | None = None
        for user, seq in recipients:
            for session in self.registry.of(user):
                own = session.principal.session == origin
                if outgoing is not None:
                    session.offer(outgoing, seq, own)
                elif own:
                    session.pass_own(seq, count)
                else:
                    if row is None:
                        row = OutgoingRow(messages)
                    session.offer_all(row, seq)

    def changed(self, changes: Sequence[Change]) -> None:
        """Revokes, receipts, missed calls, news of friends: to every live session of everyone concerned."""
        for change in changes:
            heard = change.heard
            for user in change.users:
                for session in self.registry.of(user):
                    if self._behind or (heard is not None and user not in heard):
                        # One before it may be missing, which no number would show.
                        session.look_for_changes()
                    else:
                        session.tell(change, user in change.renamed)

    def interrupted(self) -> None:
        """From now on some of the feed may not come, until `missed`."""
        self._interrupted = self._behind = True

    def missed(self) -> None:
        """All live sessions look how far the store is, some users at a time."""
        self._interrupted = False
        self._catch_up_soon()

    def _catch_up_soon(self) -> None:
        self._missed += 1
        if not self._catching_up:
            self._catching_up = True
            self.spawn(self._catch_up())

    async def _catch_up(self) -> None:
        try:
            seen = 0
            while seen != self._missed:
                seen = self._missed
                users = list(dict.fromkeys(session.principal.user for session in self.registry))
                for first in range(0, len(users), USERS_AT_ONCE):
                    await self._look(users[first : first + USERS_AT_ONCE])
            self._behind = self._interrupted
        except ImError as error:
            self.unreadable(error, self._catch_up_soon)
        finally:
            self._catching_up = False

    async def _look(self, users: Sequence[str]) -> None:
        looks = [ensureDeferred(self.store.head(user)) for user in users]
        results: Any = await DeferredList(looks, consumeErrors=True)
        for user, (found, result) in zip(users, results, strict=True):
            if not found:
                result.raiseException()
            head, _ = result
            for session in self.registry.of(user):
                session.missed(head)

    def unreadable(self, error: ImError, again: Callable[[], None]) -> None:
        """Something could not be read: `again` is called in a while."""
        if not self._unread:
            self.log.warn("the store is not readable: {code}", code=error.code)
            self._clock.callLater(RETRY_SECONDS, self._read_again)
        self._unread.append(again)

    def _read_again(self) -> None:
        unread, self._unread = self._unread, []
        for again in unread:
            again()


def _goes_on(first: Entry, entry: Entry | EntryRow) -> bool:
    """Whether it may share a MessageRow: what one session sends to one user often comes in a row.

    Codecs rely on it and look at none of the names again. One session has one user, and two users one
    canonical name.
    """
    if type(entry) is not Entry or entry.origin != first.origin or not first.origin:
        return False
    one, other = first.message, entry.message
    return (
        one.recipient == other.recipient != "" and one.conversation == other.conversation
        and not (entry.renamed or first.renamed or one.revoked or other.revoked)
    )  # fmt: skip
