"""The rules for files, over the real engine and a place for bytes in memory."""

from __future__ import annotations

import hashlib
import itertools
import json
from typing import Any

from msgspec.structs import replace
from twisted.internet.defer import Deferred, ensureDeferred, fail

from imserver.model.accounts import KickReason, Principal, SessionKicked
from imserver.model.errors import ErrorCode, ImError
from imserver.model.files import (
    AcceptFile,
    CancelTransfer,
    Channel,
    Encryption,
    FileAccepted,
    FileCancelled,
    FileDelivered,
    FileOffered,
    FileRejected,
    FileStored,
    ListTransfers,
    RejectFile,
    ReportFile,
    RequestFile,
    Role,
)
from imserver.model.groups import CreateGroup
from imserver.services.file_channels import Download
from imserver.services.file_keeping import FileKeeping
from imserver.services.file_ports import State
from imserver.services.file_rules import FileSettings, check_name
from imserver.services.file_sessions import AGAIN_SECONDS
from imserver.services.file_table import TOKENS_PER_USER, TRANSITIONS, Event, Tickets, follow
from imserver.services.file_uploads import STEP, Upload
from imserver.services.files import Files
from tests.unit.services.file_double import MemoryBlobs
from tests.unit.services.hub_world import HubCase, Peer
from tests.unit.services.world import Chance

DATA = b"0123456789" * 100
HASH = hashlib.sha256(DATA).hexdigest()
MIB = 1024 * 1024


class Sink:
    """Takes what an upload or a download has to say."""

    ended = False

    def __init__(self) -> None:
        self.kept: list[int] = []
        self.errors: list[ImError] = []

    def upload_kept(self, offset: int) -> None:
        self.kept.append(offset)

    def upload_ended(self, error: ImError) -> None:
        self.errors.append(error)

    download_ended = upload_ended


class FileCase(HubCase):
    """A hub with files."""

    settings = FileSettings(
        max_bytes=10 * MIB, user_bytes=20 * MIB, user_transfers=3, user_channels=4, channels=6
    )

    def setUp(self) -> None:
        super().setUp()
        self.wait(self.accounts.create_demo_users())
        self.blobs = MemoryBlobs()
        self.chance = Chance()
        self.files = self.make()
        self.hub.add_files(self.files)

    def make(self) -> Files:
        """The service; again, as after a restart."""
        return Files(
            self.cellar.files,
            self.blobs,
            self.cellar.store,
            self.cellar.directory,
            self.cellar.bus,
            self.hub.messages.send,
            self.hub.friends.refusal,
            self.clock,
            lambda: 1_700_000_000.0 + self.clock.seconds(),
            self.chance,
            self.hub.spawn,
            self.settings,
        )

    def who(self, user: str, format: str = "f") -> Principal:
        return Principal(user, f"s-{user}", format)

    def peer(self, user: str) -> Peer:
        """A session that listens."""
        return self.log_in(user, transfers=True)[1]

    def request(self, user: str = "alice", to: str = "bob", data: bytes = DATA, **more: Any) -> Channel:
        command = RequestFile("a.txt", len(data), hashlib.sha256(data).hexdigest(), recipient=to, **more)
        channel: Channel = self.wait(self.hub.dispatch.handle(self.who(user), command))
        return channel

    def ask(self, user: str, command: Any) -> Any:
        return self.wait(self.hub.dispatch.handle(self.who(user), command))

    def denied(self, user: str, command: Any) -> ErrorCode:
        return self.refusal(self.hub.dispatch.handle(self.who(user), command)).code

    def upload(self, channel: Channel, user: str = "alice") -> tuple[Upload, Sink]:
        sink = Sink()
        return self.wait(self.files.channels.upload(user, channel.transfer, sink)), sink

    def store(self) -> Any:
        return self.cellar.store

    def whole(self, channel: Channel, data: bytes = DATA, user: str = "alice") -> None:
        """The whole of it."""
        upload, _ = self.upload(channel, user)
        upload.feed(upload.position, data[upload.position :])
        self.wait(self.files.channels.finish(upload))

    def state(self, channel: Channel) -> State:
        transfer = self.wait(self.cellar.files.transfer(channel.transfer))
        assert transfer is not None
        state: State = transfer.state
        return state


