"""Histories of one transfer in an order that a seed decides: cuts, crashes, full disks, second thoughts.

What must hold whatever happens: nothing that was acknowledged is asked for again, unless the file turned out
to be another one; what is stored is what was announced; the message comes once; nobody reads what is not
whole; nothing is left behind.
"""

from __future__ import annotations

import hashlib
import random
from typing import Any

from twisted.internet.defer import Deferred, ensureDeferred

from imserver.model.errors import ErrorCode, ImError
from imserver.model.files import AcceptFile, CancelTransfer, Channel, RejectFile, ReportFile, RequestFile
from imserver.services.file_keeping import FileKeeping
from imserver.services.file_ports import State
from imserver.services.file_table import OVER
from imserver.services.file_uploads import Upload
from tests.effort import effort, seeds
from tests.unit.services.hub_world import Peer
from tests.unit.services.test_files import FileCase, Sink

HISTORIES = effort(60, 600, 6000)
STEPS = 60
DATA = random.Random(5).randbytes(5000)
HASH = hashlib.sha256(DATA).hexdigest()


class Histories(FileCase):
    def test_many(self) -> None:
        for number, seed in enumerate(seeds(HISTORIES)):
            if number:
                self.setUp()
            try:
                History(self, seed).run()
            except BaseException:
                print(f"IMSERVER_SEED={seed}")
                raise


