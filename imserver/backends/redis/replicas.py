"""Acknowledgements that wait for Redis' replicas: whoever is answered may rely on more than one machine.

Redis copies to its replicas after it has answered. `WAIT` says how many have come as far as what one
connection wrote last, and lets nothing else pass on that connection meanwhile; so it has a connection of
its own, which writes a mark first: what was answered before is before the mark in what replicas are sent.
One `WAIT` is under way at a time, for all that was answered until it began.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from msgspec import Struct
from twisted.internet.defer import Deferred

from imserver.backends.redis.faults import unavailable
from imserver.backends.redis.link import Redis
from imserver.model.errors import ImError
from imserver.model.messages import MessageAccepted

MARK = "mark"


class Answer(Struct, frozen=True, gc=False):
    """The outcome of one `append` or `refuse`."""

    ticket: Any
    outcome: MessageAccepted | ImError


class AckSettings(Struct, frozen=True):
    """What an acknowledgement waits for.

    Attributes:
        replicas: how many must have the message; 0 = none but Redis itself.
        seconds: how long is waited for them; less than a command may take.
    """

    replicas: int = 0
    seconds: float = 1.0


class _Batch(Struct):
    """Answers of one moment, and which Redis process gave them."""

    run: str
    answers: Sequence[Answer]
    checks: Sequence[Deferred[None]] = ()


class _Question(Struct):
    """A `WAIT` on its way, the Redis process that is asked, and whether its mark was set."""

    run: str
    batches: list[_Batch]
    marked: bool = False


class Replicas:
    """Holds answers back until the replicas have what they acknowledge.

    Args:
        redis: where the messages go.
        second: another connection to the same Redis.
        deliver: takes the answers, in their order.
    """

    def __init__(
        self,
        redis: Redis,
        second: Redis,
        settings: AckSettings,
        deliver: Callable[[Sequence[Answer]], None],
    ) -> None:
        self._redis = redis
        self._second = second
        self._settings = settings
        self._deliver = deliver
        self._gathered: list[_Batch] = []
        self._asking = False

    def take(self, answers: Sequence[Answer]) -> None:
        """Answers that Redis alone has given, refusals among them."""
        self._gathered.append(_Batch(self._redis.run_id, answers))
        self._go_on()

    def confirmed(self) -> Deferred[None]:
        """Fires when the replicas have all that was done by now; fails with UNAVAILABLE if they have not."""
        waiting: Deferred[None] = Deferred()
        self._gathered.append(_Batch(self._redis.run_id, (), (waiting,)))
        self._go_on()
        return waiting

    def _go_on(self) -> None:
        while self._gathered and not self._asking:
            batches, self._gathered = self._gathered, []
            if not any(_waits(batch) for batch in batches):
                self._release(batches, "")
            else:
                self._ask(batches)

    def _ask(self, batches: list[_Batch]) -> None:
        second, settings = self._second, self._settings
        question = _Question(second.run_id, batches)
        self._asking = True
        try:
            second.send(("SET", second.prefix + MARK, second.run_id), _mark_set, question)
            second.send(
                ("WAIT", settings.replicas, max(1, int(settings.seconds * 1000.0))), self._waited, question
            )
        except Exception:  # it is away, or too much waits for it
            self._asking = False
            self._release(batches, "")

    def _waited(self, question: _Question, reply: Any) -> None:
        self._asking = False
        # If the mark was not set, WAIT spoke of an older one.
        enough = question.marked and isinstance(reply, int) and reply >= self._settings.replicas
        self._release(question.batches, question.run if enough else "")
        self._go_on()

    def _release(self, batches: list[_Batch], confirmed: str) -> None:
        """Hands out answers; `confirmed`: the Redis process whose replicas have what it did, "" = none.

        If another one was reached since, nobody knows which of them it descends from.
        """
        for batch in batches:
            good = bool(confirmed) and confirmed == batch.run == self._redis.run_id
            if batch.answers and good:
                self._deliver(batch.answers)
            elif batch.answers:
                self._redis.meter.unconfirmed += sum(1 for answer in batch.answers if _is_accepted(answer))
                self._deliver([_refused(answer) for answer in batch.answers])
            for check in batch.checks:
                if good:
                    check.callback(None)
                else:
                    check.errback(_too_few())


def _mark_set(question: _Question, reply: Any) -> None:
    question.marked = reply == b"OK"


def _waits(batch: _Batch) -> bool:
    return bool(batch.checks) or any(_is_accepted(answer) for answer in batch.answers)


def _refused(answer: Answer) -> Answer:
    return Answer(answer.ticket, _too_few()) if _is_accepted(answer) else answer


def _is_accepted(answer: Answer) -> bool:
    return type(answer.outcome) is MessageAccepted


def _too_few() -> ImError:
    return unavailable("too few replicas have the message")
