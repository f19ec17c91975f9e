"""What must hold of calls whatever happens, judged by what sessions were told and what was recorded."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from imserver.model.call_records import CallRecord
from imserver.model.calls import (
    CallAccepted,
    CallAnswered,
    CallEnded,
    CallIncoming,
    CallRinging,
    CallSignal,
    CallStopped,
    Ending,
    Signal,
)


class Wrong(AssertionError):
    """Something that must not be."""


class Ear:
    """What one session heard of one call.

    Attributes:
        asked: commands about the call that it gave, and that no repeated end has answered yet.
    """

    __slots__ = ("asked", "called", "heard", "over", "party", "rang")

    def __init__(self) -> None:
        self.called = self.rang = self.party = self.over = False
        self.asked = 0
        self.heard: list[Any] = []


class Story(Struct):
    """What is known of one call.

    Attributes:
        winners: sessions that were told that the call is theirs.
        endings: all that anybody was told, by whom it ended included.
    """

    caller: str
    callee: str
    winners: set[str] = set()
    endings: set[tuple[Ending, str]] = set()
    answered_at: float = 0.0


class Witness:
    """Listens to what sessions are told.

    Raises Wrong as soon as something cannot be right, or in `finish`, when all is over.

    Attributes:
        stories: what is known of each call.
        ears: what each session heard of it, by (session, call).
        mourns: a node was lost: those whom the home could not tell any more hear of another end.
    """

    def __init__(self) -> None:
        self.stories: dict[str, Story] = {}
        self.ears: dict[tuple[str, str], Ear] = {}
        self._gone: set[str] = set()
        self.mourns = False

    def ear(self, session: str, call: str) -> Ear:
        """What the session knows of the call."""
        return self.ears.setdefault((session, call), Ear())

    def commanded(self, session: str, call: str) -> None:
        """The session gave a command about the call."""
        self.ear(session, call).asked += 1

    def gone(self, session: str) -> None:
        """The session's connection is lost; another one may take its place."""
        self._gone.add(session)

    def told(self, user: str, session: str, event: Any) -> None:
        """The session was told an event."""
        ear = self.ear(session, event.call)
        self._check(user, session, ear, event)
        ear.heard.append(event)

    def _check(self, user: str, session: str, ear: Ear, event: Any) -> None:
        if isinstance(event, CallSignal | CallAnswered | CallAccepted):
            # It may have taken a lost party's place meanwhile, and hears of the end once more then.
            _right(not ear.over or ear.asked > 0, "told more after the end", session, event)
            ear.over = False
        if isinstance(event, CallSignal):
            _right(event.recipient == user and event.sender != user, "a stranger's signal", session, event)
            if ear.rang and not (ear.party or ear.asked):
                _right(
                    event.signal not in (Signal.OFFER, Signal.ANSWER), "renegotiated ringing", session, event
                )
            return
        story = self.stories.setdefault(event.call, Story(event.caller, event.callee))
        _right((story.caller, story.callee) == (event.caller, event.callee), "other people", session, event)
        match event:
            case CallIncoming():
                _right(user == event.callee, "it rings at the wrong one", session, event)
                _right(not (ear.over or ear.party), "it rings again", session, event)
                ear.rang = True
            case CallRinging():
                _right(user == event.caller and not ear.over, "ringing for the wrong one", session, event)
            case CallAnswered():
                _right(user == event.caller, "answered for the wrong one", session, event)
                self._answered(story, event.answered_at, session, event)
                ear.party = True
            case CallAccepted():
                _right(user == event.callee, "accepted for the wrong one", session, event)
                self._answered(story, event.answered_at, session, event)
                ear.party = True
                story.winners.add(session)
                _right(len(story.winners - self._gone) == 1, "two answers won", session, event)
            case CallEnded():
                _right(user in (event.caller, event.callee), "ended for a stranger", session, event)
                if not (self.mourns and event.ending is Ending.SHUTDOWN):
                    story.endings.add((event.ending, event.by))
                _right(len(story.endings) <= 1, "two ends", session, event)
                self._over(ear, session, event)
            case CallStopped():
                _right(user == event.callee and not ear.party, "stopped for a party", session, event)
                self._over(ear, session, event)

    def _answered(self, story: Story, at: float, session: str, event: Any) -> None:
        story.answered_at = story.answered_at or at
        _right(story.answered_at == at, "answered twice", session, event)

    def _over(self, ear: Ear, session: str, event: Any) -> None:
        if ear.over:
            _right(ear.asked > 0, "told twice that it is over", session, event)
            ear.asked -= 1
        ear.over = True

    def finish(self, live: dict[str, str], called: dict[str, str], records: list[CallRecord]) -> None:
        """All calls are over.

        Args:
            live: user by session, of those that live.
            called: call by the session that offered it.
            records: all that were kept, in order.
        """
        for (session, _), ear in self.ears.items():
            if session in live and ear.heard:
                _right(ear.over, "never told of the end", session, ear.heard)
        for call, session in called.items():
            if session in live:
                ended = [event for event in self.ear(session, call).heard if isinstance(event, CallEnded)]
                _right(bool(ended), "the caller was never told of the end", session, call)
        last = {record.call: record for record in records}
        for call, story in self.stories.items():
            record = last.get(call)
            if record is not None:
                self._compare(story, record)
        for record in last.values():
            _right(record.ending is not None, "recorded as running", "", record)

    def _compare(self, story: Story, record: CallRecord) -> None:
        told = {(record.ending, record.by)}
        lost = self.mourns and record.ending is Ending.SHUTDOWN
        _right(lost or story.endings <= told, "recorded otherwise than told", "", (story, record))
        _right((story.caller, story.callee) == (record.caller, record.callee), "others recorded", "", record)
        if story.answered_at and not lost:
            _right(record.answered_at == story.answered_at, "answer not recorded", "", (story, record))


def _right(holds: bool, what: str, session: str, event: Any) -> None:
    if not holds:
        raise Wrong(f"{what}: {session}: {event}")
