"""Runs `imserver` in this process."""

from __future__ import annotations

import io
import json
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from imserver.cli.main import main

WEAK = ("--set", "auth.password_time_cost=1", "--set", "auth.password_memory_kib=8")


class CliCase(SynchronousTestCase):
    """With a data directory that does not exist yet, and no secrets in the environment."""

    def setUp(self) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)
        self.data = self.folder / "data"
        for name in ("PASSWORD", "TOKEN", "CONFIG", "DATA_DIR"):
            self.set_environment(f"IMSERVER_{name}", None)
        self.patch(sys, "stdin", io.StringIO())

    def set_environment(self, name: str, value: str | None) -> None:
        """Until the end of the test."""
        environment = dict(os.environ)
        environment.pop(name, None)
        if value is not None:
            environment[name] = value
        self.patch(os, "environ", environment)

    def run_command(self, *arguments: str) -> tuple[int, str, str]:
        """(exit code, stdout, stderr)."""
        out, err = io.StringIO(), io.StringIO()
        self.patch(sys, "stdout", out)
        self.patch(sys, "stderr", err)
        try:
            code = main(arguments)
        except SystemExit as end:
            code = int(end.code or 0)
        return code, out.getvalue(), err.getvalue()

    def imserver(self, *arguments: str, code: int = 0) -> str:
        """Runs it on the data directory; stdout. Refusals are one line on stderr."""
        found, out, err = self.run_command("--data-dir", str(self.data), *WEAK, *arguments)
        self.assertEqual(found, code, err)
        if code in (1, 3):
            self.assertEqual((err.count("\n"), err[:10]), (1, "imserver: "), err)
        return out + err

    def json(self, *arguments: str, code: int = 0) -> Any:
        """The same with --json; what stdout holds."""
        found, out, err = self.run_command("--data-dir", str(self.data), *WEAK, *arguments, "--json")
        self.assertEqual(found, code, err)
        return json.loads(out)
