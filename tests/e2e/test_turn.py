"""Debian's coturn under our sample configuration takes the credentials that the server gives, no others."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.threads import deferToThread
from twisted.internet.utils import getProcessOutputAndValue

from imserver.cli.reaching import Fault
from imserver.cli.turn import allocate
from imserver.config.ice_urls import parse_ice_url
from tests.clients.rest_client import RestClient
from tests.clients.signalling_client import connect_user
from tests.e2e.certificates import Authority
from tests.e2e.commands import imserver
from tests.e2e.conftest import Serve
from tests.e2e.coturn import SECRET, Coturn
from tests.e2e.server import Server, sleep

MakeCoturn = Callable[..., Coturn]


@pytest.fixture
def coturn(tmp_path: Path) -> Iterator[MakeCoturn]:
    """Makes coturns (not started) that end with the test: `coturn("name", **as in Coturn)`."""
    made: list[Coturn] = []

    def make(name: str = "coturn", **options: Any) -> Coturn:
        made.append(Coturn(tmp_path / name, **options))
        return made[-1]

    yield make
    for one in made:
        one.close()


def secret_file(folder: Path, secret: str = SECRET) -> Path:
    """A file with a secret."""
    path = folder / "turn.secret"
    path.write_text(secret + "\n")
    return path


def turn(urls: Sequence[str], secret: Path, region: str = "") -> str:
    """An entry of `turn`."""
    listed = ", ".join(f'"{url}"' for url in urls)
    return f'{{urls=[{listed}], secret_file="{secret}", region="{region}"}}'


async def relays(server: dict[str, Any], port: int) -> bool:
    """Whether coturn's own client gets its packets through a relay with these credentials."""
    arguments = ["-u", server["username"], "-w", server["credential"], "-p", str(port), "-n", "2", "-m", "1"]
    out, err, code = await getProcessOutputAndValue(
        "/usr/bin/turnutils_uclient", [*arguments, "-y", "127.0.0.1"], env=os.environ
    )
    if code:
        assert b"Cannot complete Allocation" in out + err, out + err
    else:
        assert b"Total lost packets 0 " in out + err, out + err
    return not code


async def given_by_rest(server: Server, user: str, region: str = "") -> list[dict[str, Any]]:
    """What /api/webrtc/config gives."""
    client = RestClient(server.port("/im"), f"demo_token_{user}")
    path = f"/api/webrtc/config?region={region}" if region else "/api/webrtc/config"
    answer = await deferToThread(client.call, "GET", path)
    servers: list[dict[str, Any]] = answer.data["ice_servers"]
    return servers


def password(username: str) -> str:
    """What belongs to a user name under the secret."""
    return base64.b64encode(hmac.new(SECRET.encode(), username.encode(), hashlib.sha1).digest()).decode()


def wrong(server: dict[str, Any], **changed: str) -> dict[str, Any]:
    """Credentials, changed."""
    return {**server, **changed}


