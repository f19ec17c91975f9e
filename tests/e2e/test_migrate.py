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
from tests.clients.filechannel_client import Content
from tests.e2e.commands import imserver, verify
from tests.e2e.conftest import Serve
from tests.e2e.server import NO_RATES, Server
from tests.e2e.test_files import client, download, request, upload
from tests.e2e.test_nodes_files import begun
from tests.redis.server import RedisServer

MESSAGES = 400
MIB = 1024 * 1024


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
async def test_files_go_along(serve: Serve, redis: RedisServer, tmp_path: Path) -> None:
    """One that waits for its recipient, and one of which half is there; their bytes stay where they are."""
    shared = f"files.directory={tmp_path / 'files'}"
    whole, half = Content(MIB + 17, seed=1), Content(2 * MIB, seed=2)
    first = await serve("first", overrides=(shared, *NO_RATES)).start()
    alice = await client(first, "alice")
    kept = (await alice.request("file/request", request(whole)))["payload"]
    await upload(kept, whole)
    assert (await alice.expect("file/complete"))["payload"]["stage"] == "stored"
    opened = (await alice.request("file/request", request(half)))["payload"]
    channel = await begun(opened, half, MIB)
    await channel.close()
    await alice.close()
    await first.stop()

    over = [*settings(redis), "--json"]
    elsewhere = imserver("--data-dir", str(first.data), *over, "--set", "store.prefix=x:", "migrate", "redis")
    assert elsewhere.returncode == 0, elsewhere.stderr + elsewhere.stdout
    told = json.loads(elsewhere.stdout)
    assert (told["files"], told["bytes_missing"]) == (2, 1)
    done = imserver("--data-dir", str(first.data), *over, "--set", shared, "migrate", "redis")
    assert done.returncode == 0, done.stderr + done.stdout
    assert json.loads(done.stdout)["bytes_missing"] == 0

    there = ("store.engine=redis", f"store.url={redis.url}", f"keys_dir={first.data}", shared, *NO_RATES)
    node = await serve("node", overrides=there).start()
    bob = await client(node, "bob")
    offers = [(await bob.expect("file/request"))["payload"] for _ in range(2)]
    assert [offer["transfer_id"] for offer in offers] == [kept["transfer_id"], opened["transfer_id"]]
    accepted = (await bob.request("file/accept", {"transfer_id": kept["transfer_id"]}))["payload"]
    await download(accepted, whole)
    alice = await client(node, "alice")
    resume = {"resume": {"transfer_id": opened["transfer_id"], "offset": MIB}}
    again = (await alice.request("file/request", {**request(half), **resume}))["payload"]
    assert (again["transfer_id"], again["resume_offset"]) == (opened["transfer_id"], MIB)
    await upload(again, half)
    await bob.expect("message/event", lambda line: half.sha256 in json.dumps(line))
    await alice.close()
    await bob.close()
    await node.stop()

    back = tmp_path / "back"
    done = imserver("--data-dir", str(back), *settings(redis), "--set", shared, "migrate", "sqlite")
    assert done.returncode == 0, done.stderr + done.stdout
    assert "2 files: copied" in done.stdout
    sound = imserver("--data-dir", str(back), "--set", shared, "verify")
    assert sound.returncode == 0, sound.stderr + sound.stdout
    lacking = imserver("--data-dir", str(back), "verify")
    assert (lacking.returncode, lacking.stdout.count("are not there")) == (4, 2), lacking.stdout
    last = await serve("back", overrides=(shared, *NO_RATES)).start()
    bob = await client(last, "bob")
    offer = (await bob.expect("file/request"))["payload"]
    assert offer["transfer_id"] == opened["transfer_id"]
    accepted = (await bob.request("file/accept", {"transfer_id": offer["transfer_id"]}))["payload"]
    await download(accepted, half)
    await bob.close()
    await last.stop()


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
