"""Calls of groups, as the sessions of this node see them; a part of `calls.Calls`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from twisted.internet.interfaces import IReactorTime

from imserver.model.group_calls import GroupCallChanged
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
        self, user: str, session: str, event: GroupLinked | GroupCallChanged, receiver: Receiver
    ) -> None:
        """What the home tells a session of this node."""
        if isinstance(event, GroupCallChanged):
            receiver.notify(event)
        elif event.peers:
            self._media.link_all(session, event, user)
        else:
            self._media.unlink(session, event.call)
