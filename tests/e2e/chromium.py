"""Drives Debian's Chromium without a screen, over its DevTools protocol on two pipes."""

from __future__ import annotations

import itertools
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionLost
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure

OPTIONS = (
    "--headless=new",
    "--no-sandbox",  # tests run as root
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-background-timer-throttling",
    "--disable-renderer-backgrounding",
    "--disable-backgrounding-occluded-windows",
    "--no-first-run",
    "--no-default-browser-check",
    "--remote-debugging-pipe",
    # Whoever asks gets a camera and a microphone, which make pictures and sounds of their own.
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
    # WebRTC leaves out the loopback interface, and hides addresses behind names that only multicast resolves.
    "--allow-loopback-in-peer-connection",
    "--disable-features=WebRtcHideLocalIpsWithMdns",
)
SECONDS = 60.0


class PageFault(Exception):
    """A page could not be opened, which Chromium has a name for, or its script threw something."""


class Chromium(ProcessProtocol):
    """One browser with a profile of its own.

    It checks certificates as any browser does, against its own roots and those of `trusted`.

    Attributes:
        ended: fires when the process is gone.
    """

    def __init__(self, folder: Path, trusted: Path | None = None) -> None:
        """Args:
        folder: where it keeps everything; made here.
        trusted: PEM file of one more certificate authority.
        """
        self._folder = folder
        certificates = folder / ".pki/nssdb"
        certificates.mkdir(parents=True)
        if trusted is not None:
            store = ["-d", f"sql:{certificates}"]
            _certutil("-N", "--empty-password", *store)
            # Trusted to issue certificates of servers, and for nothing else.
            _certutil("-A", "-n", "test", "-t", "C,,", "-i", str(trusted), *store)
        self._ids = itertools.count(1)
        self._asked: dict[int, Deferred[dict[str, Any]]] = {}
        self._data = b""
        self.errors = b""
        self.ended: Deferred[None] = Deferred()

    def start(self) -> Chromium:
        """Starts it; what is asked meanwhile waits."""
        program = shutil.which("chromium")
        assert program is not None, "chromium is missing; see tests/system_packages.sh"
        # What it keeps for a user goes where the test's things go.
        environment = {"HOME": str(self._folder), "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"}
        profile = f"--user-data-dir={self._folder / 'profile'}"
        arguments = [program, *OPTIONS, profile, "about:blank"]
        self._process = reactor.spawnProcess(
            self, program, arguments, environment, childFDs={0: "w", 1: "r", 2: "r", 3: "w", 4: "r"}
        )
        return self

    async def page(self, url: str = "about:blank") -> Page:
        """A new page that has loaded. Raises PageFault."""
        target = (await self.ask("Target.createTarget", url="about:blank"))["targetId"]
        session = (await self.ask("Target.attachToTarget", targetId=target, flatten=True))["sessionId"]
        page = Page(self, session)
        await page.load(url)
        return page

    def ask(self, method: str, session: str = "", **parameters: Any) -> Deferred[dict[str, Any]]:
        """One command of the DevTools protocol; fires with its result."""
        id = next(self._ids)
        asked = {"id": id, "method": method, "params": parameters}
        if session:
            asked["sessionId"] = session
        answer: Deferred[dict[str, Any]] = Deferred()
        self._asked[id] = answer
        self._process.writeToChild(3, json.dumps(asked).encode() + b"\0")
        return answer.addTimeout(SECONDS, reactor)

    async def close(self) -> None:
        """Ends it, all its processes in order if it still can."""
        if not self.ended.called:
            self.ask("Browser.close").addErrback(lambda failure: None)
            killer = reactor.callLater(10, self._process.signalProcess, "KILL")
            await self.ended
            if killer.active():
                killer.cancel()

    # ProcessProtocol

    def childDataReceived(self, childFD: int, data: bytes) -> None:
        """Twisted: it wrote something."""
        if childFD != 4:
            self.errors += data
            return
        *messages, self._data = (self._data + data).split(b"\0")
        for message in map(json.loads, messages):
            answer = self._asked.pop(message.get("id"), None)
            if answer is None or answer.called:
                continue
            if "error" in message:
                answer.errback(Failure(PageFault(message["error"])))
            else:
                answer.callback(message["result"])

    def processEnded(self, reason: Failure) -> None:
        """Twisted: it is gone."""
        asked, self._asked = self._asked, {}
        for answer in asked.values():
            if not answer.called:
                answer.errback(Failure(ConnectionLost(self.errors.decode(errors="replace")[-2000:])))
        self.ended.callback(None)


class Page:
    """One page."""

    def __init__(self, browser: Chromium, session: str) -> None:
        self._browser = browser
        self._session = session

    async def load(self, url: str) -> None:
        """Goes there, and waits until it is loaded.

        Raises:
            PageFault: with Chromium's name for what is wrong.
        """
        told = await self._browser.ask("Page.navigate", self._session, url=url)
        if "errorText" in told:
            raise PageFault(told["errorText"])
        loaded = f"location.href === {json.dumps(url)} && document.readyState === 'complete'"
        while not await self.run(loaded):
            pass

    async def run(self, script: str) -> Any:
        """The value of an expression; of a promise, what it resolves to.

        Raises:
            PageFault: it threw.
        """
        told = await self._browser.ask(
            "Runtime.evaluate", self._session, expression=script, awaitPromise=True, returnByValue=True
        )
        if "exceptionDetails" in told:
            raise PageFault(told["exceptionDetails"]["exception"].get("description"))
        return told["result"].get("value")


def _certutil(*arguments: str) -> None:
    program = shutil.which("certutil")
    assert program is not None, "certutil is missing; see tests/system_packages.sh"
    subprocess.run([program, *arguments], check=True, timeout=60, stdin=subprocess.DEVNULL)
