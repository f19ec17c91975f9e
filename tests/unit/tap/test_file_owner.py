"""Whose the folder of files is."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from twisted.internet.defer import ensureDeferred
from twisted.logger import LogLevel, capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from imserver.tap.file_owner import MARKER, claim


class Store:
    """A store that keeps an id."""

    def __init__(self) -> None:
        self.id = ""

    async def ask(self, proposed: str) -> str:
        """See claim."""
        self.id = self.id or proposed
        return self.id


class OwnerTest(SynchronousTestCase):
    def setUp(self) -> None:
        place = tempfile.mkdtemp(prefix="imserver-owner-")
        self.addCleanup(shutil.rmtree, place)
        self.folder = Path(place) / "files"
        self.given = 0

    def random_bytes(self, length: int) -> bytes:
        self.given += 1
        return self.given.to_bytes(length, "big")

    def claim(self, store: Store, folder: Path | None = None) -> tuple[bool, list[str]]:
        """Whether it is the store's, and what people are told."""
        with capturedLogs() as logged:
            claimed = ensureDeferred(claim(folder or self.folder, store.ask, self.random_bytes))
            owned: bool = self.successResultOf(claimed)
        return owned, [formatEvent(event) for event in logged if event["log_level"] >= LogLevel.warn]

    def test_the_first_store_has_it_and_all_its_nodes(self) -> None:
        store = Store()
        for _ in range(3):
            self.assertEqual((True, []), self.claim(store))

    def test_of_two_that_come_at_once_one_gives_the_id(self) -> None:
        store = Store()
        first = Store()

        async def meanwhile(proposed: str) -> str:
            if proposed:
                store.id = store.id or "the other node's"
            return await store.ask(proposed)

        first.ask = meanwhile  # type: ignore[method-assign]
        self.assertEqual((True, []), self.claim(first))
        self.assertEqual((True, []), self.claim(store))

    def test_another_store_has_nothing_to_remove_there(self) -> None:
        self.claim(Store())
        other = Store()
        for _ in range(2):
            owned, (told,) = self.claim(other)
            self.assertFalse(owned)
            self.assertIn("another message store", told)
        self.assertEqual("", other.id)
        # One that has files elsewhere has none here either.
        self.claim(other, self.folder.with_name("elsewhere"))
        self.assertFalse(self.claim(other)[0])

    def test_one_that_was_told_to_have_it(self) -> None:
        self.claim(Store())
        other = Store()
        self.claim(other)
        (self.folder / MARKER).unlink()
        self.assertEqual((True, []), self.claim(other))

    def test_a_node_with_a_folder_of_its_own_is_warned(self) -> None:
        store = Store()
        self.claim(store)
        owned, (told,) = self.claim(store, self.folder.with_name("elsewhere"))
        self.assertTrue(owned)
        self.assertIn("the same folder", told)
        self.assertEqual((True, []), self.claim(store, self.folder.with_name("elsewhere")))

    def test_where_it_cannot_be_known_nothing_is_removed(self) -> None:
        self.folder.write_text("no folder")
        owned, told = self.claim(Store())
        self.assertEqual((False, 1), (owned, len(told)))
