"""Everybody reaches everybody, whatever node each is on."""

from __future__ import annotations

from twisted.internet.defer import Deferred, ensureDeferred

from imserver.model.accounts import KickReason, LogOut
from imserver.model.admin import DisableUser, EndSession, KickUser, ListSessions
from imserver.model.errors import ErrorCode, ImError
from imserver.model.friends import AcceptFriend, BlockUser, FriendChanged, RequestFriend
from imserver.model.groups import CreateGroup, GroupChanged, JoinGroup
from imserver.model.messages import (
    MarkRead,
    MessageRevoked,
    MessagesRead,
    RevokeMessage,
    SetTyping,
    TypingChanged,
)
from imserver.model.presence import ListPresence, PresenceChanged, PresenceState, SetPresence, UserPresence
from tests.redis.house_world import House, HouseCase

ONLINE, AWAY, BUSY, OFFLINE = (
    PresenceState.ONLINE,
    PresenceState.AWAY,
    PresenceState.BUSY,
    PresenceState.OFFLINE,
)


class ChatOverNodes(HouseCase):
    """Messages and what is said about them."""

    def setUp(self) -> None:
        super().setUp()
        self.one, self.two, self.three = self.open_houses("one", "two", "three")
        self.alice = self.one.log_in("alice")
        self.bob = self.two.log_in("bob")
        self.tablet = self.three.log_in("alice", device="tablet")

    def is_told(self) -> bool:
        """Whether, a while later, node three is told what concerns alice."""
        self.clock.advance(0.5)
        return b"three" in self.wait_for(self.link.call("HGET", "t:hosts", "alice"))

    def test_messages_reach_all_sessions_of_both(self) -> None:
        self.alice.send("hi", recipient="bob")
        self.bob.send("ho", recipient="alice")
        self.assertEqual(["hi"], self.bob.texts)
        self.assertEqual(["ho"], self.alice.texts)
        self.assertEqual(["hi", "ho"], self.tablet.texts)

    def test_receipts_and_revokes(self) -> None:
        sent = self.alice.send("hi", recipient="bob")
        self.bob.do(MarkRead((sent.message_id,)))
        self.assertEqual(["bob"], [event.reader for event in self.alice.take(MessagesRead)])
        self.assertEqual(1, len(self.tablet.take(MessagesRead)))
        self.alice.do(RevokeMessage(sent.message_id))
        self.assertEqual(1, len(self.bob.take(MessageRevoked)))
        self.assertEqual(1, len(self.tablet.take(MessageRevoked)))

    def test_what_it_caused_itself_hides_nothing_from_a_node_that_was_taken_for_lost(self) -> None:
        of_phone = self.alice.send("hi", recipient="bob")
        of_tablet = self.tablet.send("ho", recipient="bob")
        self.three.way.hold_answers = True  # it stands still
        self.pump.until(lambda: not self.is_told())
        self.wait_for(self.alice.begin(RevokeMessage(of_phone.message_id)))
        revoked = self.tablet.begin(RevokeMessage(of_tablet.message_id))
        self.pump.until(lambda: len(self.bob.peer.events) == 2)
        # What it is told of first is its own deed, which comes after the other one.
        self.three.way.let_go()
        self.wait_for(revoked)
        self.pass_time(5.0)
        told = [event.message_id for event in self.tablet.take(MessageRevoked)]
        self.assertIn(of_phone.message_id, told)

    def test_nor_does_what_it_hears_before_it_takes_part_again(self) -> None:
        first, second = [self.alice.send(words, recipient="bob").message_id for words in ("hi", "ho")]
        three, members = self.three, self.three.cellar.bus.members
        three.way.hold_answers = True  # it stands still
        self.pump.until(lambda: not self.is_told())
        self.wait_for(self.alice.begin(RevokeMessage(first)))
        cut_off = members._cut_off

        def and_the_answer_to_its_joining_is_late() -> None:
            cut_off()
            three.way.hold_only, three.way.hold_answers = three.cellar.redis._protocol, True

        self.patch(members, "_cut_off", and_the_answer_to_its_joining_is_late)
        three.way.let_go()
        self.pump.until(lambda: three.way.hold_answers)
        three.cellar.bus.attendance.changed("alice")
        self.pump.until(self.is_told)
        self.wait_for(self.alice.begin(RevokeMessage(second)))
        for _ in range(20):
            self.pump.turn(0.002)
        three.way.let_go()
        self.pass_time(5.0)
        self.assertEqual([first, second], [event.message_id for event in self.tablet.take(MessageRevoked)])

    def test_a_node_whose_first_connection_breaks_before_it_hears_all(self) -> None:
        late = House(self, "late")
        self.houses.append(late)
        subscriber = late.cellar.subscriber
        confirmed = subscriber._confirmed
        subscriber._confirmed = lambda channel: (  # type: ignore[method-assign]
            None if channel.endswith(b"epoch") else confirmed(channel)
        )
        opened = ensureDeferred(late.cellar.open())
        self.pump.until(lambda: opened.called, run_clock=True)
        subscriber._confirmed = confirmed  # type: ignore[method-assign]
        late.way.closed = True
        late.way.cut_client(subscriber._protocol)
        phone, tablet = late.log_in("carol"), late.log_in("carol", device="tablet")
        phone.send("hi", recipient="bob")
        self.assertEqual([], tablet.texts)
        late.way.closed = False
        self.pass_time(5.0)
        self.assertEqual((["hi"], []), (tablet.texts, phone.texts))

    def test_typing(self) -> None:
        self.alice.send("hi", recipient="bob")
        self.alice.do(SetTyping(True, recipient="bob"))
        self.assertEqual([TypingChanged("single_alice_bob", "alice", True)], self.bob.take(TypingChanged))
        self.assertEqual([], self.tablet.take(TypingChanged))

    def test_news_of_groups(self) -> None:
        self.alice.do(CreateGroup("g", open=True, members=("bob",)))
        self.assertEqual(["group_created"], [event.change.value for event in self.bob.take(GroupChanged)])
        self.assertEqual(1, len(self.tablet.take(GroupChanged)))
        carol = self.two.log_in("carol")
        carol.do(JoinGroup("g"))
        self.assertEqual(["carol"], [event.user for event in self.alice.take(GroupChanged)])
        carol.send("hello all", group="g")
        for session in (self.alice, self.bob, self.tablet):
            self.assertEqual(["hello all"], session.texts)

    def test_news_of_friends(self) -> None:
        self.alice.do(RequestFriend("bob", "hello"))
        self.assertEqual(["friend_request"], [event.change.value for event in self.bob.take(FriendChanged)])
        self.bob.do(AcceptFriend("alice"))
        self.assertEqual(
            ["friend_accepted"], [event.change.value for event in self.alice.take(FriendChanged)]
        )
        self.assertEqual(2, len(self.tablet.take(FriendChanged)))

    def test_a_retry_on_another_node_is_the_same_message(self) -> None:
        first = self.alice.send("hi", recipient="bob", client_id="c1")
        again = self.tablet.send("hi", recipient="bob", client_id="c1")
        self.assertEqual(first.message_id, again.message_id)
        self.assertEqual(["hi"], self.bob.texts)

    def test_a_retried_command_on_another_node_is_not_done_again(self) -> None:
        command = CreateGroup("g", members=("bob",))
        first = self.alice.do(command, "id1")
        self.alice.close()
        self.assertEqual(first, self.tablet.do(command, "id1"))
        self.assertEqual(1, len(self.bob.take(GroupChanged)))
        self.assertEqual(ErrorCode.CONFLICT, self.tablet.refusal(command))


