"""Calls: what happens in them as call.* and notifications, in both directions (002; CONTRACT §4).

The server's own call.status and call.error have no `from_user`; one of the other
participant has. An offer and an answer inside a running call look like the first
ones: the call_id tells a client which they are.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from imserver.model.call_records import CallMissed
from imserver.model.calls import (
    CallAccepted,
    CallAnswered,
    CallEnded,
    CallError,
    CallFault,
    CallIncoming,
    CallRinging,
    CallSignal,
    CallStopped,
    Ending,
    Signal,
)
from imserver.model.errors import ImError
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
    detail_of,
    joined,
)
from imserver.wire.signalling.calls import PREFIX
from imserver.wire.signalling.envelope import encode, id_value, iso, parse_time
from imserver.wire.signalling.errors import SIGNALING_ERROR, error_from_payload

MISSED_CALL: Final = "missed_call"
ELSEWHERE: Final = "answered_elsewhere"
RINGING: Final = "ringing"
ANSWERED: Final = "answered"

_REASONS: Final = {
    Ending.HANGUP: "user_hangup",
    Ending.CANCELLED: "user_hangup",
    Ending.REJECTED: "user_rejected",
    Ending.BUSY: "user_busy",
    Ending.NO_ANSWER: "timeout",
    Ending.TOO_LONG: "timeout",
    Ending.LOST: "network_error",
    Ending.SHUTDOWN: "server_error",
}
_ENDINGS: Final = {
    "user_hangup": Ending.HANGUP,
    "user_rejected": Ending.REJECTED,
    "user_busy": Ending.BUSY,
    "timeout": Ending.NO_ANSWER,
    "network_error": Ending.LOST,
    "server_error": Ending.SHUTDOWN,
}
_UNREACHED: Final = {
    Ending.OFFLINE: ("user_offline", "the user is offline"),
    Ending.NO_DEVICE: ("no_compatible_device", "none of the user's devices can take this call"),
}
_BY_FAULT: Final = {reason: ending for ending, (reason, _) in _UNREACHED.items()}
_HANGUP_WORDS: Final = frozenset({"user_hangup", "user_busy", "user_rejected", "network_error", "timeout"})
_REJECT_WORDS: Final = _HANGUP_WORDS - {"user_hangup"}
# The words with which a person's client may end a call, where a person ended it.
_WORDS: Final = {
    Ending.HANGUP: _HANGUP_WORDS,
    Ending.CANCELLED: _HANGUP_WORDS,
    Ending.REJECTED: _REJECT_WORDS,
}

Written = tuple[bytes, bytes]
"""Type and payload, as JSON."""


# Server


def _head(call: str, sender: str, recipient: str) -> dict[str, Any]:
    return {"call_id": call_value(call), "from_user": id_value(sender), "to_user": id_value(recipient)}


def _incoming(event: CallIncoming, user: str, now: float) -> list[Written]:
    head = _head(event.call, event.caller, event.callee) | call_type(event.video, event.detail)
    return [(b"call.offer", joined(head, event.detail, {"created_at": iso(event.created_at)}))]


def _status(call: str, status: str, **times: float) -> Written:
    told = {name: iso(at) for name, at in times.items()}
    return b"call.status", encode({"call_id": call_value(call), "status": status, **told})


def _ringing(event: CallRinging, user: str, now: float) -> list[Written]:
    return [_status(event.call, RINGING, created_at=event.created_at)]


def _answered(event: CallAnswered, user: str, now: float) -> list[Written]:
    """The answer first: who acts on the status has the description by then."""
    head = _head(event.call, event.callee, event.caller)
    return [
        (b"call.answer", joined(head, event.detail, {"answered_at": iso(event.answered_at)})),
        _status(event.call, ANSWERED, answered_at=event.answered_at),
    ]


def _accepted(event: CallAccepted, user: str, now: float) -> list[Written]:
    return []


def _signal(event: CallSignal, user: str, now: float) -> list[Written]:
    times: dict[str, Any] = {}
    if event.signal is Signal.OFFER:
        times["created_at"] = iso(now)
    elif event.signal is Signal.ANSWER:
        times["answered_at"] = iso(now)
    head = _head(event.call, event.sender, event.recipient)
    return [(f"{PREFIX}{event.signal.value}".encode(), joined(head, event.detail, times))]


def _ended(event: CallEnded, user: str, now: float) -> list[Written]:
    unreached = _UNREACHED.get(event.ending)
    if unreached is not None:
        reason, text = unreached
        told = {
            "call_id": call_value(event.call),
            "error_code": SIGNALING_ERROR,
            "error_message": text,
            "details": {"reason": reason},
        }
        return [(b"call.error", encode(told))]
    # Nobody ended it: to each it comes from the other side.
    sender = event.by or (event.callee if user == event.caller else event.caller)
    recipient = event.callee if sender == event.caller else event.caller
    reason = _REASONS[event.ending]
    if event.reason in _WORDS.get(event.ending, ()):
        reason = event.reason
    tail: dict[str, Any] = {
        "reason": reason,
        "duration": event.duration,
        "ended_at": iso(event.ended_at),
    }
    if event.glare:
        tail["details"] = {"glare": True}
    return [(b"call.end", joined(_head(event.call, sender, recipient), event.detail, tail))]


def _stopped(event: CallStopped, user: str, now: float) -> list[Written]:
    # An ending without a word of its own never rang anywhere.
    reason = ELSEWHERE if event.ending is None else _REASONS.get(event.ending, "timeout")
    tail = {"reason": reason, "duration": 0, "ended_at": iso(event.at)}
    return [(b"call.end", joined(_head(event.call, event.caller, event.callee), b"", tail))]


def _missed(event: CallMissed, user: str, now: float) -> list[Written]:
    told = {
        "event_type": MISSED_CALL,
        **_head(event.call, event.caller, event.callee),
        "call_type": VIDEO if event.video else AUDIO,
        "created_at": iso(event.created_at),
        "ended_at": iso(event.ended_at),
    }
    return [(b"notification", encode(told))]


_WRITERS: Final[dict[type, Callable[[Any, str, float], list[Written]]]] = {
    CallIncoming: _incoming,
    CallRinging: _ringing,
    CallAnswered: _answered,
    CallAccepted: _accepted,
    CallSignal: _signal,
    CallEnded: _ended,
    CallStopped: _stopped,
    CallMissed: _missed,
}


def write_call_event(event: Any, user: str, now: float) -> list[Written] | None:
    """The messages that tell an event of a call; None for other events.

    Args:
        user: whom it is told to.
        now: float seconds.
    """
    write = _WRITERS.get(type(event))
    return None if write is None else write(event, user, now)


# Client


def _user(payload: dict[str, Any], name: str) -> str:
    """A user id as the server writes it."""
    value = payload[name]
    if type(value) not in (str, int):
        raise TypeError(f"{name} is neither a string nor an integer")
    return str(value)


def _parties(payload: dict[str, Any]) -> tuple[str, str, str]:
    return call_text(payload["call_id"]), _user(payload, "from_user"), _user(payload, "to_user")


def _read_offer(payload: dict[str, Any], timestamp: str) -> CallIncoming:
    at = parse_time(payload["created_at"])
    video = {AUDIO: False, VIDEO: True}[payload["call_type"]]
    return CallIncoming(*_parties(payload), video, at, detail_of(payload, OFFER_OWNED))


def _read_answer(payload: dict[str, Any], timestamp: str) -> CallAnswered:
    call, callee, caller = _parties(payload)
    at = parse_time(payload["answered_at"])
    return CallAnswered(call, caller, callee, at, detail_of(payload, ANSWER_OWNED))


def _read_signal(signal: Signal, payload: dict[str, Any]) -> CallSignal:
    call, sender, recipient = _parties(payload)
    return CallSignal(call, signal, sender, recipient, detail_of(payload, SIGNAL_OWNED))


def _read_ice(payload: dict[str, Any], timestamp: str) -> CallSignal:
    return _read_signal(Signal.ICE, payload)


def _read_status(payload: dict[str, Any], timestamp: str) -> CallSignal | CallRinging:
    if "from_user" in payload:
        return _read_signal(Signal.STATUS, payload)
    call = call_text(payload["call_id"])
    if payload["status"] == RINGING:
        return CallRinging(call, "", "", False, parse_time(payload["created_at"]))
    return CallSignal(call, Signal.STATUS, "", "", detail_of(payload, SIGNAL_OWNED))


def _read_end(payload: dict[str, Any], timestamp: str) -> CallEnded | CallStopped:
    call, sender, recipient = _parties(payload)
    reason, at = payload["reason"], parse_time(payload["ended_at"])
    if reason == ELSEWHERE:
        return CallStopped(call, sender, recipient, at)
    details, duration = payload.get("details"), int(payload["duration"])
    glare = type(details) is dict and details.get("glare") is True
    return CallEnded(
        call,
        "",
        "",
        _ENDINGS[reason],
        0.0,
        at,
        answered_at=at - duration if duration else 0.0,
        by=sender,
        glare=glare,
        detail=detail_of(payload, END_OWNED | {"details"} if glare else END_OWNED),
    )


def _read_error(payload: dict[str, Any], timestamp: str) -> CallSignal | CallEnded | ImError:
    if "from_user" in payload:
        return _read_signal(Signal.ERROR, payload)
    call, reason = call_text(payload.get("call_id")), payload["details"]["reason"]
    if reason in _BY_FAULT:
        return CallEnded(call, "", "", _BY_FAULT[reason], 0.0, parse_time(timestamp))
    if reason in CallFault.__members__.values():
        return CallError(CallFault(reason), payload["error_message"], call)
    return error_from_payload(payload)


def read_missed(payload: dict[str, Any]) -> CallMissed:
    """notification of a missed call."""
    video = {AUDIO: False, VIDEO: True}[payload["call_type"]]
    at, ended = parse_time(payload["created_at"]), parse_time(payload["ended_at"])
    return CallMissed(*_parties(payload), video, at, ended)


CALL_READERS: Final[dict[str, Callable[[dict[str, Any], str], Any]]] = {
    "call.offer": _read_offer,
    "call.answer": _read_answer,
    "call.ice": _read_ice,
    "call.end": _read_end,
    "call.status": _read_status,
    "call.error": _read_error,
}
"""(payload, timestamp) of call.* to events, by type; what the format does not tell is left at ""."""
