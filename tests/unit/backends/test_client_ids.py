"""Hashes of client ids as the disk has them."""

from __future__ import annotations

import sqlite3

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from imserver.backends.embedded import client_ids
from imserver.backends.embedded.client_ids import (
    INSERT_CLIENT_IDS,
    Parts,
    Row,
    all_hashes,
    converted,
    find,
    hashes_of,
    is_found,
    offsets_of,
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
        parts = Parts()
        for at in range(0, len(hashes), 7):  # some at a time
            parts.add(hashes[at : at + 7], offsets[at : at + 7])
        return [*parts.rows(bucket, first)]

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
            self.assertTrue(all(is_found(part, hashed) for hashed in hashes_of(ids)))
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
