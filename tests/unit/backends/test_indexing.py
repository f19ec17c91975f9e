"""The indexes of the log's tail: how much is written at a time, and who waits for it."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any

from twisted.internet.defer import ensureDeferred
from twisted.trial.unittest import SynchronousTestCase

from imserver.backends.embedded import dedupe as dedupe_module
from imserver.backends.embedded import indexing as indexing_module
from imserver.backends.embedded import tails as tails_module
from imserver.backends.embedded.bulk import Insert
from imserver.backends.embedded.client_ids import Parts
from imserver.backends.embedded.indexing import MOST_AT_ONCE, Indexer
from tests.unit.backends.engine import EngineCase
from tests.unit.backends.test_client_ids import pairs_in

_CONVERSATION_IS_WRITTEN = "SELECT count(*) FROM conversation_index WHERE first = 39"


class IndexingTest(EngineCase, SynchronousTestCase):
    """Between two slices of the indexes messages have the writer to themselves."""

    def setUp(self) -> None:
        few = {"flush_rows": 6, "slice_entries": 1, "slice_pause": 0.01, "ids_together_from": 1}
        self.open_cellar("alice", "bob", send_burst=1e6, **few)
        self.addCleanup(lambda: self.wait_for(self.embedded.close()))
        for number in range(6):
            self.send("alice", recipient="bob", client_id=f"{number}")
        self.settle()

    def written(self) -> int:
        rows = self.embedded.core.reader.execute("SELECT * FROM client_ids").fetchall()
        return len(pairs_in(rows))

    def test_slices_wait(self) -> None:
        before = self.written()
        self.settle()
        self.assertEqual(before, self.written())
        for _ in range(20):
            self.later(0.01)
        self.assertEqual(6, self.written())
        self.assertEqual(0, len(self.embedded.core.state.dedupe))

    def prepared(self, messages: int) -> list[str]:
        """What happens while these are prepared: each time the preparation of so many, and others' turns."""
        self.flush()
        turns: list[str] = []
        add = Parts.add

        def noted(parts: Parts, hashes: Sequence[int], offsets: Sequence[int]) -> None:
            turns.append(f"prepared {len(hashes)}")
            self.clock.callLater(0, turns.append, "others")
            add(parts, hashes, offsets)

        self.patch(Parts, "add", noted)
        for number in range(messages):
            self.submit("alice", recipient="bob", client_id=f"m{number}")
        for _ in range(messages * 4):
            self.later(0.01)
        self.assertEqual(6 + messages, self.written())
        return turns

    def test_others_have_their_turn_while_what_many_share_is_prepared(self) -> None:
        self.assertEqual(["prepared 1", "others"] * 6, self.prepared(6))

    def test_they_have_none_where_more_comes_than_is_written(self) -> None:
        """Turns are long then, and what waits would grow."""
        self.assertEqual(["prepared 2"] * 6 + ["others"] * 6, self.prepared(12))

    def test_memory_that_was_lost_while_it_was_prepared_is_not_written(self) -> None:
        self.flush()
        add = Parts.add

        def lost(parts: Parts, hashes: Sequence[int], offsets: Sequence[int]) -> None:
            self.committer.failures = 1
            self.submit("alice", recipient="bob", client_id="lost")
            add(parts, hashes, offsets)

        self.patch(Parts, "add", lost)
        for number in range(6):
            self.submit("alice", recipient="bob", client_id=f"m{number}")
        for _ in range(20):
            self.later(0.01)
        self.assertEqual(6, self.written())
        self.patch(Parts, "add", add)
        self.flush()
        self.assertEqual(12, self.written())

    def test_what_waits_does_not_grow_without_end(self) -> None:
        state = self.embedded.core.state
        waiting = []
        for number in range(150):
            for one in "xy":
                self.submit("alice", recipient="bob", client_id=f"{one}{number}")
            self.later(0.01)
            waiting.append(state.tail_rows)
        # A slice has one entry, and each message makes some: one slice a pause is not enough.
        self.assertLess(max(waiting), 10 * 6)
        self.flush()
        self.assertEqual(306, self.written())

    def test_nor_where_many_come_with_each_commit(self) -> None:
        """As where the disk is slow."""
        self.patch(dedupe_module, "ROW_WEIGHT", 1)
        self.flush()
        state = self.embedded.core.state
        self.committer.held = True
        waiting = []
        for number in range(200):
            for one in range(6):
                self.submit("alice", recipient="bob", client_id=f"{one}.{number}")
            self.clock.advance(0.01)
            self.committer.run()  # one commit, so one slice at the most
            waiting.append(state.tail_rows)
        self.assertGreater(max(waiting), 10 * 6)
        self.assertLess(max(waiting[100:]), 1.2 * max(waiting[:100]))
        self.committer.held = False
        self.send("alice", recipient="bob", client_id="c")
        self.flush()
        self.assertEqual(1207, self.written())
        self.assertEqual((0, 0, 0, 0), self.tail())

    def tail(self) -> tuple[int, int, int, int]:
        """How much waits, by all counts."""
        state = self.embedded.core.state
        return state.tail_rows, state.inboxes.entries, state.conversations.entries, len(state.dedupe)

    def flushes(self) -> list[int]:
        """How many messages each flush takes, from now on."""
        taken: list[int] = []
        slices = Indexer._slices

        def noted(indexer: Indexer, inboxes: Any, conversations: Any, watermark: int, size: int) -> Any:
            taken.append(watermark - self.embedded.core.state.indexed_upto)
            return slices(indexer, inboxes, conversations, watermark, size)

        self.patch(Indexer, "_slices", noted)
        return taken

    def test_of_very_much_one_flush_takes_some(self) -> None:
        self.flush()
        taken = self.flushes()
        for number in range(6 * MOST_AT_ONCE * 3 + 2):
            self.submit("alice", recipient="bob", client_id=f"m{number}")
        self.settle()
        self.assertEqual([30, 31, 31], taken)
        self.assertLess(self.tail()[0], 6)
        self.flush()
        self.assertEqual(98, self.written())
        self.assertEqual((0, 0, 0, 0), self.tail())
        again = self.send("alice", recipient="bob", client_id="m40")
        self.assertEqual([*range(1, 99)], [seq for seq, _ in self.texts("bob")])
        self.assertEqual(47, again.seq)

    def test_what_was_cut_off_is_written_again_whole(self) -> None:
        """Less of it would leave rows of the first attempt between those of the second and the third one."""
        self.patch(tails_module, "CHUNK", 4)
        self.flush()
        self.committer.held = True
        for number in range(35):
            self.submit("alice", recipient="bob", client_id=f"m{number}")
        self.clock.advance(0)
        self.committer.run()
        taken = self.flushes()
        for _ in range(50):
            self.committer.run()
            self.clock.advance(0)
            if self.database.reader().execute(_CONVERSATION_IS_WRITTEN).fetchone()[0]:
                break
        else:
            self.fail("the flush did not come so far")
        self.reopen()
        for number in range(35, 36 + 6):
            self.send("alice", recipient="bob", client_id=f"m{number}")
        self.flush()
        self.assertEqual(36, taken[0])
        self.restart()
        last = self.send("alice", recipient="bob", client_id="last")
        self.assertEqual(6 + 42 + 1, last.seq)
        self.assertEqual([*range(1, 50)], [seq for seq, _ in self.texts("bob")])
        self.assertEqual([*range(37, 50)], [row.seq for row in self.inbox("bob", after=36).rows])

    def test_whoever_waits_for_the_end_waits_for_all_of_it(self) -> None:
        self.flush()
        taken = self.flushes()
        for number in range(6 * MOST_AT_ONCE * 2):
            self.submit("alice", recipient="bob", client_id=f"m{number}")
        self.clock.advance(0)  # the commit
        self.wait_for(self.embedded.indexer.flush())
        self.assertEqual([30, 30], taken)
        self.assertEqual((0, 0, 0, 0), self.tail())

    def test_two_who_wait_begin_one(self) -> None:
        taken = self.flushes()
        for number in range(6):
            self.submit("alice", recipient="bob", client_id=f"m{number}")
        self.settle()
        self.assertEqual(([], 0), (taken, self.written()))
        ends: list[Any] = []
        for _ in range(2):
            ensureDeferred(self.embedded.indexer.flush()).addCallback(ends.append)
        self.settle()
        self.assertEqual([None, None], ends)
        self.assertEqual([6], taken)
        self.assertEqual(12, self.written())
        self.assertEqual((0, 0, 0, 0), self.tail())

    def test_what_cannot_be_written_is_not_waited_for(self) -> None:
        self.flush()
        for number in range(3):
            self.submit("alice", recipient="bob", client_id=f"m{number}")
        self.clock.advance(0)
        self.committer.failures = 1
        self.wait_for(self.embedded.indexer.flush())
        self.assertEqual(6, self.written())
        self.flush()
        self.assertEqual(9, self.written())

    def test_slices_grow_with_what_waits_up_to_a_bound(self) -> None:
        self.patch(dedupe_module, "ROW_WEIGHT", 1)
        self.flush()
        sizes: list[int] = []
        write = Indexer._write

        def noted(indexer: Indexer, insert: Insert, rows: list[Any], connection: sqlite3.Connection) -> None:
            sizes.append(len(rows))
            write(indexer, insert, rows, connection)

        self.patch(Indexer, "_write", noted)
        self.patch(indexing_module, "MOST_BEHIND", 4)
        for number in range(6 * MOST_AT_ONCE):
            self.submit("alice", recipient="bob", client_id=f"m{number}")
        self.settle()
        self.assertEqual(4, max(sizes))

    def test_whoever_waits_for_the_end_waits_for_no_pause(self) -> None:
        self.assertLess(self.written(), 6)
        self.flush()
        self.assertEqual(6, self.written())
        self.assertEqual(0, len(self.embedded.core.state.dedupe))
        self.send("alice", recipient="bob", client_id="c")
        self.flush()
        self.assertEqual(7, self.written())

    def test_memory_that_was_lost_in_a_pause_is_not_written(self) -> None:
        self.committer.failures = 1
        self.submit("alice", recipient="bob")
        self.settle()
        for _ in range(30):
            self.later(0.01)
        self.assertEqual(list(range(1, 7)), [seq for seq, _ in self.texts("bob")])
        self.flush()
        self.assertEqual(6, self.written())
