"""Debian's Janus under our sample configuration: pages publish and subscribe."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted

from tests.e2e.browser import Chromium, Page
from tests.e2e.janus import Janus
from tests.e2e.namespace import Namespace
from tests.e2e.server import sleep
from tests.e2e.test_webrtc import browser, site

__all__ = ["browser", "site"]

MakeJanus = Callable[..., Janus]


@pytest.fixture
def network() -> Iterator[Namespace]:
    """A network that is gone after the test."""
    one = Namespace()
    yield one
    one.close()


@pytest.fixture
def janus(tmp_path: Path, network: Namespace) -> Iterator[MakeJanus]:
    """Makes Januses (not started) that end with the test: `janus("name", **as in Janus)`."""
    made: list[Janus] = []

    def make(name: str = "janus-1", **options: Any) -> Janus:
        made.append(Janus(tmp_path / name, network, len(made), **options))
        return made[-1]

    yield make
    for one in made:
        one.close()


async def pictures(page: Page, connection: str) -> None:
    """Waits until a page has decoded ten pictures more than now over a connection, and sounds have come."""
    before = None
    for _ in range(900):
        told = await page.run(f"({connection}) ? received({connection}) : null")
        if told is not None and told["packets"]:
            before = told["frames"] if before is None else before
            if told["frames"] >= before + 10:
                assert told["state"] == "connected"
                return
        await sleep(0.1)
    raise AssertionError((connection, told, await page.run("[room.heard, room.faults]")))


@pytest_twisted.ensureDeferred
async def test_two_pages_see_each_other(janus: MakeJanus, browser: Chromium, site: str) -> None:
    """By the address alone, as any client may do it."""
    one = await janus().start()
    pages = [await browser.page(f"{site}/room.html") for _ in range(2)]
    names = ["feed of a", "feed of b"]
    for page, name in zip(pages, names, strict=True):
        await page.run(f"Janus.open({json.dumps(one.ws)}).then((it) => {{ window.media = it }})")
        await page.run(f"media.publish('app/会议', {json.dumps(name)}).then(() => true)")
    for page, name in zip(pages, reversed(names), strict=True):
        script = f"media.subscribe('app/会议', {json.dumps(name)}).then((it) => {{ window.seen = it }})"
        await page.run(script)
        await pictures(page, "window.seen")
