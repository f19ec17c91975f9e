"""How a call ends: who is told, what is recorded, who is free again."""

from __future__ import annotations

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from imserver.model.calls import Ending
from imserver.services.call_events import Cause, detail_of, seat_of
from imserver.services.call_records import CallCounts, CallRecords
from imserver.services.call_requests import busy_slot
from imserver.services.call_state import Call
from imserver.services.ports import Bus


class Ends:
    """A part of `call_effects.Effects`. Nothing here waits."""

    def __init__(self, bus: Bus, records: CallRecords, counts: CallCounts, clock: IReactorTime) -> None:
        self._bus = bus
        self._records = records
        self._counts = counts
        self._clock = clock

    def end(self, call: Call, ending: Ending, cause: Cause) -> None:
        """It is over."""
        self._count(call, ending)
        call.ending = ending
        call.ended_at = call.time(self._clock.seconds())
        call.glare = cause.glare
        if cause.command is not None:
            call.by = seat_of(cause).user
            call.reason = getattr(cause.command, "reason", "")
            call.detail = detail_of(cause)
        stop(call.timer)
        for party in (call.caller, call.callee):
            if party is not None:
                stop(party.grace)
        self._tell(call, cause)
        self.free(call)
        if call.recorded:
            self._records.keep(call.record())
        call.shed()

    def free(self, call: Call) -> None:
        """Its users may have other calls."""
        for user in call.claimed:
            self._bus.release(busy_slot(user), call.id)
        call.claimed = []

    def _count(self, call: Call, ending: Ending) -> None:
        counts = self._counts
        counts.ended[ending] += 1
        if call.answered_at:
            counts.running -= 1
        elif call.timer is not None:
            counts.ringing -= 1

    def _tell(self, call: Call, cause: Cause) -> None:
        ended, stopped = call.ended(), call.stopped(call.ended_at)
        parties = [party.seat for party in (call.caller, call.callee) if party is not None and not party.away]
        if cause.seat is not None and cause.seat.session in call.ringing:
            parties.append(call.ringing.pop(cause.seat.session))  # the one that rejected
        for seat in parties:
            self._bus.tell(seat, ended)
            call.took_part.add(seat.session)
        for seat in call.ringing.values():
            self._bus.tell(seat, stopped)
        call.told.update(seat.session for seat in (*parties, *call.ringing.values()))

    def again(self, call: Call, cause: Cause) -> None:
        """Tells a session what it may have been told already."""
        seat = seat_of(cause)
        call.told.add(seat.session)
        if seat.session in call.rang and seat.session not in call.took_part:
            self._bus.tell(seat, call.stopped(call.ended_at))
        else:
            self._bus.tell(seat, call.ended())

    def once(self, call: Call, cause: Cause) -> None:
        """Tells a session, unless it knows."""
        if seat_of(cause).session not in call.told:
            self.again(call, cause)


def stop(timer: IDelayedCall | None) -> None:
    """Stops a timer that may not be there, or be over."""
    if timer is not None and timer.active():
        timer.cancel()
