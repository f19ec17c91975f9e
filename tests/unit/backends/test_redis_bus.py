"""The bus between nodes: what is said gets there, and nobody is waited for who is gone."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, ensureDeferred

from imserver.model.accounts import KickReason, SessionKicked
from imserver.model.calls import CallMedia, EndCall, Media
from imserver.model.errors import ErrorCode, ImError
from imserver.model.messages import Done, TypingChanged
from imserver.model.rooms import RoomError, RoomFault
from imserver.services.call_requests import Act
from imserver.services.ports import Seat
from imserver.services.room_requests import Moderate
from tests.redis.bus_world import PERIODS, BusCase, Node
from tests.redis.server import RedisServer

KICKED = SessionKicked(KickReason.ACCOUNT, "bye")


def typing(number: int) -> TypingChanged:
    """Something to tell."""
    return TypingChanged("c", str(number), True)


class TalkTest(BusCase):
    """Between nodes that are well."""

    def setUp(self) -> None:
        super().setUp()
        self.one, self.two, self.three = self.open_nodes("one", "two", "three")

    def enter(self, node: Node, user: str, *sessions: str) -> None:
        node.sessions[user] = list(sessions)
        node.ranks[user] = 3
        self.assertEqual([], list(self.wait_for(node.bus.attendance.enter(user))))

    def test_all_agree_on_who_there_is_and_on_homes(self) -> None:
        self.assertEqual(("one:1", "three:1", "two:1"), self.one.bus.nodes)
        homes = [[node.bus.home(f"key{number}") for number in range(60)] for node in self.nodes]
        self.assertEqual(homes[0], homes[1])
        self.assertEqual(homes[0], homes[2])
        self.assertEqual(set(self.one.bus.nodes), set(homes[0]))

    def test_one_that_goes_down_is_home_to_nothing_new(self) -> None:
        self.enter(self.one, "alice", "s")
        self.wait_for(self.one.bus.claim("mine", "one"))
        self.one.bus.retire()
        self.pass_time(2.0)
        for node in self.nodes:
            self.assertEqual({"two:1", "three:1"}, {node.bus.home(f"key{number}") for number in range(60)})
        # Everything else goes on.
        self.assertEqual("one", self.wait_for(self.two.bus.holder("mine")))
        self.two.bus.tell(self.one.seat("alice", "s"), typing(1))
        self.settle()
        self.assertEqual([("alice", "s", typing(1), "two:1")], self.one.told)
        for node in (self.two, self.three):
            node.bus.retire()
        self.pass_time(2.0)
        self.assertEqual(set(self.one.bus.nodes), {self.two.bus.home(f"key{number}") for number in range(60)})
        self.wait_for(self.one.bus.stop())
        self.settle()
        self.assertEqual(2, self.wait_for(self.link.call("SCARD", "t:retired")))

    def test_what_is_told_comes_in_order(self) -> None:
        seat = self.two.seat("alice", "s")
        for number in range(600):
            self.one.bus.tell(seat, typing(number))
        self.one.bus.tell(self.one.seat("bob", "t"), typing(0))
        self.settle()
        expected = [("alice", "s", typing(number), "one:1") for number in range(600)]
        self.assertEqual(expected, self.two.told)
        self.assertEqual([("bob", "t", typing(0), "one:1")], self.one.told)
        self.assertEqual([], self.three.told)

    def test_what_is_asked_is_answered(self) -> None:
        seat = self.one.seat("alice", "s")
        self.two.answers[Act] = lambda act: Done() if act.call == "yes" else None
        act = Act("yes", seat, EndCall("yes"))
        self.assertEqual(Done(), self.wait_for(self.one.bus.ask(self.two.node, act)))
        self.assertEqual([act], self.two.requests)
        self.assertIsNone(self.wait_for(self.one.bus.ask(self.two.node, Act("no", seat, EndCall("no")))))
        self.one.answers[Act] = lambda act: Done()
        self.assertEqual(Done(), self.wait_for(self.one.bus.ask(self.one.node, act)))

    def test_refusals_cross(self) -> None:
        self.two.answers[Act] = lambda act: ImError(ErrorCode.NOT_FOUND, "there is none")
        act = Act("c", self.one.seat("alice", "s"), EndCall("c"))
        self.assertEqual(ErrorCode.NOT_FOUND, self.error_of(self.one.bus.ask(self.two.node, act)))
        self.two.answers[Act] = lambda act: RoomError(RoomFault.FULL, "full")
        asked = ensureDeferred(self.one.bus.ask(self.two.node, act))
        self.settle()
        self.assertIs(RoomFault.FULL, self.failureResultOf(asked, RoomError).value.fault)
        self.two.answers[Act] = lambda act: ValueError("a bug")
        self.assertEqual(ErrorCode.INTERNAL, self.error_of(self.one.bus.ask(self.two.node, act)))
        self.assertEqual(1, len(self.flushLoggedErrors(ValueError)))

    def test_answers_and_what_is_told_keep_their_order(self) -> None:
        order: list[Any] = []

        def answer(act: Act) -> Done:
            self.two.bus.tell(act.seat, typing(1))
            return Done()

        self.two.answers[Act] = answer
        act = Act("c", self.one.seat("alice", "s"), EndCall("c"))
        asked = ensureDeferred(self.one.bus.ask(self.two.node, act))
        asked.addCallback(lambda reply: order.append((reply, len(self.one.told))))
        self.settle()
        self.two.bus.tell(self.one.seat("alice", "s"), typing(2))
        self.settle()
        self.assertEqual([(Done(), 1)], order)

    def test_nobody_waits_for_ever(self) -> None:
        self.two.answers[Act] = lambda act: Deferred()
        act = Act("c", self.one.seat("alice", "s"), EndCall("c"))
        asked = ensureDeferred(self.one.bus.ask(self.two.node, act))
        self.settle()
        self.assertNoResult(asked)
        self.pass_time(5.5)
        self.assertEqual(ErrorCode.UNAVAILABLE, self.failureResultOf(asked, ImError).value.code)

    def test_events_go_where_their_users_are(self) -> None:
        self.enter(self.one, "alice", "a1")
        self.enter(self.two, "alice", "a2")
        self.enter(self.two, "bob", "b1")
        self.three.bus.publish(["alice", "bob", "carol"], typing(1), "origin")
        self.settle()
        self.assertEqual([(["alice"], typing(1), "origin")], self.one.events)
        self.assertEqual([(["alice", "bob"], typing(1), "origin")], self.two.events)
        self.assertEqual([(["alice", "bob", "carol"], typing(1), "origin")], self.three.events)

    def test_events_reach_a_node_that_has_just_come(self) -> None:
        four = self.open_node("four")
        self.enter(four, "bob", "b1")
        self.one.bus.members.live = tuple(node.node for node in (self.one, self.two, self.three))
        self.one.bus.publish(["bob"], typing(1))
        self.settle()
        self.assertEqual([(["bob"], typing(1), "")], four.events)

    def test_events_of_one_node_keep_their_order(self) -> None:
        self.enter(self.two, "bob", "b1")
        for number in range(50):
            self.one.bus.publish(["bob"], typing(number))
        self.settle()
        self.assertEqual([typing(number) for number in range(50)], [event for _, event, _ in self.two.events])

    def test_kicks_reach_all_nodes(self) -> None:
        self.one.bus.kick("alice", KICKED, sid="grant")
        self.two.bus.kick("bob", KICKED, session="s")
        self.settle()
        expected = {("alice", "grant", "", KICKED), ("bob", "", "s", KICKED)}
        for node in self.nodes:
            self.assertEqual(expected, set(node.kicks))
            self.assertEqual(2, len(node.kicks))

    def test_media_goes_beside_all_else(self) -> None:
        self.one.bus.tell(self.two.seat("alice", "s"), CallMedia(b"\0\xff", "c"))
        self.settle()
        self.assertEqual([("", "s", CallMedia(b"\0\xff", "c"), "one:1")], self.two.told)
        self.assertEqual(0, len(self.one.bus._exchange._outgoing))

    def test_too_much_media_is_dropped(self) -> None:
        piece = CallMedia(bytes(60_000), "c")
        gone = sum(self.one.bus.tell(self.two.seat("alice", "s"), piece) for _ in range(200))
        self.settle()
        self.assertEqual(gone, len(self.two.told))
        self.assertLess(gone, 150)
        self.assertGreater(gone, 50)

    def test_slots_are_the_same_everywhere(self) -> None:
        claim = self.one.bus.claim("busy/alice", "c1")
        self.assertEqual("c1", self.wait_for(claim))
        self.assertEqual("c1", self.wait_for(self.two.bus.claim("busy/alice", "c2")))
        self.assertEqual("c1", self.wait_for(self.three.bus.holder("busy/alice")))
        self.two.bus.release("busy/alice", "c2")
        self.assertEqual("c1", self.wait_for(self.two.bus.holder("busy/alice")))
        self.two.bus.release("busy/alice", "c1")
        self.assertEqual("", self.wait_for(self.two.bus.holder("busy/alice")))
        self.assertEqual("a\0b", self.wait_for(self.two.bus.claim("x\0/é", "a\0b")))
        self.assertEqual("a\0b", self.wait_for(self.one.bus.holder("x\0/é")))


class AttendanceTest(BusCase):
    """Who is where."""

    def setUp(self) -> None:
        super().setUp()
        self.one, self.two = self.open_nodes("one", "two")

    def write(self, node: Node, user: str, rank: int, *sessions: str) -> list[str]:
        node.sessions[user] = list(sessions)
        node.ranks[user] = rank
        return [f"{seat.node} {seat.session}" for seat in self.wait_for(node.bus.attendance.enter(user))]

    def seats(self, user: str) -> list[str]:
        return [f"{seat.node} {seat.session}" for seat in self.wait_for(self.one.bus.seats(user))]

    def rank(self, *users: str) -> list[int]:
        return list(self.wait_for(self.two.bus.attendance.ranks(users)))

    def test_seats_of_all_nodes_the_oldest_first(self) -> None:
        self.write(self.one, "alice", 3, "a")
        self.write(self.two, "alice", 1, "b", "c")
        self.write(self.one, "alice", 3, "a", "d")
        self.assertEqual(["one:1 a", "two:1 b", "two:1 c", "one:1 d"], self.seats("alice"))
        seat = self.wait_for(self.two.bus.seats("alice"))[0]
        self.assertEqual(Seat("alice", "a", "one:1", Media.WEBRTC), seat)
        self.assertEqual([], self.seats("bob"))

    def test_the_highest_rank_counts(self) -> None:
        self.assertEqual([0], self.rank("alice"))
        self.write(self.one, "alice", 1, "a")
        self.write(self.two, "alice", 3, "b")
        self.assertEqual([3, 0], self.rank("alice", "bob"))
        self.two.sessions["alice"] = []
        self.two.bus.attendance.changed("alice")
        self.assertEqual([1], self.rank("alice"))  # whoever looks sees it
        self.one.sessions["alice"] = []
        self.one.bus.attendance.changed("alice")
        self.settle()
        self.assertEqual([0], self.rank("alice"))
        keys = self.wait_for(self.link.call("KEYS", "*"))
        self.assertEqual([b"t:nodes"], keys)

    def test_what_was_announced(self) -> None:
        attendance = self.one.bus.attendance
        self.write(self.one, "alice", 2, "a")
        self.assertEqual((2, 0), self.wait_for(attendance.standing("alice")))
        self.wait_for(self.two.bus.attendance.announced("alice", 2))
        self.assertEqual((2, 2), self.wait_for(attendance.standing("alice")))
        self.wait_for(attendance.announced("alice", 0))
        self.assertEqual((2, 0), self.wait_for(attendance.standing("alice")))

    def test_too_many_sessions_over_all_nodes(self) -> None:
        """The limit is 3."""
        self.assertEqual([], self.write(self.one, "alice", 3, "a"))
        self.assertEqual([], self.write(self.two, "alice", 3, "b", "c"))
        self.assertEqual(["one:1 a"], self.write(self.two, "alice", 3, "b", "c", "d"))
        self.write(self.one, "alice", 0)
        self.assertEqual([], self.write(self.two, "alice", 3, "b", "c", "d"))

    def test_many_at_once(self) -> None:
        users = [f"user{number}" for number in range(2500)]
        for user in users[::2]:
            self.one.sessions[user] = ["s"]
            self.one.ranks[user] = 2
            self.one.bus.attendance.changed(user)
        self.settle()
        self.assertEqual([2, 0] * 1250, self.rank(*users))
        nodes = self.wait_for(self.two.bus.attendance.nodes_of(users))
        self.assertEqual({"one:1": users[::2]}, nodes)


class LossTest(BusCase):
    """What the connections to Redis lose."""

    def setUp(self) -> None:
        super().setUp()
        self.one, self.two = self.open_nodes("one", "two")

    def numbers(self) -> list[int]:
        return [int(event.user) for _, _, event, _ in self.two.told]

    def say(self, *numbers: int) -> None:
        for number in numbers:
            self.one.bus.tell(self.two.seat("alice", "s"), typing(number))

    def test_while_the_other_one_does_not_listen(self) -> None:
        self.say(1)
        self.settle()
        self.two.channels.cut()
        self.say(2, 3)
        self.pass_time(3.0)
        self.say(4)
        self.settle()
        self.assertEqual([1, 2, 3, 4], self.numbers())

    def test_the_first_of_all(self) -> None:
        self.two.channels.cut()
        self.say(1)
        self.pass_time(3.0)
        self.assertEqual([1], self.numbers())

    def test_while_one_cannot_speak(self) -> None:
        self.say(1)
        self.settle()
        self.one.commands.cut()
        self.say(2)
        self.pump.until(lambda: not self.one.redis.connected)
        self.say(3)
        self.pass_time(3.0)
        self.say(4)
        self.settle()
        self.assertEqual([1, 2, 3, 4], self.numbers())

    def test_an_answer_that_was_lost_comes_later(self) -> None:
        self.two.answers[Moderate] = lambda request: Done()
        asked = ensureDeferred(self.one.bus.ask(self.two.node, Moderate(Done())))
        self.pump.until(lambda: self.two.requests)
        self.one.channels.cut()
        self.pass_time(3.0)
        self.assertEqual(Done(), self.successResultOf(asked))
        self.assertEqual(1, len(self.two.requests))

    def test_what_is_lost_for_good_is_told(self) -> None:
        self.say(1)
        self.settle()
        self.two.channels.mute = True
        big = TypingChanged("x" * 1_000_000, "2", True)
        for _ in range(12):
            self.one.bus.tell(self.two.seat("alice", "s"), big)
        self.settle()
        self.two.channels.mute = False
        self.two.channels.cut()
        self.pass_time(3.0)
        self.assertEqual(["missed one:1"], self.two.news)
        self.say(3)
        self.settle()
        self.assertEqual(3, self.numbers()[-1])
        self.assertLess(len(self.two.told), 14)

    def test_kicks_wait_for_redis(self) -> None:
        self.one.commands.cut()
        self.pump.until(lambda: not self.one.redis.connected)
        self.one.bus.kick("alice", KICKED)
        self.assertEqual(1, len(self.one.kicks))
        self.pass_time(2.0)
        self.assertEqual([("alice", "", "", KICKED)], self.two.kicks)

    def test_slots_are_freed_when_redis_is_back(self) -> None:
        self.wait_for(self.one.bus.claim("busy/alice", "c"))
        self.one.commands.cut()
        self.pump.until(lambda: not self.one.redis.connected)
        self.one.bus.release("busy/alice", "c")
        self.pass_time(2.0)
        self.assertEqual("", self.wait_for(self.two.bus.holder("busy/alice")))

    def test_a_release_that_was_on_its_way_is_said_again(self) -> None:
        self.wait_for(self.one.bus.claim("busy/alice", "c"))
        self.one.commands.mute = True
        self.one.bus.release("busy/alice", "c")
        self.pump.turn()
        self.one.commands.mute = False
        self.one.commands.cut()
        self.pass_time(2.0)
        self.assertEqual("", self.wait_for(self.two.bus.holder("busy/alice")))

    def test_who_left_meanwhile_is_taken_off(self) -> None:
        self.one.sessions["alice"] = ["a"]
        self.wait_for(self.one.bus.attendance.enter("alice"))
        self.one.commands.cut()
        self.pump.until(lambda: not self.one.redis.connected)
        del self.one.sessions["alice"]
        self.one.bus.attendance.changed("alice")
        self.pass_time(3.0)
        self.assertEqual([], self.wait_for(self.two.bus.seats("alice")))

    def test_redis_has_forgotten_the_last_moments(self) -> None:
        """As a replica that takes over: who came is not there, who left is."""
        node = self.one
        for user in ("alice", "ghost"):
            node.sessions[user] = ["a"]
        self.wait_for(node.bus.attendance.enter("ghost"))
        kept = {
            key: self.wait_for(self.link.call("DUMP", f"t:{key}"))
            for key in ("at:ghost", "nu:one:1", "hosts")
        }
        self.wait_for(node.bus.attendance.enter("alice"))
        del node.sessions["ghost"]
        node.bus.attendance.changed("ghost")
        self.settle()
        self.wait_for(self.link.call("DEL", "t:at:alice"))
        for key, dump in kept.items():
            self.wait_for(self.link.call("RESTORE", f"t:{key}", 0, dump, "REPLACE"))
        self.assertEqual(1, len(self.wait_for(self.two.bus.seats("ghost"))))
        node.commands.cut()
        self.pump.until(lambda: not node.redis.connected)
        node.bus.attendance.again()
        self.pass_time(3.0)
        self.assertEqual([], self.wait_for(self.two.bus.seats("ghost")))
        self.assertEqual(["a"], [seat.session for seat in self.wait_for(self.two.bus.seats("alice"))])
        self.assertEqual([b"alice"], self.wait_for(self.link.call("HKEYS", "t:hosts")))

    def test_while_redis_is_away_nothing_is_done(self) -> None:
        self.one.commands.cut()
        self.pump.until(lambda: not self.one.redis.connected)
        bus = self.one.bus
        for refused in (
            bus.ask(self.two.node, Moderate(Done())),
            bus.claim("a", "b"),
            bus.holder("a"),
            bus.seats("alice"),
            bus.attendance.enter("alice"),
            bus.attendance.ranks(["alice"]),
            bus.attendance.standing("alice"),
            bus.attendance.announced("alice", 1),
        ):
            self.assertEqual(ErrorCode.UNAVAILABLE, self.error_of(refused))
        bus.publish(["alice"], typing(1))  # is lost


class RefusedTest(BusCase):
    """A Redis that is there and takes nothing for a while; one of the test's own."""

    def make_server(self) -> RedisServer:
        server = RedisServer().start()
        self.addCleanup(server.close)
        return server

    def setUp(self) -> None:
        super().setUp()
        self.one, self.two = self.open_nodes("one", "two")

    def test_a_release_that_is_refused_is_said_again(self) -> None:
        self.assertEqual("c", self.wait_for(self.one.bus.claim("busy/alice", "c")))
        self.wait_for(self.link.call("CONFIG", "SET", "min-replicas-to-write", "1"))
        self.one.bus.release("busy/alice", "c")
        self.settle()
        self.wait_for(self.link.call("CONFIG", "SET", "min-replicas-to-write", "0"))
        self.assertEqual("c", self.wait_for(self.two.bus.holder("busy/alice")))
        self.pass_time(2.0)
        self.assertEqual("", self.wait_for(self.two.bus.holder("busy/alice")))

    def test_a_kick_that_cannot_be_said_is_said_again(self) -> None:
        self.wait_for(self.link.call("ACL", "SETUSER", "default", "-hkeys"))
        self.one.bus.kick("alice", KICKED)
        self.settle()
        self.wait_for(self.link.call("ACL", "SETUSER", "default", "+@all"))
        self.assertEqual([], self.two.kicks)
        self.pass_time(2.0)
        self.assertEqual(1, len(self.two.kicks))


