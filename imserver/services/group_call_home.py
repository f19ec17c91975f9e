"""Where calls of groups live: all of a group at one node (`Bus.home`), one at a time.

Whoever starts one is in it at once, and it rings at every capable session of the other members. One
joins with one session. When somebody goes, the others stay; the call is over when less than two
are in it and it rings for nobody any more.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from imserver.model.calls import AnswerCall, CallError, CallFault, EndCall, Ending, Media, RejectCall
from imserver.model.errors import ErrorCode, ImError
from imserver.model.group_calls import GroupCallChange, GroupCallChanged
from imserver.services.call_ends import stop
from imserver.services.call_records import CallCounts
from imserver.services.call_requests import busy_slot, call_slot
from imserver.services.call_state import CallSettings
from imserver.services.group_call_requests import (
    GroupAct,
    GroupDrop,
    GroupLinked,
    GroupPart,
    GroupStart,
    group_mark,
    group_slot,
)
from imserver.services.group_call_state import (
    MAX_MEMBERS,
    REMEMBERED_SECONDS,
    GroupCall,
    busy,
    no_part,
    unknown,
)
from imserver.services.homes import LostNodes
from imserver.services.ports import Bus, Seat
from imserver.services.together import together


class GroupCallHome:
    """The calls of groups that are at home on this node.

    Args:
        members: the members of a group; none where there is no such group.
    """

    def __init__(
        self,
        bus: Bus,
        members: Callable[[str], Awaitable[Sequence[str]]],
        counts: CallCounts,
        clock: IReactorTime,
        settings: CallSettings,
    ) -> None:
        self._bus = bus
        self._members = members
        self._counts = counts
        self._clock = clock
        self._settings = settings
        self._calls: dict[str, GroupCall] = {}  # remembered ones, too
        # Live ones; a set: one is being prepared, and these have left the group meanwhile.
        self._by_group: dict[str, GroupCall | set[str]] = {}
        self._preparing: set[str] = set()
        self._memories: dict[str, IDelayedCall] = {}
        self._closed = False
        self._lost_nodes = LostNodes()

    # Requests

    async def start(self, request: GroupStart) -> None:
        """Calls the members of a group.

        Raises:
            CallError: CALL_ID_IN_USE.
            ImError: NOT_FOUND for a group one is no member of; CONFLICT for one that is too large or
                has a call already, and for a caller who is in another call; UNAVAILABLE.
        """
        id, seat, group = request.call, request.seat, request.group
        known = self._calls.get(id)
        if known is not None or id in self._preparing:
            if known is not None and known.group == group and known.initiator == seat and not known.over:
                return  # it was asked again
            raise CallError(CallFault.CALL_ID_IN_USE, "another call has this id", id)
        if self._closed:
            raise ImError(ErrorCode.UNAVAILABLE, "the server is going down")
        self._preparing.add(id)
        try:
            members = await self._members(group)
            if seat.user not in members:
                raise ImError(ErrorCode.NOT_FOUND, "there is no such group")
            if len(members) > MAX_MEMBERS:
                raise ImError(ErrorCode.CONFLICT, f"a group of more than {MAX_MEMBERS} cannot be called")
            if group in self._by_group:
                raise ImError(ErrorCode.CONFLICT, "there is a call in this group already")
            gone = self._by_group[group] = set()
            try:
                await self._prepare(request, members, gone)
            finally:
                if self._by_group.get(group) is gone:
                    del self._by_group[group]
        finally:
            self._preparing.discard(id)

    async def _prepare(self, request: GroupStart, members: Sequence[str], gone: set[str]) -> None:
        id, seat, bus = request.call, request.seat, self._bus
        mark = group_mark(bus.node)
        try:
            if await bus.claim(call_slot(id), mark) != mark:
                raise CallError(CallFault.CALL_ID_IN_USE, "another call has this id", id)
            # While nodes come and go, the group's calls may have had another home.
            if await bus.claim(group_slot(request.group), id) != id:
                raise ImError(ErrorCode.CONFLICT, "there is a call in this group already")
            if await bus.claim(busy_slot(seat.user), id) != id:
                raise busy()
            there = await together(bus.seats, [member for member in members if member != seat.user])
            devices = [device for seats in there for device in seats if device.media is Media.VOICE]
            if seat.user in gone or "" in gone:
                raise ImError(ErrorCode.NOT_FOUND, "there is no such group")
            devices = [device for device in devices if device.user not in gone]
        except BaseException:
            # Each may be taken although its claim failed; what is another call's stays.
            bus.release(busy_slot(seat.user), id)
            bus.release(group_slot(request.group), id)
            bus.release(call_slot(id), mark)
            raise
        call = GroupCall(id, request.group, seat, devices, self._clock.seconds())
        self._calls[id] = self._by_group[request.group] = call
        self._counts.group_started += 1
        self._counts.group_running += 1
        if self._closed or not devices:
            self._end(call, Ending.SHUTDOWN if self._closed else Ending.OFFLINE)
            return
        call.timer = self._clock.callLater(self._settings.ring_seconds, self._ring_time_over, call)
        self._link(call)
        self._tell(devices, call, GroupCallChange.INCOMING, seat.user)
        self._drop_lost(call)

    async def act(self, request: GroupAct) -> None:
        """A command about a call.

        Raises:
            CallError: UNKNOWN_CALL, NOT_PARTICIPANT.
            ImError: CONFLICT for who cannot join.
        """
        call, seat = self._calls.get(request.call), request.seat
        if call is None:
            raise unknown(request.call)
        match request.command:
            case AnswerCall():
                await self._join(call, seat)
            case RejectCall():
                self._reject(call, seat)
            case EndCall() if seat.user in call.participants:
                if not call.over:
                    self._leave(call, seat.user, seat.session)
            case EndCall():
                self._reject(call, seat)
            case _:
                raise CallError(CallFault.BAD_REQUEST, "calls of groups have no such thing", call.id)

    def drop(self, request: GroupDrop) -> None:
        """A session is gone."""
        call, seat = self._calls.get(request.call), request.seat
        if call is None or call.over:
            return
        if call.participants.get(seat.user) == seat:
            self._leave(call, seat.user)
        elif call.ringing.pop(seat.session, None) is not None:
            self._look(call, Ending.NO_ANSWER)

    def part(self, request: GroupPart) -> None:
        """Somebody is no member any more: not in the call, and it does not ring there."""
        call, user = self._by_group.get(request.group), request.user
        if call is None:
            return
        if isinstance(call, set):
            call.add(user)
            return
        call.parted[user] += 1
        if not user:
            self._end(call, Ending.CANCELLED if call.answered is None else Ending.HANGUP)
            return
        self._tell(call.silence(user), call, GroupCallChange.STOPPED, user, Ending.CANCELLED)
        if user in call.participants:
            self._leave(call, user)
        else:
            self._look(call, Ending.NO_ANSWER)

    def node_lost(self, node: str) -> None:
        """All sessions of a node are gone."""
        self._lost_nodes.add(node)
        for call in list(self._calls.values()):
            self._drop_lost(call)

    def _drop_lost(self, call: GroupCall) -> None:
        for seat in [*call.participants.values(), *call.ringing.values()]:
            if seat.node in self._lost_nodes:
                self.drop(GroupDrop(call.id, seat))

    def end_all(self) -> None:
        """Ends all calls as the end of the server does."""
        for call in [call for call in self._calls.values() if not call.over]:
            self._end(call, Ending.SHUTDOWN)

    def shut_down(self) -> None:
        """Ends all calls; there will be no others."""
        self._closed = True
        self.end_all()
        for memory in self._memories.values():
            memory.cancel()
        self._memories.clear()

    # Coming

    async def _join(self, call: GroupCall, seat: Seat) -> None:
        user = seat.user
        parted = call.parted[user]
        if user not in await self._members(call.group):
            raise no_part(call.id)
        if call.holds(seat):
            return
        call.joining[user] += 1
        try:
            if await self._bus.claim(busy_slot(user), call.id) != call.id:
                raise busy()
            if call.parted[user] != parted:  # meanwhile
                raise no_part(call.id)
            if not call.holds(seat):  # meanwhile
                self._seat(call, seat)
                self._drop_lost(call)
        finally:
            call.joining[user] -= 1
            self._free(call, user)

    def _free(self, call: GroupCall, user: str) -> None:
        """The user may be in another call, unless in this one, or about to be."""
        if (call.over or user not in call.participants) and not call.joining[user]:
            del call.joining[user]
            self._bus.release(busy_slot(user), call.id)

    def _seat(self, call: GroupCall, seat: Seat) -> None:
        others = list(call.participants.values())
        call.participants[seat.user] = seat
        if seat.user not in call.took_part:
            call.took_part.append(seat.user)
        first = call.answered is None
        if first:
            call.answered = self._clock.seconds()
        mine = call.silence(seat.user)
        self._tell([one for one in mine if one != seat], call, GroupCallChange.STOPPED, seat.user)
        self._link(call)
        self._tell([seat, *others] if first else [seat], call, GroupCallChange.CONNECTED, seat.user)
        self._tell(others, call, GroupCallChange.JOINED, seat.user)

    # Going

    def _reject(self, call: GroupCall, seat: Seat) -> None:
        if call.over or seat.user in call.participants:
            return  # it crossed the end, or another device's answer
        mine = call.silence(seat.user)
        if not mine:
            raise no_part(call.id)
        others = [one for one in mine if one != seat]
        # It is answered; but its node would tell it the end if this one were lost.
        self._bus.tell(seat, GroupLinked(call.id, call.group, call.initiator.user, None))
        self._tell(others, call, GroupCallChange.STOPPED, seat.user, Ending.REJECTED)
        self._tell(call.participants.values(), call, GroupCallChange.REJECTED, seat.user)
        self._look(call, Ending.REJECTED)

    def _leave(self, call: GroupCall, user: str, by: str = "") -> None:
        """Somebody is in it no more. `by`: the session that asked for it, and is answered."""
        seat = call.participants.pop(user)
        self._free(call, user)
        self._bus.tell(seat, GroupLinked(call.id, call.group, call.initiator.user, None))
        if seat.session != by:
            self._tell([seat], call, GroupCallChange.STOPPED, user, Ending.HANGUP)
        self._link(call)
        self._tell(call.participants.values(), call, GroupCallChange.LEFT, user)
        self._look(call, Ending.CANCELLED if call.answered is None else Ending.HANGUP)

    def _look(self, call: GroupCall, ending: Ending) -> None:
        """Ends the call if there is nobody left to talk to."""
        waits = call.rings and call.ringing and call.participants
        if len(call.participants) < 2 and not waits:
            self._end(call, Ending.HANGUP if call.answered is not None else ending)

    def _ring_time_over(self, call: GroupCall) -> None:
        call.rings = False
        left = self._settings.max_seconds - (self._clock.seconds() - call.started)
        call.timer = self._clock.callLater(max(0.0, left), self._end, call, Ending.TOO_LONG)
        self._look(call, Ending.NO_ANSWER)

    def _end(self, call: GroupCall, ending: Ending) -> None:
        call.over = True
        stop(call.timer)
        del self._by_group[call.group]
        self._counts.group_running -= 1
        everybody = [*call.participants.values(), *call.ringing.values()]
        for seat in call.participants.values():
            self._free(call, seat.user)
            self._bus.tell(seat, GroupLinked(call.id, call.group, call.initiator.user, None))
        self._bus.release(group_slot(call.group), call.id)
        self._tell(everybody, call, GroupCallChange.ENDED, call.initiator.user, ending)
        call.ringing.clear()
        if not self._closed:
            self._memories[call.id] = self._clock.callLater(REMEMBERED_SECONDS, self._forget, call)

    def _forget(self, call: GroupCall) -> None:
        del self._memories[call.id]
        del self._calls[call.id]
        self._bus.release(call_slot(call.id), group_mark(self._bus.node))

    # Telling

    def _tell(
        self,
        seats: Iterable[Seat],
        call: GroupCall,
        change: GroupCallChange,
        user: str,
        ending: Ending | None = None,
    ) -> None:
        people: Iterable[str] = call.participants
        duration = 0
        if change in (GroupCallChange.STOPPED, GroupCallChange.ENDED):
            people = call.took_part
            duration = 0 if call.answered is None else int(self._clock.seconds() - call.answered)
        news = GroupCallChanged(
            change, call.id, call.group, call.initiator.user, user, tuple(people), duration, ending
        )
        for seat in seats:
            self._bus.tell(seat, news)

    def _link(self, call: GroupCall) -> None:
        """Says to everybody's node where the media goes."""
        seats = list(call.participants.values())
        for seat in seats:
            peers = tuple(other for other in seats if other is not seat)
            self._bus.tell(seat, GroupLinked(call.id, call.group, call.initiator.user, peers))