@pytest_twisted.ensureDeferred
async def test_credentials(serve: Serve, coturn: MakeCoturn, tmp_path: Path) -> None:
    relay = await coturn().start()
    secret = secret_file(tmp_path)
    address = f"127.0.0.1:{relay.port}"
    ways = [f"turn:{address}?transport=udp", f"turn:{address}?transport=tcp"]
    north = turn([f"stun:{address}", *ways], secret, "north")
    south = turn(["turn:south.invalid"], secret, "south")
    server = await serve(overrides=[f"turn=[{north}, {south}]"]).start()

    before = int(time.time())
    alice = await connect_user(reactor, server.port("/im"), "alice")
    stun, own, far = alice.messages[0]["payload"]["ice_servers"]
    assert stun == {"urls": [f"stun:{address}"]}
    assert own["urls"] == ways
    assert far["urls"] == ["turn:south.invalid"]
    expiry, _, name = own["username"].partition(":")
    assert before + 3600 <= int(expiry) <= time.time() + 3600
    assert name == "alice"
    assert await relays(own, relay.port)

    # MessagePack says the same, and REST; each user has credentials of his own.
    packed = await connect_user(reactor, server.port("/im"), "bob", binary=True)
    bobs = packed.messages[0]["payload"]["ice_servers"][1]
    assert bobs["username"].endswith(":bob")
    assert await relays(bobs, relay.port)
    told = await given_by_rest(server, "bob")
    assert [one["urls"] for one in told] == [stun["urls"], own["urls"], far["urls"]]
    assert await relays(told[1], relay.port)
    assert [one["urls"] for one in await given_by_rest(server, "bob", "south")] == [far["urls"]]

    # The rule of coturn's REST API, by hand; the same with a time that has come is not let in.
    assert own["credential"] == password(own["username"])
    ended = f"{int(time.time()) - 1}:alice"
    assert not await relays(wrong(own, username=ended, credential=password(ended)), relay.port)

    # Nor is another time, another user, another password.
    assert not await relays(wrong(own, username=f"{int(expiry) + 1}:alice"), relay.port)
    assert not await relays(wrong(own, username=f"{expiry}:bob"), relay.port)
    assert not await relays(wrong(own, credential=bobs["credential"][::-1]), relay.port)

    # The secret is changed: both know both for a while, then only the new one counts.
    relay.close()
    both = await coturn("both", more=["static-auth-secret=another one"]).start()
    assert await relays(own, both.port)
    secret.write_text("another one\n")
    os.kill(server.pid, signal.SIGHUP)
    while "were read again" not in server.output():
        await sleep(0.05)
    renewed = (await given_by_rest(server, "alice"))[1]
    assert renewed["credential"] != own["credential"]
    assert await relays(renewed, both.port)
    only_new = await coturn("new", secret="another one").start()
    assert await relays(renewed, only_new.port)
    assert not await relays(own, only_new.port)

    # A secret that cannot be used leaves the old one in place, and no secret is ever written down.
    secret.write_text("")
    os.kill(server.pid, signal.SIGHUP)
    while "TURN secrets read before stay in use" not in server.output():
        await sleep(0.05)
    assert await relays((await given_by_rest(server, "alice"))[1], only_new.port)
    for word in (SECRET, "another one", own["credential"], renewed["credential"]):
        assert word not in server.output()
    await alice.close()
    await packed.close()
    await server.stop()


@pytest_twisted.ensureDeferred
async def test_doctor(coturn: MakeCoturn, tmp_path: Path) -> None:
    authority = Authority(tmp_path / "ca")
    relay = await coturn(certificate=authority.issue("turn", "127.0.0.1")).start()
    secret = secret_file(tmp_path)
    address = f"127.0.0.1:{relay.port}"

    async def doctor(*urls: str, trusted: Path = authority.root) -> list[str]:
        """What it says of each address."""
        environment = {**os.environ, "SSL_CERT_FILE": str(trusted)}
        result = await deferToThread(
            imserver, "doctor", "turn", "--set", f"turn=[{turn(urls, secret)}]", environment=environment
        )
        lines: list[str] = result.stdout.splitlines()
        assert result.returncode == (4 if any(line.startswith("FAIL") for line in lines) else 0), result
        assert SECRET not in result.stdout + result.stderr
        return lines

    encrypted = f"turns:127.0.0.1:{relay.tls_port}"
    lines = await doctor(f"stun:{address}", f"turn:{address}", f"turn:{address}?transport=tcp", encrypted)
    assert len(lines) == 4
    assert "sees us at 127.0.0.1" in lines[0]
    assert all("relays from 127.0.0.1" in line for line in lines[1:])
    assert {line[:2] for line in lines} == {"ok"}

    other = Authority(tmp_path / "ca", "other")
    (line,) = await doctor(encrypted, trusted=other.root)
    assert "certificate is not good" in line

    # Credentials whose time is over (coturn's clock may be a moment behind), by the same client.
    for ends, refused in ((time.time() + 60, False), (time.time() - 60, True)):
        username = f"{int(ends)}:doctor"
        asking = deferToThread(allocate, parse_ice_url(f"turn:{address}"), username, password(username))
        if refused:
            with pytest.raises(Fault, match="401"):
                await asking
        else:
            assert (await asking)[0] == "127.0.0.1"

    # Another secret, by every way.
    secret.write_text("not coturn's\n")
    lines = await doctor(f"turn:{address}", encrypted)
    assert ["another secret" in line for line in lines] == [True, True]
    secret.write_text(SECRET)

    # No relay address: the only port that it may give out is somebody else's.
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        full = await coturn("full", more=[f"min-port={port}", f"max-port={port}"]).start()
        (line,) = await doctor(f"turn:127.0.0.1:{full.port}")
        assert "no relay address left" in line
    full.close()
    (line,) = await doctor(f"turn:127.0.0.1:{full.port}")
    assert "connection refused" in line
