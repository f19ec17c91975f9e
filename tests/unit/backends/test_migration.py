"""A store goes from SQLite to a real Redis and back: everything is the same, and both go on from there."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
import time
from collections.abc import Awaitable
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Any, TypeVar

from twisted.internet.defer import Deferred, ensureDeferred
from twisted.trial.unittest import SynchronousTestCase

from imserver.backends.common import portable
from imserver.backends.embedded import EmbeddedCellar, EngineSettings, client_ids, import_rows
from imserver.backends.embedded.database import DATABASE_NAME, FileDatabase, connect
from imserver.backends.embedded.exporting import SqliteSource
from imserver.backends.embedded.importing import SqliteTarget
from imserver.backends.embedded.memory import deterministic_cellar
from imserver.backends.embedded.verify import verify
from imserver.backends.files.disk import blob_path
from imserver.backends.redis import importing
from imserver.backends.redis.cellar import Place, RedisCellar
from imserver.backends.redis.connection import Greeting, at
from imserver.backends.redis.link import Redis
from imserver.backends.redis.settings import LinkSettings, StoreSettings
from imserver.cli.comparing import Sums
from imserver.cli.errors import REFUSED, UNREACHABLE, CommandError
from imserver.cli.migration import Migration, Result
from imserver.config import Configuration
from imserver.config.limits import FileLimits
from imserver.model.accounts import Grant, Principal, Role
from imserver.model.call_records import CallRecord
from imserver.model.calls import Ending
from imserver.model.errors import ErrorCode, ImError
from imserver.model.files import Kind
from imserver.model.friends import RequestFriend
from imserver.model.messages import (
    Content,
    Form,
    MarkRead,
    MessageAccepted,
    ReadHistory,
    RevokeMessage,
    SendMessage,
)
from imserver.services.file_ports import Delivery, FileStore, State, Transfer, Usage
from imserver.services.ports.friends import FriendLimits
from tests.contracts.cellar_case import BIG, CellarCase, Recorder
from tests.redis.link_case import LinkCase

T = TypeVar("T")
USERS = ("alice", "bob", "carol", "dave", "zoë", "Ünal", "b_c", "a_b")
PATIENT = LinkSettings(timeout=60.0)
HOUR = 3600.0
HASHES = {
    name: sha256(name.encode()).hexdigest()
    for name in ("open", "waits", "accepted", "refused", "fetched", "untold", "nobody", "group", "note")
}


class Opened(CellarCase):
    """Speaks to a cellar of either engine; mixed in."""

    def begin(self, cellar: Any) -> None:
        """From now on it is this one."""
        self.cellar = cellar
        self.sink = Recorder()
        cellar.store.attach(self.sink)

    def told(self, user: str, text: str, *, format: str = "protobuf", **target: Any) -> MessageAccepted:
        """Sends a text; what its sender is told."""
        self._ticket = getattr(self, "_ticket", 0) + 1
        ticket = self._ticket
        role = Role.ADMIN if target.get("broadcast") else Role.USER
        principal = Principal(user, "s", format, "d", role=role)
        self.cellar.store.append(principal, SendMessage(Content(Form.TEXT, text.encode()), **target), ticket)
        self.settle()
        return self.accepted(ticket)


class MigrationCase(Opened, LinkCase):
    """Has a directory, and an empty Redis."""

    def setUp(self) -> None:
        LinkCase.setUp(self)
        link = self.make_link()
        link.start()
        self.pump.until(lambda: link.connected)
        self.wait_for(link.call("FLUSHALL"))
        self.link = link
        self.addCleanup(self._stop, link)
        self.folder = Path(tempfile.mkdtemp(prefix="imserver-test-"))
        self.addCleanup(shutil.rmtree, self.folder)
        self.wall = time.time() - 10 * HOUR
        self.progress: list[tuple[str, int, int]] = []

    def settle(self) -> None:
        """See CellarCase."""
        for _ in range(20):
            self.pump.turn()
        if isinstance(self.cellar, RedisCellar):
            cellar = self.cellar
            self.pump.until(lambda: not cellar.redis.waiting and not self.pump.due())

    def wait_for(self, awaitable: Awaitable[T], *, run_clock: bool = True) -> T:
        """See CellarCase."""
        return LinkCase.wait_for(self, awaitable, run_clock=run_clock)

    def time(self) -> float:
        """Goes on with each question, so that messages have times of their own."""
        self.wall += 0.5
        return min(self.wall, time.time())

    # The engines

    def open_sqlite(self, name: str, **settings: Any) -> EmbeddedCellar:
        cellar = deterministic_cellar(
            self.clock,
            database=FileDatabase(self.folder / name),
            settings=EngineSettings(**settings),
            wall=self.time,
            random_bytes=Random(7).randbytes,
        )
        cellar.open()
        self.begin(cellar)
        return cellar

    def open_redis(self, node: str = "n1") -> RedisCellar:
        cellar = RedisCellar(
            Place(at(self.pump.endpoint(self.server.port)), prefix="t:"),
            node,
            self.clock,
            time.monotonic,
            time.time,
            Random(8).randbytes,
            link=PATIENT,
            settings=StoreSettings(),
        )
        self.wait_for(cellar.open())
        self.begin(cellar)
        return cellar

    def migration(self, name: str, link: LinkSettings = PATIENT) -> Migration:
        """One between a directory and the Redis."""
        (self.folder / name).mkdir(exist_ok=True)
        place = Place(at(self.pump.endpoint(self.server.port)), Greeting(), "t:")

        def tell(what: str, done: int, total: int) -> None:
            self.progress.append((what, done, total))

        settings = Configuration(files=FileLimits(directory=str(self.folder / "files")))
        return Migration(self.folder / name, settings, place, link, self.clock, tell)

    def to_redis(self, name: str) -> Result:
        return self.wait_for(self.migration(name).to_redis())

    def to_sqlite(self, name: str) -> Result:
        return self.wait_for(self.migration(name).to_sqlite())

    def verified(self, name: str) -> list[str]:
        """The faults of a directory; the bytes of files are in one that all share."""
        return verify(self.folder / name, blobs=self.folder / "files" / "blobs")

    def command_error(self, work: Awaitable[Any]) -> CommandError:
        try:
            self.wait_for(work)
        except CommandError as error:
            return error
        raise AssertionError("it was done")

    def sums(self, name: str) -> tuple[Sums, list[portable.Thing]]:
        """What is in a directory."""
        with closing(connect(self.folder / name / DATABASE_NAME, read_only=True)) as connection:
            source = SqliteSource(connection)
            sums, things = Sums(), []

            async def read() -> None:
                async for thing in source.everything():
                    sums.add(thing)
                    things.append(thing)

            self.wait_for(ensureDeferred(read()))
            return sums, things

    # A life

    def live(self) -> dict[str, MessageAccepted]:
        """Something of everything. Returns answers by client ids that are to be given again."""
        store, directory = self.cellar.store, self.cellar.directory
        self.add_users(*USERS)
        self.wait_for(directory.change_account("dave", password_hash="$argon2$x", disabled=True))
        self.wait_for(directory.change_account("bob", role=Role.ADMIN))
        directory.seen("bob", 1_700_000_000.25)
        self.wait_for(directory.create_grant(Grant("sid1", "alice", "Web", "r1", 1.5, time.time() + 9e5)))
        self.wait_for(directory.create_grant(Grant("sid2", "alice", "iOS", "r2", 2.5, time.time() + 9e5)))
        self.wait_for(directory.rotate_grant("sid1", "r1", "r3", "dig", 3.5, time.time() + 9e5))
        self.wait_for(directory.revoke_grants("alice", "sid2"))
        answers = {}
        self.add_group("g1", "alice", "bob", "carol")
        self.add_group("gone", "bob", "alice")
        self.wait_for(
            directory.create_group("demo", "demo", "zoë", False, "$pw$", ("Ünal",), 1.0, encrypted=True)
        )
        for number in range(5):
            answers[f"a{number}"] = self.told("alice", f"t{number}", recipient="bob", client_id=f"a{number}")
            self.told("bob", f"r{number}", format="jsonline", group="g1", client_id=f"a{number}")
        self.told("alice", "note", recipient="alice")
        self.told("a_b", "x", recipient="b_c", conversation="mine")
        self.told("b_c", "y", recipient="alice", conversation="mine")
        self.told("zoë", "ü", recipient="Ünal", extra={"k": "ß"}, attachments=b"[1]", meta=b'{"b":1,"a":2}')
        self.wait_for(directory.remove_member("g1", "carol", 5.0))
        self.told("alice", "without carol", group="g1")
        self.wait_for(directory.add_member("g1", "carol", 6.0))
        self.told("alice", "with carol", group="g1")
        self.wait_for(directory.remove_member("g1", "alice", 7.0))
        self.wait_for(directory.invite("g1", "dave", "bob", 8.0))
        self.told("bob", "last words", group="gone")
        self.wait_for(directory.delete_group("gone"))
        self.told("bob", "to all", broadcast=True, client_id="all")
        self.later_until_fanned_out()
        revoked = self.told("carol", "secret", recipient="bob", client_id="rev")
        carol, bob = Principal("carol", "s", "jsonline", "d"), Principal("bob", "s", "jsonline", "d")
        self.wait_for(store.revoke(carol, RevokeMessage(revoked.message_id), 1e9))
        self.wait_for(store.mark_read(bob, MarkRead((answers["a1"].message_id,))))
        zoe = Principal("zoë", "s", "protobuf", "d", role=Role.ADMIN)
        mistaken = self.told("zoë", "to all by mistake", broadcast=True)
        self.later_until_fanned_out()
        self.wait_for(store.revoke(zoe, RevokeMessage(mistaken.message_id), 1e9))
        limits = FriendLimits()
        for one, other in (("alice", "bob"), ("bob", "alice"), ("carol", "alice")):
            asker = Principal(one, "s", "jsonline", "d")
            self.wait_for(directory.request_friend(asker, RequestFriend(other, "hello"), limits, self.time()))
        self.wait_for(directory.block_user(carol, "Ünal", True, limits, self.time()))
        now = self.time()
        for call, ending, answered in (("c1", Ending.NO_ANSWER, 0.0), ("c2", Ending.HANGUP, now + 1)):
            record = CallRecord(call, "bob", "carol", True, now, answered, now + 2, ending, "bob")
            self.wait_for(store.record_call(record))
        self.wait_for(store.cursor("bob", "protobuf", "phone"))
        self.wait_for(store.head("bob"))
        store.acknowledge("bob", "protobuf", "phone", 3)
        self.settle()
        self.send_files()
        self.told("Ünal", "the last one", recipient="zoë")
        return answers

    def send_files(self) -> None:
        """One in every state, to a user, to a group and to nobody; two have the same bytes."""
        files: FileStore = self.cellar.files  # type: ignore[attr-defined]
        to_group = {"recipient": "", "group": "g1", "owner": "bob"}
        targets: dict[str, dict[str, Any]] = {
            "open": {
                "client_id": "own", "kind": Kind.VIDEO, "conversation": "ours", "sha256": "", "size": 7
            },
            "waits": {"name": "张三.mp4"}, "accepted": {}, "refused": {}, "fetched": {},
            "untold": {"owner": "carol", "recipient": "alice"},
            "nobody": {"recipient": "", "client_id": "own2"},
            "group": to_group, "group open": to_group, "group over": to_group, "note": {"recipient": "alice"},
            "rejected": {}, "cancelled": {"client_id": "own3"}, "expired": {},
            "to the deleted": {**to_group, "group": "gone"},
        }  # fmt: skip
        numbers, sizes = {}, {}
        for index, (name, fields) in enumerate(targets.items()):
            times = {"created_at": self.time(), "expires_at": 2e9 + index / 4}
            if name == "expired":
                times["expires_at"] = 15.0
            kept = self.wait_for(files.add_transfer(file(name, **{"size": 1000 + index, **times, **fields})))
            numbers[name], sizes[name] = kept.no, kept.size
        same = self.wait_for(files.add_transfer(file("same", size=1001, created_at=1.5, expires_at=2e9)))
        numbers["same"], sizes["same"] = same.no, same.size
        # The last number is nobody's.
        self.wait_for(files.add_transfer(file("forgotten", created_at=1.5, expires_at=5.0)))
        told = {"message_id": "m1"}
        for name in ("waits", "accepted", "refused", "fetched", "nobody", "group", "note", "same", "untold"):
            digest = HASHES["waits" if name == "same" else name]
            more = {} if name in ("untold", "nobody") else told
            moved = files.move_transfer(name, State.OPEN, State.STORED, sha256=digest, **more)
            self.assertTrue(self.wait_for(moved))
            blob = blob_path(self.folder / "files", digest)
            blob.parent.mkdir(parents=True, exist_ok=True)
            blob.write_bytes(b"x" * sizes[name])
        for name in ("rejected", "cancelled", "group over"):
            after = State.REJECTED if name == "rejected" else State.CANCELLED
            self.assertTrue(self.wait_for(files.move_transfer(name, State.OPEN, after)))
        self.assertEqual(2, len(self.wait_for(files.expire(20.0, 10))))
        self.assertEqual(1, self.wait_for(files.forget(10.0, 10)))
        for name, user, where in (
            ("accepted", "bob", Delivery.ACCEPTED), ("refused", "bob", Delivery.REJECTED),
            ("fetched", "bob", Delivery.DELIVERED), ("group", "carol", Delivery.REJECTED),
            ("rejected", "bob", Delivery.REJECTED), ("note", "alice", Delivery.DELIVERED),
        ):  # fmt: skip
            self.assertTrue(self.wait_for(files.set_delivery(numbers[name], user, where, 9.5)))

    def files_are_there(self) -> None:
        """The open cellar has what `send_files` left, and goes on with it."""
        files: FileStore = self.cellar.files  # type: ignore[attr-defined]

        def offers(user: str) -> list[str]:
            return [one.id for one in self.wait_for(files.offers(user, 100))]

        self.assertEqual(["open", "waits", "accepted", "same"], offers("bob"))
        self.assertEqual(["group open"], offers("carol"))
        self.assertEqual(["untold"], offers("alice"))
        self.assertEqual(Usage(1, 8, 7 + 1001 * 2 + 1002 + 1003 + 1004 + 1006 + 1010), self.use("alice"))
        self.assertEqual(Usage(2, 3, 1007 + 1008 + 1014), self.use("bob"))
        total = sum(self.use(user).bytes for user in USERS)
        self.assertEqual(total, self.wait_for(files.total_bytes()))
        self.assertEqual(["untold"], [one.id for one in self.wait_for(files.unsent(10))])
        kept = self.wait_for(files.kept(HASHES.values(), ["open", "group open", "waits"]))
        alive = {"waits", "accepted", "refused", "fetched", "untold", "nobody", "group", "note"}
        self.assertEqual(({HASHES[name] for name in alive}, {"open", "group open"}), kept)
        opened = self.wait_for(files.transfer_of("alice", "f", "own"))
        assert opened is not None
        self.assertEqual(("open", Kind.VIDEO, "ours"), (opened.id, opened.kind, opened.conversation))
        self.assertIsNone(self.wait_for(files.transfer("forgotten")))
        waits = self.wait_for(files.transfer_of_file("f-waits"))
        assert waits is not None
        self.assertEqual("张三.mp4", waits.name)
        # A blob stays as long as one of the two is there.
        for name, left in (("same", {HASHES["waits"]}), ("waits", set())):
            self.assertTrue(self.wait_for(files.move_transfer(name, State.STORED, State.CANCELLED)))
            self.assertEqual(left, self.wait_for(files.kept([HASHES["waits"]], []))[0])
        moved = files.move_transfer("open", State.OPEN, State.STORED, sha256=HASHES["open"])
        self.assertTrue(self.wait_for(moved))
        self.assertEqual(["open", "untold"], sorted_by_number(self.wait_for(files.unsent(10))))
        new = self.wait_for(files.add_transfer(file("new", created_at=3e9, expires_at=3e9)))
        self.assertEqual(18, new.no)
        self.assertEqual(10, len(self.wait_for(files.expire(2.5e9, 100))))
        self.assertEqual(Usage(1, 1, 100), self.use("alice"))

    def use(self, user: str) -> Usage:
        """What a user's files take."""
        files: FileStore = self.cellar.files  # type: ignore[attr-defined]
        return self.wait_for(files.usage(user))

    def later_until_fanned_out(self) -> None:
        """Broadcasts reach everybody."""
        for _ in range(20):
            self.settle()
        self.clock.advance(1.5)
        self.settle()

    def goes_on(self, answers: dict[str, MessageAccepted], epoch: str) -> None:
        """The open cellar goes on where the other one was."""
        store = self.cellar.store
        self.assertEqual(epoch, store.epoch)
        for client_id, answer in answers.items():
            again = self.told("alice", f"t{client_id[1:]}", recipient="bob", client_id=client_id)
            self.assertEqual(answer, again)
        with self.assertRaises(AssertionError) as caught:
            self.told("alice", "another", recipient="bob", client_id="a0")
        self.assertIn("CONFLICT", repr(caught.exception).upper())
        with self.assertRaises(AssertionError):
            # It was taken back: nobody knows what it was, but it is not sent twice.
            self.told("carol", "secret", recipient="bob", client_id="rev")
        head, _ = self.wait_for(store.head("bob"))
        sent = self.told("alice", "goes on", recipient="bob", client_id="new")
        self.assertEqual(head + 1, self.wait_for(store.head("bob"))[0])
        self.assertGreater(sent.message_id, max(answer.message_id for answer in answers.values()))
        cursor = self.wait_for(store.cursor("bob", "protobuf", "phone"))
        self.assertEqual((3, False), (cursor.acked, cursor.new))
        page = self.wait_for(store.history("carol", ReadHistory(group="g1"), 100, BIG))
        texts = [row.message.content.data for row in page.rows]
        self.assertNotIn(b"without carol", texts)
        self.assertIn(b"with carol", texts)
        groups = self.wait_for(self.cellar.directory.groups_of("zoë"))
        self.assertEqual([("demo", True, False)], [(one.group, one.encrypted, one.open) for one in groups])
        self.files_are_there()
        self.told("a_b", "again", conversation="mine")
        try:
            self.wait_for(self.cellar.directory.create_group("gone", "g", "bob", True, "", (), 1.0))
        except ImError as error:
            self.assertEqual(ErrorCode.CONFLICT, error.code)
        else:
            raise AssertionError("the id of a deleted group was given again")


