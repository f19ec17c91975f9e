"""Acknowledgements that wait for replicas: with connections of the test's own, and with real replicas."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

from twisted.trial.unittest import SynchronousTestCase

from imserver.backends.redis.link import Redis
from imserver.backends.redis.metering import WriteMeter
from imserver.backends.redis.protocol import ResponseError
from imserver.backends.redis.replicas import AckSettings, Answer, Replicas
from imserver.model.errors import ErrorCode, ImError
from imserver.model.messages import MessageAccepted


class Line:
    """A connection on which the test answers."""

    prefix = "t:"

    def __init__(self) -> None:
        self.run_id = "run1"
        self.meter = WriteMeter()
        self.away = False
        self.waiting: list[tuple[tuple[Any, ...], Callable[[Any, Any], None], Any]] = []

    def send(self, command: tuple[Any, ...], answered: Callable[[Any, Any], None], token: Any) -> None:
        """See Redis."""
        if self.away:
            raise ImError(ErrorCode.UNAVAILABLE, "away")
        self.waiting.append((command, answered, token))

    def answer(self, *replies: Any) -> None:
        """The replies to what waits."""
        waiting, self.waiting = self.waiting[: len(replies)], self.waiting[len(replies) :]
        for (_, answered, token), reply in zip(waiting, replies, strict=True):
            answered(token, reply)

    @property
    def commands(self) -> list[tuple[Any, ...]]:
        """What waits for a reply."""
        return [command for command, _, _ in self.waiting]


class ReplicasTest(SynchronousTestCase):
    def setUp(self) -> None:
        self.line, self.second = Line(), Line()
        self.delivered: list[Answer] = []
        self.replicas = Replicas(
            cast(Redis, self.line),
            cast(Redis, self.second),
            AckSettings(2, 0.5),
            self.deliver,
        )

    def deliver(self, answers: Sequence[Answer]) -> None:
        self.delivered.extend(answers)

    def accept(self, *tickets: Any) -> None:
        """Redis has done these sends."""
        self.replicas.take([Answer(ticket, MessageAccepted("id", "c", 1, 1.0, False)) for ticket in tickets])

    @property
    def told(self) -> list[tuple[Any, str]]:
        """Who was told what."""
        return [
            (answer.ticket, answer.outcome.code.name if isinstance(answer.outcome, ImError) else "ok")
            for answer in self.delivered
        ]

    def test_answers_wait_for_the_replicas(self) -> None:
        self.accept(1, 2)
        self.assertEqual([("SET", "t:mark", "run1"), ("WAIT", 2, 500)], self.second.commands)
        self.second.answer(b"OK")
        self.assertEqual([], self.told)
        self.second.answer(2)
        self.assertEqual([(1, "ok"), (2, "ok")], self.told)

    def test_one_wait_is_for_all_that_came_meanwhile(self) -> None:
        self.accept(1)
        for ticket in range(2, 50):
            self.accept(ticket)
        self.assertEqual(2, len(self.second.waiting))
        self.second.answer(b"OK", 3)
        self.assertEqual([(1, "ok")], self.told)
        self.assertEqual(2, len(self.second.waiting))
        self.second.answer(b"OK", 2)
        self.assertEqual([(ticket, "ok") for ticket in range(1, 50)], self.told)
        self.assertEqual([], self.second.commands)

    def test_too_few_replicas(self) -> None:
        self.accept(1)
        self.second.answer(b"OK", 1)
        self.assertEqual([(1, "UNAVAILABLE")], self.told)

    def test_without_its_mark_a_wait_says_nothing(self) -> None:
        for fault in (ResponseError("OOM"), ImError(ErrorCode.UNAVAILABLE, "")):
            self.accept(1)
            self.second.answer(fault, 2)
            self.assertEqual([(1, "UNAVAILABLE")], self.told)
            self.delivered.clear()

    def test_the_connection_breaks(self) -> None:
        self.accept(1)
        self.accept(2)
        lost = ImError(ErrorCode.UNAVAILABLE, "lost")
        self.second.away = True
        self.second.answer(lost, lost)
        self.assertEqual([(1, "UNAVAILABLE"), (2, "UNAVAILABLE")], self.told)
        self.accept(3)
        self.assertEqual((3, "UNAVAILABLE"), self.told[-1])
        self.second.away = False
        self.accept(4)
        self.second.answer(b"OK", 2)
        self.assertEqual((4, "ok"), self.told[-1])

    def test_another_redis_confirms_nothing(self) -> None:
        """The two connections are not at the same one."""
        self.second.run_id = "run2"
        self.accept(1)
        self.second.answer(b"OK", 2)
        self.assertEqual([(1, "UNAVAILABLE")], self.told)

    def test_another_redis_was_reached_meanwhile(self) -> None:
        self.accept(1)
        self.line.run_id = "run2"
        self.second.answer(b"OK", 2)
        self.assertEqual([(1, "UNAVAILABLE")], self.told)

    def test_what_was_gathered_before_another_redis_was_reached(self) -> None:
        self.accept(1)
        self.accept(2)
        self.line.run_id = self.second.run_id = "run2"
        self.accept(3)
        self.second.answer(b"OK", 2)
        self.second.answer(b"OK", 2)
        self.assertEqual([(1, "UNAVAILABLE"), (2, "UNAVAILABLE"), (3, "ok")], self.told)

    def test_refusals_wait_only_for_those_before_them(self) -> None:
        refusal = Answer("no", ImError(ErrorCode.FORBIDDEN, ""))
        self.replicas.take([refusal])
        self.assertEqual([("no", "FORBIDDEN")], self.told)
        self.assertEqual([], self.second.commands)
        self.accept(1)
        self.replicas.take([refusal])
        self.assertEqual(1, len(self.told))
        self.second.answer(b"OK", 0)
        self.assertEqual([("no", "FORBIDDEN"), (1, "UNAVAILABLE"), ("no", "FORBIDDEN")], self.told)
        self.assertEqual(1, self.line.meter.unconfirmed)
        self.accept(2, 3)
        self.second.answer(b"OK", 2)
        self.assertEqual(1, self.line.meter.unconfirmed, "these were confirmed")

    def test_a_check_finds_too_few(self) -> None:
        first, second = self.replicas.confirmed(), self.replicas.confirmed()
        self.second.answer(b"OK", 2)
        self.assertIsNone(self.successResultOf(first))
        self.second.answer(b"OK", 1)
        self.failureResultOf(second, ImError)