class Transfers(FileCase):
    def test_from_the_request_to_the_last_byte(self) -> None:
        alice, bob = self.peer("alice"), self.peer("bob")
        alice.events.clear()
        channel = self.request()
        self.assertEqual((channel.role, channel.offset, channel.size), (Role.SENDER, 0, len(DATA)))
        (offer,) = bob.events
        self.assertIsInstance(offer, FileOffered)
        self.assertEqual((offer.info.sender, offer.info.name, offer.info.stored), ("alice", "a.txt", False))
        accepted = self.ask("bob", AcceptFile(channel.transfer))
        self.assertEqual((accepted.role, accepted.file), (Role.RECEIVER, channel.file))
        self.assertEqual(alice.events, [FileAccepted(channel.transfer, "bob")])
        self.whole(channel)
        self.settle()
        self.assertEqual([type(event) for event in bob.events], [FileOffered, FileStored])
        self.assertIsInstance(alice.events[-1], FileStored)
        # The message, to both.
        ((_, body),) = bob.messages
        wanted = {"file_id": channel.file, "name": "a.txt", "size": 1000, "hash": f"sha256:{HASH}"}
        self.assertEqual(json.loads(body), wanted)
        self.assertEqual(len(alice.messages), 1)
        download: Download = self.wait(self.files.channels.download("bob", channel.transfer, Sink()))
        self.assertEqual(self.wait(download.blob.read(0, 2000)), DATA)
        self.ask("bob", ReportFile(channel.transfer, 999))
        self.assertIsInstance(alice.events[-1], FileStored)
        for _ in range(2):
            self.ask("bob", ReportFile(channel.transfer, 1000))
        self.assertEqual(alice.events[-1], FileDelivered(channel.transfer, channel.file, "bob"))
        self.assertEqual(sum(isinstance(event, FileDelivered) for event in alice.events), 1)
        self.assertEqual(self.blobs.parts, {})

    def test_who_logs_in_later_is_told_until_it_is_done(self) -> None:
        first, second = self.request(client_id="1"), self.request(client_id="2")
        self.whole(first)
        self.settle()
        bob = self.peer("bob")
        self.settle()
        offers = [event for event in bob.events if isinstance(event, FileOffered)]
        self.assertEqual([offer.info.transfer for offer in offers], [first.transfer, second.transfer])
        self.assertEqual([offer.info.stored for offer in offers], [True, False])
        self.ask("bob", ReportFile(first.transfer))
        self.ask("bob", RejectFile(second.transfer))
        again = self.peer("bob")
        self.settle()
        self.assertEqual([event for event in again.events if isinstance(event, FileOffered)], [])

    def test_who_logs_in_while_the_store_is_away_is_told_when_it_is_back(self) -> None:
        channel = self.request()
        away = ImError(ErrorCode.UNAVAILABLE, "the message store did not answer")
        self.patch(self.cellar.files, "offers", lambda user, limit: fail(away))
        stays, goes = self.peer("bob"), self.peer("bob")
        self.settle()
        (session,) = [one for one in self.hub.registry.of("bob") if one.receiver is goes]
        session.close()
        self.assertEqual(stays.events, [])
        del self.cellar.files.offers
        self.settle()
        self.clock.advance(AGAIN_SECONDS)
        self.settle()
        offers = [event for event in stays.events if isinstance(event, FileOffered)]
        self.assertEqual([offer.info.transfer for offer in offers], [channel.transfer])
        self.assertEqual(goes.events, [])
        self.clock.advance(AGAIN_SECONDS)
        self.assertEqual(len(stays.events), len(offers))

    def test_a_refusal_for_good_is_not_asked_again(self) -> None:
        self.request()
        asked: list[str] = []

        def refuse(user: str, limit: int) -> Deferred[None]:
            asked.append(user)
            return fail(ImError(ErrorCode.FORBIDDEN, "no"))

        self.patch(self.cellar.files, "offers", refuse)
        bob = self.peer("bob")
        self.clock.advance(AGAIN_SECONDS)
        self.settle()
        self.assertEqual(asked, ["bob"])
        self.assertEqual(bob.events, [])

    def test_a_rejection_ends_the_upload(self) -> None:
        alice = self.peer("alice")
        channel = self.request()
        upload, sink = self.upload(channel)
        upload.feed(0, DATA[:10])
        self.ask("bob", RejectFile(channel.transfer, "no room"))
        self.assertEqual(alice.events, [FileRejected(channel.transfer, "bob", "no room")])
        self.assertEqual([error.code for error in sink.errors], [ErrorCode.NOT_FOUND])
        self.assertRaises(ImError, upload.feed, 10, b"x")
        self.assertEqual((self.state(channel), self.blobs.parts), (State.REJECTED, {}))
        self.assertEqual(self.denied("bob", AcceptFile(channel.transfer)), ErrorCode.NOT_FOUND)
        self.ask("bob", RejectFile(channel.transfer))  # the same answer
        self.assertEqual(self.denied("alice", CancelTransfer(channel.transfer)), ErrorCode.NOT_FOUND)

    def test_a_cancelled_transfer_is_told_and_gone(self) -> None:
        bob = self.peer("bob")
        channel = self.request()
        download = ensureDeferred(self.files.channels.download("bob", channel.transfer, Sink()))
        self.settle()
        self.assertNoResult(download)
        self.ask("alice", CancelTransfer(channel.transfer, "wrong file"))
        self.failureResultOf(download, ImError)
        self.assertEqual(bob.events[-1], FileCancelled(channel.transfer, "alice", "wrong file"))
        self.assertEqual(self.state(channel), State.CANCELLED)
        self.ask("alice", CancelTransfer(channel.transfer))

    def test_a_waiting_recipient_goes_on_when_it_is_whole(self) -> None:
        channel = self.request()
        download = ensureDeferred(self.files.channels.download("bob", channel.transfer, Sink()))
        self.settle()
        self.assertNoResult(download)
        self.whole(channel)
        self.settle()
        self.assertEqual(self.successResultOf(download).transfer.sha256, HASH)

    def test_what_is_not_the_file_begins_again(self) -> None:
        channel = self.request()
        upload, _ = self.upload(channel)
        upload.feed(0, DATA[:-1] + b"x")
        error = self.refusal(self.files.channels.finish(upload))
        self.assertEqual(error.code, ErrorCode.CONFLICT)
        self.assertEqual(self.request(resume=channel.transfer).offset, 0)
        self.assertEqual(self.state(channel), State.OPEN)
        self.whole(channel)
        self.assertEqual(self.state(channel), State.STORED)

    def test_a_known_hash_shortens_nothing(self) -> None:
        self.whole(self.request(client_id="1"))
        channel = self.request("carol", "bob", client_id="1")
        self.assertEqual(channel.offset, 0)
        self.assertEqual(self.refusal(self.files.channels.finish(self.upload(channel, "carol")[0])).code,
                         ErrorCode.BAD_REQUEST)  # fmt: skip

    def test_in_a_group_everybody_decides_for_itself(self) -> None:
        alice, bob = self.peer("alice"), self.peer("bob")
        self.ask("alice", CreateGroup("team", members=("bob", "carol")))
        alice.events.clear()
        bob.events.clear()
        channel = self.wait(
            self.hub.dispatch.handle(self.who("alice"), RequestFile("a", 1000, HASH, group="team"))
        )
        self.assertIsInstance(bob.events[0], FileOffered)
        self.ask("bob", RejectFile(channel.transfer))
        self.assertEqual(self.state(channel), State.OPEN)
        self.whole(channel)
        self.ask("carol", AcceptFile(channel.transfer))
        self.assertEqual(self.denied("dave", AcceptFile(channel.transfer)), ErrorCode.NOT_FOUND)
        self.settle()
        self.assertEqual(len(bob.messages), 1)

    def test_nobody_else_may(self) -> None:
        channel = self.request()
        for command in (
            AcceptFile(channel.transfer),
            RejectFile(channel.transfer),
            CancelTransfer(channel.transfer),
            ReportFile(channel.transfer),
            RequestFile("a.txt", 1000, HASH, recipient="bob", resume=channel.transfer),
            AcceptFile(file=channel.file),  # it is not whole
            AcceptFile("tr-unknown"),
            AcceptFile(file="f-unknown"),
        ):
            self.assertEqual(self.denied("carol", command), ErrorCode.NOT_FOUND, command)
        self.refusal(self.files.channels.upload("bob", channel.transfer, Sink()))
        self.assertEqual(self.denied("alice", RejectFile(channel.transfer)), ErrorCode.FORBIDDEN)
        self.whole(channel)
        # The id of the whole file is the right to read it.
        self.assertEqual(self.ask("carol", AcceptFile(file=channel.file)).transfer, channel.transfer)
        self.assertEqual(self.denied("alice", CancelTransfer(channel.transfer)), ErrorCode.CONFLICT)

    def test_lists(self) -> None:
        ids: list[str] = []
        for number in range(3):
            channel = self.request(client_id=str(number))
            self.whole(channel)
            ids.insert(0, channel.transfer)
        page = self.ask("bob", ListTransfers(limit=2))
        self.assertEqual([one.transfer for one in page.transfers], ids[:2])
        rest = self.ask("alice", ListTransfers(page.next_cursor, 2))
        self.assertEqual(([one.transfer for one in rest.transfers], rest.next_cursor), (ids[2:], ""))
        self.assertEqual(self.ask("carol", ListTransfers()).transfers, [])
        self.assertEqual(self.denied("bob", ListTransfers("x")), ErrorCode.BAD_REQUEST)


