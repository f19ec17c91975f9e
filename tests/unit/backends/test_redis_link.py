"""Commands and channels of a real Redis: order, bounds, losses, silence."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import LogLevel, capturedLogs, formatEvent

from imserver.backends.redis.faults import RedisLost
from imserver.backends.redis.link import Redis
from imserver.backends.redis.scripts import Script
from imserver.model.errors import ErrorCode, ImError
from tests.redis.link_case import LinkCase
from tests.redis.proxy import Proxy
from tests.redis.server import RedisServer


class LinkTest(LinkCase):
    """A link while all is well."""

    def test_bytes_numbers_lists_and_nothing(self) -> None:
        link = self.open_link()
        self.assertEqual(b"OK", self.wait_for(link.call("SET", "ключ", b"007")))
        self.assertEqual(b"007", self.wait_for(link.call("GET", "ключ")))
        self.assertEqual(8, self.wait_for(link.call("INCRBY", "n", 8)))
        self.assertIsNone(self.wait_for(link.call("GET", "nothing")))
        self.assertEqual([b"8", None], self.wait_for(link.call("MGET", "n", "x")))

    def test_commands_of_a_turn_are_one_write_and_answered_in_order(self) -> None:
        link = self.open_link()
        answered: list[Any] = []
        batches: list[int] = []
        link.after_replies.append(lambda: batches.append(len(answered)))
        for number in range(5):
            link.send(("INCR", "n"), lambda token, reply: answered.append((token, reply)), number)
            link.mark(lambda token, reply: answered.append((token, reply)), f"mark {number}")
        self.assertEqual([], answered)
        self.pump.until(lambda: len(answered) == 10)
        expected: list[Any] = []
        for number in range(5):
            expected += [(number, number + 1), (f"mark {number}", None)]
        self.assertEqual(expected, answered)
        self.assertIn(10, batches)

    def test_marks_alone_come_in_the_next_turn(self) -> None:
        link = self.make_link()
        answered: list[Any] = []
        link.mark(lambda token, reply: answered.append(token), "a")
        self.assertEqual([], answered)
        self.clock.advance(0)
        self.assertEqual(["a"], answered)

    def test_a_wrong_command_fails_alone(self) -> None:
        link = self.open_link()
        first, second = link.call("INCR"), link.call("INCR", "n")
        error = self.failure(first)
        self.assertEqual(ErrorCode.INTERNAL, error.code)
        self.assertEqual(1, self.wait_for(second))

    def test_text_that_is_not_unicode_is_not_sent(self) -> None:
        link = self.open_link()
        self.assertRaises(UnicodeEncodeError, link.call, "SET", "a", "\ud800")
        self.assertEqual(0, link.waiting)

    def test_scripts(self) -> None:
        link = self.open_link()
        add = Script("add", 'return {redis.call("INCRBY", P .. KEYS[1], ARGV[1]), C}')
        self.assertEqual([5, b"t:0:"], self.wait_for(link.script(add, ["n"], [5])))
        self.assertEqual([7, b"t:0:"], self.wait_for(link.script(add, ["n"], [2])))
        self.assertEqual(b"7", self.wait_for(link.call("GET", "t:n")))

    def test_a_forgotten_script_is_sent_again(self) -> None:
        link = self.open_link()
        one = Script("one", "return 1")
        self.wait_for(link.script(one))
        self.wait_for(link.call("SCRIPT", "FLUSH"))
        self.assertEqual([1, 1], [self.wait_for(link.script(one)) for _ in range(2)])

    def failure(self, waiting: Deferred[Any]) -> ImError:
        try:
            self.wait_for(waiting)
        except ImError as error:
            return error
        raise AssertionError("it did not fail")

    # Bounds

    def test_too_many_commands_are_refused_at_once(self) -> None:
        link = self.open_link(queue_commands=3)
        waiting = [link.call("PING") for _ in range(3)]
        self.assertEqual(ErrorCode.UNAVAILABLE, self.failureResultOf(link.call("PING"), ImError).value.code)
        for one in waiting:
            self.assertEqual(b"PONG", self.wait_for(one))
        self.assertEqual(b"PONG", self.wait_for(link.call("PING")))

    def test_too_many_bytes_are_refused_at_once(self) -> None:
        link = self.open_link(queue_bytes=10_000)
        big = link.call("SET", "a", b"x" * 20_000)
        self.assertEqual(ErrorCode.UNAVAILABLE, self.failureResultOf(link.call("PING"), ImError).value.code)
        self.assertEqual(b"OK", self.wait_for(big))
        self.assertEqual(b"PONG", self.wait_for(link.call("PING")))

    # Time

    def test_redis_time_is_never_anticipated(self) -> None:
        link = self.open_link()
        for _ in range(20):
            before = link.server_time()
            seconds, microseconds = self.wait_for(link.call("TIME"))
            self.assertLessEqual(before, int(seconds) + int(microseconds) / 1e6)


class LossTest(LinkCase):
    """A link whose Redis goes away, in every way there is."""

    def setUp(self) -> None:
        super().setUp()
        self.server = RedisServer().start()
        self.addCleanup(self.server.close)
        self.events: list[str] = []

    def watched(self, **settings: Any) -> Redis:
        link = self.open_link(**settings)
        link.watch(lambda: self.events.append("up"), lambda: self.events.append("down"))
        self.assertEqual(["up"], self.events)
        return link

    def lost(self, waiting: Deferred[Any]) -> None:
        try:
            self.wait_for(waiting, run_clock=True)
        except RedisLost:
            return
        raise AssertionError("it was answered")

    def back(self, link: Redis) -> None:
        self.pump.until(lambda: link.connected, run_clock=True)
        self.assertEqual(["up", "down", "up"], self.events)
        self.assertEqual(b"PONG", self.wait_for(link.call("PING")))

    def test_a_killed_redis(self) -> None:
        link = self.watched()
        self.server.kill()
        self.lost(link.call("PING"))
        self.assertEqual(ErrorCode.UNAVAILABLE, self.failureResultOf(link.call("PING"), ImError).value.code)
        self.server.start()
        self.back(link)

    def test_a_stopped_redis(self) -> None:
        link = self.watched(timeout=2.0, ping_seconds=0.2)
        self.server.pause()
        waiting = [link.call("PING"), link.call("PING")]
        for one in waiting:
            self.lost(one)
        self.assertFalse(link.connected)
        self.server.go_on()
        self.back(link)

    def test_silence_is_noticed_though_nothing_is_asked(self) -> None:
        link = self.watched(timeout=2.0, ping_seconds=0.2)
        self.server.pause()
        self.pump.until(lambda: not link.connected, run_clock=True)
        self.server.go_on()
        self.back(link)

    def test_slow_answers_are_no_silence(self) -> None:
        """One that takes most of the time allowed, after one that took most of it."""
        link = self.watched(timeout=30.0, ping_seconds=0.1)
        nap = Script("nap", "for i = 1, 3e7 do end return 1")
        waiting = [link.script(nap) for _ in range(2)]
        self.assertEqual([1, 1], [self.wait_for(one, run_clock=True) for one in waiting])
        self.assertEqual(["up"], self.events)

    def test_a_cut_connection(self) -> None:
        proxy = Proxy(self.pump, self.server.port)
        self.addCleanup(proxy.close)
        link = self.make_link()
        link._where = proxy.where
        link.start()
        self.addCleanup(self._stop, link)
        self.pump.until(lambda: link.connected)
        proxy.hold_answers = True
        waiting = link.call("SET", "t:cut", "done")
        self.pump.until(lambda: proxy.held)
        proxy.cut()
        self.lost(waiting)
        self.pump.until(lambda: link.connected, run_clock=True)
        self.assertEqual(b"done", self.wait_for(link.call("GET", "t:cut")))

    def test_a_half_open_connection(self) -> None:
        """Nothing comes through any more, and nobody says so."""
        proxy = Proxy(self.pump, self.server.port)
        self.addCleanup(proxy.close)
        link = self.make_link(timeout=2.0, ping_seconds=0.2)
        link._where = proxy.where
        link.start()
        self.addCleanup(self._stop, link)
        self.pump.until(lambda: link.connected)
        proxy.mute = True
        self.pump.until(lambda: not link.connected, run_clock=True)
        proxy.mute = False
        self.pump.until(lambda: link.connected, run_clock=True)

    def test_a_greeting_that_is_not_answered(self) -> None:
        proxy = Proxy(self.pump, self.server.port)
        self.addCleanup(proxy.close)
        proxy.mute = True
        link = self.make_link(timeout=2.0, first_delay=0.1)
        link._where = proxy.where
        link.start()
        self.addCleanup(self._stop, link)
        first = proxy.passages[0]
        self.pump.until(lambda: first not in proxy.passages and proxy.passages, run_clock=True)
        self.assertFalse(link.connected)
        proxy.mute = False
        self.pump.until(lambda: link.connected, run_clock=True)

    def clients(self, link: Redis) -> set[str]:
        """The numbers of all connections that Redis has."""
        listed = self.wait_for(link.call("CLIENT", "LIST")).decode()
        return {line.split()[0].removeprefix("id=") for line in listed.splitlines()}

    def given_up(self, link: Redis) -> str:
        """Redis does not notice that a connection was given up: what is under way may come; its number."""
        number = str(self.wait_for(link.call("CLIENT", "ID")))
        assert link._protocol is not None
        link._protocol.transport.abortConnection = lambda: None
        link._give_up("too late")
        return number

    def test_what_was_given_up_is_not_done_any_more(self) -> None:
        """It could come after what was said anew on the next connection."""
        link, other = self.open_link(first_delay=0.01), self.open_link()
        before = self.given_up(link)
        self.assertIn(before, self.clients(other))
        self.pump.until(lambda: link.connected, run_clock=True)
        self.wait_for(link.call("PING"))
        self.assertNotIn(before, self.clients(other))

    def test_another_process_has_other_numbers(self) -> None:
        """Whose connection has that one there is nobody's affair."""
        link, other = self.open_link(first_delay=0.01), self.open_link()
        before = self.given_up(link)
        link._used = ("another process", int(before))
        self.pump.until(lambda: link.connected, run_clock=True)
        self.wait_for(link.call("PING"))
        self.assertIn(before, self.clients(other))

    def test_nobody_at_the_address(self) -> None:
        proxy = Proxy(self.pump, self.server.port)
        self.addCleanup(proxy.close)
        proxy.closed = True
        link = self.make_link()
        link._where = proxy.where
        link.start()
        self.addCleanup(self._stop, link)
        for _ in range(10):
            self.clock.advance(1.0)
        self.assertFalse(link.connected)
        proxy.closed = False
        self.pump.until(lambda: link.connected, run_clock=True)

    def test_what_waits_is_refused_when_it_is_stopped(self) -> None:
        link = self.watched()
        waiting = link.call("PING")
        link.stop()
        self.failureResultOf(waiting, RedisLost)
        self.assertEqual(["up", "down"], self.events)
        self.clock.advance(60)
        self.assertFalse(link.connected)
        self.assertEqual([], self.clock.getDelayedCalls())

    def test_marks_keep_their_place_in_a_loss(self) -> None:
        link = self.watched()
        told: list[Any] = []
        link.send(("PING",), lambda token, reply: told.append((token, type(reply))), 1)
        link.mark(lambda token, reply: told.append((token, reply)), 2)
        link.send(("PING",), lambda token, reply: told.append((token, type(reply))), 3)
        link.stop()
        self.assertEqual([(1, RedisLost), (2, None), (3, RedisLost)], told)


