"""Signed and encrypted JSON lines over the real server, against a client written by hand."""

from __future__ import annotations

import base64
import json
import os
import signal
import stat
import time
from pathlib import Path
from typing import Any

import pytest_twisted
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from twisted.internet import reactor

from tests.clients import jsonline_client
from tests.clients.jsonline_client import connect
from tests.clients.jsonline_security import Keys, SecureClient
from tests.e2e import tls_clients
from tests.e2e.certificates import Authority
from tests.e2e.commands import imserver
from tests.e2e.conftest import Serve
from tests.e2e.server import Server, sleep

SIGNED, SEALED = "listener.2.signature=required", "listener.2.encryption=allowed"


async def _operate(server: Server, *arguments: str) -> str:
    """What an operator's command prints."""
    result = await tls_clients.aside(imserver, "--data-dir", str(server.data), *arguments)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


async def add_key(server: Server, user: str, **options: Any) -> Keys:
    """Provisions a key as an operator does, in the running server."""
    written = await _operate(server, "key", "add", user)
    kid, secret = written.split()
    return Keys(base64.b64decode(secret), kid, **options)


async def _client(
    server: Server, keys: Keys, user: str = "", authority: Authority | None = None
) -> SecureClient:
    client = SecureClient(keys, reactor)
    if authority is not None:
        await connect(tls_clients.endpoint(authority, server.port("jsonline")), client)
    else:
        await jsonline_client.connect_tcp(reactor, server.port("jsonline"), client)
    if user:
        assert (await client.log_in(user))["payload"]["status"] == 200
    return client


async def _end(server: Server, *clients: Any) -> None:
    for client in clients:
        await client.close()
    await server.stop()


def _secrets_are_nowhere(server: Server, *secrets: bytes) -> None:
    output = server.output()
    for secret in secrets:
        for written in (secret.hex(), base64.b64encode(secret).decode()):
            assert written not in output


@pytest_twisted.ensureDeferred
async def test_over_tls_with_the_log_ins_key(serve: Serve, tmp_path: Path) -> None:
    authority = Authority(tmp_path / "pki")
    override = tls_clients.tls_override(2, authority.issue("server", "localhost"))
    server = await serve(overrides=(override, SIGNED)).start()
    alice = await _client(server, Keys(), "alice", authority)
    bob = await _client(server, Keys(), "bob", authority)
    sent = await alice.send_text("bob", "signed")
    assert sent["payload"]["status"] == 200
    event = await bob.expect("message/event")
    assert event["payload"]["content"]["text"] == "signed"
    # All but the answer to the log-in were signed, each under its session's own key.
    assert alice.keys.signed == len(alice.lines) - 1
    assert bob.keys.signed == len(bob.lines) - 1
    assert alice.keys.signing_key != bob.keys.signing_key

    own = alice.keys.signing_key
    alice.keys.signing_key = bob.keys.signing_key
    line = alice.encoded("message/send", {"content": {"type": "text", "text": "x"}}, id="w")
    alice.keys.signing_key = own
    refused = alice.answer_to("w")
    alice.send_raw(line)
    answer = (await refused)["payload"]
    assert (answer["status"], answer["error_code"]) == (401, 1003)
    assert abs(answer["server_time"] - time.time()) < 300
    alice.keys.sign = False
    assert (await alice.request("group/list"))["payload"]["error"] == "SIGNATURE"
    assert own is not None
    _secrets_are_nowhere(server, own)
    await _end(server, alice, bob)


@pytest_twisted.ensureDeferred
async def test_encrypted_and_replayed(serve: Serve) -> None:
    server = await serve(overrides=("listener.2.signature=verify", SEALED)).start()
    nonces: set[bytes] = set()
    keys = await add_key(server, "alice", seal=True, nonces=nonces)
    assert keys.psk is not None
    await sleep(1.1)  # nothing of the second of the start passes
    alice = await _client(server, keys, "alice")
    bob = await _client(server, Keys(sign=False), "bob")
    line = alice.encoded("message/send", _text("once"), id="m1")
    first = alice.answer_to("m1")
    alice.send_raw(line)
    sent = (await first)["payload"]
    assert sent["status"] == 200
    assert (await bob.expect("message/event"))["payload"]["content"]["text"] == "once"

    # Once more on the same connection, and on another of the same user.
    again = alice.answer_to("m1")
    alice.send_raw(line)
    assert (await again)["payload"]["error"] == "SIGNATURE"
    keys2 = Keys(keys.psk, keys.kid, seal=True, nonces=nonces)
    second = await _client(server, keys2, "alice")
    again = second.answer_to("m1")
    second.send_raw(line)
    assert (await again)["payload"]["error_code"] == 1003
    # A retry uses a new nonce, and is answered again.
    retried = await second.request("message/send", _text("once"), id="m1")
    assert retried["payload"]["message_id"] == sent["message_id"]

    # No way back to clear text.
    alice.keys.seal = alice.keys.sign = False
    assert (await alice.request("control/ping"))["payload"]["error"] == "SIGNATURE"
    alice.keys.seal = True
    assert (await alice.request("control/ping"))["payload"]["status"] == 200
    # What was only heard opens nothing: a log-in on a connection of one's own.
    thief = await jsonline_client.connect_tcp(reactor, server.port("jsonline"), _Deaf(reactor))
    thief.send_raw(line)
    thief.send_raw(json.dumps({"command": "group/list", "id": "2"}).encode() + b"\n")
    await thief.got(2)
    assert all(b'"enc":"aes-256-gcm"' in line for line in thief.data.splitlines())
    _secrets_are_nowhere(server, keys.psk)

    # After a restart nobody remembers nonces: what is from before is refused.
    await alice.close()
    await second.close()
    await bob.close()
    old = keys.line("auth/login", {"username": "alice", "password": "alice"}, id="old")
    await server.stop()
    await server.start()
    late = await _client(server, Keys(keys.psk, keys.kid, seal=True, nonces=nonces))
    refused = late.answer_to("old")
    late.send_raw(json.dumps(old).encode() + b"\n")
    answer = (await refused)["payload"]
    assert answer["error"] == "SIGNATURE"
    late.keys.clock = 0
    while True:  # the second of the start itself is refused, too
        answer = (await late.log_in("alice"))["payload"]
        if answer["status"] == 200:
            break
        assert answer["error"] == "SIGNATURE", answer
        assert answer["server_time"] > 0
        await sleep(0.3)
    await _end(server, late)


