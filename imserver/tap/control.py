"""Opens the control socket in the data directory."""

from __future__ import annotations

import contextlib
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.error import CannotListenError
from twisted.logger import Logger

from imserver.config.control import SOCKET_NAME, control_address
from imserver.protocols.control import ControlFactory

_log = Logger()


class ControlPort:
    """The open socket."""

    def __init__(self, port: Any, factory: ControlFactory, address: ExitStack) -> None:
        self._port = port
        self._factory = factory
        self._address = address

    def close(self) -> Deferred[Any]:
        """Stops listening and hangs up; the socket is gone from the directory."""
        self._factory.hang_up()
        closed: Deferred[Any] = maybeDeferred(self._port.stopListening)
        return closed.addBoth(self._closed)

    def _closed(self, result: Any) -> Any:
        self._address.close()
        return result


def open_control(reactor: Any, data: Path, factory: ControlFactory) -> ControlPort | None:
    """Listens. To be called by whoever holds the lock of the data directory.

    Returns:
        None where it is not possible: the server serves without it, and says so.
    """
    with contextlib.suppress(OSError):
        # Left behind by a process that was killed: nobody else can be listening there.
        (data / SOCKET_NAME).unlink()
    stack = ExitStack()
    try:
        address = stack.enter_context(control_address(data))
        port = reactor.listenUNIX(address, factory, mode=0o600)
    except (CannotListenError, OSError) as error:
        stack.close()
        _log.warn("no control socket, so the command line cannot reach this server: {error}", error=error)
        return None
    return ControlPort(port, factory, stack)
