"""`imserver migrate` between a real server's data directory and a real Redis."""

from __future__ import annotations

import itertools
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor

from tests.clients import jsonline_client, protobuf_client
from tests.e2e.commands import imserver, verify
from tests.e2e.conftest import Serve
from tests.e2e.server import NO_RATES, Server
from tests.redis.server import RedisServer

MESSAGES = 400


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    """An empty Redis that writes everything to the disk."""
    made = RedisServer(tmp_path / "redis", aof="always").start()
    yield made
    made.close()


def settings(redis: RedisServer) -> list[str]:
    """Where Redis is, for a command."""
    return ["--set", f"store.url={redis.url}"]


async def talk(server: Server) -> str:
    """A conversation of two formats; the epoch."""
    alice = await protobuf_client.connect_user(reactor, server.port("/ws"), "alice")
    bob = await jsonline_client.connect_tcp(reactor, server.port("jsonline"))
    epoch = (await bob.log_in("bob"))["payload"]["epoch"]
    for number in range(MESSAGES):
        sent = await alice.send_text_message("bob", f"text {number}", client_msg_id=f"c{number}")
        assert sent["error_code"] == 0, sent
    await bob.send_text("alice", "answer")
    await bob.close()
    await alice.close()
    return str(epoch)


async def goes_on(server: Server, epoch: str, more: list[str]) -> None:
    """Everything is as it was: history, answers to retries, numbers."""
    alice = await protobuf_client.connect_user(reactor, server.port("/ws"), "alice")
    bob = await jsonline_client.connect_tcp(reactor, server.port("jsonline"))
    assert (await bob.log_in("bob"))["payload"]["epoch"] == epoch
    rows = await alice.sync_all()
    expected = [f"text {number}".encode() for number in range(MESSAGES)] + [b"answer"]
    assert [row["content"] for row in rows] == expected + [text.encode() for text in more]
    again = await alice.send_text_message("bob", "text 7", client_msg_id="c7")
    assert again["message_id"] == rows[7]["message_id"]
    new = f"more {len(more)}"
    sent = await alice.send_text_message("bob", new)
    assert sent["error_code"] == 0, sent
    event = (await bob.expect("message/event"))["payload"]
    assert (event["content"]["text"], event["seq"]) == (new, MESSAGES + 2 + len(more))
    more.append(new)
    await bob.close()
    await alice.close()


@pytest_twisted.ensureDeferred
async def test_there_and_back(serve: Serve, redis: RedisServer, tmp_path: Path) -> None:
    first = await serve("first", overrides=NO_RATES).start()
    epoch = await talk(first)
    busy = imserver("--data-dir", str(first.data), *settings(redis), "migrate", "redis")
    assert (busy.returncode, "in use" in busy.stderr) == (3, True), busy.stderr
    await first.stop()

    done = imserver("--data-dir", str(first.data), *settings(redis), "--json", "migrate", "redis")
    assert done.returncode == 0, done.stderr + done.stdout
    told: dict[str, Any] = json.loads(done.stdout)
    assert (told["messages"], told["deliveries"], told["faults"]) == (MESSAGES + 1, 2 * MESSAGES + 2, [])
    assert "comparing: " in done.stderr
    refused = imserver("--data-dir", str(first.data), *settings(redis), "migrate", "redis")
    assert refused.returncode == 1
    assert "already" in refused.stderr

    more: list[str] = []
    over = ("store.engine=redis", f"store.url={redis.url}", f"keys_dir={first.data}", *NO_RATES)
    node = await serve("node", overrides=over).start()
    await goes_on(node, epoch, more)
    busy = imserver("--data-dir", str(tmp_path / "back"), *settings(redis), "migrate", "sqlite")
    assert (busy.returncode, "nodes use this Redis" in busy.stderr) == (1, True), busy.stderr
    await node.stop()

    done = imserver("--data-dir", str(tmp_path / "back"), *settings(redis), "migrate", "sqlite")
    assert done.returncode == 0, done.stderr + done.stdout
    assert "users" in done.stdout
    verify(tmp_path / "back")
    back = await serve("back", overrides=NO_RATES).start()
    await goes_on(back, epoch, more)
    await back.stop()
    for server in (first, node, back):
        server.assert_clean()


@pytest_twisted.ensureDeferred
async def test_killed_in_the_middle(serve: Serve, redis: RedisServer) -> None:
    """Whenever it is killed, it can be run again, and nothing takes what is half there for a store."""
    first = await serve("first", overrides=NO_RATES).start()
    epoch = await talk(first)
    await first.stop()
    command = [
        sys.executable, "-m", "imserver.cli.main", "--data-dir", str(first.data), *settings(redis),
        "migrate", "redis",
    ]  # fmt: skip
    killed = 0
    for words in itertools.count(10, 25):
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        try:
            # Redis says how far it is; at some number of its commands the process is ended.
            while process.poll() is None and written(redis) < words:
                pass
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
                killed += 1
        finally:
            process.wait()
        if process.returncode == 0 or killed == 3:
            break
        assert redis.ask("KEYS", "im:migrating") == ["im:migrating"]
    assert killed
    done = imserver("--data-dir", str(first.data), *settings(redis), "migrate", "redis")
    assert done.returncode == 0, done.stderr + done.stdout
    over = ("store.engine=redis", f"store.url={redis.url}", f"keys_dir={first.data}", *NO_RATES)
    node = await serve("node", overrides=over).start()
    await goes_on(node, epoch, [])
    await node.stop()


def written(redis: RedisServer) -> int:
    """How many keys there are."""
    line = [line for line in redis.info("keyspace").splitlines() if line.startswith("db0:keys=")]
    return int(line[0].removeprefix("db0:keys=").partition(",")[0]) if line else 0
