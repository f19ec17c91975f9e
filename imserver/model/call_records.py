"""What is kept of calls: records for their two users, and the news of a missed one."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from imserver.model.calls import Ending

MISSED = frozenset(
    {
        Ending.CANCELLED,
        Ending.BUSY,
        Ending.OFFLINE,
        Ending.NO_DEVICE,
        Ending.NO_ANSWER,
        Ending.LOST,
        Ending.SHUTDOWN,
    }
)
"""Endings of an unanswered call of which the callee is told as of a missed one."""


class CallRecord(Struct, frozen=True, gc=False):
    """What is kept of a call; its two users may read it. Times are float seconds, 0 = not (yet).

    Attributes:
        ending: None while it lasts.
        by: the user who ended it; "" = nobody did.
        withheld: only the caller may read it: the callee was not tried (the caller was busy), or
            does not want to hear from the caller.
    """

    call: str
    caller: str
    callee: str
    video: bool
    created_at: float
    answered_at: float = 0.0
    ended_at: float = 0.0
    ending: Ending | None = None
    by: str = ""
    withheld: bool = False

    @property
    def duration(self) -> int:
        """Whole seconds from the answer to the end; never less than none, whatever the clock did."""
        return max(0, int(self.ended_at - self.answered_at)) if self.answered_at and self.ended_at else 0

    @property
    def missed(self) -> bool:
        """Whether somebody was called and nobody answered, as far as the caller may know."""
        tried = not self.withheld or self.ending is not Ending.BUSY
        return not self.answered_at and tried and self.ending in MISSED

    @property
    def told(self) -> bool:
        """Whether the callee is told of it as of a missed one."""
        return self.missed and not self.withheld


class CallMissed(Struct, frozen=True, gc=False):
    """An event of the callee's change log: somebody called, and nobody answered."""

    call: str
    caller: str
    callee: str
    video: bool
    created_at: float
    ended_at: float


class CallPage(Struct, frozen=True):
    """A page of records; `next_cursor` "" = no more."""

    calls: Sequence[CallRecord]
    next_cursor: str = ""


class ListCalls(Struct, frozen=True, gc=False):
    """One's own call records, newest first.

    Attributes:
        after: a `next_cursor`; "" = from the newest.
        limit: rows; 0 = 50, most 200.
    """

    after: str = ""
    limit: int = 0
