"""What every directory must do about friends and blocks, and what a store must refuse for them."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

from twisted.internet.defer import ensureDeferred

from imserver.model.errors import ErrorCode, ImError
from imserver.model.friends import (
    AcceptFriend,
    BlockedUser,
    DeleteFriend,
    Friend,
    FriendChange,
    FriendChanged,
    FriendList,
    FriendReply,
    FriendRequest,
    RejectFriend,
    RequestFriend,
    Standing,
)
from imserver.services.ports.friends import FriendLimits
from tests.contracts.cellar_case import CellarCase

AT = 1_700_000_000.25
LIMITS = FriendLimits()


class Befriending(CellarCase):
    """How the tests speak of friends."""

    def setUp(self) -> None:
        self.open_cellar("alice", "bob", "carol")

    # Undone coroutines, for refusals and races

    def asking(
        self, user: str, other: str, message: str = "", limits: FriendLimits = LIMITS, at: float = AT
    ) -> Coroutine[Any, Any, FriendReply]:
        command = RequestFriend(other, message)
        return self.cellar.directory.request_friend(self.principal(user), command, limits, at)

    def accepting(
        self, user: str, other: str = "", request: int = 0, limits: FriendLimits = LIMITS, at: float = AT
    ) -> Coroutine[Any, Any, FriendReply]:
        command = AcceptFriend(other, request)
        return self.cellar.directory.accept_friend(self.principal(user), command, limits, at)

    def rejecting(self, user: str, other: str = "", request: int = 0) -> Coroutine[Any, Any, FriendReply]:
        return self.cellar.directory.reject_friend(self.principal(user), RejectFriend(other, request), AT)

    def deleting(self, user: str, other: str) -> Coroutine[Any, Any, FriendReply]:
        return self.cellar.directory.delete_friend(self.principal(user), DeleteFriend(other), AT)

    def blocking(
        self, user: str, other: str, blocked: bool = True, limits: FriendLimits = LIMITS
    ) -> Coroutine[Any, Any, FriendReply]:
        return self.cellar.directory.block_user(self.principal(user), other, blocked, limits, AT)

    # Done ones

    def ask(self, user: str, other: str, message: str = "") -> FriendReply:
        return self.wait_for(self.asking(user, other, message))

    def befriend(self, user: str, other: str) -> None:
        self.ask(user, other)
        self.assertEqual(Standing.FRIENDS, self.wait_for(self.accepting(other, user)).standing)

    def block(self, user: str, other: str) -> None:
        self.assertEqual(FriendReply(other, Standing.BLOCKED), self.wait_for(self.blocking(user, other)))

    def unblock(self, user: str, other: str) -> FriendReply:
        return self.wait_for(self.blocking(user, other, False))

    def list_of(self, user: str) -> FriendList:
        return self.wait_for(self.cellar.directory.list_friends(user))

    def friends(self, user: str) -> list[str]:
        return [friend.user for friend in self.list_of(user).friends]

    def news(self, user: str, after: int = 0) -> list[FriendChanged]:
        """What the user's change log has."""
        return [event for _, event in self.wait_for(self.cellar.store.changes(user, after, 100))]

    def news_kinds(self, user: str) -> list[str]:
        return [event.change.value for event in self.news(user)]

    def new_device_is_told(self, user: str, format: str, device: str) -> list[FriendChanged]:
        cursor = self.wait_for(self.cellar.store.cursor(user, format, device))
        return self.news(user, cursor.changed)


