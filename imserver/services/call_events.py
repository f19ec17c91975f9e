"""What happens to calls: which event of the table a command of a session is, and what it came from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec import Struct

from imserver.model.calls import AnswerCall, CallSignal, EndCall, RejectCall, Signal, SignalCall, StartCall
from imserver.services.call_state import Call
from imserver.services.call_terms import On
from imserver.services.ports import Seat


class Cause(Struct, frozen=True):
    """What an event came from.

    Attributes:
        seat: the session that did it; None = time did.
        command: what it said.
        devices: of FITS: where it can ring.
        glare: of BUSY: both called each other.
    """

    seat: Seat | None = None
    command: Any = None
    devices: Sequence[Seat] = ()
    glare: bool = False


_CALLER = {
    Signal.OFFER: On.CALLER_OFFERS,
    Signal.ANSWER: On.CALLER_ANSWERS,
    Signal.ICE: On.CALLER_SENDS_ICE,
    Signal.STATUS: On.CALLER_TELLS,
    Signal.ERROR: On.CALLER_TELLS,
}
_ASIDE = {
    Signal.OFFER: On.ASIDE_OFFERS,
    Signal.ANSWER: On.ASIDE_ANSWERS,
    Signal.ICE: On.ASIDE_SENDS_ICE,
    Signal.STATUS: On.ASIDE_TELLS,
    Signal.ERROR: On.ASIDE_TELLS,
}
_CALLEE = {
    Signal.OFFER: On.CALLEE_OFFERS,
    Signal.ANSWER: On.CALLEE_ANSWERS,
    Signal.ICE: On.CALLEE_SENDS_ICE,
    Signal.STATUS: On.CALLEE_TELLS,
    Signal.ERROR: On.CALLEE_TELLS,
}
_DEVICE = {
    Signal.OFFER: On.DEVICE_OFFERS,
    Signal.ANSWER: On.DEVICE_ANSWERS,
    Signal.ICE: On.DEVICE_SENDS_ICE,
    Signal.STATUS: On.DEVICE_TELLS,
    Signal.ERROR: On.DEVICE_TELLS,
}


def signal_of(command: Any) -> Signal | None:
    """What a command tells the other side; None if it ends the call."""
    match command:
        case StartCall():
            return Signal.OFFER
        case AnswerCall():
            return Signal.ANSWER
        case SignalCall():
            return command.signal
        case RejectCall() | EndCall():
            return None
    raise TypeError(f"{type(command).__name__} is no command about a call")


def event_of(call: Call, seat: Seat, command: Any) -> On:
    """Which event a command of this session is."""
    signal = signal_of(command)
    party = call.caller
    if seat.user == call.caller_user:
        if party.away or seat.session != party.seat.session:
            return On.ASIDE_ENDS if signal is None else _ASIDE[signal]
        if signal is None:
            return On.CALLER_ENDS
        if signal is Signal.OFFER and command.detail == call.offer:
            return On.CALLER_REPEATS
        return _CALLER[signal]
    callee = call.callee
    if callee is None or callee.away or seat.session != callee.seat.session:
        if signal is None:
            return On.DEVICE_REJECTS if isinstance(command, RejectCall) else On.DEVICE_ENDS
        return _DEVICE[signal]
    if signal is None:
        return On.CALLEE_ENDS
    if signal is Signal.ANSWER and command.detail == call.answer:
        return On.CALLEE_REPEATS
    return _CALLEE[signal]


def seat_of(cause: Cause) -> Seat:
    """The session that did it; of events that only sessions bring about."""
    assert cause.seat is not None
    return cause.seat


def detail_of(cause: Cause) -> bytes:
    """What the command carries."""
    detail: bytes = cause.command.detail
    return detail


def signalled(call: Call, cause: Cause) -> CallSignal:
    """A command as it is told to the other side."""
    sender = seat_of(cause).user
    signal = signal_of(cause.command)
    assert signal is not None
    return CallSignal(call.id, signal, sender, call.peer_of(sender), detail_of(cause))
