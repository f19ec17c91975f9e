"""Cursors and times of many users are written a slice at a time, and none is lost for it."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from imserver.backends.embedded import accounts, devices
from imserver.backends.embedded.slices import PAUSE_SECONDS, SLICE, Slices
from tests.unit.backends.engine import EngineCase

MANY = 2 * SLICE + 1


class Alone(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.written: list[list[int]] = []
        self.waiting: list[Deferred[None]] = []
        self.slices = Slices(self.clock, self.write)

    def write(self, some: list[int]) -> Deferred[None]:
        self.written.append(some)
        self.waiting.append(Deferred())
        return self.waiting[-1]

    def test_one_after_the_other_with_pauses(self) -> None:
        everything = list(range(MANY))
        self.slices.begin(lambda: everything)
        for count in (1, 2, 3):
            self.assertEqual([len(some) for some in self.written], [SLICE, SLICE, 1][:count])
            self.clock.advance(9.0)
            self.assertEqual(len(self.written), count)
            self.waiting.pop().callback(None)
            self.clock.advance(PAUSE_SECONDS / 2)
            self.assertEqual(len(self.written), count)
            self.clock.advance(PAUSE_SECONDS)
        self.assertEqual([one for some in self.written for one in some], everything)
        self.assertEqual((self.waiting, self.clock.getDelayedCalls()), ([], []))

    def test_what_comes_meanwhile_waits_for_the_next_time(self) -> None:
        self.slices.begin(lambda: list(range(SLICE + 1)))
        for _ in range(2):
            self.slices.begin(lambda: self.fail("what was due is still being written"))
            self.assertEqual(len(self.slices.due), 2 - len(self.written))
            self.waiting.pop().callback(None)
            if self.slices.due:  # it pauses
                self.slices.begin(lambda: self.fail("what was due still is to be written"))
            self.clock.advance(PAUSE_SECONDS)
        self.slices.begin(lambda: [7])
        self.assertEqual(self.written[2:], [[7]])

    def test_where_it_stops_there_are_no_more(self) -> None:
        for under_way in (True, False):
            self.setUp()
            self.slices.begin(lambda: list(range(MANY)))
            if not under_way:
                self.waiting.pop().callback(None)
            self.assertEqual(self.slices.stop(), list(range(SLICE, MANY)))
            if under_way:
                self.waiting.pop().callback(None)
            self.assertEqual((self.slices.due, self.clock.getDelayedCalls()), ([], []))
            self.assertEqual(len(self.written), 1)


class Written(EngineCase, SynchronousTestCase):
    """By the engine."""

    def setUp(self) -> None:
        self.users = [f"user{number}" for number in range(MANY)]
        self.open_cellar("alice", *self.users)
        self.rows: list[int] = []
        write, write_seen = devices._write, accounts._write_seen

        def cursors(rows: Sequence[Any], dropped: Any, connection: sqlite3.Connection) -> None:
            self.rows.append(len(rows))
            write(rows, dropped, connection)

        def times(seen: dict[str, float], connection: sqlite3.Connection) -> None:
            self.rows.append(len(seen))
            write_seen(seen, connection)

        self.patch(devices, "_write", cursors)
        self.patch(accounts, "_write_seen", times)

    def acked(self, user: str) -> int:
        return self.wait_for(self.cellar.store.cursor(user, "f", "d")).acked

    def acknowledge_all(self) -> None:
        """Everybody's device is known, and has acknowledged what was sent since then."""
        for user in self.users:
            self.acked(user)
            self.assertEqual(self.send(user, recipient="alice").seq, 1)
        self.later(1.0)
        for _ in range(3):
            self.later(PAUSE_SECONDS)
        self.rows.clear()
        for user in self.users:
            self.cellar.store.acknowledge(user, "f", "d", 1)

    def test_cursors(self) -> None:
        self.acknowledge_all()
        self.later(1.0)
        for _ in range(4):
            self.later(PAUSE_SECONDS)
        self.assertEqual(self.rows, [SLICE, SLICE, 1])
        self.reopen()
        self.assertEqual({self.acked(user) for user in self.users}, {1})

    def test_at_the_end_everything_is_written(self) -> None:
        self.acknowledge_all()
        for user in self.users:
            self.cellar.directory.seen(user, 7.0)
        self.later(1.0)
        self.send(self.users[0], recipient="alice")
        self.cellar.store.acknowledge(self.users[0], "f", "d", 2)
        self.assertEqual(self.rows, [SLICE, SLICE])
        self.wait_for(self.embedded.close())
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.reopen()
        self.assertEqual([self.acked(user) for user in self.users], [2] + [1] * (MANY - 1))
        seen = self.wait_for(self.cellar.directory.last_seen(self.users))
        self.assertEqual(seen, dict.fromkeys(self.users, 7.0))

    def test_times(self) -> None:
        for user in self.users:
            self.cellar.directory.seen(user, 7.0)
        self.later(1.0)
        self.cellar.directory.seen(self.users[0], 8.0)
        for _ in range(4):
            self.later(PAUSE_SECONDS)
        self.assertEqual(self.rows, [SLICE, SLICE, 1])
        self.later(1.0)
        self.assertEqual(self.rows, [SLICE, SLICE, 1, 1])
        self.reopen()
        seen = self.wait_for(self.cellar.directory.last_seen(self.users))
        self.assertEqual(seen, dict.fromkeys(self.users, 7.0) | {self.users[0]: 8.0})

    def test_what_has_not_changed_is_not_written(self) -> None:
        for device in ("d", "e"):
            self.wait_for(self.cellar.store.cursor("alice", "f", device))
        self.send("alice", recipient="user1")
        self.later(1.0)
        self.later(1.0)
        self.rows.clear()
        self.cellar.store.acknowledge("alice", "f", "d", 1)
        for _ in range(3):
            self.later(1.0)
        self.assertEqual(self.rows, [1])

    def test_after_it_was_written_it_is_closed(self) -> None:
        self.acknowledge_all()
        self.later(1.0)
        for _ in range(4):
            self.later(PAUSE_SECONDS)
        self.wait_for(self.embedded.close())
        self.reopen()
        self.assertEqual({self.acked(user) for user in self.users}, {1})

    def test_where_the_disk_fails_nothing_is_left_to_be_done_after_the_end(self) -> None:
        self.acknowledge_all()
        for user in self.users:
            self.cellar.directory.seen(user, 7.0)
        self.settings.failure_pause = 9.5
        self.committer.failures = 1
        self.later(1.0)
        self.wait_for(self.embedded.close())
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_who_is_seen_again_meanwhile_was_seen_then(self) -> None:
        self.cellar.directory.seen("alice", 7.0)
        self.committer.held = True
        self.later(1.0)
        self.cellar.directory.seen("alice", 8.0)
        self.committer.held = False
        self.committer.run()
        self.later(1.0)
        self.reopen()
        self.assertEqual(self.wait_for(self.cellar.directory.last_seen(["alice"])), {"alice": 8.0})

    def test_a_slice_that_fails_is_written_later(self) -> None:
        self.acknowledge_all()
        self.committer.failures = 1
        self.later(1.0)
        for _ in range(4):
            self.later(PAUSE_SECONDS)
        self.later(1.0)
        self.assertEqual(sum(self.rows), MANY + SLICE)
        self.reopen()
        self.assertEqual({self.acked(user) for user in self.users}, {1})

    def test_while_the_disk_fails_nothing_is_tried(self) -> None:
        self.acknowledge_all()
        for user in self.users:
            self.cellar.directory.seen(user, 7.0)
        self.settings.failure_pause = 9.5
        self.committer.failures = 1
        self.later(1.0)
        self.assertEqual(self.rows, [SLICE, SLICE])
        for _ in range(9):
            self.later(1.0)
        self.assertEqual(self.rows, [SLICE, SLICE])
        for _ in range(9):
            self.later(1.0)
        self.reopen()
        self.assertEqual({self.acked(user) for user in self.users}, {1})
        seen = self.wait_for(self.cellar.directory.last_seen(self.users))
        self.assertEqual(seen, dict.fromkeys(self.users, 7.0))

    def test_what_is_due_is_not_forgotten(self) -> None:
        for held in (False, True):
            self.setUp()
            self.acknowledge_all()
            self.embedded.core.settings.cached_users = 1
            self.committer.held = held  # so that the first slice is on its way, else written
            self.later(1.0)
            self.embedded._devices._forget_idle()
            self.assertEqual(len(self.embedded._devices._users), MANY - (0 if held else SLICE))
            self.committer.held = False
            self.committer.run()
            self.assertEqual({self.acked(user) for user in self.users}, {1})
            for _ in range(9):
                self.later(1.0)
            self.assertEqual(len(self.embedded._devices._users), 1)
            self.assertEqual({self.acked(user) for user in self.users}, {1})