class PresenceOverNodes(HouseCase):
    """Who is online."""

    def setUp(self) -> None:
        super().setUp()
        self.one, self.two, self.three = self.open_houses("one", "two", "three")
        self.bob = self.two.log_in("bob")
        self.bob.send("hi", recipient="alice")

    def told(self) -> list[tuple[str, PresenceState]]:
        return [(event.user, event.state) for event in self.bob.take(PresenceChanged)]

    def listed(self) -> list[UserPresence]:
        users: list[UserPresence] = self.bob.do(ListPresence(("alice",))).users
        return users

    def test_the_most_available_session_on_any_node_counts(self) -> None:
        alice = self.one.log_in("alice")
        self.assertEqual([("alice", ONLINE)], self.told())
        tablet = self.three.log_in("alice", device="tablet")
        self.assertEqual([], self.told())
        alice.do(SetPresence(AWAY))
        self.assertEqual([], self.told())
        tablet.do(SetPresence(BUSY))
        self.assertEqual([("alice", BUSY)], self.told())
        tablet.close()
        self.assertEqual([("alice", AWAY)], self.told())
        self.assertEqual([AWAY], [one.state for one in self.listed()])
        alice.close()
        self.assertEqual([("alice", OFFLINE)], self.told())
        (seen,) = self.listed()
        self.assertEqual((OFFLINE, True), (seen.state, seen.last_seen > 0))

    def test_two_nodes_that_tell_at_the_same_time(self) -> None:
        """Whoever is overtaken while it tells, tells what is so in the end."""
        alice, tablet = self.one.log_in("alice"), self.three.log_in("alice", device="tablet")
        alice.do(SetPresence(BUSY))
        self.told()
        attendance = self.three.cellar.bus.attendance
        note, hold = attendance.announced, Deferred[None]()

        async def announced(user: str, rank: int) -> None:
            await hold
            await note(user, rank)

        attendance.announced = announced  # type: ignore[method-assign]
        tablet.begin(SetPresence(AWAY))  # what is told is BUSY, and takes its time to be noted
        self.settle()
        alice.do(SetPresence(AWAY))
        self.assertEqual([("alice", BUSY), ("alice", AWAY)], self.told())
        hold.callback(None)
        self.settle()
        self.assertEqual((1, 1), self.wait_for(attendance.standing("alice")))
        self.assertEqual([("alice", AWAY)], self.told())

    def test_what_a_node_says_again_does_not_hide_what_another_said_since(self) -> None:
        alice = self.one.log_in("alice")
        self.told()
        exchange = self.one.cellar.bus._exchange
        exchange._publish = lambda node, payload: True  # type: ignore[method-assign]
        alice.close()
        self.settle()
        self.assertEqual(self.told(), [])
        self.three.log_in("alice")
        self.settle()
        self.assertEqual(self.told(), [("alice", ONLINE)])
        vars(exchange).pop("_publish")
        self.pass_time(5.0)
        told = self.told()
        self.assertEqual(told[0], ("alice", OFFLINE))
        self.assertEqual(told[-1], ("alice", ONLINE))

    def test_a_node_that_dies_takes_its_users_along(self) -> None:
        self.one.log_in("alice")
        self.told()
        self.one.die()
        self.pass_time(10.0)
        self.assertEqual([("alice", OFFLINE)], self.told())
        self.assertGreater(self.listed()[0].last_seen, 0)

    def test_but_not_those_who_are_elsewhere_too(self) -> None:
        self.one.log_in("alice")
        tablet = self.three.log_in("alice", device="tablet")
        tablet.do(SetPresence(AWAY))
        self.told()
        self.one.die()
        self.pass_time(10.0)
        self.assertEqual([("alice", AWAY)], self.told())

    def test_what_a_node_told_last_is_told_by_another_if_it_dies(self) -> None:
        """Its last words may not have got anywhere, and it says them no more."""
        tablet = self.three.log_in("alice", device="tablet")
        tablet.do(SetPresence(AWAY))
        self.told()
        self.one.cellar.bus._exchange._publish = lambda node, payload: True  # type: ignore[method-assign]
        alice = self.one.log_in("alice")
        tablet.do(SetPresence(ONLINE))
        alice.close()
        self.assertEqual([], self.told())
        self.one.die()
        self.pass_time(10.0)
        self.assertEqual([("alice", ONLINE)], self.told())
        self.assertEqual([], self.wait_for(self.link.call("KEYS", "t:told:one:*")))

    def test_of_what_a_node_told_that_leaves_nothing_is_told_again(self) -> None:
        self.one.log_in("alice")
        self.three.log_in("alice", device="tablet")
        self.assertEqual([("alice", ONLINE)], self.told())
        leaving = ensureDeferred(self.one.cellar.bus.stop())
        self.pump.until(lambda: leaving.called)
        self.one.die()
        self.pass_time(10.0)
        self.assertEqual([], self.told())
        self.assertEqual([], self.wait_for(self.link.call("KEYS", "t:told:one:*")))

    def test_of_what_it_told_long_ago_nothing_is_told_again(self) -> None:
        self.one.log_in("alice")
        self.three.log_in("alice", device="tablet")
        self.assertEqual([("alice", ONLINE)], self.told())
        # Redis has a clock of its own.
        marked = self.link.call("ZINCRBY", f"t:told:{self.one.node}", -61, "alice")
        self.assertGreater(float(self.wait_for(marked)), 1e9)
        self.one.log_in("carol")
        told = self.wait_for(self.link.call("ZRANGE", f"t:told:{self.one.node}", 0, -1))
        self.assertEqual([b"carol"], told)
        self.one.die()
        self.pass_time(10.0)
        self.assertEqual([], self.told())

    def test_what_changed_while_redis_was_away_is_told_later(self) -> None:
        alice = self.one.log_in("alice")
        self.told()
        for house in self.houses:
            house.way.mute = True
            house.way.cut()
        self.pump.until(lambda: not any(house.cellar.redis.connected for house in self.houses))
        alice.live.close()
        for house in self.houses:
            house.way.mute = False
            house.way.cut()
        self.pass_time(10.0)
        # Perhaps twice: what comes late is looked at again.
        self.assertEqual({("alice", OFFLINE)}, set(self.told()))

    def test_a_node_that_was_cut_off_shows_its_users_again(self) -> None:
        self.one.log_in("alice")
        self.told()
        self.one.way.mute = True
        self.pass_time(10.0)
        self.assertEqual([("alice", OFFLINE)], self.told())
        self.one.way.mute = False
        self.one.way.cut()
        self.pass_time(5.0)
        self.assertEqual([("alice", ONLINE)], self.told())

    def test_block_and_unblock(self) -> None:
        alice = self.one.log_in("alice")
        self.told()
        alice.do(BlockUser("bob"))
        self.assertEqual([("alice", OFFLINE)], self.told())


