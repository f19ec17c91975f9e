"""What a REST route is: the one table from which requests are served and the OpenAPI document is written."""

from __future__ import annotations

import enum
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Protocol

from msgspec import Struct

from imserver.http.answers import Refused
from imserver.model.accounts import Account, Principal
from imserver.model.errors import ImError
from imserver.services.accounts import Accounts
from imserver.services.dispatch import Dispatch


class Access(enum.Enum):
    """Who may call a route."""

    ANYBODY = "anybody"
    USER = "user"
    ADMIN = "admin"


class Context(Protocol):
    """What handlers work with."""

    @property
    def dispatch(self) -> Dispatch: ...
    @property
    def accounts(self) -> Accounts: ...
    def log_in_ended(self, error: ImError | None) -> None:
        """Counts a log-in."""

    def send_ended(self, error: ImError | None) -> None:
        """Counts a send."""

    def stats(self) -> Any:
        """What the server counts, as `views.StatsData`."""


class Call(Struct, frozen=True):
    """A request that was read and let in.

    Attributes:
        path: the values of the route's placeholders.
        address: the peer's, as the limits know it.
        request_id: the header X-Request-Id.
    """

    context: Context
    path: dict[str, str]
    query: Any
    body: Any
    address: str
    request_id: str
    caller: Principal | None
    account: Account | None

    @property
    def principal(self) -> Principal:
        """Who asks; only where the route's access is not ANYBODY."""
        assert self.caller is not None
        return self.caller

    def run(self, command: Any) -> Awaitable[Any]:
        """Runs a command as the caller."""
        return self.context.dispatch.handle(self.principal, command)


class Accepted(Struct, frozen=True):
    """Data of an answer with status 202: it goes on after the answer."""

    data: Any


class Nothing(Struct, frozen=True):
    """There is nothing to tell."""


class Route(Struct, frozen=True):
    """One operation.

    Attributes:
        path: with placeholders, e.g. "/api/groups/{group}".
        name: the operation's id.
        summary: one line.
        handle: does it; gives `data`, or Accepted.
        data: the type of `data`.
        body / query: types of what comes in.
        body_optional: an empty body stands for an empty object.
        errors: statuses besides those any route may answer.
    """

    method: str
    path: str
    name: str
    summary: str
    access: Access
    handle: Callable[[Call], Awaitable[Any]]
    data: Any = Nothing
    body: Any = None
    query: Any = None
    body_optional: bool = False
    accepted: bool = False
    errors: tuple[int, ...] = ()


class Table:
    """Finds the route of a request."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self.routes = tuple(routes)
        self._by_shape: dict[tuple[str | None, ...], dict[str, Route]] = {}
        for route in self.routes:
            shape = tuple(None if part.startswith("{") else part for part in route.path[1:].split("/"))
            methods = self._by_shape.setdefault(shape, {})
            if route.method in methods:
                raise ValueError(f"{route.method} {route.path} stands there twice")
            methods[route.method] = route
        self._shapes_by_length: dict[int, list[tuple[str | None, ...]]] = {}
        for shape in self._by_shape:
            self._shapes_by_length.setdefault(len(shape), []).append(shape)

    def find(self, method: str, parts: list[str]) -> tuple[Route, dict[str, str]]:
        """The route, and the values of its placeholders. HEAD is served as GET.

        Raises:
            Refused: 404; 405 with what is allowed.
        """
        for shape in self._shapes_by_length.get(len(parts), ()):
            if all(
                part if expected is None else part == expected
                for expected, part in zip(shape, parts, strict=True)
            ):
                methods = self._by_shape[shape]
                route = methods.get("GET" if method == "HEAD" else method)
                if route is None:
                    allowed = ", ".join(sorted({*methods, "HEAD"} if "GET" in methods else methods))
                    raise Refused(405, f"only {allowed} here", allow=allowed)
                names = [part[1:-1] for part in route.path[1:].split("/") if part.startswith("{")]
                values = [part for expected, part in zip(shape, parts, strict=True) if expected is None]
                return route, dict(zip(names, values, strict=True))
        raise Refused(404, "there is nothing here")
