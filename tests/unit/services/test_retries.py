"""The memory of answers: a retried request is answered again and not done again."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from imserver.model.errors import ErrorCode, ImError
from imserver.model.groups import CreateGroup
from imserver.services.retries import (
    ANSWER_BYTES,
    REMEMBERED_PER_PEER,
    REMEMBERED_SECONDS,
    LocalAnswerMemory,
)
from tests.unit.services.world import Time

ALICE = ("alice", "jsonline")
BOB = ("bob", "jsonline")
TEAM = CreateGroup("team")


class Answers(SynchronousTestCase):
    def setUp(self) -> None:
        self.time = Time()
        self.memory = LocalAnswerMemory(self.time, total_bytes=100_000)
        self.done: list[str] = []
        self.hold: Deferred[Any] | None = None
        self.outcome: Any = "made"

    async def work(self) -> Any:
        self.done.append("done")
        if self.hold is not None:
            await self.hold
        if isinstance(self.outcome, BaseException):
            raise self.outcome
        return self.outcome

    def ask(self, id: str = "1", command: Any = TEAM, peer: tuple[str, ...] = ALICE) -> Deferred[Any]:
        return Deferred.fromCoroutine(self.memory.once(peer, id, command, self.work))

    def test_a_retry_gets_the_first_answer(self) -> None:
        self.assertEqual(self.successResultOf(self.ask()), "made")
        self.outcome = "made again"
        self.assertEqual(self.successResultOf(self.ask()), "made")
        self.assertEqual(self.done, ["done"])

    def test_ids_are_of_one_peer(self) -> None:
        for peer in (ALICE, BOB, (*ALICE, "session")):
            self.successResultOf(self.ask(peer=peer))
        self.assertEqual(len(self.done), 3)

    def test_a_retry_waits_for_what_is_being_done(self) -> None:
        self.hold = Deferred()
        first, second = self.ask(), self.ask()
        self.assertNoResult(first)
        self.assertNoResult(second)
        self.hold.callback(None)
        self.assertEqual([self.successResultOf(first), self.successResultOf(second)], ["made", "made"])
        self.assertEqual(self.done, ["done"])

    def test_another_request_under_the_same_id(self) -> None:
        self.successResultOf(self.ask())
        error = self.failureResultOf(self.ask(command=CreateGroup("other")), ImError).value
        self.assertIs(error.code, ErrorCode.CONFLICT)
        self.hold = Deferred()
        self.ask("2")
        error = self.failureResultOf(self.ask("2", CreateGroup("other")), ImError).value
        self.assertIs(error.code, ErrorCode.CONFLICT)

    def test_refusals_are_told_to_all_who_wait_and_not_remembered(self) -> None:
        self.hold = Deferred()
        self.outcome = ImError(ErrorCode.UNAVAILABLE, "later")
        asked = [self.ask(), self.ask()]
        self.hold.callback(None)
        for answer in asked:
            self.assertIs(self.failureResultOf(answer, ImError).value.code, ErrorCode.UNAVAILABLE)
        self.outcome = "made"
        self.assertEqual(self.successResultOf(self.ask()), "made")
        self.assertEqual(self.done, ["done", "done"])

    def test_a_failure_is_internal_to_those_who_waited(self) -> None:
        self.hold = Deferred()
        self.outcome = ZeroDivisionError()
        first, second = self.ask(), self.ask()
        self.hold.callback(None)
        self.failureResultOf(first, ZeroDivisionError)
        self.assertIs(self.failureResultOf(second, ImError).value.code, ErrorCode.INTERNAL)

    def test_bounded_in_time(self) -> None:
        self.successResultOf(self.ask())
        self.time.now += REMEMBERED_SECONDS - 1
        self.successResultOf(self.ask())
        self.assertEqual(len(self.done), 1)
        self.time.now += 1
        self.successResultOf(self.ask())
        self.assertEqual(len(self.done), 2)

    def test_bounded_for_each_peer(self) -> None:
        self.successResultOf(self.ask("0", peer=BOB))
        for number in range(REMEMBERED_PER_PEER + 1):
            self.successResultOf(self.ask(str(number)))
        self.assertEqual(len(self.memory), REMEMBERED_PER_PEER + 1)
        self.done.clear()
        self.successResultOf(self.ask("1"))
        self.successResultOf(self.ask("0", peer=BOB))
        self.assertEqual(self.done, [])
        self.successResultOf(self.ask("0"))
        self.assertEqual(self.done, ["done"])

    def test_bounded_in_bytes(self) -> None:
        self.outcome = "x" * 30_000
        for number in range(5):
            self.successResultOf(self.ask(str(number)))
        self.assertEqual(len(self.memory), 3)
        self.outcome = "x" * ANSWER_BYTES
        self.successResultOf(self.ask("long"))
        self.assertEqual(len(self.memory), 3)
