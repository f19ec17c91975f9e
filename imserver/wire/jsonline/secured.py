"""The server's role of document 004 where messages may be signed or encrypted (§5)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from imserver.model.accounts import LoggedIn
from imserver.model.errors import ErrorCode, ImError
from imserver.model.messages import InboxPage, MessageAccepted
from imserver.wire.base import Request, WireError, each_accepted
from imserver.wire.jsonline.extensions import Extensions
from imserver.wire.jsonline.security import SessionSecurity, with_member
from imserver.wire.jsonline.server import JsonLineServerCodec

__all__ = ["SecuredJsonLineServerCodec"]


class SecuredJsonLineServerCodec(JsonLineServerCodec):
    """One connection's codec on a listener with signatures or encryption.

    Args:
        now: the wall clock, float seconds.
        security: this connection's.
        extensions: as in the base class.
    """

    __slots__ = ("_safe",)

    def __init__(
        self, now: Callable[[], float], security: SessionSecurity, extensions: Extensions | None = None
    ) -> None:
        super().__init__(now, extensions)
        self._security = self._safe = security
        self._plain = False  # every line is checked

    def reply(self, request: Request, reply: Any) -> list[bytes]:
        """See the base class; the answer to a log-in may bring a key to sign with."""
        lines = super().reply(request, reply)
        if type(reply) is LoggedIn:
            return self._safe.logged_in(reply.user, lines)
        return self._closed(lines)

    def accepted(self, requests: Sequence[Request], replies: Sequence[MessageAccepted]) -> list[bytes]:
        """See the base class."""
        return each_accepted(self, requests, replies)

    def refusal(self, tag: Any, error: ImError | WireError, command: Any = None) -> list[bytes]:
        """See the base class; where keys are concerned with the server's time, by which clients go."""
        lines = super().refusal(tag, error, command)
        if error.code is ErrorCode.SIGNATURE:
            lines = [with_member(line, "server_time", int(self._now())) for line in lines]
        return self._closed(lines)

    def event(self, event: Any) -> list[bytes]:
        """See the base class."""
        return self._closed(super().event(event))

    def splice(self, shared: tuple[bytes, bytes], seq: int) -> bytes:
        """See the base class: what sessions share is clear, what leaves this one is not."""
        return self._safe.close(super().splice(shared, seq))

    # Nor are frames taken that sessions without this made of a row.
    pushed = None  # type: ignore[assignment]

    def backlog(self, page: InboxPage) -> list[bytes]:
        """See the base class."""
        return self._closed(super().backlog(page))

    def _closed(self, lines: list[bytes]) -> list[bytes]:
        safe = self._safe
        if not safe.active:
            return lines
        return [safe.close(line) for line in lines]
