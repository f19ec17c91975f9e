"""Document 004 over sockets: tokens, kicks, versions, compression, retries over reconnects."""

from __future__ import annotations

import base64
import json
import zlib
from typing import Any

import pytest_twisted
from twisted.internet import reactor

from tests.clients import jsonline_client
from tests.e2e.commands import imserver
from tests.e2e.conftest import Serve
from tests.e2e.server import Server
from tests.e2e.tls_clients import aside


async def _client(server: Server, user: str = "", **more: Any) -> Any:
    client = await jsonline_client.connect_tcp(reactor, server.port("jsonline"))
    if user:
        assert (await client.log_in(user, **more))["payload"]["status"] == 200
    return client


async def _end(server: Server, *clients: Any) -> None:
    for client in clients:
        await client.close()
    await server.stop()


def _numbers(line: dict[str, Any]) -> tuple[int, int]:
    return line["payload"]["status"], line["payload"]["error_code"]


@pytest_twisted.ensureDeferred
async def test_a_retried_command_after_a_reconnect(serve: Serve) -> None:
    server = await serve().start()
    alice = await _client(server, "alice")
    made = await alice.request("group/create", {"group_id": "team"}, id="g1")
    assert made["payload"]["status"] == 200
    alice.abort()
    await alice.ended
    again = await _client(server, "alice")
    assert (await again.request("group/create", {"group_id": "team"}, id="g1"))["payload"] == made["payload"]
    assert _numbers(await again.request("group/create", {"group_id": "other"}, id="g1")) == (409, 1010)
    assert _numbers(await again.request("group/create", {"group_id": "team"}, id="g2")) == (409, 1010)
    # Reads are done again.
    assert len((await again.request("group/list", id="l"))["payload"]["groups"]) == 2
    await again.request("group/create", {"group_id": "third"}, id="g3")
    assert len((await again.request("group/list", id="l"))["payload"]["groups"]) == 3
    await _end(server, again)


@pytest_twisted.ensureDeferred
async def test_authorization_where_it_is_required(serve: Serve) -> None:
    server = await serve(overrides=("listener.2.require_authorization=true",)).start()
    alice = await _client(server)
    token = (await alice.log_in("alice"))["payload"]["token"]
    for headers in (None, {}, {"Authorization": "Bearer x"}, {"Authorization": token}):
        assert _numbers(await alice.request("group/list", headers=headers)) == (401, 1001)
    answer = await alice.request("group/list", headers={"Authorization": f"Bearer {token}"})
    assert answer["payload"]["status"] == 200
    refreshed = await alice.request(
        "auth/refresh", {"refresh_token": alice.lines[0]["payload"]["refresh_token"]}
    )
    assert _numbers(refreshed) == (401, 1001), "after the log-in every request needs it"
    await _end(server, alice)


@pytest_twisted.ensureDeferred
async def test_refresh_tokens_rotate(serve: Serve) -> None:
    server = await serve().start()
    alice = await _client(server)
    logged_in = (await alice.log_in("alice"))["payload"]
    stranger = await _client(server)
    old = {"refresh_token": logged_in["refresh_token"]}
    first = (await stranger.request("auth/refresh", old, id="r1"))["payload"]
    assert first["user_id"] == "alice"
    assert first["refresh_token"] != old["refresh_token"]
    assert (await stranger.request("auth/refresh", old, id="r1"))["payload"] == first
    # Over another connection, too.
    other = await _client(server)
    assert (await other.request("auth/refresh", old, id="r1"))["payload"] == first
    # Under another id it is a thief's: the family is revoked, and its sessions end.
    kick = alice.expect("auth/kick")
    assert _numbers(await stranger.request("auth/refresh", old, id="r2")) == (401, 1001)
    assert (await kick)["payload"]["message"]
    await alice.ended
    assert _numbers(await stranger.request("auth/refresh", {"refresh_token": first["refresh_token"]})) == (
        401,
        1001,
    )
    assert _numbers(await stranger.request("auth/login", {"token": first["token"]})) == (401, 1001)
    await _end(server, stranger, other)


@pytest_twisted.ensureDeferred
async def test_kicks_and_log_outs(serve: Serve) -> None:
    server = await serve().start()
    alice, bob = await _client(server, "alice"), await _client(server, "bob")
    kick = alice.expect("auth/kick")
    result = await aside(
        imserver, "--data-dir", str(server.data), "user", "kick", "alice", "--reason", "update, please"
    )
    assert result.returncode == 0, result.stderr
    assert (await kick)["payload"]["message"] == "update, please"
    await alice.ended
    assert (await bob.request("auth/logout"))["payload"]["status"] == 200
    await bob.ended
    again = await _client(server, "alice")
    assert _numbers(await again.log_in("alice")) == (409, 1010)
    # The server goes down: told as control/error.
    goodbye = again.expect("control/error")
    await server.stop()
    assert _numbers(await goodbye) == (503, 1012)


@pytest_twisted.ensureDeferred
async def test_versions(serve: Serve) -> None:
    server = await serve().start()
    client = await _client(server)
    payload = {"username": "alice", "password": "alice"}
    answer = await client.request("auth/login", payload, headers={"version": "2.0"})
    assert _numbers(answer) == (426, 1002)
    assert answer["headers"]["supported_versions"] == ["1.0", "1.0"]
    assert "1.0" in answer["payload"]["advice"]
    for version in ("1.0", "1.7", 1):
        assert (await client.request("control/ping", headers={"version": version}))["payload"][
            "status"
        ] == 200
    assert (await client.request("auth/login", payload, headers={"version": "1.0"}))["payload"][
        "status"
    ] == 200
    await _end(server, client)


@pytest_twisted.ensureDeferred
async def test_compressed_payloads(serve: Serve) -> None:
    server = await serve().start()
    alice, bob = await _client(server, "alice"), await _client(server, "bob")
    text = "compress me " * 1000
    payload = {"target": {"type": "user", "id": "bob"}, "content": {"type": "text", "text": text}}
    data = base64.b64encode(zlib.compress(json.dumps(payload).encode())).decode()
    sent = await alice.request("message/send", {"data": data}, headers={"encoding": "zlib"})
    assert sent["payload"]["status"] == 200
    assert (await bob.expect("message/event"))["payload"]["content"]["text"] == text
    bomb = base64.b64encode(zlib.compress(bytes(100_000_000))).decode()
    assert _numbers(await alice.request("message/send", {"data": bomb}, headers={"encoding": "zlib"})) == (
        413,
        1009,
    )
    whole = (await bob.request("message/history"))["payload"]
    packed = await bob.request("message/history", headers={"accept_encoding": "zlib"})
    assert packed["headers"]["encoding"] == "zlib"
    assert packed["payload"] == whole
    await _end(server, alice, bob)
