"""Calls (document 000, types 2 to 6).

Each struct serves both directions: as a command, `call` is what the client
knows of the call's id; as an event it is the server's id.
"""

from __future__ import annotations

from msgspec import Struct


class CallRequest(Struct, frozen=True, gc=False):
    """Start a call, or, as an event, somebody calls.

    Attributes:
        peer: whom to call; as an event the caller.
        call: the call's id, minted by the server; "" in a command.
    """

    peer: str
    video: bool
    call: str = ""


class AcceptCall(Struct, frozen=True, gc=False):
    """Accept a call that rings here, or, as an event, it was accepted."""

    call: str


class RejectCall(Struct, frozen=True, gc=False):
    """Reject a call that rings here, or, as an event, it was rejected; `reason` "" = none given."""

    call: str
    reason: str = ""


class EndCall(Struct, frozen=True, gc=False):
    """End a call; call "" = one's own current one, whatever its id."""

    call: str = ""


class CallMedia(Struct, frozen=True, gc=False):
    """A piece of the running call's media, opaque; `call` "" in a command."""

    data: bytes
    call: str = ""
