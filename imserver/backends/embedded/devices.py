"""How far each device is: acknowledged inbox numbers, changes told.

Kept in memory and persisted every second or so, a slice at a time: what a crash loses is only
delivered again.
"""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Sequence
from functools import partial
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.python.failure import Failure

from imserver.backends.embedded.calls import untold
from imserver.backends.embedded.core import Core
from imserver.backends.embedded.entities import User
from imserver.backends.embedded.friends import untold_request
from imserver.backends.embedded.inboxes import number_of_message, visible_head
from imserver.backends.embedded.slices import Slices
from imserver.model.errors import ImError
from imserver.services.ports import DeviceCursor

Name = tuple[str, str]
"""(format, device name), unique per user."""


class Device:
    """One device's cursors; `saved`: the disk knows the device; `dirty`: it does not know all of this."""

    __slots__ = ("acked", "changed", "dirty", "format", "name", "saved", "touched")

    def __init__(self, format: str, name: str, acked: int, changed: int, touched: float, saved: bool) -> None:
        self.format = format
        self.name = name
        self.acked = acked
        self.changed = changed
        self.touched = touched
        self.saved = saved
        self.dirty = False


class Devices:
    """All cursors; they stay valid when memory is read back, since they only cover committed rows."""

    def __init__(self, core: Core) -> None:
        self._core = core
        # Most users have one device or two: a dict for each user would take more than they do.
        self._users: dict[int, tuple[Device, ...]] = {}
        self._dirty: set[int] = set()  # users of whom something is to be written
        self._dropped: set[tuple[int, Name]] = set()  # devices of such users
        self._slices = Slices(core.clock, self._write_some)
        self._writing: set[int] = set()  # of whom it is being written

    async def cursor(self, user: str, format: str, device: str) -> DeviceCursor:
        """See `Store.cursor`."""
        state = self._core.state
        owner = state.user(user)
        if owner is None:
            return DeviceCursor(0, state.change_head, True)
        known = _find(self._devices(owner.no), format, device)
        found = known or self._create(owner, format, device)
        found.touched = self._core.wall()
        self._changed(owner, found)
        if not found.saved:
            # A new device that a crash made unknown again would begin behind
            # messages that it was never sent.
            row = (owner.no, format, device, found.acked, found.changed, found.touched)
            await self._core.write(partial(_write, [row], ()))
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
            self._changed(owner, found)

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
            self._changed(owner, found)

    def _changed(self, owner: User, device: Device) -> None:
        device.dirty = True
        self._dirty.add(owner.no)

    def persist(self, *, everything: bool = False) -> None:
        """Has the writer write what has changed, a slice at a time; called from time to time.

        Args:
            everything: at once, at the end.
        """
        self._forget_idle()
        if everything:
            self._write(self._due())
        elif self._dirty:
            self._slices.begin(self._due)

    def stop(self) -> None:
        """No further slices."""
        self._dirty.update(self._slices.stop())

    def _due(self) -> list[int]:
        due, self._dirty = sorted(self._dirty), set()
        return due

    def _write_some(self, users: list[int]) -> Deferred[None]:
        try:
            self._core.check_writable()
        except ImError:
            self._dirty.update(users)  # for another time: each failure would have the memory read back
            return succeed(None)
        return self._write(users)

    def _write(self, users: list[int]) -> Deferred[None]:
        devices = [(no, one) for no in users for one in self._users.get(no, ()) if one.dirty]
        rows = [(no, one.format, one.name, one.acked, one.changed, one.touched) for no, one in devices]
        for _, device in devices:
            device.dirty = False
        dropped, self._dropped = self._dropped, set()
        # One that is back is among those that are written, now or later.
        gone = [(no, *name) for no, name in dropped if _find(self._users.get(no, ()), *name) is None]
        self._writing.update(users)

        def again(reason: Failure) -> None:
            for _, device in devices:
                device.dirty = True
            self._dropped |= dropped
            self._dirty.update(users)

        def over(_: object) -> None:
            self._writing.difference_update(users)

        done: Deferred[Any] = self._core.journal.task(partial(_write, rows, gone))
        return done.addErrback(again).addCallback(over)

    def _forget_idle(self) -> None:
        excess = len(self._users) - self._core.settings.cached_users
        if excess > 0:
            # What is not on the disk yet must not be read from there.
            busy = {*self._dirty, *self._slices.due, *self._writing}
            for no in [no for no in self._users if no not in busy][:excess]:
                del self._users[no]

    def _devices(self, user_no: int) -> tuple[Device, ...]:
        devices = self._users.get(user_no)
        if devices is None:
            devices = self._users[user_no] = tuple(
                Device(sys.intern(format), device, acked, changed, touched, True)
                for format, device, acked, changed, touched in self._core.reader.execute(
                    "SELECT format, device, acked, changed, touched FROM devices WHERE user_no = ?",
                    (user_no,),
                )
            )
        return devices

    def _device(self, owner: User, format: str, device: str) -> Device:
        return _find(self._devices(owner.no), format, device) or self._create(owner, format, device)

    def _create(self, owner: User, format: str, device: str) -> Device:
        devices = list(self._devices(owner.no))
        furthest = max((other.acked for other in devices), default=0)
        first_change = self._first_change(owner, devices, format)
        while len(devices) >= self._core.settings.devices_per_user:
            oldest = min(devices, key=lambda other: other.touched)
            devices.remove(oldest)
            self._dropped.add((owner.no, (oldest.format, oldest.name)))
        created = Device(format, device, furthest, first_change, self._core.wall(), False)
        self._users[owner.no] = (*devices, created)
        self._changed(owner, created)
        return created

    def _first_change(self, owner: User, devices: Sequence[Device], format: str) -> int:
        """Up to where a new device needs not be told of changes.

        It has nothing that could be taken back. But its user may not have heard of missed
        calls and requests of would-be friends: not if no device of the same format has been
        told (other formats may have no words for them).
        """
        alike = (device.changed for device in devices if device.format == format)
        told = max(alike, default=0)
        waiting = [untold(self._core, owner, told), untold_request(self._core, owner, told)]
        return min((change - 1 for change in waiting if change), default=self._core.state.change_head)


def _find(devices: Sequence[Device], format: str, name: str) -> Device | None:
    for device in devices:
        if device.name == name and device.format == format:
            return device
    return None


def _write(
    written: Sequence[tuple[int, str, str, int, int, float]],
    dropped: Sequence[tuple[int, str, str]],
    connection: sqlite3.Connection,
) -> None:
    connection.executemany("INSERT OR REPLACE INTO devices VALUES (?, ?, ?, ?, ?, ?)", written)
    connection.executemany("DELETE FROM devices WHERE user_no = ? AND format = ? AND device = ?", dropped)
