"""Calls without sessions, doors and engines: telephones that keep what they are told."""

from __future__ import annotations

from collections.abc import Coroutine, Sequence
from typing import Any, cast

from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.task import Clock

from imserver.backends.embedded.bus import LocalBus
from imserver.model.accounts import Principal
from imserver.model.call_records import CallPage, CallRecord
from imserver.model.calls import (
    AnswerCall,
    CallAccepted,
    CallAnswered,
    CallEnded,
    CallError,
    CallFault,
    CallIncoming,
    CallMedia,
    CallRinging,
    CallSignal,
    CallStopped,
    Media,
    Signal,
    SignalCall,
    StartCall,
)
from imserver.model.errors import ErrorCode, ImError
from imserver.model.group_calls import GroupCallChanged
from imserver.services.call_table import TABLE
from imserver.services.call_terms import Table
from imserver.services.calls import Calls, CallSettings
from imserver.services.ports import Bus, Seat, Store
from imserver.services.sessions import Client, Receiver
from tests.mortal import Mortal
from tests.unit.services.world import START, Chance, ServiceCase

SETTINGS = CallSettings()
OFFER = b'{"sdp":"v=0 offer"}'
ANSWER = b'{"sdp":"v=0 answer"}'


class Phone:
    """A live session that can call, and what it was told.

    Attributes:
        events: what it was told, but for media.
        pieces: media.
        connected: it is live.
    """

    def __init__(self, user: str, session: str, media: Media, device: str = "") -> None:
        self.principal = Principal(user, session, media.value, device)
        self.client = Client(session, media.value, "127.0.0.1", False, False, media=media)
        self.events: list[Any] = []
        self.pieces: list[CallMedia] = []
        self.connected = False
        self.receiver = cast(Receiver, self)

    def __repr__(self) -> str:
        return self.principal.session

    @property
    def user(self) -> str:
        return self.principal.user

    def notify(self, event: Any) -> bool:
        self.events.append(event)
        return True

    def media(self, event: CallMedia) -> None:
        self.pieces.append(event)

    def take(self) -> list[Any]:
        """What it was told since the last time."""
        events, self.events = self.events, []
        return events


class RecordingStore:
    """Store.record_call and nothing else; it may fail, and it may take its time.

    Attributes:
        records: what was kept, in order.
        held: while True, nothing is kept before `let_go`.
    """

    def __init__(self) -> None:
        self.records: list[CallRecord] = []
        self.failing: ErrorCode | None = None
        self.held = False
        self._waiting: list[Deferred[None]] = []

    async def record_call(self, record: CallRecord) -> None:
        if self.held:
            turn: Deferred[None] = Deferred()
            self._waiting.append(turn)
            await turn
        if self.failing is not None:
            raise ImError(self.failing, "it does not work")
        self.records.append(record)

    def let_go(self) -> None:
        """Keeps what waits."""
        self.held = False
        while self._waiting:
            self._waiting.pop(0).callback(None)

    async def calls(self, user: str, after: str, limit: int) -> CallPage:
        mine = [r for r in self.records if user == r.caller or (user == r.callee and not r.withheld)]
        return CallPage(mine[:limit])

    def last(self, call: str) -> CallRecord:
        """The newest record of a call."""
        return next(record for record in reversed(self.records) if record.call == call)


class Node:
    """The calls of one node, with its live sessions."""

    def __init__(
        self,
        bus: Bus,
        clock: Clock | Mortal,
        store: RecordingStore,
        accounts: set[str],
        settings: CallSettings = SETTINGS,
        table: Table = TABLE,
        chance: Chance | None = None,
        groups: dict[str, list[str]] | None = None,
    ) -> None:
        """Args:
        groups: the members of each.
        chance: shared by all nodes, so that ids are minted once only.
        """
        self.failures: list[Any] = []
        self.blocked: set[tuple[str, str]] = set()
        self._accounts = accounts
        self.groups = {} if groups is None else groups
        self._phones: dict[str, list[Phone]] = {}
        self.bus = bus
        self.clock = clock
        self.calls = Calls(
            bus,
            cast(Store, store),
            self._exists,
            clock,
            lambda: START + clock.seconds(),
            chance or Chance(),
            self._spawn,
            settings,
            self._may_call,
            table,
            self._members,
        )
        bus.serve(self._seats, self.calls.told, self.calls.requested)
        bus.watch(self)

    def node_lost(self, node: str) -> None:
        """See Watcher."""
        self.calls.node_lost(node)

    def cut_off(self) -> None:
        """See Watcher."""
        self.calls.cut_off()

    def rejoined(self) -> None:
        """See Watcher; calls need none of it."""

    def missed(self, node: str) -> None:
        """See Watcher."""
        self.calls.missed(node)

    def attendance_changed(self, users: Sequence[str]) -> None:
        """See Watcher; calls need none of it."""

    def came_late(self, users: Sequence[str], event: Any) -> None:
        """See Watcher; calls need none of it."""

    def enter(self, phone: Phone) -> None:
        """The session is live from now on."""
        phone.connected = True
        self._phones.setdefault(phone.user, []).append(phone)
        self.calls.session_started(phone)

    def leave(self, phone: Phone) -> None:
        """Its connection is lost."""
        phone.connected = False
        self._phones[phone.user].remove(phone)
        self.calls.session_gone(phone)

    def handle(self, phone: Phone, command: Any) -> Deferred[Any]:
        """A command of this session."""
        return ensureDeferred(self.calls.handlers()[type(command)](phone.principal, command))  # type: ignore[arg-type]

    def _spawn(self, work: Coroutine[Any, Any, Any]) -> None:
        ensureDeferred(work).addErrback(self.failures.append)

    def _seats(self, user: str) -> Sequence[Seat]:
        return [self.calls.seat(phone) for phone in self._phones.get(user, ())]

    async def _exists(self, user: str) -> bool:
        return user in self._accounts

    async def _members(self, group: str) -> list[str]:
        return self.groups.get(group, [])

    async def _may_call(self, caller: str, callee: str) -> bool:
        return (caller, callee) not in self.blocked