class DeathTest(BusCase):
    """Nodes that are gone."""

    def setUp(self) -> None:
        super().setUp()
        self.one, self.two, self.three = self.open_nodes("one", "two", "three")

    def enter(self, node: Node, user: str) -> None:
        node.sessions[user] = [f"{user}-{node.bus.members.name}"]
        node.ranks[user] = 3
        self.wait_for(node.bus.attendance.enter(user))

    def test_all_that_was_there_is_gone_within_seconds(self) -> None:
        self.enter(self.one, "alice")
        self.enter(self.two, "alice")
        self.enter(self.one, "bob")
        self.wait_for(self.one.bus.claim("busy/alice", "c1"))
        self.wait_for(self.two.bus.claim("busy/carol", "c2"))
        self.one.die()
        self.pass_time(PERIODS.lease + 3 * PERIODS.beat)
        self.assertEqual(("three:1", "two:1"), self.two.bus.nodes)
        self.assertEqual("", self.wait_for(self.two.bus.holder("busy/alice")))
        self.assertEqual("c2", self.wait_for(self.two.bus.holder("busy/carol")))
        self.assertEqual([3, 0], list(self.wait_for(self.two.bus.attendance.ranks(["alice", "bob"]))))
        self.assertEqual(["two:1"], [seat.node for seat in self.wait_for(self.three.bus.seats("alice"))])
        changed = [
            news for node in (self.two, self.three) for news in node.news if news.startswith("changed")
        ]
        self.assertEqual({"alice", "bob"}, {user for news in changed for user in news.split()[1:]})
        for node in (self.two, self.three):
            self.assertIn("lost one:1", node.news)
        self.pass_time(2 * PERIODS.beat)
        left = self.wait_for(self.link.call("KEYS", "*one*")) + self.wait_for(
            self.link.call("SMEMBERS", "t:dead")
        )
        self.assertEqual([], left)
        self.assertIsNotNone(self.wait_for(self.link.call("HGET", "t:seen", "bob")))

    def test_what_was_asked_of_it_is_refused_at_once(self) -> None:
        self.one.answers[Moderate] = lambda request: Deferred()
        self.pass_time(PERIODS.lease - 3.0)
        self.one.die()
        self.pass_time(PERIODS.lease - 2.0)
        asked = ensureDeferred(self.two.bus.ask(self.one.node, Moderate(Done())))
        self.pass_time(3.5)
        self.assertEqual(ErrorCode.UNAVAILABLE, self.failureResultOf(asked, ImError).value.code)
        self.assertIn("lost one:1", self.two.news)
        self.assertEqual(ErrorCode.UNAVAILABLE, self.error_of(self.two.bus.ask("one:1", Moderate(Done()))))

    def test_its_slots_are_free_as_soon_as_it_is_known_to_be_lost(self) -> None:
        self.wait_for(self.one.bus.claim("busy/alice", "c1"))
        self.wait_for(self.link.call("HDEL", "t:nodes", self.one.node))
        self.assertEqual("c2", self.wait_for(self.two.bus.claim("busy/alice", "c2")))

    def test_one_that_leaves_is_cleared_away_at_once(self) -> None:
        self.enter(self.one, "alice")
        self.wait_for(self.one.bus.stop())
        self.settle()
        self.assertEqual(("three:1", "two:1"), self.two.bus.nodes)
        self.assertIn("lost one:1", self.two.news)
        self.assertEqual([0], list(self.wait_for(self.two.bus.attendance.ranks(["alice"]))))

    def test_nobody_is_lost_because_redis_was_away(self) -> None:
        for node in self.nodes:
            node.commands.cut()
            node.commands.mute = True
        self.pass_time(30.0)
        for node in self.nodes:
            node.commands.mute = False
            node.commands.cut()
        self.pass_time(20.0)
        for node in self.nodes:
            self.assertEqual(("one:1", "three:1", "two:1"), node.bus.nodes)
            self.assertEqual([], node.news)

    def test_nothing_is_kept_for_one_that_nobody_saw(self) -> None:
        self.wait_for(self.link.call("HSET", "t:nodes", "short:1", 1))
        self.one.bus.kick("alice", KICKED)
        self.settle()
        self.assertIn("short:1", self.one.bus._exchange._outgoing)
        self.wait_for(self.link.call("HDEL", "t:nodes", "short:1"))
        self.pass_time(35.0, 1.0)
        self.assertNotIn("short:1", self.one.bus._exchange._outgoing)
        self.assertEqual(1, len(self.two.kicks))

    def test_the_last_one_is_cleared_away_by_the_next(self) -> None:
        self.enter(self.one, "alice")
        self.wait_for(self.one.bus.claim("busy/alice", "c1"))
        for node in self.nodes:
            node.die()
        four = self.open_node("four")
        self.pass_time(PERIODS.lease + 4 * PERIODS.beat)
        self.assertEqual(("four:1",), four.bus.nodes)
        keys = set(self.wait_for(self.link.call("KEYS", "*")))
        self.assertEqual({b"t:nodes", b"t:seen"}, keys)