@pytest_twisted.ensureDeferred
async def test_a_client_corrects_its_clock(serve: Serve) -> None:
    server = await serve(overrides=(SEALED,)).start()
    keys = await add_key(server, "alice", sign=False, seal=True)
    await sleep(1.1)
    keys.clock = 4000
    alice = await _client(server, keys)
    refused = (await alice.log_in("alice"))["payload"]
    assert refused["status"] == 401
    keys.clock = refused["server_time"] - int(time.time())
    assert (await alice.log_in("alice"))["payload"]["status"] == 200
    await _end(server, alice)


@pytest_twisted.ensureDeferred
async def test_wrong_keys(serve: Serve) -> None:
    server = await serve(
        overrides=("listener.2.signature=required", "listener.2.encryption=required")
    ).start()
    alice_keys = await add_key(server, "alice", seal=True)
    bob_keys = await add_key(server, "bob", seal=True)
    await sleep(1.1)
    stranger = await _client(server, Keys(sign=False))
    assert (await stranger.log_in("alice"))["payload"]["error"] == "SIGNATURE"
    # Bob's key says nothing for alice, whatever the password.
    bob_as_alice = await _client(server, bob_keys)
    assert (await bob_as_alice.log_in("alice"))["payload"]["error"] == "SIGNATURE"
    guessed = await _client(server, Keys(bytes(32), alice_keys.kid, seal=True))
    assert (await guessed.log_in("alice"))["payload"]["error"] == "SIGNATURE"
    alice = await _client(server, alice_keys, "alice")
    assert (await alice.request("control/ping"))["payload"]["status"] == 200
    # A key that the operator takes away counts for nothing at once.
    await _operate(server, "key", "remove", alice_keys.kid)
    assert (await alice.request("control/ping"))["payload"]["error"] == "SIGNATURE"
    await _end(server, stranger, bob_as_alice, guessed, alice)


@pytest_twisted.ensureDeferred
async def test_digital_signatures(serve: Serve) -> None:
    server = await serve(overrides=(SIGNED,)).start()
    private = Ed25519PrivateKey.generate()
    public = base64.b64encode(private.public_key().public_bytes_raw()).decode()
    await _operate(server, "key", "register", "alice", public, "--kid", "laptop")
    listed = json.loads(await _operate(server, "key", "list", "--json"))
    keys = Keys(private=private, private_kid="laptop")
    keys.server_public = base64.b64decode(listed["server_public"])
    alice = await _client(server, keys, "alice")
    assert (await alice.request("group/list"))["payload"]["status"] == 200
    assert keys.signed == len(alice.lines)
    await _end(server, alice)


@pytest_twisted.ensureDeferred
async def test_pages_of_an_encrypted_session_fit_into_lines(serve: Serve) -> None:
    server = await serve(overrides=(SEALED,)).start()
    keys = await add_key(server, "alice", sign=False, seal=True)
    bob = await _client(server, Keys(sign=False), "bob")
    for number in range(12):
        text = f"{number} " + "x" * 50_000
        assert (await bob.send_text("alice", text))["payload"]["status"] == 200
    await sleep(1.1)
    alice = await _client(server, keys, "alice")  # the client refuses lines above 256 KiB
    got: list[str] = []
    while len(got) < 12:
        page = await alice.expect("message/offline")
        got += [item["content"]["text"].split()[0] for item in page["payload"]["messages"]]
    assert got == [str(number) for number in range(12)]
    await _end(server, alice, bob)


def _text(text: str) -> dict[str, Any]:
    return {"target": {"type": "user", "id": "bob"}, "content": {"type": "text", "text": text}}


class _Deaf(jsonline_client.JsonLineClient):
    """Keeps bytes instead of reading them."""

    data = b""

    def dataReceived(self, data: bytes) -> None:
        """See the base class."""
        self.data += data

    async def got(self, lines: int) -> None:
        """Waits for that many lines."""
        deadline = time.monotonic() + 60
        while self.data.count(b"\n") < lines:
            assert time.monotonic() < deadline, self.data
            await sleep(0.02)


@pytest_twisted.ensureDeferred
async def test_a_file_that_was_changed_by_hand_is_read_on_reload(serve: Serve) -> None:
    server = await serve(overrides=(SEALED,)).start()
    keys = await add_key(server, "alice", sign=False, seal=True)
    path = server.data / "message-keys.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.write_text(path.read_text().replace(f'"{keys.kid}"', '"renamed"'))
    os.kill(server.pid, signal.SIGHUP)
    while "were read again" not in server.output():
        await sleep(0.05)
    keys.kid = "renamed"
    await sleep(1.1)
    alice = await _client(server, keys, "alice")
    # One that cannot be used leaves what was there.
    path.write_text("{")
    os.kill(server.pid, signal.SIGHUP)
    while "message keys read before stay in use" not in server.output():
        await sleep(0.05)
    assert (await alice.request("control/ping"))["payload"]["status"] == 200
    await _end(server, alice)
