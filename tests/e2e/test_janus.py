"""Debian's Janus under our sample configuration: pages publish and subscribe."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor

from tests.clients.meeting_client import connect_member
from tests.e2e.certificates import Authority
from tests.e2e.chromium import Chromium, Page
from tests.e2e.commands import imserver
from tests.e2e.conftest import Serve
from tests.e2e.janus import Janus
from tests.e2e.namespace import ADDRESS, Namespace
from tests.e2e.server import Server, sleep
from tests.e2e.test_webrtc import browser, site

__all__ = ["browser", "site"]

MakeJanus = Callable[..., Janus]
APP = "app"


@pytest.fixture(autouse=True)
def _network() -> Iterator[None]:
    """Everything here, the browser and the server, too, runs in a network of the test's own."""
    network = Namespace()
    try:
        network.enter()
        yield
    finally:
        network.close()


@pytest.fixture
def janus(tmp_path: Path) -> Iterator[MakeJanus]:
    """Makes Januses (not started) that end with the test: `janus("name", **as in Janus)`."""
    made: list[Janus] = []

    def make(name: str = "janus-1", **options: Any) -> Janus:
        made.append(Janus(tmp_path / name, len(made), **options))
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


async def until(page: Page, condition: str) -> None:
    """Waits for it."""
    for _ in range(900):
        if await page.run(condition):
            return
        await sleep(0.1)
    raise AssertionError((condition, await page.run("[room.heard, room.faults]")))


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


@pytest_twisted.ensureDeferred
async def test_doctor(janus: MakeJanus, tmp_path: Path) -> None:
    authority = Authority(tmp_path / "ca")
    one = await janus(certificate=authority.issue("janus", ADDRESS)).start()
    keys = {"wss": one.wss, "ws": one.ws, "http": one.http, "health": one.health}
    entry = ", ".join(f'{key}="{url}"' for key, url in {"name": one.name, **keys}.items())

    def doctor(trusted: Path) -> list[str]:
        """What it says of each address."""
        environment = {**os.environ, "SSL_CERT_FILE": str(trusted)}
        command = ("doctor", "media", "--set", f"media_server=[{{{entry}}}]")
        result = imserver(*command, environment=environment)
        lines: list[str] = result.stdout.splitlines()
        assert result.returncode == (4 if any(line.startswith("FAIL") for line in lines) else 0), result
        return lines

    lines = doctor(authority.root)
    assert lines == [
        *(f"ok    media: janus-1: {keys[key]}: answers" for key in ("wss", "ws", "http")),
        f"ok    media: janus-1: health at {one.health}: well",
    ]
    lines = doctor(Authority(tmp_path / "ca", "other").root)
    assert "certificate is not good" in lines[0]
    assert {line[:2] for line in lines[1:]} == {"ok"}
    one.close()
    assert ["connection refused" in line for line in doctor(authority.root)] == [True] * 4


def media_servers(*januses: Janus) -> str:
    """The configuration of these, asked often."""
    often = "health_interval_seconds=0.2, health_timeout_seconds=10, health_failures=2, health_successes=2"
    entries = [f'{{name="{one.name}", ws="{one.ws}", health="{one.health}", {often}}}' for one in januses]
    return f"media_server=[{', '.join(entries)}]"


async def member(
    browser: Chromium, site: str, server: Server, channel: str, user: str, published: bool = True
) -> Page:
    """A page whose user is in a room."""
    page = await browser.page(f"{site}/room.html")
    url = f"ws://127.0.0.1:{server.port('/meeting')}/meeting?token=demo_token_{user}"
    told = await page.run(f"room.join({', '.join(map(json.dumps, (url, APP, channel, user)))})")
    assert told["session"]
    if published:
        await page.run(f"room.publish('stream of {user}').then(() => true)")
    return page


async def home(page: Page) -> str:
    """The address of the Janus that a page uses."""
    address: str = await page.run("room.server.ws")
    return address


async def sees(page: Page, *users: str) -> None:
    """Waits until pictures of these come in."""
    for user in users:
        await pictures(page, f'room.streams["stream of {user}"]')
    assert await page.run("room.faults") == []


@pytest_twisted.ensureDeferred
async def test_rooms_through_the_server(serve: Serve, janus: MakeJanus, browser: Chromium, site: str) -> None:
    """Two pages meet in a room, through the Janus that the server names; it dies, they go on elsewhere."""
    both = [await janus(name).start() for name in ("janus-1", "janus-2")]
    server = await serve(overrides=[f'listener.1.allowed_origins=["{site}"]', media_servers(*both)]).start()

    # The room's Janus is the server's choice; the one that looks on learns of the other by the dump.
    alice = await member(browser, site, server, "room", "alice")
    bob = await member(browser, site, server, "room", "bob")
    await bob.run("room.look().then(() => true)")
    await sees(alice, "bob")
    await sees(bob, "alice")
    first = await home(alice)
    assert await home(bob) == first
    (chosen,) = [one for one in both if one.ws == first]
    (other,) = [one for one in both if one is not chosen]

    # Their Janus is killed: they are told, and meet at the other one.
    chosen.close()
    changed = "room.heard.some((one) => one.event === 'error' && one.data.type === 'media_server_changed')"
    for page in (alice, bob):
        await until(page, changed)
        await until(page, f"room.server.ws === {json.dumps(other.ws)} && room.published")
    await sees(alice, "bob")
    await sees(bob, "alice")

    # So do rooms that are new.
    carol = await member(browser, site, server, "another room", "carol", published=False)
    assert await home(carol) == other.ws
    for number in range(8):
        client = await connect_member(reactor, server.port("/meeting"), "dave", f"channel {number}")
        told = await client.request("media_server.dump")
        assert told["data"]["media_server"] == {"ws": other.ws}
        await client.close()
    await server.stop()
    assert f"media server {chosen.name} is ill" in server.output()
    assert f"media server {other.name} is ill" not in server.output()