class Resuming(FileCase):
    def test_the_same_request_is_the_same_transfer(self) -> None:
        channel = self.request(client_id="1")
        self.assertEqual(self.request(client_id="1").transfer, channel.transfer)
        self.assertNotEqual(self.request(client_id="2").transfer, channel.transfer)
        other = RequestFile("b.txt", 1000, HASH, recipient="bob", client_id="1")
        self.assertEqual(self.denied("alice", other), ErrorCode.CONFLICT)
        elsewhere = RequestFile("a.txt", 1000, HASH, recipient="carol", client_id="1")
        self.assertEqual(self.denied("alice", elsewhere), ErrorCode.CONFLICT)
        # Whole: the same is the same still, another one is a new one.
        self.whole(channel)
        self.assertEqual(self.request(client_id="1").offset, 1000)
        third = self.ask("alice", other)
        self.assertNotEqual(third.transfer, channel.transfer)
        self.assertEqual(self.ask("alice", other).transfer, third.transfer)
        # Over: even the same is a new one.
        self.ask("bob", RejectFile(third.transfer))
        self.assertNotEqual(self.ask("alice", other).transfer, third.transfer)

    def test_an_empty_file_is_a_file(self) -> None:
        channel = self.request(data=b"")
        self.whole(channel, b"")
        download: Download = self.wait(self.files.channels.download("bob", channel.transfer, Sink()))
        self.assertEqual(self.wait(download.blob.read(0, 5)), b"")

    def test_a_restart_goes_on_at_what_is_synced(self) -> None:
        channel = self.request()
        upload, sink = self.upload(channel)
        upload.feed(0, DATA[:400])
        self.wait(upload.flush())
        self.assertEqual(sink.kept, [400])
        self.blobs.held = True
        upload.feed(400, DATA[400:500])
        self.files = self.make()  # what was not synced is lost with the process
        self.hub.dispatch._handlers.clear()
        self.hub.add_files(self.files)
        again = self.request(resume=channel.transfer)
        self.assertEqual((again.transfer, again.offset), (channel.transfer, 400))
        self.blobs.release()
        self.blobs.parts[channel.transfer] = DATA[:400]
        self.whole(again)
        self.assertEqual(self.state(channel), State.STORED)

    def test_the_answer_to_the_end_may_be_asked_for_again(self) -> None:
        channel = self.request()
        self.whole(channel)
        again = self.request(resume=channel.transfer)
        self.assertEqual(again.offset, 1000)
        upload, _ = self.upload(again)
        self.assertEqual(upload.position, 1000)
        self.assertEqual(self.wait(self.files.channels.finish(upload, HASH)).sha256, HASH)

    def test_a_newer_channel_takes_over(self) -> None:
        channel = self.request()
        first, sink = self.upload(channel)
        first.feed(0, DATA[:300])
        second, _ = self.upload(channel)
        self.assertEqual([error.code for error in sink.errors], [ErrorCode.CONFLICT])
        self.assertIn(second.position, (0, 300))
        self.refusal(self.files.channels.finish(first))
        self.wait(self.files.channels.close_upload(first))
        second.feed(second.position, DATA[second.position :])
        self.wait(self.files.channels.finish(second))
        self.assertEqual(self.state(channel), State.STORED)

    def test_the_message_is_sent_once_whatever_happens(self) -> None:
        bob = self.peer("bob")
        channel = self.request()
        self.committer.failures = 0
        send = self.files.news._send

        async def away(principal: Principal, command: Any) -> Any:
            raise ImError(ErrorCode.UNAVAILABLE, "the disk is full")

        self.files.news._send = away
        self.whole(channel)
        self.settle()
        self.assertEqual(bob.messages, [])
        self.files.news._send = send
        keeping = FileKeeping(self.files)
        for _ in range(3):
            self.wait(keeping.send_messages())
        self.assertEqual(len(bob.messages), 1)
        transfer = self.wait(self.cellar.files.transfer(channel.transfer))
        # As after a crash between the message and the note of it.
        self.wait(self.files.news.send_message(transfer))
        self.assertEqual(len(bob.messages), 1)

    def test_a_store_that_goes_away_behind_the_message_is_no_fault(self) -> None:
        """It cannot be noted that it was sent; it is sent again, which adds nothing."""
        bob = self.peer("bob")
        channel = self.request()
        store = self.files.news._store
        move = store.move_transfer

        async def away(id: str, *states: Any, **fields: Any) -> Any:
            if "message_id" in fields:
                raise ImError(ErrorCode.UNAVAILABLE, "the server is going down")
            return await move(id, *states, **fields)

        store.move_transfer = away  # type: ignore[assignment,method-assign]
        self.whole(channel)
        self.settle()
        self.assertEqual(self.flushLoggedErrors(), [])
        store.move_transfer = move  # type: ignore[method-assign]
        self.wait(FileKeeping(self.files).send_messages())
        self.assertEqual(len(bob.messages), 1)
        transfer = self.wait(self.cellar.files.transfer(channel.transfer))
        self.assertTrue(transfer.message_id)


