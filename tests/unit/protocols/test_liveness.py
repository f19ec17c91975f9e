"""The wheel, and what it does to connections: deadlines, silence, slow peers, the last five seconds."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from imserver.model.accounts import KickReason, SessionKicked
from imserver.protocols.draining import ANSWER_TIME
from imserver.protocols.liveness import Wheel
from tests.unit.protocols.stub import STUB, LinePeer, StubHub, doors, logged_in, message


class Thing:
    """Wants to be looked at every `interval` seconds, `count` times."""

    def __init__(self, interval: float = 0.0, count: int = 1) -> None:
        self.wheel_slot = -1
        self.interval = interval
        self.count = count
        self.seen: list[float] = []

    def check(self, now: float) -> float | None:
        self.seen.append(now)
        return now + self.interval if len(self.seen) < self.count else None


class Turning(SynchronousTestCase):
    """The wheel alone."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(1000.5)
        self.wheel = Wheel(self.clock)

    def turn(self, seconds: int) -> None:
        self.clock.pump([1.0] * seconds)

    def test_never_early_and_a_tick_late_at_most(self) -> None:
        things = [Thing() for _ in range(50)]
        dues = [1000.5 + n * 0.37 for n in range(50)]
        for thing, due in zip(things, dues, strict=True):
            self.wheel.watch(thing, due)
        self.clock.pump([0.25] * 100)
        for thing, due in zip(things, dues, strict=True):
            self.assertEqual(len(thing.seen), 1)
            self.assertTrue(due <= thing.seen[0] <= due + 2.0, (due, thing.seen))

    def test_one_delayed_call_for_all_and_none_when_idle(self) -> None:
        things = [Thing() for _ in range(20)]
        for number, thing in enumerate(things):
            self.wheel.watch(thing, 1001.0 + number)
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)
        self.turn(30)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_again_and_again(self) -> None:
        thing = Thing(10.0, 4)
        self.wheel.watch(thing, 1010.5)
        self.turn(60)
        self.assertEqual(len(thing.seen), 4)

    def test_forgotten_and_moved_things(self) -> None:
        gone, moved = Thing(), Thing()
        self.wheel.watch(gone, 1005.0)
        self.wheel.watch(moved, 1005.0)
        self.wheel.watch(moved, 1020.0)
        self.wheel.forget(gone)
        self.wheel.forget(gone)
        self.turn(10)
        self.assertEqual((gone.seen, moved.seen), ([], []))
        self.turn(20)
        self.assertEqual((len(gone.seen), len(moved.seen)), (0, 1))
        self.wheel.watch(gone, 2000.0)
        self.wheel.forget(gone)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_one_may_forget_another_of_the_same_slot(self) -> None:
        wheel = self.wheel

        class Jealous(Thing):
            rival: Thing

            def check(self, now: float) -> float | None:
                wheel.forget(self.rival)
                return super().check(now)

        things = [Jealous(), Jealous()]
        for thing, other in zip(things, reversed(things), strict=True):
            thing.rival = other
            self.wheel.watch(thing, 1005.0)
        self.turn(10)
        self.assertEqual(sum(len(thing.seen) for thing in things), 1)

    def test_a_clock_that_jumps_skips_nothing(self) -> None:
        things = [Thing() for _ in range(3)]
        for number, thing in enumerate(things):
            self.wheel.watch(thing, 1010.0 + 100 * number)
        self.clock.advance(5000)
        self.assertEqual([len(thing.seen) for thing in things], [1, 1, 1])

    def test_a_failing_check_does_not_stop_the_wheel(self) -> None:
        broken, sound = Thing(), Thing()
        broken.check = lambda now: 1 / 0  # type: ignore[method-assign]
        self.wheel.watch(broken, 1005.0)
        self.wheel.watch(sound, 1006.0)
        self.turn(10)
        self.assertEqual(len(sound.seen), 1)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)


