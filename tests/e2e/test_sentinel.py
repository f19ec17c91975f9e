"""A server over a master, a replica and three sentinels: the master dies, or stands still, under load."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred, DeferredList, ensureDeferred

from tests.clients import jsonline_client, protobuf_client
from tests.clients.rest_client import RestClient
from tests.e2e.certificates import Authority
from tests.e2e.conftest import Serve
from tests.e2e.server import NO_RATES, Server, sleep
from tests.ports import free_port
from tests.redis.sentinels import SERVICE, Replicated, Sentinel
from tests.redis.server import RedisServer

SENDERS = 4
PATIENCE = 2400
"""Looks of 0.05 seconds; only a broken machine takes so long."""


@pytest.fixture
def replicated(tmp_path: Path) -> Iterator[Replicated]:
    """Redis and all that belongs to it."""
    made = Replicated(tmp_path / "redis", replicas=1)
    try:
        yield made.start()
    finally:
        made.close()


class Load:
    """Users who send numbered texts to bob, and each again, under its client id, until it is accepted.

    Attributes:
        accepted: message ids by text.
        refused: texts that were refused at least once.
    """

    def __init__(self, port: int) -> None:
        self.port = port
        self.accepted: dict[str, str] = {}
        self.refused: set[str] = set()
        self.errors: list[Any] = []
        self._stopped = False
        self._senders: list[Deferred[None]] = []
        self._running: Any = None

    def start(self) -> None:
        """Begins."""
        self._senders = [ensureDeferred(self._send(number)) for number in range(SENDERS)]
        self._running = DeferredList(self._senders, fireOnOneErrback=True, consumeErrors=True)

    async def stop(self) -> None:
        """Ends once everything that was begun is accepted."""
        self._stopped = True
        await self._running

    def abandon(self) -> None:
        """Ends at once, where the test has failed: what it began would disturb the next one."""
        self._running.addErrback(lambda _: None)
        for one in self._senders:
            one.cancel()

    async def _connect(self) -> Any:
        for _ in range(PATIENCE):
            try:
                return await protobuf_client.connect_user(reactor, self.port, "alice")
            except CancelledError:
                raise
            except Exception:  # no session begins while Redis is away
                await sleep(0.05)
        raise AssertionError("it does not let anybody in")

    async def _send(self, sender: int) -> None:
        client = await self._connect()
        number = 0
        while not self._stopped:
            number += 1
            text = f"{sender}-{number}"
            for _ in range(PATIENCE):
                try:
                    answer = await client.send_text_message("bob", text, client_msg_id=f"id-{text}")
                except CancelledError:
                    raise
                except Exception:  # a new epoch ends all sessions
                    client = await self._connect()
                    continue
                if answer["error_code"] == 0:
                    self.accepted[text] = answer["message_id"]
                    break
                self.refused.add(text)
                if answer["error_code"] != 1:
                    self.errors.append(answer)
                await sleep(0.02)
            else:
                raise AssertionError(f"{text} is never accepted")
        await client.close()


async def inbox_of(server: Server, user: str) -> tuple[str, list[tuple[str, str]]]:
    """Epoch, and (text, message id) of all the user has, as a client of document 004 reads it."""
    client = await jsonline_client.connect_tcp(reactor, server.port("jsonline"))
    epoch = (await client.log_in(user))["payload"]["epoch"]
    found: list[tuple[str, str]] = []
    cursor = ""
    while True:
        query = {"since": cursor} if cursor else {}
        page = (await client.request("message/history", query))["payload"]
        found += [(one["content"]["text"], one["message_id"]) for one in page["messages"]]
        if not page["has_more"]:
            break
        cursor = page["next_cursor"]
    await client.close()
    return epoch, found


def readiness(server: Server) -> int:
    """The status of /readyz."""
    return RestClient(server.port("/meeting")).get("/readyz").status


async def until_true(true: Callable[[], object]) -> None:
    """Waits until it is."""
    for _ in range(PATIENCE):
        if true():
            return
        await sleep(0.05)
    raise AssertionError("it does not come")


async def said(server: Server, text: str) -> None:
    """Waits until it has written something."""
    await until_true(lambda: text in server.output())


@pytest_twisted.ensureDeferred
@pytest.mark.parametrize("how", ["killed", "stands-still"])
async def test_the_master_fails_under_load(serve: Serve, replicated: Replicated, how: str) -> None:
    """What was acknowledged is there, once; the rest was refused with "try again"; nothing is restarted."""
    old, other = replicated.servers
    overrides = (
        *replicated.overrides, "store.ack=replicated", "store.replicas_seconds=0.5",
        "store.timeout_seconds=2", *NO_RATES, "limits.unauthenticated_per_address=0",
    )  # fmt: skip
    server = await serve(overrides=overrides).start()
    watcher = await jsonline_client.connect_tcp(reactor, server.port("jsonline"))
    before = (await watcher.log_in("bob"))["payload"]["epoch"]
    load = Load(server.port("/ws"))
    load.start()
    try:
        await until_true(lambda: len(load.accepted) > 40)
        (old.kill if how == "killed" else old.pause)()
        seen = set(load.accepted)
        await until_true(lambda: replicated.master() is other)
        # There is a master, but no replica of it: nothing may be acknowledged.
        await until_true(lambda: load.refused)
        await sleep(1.0)
        assert readiness(server) == 503
        alone = len(load.accepted)
        await sleep(1.0)
        assert len(load.accepted) == alone
        (old.start if how == "killed" else old.go_on)()
        # A sentinel makes the old master a replica of the new one.
        await until_true(lambda: len(load.accepted) > alone + 40)
        assert readiness(server) == 200
        await load.stop()
        assert load.errors == []
        epoch, found = await inbox_of(server, "bob")
        assert epoch != before
        assert sorted(found) == sorted(load.accepted.items())
        assert seen <= {text for text, _ in found}
        assert replicated.master() is other
        await watcher.close()
        await server.stop()
        server.assert_clean()
    finally:
        load.abandon()


@pytest_twisted.ensureDeferred
async def test_a_fail_over_with_acknowledgements_of_the_master(serve: Serve, replicated: Replicated) -> None:
    """By hand: the sessions end, log in and hear of another epoch; the server goes on."""
    server = await serve(overrides=(*replicated.overrides, *NO_RATES)).start()
    bob = await jsonline_client.connect_tcp(reactor, server.port("jsonline"))
    before = (await bob.log_in("bob"))["payload"]["epoch"]
    await bob.send_text("bob", "note")
    replicated.sentinels[0].ask("SENTINEL", "FAILOVER", SERVICE)
    await until_true(lambda: bob.ended.called)
    epoch, found = "", [("", "")]
    for _ in range(PATIENCE):
        try:
            epoch, found = await inbox_of(server, "bob")
        except Exception:  # not yet
            await sleep(0.05)
            continue
        break
    assert epoch not in ("", before)
    assert [text for text, _ in found] == ["note"]
    await server.stop()


@pytest_twisted.ensureDeferred
async def test_passwords_of_sentinels_and_master(serve: Serve, tmp_path: Path) -> None:
    """Each has its own; a wrong one is said in one line."""
    made = Replicated(
        tmp_path / "redis",
        replicas=0,
        sentinels=1,
        options=("--requirepass", "m4ster"),
        lines=("requirepass s3ntinel", f"sentinel auth-pass {SERVICE} m4ster"),
    )
    for name in ("m4ster", "s3ntinel", "wrong"):
        (tmp_path / name).write_text(f"{name}\n")
    try:
        made.servers[0].start()
        made.sentinels[0].start()
        for password, complaint in (("wrong", "WRONGPASS"), ("s3ntinel", "")):
            server = serve(
                f"with-{password}",
                overrides=(
                    *made.overrides,
                    f"store.password_file={tmp_path / 'm4ster'}",
                    f"store.sentinel_password_file={tmp_path / password}",
                ),
            )
            server.launch()
            if complaint:
                await said(server, complaint)
                assert "the sentinel 127.0.0.1:" in server.output()
                assert "wrong\n" not in server.output()
            else:
                await server.listening()
                await server.stop()
    finally:
        made.close()


@pytest_twisted.ensureDeferred
async def test_sentinel_and_master_over_tls(serve: Serve, tmp_path: Path) -> None:
    """With rediss:// the sentinels are reached over TLS, too, and their certificates are checked."""
    authority, other = Authority(tmp_path / "ca"), Authority(tmp_path / "other")
    certificate, key = authority.issue("redis", "127.0.0.1")
    encrypted = free_port()
    tls = {
        "tls-cert-file": certificate,
        "tls-key-file": key,
        "tls-ca-cert-file": authority.root,
        "tls-auth-clients": "no",
        "tls-replication": "yes",
    }
    words = [word for name, value in tls.items() for word in (f"--{name}", str(value))]
    master = RedisServer(tmp_path / "redis", options=("--tls-port", str(encrypted), *words))
    asked = free_port()
    lines = (f"tls-port {asked}", *(f"{name} {value}" for name, value in tls.items()))
    sentinel = Sentinel(tmp_path / "sentinel", encrypted, quorum=1, down_after=5.0, lines=lines)
    try:
        master.start()
        sentinel.start()
        for ca, complaint in ((other.root, "certificate verify failed"), (authority.root, "")):
            server = serve(
                "right" if not complaint else "wrong",
                overrides=(
                    "store.engine=redis",
                    "store.url=rediss://is-not-looked-at",
                    f"store.ca={ca}",
                    f'store.sentinels=["127.0.0.1:{asked}"]',
                    f"store.sentinel_service={SERVICE}",
                ),
            )
            server.launch()
            if complaint:
                await said(server, complaint)
                assert "the sentinel 127.0.0.1:" in server.output()
            else:
                await server.listening()
                assert readiness(server) == 200
                await server.stop()
    finally:
        sentinel.kill()
        master.close()