class SumsTest(SynchronousTestCase):
    """What counts as the same."""

    def letter(self, **more: Any) -> portable.Letter:
        fields: dict[str, Any] = {
            "no": 1, "ms": 1500, "part": 0, "position": 1, "name": "", "sender": "a", "recipient": "b",
            "group": "", "to": [("a", 1), ("b", 1)], "renamed": [], "client_id": "", "format": "", "form": 0,
            "number": 0, "data": b"x", "sent_at": 0.0, "extra": {}, "attachments": b"", "meta": b"",
            "revoked_by": "", "revoked_at": 0.0,
        }  # fmt: skip
        return portable.Letter(**{**fields, **more})

    def differences(self, *letters: portable.Letter) -> int:
        first, *others = [Sums() for _ in letters]
        for sums, letter in zip([first, *others], letters, strict=True):
            sums.add(letter)
        return sum(len(first.differences(other)) for other in others)

    def test_letters(self) -> None:
        one = self.letter()
        # A client's time that happens to be the server's is the server's to the other engine.
        self.assertEqual(0, self.differences(one, self.letter(sent_at=1.5), self.letter(format="rest")))
        different = ({"sent_at": 1.6}, {"data": b"y"}, {"to": [("b", 1), ("a", 1)]}, {"position": 2})
        for more in different:
            self.assertEqual(1, self.differences(one, self.letter(**more)), more)


