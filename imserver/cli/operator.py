"""Runs administration commands: in the running server, or over its data directory if none runs."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Protocol

from imserver.cli.errors import UNREACHABLE, CommandError, refusal
from imserver.config import Configuration
from imserver.config.control import SOCKET_NAME, control_address
from imserver.model.errors import ImError
from imserver.wire import control

ANSWER_SECONDS = 60.0
BUSY_SECONDS = 5.0
_RECEIVE = 65_536


class Operator(Protocol):
    """Somebody who may do everything."""

    def perform(self, command: Any) -> Any:
        """Runs a command of `model.admin` or `model.group_admin`; gives its reply.

        Raises:
            CommandError: it was refused, or cannot be done now.
        """


class Remote:
    """Over the control socket of a running server."""

    def __init__(self, link: socket.socket) -> None:
        self._link = link
        self._buffer = b""
        self._id = 0

    def perform(self, command: Any) -> Any:
        """See Operator."""
        self._id += 1
        try:
            self._link.sendall(control.encode_request(self._id, command) + b"\n")
            id, reply = control.decode_answer(self._line())
        except control.ControlError as error:
            raise CommandError(UNREACHABLE, error.text) from None
        except TimeoutError:
            raise CommandError(UNREACHABLE, f"the server did not answer in {ANSWER_SECONDS:g} s") from None
        except OSError as error:
            raise CommandError(UNREACHABLE, f"the server hung up: {error.strerror or error}") from None
        if id not in (self._id, 0):
            raise CommandError(UNREACHABLE, "the server answered something else")
        if isinstance(reply, ImError):
            raise refusal(reply)
        return reply

    def _line(self) -> bytes:
        pieces = [self._buffer]
        while b"\n" not in pieces[-1]:
            data = self._link.recv(_RECEIVE)
            if not data:
                raise ConnectionResetError("end of the connection")
            pieces.append(data)
        line, _, self._buffer = b"".join(pieces).partition(b"\n")
        return line


def connect(data: Path) -> socket.socket | None:
    """The control socket; None if nobody listens there.

    Raises:
        CommandError: somebody does, but not to this user.
    """
    link = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    link.settimeout(ANSWER_SECONDS)
    try:
        with control_address(data) as address:
            link.connect(address)
    except (FileNotFoundError, ConnectionRefusedError):
        link.close()
        return None
    except OSError as error:
        link.close()
        hint = "; run this as root or as the server's user" if isinstance(error, PermissionError) else ""
        raise CommandError(UNREACHABLE, f"{data / SOCKET_NAME}: {error.strerror}{hint}") from None
    return link


@contextmanager
def operator(data: Path, settings: Configuration) -> Iterator[Operator]:
    """Whoever can do it now.

    A server that is just starting or stopping, or another command, is waited for
    a few seconds.

    Args:
        settings: used only where no server runs.

    Raises:
        CommandError: neither is possible.
    """
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        link = connect(data)
        if link is not None:
            with link:
                yield Remote(link)
            return
        # Not at the top: most commands find a server and need none of this.
        from imserver.cli.offline import Local

        local = Local.opened(data, settings)
        if local is not None:
            with closing(local):
                yield local
            return
        if time.monotonic() > deadline:
            raise CommandError(
                UNREACHABLE,
                f"{data}: is in use by a process without a control socket; stop it and try again",
            )
        time.sleep(0.1)
