"""What a session's node and a call's home say to each other over the bus.

The node asks the home (`Bus.ask`); the home tells sessions (`Bus.tell`): the events of
`model.calls`, and `Linked` and `Seated`, which are for the node itself.
"""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from imserver.model.calls import CallAccepted, CallAnswered
from imserver.services.ports import Seat


class Start(Struct, frozen=True):
    """A session offers a new call.

    Attributes:
        chosen: the client chose the id itself.
    """

    call: str
    seat: Seat
    callee: str
    video: bool
    detail: bytes
    chosen: bool


class Act(Struct, frozen=True):
    """A command of a session about an existing call.

    Attributes:
        command: StartCall, AnswerCall, RejectCall, EndCall or SignalCall.
        named: the client named the call's id.
    """

    call: str
    seat: Seat
    command: Any
    named: bool = True


class Join(Struct, frozen=True):
    """A session began while its user is busy with this call."""

    call: str
    seat: Seat


class Leave(Struct, frozen=True):
    """A session is gone whose user is busy with this call. May come twice."""

    call: str
    seat: Seat


REQUESTS = (Start, Act, Join, Leave)


class Linked(Struct, frozen=True):
    """From now on the session's media goes to `peer`; until CallEnded of the same call.

    Attributes:
        event: what the session is told of it, at the same moment.
    """

    call: str
    peer: Seat
    event: CallAnswered | CallAccepted


class Seated(Struct, frozen=True, gc=False):
    """The session has taken a party's place in a call; it is not told, for it knows."""

    call: str
    caller: str
    callee: str
    created_at: float
    answered_at: float


def pair_key(one: str, other: str) -> str:
    """What the home of a call between two users goes by; the same in both directions."""
    first, second = sorted((one, other))
    return f"call/{first}/{second}"


def busy_slot(user: str) -> str:
    """The slot whose value is the id of the one call a user may be in."""
    return f"busy/{user}"


def call_slot(call: str) -> str:
    """The slot whose value names the node that is home to a call, see `homes.home_mark`."""
    return f"call-id/{call}"