class RoundTripTest(MigrationCase):
    """There and back."""

    def test_there_and_back(self) -> None:
        # So that client ids are written several times, to the same parts.
        self.patch(import_rows, "IDS_AT_ONCE", 2)
        self.patch(client_ids, "PART_SHIFT", 63)
        cellar = self.open_sqlite("one", fanout_users=3)
        answers = self.live()
        epoch = cellar.store.epoch
        self.wait_for(cellar.close())
        before, _ = self.sums("one")

        result = self.to_redis("one")
        self.assertEqual([], result.faults)
        self.assertEqual((len(USERS), 3), (result.users, result.groups))
        self.assertEqual((16, 0), (result.files, result.bytes_missing))
        blob_path(self.folder / "files", HASHES["waits"]).write_bytes(b"short")
        blob_path(self.folder / "files", HASHES["note"]).unlink()
        self.assertEqual(before.counts["Letter"], result.messages)
        self.assertGreater(result.compared, 100)
        self.assertLessEqual({"copying", "comparing"}, {what for what, _, _ in self.progress})
        self.assertEqual(0, self.wait_for(self.link.call("EXISTS", "t:migrating")))

        result = self.to_sqlite("two")
        self.assertEqual([], result.faults)
        left = sorted(path.name for path in (self.folder / "two").iterdir())
        self.assertEqual([DATABASE_NAME, "imserver.lock"], left)
        self.assertEqual((16, 2), (result.files, result.bytes_missing))
        self.assertEqual(2, len(self.verified("two")))
        for name, size in (("waits", 1001), ("note", 1010)):
            blob_path(self.folder / "files", HASHES[name]).write_bytes(b"x" * size)
        after, _ = self.sums("two")
        self.assertEqual([], before.differences(after))
        self.assertEqual([], self.verified("two"))

        redis = self.open_redis()
        self.goes_on(answers, epoch)
        self.wait_for(redis.close())
        again = self.open_sqlite("two")
        self.goes_on(answers, epoch)
        self.wait_for(again.close())
        self.assertEqual([], self.verified("two"))

    def test_what_began_in_redis(self) -> None:
        redis = self.open_redis()
        redis.settings.fanout_users = 3
        answers = self.live()
        epoch = redis.store.epoch
        self.wait_for(redis.close())
        self.assertEqual([], self.to_sqlite("two").faults)
        self.assertEqual([], self.verified("two"))
        before, _ = self.sums("two")
        self.wait_for(self.link.call("FLUSHALL"))
        self.assertEqual([], self.to_redis("two").faults)
        self.assertEqual([], self.to_sqlite("three").faults)
        after, _ = self.sums("three")
        self.assertEqual([], before.differences(after))
        three = self.open_sqlite("three")
        self.goes_on(answers, epoch)
        self.wait_for(three.close())
        self.open_redis("n2")
        self.goes_on(answers, epoch)
        self.wait_for(self.cellar.close())  # type: ignore[attr-defined]

    def test_after_retention(self) -> None:
        """What was dropped stays dropped, and the numbers go on."""
        cellar = self.open_sqlite("one", retention_seconds=48 * HOUR)
        self.wall = time.time() - 100 * HOUR
        self.add_users("alice", "bob", "carol")
        self.add_group("g1", "alice", "bob")
        for number in range(5):
            self.told("alice", f"old {number}", recipient="carol")
            self.told("alice", f"old {number}", group="g1")
        self.wall = time.time() - HOUR
        for number in range(3):
            self.told("alice", f"new {number}", recipient="bob")
        self.wait_for(cellar.trim(time.time()))
        heads = [self.wait_for(cellar.store.head(user)) for user in ("alice", "bob", "carol")]
        self.assertEqual((5, 6), heads[2])
        self.wait_for(cellar.close())
        self.assertEqual([], self.to_redis("one").faults)
        self.assertEqual([], self.to_sqlite("two").faults)
        self.assertEqual([], self.sums("one")[0].differences(self.sums("two")[0]))
        for opened in (self.open_redis, lambda: self.open_sqlite("two")):
            reopened = opened()
            found = [self.wait_for(reopened.store.head(user)) for user in ("alice", "bob", "carol")]
            self.assertEqual(heads, found)
            self.assertEqual(
                6,
                self.told("bob", "x", recipient="carol").seq
                and self.wait_for(reopened.store.head("carol"))[0],
            )
            self.told("alice", "x", group="g1")
            self.wait_for(reopened.close())

    def begin_things(self) -> None:
        """A broadcast and a call, of which the end is not waited for."""
        self.add_users(*USERS)
        call = CallRecord("c1", "bob", "carol", True, self.time())
        self.wait_for(self.cellar.store.record_call(call))
        admin = Principal("bob", "s", "protobuf", "d", role=Role.ADMIN)
        self.cellar.store.append(
            admin, SendMessage(Content(Form.TEXT, b"to all"), broadcast=True, client_id="all"), "all"
        )

    def came_to_its_end(self) -> None:
        """What the open cellar has of it."""
        for user in USERS:
            self.assertEqual([(1, "to all")], self.texts(user))
        (call,) = self.wait_for(self.cellar.store.calls("carol", "", 10)).calls
        self.assertIs(Ending.SHUTDOWN, call.ending)
        (missed,) = self.wait_for(self.cellar.store.changes("carol", 0, 10))
        self.assertEqual("c1", missed[1].call)

    def test_what_was_begun_comes_to_its_end(self) -> None:
        cellar = self.open_sqlite("one", fanout_users=1)
        cellar._broadcasts.stop()
        self.begin_things()
        self.settle()
        self.wait_for(cellar.close())
        with closing(connect(self.folder / "one" / DATABASE_NAME, read_only=True)) as connection:
            self.assertEqual((0,), connection.execute("SELECT done FROM broadcasts").fetchone())
        self.assertEqual([], self.to_redis("one").faults)
        self.open_redis()
        self.came_to_its_end()
        self.wait_for(self.cellar.close())  # type: ignore[attr-defined]
        self.wait_for(self.link.call("FLUSHALL"))

        redis = self.open_redis("n2")
        redis._broadcasts.stop()
        self.begin_things()
        self.settle()
        self.wait_for(redis.close())
        self.assertEqual(1, self.wait_for(self.link.call("EXISTS", "t:bc")))
        self.assertEqual([], self.to_sqlite("two").faults)
        self.assertEqual([], self.verified("two"))
        two = self.open_sqlite("two")
        self.came_to_its_end()
        self.wait_for(two.close())

    def test_an_empty_store(self) -> None:
        self.wait_for(self.open_sqlite("one").close())
        self.assertEqual([], self.to_redis("one").faults)
        self.assertEqual([], self.to_sqlite("two").faults)


