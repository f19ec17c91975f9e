"""The session of one connection to the meeting rooms: joining, order, and all error policy.

Requests are handled strictly in the order in which they came, one at a time; what comes
meanwhile waits here, and when much of it waits, reading stops.

Errors: `WireError` (the peer broke the format) and `ImError` (a refusal) are answered; a join
that is refused for its token is answered and ends the connection. Anything else is logged,
answered as internal, and closes.
"""

from __future__ import annotations

import math
from collections.abc import Coroutine
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from imserver.model.accounts import SessionKicked
from imserver.model.errors import ErrorCode, ImError
from imserver.model.rooms import JoinRoom, LeaveRoom, Notice, RoomError, RoomFault, RoomNotice
from imserver.protocols.connections import DoorLimits
from imserver.protocols.output import BROKEN, GOING_AWAY, NORMAL, POLICY, SessionLink
from imserver.protocols.room_news import encoded_news
from imserver.protocols.tallies import Tally
from imserver.protocols.waiting import WaitingFrames
from imserver.services.room_places import News, Place, farewell
from imserver.services.rooms import Rooms
from imserver.services.sessions import Client
from imserver.wire.base import Request, WireError
from imserver.wire.meeting import MeetingServerCodec

_JOIN_PATIENCE = 1.0
"""Seconds after which one that is just joining is looked at again."""


