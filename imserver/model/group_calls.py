"""Calls of a group's members with one another (document 004, dialect chat-app).

Whoever starts one is in it at once; at the others it rings until they join, reject, or it is over. Each
of those in it hears all others. A user is in one call at a time, of this kind or the other.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence

from msgspec import Struct

from imserver.model.calls import Ending

# Commands; AnswerCall joins it, RejectCall does not, EndCall leaves it


class StartGroupCall(Struct, frozen=True, gc=False):
    """Call the members of a group; `call` is the id that the client chose."""

    group: str
    call: str


# Events


class GroupCallChange(enum.StrEnum):
    """What happened to a call of a group."""

    INCOMING = "incoming"
    """It rings here."""
    CONNECTED = "connected"
    """To one in it: there is somebody to talk to."""
    JOINED = "joined"
    LEFT = "left"
    REJECTED = "rejected"
    STOPPED = "stopped"
    """To a device: it rings there no more, or is heard there no more; others go on."""
    ENDED = "ended"


class GroupCallChanged(Struct, frozen=True):
    """Something happened to a call of a group.

    Attributes:
        initiator: who started it.
        user: who did this; the initiator where nobody did.
        participants: who is in it now; of ENDED and STOPPED: everybody who ever was.
        duration: of ENDED and STOPPED: whole seconds since somebody joined; 0 = nobody did.
        ending: of ENDED and STOPPED: why; None = another device of the user has taken it.
    """

    change: GroupCallChange
    call: str
    group: str
    initiator: str
    user: str
    participants: Sequence[str]
    duration: int = 0
    ending: Ending | None = None