class HostileTest(MigrationCase):
    """What must not be touched, and what is interrupted."""

    def setUp(self) -> None:
        super().setUp()
        cellar = self.open_sqlite("one")
        self.live()
        self.wait_for(cellar.close())

    def test_there_is_something_already(self) -> None:
        self.wait_for(self.link.call("SET", "t:x", 1))
        error = self.command_error(self.migration("one").to_redis())
        self.assertEqual((REFUSED, "CONFLICT"), (error.code, error.kind))
        self.assertEqual(b"1", self.wait_for(self.link.call("GET", "t:x")))
        self.wait_for(self.link.call("DEL", "t:x"))
        self.wait_for(self.link.call("SET", "other:x", 1))
        self.assertEqual([], self.to_redis("one").faults)
        error = self.command_error(self.migration("one").to_sqlite())
        self.assertEqual(REFUSED, error.code)
        self.assertIn("exists already", error.text)

    def test_a_server_runs(self) -> None:
        cellar = self.open_sqlite("one")
        error = self.command_error(self.migration("one").to_redis())
        self.assertIn("in use", error.text)
        self.wait_for(cellar.close())
        redis = self.open_redis()
        for work in (self.migration("one").to_redis(), self.migration("two").to_sqlite()):
            error = self.command_error(work)
            self.assertIn("nodes use this Redis: n1-", error.text.replace("n1:", "n1-"))
        self.wait_for(redis.close())

    def test_nothing_is_there(self) -> None:
        self.assertEqual(UNREACHABLE, self.command_error(self.migration("none").to_redis()).code)
        error = self.command_error(self.migration("none").to_sqlite())
        self.assertIn("there is no store", error.text)

    def interrupt(self, after: int) -> None:
        """The copying into Redis ends after so many things."""
        real, count = importing.RedisTarget.put, 0

        async def put(target: importing.RedisTarget, thing: portable.Thing) -> None:
            nonlocal count
            count += 1
            if count > after:
                await target._send()
                raise KeyboardInterrupt
            await real(target, thing)

        self.patch(importing.RedisTarget, "put", put)
        work: Deferred[Any] = ensureDeferred(self.migration("one").to_redis())
        failed: list[Any] = []
        work.addErrback(failed.append)
        self.pump.until(lambda: failed, run_clock=True)
        failed[0].trap(KeyboardInterrupt)
        self.patch(importing.RedisTarget, "put", real)

    def test_interrupted_and_begun_again(self) -> None:
        self.interrupt(40)
        self.assertEqual(1, self.wait_for(self.link.call("EXISTS", "t:migrating")))
        # It cannot be taken for a store.
        error = self.command_error(self.migration("two").to_sqlite())
        self.assertIn("not come to its end", error.text)
        self.wait_for(self.link.call("SET", "t:left over", 1))
        self.assertEqual([], self.to_redis("one").faults)
        self.assertEqual(0, self.wait_for(self.link.call("EXISTS", "t:left over")))
        # The other way: what is half there is in a folder of its own.
        (self.folder / "two" / "migrating").mkdir(parents=True, exist_ok=True)
        (self.folder / "two" / "migrating" / DATABASE_NAME).write_bytes(b"half")
        self.assertEqual([], self.to_sqlite("two").faults)
        self.assertEqual([], self.verified("two"))

    def test_no_node_starts_on_half_a_store(self) -> None:
        self.interrupt(40)
        cellar = RedisCellar(
            Place(at(self.pump.endpoint(self.server.port)), prefix="t:"),
            "n9",
            self.clock,
            time.monotonic,
            time.time,
            Random(8).randbytes,
            link=PATIENT,
        )
        opened = ensureDeferred(cellar.open())
        self.pump.until(lambda: cellar.redis.connected and not cellar.redis.waiting, run_clock=True)
        for _ in range(50):
            self.pump.turn(0.001)
        self.assertFalse(opened.called)
        self.flushLoggedErrors()
        self.wait_for(cellar.close())

    def test_a_copy_that_differs_is_not_used(self) -> None:
        real = importing.RedisTarget._put_letter

        def put(target: importing.RedisTarget, letter: portable.Letter) -> None:
            if letter.data == b"t3":
                letter = portable.Letter(*[*_fields(letter)[:14], b"T3", *_fields(letter)[15:]])
            real(target, letter)

        target_init = importing.RedisTarget.__init__

        def init(target: importing.RedisTarget, *args: Any) -> None:
            target_init(target, *args)
            target._puts[portable.Letter] = lambda letter: put(target, letter)

        self.patch(importing.RedisTarget, "__init__", init)
        result = self.to_redis("one")
        self.assertIn("Letter", "\n".join(result.faults))
        self.assertIn("user bob: inbox: not the same", result.faults)
        self.assertEqual(1, self.wait_for(self.link.call("EXISTS", "t:migrating")))

    def test_redis_is_full(self) -> None:
        self.addCleanup(lambda: self.wait_for(self.link.call("CONFIG", "SET", "maxmemory", 0)))
        self.wait_for(self.link.call("CONFIG", "SET", "maxmemory", 1))
        error = self.command_error(self.migration("one").to_redis())
        self.assertEqual((UNREACHABLE, "Redis: the message store cannot write now"), (error.code, error.text))
        self.wait_for(self.link.call("CONFIG", "SET", "maxmemory", 0))
        self.assertEqual([], self.to_redis("one").faults)

    def test_the_disk_is_full(self) -> None:
        self.assertEqual([], self.to_redis("one").faults)

        def finish(target: SqliteTarget) -> None:
            raise sqlite3.OperationalError("database or disk is full")

        real = SqliteTarget.finish
        self.patch(SqliteTarget, "finish", finish)
        error = self.command_error(self.migration("two").to_sqlite())
        self.assertEqual(UNREACHABLE, error.code)
        self.assertIn("disk is full", error.text)
        self.assertFalse((self.folder / "two" / DATABASE_NAME).exists())
        self.patch(SqliteTarget, "finish", real)
        self.assertEqual([], self.to_sqlite("two").faults)

    def test_redis_is_away(self) -> None:
        migration = self.migration("one", LinkSettings(timeout=1.0))
        link: Redis = migration._end.redis
        link._where = at(self.pump.endpoint(1))
        error = self.command_error(migration.to_redis())
        self.assertEqual(UNREACHABLE, error.code)
        self.assertIn("Redis cannot be reached", error.text)


def file(id: str, **fields: Any) -> Transfer:
    """A new one of alice to bob, with the name as its id."""
    values: dict[str, Any] = {
        "no": 0, "id": id, "file": f"f-{id}", "owner": "alice", "format": "f", "client_id": "",
        "name": id, "size": 100, "sha256": HASHES.get(id, ""), "kind": Kind.FILE, "recipient": "bob",
        "group": "", "conversation": "", "state": State.OPEN,
    }  # fmt: skip
    return Transfer(**{**values, **fields})


def sorted_by_number(transfers: list[Transfer]) -> list[str]:
    return [one.id for one in sorted(transfers, key=lambda one: one.no)]


def _fields(letter: portable.Letter) -> list[Any]:
    return [getattr(letter, name) for name in letter.__struct_fields__]