class CallCase(ServiceCase):
    """One node, where everything is function calls.

    Attributes:
        store: where records go.
    """

    settings = SETTINGS

    def setUp(self) -> None:
        self.clock = Clock()
        self.bus = LocalBus()
        self.store = RecordingStore()
        self.node = Node(self.bus, self.clock, self.store, {"alice", "bob", "carol"}, self.settings)
        self._sessions = 0

    def tearDown(self) -> None:
        self.assertEqual([], self.node.failures)

    def phone(self, user: str, media: Media = Media.WEBRTC, device: str = "") -> Phone:
        """A new live session."""
        self._sessions += 1
        phone = Phone(user, f"{user}{self._sessions}", media, device)
        self.node.enter(phone)
        return phone

    def do(self, phone: Phone, command: Any) -> None:
        """A command that is not refused."""
        self.successResultOf(self.node.handle(phone, command))

    def fault(self, phone: Phone, command: Any) -> CallFault:
        """A command that is refused."""
        error = self.failureResultOf(self.node.handle(phone, command), CallError).value
        assert isinstance(error, CallError)
        return error.fault

    def ring(self, caller: Phone, callee: str = "bob", call: str = "c1", *, video: bool = False) -> str:
        """Calls somebody; gives the id."""
        self.do(caller, StartCall(callee, video, call, OFFER))
        return call

    def talk(self, caller: Phone, callee: Phone, call: str = "c1") -> str:
        """A running call of which nobody has anything left to read."""
        self.ring(caller, callee.user, call)
        self.do(callee, AnswerCall(call, ANSWER))
        caller.take()
        callee.take()
        return call

    def records(self, user: str) -> list[CallRecord]:
        """Those that a user may read."""
        return list(self.successResultOf(ensureDeferred(self.store.calls(user, "", 100))).calls)

    def told(self, phone: Phone) -> list[str]:
        """What a phone was told since the last time, in short."""
        return [in_short(event) for event in phone.take()]


def ice(call: str, number: int | str = 1) -> SignalCall:
    """A candidate."""
    return SignalCall(call, Signal.ICE, b'{"ice_candidate":"%b"}' % str(number).encode())


def status(call: str, word: str = "connected") -> SignalCall:
    """A status."""
    return SignalCall(call, Signal.STATUS, b'{"status":"%b"}' % word.encode())


def in_short(event: Any) -> str:
    """An event in few words."""
    match event:
        case CallIncoming():
            return f"incoming {_words(event.detail)}".rstrip()
        case CallRinging():
            return "ringing"
        case CallAnswered():
            return f"answered {_words(event.detail)}".rstrip()
        case CallAccepted():
            return "accepted"
        case CallSignal():
            return f"{event.signal.value} {_words(event.detail)}".rstrip()
        case CallEnded():
            by = f" by {event.by}" if event.by else ""
            return f"ended {event.ending.value}{by}{' (glare)' if event.glare else ''}"
        case CallStopped():
            return f"stopped {'elsewhere' if event.ending is None else event.ending.value}"
        case GroupCallChanged():
            ending = "" if event.ending is None else f" {event.ending.value}"
            return f"{event.change.value}{ending} {event.user}: {' '.join(event.participants)}"
    return repr(event)


def _words(detail: bytes) -> str:
    """The last member's value."""
    return detail.decode().rpartition(":")[2].strip('"}')
