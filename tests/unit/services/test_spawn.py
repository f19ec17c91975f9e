"""Work in the background: none of its failures is lost."""

from __future__ import annotations

from twisted.internet.defer import Deferred

from tests.unit.services.hub_world import HubCase


class Spawn(HubCase):
    def test_failures_are_logged_at_once_and_later(self) -> None:
        waits: Deferred[None] = Deferred()

        async def fail(first: Deferred[None] | None = None) -> None:
            if first is not None:
                await first
            raise ZeroDivisionError

        self.hub.spawn(fail())
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.hub.spawn(fail(waits))
        self.assertEqual(self.flushLoggedErrors(), [])
        waits.callback(None)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
