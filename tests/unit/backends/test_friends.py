"""Friends in the embedded engine: restarts, failing disks, older files, and a model to compare with."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import ensureDeferred
from twisted.trial.unittest import SynchronousTestCase

from imserver.backends.embedded.database import FileDatabase, MemoryDatabase, connect
from imserver.backends.embedded.schema import MIGRATIONS, migrate
from imserver.backends.embedded.verify import verify, verify_connection
from imserver.model.errors import ErrorCode, ImError
from imserver.model.friends import FriendReply, Standing
from tests.contracts.friends_suite import Befriending
from tests.unit.backends.engine import EngineCase
from tests.unit.backends.test_database import FileCase


class FriendCase(EngineCase, Befriending):
    def now(self) -> float:
        return self.embedded.core.wall()


class RestartTest(FriendCase, SynchronousTestCase):
    def test_everything_is_there_after_a_crash(self) -> None:
        self.befriend("alice", "bob")
        self.ask("carol", "alice", "hi")
        self.block("bob", "carol")
        before = [self.list_of(user) for user in ("alice", "bob", "carol")]
        self.reopen()
        self.assertEqual(before, [self.list_of(user) for user in ("alice", "bob", "carol")])
        self.assertEqual(ErrorCode.FORBIDDEN, self.refused("carol", recipient="bob"))

    def test_a_block_whose_commit_fails_is_none(self) -> None:
        self.committer.failures = 1
        running = ensureDeferred(self.blocking("alice", "bob"))
        refused = self.submit("bob", recipient="alice")
        self.settle()
        self.assertEqual(ErrorCode.UNAVAILABLE, self.failureResultOf(running, ImError).value.code)
        self.assertEqual(ErrorCode.FORBIDDEN, self.code(refused))
        self.send("bob", "now", recipient="alice")
        self.assertEqual([], self.list_of("alice").blocked)
        self.block("alice", "bob")
        self.committer.failures = 1
        running = ensureDeferred(self.blocking("alice", "bob", False))
        self.settle()
        self.failureResultOf(running, ImError)
        self.assertEqual(ErrorCode.FORBIDDEN, self.refused("bob", recipient="alice"))

    def test_a_request_whose_commit_fails_is_none(self) -> None:
        self.committer.failures = 1
        running = ensureDeferred(self.asking("alice", "bob"))
        self.settle()
        self.assertEqual(ErrorCode.UNAVAILABLE, self.failureResultOf(running, ImError).value.code)
        self.assertEqual(([], []), (self.news("bob"), self.list_of("bob").received))
        self.assertEqual([], self.sink.changes)
        self.ask("alice", "bob")

    def test_a_block_that_is_not_yet_durable_stays_in_memory(self) -> None:
        self.open_cellar("alice", "bob", "carol", cached_users=1)
        self.committer.held = True
        running = ensureDeferred(self.blocking("alice", "bob"))
        core = self.embedded.core
        core.state.forget_idle(core.journal.released, 1e9)
        self.assertNotIn("carol", core.state.users)
        late = self.submit("bob", recipient="alice")
        self.committer.held = False
        self.committer.run()
        self.settle()
        self.assertEqual(FriendReply("bob", Standing.BLOCKED), self.successResultOf(running))
        self.assertEqual(ErrorCode.FORBIDDEN, self.code(late))


class OldFileTest(FileCase, Befriending, SynchronousTestCase):
    def test_a_file_from_before_there_were_friends(self) -> None:
        self.open_cellar()
        self.wait_for(self.embedded.close())
        self.database.close()
        for path in self.directory.glob("imserver.db*"):
            path.unlink()
        connection = connect(self.directory / "imserver.db")
        migrate(connection, MIGRATIONS[:2])
        for no, name in ((1, "alice"), (2, "bob")):
            connection.execute("INSERT INTO users VALUES (?, ?, '', 'user', 0, 0, 0, 0)", (no, name))
        connection.execute("INSERT INTO meta VALUES ('epoch', 'e')")
        connection.close()
        self.assertEqual([], verify(self.directory, now=self.embedded.core.wall()))
        self.database = FileDatabase(self.directory)
        self.cellar = self.start()
        self.befriend("alice", "bob")
        self.block("bob", "alice")
        self.assertEqual(["bob"], self.friends("alice"))
        self.wait_for(self.embedded.close())
        self.assertEqual([], verify(self.directory, now=self.embedded.core.wall()))


class VerifyTest(FriendCase, SynchronousTestCase):
    """Each planted fault is found, and nothing else is."""

    def test_planted_faults(self) -> None:
        self.add_users("dave")
        self.befriend("alice", "bob")
        self.ask("carol", "alice")  # change 3
        self.block("bob", "carol")
        database = self.embedded.core.database
        assert isinstance(database, MemoryDatabase)
        connection = database.connection
        self.assertEqual([], verify_connection(connection, now=self.now()))
        request = "INSERT INTO friend_requests (asker, asked, message, at, change) VALUES "
        for sql, text in (
            ("UPDATE friendships SET a = 2, b = 1", "not in order: 2 1"),
            ("UPDATE friendships SET b = 77", "not in order: 1 77"),
            ("UPDATE friend_requests SET asked = asker", "is to oneself: 2 3 3"),
            ("UPDATE friend_requests SET asker = 77", "is to oneself: 2 77 1"),
            (request + "(2, 1, '', 0, 0)", "open between friends: 3 1 2"),
            (request + "(1, 3, '', 0, 0)", "requests to each other: 2 3"),
            ("UPDATE changes SET kind = 0 WHERE id = 3", "change is another one: 2 3"),
            ("DELETE FROM change_index WHERE id = 3 AND user_no = 1", "the one who was asked: 2 3"),
            ("UPDATE blocks SET blocked = user_no", "of oneself: 2 2"),
            ("UPDATE blocks SET blocked = 77", "of oneself: 2 77"),
        ):
            connection.execute("SAVEPOINT damage")
            connection.execute(sql)
            faults = verify_connection(connection, now=self.now())
            self.assertTrue(any(text in fault for fault in faults), (text, faults))
            connection.execute("ROLLBACK TO damage")
            connection.execute("RELEASE damage")


USERS = ("alice", "bob", "carol")
steps = st.lists(
    st.tuples(
        st.sampled_from(("ask", "accept", "reject", "delete", "block", "unblock", "send", "reopen")),
        st.sampled_from(USERS),
        st.sampled_from(USERS),
    ),
    max_size=40,
)


class Model:
    """Friends as a handful of sets."""

    def __init__(self) -> None:
        self.friends: set[frozenset[str]] = set()
        self.asked: set[tuple[str, str]] = set()
        self.blocks: set[tuple[str, str]] = set()
        self.told: dict[str, list[str]] = {user: [] for user in USERS}

    def tell(self, kind: str, user: str, other: str) -> None:
        self.told[user].append(kind)
        if kind not in ("user_blocked", "user_unblocked") and (other, user) not in self.blocks:
            self.told[other].append(kind)

    def befriend(self, user: str, other: str) -> Any:
        self.asked.remove((other, user))
        self.friends.add(frozenset((user, other)))
        self.tell("friend_accepted", user, other)
        return Standing.FRIENDS

    def ask(self, user: str, other: str) -> Any:
        if (user, other) in self.blocks:
            return ErrorCode.FORBIDDEN
        if frozenset((user, other)) in self.friends:
            return Standing.FRIENDS
        if (other, user) in self.asked:
            return self.befriend(user, other)
        if (user, other) not in self.asked:
            self.asked.add((user, other))
            self.tell("friend_request", user, other)
        return Standing.REQUESTED

    def accept(self, user: str, other: str) -> Any:
        if (user, other) in self.blocks:
            return ErrorCode.FORBIDDEN
        if frozenset((user, other)) in self.friends:
            return Standing.FRIENDS
        return self.befriend(user, other) if (other, user) in self.asked else ErrorCode.NOT_FOUND

    def reject(self, user: str, other: str) -> Any:
        if (other, user) not in self.asked:
            return ErrorCode.NOT_FOUND
        self.asked.remove((other, user))
        self.tell("friend_rejected", user, other)
        return Standing.NONE

    def delete(self, user: str, other: str) -> Any:
        if frozenset((user, other)) in self.friends:
            self.friends.remove(frozenset((user, other)))
            self.tell("friend_deleted", user, other)
        elif (user, other) in self.asked:
            self.asked.remove((user, other))
            self.tell("friend_withdrawn", user, other)
        return Standing.NONE

    def block(self, user: str, other: str) -> Any:
        if (user, other) not in self.blocks:
            self.blocks.add((user, other))
            self.tell("user_blocked", user, other)
        return Standing.BLOCKED

    def unblock(self, user: str, other: str) -> Any:
        if (user, other) in self.blocks:
            self.blocks.remove((user, other))
            self.tell("user_unblocked", user, other)
        if frozenset((user, other)) in self.friends:
            return Standing.FRIENDS
        return Standing.REQUESTED if (user, other) in self.asked else Standing.NONE

    def send(self, user: str, other: str) -> Any:
        apart = {(user, other), (other, user)} & self.blocks
        return ErrorCode.FORBIDDEN if apart else None


class ModelTest(FriendCase, SynchronousTestCase):
    def reality(self, deed: str, user: str, other: str) -> Any:
        if deed == "send":
            ticket = self.submit(user, recipient=other)
            self.settle()
            return self.code(ticket)
        start: dict[str, Callable[[str, str], Coroutine[Any, Any, FriendReply]]] = {
            "ask": self.asking,
            "accept": self.accepting,
            "reject": self.rejecting,
            "delete": self.deleting,
            "block": self.blocking,
            "unblock": lambda user, other: self.blocking(user, other, False),
        }
        try:
            return self.wait_for(start[deed](user, other)).standing
        except ImError as error:
            return error.code

    @given(steps)
    def test_it_does_what_the_sets_do(self, deeds: list[tuple[str, str, str]]) -> None:
        self.open_cellar(*USERS)
        model = Model()
        for deed, user, other in deeds:
            if deed == "reopen":
                self.reopen()
            elif user != other:
                expected = getattr(model, deed)(user, other)
                self.assertEqual(expected, self.reality(deed, user, other), (deed, user, other))
        for user in USERS:
            found = self.list_of(user)
            hidden = {other for other in USERS if (user, other) in model.blocks}
            shown = [other for other in USERS if other not in hidden]
            self.assertEqual(sorted(hidden), [one.user for one in found.blocked])
            friends = [
                other for other in shown if frozenset((user, other)) in model.friends and other != user
            ]
            self.assertEqual(friends, [one.user for one in found.friends])
            self.assertEqual(
                [other for other in shown if (other, user) in model.asked],
                [one.user for one in found.received],
            )
            self.assertEqual(
                [other for other in shown if (user, other) in model.asked], [one.user for one in found.sent]
            )
            self.assertEqual(model.told[user], self.news_kinds(user))
        self.assertEqual([], verify_connection(self.database.reader(), now=self.now()))
