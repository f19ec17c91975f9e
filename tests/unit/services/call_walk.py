"""One call brought into every state, and everything done to it that can happen there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from imserver.model.calls import AnswerCall, EndCall, Media, RejectCall, StartCall
from imserver.services.call_requests import Join, Leave
from imserver.services.call_state import Call
from imserver.services.call_terms import On, State
from imserver.services.ports import Seat
from tests.unit.services.call_world import (
    ANSWER,
    OFFER,
    SETTINGS,
    CallCase,
    Phone,
    ice,
    in_short,
    status,
)

OTHER_OFFER, OTHER_ANSWER = b'{"sdp":"v=0 new offer"}', b'{"sdp":"v=0 new answer"}'
WAIT = {
    On.RING_TIME_OVER: SETTINGS.ring_seconds,
    On.CALLER_GRACE_OVER: SETTINGS.grace_seconds,
    On.CALLEE_GRACE_OVER: SETTINGS.grace_seconds,
    On.TALK_TIME_OVER: SETTINGS.max_seconds,
    On.MEMORY_OVER: 60.0,
}
_GRACE = (On.CALLER_GRACE_OVER, On.CALLEE_GRACE_OVER)


class Walk:
    """A call between alice and bob in one state.

    Attributes:
        caller / callee / device / aside: sessions as `On` says; `aside` and `old` cannot take the call.
        fresh_caller / fresh_callee: sessions that began after the others were lost.
    """

    def __init__(self, case: CallCase, state: State, event: On) -> None:
        media = Media.RELAY if event in (On.CALLER_CUT, On.CALLEE_CUT) else Media.WEBRTC
        self.event = event
        self.case = case
        self.media = media
        self.new = state is State.NEW
        self.caller = case.phone("alice", media)
        other = Media.WEBRTC if media is Media.RELAY else Media.RELAY
        self.aside = case.phone("alice", other)
        self.callee, self.device = case.phone("bob", media), case.phone("bob", media)
        self.old = case.phone("bob", other)
        self.phones = {
            "caller": self.caller,
            "aside": self.aside,
            "callee": self.callee,
            "device": self.device,
            "old": self.old,
        }
        self._enter(state)
        assert state is (self.state or State.NEW), (self.state, state)
        for phone in self.phones.values():
            phone.take()

    def _enter(self, state: State) -> None:
        case = self.case
        if state is State.NEW:
            return  # it is not before it is offered
        case.do(self.caller, StartCall("bob", False, "c1", OFFER))
        if state not in (State.RINGING, State.UNATTENDED):
            case.do(self.callee, AnswerCall("c1", ANSWER))
        if state is State.ENDED:
            case.do(self.caller, EndCall("c1"))
        if self.event in (On.RING_TIME_OVER, On.TALK_TIME_OVER):
            case.clock.advance(WAIT[self.event] - 1)
        if state in (State.UNATTENDED, State.CALLER_AWAY):
            case.node.leave(self.caller)
        elif state is State.CALLEE_AWAY:
            case.node.leave(self.callee)
        elif state is State.BOTH_AWAY:
            lost = [self.caller, self.callee]
            if self.event is On.CALLEE_GRACE_OVER:
                lost.reverse()
            case.node.leave(lost[0])
            case.clock.advance(1 if self.event in _GRACE else 0)
            case.node.leave(lost[1])

    @property
    def state(self) -> State | None:
        """Where the call stands; None = it is forgotten."""
        return self.call.state if "c1" in self.case.node.calls._home._calls else None

    @property
    def call(self) -> Call:
        """The call."""
        return self.case.node.calls._home._calls["c1"]

    def happen(self) -> str:
        """Does it; what everybody was told of it, and was told afterwards of what it left behind."""
        told = [self._told(self._do(self.event)), self._standing()]
        if self.state not in (State.ENDED, None):
            told += self._aftermath()
        return " | ".join(part for part in told if part)

    def _standing(self) -> str:
        if self.state is None:
            return "FORGOTTEN"
        call = self.call
        if call.ending is not None:
            assert self.case.store.last("c1") == call.record()
        by = f" by {call.by}" if call.by else ""
        return call.state.name + (f" {call.ending.value}{by}" if call.ending else "")

    def _told(self, first: str = "") -> str:
        told = [first]
        for name, phone in self.phones.items():
            told += [f"{name}: {in_short(item)}" for item in phone.take()]
        return "; ".join(part for part in told if part)

    def _aftermath(self) -> Iterator[str]:
        """Who is away comes back, somebody answers, the call ends with its time."""
        case = self.case
        if self.call.caller.away:
            self.come_back("alice")
        if self.call.callee is not None and self.call.callee.away:
            self.come_back("bob")
        yield self._told()
        if self.state is State.RINGING:
            self.phones["later"] = case.phone("bob", self.media)
            answering = self.callee if self.event is On.DEVICE_LEAVES else self.device
            case.do(answering, AnswerCall("c1", ANSWER))
            yield self._told()
        case.clock.advance(SETTINGS.max_seconds - 1)
        yield self._told()
        case.clock.advance(SETTINGS.max_seconds)
        yield self._told()

    def _do(self, event: On) -> str:
        if event in (On.RING_TIME_OVER, On.TALK_TIME_OVER):
            self.case.clock.advance(1)
        elif self.state is State.BOTH_AWAY and event in _GRACE:
            self.case.clock.advance(WAIT[event] - 1)
        elif event in WAIT:
            self.case.clock.advance(WAIT[event])
        elif event is On.SHUTDOWN:
            self.case.node.calls.shut_down()
            if self.new:
                self.start()
        elif event in _SESSIONS:
            _SESSIONS[event](self)
        else:
            name, command = _COMMANDS[event]
            answer = self.case.node.handle(self._actor(name), command)
            refusals: list[Any] = []
            answer.addErrback(refusals.append)
            self.case.successResultOf(answer)
            return "".join(f"refused {failure.value.fault.value}" for failure in refusals)
        return ""

    def _actor(self, name: str) -> Phone:
        phone = self.phones[name]
        if name != "device" or self.call.callee is None:
            return phone
        knows = self.state is State.ENDED and self.event in (On.DEVICE_SENDS_ICE, On.DEVICE_TELLS)
        # The other one would be seated, or knows already that it is over.
        return self.old if knows or self.call.callee.away else phone

    # What sessions do

    def leave(self, phone: Phone) -> None:
        """Its home hears of it, even of one whose user is busy with it no more."""
        principal = phone.principal
        seat = Seat(principal.user, principal.session, "", self.media)
        self.case.run_now(self.case.node.calls.requested(Leave("c1", seat)))

    def join(self) -> None:
        """A session of the callee's."""
        phone = self.phones["late"] = self.case.phone("bob", self.media)
        seat = Seat("bob", phone.principal.session, "", self.media)
        self.case.run_now(self.case.node.calls.requested(Join("c1", seat)))

    def come_back(self, user: str) -> None:
        """A new session names the call."""
        phone = self.phones[f"{user} back"] = self.case.phone(user, self.media)
        self.case.do(phone, status("c1", "back"))

    def start(self) -> None:
        """Calls."""
        self.case.do(self.caller, StartCall("bob", False, "c1", OFFER))

    def start_busy(self) -> None:
        """… while one of the two is in another call."""
        self.case.phone("carol", self.aside.client.media)
        self.case.do(self.aside, StartCall("carol", False, "c0"))
        self.aside.take()
        self.start()

    def start_glare(self) -> None:
        """… while the other one calls."""
        self.case.do(self.callee, StartCall("alice", False, "c0"))
        for phone in self.phones.values():
            phone.take()
        self.start()

    def start_offline(self) -> None:
        """… somebody who is not there."""
        for phone in (self.callee, self.device, self.old):
            self.case.node.leave(phone)
        self.start()

    def start_unfit(self) -> None:
        """… somebody who has a device of another kind only."""
        for phone in (self.callee, self.device):
            self.case.node.leave(phone)
        self.start()


