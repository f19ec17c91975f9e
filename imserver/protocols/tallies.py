"""What is counted of a format's sessions, for the operator: plain numbers, read when somebody asks."""

from __future__ import annotations

from imserver.model.errors import ErrorCode


class Tally:
    """Counts since the start, of one format.

    Attributes:
        accepted: sends that became durable.
        refused: the others, by the reason.
        delivered: messages queued for a peer.
        dropped: events (typing, presence, …) not queued because the peer was slow.
        slow: peers that were sent away because they did not read.
        media_dropped: pieces of a call's media dropped because the peer was slow.
    """

    __slots__ = ("accepted", "delivered", "dropped", "media_dropped", "refused", "slow")

    def __init__(self) -> None:
        self.accepted = 0
        self.delivered = 0
        self.dropped = 0
        self.slow = 0
        self.media_dropped = 0
        self.refused: dict[ErrorCode, int] = {}

    def refuse(self, code: ErrorCode) -> None:
        """Counts a refused send."""
        self.refused[code] = self.refused.get(code, 0) + 1


class Tallies(dict[str, Tally]):
    """The tally of each format, made when it is first asked for."""

    def __missing__(self, format: str) -> Tally:
        tally = self[format] = Tally()
        return tally
