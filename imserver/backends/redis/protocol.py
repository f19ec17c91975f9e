"""The bytes of one connection to Redis: txredisapi's protocol, read in batches.

txredisapi would make a Deferred per command and hand out one reply at a time; here all
replies of one read go to the owner at once. Its reader is hiredis.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import txredisapi
from hiredis import pack_command
from twisted.python.failure import Failure

__all__ = ["Owner", "RedisProtocol", "ResponseError", "pack"]

ResponseError: type[Exception] = txredisapi.ResponseError
"""What Redis answers instead of a result; the first word says why."""

pack: Callable[[tuple[Any, ...]], bytes] = pack_command
"""Writes a command of strings, bytes and numbers; UnicodeEncodeError for a string that is no Unicode."""


class Owner(Protocol):
    """Who uses the connection."""

    def received(self, protocol: RedisProtocol, replies: list[Any]) -> None:
        """Replies in the order of the commands; refusals are instances of `ResponseError`."""

    def lost(self, protocol: RedisProtocol, reason: str) -> None:
        """The connection is gone; once."""


class RedisProtocol(txredisapi.HiredisProtocol):  # type: ignore[misc]  # it has no annotations
    """One connection."""

    def __init__(self, owner: Owner) -> None:
        # Bytes stay bytes: "007" is not the number 7.
        super().__init__(charset=None, convertNumbers=False)
        self._owner = owner

    def connectionMade(self) -> None:
        """See IProtocol. Greeting the server is the owner's affair."""
        self.connected = 1

    def dataReceived(self, data: bytes, unpause: bool = False) -> None:
        """See IProtocol."""
        reader = self._reader
        replies: list[Any] = []
        try:
            reader.feed(data)
            reply = reader.gets()
            while reply is not False:
                replies.append(reply)
                reply = reader.gets()
        except txredisapi.InvalidData:
            # What peer is this? Nothing after it can be understood.
            self.transport.abortConnection()
        if replies:
            self._owner.received(self, replies)

    def connectionLost(self, why: Failure) -> None:
        """See IProtocol."""
        self.connected = 0
        self._owner.lost(self, why.getErrorMessage())
