"""Whose session it is: from the connection's first frame to the answer to its log-in.

Most formats log in by a command, some within the handshake of their transport. Until
then a peer may ask little, and has not long.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

from twisted.internet.interfaces import IReactorTime

from imserver.model.accounts import Hello, LoggedIn, LogIn, Ping, RefreshTokens, Register, RenewToken
from imserver.model.errors import ErrorCode, ImError
from imserver.model.messages import MessageAccepted
from imserver.protocols.output import (
    ACTIVE,
    ENDED,
    FRESH,
    LOGGING_IN,
    POLICY,
    SHAKING,
    SessionLink,
    SessionOutput,
)
from imserver.protocols.tallies import Tally
from imserver.protocols.turns import Turns
from imserver.services.sessions import Attachment, Client, SessionHub
from imserver.wire.base import Request, ServerCodec, WireError

BEFORE_LOG_IN = frozenset({Hello, Register, RefreshTokens, RenewToken, Ping})
"""Commands that need no log-in; `LogIn` itself apart."""

_NO_HELLO = Hello()
# Seconds after which a connection that is just logging in is looked at again.
_LOG_IN_PATIENCE = 1.0


class SessionAuthentication(SessionOutput, ABC):
    """The part of a session that leads to its attachment.

    Attributes:
        turns: the order of the peer's frames, which wait while somebody logs in.
    """

    __slots__ = (
        "_attachment",
        "_client",
        "_clock",
        "_commands_at",
        "_heartbeats",
        "_hello",
        "_hub",
        "_opened_at",
        "turns",
    )

    def __init__(
        self, codec: ServerCodec, hub: SessionHub, link: SessionLink, clock: IReactorTime, tally: Tally | None
    ) -> None:
        super().__init__(codec, link, tally)
        self._hub = hub
        self._clock = clock
        self._client: Client
        self._attachment: Attachment | None = None
        self._hello = _NO_HELLO
        self._commands_at = 0.0  # see `DoorLimits.command_delay`
        self._heartbeats = False
        self._opened_at = clock.seconds()
        self.turns = Turns(self, link, clock)

    def start(self, address: str, secure: bool) -> None:
        """The connection is ready. Args: as in services.sessions.Client."""
        traits = self._codec.traits
        self._client = Client(
            session=self._hub.new_session_id(),
            format=traits.name,
            address=address,
            pulls=traits.pulls,
            acks=traits.acks,
            secure=secure,
            media=traits.media,
            transfers=traits.transfers,
        )

    def deadline(self, now: float) -> float:
        """When (reactor seconds) this connection ends unless somebody has logged in by then."""
        if self._state == FRESH:
            traits = self._codec.traits
            return self._opened_at + (
                traits.login_deadline_alive if self._heartbeats else traits.login_deadline
            )
        if self._state in (LOGGING_IN, SHAKING):
            return now + _LOG_IN_PATIENCE
        return math.inf

    async def _ask_as_stranger(self, command: Any) -> Any:
        """Has one of BEFORE_LOG_IN done. Raises ImError."""
        reply = await self._hub.before_log_in(self._client, command)
        if type(command) is Hello:
            self._hello = command
        return reply

    # What the whole session does

    @abstractmethod
    def handle(self, frame: bytes | WireError) -> None:
        """See turns.Handler."""

    @abstractmethod
    def handle_again(self, request: Request) -> None:
        """See turns.Handler."""

    @abstractmethod
    def answer(self, tags: Sequence[Any], outcomes: Sequence[MessageAccepted | ImError]) -> None:
        """See services.sessions.Receiver."""

    # Formats that log in by a command

    async def _log_in(self, request: Request) -> None:
        """Logs in, answers, and begins delivery; a refusal leaves the session as it was."""
        try:
            attachment, reply = await self._hub.log_in(self._client, self._hello, request.command, self)
        except ImError as error:
            if self._state == LOGGING_IN:
                self._state = FRESH
                self._refuse(request, error)
                if self._codec.traits.close_on_refused_login or request.close_if_refused:
                    self._link.close(POLICY, "log-in refused")
        except Exception:
            self._internal_error(request)
        else:
            if self._state == ENDED:  # lost or kicked meanwhile
                attachment.close()
                return
            self._attachment = attachment
            self._state = ACTIVE
            self._logged_in()
            self._link.authenticated()
            try:
                self._put(self._codec.reply(request, reply))
                attachment.start()
            except Exception:
                self._internal_error(request)
        self.turns.done()

    def _logged_in(self) -> None:
        # There are many silent sessions: what only strangers need is let go of.
        self._commands_at = 0.0
        self._opened_at = 0.0

    # Formats that log in with the transport's handshake

    async def log_in(self, command: LogIn) -> LoggedIn:
        """Logs in before any frame; what comes meanwhile waits. `begin` has to follow at once.

        Raises:
            ImError: refused, or the connection ended meanwhile.
        """
        self._state = SHAKING
        self.turns.busy = True
        attachment, reply = await self._hub.log_in(self._client, self._hello, command, self)
        if self._state == ENDED:  # lost or kicked meanwhile
            attachment.close()
            raise ImError(ErrorCode.UNAVAILABLE, "the connection ended")
        self._attachment = attachment
        self._link.authenticated()
        return reply

    def begin(self, command: LogIn, reply: LoggedIn) -> None:
        """The handshake is done: the answer to its log-in is the first frame."""
        assert self._attachment is not None
        self._state = ACTIVE
        self._logged_in()
        try:
            self._put(self._codec.reply(Request(command, None), reply))
            self._attachment.start()
        except Exception:
            self._internal_error(None)
        self.turns.done()

    # Formats that send a token with every request

    def _check_authorization(self, request: Request) -> None:
        """Raises ImError AUTH_FAILED for a token that is another's or no longer valid, or that is missing."""
        token = request.authorization
        if token:
            assert self._attachment is not None
            if not self._hub.authorizes(self._attachment, token):
                raise ImError(ErrorCode.AUTH_FAILED, "the token sent along is not valid here")
        elif self._codec.traits.requires_authorization and type(request.command) is not Ping:
            raise ImError(ErrorCode.AUTH_FAILED, "every request needs a token here")
