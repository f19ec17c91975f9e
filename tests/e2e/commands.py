"""Runs the `imserver` command."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path


def imserver(
    *arguments: str, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """`imserver ARGUMENTS` to its end. `environment`: None = this process's."""
    return subprocess.run(
        [sys.executable, "-m", "imserver.cli.main", *arguments],
        capture_output=True,
        text=True,
        timeout=300,
        stdin=subprocess.DEVNULL,
        env=None if environment is None else dict(environment),
    )


def verify(data: Path) -> None:
    """`imserver verify` finds nothing wrong."""
    result = imserver("verify", str(data))
    assert result.returncode == 0, result.stdout + result.stderr
