"""What the services need of a backend to know who is connected, and where."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from imserver.services.ports.seats import Seat


class Attendance(Protocol):
    """Which users have sessions on which nodes, and how available they are there.

    A user's **rank** on a node is a number, 0 = not to be seen there; over all nodes the highest
    one counts. What concerns a user is told to the nodes where the user is entered; a node that is
    lost has nobody any more.
    """

    def serve(self, rank: Callable[[str], int], limit: int) -> None:
        """Names who knows what is true on this node, beside the sessions (`Bus.serve`).

        Args:
            rank: a user's rank here.
            limit: how many sessions a user may have on all nodes.
        """

    async def enter(self, user: str) -> Sequence[Seat]:
        """Takes down what is true of a user here; from now on this node hears what concerns the user.

        Returns:
            sessions beyond the limit, the oldest ones over all nodes: the caller ends them.

        Raises:
            ImError: UNAVAILABLE; it was not taken down.
        """

    def changed(self, user: str) -> None:
        """What is true of a user here is something else now: it is taken down soon, before any later look."""

    async def ranks(self, users: Sequence[str]) -> Sequence[int]:
        """The ranks of users over all nodes."""

    async def standing(self, user: str) -> tuple[int, int]:
        """A user's rank over all nodes, and the one that was last announced; -1 = it may be unheard."""

    async def announced(self, user: str, rank: int) -> None:
        """The user's contacts have been told of this rank.

        Raises:
            ImError: UNAVAILABLE; also where the others took this node for lost, so that they did not hear it.
        """