class Kicked(FileCase):
    def test_who_is_let_in_no_more_moves_no_bytes(self) -> None:
        mine, theirs = self.request(), self.request("carol")
        self.whole(theirs, user="carol")
        upload, sink = self.upload(mine)
        upload.feed(0, DATA[:5])
        reader = Sink()
        self.wait(self.files.channels.download("alice", theirs.transfer, reader))
        other = Sink()
        self.wait(self.files.channels.download("bob", theirs.transfer, other))
        # A log-out of another device is none of theirs.
        self.cellar.bus.kick("alice", SessionKicked(KickReason.ACCOUNT, "logged out"), sid="another")
        self.files.channels.check(mine.token, mine.transfer, "sender")
        self.assertEqual(sink.errors + reader.errors, [])
        self.cellar.bus.kick("alice", SessionKicked(KickReason.ACCOUNT, "disabled"))
        self.settle()
        for told in (sink, reader):
            self.assertEqual([error.code for error in told.errors], [ErrorCode.AUTH_FAILED])
        self.assertEqual(other.errors, [])
        self.assertRaises(ImError, self.files.channels.check, mine.token, mine.transfer, "sender")
        self.files.channels.check(theirs.token, theirs.transfer, "sender")
        self.assertEqual(self.state(mine), State.OPEN)

    def test_nor_waits_for_bytes(self) -> None:
        channels, id = self.files.channels, self.request().transfer
        first, second, third, other = [
            ensureDeferred(channels.download(user, id, Sink(), sid))
            for user, sid in (("bob", "1"), ("bob", "2"), ("bob", "3"), ("carol", "1"))
        ]
        self.settle()
        self.cellar.bus.kick("bob", SessionKicked(KickReason.ACCOUNT, "logged out"), sid="1")
        self.assertEqual(self.failureResultOf(first, ImError).value.code, ErrorCode.AUTH_FAILED)
        self.assertNoResult(second)
        self.cellar.bus.kick("bob", SessionKicked(KickReason.ACCOUNT, "disabled"))
        for waiting in (second, third):
            self.assertEqual(self.failureResultOf(waiting, ImError).value.code, ErrorCode.AUTH_FAILED)
        self.assertNoResult(other)
        channels.end_downloads(id, "carol")
        self.assertEqual(self.failureResultOf(other, ImError).value.code, ErrorCode.NOT_FOUND)
        self.assertEqual(channels._waiting, {})