class SessionsOverNodes(HouseCase):
    """Who may be logged in, and who ends that."""

    sessions_per_user = 3

    def setUp(self) -> None:
        super().setUp()
        self.one, self.two = self.open_houses("one", "two")

    def test_the_oldest_of_too_many_is_ended_wherever_it_is(self) -> None:
        first = self.one.log_in("alice")
        others = [self.two.log_in("alice") for _ in range(2)]
        self.assertEqual([], first.peer.kicks)
        self.two.log_in("alice")
        self.assertEqual([KickReason.OTHER_DEVICE], [kick.reason for kick in first.peer.kicks])
        self.assertEqual([], [kick for other in others for kick in other.peer.kicks])

    def test_kicks_disabling_and_role(self) -> None:
        operate = self.one.hub.administration.operate
        for command in (KickUser("alice"), DisableUser("alice")):
            here, there = self.one.log_in("alice"), self.two.log_in("alice")
            self.wait_for(operate(command))
            self.settle()
            for session in (here, there):
                self.assertEqual([KickReason.ACCOUNT], [kick.reason for kick in session.peer.kicks])
        with self.assertRaises(ImError):
            self.two.log_in("alice")

    def test_all_sessions_are_listed_and_may_be_ended(self) -> None:
        sessions = [self.one.log_in("alice"), self.two.log_in("alice"), self.two.log_in("bob")]
        operate = self.one.hub.administration.operate
        ids = sorted(session.live.principal.session for session in sessions)
        listed = self.wait_for(operate(ListSessions()))
        self.assertEqual((ids, False), ([one.session for one in listed.sessions], listed.has_more))
        page = self.wait_for(operate(ListSessions(limit=2)))
        self.assertEqual((ids[:2], True), ([one.session for one in page.sessions], page.has_more))
        rest = self.wait_for(operate(ListSessions(after=ids[1])))
        self.assertEqual((ids[2:], False), ([one.session for one in rest.sessions], rest.has_more))
        self.wait_for(operate(EndSession(sessions[1].live.principal.session, "enough")))
        self.settle()
        self.assertEqual(["enough"], [kick.text for kick in sessions[1].peer.kicks])
        self.assertEqual([], sessions[0].peer.kicks + sessions[2].peer.kicks)
        with self.assertRaises(ImError):
            self.wait_for(operate(EndSession("nobody")))

    def test_logging_out(self) -> None:
        alice = self.one.log_in("alice")
        alice.do(LogOut())
        self.assertEqual([], self.two.log_in("alice").peer.kicks)

    def test_a_kick_that_may_have_been_missed(self) -> None:
        """Whoever was cut off looks at all log-ins again."""
        alice, bob = self.one.log_in("alice"), self.one.log_in("bob")
        self.one.way.mute = True
        self.pass_time(10.0)
        self.wait_for(self.two.hub.administration.operate(DisableUser("alice")))
        self.assertEqual([], alice.peer.kicks)
        self.one.way.mute = False
        self.one.way.cut()
        self.pass_time(5.0)
        self.assertEqual(1, len(alice.peer.kicks))
        self.assertEqual([], bob.peer.kicks)
        here, there = self.one.hub.neighbours, self.two.hub.neighbours
        self.assertEqual((1, 0, 0, 1), (here.cut_offs, here.lost, there.cut_offs, there.lost))
        self.assertEqual((2, 2), (self.one.hub.nodes, self.two.hub.nodes))

    def test_a_kick_that_was_the_last_a_node_did(self) -> None:
        alice, bob = self.one.log_in("alice"), self.one.log_in("bob")
        self.two.cellar.bus._exchange._publish = lambda node, payload: True  # type: ignore[method-assign]
        self.wait_for(self.two.hub.administration.operate(DisableUser("alice")))
        self.settle()
        self.assertEqual([], alice.peer.kicks)
        self.two.die()
        self.pass_time(10.0)
        self.assertEqual(1, len(alice.peer.kicks))
        self.assertEqual([], bob.peer.kicks)

    def test_while_redis_is_away_nobody_logs_in(self) -> None:
        bob = self.one.log_in("bob")
        self.one.way.mute = True
        self.one.way.cut()
        self.pump.until(lambda: not self.one.cellar.redis.connected)
        try:
            self.one.log_in("alice")
        except ImError as error:
            self.assertEqual(ErrorCode.UNAVAILABLE, error.code)
        self.assertEqual([], bob.peer.kicks)
        self.one.way.mute = False
        self.one.way.cut()
        self.pass_time(2.0)
        alice = self.two.log_in("alice")
        alice.send("hi", recipient="bob")
        self.assertEqual(["hi"], bob.texts)
