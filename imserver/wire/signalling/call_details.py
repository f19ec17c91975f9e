"""Details of calls: what clients say to each other, how large it may be, and the ids they know a call by.

The server owns some members of a payload; all others are the clients' own (002, 信令类型;
CONTRACT §4): they travel as the command's `detail`, in their order, checked for size and
shape here, and nobody looks into them.
"""

from __future__ import annotations

from typing import Any, Final

from imserver.model.calls import MAX_CALL_ID_BYTES, CallError, CallFault
from imserver.model.errors import ErrorCode, ImError
from imserver.wire.depth import check_depth
from imserver.wire.signalling.envelope import Id, bad, encode, id_text, id_value

MAX_SDP_BYTES: Final = 64 * 1024
MAX_CANDIDATE_BYTES: Final = 2 * 1024
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


def carried(payload: dict[str, Any], owned: frozenset[str], limit: int, what: str) -> bytes:
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


def check_description(payload: dict[str, Any], what: str) -> None:
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
    check_candidates(payload.get("ice_candidates"))


def check_candidates(candidates: Any) -> None:
    if candidates is None:
        return
    if type(candidates) is not list:
        raise bad("ice_candidates must be an array")
    for candidate in candidates:
        check_candidate(candidate)


def check_candidate(candidate: Any) -> None:
    """Null says that there are no more."""
    if candidate is not None and type(candidate) not in (dict, str):
        raise bad("a candidate must be an object or a string")
    if len(encode(candidate)) > MAX_CANDIDATE_BYTES:
        raise ImError(ErrorCode.TOO_LARGE, f"a candidate is longer than {MAX_CANDIDATE_BYTES} bytes")