class FriendSuite(Befriending):
    """Requests and friendships."""

    def test_a_request_and_its_acceptance(self) -> None:
        reply = self.ask("alice", "bob", "hello")
        self.assertEqual(FriendReply("bob", Standing.REQUESTED, reply.request), reply)
        self.assertGreater(reply.request, 0)
        request = FriendRequest(reply.request, "bob", "hello", AT)
        self.assertEqual(FriendList([], [], [request], []), self.list_of("alice"))
        request = FriendRequest(reply.request, "alice", "hello", AT)
        self.assertEqual(FriendList([], [request], [], []), self.list_of("bob"))
        self.assertFalse(self.wait_for(self.cellar.directory.are_friends("alice", "bob")))

        accepted = self.wait_for(self.accepting("bob", "alice", at=AT + 1))
        self.assertEqual(FriendReply("alice", Standing.FRIENDS), accepted)
        self.assertEqual(FriendList([Friend("bob", AT + 1)], [], [], []), self.list_of("alice"))
        self.assertEqual(FriendList([Friend("alice", AT + 1)], [], [], []), self.list_of("bob"))
        self.assertTrue(self.wait_for(self.cellar.directory.are_friends("alice", "bob")))
        self.assertTrue(self.wait_for(self.cellar.directory.are_friends("bob", "alice")))
        self.assertFalse(self.wait_for(self.cellar.directory.are_friends("bob", "carol")))
        told = [
            FriendChanged(FriendChange.REQUESTED, "bob", "alice", AT, reply.request, "hello"),
            FriendChanged(FriendChange.ACCEPTED, "alice", "bob", AT + 1, reply.request),
        ]
        self.assertEqual(told, self.news("alice"))
        self.assertEqual(told, self.news("bob"))
        self.assertEqual([], self.news("carol"))
        self.assertEqual(told, [change.event for change in self.sink.changes])
        self.assertEqual(["session-alice", "session-bob"], [one.origin for one in self.sink.changes])
        self.assertEqual({"alice", "bob"}, set(self.sink.changes[0].users))

    def test_by_the_number_of_the_request(self) -> None:
        first, second = self.ask("alice", "bob").request, self.ask("carol", "bob").request
        self.assertNotEqual(first, second)
        self.assertEqual("carol", self.wait_for(self.accepting("bob", request=second)).user)
        self.assertEqual("alice", self.wait_for(self.rejecting("bob", request=first)).user)
        self.assertEqual(["carol"], self.friends("bob"))
        for refused in (
            self.accepting("bob", request=first),
            self.accepting("bob", request=second),
            self.rejecting("bob", request=10**12),
        ):
            self.assertEqual(ErrorCode.NOT_FOUND, self.error_of(refused))

    def test_a_number_is_only_for_the_one_who_was_asked(self) -> None:
        request = self.ask("alice", "bob").request
        for refused in (
            self.accepting("alice", request=request),
            self.accepting("carol", request=request),
            self.rejecting("alice", request=request),
            self.accepting("bob", "carol", request),
        ):
            self.assertEqual(ErrorCode.NOT_FOUND, self.error_of(refused))
        self.assertEqual([], self.friends("alice"))

    def test_a_number_never_means_a_later_request(self) -> None:
        first = self.ask("alice", "bob").request
        running = [
            ensureDeferred(work)
            for work in (
                self.deleting("alice", "bob"),
                self.asking("alice", "bob"),
                self.rejecting("bob", request=first),
                self.accepting("bob", request=first),
            )
        ]
        self.settle()
        second = self.successResultOf(running[1]).request
        self.assertNotEqual(first, second)
        for refused in running[2:]:
            self.assertEqual(ErrorCode.NOT_FOUND, self.failureResultOf(refused, ImError).value.code)
        self.assertEqual([second], [one.request for one in self.list_of("bob").received])

    def test_two_who_ask_each_other_are_friends(self) -> None:
        request = self.ask("alice", "bob").request
        self.assertEqual(FriendReply("alice", Standing.FRIENDS), self.ask("bob", "alice"))
        self.assertEqual((["bob"], ["alice"]), (self.friends("alice"), self.friends("bob")))
        self.assertEqual([], self.list_of("alice").sent)
        self.assertEqual([], self.list_of("bob").received)
        last = self.news("alice")[-1]
        self.assertEqual((FriendChange.ACCEPTED, "bob", request), (last.change, last.by, last.request))

    def test_two_who_ask_at_once(self) -> None:
        running = [ensureDeferred(self.asking("alice", "bob")), ensureDeferred(self.asking("bob", "alice"))]
        self.settle()
        replies = [self.successResultOf(one).standing for one in running]
        self.assertEqual([Standing.REQUESTED, Standing.FRIENDS], replies)
        self.assertEqual(["bob"], self.friends("alice"))

    def test_asking_again_changes_nothing(self) -> None:
        first = self.ask("alice", "bob", "hello")
        self.assertEqual(first, self.ask("alice", "bob", "well?"))
        self.assertEqual("hello", self.list_of("bob").received[0].message)
        self.assertEqual(["friend_request"], self.news_kinds("bob"))
        self.wait_for(self.accepting("bob", "alice"))
        for again in (
            self.asking("alice", "bob"),
            self.accepting("bob", "alice"),
            self.asking("bob", "alice"),
        ):
            self.assertEqual(Standing.FRIENDS, self.wait_for(again).standing)
        self.assertEqual(["friend_request", "friend_accepted"], self.news_kinds("bob"))

    def test_a_rejection(self) -> None:
        self.ask("alice", "bob")
        self.assertEqual(FriendReply("alice", Standing.NONE), self.wait_for(self.rejecting("bob", "alice")))
        self.assertEqual(FriendList([], [], [], []), self.list_of("alice"))
        self.assertEqual(["friend_request", "friend_rejected"], self.news_kinds("alice"))
        for refused in (self.rejecting("bob", "alice"), self.accepting("bob", "alice")):
            self.assertEqual(ErrorCode.NOT_FOUND, self.error_of(refused))
        self.assertEqual(Standing.REQUESTED, self.ask("alice", "bob").standing)

    def test_the_end_of_a_friendship(self) -> None:
        self.befriend("alice", "bob")
        self.assertEqual(FriendReply("alice", Standing.NONE), self.wait_for(self.deleting("bob", "alice")))
        self.assertEqual(([], []), (self.friends("alice"), self.friends("bob")))
        self.assertEqual("friend_deleted", self.news_kinds("alice")[-1])
        told = len(self.news("alice"))
        self.assertEqual(Standing.NONE, self.wait_for(self.deleting("bob", "alice")).standing)
        self.assertEqual(told, len(self.news("alice")))
        self.assertFalse(self.wait_for(self.cellar.directory.are_friends("alice", "bob")))

    def test_a_request_is_taken_back(self) -> None:
        self.ask("alice", "bob")
        self.wait_for(self.deleting("bob", "alice"))  # is not his to take back
        self.assertEqual(1, len(self.list_of("bob").received))
        self.wait_for(self.deleting("alice", "bob"))
        self.assertEqual([], self.list_of("bob").received)
        self.assertEqual(["friend_request", "friend_withdrawn"], self.news_kinds("bob"))

    def test_users_without_an_account(self) -> None:
        for refused in (
            self.asking("alice", "nobody"),
            self.accepting("alice", "nobody"),
            self.rejecting("alice", "nobody"),
            self.deleting("alice", "nobody"),
            self.blocking("alice", "nobody"),
            self.blocking("alice", "nobody", False),
            self.asking("nobody", "alice"),
        ):
            self.assertEqual(ErrorCode.USER_NOT_FOUND, self.error_of(refused))
        self.assertFalse(self.wait_for(self.cellar.directory.are_friends("alice", "nobody")))
        self.assertFalse(self.wait_for(self.cellar.directory.are_apart("nobody", "alice")))
        self.assertEqual(frozenset(), self.wait_for(self.cellar.directory.circle("nobody")).friends)

    def test_limits(self) -> None:
        self.ask("alice", "bob")
        few = FriendLimits(friends=1, sent=1, received=1)
        self.assertEqual(ErrorCode.CONFLICT, self.error_of(self.asking("alice", "carol", limits=few)))
        self.assertEqual(ErrorCode.CONFLICT, self.error_of(self.asking("carol", "bob", limits=few)))
        self.wait_for(self.accepting("bob", "alice", limits=few))
        self.ask("carol", "bob")
        self.assertEqual(ErrorCode.CONFLICT, self.error_of(self.accepting("bob", "carol", limits=few)))
        self.ask("alice", "carol")
        self.assertEqual(ErrorCode.CONFLICT, self.error_of(self.accepting("carol", "alice", limits=few)))
        self.assertEqual([], self.friends("carol"))

    def test_lists_go_by_name(self) -> None:
        self.add_users("b", "Z", "é")
        for other in ("é", "b", "Z"):
            self.befriend("alice", other)
        self.assertEqual(["Z", "b", "é"], self.friends("alice"))

    def test_a_new_device_is_told_of_an_open_request(self) -> None:
        self.send("alice", recipient="bob")
        self.ask("alice", "bob")
        self.assertEqual(["alice"], [event.by for event in self.new_device_is_told("bob", "jsonline", "d")])
        # Another format may have no words for it, so what its devices were told counts for itself.
        change = self.wait_for(self.cellar.store.changes("bob", 0, 1))[0][0]
        self.cellar.store.changes_told("bob", "jsonline", "d", change)
        self.assertEqual([], self.new_device_is_told("bob", "jsonline", "e"))
        self.assertEqual(1, len(self.new_device_is_told("bob", "signalling", "d")))

    def test_a_new_device_is_not_told_of_what_is_over(self) -> None:
        self.ask("alice", "bob")
        self.wait_for(self.rejecting("bob", "alice"))
        self.assertEqual([], self.new_device_is_told("bob", "jsonline", "d"))
        self.assertEqual([], self.new_device_is_told("alice", "jsonline", "d"))

    def test_only_friends_may_write(self) -> None:
        self.open_cellar("alice", "bob", "carol", friends_only=True)
        self.add_group("g", "alice", "bob")
        self.assertEqual(ErrorCode.FORBIDDEN, self.refused("alice", recipient="bob"))
        self.ask("alice", "bob")
        self.assertEqual(ErrorCode.FORBIDDEN, self.refused("alice", recipient="bob"))
        self.wait_for(self.accepting("bob", "alice"))
        first = self.send("alice", "hi", recipient="bob", client_id="c")
        self.send("bob", recipient="alice")
        self.send("alice", recipient="alice")
        self.send("alice", group="g")
        self.assertEqual(ErrorCode.FORBIDDEN, self.refused("carol", recipient="bob"))
        self.wait_for(self.deleting("bob", "alice"))
        self.assertEqual(ErrorCode.FORBIDDEN, self.refused("alice", recipient="bob"))
        self.assertEqual(first, self.send("alice", "hi", recipient="bob", client_id="c"))


