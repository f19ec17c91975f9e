"""A session's cursor over its user's change log (revokes, read receipts, missed calls, news of friends).

The same law as for messages: a change is told at once only if nothing before it
is missing; otherwise the log is read. A change counts as told to the device when
the peer's kernel has it, so one that was lost on the way is told again.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, Protocol

import msgspec

from imserver.model.accounts import Principal
from imserver.model.errors import ImError
from imserver.services.ports import Change, Store
from imserver.services.sessions import Receiver

CHANGES_PER_READ = 200

Spawn = Callable[[Coroutine[Any, Any, Any]], Any]


class Reader(Protocol):
    """What reading on one's own takes."""

    @property
    def store(self) -> Store: ...

    @property
    def spawn(self) -> Spawn:
        """Runs a coroutine on its own and logs what it raises."""

    def unreadable(self, error: ImError, again: Callable[[], None]) -> None:
        """Something could not be read: `again` is called in a while."""


class ChangeCursor:
    """How far a session has been told.

    Attributes:
        told: the last change told.
    """

    __slots__ = (
        "_closed",
        "_lost",
        "_overtaken",
        "_principal",
        "_reader",
        "_reading",
        "_receiver",
        "_unconfirmed",
        "told",
    )

    def __init__(self, reader: Reader, principal: Principal, receiver: Receiver) -> None:
        self._reader = reader
        self._principal = principal
        self._receiver = receiver
        self.told = 0
        self._unconfirmed = False  # the peer's kernel may not have all that was told
        self._lost = False  # the peer had no room for one, or the log could not be read
        self._overtaken = False  # one was committed while the log was being read
        self._reading = False
        self._closed = False

    def tell(self, change: Change, renamed: bool) -> None:
        """A change was committed.

        Args:
            renamed: the user knows its conversation by the canonical name; never of what
                is in no conversation.
        """
        if self._reading:
            # What is being read may be older than this. Changes have no numbers of a user's
            # own that would show a gap, so nothing may be told before this has been read.
            self._overtaken = True
            return
        if self._lost:
            if self._receiver.writable:
                self.resume()
            return  # it comes with that, or once there is room
        event = change.event
        if renamed:
            event = msgspec.structs.replace(event, conversation=event.canonical)
        if change.origin == self._principal.session:
            self.told = change.change_id
            if not self._unconfirmed:
                self._confirm()
        elif self._receiver.notify(event):
            self.told = change.change_id
            self._unconfirmed = True
        else:
            self._lost = True

    def resume(self) -> None:
        """Reads what was not told."""
        if not self._reading and not self._closed:
            self._reading = True
            self._lost = False
            self._reader.spawn(self._read())

    def missed(self) -> None:
        """A change may not have been told of: reads again."""
        self._overtaken = True
        self.resume()

    def drained(self) -> None:
        """There is room again."""
        if self._lost:
            self.resume()

    def delivered(self) -> None:
        """The peer's kernel has all that was told."""
        if self._unconfirmed:
            self._unconfirmed = False
            self._confirm()

    def close(self) -> None:
        """The session is over."""
        self._closed = True

    @property
    def closed(self) -> bool:
        """Whether the session is over."""
        return self._closed

    async def _read(self) -> None:
        try:
            while not self.closed:
                self._overtaken = False
                changes = await self._reader.store.changes(self._principal.user, self.told, CHANGES_PER_READ)
                if self._closed or not (changes or self._overtaken):
                    return
                for change_id, event in changes:
                    if not self._receiver.notify(event):
                        self._lost = True
                        return
                    self.told = change_id
                    self._unconfirmed = True
        except ImError as error:
            self._lost = True
            self._reader.unreadable(error, self.drained)
        finally:
            self._reading = False

    def _confirm(self) -> None:
        principal = self._principal
        self._reader.store.changes_told(principal.user, principal.format, principal.device, self.told)
