"""Commands to Redis: written once a reactor turn, answered in order, refused while Redis is away."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

from twisted.internet.defer import Deferred, fail
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.python.failure import Failure

from imserver.backends.redis.about import about
from imserver.backends.redis.connection import Connection, Greeting, Taker, Where
from imserver.backends.redis.faults import (
    Complaints,
    Forgotten,
    RedisLost,
    is_demoted,
    is_no_script,
    refusal,
    unavailable,
)
from imserver.backends.redis.metering import WriteMeter
from imserver.backends.redis.protocol import ResponseError, pack
from imserver.backends.redis.scripts import Rendered, Script, check_prefix
from imserver.backends.redis.settings import LinkSettings
from imserver.model.errors import ImError

Answered = Callable[[Any, Any], None]
"""Takes (token, reply); a reply that is an exception says why there is none."""

_MARK = -1


class Redis(Connection):
    """One connection for commands.

    Whatever is called in one reactor turn goes out in one write. A command is either refused at
    once (Redis is away, or too much waits for it: nothing was done), or answered by Redis, or
    refused with `RedisLost`: then it may have been done. Nobody is called back within the call.

    Args:
        prefix: what every key begins with.

    Attributes:
        channels: what every channel begins with.
        run_id: which process Redis is.
        loses_nothing: whether it keeps all it has acknowledged, whatever happens to its machine.
        fails_over: whether another one may take its place.
        meter: what is counted.
        after_replies: called after every batch of replies (and losses) was handed out.
    """

    def __init__(
        self,
        where: Where,
        greeting: Greeting,
        clock: IReactorTime,
        monotonic: Callable[[], float],
        random: Random,
        settings: LinkSettings = LinkSettings(),  # noqa: B008 - frozen
        prefix: str = "im:",
    ) -> None:
        super().__init__(where, greeting, clock, monotonic, random, settings)
        self.prefix = check_prefix(prefix)
        # Channels are common to all databases of a server, keys are not.
        self.channels = f"{prefix}{greeting.database}:"
        self.run_id = ""
        self.loses_nothing = False
        self.fails_over = settings.fails_over
        self.meter = WriteMeter()
        self._refusals = Complaints(clock)
        self.after_replies: list[Callable[[], None]] = []
        self._client = 0  # Redis' number for this connection; 0 = it does not say
        self._used = ("", 0)  # the process and the number of the last one that was used
        self._watchers: list[tuple[Callable[[], None], Callable[[], None]]] = []
        self._rendered: dict[Script, Rendered] = {}
        self._loaded: set[Script] = set()
        # What waits for a reply: whom to tell, of what, and how many bytes it was. Marks wait for none.
        self._pending: deque[tuple[Answered, Any, int]] = deque()
        self._bytes = 0
        self._written = 0  # commands since the beginning
        self._seen = 0  # replies since the beginning
        # How many were written by the end of a turn, how many of them in that turn, and when.
        self._turns: deque[tuple[int, int, float]] = deque()
        self._out: list[bytes] = []
        self._flush_call: IDelayedCall | None = None
        self._tick_call: IDelayedCall | None = None

    # What others do with it

    @property
    def connected(self) -> bool:
        """Whether commands are taken now."""
        return self.up

    @property
    def waiting(self) -> int:
        """How many commands wait for their reply."""
        return self._written - self._seen

    def watch(self, up: Callable[[], None], down: Callable[[], None]) -> None:
        """Calls back whenever Redis was reached (at once if it is) and whenever it was lost.

        What `up` calls comes before everything that is called later on this connection.
        """
        self._watchers.append((up, down))
        if self.up:
            up()

    def call(self, *args: Any) -> Deferred[Any]:
        """Sends a command.

        Returns:
            its reply: bytes, int, list or None. Fails with ImError: UNAVAILABLE if Redis is away,
            `RedisLost` if it is not known whether it was done, INTERNAL if Redis finds it wrong.
        """
        waiting: Deferred[Any] = Deferred()
        try:
            self.send(args, _fire, waiting)
        except ImError as error:
            return fail(error)
        return waiting

    def script(self, script: Script, keys: Sequence[Any] = (), args: Sequence[Any] = ()) -> Deferred[Any]:
        """Runs a script; as `call`. Should Redis have forgotten it, it is sent again, once."""
        words = (len(keys), *keys, *args)

        def run() -> Deferred[Any]:
            waiting: Deferred[Any] = Deferred()
            try:
                self.send_script(script, words, _fire, waiting)
            except ImError as error:
                return fail(error)
            return waiting

        def again(failure: Failure) -> Any:
            return run() if isinstance(failure.value, Forgotten) else failure

        return run().addErrback(again)

    def send_script(self, script: Script, words: tuple[Any, ...], answered: Answered, token: Any) -> None:
        """Runs a script without a Deferred; as `send`.

        The reply may be NOSCRIPT: then it was not run. On each connection a script is sent in full
        the first time, so that this is rare, and what is called in order is done in order.

        Args:
            words: how many keys there are, the keys, the arguments.
        """
        rendered = self._rendered.get(script)
        if rendered is None:
            rendered = self._rendered[script] = Rendered(script, self.prefix, self.channels)
        if script in self._loaded:
            self.send((b"EVALSHA", rendered.sha, *words), answered, token)
        else:
            self.send((b"EVAL", rendered.text, *words), answered, token)
            self._loaded.add(script)

    def send(self, command: tuple[Any, ...], answered: Answered, token: Any) -> None:
        """Sends a command without a Deferred: `answered(token, reply)` is called in the order of sending.

        Raises:
            ImError: UNAVAILABLE if Redis is away or too much waits for it.
            UnicodeEncodeError: a string that is no Unicode.
        """
        settings = self._settings
        if not self.up:
            raise unavailable()
        if self.waiting >= settings.queue_commands or self._bytes >= settings.queue_bytes:
            raise unavailable("too much waits for the message store")
        data = pack(command)
        size = len(data)
        self._bytes += size
        self._written += 1
        self._pending.append((answered, token, size))
        self._out.append(data)
        if self._flush_call is None:
            self._flush_call = self._clock.callLater(0, self._flush)

    def mark(self, answered: Answered, token: Any) -> None:
        """Has `answered(token, None)` called once everything sent before was answered; never in this call."""
        self._pending.append((answered, token, _MARK))
        if self._flush_call is None:
            self._flush_call = self._clock.callLater(0, self._flush)

    # Sending and receiving

    def _flush(self) -> None:
        self._flush_call = None
        if self._out:
            data = b"".join(self._out)
            self._turns.append((self._written, len(self._out), self._clock.seconds()))
            self._out.clear()
            self._write(data)
        self._hand_out_marks()
        self._after()

    def _replied(self, replies: list[Any]) -> None:
        pending = self._pending
        demoted = False
        for reply in replies:
            self._hand_out_marks()
            if pending is not self._pending:
                return  # somebody who was told has ended the connection
            answered, token, size = pending.popleft()
            self._bytes -= size
            self._seen += 1
            if isinstance(reply, ResponseError):
                self._refusals.heard(reply)
                if is_no_script(reply):
                    self._loaded.clear()
                demoted = demoted or is_demoted(reply)
            answered(token, reply)
        self._hand_out_marks()
        turns = self._turns
        while turns and turns[0][0] <= self._seen:
            _, commands, at = turns.popleft()
            self.meter.answered(commands, self._clock.seconds() - at)
        self._after()
        if demoted:
            self._give_up("it takes no writes any more")

    def _hand_out_marks(self) -> None:
        pending = self._pending
        while pending and pending[0][2] == _MARK:
            answered, token, _ = pending.popleft()
            answered(token, None)

    def _after(self) -> None:
        for callback in self.after_replies:
            callback()

    # Life

    def _questions(self) -> list[tuple[tuple[Any, ...], Taker]]:
        return [
            *super()._questions(),
            (("INFO",), self._told_of_itself),
            (("CONFIG", "GET", "append*"), self._told_policy),
            (("CLIENT", "ID"), self._told_client),
        ]

    def _told_of_itself(self, reply: Any) -> str:
        said = about(reply)
        if not (said.fault or said.keeps_file or said.run_id == self.run_id):
            self.log.warn("Redis writes no append-only file: what is acknowledged is gone when it ends")
        self.run_id = said.run_id or self.run_id
        return said.fault

    def _told_policy(self, reply: Any) -> str:
        # Who may not ask assumes the worse.
        found = dict(zip(reply[::2], reply[1::2], strict=True)) if isinstance(reply, list) else {}
        always = found.get(b"appendonly") == b"yes" and found.get(b"appendfsync") == b"always"
        self.loses_nothing = always and not self.fails_over
        return ""

    def _told_client(self, reply: Any) -> str:
        self._client = reply if isinstance(reply, int) else 0
        return ""

    def _opened(self) -> None:
        self._tick_call = self._clock.callLater(self._settings.ping_seconds, self._tick)
        before, self._used = self._used, (self.run_id, self._client)
        if before[0] == self.run_id and before[1]:
            # What is still on its way on the last connection was given up, and may be said anew: done late,
            # it would undo what came after it. Another process counts its connections anew.
            self.send(("CLIENT", "KILL", "ID", before[1]), ignored, None)
        for up, _ in self._watchers:
            up()

    def _closed(self) -> None:
        if self._tick_call is not None and self._tick_call.active():
            self._tick_call.cancel()
        self._tick_call = None
        self._loaded.clear()
        self._out.clear()
        self.meter.failures += len(self._turns)
        self._turns.clear()
        pending, self._pending = self._pending, deque()
        self._seen = self._written
        self._bytes = 0
        for answered, token, size in pending:
            answered(token, None if size == _MARK else RedisLost())
        self._after()
        for _, down in self._watchers:
            down()

    def _tick(self) -> None:
        """Looks for answers that are overdue, and asks for a sign of life."""
        self._tick_call = self._clock.callLater(self._settings.ping_seconds, self._tick)
        turns = self._turns
        if turns and self._clock.seconds() - turns[0][2] >= self._settings.timeout:
            self._give_up(f"no answer for {self._settings.timeout:g} seconds")
            return
        try:
            self.send(("TIME",), self._told_time, None)
        except ImError:
            pass  # so much is on the way that its answers are sign enough

    def _told_time(self, _: None, reply: Any) -> None:
        self._measured(reply)


def ignored(token: Any, reply: Any) -> None:
    """For `send`: nobody asks what came of it."""


def _fire(waiting: Deferred[Any], reply: Any) -> None:
    if isinstance(reply, Exception):
        if isinstance(reply, ResponseError) and is_no_script(reply):
            waiting.errback(Forgotten())
        else:
            waiting.errback(refusal(reply))
    else:
        waiting.callback(reply)
