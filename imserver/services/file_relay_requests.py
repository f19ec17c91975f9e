"""What a session's node and the home of a relayed file say to each other over the bus.

A relay is at home where its sender is connected: the channels of both ends go there. A slot leads to it.
"""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from imserver.services.ports import Seat


class RelayAct(Struct, frozen=True):
    """A command of a session about a relay.

    Attributes:
        sid: the log-in it belongs to.
        command: AcceptRelay, RejectRelay or EndRelay.
    """

    relay: str
    seat: Seat
    sid: str
    command: Any


def relay_slot(relay: str) -> str:
    """The slot whose value names the node that is home to a relay, see `call_requests.home_mark`."""
    return f"file-relay/{relay}"
