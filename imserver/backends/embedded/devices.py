"""How far each device is: acknowledged inbox numbers, changes told.

Kept in memory and persisted every second or so: what a crash loses is only
delivered again.
"""

from __future__ import annotations

import sqlite3
from functools import partial

from twisted.python.failure import Failure

from imserver.backends.embedded.calls import untold
from imserver.backends.embedded.core import Core
from imserver.backends.embedded.entities import User
from imserver.backends.embedded.inboxes import number_of_message, visible_head
from imserver.model.errors import ImError
from imserver.services.ports import DeviceCursor

Name = tuple[str, str]
"""(format, device name), unique per user."""


class Device:
    """One device's cursors; `saved`: the disk knows the device."""

    __slots__ = ("acked", "changed", "saved", "touched")

    def __init__(self, acked: int, changed: int, touched: float, saved: bool) -> None:
        self.acked = acked
        self.changed = changed
        self.touched = touched
        self.saved = saved


class Devices:
    """All cursors; they stay valid when memory is read back, since they only cover committed rows."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._users: dict[int, dict[Name, Device]] = {}
        self._dirty: set[tuple[int, Name]] = set()
        self._writing: set[tuple[int, Name]] = set()

    async def cursor(self, user: str, format: str, device: str) -> DeviceCursor:
        """See `Store.cursor`."""
        state = self._core.state
        owner = state.user(user)
        if owner is None:
            return DeviceCursor(0, state.change_head, True)
        devices = self._devices(owner.no)
        name = (format, device)
        known = devices.get(name)
        found = known or self._create(owner, devices, name)
        found.touched = self._core.wall()
        self._dirty.add((owner.no, name))
        if not found.saved:
            # A new device that a crash made unknown again would begin behind
            # messages that it was never sent.
            row = (owner.no, format, device, found.acked, found.changed, found.touched)
            await self._core.write(partial(_write, [row], []))
            found.saved = True
        return DeviceCursor(found.acked, found.changed, known is None)

    def acknowledge(self, user: str, format: str, device: str, seq: int, message_id: str = "") -> None:
        """See `Store.acknowledge`."""
        try:
            owner = self._core.state.user(user)
            if owner is None:
                return
            if seq == 0 and message_id:
                seq = number_of_message(self._core, owner, message_id)
            if seq <= 0 or seq > visible_head(self._core.state, owner):
                return
            found = self._device(owner, format, device)
        except (ImError, sqlite3.Error):
            # It will be acknowledged again, or delivered again.
            return
        if seq > found.acked:
            found.acked = seq
            self._dirty.add((owner.no, (format, device)))

    def changes_told(self, user: str, format: str, device: str, change_id: int) -> None:
        """See `Store.changes_told`."""
        try:
            owner = self._core.state.user(user)
            if owner is None or change_id > self._core.state.change_head:
                return
            found = self._device(owner, format, device)
        except (ImError, sqlite3.Error):
            return
        if change_id > found.changed:
            found.changed = change_id
            self._dirty.add((owner.no, (format, device)))

    def persist(self) -> None:
        """Queues what has changed for the writer; called from time to time and at the end."""
        self._forget_idle()
        if self._writing or not self._dirty:
            return
        dirty, self._dirty = self._dirty, set()
        self._writing = dirty
        written: list[tuple[int, str, str, int, int, float]] = []
        dropped: list[tuple[int, str, str]] = []
        for no, name in sorted(dirty):
            device = self._users.get(no, {}).get(name)
            if device is None:
                dropped.append((no, *name))
            else:
                written.append((no, *name, device.acked, device.changed, device.touched))
        done = self._core.journal.task(partial(_write, written, dropped))

        def again(_: Failure) -> None:
            self._dirty |= dirty

        def over(_: None) -> None:
            self._writing = set()

        done.addErrback(again)
        done.addCallback(over)

    def _forget_idle(self) -> None:
        excess = len(self._users) - self._core.settings.cached_users
        if excess > 0:
            # What is not on the disk yet must not be read from there.
            busy = {no for no, _ in self._dirty | self._writing}
            for no in [no for no in self._users if no not in busy][:excess]:
                del self._users[no]

    def _devices(self, user_no: int) -> dict[Name, Device]:
        devices = self._users.get(user_no)
        if devices is None:
            devices = self._users[user_no] = {
                (format, device): Device(acked, changed, touched, True)
                for format, device, acked, changed, touched in self._core.reader.execute(
                    "SELECT format, device, acked, changed, touched FROM devices WHERE user_no = ?",
                    (user_no,),
                )
            }
        return devices

    def _device(self, owner: User, format: str, device: str) -> Device:
        devices = self._devices(owner.no)
        return devices.get((format, device)) or self._create(owner, devices, (format, device))

    def _create(self, owner: User, devices: dict[Name, Device], name: Name) -> Device:
        furthest = max((device.acked for device in devices.values()), default=0)
        created = Device(furthest, self._first_change(owner, devices, name), self._core.wall(), False)
        while len(devices) >= self._core.settings.devices_per_user:
            oldest = min(devices, key=lambda name: devices[name].touched)
            del devices[oldest]
            self._dirty.add((owner.no, oldest))
        devices[name] = created
        self._dirty.add((owner.no, name))
        return created

    def _first_change(self, owner: User, devices: dict[Name, Device], name: Name) -> int:
        """Up to where a new device needs not be told of changes.

        It has nothing that could be taken back. But its user may not have heard of missed
        calls: not if no device of the same format has been told (other formats may have no
        words for them).
        """
        alike = (device.changed for (format, _), device in devices.items() if format == name[0])
        missed = untold(self._core, owner, max(alike, default=0))
        return missed - 1 if missed else self._core.state.change_head


def _write(
    written: list[tuple[int, str, str, int, int, float]],
    dropped: list[tuple[int, str, str]],
    connection: sqlite3.Connection,
) -> None:
    connection.executemany("INSERT OR REPLACE INTO devices VALUES (?, ?, ?, ?, ?, ?)", written)
    connection.executemany("DELETE FROM devices WHERE user_no = ? AND format = ? AND device = ?", dropped)
