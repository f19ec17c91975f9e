"""The judge of calls: what telephones heard against the rules of CONTRACT.md, 2 and 4."""

from __future__ import annotations

from imserver.model.call_records import CallMissed, CallRecord
from imserver.model.calls import (
    CallAccepted,
    CallAnswered,
    CallEnded,
    CallIncoming,
    CallMedia,
    CallStopped,
    Ending,
)
from tests.simulation.callers import QDATASTREAM, CallHistory, CallLink, Heard
from tests.simulation.history import FOREVER

_SIGNALLED = {
    Ending.CANCELLED: Ending.HANGUP,
    Ending.TOO_LONG: Ending.NO_ANSWER,
}
"""Endings that document 002 writes like others."""
_REJECTS = frozenset({Ending.REJECTED, Ending.BUSY, Ending.OFFLINE, Ending.NO_DEVICE, Ending.NO_ANSWER})
"""Endings that document 000 has a word for; all others are its CALL_END, which reads as HANGUP."""


class CallChecker:
    """Checks one history; `run` returns what it found, in words."""

    def __init__(self, history: CallHistory) -> None:
        self.history = history
        self.faults: list[str] = []

    def run(self) -> list[str]:
        """Checks everything."""
        self.faults += self.history.faults
        self.faults += self.history.left
        for record in self.history.records.values():
            if record.ending is None:
                self.faults.append(f"{record.call}: recorded as lasting still")
        for link in self.history.links:
            by_call: dict[str, list[Heard]] = {}
            for heard in link.heard:
                by_call.setdefault(heard.event.call, []).append(heard)
            for call, events in by_call.items():
                self._story(link, call, events)
        self._winners()
        return self.faults

    def _fault(self, link: CallLink, call: str, what: str) -> None:
        self.faults.append(f"{link.user}/{link.format}/{link.device} link {link.number}: {call}: {what}")

    def _story(self, link: CallLink, call: str, events: list[Heard]) -> None:
        """What one connection heard of one call."""
        asked = link.asked.get(call, 0) + link.asked.get("", 0)
        over = party = False
        for heard in events:
            event = heard.event
            match event:
                case CallMissed():
                    self._missed(link, call)
                    continue
                case CallMedia():
                    if over or not party:
                        self._fault(link, call, "media outside the call")
                    self._media(link, event)
                case CallEnded() | CallStopped():
                    if over:
                        asked -= 1
                        if asked < 0:
                            self._fault(link, call, "the end was told again")
                    over, party = True, False
                    self._ending(link, call, heard)
                case CallIncoming() if link.format == QDATASTREAM:
                    # In document 002 it may be an offer inside the call.
                    if over or party:
                        self._fault(link, call, "it rang after that")
                case _:
                    if over and not asked:
                        self._fault(link, call, f"{type(event).__name__} after the end")
                    over = False
                    party = party or isinstance(event, CallAnswered | CallAccepted)
        heard_more = any(not isinstance(heard.event, CallMissed) for heard in events)
        if heard_more and not over and link.closed == FOREVER:
            self._fault(link, call, "never heard of the end")

    def _missed(self, link: CallLink, call: str) -> None:
        record = self.history.records.get(call)
        if record is None and self.history.forgets:
            return
        if record is None or not record.told or record.callee != link.user:
            self._fault(link, call, f"told as missed, but recorded as {record}")

    def _media(self, link: CallLink, event: CallMedia) -> None:
        user = event.data.split(b"/")[0].decode()
        sent = any(event.data in other.pieces for other in self.history.links if other.user == user)
        if not sent or user == link.user:
            self._fault(link, event.call, f"media that nobody sent: {event.data[:20]!r}")
        record = self.history.records.get(event.call)
        if record is not None and {record.caller, record.callee} != {user, link.user}:
            self._fault(link, event.call, f"media of {user}, who has no part in it")

    def _ending(self, link: CallLink, call: str, heard: Heard) -> None:
        record = self.history.records.get(call)
        last_life = heard.life == self.history.life()
        if record is None:
            # The record may have gone with a life of the server; of nobody's call there is none.
            ending = getattr(heard.event, "ending", None)
            nobody = ending in (Ending.OFFLINE, Ending.BUSY)
            if last_life and not nobody and not self.history.forgets:
                self._fault(link, call, "ended, and there is no record of it")
        elif link.user not in (record.caller, record.callee):
            self._fault(link, call, "the end of somebody else's call")
        elif last_life or record.ending is not Ending.SHUTDOWN:
            self._compare(link, heard.event, record)

    def _compare(self, link: CallLink, event: CallEnded | CallStopped, record: CallRecord) -> None:
        assert record.ending is not None
        if isinstance(event, CallStopped):
            if not record.answered_at:
                self._fault(link, record.call, f"answered elsewhere, but recorded as {record}")
            return
        ending = event.ending
        if link.format == QDATASTREAM:
            right = ending is Ending.HANGUP or (ending in _REJECTS and ending is record.ending)
        else:
            right = ending is _SIGNALLED.get(record.ending, record.ending) or (
                self.history.several and ending is Ending.SHUTDOWN
            )
        if not right:
            self._fault(link, record.call, f"ended as {ending.value}, recorded as {record}")

    def _winners(self) -> None:
        """Of each relayed call one connection of the callee heard that it has it."""
        winners: dict[str, set[int]] = {}
        for link in self.history.links:
            for heard in link.heard:
                record = self.history.records.get(heard.event.call)
                if isinstance(heard.event, CallAccepted) and record and record.callee == link.user:
                    winners.setdefault(heard.event.call, set()).add(link.number)
        for call, links in winners.items():
            if len(links) > 1:
                self.faults.append(f"{call}: accepted on the connections {sorted(links)}")
