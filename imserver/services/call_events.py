"""Which event of the table a command of a session is."""

from __future__ import annotations

from typing import Any

from imserver.model.calls import AnswerCall, EndCall, RejectCall, Signal, SignalCall, StartCall
from imserver.services.call_state import Call
from imserver.services.call_table import On
from imserver.services.ports import Seat

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
