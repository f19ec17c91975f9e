"""Parts and blobs on a real disk, which sometimes is full."""

from __future__ import annotations

import errno
import hashlib
import os
import resource
import signal
from collections.abc import Awaitable
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from imserver.backends.embedded.memory import InlineThreads
from imserver.backends.files import DiskBlobs
from imserver.backends.files.disk import DiskPart
from imserver.model.errors import ErrorCode, ImError
from imserver.services.file_ports import Mismatch
from tests.unit.backends.engine import temporary_directory
from tests.unit.left_over import left_over

T = TypeVar("T")
DATA = bytes(range(256)) * 1000
HASH = hashlib.sha256(DATA).hexdigest()


class DiskCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.directory = temporary_directory(self) / "files"
        self.blobs = DiskBlobs(self.directory, InlineThreads())

    def done(self, work: Awaitable[T]) -> T:
        async def run() -> T:
            return await work

        return self.successResultOf(Deferred.fromCoroutine(run()))

    def refused(self, work: Awaitable[Any]) -> ErrorCode:
        async def run() -> Any:
            return await work

        failure = self.failureResultOf(Deferred.fromCoroutine(run()), ImError)
        code: ErrorCode = failure.value.code
        return code

    def part(self, name: str = "tr-1") -> DiskPart:
        part = self.done(self.blobs.part(name))
        assert part is not None
        return part

    def whole(self, part: DiskPart, size: int, sha256: str) -> str:
        """Makes it a blob."""
        found = self.done(part.verify(size, sha256))
        self.done(part.keep(found))
        return found

    def stored(self, name: str = "tr-1", data: bytes = DATA) -> str:
        part = self.part(name)
        self.done(part.append([data]))
        found = self.whole(part, len(data), "")
        self.done(part.close())
        self.done(self.blobs.discard(name))
        return found

    def files(self) -> set[str]:
        return {str(path.relative_to(self.directory)) for path in self.directory.rglob("*") if path.is_file()}


class Parts(DiskCase):
    def test_pieces_become_a_blob(self) -> None:
        part = self.part()
        self.assertEqual(part.length, 0)
        self.assertEqual(self.done(part.append([DATA[:10], DATA[10:100]])), 100)
        self.assertEqual(self.done(part.append([DATA[100:]])), len(DATA))
        self.assertEqual(self.whole(part, len(DATA), HASH), HASH)
        self.done(part.close())
        self.done(self.blobs.discard("tr-1"))
        self.assertEqual(self.files(), {f"blobs/{HASH[:2]}/{HASH}"})
        blob = self.done(self.blobs.blob(HASH))
        assert blob is not None
        self.assertEqual(blob.size, len(DATA))
        self.assertEqual(self.done(blob.read(5, 7)), DATA[5:12])
        self.assertEqual(self.done(blob.read(len(DATA) - 2, 7)), DATA[-2:])
        self.assertEqual(self.done(blob.read(len(DATA), 7)), b"")
        self.assertEqual(self.done(blob.pieces(1, 10, 4)), [DATA[1:5], DATA[5:9], DATA[9:11]])
        self.assertEqual(self.done(blob.pieces(len(DATA) - 6, 10, 4)), [DATA[-6:-2], DATA[-2:]])
        self.assertEqual(self.done(blob.pieces(len(DATA), 10, 4)), [])
        blob.close()
        self.assertEqual(self.refused(blob.read(0, 1)), ErrorCode.UNAVAILABLE)

    def test_nobody_else_may_read(self) -> None:
        self.stored()
        for path in (self.directory, *self.directory.rglob("*")):
            mode = path.stat().st_mode & 0o777
            self.assertEqual(mode, 0o700 if path.is_dir() else 0o600, path)

    def test_a_new_process_goes_on_and_hashes_again(self) -> None:
        part = self.part()
        self.done(part.append([DATA[:1234]]))
        os.close(part._descriptor)  # the process is killed
        self.blobs = DiskBlobs(self.directory, InlineThreads())
        again = self.part()
        self.assertEqual(again.length, 1234)
        self.done(again.append([DATA[1234:]]))
        self.assertEqual(self.whole(again, len(DATA), HASH), HASH)

    def test_killed_before_the_store_knows(self) -> None:
        part = self.part()
        self.done(part.append([DATA]))
        self.whole(part, len(DATA), HASH)
        os.close(part._descriptor)  # the process is killed
        # Nobody recorded it: everything that was acknowledged is still there.
        again = self.part()
        self.assertEqual(again.length, len(DATA))
        self.assertEqual(self.whole(again, len(DATA), HASH), HASH)

    def test_what_is_not_the_file_begins_again_and_harms_no_other(self) -> None:
        self.stored("tr-0")
        part = self.part()
        self.done(part.append([DATA]))
        for size, sha256 in ((len(DATA), "0" * 64), (len(DATA) + 1, HASH)):
            self.failureResultOf(Deferred.fromCoroutine(part.verify(size, sha256)), Mismatch)
            self.assertEqual(part.length, 0)
            self.assertEqual(self.done(part.append([DATA])), len(DATA))
        self.assertEqual(self.whole(part, len(DATA), HASH), HASH)
        # The same bytes again, by somebody else.
        self.assertEqual(self.stored("tr-2"), HASH)
        blob = self.done(self.blobs.blob(HASH))
        assert blob is not None
        self.assertEqual(self.done(blob.read(0, len(DATA) + 1)), DATA)

    def test_nothing_is_left_of_what_a_full_disk_refuses(self) -> None:
        def full(descriptor: int) -> None:
            raise OSError(errno.ENOSPC, "no space left on device")

        part = self.part()
        self.patch(os, "fdatasync", full)
        self.assertEqual(
            left_over(lambda: self.failureResultOf(Deferred.fromCoroutine(part.append([DATA])), ImError)),
            {},
        )
        self.assertEqual(part.length, 0)

    def test_listing_and_removal(self) -> None:
        self.assertEqual(self.done(self.blobs.listing()), (set(), set()))
        self.stored()
        self.part("tr-2")
        self.assertEqual(self.done(self.blobs.listing()), ({HASH}, {"tr-2"}))
        reader = self.done(self.blobs.blob(HASH))
        assert reader is not None
        for _ in range(2):
            self.done(self.blobs.remove(HASH))
            self.done(self.blobs.discard("tr-2"))
        self.assertEqual(self.done(self.blobs.listing()), (set(), set()))
        self.assertIsNone(self.done(self.blobs.blob(HASH)))
        # Who reads it goes on.
        self.assertEqual(self.done(reader.read(0, 5)), DATA[:5])

    def test_a_link_is_not_followed(self) -> None:
        self.stored()
        secret = self.directory / "secret"
        secret.write_bytes(b"secret")
        (self.directory / "parts" / "tr-9").symlink_to(secret)
        self.assertEqual(self.refused(self.blobs.part("tr-9")), ErrorCode.UNAVAILABLE)
        self.flushLoggedErrors()