class CutOffTest(BusCase):
    """A node that the others took for lost."""

    def setUp(self) -> None:
        super().setUp()
        self.one, self.two = self.open_nodes("one", "two")
        self.back: list[str] = []
        self.one.bus.rejoined.append(lambda: self.back.append(self.one.node))
        for node in self.nodes:
            node.sessions["alice"] = [f"alice-{node.bus.members.name}"]
            node.ranks["alice"] = 3
            self.wait_for(node.bus.attendance.enter("alice"))
        self.wait_for(self.one.bus.claim("mine", "one"))

    def test_one_that_goes_down_is_so_under_another_name_too(self) -> None:
        self.one.bus.retire()
        self.cut_off()
        self.come_back()
        self.assertEqual({"two:1"}, {self.two.bus.home(f"key{number}") for number in range(60)})

    def cut_off(self) -> None:
        self.one.commands.mute = True
        self.pass_time(PERIODS.lease + 3 * PERIODS.beat)
        self.assertIn("lost one:1", self.two.news)
        self.assertEqual(["two:1"], [seat.node for seat in self.wait_for(self.two.bus.seats("alice"))])

    def come_back(self) -> None:
        self.one.commands.mute = False
        self.one.commands.cut()
        self.pass_time(3.0)

    def test_it_takes_part_again_under_another_name(self) -> None:
        self.cut_off()
        self.assertEqual([], self.one.news)
        self.come_back()
        self.assertEqual("one:2", self.one.node)
        self.assertEqual(("one:2", "two:1"), self.two.bus.nodes)
        self.assertEqual(["cut off", "changed alice", "rejoined"], self.one.news)
        self.assertEqual(["one:2"], self.back)
        seats = [seat.node for seat in self.wait_for(self.two.bus.seats("alice"))]
        self.assertEqual({"one:2", "two:1"}, set(seats))
        self.assertEqual(b"one two", b" ".join(sorted(self.wait_for(self.hosts()).split())))
        self.assertEqual("two", self.wait_for(self.two.bus.claim("mine", "two")))
        self.two.bus.tell(self.one.seat("alice", "s"), typing(1))
        self.settle()
        self.assertEqual([("alice", "s", typing(1), "two:1")], self.one.told)

    def hosts(self) -> Any:
        return self.link.call("HGET", "t:hosts", "alice")

    def test_it_joins_and_does_not_hear_of_it(self) -> None:
        """The others know it under that name, and lose it: it must not come back under it."""
        self.cut_off()
        self.one.commands.mute = False
        self.one.commands.cut()
        self.pump.until(lambda: self.one.node == "one:2", run_clock=True)
        self.one.commands.hold_answers = True
        self.pump.until(lambda: self.wait_for(self.link.call("HEXISTS", "t:nodes", "one:2")))
        self.one.commands.closed = True
        self.one.commands.cut()
        self.pass_time(PERIODS.lease + 3 * PERIODS.beat)
        self.assertIn("lost one:2", self.two.news)
        self.assertEqual(0, self.wait_for(self.link.call("SCARD", "t:dead")))
        self.one.commands.closed = False
        self.pass_time(3.0)
        self.assertEqual(("one:3", "two:1"), self.two.bus.nodes)
        self.assertEqual("one:3", self.one.node)
        self.one.bus.tell(self.two.seat("alice", "s"), typing(1))
        self.settle()
        self.assertEqual([("alice", "s", typing(1), "one:3")], self.two.told)

    def test_a_name_that_nobody_may_have_heard_of_is_given_up_at_once(self) -> None:
        self.cut_off()
        self.one.commands.mute = False
        self.one.commands.cut()
        self.pump.until(lambda: self.one.node == "one:2", run_clock=True)
        self.one.commands.hold_answers = True
        self.pump.until(lambda: self.wait_for(self.link.call("HEXISTS", "t:nodes", "one:2")))
        self.one.commands.cut()
        self.pass_time(2.0)
        self.assertEqual(("one:3", "two:1"), self.two.bus.nodes)

    def test_nothing_it_said_before_is_heard(self) -> None:
        self.cut_off()
        self.one.bus.tell(Seat("alice", "s", "two:1", Media.NONE), typing(1))
        self.come_back()
        self.assertEqual([], self.two.told)

    def test_nothing_it_says_is_heard_before_it_knows(self) -> None:
        self.wait_for(self.link.call("HDEL", "t:nodes", "one:1"))
        self.wait_for(self.link.call("SADD", "t:dead", "one:1"))
        self.two.bus.members._look()
        self.pump.until(lambda: "lost one:1" in self.two.news)
        self.assertEqual("one:1", self.one.node)
        self.one.bus.tell(Seat("alice", "s", "two:1", Media.NONE), typing(1))
        self.one.bus.kick("alice", KICKED)
        self.settle()
        self.assertEqual(([], []), (self.two.told, self.two.kicks))

    def test_what_it_asks_meanwhile_is_refused(self) -> None:
        self.cut_off()
        asked = ensureDeferred(self.one.bus.ask("two:1", Moderate(Done())))
        claimed = ensureDeferred(self.one.bus.claim("a", "b"))
        self.come_back()
        for refused in (asked, claimed):
            self.assertEqual(ErrorCode.UNAVAILABLE, self.failureResultOf(refused, ImError).value.code)
        self.assertEqual([], self.two.requests)

    def test_a_pause_without_a_lost_connection(self) -> None:
        """As if the process had been stopped: Redis has said nothing, and then it goes on."""
        self.wait_for(self.link.call("HDEL", "t:nodes", "one:1"))
        self.wait_for(self.link.call("SADD", "t:dead", "one:1"))
        refused = self.one.bus.claim("b", "c")
        self.assertEqual(ErrorCode.UNAVAILABLE, self.error_of(refused))
        self.pass_time(3.0)
        self.assertEqual("one:2", self.one.node)
        self.assertEqual("cut off", self.one.news[0])
        self.assertEqual({"changed alice", "rejoined"}, set(self.one.news[1:]))  # either node may clear away
