"""Hashes of client ids as the disk has them."""

from __future__ import annotations

import sqlite3
from random import Random

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from imserver.backends.embedded import client_ids
from imserver.backends.embedded.client_ids import (
    INSERT_CLIENT_IDS,
    Parts,
    Row,
    all_hashes,
    compact,
    converted,
    find,
    hashes_of,
    is_found,
    many_rows,
    offsets_of,
    parts,
    single_rows,
)
from imserver.backends.embedded.schema import MIGRATIONS, migrate

HASHES = st.one_of(
    st.integers(-(2**63), 2**63 - 1),
    st.integers(-3, 3),
    # The same bytes at other places of a number.
    st.sampled_from([0x0101010101010101, 0x0101010101010100, 0x01, 0x0100, -0x0101010101010102, -0x100, -1]),
)
SENDS = st.lists(HASHES, max_size=80)
FEW = (-(1 << 62), -256, -1, 0, 1, 2, 255, 1 << 62)
"""Some of them are numbers of parts."""


def pairs_in(rows: list[Row]) -> list[tuple[int, int, int]]:
    return [
        (bucket, hashed, offset)
        for bucket, _, _, ids in rows
        for hashed, offset in zip(hashes_of(ids), offsets_of(ids), strict=True)
    ]


class ClientIdsTest(SynchronousTestCase):
    def setUp(self) -> None:
        self.connection = sqlite3.connect(":memory:", isolation_level=None)
        self.addCleanup(self.connection.close)
        migrate(self.connection)

    def rows(self, bucket: int, first: int, hashes: list[int], together: bool = True) -> list[Row]:
        offsets = range(first, first + len(hashes))
        if not together:
            numbered = sorted(zip(hashes, offsets, strict=True))
            return [*single_rows(bucket, first, *zip(*numbered, strict=True))] if numbered else []
        shared = Parts()
        for at in range(0, len(hashes), 7):  # some at a time
            shared.add(hashes[at : at + 7], offsets[at : at + 7])
        return [*shared.rows(bucket, first)]

    def write(self, bucket: int, first: int, hashes: list[int], together: bool = True) -> None:
        INSERT_CLIENT_IDS(self.connection, self.rows(bucket, first, hashes, together))

    @given(SENDS, SENDS, st.booleans(), st.booleans())
    def test_each_is_found_where_it_is_and_nowhere_else(
        self, one: list[int], other: list[int], first: bool, second: bool
    ) -> None:
        self.connection.execute("DELETE FROM client_ids")
        self.write(7, 1, one, first)
        self.write(7, 1 + len(one), other, second)
        self.write(8, 1000, one, second)
        for hashed in {*one, *other, 0, 1, 0x0101010101010101, -1}:
            expected = [at for at, known in enumerate([*one, *other], 1) if known == hashed]
            self.assertEqual(expected, sorted(find(self.connection, 7, hashed)))
            expected = [at for at, known in enumerate(one, 1000) if known == hashed]
            self.assertEqual(expected, sorted(find(self.connection, 8, hashed)))
        self.assertEqual([], find(self.connection, 9, 0))
        self.assertEqual(sorted([*one, *other]), sorted(all_hashes(self.connection, 7)))

    def test_a_hash_that_only_seems_to_be_there(self) -> None:
        """Its bytes are there, across two others."""
        self.write(1, 1, [0x0100, 0x0200])  # 00 01 00 00 00 00 00 00, 00 02 …
        self.assertEqual([], find(self.connection, 1, 0x01))
        self.assertEqual([1], find(self.connection, 1, 0x0100))

    @given(SENDS, st.integers(1, 4), st.booleans())
    def test_rows_have_keys_of_their_own_and_a_size(
        self, hashes: list[int], most: int, together: bool
    ) -> None:
        self.patch(client_ids, "MOST_IDS", most)
        rows = self.rows(3, 5, hashes, together)
        self.assertEqual([row[:3] for row in rows], sorted({row[:3] for row in rows}))
        for _, part, first, ids in rows:
            self.assertLessEqual(len(ids) // 16, most if together else 1)
            self.assertTrue(5 <= first < 5 + max(1, len(hashes)))
            self.assertTrue(all(is_found(3, part, hashed) for hashed in hashes_of(ids)))
        if together:
            self.assertTrue(all(-256 <= part <= 255 for _, part, _, _ in rows))
        self.assertEqual(
            sorted(zip(hashes, range(5, 5 + len(hashes)), strict=True)),
            sorted((hashed, offset) for _, hashed, offset in pairs_in(rows)),
        )

    def test_a_row_fits_into_a_page_of_the_table(self) -> None:
        """Of more than 1,002 bytes SQLite would keep the rest in a page of its own."""
        self.assertLess(16 * client_ids.MOST_IDS, 1002 - 40)

    @given(
        st.lists(st.tuples(st.sampled_from(FEW), st.booleans()), min_size=1, max_size=60),
        st.lists(st.tuples(st.integers(1, 30), st.integers(0, 30), st.booleans()), max_size=6),
        st.integers(1, 4),
    )
    def test_what_is_written_again_and_more_of_it_takes_its_place(
        self, sends: list[tuple[int, bool]], attempts: list[tuple[int, int, bool]], most: int
    ) -> None:
        """Writes that came as far as some row, each from the same place on, then a whole one."""
        self.patch(client_ids, "MOST_IDS", most)
        self.connection.execute("DELETE FROM client_ids")
        hashes = [hashed for hashed, _ in sends]
        written, upto = 0, 0  # sends that are surely there, and those that the last attempt had
        for more, rows_done, together in [*attempts, (len(hashes), 10**9, True)]:
            upto = min(upto + more, len(hashes))
            rows = self.rows(1, written + 1, hashes[written:upto], together)
            INSERT_CLIENT_IDS(self.connection, rows[:rows_done])
            if rows_done >= len(rows):
                written = upto
            for number, hashed in enumerate(hashes[:written], 1):
                self.assertIn(number, find(self.connection, 1, hashed))
        self.assertEqual(len(hashes), written)
        for hashed in FEW:
            expected = {number for number, own in enumerate(hashes, 1) if own == hashed}
            self.assertEqual(expected, set(find(self.connection, 1, hashed)))

    @given(
        st.lists(st.tuples(st.lists(st.one_of(HASHES, st.sampled_from(FEW)), max_size=30), st.booleans())),
        st.lists(st.sampled_from([-256, -129, -1, 0, 1, 2, 127, 128, 255]), max_size=12),
        st.booleans(),
        st.integers(1, 4),
    )
    def test_they_are_found_while_parts_become_compact_and_afterwards(
        self, writes: list[tuple[list[int], bool]], some: list[int], again: bool, most: int
    ) -> None:
        """In whatever order, and where more comes after all, or what was there is written once more."""
        self.patch(client_ids, "MOST_IDS", most)
        self.connection.execute("DELETE FROM client_ids")
        self.write(8, 1, [1, 2, 3])
        expected: dict[int, set[int]] = {}
        first = 1
        for hashes, together in writes:
            for _ in range(1 + again):
                self.write(7, first, hashes, together)
            for offset, hashed in enumerate(hashes, first):
                expected.setdefault(hashed, set()).add(offset)
            for part in some:
                compact(7, part, self.connection)
            for hashed in {*expected, *FEW}:
                self.assertEqual(expected.get(hashed, set()), set(find(self.connection, 7, hashed)))
            if again:
                self.write(7, first, hashes, not together)
            first += len(hashes)
        for part in parts():
            compact(7, part, self.connection)
        for hashed in {*expected, *FEW}:
            self.assertEqual(expected.get(hashed, set()), set(find(self.connection, 7, hashed)))
        self.assertEqual({*expected}, {*all_hashes(self.connection, 7)})
        rows = self.connection.execute("SELECT bucket, part, ids FROM client_ids").fetchall()
        for bucket, part, ids in rows:
            self.assertTrue(all(is_found(bucket, part, hashed) for hashed in hashes_of(ids)))
            self.assertLessEqual(len(ids), 16 * most)
        left = [hashes_of(ids)[0] for bucket, _, ids in rows if bucket == 7]
        self.assertTrue(all(-256 <= hashed <= 255 for hashed in left), "numbers of parts")
        self.assertEqual([[1], [2], [3]], [find(self.connection, 8, hashed) for hashed in (1, 2, 3)])

    def test_of_a_compact_bucket_little_is_read(self) -> None:
        self.patch(client_ids, "FINE_SHIFT", 51)
        chance = Random(1)
        hashes = [chance.getrandbits(64) - (1 << 63) for _ in range(40_000)]
        for first in range(0, 40_000, 5_000):
            self.write(7, 1 + first, hashes[first : first + 5_000])
        self.assertTrue(many_rows(self.connection, 7, 7))
        self.assertFalse(many_rows(self.connection, 7, 8))
        for part in parts():
            self.assertTrue(many_rows(self.connection, 7, 7), "it begins again where it ended too early")
            compact(7, part, self.connection)
        self.assertFalse(many_rows(self.connection, 7, 0))
        count = "SELECT count(*), max(length(ids)) / 16, sum(length(ids)) / 16 FROM client_ids"
        rows, largest, ids = self.connection.execute(count).fetchone()
        self.assertEqual(40_000, ids)
        self.assertLessEqual(rows, 1 << 13)
        self.assertLess(largest, 20)
        self.assertEqual([1], find(self.connection, 7, hashes[0]))

    @given(st.lists(st.tuples(st.integers(1, 3), HASHES), max_size=60), st.integers(1, 5))
    def test_those_of_older_files_are_all_there(self, sends: list[tuple[int, int]], most: int) -> None:
        self.patch(client_ids, "MOST_IDS", most)
        old = sorted((bucket, hashed, offset) for offset, (bucket, hashed) in enumerate(sends, 1))
        rows = [*converted(old)]
        self.assertEqual(old, pairs_in(rows))
        self.assertEqual(len(rows), len({row[:3] for row in rows}), "each has a key of its own")
        self.assertTrue(all(len(ids) <= 16 * most for *_, ids in rows))

    def test_a_file_of_the_version_before(self) -> None:
        connection = sqlite3.connect(":memory:", isolation_level=None)
        self.addCleanup(connection.close)
        migrate(connection, MIGRATIONS[:5])
        spans = (41_000, 41_001)  # the first versions' buckets were whole spans of time
        later = spans[1] << 32 | 3
        old = [(spans[0], -9, 1), (spans[0], 5, 2), (later, 5, 3), (later, 1 << 62, 4)]
        connection.executemany("INSERT INTO dedupe VALUES (?, ?, ?)", old)
        self.assertEqual(5, migrate(connection))
        for bucket, hashed, offset in old:
            bucket = bucket if bucket >> 32 else bucket << 32
            self.assertEqual([offset], find(connection, bucket, hashed))
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
        self.assertIn("client_ids", tables)
        self.assertNotIn("dedupe", tables)