class Connections(SynchronousTestCase):
    """What it does to connections."""

    def setUp(self) -> None:
        self.hub = StubHub()

    def wait(self, peer: LinePeer, seconds: int, line: str = "") -> None:
        """Lets time pass; the peer says `line` each 20 seconds."""
        for second in range(seconds):
            if line and second % 20 == 0:
                peer.say(line)
            peer.clock.advance(1)

    def test_ten_seconds_to_log_in(self) -> None:
        peer = LinePeer(doors(self.hub))
        self.wait(peer, 9, "groups#1")
        self.assertFalse(peer.closing)
        self.wait(peer, 3)
        self.assertEqual(peer.heard(), ["refused#1 AUTH_FAILED", "refused AUTH_FAILED"])
        self.assertTrue(peer.closing)

    def test_ten_minutes_while_heartbeats_come(self) -> None:
        peer = LinePeer(doors(self.hub))
        self.wait(peer, 590, "ping#1")
        self.assertFalse(peer.closing)
        self.wait(peer, 15, "ping#1")
        self.assertTrue(peer.closing)

    def test_who_stops_sending_heartbeats_is_silent(self) -> None:
        peer = LinePeer(doors(self.hub))
        self.wait(peer, 20, "ping#1")
        self.wait(peer, 105)
        self.assertTrue(peer.closing)

    def test_a_log_in_under_way_is_not_cut_off(self) -> None:
        self.hub.hold = True
        peer = LinePeer(doors(self.hub))
        peer.say("login#1 alice")
        self.wait(peer, 30)
        self.assertFalse(peer.closing)
        self.hub.release()
        self.assertEqual(peer.heard(), ["login#1 alice"])

    def test_ninety_seconds_of_silence_end_a_connection(self) -> None:
        peer = logged_in(self.hub)
        self.wait(peer, 85)
        self.assertFalse(peer.closing)
        self.wait(peer, 20)
        self.assertTrue(peer.closing)
        self.assertEqual(self.hub.attachments[0].told, ["start", "close"])

    def test_any_byte_is_a_sign_of_life(self) -> None:
        peer = logged_in(self.hub)
        for _ in range(20):
            peer.feed(b"g")
            self.wait(peer, 60)
        self.assertFalse(peer.closing)

    def test_silence_does_not_count_while_we_do_not_read(self) -> None:
        peer = logged_in(self.hub)
        self.hub.hold = True
        peer.say("groups#1", *[f"ack#{n} 1" for n in range(100)])
        self.assertFalse(peer.reading)
        self.wait(peer, 300)
        self.assertFalse(peer.closing)
        self.hub.release()
        self.wait(peer, 80)
        self.assertFalse(peer.closing)
        self.wait(peer, 30)
        self.assertTrue(peer.closing)

    def test_the_peer_has_five_seconds_to_go(self) -> None:
        peer = logged_in(self.hub)
        self.hub.receivers[0].kicked(SessionKicked(KickReason.ACCOUNT, "bye"))
        self.wait(peer, 4)
        self.assertFalse(peer.aborted)
        self.wait(peer, 3)
        self.assertTrue(peer.aborted)

    def test_who_takes_nothing_for_thirty_seconds_is_told_so_and_cut_off(self) -> None:
        peer = logged_in(self.hub)
        receiver = self.hub.receivers[0]
        receiver.push(message(b"begun"), 1)
        self.assertEqual(peer.heard(), ["push 1 begun"])
        peer.protocol._link.outbox.pauseProducing()
        receiver.push(message(b"unsent"), 2)
        self.wait(peer, 30, "ack#1 1")
        self.assertFalse(peer.protocol._link.closing)
        self.wait(peer, 20, "ack#1 1")
        self.assertTrue(peer.protocol._link.closing)
        peer.protocol._link.outbox.resumeProducing()
        self.assertEqual(peer.heard(), ["kicked SLOW"])
        self.wait(peer, 7)
        self.assertTrue(peer.aborted)

    def test_nobody_is_watched_who_is_gone(self) -> None:
        peer = logged_in(self.hub)
        peer.lose()
        self.assertEqual(peer.clock.getDelayedCalls(), [])
        self.assertEqual(len(peer.doors), 0)

    def test_shutting_down_says_goodbye_to_all_and_waits_until_they_are_gone(self) -> None:
        peer = logged_in(self.hub)
        stranger = LinePeer(peer.doors, STUB)
        done: list[None] = []
        peer.doors.shut_down().addCallback(done.append)
        peer.clock.advance(ANSWER_TIME)
        self.assertEqual((peer.heard(), stranger.heard()), (["kicked SHUTDOWN"], ["kicked SHUTDOWN"]))
        self.assertFalse(LinePeer(peer.doors).admitted)
        peer.lose()
        self.assertEqual(done, [])
        stranger.lose()
        self.assertEqual(done, [None])

    def test_what_was_asked_is_answered_before_the_goodbye(self) -> None:
        peer = logged_in(self.hub)
        peer.say("send#1 hello")
        peer.doors.shut_down()
        self.assertEqual(peer.transport.producerState, "paused")
        self.hub.answer()
        peer.clock.advance(ANSWER_TIME)
        heard = peer.heard()
        self.assertEqual((heard[0].partition(" ")[0], heard[1:]), ("send#1", ["kicked SHUTDOWN"]))

    def test_who_is_gone_before_the_goodbye_gets_none(self) -> None:
        peer = logged_in(self.hub)
        gone = peer.doors.shut_down()
        peer.lose()
        self.successResultOf(gone)
        self.assertEqual(peer.clock.getDelayedCalls(), [], "nothing is left behind")
        peer.clock.advance(ANSWER_TIME)
        self.assertEqual(peer.heard(), [])

    def test_shutting_down_an_empty_house_is_done_at_once(self) -> None:
        self.successResultOf(doors(self.hub, Clock()).shut_down())