class Feeding(FileCase):
    def test_bytes_come_in_order_and_no_more_than_announced(self) -> None:
        upload, _ = self.upload(self.request())
        upload.feed(0, DATA[:10])
        for offset, data in ((0, b"x"), (9, b"x"), (11, b"x"), (10, DATA)):
            error = self.assertRaises(ImError, upload.feed, offset, data)
            self.assertEqual(error.code, ErrorCode.BAD_REQUEST)
        self.assertEqual(upload.position, 10)

    def test_acknowledged_at_least_every_mebibyte_and_soon(self) -> None:
        data = bytes(9 * MIB)
        upload, sink = self.upload(self.request(data=data))
        for offset in range(0, 8 * MIB, 65536):
            upload.feed(offset, data[:65536])
            self.settle()
        self.assertEqual(sink.kept, list(range(STEP, 8 * MIB + 1, STEP)))
        upload.feed(8 * MIB, b"x")
        self.assertEqual(sink.kept[-1], 8 * MIB)
        self.clock.advance(0.2)
        self.assertEqual(sink.kept[-1], 8 * MIB + 1)

    def test_what_came_in_meanwhile_is_not_acknowledged(self) -> None:
        data = bytes(2 * MIB)
        upload, sink = self.upload(self.request(data=data))
        self.blobs.held = True
        upload.feed(0, data[:STEP])
        upload.feed(STEP, data[:STEP])
        (first,) = self.blobs.waiting
        self.blobs.waiting.clear()
        first.callback(None)
        self.assertEqual((sink.kept, len(self.blobs.waiting)), ([STEP], 1))

    def test_no_more_than_two_mebibytes_wait(self) -> None:
        data = bytes(9 * MIB)
        upload, sink = self.upload(self.request(data=data))
        self.blobs.held = True
        fed = 0
        while not upload.full:
            upload.feed(fed, data[:65_000])
            fed += 65_000
        self.assertLessEqual(fed, 2 * MIB)
        self.assertEqual(sink.kept, [])
        self.blobs.release()
        self.settle()
        self.assertFalse(upload.full)
        self.assertEqual(sink.kept[-1], fed)
        self.assertLessEqual(self.blobs.largest, MIB)

    def test_a_full_disk_loses_nothing_that_was_told(self) -> None:
        channel = self.request()
        upload, sink = self.upload(channel)
        upload.feed(0, DATA[:300])
        self.wait(upload.flush())
        self.blobs.room = 100
        upload.feed(300, DATA[300:])
        self.assertEqual(self.refusal(upload.flush()).code, ErrorCode.UNAVAILABLE)
        self.assertEqual(([error.retryable for error in sink.errors], sink.kept), ([True], [300]))
        self.wait(self.files.channels.close_upload(upload))
        self.blobs.room = None
        again = self.request(resume=channel.transfer)
        self.assertEqual(again.offset, 300)
        self.whole(again)
        self.assertEqual(self.state(channel), State.STORED)

    def test_going_down_keeps_what_is_synced(self) -> None:
        channel = self.request()
        upload, sink = self.upload(channel)
        upload.feed(0, DATA[:300])
        self.wait(upload.flush())
        self.wait(self.files.close())
        self.assertEqual([error.code for error in sink.errors], [ErrorCode.UNAVAILABLE])
        self.refusal(self.files.channels.upload("alice", channel.transfer, Sink()))
        self.assertRaises(ImError, self.files.channels.enter, "alice")
        self.assertEqual(self.blobs.parts[channel.transfer], DATA[:300])


