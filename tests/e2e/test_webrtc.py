"""Real calls: two pages in Chromium, signalling through the running server, pictures at both ends."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest_twisted
from twisted.internet import reactor
from twisted.web.resource import Resource
from twisted.web.server import Site

from tests.e2e.chromium import Chromium, Page
from tests.e2e.conftest import Serve
from tests.e2e.coturn import Coturn
from tests.e2e.server import Server, sleep
from tests.e2e.test_turn import MakeCoturn, coturn, password, secret_file, turn

__all__ = ["coturn"]

PAGES = Path(__file__).parent / "pages"
KINDS = {"phone.html": "text/html", "phone.js": "text/javascript"}


class Pages(Resource):
    """The files."""

    isLeaf = True

    def render_GET(self, request: Any) -> bytes:
        """Twisted: a browser wants one."""
        name = request.path.decode().strip("/")
        if name not in KINDS:
            request.setResponseCode(404)
            return b""
        request.setHeader("content-type", f"{KINDS[name]}; charset=utf-8")
        body: bytes = (PAGES / name).read_bytes()
        return body


@pytest_twisted.async_yield_fixture
async def browser(tmp_path: Path) -> AsyncIterator[Chromium]:
    """A browser that ends with the test."""
    one = Chromium(tmp_path / "chromium").start()
    yield one
    await one.close()


@pytest_twisted.async_yield_fixture
async def site() -> AsyncIterator[str]:
    """The pages, on a site of their own."""
    factory: Any = Site(Pages())
    port: Any = reactor.listenTCP(0, factory, interface="127.0.0.1")
    yield f"http://127.0.0.1:{port.getHost().port}"
    await port.stopListening()


async def allowed(serve: Serve, site: str, *overrides: str) -> Server:
    """A server that lets in browsers that come from the pages."""
    return await serve(overrides=[f'listener.1.allowed_origins=["{site}"]', *overrides]).start()


async def phone(browser: Chromium, site: str, server: Server, user: str, policy: str = "all") -> Page:
    """A page on which a user is logged in."""
    page = await browser.page(f"{site}/phone.html")
    url, token = f"ws://127.0.0.1:{server.port('/im')}/ws", f"demo_token_{user}"
    told = await page.run(f"phone.start({json.dumps(url)}, {json.dumps(token)}, {json.dumps(policy)})")
    assert told["user_id"] == user
    return page


async def until(page: Page, condition: str) -> Any:
    """The value of an expression, as soon as it is a true one."""
    for _ in range(600):
        if value := await page.run(condition):
            return value
        await sleep(0.1)
    told = await page.run("[phone.heard, phone.faults, phone.call && phone.call.connection.connectionState]")
    raise AssertionError(f"{condition}: {told}")


async def pictures(*pages: Page) -> list[dict[str, Any]]:
    """Waits until each page has decoded ten pictures more than now; gives their figures then."""
    found = []
    for page in pages:
        before = (await until(page, "phone.call && phone.stats()"))["frames"]
        enough = f"s.frames >= {before + 10} && s.packets > 0 && s"
        found.append(await until(page, f"phone.stats().then((s) => {enough})"))
    return found


async def of_calls(page: Page) -> list[str]:
    """What it was told of calls, but what may come at any time."""
    heard = await page.run("phone.heard")
    return [one for one in heard if one not in ("call.ice", "call.status connected")]


@pytest_twisted.ensureDeferred
async def test_a_call_from_page_to_page(serve: Serve, browser: Chromium, site: str) -> None:
    server = await allowed(serve, site)
    alice, bob = [await phone(browser, site, server, name) for name in ("alice", "bob")]
    await alice.run("phone.dial('bob', 'call_1')")
    for figures in await pictures(alice, bob):
        assert (figures["state"], figures["local"]) == ("connected", "host")
    for page in (alice, bob):
        await until(page, "phone.heard.includes('call.status connected')")

    # ICE begins anew inside the call, from the other side.
    ufrag = "phone.call.connection.localDescription.sdp.match(/ice-ufrag:(.*)/)[1]"
    before = await alice.run(ufrag)
    await bob.run("phone.restart()")
    await until(alice, f"{ufrag} !== {json.dumps(before)}")
    await pictures(alice, bob)

    await bob.run("phone.hangUp()")
    for page in (alice, bob):
        await until(page, "phone.call === null")
        assert await page.run("phone.faults") == []
    answered = ["call.status ringing", "call.answer", "call.status answered"]
    assert await of_calls(alice) == [*answered, "call.offer", "call.end user_hangup"]
    assert await of_calls(bob) == ["call.offer", "call.answer", "call.end user_hangup"]
    await server.stop()


@pytest_twisted.ensureDeferred
async def test_a_call_through_the_relay(
    serve: Serve, browser: Chromium, site: str, coturn: MakeCoturn, tmp_path: Path
) -> None:
    """Both pages use nothing but coturn, with the credentials that the server gave them."""
    relay: Coturn = await coturn().start()
    entry = turn([f"turn:127.0.0.1:{relay.port}?transport=udp"], secret_file(tmp_path))
    server = await allowed(serve, site, f"turn=[{entry}]")
    alice, bob = [await phone(browser, site, server, name, "relay") for name in ("alice", "bob")]
    await alice.run("phone.dial('bob', 'call_1')")
    for figures in await pictures(alice, bob):
        assert (figures["state"], figures["local"], figures["remote"]) == ("connected", "relay", "relay")
    await alice.run("phone.hangUp()")
    for page in (alice, bob):
        await until(page, "phone.call === null")
        assert await page.run("phone.faults") == []

    # The same credentials after their time, and with another password.
    (good,) = await alice.run("phone.servers")
    told = await alice.run(f"phone.gather({json.dumps([good])})")
    assert (set(told["candidates"]), told["errors"]) == ({"relay"}, [])
    ended = f"{int(good['username'].partition(':')[0]) - 7200}:alice"
    for username, credential in ((ended, password(ended)), (good["username"], password("another"))):
        wrong = [{**good, "username": username, "credential": credential}]
        told = await alice.run(f"phone.gather({json.dumps(wrong)})")
        assert (told["candidates"], set(told["errors"])) == ([], {401})
    await server.stop()
