"""Friends and blocks through the whole service floor: who is told, who sees whom, who may call and type."""

from __future__ import annotations

from typing import Any

from imserver.model.accounts import Principal
from imserver.model.call_records import CallMissed, ListCalls
from imserver.model.calls import CallEnded, CallIncoming, Ending, Media, StartCall
from imserver.model.errors import ErrorCode, ImError
from imserver.model.friends import (
    AcceptFriend,
    BlockUser,
    DeleteFriend,
    FriendChange,
    FriendChanged,
    FriendList,
    FriendReply,
    ListFriends,
    RejectFriend,
    RequestFriend,
    Standing,
    UnblockUser,
)
from imserver.model.groups import CreateGroup
from imserver.model.messages import SetTyping, TypingChanged
from imserver.model.presence import ListPresence, PresenceChanged, PresenceState, UserPresence
from imserver.services.delivery import LiveSession
from imserver.services.friends import CHANGE_BURST, MAX_GREETING_BYTES, REQUEST_BURST, FriendSettings
from imserver.services.ports.friends import FriendLimits
from tests.unit.services.hub_world import HubCase, Peer, text

ONLINE, OFFLINE = PresenceState.ONLINE, PresenceState.OFFLINE


class FriendCase(HubCase):
    def do(self, live: LiveSession, command: Any) -> Any:
        return self.wait(self.hub.handle(live, command))

    def code(self, live: LiveSession, command: Any) -> ErrorCode:
        return self.refusal(self.hub.handle(live, command)).code

    def news(self, peer: Peer) -> list[FriendChanged]:
        return [event for event in peer.events if isinstance(event, FriendChanged)]

    def kinds(self, peer: Peer) -> list[FriendChange]:
        return [event.change for event in self.news(peer)]

    def seen(self, peer: Peer) -> list[tuple[str, PresenceState, bool]]:
        """(user, state, whether a time is told) of what the peer was told of presence."""
        return [
            (event.user, event.state, event.last_seen > 0)
            for event in peer.events
            if isinstance(event, PresenceChanged)
        ]

    def listed(self, live: LiveSession, *users: str) -> list[UserPresence]:
        found: list[UserPresence] = self.do(live, ListPresence(users)).users
        return found

    def befriend(self, one: LiveSession, other: LiveSession) -> None:
        self.do(one, RequestFriend(other.principal.user))
        self.do(other, RequestFriend(one.principal.user))


class AwayTest(FriendCase):
    """The store goes away in the middle."""

    def setUp(self) -> None:
        super().setUp()
        self.alice, _ = self.log_in("alice")
        self.bob, _ = self.log_in("bob")
        self.do(self.alice, RequestFriend("bob"))
        self.near = self.hub.presence.near
        self.looks = 0
        self.patch(self.hub.presence, "near", self.look)

    async def look(self, one: str, other: str) -> bool:
        self.looks += 1
        if self.looks == self.fails:
            raise ImError(ErrorCode.UNAVAILABLE, "the message store did not answer")
        return await self.near(one, other)

    def test_before_anything_is_done_it_is_refused(self) -> None:
        self.fails = 1
        for command in (
            AcceptFriend("alice"),
            BlockUser("alice"),
            DeleteFriend("alice"),
            RequestFriend("alice"),
        ):
            self.looks = 0
            self.assertEqual(self.code(self.bob, command), ErrorCode.UNAVAILABLE)
        self.assertEqual(self.do(self.bob, ListFriends()).friends, [])

    def test_what_is_done_is_answered(self) -> None:
        self.fails = 2
        self.assertEqual(self.do(self.bob, AcceptFriend("alice")).standing, Standing.FRIENDS)
        self.assertEqual(self.looks, 2)


