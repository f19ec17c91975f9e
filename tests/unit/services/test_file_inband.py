"""Files inside a chat connection (document 000), over the real engine."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, ensureDeferred

from imserver.model.accounts import Principal
from imserver.model.errors import ErrorCode, ImError
from imserver.model.files import (
    AckChunks,
    CancelFile,
    CancelTransfer,
    CompleteFile,
    FileOffered,
    FileRejected,
    OfferFile,
    SendChunk,
)
from imserver.services.delivery import LiveSession
from imserver.services.file_inband import CHUNK
from imserver.services.file_ports import Transfer
from imserver.services.file_uploads import FULL, STEP
from tests.unit.left_over import left_over
from tests.unit.services.hub_world import Peer
from tests.unit.services.test_files import DATA, HASH, FileCase

OFFER = OfferFile("bob", "t1", "a.txt", len(DATA), HASH)


class Inband(FileCase):
    def setUp(self) -> None:
        super().setUp()
        self.alice, self.hers = self.session("alice")

    def session(self, user: str) -> tuple[LiveSession, Peer]:
        live, peer = self.log_in(user, transfers=True, format="q")
        return live, peer

    def say(self, live: LiveSession, command: Any) -> Any:
        return self.wait(self.hub.dispatch.handle(live.principal, command))

    def told(self, peer: Peer, kind: type) -> list[Any]:
        return [event for event in peer.events if type(event) is kind]

    def code_of(self, who: Principal, command: Any) -> ErrorCode:
        return self.refusal(self.hub.dispatch.handle(who, command)).code

    def test_there_and_back(self) -> None:
        self.assertEqual(self.say(self.alice, OFFER), AckChunks("t1", 0))
        self.say(self.alice, SendChunk("t1", 0, DATA[:600]))
        self.clock.advance(0.2)
        self.assertEqual(self.told(self.hers, AckChunks), [AckChunks("t1", 600)])
        # The same offer again says where it is.
        self.assertEqual(self.say(self.alice, OFFER), AckChunks("t1", 600))
        self.say(self.alice, SendChunk("t1", 600, DATA[600:]))
        self.assertEqual(self.say(self.alice, CompleteFile("t1")), CompleteFile("t1"))
        self.assertEqual(len(self.files.channels), 0)
        bob, his = self.session("bob")
        self.settle()
        (offer,) = self.told(his, FileOffered)
        self.say(bob, AckChunks(offer.info.transfer, 100))
        self.settle()
        (chunk,) = self.told(his, SendChunk)
        self.assertEqual((chunk.offset, chunk.data), (100, DATA[100:]))
        self.assertEqual(len(self.told(his, CompleteFile)), 1)
        self.say(bob, AckChunks(offer.info.transfer, len(DATA)))
        self.assertEqual((len(self.files.channels), self.files.channels.downloads), (0, {}))

    def test_a_lost_session_keeps_what_is_synced(self) -> None:
        self.say(self.alice, OFFER)
        self.say(self.alice, SendChunk("t1", 0, DATA[:300]))
        self.clock.advance(0.2)
        self.alice.close()
        self.settle()
        self.assertEqual((len(self.files.channels), self.files.channels.uploads), (0, {}))
        again, _ = self.session("alice")
        self.assertEqual(self.say(again, OFFER), AckChunks("t1", 300))

    def test_what_is_not_the_file(self) -> None:
        self.say(self.alice, OFFER)
        self.say(self.alice, SendChunk("t1", 0, b"x" * len(DATA)))
        self.assertEqual(self.code_of(self.alice.principal, CompleteFile("t1")), ErrorCode.CONFLICT)
        self.assertEqual(self.say(self.alice, OFFER), AckChunks("t1", 0))

    def test_given_up_by_either(self) -> None:
        self.say(self.alice, OFFER)
        bob, his = self.session("bob")
        self.settle()
        (offer,) = self.told(his, FileOffered)
        self.say(bob, CancelFile(offer.info.transfer, "no"))
        self.assertEqual(self.told(self.hers, FileRejected), [FileRejected(offer.info.transfer, "bob", "no")])
        self.assertEqual(len(self.told(self.hers, CancelFile)), 1)
        self.assertEqual(self.code_of(self.alice.principal, SendChunk("t1", 0, b"x")), ErrorCode.NOT_FOUND)
        # The id is free again.
        self.assertEqual(self.say(self.alice, OFFER), AckChunks("t1", 0))
        self.say(self.alice, CancelFile("t1"))
        self.assertEqual((len(self.files.channels), self.blobs.parts), (0, {}))

    def test_only_as_much_as_the_peer_takes(self) -> None:
        data = bytes(10 * CHUNK)
        channel = self.request("carol", "bob", data)
        self.whole(channel, data, "carol")
        bob, his = self.session("bob")
        his.room = 0
        self.say(bob, AckChunks(channel.transfer, 0))
        self.settle()
        self.assertEqual(self.told(his, SendChunk), [])
        his.room = None
        bob.drained()
        self.settle()
        self.assertEqual(
            [chunk.offset for chunk in self.told(his, SendChunk)], list(range(0, 10 * CHUNK, CHUNK))
        )
        self.assertEqual(len(self.told(his, CompleteFile)), 1)

    def test_who_goes_while_it_waits(self) -> None:
        data = bytes(3 * CHUNK)
        channel = self.request("carol", "bob", data)
        bob, his = self.session("bob")
        self.say(bob, AckChunks(channel.transfer, 0))  # not whole yet
        self.whole(channel, data, "carol")
        self.settle()
        self.assertEqual(len(self.told(his, CompleteFile)), 1)
        other, deaf = self.session("bob")
        deaf.room = 0
        self.say(other, AckChunks(channel.transfer, 0))
        self.settle()
        for live in (bob, other):
            live.close()
        self.settle()
        self.assertEqual((len(self.files.channels), self.files.channels.downloads), (0, {}))

    def test_who_goes_while_it_accepts(self) -> None:
        data = bytes(3 * CHUNK)
        channel = self.request("carol", "bob", data)
        self.whole(channel, data, "carol")
        bob, his = self.session("bob")
        accepting = ensureDeferred(self.hub.dispatch.handle(bob.principal, AckChunks(channel.transfer, 0)))
        self.assertNoResult(accepting)  # until its commit
        bob.close()
        his.room = 0
        self.settle()
        self.assertEqual(self.failureResultOf(accepting, ImError).value.code, ErrorCode.UNAVAILABLE)
        self.assertEqual((len(self.files.channels), self.files.channels.downloads), (0, {}))
        self.assertEqual(self.hub._running, set())
        again, heard = self.session("bob")
        self.settle()
        self.assertEqual([offer.info.transfer for offer in self.told(heard, FileOffered)], [channel.transfer])
        self.say(again, AckChunks(channel.transfer, 0))
        self.settle()
        self.assertEqual(len(self.told(heard, CompleteFile)), 1)

    def test_who_goes_while_it_is_looked_whether_the_file_is_whole(self) -> None:
        channel = self.request("carol", "bob")
        bob, _ = self.session("bob")
        looking: Deferred[None] = Deferred()
        transfer = self.files.store.transfer

        async def slow(id: str) -> Transfer | None:
            await looking
            return await transfer(id)

        self.say(bob, AckChunks(channel.transfer, 0))
        self.patch(self.files.store, "transfer", slow)
        self.files.channels.wake()
        bob.close()
        looking.callback(None)
        self.settle()
        self.assertEqual((len(self.files.channels), self.files.channels._waiting), (0, {}))
        self.assertEqual(self.hub._running, set())

    def test_who_goes_while_the_disk_has_to_take_more(self) -> None:
        size = FULL + STEP
        self.say(self.alice, OfferFile("bob", "t2", "a.bin", size, ""))
        self.blobs.held = True
        self.say(self.alice, SendChunk("t2", 0, bytes(STEP)))
        sending = ensureDeferred(
            self.hub.dispatch.handle(self.alice.principal, SendChunk("t2", STEP, bytes(FULL)))
        )
        self.assertNoResult(sending)
        self.alice.close()
        self.successResultOf(sending)
        self.blobs.release()
        self.settle()
        self.assertEqual((len(self.files.channels), self.files.channels.uploads), (0, {}))

    def test_a_download_that_is_ended_elsewhere_can_begin_again(self) -> None:
        channel = self.request("carol", "bob")
        self.whole(channel, DATA, "carol")
        bob, his = self.session("bob")
        for times in (1, 2):
            self.say(bob, AckChunks(channel.transfer, 0))
            self.settle()
            self.assertEqual(len(self.told(his, CompleteFile)), times)
            self.ask("bob", CancelTransfer(channel.transfer))
            self.assertEqual(len(self.told(his, CancelFile)), times)
            self.assertEqual((len(self.files.channels), self.files.channels.downloads), (0, {}))
        his.room = 0
        self.say(bob, AckChunks(channel.transfer, 0))
        self.ask("bob", CancelTransfer(channel.transfer))
        his.room = None
        bob.drained()
        self.settle()
        self.assertEqual((len(self.told(his, CompleteFile)), len(self.files.channels)), (2, 0))
        self.assertEqual(self.hub._running, set())

    def test_an_upload_that_is_ended_elsewhere_holds_nothing(self) -> None:
        bob, his = self.session("bob")
        for name in ("t1", "t2"):
            self.say(self.alice, OfferFile("bob", name, "a.txt", len(DATA), HASH))
            self.settle()
            offer = self.told(his, FileOffered)[-1]
            self.say(bob, CancelFile(offer.info.transfer, "no"))
            self.assertEqual(self.told(self.hers, CancelFile)[-1].transfer, name)
            self.assertEqual((len(self.files.channels), self.files.channels.uploads), (0, {}))
        self.say(self.alice, OfferFile("bob", "t3", "a.txt", len(DATA), HASH))
        self.blobs.room = 0
        self.say(self.alice, SendChunk("t3", 0, DATA))
        self.settle()
        self.assertEqual((len(self.files.channels), self.files.channels.uploads), (0, {}))
        self.blobs.room = None
        again = OfferFile("bob", "t3", "a.txt", len(DATA), HASH)
        self.assertEqual(self.say(self.alice, again), AckChunks("t3", 0))
        self.say(self.alice, SendChunk("t3", 0, DATA))
        self.assertEqual(self.say(self.alice, CompleteFile("t3")), CompleteFile("t3"))

    def test_a_session_that_ended_is_freed_at_once(self) -> None:
        mine = self.request("carol", "alice")
        self.whole(mine, DATA, "carol")

        def visit() -> None:
            live, _ = self.session("alice")
            self.say(live, OFFER)
            self.say(live, CancelFile("t1"))
            self.say(live, AckChunks(mine.transfer, 0))
            self.settle()
            live.close()
            self.settle()

        self.assertEqual(left_over(visit), {})

    def test_nonsense(self) -> None:
        for command in (SendChunk("t9", 0, b"x"), CompleteFile("t9"), AckChunks("t9", 0), CancelFile("t9")):
            self.assertEqual(self.code_of(self.alice.principal, command), ErrorCode.NOT_FOUND, command)
        self.say(self.alice, OFFER)
        self.assertEqual(self.code_of(self.alice.principal, SendChunk("t1", 5, b"x")), ErrorCode.BAD_REQUEST)
        self.assertEqual(self.code_of(self.alice.principal, CompleteFile("t1")), ErrorCode.BAD_REQUEST)
        self.assertEqual(len(self.files.channels), 0)
