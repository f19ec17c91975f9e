"""What every store must do: records of calls, and what is told of missed ones."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace
from twisted.internet.defer import ensureDeferred

from imserver.model.call_records import MISSED, CallMissed, CallPage, CallRecord
from imserver.model.calls import Ending
from imserver.model.errors import ErrorCode
from imserver.model.messages import MarkRead, MessagesRead
from tests.contracts.cellar_case import CellarCase

AT = 1_700_000_000.25


def offered(call: str = "c1", caller: str = "alice", callee: str = "bob", at: float = AT) -> CallRecord:
    """A call that rings."""
    return CallRecord(call, caller, callee, True, at)


def ended(
    record: CallRecord, ending: Ending = Ending.NO_ANSWER, by: str = "", seconds: float = 30.0
) -> CallRecord:
    """The same, over."""
    return replace(record, ending=ending, ended_at=record.created_at + seconds, by=by)


def missed(record: CallRecord) -> CallMissed:
    """What the callee is told of it."""
    return CallMissed(
        record.call, record.caller, record.callee, record.video, record.created_at, record.ended_at
    )


class Recording(CellarCase):
    """How the tests speak of calls."""

    def keep(self, *records: CallRecord) -> None:
        for record in records:
            self.wait_for(self.cellar.store.record_call(record))

    def page(self, user: str, after: str = "", limit: int = 100) -> CallPage:
        return self.wait_for(self.cellar.store.calls(user, after, limit))

    def records(self, user: str) -> list[CallRecord]:
        return list(self.page(user).calls)

    def changes(self, user: str, after: int = 0) -> list[Any]:
        """The events of a user's change log."""
        return [event for _, event in self.wait_for(self.cellar.store.changes(user, after, 100))]

    def changed(self, user: str, device: str, format: str = "signalling") -> int:
        return self.wait_for(self.cellar.store.cursor(user, format, device)).changed


