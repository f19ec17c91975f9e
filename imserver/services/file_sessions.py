"""What live sessions have to do with files: who is told of them, and what ends with a session."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from imserver.model.accounts import Principal, SessionKicked
from imserver.model.errors import ErrorCode, ImError
from imserver.services.delivery import LiveSession
from imserver.services.dispatch import Handler
from imserver.services.file_inband import InbandFiles
from imserver.services.files import Files
from imserver.services.registry import Registry

AGAIN_SECONDS = 5.0
"""So long after the store could not say what waits for somebody it is asked again."""


class FileSessions:
    """See the module; the hub tells it of sessions that begin and end.

    Args:
        clock: times new attempts.

    Attributes:
        inband: files inside chat connections.
    """

    log = Logger()

    def __init__(
        self,
        files: Files,
        registry: Registry[LiveSession],
        clock: IReactorTime,
        spawn: Callable[[Coroutine[Any, Any, Any]], None],
    ) -> None:
        self._files = files
        self._registry = registry
        self._clock = clock
        self._spawn = spawn
        self.inband = InbandFiles(files, self._find, spawn)

    def handlers(self) -> dict[type, Handler]:
        """For the dispatch."""
        return {**self._files.handlers(), **self.inband.handlers()}

    def _find(self, principal: Principal) -> LiveSession | None:
        for session in self._registry.of(principal.user):
            if session.principal.session == principal.session:
                return session
        return None

    def started(self, session: LiveSession) -> None:
        """Tells it of what waits for its user."""
        if session.client.transfers:
            self._spawn(self._tell_offers(session))

    async def _tell_offers(self, session: LiveSession) -> None:
        """Nothing else would tell it before it logs in again: while the store is away it waits."""
        while not session.closed:
            try:
                await self._files.news.session_started(session.principal, session.receiver)
                return
            except ImError as error:
                self.log.warn("what files wait for somebody is not known yet: {code}", code=error.code)
                if not error.retryable:
                    return
            await deferLater(self._clock, AGAIN_SECONDS)

    def closed(self, session: LiveSession) -> None:
        """What it had under way waits for the next one."""
        self.inband.session_closed(session.principal.session)

    def kicked(self, user: str, sid: str, session: str, event: SessionKicked) -> None:
        """Who is let in no more, or by this log-in, moves no more bytes; one session may well end alone."""
        if not session:
            self._files.channels.end_user(user, ImError(ErrorCode.AUTH_FAILED, event.text), sid)
