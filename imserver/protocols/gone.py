"""What takes the place of those who are gone, so that a lost connection's objects hold one another no longer.

A connection's parts know one another in circles. If these stayed when it is lost, only the collector of
cycles could free them: some twenty objects each, in one pause for all that were lost since its last round.
So the circles are cut, and every lost connection is freed at once, by itself.
"""

from __future__ import annotations

from typing import Any, Final


class Gone:
    """Nobody: protocol, session, owner of an outbox and handler of frames of a connection that is lost.

    Attributes:
        total / written: of an outbox that is no more.
    """

    __slots__ = ()

    total = 0
    written = 0

    def _nothing(self, *arguments: Any) -> None:
        """Whatever is said to it."""

    # link.LinkSession
    start = drained = delivered = passed = kicked = slow = silent = too_late = ended = _nothing
    # turns.Handler
    handle = handle_again = _nothing
    # queueing.OutboxOwner
    outbox_drained = outbox_overflown = outbox_finished = outbox_delivered = outbox_passed = _nothing
    # link.FrameProtocol
    goodbye = _nothing


GONE: Final[Any] = Gone()
