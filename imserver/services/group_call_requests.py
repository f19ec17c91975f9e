"""What a session's node and the home of a group's call say to each other over the bus.

As in `call_requests`. The slot of a call's id leads to its home; its mark says of which kind the call is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec import Struct

from imserver.services.ports import Seat

_MARK = "#"


class GroupStart(Struct, frozen=True):
    """A session calls the members of a group."""

    call: str
    seat: Seat
    group: str


class GroupAct(Struct, frozen=True):
    """A command of a session about a call of a group: AnswerCall, RejectCall or EndCall."""

    call: str
    seat: Seat
    command: Any


class GroupDrop(Struct, frozen=True):
    """A session is gone. May come twice."""

    call: str
    seat: Seat


class GroupPart(Struct, frozen=True):
    """A user ("" = everybody) is no member of a group any more. May come several times."""

    group: str
    user: str


REQUESTS = (GroupStart, GroupAct, GroupDrop, GroupPart)


class GroupLinked(Struct, frozen=True):
    """For a session's node: its media goes to all of these from now on; None = it is in the call no more."""

    call: str
    group: str
    initiator: str
    peers: Sequence[Seat] | None


def group_key(group: str) -> str:
    """What the home of a group's calls goes by."""
    return f"group-call/{group}"


def group_slot(group: str) -> str:
    """The slot whose value is the id of the one call that a group may have."""
    return f"group-call/{group}"


def group_mark(node: str) -> str:
    """The value of a call id's slot, where the call is one of a group."""
    return _MARK + node


def is_group_mark(mark: str) -> bool:
    """Whether a call id's slot leads to a call of a group."""
    return mark.startswith(_MARK)
