"""Channels of Redis: a connection that only listens."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from random import Random
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from imserver.backends.redis.connection import Connection, Greeting, Where
from imserver.backends.redis.protocol import ResponseError, pack
from imserver.backends.redis.settings import LinkSettings

Heard = Callable[[list[bytes]], None]
"""Takes what was published on a channel, in order, all that came at once."""


class Subscriber(Connection):
    """One connection that hears channels.

    What is published while the connection is down is lost; `watch` tells when it is whole again.
    """

    def __init__(
        self,
        where: Where,
        greeting: Greeting,
        clock: IReactorTime,
        monotonic: Callable[[], float],
        random: Random,
        settings: LinkSettings = LinkSettings(),  # noqa: B008 - frozen
    ) -> None:
        super().__init__(where, greeting, clock, monotonic, random, settings)
        self._channels: dict[bytes, Heard] = {}
        self._watchers: list[tuple[Callable[[], None], Callable[[], None]]] = []
        # Channels whose subscription is not confirmed yet, and who waits for that.
        self._unconfirmed: set[bytes] = set()
        self._waiting: dict[bytes, list[Deferred[None]]] = {}
        self._whole = False
        self._asked: deque[float] = deque()  # when signs of life were asked for
        self._tick_call: IDelayedCall | None = None

    @property
    def whole(self) -> bool:
        """Whether every channel is heard now."""
        return self._whole

    def watch(self, up: Callable[[], None], down: Callable[[], None]) -> None:
        """Calls back whenever all channels are heard (at once if they are) and whenever that ends.

        Between `down` and `up` anything may have been missed.
        """
        self._watchers.append((up, down))
        if self._whole:
            up()

    def subscribe(self, channel: bytes, heard: Heard) -> Deferred[None]:
        """Listens to a channel for good; fires once it is heard for the first time."""
        assert channel not in self._channels, "there is one listener for a channel"
        self._channels[channel] = heard
        waiting: Deferred[None] = Deferred()
        self._waiting.setdefault(channel, []).append(waiting)
        self._unconfirmed.add(channel)
        if self.up:
            self._write(pack((b"SUBSCRIBE", channel)))
        return waiting

    # Connection

    def _opened(self) -> None:
        self._asked.clear()
        self._tick_call = self._clock.callLater(self._settings.ping_seconds, self._tick)
        self._unconfirmed = set(self._channels)
        if self._channels:
            self._write(pack((b"SUBSCRIBE", *self._channels)))
        else:
            self._complete()

    def _replied(self, replies: list[Any]) -> None:
        # Runs of one channel are handed over together; the order over all channels stays.
        channel = b""
        run: list[bytes] = []
        for reply in replies:
            kind = reply[0] if isinstance(reply, list) else b""
            if kind == b"message":
                if reply[1] != channel and run:
                    self._hear(channel, run)
                    run = []
                channel = reply[1]
                run.append(reply[2])
                continue
            if run:
                self._hear(channel, run)
                run = []
            if kind == b"subscribe":
                self._confirmed(reply[1])
            elif kind == b"pong" or reply == b"PONG":
                if self._asked:
                    self._asked.popleft()
            elif isinstance(reply, ResponseError):
                self._give_up(str(reply))
                return
        if run:
            self._hear(channel, run)

    def _hear(self, channel: bytes, payloads: list[bytes]) -> None:
        heard = self._channels.get(channel)
        if heard is not None:
            heard(payloads)

    def _confirmed(self, channel: bytes) -> None:
        self._unconfirmed.discard(channel)
        for waiting in self._waiting.pop(channel, ()):
            waiting.callback(None)
        if not self._unconfirmed and not self._whole:
            self._complete()

    def _complete(self) -> None:
        self._whole = True
        for up, _ in self._watchers:
            up()

    def _closed(self) -> None:
        if self._tick_call is not None and self._tick_call.active():
            self._tick_call.cancel()
        self._tick_call = None
        if self._whole:
            self._whole = False
            for _, down in self._watchers:
                down()

    def _tick(self) -> None:
        self._tick_call = self._clock.callLater(self._settings.ping_seconds, self._tick)
        now = self._clock.seconds()
        if self._asked and now - self._asked[0] >= self._settings.timeout:
            self._give_up(f"no answer for {self._settings.timeout:g} seconds")
            return
        self._asked.append(now)
        self._write(pack((b"PING",)))
