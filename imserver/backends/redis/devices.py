"""How far each device is: acknowledged inbox numbers, changes told.

What is known to be right is joined here and written every second or so: what a crash loses is only
delivered again. Anything else Redis is asked about at once.
"""

from __future__ import annotations

from typing import Any

from imserver.backends.redis.core import Core
from imserver.backends.redis.records import parse_message_id
from imserver.backends.redis.scripts import Script, lua
from imserver.model.errors import ImError
from imserver.services.ports import DeviceCursor

CURSOR = Script("cursor", *lua("lists", "cursor"))
ACKNOWLEDGE = Script("acknowledge", *lua("lists", "pairs", "inboxes", "acknowledge"))

Name = tuple[str, str, str]
"""(user, format, device name)."""
_NO_MESSAGE = (0, 0, 0)


class Devices:
    """All cursors that move on this node."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._due: dict[str, dict[tuple[str, str], tuple[int, int]]] = {}

    async def cursor(self, user: str, format: str, device: str) -> DeviceCursor:
        """See `Store.cursor`."""
        core, name = self._core, (user, format, device)
        # A new device begins where the others are.
        self._write_all(user, self._due.pop(user, {}))
        most = core.settings.devices_per_user
        acked, changed, new = await core.redis.script(CURSOR, (), (*name, repr(core.wall()), most))
        return DeviceCursor(acked, changed, bool(new))

    def acknowledge(self, user: str, format: str, device: str, seq: int, message_id: str = "") -> None:
        """See `Store.acknowledge`."""
        name = (user, format, device)
        if seq == 0 and message_id:
            numbers = parse_message_id(message_id)
            if numbers is not None:
                self._write(name, 0, 0, numbers)
        elif 0 < seq <= self._core.heads.of.get(user, 0):
            self._keep(name, seq, 0)
        elif seq > 0:
            self._write(name, seq, 0)

    def changes_told(self, user: str, format: str, device: str, change_id: int) -> None:
        """See `Store.changes_told`."""
        name = (user, format, device)
        if 0 < change_id <= self._core.heads.change:
            self._keep(name, 0, change_id)
        elif change_id > 0:
            self._write(name, 0, change_id)

    def persist(self) -> None:
        """Writes what is due; called from time to time and at the end."""
        due, self._due = self._due, {}
        for user, devices in due.items():
            self._write_all(user, devices)

    def _write_all(self, user: str, devices: dict[tuple[str, str], tuple[int, int]]) -> None:
        for (format, device), (acked, told) in devices.items():
            self._write((user, format, device), acked, told)

    def _write(self, name: Name, acked: int, told: int, message: tuple[int, int, int] = _NO_MESSAGE) -> None:
        words = (0, *name, min(acked, 2**53), min(told, 2**53), *message)
        try:
            self._core.redis.send_script(ACKNOWLEDGE, words, self._written, (name, acked, told, message))
        except ImError:
            if acked or told:
                self._keep(name, acked, told)
        except UnicodeEncodeError:
            pass  # nobody has such a device

    def _written(self, token: tuple[Name, int, int, Any], reply: Any) -> None:
        if isinstance(reply, Exception):
            name, acked, told, _ = token
            if acked or told:
                self._keep(name, acked, told)

    def _keep(self, name: Name, acked: int, told: int) -> None:
        """It is written later; Redis looks at it then."""
        user, *rest = name
        devices = self._due.setdefault(user, {})
        before = devices.get((rest[0], rest[1]), (0, 0))
        devices[rest[0], rest[1]] = max(acked, before[0]), max(told, before[1])
