"""Calls: call.* of clients as the model's commands, in both directions (002, 信令类型; CONTRACT §4).

The server owns call_id, from_user, to_user, the times, the duration and the reason, and
checks sizes. All other members of a payload are the clients' own: they travel as the
command's `detail`, in their order, and nobody looks into them. The `call_type` of an
offer is known to the server and in `detail`, too, as its first member, since an offer
that renegotiates a call may change it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from imserver.model.calls import (
    MAX_CALL_ID_BYTES,
    AnswerCall,
    CallError,
    CallFault,
    CallQuality,
    EndCall,
    RejectCall,
    Signal,
    SignalCall,
    StartCall,
)
from imserver.model.errors import ErrorCode, ImError
from imserver.wire.depth import check_depth
from imserver.wire.signalling.envelope import Envelope, Id, bad, encode, id_text, id_value

PREFIX: Final = "call."
MAX_SDP_BYTES: Final = 64 * 1024
MAX_CANDIDATE_BYTES: Final = 2 * 1024
MAX_DESCRIPTION_BYTES: Final = 192 * 1024
"""Bytes of what an offer or an answer carries, as compact JSON."""
MAX_ICE_BYTES: Final = 4 * 1024
"""The same of call.ice: 64 of them are kept per side of a call …"""
MAX_NEWS_BYTES: Final = 16 * 1024
"""… and of the others."""
MAX_REASON_BYTES: Final = 255

AUDIO: Final = "audio"
VIDEO: Final = "video"

_PARTIES: Final = frozenset({"call_id", "from_user", "to_user"})
OFFER_OWNED: Final = _PARTIES | {"call_type", "created_at"}
ANSWER_OWNED: Final = _PARTIES | {"answered_at"}
END_OWNED: Final = _PARTIES | {"reason", "duration", "ended_at"}
SIGNAL_OWNED: Final = _PARTIES
"""Members that the server fills in; what a client says there is ignored, or in the command."""

_DESCRIBED: Final = OFFER_OWNED | ANSWER_OWNED | {"sdp", "ice_candidates", "constraints"}
_SDP_MARK: Final = "v=0"

REFUSALS: Final = frozenset({"user_rejected", "user_busy", "timeout"})
"""Reasons of call.end that reject a call where it rings."""
COMMANDS: Final = frozenset({StartCall, AnswerCall, RejectCall, EndCall, SignalCall})
"""What is not answered unless it is refused: events tell the rest."""


# Ids


def call_text(value: Any) -> str:
    """A call id as it is read; "" where it is absent, null or empty.

    Ids come back in the form in which they were given: those that would be taken for
    the integer that they look like are kept in quotation marks.

    Raises:
        ImError: BAD_REQUEST if it is no id.
    """
    if value is None:
        return ""
    if type(value) is int:
        return id_text(value, "call_id")
    if type(value) is not str:
        raise bad("call_id must be a string or an integer")
    if len(value.encode()) > MAX_CALL_ID_BYTES:
        raise bad(f"call_id is longer than {MAX_CALL_ID_BYTES} bytes")
    if not value.isprintable() or value[:1] == '"':
        raise bad("call_id must be printable and not begin with a quotation mark")
    return f'"{value}"' if type(id_value(value)) is int else value


def call_value(call: str) -> Id:
    """A call id as it is written, the reverse of `call_text`."""
    return call[1:-1] if call[:1] == '"' else id_value(call) if call else ""


# Details


def detail_of(payload: dict[str, Any], owned: frozenset[str]) -> bytes:
    """A payload without some members, as compact JSON; b"" if nothing is left."""
    kept = {name: value for name, value in payload.items() if name not in owned}
    return encode(kept) if kept else b""


def call_type(video: bool, detail: bytes) -> dict[str, Any]:
    """{"call_type": …}; {} where it stands in the detail."""
    return {} if detail.startswith(b'{"call_type":') else {"call_type": VIDEO if video else AUDIO}


def joined(head: dict[str, Any], detail: bytes, tail: dict[str, Any] | None = None) -> bytes:
    """A payload: the server's members around a detail."""
    parts = [encode(head)[1:-1], detail[1:-1], encode(tail)[1:-1] if tail else b""]
    return b"{%b}" % b",".join(part for part in parts if part)


