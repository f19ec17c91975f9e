"""Files that go straight from one user to another: offers, answers, and the pipe between two channels."""

from __future__ import annotations

from typing import Any, cast

from twisted.internet.defer import ensureDeferred
from twisted.internet.task import Clock

from imserver.backends.embedded.bus import LocalBus
from imserver.model.accounts import Principal
from imserver.model.calls import Media
from imserver.model.errors import ErrorCode, ImError
from imserver.model.file_relays import (
    AcceptRelay,
    EndRelay,
    RejectRelay,
    RelayAccepted,
    RelayCompleted,
    RelayFailed,
    RelayOffered,
    RelayRejected,
    RelayRole,
    RequestRelay,
)
from imserver.services.file_pipes import Pipe
from imserver.services.file_relay_rules import MAX_MEMBERS
from imserver.services.file_relays import OPEN_PER_USER, REQUEST_BURST, Relays, RelaySettings
from imserver.services.ports import Seat
from imserver.services.sessions import Client, Receiver
from tests.unit.services.world import Chance, ServiceCase

SETTINGS = RelaySettings(max_bytes=1000, host="files.example", port=0)


class Program:
    """A live session, and what it was told."""

    def __init__(
        self, user: str, session: str, media: Media = Media.VOICE, sid: str = "", secure: bool = False
    ) -> None:
        self.principal = Principal(user, session, "jsonline", sid=sid)
        self.client = Client(session, "jsonline", "127.0.0.1", False, False, secure, media=media)
        self.events: list[Any] = []
        self.receiver = cast(Receiver, self)

    def notify(self, event: Any) -> bool:
        self.events.append(event)
        return True

    def take(self) -> list[Any]:
        events, self.events = self.events, []
        return events


class Channel:
    """One end of a pipe, which keeps what is done to it."""

    def __init__(self) -> None:
        self.reads = True
        self.written = b""
        self.done: list[str] = []

    def pause(self) -> None:
        self.reads = False

    def resume(self) -> None:
        self.reads = True

    def write(self, data: bytes) -> None:
        self.written += data

    def finish(self) -> None:
        self.done.append("finished")

    def break_off(self, reason: str, *, between: bool = True) -> None:
        self.done.append(f"{reason}{'' if between else ' (inside)'}")