class Limits(FileCase):
    def test_names(self) -> None:
        for name in ("a", "张三 (1).pdf", "a" * 255, ".profile", "a..b", "CON", "-rf"):
            check_name(name)
        hostile = ["", ".", "..", "/", "a/b", "../a", "a\\b", "..\\a", "a\0", "a\n", "a\x7f", "\u202egpj.exe"]
        for name in (*hostile, " a", "a ", "a" * 256, "é" * 128, "\ud800", "a\u2028b"):
            self.assertEqual(
                self.assertRaises(ImError, check_name, name).code, ErrorCode.BAD_REQUEST, repr(name)
            )

    def test_requests(self) -> None:
        for fields, code in (
            ({"size": -1}, ErrorCode.BAD_REQUEST),
            ({"size": 10 * MIB + 1}, ErrorCode.TOO_LARGE),
            ({"sha256": "x" * 64}, ErrorCode.BAD_REQUEST),
            ({"sha256": HASH.upper()}, ErrorCode.BAD_REQUEST),
            ({"sha256": HASH[:-1]}, ErrorCode.BAD_REQUEST),
            ({"recipient": "nobody"}, ErrorCode.USER_NOT_FOUND),
            ({"recipient": "", "group": "none"}, ErrorCode.CONVERSATION_NOT_FOUND),
            ({"group": "demo"}, ErrorCode.BAD_REQUEST),
            ({"resume": "tr-1"}, ErrorCode.NOT_FOUND),
        ):
            given: dict[str, Any] = {"name": "a", "size": 5, "recipient": "bob", **fields}
            self.assertEqual(self.denied("alice", RequestFile(**given)), code, fields)

    def test_quotas(self) -> None:
        def more(number: int, size: int) -> RequestFile:
            return RequestFile("a", size, recipient="bob", client_id=str(number))

        self.ask("alice", more(1, 10 * MIB))
        self.ask("alice", more(2, 10 * MIB))
        self.assertEqual(self.denied("alice", more(3, 1)), ErrorCode.TOO_LARGE)
        self.ask("alice", more(3, 0))
        self.assertEqual(self.denied("alice", more(4, 0)), ErrorCode.TOO_FAST)
        self.ask("carol", more(4, 1))  # it is somebody else's
        self.ask("alice", CancelTransfer(self.ask("alice", more(1, 10 * MIB)).transfer))
        self.ask("alice", more(4, 5))

    def test_channels_at_a_time(self) -> None:
        channels = self.files.channels
        for _ in range(4):
            channels.enter("alice")
        self.assertEqual(self.assertRaises(ImError, channels.enter, "alice").code, ErrorCode.TOO_FAST)
        channels.enter("bob")
        channels.enter("carol")
        self.assertEqual(self.assertRaises(ImError, channels.enter, "dave").code, ErrorCode.TOO_FAST)
        channels.leave("alice")
        channels.enter("dave")


