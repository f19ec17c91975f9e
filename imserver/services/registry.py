"""Who is connected to this node: live sessions by user."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, Protocol, TypeVar

from imserver.model.accounts import Principal


class Live(Protocol):
    """What the registry keeps: anything with a principal."""

    @property
    def principal(self) -> Principal: ...


L = TypeVar("L", bound=Live)


class Registry(Generic[L]):
    """Live sessions by user, oldest first.

    The sessions of a user are an immutable tuple that is replaced as a whole, so
    whoever walks over it is not disturbed by sessions that come and go meanwhile.
    Entries are compared by identity: closing an old session never removes a
    newcomer, even one of the same session id.

    Attributes:
        formats: number of live sessions by format key.
    """

    __slots__ = ("_by_user", "_count", "formats", "sessions_per_user")

    def __init__(self, sessions_per_user: int = 64) -> None:
        self._by_user: dict[str, tuple[L, ...]] = {}
        self._count = 0
        self.formats: dict[str, int] = {}
        self.sessions_per_user = sessions_per_user

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[L]:
        for sessions in list(self._by_user.values()):
            yield from sessions

    def enter(self, session: L) -> list[L]:
        """Adds a session.

        Returns:
            the oldest ones beyond the limit, still entered: the caller ends them.
        """
        user = session.principal.user
        sessions = (*self._by_user.get(user, ()), session)
        self._by_user[user] = sessions
        self._count += 1
        format = session.principal.format
        self.formats[format] = self.formats.get(format, 0) + 1
        return list(sessions[: max(0, len(sessions) - self.sessions_per_user)])

    def leave(self, session: L) -> bool:
        """Removes this very session; False if it was not there."""
        user = session.principal.user
        sessions = self._by_user.get(user, ())
        rest = tuple(other for other in sessions if other is not session)
        if len(rest) == len(sessions):
            return False
        self._count -= 1
        self.formats[session.principal.format] -= 1
        if rest:
            self._by_user[user] = rest
        else:
            del self._by_user[user]
        return True

    def of(self, user: str) -> tuple[L, ...]:
        """The user's live sessions, oldest first."""
        return self._by_user.get(user, ())

    def __contains__(self, user: object) -> bool:
        return user in self._by_user
