"""Sending everybody away in turn."""

from __future__ import annotations

from itertools import pairwise

from twisted.internet.defer import CancelledError
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from imserver.model.accounts import KickReason, SessionKicked
from imserver.protocols.draining import ANSWER_TIME, TURN, Drain
from tests.unit.protocols.stub import STUB, LinePeer, StubHub, doors, logged_in


class Somebody:
    """A connection that remembers when it was told."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.closing = False
        self.paused_at: float | None = None
        self.told_at: float | None = None

    @property
    def session(self) -> Somebody:
        return self

    def pause_reading(self) -> None:
        self.paused_at = self.clock.seconds()

    def kicked(self, event: SessionKicked) -> None:
        assert self.told_at is None, "told twice"
        assert event.reason is KickReason.SHUTDOWN
        self.told_at = self.clock.seconds()


class InTurn(SynchronousTestCase):
    """`Drain` alone."""

    def test_everybody_once_evenly_over_the_time(self) -> None:
        for count, seconds in ((1, 5.0), (7, 5.0), (1_000, 5.0), (1_000, 0.01), (3, 60.0)):
            clock = Clock()
            people = [Somebody(clock) for _ in range(count)]
            done = Drain(clock, people, seconds).run()
            while clock.getDelayedCalls():
                clock.advance(TURN / 4)
            self.successResultOf(done)
            told = [one.told_at for one in people]
            assert all(at is not None for at in told)
            times = [at for at in told if at is not None]
            self.assertEqual(times, sorted(times), "in their order")
            self.assertLessEqual(times[-1], seconds + ANSWER_TIME + 2 * TURN)
            if count > 1 and seconds > TURN:
                longest = max(after - before for before, after in pairwise(times))
                self.assertLessEqual(longest, seconds / count + 2 * TURN, "without long pauses")
            for one, at in zip(people, times, strict=True):
                assert one.paused_at is not None
                self.assertGreaterEqual(
                    at - one.paused_at, ANSWER_TIME - 1e-6, "what was asked is answered first"
                )

    def test_who_is_going_already_is_left_alone(self) -> None:
        clock = Clock()
        going, staying = Somebody(clock), Somebody(clock)
        going.closing = True
        self.finish(clock, Drain(clock, [going, staying], 0.0))
        self.assertIsNone(going.told_at)
        self.assertIsNotNone(staying.told_at)

    def finish(self, clock: Clock, drain: Drain) -> None:
        done = drain.run()
        clock.pump([TURN] * 10)
        self.successResultOf(done)

    def test_cancelled_it_leaves_nothing_behind(self) -> None:
        clock = Clock()
        people = [Somebody(clock) for _ in range(100)]
        done = Drain(clock, people, 10.0).run()
        clock.pump([TURN] * 50)
        done.cancel()
        self.failureResultOf(done, CancelledError)
        self.assertEqual(clock.getDelayedCalls(), [])
        told = sum(one.told_at is not None for one in people)
        self.assertTrue(40 < told < 60, told)


class Doors(SynchronousTestCase):
    """With real sessions."""

    def test_nobody_new_everybody_told_what_was_asked_answered(self) -> None:
        hub = StubHub()
        peer = logged_in(hub)
        stranger = LinePeer(peer.doors, STUB)
        done = peer.doors.drain(2.0)
        self.assertFalse(LinePeer(peer.doors).admitted)
        peer.clock.pump([TURN] * 30)
        self.successResultOf(done)
        self.assertEqual((peer.heard(), stranger.heard()), (["kicked SHUTDOWN"], ["kicked SHUTDOWN"]))
        gone = peer.doors.shut_down()
        peer.lose()
        stranger.lose()
        self.successResultOf(gone)
        self.assertEqual(peer.clock.getDelayedCalls(), [])

    def test_the_last_goodbye_spreads_the_returns(self) -> None:
        hub = StubHub()
        peer = logged_in(hub)
        LinePeer(peer.doors, STUB)
        told: list[float] = []
        for link in list(peer.doors._links):
            self.patch(link, "session", Listening(told))
        peer.doors.shut_down(returns_per_second=4.0)
        peer.clock.advance(ANSWER_TIME)
        self.assertEqual(told, [0.25, 0.5])

    def test_an_empty_house(self) -> None:
        clock = Clock()
        done = doors(StubHub(), clock).drain(0.0)
        clock.pump([TURN] * 10)
        self.successResultOf(done)


class Listening:
    """A session that notes when it may come back."""

    def __init__(self, told: list[float]) -> None:
        self.told = told

    def kicked(self, event: SessionKicked) -> None:
        self.told.append(event.retry_after)
