"""What Redis keeps, for how long, and what is left behind: retention, times to live, calls of lost nodes."""

from __future__ import annotations

from typing import Any

from imserver.backends.redis.calls import Calls
from imserver.backends.redis.cellar import RedisCellar
from imserver.model.accounts import Role
from imserver.model.calls import Ending
from imserver.model.errors import ErrorCode
from imserver.model.messages import ReadHistory, RevokeMessage
from tests.contracts.calls_suite import ended, missed, offered
from tests.contracts.cellar_case import BIG
from tests.redis.cellar_world import DAY, RedisCase

HOURS = 3600.0
DAYS = 24 * HOURS


class Keeping(RedisCase):
    """How the tests look into Redis."""

    def now(self) -> float:
        return DAY + self.clock.seconds()

    def trim(self) -> None:
        self.wait_for(self.redis_cellar.trim(self.now()))

    def call(self, *words: Any) -> Any:
        return self.wait_for(self.redis_cellar.redis.call(*words))

    def keys(self, pattern: str) -> list[str]:
        return sorted(key.decode() for key in self.call("KEYS", "t:" + pattern))


class RetentionTest(Keeping):
    """Messages that are too old."""

    def setUp(self) -> None:
        self.open_cellar("alice", "bob", "carol", retention_seconds=5 * DAYS, sends_per_second=0.0)
        self.store = self.cellar.store

    def old_and_new(self, old: int = 300, new: int = 3) -> None:
        """So many messages from alice to bob, of which the old ones are beyond their time."""
        for number in range(old):
            self.submit("alice", f"old {number}", recipient="bob", client_id=f"o{number}")
        self.later(6 * DAYS)
        for number in range(new):
            self.submit("alice", f"new {number}", recipient="bob")
        self.settle()

    def test_old_messages_go_and_the_numbers_go_on(self) -> None:
        self.old_and_new()
        self.trim()
        page = self.inbox("bob")
        self.assertEqual((303, 301), (page.head, page.first_seq))
        self.assertEqual([(301, "new 0"), (302, "new 1"), (303, "new 2")], self.texts("bob"))
        self.assertEqual((303, 301), self.wait_for(self.store.head("alice")))
        self.assertEqual(["new 0", "new 1", "new 2"], self.history("bob", recipient="alice"))
        self.assertEqual(304, self.send("alice", "more", recipient="bob").seq)
        positions = self.wait_for(self.store.history("bob", ReadHistory(recipient="alice"), 10, BIG)).rows
        self.assertEqual([301, 302, 303, 304], [row.message.position for row in positions])

    def test_what_nobody_reads_goes_too(self) -> None:
        self.old_and_new()
        before = self.call("MEMORY", "USAGE", "t:ib:bob")
        self.assertEqual(["t:m:0", "t:m:1", "t:m:2"], self.keys("m:*"))
        self.trim()
        self.assertEqual(["t:m:2"], self.keys("m:*"))
        self.assertEqual(3, self.call("HLEN", "t:m:2"))
        for inbox in ("ib:alice", "ib:bob", "cv:alice/bob"):
            self.assertEqual(3, self.call("LLEN", "t:" + inbox), inbox)
            self.assertEqual(b"300", self.call("HGET", "t:base", inbox), inbox)
        self.assertLess(self.call("MEMORY", "USAGE", "t:ib:bob"), before)
        self.assertEqual(1, self.call("HLEN", "t:hours"))

    def test_nothing_goes_before_its_time(self) -> None:
        self.old_and_new(old=5)
        self.settings.retention_seconds = 30 * DAYS
        self.trim()
        self.assertEqual(8, len(self.texts("bob")))
        self.settings.retention_seconds = 0.0
        self.trim()
        self.assertEqual(8, len(self.texts("bob")))

    def test_retries_are_answered_as_long_as_was_promised(self) -> None:
        self.settings.retention_seconds = 1 * HOURS
        first = self.send("alice", "1", recipient="bob", client_id="c")
        self.later(47 * HOURS)
        self.send("alice", "2", recipient="bob")
        self.trim()
        self.assertEqual(first, self.send("alice", "1", recipient="bob", client_id="c"))
        self.later(30 * HOURS)
        self.send("alice", "3", recipient="bob")
        self.trim()
        self.assertEqual([(2, "2"), (3, "3")], self.texts("bob"))

    def test_everything_may_be_too_old(self) -> None:
        self.old_and_new(old=200, new=0)
        self.trim()
        # The last message stays: ids and numbers go on from it.
        self.assertEqual([(200, "old 199")], self.texts("bob"))
        self.assertEqual(201, self.send("bob", "new", recipient="alice").seq)
        self.assertEqual(1, self.send("carol", "first", recipient="carol").seq)

    def test_a_device_that_is_behind_goes_on_from_the_first_kept(self) -> None:
        self.old_and_new()
        self.trim()
        page = self.inbox("bob", after=10, limit=2)
        self.assertEqual(([301, 302], True), ([row.seq for row in page.rows], page.has_more))
        cursor = self.wait_for(self.store.cursor("bob", "f", "d"))
        self.assertEqual(0, cursor.acked)

    def test_groups_and_broadcasts(self) -> None:
        self.add_group("team", "alice", "bob")
        for number in range(100):
            self.submit("alice", f"{number}", group="team")
        self.send("alice", "old all", broadcast=True, role=Role.ADMIN)
        self.settle()
        self.later(6 * DAYS)
        sent = self.send("alice", "new all", broadcast=True, role=Role.ADMIN)
        self.settle()
        for number in range(60):
            self.submit("bob", f"{number}", group="team")
        self.settle()
        self.trim()
        self.assertEqual([f"{number}" for number in range(60)], self.history("bob", group="team"))
        self.assertEqual((102, "new all"), self.texts("bob")[0])
        self.assertEqual([(2, "new all")], self.texts("carol"))
        self.assertEqual(["t:bf:" + str(int(sent.message_id[16:], 16))], self.keys("bf:*"))
        self.assertEqual(1, self.call("ZCARD", "t:bs"))

    def test_two_nodes_at_once(self) -> None:
        self.old_and_new()
        other = self.start()
        one, two = self.redis_cellar.trim(self.now()), other.trim(self.now())
        self.wait_for(one)
        self.wait_for(two)
        self.assertEqual([301, 302, 303], [seq for seq, _ in self.texts("bob")])
        self.assertEqual(b"300", self.call("HGET", "t:base", "ib:bob"))

    def test_calls(self) -> None:
        old, lasting, new = (
            ended(offered("old", at=self.now() - 9 * DAYS)),
            offered("lasting", at=self.now() - 9 * DAYS),
            ended(offered("new", at=self.now())),
        )
        for record in (old, lasting, new):
            self.wait_for(self.store.record_call(record))
        self.trim()
        self.assertEqual([new, lasting], self.wait_for(self.store.calls("alice", "", 10)).calls)
        self.assertEqual([new, lasting], self.wait_for(self.store.calls("bob", "", 10)).calls)
        self.assertEqual(2, len(self.keys("call:*")))
        self.assertEqual(2, self.call("HLEN", "t:ci"))


