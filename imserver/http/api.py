"""Serves REST under /api, and /metrics, /healthz, /readyz beside it.

Every request stands for itself: a Bearer token, no cookies, no session. Errors
have the shape of all answers. Nothing of a request is logged but method and path.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Awaitable, Callable
from typing import Any

from msgspec import Struct
from twisted.internet.defer import Deferred, TimeoutError, ensureDeferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.web.server import NOT_DONE_YET, Request

from imserver.http import administration, auth, calls, chat, friends, groups, rooms
from imserver.http.answers import Refused, envelope, head, json_answer, refusal
from imserver.http.incoming import bearer, body_of, peer, query_of, request_id, segments
from imserver.http.metrics import CONTENT_TYPE, Metrics
from imserver.http.openapi import document
from imserver.http.rules import loopback_rule
from imserver.http.table import Accepted, Access, Call, Route, Table
from imserver.http.views import StatsData
from imserver.http.vitals import Vitals
from imserver.model.accounts import Account, LogIn, Principal, Role
from imserver.model.errors import ErrorCode, ImError
from imserver.services.accounts import Accounts
from imserver.services.dispatch import Dispatch
from imserver.services.limits import RateLimiter

FORMAT = "rest"
"""The format key of what comes this way; the scope of its client ids."""
ROUTES = (
    *auth.ROUTES,
    *chat.ROUTES,
    *groups.ROUTES,
    *friends.ROUTES,
    *calls.ROUTES,
    *administration.ROUTES,
    *rooms.ROUTES,
)
USERS_PER_ADDRESS = 5
"""An address may ask as often as this many users."""
READY_SECONDS = 5.0
_FAILURE_WINDOW = 60


class ApiLimits(Struct, frozen=True):
    """Requests a second of one user, with a burst; an address may do five times as much."""

    requests_per_second: float = 200.0
    burst: float = 400.0


class Api:
    """The resource behind all REST paths of all listeners.

    Args:
        clock: the reactor.
    """

    log = Logger()

    def __init__(
        self,
        accounts: Accounts,
        vitals: Vitals,
        clock: IReactorTime,
        limits: ApiLimits = ApiLimits(),  # noqa: B008 - frozen
    ) -> None:
        self.accounts = accounts
        self._vitals = vitals
        self._clock = clock
        self._table = Table(ROUTES)
        self._document = document(ROUTES)
        self._metrics = Metrics(vitals)
        rate, burst = limits.requests_per_second, limits.burst
        self._users = RateLimiter(clock.seconds, rate, burst)
        self._addresses = RateLimiter(clock.seconds, USERS_PER_ADDRESS * rate, USERS_PER_ADDRESS * burst)
        self._plain: dict[bytes, Callable[[Request, bool], Awaitable[bytes]]] = {
            b"/api/openapi.json": self._openapi,
            b"/metrics": self._scrape,
            b"/healthz": self._alive,
            b"/readyz": self._ready,
        }

    # table.Context

    @property
    def dispatch(self) -> Dispatch:
        """See Context."""
        return self._vitals.hub.dispatch

    def log_in_ended(self, error: ImError | None) -> None:
        """See Context."""
        if error is None:
            self._vitals.hub.log_ins.accepted += 1
        else:
            self._vitals.hub.log_ins.refused(error.code)

    def send_ended(self, error: ImError | None) -> None:
        """See Context."""
        tally = self._vitals.doors.tallies[FORMAT]
        if error is None:
            tally.accepted += 1
        else:
            tally.refuse(error.code)

    def stats(self) -> StatsData:
        """See Context."""
        return self._vitals.stats()

    # The site's side

    def serves(self, path: bytes) -> bool:
        """Whether requests for this path come here."""
        return path == b"/api" or path.startswith(b"/api/") or path in self._plain

    def render(self, request: Request, *, proxied: bool = False) -> int:
        """Answers, now or later.

        Args:
            proxied: the listener is behind a proxy, so that the peer may be anybody.
        """
        gone: list[Any] = []
        request.notifyFinish().addErrback(gone.append)

        def answered(body: bytes) -> None:
            self._vitals.answered(request.code)
            if not gone:
                request.responseHeaders.setRawHeaders(b"content-length", [b"%d" % len(body)])
                request.write(body)
                request.finish()

        work = ensureDeferred(self._answer(request, proxied))
        work.addCallback(answered)
        work.addErrback(lambda failure: self.log.failure("a request could not be answered", failure))
        return NOT_DONE_YET

    async def _answer(self, request: Request, proxied: bool) -> bytes:
        try:
            plain = self._plain.get(request.path)
            if plain is not None:
                if request.method not in (b"GET", b"HEAD"):
                    raise Refused(405, "only GET, HEAD here", allow="GET, HEAD")
                return await plain(request, proxied)
            return await self._serve(request)
        except (ImError, Refused) as error:
            # Failed log-ins and the like are counted over a minute, all else by the second.
            patience = _FAILURE_WINDOW if request.path.startswith(b"/api/auth/") else 1
            return refusal(request, error, patience)
        except Exception:
            self.log.failure(
                "{method} {path} failed",
                method=request.method.decode("latin-1"),
                path=request.path.decode("latin-1"),
            )
            return json_answer(request, 500, "internal error")

    async def _serve(self, request: Request) -> bytes:
        address = peer(request)
        self._limit(self._addresses, address)
        parts = segments(request.path)
        if parts is None:
            raise Refused(400, "the path is not UTF-8")
        route, path = self._table.find(request.method.decode("latin-1"), parts)
        principal, account = None, None
        if route.access is not Access.ANYBODY:
            principal, account = await self._caller(request, address)
            self._limit(self._users, principal.user)
            if route.access is Access.ADMIN:
                _require_admin(account)
        call = Call(
            context=self,
            path=path,
            query=query_of(request, route.query),
            body=body_of(request, route.body, route.body_optional),
            address=address,
            request_id=request_id(request),
            caller=principal,
            account=account,
        )
        return await self._handle(request, route, call)

    async def _handle(self, request: Request, route: Route, call: Call) -> bytes:
        data = await route.handle(call)
        status = 200
        if isinstance(data, Accepted):
            status, data = 202, data.data
        head(request, status)
        return envelope(status, "ok", data)

    async def admit(self, request: Request) -> Principal:
        """Who asks, for what is served beside the table. Raises ImError, Refused."""
        address = peer(request)
        self._limit(self._addresses, address)
        principal, _ = await self._caller(request, address)
        self._limit(self._users, principal.user)
        return principal

    def _limit(self, limiter: RateLimiter, key: str) -> None:
        if not limiter.allow(key):
            raise ImError(ErrorCode.TOO_FAST, "too many requests")

    async def _caller(self, request: Request, address: str) -> tuple[Principal, Account]:
        """Who asks. The account is read anew, so a disabling or another role counts at once."""
        token = bearer(request)
        if not token:
            raise Refused(401, "a Bearer token is needed")
        known = await self.accounts.authenticate(LogIn(token=token), address)
        account = known.account
        request.asker = account.user  # type: ignore[attr-defined]
        # No session of its own: whatever is pushed goes to all sessions of the user.
        principal = Principal(
            account.user, "", FORMAT, platform=known.platform, role=account.role, sid=known.sid
        )
        return principal, account

    # Beside the table

    async def _openapi(self, request: Request, proxied: bool) -> bytes:
        self._limit(self._addresses, peer(request))
        head(request, 200)
        return self._document

    async def _alive(self, request: Request, proxied: bool) -> bytes:
        return json_answer(request, 200, "alive")

    async def _ready(self, request: Request, proxied: bool) -> bytes:
        vitals = self._vitals
        if not vitals.listening or vitals.doors.closing:
            return _not_ready(request, "not all listeners are open")
        check: Deferred[None] = ensureDeferred(_awaited(vitals.check_store()))
        try:
            await check.addTimeout(READY_SECONDS, self._clock)
        except (ImError, TimeoutError):
            return _not_ready(request, "the message store takes nothing now")
        return json_answer(request, 200, "ready")

    async def _scrape(self, request: Request, proxied: bool) -> bytes:
        if bearer(request):
            address = peer(request)
            self._limit(self._addresses, address)
            _, account = await self._caller(request, address)
            _require_admin(account)
        elif proxied or not _is_local(request):
            raise Refused(401, "a Bearer token of an administrator is needed")
        head(request, 200, CONTENT_TYPE)
        return self._metrics.text()


async def _awaited(work: Awaitable[None]) -> None:
    await work


def _not_ready(request: Request, message: str) -> bytes:
    request.responseHeaders.setRawHeaders(b"retry-after", [b"1"])
    return json_answer(request, 503, message)


def _require_admin(account: Account) -> None:
    if account.role is not Role.ADMIN:
        raise ImError(ErrorCode.FORBIDDEN, "only an administrator may do this")


def _is_local(request: Request) -> bool:
    """A program on this machine, asking this machine by its own name, and nobody in between."""
    if request.requestHeaders.hasHeader(b"forwarded") or loopback_rule(request) is not None:
        return False
    host = getattr(request.getClientAddress(), "host", None)
    try:
        return isinstance(host, str) and ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
