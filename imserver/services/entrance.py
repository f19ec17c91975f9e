"""How somebody comes in: log-ins, and what may be asked before one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from twisted.internet.interfaces import IReactorTime

from imserver.model.accounts import (
    Hello,
    HelloReply,
    KickReason,
    LoggedIn,
    LogIn,
    Ping,
    Pong,
    Principal,
    RefreshTokens,
    Register,
    Registered,
    RenewToken,
    SessionKicked,
)
from imserver.model.calls import Media
from imserver.model.errors import ErrorCode, ImError
from imserver.services.accounts import Accounts, Authenticated
from imserver.services.delivery import Delivery, LiveSession
from imserver.services.ice import Ice
from imserver.services.log_ins import LogInCounts
from imserver.services.ports import Bus, Store
from imserver.services.registry import Registry
from imserver.services.sessions import Client, Receiver
from imserver.services.turnstile import Turnstile

LOG_INS_PER_TURN = 4
"""That are begun in one turn of the reactor, which serves everybody else meanwhile."""


class Entrance:
    """See the module.

    Args:
        bus: reaches the sessions on other nodes.
        delivery, registry: where new sessions belong.
        counts: of log-ins, by outcome.
        wall_time: float seconds.
        clock: whose turns bound the log-ins.
        page_bytes: of pages that a session reads.
    """

    def __init__(
        self,
        store: Store,
        bus: Bus,
        accounts: Accounts,
        delivery: Delivery,
        registry: Registry[LiveSession],
        ice: Ice,
        counts: LogInCounts,
        wall_time: Callable[[], float],
        clock: IReactorTime,
        page_bytes: int,
    ) -> None:
        self._store = store
        self._bus = bus
        self._accounts = accounts
        self._delivery = delivery
        self._registry = registry
        self._ice = ice
        self._counts = counts
        self._wall_time = wall_time
        self._page_bytes = page_bytes
        self._turnstile = Turnstile(clock, LOG_INS_PER_TURN)

    async def log_in(
        self, client: Client, hello: Hello, command: LogIn, receiver: Receiver
    ) -> tuple[LiveSession, LoggedIn]:
        """See SessionHub."""
        await self._turnstile.passed()
        try:
            known = await self._accounts.authenticate(command, client.address)
        except ImError as error:
            self._counts.refused(error.code)
            raise
        principal = Principal(
            user=known.account.user,
            session=client.session,
            format=client.format,
            device=command.device or hello.client_id or command.platform or hello.platform,
            platform=command.platform or hello.platform or known.platform,
            role=known.account.role,
            sid=known.sid,
        )
        live = LiveSession(self._delivery, principal, client, receiver, self._page_bytes)
        # Entered before the last look at the account: a kick or a disabling from
        # here on finds the session; one from before is seen by `still_valid`.
        for oldest in self._registry.enter(live):
            oldest.kick(_one_of_too_many())
        try:
            # From here on this node is told of the user's messages: before the first look at them.
            for seat in await self._bus.attendance.enter(principal.user):
                self._bus.kick(principal.user, _one_of_too_many(), session=seat.session)
            cursor = await self._store.cursor(principal.user, principal.format, principal.device)
            head, first_seq = await self._store.head(principal.user)
            if not await self._accounts.still_valid(known) or live.closed:
                raise ImError(ErrorCode.AUTH_FAILED, "the log-in was overtaken")
        except BaseException:
            live.close()
            raise
        live.prepare(cursor, head)
        self._counts.accepted += 1
        reply = self._logged_in(known, head, first_seq)
        if client.media is Media.WEBRTC:
            reply = msgspec.structs.replace(reply, ice_servers=self._ice.servers(principal.user).servers)
        return live, reply

    async def before_log_in(self, client: Client, command: Any) -> Any:
        """See SessionHub."""
        match command:
            case Hello():
                return HelloReply(client.session, self._wall_time())
            case Ping():
                return Pong(self._wall_time(), command.time, command.seq)
            case Register():
                await self._accounts.register(command, client.address)
                return Registered(command.user)
            case RefreshTokens():
                return await self._accounts.refresh(command)
            case RenewToken():
                return await self._accounts.renew(command)
            case _:
                raise ImError(ErrorCode.AUTH_FAILED, "log in first")

    async def reauthenticate(self, live: LiveSession, command: LogIn) -> LoggedIn:
        """A fresh token for a session that goes on (document 001, REAUTH); never another user's."""
        known = await self._accounts.authenticate(command, live.client.address)
        principal = live.principal
        if known.account.user != principal.user:
            raise ImError(ErrorCode.AUTH_FAILED, "the session belongs to another user")
        head, first_seq = await self._store.head(principal.user)
        if not await self._accounts.still_valid(known) or live.closed:
            raise ImError(ErrorCode.AUTH_FAILED, "the log-in was overtaken")
        # Under its new grant the session outlives the end of the old one.
        live.principal = msgspec.structs.replace(principal, sid=known.sid, role=known.account.role)
        return self._logged_in(known, head, first_seq)

    def _logged_in(self, known: Authenticated, head: int, first_seq: int) -> LoggedIn:
        return LoggedIn(
            user=known.account.user,
            token=known.token,
            refresh_token=known.refresh_token,
            expires_in=known.expires_in,
            head=head,
            first_seq=first_seq,
            epoch=self._store.epoch,
        )


def _one_of_too_many() -> SessionKicked:
    return SessionKicked(KickReason.OTHER_DEVICE, "too many sessions of this user")