class Places(FileCase):
    """Where clients are told that the file channel is: plain and TLS."""

    def told(self, ports: tuple[int, int], **settings: Any) -> tuple[str, int, int, str]:
        self.files.ports, self.files.settings = ports, replace(self.settings, **settings)
        channel = self.request(client_id="c")
        return channel.host, channel.port, channel.tls_port, channel.protocol

    def test_all(self) -> None:
        self.assertEqual(self.told((0, 0)), ("", 0, 0, ""))
        self.assertEqual(self.told((9500, 0)), ("", 9500, 0, ""))
        self.assertEqual(self.told((9500, 9501)), ("", 9500, 9501, ""))
        public: Any = {"host": "files", "port": 443}
        self.assertEqual(self.told((9500, 0), **public), ("files", 443, 0, ""))
        # TLS ends before this server, whose sessions are not TLS for it.
        self.assertEqual(self.told((9500, 0), **public, protocol="tls"), ("files", 443, 443, "tls"))
        self.assertEqual(self.told((9500, 0), protocol="tls"), ("", 9500, 9500, "tls"))
        self.assertEqual(self.told((0, 0), **public, protocol="tls"), ("files", 0, 0, "tls"))


class FewFiles(FileCase):
    settings = FileSettings(user_files=2)

    def test_how_many(self) -> None:
        for number in (1, 2):
            self.whole(self.request(data=b"", client_id=str(number)), b"")
        one_more = RequestFile("a", 0, recipient="bob", client_id="3")
        self.assertEqual(self.denied("alice", one_more), ErrorCode.TOO_LARGE)


