"""The life of a call: one table of states and events.

`TABLE[state][event]` says what is done and which state follows, for every pair; what
cannot happen is there as well, as `Do.NEVER`. Nothing here knows sessions, time or
wires: `services.call_home` says which event a command is, and does what the table says.
Document 000 (types 2 to 6) and document 002 (call.*) share it.
"""

from __future__ import annotations

from imserver.model.calls import Ending
from imserver.services.call_terms import Do, On, Row, State, Step, Table


def _stays(state: State, **does: Do) -> Row:
    return {On[name]: Step(state, do) for name, do in does.items()}


def _ends(**endings: Ending) -> Row:
    return {On[name]: Step(State.ENDED, Do.END, ending) for name, ending in endings.items()}


def _row(state: State, *parts: Row) -> Row:
    """All events, in order; those that no part names cannot happen.

    While a party is away, any other session of its user that could answer and names the
    call is seated first, so some of what devices do cannot happen then; and calls whose
    media is cut with the connection wait for nobody.
    """
    row: Row = {}
    for part in parts:
        row |= part
    never = Step(state, Do.NEVER)
    return {event: row.get(event, never) for event in On}


def _asides(state: State, ending: Ending) -> Row:
    """Other sessions of the caller's user may end the call and nothing else."""
    return _ends(ASIDE_ENDS=ending) | _stays(
        state,
        ASIDE_OFFERS=Do.REFUSE_OUTSIDER,
        ASIDE_ANSWERS=Do.REFUSE_OUTSIDER,
        ASIDE_SENDS_ICE=Do.REFUSE_OUTSIDER,
        ASIDE_TELLS=Do.REFUSE_OUTSIDER,
    )


def _rings(state: State, answered: State) -> Row:
    """What devices do while it rings, and the time."""
    return (
        {On.DEVICE_ANSWERS: Step(answered, Do.ACCEPT)}
        | _asides(state, Ending.CANCELLED)
        | _ends(
            DEVICE_REJECTS=Ending.REJECTED,
            DEVICE_ENDS=Ending.REJECTED,
            RING_TIME_OVER=Ending.NO_ANSWER,
            SHUTDOWN=Ending.SHUTDOWN,
        )
        | _stays(
            state,
            DEVICE_JOINS=Do.RING_HERE,
            DEVICE_LEAVES=Do.RING_NO_MORE_HERE,
            DEVICE_OFFERS=Do.REFUSE_EARLY,
            DEVICE_SENDS_ICE=Do.HOLD,
            DEVICE_TELLS=Do.TELL_CALLER,
        )
    )


def _runs(state: State) -> Row:
    """What those without a part do in a running call, and the time."""
    return (
        _asides(state, Ending.HANGUP)
        | _ends(DEVICE_ENDS=Ending.HANGUP, TALK_TIME_OVER=Ending.TOO_LONG, SHUTDOWN=Ending.SHUTDOWN)
        | _stays(
            state,
            DEVICE_JOINS=Do.NOTHING,
            DEVICE_LEAVES=Do.NOTHING,
            DEVICE_OFFERS=Do.REFUSE_OUTSIDER,
            DEVICE_REJECTS=Do.STOP_AGAIN,
            DEVICE_SENDS_ICE=Do.NOTHING,
            DEVICE_TELLS=Do.NOTHING,
        )
    )


def _caller_present(state: State, away: State) -> Row:
    return (
        {On.CALLER_LOST: Step(away, Do.AWAIT_CALLER)}
        | _ends(CALLER_ENDS=Ending.HANGUP)
        | _stays(
            state,
            CALLER_REPEATS=Do.ANSWER_AGAIN,
            CALLER_OFFERS=Do.TELL_CALLEE,
            CALLER_ANSWERS=Do.TELL_CALLEE,
            CALLER_SENDS_ICE=Do.TELL_CALLEE,
            CALLER_TELLS=Do.TELL_CALLEE,
        )
    )


def _callee_present(state: State, away: State) -> Row:
    return (
        {On.CALLEE_LOST: Step(away, Do.AWAIT_CALLEE)}
        | _ends(CALLEE_ENDS=Ending.HANGUP)
        | _stays(
            state,
            DEVICE_ANSWERS=Do.STOP_AGAIN,
            CALLEE_REPEATS=Do.ACCEPT_AGAIN,
            CALLEE_OFFERS=Do.TELL_CALLER,
            CALLEE_ANSWERS=Do.TELL_CALLER,
            CALLEE_SENDS_ICE=Do.TELL_CALLER,
            CALLEE_TELLS=Do.TELL_CALLER,
        )
    )


