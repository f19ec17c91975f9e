"""The server's log during a run: a logged failure is a violation."""

from __future__ import annotations

from types import TracebackType
from typing import Any

from twisted.logger import ILogObserver, LogLevel, formatEvent, globalLogPublisher
from zope.interface import implementer


@implementer(ILogObserver)
class Logs:
    """Collects failures while it is entered.

    Attributes:
        failures: one text for each.
    """

    def __init__(self) -> None:
        self.failures: list[str] = []

    def __enter__(self) -> Logs:
        globalLogPublisher.addObserver(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        globalLogPublisher.removeObserver(self)

    def __call__(self, event: dict[str, Any]) -> None:
        """See ILogObserver."""
        if event.get("log_level") is LogLevel.critical:
            failure = event.get("log_failure")
            trace = "" if failure is None else f"\n{failure.getTraceback()}"
            self.failures.append(f"logged: {formatEvent(event)}{trace}")
