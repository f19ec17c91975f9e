"""The commit point: one script per message, all of a reactor turn in one write (lua/append.lua).

Answers come back in the order of the calls, refusals that were decided here among them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import blake2b
from typing import Any

from imserver.backends.common.digests import payload_digest
from imserver.backends.redis.core import Core
from imserver.backends.redis.faults import refusal, unavailable
from imserver.backends.redis.records import body_of, message_id
from imserver.backends.redis.replicas import Answer
from imserver.backends.redis.scripts import Script, lua
from imserver.backends.redis.send_rate import SendRate
from imserver.backends.redis.targets import refusal_of, target_of
from imserver.model.accounts import Principal, Role
from imserver.model.errors import ErrorCode, ImError, alone
from imserver.model.messages import MessageAccepted, SendMessage

APPEND = Script("append", *lua("lists", "pairs", "targets", "feed", "append"))
_IN_TIME = 0.9
"""Of the time a command may take: what Redis comes to later it does not do, for it was refused then."""


class Appender:
    """Sends, and the answers to them.

    Args:
        on_broadcast: called when a broadcast was committed and is to be fanned out.

    Attributes:
        deliver: who is handed the answers; whoever puts itself there hands them on to the one before.
    """

    def __init__(self, core: Core, timeout: float, on_broadcast: Callable[[], None]) -> None:
        self._core = core
        self._redis = core.redis
        self._on_broadcast = on_broadcast
        self._patience = timeout * _IN_TIME
        self._rate = SendRate(core.wall, core.settings)
        self._answers: list[Answer] = []
        self.send_delay = self._rate.delay
        self.deliver: Callable[[Sequence[Answer]], None] = self._tell
        core.redis.after_replies.append(self._release)

    def append(self, principal: Principal, command: SendMessage, ticket: Any) -> None:
        """See `Store.append`."""
        try:
            words = self._words(principal, command)
            counted = not command.broadcast and self._rate.take(principal.user)
            token = (ticket, principal, counted)
            try:
                self._redis.send_script(APPEND, words, self._answered, token)
            except BaseException:
                if counted:
                    self._rate.give_back(principal.user)
                raise
        except ImError as error:
            self.refuse(ticket, error)
        except UnicodeEncodeError:
            self.refuse(ticket, ImError(ErrorCode.BAD_REQUEST, "the message has text that is not Unicode"))

    def refuse(self, ticket: Any, error: ImError) -> None:
        """See `Store.refuse`."""
        self._redis.mark(self._refused, Answer(ticket, alone(error)))

    def _words(self, principal: Principal, command: SendMessage) -> tuple[Any, ...]:
        core, user = self._core, principal.user
        if command.broadcast:
            if command.recipient or command.group:
                raise ImError(ErrorCode.BAD_REQUEST, "a broadcast has no recipient")
            if principal.role is not Role.ADMIN:
                raise ImError(ErrorCode.FORBIDDEN, "only an administrator may broadcast")
            kind, target, name = "b", "", ""
        else:
            kind, target, name = target_of(user, command.conversation, command.recipient, command.group)
        client = digest = b""
        if command.client_id:
            key = f"{user}\0{principal.format}\0{command.client_id}".encode()
            client = blake2b(key, digest_size=16).digest()
            # Which conversation it is, the script knows.
            digest = payload_digest("", command)
        settings = core.settings
        return (
            0, user, kind, target, name, client, digest, body_of(command),
            f"{core.wall() * 1000.0:.3f}",
            f"{(core.redis.server_time() + self._patience) * 1000.0:.0f}",
            core.node(), principal.session, self._rate.interval, self._rate.tolerance,
            settings.broadcast_seconds * 1000.0, int(settings.friends_only), settings.conversation_names,
            int(settings.dedupe_seconds * 1000.0),
        )  # fmt: skip

    # What comes back

    def _answered(self, token: tuple[Any, Principal, bool], reply: Any) -> None:
        ticket, principal, counted = token
        user = principal.user
        outcome: MessageAccepted | ImError
        if type(reply) is list:
            no, ms, part, seq, name, known = reply
            broadcast = name == b"broadcast"
            if not known:
                self._core.last = (no, ms, part)
                if principal.session:
                    self._core.own_sends.answered(no, principal.session, user, seq)
            outcome = MessageAccepted(message_id(no, ms, part), name.decode(), seq, ms / 1000, broadcast)
            if known:
                if counted:
                    self._rate.give_back(user)
            elif broadcast:
                self._on_broadcast()
        else:
            if counted:
                self._rate.give_back(user)
            outcome = self._refusal(user, reply)
        self._answers.append(Answer(ticket, outcome))

    def _refusal(self, user: str, reply: Any) -> ImError:
        if isinstance(reply, bytes):
            if reply.startswith(b"too-fast "):
                self._rate.learn(user, float(reply[9:]))
            return refusal_of(reply)
        return refusal(reply) if isinstance(reply, Exception) else unavailable()

    def _refused(self, answer: Answer, _: Any) -> None:
        self._answers.append(answer)

    def _release(self) -> None:
        if self._answers:
            answers, self._answers = self._answers, []
            self.deliver(answers)

    def _tell(self, answers: Sequence[Answer]) -> None:
        assert self._core.sink is not None
        self._core.sink.answered(
            [answer.ticket for answer in answers], [answer.outcome for answer in answers]
        )