class TimesToLiveTest(Keeping):
    """What goes by itself."""

    def setUp(self) -> None:
        self.open_cellar("alice", "bob", dedupe_seconds=100_000.0, change_seconds=1_000_000.0)
        self.store = self.cellar.store

    def test_client_ids(self) -> None:
        self.send("alice", recipient="bob", client_id="c")
        (key,) = self.call("KEYS", "t:d:*")
        self.assertTrue(99_000 < self.call("TTL", key) <= 100_000)

    def test_a_client_id_is_forgotten_in_time(self) -> None:
        """By the nodes' clocks, however long Redis keeps the key."""
        first = self.send("alice", recipient="bob", client_id="c")
        self.later(99_999.0)
        self.assertEqual(first, self.send("alice", recipient="bob", client_id="c"))
        self.later(2.0)
        self.assertEqual(2, self.send("alice", recipient="bob", client_id="c").seq)

    def test_changes(self) -> None:
        sent = [self.send("alice", recipient="bob") for _ in range(3)]
        for one in sent:
            command = RevokeMessage(one.message_id)
            self.wait_for(self.store.revoke(self.principal("alice"), command, 120.0))
        self.assertEqual(["t:c:1", "t:c:2", "t:c:3"], self.keys("c:*"))
        for key in ("t:c:1", "t:ch:bob"):
            self.assertTrue(990_000 < self.call("TTL", key) <= 1_000_000, key)
        # Their time has come.
        self.call("DEL", "t:c:1", "t:c:2")
        self.trim()
        self.assertEqual([3], [number for number, _ in self.wait_for(self.store.changes("bob", 0, 9))])
        self.send("alice", recipient="bob")
        self.wait_for(self.store.record_call(ended(offered())))
        self.assertEqual([b"3", b"4"], self.call("ZRANGE", "t:ch:bob", 0, -1))
        self.assertEqual([3, 4], [number for number, _ in self.wait_for(self.store.changes("bob", 0, 9))])

    def test_everybodys_changes(self) -> None:
        sent = self.send("alice", broadcast=True, role=Role.ADMIN)
        self.settle()
        command = RevokeMessage(sent.message_id)
        self.wait_for(self.store.revoke(self.principal("alice"), command, 120.0))
        self.assertEqual([b"1"], self.call("ZRANGE", "t:ch", 0, -1))
        self.call("DEL", "t:c:1")
        self.trim()
        self.assertEqual([], self.call("ZRANGE", "t:ch", 0, -1))
        self.assertEqual([], self.wait_for(self.store.changes("bob", 0, 9)))


