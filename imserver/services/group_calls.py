"""Calls of groups, as the sessions of this node see them; a part of `calls.Calls`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence

from twisted.internet.interfaces import IReactorTime

from imserver.model.calls import Ending
from imserver.model.group_calls import GroupCallChange, GroupCallChanged
from imserver.services.call_media import MediaRelay
from imserver.services.call_records import CallCounts
from imserver.services.call_state import CallSettings
from imserver.services.group_call_home import GroupCallHome
from imserver.services.group_call_requests import GroupAct, GroupDrop, GroupLinked, GroupPart, GroupStart
from imserver.services.ports import Bus
from imserver.services.sessions import Receiver


async def no_members(group: str) -> Sequence[str]:
    """There are no groups."""
    return ()


class _Heard:
    """A call of a group, as a session of this node has heard of it.

    Attributes:
        home: the node where it lives.
        seated: the session is in it; else it rings there.
        answered: float seconds of the clock; None = nobody has joined, as far as is known here.
    """

    __slots__ = ("answered", "call", "group", "home", "initiator", "participants", "seated", "user")

    def __init__(self, call: str, group: str, initiator: str, user: str, home: str) -> None:
        self.call = call
        self.group = group
        self.initiator = initiator
        self.user = user
        self.home = home
        self.seated = False
        self.answered: float | None = None
        self.participants: Sequence[str] = (initiator,)

    def end(self, now: float) -> GroupCallChanged:
        """That its home is lost."""
        duration = 0 if self.answered is None else int(now - self.answered)
        return GroupCallChanged(
            GroupCallChange.ENDED,
            self.call,
            self.group,
            self.initiator,
            self.initiator,
            self.participants,
            duration,
            Ending.SHUTDOWN,
        )


class GroupCalls:
    """See the module. Args: as in `GroupCallHome`.

    Args:
        media: where the media of this node's sessions goes.
    """

    def __init__(
        self,
        bus: Bus,
        members: Callable[[str], Awaitable[Sequence[str]]],
        counts: CallCounts,
        media: MediaRelay,
        clock: IReactorTime,
        settings: CallSettings,
    ) -> None:
        self.home = GroupCallHome(bus, members, counts, clock, settings)
        self._media = media
        self._clock = clock
        self._heard: dict[str, dict[str, _Heard]] = {}  # by session and call

    # The bus's side

    async def requested(self, request: GroupStart | GroupAct | GroupDrop | GroupPart) -> None:
        """A request to a call that is at home here. Raises ImError."""
        match request:
            case GroupStart():
                await self.home.start(request)
            case GroupAct():
                await self.home.act(request)
            case GroupDrop():
                self.home.drop(request)
            case GroupPart():
                self.home.part(request)

    def told(
        self, user: str, session: str, event: GroupLinked | GroupCallChanged, receiver: Receiver, node: str
    ) -> None:
        """What the home, which is that node, tells a session of this one."""
        if isinstance(event, GroupLinked):
            self._link(user, session, event, node)
        else:
            self._note(user, session, event, node)
            receiver.notify(event)

    def _link(self, user: str, session: str, event: GroupLinked, node: str) -> None:
        if event.peers is None:
            self._forget(session, event.call)
        else:
            heard = self._of(session, event.call, event.group, event.initiator, user, node)
            heard.seated = True
        if event.peers:
            self._media.link_all(session, event, user)
        else:
            self._media.unlink(session, event.call)

    def _note(self, user: str, session: str, event: GroupCallChanged, node: str) -> None:
        """So that somebody tells the session the end when the home cannot."""
        if event.change in (GroupCallChange.ENDED, GroupCallChange.STOPPED):
            self._forget(session, event.call)
            return
        heard = self._of(session, event.call, event.group, event.initiator, user, node)
        heard.participants = event.participants
        if heard.answered is None and event.change is GroupCallChange.CONNECTED:
            heard.answered = self._clock.seconds()

    def _of(self, session: str, call: str, group: str, initiator: str, user: str, home: str) -> _Heard:
        calls = self._heard.setdefault(session, {})
        if call not in calls:
            calls[call] = _Heard(call, group, initiator, user, home)
        return calls[call]

    def _forget(self, session: str, call: str) -> None:
        calls = self._heard.get(session, {})
        if calls.pop(call, None) is not None and not calls:
            del self._heard[session]

    # Sessions

    def gone(self, session: str) -> None:
        """A session ended."""
        self._heard.pop(session, None)

    def lost(self, concerned: Callable[[str], bool]) -> Iterator[tuple[str, GroupCallChanged]]:
        """What to tell whom now that homes are lost; the calls are known no more.

        Args:
            concerned: whether a home is one of them.
        """
        found = [
            (session, heard)
            for session, calls in self._heard.items()
            for heard in calls.values()
            if concerned(heard.home)
        ]
        for session, heard in found:
            self._forget(session, heard.call)
            yield session, heard.end(self._clock.seconds())