class RelayCase(ServiceCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.bus = LocalBus()
        self.groups: dict[str, list[str]] = {}
        self.apart: set[tuple[str, str]] = set()
        self.relays = Relays(self.bus, self._members, self._refusal, self.clock, Chance(), SETTINGS)
        self.relays.ports = (9500, 0)
        self.programs: list[Program] = []
        self.bus.serve(self._seats, self._told, self._asked)
        self.alice, self.bob, self.phone = [
            self.enter(name, f"{name}{number}", sid=f"sid-{name}{number}")
            for number, name in enumerate(("alice", "bob", "bob"))
        ]

    def enter(self, user: str, session: str, **options: Any) -> Program:
        program = Program(user, session, **options)
        self.programs.append(program)
        self.relays.session_started(program)
        return program

    def leave(self, program: Program) -> None:
        self.programs.remove(program)
        self.relays.session_gone(program)

    def _told(self, user: str, session: str, event: Any, node: str) -> None:
        self.relays.told(session, event, node)

    def _seats(self, user: str) -> list[Seat]:
        return [
            Seat(user, one.principal.session, "", one.client.media)
            for one in self.programs
            if one.principal.user == user
        ]

    async def _asked(self, request: Any) -> Any:
        return await self.relays.requested(request)

    async def _members(self, group: str) -> list[str]:
        return self.groups.get(group, [])

    async def _refusal(self, sender: str, recipient: str) -> ImError | None:
        return ImError(ErrorCode.FORBIDDEN, "no") if (sender, recipient) in self.apart else None

    def do(self, program: Program, command: Any) -> Any:
        handler = self.relays.handlers()[type(command)]
        return self.successResultOf(ensureDeferred(handler(program.principal, command)))  # type: ignore[arg-type]

    def code(self, program: Program, command: Any) -> ErrorCode:
        handler = self.relays.handlers()[type(command)]
        error: ImError = self.failureResultOf(
            ensureDeferred(handler(program.principal, command)),  # type: ignore[arg-type]
            ImError,
        ).value
        return error.code

    def offer(self, size: int = 10, **fields: Any) -> str:
        """Alice offers a file to bob; its id."""
        fields.setdefault("recipient", "bob")
        reply = self.do(self.alice, RequestRelay("a.txt", size, "sum", **fields))
        relay: str = reply.relays[0].relay
        return relay

    def channels(self, size: int = 10) -> tuple[Pipe, Channel, Channel]:
        """A file that was accepted, with both channels."""
        relay = self.offer(size)
        self.do(self.bob, AcceptRelay(relay))
        source, sink = Channel(), Channel()
        pipe = self.relays.join(relay, RelayRole.SENDER, "alice", source)
        self.relays.join(relay, RelayRole.RECEIVER, "bob", sink)
        for program in self.programs:
            program.take()
        return pipe, source, sink

    def nothing_left(self) -> None:
        self.assertEqual(len(self.relays), 0)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(self.bus._slots, {})

    def reasons(self, program: Program) -> list[str]:
        return [event.reason for event in program.take() if isinstance(event, RelayFailed)]


class Offers(RelayCase):
    def test_to_every_session_that_can_take_it(self) -> None:
        other = self.enter("bob", "browser", media=Media.WEBRTC)
        relay = self.offer()
        self.assertEqual(len(bytes.fromhex(relay)), 16)
        offered = RelayOffered(relay, "alice", "a.txt", 10, "sum")
        for program in (self.bob, self.phone):
            self.assertEqual(program.take(), [offered])
        self.assertEqual(other.take(), [])
        self.assertEqual(self.alice.take(), [])

    def test_accepted_by_the_first(self) -> None:
        relay = self.offer()
        self.phone.take()
        accepted = RelayAccepted(relay, "bob", "a.txt", 10, "files.example", 9500, 0)
        self.assertEqual(self.do(self.bob, AcceptRelay(relay)), accepted)
        self.assertEqual(self.bob.take()[-1], accepted)
        self.assertEqual(self.alice.take(), [accepted])
        self.assertEqual(self.reasons(self.phone), ["another device takes it"])
        self.assertEqual(self.code(self.phone, AcceptRelay(relay)), ErrorCode.CONFLICT)
        self.assertEqual(self.do(self.bob, AcceptRelay(relay)), accepted)  # again

    def test_who_may_answer(self) -> None:
        relay = self.offer()
        mallory = self.enter("mallory", "m")
        for command in (AcceptRelay(relay), RejectRelay(relay), EndRelay(relay, True)):
            self.assertEqual(self.code(mallory, command), ErrorCode.NOT_FOUND)
        self.assertEqual(self.code(self.alice, AcceptRelay(relay)), ErrorCode.NOT_FOUND)
        self.assertEqual(self.code(self.bob, AcceptRelay("0" * 32)), ErrorCode.NOT_FOUND)
        browser = self.enter("bob", "browser", media=Media.WEBRTC)
        self.assertEqual(self.code(browser, AcceptRelay(relay)), ErrorCode.BAD_REQUEST)

    def test_rejected(self) -> None:
        relay = self.offer()
        self.phone.take()
        self.do(self.bob, RejectRelay(relay, "no" * 1000))
        (rejected,) = self.alice.take()
        self.assertEqual(rejected, RelayRejected(relay, "bob", "a.txt", "no" * 256))
        self.assertEqual(self.reasons(self.phone), ["another device rejected it"])
        self.nothing_left()

    def test_nobody_answers(self) -> None:
        self.offer()
        self.clock.advance(SETTINGS.offer_seconds)
        for program in (self.alice, self.bob, self.phone):
            self.assertEqual(self.reasons(program), ["nobody answered in time"])
        self.nothing_left()

    def test_the_sender_goes_or_takes_it_back(self) -> None:
        relay = self.offer()
        self.do(self.alice, RejectRelay(relay))
        self.assertEqual(self.reasons(self.bob), ["the sender took it back"])
        self.offer()
        self.leave(self.alice)
        self.assertEqual(self.reasons(self.bob), ["the sender has gone"])
        self.nothing_left()

    def test_what_is_refused(self) -> None:
        good = RequestRelay("a.txt", 10, "", "bob")
        for command, code in (
            (RequestRelay("a/b", 10, "", "bob"), ErrorCode.BAD_REQUEST),
            (RequestRelay("", 10, "", "bob"), ErrorCode.BAD_REQUEST),
            (RequestRelay("a", 1001, "", "bob"), ErrorCode.TOO_LARGE),
            (RequestRelay("a", 10, "x" * 256, "bob"), ErrorCode.BAD_REQUEST),
            (RequestRelay("a", 10, "", "alice"), ErrorCode.BAD_REQUEST),
            (RequestRelay("a", 10, "", "nobody"), ErrorCode.NOT_FOUND),
            (RequestRelay("a", 10, "", group="none"), ErrorCode.NOT_FOUND),
        ):
            self.assertEqual(self.code(self.alice, command), code, command)
        self.apart.add(("alice", "bob"))
        self.assertEqual(self.code(self.alice, good), ErrorCode.FORBIDDEN)
        self.apart.clear()
        # The channel must be as safe as the session.
        self.relays.ports = (0, 9501)
        self.assertEqual(self.code(self.alice, good), ErrorCode.UNAVAILABLE)
        safe = self.enter("alice", "tls", secure=True)
        self.relays.ports = (9500, 0)
        self.assertEqual(self.code(safe, good), ErrorCode.UNAVAILABLE)
        relay = self.do(self.alice, good).relays[0].relay
        safe_bob = self.enter("bob", "tls too", secure=True)
        self.assertEqual(self.code(safe_bob, AcceptRelay(relay)), ErrorCode.UNAVAILABLE)
        self.do(self.bob, RejectRelay(relay))
        self.nothing_left()

    def test_where_the_channel_is(self) -> None:
        for settings, ports, told in (
            (RelaySettings(), (9500, 9501), ("", 9500, 9501)),
            (RelaySettings(port=443), (9500, 0), ("", 443, 0)),
            (RelaySettings(host="h", port=443, elsewhere=True), (9500, 0), ("h", 443, 443)),
        ):
            self.relays = Relays(self.bus, self._members, self._refusal, self.clock, Chance(), settings)
            self.relays.ports = ports
            for program in self.programs:
                self.relays.session_started(program)
            accepted = self.do(self.bob, AcceptRelay(self.offer()))
            self.assertEqual((accepted.host, accepted.port, accepted.tls_port), told)

    def test_groups(self) -> None:
        carol = self.enter("carol", "c")
        self.groups["g"] = ["alice", "bob", "carol", "away"]
        reply = self.do(self.alice, RequestRelay("a.txt", 10, group="g"))
        self.assertEqual([one.target for one in reply.relays], ["bob", "carol"])
        self.assertEqual(len({one.relay for one in reply.relays}), 2)
        self.assertEqual(len(carol.take()), 1)
        self.assertEqual(self.code(carol, AcceptRelay(reply.relays[0].relay)), ErrorCode.NOT_FOUND)
        self.groups["g"] = ["alice", *(f"u{number}" for number in range(MAX_MEMBERS))]
        self.assertEqual(self.code(self.alice, RequestRelay("a", 1, group="g")), ErrorCode.CONFLICT)
        self.groups["g"] = ["bob"]
        self.assertEqual(self.code(self.alice, RequestRelay("a", 1, group="g")), ErrorCode.NOT_FOUND)

    def test_rates(self) -> None:
        for _ in range(REQUEST_BURST):
            self.offer()
        self.assertEqual(self.code(self.alice, RequestRelay("a", 1, "", "bob")), ErrorCode.TOO_FAST)
        while len(self.relays) < OPEN_PER_USER:
            self.clock.advance(1)
            self.offer()
        self.clock.advance(1)
        self.assertEqual(self.code(self.alice, RequestRelay("a", 1, "", "bob")), ErrorCode.TOO_FAST)

    def test_channels_that_are_not_opened(self) -> None:
        relay = self.offer()
        self.do(self.bob, AcceptRelay(relay))
        source = Channel()
        self.relays.join(relay, RelayRole.SENDER, "alice", source)
        self.clock.advance(SETTINGS.join_seconds)
        self.assertEqual(self.reasons(self.alice), ["the channels were not opened in time"])
        self.assertEqual(source.done, ["the channels were not opened in time"])
        self.nothing_left()


class Pipes(RelayCase):
    def test_a_file(self) -> None:
        relay = self.offer()
        self.do(self.bob, AcceptRelay(relay))
        source, sink = Channel(), Channel()
        pipe = self.relays.join(relay, RelayRole.SENDER, "alice", source)
        self.assertFalse(source.reads)  # nobody is there to take it
        self.relays.join(relay, RelayRole.RECEIVER, "bob", sink)
        self.assertTrue(source.reads)
        pipe.data(b"<12345", 5, whole=False)
        pipe.full(True)
        self.assertFalse(source.reads)
        pipe.full(False)
        self.assertTrue(source.reads)
        pipe.data(b"67890>", 5, whole=True)
        pipe.end(b"<end>")
        self.assertEqual(sink.written, b"<1234567890><end>")
        self.assertEqual((source.done, sink.done), (["finished"], ["finished"]))
        for program in (self.alice, self.bob, self.phone):
            program.take()
        pipe.gone(source)
        self.assertEqual(self.alice.take(), [])
        pipe.arrived()
        done = RelayCompleted(relay, "bob", "a.txt", 10)
        self.assertEqual((self.alice.take(), self.bob.take(), self.phone.take()), ([done], [done], []))
        pipe.arrived()
        pipe.gone(sink)
        self.assertEqual(self.alice.take(), [])
        self.assertEqual((self.relays.completed, self.relays.failed, self.relays.passed), (1, 0, 10))
        self.nothing_left()

    def test_who_may_join(self) -> None:
        relay = self.offer()
        for role, user in ((RelayRole.SENDER, "alice"), (RelayRole.RECEIVER, "bob")):
            self.assertRaises(ImError, self.relays.join, relay, role, user, Channel())  # not accepted
        self.do(self.bob, AcceptRelay(relay))
        for role, user in (
            (RelayRole.SENDER, "bob"),
            (RelayRole.RECEIVER, "alice"),
            (RelayRole.RECEIVER, "carol"),
            (RelayRole.SENDER, ""),
        ):
            self.assertRaises(ImError, self.relays.join, relay, role, user, Channel())
        self.assertRaises(ImError, self.relays.join, "0" * 32, RelayRole.SENDER, "alice", Channel())
        self.relays.join(relay, RelayRole.SENDER, "alice", Channel())
        self.assertRaises(ImError, self.relays.join, relay, RelayRole.SENDER, "alice", Channel())

    def test_too_much_and_too_little(self) -> None:
        for data, reason in ((b"12345678901", "more was sent"), (b"123456789", "less was sent")):
            pipe, source, sink = self.channels()
            pipe.data(data, len(data), whole=True)
            pipe.end(b"<end>")
            for program in (self.alice, self.bob):
                (told,) = self.reasons(program)
                self.assertIn(reason, told)
            for channel in (source, sink):
                self.assertIn(reason, channel.done[0])
            self.assertNotIn(b"<end>", sink.written)
        self.nothing_left()

    def test_lost_channels(self) -> None:
        pipe, source, sink = self.channels()
        pipe.data(b"123", 3, whole=False)
        pipe.gone(source)
        self.assertEqual(sink.done, ["the sender's channel is lost (inside)"])
        pipe, source, sink = self.channels()
        pipe.gone(sink)
        self.assertEqual(source.done, ["the receiver's channel is lost"])
        pipe, source, sink = self.channels(0)
        pipe.end(b"<end>")
        pipe.gone(sink)  # before it had everything
        self.assertEqual(self.reasons(self.alice), ["the receiver's channel is lost"])
        self.assertEqual(self.relays.failed, 3)
        self.nothing_left()

    def test_either_may_end_it(self) -> None:
        for program, reason in ((self.alice, "x"), (self.bob, "")):
            pipe, source, _ = self.channels()
            self.do(program, EndRelay(pipe.id, False))
            self.assertEqual(source.done, [])
            self.do(program, EndRelay(pipe.id, True, reason))
            told = reason or f"{program.principal.user} gave it up"
            self.assertEqual(self.reasons(self.alice), [told])
            self.assertEqual(source.done, [told])
        pipe, source, _ = self.channels()
        self.do(self.bob, RejectRelay(pipe.id))
        self.assertEqual(source.done, ["bob gave it up"])
        self.nothing_left()

    def test_log_ins_that_end(self) -> None:
        source = self.channels()[1]
        self.relays.end_user("carol")
        self.relays.end_user("bob", "sid-bob2")  # the other device's
        self.assertEqual(source.done, [])
        self.relays.end_user("bob", "sid-bob1")
        self.assertEqual(source.done, ["a log-in has ended"])
        source = self.channels()[1]
        self.relays.end_user("alice")
        self.assertEqual(source.done, ["a log-in has ended"])
        self.nothing_left()

    def test_sessions_may_end_while_it_is_moved(self) -> None:
        pipe, _, sink = self.channels(0)
        self.leave(self.alice)
        self.leave(self.bob)
        pipe.end(b"<end>")
        self.assertEqual(sink.done, ["finished"])

    def test_shut_down(self) -> None:
        _, source, sink = self.channels()
        self.relays.shut_down()
        self.assertEqual(source.done, sink.done)
        self.assertEqual(self.reasons(self.bob), ["the server is going down"])
        self.assertEqual(self.code(self.alice, RequestRelay("a", 1, "", "bob")), ErrorCode.UNAVAILABLE)
        self.nothing_left()
