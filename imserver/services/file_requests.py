"""Uploads that are asked for: new ones, and those that go on."""

from __future__ import annotations

from collections.abc import Callable

from imserver.model.accounts import Principal
from imserver.model.errors import ErrorCode, ImError
from imserver.model.files import FileOffered, RequestFile
from imserver.services.file_access import FileAccess
from imserver.services.file_news import FileNews
from imserver.services.file_ports import FileStore, NoRoom, State, Transfer
from imserver.services.file_rules import (
    FileSettings,
    check_request,
    check_same,
    info_of,
    is_free,
    no_room,
    quotas_of,
)
from imserver.services.file_table import Event, follow


class FileRequests:
    """See the module.

    Args:
        wall: the time of day, float seconds.
    """

    def __init__(
        self,
        store: FileStore,
        access: FileAccess,
        news: FileNews,
        wall: Callable[[], float],
        random_bytes: Callable[[int], bytes],
        settings: FileSettings,
    ) -> None:
        self._store = store
        self._access = access
        self._news = news
        self._wall = wall
        self._random_bytes = random_bytes
        self._settings = settings

    async def open(self, principal: Principal, command: RequestFile) -> Transfer:
        """The transfer of a request: a new one, or the one that is to go on."""
        check_request(command, self._settings)
        user = principal.user
        known: Transfer | None = None
        if command.resume:
            known = await self._store.transfer(command.resume)
            if known is None or known.owner != user:
                raise ImError(ErrorCode.NOT_FOUND, "there is no such transfer of yours")
        elif command.client_id:
            known = await self._store.transfer_of(user, principal.format, command.client_id)
            if known is not None and is_free(known, command):
                # Clients count from 1 at each start.
                await self._store.free_client_id(known.id)
                known = None
        if known is None:
            return await self._begin(principal, command)
        return await self._go_on(known, command)

    async def _go_on(self, known: Transfer, command: RequestFile) -> Transfer:
        check_same(known, command)
        follow(known.state, Event.UPLOAD)
        if known.state is State.OPEN:
            await self._access.check_target(known)
        return known

    async def _begin(self, principal: Principal, command: RequestFile) -> Transfer:
        found = await self._access.target(principal.user, command)
        now = self._wall()
        transfer = Transfer(
            0,
            f"tr-{self._random_bytes(16).hex()}",
            f"f-{self._random_bytes(16).hex()}",
            principal.user,
            principal.format,
            command.client_id,
            command.name,
            command.size,
            command.sha256,
            command.kind,
            "" if found is None else found.peer,
            "" if found is None else found.group,
            command.conversation,
            State.OPEN,
            now,
            now + self._settings.expiry_seconds,
        )
        try:
            kept = await self._store.add_transfer(transfer, quotas_of(self._settings))
        except NoRoom as error:
            raise no_room(error.quota, self._settings) from None
        if kept.id != transfer.id:  # the same request came twice at the same time
            return await self._go_on(kept, command)
        if found is not None:
            others = [member for member in found.members if member != principal.user]
            self._news.tell(others, FileOffered(info_of(kept)), principal.session)
        return kept
