"""Files go where a message would: blocks, friends only, groups; and who is told of what others do."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import ensureDeferred

from imserver.model.errors import ErrorCode, ImError
from imserver.model.files import (
    AcceptFile,
    Channel,
    FileAccepted,
    FileDelivered,
    FileOffered,
    FileStored,
    OfferFile,
    RequestFile,
)
from imserver.model.friends import AcceptFriend, BlockUser, RequestFriend, UnblockUser
from imserver.model.groups import CreateGroup, InviteMember, JoinGroup, KickMember
from imserver.services.file_ports import State
from imserver.services.friends import FriendSettings
from tests.unit.services.hub_world import text
from tests.unit.services.test_files import DATA, HASH, FileCase


def to(user: str = "bob", **more: Any) -> RequestFile:
    """A request to send a file."""
    return RequestFile("a.txt", len(DATA), HASH, recipient=user, **more)


class Blocked(FileCase):
    def setUp(self) -> None:
        super().setUp()
        self.bob = self.peer("bob")

    def turned_down(self, user: str, command: RequestFile | OfferFile) -> ImError:
        return self.refusal(self.hub.dispatch.handle(self.who(user), command))

    def test_a_file_is_refused_as_a_message_is(self) -> None:
        self.ask("bob", BlockUser("alice"))
        for user, peer in (("alice", "bob"), ("bob", "alice")):
            live, listening = self.log_in(user)
            self.hub.send(live, text("x", recipient=peer), "t")
            self.settle()
            outcome = listening.answers[-1][1]
            assert isinstance(outcome, ImError)
            refused = self.turned_down(user, to(peer))
            self.assertEqual((refused.code, refused.text), (outcome.code, outcome.text))
            self.assertEqual(refused.code, ErrorCode.FORBIDDEN)
        self.assertEqual(
            self.turned_down("alice", OfferFile("bob", "t1", "a", 5, HASH)).code, ErrorCode.FORBIDDEN
        )
        self.assertEqual([event for event in self.bob.events if isinstance(event, FileOffered)], [])
        self.ask("bob", UnblockUser("alice"))
        self.request()
        self.assertIsInstance(self.bob.events[-1], FileOffered)

    def test_to_oneself_and_to_nobody_are_no_affair_of_anybodys(self) -> None:
        self.ask("bob", BlockUser("alice"))
        for target in ("alice", ""):
            self.whole(self.request(to=target))

    def test_a_block_holds_an_upload_up_that_is_under_way(self) -> None:
        channel = self.request()
        upload, _ = self.upload(channel)
        upload.feed(0, DATA)
        self.settle()
        self.ask("bob", BlockUser("alice"))
        error = self.refusal(self.files.channels.finish(upload))
        self.assertEqual(error.code, ErrorCode.FORBIDDEN)
        self.assertEqual(self.state(channel), State.OPEN)
        self.assertEqual(self.denied("alice", to(resume=channel.transfer)), ErrorCode.FORBIDDEN)
        self.assertEqual([event for event in self.bob.events if isinstance(event, FileStored)], [])
        self.assertEqual(self.bob.messages, [])
        # Nor is bob told of it again.
        self.assertNotIn(FileOffered, [type(event) for event in self.peer("bob").events])
        self.ask("bob", UnblockUser("alice"))
        self.assertEqual(self.ask("alice", to(resume=channel.transfer)).offset, len(DATA))
        self.wait(self.files.channels.finish(upload))
        self.assertEqual(self.state(channel), State.STORED)
        self.assertEqual(len(self.bob.messages), 1)

    def test_groups_are_not_concerned(self) -> None:
        self.ask("alice", CreateGroup("g", members=("bob",)))
        self.ask("bob", BlockUser("alice"))
        self.whole(self.request(to="", group="g"))
        told = [type(event) for event in self.bob.events]
        self.assertIn(FileOffered, told)
        self.assertIn(FileStored, told)


class FriendsOnly(FileCase):
    friends = FriendSettings(messages=True)

    def test_a_file_goes_to_friends_only(self) -> None:
        self.assertEqual(self.denied("alice", to()), ErrorCode.FORBIDDEN)
        self.ask("alice", RequestFriend("bob"))
        self.ask("bob", AcceptFriend("alice"))
        self.whole(self.request())


class Groups(FileCase):
    def test_who_joins_later_has_it_from_no_offer(self) -> None:
        self.ask("alice", CreateGroup("g", members=("bob",)))
        channel = self.request(to="", group="g")
        self.clock.advance(1.0)
        self.ask("alice", InviteMember("g", "carol"))
        self.ask("carol", JoinGroup("g"))
        carol = self.peer("carol")
        bob = self.peer("bob")
        self.assertIsInstance(bob.events[-1], FileOffered)
        self.assertEqual([event for event in carol.events if isinstance(event, FileOffered)], [])
        self.assertEqual(self.denied("carol", AcceptFile(channel.transfer)), ErrorCode.NOT_FOUND)
        # But she is there when the message comes.
        self.whole(channel)
        self.assertEqual(len(carol.messages), 1)
        self.assertNotIn(FileStored, [type(event) for event in carol.events])
        self.ask("carol", AcceptFile(file=channel.file))

    def test_who_was_sent_away_sends_nothing_any_more(self) -> None:
        self.ask("alice", CreateGroup("g", members=("bob",)))
        channel = self.request("bob", to="", group="g")
        upload, _ = self.upload(channel, "bob")
        upload.feed(0, DATA)
        self.settle()
        self.ask("alice", KickMember("g", "bob"))
        error = self.refusal(self.files.channels.finish(upload))
        self.assertEqual(error.code, ErrorCode.FORBIDDEN)
        self.assertEqual(self.state(channel), State.OPEN)


class PassedOn(FileCase):
    def test_what_others_do_than_recipients_is_told_to_nobody(self) -> None:
        alice = self.peer("alice")
        channel = self.request()
        self.whole(channel)
        transfer = self.wait(self.cellar.files.transfer(channel.transfer))
        told = len(alice.events)
        self.ask("carol", AcceptFile(file=channel.file))
        self.wait(self.files.delivered("carol", transfer))
        self.assertEqual(alice.events[told:], [])
        self.assertIsNone(self.wait(self.cellar.files.delivery(transfer.no, "carol")))
        self.ask("bob", AcceptFile(file=channel.file))
        self.wait(self.files.delivered("bob", transfer))
        self.assertEqual([type(event) for event in alice.events[told:]], [FileAccepted, FileDelivered])


class AtTheSameTime(FileCase):
    def test_the_same_request_twice_is_one_transfer(self) -> None:
        bob = self.peer("bob")
        asked = [
            ensureDeferred(self.hub.dispatch.handle(self.who("alice"), to(client_id="c1"))) for _ in range(2)
        ]
        other = RequestFile("b.txt", len(DATA), HASH, recipient="bob", client_id="c1")
        late = ensureDeferred(self.hub.dispatch.handle(self.who("alice"), other))
        self.settle()
        self.settle()
        first, second = (self.successResultOf(one) for one in asked)
        self.assertEqual(first.transfer, second.transfer)
        self.assertEqual(len([event for event in bob.events if isinstance(event, FileOffered)]), 1)
        self.assertEqual(self.failureResultOf(late, ImError).value.code, ErrorCode.CONFLICT)

    def test_quotas_hold(self) -> None:
        asked = [
            ensureDeferred(self.hub.dispatch.handle(self.who("alice"), to(client_id=f"c{number}")))
            for number in range(6)
        ]
        for _ in range(6):
            self.settle()
        begun = [one for one in asked if isinstance(one.result, Channel)]
        self.assertEqual(len(begun), self.settings.user_transfers)
        for one in asked:
            if one not in begun:
                self.assertEqual(self.failureResultOf(one, ImError).value.code, ErrorCode.TOO_FAST)


class Names(FileCase):
    def test_the_message_bears_the_name_that_the_sender_used(self) -> None:
        live, _ = self.log_in("alice")
        self.send(live, "first", recipient="bob", conversation="us")
        command = RequestFile("a.txt", len(DATA), HASH, conversation="us")
        channel = self.ask("alice", command)
        self.whole(channel)
        page = self.wait(self.cellar.store.inbox("bob", 0, 0, 10, 10**6))
        self.assertEqual([row.message.conversation for row in page.rows], ["us", "us"])
