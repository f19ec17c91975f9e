"""What sessions are told before they begin: it waits until their log-in is answered.

A session is counted among its user's from when it is entered (`ports.Attendance.enter`). If it were only from
the answer on, who hears of that answer and calls at once might be faster than the node that takes it down.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from imserver.services.live import LiveSession
from imserver.services.registry import Registry

MOST = 256
"""Events that wait for one session; what comes then is lost to it."""

Tell = Callable[[str, str, Any, str], None]


class EarlyNews:
    """See the module.

    Args:
        registry: of the live sessions, those that are to begin among them.
        tell: takes user, session, event and the node that tells it.
    """

    def __init__(self, registry: Registry[LiveSession], tell: Tell) -> None:
        self._registry = registry
        self._tell = tell
        self._waiting: dict[str, list[tuple[str, str, Any, str]]] = {}  # by session

    def __len__(self) -> int:
        return len(self._waiting)

    def told(self, user: str, session: str, event: Any, node: str) -> None:
        """An event for a session: handed on now, or once that has begun."""
        for live in self._registry.of(user):
            if live.principal.session == session and not live.started:
                waiting = self._waiting.setdefault(session, [])
                if len(waiting) < MOST:
                    waiting.append((user, session, event, node))
                return
        self._tell(user, session, event, node)

    def begun(self, session: str) -> None:
        """The session takes events from now on."""
        for told in self._waiting.pop(session, ()):
            self._tell(*told)

    def closed(self, session: str) -> None:
        """The session is over."""
        self._waiting.pop(session, None)
