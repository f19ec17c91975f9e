"""Files over nodes: records in Redis, bytes in one directory, uploads that move; relays, and their loss."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, ensureDeferred

from imserver.backends.files import DiskBlobs
from imserver.model.calls import Media
from imserver.model.errors import ErrorCode, ImError
from imserver.model.file_relays import (
    AcceptRelay,
    RejectRelay,
    RelayAccepted,
    RelayFailed,
    RelayOffered,
    RelayRejected,
    RelaysRequested,
    RequestRelay,
)
from imserver.model.files import (
    AcceptFile,
    CancelTransfer,
    Channel,
    FileAccepted,
    FileCancelled,
    FileDelivered,
    FileOffered,
    FileStored,
    ReportFile,
    RequestFile,
)
from imserver.services.file_channels import Download
from imserver.services.file_ports import State
from imserver.services.file_uploads import Upload
from imserver.services.files import Files
from tests.redis.house_world import House, HouseCase, Session
from tests.unit.backends.engine import temporary_directory
from tests.unit.services.world import InlineThreads

DATA = bytes(range(256)) * 4000


class Sink:
    """Who feeds an upload, or takes a download."""

    ended = False

    def __init__(self) -> None:
        self.kept = 0
        self.errors: list[ErrorCode] = []

    def upload_kept(self, offset: int) -> None:
        self.kept = offset

    def upload_ended(self, error: ImError) -> None:
        self.errors.append(error.code)

    download_ended = upload_ended


class FilesOverNodes(HouseCase):
    """Alice on one node, bob on the other."""

    def setUp(self) -> None:
        super().setUp()
        self.directory: Path = temporary_directory(self) / "files"
        self.one, self.two = self.open_houses("one", "two")
        self.files = {house: self.serve(house) for house in self.houses}
        self.alice, self.bob = self.one.log_in("alice"), self.two.log_in("bob")

    def serve(self, house: House) -> Files:
        cellar, hub = house.cellar, house.hub
        files = Files(
            cellar.files,
            DiskBlobs(self.directory, InlineThreads()),
            cellar.store,
            cellar.directory,
            cellar.bus,
            hub.messages.send,
            hub.friends.refusal,
            house.clock,
            self.wall,
            self.chance,
            hub.spawn,
        )
        hub.add_files(files)
        return files

    def request(self, data: bytes = DATA) -> Channel:
        command = RequestFile("a.bin", len(data), hashlib.sha256(data).hexdigest(), recipient="bob")
        channel: Channel = self.alice.do(command)
        return channel

    def upload(self, house: House, channel: Channel) -> tuple[Upload, Sink]:
        """Begins, or goes on, on a node."""
        sink = Sink()
        begun = ensureDeferred(self.files[house].channels.upload("alice", channel.transfer, sink))
        while not begun.called:
            self.pass_time(0.5)
        return self.successResultOf(begun), sink

    def finish(self, house: House, upload: Upload) -> None:
        upload.feed(upload.position, DATA[upload.position :])
        self.pass_time(0.5)
        self.wait_for(self.files[house].channels.finish(upload))
        self.settle()

    def download(self, house: House, channel: Channel) -> Deferred[Download]:
        begun: Deferred[Download] = ensureDeferred(
            self.files[house].channels.download("bob", channel.transfer, Sink())
        )
        return begun

    def state(self, channel: Channel) -> State:
        transfer = self.wait_for(self.two.cellar.files.transfer(channel.transfer))
        assert transfer is not None
        return transfer.state

    # Uploads and downloads

    def test_a_file_from_one_node_to_another(self) -> None:
        channel = self.request()
        (offered,) = self.bob.take(FileOffered)
        self.bob.do(AcceptFile(channel.transfer))
        self.assertEqual([event.user for event in self.alice.take(FileAccepted)], ["bob"])
        waiting = self.download(self.two, channel)
        self.settle()
        self.assertNoResult(waiting)
        upload, _ = self.upload(self.one, channel)
        self.finish(self.one, upload)
        self.assertEqual(len(self.bob.take(FileStored)), 1)
        download = self.successResultOf(waiting)
        self.assertEqual(self.wait_for(download.blob.read(0, len(DATA))), DATA)
        self.bob.do(ReportFile(channel.transfer))
        self.assertEqual([event.user for event in self.alice.take(FileDelivered)], ["bob"])
        self.assertEqual(len(self.bob.peer.messages), 1)
        self.assertEqual(offered.info.transfer, channel.transfer)

    def test_an_upload_moves_to_another_node(self) -> None:
        channel = self.request()
        first, sink = self.upload(self.one, channel)
        first.feed(0, DATA[:700_000])
        self.pass_time(0.5)
        self.assertEqual(sink.kept, 700_000)
        second, _ = self.upload(self.two, channel)
        self.assertEqual(sink.errors, [ErrorCode.CONFLICT])
        self.assertEqual(self.files[self.one].channels.uploads, {})
        self.assertEqual(second.position, 700_000)
        with self.assertRaises(ImError):
            first.feed(700_000, DATA[700_000:])
        self.finish(self.two, second)
        self.assertEqual(self.state(channel), State.STORED)
        self.assertEqual(self.wait_for(self.download(self.one, channel)).blob.size, len(DATA))

    def test_the_answer_that_it_is_stored_did_not_come(self) -> None:
        channel = self.request()
        upload, _ = self.upload(self.one, channel)
        store = self.one.cellar.files
        move = store.move_transfer

        async def unanswered(*arguments: Any, **more: Any) -> bool:
            store.move_transfer = move  # type: ignore[method-assign]
            assert await move(*arguments, **more)
            raise ImError(ErrorCode.UNAVAILABLE, "not now")

        store.move_transfer = unanswered  # type: ignore[method-assign]
        with self.assertRaises(ImError):
            self.finish(self.one, upload)
        self.assertEqual(self.bob.peer.messages, [])
        self.wait_for(self.files[self.one].channels.finish(upload))
        self.settle()
        self.assertEqual(len(self.bob.peer.messages), 1)

    def test_a_node_that_does_not_let_go(self) -> None:
        """It stands still, and nobody else writes what it may write."""
        channel = self.request()
        first, sink = self.upload(self.one, channel)
        self.one.way.mute = True
        begun = ensureDeferred(self.files[self.two].channels.upload("alice", channel.transfer, Sink()))
        self.pass_time(14.0)
        self.assertEqual(self.failureResultOf(begun, ImError).value.code, ErrorCode.UNAVAILABLE)
        self.assertEqual(sink.errors, [])
        self.wait_for(self.files[self.one].channels.close_upload(first))
        self.upload(self.two, channel)

    def test_what_the_sender_gives_up_ends_everywhere(self) -> None:
        channel = self.request()
        upload, sink = self.upload(self.two, channel)
        upload.feed(0, DATA[:1000])
        waiting = self.download(self.two, channel)
        self.settle()
        self.alice.do(CancelTransfer(channel.transfer))
        self.assertEqual(sink.errors, [ErrorCode.NOT_FOUND])
        self.assertEqual(self.failureResultOf(waiting, ImError).value.code, ErrorCode.NOT_FOUND)
        self.assertEqual(len(self.bob.take(FileCancelled)), 1)
        self.assertEqual([*(self.directory / "parts").iterdir()], [])

    def test_a_recipient_that_takes_no_more(self) -> None:
        channel = self.request()
        upload, _ = self.upload(self.one, channel)
        self.finish(self.one, upload)
        self.wait_for(self.download(self.one, channel))
        self.bob.do(CancelTransfer(channel.transfer))
        self.assertEqual(self.files[self.one].channels.downloads, {})

    def test_who_waits_looks_again_when_something_was_missed(self) -> None:
        channel = self.request()
        upload, _ = self.upload(self.one, channel)
        waiting = self.download(self.two, channel)
        self.settle()
        self.files[self.one].nodes.say = lambda note: None  # type: ignore[method-assign]
        self.finish(self.one, upload)
        self.assertNoResult(waiting)
        self.two.hub.neighbours.missed(self.one.node)
        self.settle()
        self.assertEqual(self.successResultOf(waiting).blob.size, len(DATA))

    def test_the_message_of_a_node_that_was_lost_before_it_sent_it(self) -> None:
        channel = self.request()
        upload, _ = self.upload(self.one, channel)

        async def lost(*arguments: Any) -> None:
            pass

        self.files[self.one].news.send_message = lost  # type: ignore[method-assign,assignment]
        self.finish(self.one, upload)
        self.assertEqual(self.bob.peer.messages, [])
        self.one.die()
        self.pass_time(12.0)
        self.assertEqual(len(self.bob.peer.messages), 1)

    def test_a_blob_is_not_removed_while_another_node_finds_it(self) -> None:
        channel = self.request()
        upload, _ = self.upload(self.one, channel)
        self.finish(self.one, upload)
        sha256 = hashlib.sha256(DATA).hexdigest()
        blobs = DiskBlobs(self.directory, InlineThreads())
        lock = self.wait_for(blobs.lock(sha256))
        assert lock is not None
        taken = ensureDeferred(self.files[self.two].channels.shelf.take_away(sha256))
        self.pass_time(1.0)
        self.assertNoResult(taken)
        lock.release()
        self.pass_time(1.0)
        self.successResultOf(taken)
        self.assertIsNotNone(self.wait_for(blobs.blob(sha256)))


class RelaysOverNodes(HouseCase):
    """Alice on one node, bob on two others."""

    def setUp(self) -> None:
        super().setUp()
        self.open_houses("one", "two", "three")
        for house in self.houses:
            house.hub.relays.ports = (9500, 9501)
        self.alice, self.bob, self.phone = [
            house.log_in(user, device=house.name, media=Media.VOICE)
            for house, user in zip(self.houses, ("alice", "bob", "bob"), strict=True)
        ]

    def offer(self) -> str:
        """An offer that both of bob's have heard of."""
        asked: RelaysRequested = self.alice.do(RequestRelay("a.bin", 10, recipient="bob"))
        for session in (self.bob, self.phone):
            (offered,) = session.take(RelayOffered)
            self.assertEqual((offered.sender, offered.size), ("alice", 10))
        return asked.relays[0].relay

    def failed(self, session: Session) -> list[str]:
        return [event.reason for event in session.take(RelayFailed)]

    def test_offered_and_accepted(self) -> None:
        relay = self.offer()
        accepted: RelayAccepted = self.bob.do(AcceptRelay(relay))
        self.assertEqual((accepted.relay, accepted.tls_port), (relay, 9501))
        for session in (self.alice, self.bob):
            self.assertEqual(session.take(RelayAccepted), [accepted])
        self.assertEqual(self.failed(self.phone), ["another device takes it"])
        self.assertEqual(self.phone.refusal(AcceptRelay(relay)), ErrorCode.CONFLICT)

    def test_rejected(self) -> None:
        relay = self.offer()
        self.phone.do(RejectRelay(relay, "no"))
        self.assertEqual([event.reason for event in self.alice.take(RelayRejected)], ["no"])
        self.assertEqual(self.failed(self.bob), ["another device rejected it"])
        self.assertEqual(self.bob.refusal(AcceptRelay(relay)), ErrorCode.NOT_FOUND)

    def test_the_senders_node_is_lost(self) -> None:
        relay = self.offer()
        self.bob.do(AcceptRelay(relay))
        self.failed(self.phone)
        other = self.alice.do(RequestRelay("b.bin", 10, recipient="bob")).relays[0].relay
        self.alice.house.die()
        self.pass_time(12.0)
        for session, relays in ((self.bob, {relay, other}), (self.phone, {other})):
            lost = session.take(RelayFailed)
            self.assertEqual({event.relay for event in lost}, relays)
            self.assertEqual(
                {(event.target, event.reason) for event in lost}, {("bob", "the sender's node is lost")}
            )
        self.assertEqual(self.bob.refusal(AcceptRelay(other)), ErrorCode.NOT_FOUND)

    def test_the_senders_node_was_cut_off(self) -> None:
        relay = self.offer()
        self.alice.house.way.mute = True
        self.pass_time(12.0)
        self.assertEqual(self.failed(self.bob), ["the sender's node is lost"])
        self.alice.house.way.mute = False
        self.alice.house.way.cut()
        self.pass_time(4.0)
        self.assertEqual(self.failed(self.alice), ["the node was cut off from the others"])
        self.assertEqual((self.failed(self.bob), len(self.alice.house.hub.relays)), ([], 0))
        self.assertEqual(self.bob.refusal(AcceptRelay(relay)), ErrorCode.NOT_FOUND)

    def test_while_redis_is_away_nothing_is_offered(self) -> None:
        house = self.alice.house
        house.way.mute = True
        house.way.cut()
        self.pump.until(lambda: not house.cellar.redis.connected)
        asked = self.alice.begin(RequestRelay("a.bin", 10, recipient="bob"))
        self.pass_time(1.0)
        self.assertEqual(self.failureResultOf(asked, ImError).value.code, ErrorCode.UNAVAILABLE)
        self.assertEqual(len(house.hub.relays), 0)
