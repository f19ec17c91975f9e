"""One call as its home keeps it, and the limits on calls."""

from __future__ import annotations

from typing import Any

from msgspec import Struct
from twisted.internet.interfaces import IDelayedCall

from imserver.model.call_records import CallRecord
from imserver.model.calls import (
    CallAccepted,
    CallAnswered,
    CallEnded,
    CallIncoming,
    CallRinging,
    CallSignal,
    CallStopped,
    Ending,
    Media,
)
from imserver.services.call_terms import State
from imserver.services.ports import Seat

MAX_CANDIDATES = 64
"""Candidates kept of each side until the other side can hear them (contract, signalling)."""
MAX_HELD_BYTES = 256 * 1024
"""Bytes of details kept for a party that is away."""


class CallSettings(Struct, frozen=True):
    """Limits on calls.

    Attributes:
        ring_seconds: without an answer.
        grace_seconds: in which a lost party of a peer-to-peer call may come back.
        max_seconds: of a running call.
        media_bytes_per_second: relayed in one call.
    """

    ring_seconds: float = 30.0
    grace_seconds: float = 15.0
    max_seconds: float = 3600.0
    media_bytes_per_second: int = 4 * 1024 * 1024


class Party:
    """A session that holds the call.

    Attributes:
        seat: the session; while away, the one that was lost.
        away: its connection is lost.
        held: events to tell whoever returns.
        grace: runs while it is away.
    """

    __slots__ = ("_held_bytes", "away", "grace", "held", "seat")

    def __init__(self, seat: Seat) -> None:
        self.seat = seat
        self.away = False
        self.held: list[Any] = []
        self.grace: IDelayedCall | None = None
        self._held_bytes = 0

    def hold(self, event: Any) -> None:
        """Keeps an event, if there is room."""
        size = len(getattr(event, "detail", b""))
        if len(self.held) < 2 * MAX_CANDIDATES and self._held_bytes + size <= MAX_HELD_BYTES:
            self.held.append(event)
            self._held_bytes += size

    def take_held(self) -> list[Any]:
        """What was kept; it is kept no more."""
        held, self.held, self._held_bytes = self.held, [], 0
        return held


class Call:
    """One call.

    Attributes:
        media: how its media travels; both parties' formats agree in it.
        offer: the caller's newest offer; None once it was renegotiated.
        answer: the detail of the answer, as `offer`.
        caller / callee: the parties; `callee` is None until somebody answers.
        ringing: devices at which it rings, by session.
        rang: sessions at which it ever rang.
        caller_ice: the caller's candidates so far, kept for late devices.
        held_ice: the candidates of each device, kept until its answer.
        took_part: sessions that held it or rejected it.
        told: sessions that know that it is over.
        recorded: a record is kept.
        withheld: the callee has no part in it and must not hear of it.
        displaced: sessions of which a newer one of the same device took the place.
        claimed: users whose busy slot it has.
        timer: ring time, then talk time.
    """

    __slots__ = (
        "_clock_at",
        "answer",
        "answered_at",
        "by",
        "callee",
        "callee_user",
        "caller",
        "caller_ice",
        "caller_user",
        "claimed",
        "created_at",
        "detail",
        "displaced",
        "ended_at",
        "ending",
        "glare",
        "held_ice",
        "id",
        "media",
        "offer",
        "rang",
        "reason",
        "recorded",
        "ringing",
        "state",
        "timer",
        "told",
        "took_part",
        "video",
        "withheld",
    )

    def __init__(
        self, id: str, seat: Seat, callee: str, video: bool, detail: bytes, created_at: float, now: float
    ) -> None:
        """Args:
        created_at: wall time.
        now: the clock's time of the same moment; wall time may jump, so the call goes by the clock.
        """
        self.id = id
        self.media: Media = seat.media
        self.state = State.NEW
        self.caller = Party(seat)
        self.caller_user = seat.user
        self.callee: Party | None = None
        self.callee_user = callee
        self.video = video
        self.offer: bytes | None = detail
        self.answer: bytes | None = None
        self.created_at = created_at
        self._clock_at = now
        self.answered_at = 0.0
        self.ended_at = 0.0
        self.ending: Ending | None = None
        self.by = ""
        self.reason = ""
        self.detail = b""
        self.glare = False
        self.ringing: dict[str, Seat] = {}
        self.rang: set[str] = set()
        self.caller_ice: list[CallSignal] = []
        self.held_ice: dict[str, list[CallSignal]] = {}
        self.took_part = {seat.session}
        self.told: set[str] = set()
        self.recorded = True
        self.withheld = False
        self.displaced: set[str] = set()
        self.claimed: list[str] = []
        self.timer: IDelayedCall | None = None

    def time(self, now: float) -> float:
        """The wall time at which the clock shows `now`, as this call counts it."""
        return self.created_at + (now - self._clock_at)

    def concerns(self, user: str) -> bool:
        """Whether the user takes part in it."""
        return user in (self.caller_user, self.callee_user)

    def peer_of(self, user: str) -> str:
        """The other user."""
        return self.callee_user if user == self.caller_user else self.caller_user

    # What is told of it

    def incoming(self) -> CallIncoming:
        """To a device."""
        return CallIncoming(
            self.id, self.caller_user, self.callee_user, self.video, self.created_at, self.offer or b""
        )

    def ringing_back(self) -> CallRinging:
        """To the caller."""
        return CallRinging(self.id, self.caller_user, self.callee_user, self.video, self.created_at)

    def answered(self) -> CallAnswered:
        """To the caller."""
        return CallAnswered(self.id, self.caller_user, self.callee_user, self.answered_at, self.answer or b"")

    def accepted(self) -> CallAccepted:
        """To the callee."""
        return CallAccepted(self.id, self.caller_user, self.callee_user, self.answered_at)

    def ended(self) -> CallEnded:
        """To the parties, and to who rejected it."""
        assert self.ending is not None
        return CallEnded(
            call=self.id,
            caller=self.caller_user,
            callee=self.callee_user,
            ending=self.ending,
            created_at=self.created_at,
            ended_at=self.ended_at,
            answered_at=self.answered_at,
            by=self.by,
            reason=self.reason,
            glare=self.glare,
            detail=self.detail,
        )

    def stopped(self, at: float) -> CallStopped:
        """To a device that took no part; once it was answered, that is why."""
        ending = None if self.answered_at else self.ending
        return CallStopped(self.id, self.caller_user, self.callee_user, at, ending)

    def record(self) -> CallRecord:
        """As it stands."""
        return CallRecord(
            call=self.id,
            caller=self.caller_user,
            callee=self.callee_user,
            video=self.video,
            created_at=self.created_at,
            answered_at=self.answered_at,
            ended_at=self.ended_at,
            ending=self.ending,
            by=self.by,
            withheld=self.withheld,
        )

    def shed(self) -> None:
        """Drops what an ended call needs no more."""
        self.offer = None
        self.answer = None
        self.detail = b""
        self.ringing = {}
        self.caller_ice = []
        self.held_ice = {}
        self.caller.take_held()
        if self.callee is not None:
            self.callee.take_held()
