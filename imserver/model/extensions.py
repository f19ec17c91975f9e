"""What commands of other programs answer and tell; their commands are structs of their own."""

from __future__ import annotations

from typing import Any

from msgspec import Struct


class OwnReply(Struct, frozen=True):
    """Answer to a command that an extension brought.

    Attributes:
        payload: what stands beside the status; made of plain JSON values.
    """

    payload: dict[str, Any] = {}


class OwnEvent(Struct, frozen=True):
    """Something an extension tells users; may be lost, and formats without such commands leave it out.

    Attributes:
        command: the name of the event on the wire.
        payload: plain JSON values.
    """

    command: str
    payload: dict[str, Any]
