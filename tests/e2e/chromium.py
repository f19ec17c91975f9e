"""Drives Debian's Chromium without a window, by its DevTools protocol over a pair of pipes."""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any

SILENT_SECONDS = 120.0


class BrowserError(Exception):
    """The page could not be opened, or its script threw."""


class Chromium:
    """One browser with one page and a profile of its own; calls block, so make them beside the reactor.

    It checks certificates as any browser does, against its own roots and those of `trusted`.
    """

    def __init__(self, home: Path, trusted: Path | None = None) -> None:
        """Args:
        home: a directory for what it keeps.
        trusted: PEM file of one more certificate authority.
        """
        self._home = home
        certificates = home / ".pki/nssdb"
        certificates.mkdir(parents=True)
        if trusted is not None:
            store = ["-d", f"sql:{certificates}"]
            _certutil("-N", "--empty-password", *store)
            # Trusted to issue certificates of servers, and for nothing else.
            _certutil("-A", "-n", "test", "-t", "C,,", "-i", str(trusted), *store)
        program = shutil.which("chromium")
        assert program is not None, "chromium is missing; see tests/system_packages.sh"
        its_input, self._to = os.pipe()
        from_it, its_output = os.pipe()
        options = [
            "--headless",
            # Its sandbox does not work for root; the only pages it sees here are the server's.
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--disable-background-networking",
            "--no-first-run",
            f"--user-data-dir={home / 'profile'}",
            "--remote-debugging-pipe",
            "about:blank",
        ]
        self._log = (home / "log").open("wb")
        self._process = subprocess.Popen(
            # It reads commands from 3 and answers on 4.
            ["bash", "-c", f'exec "$@" 3<&{its_input} 4>&{its_output}', "bash", program, *options],
            pass_fds=(its_input, its_output),
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            env={"PATH": os.environ["PATH"], "HOME": str(home), "LANG": "C.UTF-8"},
            start_new_session=True,
        )
        os.close(its_input)
        os.close(its_output)
        self._from = from_it
        self._number = 0
        self._unread = b""
        self._session = ""

    def open(self, address: str) -> None:
        """Goes to a page. Raises BrowserError with Chromium's name for what is wrong."""
        if not self._session:
            pages = self._ask("Target.getTargets")["targetInfos"]
            target = next(page["targetId"] for page in pages if page["type"] == "page")
            self._session = self._ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
            self._ask("Page.enable")
        gone = self._ask("Page.navigate", url=address)
        if "errorText" in gone:
            raise BrowserError(gone["errorText"])
        while self._read().get("method") != "Page.loadEventFired":
            pass

    def run(self, script: str) -> Any:
        """The value of an expression in the page, awaited if it is a promise. Raises BrowserError."""
        answer = self._ask("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in answer:
            raise BrowserError(json.dumps(answer["exceptionDetails"], ensure_ascii=False))
        return answer["result"].get("value")

    def close(self) -> None:
        """Ends it, with all its processes."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(30)
        os.close(self._to)
        os.close(self._from)
        self._log.close()

    def _ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._number += 1
        command: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            command["sessionId"] = self._session
        os.write(self._to, json.dumps(command).encode() + b"\0")
        while True:
            message = self._read()
            if message.get("id") == self._number:
                if "error" in message:
                    raise BrowserError(str(message["error"]))
                result: dict[str, Any] = message["result"]
                return result

    def _read(self) -> dict[str, Any]:
        while b"\0" not in self._unread:
            readable, _, _ = select.select([self._from], [], [], SILENT_SECONDS)
            more = os.read(self._from, 65536) if readable else b""
            if not more:
                state = "ended" if readable else "is silent"
                log = (self._home / "log").read_text(errors="replace")
                raise BrowserError(f"Chromium {state}:\n{log}")
            self._unread += more
        message, _, self._unread = self._unread.partition(b"\0")
        value: dict[str, Any] = json.loads(message)
        return value


def _certutil(*arguments: str) -> None:
    program = shutil.which("certutil")
    assert program is not None, "certutil is missing; see tests/system_packages.sh"
    subprocess.run([program, *arguments], check=True, timeout=60, stdin=subprocess.DEVNULL)
