"""Hashes of client ids as the disk has them."""

from __future__ import annotations

import sqlite3
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from imserver.backends.embedded.client_ids import (
    INSERT_CLIENT_IDS,
    PART_SHIFT,
    Row,
    converted,
    find,
    hashes_of,
    offsets_of,
    rows_of,
)
from imserver.backends.embedded.schema import MIGRATIONS, migrate

HASHES = st.one_of(
    st.integers(-(2**63), 2**63 - 1),
    st.integers(-3, 3),
    # The same bytes at other places of a number.
    st.sampled_from([0x0101010101010101, 0x0101010101010100, 0x01, 0x0100, -0x0101010101010102, -0x100, -1]),
)
SENDS = st.lists(HASHES, max_size=80)


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

    def write(self, bucket: int, first: int, hashes: list[int]) -> list[Row]:
        numbered = sorted(zip(hashes, range(first, first + len(hashes)), strict=True))
        rows = [*rows_of(bucket, first, [one for one, _ in numbered], [offset for _, offset in numbered])]
        INSERT_CLIENT_IDS(self.connection, rows)
        return rows

    @given(SENDS, SENDS)
    def test_each_is_found_where_it_is_and_nowhere_else(self, one: list[int], other: list[int]) -> None:
        self.connection.execute("DELETE FROM client_ids")
        self.write(7, 1, one)
        self.write(7, 1 + len(one), other)
        self.write(8, 1000, one)
        for hashed in {*one, *other, 0, 1, 0x0101010101010101, -1}:
            expected = [offset for offset, known in enumerate([*one, *other], 1) if known == hashed]
            self.assertEqual(expected, sorted(find(self.connection, 7, hashed)))
            expected = [offset for offset, known in enumerate(one, 1000) if known == hashed]
            self.assertEqual(expected, sorted(find(self.connection, 8, hashed)))
        self.assertEqual([], find(self.connection, 9, 0))

    def test_a_hash_that_only_seems_to_be_there(self) -> None:
        """Its bytes are there, across two others."""
        self.write(1, 1, [0x0100, 0x0200])  # 00 01 00 00 00 00 00 00, 00 02 …
        self.assertEqual([], find(self.connection, 1, 0x01))
        self.assertEqual([1], find(self.connection, 1, 0x0100))

    @given(SENDS)
    def test_one_row_for_a_part_at_the_most(self, hashes: list[int]) -> None:
        rows = [*rows_of(3, 5, sorted(hashes), range(len(hashes)))]
        self.assertTrue(all(one[1] < other[1] for one, other in pairwise(rows)))
        self.assertTrue(all(-256 <= part <= 255 and first == 5 for _, part, first, _ in rows))
        for _, part, _, ids in rows:
            self.assertEqual({part}, {hashed >> PART_SHIFT for hashed in hashes_of(ids)})
        self.assertEqual(sorted(hashes), [hashed for _, hashed, _ in pairs_in(rows)])

    def test_what_is_written_again_takes_its_place(self) -> None:
        self.write(1, 10, [5, 6])
        self.write(1, 10, [5, 6, 7])
        self.assertEqual([10], find(self.connection, 1, 5))
        self.assertEqual([12], find(self.connection, 1, 7))
        self.write(1, 13, [5])
        self.assertEqual([10, 13], sorted(find(self.connection, 1, 5)))

    @given(st.lists(st.tuples(st.integers(1, 3), HASHES), max_size=60), st.integers(1, 5))
    def test_those_of_older_files_are_all_there(self, sends: list[tuple[int, int]], at_most: int) -> None:
        old = sorted((bucket, hashed, offset) for offset, (bucket, hashed) in enumerate(sends, 1))
        rows = [*converted(old, at_most)]
        self.assertEqual(old, pairs_in(rows))
        self.assertEqual(len(rows), len({row[:3] for row in rows}), "each has a key of its own")
        self.assertTrue(all(len(ids) <= 16 * at_most for *_, ids in rows))

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
