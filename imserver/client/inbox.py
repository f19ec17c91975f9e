"""The place in one's inbox: what was seen, what was handled, and which rows are new."""

from __future__ import annotations

import enum
from collections import OrderedDict

from msgspec import Struct

from imserver.model.messages import InboxRow

REMEMBERED_IDS = 4096


class Position(Struct, frozen=True, gc=False):
    """A place in an inbox, to be kept by programs that go on where they stopped.

    Attributes:
        seq: everything up to this number was handled.
        epoch: the inbox epoch the number belongs to.
    """

    seq: int
    epoch: str = ""


class Verdict(enum.Enum):
    """What a row is to a client."""

    NEW = enum.auto()
    OLD = enum.auto()
    GAP = enum.auto()
    """Rows before it are missing: it is to be taken together with them."""


class Inbox:
    """Tells new rows from those that were seen, and from the client's own messages.

    Rows without a number (document 000) are always new.

    Attributes:
        seen: the highest number taken, own messages included; None = none is known.
        epoch: the inbox epoch; "" until a log-in told it.
    """

    __slots__ = ("_handled", "_ids", "_own", "epoch", "seen")

    def __init__(self, position: Position | None = None) -> None:
        self.seen = None if position is None else position.seq
        self.epoch = "" if position is None else position.epoch
        self._handled = self.seen or 0
        self._own: set[int] = set()
        self._ids: OrderedDict[str, None] = OrderedDict()

    @property
    def position(self) -> Position:
        """Everything up to here was handled."""
        return Position(self._handled, self.epoch)

    def logged_in(self, epoch: str) -> bool:
        """Takes note of the epoch; True if it is another one, so that the numbers start afresh."""
        changed = bool(self.epoch) and epoch != self.epoch
        if changed:
            self.seen = None
            self._handled = 0
            self._own.clear()
        self.epoch = epoch
        return changed

    def own(self, seq: int) -> None:
        """The client's own message got this number."""
        if seq > (self.seen or 0):
            self._own.add(seq)
            self._pass_own()

    def take(self, row: InboxRow, *, whole: bool) -> Verdict:
        """Judges a row, and counts it as seen unless it is a GAP.

        Args:
            whole: the rows before it that there are have been given.
        """
        seq = row.seq
        if not seq:
            return Verdict.NEW
        seen = self.seen
        if seq in self._own or (seen is not None and seq <= seen):
            if whole and (seen is None or seq > seen):
                self._own.discard(seq)
                self._saw(seq)
            return Verdict.OLD
        if seen is not None and seq != seen + 1 and not whole:
            return Verdict.GAP
        self._saw(seq)
        message_id = row.message.message_id
        # After a change of epoch, rows come again under other numbers.
        if message_id in self._ids:
            return Verdict.OLD
        self._ids[message_id] = None
        if len(self._ids) > REMEMBERED_IDS:
            self._ids.popitem(last=False)
        return Verdict.NEW

    def handled(self, seq: int, *, last: bool) -> None:
        """The program is done with a row; `last`: with all that were taken."""
        if seq:
            self._handled = max(self._handled, (self.seen or 0) if last else seq)

    def _saw(self, seq: int) -> None:
        self.seen = seq
        self._own = {own for own in self._own if own > seq}
        self._pass_own()

    def _pass_own(self) -> None:
        if self.seen is not None:
            while self.seen + 1 in self._own:
                self.seen += 1
                self._own.discard(self.seen)