class NewsTest(FriendCase):
    """Each device is told once, whenever it comes."""

    def test_live_devices_at_once_and_the_one_that_acts_not(self) -> None:
        alice, at_alice = self.log_in("alice", "phone")
        _, beside = self.log_in("alice", "laptop")
        bob, at_bob = self.log_in("bob", "phone")
        _, at_carol = self.log_in("carol")
        reply = self.do(alice, RequestFriend("bob", "hi"))
        asked = FriendChanged(
            FriendChange.REQUESTED, "bob", "alice", self.news(at_bob)[0].at, reply.request, "hi"
        )
        self.assertEqual([asked], self.news(at_bob))
        self.assertEqual([asked], self.news(beside))
        self.assertEqual([], self.news(at_alice))
        self.do(bob, AcceptFriend(request=reply.request))
        self.assertEqual([FriendChange.ACCEPTED], self.kinds(at_alice))
        self.assertEqual([FriendChange.REQUESTED], self.kinds(at_bob))
        self.assertEqual([], self.news(at_carol))

    def test_devices_that_are_away_each_once(self) -> None:
        for device in ("phone", "laptop"):
            self.log_in("bob", device)[0].close()
        alice, _ = self.log_in("alice")
        self.do(alice, RequestFriend("bob"))
        for device in ("phone", "laptop"):
            bob, peer = self.log_in("bob", device)
            self.assertEqual([FriendChange.REQUESTED], self.kinds(peer), device)
            bob.delivered(False)
            bob.close()
            _, again = self.log_in("bob", device)
            self.assertEqual([], self.kinds(again), device)

    def test_the_first_device_ever(self) -> None:
        self.log_in("bob", format="another")[0].close()
        alice, _ = self.log_in("alice")
        self.do(alice, RequestFriend("bob"))
        _, peer = self.log_in("bob", "new")
        self.assertEqual([FriendChange.REQUESTED], self.kinds(peer))

    def test_one_that_was_lost_is_told_again(self) -> None:
        alice, _ = self.log_in("alice")
        bob, deaf = self.log_in("bob", "phone")
        deaf.deaf = True
        self.do(alice, RequestFriend("bob"))
        bob.close()
        _, peer = self.log_in("bob", "phone")
        self.assertEqual([FriendChange.REQUESTED], self.kinds(peer))

    def test_asked_by_rest_every_session_is_told(self) -> None:
        _, at_alice = self.log_in("alice")
        _, at_bob = self.log_in("bob")
        principal = Principal("alice", "", "rest")
        self.wait(self.hub.dispatch.handle(principal, RequestFriend("bob")))
        self.assertEqual([1, 1], [len(self.news(at_alice)), len(self.news(at_bob))])


