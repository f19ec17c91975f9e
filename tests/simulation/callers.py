"""Simulated telephones: devices of document 000 and document 002 that call each other.

They belong to people who do nothing else. A telephone knows what it was told and does
something sensible with it most of the time; now and then it does something foolish, and
now and then it goes on as if it had never lost its connection.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

from imserver.model.accounts import LogIn, Ping, SessionKicked
from imserver.model.call_records import CallMissed
from imserver.model.calls import (
    AnswerCall,
    CallAccepted,
    CallAnswered,
    CallEnded,
    CallIncoming,
    CallMedia,
    CallRinging,
    CallSignal,
    CallStopped,
    EndCall,
    RejectCall,
    Signal,
    SignalCall,
    StartCall,
)
from imserver.model.errors import ErrorCode, ImError
from imserver.wire.base import ClientCodec, WireError
from imserver.wire.qdatastream import QDataStreamClientCodec
from imserver.wire.signalling import SignallingClientCodec
from tests.simulation.client import Dialler
from tests.simulation.framing import Framing, LengthFraming, WebSocketFraming
from tests.simulation.history import FOREVER
from tests.simulation.network import Connection, Manner
from tests.simulation.world import World

SIGNALLING = "signalling"
QDATASTREAM = "qdatastream"
CALLERS = ("uma", "vic", "wyn")
_HEARD = (
    CallIncoming,
    CallRinging,
    CallAnswered,
    CallAccepted,
    CallSignal,
    CallEnded,
    CallStopped,
    CallMissed,
    CallMedia,
)


@dataclass(slots=True)
class Heard:
    """One event that reached a telephone; `life`: which life of the server told it."""

    step: int
    at: float
    life: int
    event: Any


@dataclass(slots=True, eq=False)
class CallLink:
    """One connection of a telephone.

    Attributes:
        asked: calls about which it said something, by how often; "" = of its own one, whatever it be.
        pieces: media it sent.
        closed: when the telephone knew that it was over.
    """

    number: int
    user: str
    format: str
    device: str
    heard: list[Heard] = field(default_factory=list)
    asked: dict[str, int] = field(default_factory=dict)
    pieces: set[bytes] = field(default_factory=set)
    closed: int = FOREVER


@dataclass(slots=True)
class CallHistory:
    """What the telephones heard, and what the harness witnessed of the server in the end.

    Attributes:
        offers: who called whom, by the id the caller chose.
        records: what the store has of each call, at rest.
        left: what the server still thinks of calls, at rest, in words.
        life: the server's present life.
        forgets: the server keeps records for a while only.
        several: of several servers one that was cut off ends its telephones' calls as it goes down, whatever
            the others make of them.
    """

    telephones: list[Telephone] = field(default_factory=list)
    links: list[CallLink] = field(default_factory=list)
    offers: dict[str, tuple[str, str]] = field(default_factory=dict)
    records: dict[str, Any] = field(default_factory=dict)
    left: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    life: Callable[[], int] = lambda: 0
    forgets: bool = False
    several: bool = False


class Telephone:
    """One device of one person who calls; see the module.

    Attributes:
        state: "offline", "connecting", "online".
    """

    def __init__(
        self,
        world: World,
        history: CallHistory,
        dialler: Dialler,
        user: str,
        format: str,
        name: str,
        chance: Random,
    ) -> None:
        self.world = world
        self.history = history
        self.user = user
        self.format = format
        self.name = name
        self.chance = chance
        self.state = "offline"
        self.connection: Connection | None = None
        self.link: CallLink | None = None
        self.manner: Manner | None = None
        self.can_retry = False
        self._dialler = dialler
        self._framing: Framing
        self._codec: ClientCodec
        self._ringing: list[str] = []
        self._calling = False  # its own call rings, or is about to
        self._running = ""
        self._pieces = 0
        history.telephones.append(self)

    # Connecting

    def connect(self) -> None:
        """Dials and logs in."""
        if self.state != "offline":
            return
        link = CallLink(len(self.history.links), self.user, self.format, self.name)

        def received(data: bytes) -> None:
            if self.link is link:
                self._received(data)

        def lost() -> None:
            if self.link is link:
                self.note("lost")
                self._offline()

        connection = self._dialler.dial(self.format, received, lost, self.manner)
        if connection is None:
            return
        self.history.links.append(link)
        self.state = "connecting"
        self.link, self.connection = link, connection
        self.note("connect", f"link={link.number}")
        token = f"demo_token_{self.user}"
        if self.format == SIGNALLING:
            path = f"/ws?token={token}&device={self.name}".encode()
            self._framing = WebSocketFraming(path, text=True)
            self._codec = SignallingClientCodec(self.world.wall_time)
            connection.write(self._framing.hello())
        else:
            self._framing = LengthFraming()
            self._codec = QDataStreamClientCodec()
            self._write(LogIn(user=self.user, token=token))
            self._write(Ping())  # the registration itself has no answer

    def hang_up(self) -> None:
        """Closes the connection in good order."""
        if self.connection is not None:
            self.note("close")
            self.connection.close()
            self._offline()

    @property
    def busy(self) -> bool:
        """Whether it knows of a call of its own."""
        return bool(self._calling or self._running or self._ringing)

    def ping(self) -> None:
        """Says that it is still there."""
        if self.state == "online":
            self._write(Ping())

    def retry_all(self) -> None:
        """It has nothing to say again."""

    def grow_old(self) -> None:
        """Nothing here is worth remembering for days."""

    def _offline(self) -> None:
        self.state = "offline"
        if self.link is not None:
            self.link.closed = self.world.step
        self.link = self.connection = None
        self._ringing.clear()
        self._calling = False

    def _online(self) -> None:
        self.state = "online"
        self.note("online")
        if self._running and self.format == SIGNALLING and self.chance.random() < 0.7:
            self.say(SignalCall(self._running, Signal.STATUS, b'{"status":"connected"}'))
        self._running = ""

    # What it does

    def act(self) -> None:
        """Something that makes sense, mostly."""
        kind = self.chance.random()
        if kind < 0.04:
            self.hang_up()
        elif kind < 0.12:
            self._be_foolish()
        elif self._ringing:
            self._respond(self._ringing[-1])
        elif self._running:
            self._talk()
        elif self._calling:
            self._wait()
        elif kind < 0.8:
            self._call()
        else:
            self.ping()

    def _call(self) -> None:
        own = [one for one in self.history.telephones if one.user == self.user]
        if any(one.busy for one in own) and self.chance.random() < 0.85:
            return self.ping()
        callee = self.chance.choice([user for user in CALLERS if user != self.user])
        if self.chance.random() < 0.05:
            callee = "nobody"
        number = len(self.history.offers)
        call = f"call-{number}" if self.format == SIGNALLING and self.chance.random() < 0.8 else ""
        self.history.offers[call or f"-{number}"] = (self.user, callee)
        self._calling = True
        detail = b"" if self.format == QDATASTREAM else b'{"sdp":"v=0 %d"}' % number
        return self.say(StartCall(callee, self.chance.random() < 0.5, call, detail))

    def _respond(self, call: str) -> None:
        kind = self.chance.random()
        if kind < 0.55 and self.format == QDATASTREAM:
            self.say(AnswerCall(call))
        elif kind < 0.55:
            self.say(AnswerCall(call, b'{"sdp":"v=0 answer"}'))
            self._forget(call)
            self._running = call  # unless it hears otherwise
        elif kind < 0.7:
            self.say(RejectCall(call, "not now" if self.format == QDATASTREAM else ""))
        elif kind < 0.8 and self.format == SIGNALLING:
            self.say(SignalCall(call, Signal.ICE, b'{"ice_candidate":"mine"}'))
        elif kind < 0.85:
            self.say(EndCall())

    def _talk(self) -> None:
        call, kind = self._running, self.chance.random()
        if kind < 0.3:
            self.say(EndCall(call if self.chance.random() < 0.7 else ""))
        elif self.format == QDATASTREAM:
            for _ in range(self.chance.randint(1, 6)):
                self._send_media()
        elif kind < 0.5:
            self.say(StartCall("", False, call, b'{"sdp":"v=0 again %d"}' % self.chance.randrange(1000)))
        elif kind < 0.7:
            self.say(AnswerCall(call, b'{"sdp":"v=0 anew %d"}' % self.chance.randrange(1000)))
        else:
            self.say(SignalCall(call, Signal.ICE, b'{"ice_candidate":"more"}'))

    def _wait(self) -> None:
        if self.chance.random() < 0.3:
            self.say(EndCall())

    def _be_foolish(self) -> None:
        """Says something about a call that may be anybody's."""
        known = [call for call in self.history.offers if not call.startswith("-")]
        known += [heard.event.call for link in self.history.links for heard in link.heard[-2:]]
        known = [call for call in known if call] or ["nothing"]
        call = self.chance.choice(known[-12:])
        commands: list[Any] = [AnswerCall(call), RejectCall(call), EndCall(call), EndCall()]
        if self.format == SIGNALLING:
            commands[0] = AnswerCall(call, b'{"sdp":"v=0 foolish"}')
            commands.append(SignalCall(call, Signal.ICE, b'{"ice_candidate":"foolish"}'))
        else:
            self._send_media()
        self.say(self.chance.choice(commands))

    def _send_media(self) -> None:
        if self.link is not None:
            self._pieces += 1
            size = self.chance.choice((0, 100, 2000))
            piece = f"{self.user}/{self.link.number}/{self._pieces}/".encode() + b"m" * size
            self.link.pieces.add(piece)
            self._write(CallMedia(piece))

    def say(self, command: Any) -> None:
        """Gives a command about a call."""
        if self.link is None:
            return
        call = command.call
        self.link.asked[call] = self.link.asked.get(call, 0) + 1
        self.note("says", type(command).__name__, call or "-", getattr(command, "callee", ""))
        self._write(command)

    def _write(self, command: Any) -> None:
        if self.connection is not None:
            self.connection.write(self._framing.wrap(self._codec.request(command, None)))

    # What it hears

    def _received(self, data: bytes) -> None:
        try:
            frames, back = self._framing.feed(data)
        except ValueError as error:
            # The server may be on its way down, and says so instead of the upgrade.
            self.note("refused", error)
            self.hang_up()
            return
        if back and self.connection is not None:
            self.connection.write(back)
        link = self.link
        for frame in frames:
            if self.link is not link:
                return
            try:
                _, event = self._codec.decode(frame)
            except WireError as error:
                self.history.faults.append(f"{self._label}: undecodable frame: {error.text}")
                continue
            if self.state == "connecting":
                self._online()  # the first thing that a server says, whatever it is
            self._hear(event)
        if self.link is link and self._framing.closing:
            self.hang_up()

    def _hear(self, event: Any) -> None:
        link = self.link
        assert link is not None
        if isinstance(event, ImError) and event.code is ErrorCode.INTERNAL:
            self.history.faults.append(f"{self._label}: internal error: {event.text}")
        if not isinstance(event, _HEARD):
            if isinstance(event, ImError | SessionKicked):
                self.note("hears", type(event).__name__, getattr(event, "text", ""))
            return
        link.heard.append(Heard(self.world.step, self.world.now, self.history.life(), event))
        if not isinstance(event, CallMedia):
            self.note("hears", type(event).__name__, event.call, getattr(event, "ending", "") or "")
        self._learn(event)

    def _learn(self, event: Any) -> None:
        match event:
            case CallIncoming():
                if event.call not in self._ringing:
                    self._ringing.append(event.call)
            case CallAnswered():
                self._calling = False
                self._running = event.call
            case CallAccepted():
                self._running = event.call
                self._forget(event.call)
            case CallEnded() | CallStopped():
                self._forget(event.call)
                self._calling = False
                if self._running == event.call:
                    self._running = ""

    def _forget(self, call: str) -> None:
        if call in self._ringing:
            self._ringing.remove(call)

    @property
    def _label(self) -> str:
        return f"{self.user}/{self.format}/{self.name}"

    def note(self, what: str, *details: object) -> None:
        """Adds to the trace."""
        self.world.note(self._label, what, *details)


class Chatter:
    """Lets every telephone's owner do something now and then.

    Args:
        actions: how many things are done.
        pause: mean seconds between two of them at one telephone.
    """

    def __init__(self, world: World, telephones: list[Telephone], actions: int, pause: float) -> None:
        self.world = world
        self.telephones = telephones
        self.left = actions if telephones else 0
        self.pause = pause
        self.chance = world.randomness("chatter")
        self._stopped = False

    def start(self) -> None:
        """Everybody begins."""
        for telephone in self.telephones:
            self._arrange(telephone)

    def stop(self) -> None:
        """Nobody does anything of their own accord any more."""
        self._stopped = True

    @property
    def done(self) -> bool:
        """Whether everything that was to happen has happened."""
        return self.left <= 0

    def _arrange(self, telephone: Telephone) -> None:
        pause = round(self.chance.expovariate(1 / self.pause), 3)
        self.world.later(min(pause, 10 * self.pause), self._turn, telephone)

    def _turn(self, telephone: Telephone) -> None:
        if self._stopped or self.left <= 0:
            return
        if telephone.state == "offline":
            telephone.connect()
        elif telephone.state == "online":
            self.left -= 1
            telephone.act()
        self._arrange(telephone)
