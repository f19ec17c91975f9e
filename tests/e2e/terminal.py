"""A program in a terminal: what it shows is read, what a person types is written."""

from __future__ import annotations

import contextlib
import fcntl
import os
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Mapping
from pathlib import Path

from tests.e2e.server import sleep

SECONDS = 60.0


class Terminal:
    """`imserver ARGUMENTS` with a terminal of its own.

    Attributes:
        shown: everything it wrote, the echo of what was typed included.
    """

    def __init__(self, *arguments: str, cwd: Path, environment: Mapping[str, str] | None = None) -> None:
        self._master, slave = os.openpty()
        os.set_blocking(self._master, False)
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
        self._process = subprocess.Popen(
            [sys.executable, "-m", "imserver.cli.main", *arguments],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            cwd=cwd,
            env={**os.environ, "TERM": "xterm", **(environment or {})},
            start_new_session=True,
            # Prompts open the controlling terminal, which must be this one.
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        os.close(slave)
        self.shown = ""
        self._seen = 0

    def _read(self) -> None:
        with contextlib.suppress(BlockingIOError, OSError):
            while data := os.read(self._master, 65_536):
                self.shown += data.decode(errors="replace")

    async def expect(self, text: str) -> None:
        """Waits until it shows the text, behind what was waited for before."""
        deadline = time.monotonic() + SECONDS
        while True:
            self._read()
            found = self.shown.find(text, self._seen)
            if found >= 0:
                self._seen = found + len(text)
                return
            assert time.monotonic() < deadline, (text, self.shown)
            assert self._process.poll() is None, (text, self.shown)
            await sleep(0.02)

    def type(self, text: str) -> None:
        """As from the keyboard; a line ends with a line feed, and \\x04 is Ctrl-D."""
        os.write(self._master, text.encode())

    async def ended(self) -> int:
        """Waits for the end; the exit code."""
        deadline = time.monotonic() + SECONDS
        while self._process.poll() is None:
            assert time.monotonic() < deadline, self.shown
            self._read()
            await sleep(0.02)
        self._read()
        return int(self._process.returncode)

    def close(self) -> None:
        """Ends it, whatever happened."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        os.close(self._master)
