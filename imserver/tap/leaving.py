"""The exit code of a process whose reactor was stopped."""

from __future__ import annotations

import atexit
import os
import sys


def exit_with(code: int) -> None:
    """Makes the process end with this code; twistd itself ends with 0 whenever the reactor was stopped."""
    atexit.register(_leave, code)


def _leave(code: int) -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