def _news(who: str, prefix: str) -> dict[On, tuple[str, Any]]:
    return {
        On[f"{prefix}_SENDS_ICE"]: (who, ice("c1")),
        On[f"{prefix}_TELLS"]: (who, status("c1")),
    }


_COMMANDS: dict[On, tuple[str, Any]] = {
    On.CALLER_REPEATS: ("caller", StartCall("bob", False, "c1", OFFER)),
    On.CALLER_OFFERS: ("caller", StartCall("bob", False, "c1", OTHER_OFFER)),
    On.CALLER_ANSWERS: ("caller", AnswerCall("c1", OTHER_ANSWER)),
    On.CALLER_ENDS: ("caller", EndCall("c1")),
    On.ASIDE_OFFERS: ("aside", StartCall("bob", False, "c1", OFFER)),
    On.ASIDE_ANSWERS: ("aside", AnswerCall("c1", ANSWER)),
    On.ASIDE_ENDS: ("aside", EndCall("c1")),
    On.DEVICE_OFFERS: ("device", StartCall("alice", False, "c1", OFFER)),
    On.DEVICE_ANSWERS: ("device", AnswerCall("c1", OTHER_ANSWER)),
    On.DEVICE_REJECTS: ("device", RejectCall("c1")),
    On.DEVICE_ENDS: ("device", EndCall("c1")),
    On.CALLEE_REPEATS: ("callee", AnswerCall("c1", ANSWER)),
    On.CALLEE_OFFERS: ("callee", StartCall("alice", False, "c1", OTHER_OFFER)),
    On.CALLEE_ANSWERS: ("callee", AnswerCall("c1", OTHER_ANSWER)),
    On.CALLEE_ENDS: ("callee", EndCall("c1")),
    **_news("caller", "CALLER"),
    **_news("aside", "ASIDE"),
    **_news("device", "DEVICE"),
    **_news("callee", "CALLEE"),
}
_SESSIONS: dict[On, Callable[[Walk], None]] = {
    On.FITS: Walk.start,
    On.BUSY: Walk.start_busy,
    On.GLARE: Walk.start_glare,
    On.OFFLINE: Walk.start_offline,
    On.UNFIT: Walk.start_unfit,
    On.CALLER_LOST: lambda walk: walk.leave(walk.caller),
    On.CALLER_CUT: lambda walk: walk.leave(walk.caller),
    On.CALLER_RETURNS: lambda walk: walk.come_back("alice"),
    On.DEVICE_JOINS: Walk.join,
    On.DEVICE_LEAVES: lambda walk: walk.leave(walk.device),
    On.CALLEE_LOST: lambda walk: walk.leave(walk.callee),
    On.CALLEE_CUT: lambda walk: walk.leave(walk.callee),
    On.CALLEE_RETURNS: lambda walk: walk.come_back("bob"),
}
