"""What extensions may do with the services."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from imserver.model.accounts import Principal
from imserver.model.extensions import OwnEvent
from imserver.services.dispatch import Dispatch
from imserver.services.ports import Bus


class Workplace:
    """Given to an extension's handlers.

    Args:
        dispatch / bus: the server's.
    """

    def __init__(self, dispatch: Dispatch, bus: Bus) -> None:
        self._dispatch = dispatch
        self._bus = bus

    async def perform(self, principal: Principal, command: Any) -> Any:
        """Runs one of the server's own commands (`imserver.model`) for a user; its reply. Raises ImError."""
        return await self._dispatch.handle(principal, command)

    def tell(self, users: Iterable[str], event: OwnEvent) -> None:
        """Tells all live sessions of these users, on all nodes, whose format can."""
        self._bus.publish(tuple(users), event)
