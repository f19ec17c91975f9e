"""Sessions: states, order, barriers, refusals, ends."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace
from twisted.trial.unittest import SynchronousTestCase

from imserver.model.accounts import Hello, KickReason, LogIn, LogOut, Ping, SessionKicked
from imserver.model.calls import CallMedia
from imserver.model.errors import ErrorCode, ImError
from imserver.model.groups import CreateGroup, GroupChange, GroupChanged, LeaveGroup, ListGroups
from imserver.model.messages import (
    AckMessages,
    InboxPage,
    InboxRow,
    SendMessage,
    TypingChanged,
)
from imserver.model.protection import Once
from imserver.protocols.turns import MAX_UNANSWERED
from imserver.wire.base import Traits
from tests.unit.protocols.stub import STUB, LinePeer, StubHub, doors, logged_in, message


def kinds(hub: StubHub) -> list[type]:
    """The types of the commands that got to the hub after the log-in."""
    return [type(command) for command in hub.done if type(command) is not LogIn]


class BeforeLogIn(SynchronousTestCase):
    """What a stranger may do."""

    def setUp(self) -> None:
        self.hub = StubHub()
        self.peer = LinePeer(doors(self.hub))

    def test_the_doors_commands_are_let_through(self) -> None:
        self.peer.say("hello#1 phone", "ping#2", "register#3 bob", "refresh#4 token")
        self.assertEqual(self.peer.heard(), ["hello#1 ok", "ping#2 ok", "register#3 ok", "refresh#4 ok"])

    def test_anything_else_is_refused_and_never_reaches_the_hub(self) -> None:
        self.peer.say("send#1 x", "sync#2", "ack#3 4", "leave#4 g", "logout#5", "disconnect#6", "media#7 x")
        self.assertEqual(self.peer.heard(), [f"refused#{n} AUTH_FAILED" for n in range(1, 8)])
        self.assertEqual(self.hub.done, [])
        self.assertFalse(self.peer.closing)

    def test_a_format_without_such_answers_closes(self) -> None:
        peer = LinePeer(doors(self.hub), replace(STUB, answers_before_login=False))
        peer.say("send#1 x")
        self.assertEqual(peer.heard(), [])
        self.assertTrue(peer.closing)

    def test_the_log_in_carries_what_hello_said(self) -> None:
        self.peer.say("hello#1 phone", "login#2 alice")
        self.assertEqual(self.peer.heard(), ["hello#1 ok", "login#2 alice"])
        self.assertEqual(self.hub.hellos, [Hello(client_id="phone")])
        self.assertEqual(self.hub.attachments[0].told, ["start"])

    def test_frames_behind_the_log_in_wait_for_it(self) -> None:
        self.hub.hold = True
        self.peer.say("login#1 alice", "send#2 x", "login#3 alice")
        self.assertEqual(kinds(self.hub), [])
        self.hub.release()
        self.assertEqual(kinds(self.hub), [SendMessage])
        self.assertEqual(self.peer.heard(), ["login#1 alice", "refused#3 CONFLICT"])

    def test_a_refused_log_in_may_be_tried_again(self) -> None:
        self.hub.outcomes[LogIn] = ImError(ErrorCode.AUTH_FAILED, "no")
        self.peer.say("login#1 alice")
        self.hub.outcomes.clear()
        self.peer.say("login#2 alice")
        self.assertEqual(self.peer.heard(), ["refused#1 AUTH_FAILED", "login#2 alice"])
        self.assertFalse(self.peer.closing)

    def test_a_refused_log_in_closes_where_the_format_says_so(self) -> None:
        peer = LinePeer(doors(self.hub), replace(STUB, close_on_refused_login=True))
        self.hub.outcomes[LogIn] = ImError(ErrorCode.AUTH_FAILED, "no")
        peer.say("login#1 alice", "login#2 alice")
        self.assertEqual(peer.heard(), ["refused#1 AUTH_FAILED"])
        self.assertTrue(peer.closing)

    def test_a_connection_lost_during_its_log_in_leaves_the_registry(self) -> None:
        self.hub.hold = True
        self.peer.say("login#1 alice")
        self.peer.lose()
        self.hub.release()
        self.assertEqual(self.hub.attachments[0].told, ["close"])

    def test_a_kick_during_the_log_in_wins(self) -> None:
        self.hub.hold = True
        self.peer.say("login#1 alice")
        self.peer.protocol._link.session.kicked(SessionKicked(KickReason.ACCOUNT, "disabled"))
        self.hub.release()
        self.assertEqual(self.peer.heard(), ["kicked ACCOUNT"])
        self.assertEqual(self.hub.attachments[0].told, ["close"])
        self.assertTrue(self.peer.closing)


class LogInAgain(SynchronousTestCase):
    """A log-in on a live session."""

    def test_is_a_conflict(self) -> None:
        hub = StubHub()
        peer = logged_in(hub)
        peer.say("login#2 alice")
        self.assertEqual(peer.heard(), ["refused#2 CONFLICT"])
        self.assertEqual(len(hub.attachments), 1)

    def test_is_the_hubs_affair_where_the_format_allows_it(self) -> None:
        hub = StubHub()
        peer = LinePeer(doors(hub), replace(STUB, reauthenticates=True, close_on_refused_login=True))
        peer.say("login#1 alice", "login#2 alice")
        self.assertEqual(peer.heard(), ["login#1 alice", "login#2 ok"])
        self.assertEqual(len(hub.attachments), 1)
        hub.outcomes[LogIn] = ImError(ErrorCode.AUTH_FAILED, "another user")
        peer.say("login#3 bob")
        self.assertEqual(peer.heard(), ["refused#3 AUTH_FAILED"])
        self.assertTrue(peer.closing)


class Order(SynchronousTestCase):
    """Frames are handled in their order, sends are pipelined, reads wait for sends."""

    def setUp(self) -> None:
        self.hub = StubHub()
        self.peer = logged_in(self.hub)

    def test_sends_do_not_wait_for_one_another(self) -> None:
        self.peer.say("send#2 a", "send#3 b", "ack#4 7")
        self.assertEqual(kinds(self.hub), [SendMessage, SendMessage, AckMessages])
        self.hub.answer(2)
        self.assertEqual(self.peer.heard(), ["send#2 m1", "send#3 m2"])

    def test_other_commands_run_one_at_a_time(self) -> None:
        self.hub.hold = True
        self.peer.say("groups#2", "create#3 g", "send#4 x", "ping#5")
        self.assertEqual(kinds(self.hub), [ListGroups])
        self.hub.release()
        self.assertEqual(kinds(self.hub), [ListGroups, CreateGroup])
        self.hub.release()
        self.assertEqual(kinds(self.hub), [ListGroups, CreateGroup, SendMessage, Ping])
        self.hub.release()
        self.hub.answer()
        self.assertEqual(self.peer.heard(), ["groups#2 ok", "create#3 ok", "ping#5 ok", "send#4 m1"])

    def test_an_answer_to_another_command_may_overtake(self) -> None:
        self.peer.say("send#2 a", "groups#3")
        self.hub.answer()
        self.assertEqual(self.peer.heard(), ["groups#3 ok", "send#2 m1"])

    def test_reads_leaves_and_ends_wait_for_the_answers_to_earlier_sends(self) -> None:
        for verb in ("sync", "history", "leave", "logout", "disconnect"):
            with self.subTest(verb=verb):
                self.hub = StubHub()
                self.peer = logged_in(self.hub)
                self.peer.say("send#2 a", "send#3 b", f"{verb}#4 x", "send#5 c")
                self.hub.answer()
                self.assertEqual(kinds(self.hub), [SendMessage, SendMessage])
                self.assertEqual(self.peer.heard(), ["send#2 m1"])
                self.hub.answer()
                heard = self.peer.heard()
                self.assertEqual(heard[0], "send#3 m2")
                self.assertTrue(heard[1].startswith(f"{verb}#4 "))
                last = verb in ("logout", "disconnect")
                self.assertEqual(self.peer.closing, last)
                self.assertEqual(kinds(self.hub)[-1] is SendMessage, not last or verb == "disconnect")

    def test_the_barrier_holds_up_what_comes_behind_it(self) -> None:
        self.peer.say("send#2 a", "leave#3 g", "groups#4")
        self.assertEqual(kinds(self.hub), [SendMessage])
        self.hub.answer()
        self.assertEqual(kinds(self.hub), [SendMessage, LeaveGroup, ListGroups])

    def test_a_ping_waits_for_the_sends_before_it_where_the_format_says_so(self) -> None:
        for waits in (True, False):
            with self.subTest(waits=waits):
                hub = StubHub()
                peer = LinePeer(doors(hub), replace(STUB, ping_follows_sends=waits))
                peer.say("login#1 alice", "send#2 a", "ping#3")
                self.assertEqual(peer.heard(), ["login#1 alice"] + ([] if waits else ["ping#3 ok"]))
                hub.answer()
                self.assertEqual(peer.heard(), ["send#2 m1"] + (["ping#3 ok"] if waits else []))

    def test_too_many_unanswered_sends_pause_reading_and_none_is_lost(self) -> None:
        lines = [f"send#{n} x" for n in range(1000)]
        self.peer.say(*lines)
        self.assertEqual(len(self.hub.sends), MAX_UNANSWERED)
        self.assertFalse(self.peer.reading)
        heard: list[str] = []
        while self.hub.sends:
            self.hub.answer()
            heard += self.peer.heard()
            self.assertLessEqual(len(self.hub.sends), MAX_UNANSWERED)
        self.assertEqual(heard, [f"send#{n} m{n + 1}" for n in range(1000)])
        self.assertTrue(self.peer.reading)

    def test_many_frames_behind_a_slow_command_pause_reading(self) -> None:
        self.hub.hold = True
        self.peer.say("groups#2")
        self.assertTrue(self.peer.reading)
        self.peer.say(*[f"send#{n} x" for n in range(100)])
        self.assertFalse(self.peer.reading)
        self.hub.release()
        self.assertTrue(self.peer.reading)
        self.assertEqual(len(self.hub.sends), 100)

    def test_a_refused_send_is_answered_in_its_place(self) -> None:
        self.peer.say("send#2 a", "sync#3")
        tag, _ = self.hub.sends.pop()
        self.hub.receivers[0].answer([tag], [ImError(ErrorCode.TOO_FAST, "slowly")])
        self.assertEqual(self.peer.heard(), ["refused#2 TOO_FAST", "sync#3 ok"])

    def test_media_keeps_its_place_and_has_no_answer(self) -> None:
        self.peer.say("send#1 x", "media#2 a")
        self.assertEqual(kinds(self.hub), [SendMessage, CallMedia])
        self.hub.hold = True
        self.peer.say("groups#3", "media#4 b")
        self.assertEqual(kinds(self.hub)[2:], [ListGroups])
        self.hub.release()
        self.assertEqual(kinds(self.hub)[2:], [ListGroups, CallMedia])

    def test_media_is_no_command_that_is_counted(self) -> None:
        peer = logged_in(self.hub, commands_per_second=1.0, command_burst=2.0)
        peer.say(*[f"media#{number} x" for number in range(50)], "ping#1")
        self.assertEqual(peer.heard(), ["ping#1 ok"])
        self.assertEqual(kinds(self.hub).count(CallMedia), 50)


class EndOfInput(SynchronousTestCase):
    """A peer that asks nothing more gets the answers it waits for, then the connection ends."""

    def setUp(self) -> None:
        self.hub = StubHub()
        self.peer = logged_in(self.hub)

    def test_with_nothing_to_answer_it_ends_at_once(self) -> None:
        self.peer.end_input()
        self.assertEqual(self.peer.heard(), [])
        self.assertTrue(self.peer.closing)
        self.assertEqual(self.hub.attachments[0].told, ["start", "close"])

    def test_what_its_kernel_has_counts_although_nobody_asked_yet(self) -> None:
        for written, told in ((True, ["start", "delivered", "close"]), (False, ["start", "close"])):
            hub = StubHub()
            peer = LinePeer(doors(hub), Traits(name="stub", acks=False, max_frame=1000))
            peer.say("login#1 alice")
            hub.receivers[0].push(message(b"hi"), 1)
            if written:
                self.assertEqual(peer.heard(), ["login#1 alice", "push 1 hi"])
            peer.end_input()
            self.assertEqual(hub.attachments[0].told, told)

    def test_sends_are_answered_first(self) -> None:
        self.peer.say("send#2 a", "send#3 b")
        self.peer.end_input()
        self.hub.answer()
        self.assertEqual(self.peer.heard(), ["send#2 m1"])
        self.assertFalse(self.peer.closing)
        self.hub.answer()
        self.assertEqual(self.peer.heard(), ["send#3 m2"])
        self.assertTrue(self.peer.closing)

    def test_everything_that_waits_is_done_and_answered_first(self) -> None:
        self.peer.say("send#2 a", "sync#3", "groups#4", "nonsense#5", "send#6 b")
        self.peer.end_input()
        self.hub.hold = True
        self.hub.answer()
        self.hub.release()
        self.hub.release()
        self.assertEqual(
            self.peer.heard(), ["send#2 m1", "sync#3 ok", "groups#4 ok", "refused#5 UNKNOWN_COMMAND"]
        )
        self.assertFalse(self.peer.closing)
        self.hub.answer()
        self.assertEqual(self.peer.heard(), ["send#6 m2"])
        self.assertTrue(self.peer.closing)

    def test_the_log_in_too(self) -> None:
        peer = LinePeer(doors(self.hub))
        self.hub.hold = True
        peer.say("login#1 alice", "groups#2")
        peer.end_input()
        self.assertFalse(peer.closing)
        self.hub.release()
        self.hub.release()
        self.assertEqual(peer.heard(), ["login#1 alice", "groups#2 ok"])
        self.assertTrue(peer.closing)

    def test_a_peer_that_never_takes_its_answers_is_torn_down(self) -> None:
        self.hub.hold = True
        self.peer.say("groups#2")
        self.peer.end_input()
        self.peer.clock.pump([10.0] * 12)
        self.assertTrue(self.peer.aborted)

    def test_a_line_without_an_end_is_nothing(self) -> None:
        self.peer.feed(b"groups#2")
        self.peer.end_input()
        self.assertEqual(self.peer.heard(), [])
        self.assertEqual(kinds(self.hub), [])


class Refusals(SynchronousTestCase):
    """All error policy."""

    def setUp(self) -> None:
        self.hub = StubHub()
        self.peer = logged_in(self.hub)

    def test_a_wire_error_is_answered_and_the_connection_stays(self) -> None:
        self.peer.say("nonsense#2", "groups#3")
        self.assertEqual(self.peer.heard(), ["refused#2 UNKNOWN_COMMAND", "groups#3 ok"])

    def test_a_fatal_wire_error_is_answered_and_closes(self) -> None:
        self.peer.say(b"\xff", b"groups#3")
        self.assertEqual(self.peer.heard(), ["refused BAD_REQUEST"])
        self.assertTrue(self.peer.closing)
        self.assertEqual(kinds(self.hub), [])
        self.assertEqual(self.hub.attachments[0].told, ["start", "close"])

    def test_a_wire_error_keeps_its_place_in_the_order(self) -> None:
        self.hub.hold = True
        self.peer.say("groups#2", "nonsense#3", "x" * 2000)
        self.assertEqual(self.peer.heard(), [])
        self.hub.release()
        self.assertEqual(self.peer.heard(), ["groups#2 ok", "refused#3 UNKNOWN_COMMAND", "refused TOO_LARGE"])

    def test_a_refusal_is_answered_and_the_connection_stays(self) -> None:
        self.hub.outcomes[ListGroups] = ImError(ErrorCode.FORBIDDEN, "no")
        self.peer.say("groups#2")
        self.assertEqual(self.peer.heard(), ["refused#2 FORBIDDEN"])
        self.assertFalse(self.peer.closing)

    def test_what_nobody_foresaw_is_logged_answered_and_closes(self) -> None:
        cases = (("groups#2", ZeroDivisionError()), ("groups#2", "unencodable"), ("crash#2", ""))
        for line, outcome in cases:
            with self.subTest(line=line, outcome=outcome):
                hub = StubHub()
                peer = logged_in(hub)
                hub.outcomes[ListGroups] = outcome
                peer.say(line, "groups#3")
                expected = "refused INTERNAL" if line == "crash#2" else "refused#2 INTERNAL"
                self.assertEqual(peer.heard(), [expected])
                self.assertTrue(peer.closing)
                self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_a_hub_that_fails_in_a_send_does_not_take_the_listener_with_it(self) -> None:
        def fail(*arguments: Any) -> None:
            raise ZeroDivisionError

        self.hub.send = fail  # type: ignore[method-assign, assignment]
        self.peer.say("send#2 a", "send#3 b")
        self.assertEqual(self.peer.heard(), ["refused#2 INTERNAL"])
        self.assertTrue(self.peer.closing)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_a_message_that_cannot_be_encoded_ends_the_session_and_raises_nothing(self) -> None:
        def fail(*arguments: Any) -> Any:
            raise ZeroDivisionError

        self.peer.codec.shared = fail  # type: ignore[method-assign, assignment]
        self.hub.receivers[0].push(message(), 1)
        self.assertTrue(self.peer.protocol._link.closing)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_a_token_sent_along_must_be_valid(self) -> None:
        self.peer.say("groups#2 auth=good", "groups#3 auth=bad", "send#4 auth=bad x", "ack#5 auth=bad 1")
        self.assertEqual(
            self.peer.heard(),
            ["groups#2 ok", "refused#3 AUTH_FAILED", "refused#4 AUTH_FAILED", "refused#5 AUTH_FAILED"],
        )
        self.assertEqual(kinds(self.hub), [ListGroups])

    def test_a_listener_may_require_a_token_with_every_request(self) -> None:
        peer = LinePeer(doors(self.hub), replace(STUB, requires_authorization=True))
        peer.say("login#1 alice", "groups#2", "groups#3 auth=good", "send#4 x", "ping#5")
        self.assertEqual(
            peer.heard(),
            ["login#1 alice", "refused#2 AUTH_FAILED", "groups#3 ok", "refused#4 AUTH_FAILED", "ping#5 ok"],
        )

    def test_commands_are_limited_sends_and_acks_are_not(self) -> None:
        peer = logged_in(StubHub(), commands_per_second=10.0, command_burst=5.0)
        peer.say(*[f"groups#{n}" for n in range(7)])
        refused = ["refused#5 TOO_FAST", "refused#6 TOO_FAST"]
        self.assertEqual(peer.heard(), [*[f"groups#{n} ok" for n in range(5)], *refused])
        peer.say(*[f"ack#{n} 1" for n in range(50)], *[f"send#{n} x" for n in range(50)])
        self.assertEqual(peer.heard(), [])
        peer.clock.advance(0.1)
        peer.say("groups#7", "groups#8")
        self.assertEqual(peer.heard(), ["groups#7 ok", "refused#8 TOO_FAST"])


class Retries(SynchronousTestCase):
    """Which requests have an id by which a retry is known (what becomes of it: services.retries)."""

    def test_the_hub_gets_the_id(self) -> None:
        hub = StubHub()
        logged_in(hub).say("create#2 g", "sync#3", "create#4 g")
        self.assertEqual(hub.retry_ids, ["2", "4"])


class Encrypted(SynchronousTestCase):
    """What came encrypted is done only where the hub admits it."""

    def setUp(self) -> None:
        self.hub = StubHub()
        self.peer = logged_in(self.hub)

    def test_whatever_it_is(self) -> None:
        self.peer.say("once:send#2 x", "once:ack#3 7", "once:groups#4", "ping#6")
        self.assertEqual(
            [kind for kind in kinds(self.hub) if kind is not Once],
            [SendMessage, AckMessages, ListGroups, Ping],
        )
        self.assertEqual(kinds(self.hub).count(Once), 3)
        self.hub.answer()
        self.assertEqual(self.peer.heard(), ["groups#4 ok", "ping#6 ok", "send#2 m1"])

    def test_a_log_in(self) -> None:
        peer = LinePeer(doors(self.hub))
        peer.say("once:login#1 alice")
        self.assertEqual(peer.heard(), ["login#1 alice"])

    def test_refused(self) -> None:
        self.hub.outcomes[Once] = ImError(ErrorCode.SIGNATURE, "seen before")
        self.peer.say("once:send#2 x", "once:ack#3 7", "ping#4")
        self.assertEqual(self.peer.heard(), ["refused#2 SIGNATURE", "refused#3 SIGNATURE", "ping#4 ok"])
        self.assertNotIn(SendMessage, kinds(self.hub))
        self.assertNotIn(AckMessages, kinds(self.hub))

    def test_what_comes_behind_waits(self) -> None:
        self.hub.hold = True
        self.peer.say("once:send#2 x", "send#3 y")
        self.assertNotIn(SendMessage, kinds(self.hub))
        self.hub.release()
        self.assertEqual([command.content.data for _, command in self.hub.sends], [b"x", b"y"])

    def test_lost_meanwhile(self) -> None:
        self.hub.hold = True
        self.peer.say("once:send#2 x")
        self.peer.lose()
        self.hub.release()
        self.assertNotIn(SendMessage, kinds(self.hub))

    def test_an_admission_that_fails_ends_the_session(self) -> None:
        self.hub.outcomes[Once] = ZeroDivisionError()
        self.peer.say("once:send#2 x")
        self.assertEqual(self.peer.heard(), ["refused#2 INTERNAL"])
        self.assertTrue(self.peer.closing)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)


class Deliveries(SynchronousTestCase):
    """What services.sessions.Receiver promises."""

    def setUp(self) -> None:
        self.hub = StubHub()
        self.peer = logged_in(self.hub)
        self.receiver = self.hub.receivers[0]

    def test_a_message_is_encoded_once_for_all_sessions_of_a_profile(self) -> None:
        other = LinePeer(self.peer.doors)
        other.say("login#1 bob")
        outgoing = message(b"hi")
        for seq, receiver in enumerate(self.hub.receivers, 5):
            receiver.push(outgoing, seq)
        self.assertEqual(self.peer.heard(), ["push 5 hi"])
        self.assertEqual(other.heard(), ["login#1 bob", "push 6 hi"])
        self.assertEqual(self.peer.codec.encoded + other.codec.encoded, 1)

    def test_backlog_and_events(self) -> None:
        rows = [InboxRow(n, message(b"m%d" % n).message) for n in (3, 4)]
        self.receiver.push_backlog(InboxPage(rows, 4, 1, False, "e"))
        self.assertTrue(self.receiver.notify(TypingChanged("c", "bob", True)))
        self.assertEqual(self.peer.heard(), ["push 3 m3", "push 4 m4", "typing"])

    def test_events_for_which_the_format_has_nothing_count_as_told(self) -> None:
        self.assertTrue(self.receiver.notify(object()))
        self.assertEqual(self.peer.heard(), [])

    def test_media(self) -> None:
        self.receiver.media(CallMedia(b"picture", "c1"))
        self.assertEqual(self.peer.heard(), ["media picture"])
        self.peer.lose()
        self.receiver.media(CallMedia(b"picture", "c1"))
        self.assertEqual(self.peer.heard(), [])

    def test_a_kick_says_goodbye_flushes_and_closes(self) -> None:
        self.receiver.push(message(b"hi"), 1)
        self.receiver.kicked(SessionKicked(KickReason.OTHER_DEVICE, "elsewhere"))
        self.receiver.push(message(b"late"), 2)
        self.assertEqual(self.peer.heard(), ["push 1 hi", "kicked OTHER_DEVICE"])
        self.assertTrue(self.peer.closing)
        self.assertEqual(self.hub.attachments[0].told, ["start", "close"])

    def test_after_the_end_nothing_is_written_and_nothing_raised(self) -> None:
        self.peer.say("send#2 a")
        self.peer.lose()
        self.hub.answer()
        self.receiver.push(message(), 1)
        self.receiver.push_backlog(InboxPage([], 0, 1, False, "e"))
        self.receiver.kicked(SessionKicked(KickReason.ACCOUNT, "gone"))
        self.assertFalse(self.receiver.notify(TypingChanged("c", "bob", True)))
        self.assertFalse(self.receiver.writable)
        self.assertEqual(self.peer.heard(), [])
        self.assertEqual(self.hub.attachments[0].told, ["start", "close"])

    def test_a_log_out_leaves_the_registry_before_it_revokes_the_grant(self) -> None:
        told_before: list[list[str]] = []
        handle = self.hub.handle

        async def revoke(attachment: Any, command: Any, retry_id: str = "") -> Any:
            told_before.append(list(attachment.told))
            return await handle(attachment, command)

        self.hub.handle = revoke  # type: ignore[method-assign]
        self.peer.say("logout#2", "groups#3")
        self.assertEqual(told_before, [["start", "close"]])
        self.assertEqual(self.peer.heard(), ["logout#2 ok"])
        self.assertEqual(kinds(self.hub), [LogOut])
        self.assertTrue(self.peer.closing)

    def test_typing_is_dropped_when_the_peer_is_behind_group_changes_are_not(self) -> None:
        self.peer.protocol._link.outbox.pauseProducing()
        while self.receiver.writable:
            self.receiver.push(message(b"x" * 1000), 1)
        self.assertFalse(self.receiver.notify(TypingChanged("c", "bob", True)))
        changed = GroupChanged(GroupChange.JOINED, "g", "carol", "carol", 0.0)
        self.assertTrue(self.receiver.notify(changed))
        self.peer.protocol._link.outbox.resumeProducing()
        heard = self.peer.heard()
        self.assertEqual(heard[-1], "group g")
        self.assertNotIn("typing", heard)