class CallSuite(Recording):
    """`Store.record_call`, `Store.calls`, and CallMissed in the change log."""

    def setUp(self) -> None:
        self.open_cellar("alice", "bob", "carol")
        self.store = self.cellar.store

    # Records

    def test_nobody_has_called_at_first(self) -> None:
        self.assertEqual(CallPage([], ""), self.page("alice"))
        self.assertEqual(CallPage([], ""), self.page("nobody"))

    def test_both_users_see_it_and_nobody_else(self) -> None:
        record = offered()
        self.keep(record)
        for user in ("alice", "bob"):
            self.assertEqual([record], self.records(user))
        self.assertEqual([], self.records("carol"))

    def test_a_newer_record_takes_the_place_of_an_older_one(self) -> None:
        record = offered()
        answered = replace(record, answered_at=AT + 3.5)
        over = ended(answered, Ending.HANGUP, "bob", 65.5)
        for one in (record, answered, over):
            self.keep(one)
            self.assertEqual([one], self.records("alice"))
            self.assertEqual([one], self.records("bob"))

    def test_what_has_ended_stays_as_it_is(self) -> None:
        over = ended(offered(), Ending.REJECTED, "bob")
        self.keep(over, offered(), ended(offered(), Ending.LOST, seconds=40.0), over)
        self.assertEqual([over], self.records("alice"))
        self.assertEqual([], self.changes("bob"))

    def test_a_call_that_only_ever_ended(self) -> None:
        for ending in Ending:
            over = ended(offered(ending.value), ending)
            self.keep(over)
            self.assertEqual(over, self.records("bob")[0])

    def test_some_are_withheld_from_the_callee(self) -> None:
        held = [replace(offered(ending.value, at=AT + n), withheld=True) for n, ending in enumerate(Ending)]
        over = [ended(record, ending) for record, ending in zip(held, Ending, strict=True)]
        self.keep(*held, *over)
        self.assertEqual(over, self.records("alice")[::-1])
        self.assertEqual(([], []), (self.records("bob"), self.changes("bob")))
        self.keep(offered("seen", at=AT + 99), replace(offered("not", "bob", "alice"), withheld=True))
        self.assertEqual(["not", "seen"], [record.call for record in self.records("bob")])
        self.assertEqual(["seen"], [record.call for record in self.page("alice", limit=1).calls])

    def test_ids_are_used_again(self) -> None:
        """By others, by the callee, by the same caller: each time it is another call."""
        first = ended(offered())
        calls = [first]
        self.keep(first)
        for caller, callee, at in (("bob", "alice", AT), ("carol", "bob", AT), ("alice", "carol", AT + 90.0)):
            again = offered("c1", caller, callee, at)
            self.keep(again)
            self.assertEqual([again], self.records(caller)[:1])
            over = ended(again, Ending.CANCELLED, caller)
            self.keep(over)
            calls.append(over)
        self.assertEqual([calls[3], calls[1], calls[0]], self.records("alice"))
        self.assertEqual([calls[2], calls[1], calls[0]], self.records("bob"))
        self.assertEqual([calls[3], calls[2]], self.records("carol"))
        self.assertEqual([missed(calls[0]), missed(calls[2])], self.changes("bob"))

    def test_users_without_an_account(self) -> None:
        for record in (offered(callee="nobody"), offered(caller="nobody")):
            error = self.error_of(self.store.record_call(record))
            self.assertEqual(ErrorCode.USER_NOT_FOUND, error)
        self.assertEqual([], self.records("alice") + self.records("bob"))

    def test_ids_are_anything(self) -> None:
        for call in ("0", "'; DROP TABLE calls", "é\u0301\U0001f600", "x" * 128, "%", "a\x00b", ""):
            record = offered(call, at=AT + len(call))
            self.keep(record, ended(record))
            self.assertEqual(ended(record), self.records("bob")[0])
            self.assertEqual(missed(ended(record)), self.changes("bob")[-1])

    # Pages

    def test_the_newest_come_first_and_in_pages(self) -> None:
        calls = []
        for number in range(7):
            caller, callee = (("alice", "bob"), ("bob", "alice"), ("carol", "alice"))[number % 3]
            record = offered(f"c{number}", caller, callee, AT + number)
            self.keep(record)
            calls.append(record)
        self.keep(ended(calls[0]), ended(calls[5]))
        calls[0], calls[5] = ended(calls[0]), ended(calls[5])
        self.assertEqual(calls[::-1], self.records("alice"))
        self.assertEqual([calls[5], calls[2]], self.records("carol"))
        for size in (1, 2, 3, 6, 7, 8):
            found: list[CallRecord] = []
            after = ""
            for _ in range(10):
                page = self.page("alice", after, size)
                self.assertLessEqual(len(page.calls), size)
                found += page.calls
                after = page.next_cursor
                if not after:
                    break
            self.assertEqual(calls[::-1], found, size)
            self.assertEqual("", after)

    def test_a_page_goes_on_where_it_ended_whatever_came_since(self) -> None:
        calls = [offered(f"c{number}", at=AT + number) for number in range(4)]
        self.keep(*calls)
        first = self.page("bob", limit=2)
        self.keep(offered("new", at=AT + 9), ended(calls[1]), ended(calls[3]))
        self.assertEqual([calls[3], calls[2]], first.calls)
        self.assertEqual([ended(calls[1]), calls[0]], self.page("bob", first.next_cursor).calls)

    def test_cursors_nobody_gave_out(self) -> None:
        self.keep(offered())
        for cursor in ("x", "-1", "1.0", " ", "1 ", "٣", "9" * 40, "c:1", "1\n"):
            self.assertEqual(
                ErrorCode.BAD_REQUEST, self.error_of(self.store.calls("alice", cursor, 9)), cursor
            )

    # Missed calls

    def test_the_callee_is_told_of_a_missed_call(self) -> None:
        over = ended(offered())
        self.keep(offered())
        self.assertEqual([], self.sink.changes)
        self.keep(over)
        (change,) = self.sink.changes
        self.assertEqual((missed(over), ["bob"], ""), (change.event, list(change.users), change.origin))
        self.assertEqual(frozenset(), change.renamed)
        self.assertEqual([(change.change_id, missed(over))], self.wait_for(self.store.changes("bob", 0, 10)))
        for user in ("alice", "carol"):
            self.assertEqual([], self.changes(user))
        self.assertEqual([], self.changes("bob", change.change_id))

    def test_once_however_often_it_is_recorded(self) -> None:
        over = ended(offered())
        self.keep(offered(), over, over, offered(), ended(offered(), Ending.CANCELLED, "alice"), over)
        self.assertEqual([missed(over)], self.changes("bob"))
        self.assertEqual(1, len(self.sink.changes))

    def test_once_when_both_are_on_the_way(self) -> None:
        over = ended(offered())
        waiting = [ensureDeferred(self.store.record_call(record)) for record in (offered(), over, over)]
        self.settle()
        for one in waiting:
            self.successResultOf(one)
        self.assertEqual([missed(over)], self.changes("bob"))
        self.assertEqual([over], self.records("alice"))

    def test_which_calls_are_missed(self) -> None:
        told = []
        for number, ending in enumerate(Ending):
            unanswered = ended(offered(f"u{number}"), ending)
            answered = replace(ended(offered(f"a{number}"), ending), answered_at=AT + 1.0)
            self.keep(unanswered, answered)
            if ending in MISSED:
                told.append(missed(unanswered))
        self.assertEqual(told, self.changes("bob"))
        self.assertEqual(told, [change.event for change in self.sink.changes])

    def test_among_other_changes(self) -> None:
        first, second = ended(offered("c1")), ended(offered("c2", "carol"))
        self.keep(first)
        sent = self.send("alice", recipient="bob")
        marked = MarkRead((sent.message_id,))
        self.wait_for(self.store.mark_read(self.principal("bob"), marked))
        self.keep(second)
        changes = self.changes("bob")
        self.assertEqual([CallMissed, MessagesRead, CallMissed], [type(change) for change in changes])
        self.assertEqual([missed(first), missed(second)], [changes[0], changes[2]])
        numbers = [change.change_id for change in self.sink.changes]
        self.assertEqual(sorted(set(numbers)), numbers)

    # What a device is told

    def test_a_device_that_was_away_is_told_once(self) -> None:
        before = self.changed("bob", "d")
        self.keep(ended(offered()))
        ((number, event),) = self.wait_for(self.store.changes("bob", before, 10))
        self.assertEqual(missed(ended(offered())), event)
        self.store.changes_told("bob", "signalling", "d", number)
        self.assertEqual(number, self.changed("bob", "d"))
        self.assertEqual([], self.changes("bob", self.changed("bob", "d")))

    def test_the_very_first_device_is_told(self) -> None:
        self.keep(ended(offered("c1")), ended(offered("c2")))
        events = self.changes("bob", self.changed("bob", "d"))
        self.assertEqual([missed(ended(offered("c1"))), missed(ended(offered("c2")))], events)

    def test_a_new_device_is_told_what_none_of_its_format_was(self) -> None:
        self.keep(ended(offered("c1")))
        one = self.wait_for(self.store.changes("bob", self.changed("bob", "d"), 9))
        self.store.changes_told("bob", "signalling", "d", one[-1][0])
        self.assertEqual([], self.changes("bob", self.changed("bob", "e")))
        # Another format may be one that cannot tell.
        self.assertEqual([one[0][1]], self.changes("bob", self.changed("bob", "d", "jsonline")))
        self.keep(ended(offered("c2")))
        self.assertEqual([missed(ended(offered("c2")))], self.changes("bob", self.changed("bob", "f")))

    def test_who_missed_nothing_starts_at_the_end(self) -> None:
        self.keep(ended(offered()))
        for user in ("alice", "carol"):
            self.assertEqual(self.sink.changes[-1].change_id, self.changed(user, "d"))