class History:
    """One of them."""

    def __init__(self, case: Histories, seed: int) -> None:
        self.case = case
        self.chance = random.Random(seed)
        self.bob: Peer = case.peer("bob")
        self.channel: Channel = case.request(data=DATA)
        self.id = self.channel.transfer
        self.upload: Upload | None = None
        self.sink = Sink()
        self.acked = 0
        self.spoilt = False  # this upload has a wrong byte
        self.waiting: list[Deferred[Any]] = []

    def run(self) -> None:
        steps = [
            self.open,
            self.feed,
            self.feed,
            self.feed,
            self.finish,
            self.cut,
            self.crash,
            self.full,
            self.hold,
        ]
        steps += [self.time, self.accept, self.read, self.report]
        for _ in range(STEPS):
            self.chance.choice(steps)()
            if self.chance.random() < 0.02:
                self.chance.choice([self.cancel, self.reject])()
            self.look()
        self.end()

    # What clients do

    def open(self) -> None:
        self.acknowledged()
        self.sink = Sink()
        self.upload = None
        files = self.case.files
        asked = RequestFile("a.txt", len(DATA), HASH, recipient="bob", resume=self.id)
        channel = self.tried(files.request(self.case.who("alice"), asked))
        if not isinstance(channel, ImError):
            upload = self.tried(files.channels.upload("alice", self.id, self.sink))
            assert isinstance(upload, Upload), upload
            self.upload = upload
        else:
            assert channel.code is ErrorCode.NOT_FOUND
            assert self.state() in OVER
            return
        assert channel.offset >= self.acked, (channel.offset, self.acked)
        assert self.upload.position >= self.acked
        kept = self.case.blobs.parts.get(self.id, b"")
        self.spoilt = not DATA.startswith(kept)

    def feed(self) -> None:
        if self.upload is None:
            return
        at = self.upload.position
        data = DATA[at : at + self.chance.randrange(1, 1500)]
        if data and self.chance.random() < 0.02:
            data = bytes((data[0] ^ 1,)) + data[1:]
            self.spoilt = True
        try:
            self.upload.feed(at, data)
        except ImError:
            assert self.sink.errors
            self.upload = None

    def finish(self) -> None:
        if self.upload is None:
            return
        result = self.tried(self.case.files.channels.finish(self.upload))
        if isinstance(result, ImError):
            if result.code is ErrorCode.CONFLICT and self.spoilt:
                self.acked, self.spoilt, self.upload = 0, False, None
                self.sink = Sink()
            return
        assert not self.spoilt
        assert result.sha256 == HASH
        self.cut()  # as the channel ends

    def cut(self) -> None:
        self.acknowledged()
        upload, self.upload = self.upload, None
        if upload is not None:
            ensureDeferred(self.case.files.channels.close_upload(upload))
            self.case.settle()

    def crash(self) -> None:
        """The process ends and another one begins; what is synced is there."""
        self.acknowledged()
        self.upload = None
        case = self.case
        case.blobs.crash()
        case.files = case.make()
        case.hub.dispatch._handlers.clear()
        case.hub.add_files(case.files)
        case.wait(FileKeeping(case.files).send_messages())

    def full(self) -> None:
        self.case.blobs.room = None if self.case.blobs.room is not None else self.chance.randrange(2000)

    def hold(self) -> None:
        if self.case.blobs.held:
            self.case.blobs.release()
        else:
            self.case.blobs.held = True

    def time(self) -> None:
        self.case.clock.advance(self.chance.choice((0.01, 0.2, 30.0)))
        self.case.settle()

    def accept(self) -> None:
        self.ask(AcceptFile(self.id))

    def read(self) -> None:
        reading = ensureDeferred(self.case.files.channels.download("bob", self.id, Sink()))
        reading.addCallbacks(self.arrived, lambda failure: failure.trap(ImError))
        self.waiting.append(reading)

    def arrived(self, download: Any) -> None:
        assert self.state() is State.STORED
        assert self.case.wait(download.blob.read(0, 9999)) == DATA
        self.case.files.channels.close_download(download)

    def report(self) -> None:
        self.ask(ReportFile(self.id))

    def cancel(self) -> None:
        self.ask(CancelTransfer(self.id), "alice")

    def reject(self) -> None:
        self.ask(RejectFile(self.id))

    def ask(self, command: Any, user: str = "bob") -> None:
        self.acknowledged()
        self.tried(self.case.hub.dispatch.handle(self.case.who(user), command))

    def tried(self, work: Any) -> Any:
        """The result, or the refusal; a disk that is held back goes on for it."""
        ended: list[Any] = []
        ensureDeferred(work).addBoth(ended.append)
        self.case.settle()
        self.case.blobs.release()
        self.case.settle()
        (result,) = ended
        if hasattr(result, "trap"):
            result.trap(ImError)
            return result.value
        return result

    # What must hold

    def state(self) -> State:
        return self.case.state(self.channel)

    def acknowledged(self) -> None:
        if self.sink.kept:
            assert self.sink.kept == sorted(self.sink.kept)
            self.acked = max(self.acked, self.sink.kept[-1])
        self.sink.kept.clear()

    def look(self) -> None:
        self.case.settle()
        self.acknowledged()
        blobs = self.case.blobs
        state = self.state()
        assert all(hashlib.sha256(data).hexdigest() == name for name, data in blobs.blobs.items())
        if state is State.STORED:
            assert blobs.blobs[HASH] == DATA
        if state is State.OPEN:
            assert len(blobs.parts.get(self.id, b"")) >= self.acked
        assert len(self.bob.messages) <= (state is State.STORED)

    def end(self) -> None:
        """Whatever happened, it can be brought to its end now."""
        blobs = self.case.blobs
        blobs.room = None
        blobs.release()
        self.case.settle()
        for _ in range(3):
            if self.state() is not State.OPEN:
                break
            self.open()
            assert self.upload is not None
            self.upload.feed(self.upload.position, DATA[self.upload.position :])
            self.finish()
        self.cut()
        state = self.state()
        assert state is not State.OPEN
        keeping = FileKeeping(self.case.files)
        now = 1_700_000_000.0 + self.case.clock.seconds()
        for _ in range(2):
            self.case.wait(keeping.round(now))
        assert len(self.bob.messages) == (state is State.STORED)
        assert blobs.parts == {}
        assert set(blobs.blobs) == ({HASH} if state is State.STORED else set())
        assert not self.case.files.channels.uploads
        assert not self.case.files.channels.downloads
        assert not self.case.files.channels._locks
        for one in self.waiting:
            one.addErrback(lambda failure: failure.trap(ImError))
