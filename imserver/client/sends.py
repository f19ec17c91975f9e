"""Messages on their way to the server: in order, each until its answer, whatever becomes of connections."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, ensureDeferred
from twisted.python.failure import Failure

from imserver.client.connection import Connection, ConnectionGone
from imserver.client.formats import ClientFormat, send_text
from imserver.model.errors import ErrorCode, ImError
from imserver.model.messages import MessageAccepted, SendMessage

UNKNOWN = "the connection was lost before the text was confirmed; nobody can tell whether it arrived"


class Sends:
    """The unanswered messages, oldest first.

    Args:
        limit: how many there may be.
        on_accepted: called with the number of an accepted message before its sender hears of it.
    """

    def __init__(self, format: ClientFormat, limit: int, on_accepted: Callable[[int], None]) -> None:
        self._format = format
        self._limit = limit
        self._on_accepted = on_accepted
        self._connection: Connection | None = None
        self._unanswered: dict[str, tuple[SendMessage, Deferred[MessageAccepted]]] = {}
        self._unsent: list[str] = []
        self._on_wire = 0

    def __len__(self) -> int:
        return len(self._unanswered)

    def __contains__(self, client_id: str) -> bool:
        return client_id in self._unanswered

    def add(self, command: SendMessage) -> Deferred[MessageAccepted]:
        """Sends it as soon as possible.

        The Deferred fails with an ImError: CONFLICT if a message with its client id is
        unanswered, TOO_FAST if too many messages are.
        """
        answer: Deferred[MessageAccepted] = Deferred()
        if command.client_id in self._unanswered:
            answer.errback(ImError(ErrorCode.CONFLICT, "a message with this client id waits for its answer"))
        elif len(self._unanswered) >= self._limit:
            answer.errback(ImError(ErrorCode.TOO_FAST, f"{self._limit} messages wait for their answers"))
        else:
            self._unanswered[command.client_id] = (command, answer)
            self._unsent.append(command.client_id)
            self._go_on()
        return answer

    def connected(self, connection: Connection) -> None:
        """Somebody is there: everything unanswered is sent (again), in its old order."""
        self._connection = connection
        self._unsent = list(self._unanswered)
        self._on_wire = 0
        self._go_on()

    def disconnected(self) -> None:
        """Nobody is there for the time being."""
        self._connection = None

    def fail(self, error: ImError) -> None:
        """Nobody will be there any more."""
        self._connection = None
        self._unsent.clear()
        unanswered, self._unanswered = self._unanswered, {}
        for _, answer in unanswered.values():
            answer.errback(error)

    def _go_on(self) -> None:
        while self._connection is not None and self._unsent and self._on_wire < self._format.window:
            self._transmit(self._connection, self._unsent.pop(0))

    def _transmit(self, connection: Connection, client_id: str) -> None:
        command, _ = self._unanswered[client_id]
        self._on_wire += 1
        answer: Deferred[Any]
        if self._format.texts_only:
            answer = ensureDeferred(send_text(connection, command))
        else:
            answer = connection.ask(command, client_id if self._format.ids else None)
        answer.addBoth(self._answered, connection, client_id)

    def _answered(self, outcome: MessageAccepted | Failure, connection: Connection, client_id: str) -> None:
        lost = isinstance(outcome, Failure) and outcome.check(ConnectionGone)
        if lost and not self._format.texts_only:
            return  # the next connection sends it again, under the same id
        if connection is self._connection:
            self._on_wire -= 1
        known = self._unanswered.pop(client_id, None)
        if known is not None:
            if isinstance(outcome, MessageAccepted):
                self._on_accepted(outcome.seq)
                known[1].callback(outcome)
            elif lost:
                known[1].errback(ImError(ErrorCode.UNAVAILABLE, UNKNOWN))
            else:
                known[1].errback(outcome)
        self._go_on()
