"""The bus of one node: function calls."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from imserver.model.accounts import SessionKicked

OnEvent = Callable[[Iterable[str], Any, str], None]
OnKick = Callable[[str, str, str, SessionKicked], None]


class LocalBus:
    """Hands everything to the consumers on this node at once."""

    def __init__(self) -> None:
        self._on_event: OnEvent | None = None
        self._on_kick: OnKick | None = None

    def attach(self, on_event: OnEvent, on_kick: OnKick) -> None:
        """See `Bus.attach`; `on_kick` is called with user, sid, session, event."""
        self._on_event = on_event
        self._on_kick = on_kick

    def publish(self, users: Iterable[str], event: Any, origin: str = "") -> None:
        """See `Bus.publish`."""
        if self._on_event is not None:
            self._on_event(users, event, origin)

    def kick(self, user: str, event: SessionKicked, sid: str = "", session: str = "") -> None:
        """See `Bus.kick`."""
        if self._on_kick is not None:
            self._on_kick(user, sid, session, event)
