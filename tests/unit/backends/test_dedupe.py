"""The memory of client ids by itself: spans of time, equal hashes, what is due for the disk."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from itertools import chain
from random import Random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from imserver.backends.embedded import bloom as bloom_module
from imserver.backends.embedded import dedupe as dedupe_module
from imserver.backends.embedded.bloom import PROBES, Bloom
from imserver.backends.embedded.bulk import Insert
from imserver.backends.embedded.client_ids import Parts
from imserver.backends.embedded.dedupe import (
    ROW_WEIGHT,
    SPAN_SECONDS,
    Dedupe,
    KeyHash,
    bucket_of,
    key_hash,
    span_of,
)
from imserver.backends.embedded.indexing import MOST_BEHIND, Indexer
from tests.unit.backends.engine import EngineCase
from tests.unit.backends.test_client_ids import pairs_in

AT = 3 * SPAN_SECONDS
SPAN = span_of(AT)
BUCKET = bucket_of(SPAN, 0)
GOLDEN = -246862347595191746
HASHES = (-1, 0, 1, 256, 1 << 56, -(1 << 63), (1 << 63) - 1, GOLDEN)
"""Some of which are found where one of them ends and another one begins."""


def due(dedupe: Dedupe, watermark: int, at_once: int = 1000) -> list[tuple[int, int, int]]:
    """(bucket, hash, log offset) of all that is due."""
    return pairs_in([row for rows in dedupe.due(1, watermark, at_once) for row in rows])


class DedupeTest(SynchronousTestCase):
    def setUp(self) -> None:
        self.dedupe = Dedupe(2 * 86400.0, 1)

    def accept(self, offset: int, hashed: int, at: float = AT) -> None:
        self.dedupe.turn_to(at, offset)
        self.dedupe.note(hashed, offset)

    def test_what_was_accepted_may_be_known(self) -> None:
        self.assertFalse(self.dedupe.may_know(-5))
        self.accept(1, -5)
        self.assertTrue(self.dedupe.may_know(-5))
        self.assertEqual([1], self.dedupe.in_tail(-5))
        self.assertEqual([], self.dedupe.in_tail(5))

    def test_equal_hashes_stay_apart(self) -> None:
        for offset, hashed in ((1, 7), (2, 7), (3, 8), (4, 7)):
            self.accept(offset, hashed)
        self.assertEqual([4, 2, 1], self.dedupe.in_tail(7))
        self.assertEqual([(BUCKET, 7, 1), (BUCKET, 7, 2), (BUCKET, 8, 3)], sorted(due(self.dedupe, 3)))
        self.dedupe.drop_up_to(2)
        self.assertEqual([4], self.dedupe.in_tail(7))
        self.assertEqual([(BUCKET, 7, 4), (BUCKET, 8, 3)], sorted(due(self.dedupe, 9)))

    def test_rows_come_sorted_in_lists_of_a_size(self) -> None:
        far = 1 << 62
        for offset, hashed in enumerate((5, -9, 3, far, 8), 1):
            self.accept(offset, hashed)
        prepared, *lists = list(self.dedupe.due(1, 4, 2 * ROW_WEIGHT))
        self.assertEqual([], prepared)
        self.assertEqual(
            [[(BUCKET, -9, 2), (BUCKET, 5, 1), (BUCKET, 3, 3)], [(BUCKET, far, 4)]],
            [pairs_in(rows) for rows in lists],
        )
        self.assertEqual([2, 1], [len(rows) for rows in lists])
        self.assertEqual({1}, {first for rows in lists for _, _, first, _ in rows})

    def test_many_are_prepared_some_at_a_time(self) -> None:
        """So that no turn of the reactor is long."""
        for offset in range(1, 11):
            self.accept(offset, offset << 55)
        lists = self.dedupe.due(1, 9, 4)
        self.assertEqual([[], [], []], [next(lists) for _ in range(3)])
        # What comes meanwhile is not part of it.
        self.accept(11, 5 << 55)
        self.assertEqual([(BUCKET, at << 55, at) for at in range(1, 10)], pairs_in([*chain(*lists)]))

    def test_few_have_rows_of_their_own(self) -> None:
        dedupe = self.dedupe = Dedupe(2 * 86400.0, 4)
        for offset, hashed in enumerate((5, -9, 3, 4), 1):
            self.accept(offset, hashed)
        self.assertEqual([-9, 3, 5], [part for rows in dedupe.due(1, 3, 2) for _, part, _, _ in rows])
        self.assertEqual([2, 1], [len(rows) for rows in dedupe.due(1, 3, 2)])
        self.assertEqual([-1, 0], [part for rows in dedupe.due(1, 4, 9) for _, part, _, _ in rows])

    def test_spans_of_time(self) -> None:
        self.accept(1, 11)
        self.accept(2, 12)
        self.accept(3, 13, AT + SPAN_SECONDS)
        self.accept(4, 14, AT + 3 * SPAN_SECONDS)
        rows = [(BUCKET, 11, 1), (BUCKET, 12, 2), (BUCKET + (1 << 32), 13, 3), (BUCKET + (3 << 32), 14, 4)]
        self.assertEqual(rows, due(self.dedupe, 4))
        self.assertEqual(rows[:3], due(self.dedupe, 3))
        self.dedupe.drop_up_to(1)
        self.assertEqual(rows[1:], due(self.dedupe, 4))
        self.dedupe.drop_up_to(3)
        self.assertEqual(rows[3:], due(self.dedupe, 4))
        self.assertTrue(self.dedupe.may_know(11))
        self.dedupe.expire(SPAN + 1)
        self.assertFalse(self.dedupe.may_know(11))
        self.assertTrue(self.dedupe.may_know(13))

    def test_the_span_of_now_does_not_expire(self) -> None:
        self.accept(1, 11)
        self.dedupe.expire(SPAN + 1)
        self.accept(2, 12)
        self.assertEqual([(BUCKET, 11, 1), (BUCKET, 12, 2)], due(self.dedupe, 2))
        self.assertTrue(self.dedupe.may_know(12))

    def test_a_span_that_is_over_does_not_expire_while_it_is_in_the_tail(self) -> None:
        self.accept(1, 11)
        self.accept(2, 12, AT + 9 * SPAN_SECONDS)
        self.dedupe.expire(SPAN + 5)
        self.assertTrue(self.dedupe.may_know(11))
        self.dedupe.drop_up_to(1)
        self.dedupe.expire(SPAN + 5)
        self.assertFalse(self.dedupe.may_know(11))
        self.assertTrue(self.dedupe.may_know(12))

    def test_buckets_have_a_part_of_the_log_each(self) -> None:
        first = 1 << 22
        self.accept(first - 2, 9)
        self.accept(first - 1, 2)
        self.accept(first, 7)
        self.accept(first + 1, 1)
        self.accept(first + 2, 5, AT + SPAN_SECONDS)
        self.assertEqual(
            [
                [(BUCKET, 9, first - 2), (BUCKET, 2, first - 1)],
                [(BUCKET + 1, 7, first), (BUCKET + 1, 1, first + 1)],
                [(BUCKET + (1 << 32) + 1, 5, first + 2)],
            ],
            [pairs_in(rows) for rows in self.dedupe.due(first - 2, first + 2, 1000) if rows],
        )
        self.dedupe.drop_up_to(first + 2)
        self.assertEqual((BUCKET, BUCKET + 1), self.dedupe.buckets(SPAN))
        self.dedupe.expire(SPAN + 1)
        self.assertEqual((), self.dedupe.buckets(SPAN))
        self.assertEqual([False, False, True], [self.dedupe.may_know(hashed) for hashed in (9, 7, 5)])

    def test_filters_fill_by_what_was_accepted(self) -> None:
        self.patch(bloom_module, "_SMALLEST_FILTER", 1 << 17)
        for turn in range(100_000):
            self.dedupe.turn_to(AT, 1 + turn)
        self.accept(1, 11)
        self.assertEqual(1, len(self.dedupe.layers))
        for offset in range(2, 40_000):
            self.accept(offset, offset)
        self.dedupe.drop_up_to(39_000)
        self.accept(40_000, 40_000)
        self.assertEqual(2, len(self.dedupe.layers))

    @given(
        st.lists(st.tuples(st.integers(-3, 3), st.integers(-3, 3)), max_size=40),
        st.lists(st.integers(0, 50), max_size=4),
        st.sampled_from([1 << 6, 1 << 20]),
        st.sampled_from([0, 3, 32]),
    )
    def test_every_one_is_due_until_it_is_dropped(
        self, sends: list[tuple[int, int]], watermarks: list[int], smallest: int, scans: int
    ) -> None:
        self.patch(dedupe_module, "SCANS", scans)
        self.patch(bloom_module, "_SMALLEST_FILTER", smallest)  # of the smaller ones the next begins after 16
        dedupe = self.dedupe = Dedupe(86400.0, 5)
        at, accepted = AT, []
        for offset, (hashed, later) in enumerate(sends, 1):
            at += later * SPAN_SECONDS / 2
            self.accept(offset, hashed, at)
            accepted.append((bucket_of(span_of(at), offset), hashed, offset))
        dropped = 0
        for watermark in sorted(watermarks):
            due_now = [row for row in accepted if dropped < row[2] <= watermark]
            self.assertEqual(sorted(due_now), sorted(due(dedupe, watermark, 3)))
            dedupe.drop_up_to(watermark)
            dedupe.expire(SPAN + 2)
            dropped = watermark
            for hashed in range(-3, 4):
                left = [offset for _, own, offset in reversed(accepted) if own == hashed and offset > dropped]
                self.assertEqual(left, dedupe.in_tail(hashed))
        self.assertTrue(all(dedupe.may_know(hashed) for _, hashed, offset in accepted if offset > dropped))

    def test_it_is_looked_up_while_others_come_and_go(self) -> None:
        for seed in range(100):
            self.patch(bloom_module, "_SMALLEST_FILTER", (1 << 6, 1 << 20)[seed & 1])
            self.patch(dedupe_module, "SCANS", (0, 1, 3, 32)[seed >> 1 & 3])
            dedupe = self.dedupe = Dedupe(86400.0, 5)
            random = Random(seed)
            offset = dropped = 0
            tail: list[tuple[int, int]] = []
            for _ in range(100):
                number, step = random.choice(HASHES), random.random()
                if step < 0.5:
                    offset += 1
                    self.accept(offset, number)
                    tail.append((offset, number))
                elif step < 0.95:
                    found = [at for at, own in reversed(tail) if own == number]
                    self.assertEqual(found, dedupe.in_tail(number))
                else:
                    dropped = random.randint(dropped, offset)
                    dedupe.drop_up_to(dropped)
                    tail = [(at, own) for at, own in tail if at > dropped]
                    if not tail:
                        self.assertLessEqual(len(dedupe._filtered), 1)
                self.assertEqual(len(tail), len(dedupe))

    def test_it_is_entered_anew_after_the_tail_was_cut(self) -> None:
        self.patch(dedupe_module, "SCANS", 1)
        self.accept(1, 7)
        self.accept(2, 8)
        for entered in ({}, {7: 1, 8: 2}):
            self.assertEqual([1], self.dedupe.in_tail(7))
            self.assertEqual(entered, self.dedupe._known)
        self.dedupe.drop_up_to(1)
        for entered in ({}, {8: 2}):
            self.assertEqual([2], self.dedupe.in_tail(8))
            self.assertEqual(entered, self.dedupe._known)

    def test_filters_grow(self) -> None:
        bloom = Bloom()
        self.assertTrue(bloom.reserve(1))
        room = len(bloom.layers[0][0]) // 4
        self.assertFalse(bloom.reserve(room - 1))
        self.assertTrue(bloom.reserve(1))
        self.assertEqual(4 * len(bloom.layers[0][0]), len(bloom.layers[1][0]))
        bloom.add([1, 2, 3])
        self.assertTrue(all(value in bloom for value in (1, 2, 3)))

    @settings(max_examples=20, deadline=None)
    @given(st.lists(st.integers(-(2**63), 2**63 - 1), max_size=50))
    def test_what_was_added_is_there(self, values: list[int]) -> None:
        self.patch(bloom_module, "_SMALLEST_FILTER", 1 << 17)
        bloom = Bloom()
        bloom.add(values)
        self.assertTrue(all(value in bloom for value in values))
        if values:
            (layer, mask) = bloom.layers[0]
            touched = {at >> 6 for at, bits in enumerate(layer) if bits}
            self.assertEqual({(value & mask) >> 6 for value in values}, touched, "a line each")

    def test_few_get_through_a_full_layer(self) -> None:
        self.patch(bloom_module, "_SMALLEST_FILTER", 1 << 17)
        chance = Random(1)
        bloom = Bloom()
        bloom.add(chance.getrandbits(64) - (1 << 63) for _ in range(1 << 15))
        self.assertEqual(1, len(bloom.layers))
        through = sum(chance.getrandbits(64) - (1 << 63) in bloom for _ in range(100_000))
        self.assertLess(through, 200)

    @given(st.integers(1, 2**40), st.sampled_from(["jsonline", "protobuf"]), st.text())
    def test_a_sender_s_hashes_are_the_same(self, sender: int, format: str, client_id: str) -> None:
        client_id = client_id.encode(errors="replace").decode()
        hashed = KeyHash(sender, format)
        self.assertEqual(key_hash(sender, format, "other"), hashed("other"))
        self.assertEqual(key_hash(sender, format, client_id), hashed(client_id))

    def test_hashes_are_what_files_have(self) -> None:
        """Part of the file format."""
        self.assertEqual(GOLDEN, key_hash(7, "protobuf", "c-1"))

    def test_a_probe_is_three_bits_of_a_byte(self) -> None:
        self.assertEqual({3}, {probe.bit_count() for probe in PROBES})
        self.assertEqual(64, len(PROBES))


class PauseTest(EngineCase, SynchronousTestCase):
    """Between two slices of the indexes messages have the writer to themselves."""

    def setUp(self) -> None:
        self.open_cellar("alice", "bob", flush_rows=6, slice_entries=1, slice_pause=0.01, ids_together_from=1)
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

    def test_slices_grow_with_what_waits_up_to_a_bound(self) -> None:
        self.patch(dedupe_module, "ROW_WEIGHT", 1)
        self.flush()
        sizes: list[int] = []
        write = Indexer._write

        def noted(indexer: Indexer, insert: Insert, rows: list[Any], connection: sqlite3.Connection) -> None:
            sizes.append(len(rows))
            write(indexer, insert, rows, connection)

        self.patch(Indexer, "_write", noted)
        for number in range(6 * MOST_BEHIND + 30):
            self.submit("alice", recipient="bob", client_id=f"m{number}")
        self.settle()
        self.assertEqual(max(sizes), MOST_BEHIND)

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