class FullDisk(DiskCase):
    def limit(self, size: int) -> None:
        """No file of this process may be longer."""
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))

        def undo() -> None:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
            signal.signal(signal.SIGXFSZ, handler)

        self.undo = undo
        self.addCleanup(undo)

    def test_what_was_synced_stays_and_goes_on(self) -> None:
        part = self.part()
        self.done(part.append([DATA[:1000]]))
        self.limit(5000)
        self.assertEqual(self.refused(part.append([DATA[1000:3000], DATA[3000:9000]])), ErrorCode.UNAVAILABLE)
        self.assertEqual(part.length, 1000)
        self.assertEqual((self.directory / "parts" / "tr-1").stat().st_size, 1000)
        self.undo()
        self.done(part.append([DATA[1000:]]))
        self.assertEqual(self.whole(part, len(DATA), HASH), HASH)
        self.flushLoggedErrors()

    def test_a_failing_sync_is_not_an_acknowledgement(self) -> None:
        part = self.part()
        self.done(part.append([DATA[:1000]]))

        def fail(descriptor: int) -> None:
            raise OSError(errno.EIO, "input/output error")

        sync = os.fdatasync
        self.patch(os, "fdatasync", fail)
        self.assertEqual(self.refused(part.append([DATA[1000:2000]])), ErrorCode.UNAVAILABLE)
        self.assertEqual(part.length, 1000)
        self.patch(os, "fdatasync", sync)
        # Other bytes than those that failed: none of the failed ones may be in the file.
        self.done(part.append([b"x" * 24]))
        wanted = hashlib.sha256(DATA[:1000] + b"x" * 24).hexdigest()
        self.assertEqual(self.whole(part, 1024, wanted), wanted)

    def test_no_directory_can_be_made(self) -> None:
        self.directory.write_bytes(b"a file")
        self.assertEqual(self.refused(self.blobs.part("tr-1")), ErrorCode.UNAVAILABLE)
        self.assertEqual(self.done(self.blobs.listing()), (set(), set()))
