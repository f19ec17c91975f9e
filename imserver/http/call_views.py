"""The data of REST answers about calls and what they need, as structs. Times are Unix time in seconds."""

from __future__ import annotations

from msgspec import Struct

from imserver.model.call_records import CallRecord


class CallView(Struct, frozen=True):
    """A call of one's own; null = not (yet).

    `call_type` is audio or video, `ending` how it ended, `ended_by` who ended it, `duration` whole
    seconds from the answer to the end; `missed`: somebody was called, and nobody answered.
    """

    call_id: str
    caller_id: str
    callee_id: str
    call_type: str
    created_at: float
    answered_at: float | None
    ended_at: float | None
    duration: int
    ending: str | None
    ended_by: str | None
    missed: bool


class CallsData(Struct, frozen=True):
    """Calls, the newest first; go on with `after` = `next_cursor`."""

    calls: list[CallView]
    next_cursor: str
    has_more: bool


class IceServerView(Struct, frozen=True, omit_defaults=True):
    """As RTCIceServer; STUN servers need no credentials."""

    urls: list[str]
    username: str = ""
    credential: str = ""


class IceData(Struct, frozen=True):
    """The `iceServers` of an RTCPeerConnection."""

    ice_servers: list[IceServerView]


def call(value: CallRecord) -> CallView:
    """A call in the list."""
    return CallView(
        value.call,
        value.caller,
        value.callee,
        "video" if value.video else "audio",
        value.created_at,
        value.answered_at or None,
        value.ended_at or None,
        value.duration,
        None if value.ending is None else value.ending.value,
        value.by or None,
        value.missed,
    )