class RoomSession:
    """See the module; implements services.room_places.RoomReceiver."""

    log = Logger()

    __slots__ = (
        "_busy",
        "_client",
        "_clock",
        "_codec",
        "_commands_at",
        "_ended",
        "_input_ended",
        "_joining",
        "_limits",
        "_link",
        "_outbox",
        "_place",
        "_pumping",
        "_queue",
        "_rooms",
        "_session",
        "_tally",
        "_unjoined_since",
    )

    def __init__(
        self,
        codec: MeetingServerCodec,
        rooms: Rooms,
        link: SessionLink,
        clock: IReactorTime,
        limits: DoorLimits,
        tally: Tally | None = None,
    ) -> None:
        self._codec = codec
        self._rooms = rooms
        self._link = link
        self._outbox = link.outbox
        self._clock = clock
        self._tally = Tally() if tally is None else tally
        self._client: Client
        self._place: Place | None = None
        self._session = b""
        self._joining = False
        self._busy = False  # a coroutine runs
        self._pumping = False
        self._ended = False
        self._input_ended = False  # the peer asks nothing more
        self._unjoined_since = clock.seconds()
        self._queue = WaitingFrames()
        self._limits = limits
        self._commands_at = 0.0  # see `DoorLimits.command_delay`

    def start(self, address: str, secure: bool) -> None:
        """The connection is ready. Args: as in services.sessions.Client."""
        traits = self._codec.traits
        self._client = Client(
            self._rooms.new_session_id(), traits.name, address, pulls=False, acks=traits.acks, secure=secure
        )

    # Frames in

    @property
    def turns(self) -> RoomSession:
        """Where frames go: here."""
        return self

    def received(self, frame: bytes | WireError) -> None:
        """Takes the next frame, or what the framing has to say instead of one."""
        if self._ended:
            return
        if not self._queue and not self._blocked():
            self._handle(frame)
            return
        self._queue.append(frame)
        if self._queue.long:
            self._link.pause_reading()

    def end_input(self) -> None:
        """The peer asks nothing more: what it asked is answered, then the connection ends."""
        self._input_ended = True
        self._pump()

    @property
    def unheard(self) -> bool:
        """Whether something that was asked is still to be done."""
        return not self._ended and (self._busy or bool(self._queue))

    def _blocked(self) -> bool:
        return self._busy or self._outbox.congested

    def _pump(self) -> None:
        """Handles what waits, as far as it may be handled now."""
        if self._pumping:
            return
        self._pumping = True
        try:
            while self._queue and not self._ended and not self._blocked():
                self._handle(self._queue.take())
        finally:
            self._pumping = False
        if not self._queue and not self._ended:
            self._link.resume_reading()
            if self._input_ended and not self._busy:
                self._link.close(NORMAL, "")

    def _handle(self, frame: bytes | WireError) -> None:
        if isinstance(frame, WireError):
            # Not raised: an error in a variable of the frame that raises it makes a cycle with all of it.
            self._refuse(frame.tag, frame)
            return
        tag: Any = None
        try:
            request = self._codec.decode(frame)
            tag = request.tag
            now = self._clock.seconds()
            if self._limits.command_delay(self._commands_at, now):
                raise ImError(ErrorCode.TOO_FAST, "too many requests a second")
            self._commands_at = self._limits.command_taken(self._commands_at, now)
            if type(request.command) is JoinRoom:
                if self._place is not None:
                    raise RoomError(RoomFault.CONFLICT, "this connection is in a room already")
                self._start(self._join(request))
            elif self._place is None:
                raise RoomError(RoomFault.NOT_JOINED, "join a room first")
            else:
                self._start(self._perform(request, self._place))
        except WireError as error:
            self._refuse(error.tag, error)
        except ImError as error:
            self._refuse(tag, error)
        except Exception:
            self._broken(tag)

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        self._busy = True
        Deferred.fromCoroutine(work).addErrback(self._work_failed)

    def _work_failed(self, failure: Any) -> None:
        self.log.failure("a room session failed", failure)
        self._link.close(BROKEN, "internal error")

    async def _join(self, request: Request) -> None:
        self._joining = True
        try:
            place, reply = await self._rooms.join(self._client, request.command, self)
        except ImError as error:
            self._refuse(request.tag, error)
            if isinstance(error, RoomError) and error.fault is RoomFault.UNAUTHORISED:
                self._link.close(POLICY, "not authorised")
        except Exception:
            self._broken(request.tag)
        else:
            if self._ended:  # lost or sent away meanwhile
                place.close()
                return
            self._place = place
            self._session = reply.session.encode()
            self._link.authenticated()
            self._put(self._codec.reply(request, reply))
            place.start()
        finally:
            self._joining = False
        self._done()

    async def _perform(self, request: Request, place: Place) -> None:
        try:
            reply = await self._rooms.handle(place, request.command)
            frames = self._codec.reply(request, reply)
        except ImError as error:
            self._refuse(request.tag, error)
        except Exception:
            self._broken(request.tag)
        else:
            if type(request.command) is LeaveRoom:
                self._place = None
                self._session = b""
                self._unjoined_since = self._clock.seconds()
            self._put(frames)
        self._done()

    def _done(self) -> None:
        self._busy = False
        self._pump()

    # Frames out

    def _put(self, frames: list[bytes]) -> None:
        for frame in frames:
            self._outbox.put(self._link.frame(frame))

    def _refuse(self, tag: Any, error: ImError | WireError) -> None:
        if not self._ended:
            self._rooms.refused(
                error.fault.value if isinstance(error, RoomError) else error.code.value.lower()
            )
            self._put(self._codec.refusal(tag, error))

    def _broken(self, tag: Any) -> None:
        """Called in an except block: logs, answers, closes."""
        self.log.failure("{door}: a request failed", door=self._codec.traits.name)
        self._refuse(tag, ImError(ErrorCode.INTERNAL, "internal error"))
        self._link.close(BROKEN, "internal error")

    # services.room_places.RoomReceiver

    def news(self, news: News) -> None:
        """See RoomReceiver."""
        if not self._ended:
            try:
                self._tally.delivered += len(news.events)
                self._outbox.put(encoded_news(self._codec, news, self._session))
            except Exception:
                self.log.failure("{door}: news could not be encoded", door=self._codec.traits.name)
                self._link.close(BROKEN, "internal error")

    def over(self, notice: RoomNotice) -> None:
        """See RoomReceiver."""
        if not self._ended:
            self._put(self._codec.event(notice))
            code = GOING_AWAY if notice.type is Notice.SHUTDOWN else POLICY
            self._link.close(code, notice.type.value)

    # The connection's side

    def kicked(self, event: SessionKicked) -> None:
        """The server says goodbye to this connection."""
        self.over(RoomNotice(farewell(event)))

    def deadline(self, now: float) -> float:
        """When (reactor seconds) this connection ends unless it has joined a room by then."""
        if self._joining:
            return now + _JOIN_PATIENCE
        return math.inf if self._place else self._unjoined_since + self._codec.traits.login_deadline

    def drained(self) -> None:
        """The outbox has room again."""
        self._pump()

    def delivered(self) -> None:
        """Nothing here is told twice."""

    def passed(self, seq: int) -> None:
        """Likewise."""

    def slow(self) -> None:
        """The peer does not take what is queued for it: its connection ends, and it may come back."""
        if not self._ended:
            self._tally.slow += 1
            self._outbox.drop_unsent()
            self.over(RoomNotice(Notice.TOO_SLOW))

    def silent(self) -> None:
        """Nothing was received for too long."""
        self._link.close(POLICY, "no sign of life")

    def too_late(self) -> None:
        """It did not join in time."""
        self._put(
            self._codec.refusal(
                None, RoomError(RoomFault.UNAUTHORISED, "this connection did not join in time")
            )
        )
        self._link.close(POLICY, "not joined in time")

    def ended(self) -> None:
        """The connection is gone, or only takes what is queued. May be called again."""
        if not self._ended:
            self._ended = True
            self._queue.clear()
            place, self._place = self._place, None
            if place is not None:
                place.close()
