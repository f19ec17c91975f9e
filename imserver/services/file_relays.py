"""Files that go straight from one user to another: who may send, accept, reject, and who hears of it.

The bytes are passed on by `file_pipes`. Everything about a relay happens at its home, the node at which
its sender is connected.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

from twisted.internet.interfaces import IReactorTime

from imserver.model.accounts import Principal
from imserver.model.errors import ErrorCode, ImError
from imserver.model.file_relays import (
    AcceptRelay,
    EndRelay,
    RejectRelay,
    RelayAccepted,
    RelayCompleted,
    RelayFailed,
    RelayOffered,
    RelayRejected,
    RelayRole,
    RelaysRequested,
    RelayTo,
    RequestRelay,
)
from imserver.model.messages import Done
from imserver.services.dispatch import Handler
from imserver.services.file_pipes import Pipe, PipeEnd
from imserver.services.file_relay_knowledge import KnownRelays
from imserver.services.file_relay_requests import RelayAct, relay_slot
from imserver.services.file_relay_rules import Audience, RelaySettings, can, check, short, unknown
from imserver.services.homes import home_mark, marked_home
from imserver.services.limits import RateLimiter
from imserver.services.ports import Bus, Seat
from imserver.services.sessions import Client, Receiver

__all__ = ["EVENTS", "RelaySettings", "Relays"]

MAX_OPEN = 10_000
OPEN_PER_USER = 256
"""Offers, and files under way, of one sender."""
REQUESTS_PER_SECOND = 1.0
REQUEST_BURST = 30
EVENTS = (RelayOffered, RelayAccepted, RelayRejected, RelayCompleted, RelayFailed)
"""What sessions are told."""


class Peer(Protocol):
    """A live session, as relays need it."""

    principal: Principal
    receiver: Receiver

    @property
    def client(self) -> Client: ...


class Relays:
    """See the module.

    Args:
        members: of a group; none where there is no such group.
        refusal: why a user may send nothing to another one (`Friends.refusal`).

    Attributes:
        ports: of the channel's listeners, plain and TLS; 0 = there is none.
        completed / failed: since the start.
        passed: bytes passed on since the start.
    """

    def __init__(
        self,
        bus: Bus,
        members: Callable[[str], Awaitable[Sequence[str]]],
        refusal: Callable[[str, str], Awaitable[ImError | None]],
        clock: IReactorTime,
        random_bytes: Callable[[int], bytes],
        settings: RelaySettings = RelaySettings(),  # noqa: B008 - frozen
    ) -> None:
        self._bus = bus
        self._audience = Audience(bus, members, refusal)
        self._clock = clock
        self._random_bytes = random_bytes
        self._settings = settings
        self.ports = (0, 0)
        self._peers: dict[str, Peer] = {}  # by session
        self._pipes: dict[str, Pipe] = {}  # at home here
        self._known = KnownRelays()
        self._requests = RateLimiter(clock.seconds, REQUESTS_PER_SECOND, REQUEST_BURST)
        self._closed = False
        self.completed = 0
        self.failed = 0
        self.passed = 0

    def __len__(self) -> int:
        return len(self._pipes)

    def handlers(self) -> dict[type, Handler]:
        """For `Dispatch`. All raise ImError."""
        return {
            RequestRelay: self._request,
            AcceptRelay: self._act,
            RejectRelay: self._act,
            EndRelay: self._act,
        }

    # Sessions

    def session_started(self, session: Peer) -> None:
        """A session began."""
        if can(session.client.media):
            self._peers[session.principal.session] = session

    def session_gone(self, session: Peer) -> None:
        """A session ended: what it has offered and nobody has answered is over."""
        gone = session.principal.session
        if self._peers.pop(gone, None) is not None:
            self._known.gone(gone)
            for pipe in list(self._pipes.values()):
                if pipe.receiver is None and pipe.sender.session == gone:
                    self._fail(pipe, "the sender has gone")

    def end_user(self, user: str, sid: str = "") -> None:
        """The user (or one log-in) is let in no more: its files are not passed on."""
        for pipe in list(self._pipes.values()):
            if pipe.concerns(user, sid):
                self._fail(pipe, "a log-in has ended")

    def shut_down(self) -> None:
        """Ends everything."""
        self._closed = True
        for pipe in list(self._pipes.values()):
            self._fail(pipe, "the server is going down")

    # Commands

    async def _request(self, principal: Principal, command: RequestRelay) -> RelaysRequested:
        sender = self._seat(principal)
        if self._closed:
            raise ImError(ErrorCode.UNAVAILABLE, "the server is going down")
        self._check_channel(principal)
        check(command, self._settings)
        if not self._requests.allow(principal.user):
            raise ImError(ErrorCode.TOO_FAST, "too many files a second")
        targets = await self._audience.of(principal.user, command)
        mine = sum(1 for pipe in self._pipes.values() if pipe.sender.user == principal.user)
        if mine + len(targets) > OPEN_PER_USER or len(self._pipes) + len(targets) > MAX_OPEN:
            raise ImError(ErrorCode.TOO_FAST, "too many files are offered or moved at the same time")
        relays: list[RelayTo] = []
        for target, devices in targets:
            pipe = Pipe(
                self._random_bytes(16).hex(),
                command,
                sender,
                principal.sid,
                target,
                {device.session: device for device in devices},
                self._pipe_over,
            )
            self._pipes[pipe.id] = pipe
            pipe.time_out(self._clock.callLater(self._settings.offer_seconds, self._unanswered, pipe))
            try:
                await self._bus.claim(relay_slot(pipe.id), home_mark(self._bus.node))
            except ImError:
                for one in [*(self._pipes.get(relay.relay) for relay in relays), pipe]:
                    if one is not None:
                        self._fail(one, "the other nodes cannot be reached")
                raise
            relays.append(RelayTo(pipe.id, target))
            offered = RelayOffered(pipe.id, sender.user, command.name, command.size, command.checksum)
            for device in devices:
                self._bus.tell(device, offered)
        if principal.session not in self._peers:  # it went while it asked
            for relay in relays:
                if relay.relay in self._pipes:
                    self._fail(self._pipes[relay.relay], "the sender has gone")
        return RelaysRequested(relays, command.name, command.size)

    async def _act(self, principal: Principal, command: AcceptRelay | RejectRelay | EndRelay) -> Any:
        seat = self._seat(principal)
        if isinstance(command, AcceptRelay):
            self._check_channel(principal)
        home = await self._bus.holder(relay_slot(command.relay))
        if not home:
            raise unknown()
        request = RelayAct(command.relay, seat, principal.sid, command)
        return await self._bus.ask(marked_home(home), request)

    def _check_channel(self, principal: Principal) -> None:
        """UNAVAILABLE where no channel is as safe as the session."""
        plain, tls = self._own_ports()
        if not (tls if self._peers[principal.session].client.secure else plain):
            raise ImError(ErrorCode.UNAVAILABLE, "there is no file channel here")

    def _own_ports(self) -> tuple[int, int]:
        plain, tls = self.ports
        if self._settings.elsewhere:
            plain = tls = plain or tls
        port = self._settings.port
        return plain and (port or plain), tls and (port or tls)

    def _seat(self, principal: Principal) -> Seat:
        session = self._peers.get(principal.session)
        if session is None:
            raise ImError(ErrorCode.BAD_REQUEST, "this format passes on no files")
        media = session.client.media
        return Seat(principal.user, principal.session, self._bus.node, media, principal.device)

    # The bus's side

    async def requested(self, request: RelayAct) -> RelayAccepted | Done:
        """See `Bus.serve`: something about a relay that is at home here. Raises ImError."""
        pipe, seat = self._pipes.get(request.relay), request.seat
        if pipe is None or seat.user not in (pipe.sender.user, pipe.target):
            raise unknown()
        match request.command:
            case AcceptRelay():
                return self._accept(pipe, seat, request.sid)
            case RejectRelay(reason=reason):
                self._reject(pipe, seat, short(reason))
            case EndRelay(failed=True, reason=reason):
                self._fail(pipe, short(reason) or f"{seat.user} gave it up")
        return Done()

    def told(self, session: str, event: Any, node: str) -> None:
        """See `Bus.serve`: an event for a session of this node, from that one."""
        live = self._peers.get(session)
        if live is not None:
            self._known.told(session, live.principal.user, event, node)
            live.receiver.notify(event)

    # Other nodes

    def node_lost(self, node: str) -> None:
        """See `ports.Watcher`: what was at home there is over."""
        self._end_known(lambda home: home == node)

    def cut_off(self) -> None:
        """See `ports.Watcher`: nobody elsewhere would find what is at home here, or is told of its end."""
        for pipe in list(self._pipes.values()):
            self._fail(pipe, "the node was cut off from the others")
        self._end_known(lambda home: True)

    def missed(self, node: str) -> None:
        """See `ports.Watcher`: nothing. The channels tell their ends, and a late answer is refused."""

    def _end_known(self, concerned: Callable[[str], bool]) -> None:
        for session, event in self._known.lost(concerned):
            live = self._peers.get(session)
            if live is not None:
                live.receiver.notify(event)

    # At home

    def _accept(self, pipe: Pipe, seat: Seat, sid: str) -> RelayAccepted:
        if seat.user != pipe.target:
            raise unknown()
        if pipe.receiver is not None and pipe.receiver != seat:
            raise ImError(ErrorCode.CONFLICT, "another device of yours takes it")
        plain, tls = self._own_ports()
        host = self._settings.host
        accepted = RelayAccepted(pipe.id, pipe.target, pipe.name, pipe.size, host, plain, tls)
        if pipe.receiver is None:
            others = [device for device in pipe.devices.values() if device != seat]
            pipe.accepted(seat, sid)
            pipe.time_out(self._clock.callLater(self._settings.join_seconds, self._nobody_came, pipe))
            self._tell(others, RelayFailed(pipe.id, pipe.target, pipe.name, "another device takes it"))
        self._tell([pipe.sender, seat], accepted)
        return accepted

    def _reject(self, pipe: Pipe, seat: Seat, reason: str) -> None:
        if pipe.receiver is not None:
            self._fail(pipe, reason or f"{seat.user} gave it up")
        elif seat.user == pipe.sender.user:
            self._fail(pipe, reason or "the sender took it back")
        else:
            self._tell([pipe.sender], RelayRejected(pipe.id, pipe.target, pipe.name, reason))
            others = [device for device in pipe.devices.values() if device != seat]
            self._tell(others, RelayFailed(pipe.id, pipe.target, pipe.name, "another device rejected it"))
            self._forget(pipe)

    def _unanswered(self, pipe: Pipe) -> None:
        self._fail(pipe, "nobody answered in time")

    def _nobody_came(self, pipe: Pipe) -> None:
        if not pipe.joined:
            self._fail(pipe, "the channels were not opened in time")

    def _fail(self, pipe: Pipe, reason: str) -> None:
        pipe.fail(reason)

    def _pipe_over(self, pipe: Pipe, reason: str) -> None:
        """It is over: "" = the receiver has all of it."""
        self._forget(pipe)
        devices = list(pipe.devices.values()) if pipe.receiver is None else [pipe.receiver]
        told = [pipe.sender, *devices]
        if reason:
            self.failed += 1
            self._tell(told, RelayFailed(pipe.id, pipe.target, pipe.name, reason))
        else:
            self.completed += 1
            self._tell(told, RelayCompleted(pipe.id, pipe.target, pipe.name, pipe.size))

    def _forget(self, pipe: Pipe) -> None:
        pipe.time_out(None)
        if self._pipes.pop(pipe.id, None) is not None:
            self.passed += pipe.passed
            self._bus.release(relay_slot(pipe.id), home_mark(self._bus.node))

    def _tell(self, seats: Sequence[Seat], event: Any) -> None:
        for seat in seats:
            self._bus.tell(seat, event)

    # The channel's side

    def join(self, relay: str, role: RelayRole, user: str, end: PipeEnd) -> Pipe:
        """A channel is one end of a relay from now on.

        Raises:
            ImError: AUTH_FAILED: there is no such relay, it is another user's, or it has that end already.
        """
        pipe = self._pipes.get(relay)
        if pipe is None or not pipe.join(role, user, end):
            raise ImError(ErrorCode.AUTH_FAILED, "there is no such file to be moved by you")
        return pipe
