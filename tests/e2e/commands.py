"""Runs the `imserver` command."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def imserver(*arguments: str) -> subprocess.CompletedProcess[str]:
    """`imserver ARGUMENTS` to its end."""
    return subprocess.run(
        [sys.executable, "-m", "imserver.cli.main", *arguments],
        capture_output=True,
        text=True,
        timeout=300,
        stdin=subprocess.DEVNULL,
    )


def verify(data: Path) -> None:
    """`imserver verify` finds nothing wrong."""
    result = imserver("verify", str(data))
    assert result.returncode == 0, result.stdout + result.stderr
