"""The feed between nodes is interrupted: nobody can tell afterwards."""

from __future__ import annotations

from imserver.model.accounts import KickReason
from imserver.model.errors import ErrorCode, ImError
from imserver.model.messages import MarkRead, MessageRevoked, MessagesRead, RevokeMessage
from tests.redis.house_world import House, HouseCase
from tests.unit.services.hub_world import text


class FeedOverNodes(HouseCase):
    """Alice is on one node, bob and another device of alice on the other one."""

    def setUp(self) -> None:
        super().setUp()
        self.one, self.two = self.open_houses("one", "two")
        self.alice = self.one.log_in("alice")
        self.bob = self.two.log_in("bob")
        self.tablet = self.two.log_in("alice", device="tablet")
        self.alice.send("before", recipient="bob")

    def deafen(self, house: House) -> None:
        """The connection that listens is cut, and the way to Redis is closed to new ones."""
        house.way.closed = True
        house.way.cut_client(house.cellar.subscriber._protocol)
        self.pump.until(lambda: not house.cellar.subscriber.whole, run_clock=True)

    def hear_again(self, house: House) -> None:
        """It comes back."""
        house.way.closed = False
        self.pump.until(lambda: house.cellar.subscriber.whole, run_clock=True)
        self.settle()

    def test_messages_that_were_not_heard_come_once_and_in_order(self) -> None:
        self.deafen(self.two)
        for words in ("1", "2"):
            self.one.hub.send(self.alice.live, text(words, recipient="bob"), words)
            self.pump.until(lambda: not self.one.cellar.redis.waiting and not self.pump.due())
        self.assertEqual(["before"], self.bob.texts)
        self.hear_again(self.two)
        self.alice.send("3", recipient="bob")
        self.assertEqual(["before", "1", "2", "3"], self.bob.texts)
        self.assertEqual(["before", "1", "2", "3"], self.tablet.texts)

    def test_nobody_is_pushed_what_it_sent_itself(self) -> None:
        """The answers came, the feed did not."""
        self.deafen(self.two)
        for words in ("1", "2"):
            self.two.hub.send(self.bob.live, text(words, recipient="alice"), words)
        self.pump.until(lambda: len(self.bob.peer.answers) == 2)
        self.hear_again(self.two)
        self.assertEqual(["before"], self.bob.texts)
        self.assertEqual(["before", "1", "2"], self.tablet.texts)
        self.assertEqual(["1", "2"], self.alice.texts)
        self.alice.send("3", recipient="bob")
        self.assertEqual(["before", "3"], self.bob.texts)

    def test_changes_that_were_not_heard(self) -> None:
        sent = self.alice.send("oops", recipient="bob")
        read = self.alice.send("read", recipient="bob")
        self.bob.take()
        self.deafen(self.two)
        self.wait_for(self.one.hub.handle(self.alice.live, RevokeMessage(sent.message_id)))
        self.wait_for(self.two.hub.handle(self.bob.live, MarkRead((read.message_id,))))
        self.hear_again(self.two)
        self.assertEqual([sent.message_id], [one.message_id for one in self.bob.take(MessageRevoked)])
        self.assertEqual([(read.message_id,)], [one.message_ids for one in self.tablet.take(MessagesRead)])
        self.assertEqual([(read.message_id,)], [one.message_ids for one in self.alice.take(MessagesRead)])

    def test_a_change_that_is_heard_before_those_that_were_not_are_looked_for(self) -> None:
        """Changes have no numbers that would show the gap, so it must not count for what was before it."""
        first, second = (self.alice.send(words, recipient="bob") for words in ("1", "2"))
        self.bob.take()
        self.deafen(self.two)
        self.wait_for(self.one.hub.handle(self.alice.live, RevokeMessage(first.message_id)))
        self.hold_answers(self.two)
        self.two.way.closed = False
        self.pump.until(lambda: self.two.cellar.subscriber.whole, run_clock=True)
        heard = self.two.cellar.core.heads.change
        self.wait_for(self.one.hub.handle(self.alice.live, RevokeMessage(second.message_id)))
        self.pump.until(lambda: self.two.cellar.core.heads.change > heard)
        self.two.way.let_go()
        self.settle()
        told = [event.message_id for event in self.bob.take(MessageRevoked)]
        self.assertEqual([first.message_id, second.message_id], told)

    def hold_answers(self, house: House) -> None:
        """What a node is answered is held back; what it hears is not."""
        house.way.hold_only = house.cellar.redis._protocol
        house.way.hold_answers = True

    def until_done(self, house: House) -> None:
        """Until Redis has done what the node asked for."""
        self.pump.turn()
        link = house.cellar.redis
        self.pump.until(lambda: house.way.answers_to(link._protocol) == link.waiting > 0)

    def test_an_answer_that_comes_after_the_feed_is_whole_again(self) -> None:
        self.deafen(self.two)
        self.hold_answers(self.two)
        self.two.hub.send(self.bob.live, text("mine", recipient="alice"), "mine")
        self.until_done(self.two)
        self.two.way.closed = False
        self.pump.until(lambda: self.two.cellar.subscriber.whole, run_clock=True)
        self.until_done(self.two)
        self.two.way.let_go()
        self.settle()
        self.assertEqual(["before"], self.bob.texts)
        self.assertEqual(["before", "mine"], self.tablet.texts)

    def test_a_content_never_comes_after_the_news_of_its_revoke(self) -> None:
        """A page is read over the one connection while the news comes over the other one."""
        self.bob.peer.room = 0
        sent = self.alice.send("x", recipient="bob")
        self.hold_answers(self.two)
        self.bob.peer.room = None
        self.bob.live.drained()
        self.until_done(self.two)
        self.wait_for(self.one.hub.handle(self.alice.live, RevokeMessage(sent.message_id)))
        self.pump.until(lambda: self.bob.take(MessageRevoked))
        self.two.way.let_go()
        self.settle()
        self.assertEqual(["before", ""], self.bob.texts)

    def test_when_redis_is_away_altogether(self) -> None:
        for house in (self.one, self.two):
            house.way.closed = True
            house.way.cut()
        self.pump.turn()
        self.one.hub.send(self.alice.live, text("no", recipient="bob"), "no")
        self.pump.until(lambda: len(self.alice.peer.answers) == 2)
        outcome = self.alice.peer.answers[-1][1]
        assert isinstance(outcome, ImError)
        self.assertEqual(ErrorCode.UNAVAILABLE, outcome.code)
        for house in (self.one, self.two):
            house.way.closed = False
        self.pump.until(
            lambda: all(h.cellar.redis.connected and h.cellar.subscriber.whole for h in self.houses),
            run_clock=True,
        )
        self.settle()
        self.alice.send("yes", recipient="bob")
        self.assertEqual(["before", "yes"], self.bob.texts)
        self.assertEqual([], self.bob.peer.kicks + self.alice.peer.kicks)

    def lose_rows(self) -> None:
        """Redis has lost what sessions know."""
        self.wait_for(self.link.call("HDEL", "t:log", "no"))
        self.wait_for(self.link.call("DEL", "t:m:0", "t:ib:alice", "t:ib:bob"))

    def rejoin(self, *houses: House) -> None:
        """These nodes lose Redis and find it again."""
        for house in houses:
            house.way.cut()
        self.pump.turn()
        self.pump.until(
            lambda: all(h.cellar.redis.connected and h.cellar.subscriber.whole for h in houses),
            run_clock=True,
        )
        self.settle()

    def sessions_ended(self) -> None:
        """All of them, and all nodes agree on the epoch."""
        for session in (self.alice, self.bob, self.tablet):
            self.assertEqual([KickReason.SHUTDOWN], [kick.reason for kick in session.peer.kicks])
        self.assertEqual(self.one.cellar.store.epoch, self.two.cellar.store.epoch)

    def test_a_new_epoch_ends_the_sessions(self) -> None:
        began: list[str] = []
        for house in self.houses:
            house.cellar._epoch.began.append(lambda house=house: began.append(house.name))  # type: ignore[misc]
        self.lose_rows()
        self.rejoin(self.one, self.two)
        self.sessions_ended()
        self.assertEqual(["one", "two"], sorted(began), "one epoch, though both saw the loss")

    def test_a_node_that_was_not_listening_learns_of_the_epoch(self) -> None:
        self.lose_rows()
        self.deafen(self.two)
        self.rejoin(self.one)
        self.assertNotEqual(self.one.cellar.store.epoch, self.two.cellar.store.epoch)
        self.hear_again(self.two)
        self.sessions_ended()