class Time(FileCase):
    def test_after_thirty_days_it_is_gone(self) -> None:
        channel, upload_only = self.request(client_id="1"), self.request(client_id="2")
        self.whole(channel)
        upload, sink = self.upload(upload_only)
        upload.feed(0, DATA[:5])
        keeping = FileKeeping(self.files)
        sink_of_download = Sink()
        self.wait(self.files.channels.download("bob", channel.transfer, sink_of_download))
        now = 1_700_000_000.0 + self.clock.seconds()
        self.wait(keeping.round(now + 29 * 86400))
        self.assertEqual((self.state(channel), sink.errors), (State.STORED, []))
        self.wait(keeping.round(now + 31 * 86400))
        self.assertEqual((self.state(channel), self.state(upload_only)), (State.EXPIRED, State.EXPIRED))
        self.assertEqual((len(sink.errors), len(sink_of_download.errors)), (1, 1))
        self.assertEqual(self.denied("bob", AcceptFile(file=channel.file)), ErrorCode.NOT_FOUND)
        self.assertEqual(self.denied("bob", AcceptFile(channel.transfer)), ErrorCode.NOT_FOUND)
        self.wait(keeping.round(now + 31 * 86400))
        self.assertEqual((self.blobs.blobs, self.blobs.parts), ({}, {}))
        self.wait(keeping.round(now + 61 * 86400))
        self.assertIsNone(self.wait(self.cellar.files.transfer(channel.transfer)))

    def test_bytes_stay_as_long_as_anybody_refers_to_them(self) -> None:
        first = self.request(client_id="1")
        self.whole(first)
        self.clock.advance(20 * 86400)
        second = self.request("carol", "bob")
        self.whole(second, user="carol")
        keeping = FileKeeping(self.files)
        for days in (31, 31, 31):
            self.wait(keeping.round(1_700_000_000.0 + days * 86400))
        self.assertEqual(self.blobs.blobs, {HASH: DATA})
        for days in (51, 51, 51):
            self.wait(keeping.round(1_700_000_000.0 + days * 86400))
        self.assertEqual(self.blobs.blobs, {})

    def test_bytes_that_are_sent_again_while_they_are_taken_away(self) -> None:
        """The round found that nobody refers to them; by now somebody does."""
        self.blobs.blobs[HASH] = DATA
        keeping = FileKeeping(self.files)
        self.wait(keeping.round(1_700_000_000.0))
        listing, store = self.blobs.listing, self.cellar.files
        channel = self.request()
        upload, _ = self.upload(channel)
        upload.feed(0, DATA)
        self.settle()
        finished: list[Any] = []

        async def kept(hashes: Any, parts: Any) -> Any:
            """The first answer is given; before anything is done about it, the upload ends."""
            found = await type(store).kept(store, hashes, parts)
            if not finished:
                finished.append(ensureDeferred(self.files.channels.finish(upload)))
                self.settle()
            return found

        self.patch(store, "kept", kept)
        self.wait(keeping.round(1_700_000_000.0))
        self.successResultOf(finished[0])
        self.assertEqual(self.state(channel), State.STORED)
        self.assertEqual(self.blobs.blobs, {HASH: DATA})
        self.assertEqual(self.wait(listing())[0], {HASH})

    def test_a_blob_is_not_taken_away_between_its_bytes_and_its_record(self) -> None:
        self.blobs.blobs[HASH] = DATA
        store = self.cellar.files
        taken: list[Any] = []

        async def move(*values: Any, **more: Any) -> Any:
            if not taken:
                taken.append(ensureDeferred(self.files.channels.shelf.take_away(HASH)))
                self.settle()
            return await type(store).move_transfer(store, *values, **more)

        self.patch(store, "move_transfer", move)
        self.whole(self.request())
        self.successResultOf(taken[0])
        self.assertEqual(self.blobs.blobs, {HASH: DATA})
        self.assertEqual(self.files.channels.shelf._locks, {})

    def test_what_has_no_record_goes_after_two_rounds(self) -> None:
        self.blobs.blobs["ab"] = b"lost"
        self.blobs.parts["tr-lost"] = b"lost"
        keeping = FileKeeping(self.files)
        self.wait(keeping.round(1_700_000_000.0))
        self.assertEqual((set(self.blobs.blobs), set(self.blobs.parts)), ({"ab"}, {"tr-lost"}))
        self.wait(keeping.round(1_700_000_000.0))
        self.assertEqual((self.blobs.blobs, self.blobs.parts), ({}, {}))

    def test_unless_it_may_be_another_servers(self) -> None:
        self.blobs.blobs["ab"] = b"another's"
        self.blobs.parts["tr-other"] = b"another's"
        keeping = FileKeeping(self.files, collects=False)
        for _ in range(3):
            self.wait(keeping.round(1_700_000_000.0))
        self.assertEqual((set(self.blobs.blobs), set(self.blobs.parts)), ({"ab"}, {"tr-other"}))

    def test_channel_tokens(self) -> None:
        channel = self.request(encryption=Encryption.AES_GCM)
        check = self.files.channels.check
        for _ in range(2):
            ticket = check(channel.token, channel.transfer, "sender")
            self.assertEqual((ticket.user, ticket.key), ("alice", channel.key))
        self.assertEqual(len(channel.key), 32)
        for token, transfer, role in (
            (channel.token, channel.transfer, "receiver"),
            (channel.token, "tr-other", "sender"),
            (channel.token[:-1], channel.transfer, "sender"),
            ("", channel.transfer, "sender"),
        ):
            error = self.assertRaises(ImError, check, token, transfer, role)
            self.assertEqual(error.code, ErrorCode.AUTH_FAILED)
        self.clock.advance(599)
        check(channel.token, channel.transfer, "sender")
        self.clock.advance(2)
        self.assertRaises(ImError, check, channel.token, channel.transfer, "sender")
        self.files.tickets.sweep()
        self.assertEqual(len(self.files.tickets), 0)

    def test_tokens_are_bounded(self) -> None:
        tickets = Tickets(self.clock.seconds, Chance())
        tokens = [tickets.issue("alice", "t", Role.SENDER, False)[0] for _ in range(TOKENS_PER_USER + 5)]
        self.assertEqual(len(tickets), TOKENS_PER_USER)
        self.assertRaises(ImError, tickets.check, tokens[4], "t", "sender")
        tickets.check(tokens[5], "t", "sender")
        tickets.forget_transfer("t")
        self.assertEqual(len(tickets), 0)


class Table(FileCase):
    def test_every_state_and_event(self) -> None:
        told = {}
        for state, event in itertools.product(State, Event):
            try:
                told[state, event] = follow(state, event)
            except ImError as error:
                wanted = ErrorCode.CONFLICT if state is State.STORED else ErrorCode.NOT_FOUND
                self.assertEqual(error.code, wanted)
        self.assertEqual(told, TRANSITIONS)
