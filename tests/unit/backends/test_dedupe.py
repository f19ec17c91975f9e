"""The memory of client ids by itself: spans of time, equal hashes, what is due for the disk."""

from __future__ import annotations

from itertools import chain
from mmap import mmap
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from imserver.backends.embedded import bloom as bloom_module
from imserver.backends.embedded import dedupe as dedupe_module
from imserver.backends.embedded.bloom import PROBES, Bloom
from imserver.backends.embedded.dedupe import (
    ROW_WEIGHT,
    SPAN_SECONDS,
    Dedupe,
    KeyHash,
    bucket_of,
    key_hash,
    span_of,
)
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
        self.assertEqual([BUCKET, BUCKET + 1], self.dedupe.complete())
        self.assertEqual([BUCKET, BUCKET + 1, BUCKET + (1 << 32) + 1], [*self.dedupe.blooms])
        self.dedupe.expire(SPAN + 1)
        self.assertEqual([BUCKET + (1 << 32) + 1], [*self.dedupe.blooms])
        self.assertEqual([False, False, True], [self.dedupe.may_know(hashed) for hashed in (9, 7, 5)])

    def layers(self) -> list[mmap]:
        """Those of all filters."""
        return [layer for _, layers in self.dedupe._layers for layer in layers]

    def test_filters_fill_by_what_was_accepted(self) -> None:
        self.patch(bloom_module, "SMALLEST", 1 << 17)
        for turn in range(100_000):
            self.dedupe.turn_to(AT, 1 + turn)
        self.accept(1, 11)
        self.assertEqual(1, len(self.layers()))
        for offset in range(2, 40_000):
            self.accept(offset, offset)
        self.dedupe.drop_up_to(39_000)
        self.accept(40_000, 40_000)
        self.assertEqual(2, len(self.layers()))

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
        self.patch(bloom_module, "SMALLEST", smallest)  # of the smaller ones the next begins after 16
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
            self.patch(bloom_module, "SMALLEST", (1 << 6, 1 << 20)[seed & 1])
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
        self.assertEqual(8 * len(bloom.layers[0][0]), len(bloom.layers[1][0]))
        bloom.add([1, 2, 3])
        self.assertTrue(all(value in bloom for value in (1, 2, 3)))

    @settings(max_examples=20, deadline=None)
    @given(st.lists(st.integers(-(2**63), 2**63 - 1), max_size=50))
    def test_what_was_added_is_there(self, values: list[int]) -> None:
        self.patch(bloom_module, "SMALLEST", 1 << 17)
        bloom = Bloom()
        bloom.add(values)
        self.assertTrue(all(value in bloom for value in values))
        if values:
            (layer, mask) = bloom.layers[0]
            touched = {at >> 6 for at, bits in enumerate(layer[:]) if bits}
            self.assertEqual({(value & mask) >> 6 for value in values}, touched, "a line each")

    def test_few_get_through_a_full_layer(self) -> None:
        self.patch(bloom_module, "LARGEST", 1 << 17)
        for first, bytes_each, most in ((1 << 16, 4, 60), (1 << 17, 2, 400)):
            chance = Random(1)
            bloom = Bloom(first)
            bloom.add(chance.getrandbits(64) - (1 << 63) for _ in range(first // bytes_each))
            self.assertEqual(1, len(bloom.layers))
            through = sum(chance.getrandbits(64) - (1 << 63) in bloom for _ in range(100_000))
            self.assertLess(through, most)

    def test_the_largest_layer_goes_on(self) -> None:
        self.patch(bloom_module, "LARGEST", 1 << 6)
        bloom = Bloom(1 << 6)
        bloom.add(range(0, 100 << 29, 1 << 29))
        self.assertEqual(1, len(bloom.layers))
        self.assertTrue(all(value in bloom for value in range(0, 100 << 29, 1 << 29)))

    def test_the_next_bucket_of_a_span_begins_with_a_large_layer(self) -> None:
        self.accept(1, 5)
        self.accept((1 << 22) + 1, 6)
        self.accept((1 << 22) + 2, 7, AT + SPAN_SECONDS)
        self.assertEqual([1 << 20, 1 << 23, 1 << 20], [len(layers) for layers in self.firsts()])

    def firsts(self) -> list[mmap]:
        """Each filter's first layer."""
        return [bloom.layers[0][0] for bloom in self.dedupe.blooms.values()]

    @given(st.integers(1, 2**40), st.sampled_from(["jsonline", "protobuf"]), st.text())
    def test_a_sender_s_hashes_are_the_same(self, sender: int, format: str, client_id: str) -> None:
        client_id = client_id.encode(errors="replace").decode()
        hashed = KeyHash(sender, format)
        self.assertEqual(key_hash(sender, format, "other"), hashed("other"))
        self.assertEqual(key_hash(sender, format, client_id), hashed(client_id))

    def test_hashes_are_what_files_have(self) -> None:
        """Part of the file format."""
        self.assertEqual(GOLDEN, key_hash(7, "protobuf", "c-1"))

    def test_a_probe_is_two_bits_of_a_byte(self) -> None:
        self.assertEqual({2}, {probe.bit_count() for probe in PROBES})
        self.assertEqual(64, len(PROBES))