class LostCallsTest(Keeping):
    """Calls that were at home on a node that is gone."""

    def setUp(self) -> None:
        self.open_cellar("alice", "bob")
        self.store = self.cellar.store

    def die(self, cellar: RedisCellar) -> None:
        """As if its process were killed; there is no other node now."""
        for call in self.clock.getDelayedCalls():
            call.cancel()
        cellar._open = False
        cellar.redis._tick_call = cellar.subscriber._tick_call = None
        cellar.redis.stop()
        cellar.subscriber.stop()
        self.marks[:] = [mark for mark in self.marks if mark[0] is not cellar]

    def test_a_call_of_a_lost_node_has_ended_when_it_was_last_known(self) -> None:
        call = offered(at=self.now())
        self.wait_for(self.store.record_call(call))
        for _ in range(20):
            self.later(1.0)
        self.die(self.redis_cellar)
        self.redis_cellar = other = self.start()
        sink = self.sink_of(other)
        for _ in range(30):
            self.later(1.0)
        (record,) = self.wait_for(other.store.calls("bob", "", 9)).calls
        self.assertEqual(Ending.SHUTDOWN, record.ending)
        self.assertTrue(call.created_at + 5 <= record.ended_at <= call.created_at + 20, record)
        self.assertEqual([missed(record)], [change.event for change in sink.changes])
        self.assertEqual([], self.keys("oc:*"))
        self.assertEqual(0, self.call("HLEN", "t:oca"))

    def test_those_of_a_live_node_last(self) -> None:
        self.wait_for(self.store.record_call(offered(at=self.now())))
        other = self.start()
        for _ in range(30):
            self.later(1.0)
        (record,) = self.wait_for(other.store.calls("bob", "", 9)).calls
        self.assertIsNone(record.ending)

    def test_those_of_a_node_that_another_has_not_heard_of_yet_last(self) -> None:
        """That it takes part was published before the other one listened; it hears by its next look."""
        call = offered(at=self.now())
        self.wait_for(self.store.record_call(call))
        Calls(self.redis_cellar.core, lambda: "node9:1", lambda: ("node9:1",)).tick()
        self.settle()
        self.assertEqual([call], self.wait_for(self.store.calls("bob", "", 9)).calls)
        over = ended(call, Ending.HANGUP, "bob")
        self.wait_for(self.store.record_call(over))
        self.assertEqual([over], self.wait_for(self.store.calls("bob", "", 9)).calls)

    def test_where_there_are_no_nodes_those_end_that_a_killed_one_has_left(self) -> None:
        """Nobody was there to take it out of the list."""
        call = offered(at=self.now())
        self.wait_for(self.store.record_call(call))
        self.assertEqual(1, self.call("HLEN", "t:nodes"))
        self.wait_for(Calls(self.redis_cellar.core, lambda: "migration:1", lambda: ()).end_left())
        (record,) = self.wait_for(self.store.calls("bob", "", 9)).calls
        self.assertEqual(Ending.SHUTDOWN, record.ending)

    def test_another_node_may_end_it(self) -> None:
        call = offered(at=self.now())
        self.wait_for(self.store.record_call(call))
        other = self.start()
        over = ended(call, Ending.HANGUP, "bob")
        self.wait_for(other.store.record_call(over))
        self.assertEqual([over], self.wait_for(self.store.calls("alice", "", 9)).calls)
        self.assertEqual([], self.keys("oc:*"))

    def test_nothing_is_left_of_a_node_whose_calls_others_have_ended(self) -> None:
        call = offered(at=self.now())
        self.wait_for(self.store.record_call(call))
        other = self.start()
        self.wait_for(other.store.record_call(ended(call, Ending.HANGUP, "bob")))
        for _ in range(12):
            self.later(1.0)
        self.assertEqual(1, self.call("HLEN", "t:oca"), "it does not know that yet")
        self._close(self.redis_cellar)
        self.redis_cellar = other
        for _ in range(6):
            self.later(1.0)
        self.assertEqual(0, self.call("HLEN", "t:oca"))


class FolderTest(Keeping):
    """What the folder of files is known by."""

    def test_the_first_id_stays(self) -> None:
        self.open_cellar("alice")
        files = self.redis_cellar.files
        self.assertEqual("", self.wait_for(files.directory_id("")))
        self.assertEqual("a", self.wait_for(files.directory_id("a")))
        self.assertEqual("a", self.wait_for(files.directory_id("b")))
        self.assertEqual("a", self.wait_for(self.start().files.directory_id("")))


class OddIdsTest(Keeping):
    """Ids that look like parts of keys."""

    def test_they_are_nothing_but_ids(self) -> None:
        users = ["a", "a:b", "*", "ib", "über", "x y", "\\", '"', "%s", "(1", "-", "+", "[a"]
        self.open_cellar(*users, sends_per_second=0.0)
        for number, user in enumerate(users):
            self.send(user, f"{number}", recipient="a")
        self.add_group("gv:x", "a", *users[1:])
        self.send("*", "all", group="gv:x")
        for number, user in enumerate(users[1:], 1):
            self.assertEqual([(1, f"{number}"), (2, "all")], self.texts(user), user)
        self.assertEqual({*users[1:]}, self.wait_for(self.cellar.directory.circle("a")).met)
        self.assertEqual(ErrorCode.USER_NOT_FOUND, self.refused("a", recipient="ib:a"))
        self.assertEqual(ErrorCode.CONVERSATION_NOT_FOUND, self.refused("a", group="x"))
        self.send("a", "everybody", broadcast=True, role=Role.ADMIN)
        self.settle()
        for user in users[1:]:
            self.assertEqual((3, "everybody"), self.texts(user)[-1], user)
