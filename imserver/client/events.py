"""What a client itself tells its program, besides the server's events."""

from __future__ import annotations

from msgspec import Struct

from imserver.model.accounts import LoggedIn


class Connected(Struct, frozen=True, gc=False):
    """Logged in (again)."""

    logged_in: LoggedIn


class Disconnected(Struct, frozen=True, gc=False):
    """The connection is gone; the client tries again after `retry_in` seconds."""

    reason: str
    retry_in: float


class EpochChanged(Struct, frozen=True, gc=False):
    """The server's inbox numbers start afresh: a restore or failover may have lost messages.

    What the server has now is delivered, but for messages this client still remembers.
    """

    old: str
    new: str
