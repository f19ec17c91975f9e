"""The one entrance for commands: `handle(principal, command) -> reply`.

Sessions, REST, the file channel and the command line all come through here.
Sends alone have a plain entrance of their own (`Messages.submit`), because they
are answered in batches.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from imserver.model.accounts import Ping, Pong, Principal
from imserver.model.errors import ErrorCode, ImError

Handler = Callable[[Principal, Any], Awaitable[Any]]


class Dispatch:
    """A table from command type to handler."""

    def __init__(self, wall_time: Callable[[], float]) -> None:
        self._wall_time = wall_time
        self._handlers: dict[type, Handler] = {Ping: self._ping}

    def register(self, handlers: dict[type, Handler]) -> None:
        """Adds handlers.

        Raises:
            ValueError: a command has a handler already.
        """
        for command, handler in handlers.items():
            if command in self._handlers:
                raise ValueError(f"{command.__name__} has a handler already")
            self._handlers[command] = handler

    async def handle(self, principal: Principal, command: Any) -> Any:
        """Runs a command.

        Raises:
            ImError: refused; UNKNOWN_COMMAND where nothing handles it.
        """
        handler = self._handlers.get(type(command))
        if handler is None:
            raise ImError(ErrorCode.UNKNOWN_COMMAND, "this command is not served here")
        return await handler(principal, command)

    async def _ping(self, principal: Principal, command: Ping) -> Pong:
        return Pong(self._wall_time(), command.time, command.seq)
