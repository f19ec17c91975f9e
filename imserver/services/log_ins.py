"""How log-ins ended: plain numbers, read when somebody asks."""

from __future__ import annotations

from imserver.model.errors import ErrorCode


class LogInCounts:
    """How log-ins ended, since the start; for the operator.

    Attributes:
        accepted: log-ins that were let in.
        by_code: the others, by the reason.
    """

    __slots__ = ("accepted", "by_code")

    def __init__(self) -> None:
        self.accepted = 0
        self.by_code: dict[ErrorCode, int] = {}

    def refused(self, code: ErrorCode) -> None:
        """Counts one."""
        self.by_code[code] = self.by_code.get(code, 0) + 1
