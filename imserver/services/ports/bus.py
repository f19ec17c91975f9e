"""What the services need of a backend to reach sessions and homes on every node."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, Protocol

from imserver.model.accounts import SessionKicked
from imserver.services.ports.attendance import Attendance
from imserver.services.ports.seats import Seat


class Watcher(Protocol):
    """Who on this node has to know how the other ones fare. None of these ever raises or waits."""

    def node_lost(self, node: str) -> None:
        """A node is gone with all that was connected or at home there; no node gets its name again."""

    def cut_off(self) -> None:
        """The others took this node for lost.

        What was at home here is so no more, and homes elsewhere have given up what is connected here.
        What is told to other nodes during this call does not get there; after it the node takes part again,
        under another name.
        """

    def rejoined(self) -> None:
        """After `cut_off`: this node takes part again, and hears what concerns its users from now on."""

    def missed(self, node: str) -> None:
        """Something that node has told this one did not get here."""

    def attendance_changed(self, users: Sequence[str]) -> None:
        """The ranks of these users over all nodes may be others now, because a node was lost."""

    def came_late(self, users: Sequence[str], event: Any) -> None:
        """These users' sessions here were just told what another node had said a while ago.

        What a third node said later may have got here before it.
        """


class Bus(Protocol):
    """What may be lost (typing, presence, notifications) or is addressed (kick, calls).

    One node: function calls. Something stateful that belongs to no one user (a call,
    a room) lives at its **home**, one node on which all agree; whoever needs it asks there.
    What one node tells and answers another one gets there in the order in which it was said.
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
        on_tell: Callable[[str, str, Any, str], None],
        handler: Callable[[Any], Awaitable[Any]],
    ) -> None:
        """Names who answers on this node for what is addressed.

        Args:
            seats: the sessions of a user here, oldest first, with those whose log-in is being answered;
                also what `attendance` takes down.
            on_tell: an event for one session (user, session id, event, the node that tells it).
            handler: a request to something whose home is here.
        """

    def watch(self, watcher: Watcher) -> None:
        """Names who on this node is told of the others."""

    @property
    def node(self) -> str:
        """This node's name. After `Watcher.cut_off` it is another one."""

    @property
    def nodes(self) -> Sequence[str]:
        """All live nodes, this one included, as far as this one knows."""

    @property
    def attendance(self) -> Attendance:
        """Who is connected, and where."""

    def home(self, key: str) -> str:
        """The live node that should be home to whatever `key` names; the same on every node.

        While nodes come and go, two may see it differently for a moment, and what lives somewhere stays
        there: who must not have two homes claims a slot, and is looked for by that.
        """

    def retire(self) -> None:
        """This node goes down soon: others are home to whatever begins from now on, if there are others."""

    async def ask(self, node: str, request: Any) -> Any:
        """Has a node's handler answer. Raises what that raises; ImError UNAVAILABLE if the node is away.

        In the latter case the request may have been handled or not.
        """

    async def seats(self, user: str) -> Sequence[Seat]:
        """The user's live sessions on all nodes, oldest first, with those whose log-in is being answered."""

    def tell(self, seat: Seat, event: Any) -> bool:
        """Tells an event to one session; lost if it is gone.

        What one node tells one session stays in order. Media (CallMedia) may be lost on the way.

        Returns:
            False for media that did not even set out.
        """

    async def claim(self, key: str, value: str) -> str:
        """Takes a slot that only one may have at a time, over all nodes, for as long as this node lives.

        Returns:
            the value that has it now: `value` if it was free or had it already.
        """

    def release(self, key: str, value: str) -> None:
        """Frees the slot if this value has it."""

    async def holder(self, key: str) -> str:
        """The value that has the slot now; "" = it is free.

        What `attendance` was told before is taken down before this looks.
        """

    def publish(self, users: Iterable[str], event: Any, origin: str = "") -> None:
        """Tells an event to every live session of these users but the session `origin`."""

    def kick(self, user: str, event: SessionKicked, sid: str = "", session: str = "") -> None:
        """Ends sessions of a user: one, those of a grant, or all; on every node."""
