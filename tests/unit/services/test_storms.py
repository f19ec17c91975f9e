"""Everybody comes back at once: what that may cost, and who need not wait for it."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, ensureDeferred, fail
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from imserver.model.accounts import Hello, LogIn
from imserver.model.errors import ErrorCode, ImError
from imserver.model.messages import AckMessages, RevokeMessage
from imserver.model.presence import PresenceChanged, PresenceState
from imserver.services import entrance, presence
from imserver.services.sessions import Client
from imserver.services.turnstile import Turnstile
from tests.unit.services.hub_world import HubCase, Peer


def turn(clock: Clock) -> None:
    """What one turn of a reactor does; `advance` would go on with what that calls for, too."""
    due: list[Any] = [call for call in clock.calls if call.getTime() <= clock.seconds()]
    for call in due:
        clock.calls.remove(call)
        call.called = 1
        call.func(*call.args, **call.kw)


class Turns(SynchronousTestCase):
    def test_so_many_a_turn_in_their_order(self) -> None:
        clock = Clock()
        stile = Turnstile(clock, 2)
        order: list[int] = []

        async def come(number: int) -> None:
            await stile.passed()
            order.append(number)

        for number in range(5):
            ensureDeferred(come(number))
        self.assertEqual((order, len(stile)), ([0, 1], 3))
        turn(clock)
        self.assertEqual(order, [0, 1, 2, 3])
        ensureDeferred(come(5))  # not before those that wait
        turn(clock)
        self.assertEqual(order, [0, 1, 2, 3, 4, 5])

    def test_after_a_pause_nobody_waits(self) -> None:
        clock = Clock()
        stile = Turnstile(clock, 2)
        for _ in range(3):
            done = [ensureDeferred(stile.passed()) for _ in range(2)]
            self.assertTrue(all(one.called for one in done))
            turn(clock)
            turn(clock)
        self.assertEqual(clock.getDelayedCalls(), [])

    def test_who_goes_away_is_not_waited_for(self) -> None:
        clock = Clock()
        stile = Turnstile(clock, 1)
        first, second, third = (ensureDeferred(stile.passed()) for _ in range(3))
        second.cancel()
        self.failureResultOf(second)
        turn(clock)
        self.assertEqual((first.called, third.called, len(stile)), (True, True, 0))


class Returning(HubCase):
    """Sessions that were here a moment ago."""

    def back(self, user: str, **options: Any) -> Peer:
        _, peer = self.log_in(user, "phone", **options)
        return peer

    def leave(self, *users: str) -> None:
        for user in users:
            for session in self.hub.registry.of(user):
                session.close()
        self.settle()

    def test_who_missed_nothing_has_nothing_read(self) -> None:
        alice, _ = self.log_in("alice", "phone", transfers=True)
        bob, _ = self.log_in("bob", "phone", transfers=True)
        mine = self.send(alice, "to bob", recipient="bob")
        self.send(bob, "to alice", recipient="alice")
        revoke = RevokeMessage(mine.message_id)
        self.wait(self.hub.handle(alice, revoke))
        for session in (alice, bob):
            session.delivered(True)  # the peer's kernel has the changes
            session.acknowledge(AckMessages(seq=2))
        self.leave("alice", "bob")
        before = self.cellar.core.reads
        peers = [self.back(user, transfers=True) for user in ("alice", "bob")]
        self.assertEqual(self.cellar.core.reads, before)
        self.assertEqual([peer.messages for peer in peers], [[], []])
        self.assertEqual(self.wait(self.cellar.files.offers("alice", 9)), [])
        self.assertEqual(self.cellar.core.reads, before)

    def test_who_missed_something_has_that_read(self) -> None:
        alice, _ = self.log_in("alice", "phone")
        self.log_in("bob", "phone")
        self.leave("bob")
        mine = self.send(alice, "to bob", recipient="bob")
        before = self.cellar.core.reads
        self.assertEqual([words for _, words in self.back("bob").messages], ["to bob"])
        self.assertGreater(self.cellar.core.reads, before)
        self.hub.registry.of("bob")[0].acknowledge(AckMessages(seq=1))
        self.leave("bob")
        self.wait(self.hub.handle(alice, RevokeMessage(mine.message_id)))
        before = self.cellar.core.reads
        self.assertEqual(len(self.back("bob").events), 1)
        self.assertGreater(self.cellar.core.reads, before)

    def test_log_ins_of_known_devices_take_turns(self) -> None:
        self.log_in("alice", "phone")
        self.clock.advance(0)
        begun: list[Deferred[Any]] = []
        for number in range(10):
            client = Client(f"s{number}", "f", "127.0.0.1", False, True)
            command = LogIn(token="demo_token_alice", device="phone")
            begun.append(ensureDeferred(self.hub.log_in(client, Hello(), command, Peer())))
        counts = []
        while not all(one.called for one in begun):
            counts.append(sum(one.called for one in begun))
            turn(self.clock)
        few = entrance.LOG_INS_PER_TURN
        self.assertEqual(counts, [few, 2 * few])


class Seen(HubCase):
    """Presence in a storm."""

    def friends_of_alice(self, count: int) -> tuple[Peer, list[str]]:
        alice, peer = self.log_in("alice")
        users = [f"user{number:02}" for number in range(count)]
        for user in users:
            self.log_in(user)
            self.send(alice, f"hello {user}", recipient=user)
        peer.events.clear()
        return peer, users

    def changes(self, peer: Peer) -> list[tuple[str, PresenceState]]:
        return [(event.user, event.state) for event in peer.events if isinstance(event, PresenceChanged)]

    def close_all(self, users: list[str]) -> None:
        for user in users:
            for session in self.hub.registry.of(user):
                session.close()

    def test_only_a_few_are_told_of_in_one_turn(self) -> None:
        peer, users = self.friends_of_alice(3 * presence.PER_TURN)
        self.close_all(users)
        self.assertEqual(len(self.changes(peer)), presence.PER_TURN)
        turn(self.clock)
        self.assertEqual(len(self.changes(peer)), 2 * presence.PER_TURN)
        self.settle()
        self.assertEqual(self.changes(peer), [(user, PresenceState.OFFLINE) for user in users])

    def test_who_is_back_before_that_never_left(self) -> None:
        peer, users = self.friends_of_alice(2 * presence.PER_TURN)
        self.close_all(users)
        client = Client("again", "f", "127.0.0.1", False, True)
        token = f"demo_token_{users[-1]}"
        work = self.hub.log_in(client, Hello(), LogIn(token=token, device=""), Peer())
        live, _ = self.successResultOf(ensureDeferred(work))
        live.start()
        self.settle()
        self.assertEqual(self.changes(peer), [(user, PresenceState.OFFLINE) for user in users[:-1]])

    def test_who_is_to_be_told_anew_by_much_is_told_once_or_twice(self) -> None:
        peer, users = self.friends_of_alice(3)
        show, held, looks = self.hub.presence._show_all, Deferred[None](), 0

        async def slowly(user: str) -> None:
            nonlocal looks
            looks += 1
            await held
            await show(user)

        self.patch(self.hub.presence, "_show_all", slowly)
        for _ in range(50):
            self.hub.presence.refresh(["alice"])
        self.assertEqual(looks, 1)
        held.callback(None)
        self.settle()
        # What came while it was being looked at may be newer than what was seen.
        self.assertEqual(looks, 2)
        self.assertEqual([event.user for event in peer.events], 2 * users)

    def test_who_could_not_be_told_anew_is_told_later(self) -> None:
        peer, users = self.friends_of_alice(3)
        circle = self.cellar.directory.circle
        away = ImError(ErrorCode.UNAVAILABLE, "the message store did not answer")
        self.patch(self.cellar.directory, "circle", lambda user, largest_group=0: fail(away))
        self.hub.presence.refresh()
        self.settle()
        self.assertEqual(peer.events, [])
        self.patch(self.cellar.directory, "circle", circle)
        self.clock.advance(presence.RETRY_SECONDS)
        self.settle()
        self.assertEqual([event.user for event in peer.events], users)