def _caller_away(back: State) -> Row:
    return {On.CALLER_RETURNS: Step(back, Do.SEAT_CALLER)} | _ends(CALLER_GRACE_OVER=Ending.LOST)


def _callee_away(back: State) -> Row:
    return {On.CALLEE_RETURNS: Step(back, Do.SEAT_CALLEE)} | _ends(CALLEE_GRACE_OVER=Ending.LOST)


_OVER = _stays(
    State.ENDED,
    CALLER_OFFERS=Do.END_AGAIN,
    CALLER_ANSWERS=Do.END_AGAIN,
    CALLER_ENDS=Do.NOTHING,
    CALLER_SENDS_ICE=Do.NOTHING,
    CALLER_TELLS=Do.NOTHING,
    CALLER_LOST=Do.NOTHING,
    CALLER_CUT=Do.NOTHING,
    ASIDE_OFFERS=Do.END_AGAIN,
    ASIDE_ANSWERS=Do.END_AGAIN,
    ASIDE_ENDS=Do.NOTHING,
    ASIDE_SENDS_ICE=Do.END_ONCE,
    ASIDE_TELLS=Do.END_ONCE,
    DEVICE_JOINS=Do.NOTHING,
    DEVICE_LEAVES=Do.NOTHING,
    DEVICE_OFFERS=Do.END_AGAIN,
    DEVICE_ANSWERS=Do.END_AGAIN,
    DEVICE_REJECTS=Do.NOTHING,
    DEVICE_ENDS=Do.NOTHING,
    DEVICE_SENDS_ICE=Do.END_ONCE,
    DEVICE_TELLS=Do.END_ONCE,
    CALLEE_OFFERS=Do.END_AGAIN,
    CALLEE_ANSWERS=Do.END_AGAIN,
    CALLEE_ENDS=Do.NOTHING,
    CALLEE_SENDS_ICE=Do.NOTHING,
    CALLEE_TELLS=Do.NOTHING,
    CALLEE_LOST=Do.NOTHING,
    CALLEE_CUT=Do.NOTHING,
    MEMORY_OVER=Do.FORGET,
)

TABLE: Table = {
    State.NEW: _row(
        State.NEW,
        {On.FITS: Step(State.RINGING, Do.RING_EVERYWHERE)},
        _ends(
            BUSY=Ending.BUSY,
            GLARE=Ending.BUSY,
            OFFLINE=Ending.OFFLINE,
            UNFIT=Ending.NO_DEVICE,
            SHUTDOWN=Ending.SHUTDOWN,
        ),
    ),
    State.RINGING: _row(
        State.RINGING,
        _rings(State.RINGING, State.RUNNING),
        {On.CALLER_LOST: Step(State.UNATTENDED, Do.AWAIT_CALLER)},
        _ends(CALLER_ENDS=Ending.CANCELLED, CALLER_CUT=Ending.LOST),
        _stays(
            State.RINGING,
            CALLER_REPEATS=Do.RING_BACK,
            CALLER_OFFERS=Do.RING_ANEW,
            CALLER_ANSWERS=Do.REFUSE_EARLY,
            CALLER_SENDS_ICE=Do.SPREAD_ICE,
            CALLER_TELLS=Do.SPREAD,
        ),
    ),
    State.UNATTENDED: _row(
        State.UNATTENDED,
        _rings(State.UNATTENDED, State.CALLER_AWAY),
        _caller_away(State.RINGING),
    ),
    State.RUNNING: _row(
        State.RUNNING,
        _runs(State.RUNNING),
        _caller_present(State.RUNNING, State.CALLER_AWAY),
        _callee_present(State.RUNNING, State.CALLEE_AWAY),
        _ends(CALLER_CUT=Ending.LOST, CALLEE_CUT=Ending.LOST),
    ),
    State.CALLER_AWAY: _row(
        State.CALLER_AWAY,
        _runs(State.CALLER_AWAY),
        _caller_away(State.RUNNING),
        _callee_present(State.CALLER_AWAY, State.BOTH_AWAY),
    ),
    State.CALLEE_AWAY: _row(
        State.CALLEE_AWAY,
        _runs(State.CALLEE_AWAY),
        _caller_present(State.CALLEE_AWAY, State.BOTH_AWAY),
        _callee_away(State.RUNNING),
    ),
    State.BOTH_AWAY: _row(
        State.BOTH_AWAY,
        _runs(State.BOTH_AWAY),
        _caller_away(State.CALLEE_AWAY),
        _callee_away(State.CALLER_AWAY),
    ),
    State.ENDED: _row(State.ENDED, _OVER),
}
"""All of it."""
