"""Calls that are broken on purpose, one for each promise that the machine must hold them to."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from msgspec import structs

from imserver.model.calls import CallEnded
from imserver.services import call_home
from imserver.services.call_effects import Effects
from imserver.services.call_ends import Ends
from imserver.services.call_home import CallHome
from imserver.services.call_media import MediaRelay
from imserver.services.call_records import CallRecords
from imserver.services.call_requests import Start, pair_key
from imserver.services.call_state import Call
from imserver.services.call_table import TABLE
from imserver.services.call_terms import Do, On, State, Step, Table
from imserver.services.calls import Calls
from tests.unit.services.call_net import NetBus


def changed(*cells: tuple[State, On, Step]) -> Table:
    """The table with other steps."""
    table = {state: dict(row) for state, row in TABLE.items()}
    for state, event, step in cells:
        table[state][event] = step
    return table


def nothing(state: State, event: On) -> tuple[State, On, Step]:
    """What happens there is ignored."""
    return state, event, Step(state, Do.NOTHING)


TABLES: dict[str, Table] = {
    "it rings for ever": changed(
        nothing(State.RINGING, On.RING_TIME_OVER), nothing(State.UNATTENDED, On.RING_TIME_OVER)
    ),
    "a call lasts for ever": changed(nothing(State.RUNNING, On.TALK_TIME_OVER)),
    "a lost caller is awaited for ever": changed(nothing(State.CALLER_AWAY, On.CALLER_GRACE_OVER)),
    "a lost callee is awaited for ever": changed(nothing(State.CALLEE_AWAY, On.CALLEE_GRACE_OVER)),
    "a lost caller is not noticed": changed(nothing(State.RUNNING, On.CALLER_LOST)),
    "a lost callee is not noticed": changed(nothing(State.RUNNING, On.CALLEE_LOST)),
    "a caller lost while it rings is not noticed": changed(nothing(State.RINGING, On.CALLER_LOST)),
    "a call whose media is cut goes on": changed(nothing(State.RUNNING, On.CALLEE_CUT)),
    "the second answer wins": changed(
        (State.RUNNING, On.DEVICE_ANSWERS, Step(State.RUNNING, Do.ACCEPT)),
    ),
    "an answered call rings on": changed(
        (State.RINGING, On.DEVICE_ANSWERS, Step(State.RINGING, Do.ACCEPT)),
    ),
    "late devices do not ring": changed(nothing(State.RINGING, On.DEVICE_JOINS)),
    "a running call rings elsewhere": changed(
        (State.RUNNING, On.DEVICE_JOINS, Step(State.RUNNING, Do.RING_HERE))
    ),
    "an ended call can be answered": changed(
        (State.ENDED, On.DEVICE_ANSWERS, Step(State.RUNNING, Do.ACCEPT)),
    ),
    "what ended is remembered for ever": changed(nothing(State.ENDED, On.MEMORY_OVER)),
}
"""Broken tables."""

Patch = tuple[Any, str, Any]


def _without(method: Callable[..., Any]) -> Callable[..., Any]:
    """Something that is not done at all."""

    def nothing_done(*arguments: Any) -> None:
        pass

    return nothing_done


def end_told_to_the_caller_only() -> Patch:
    tell_end = Ends._tell

    def broken(self: Ends, call: Call, cause: Any) -> None:
        call.callee = None
        tell_end(self, call, cause)

    return Ends, "_tell", broken


def ringing_devices_are_forgotten() -> Patch:
    tell_end = Ends._tell

    def broken(self: Ends, call: Call, cause: Any) -> None:
        call.ringing.clear()
        tell_end(self, call, cause)

    return Ends, "_tell", broken


def others_ring_on_after_the_answer() -> Patch:
    accept = Effects._accept

    def broken(self: Effects, call: Call, cause: Any) -> None:
        call.ringing.clear()
        accept(self, call, cause)

    return Effects, "_accept", broken


def somebody_stays_busy() -> Patch:
    release = NetBus.release

    def broken(self: NetBus, key: str, value: str) -> None:
        if not key.startswith("busy/bob"):
            release(self, key, value)

    return NetBus, "release", broken


def ids_stay_taken() -> Patch:
    release = NetBus.release

    def broken(self: NetBus, key: str, value: str) -> None:
        if key.startswith("busy/"):
            release(self, key, value)

    return NetBus, "release", broken


def everybody_gets_a_slot() -> Patch:
    claim = NetBus.claim

    async def broken(self: NetBus, key: str, value: str) -> str:
        await claim(self, key, value)
        return value

    return NetBus, "claim", broken


def devices_are_counted_before_they_are_claimed() -> Patch:
    prospect = CallHome._prospect

    async def broken(self: CallHome, call: Call, standing: Any) -> Any:
        early = await self._bus.seats(call.callee_user)
        event, seats = await prospect(self, call, standing)
        fit = [seat for seat in early if seat.media is call.media]
        return (event, fit) if event is On.FITS and fit else (event, seats)

    return CallHome, "_prospect", broken


def offers_of_a_pair_are_decided_at_the_same_time() -> Patch:
    async def broken(self: CallHome, request: Start) -> None:
        await self._start(request, pair_key(request.seat.user, request.callee))

    return CallHome, "start", broken


def users_are_claimed_in_any_order() -> Patch:
    return call_home, "sorted", tuple


def devices_that_log_in_are_not_looked_at() -> Patch:
    def broken(self: Calls, session: Any) -> None:
        self._sessions.enter(session)

    return Calls, "session_started", broken


def lost_sessions_are_not_reported() -> Patch:
    def broken(self: Calls, session: Any) -> None:
        self._sessions.leave(session)

    return Calls, "session_gone", broken


def sessions_lost_while_they_ask_are_not_reported() -> Patch:
    async def broken(self: Calls, seat: Any, home: str, request: Any) -> None:
        await self._bus.ask(home, request)

    return Calls, "_ask", broken


def what_comes_for_a_call_that_is_being_decided_is_unknown() -> Patch:
    async def broken(self: CallHome, id: str) -> Call | None:
        return self._calls.get(id)

    return CallHome, "_settled", broken


def strangers_have_a_say() -> Patch:
    return Call, "concerns", lambda self, user: True


def the_end_is_not_recorded() -> Patch:
    keep = CallRecords.keep

    def broken(self: CallRecords, record: Any) -> None:
        if record.ending is None:
            keep(self, record)

    return CallRecords, "keep", broken


def another_end_is_recorded() -> Patch:
    keep = CallRecords.keep

    def broken(self: CallRecords, record: Any) -> None:
        keep(self, structs.replace(record, by="" if record.by else record.caller))

    return CallRecords, "keep", broken


def media_goes_on_after_the_end() -> Patch:
    return MediaRelay, "unlink", _without(MediaRelay.unlink)


def media_arrives_before_the_answer() -> Patch:
    return MediaRelay, "runs", lambda self, session, call: True


def the_end_is_told_twice() -> Patch:
    told = Calls.told

    def broken(self: Calls, user: str, session: str, event: Any, node: str) -> None:
        told(self, user, session, event, node)
        if isinstance(event, CallEnded):
            told(self, user, session, event, node)

    return Calls, "told", broken


PATCHES: dict[str, Callable[[], Patch]] = {
    mutation.__name__.replace("_", " "): mutation
    for mutation in (
        end_told_to_the_caller_only,
        ringing_devices_are_forgotten,
        others_ring_on_after_the_answer,
        somebody_stays_busy,
        ids_stay_taken,
        everybody_gets_a_slot,
        devices_are_counted_before_they_are_claimed,
        offers_of_a_pair_are_decided_at_the_same_time,
        users_are_claimed_in_any_order,
        devices_that_log_in_are_not_looked_at,
        lost_sessions_are_not_reported,
        sessions_lost_while_they_ask_are_not_reported,
        what_comes_for_a_call_that_is_being_decided_is_unknown,
        strangers_have_a_say,
        the_end_is_not_recorded,
        another_end_is_recorded,
        media_goes_on_after_the_end,
        media_arrives_before_the_answer,
        the_end_is_told_twice,
    )
}
"""Broken code."""


@contextmanager
def patched(name: str) -> Iterator[None]:
    """Breaks something for a while."""
    target, attribute, broken = PATCHES[name]()
    with patch.object(target, attribute, broken, create=True):
        yield