class ChannelTest(LinkCase):
    """Channels."""

    def setUp(self) -> None:
        super().setUp()
        self.server = RedisServer().start()
        self.addCleanup(self.server.close)
        self.heard: list[bytes] = []

    def test_what_is_published_is_heard_in_order(self) -> None:
        link = self.open_link()
        subscriber = self.make_subscriber()
        subscriber.start()
        self.addCleanup(self._stop, subscriber)
        other: list[bytes] = []
        self.wait_for(subscriber.subscribe(b"a", self.heard.extend))
        self.wait_for(subscriber.subscribe(b"b", other.extend))
        for number in range(100):
            link.call("PUBLISH", "a", number)
            link.call("PUBLISH", "b", -number)
        self.pump.until(lambda: len(self.heard) == len(other) == 100)
        self.assertEqual([b"%d" % number for number in range(100)], self.heard)
        self.assertEqual([b"%d" % -number for number in range(100)], other)

    def test_channels_are_heard_again_after_a_loss(self) -> None:
        link = self.open_link()
        subscriber = self.make_subscriber()
        events: list[str] = []
        subscriber.watch(lambda: events.append("up"), lambda: events.append("down"))
        subscriber.start()
        self.addCleanup(self._stop, subscriber)
        self.wait_for(subscriber.subscribe(b"a", self.heard.extend))
        self.server.kill()
        self.pump.until(lambda: not subscriber.whole, run_clock=True)
        self.server.start()
        self.pump.until(lambda: subscriber.whole and link.connected, run_clock=True)
        self.assertEqual(["up", "down", "up"], events)
        self.assertEqual(1, self.wait_for(link.call("PUBLISH", "a", "x")))
        self.pump.until(lambda: self.heard == [b"x"])

    def test_silence_is_noticed(self) -> None:
        subscriber = self.make_subscriber(timeout=2.0, ping_seconds=0.2)
        subscriber.start()
        self.addCleanup(self._stop, subscriber)
        self.wait_for(subscriber.subscribe(b"a", self.heard.extend))
        self.server.pause()
        self.pump.until(lambda: not subscriber.whole, run_clock=True)
        self.server.go_on()
        self.pump.until(lambda: subscriber.whole, run_clock=True)


class ComplaintsTest(LinkCase):
    """What people are told while Redis cannot be used."""

    def make_server(self) -> RedisServer:
        server = RedisServer(options=("--requirepass", "secret"))
        self.addCleanup(server.close)
        return server

    def test_every_reason_once(self) -> None:
        link = self.make_link(first_delay=0.01, longest_delay=0.02)
        self.addCleanup(self._stop, link)
        with capturedLogs() as logged:
            link.start()
            for _ in range(20):
                self.pump.turn()
                self.clock.advance(0.02)
            self.server.start()
            self.pump.until(lambda: "NOAUTH" in link.fault, run_clock=True)
            for _ in range(20):
                self.pump.turn(0.005)
                self.clock.advance(0.02)
        told = [formatEvent(event) for event in logged if event["log_level"] is LogLevel.error]
        self.assertEqual(2, len(told), told)
        self.assertIn("refused", told[0])
        self.assertIn("NOAUTH", told[1])
