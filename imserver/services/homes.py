"""What calls and rooms have in common in living at one node of several."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from imserver.services.ports import Bus
from imserver.services.together import together

REMEMBERED_NODES = 1000


def home_mark(node: str) -> str:
    """A node's name as a slot's value, never empty."""
    return f"@{node}"


def marked_home(mark: str) -> str:
    """The node of a `home_mark`."""
    return mark[1:]


class LostNodes:
    """Nodes that are known to be lost: what they had asked may be done only after that news."""

    def __init__(self) -> None:
        self._names: OrderedDict[str, None] = OrderedDict()

    def add(self, node: str) -> None:
        """A node is lost."""
        self._names[node] = None
        if len(self._names) > REMEMBERED_NODES:
            self._names.popitem(last=False)

    def __contains__(self, node: str) -> bool:
        return node in self._names


async def ask_all(bus: Bus, request: Any) -> list[Any]:
    """What every node answers, all asked at once. Raises ImError if one of them refuses."""

    async def ask(node: str) -> Any:
        return await bus.ask(node, request)

    return await together(ask, bus.nodes)
