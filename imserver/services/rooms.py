"""Meeting rooms, as the connections of this node see them.

A connection that joins a room takes a **place** there, for as long as it is connected and
does not leave. What it asks goes to the room's home (`room_home`), which may be another
node; what the home tells comes back through the bus. Places are no chat sessions: they have
no inbox and are not told what happens to their user elsewhere, but they end with the log-in
their token belongs to.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from imserver.model.accounts import KickReason, LogIn, Principal, SessionKicked
from imserver.model.errors import ErrorCode, ImError
from imserver.model.room_admin import ListRooms
from imserver.model.rooms import (
    JoinRoom,
    LeaveRoom,
    Notice,
    RoomError,
    RoomFault,
    RoomJoined,
    RoomName,
    RoomNotice,
    may_enter,
)
from imserver.services.accounts import Accounts, Authenticated
from imserver.services.following import Followed
from imserver.services.homes import ask_all
from imserver.services.log_ins import LogInCounts
from imserver.services.ports import Bus, MediaServers
from imserver.services.registry import Registry
from imserver.services.room_claims import RoomClaims
from imserver.services.room_home import RoomHome
from imserver.services.room_moderation import merged
from imserver.services.room_places import Event, News, Place, RoomReceiver
from imserver.services.room_requests import REQUESTS, Act, Enter, Gone, Moderate, RoomNews, RoomOver
from imserver.services.room_state import RoomCounts, RoomSettings
from imserver.services.sessions import Client

TRIES = 3


class Rooms:
    """See the module.

    Args:
        spawn: runs a coroutine on its own and logs what it raises.
        log_ins: where log-ins are counted.
        media: the media servers; None = there are none.

    Attributes:
        registry: the places on this node, by user.
        counts: for the operator.
    """

    log = Logger()

    def __init__(
        self,
        bus: Bus,
        accounts: Accounts,
        clock: IReactorTime,
        wall_time: Callable[[], float],
        random_bytes: Callable[[int], bytes],
        spawn: Callable[[Coroutine[Any, Any, Any]], Any],
        log_ins: LogInCounts,
        settings: RoomSettings = RoomSettings(),  # noqa: B008 - frozen
        media: MediaServers | None = None,
    ) -> None:
        self._bus = bus
        self._accounts = accounts
        self._random_bytes = random_bytes
        self._spawn = spawn
        self._log_ins = log_ins
        self._settings = settings
        self.counts = RoomCounts()
        self.registry: Registry[Place] = Registry(settings.endpoints_per_user)
        self._claims = RoomClaims(bus, self._exists)
        self._home = RoomHome(
            bus, clock, wall_time, random_bytes, self.counts, settings, media, self._claims.emptied
        )
        self._followed = Followed(bus, clock)
        self._places: dict[str, Place] = {}  # by connection

    @property
    def node(self) -> str:
        """This node's name."""
        return self._bus.node

    # Connections

    def new_session_id(self) -> str:
        """An id for a new connection, unguessable, unique over all nodes."""
        return self._random_bytes(16).hex()

    async def join(
        self, client: Client, command: JoinRoom, receiver: RoomReceiver
    ) -> tuple[Place, RoomJoined]:
        """Authenticates and enters the room.

        If the connection is lost meanwhile, the caller closes the place it gets.

        Raises:
            RoomError: refused; UNAUTHORISED for whatever is wrong with the token.
            ImError: TOO_FAST, UNAVAILABLE.
        """
        known = await self._authenticate(client, command)
        room = RoomName(command.app, command.channel)
        principal = Principal(
            user=known.account.user,
            session=client.session,
            format=client.format,
            device=command.device or command.endpoint,
            platform=known.platform,
            role=known.account.role,
            sid=known.sid,
        )
        place = Place(self, principal, client, receiver, room)
        # Entered before the last look at the account, as every log-in: a kick from here on finds it.
        self._places[client.session] = place
        for oldest in self.registry.enter(place):
            oldest.kick(SessionKicked(KickReason.OTHER_DEVICE, "too many endpoints of this user"))
        try:
            if not await self._accounts.still_valid(known) or place.closed:
                raise RoomError(RoomFault.UNAUTHORISED, "the log-in was overtaken")
            joined = await self._enter(place, command)
        except BaseException:
            place.close()
            raise
        place.session = joined.session
        self._log_ins.accepted += 1
        if self._places.get(client.session) is not place:  # it ended while the home was asked
            self._tell_gone(place, final=True)
            raise RoomError(RoomFault.UNAUTHORISED, "the log-in has ended")
        return place, joined

    async def _enter(self, place: Place, command: JoinRoom) -> RoomJoined:
        """Asks the room's home; another one, should it turn out to be elsewhere."""
        for _ in range(TRIES):
            place.home = await self._claims.find(place.room)
            try:
                joined: RoomJoined = await self._bus.ask(place.home, Enter(place.seat, command))
            except ImError as error:
                if error.code is ErrorCode.UNAVAILABLE:
                    self._tell_gone(place, final=False)  # its answer may have been lost
                    if await self._claims.find(place.room) != place.home:
                        continue
                raise
            return joined
        raise ImError(ErrorCode.UNAVAILABLE, "the room's home changes all the time")

    async def _authenticate(self, client: Client, command: JoinRoom) -> Authenticated:
        try:
            if not command.token:
                raise ImError(ErrorCode.AUTH_FAILED, "no token: send data.token, ?token= or Authorization")
            known = await self._accounts.authenticate(LogIn(token=command.token), client.address)
            rooms, roles = self._accounts.room_claims(command.token)
            room = RoomName(command.app, command.channel)
            if not may_enter(room, command.role, rooms, roles, trusting=self._settings.trusting):
                raise ImError(ErrorCode.FORBIDDEN, "the token is not good for this room and role")
        except ImError as error:
            self._log_ins.refused(error.code)
            if error.code in (ErrorCode.AUTH_FAILED, ErrorCode.TOKEN_EXPIRED, ErrorCode.FORBIDDEN):
                raise RoomError(RoomFault.UNAUTHORISED, error.text) from None
            raise
        return known

    async def handle(self, place: Place, command: Any) -> Any:
        """Every other command.

        Raises:
            ImError: refused.
        """
        if command.session != place.session:
            raise RoomError(RoomFault.BAD_SESSION, "this is not this connection's session")
        reply = await self._bus.ask(place.home, Act(place.room, place.seat, command))
        if type(command) is LeaveRoom:
            place.session = ""
            place.close()
        return reply

    def refused(self, name: str) -> None:
        """Counts a refused request, by its fault or its code."""
        self.counts.refused[name] = self.counts.refused.get(name, 0) + 1

    def close(self, place: Place, *, final: bool) -> None:
        """See `Place`."""
        if not place.closed:
            place.closed = True
            self.registry.leave(place)
            if self._places.get(place.principal.session) is place:
                del self._places[place.principal.session]
            if place.session:
                self._tell_gone(place, final)

    def kick(self, user: str, sid: str, session: str, event: SessionKicked) -> None:
        """Ends places of a user: one, those of a log-in, or all."""
        for place in self.registry.of(user):
            principal = place.principal
            if (not sid or principal.sid == sid) and (not session or principal.session == session):
                place.kick(event)

    def shut_down(self) -> None:
        """Tells what is still to be told. To be called before the doors say goodbye."""
        self._home.shut_down()

    def _tell_gone(self, place: Place, final: bool) -> None:
        home, seat, request = place.home, place.seat, Gone(place.room, place.seat, place.session, final)

        async def tell() -> None:
            if home in self._bus.nodes:
                await self._bus.ask(home, request)

        self._spawn(self._followed.until_done(seat.node, tell))

    # Other nodes

    def node_lost(self, node: str) -> None:
        """See `ports.Watcher`."""
        self._home.node_lost(node)
        self._part(lambda place: place.home == node, told=False)

    def cut_off(self) -> None:
        """See `ports.Watcher`."""
        self._home.drop_all()
        self._part(lambda place: True, told=False)

    def missed(self, node: str) -> None:
        """See `ports.Watcher`. What they have heard may not be all: they dump anew when they come back."""
        self._part(lambda place: place.home == node, told=True)

    def _part(self, concerned: Callable[[Place], bool], *, told: bool) -> None:
        """Closes connections as the end of a server does, so that they come again; `told`: so is the home."""
        for place in list(self._places.values()):
            if place.session and concerned(place):
                if not told:
                    place.session = ""
                place.close()
                place.receiver.over(RoomNotice(Notice.SHUTDOWN))

    # Moderation

    async def moderate(self, command: Any) -> Any:
        """A command of `model.room_admin`. Raises ImError."""
        if isinstance(command, ListRooms):
            return merged(await ask_all(self._bus, Moderate(command)), command)
        home = await self._claims.find(RoomName(command.app, command.channel))
        return await self._bus.ask(home, Moderate(command))

    # The bus's side

    def _exists(self, room: RoomName) -> bool:
        return self._home.exists(room)

    async def requested(self, request: Any) -> Any:
        """See `Bus.serve`: something about a room that is at home here. Raises ImError."""
        assert isinstance(request, REQUESTS)
        if not isinstance(request, Enter):
            if isinstance(request, Gone):
                self._claims.withdraw(request.seat.session)
            return self._home.answer(request)
        room = RoomName(request.command.app, request.command.channel)
        await self._claims.take(room, request.seat.session)
        try:
            return self._home.answer(request)
        finally:
            self._claims.done(room)

    def told(self, event: RoomNews | RoomOver) -> None:
        """See `Bus.serve`: what endpoints of this node are to hear."""
        if isinstance(event, RoomOver):
            place = self._places.get(event.connection)
            if place is not None:
                place.session = ""  # the home knows
                place.close()
                place.receiver.over(RoomNotice(event.notice))
            return
        events = [Event(one) for one in event.events]
        for share in event.shares:
            heard = events[share.start :]
            for number in reversed(share.skipped):
                del heard[number - share.start]
            news = News(heard)
            if not news.events:
                continue
            for connection in share.connections:
                place = self._places.get(connection)
                if place is not None:
                    self.counts.events += len(news.events)
                    place.hear(news)