def _carried(payload: dict[str, Any], owned: frozenset[str], limit: int, what: str) -> bytes:
    """`detail_of` what a client sent.

    Raises:
        ImError: TOO_LARGE beyond `limit` bytes; BAD_REQUEST if it is nested too deeply, or cannot be written.
    """
    try:
        detail = detail_of(payload, owned)
    except (ValueError, OverflowError, RecursionError):
        raise bad(f"{what} has a value that cannot be carried") from None
    if len(detail) > limit:
        raise ImError(ErrorCode.TOO_LARGE, f"{what} carries more than {limit} bytes")
    check_depth(detail, what)
    return detail


def _check_description(payload: dict[str, Any], what: str) -> None:
    """Checks `sdp` and `ice_candidates` of an offer or an answer.

    Clients that encrypt from end to end have no readable `sdp`: without one a
    member that the document does not know has to be there.
    """
    sdp = payload.get("sdp")
    if sdp is None:
        if payload.keys() <= _DESCRIBED:
            raise CallError(CallFault.BAD_SDP, f"{what} needs sdp")
    else:
        text = sdp.get("sdp") if type(sdp) is dict else sdp
        if type(text) is not str or _SDP_MARK not in text:
            raise CallError(CallFault.BAD_SDP, "sdp is no session description")
        if len(text.encode()) > MAX_SDP_BYTES:
            raise ImError(ErrorCode.TOO_LARGE, f"sdp is longer than {MAX_SDP_BYTES} bytes")
    _check_candidates(payload.get("ice_candidates"))


def _check_candidates(candidates: Any) -> None:
    if candidates is None:
        return
    if type(candidates) is not list:
        raise bad("ice_candidates must be an array")
    for candidate in candidates:
        _check_candidate(candidate)


def _check_candidate(candidate: Any) -> None:
    """Null says that there are no more."""
    if candidate is not None and type(candidate) not in (dict, str):
        raise bad("a candidate must be an object or a string")
    if len(encode(candidate)) > MAX_CANDIDATE_BYTES:
        raise ImError(ErrorCode.TOO_LARGE, f"a candidate is longer than {MAX_CANDIDATE_BYTES} bytes")


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
    _check_description(payload, "call.offer")
    owned = _carried(payload, OFFER_OWNED, MAX_DESCRIPTION_BYTES, "call.offer")
    return StartCall(callee, kind == VIDEO, call, joined({"call_type": kind}, owned))


def _answer(payload: dict[str, Any], envelope: Envelope) -> AnswerCall:
    call = _call(payload, "call.answer")
    _check_description(payload, "call.answer")
    return AnswerCall(call, _carried(payload, ANSWER_OWNED, MAX_DESCRIPTION_BYTES, "call.answer"))


def _ice(payload: dict[str, Any], envelope: Envelope) -> SignalCall:
    call = _call(payload, "call.ice")
    _check_candidate(payload.get("ice_candidate"))
    _check_candidates(payload.get("ice_candidates"))
    return SignalCall(call, Signal.ICE, _carried(payload, SIGNAL_OWNED, MAX_ICE_BYTES, "call.ice"))


def _end(payload: dict[str, Any], envelope: Envelope) -> EndCall | RejectCall:
    call = call_text(payload.get("call_id"))
    reason = payload.get("reason")
    word = "" if reason is None or reason == "" else _word(payload, "reason", "call.end")
    detail = _carried(payload, END_OWNED, MAX_NEWS_BYTES, "call.end")
    # Of a device at which it rang, these mean the ringing: meanwhile another one may have answered.
    return RejectCall(call, word, detail) if call and word in REFUSALS else EndCall(call, word, detail)


def _status(payload: dict[str, Any], envelope: Envelope) -> SignalCall:
    call = _call(payload, "call.status")
    _word(payload, "status", "call.status")
    detail = _carried(payload, SIGNAL_OWNED, MAX_NEWS_BYTES, "call.status")
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
    return SignalCall(call, Signal.ERROR, _carried(payload, SIGNAL_OWNED, MAX_NEWS_BYTES, "call.error"))


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