class BlockSuite(Befriending):
    """Blocks."""

    def test_messages_in_neither_direction(self) -> None:
        self.send("bob", "before", recipient="alice")
        self.block("alice", "bob")
        self.assertEqual(ErrorCode.FORBIDDEN, self.refused("bob", recipient="alice"))
        self.assertEqual(ErrorCode.FORBIDDEN, self.refused("bob", conversation="single_alice_bob"))
        self.assertEqual(ErrorCode.FORBIDDEN, self.refused("alice", recipient="bob"))
        self.send("carol", recipient="alice")
        self.send("bob", recipient="carol")
        self.send("bob", recipient="bob")
        self.unblock("alice", "bob")
        self.send("bob", "after", recipient="alice")
        texts = [text for _, text in self.texts("alice")]
        self.assertEqual(["before", "hello", "after"], texts)

    def test_a_refused_message_leaves_no_trace(self) -> None:
        self.block("alice", "bob")
        self.assertEqual(ErrorCode.FORBIDDEN, self.refused("bob", recipient="alice", client_id="c"))
        self.assertEqual(([], []), (self.texts("alice"), self.texts("bob")))
        self.assertEqual(set(), self.wait_for(self.cellar.directory.circle("bob")).met)
        self.unblock("alice", "bob")
        self.assertEqual(1, self.send("bob", "another", recipient="alice", client_id="c").seq)

    def test_what_was_accepted_before_is_answered_again(self) -> None:
        first = self.send("bob", "x", recipient="alice", client_id="c")
        self.block("alice", "bob")
        self.assertEqual(first, self.send("bob", "x", recipient="alice", client_id="c"))
        self.assertEqual(1, len(self.texts("alice")))

    def test_a_block_falls_between_two_messages(self) -> None:
        before = self.submit("bob", recipient="alice")
        blocking = ensureDeferred(self.blocking("alice", "bob"))
        after = self.submit("bob", recipient="alice")
        self.settle()
        self.successResultOf(blocking)
        self.assertIsNone(self.code(before))
        self.assertEqual(ErrorCode.FORBIDDEN, self.code(after))

    def test_groups_are_as_before(self) -> None:
        self.add_group("g", "alice", "bob")
        self.block("alice", "bob")
        self.send("bob", "in the group", group="g")
        self.send("alice", "too", group="g")
        self.assertEqual(2, len(self.texts("alice")))
        self.assertEqual(2, len(self.texts("bob")))

    def test_only_the_one_who_blocks_is_told(self) -> None:
        self.block("alice", "bob")
        self.block("alice", "bob")
        self.assertEqual(FriendReply("bob", Standing.NONE), self.unblock("alice", "bob"))
        self.unblock("alice", "bob")
        self.assertEqual(["user_blocked", "user_unblocked"], self.news_kinds("alice"))
        self.assertEqual([], self.news("bob"))
        self.assertEqual([["alice"], ["alice"]], [list(change.users) for change in self.sink.changes])

    def test_a_request_of_a_blocked_user_is_answered_as_ever_and_not_told(self) -> None:
        self.block("alice", "bob")
        reply = self.ask("bob", "alice", "please")
        self.assertEqual(FriendReply("alice", Standing.REQUESTED, reply.request), reply)
        self.assertEqual(reply, self.ask("bob", "alice"))
        self.assertEqual(["alice"], [one.user for one in self.list_of("bob").sent])
        self.assertEqual(FriendList([], [], [], [BlockedUser("bob", AT)]), self.list_of("alice"))
        self.assertEqual(["user_blocked"], self.news_kinds("alice"))
        self.assertEqual([], self.new_device_is_told("alice", "jsonline", "new"))
        self.unblock("alice", "bob")
        self.assertEqual(["bob"], [one.user for one in self.list_of("alice").received])
        self.assertEqual(Standing.FRIENDS, self.wait_for(self.accepting("alice", "bob")).standing)
        self.block("alice", "carol")
        self.ask("carol", "alice")  # stays open

    def test_one_who_blocks_does_not_ask(self) -> None:
        self.ask("bob", "alice")
        self.block("alice", "bob")
        for refused in (self.asking("alice", "bob"), self.accepting("alice", "bob")):
            self.assertEqual(ErrorCode.FORBIDDEN, self.error_of(refused))
        self.wait_for(self.rejecting("alice", "bob"))
        self.assertEqual("friend_rejected", self.news_kinds("bob")[-1])

    def test_a_block_hides_a_friendship_and_ends_it_not(self) -> None:
        self.befriend("alice", "bob")
        self.block("alice", "bob")
        self.assertEqual(([], ["alice"]), (self.friends("alice"), self.friends("bob")))
        self.assertEqual(FriendReply("bob", Standing.FRIENDS), self.unblock("alice", "bob"))
        self.assertEqual(["bob"], self.friends("alice"))

    def test_a_request_to_one_who_was_blocked_may_be_accepted_in_silence(self) -> None:
        self.ask("alice", "bob")
        self.block("alice", "bob")
        self.wait_for(self.accepting("bob", "alice"))
        self.assertEqual(["friend_request", "user_blocked"], self.news_kinds("alice"))
        self.assertEqual("friend_accepted", self.news_kinds("bob")[-1])
        self.assertEqual(["bob"] if self.unblock("alice", "bob") else [], self.friends("alice"))

    def test_what_is_known_of_them(self) -> None:
        self.befriend("alice", "carol")
        self.block("alice", "bob")
        self.block("carol", "alice")
        circle = self.wait_for(self.cellar.directory.circle("alice"))
        self.assertEqual(({"carol"}, {"bob"}, {"carol"}), (circle.friends, circle.blocks, circle.blocked_by))
        apart = self.cellar.directory.are_apart
        self.assertTrue(self.wait_for(apart("alice", "bob")))
        self.assertTrue(self.wait_for(apart("bob", "alice")))
        self.assertFalse(self.wait_for(apart("bob", "carol")))

    def test_the_limit(self) -> None:
        one = FriendLimits(blocked=1)
        self.wait_for(self.blocking("alice", "bob", limits=one))
        self.wait_for(self.blocking("alice", "bob", limits=one))
        self.assertEqual(ErrorCode.CONFLICT, self.error_of(self.blocking("alice", "carol", limits=one)))
        self.send("carol", recipient="alice")
