"""sd_notify against a socket of the test's own."""

from __future__ import annotations

import os
import socket
import tempfile

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from imserver.tap.systemd import Notifier


class Notifying(SynchronousTestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.address = os.path.join(folder.name, "notify")
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(self.socket.close)
        self.socket.bind(self.address)
        self.socket.setblocking(False)
        self.clock = Clock()

    def told(self) -> list[str]:
        """The first lines of what came."""
        lines = []
        while True:
            try:
                lines.append(self.socket.recv(4096).decode().split("\n")[0])
            except BlockingIOError:
                return lines

    def test_a_life(self) -> None:
        environment = {"NOTIFY_SOCKET": self.address, "WATCHDOG_USEC": "10000000"}
        notifier = Notifier(environment, self.clock)
        self.clock.advance(20)
        self.assertEqual(self.told(), [])
        notifier.ready()
        self.assertEqual(self.told(), ["READY=1", "WATCHDOG=1"])
        self.clock.pump([5, 5])
        self.assertEqual(self.told(), ["WATCHDOG=1"] * 2)
        notifier.reloading()
        notifier.ready()
        self.assertEqual(self.told(), ["RELOADING=1", "READY=1"])
        notifier.stopping()
        notifier.close()
        self.clock.advance(20)
        self.assertEqual(self.told(), ["STOPPING=1"])

    def test_a_watchdog_for_somebody_else(self) -> None:
        for other in ({"WATCHDOG_USEC": "1000000", "WATCHDOG_PID": "1"}, {"WATCHDOG_USEC": "no"}, {}):
            Notifier({"NOTIFY_SOCKET": self.address, **other}, self.clock).ready()
            self.clock.advance(20)
            self.assertEqual(self.told(), ["READY=1"])

    def test_without_a_manager_or_with_a_dead_one(self) -> None:
        for environment in ({}, {"NOTIFY_SOCKET": self.address + ".gone", "WATCHDOG_USEC": "1000000"}):
            notifier = Notifier(environment, self.clock)
            notifier.ready()
            self.clock.advance(20)
            notifier.stopping()
            notifier.close()
        self.assertEqual(self.told(), [])
