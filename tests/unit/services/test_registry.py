"""The registry of live sessions, and the dispatch table."""

from twisted.internet.defer import ensureDeferred
from twisted.trial.unittest import SynchronousTestCase

from imserver.model.accounts import Ping, Pong, Principal
from imserver.model.errors import ErrorCode, ImError
from imserver.model.messages import Done
from imserver.services.dispatch import Dispatch
from imserver.services.registry import Registry


class Session:
    def __init__(self, user: str, session: str) -> None:
        self.principal = Principal(user, session, "f")


class RegistryTests(SynchronousTestCase):
    def test_an_old_close_never_removes_the_newcomer(self) -> None:
        registry: Registry[Session] = Registry()
        old, new = Session("alice", "same"), Session("alice", "same")
        registry.enter(old)
        registry.enter(new)
        self.assertTrue(registry.leave(old))
        self.assertFalse(registry.leave(old))
        self.assertEqual(registry.of("alice"), (new,))
        self.assertEqual(len(registry), 1)

    def test_whoever_walks_is_not_disturbed(self) -> None:
        registry: Registry[Session] = Registry()
        sessions = [Session("alice", str(n)) for n in range(3)]
        for session in sessions:
            registry.enter(session)
        walked = []
        for session in registry.of("alice"):
            walked.append(session)
            registry.leave(session)
            registry.enter(Session("alice", "late"))
        self.assertEqual(walked, sessions)

    def test_beyond_the_limit_the_oldest_are_named(self) -> None:
        registry: Registry[Session] = Registry(sessions_per_user=2)
        first, second, third = (Session("alice", str(n)) for n in range(3))
        self.assertEqual(registry.enter(first), [])
        self.assertEqual(registry.enter(second), [])
        self.assertEqual(registry.enter(third), [first])
        self.assertEqual(registry.enter(Session("bob", "b")), [])

    def test_a_user_without_sessions_is_forgotten(self) -> None:
        registry: Registry[Session] = Registry()
        session = Session("alice", "1")
        registry.enter(session)
        self.assertIn("alice", registry)
        registry.leave(session)
        self.assertNotIn("alice", registry)
        self.assertEqual(list(registry), [])


class DispatchTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.dispatch = Dispatch(lambda: 12.5)
        self.alice = Principal("alice", "s", "f")

    def test_ping_is_answered_with_the_servers_clock(self) -> None:
        reply = self.successResultOf(ensureDeferred(self.dispatch.handle(self.alice, Ping(3.0, 7))))
        self.assertEqual(reply, Pong(12.5, 3.0, 7))

    def test_an_unknown_command_is_refused(self) -> None:
        failure = self.failureResultOf(ensureDeferred(self.dispatch.handle(self.alice, Done())), ImError)
        self.assertIs(failure.value.code, ErrorCode.UNKNOWN_COMMAND)

    def test_a_command_has_one_handler(self) -> None:
        self.assertRaises(ValueError, self.dispatch.register, {Ping: None})
