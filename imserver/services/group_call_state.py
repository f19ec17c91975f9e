"""A call of a group, as its home knows it (`group_call_home`)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from twisted.internet.interfaces import IDelayedCall

from imserver.model.calls import CallError, CallFault
from imserver.model.errors import ErrorCode, ImError
from imserver.services.ports import Seat

MAX_MEMBERS = 100
"""Larger groups cannot be called: too many telephones would ring."""
MAX_PARTICIPANTS = 32
REMEMBERED_SECONDS = 60.0
"""How long an ended call is remembered: messages cross."""


class GroupCall:
    """One call.

    Attributes:
        started: float seconds of the clock.
        answered: when the first one joined; None = nobody has.
        participants: who is in it, by user.
        ringing: where it rings, by session.
        took_part: everybody who was ever in it, in order.
        joining: how many sessions of a user are about to be in it.
        parted: how often a user has left the group since it began.
        rings: the ring time is not over.
        over: it has ended.
        timer: ring time, then talk time.
    """

    def __init__(self, id: str, group: str, seat: Seat, devices: Iterable[Seat], started: float) -> None:
        self.id = id
        self.group = group
        self.initiator = seat
        self.started = started
        self.answered: float | None = None
        self.participants = {seat.user: seat}
        self.ringing = {device.session: device for device in devices}
        self.took_part = [seat.user]
        self.joining: Counter[str] = Counter()
        self.parted: Counter[str] = Counter()
        self.rings = True
        self.over = False
        self.timer: IDelayedCall | None = None

    def holds(self, seat: Seat) -> bool:
        """Whether this session is in the call. Raises ImError if it cannot be."""
        if self.over:
            raise unknown(self.id)
        there = self.participants.get(seat.user)
        if there is None and len(self.participants) >= MAX_PARTICIPANTS:
            raise ImError(ErrorCode.CONFLICT, "there are too many in this call")
        if there is not None and there != seat:
            raise ImError(ErrorCode.CONFLICT, "you are in this call with another device")
        return there is not None

    def silence(self, user: str) -> list[Seat]:
        """It rings for this user no more. Returns where it did."""
        mine = [device for device in self.ringing.values() if device.user == user]
        for device in mine:
            del self.ringing[device.session]
        return mine


def unknown(call: str) -> CallError:
    """The refusal of what names no call."""
    return CallError(CallFault.UNKNOWN_CALL, "there is no such call", call)


def no_part(call: str) -> CallError:
    """The refusal of who is not in a call, or may not be."""
    return CallError(CallFault.NOT_PARTICIPANT, "you take no part in this call", call)


def busy() -> ImError:
    """The refusal of who is in another call."""
    return ImError(ErrorCode.CONFLICT, "you are in another call")
