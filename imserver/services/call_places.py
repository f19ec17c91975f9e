"""Which session has which place in a call, and which words are a repetition."""

from __future__ import annotations

from typing import Any

from imserver.model.calls import Media, RejectCall, Signal
from imserver.services.call_events import signal_of
from imserver.services.call_requests import Start
from imserver.services.call_state import Call
from imserver.services.call_terms import State
from imserver.services.ports import Seat


def places(call: Call) -> list[Seat]:
    """Where a call rings, or is held."""
    parties = [party.seat for party in (call.caller, call.callee) if party is not None]
    return [*parties, *call.ringing.values()]


def is_back(call: Call, former: Seat, seat: Seat) -> bool:
    """Whether a session is a newer one of the same device."""
    return (
        call.media is Media.WEBRTC
        and seat.device == former.device != ""
        and seat.session != former.session
        and seat.session not in call.displaced
    )


def crossed(call: Call, seat: Seat, command: Any) -> bool:
    """Whether this is what a device at which it rang had to say before it heard that another one answered."""
    if seat.session not in call.rang or seat.session in call.took_part:
        return False
    return isinstance(command, RejectCall) or signal_of(command) is Signal.ICE


def same_offer(call: Call, request: Start) -> bool:
    """Whether a format without ids repeats the offer of a call that rings."""
    return (
        call.state is State.RINGING
        and call.caller.seat.session == request.seat.session
        and call.video == request.video
        and call.offer == request.detail
    )
