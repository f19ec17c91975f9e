"""What the table of calls says is to be done, done: telling, timing, recording."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from imserver.model.calls import CallError, CallFault, Signal
from imserver.services.call_ends import Ends, stop
from imserver.services.call_events import Cause, detail_of, seat_of, signal_of, signalled
from imserver.services.call_records import CallCounts, CallRecords
from imserver.services.call_requests import Linked, Seated
from imserver.services.call_state import MAX_CANDIDATES, Call, CallSettings, Party
from imserver.services.call_terms import Do, On, Step
from imserver.services.ports import Bus, Seat


class Home(Protocol):
    """What the effects need of the home."""

    def step(self, call: Call, event: On, cause: Cause) -> None:
        """Something happens to a call."""

    def forget(self, call: Call) -> None:
        """An ended call is remembered no more."""


class Effects:
    """Carries out one `Step` of the table after another. Nothing here waits.

    Attributes:
        ends: the part that ends calls.
    """

    def __init__(
        self,
        home: Home,
        bus: Bus,
        records: CallRecords,
        counts: CallCounts,
        clock: IReactorTime,
        settings: CallSettings,
    ) -> None:
        self._home = home
        self._bus = bus
        self._records = records
        self._counts = counts
        self._clock = clock
        self._settings = settings
        self.ends = Ends(bus, records, counts, clock)
        self._by_do: dict[Do, Callable[[Call, Cause], None]] = {
            Do.RING_EVERYWHERE: self._ring_everywhere,
            Do.RING_BACK: self._ring_back,
            Do.RING_ANEW: self._ring_anew,
            Do.RING_HERE: self._ring_here,
            Do.RING_NO_MORE_HERE: self._ring_no_more_here,
            Do.SPREAD_ICE: self._spread_ice,
            Do.SPREAD: self._spread,
            Do.HOLD: self._hold,
            Do.ACCEPT: self._accept,
            Do.TELL_CALLER: self._tell_caller,
            Do.TELL_CALLEE: self._tell_callee,
            Do.ANSWER_AGAIN: self._answer_again,
            Do.ACCEPT_AGAIN: self._accept_again,
            Do.STOP_AGAIN: self._stop_again,
            Do.AWAIT_CALLER: self._await_caller,
            Do.AWAIT_CALLEE: self._await_callee,
            Do.SEAT_CALLER: self._seat_caller,
            Do.SEAT_CALLEE: self._seat_callee,
            Do.END_AGAIN: self.ends.again,
            Do.END_ONCE: self.ends.once,
            Do.REFUSE_OUTSIDER: self._refuse_outsider,
            Do.REFUSE_EARLY: self._refuse_early,
            Do.FORGET: self._forget,
            Do.NOTHING: self._nothing,
        }

    def do(self, call: Call, step: Step, cause: Cause) -> None:
        """Does what a step says; the call's state is the new one already.

        Raises:
            CallError: it says that the command is refused.
        """
        if step.do is Do.END:
            assert step.ending is not None
            self.ends.end(call, step.ending, cause)
        else:
            self._by_do[step.do](call, cause)

    # Ringing

    def _ring_everywhere(self, call: Call, cause: Cause) -> None:
        self._counts.ringing += 1
        self._records.keep(call.record())
        call.timer = self._later(self._settings.ring_seconds, call, On.RING_TIME_OVER)
        for seat in cause.devices:
            self._ring(call, seat)
        self._tell(call.caller, call.ringing_back())

    def _ring(self, call: Call, seat: Seat) -> None:
        call.rang.add(seat.session)
        call.ringing[seat.session] = seat
        self._bus.tell(seat, call.incoming())
        for candidate in call.caller_ice:
            self._bus.tell(seat, candidate)

    def _ring_back(self, call: Call, cause: Cause) -> None:
        self._tell(call.caller, call.ringing_back())

    def _ring_anew(self, call: Call, cause: Cause) -> None:
        call.offer = detail_of(cause)
        # Its candidates stay: an offer that does not restart ICE still goes with them.
        incoming = call.incoming()
        for seat in call.ringing.values():
            self._bus.tell(seat, incoming)
        self._tell(call.caller, call.ringing_back())

    def _ring_here(self, call: Call, cause: Cause) -> None:
        seat = seat_of(cause)
        if seat.session not in call.ringing:
            self._ring(call, seat)

    def _ring_no_more_here(self, call: Call, cause: Cause) -> None:
        session = seat_of(cause).session
        call.ringing.pop(session, None)
        call.held_ice.pop(session, None)

    def _spread_ice(self, call: Call, cause: Cause) -> None:
        if len(call.caller_ice) < MAX_CANDIDATES:
            call.caller_ice.append(signalled(call, cause))
        self._spread(call, cause)

    def _spread(self, call: Call, cause: Cause) -> None:
        signal = signalled(call, cause)
        for seat in call.ringing.values():
            self._bus.tell(seat, signal)

    def _hold(self, call: Call, cause: Cause) -> None:
        session = seat_of(cause).session
        if session in call.ringing:
            held = call.held_ice.setdefault(session, [])
            if len(held) < MAX_CANDIDATES:
                held.append(signalled(call, cause))

    # The answer

    def _accept(self, call: Call, cause: Cause) -> None:
        seat = seat_of(cause)
        now = self._clock.seconds()
        call.callee = Party(seat)
        call.took_part.add(seat.session)
        call.answer = detail_of(cause)
        call.answered_at = call.time(now)
        self._counts.ringing -= 1
        self._counts.running += 1
        self._records.keep(call.record())
        stop(call.timer)
        call.timer = self._later(self._settings.max_seconds, call, On.TALK_TIME_OVER)
        others = [other for other in call.ringing.values() if other.session != seat.session]
        candidates = call.held_ice.get(seat.session, ())
        call.ringing.clear()
        call.held_ice.clear()
        call.caller_ice.clear()
        self._tell_answer(call, seat)
        for candidate in candidates:
            self._tell(call.caller, candidate)
        for other in others:
            self._bus.tell(other, call.stopped(call.answered_at))
            call.told.add(other.session)

    def _tell_answer(self, call: Call, seat: Seat) -> None:
        """With the media's way, which may be used at once."""
        if call.media.relayed:
            caller = call.caller.seat
            self._bus.tell(seat, Linked(call.id, caller, call.accepted()))
            self._bus.tell(caller, Linked(call.id, seat, call.answered()))
        else:
            self._bus.tell(seat, call.accepted())
            self._tell(call.caller, call.answered())

    def _answer_again(self, call: Call, cause: Cause) -> None:
        self._tell(call.caller, call.answered())

    def _accept_again(self, call: Call, cause: Cause) -> None:
        if call.callee is not None:
            self._tell(call.callee, call.accepted())

    def _stop_again(self, call: Call, cause: Cause) -> None:
        self._bus.tell(seat_of(cause), call.stopped(call.answered_at))

    # Between the parties

    def _tell_caller(self, call: Call, cause: Cause) -> None:
        self._renegotiate(call, cause)
        self._tell(call.caller, signalled(call, cause))

    def _tell_callee(self, call: Call, cause: Cause) -> None:
        self._renegotiate(call, cause)
        if call.callee is not None:
            self._tell(call.callee, signalled(call, cause))

    def _renegotiate(self, call: Call, cause: Cause) -> None:
        """After a new offer, what is like the first offer or answer is no repetition of it."""
        if call.callee is not None and signal_of(cause.command) is Signal.OFFER:
            call.offer = call.answer = None

    def _tell(self, party: Party, event: Any) -> None:
        if party.away:
            party.hold(event)
        else:
            self._bus.tell(party.seat, event)

    # Lost connections

    def _await_caller(self, call: Call, cause: Cause) -> None:
        self._await(call, call.caller, On.CALLER_GRACE_OVER)

    def _await_callee(self, call: Call, cause: Cause) -> None:
        if call.callee is not None:
            self._await(call, call.callee, On.CALLEE_GRACE_OVER)

    def _await(self, call: Call, party: Party, event: On) -> None:
        party.away = True
        party.grace = self._later(self._settings.grace_seconds, call, event)

    def _seat_caller(self, call: Call, cause: Cause) -> None:
        self._sit(call, call.caller, seat_of(cause))

    def _seat_callee(self, call: Call, cause: Cause) -> None:
        if call.callee is not None:
            self._sit(call, call.callee, seat_of(cause))

    def _sit(self, call: Call, party: Party, seat: Seat) -> None:
        stop(party.grace)
        party.seat, party.away, party.grace = seat, False, None
        self._bus.tell(
            seat, Seated(call.id, call.caller_user, call.callee_user, call.created_at, call.answered_at)
        )
        for event in party.take_held():
            self._bus.tell(seat, event)

    def _forget(self, call: Call, cause: Cause) -> None:
        self._home.forget(call)

    # Refusals

    def _refuse_outsider(self, call: Call, cause: Cause) -> None:
        raise CallError(CallFault.NOT_PARTICIPANT, "another session has this call", call.id)

    def _refuse_early(self, call: Call, cause: Cause) -> None:
        raise CallError(CallFault.BAD_REQUEST, "the call has not been answered", call.id)

    def _nothing(self, call: Call, cause: Cause) -> None:
        pass

    def _later(self, seconds: float, call: Call, event: On) -> IDelayedCall:
        return self._clock.callLater(seconds, self._home.step, call, event, Cause())
