"""What the table of calls (`services.call_table`) is written in: states, events, and what is done."""

from __future__ import annotations

import enum

from msgspec import Struct

from imserver.model.calls import Ending


class State(enum.StrEnum):
    """Where a call stands. A party is away while its connection is lost and may come back."""

    NEW = "new"
    """Offered; whether it can ring is being found out."""
    RINGING = "ringing"
    UNATTENDED = "ringing, caller away"
    RUNNING = "running"
    CALLER_AWAY = "running, caller away"
    CALLEE_AWAY = "running, callee away"
    BOTH_AWAY = "running, both away"
    ENDED = "ended"
    """Remembered for a while, because messages cross."""


class On(enum.StrEnum):
    """What can happen to a call.

    The actors: the caller is the session that called; the callee is the session that
    answered; a device is any other session of the callee's user; aside is any other
    session of the caller's user.
    """

    FITS = "there are devices at which it can ring"
    BUSY = "one of the two is in another call"
    GLARE = "the callee's own call to the caller rings"
    OFFLINE = "the callee is not to be reached"
    UNFIT = "no device of the callee can take it"

    CALLER_REPEATS = "caller repeats its offer"
    CALLER_OFFERS = "caller makes another offer"
    CALLER_ANSWERS = "caller sends an answer"
    CALLER_ENDS = "caller ends"
    CALLER_SENDS_ICE = "caller sends a candidate"
    CALLER_TELLS = "caller sends a status or an error"
    CALLER_LOST = "caller's connection is lost"
    CALLER_CUT = "caller's connection is lost, and the media with it"
    CALLER_RETURNS = "another session takes the caller's place"

    ASIDE_OFFERS = "aside makes an offer"
    ASIDE_ANSWERS = "aside sends an answer"
    ASIDE_ENDS = "aside ends"
    ASIDE_SENDS_ICE = "aside sends a candidate"
    ASIDE_TELLS = "aside sends a status or an error"

    DEVICE_JOINS = "device logs in"
    DEVICE_LEAVES = "device is gone"
    DEVICE_OFFERS = "device makes an offer"
    DEVICE_ANSWERS = "device answers"
    DEVICE_REJECTS = "device rejects"
    DEVICE_ENDS = "device ends"
    DEVICE_SENDS_ICE = "device sends a candidate"
    DEVICE_TELLS = "device sends a status or an error"

    CALLEE_REPEATS = "callee repeats its answer"
    CALLEE_OFFERS = "callee makes an offer"
    CALLEE_ANSWERS = "callee sends another answer"
    CALLEE_ENDS = "callee ends"
    CALLEE_SENDS_ICE = "callee sends a candidate"
    CALLEE_TELLS = "callee sends a status or an error"
    CALLEE_LOST = "callee's connection is lost"
    CALLEE_CUT = "callee's connection is lost, and the media with it"
    CALLEE_RETURNS = "another session takes the callee's place"

    RING_TIME_OVER = "it has rung long enough"
    CALLER_GRACE_OVER = "the caller was away too long"
    CALLEE_GRACE_OVER = "the callee was away too long"
    TALK_TIME_OVER = "it has lasted as long as a call may"
    MEMORY_OVER = "it ended long ago"
    SHUTDOWN = "the server goes down"


class Do(enum.StrEnum):
    """What is done. What is told to a party that is away is kept until its return."""

    RING_EVERYWHERE = "ring"
    """At every device; the caller is told that it rings."""
    RING_BACK = "tell the caller that it rings"
    RING_ANEW = "ring with the new offer"
    RING_HERE = "ring there, too"
    RING_NO_MORE_HERE = "ring there no more"
    SPREAD_ICE = "tell all devices, keep for late ones"
    SPREAD = "tell all devices"
    HOLD = "keep until its answer"
    ACCEPT = "accept, stop the others"
    TELL_CALLER = "tell the caller"
    TELL_CALLEE = "tell the callee"
    ANSWER_AGAIN = "tell the caller the answer again"
    ACCEPT_AGAIN = "tell the callee again that it has the call"
    STOP_AGAIN = "tell it again that it was answered elsewhere"
    AWAIT_CALLER = "wait for the caller"
    AWAIT_CALLEE = "wait for the callee"
    SEAT_CALLER = "seat it"
    SEAT_CALLEE = "seat it as callee"
    END = "end"
    """As `Step.ending` says; everybody at whom it rang, and the parties, are told."""
    END_AGAIN = "tell it again that it is over"
    END_ONCE = "tell it that it is over, unless it knows"
    REFUSE_OUTSIDER = "refuse: no part in it"
    REFUSE_EARLY = "refuse: not answered yet"
    FORGET = "forget"
    NOTHING = "-"
    """Nothing, and no error: messages that crossed."""
    NEVER = "cannot happen"


class Step(Struct, frozen=True):
    """One cell.

    Attributes:
        next: the state that follows.
        do: what is done.
        ending: of END: how it ended.
    """

    next: State
    do: Do
    ending: Ending | None = None


Row = dict[On, Step]
Table = dict[State, Row]
