"""What the services need of a backend to reach sessions and homes on every node."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, Protocol

from msgspec import Struct

from imserver.model.accounts import SessionKicked
from imserver.model.calls import Media


class Seat(Struct, frozen=True, gc=False):
    """A live session as other nodes can address it.

    Attributes:
        node: the node it is connected to.
        media: how its format's calls travel.
        device: its device's name within the user and the format; "" = none was named.
    """

    user: str
    session: str
    node: str
    media: Media
    device: str = ""


class Bus(Protocol):
    """What may be lost (typing, presence, notifications) or is addressed (kick, calls).

    One node: function calls. Something stateful that belongs to no one user (a call,
    a room) lives at its **home**, one node on which all agree; whoever needs it asks there.
    """

    def attach(
        self,
        on_event: Callable[[Iterable[str], Any, str], None],
        on_kick: Callable[[str, str, str, SessionKicked], None],
    ) -> None:
        """Names the consumers on this node."""

    def serve(
        self,
        seats: Callable[[str], Sequence[Seat]],
        on_tell: Callable[[str, str, Any], None],
        handler: Callable[[Any], Awaitable[Any]],
    ) -> None:
        """Names who answers on this node for what is addressed.

        Args:
            seats: the live sessions of a user here.
            on_tell: an event for one session (user, session id, event).
            handler: a request to something whose home is here.
        """

    @property
    def node(self) -> str:
        """This node's name."""

    def home(self, key: str) -> str:
        """The live node that is home to whatever `key` names; the same on every node."""

    async def ask(self, node: str, request: Any) -> Any:
        """Has a node's handler answer. Raises what that raises; ImError UNAVAILABLE if the node is away."""

    async def seats(self, user: str) -> Sequence[Seat]:
        """The user's live sessions on all nodes, oldest first."""

    def tell(self, seat: Seat, event: Any) -> None:
        """Tells an event to one session; lost if it is gone.

        What one node tells one session stays in order.
        """

    async def claim(self, key: str, value: str) -> str:
        """Takes a slot that only one may have at a time, over all nodes.

        Returns:
            the value that has it now: `value` if it was free or had it already.
        """

    def release(self, key: str, value: str) -> None:
        """Frees the slot if this value has it."""

    async def holder(self, key: str) -> str:
        """The value that has the slot now; "" = it is free."""

    def publish(self, users: Iterable[str], event: Any, origin: str = "") -> None:
        """Tells an event to every live session of these users but the session `origin`."""

    def kick(self, user: str, event: SessionKicked, sid: str = "", session: str = "") -> None:
        """Ends sessions of a user: one, those of a grant, or all; on every node."""
