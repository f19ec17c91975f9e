"""The life of a transfer as one table of states and events, and of its channel tokens."""

from __future__ import annotations

import enum
import hmac
from collections.abc import Callable

from msgspec import Struct

from imserver.model.errors import ErrorCode, ImError
from imserver.model.files import Role
from imserver.services.file_ports import State

TOKEN_SECONDS = 600.0
"""A channel may be opened with its token this long, as often as wanted."""
TOKENS_PER_USER = 256
"""Beyond them the oldest one is forgotten."""


class Event(enum.StrEnum):
    """What happens to a transfer."""

    UPLOAD = "upload"
    VERIFIED = "verified"
    REJECT = "reject"
    CANCEL = "cancel"
    EXPIRE = "expire"


TRANSITIONS: dict[tuple[State, Event], State] = {
    (State.OPEN, Event.UPLOAD): State.OPEN,
    (State.OPEN, Event.VERIFIED): State.STORED,
    (State.OPEN, Event.REJECT): State.REJECTED,
    (State.OPEN, Event.CANCEL): State.CANCELLED,
    (State.OPEN, Event.EXPIRE): State.EXPIRED,
    (State.STORED, Event.EXPIRE): State.EXPIRED,
    # Again: the same answer.
    (State.STORED, Event.UPLOAD): State.STORED,
    (State.REJECTED, Event.REJECT): State.REJECTED,
    (State.CANCELLED, Event.CANCEL): State.CANCELLED,
    (State.EXPIRED, Event.EXPIRE): State.EXPIRED,
}
"""What follows from what. All else is refused (`follow`)."""

OVER = frozenset({State.REJECTED, State.CANCELLED, State.EXPIRED})


def follow(state: State, event: Event) -> State:
    """The state after an event.

    Raises:
        ImError: CONFLICT for a file that is whole already, NOT_FOUND for a transfer that is over.
    """
    after = TRANSITIONS.get((state, event))
    if after is None:
        if state is State.STORED:
            raise ImError(ErrorCode.CONFLICT, "the file is whole already")
        raise ImError(ErrorCode.NOT_FOUND, f"the transfer was {state.value}")
    return after


class Ticket(Struct, frozen=True):
    """What a channel token stands for.

    Attributes:
        until: reactor seconds.
        key: for AES-GCM; b"" = chunks are clear.
        sid: the log-in that asked for it.
    """

    user: str
    transfer: str
    role: Role
    until: float
    key: bytes = b""
    sid: str = ""


class Tickets:
    """Channel tokens, in memory: after a restart clients ask for new ones.

    Args:
        seconds: a monotonic clock.
        random_bytes: source of tokens and keys.
    """

    def __init__(self, seconds: Callable[[], float], random_bytes: Callable[[int], bytes]) -> None:
        self._seconds = seconds
        self._random_bytes = random_bytes
        self._by_token: dict[str, Ticket] = {}
        self._by_user: dict[str, dict[str, None]] = {}

    def __len__(self) -> int:
        return len(self._by_token)

    def issue(self, user: str, transfer: str, role: Role, sealed: bool, sid: str = "") -> tuple[str, bytes]:
        """A new token, and its key where chunks are to be sealed."""
        token = self._random_bytes(24).hex()
        key = self._random_bytes(32) if sealed else b""
        self._by_token[token] = Ticket(user, transfer, role, self._seconds() + TOKEN_SECONDS, key, sid)
        mine = self._by_user.setdefault(user, {})
        mine[token] = None
        while len(mine) > TOKENS_PER_USER:
            self._forget(next(iter(mine)))
        return token, key

    def check(self, token: str, transfer: str, role: str) -> Ticket:
        """What a token stands for.

        Raises:
            ImError: AUTH_FAILED, if it is unknown, too old, or for another transfer or role.
        """
        ticket = self._by_token.get(token)
        if ticket is None or self._seconds() > ticket.until:
            raise ImError(ErrorCode.AUTH_FAILED, "the channel token is not known, or too old")
        if not hmac.compare_digest(ticket.transfer.encode(), transfer.encode()) or ticket.role != role:
            raise ImError(ErrorCode.AUTH_FAILED, "the channel token is for something else")
        return ticket

    def sweep(self) -> None:
        """Forgets what is too old."""
        now = self._seconds()
        for token in [token for token, ticket in self._by_token.items() if ticket.until < now]:
            self._forget(token)

    def forget_transfer(self, transfer: str) -> None:
        """No channel opens for it any more."""
        for token in [token for token, ticket in self._by_token.items() if ticket.transfer == transfer]:
            self._forget(token)

    def forget_user(self, user: str, sid: str = "") -> None:
        """No channel opens any more with what this user, or this log-in, asked for."""
        for token in list(self._by_user.get(user, ())):
            if not sid or self._by_token[token].sid == sid:
                self._forget(token)

    def _forget(self, token: str) -> None:
        ticket = self._by_token.pop(token)
        mine = self._by_user[ticket.user]
        del mine[token]
        if not mine:
            del self._by_user[ticket.user]