class RefusalTest(FriendCase):
    def test_bad_requests(self) -> None:
        alice, _ = self.log_in("alice")
        long = "ü" * (MAX_GREETING_BYTES // 2)
        self.log_in("bob")
        self.assertEqual(Standing.REQUESTED, self.do(alice, RequestFriend("bob", long)).standing)
        for command, code in (
            (RequestFriend("alice"), ErrorCode.BAD_REQUEST),
            (RequestFriend(""), ErrorCode.BAD_REQUEST),
            (RequestFriend("a/b"), ErrorCode.BAD_REQUEST),
            (RequestFriend("bob", long + "x"), ErrorCode.BAD_REQUEST),
            (RequestFriend("bob", "\ud800"), ErrorCode.BAD_REQUEST),
            (RequestFriend("nobody"), ErrorCode.USER_NOT_FOUND),
            (AcceptFriend(), ErrorCode.BAD_REQUEST),
            (AcceptFriend(request=-1), ErrorCode.BAD_REQUEST),
            (AcceptFriend("alice"), ErrorCode.BAD_REQUEST),
            (AcceptFriend("nobody"), ErrorCode.USER_NOT_FOUND),
            (AcceptFriend("bob"), ErrorCode.NOT_FOUND),
            (AcceptFriend(request=99), ErrorCode.NOT_FOUND),
            (RejectFriend(), ErrorCode.BAD_REQUEST),
            (RejectFriend("bob"), ErrorCode.NOT_FOUND),
            (RejectFriend(request=99), ErrorCode.NOT_FOUND),
            (DeleteFriend("alice"), ErrorCode.BAD_REQUEST),
            (DeleteFriend("nobody"), ErrorCode.USER_NOT_FOUND),
            (BlockUser("alice"), ErrorCode.BAD_REQUEST),
            (BlockUser("nobody"), ErrorCode.USER_NOT_FOUND),
            (UnblockUser("alice"), ErrorCode.BAD_REQUEST),
            (UnblockUser("nobody"), ErrorCode.USER_NOT_FOUND),
        ):
            self.assertEqual(code, self.code(alice, command), command)

    def test_requests_are_limited(self) -> None:
        alice, _ = self.log_in("alice")
        self.log_in("bob")
        for _ in range(REQUEST_BURST):
            self.do(alice, RequestFriend("bob"))
        self.assertEqual(ErrorCode.TOO_FAST, self.code(alice, RequestFriend("bob")))
        self.clock.advance(5.0)
        self.do(alice, RequestFriend("bob"))

    def test_changes_are_limited(self) -> None:
        alice, _ = self.log_in("alice")
        self.log_in("bob")
        for _ in range(CHANGE_BURST // 2):
            self.do(alice, BlockUser("bob"))
            self.do(alice, UnblockUser("bob"))
        for command in (
            BlockUser("bob"),
            UnblockUser("bob"),
            DeleteFriend("bob"),
            AcceptFriend("bob"),
            RejectFriend("bob"),
        ):
            self.assertEqual(ErrorCode.TOO_FAST, self.code(alice, command))
        self.do(alice, ListFriends())
        self.clock.advance(0.5)
        self.do(alice, BlockUser("bob"))


class LimitsTest(FriendCase):
    friends = FriendSettings(limits=FriendLimits(sent=1, blocked=1))

    def test_limits_are_handed_on(self) -> None:
        alice, _ = self.log_in("alice")
        self.log_in("bob")
        self.log_in("carol")
        self.do(alice, RequestFriend("bob"))
        self.assertEqual(ErrorCode.CONFLICT, self.code(alice, RequestFriend("carol")))
        self.do(alice, BlockUser("bob"))
        self.assertEqual(ErrorCode.CONFLICT, self.code(alice, BlockUser("carol")))


class BlockTest(FriendCase):
    """Alice blocks Bob; they know each other and have a group in common."""

    def setUp(self) -> None:
        super().setUp()
        self.alice, self.at_alice = self.log_in("alice", media=Media.RELAY)
        self.bob, self.at_bob = self.log_in("bob", media=Media.RELAY)
        self.befriend(self.alice, self.bob)
        self.send(self.alice, "hi", recipient="bob")
        self.do(self.alice, CreateGroup("g", members=("bob",)))
        for peer in (self.at_alice, self.at_bob):
            peer.events.clear()

    def block(self) -> None:
        self.assertEqual(FriendReply("bob", Standing.BLOCKED), self.do(self.alice, BlockUser("bob")))

    def said(self, live: LiveSession, **fields: Any) -> ImError | None:
        self.hub.send(live, text("x", **fields), "tag")
        self.settle()
        assert isinstance(live.receiver, Peer)
        outcome = live.receiver.answers[-1][1]
        return outcome if isinstance(outcome, ImError) else None

    def test_messages(self) -> None:
        self.block()
        for live, peer in ((self.bob, "alice"), (self.alice, "bob")):
            error = self.said(live, recipient=peer)
            assert error is not None
            self.assertEqual(ErrorCode.FORBIDDEN, error.code)
            self.assertIsNone(self.said(live, group="g"))
        self.do(self.alice, UnblockUser("bob"))
        self.assertIsNone(self.said(self.bob, recipient="alice"))

    def test_presence_both_ways(self) -> None:
        self.block()
        self.assertEqual([("alice", OFFLINE, False)], self.seen(self.at_bob))
        self.assertEqual([("bob", OFFLINE, False)], self.seen(self.at_alice))
        self.assertEqual([UserPresence("alice", OFFLINE, 0.0)], self.listed(self.bob))
        self.assertEqual([UserPresence("alice", OFFLINE, 0.0)], self.listed(self.bob, "alice"))
        self.assertEqual(([], []), (self.listed(self.alice), self.listed(self.alice, "bob")))
        # Whoever comes and goes now, the other one is not told.
        for peer in (self.at_alice, self.at_bob):
            peer.events.clear()
        self.alice.close()
        self.settle()
        self.assertEqual(0.0, self.listed(self.bob)[0].last_seen)
        self.alice, self.at_alice = self.log_in("alice")
        self.bob.close()
        self.settle()
        self.bob, self.at_bob = self.log_in("bob")
        self.assertEqual(([], []), (self.seen(self.at_bob), self.seen(self.at_alice)))
        self.do(self.alice, UnblockUser("bob"))
        self.assertEqual([("alice", ONLINE, True)], self.seen(self.at_bob))
        self.assertEqual([("bob", ONLINE, True)], self.seen(self.at_alice))
        self.assertEqual(["alice"], [one.user for one in self.listed(self.bob) if one.state is ONLINE])

    def test_blocking_again_tells_nothing(self) -> None:
        self.block()
        self.block()
        self.assertEqual(1, len(self.seen(self.at_bob)))
        self.assertEqual([], self.news(self.at_bob))

    def test_typing(self) -> None:
        self.block()
        self.do(self.bob, SetTyping(True, recipient="alice"))
        self.do(self.bob, SetTyping(True, conversation="single_alice_bob"))
        self.do(self.alice, SetTyping(True, recipient="bob"))
        typed = [
            e for peer in (self.at_alice, self.at_bob) for e in peer.events if isinstance(e, TypingChanged)
        ]
        self.assertEqual([], typed)
        self.do(self.bob, SetTyping(True, group="g"))
        self.assertIsInstance(self.at_alice.events[-1], TypingChanged)

    def test_calls_look_as_to_one_who_is_offline(self) -> None:
        self.block()
        for live, peer in ((self.bob, self.at_bob), (self.alice, self.at_alice)):
            other = "alice" if live is self.bob else "bob"
            self.do(live, StartCall(other, video=False))
            ended = [event for event in peer.events if isinstance(event, CallEnded)]
            self.assertEqual([Ending.OFFLINE], [event.ending for event in ended])
        heard = [type(event) for event in (*self.at_alice.events, *self.at_bob.events)]
        self.assertNotIn(CallIncoming, heard)
        self.assertNotIn(CallMissed, heard)
        calls = self.do(self.alice, ListCalls()).calls
        self.assertEqual(["alice"], [call.caller for call in calls])  # hers; of his she knows nothing
        self.do(self.alice, UnblockUser("bob"))
        self.do(self.bob, StartCall("alice", video=False))
        self.assertIsInstance(self.at_alice.events[-1], CallIncoming)

    def test_a_request_of_the_one_who_is_blocked(self) -> None:
        self.do(self.bob, DeleteFriend("alice"))
        self.block()
        self.at_alice.events.clear()
        self.assertEqual(Standing.REQUESTED, self.do(self.bob, RequestFriend("alice")).standing)
        self.assertEqual([], self.news(self.at_alice))
        found: FriendList = self.do(self.alice, ListFriends())
        self.assertEqual(([], ["bob"]), (found.received, [one.user for one in found.blocked]))


class SightTest(FriendCase):
    """Friends see each other without a conversation."""

    def test_friendship_makes_contacts(self) -> None:
        alice, at_alice = self.log_in("alice")
        bob, at_bob = self.log_in("bob")
        request = self.do(alice, RequestFriend("bob")).request
        self.assertEqual([], self.seen(at_bob))
        self.do(bob, AcceptFriend(request=request))
        self.assertEqual([("bob", ONLINE, True)], self.seen(at_alice))
        self.assertEqual([("alice", ONLINE, True)], self.seen(at_bob))
        self.do(bob, AcceptFriend("alice"))
        self.assertEqual(1, len(self.seen(at_alice)))
        bob.close()
        self.settle()
        self.assertEqual(("bob", OFFLINE, True), self.seen(at_alice)[-1])
        bob, at_bob = self.log_in("bob")
        self.do(alice, DeleteFriend("bob"))
        self.assertEqual(("bob", OFFLINE, False), self.seen(at_alice)[-1])
        self.assertEqual([], self.listed(alice))


class FriendsOnlyTest(FriendCase):
    """Everything is for friends only."""

    friends = FriendSettings(messages=True, calls=True, presence=True)

    def test_strangers_and_friends(self) -> None:
        alice, at_alice = self.log_in("alice", media=Media.RELAY)
        bob, at_bob = self.log_in("bob", media=Media.RELAY)
        self.do(alice, CreateGroup("g", members=("bob",)))
        self.assertEqual(([], []), (self.listed(alice), self.seen(at_alice)))

        def try_all() -> tuple[Any, bool, list[Ending]]:
            at_alice.events.clear()
            at_bob.events.clear()
            self.hub.send(alice, text("x", recipient="bob"), "tag")
            self.do(alice, SetTyping(True, recipient="bob"))
            typed = any(isinstance(event, TypingChanged) for event in at_bob.events)
            self.do(alice, StartCall("bob", video=False))
            endings = [event.ending for event in at_alice.events if isinstance(event, CallEnded)]
            outcome = at_alice.answers[-1][1]
            return outcome.code if isinstance(outcome, ImError) else None, typed, endings

        self.assertEqual((ErrorCode.FORBIDDEN, False, [Ending.OFFLINE]), try_all())
        self.befriend(alice, bob)
        self.assertEqual([("alice", ONLINE, True)], self.seen(at_bob))
        self.assertEqual(["bob"], [one.user for one in self.listed(alice)])
        self.assertEqual((None, True, []), try_all())
