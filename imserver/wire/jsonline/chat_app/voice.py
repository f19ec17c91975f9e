"""Calls of the dialect chat-app: payloads in, events out."""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import Any, Final

import msgspec

from imserver.model.calls import (
    MAX_CALL_ID_BYTES,
    AnswerCall,
    CallAccepted,
    CallAnswered,
    CallEnded,
    CallIncoming,
    CallMedia,
    CallStopped,
    EndCall,
    Ending,
    RejectCall,
    StartCall,
)
from imserver.model.group_calls import GroupCallChange, GroupCallChanged, StartGroupCall
from imserver.wire.jsonline.chat_app.commands import ChatAppType
from imserver.wire.jsonline.chat_app.payloads import CallIdPayload, CallPayload, DataPayload
from imserver.wire.jsonline.groups import group_id
from imserver.wire.jsonline.messages import Envelope
from imserver.wire.jsonline.validator import bad, id_text

DIRECT: Final = "direct"
GROUP: Final = "group"
MAX_DATA_BYTES: Final = 30_000
"""Bytes of the longest piece of voice: twice as many in hex, and it has to be a line."""

_encode: Final = msgspec.json.Encoder().encode
_ANSWERED_ELSEWHERE: Final = "answered_elsewhere"
_KINDS: Final = {"user": DIRECT, "group": GROUP, "room": GROUP}

# In


def _call(payload: CallPayload, envelope: Envelope) -> StartCall | StartGroupCall:
    call = "" if envelope.id is None else str(envelope.id)
    if not call:
        raise bad("voice/call needs an id: it is the call's")
    if len(call.encode()) > MAX_CALL_ID_BYTES:
        raise bad(f"the id of a call has at most {MAX_CALL_ID_BYTES} bytes")
    kind, named = payload.target_type, payload.target_id
    if type(payload.target) is dict:
        kind, named = payload.target.get("type", kind), payload.target.get("id", named)
    elif payload.target is not None:
        named = payload.target
    if type(named) not in (str, int) or named == "":
        raise bad("voice/call needs a target")
    called = id_text(named, "target.id")  # type: ignore[arg-type]
    if payload.call_type not in (None, DIRECT, GROUP):
        raise bad("call_type must be direct or group")
    meant = _KINDS.get(kind) if type(kind) is str else None
    if kind is not None and meant is None:
        raise bad("target.type must be user, group or room")
    if payload.call_type is not None and meant not in (None, payload.call_type):
        raise bad("call_type and target do not belong together")
    if (payload.call_type or meant or DIRECT) == GROUP:
        return StartGroupCall(group_id(called), call)
    return StartCall(called, False, call)


def _id(payload: CallIdPayload | DataPayload) -> str:
    call = "" if payload.call_id is None else str(payload.call_id)
    if not call:
        raise bad("call_id is missing")
    return call


def _answer(payload: CallIdPayload, envelope: Envelope) -> AnswerCall:
    return AnswerCall(_id(payload))


def _reject(payload: CallIdPayload, envelope: Envelope) -> RejectCall:
    return RejectCall(_id(payload), payload.reason or "")


def _end(payload: CallIdPayload, envelope: Envelope) -> EndCall:
    return EndCall(_id(payload), payload.reason or "")


def _data(payload: DataPayload, envelope: Envelope) -> CallMedia:
    call = _id(payload)
    try:
        data = bytes.fromhex(payload.data or "")
    except ValueError:
        raise bad("data must be in hex") from None
    if len(data) > MAX_DATA_BYTES:
        raise bad(f"a piece of voice has at most {MAX_DATA_BYTES} bytes")
    return CallMedia(data, call)


VOICE_READERS: Final[dict[enum.StrEnum, tuple[type, Callable[[Any, Envelope], Any]]]] = {
    ChatAppType.VOICE_CALL: (CallPayload, _call),
    ChatAppType.VOICE_ANSWER: (CallIdPayload, _answer),
    ChatAppType.VOICE_REJECT: (CallIdPayload, _reject),
    ChatAppType.VOICE_END: (CallIdPayload, _end),
    ChatAppType.VOICE_DATA: (DataPayload, _data),
}


# Out

_CHANGES: Final = {
    GroupCallChange.INCOMING: "incoming",
    GroupCallChange.CONNECTED: "connected",
    GroupCallChange.JOINED: "member_joined",
    GroupCallChange.LEFT: "member_left",
    GroupCallChange.REJECTED: "rejected",
    GroupCallChange.STOPPED: "ended",
    GroupCallChange.ENDED: "ended",
}


def voice_events(event: Any, user: str) -> list[dict[str, Any]] | None:
    """The payloads of voice/event that tell an event; None if it is none of a call.

    Args:
        user: whom they are for.
    """
    match event:
        case CallIncoming():
            return [{"event_type": "incoming", **_direct(event, event.caller)}]
        case CallAnswered() | CallAccepted():
            two = [event.caller, event.callee]
            return [{"event_type": "connected", **_direct(event, event.callee), "participants": two}]
        case CallEnded():
            return _ended(event, user)
        case CallStopped():
            reason = _ANSWERED_ELSEWHERE if event.ending is None else event.ending.value
            fields = {"participants": [event.caller], "duration": 0, "reason": reason}
            return [{"event_type": "ended", **_direct(event, event.caller), **fields}]
        case GroupCallChanged():
            return [_group(event)]
    return None


def _direct(event: Any, user: str) -> dict[str, Any]:
    return {
        "call_id": event.call,
        "call_type": DIRECT,
        "target_type": "user",
        "target_id": event.callee,
        "initiator": event.caller,
        "user_id": user,
    }


def _ended(event: CallEnded, user: str) -> list[dict[str, Any]]:
    took_part = [event.caller, event.callee] if event.answered_at else [event.caller]
    events = [
        {
            "event_type": "ended",
            **_direct(event, event.by or event.caller),
            "participants": took_part,
            "duration": max(0, event.duration),
            "reason": event.ending.value,
        }
    ]
    if event.ending is Ending.REJECTED and user == event.caller:
        events.insert(0, {"event_type": "rejected", **_direct(event, event.callee)})
    return events


def _group(event: GroupCallChanged) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "event_type": _CHANGES[event.change],
        "call_id": event.call,
        "call_type": GROUP,
        "target_type": "group",
        "target_id": event.group,
        "initiator": event.initiator,
        "user_id": event.user,
        "participants": event.participants,
    }
    if event.change in (GroupCallChange.ENDED, GroupCallChange.STOPPED):
        fields["duration"] = event.duration
        fields["reason"] = _ANSWERED_ELSEWHERE if event.ending is None else event.ending.value
    return fields


def data_payload(event: CallMedia) -> bytes:
    """The payload of voice/data."""
    return b'{"call_id":%b,"data":"%b","from_user":%b}' % (
        _encode(event.call),
        event.data.hex().encode(),
        _encode(event.sender),
    )
