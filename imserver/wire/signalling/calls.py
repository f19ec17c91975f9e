"""Calls: call.* of clients as the model's commands, in both directions (002, 信令类型; CONTRACT §4).

The server owns call_id, from_user, to_user, the times, the duration and the reason, and
checks sizes. All other members of a payload are the clients' own (`call_details`). The `call_type` of an
offer is known to the server and in `detail`, too, as its first member, since an offer
that renegotiates a call may change it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from imserver.model.calls import (
    AnswerCall,
    CallQuality,
    EndCall,
    RejectCall,
    Signal,
    SignalCall,
    StartCall,
)
from imserver.wire.signalling.call_details import (
    ANSWER_OWNED,
    AUDIO,
    END_OWNED,
    OFFER_OWNED,
    SIGNAL_OWNED,
    VIDEO,
    call_text,
    call_type,
    call_value,
    carried,
    check_candidate,
    check_candidates,
    check_description,
    joined,
)
from imserver.wire.signalling.envelope import Envelope, bad, id_text, id_value

PREFIX: Final = "call."
MAX_DESCRIPTION_BYTES: Final = 192 * 1024
"""Bytes of what an offer or an answer carries, as compact JSON."""
MAX_ICE_BYTES: Final = 4 * 1024
"""The same of call.ice: 64 of them are kept per side of a call …"""
MAX_NEWS_BYTES: Final = 16 * 1024
"""… and of the others."""
MAX_REASON_BYTES: Final = 255

REFUSALS: Final = frozenset({"user_rejected", "user_busy", "timeout"})
"""Reasons of call.end that reject a call where it rings."""
COMMANDS: Final = frozenset({StartCall, AnswerCall, RejectCall, EndCall, SignalCall})
"""What is not answered unless it is refused: events tell the rest."""


# Server


def _call(payload: dict[str, Any], what: str) -> str:
    call = call_text(payload.get("call_id"))
    if not call:
        raise bad(f"{what} needs call_id")
    return call


def _word(payload: dict[str, Any], name: str, what: str) -> str:
    """A member that has to be a short string."""
    value = payload.get(name)
    if type(value) is not str or not value or len(value.encode()) > MAX_REASON_BYTES:
        raise bad(f"{what} needs {name}, a string of at most {MAX_REASON_BYTES} bytes")
    return value


def _offer(payload: dict[str, Any], envelope: Envelope) -> StartCall:
    call = call_text(payload.get("call_id"))
    callee = payload.get("to_user")
    if callee is not None and type(callee) not in (str, int):
        raise bad("to_user must be a string or an integer")
    callee = id_text(callee, "to_user")
    if not (callee or call):
        raise bad("call.offer needs to_user")
    kind = payload.get("call_type")
    if kind not in (AUDIO, VIDEO):
        raise bad("call_type must be audio or video")
    check_description(payload, "call.offer")
    owned = carried(payload, OFFER_OWNED, MAX_DESCRIPTION_BYTES, "call.offer")
    return StartCall(callee, kind == VIDEO, call, joined({"call_type": kind}, owned))


def _answer(payload: dict[str, Any], envelope: Envelope) -> AnswerCall:
    call = _call(payload, "call.answer")
    check_description(payload, "call.answer")
    return AnswerCall(call, carried(payload, ANSWER_OWNED, MAX_DESCRIPTION_BYTES, "call.answer"))


def _ice(payload: dict[str, Any], envelope: Envelope) -> SignalCall:
    call = _call(payload, "call.ice")
    check_candidate(payload.get("ice_candidate"))
    check_candidates(payload.get("ice_candidates"))
    return SignalCall(call, Signal.ICE, carried(payload, SIGNAL_OWNED, MAX_ICE_BYTES, "call.ice"))


def _end(payload: dict[str, Any], envelope: Envelope) -> EndCall | RejectCall:
    call = call_text(payload.get("call_id"))
    reason = payload.get("reason")
    word = "" if reason is None or reason == "" else _word(payload, "reason", "call.end")
    detail = carried(payload, END_OWNED, MAX_NEWS_BYTES, "call.end")
    # Of a device at which it rang, these mean the ringing: meanwhile another one may have answered.
    return RejectCall(call, word, detail) if call and word in REFUSALS else EndCall(call, word, detail)


def _status(payload: dict[str, Any], envelope: Envelope) -> SignalCall:
    call = _call(payload, "call.status")
    _word(payload, "status", "call.status")
    detail = carried(payload, SIGNAL_OWNED, MAX_NEWS_BYTES, "call.status")
    return SignalCall(call, Signal.STATUS, detail, _quality(payload.get("network_stats")))


def _quality(stats: Any) -> CallQuality | None:
    """The figures of `network_stats`; what is no number within reason is none."""
    if type(stats) is not dict:
        return None
    found = (
        _figure(stats.get("packet_loss"), 1.0, 1.0),
        _figure(stats.get("jitter"), 1000.0, 60.0),
        _figure(stats.get("rtt"), 1000.0, 60.0),
    )
    return None if found == (None, None, None) else CallQuality(*found)


def _figure(value: Any, unit: float, most: float) -> float | None:
    if type(value) not in (int, float) or not 0 <= value <= most * unit:
        return None
    return float(value / unit)


def _error(payload: dict[str, Any], envelope: Envelope) -> SignalCall:
    call = _call(payload, "call.error")
    _word(payload, "error_code", "call.error")
    return SignalCall(call, Signal.ERROR, carried(payload, SIGNAL_OWNED, MAX_NEWS_BYTES, "call.error"))


READERS: Final[dict[str, tuple[type, Callable[[Any, Envelope], Any]]]] = {
    "call.offer": (dict[str, Any], _offer),
    "call.answer": (dict[str, Any], _answer),
    "call.ice": (dict[str, Any], _ice),
    "call.end": (dict[str, Any], _end),
    "call.status": (dict[str, Any], _status),
    "call.error": (dict[str, Any], _error),
}


# Client


def _named(call: str) -> dict[str, Any]:
    return {"call_id": call_value(call)} if call else {}


def _write_offer(command: StartCall) -> bytes:
    head = _named(command.call)
    if command.callee:
        head["to_user"] = id_value(command.callee)
    return joined({**head, **call_type(command.video, command.detail)}, command.detail)


def _write_answer(command: AnswerCall) -> bytes:
    return joined(_named(command.call), command.detail)


def _write_end(command: EndCall | RejectCall) -> bytes:
    head = _named(command.call)
    if command.reason:
        head["reason"] = command.reason
    return joined(head, command.detail)


def write_call(command: Any) -> tuple[str, bytes] | None:
    """The type and payload of a command about a call; None for other commands.

    Raises:
        ValueError: an offer or an answer as a signal; they are StartCall and AnswerCall with the call's id.
    """
    if isinstance(command, SignalCall):
        if command.signal in (Signal.OFFER, Signal.ANSWER):
            raise ValueError("a renegotiation is a StartCall or an AnswerCall with the id of the call")
        return PREFIX + command.signal.value, joined(_named(command.call), command.detail)
    found = _WRITERS.get(type(command))
    return None if found is None else (found[0], found[1](command))


_WRITERS: Final[dict[type, tuple[str, Callable[[Any], bytes]]]] = {
    StartCall: ("call.offer", _write_offer),
    AnswerCall: ("call.answer", _write_answer),
    EndCall: ("call.end", _write_end),
    RejectCall: ("call.end", _write_end),
}