class Dropped(EngineCase, SynchronousTestCase):
    """Devices that a user has no room for any more."""

    def setUp(self) -> None:
        self.open_cellar("alice", "bob", devices_per_user=1)

    def new(self, device: str) -> bool:
        return self.wait_for(self.cellar.store.cursor("bob", "f", device)).new

    def test_one_that_is_back_stays(self) -> None:
        for failures in (0, 1):
            self.setUp()
            self.assertTrue(self.new("one"))
            self.later(1.0)
            self.assertTrue(self.new("two"))
            self.assertTrue(self.new("one"))
            self.committer.failures = failures
            self.later(1.0)
            self.later(1.0)
            self.reopen()
            self.assertFalse(self.new("one"))
            self.assertTrue(self.new("two"))

    def test_one_that_is_back_is_not_deleted_later(self) -> None:
        self.add_users("carol")
        for device in ("one", "two", "one"):
            self.assertTrue(self.new(device))
            self.later(1.0)
        self.embedded.core.settings.cached_users = 0
        self.later(1.0)
        self.wait_for(self.cellar.store.cursor("carol", "f", "d"))
        self.later(1.0)
        self.later(1.0)
        self.reopen()
        self.assertFalse(self.new("one"))

    def test_one_that_is_gone_is_gone_on_the_disk(self) -> None:
        self.assertTrue(self.new("one"))
        self.later(1.0)
        self.assertTrue(self.new("two"))
        self.later(1.0)
        self.reopen()
        rows = self.embedded.core.reader.execute("SELECT device FROM devices").fetchall()
        self.assertEqual(rows, [("two",)])
