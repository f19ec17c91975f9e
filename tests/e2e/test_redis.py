"""A real server over a real Redis: conversations, failures, start-up, secrets."""

from __future__ import annotations

import itertools
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import Deferred

from tests.clients import jsonline_client, protobuf_client
from tests.clients.rest_client import RestClient
from tests.e2e.certificates import Authority
from tests.e2e.commands import imserver
from tests.e2e.conftest import Serve
from tests.e2e.conversations import PAIRS, Conversation, until
from tests.e2e.server import EVERY_FORMAT, NO_RATES, Server, sleep
from tests.e2e.variants import VARIANTS
from tests.ports import free_port
from tests.redis.server import RedisServer

RING = list(itertools.pairwise([*VARIANTS, next(iter(VARIANTS))]))
"""Pairs in which every format is heard and spoken."""

StartRedis = Callable[..., RedisServer]


def over(redis: RedisServer, *more: str) -> tuple[str, ...]:
    """Overrides of a node over this Redis."""
    return ("store.engine=redis", f"store.url={redis.url}", *more)


@pytest.fixture
def start_redis(tmp_path: Path) -> Iterator[StartRedis]:
    """Starts servers that end with the test."""
    started: list[RedisServer] = []

    def start(aof: str = "always", options: tuple[str, ...] = ()) -> RedisServer:
        server = RedisServer(tmp_path / f"redis{len(started)}", aof=aof, options=options)
        started.append(server)
        return server.start()

    yield start
    for server in started:
        server.close()


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One node for all conversations."""
    redis = RedisServer().start()
    made = Server(
        tmp_path_factory.mktemp("redis") / "data",
        overrides=over(redis, *NO_RATES, "limits.unauthenticated_per_address=0"),
        listeners=EVERY_FORMAT,
    )
    pytest_twisted.blockon(Deferred.fromCoroutine(made.start()))
    yield made
    if made.running:
        pytest_twisted.blockon(Deferred.fromCoroutine(made.stop()))
    made.close()
    redis.close()


@pytest_twisted.ensureDeferred
@pytest.mark.parametrize(("first", "second"), RING, ids=[f"{a}-to-{b}" for a, b in RING])
async def test_a_conversation(node: Server, first: str, second: str) -> None:
    assert (first, second) in PAIRS
    await Conversation(node, first, second).run()
    node.assert_clean()


def http_port(server: Server) -> int:
    """Where REST is served."""
    return server.port("/meeting")


@pytest_twisted.ensureDeferred
async def test_redis_dies_and_comes_back(serve: Serve, start_redis: StartRedis) -> None:
    """Sends are refused, sessions stay, nothing acknowledged is lost, nothing comes twice."""
    redis = start_redis()
    server = await serve(overrides=over(redis, "store.timeout_seconds=5")).start()
    rest = RestClient(http_port(server))
    alice = await protobuf_client.connect_user(reactor, server.port("/ws"), "alice")
    bob = await jsonline_client.connect_tcp(reactor, server.port("jsonline"))
    await bob.log_in("bob")
    first = await alice.send_text_message("bob", "before", client_msg_id="c1")
    assert first["error_code"] == 0
    assert (await bob.expect("message/event"))["payload"]["seq"] == 1
    assert rest.get("/readyz").status == 200

    redis.kill()
    # Both formats' way of saying: try again.
    refused = await alice.send_text_message("bob", "while away", client_msg_id="c2")
    assert refused["error_code"] == 1, refused
    answer = (await bob.send_text("alice", "while away"))["payload"]
    assert (answer["status"], answer["retryable"]) == (503, True), answer
    assert rest.get("/readyz").status == 503
    assert rest.get("/healthz").status == 200
    assert (await bob.request("control/ping"))["payload"]["status"] == 200

    redis.start()
    for _ in range(600):
        if rest.get("/readyz").status == 200:
            break
        await sleep(0.05)
    again = await alice.send_text_message("bob", "before", client_msg_id="c1")
    assert again["message_id"] == first["message_id"]
    sent = await alice.send_text_message("bob", "after", client_msg_id="c2")
    assert sent["error_code"] == 0, sent
    event = (await bob.expect("message/event"))["payload"]
    assert (event["content"]["text"], event["seq"]) == ("after", 2)
    history = (await bob.request("message/history", {}))["payload"]
    assert [message["content"]["text"] for message in history["messages"]] == ["before", "after"]
    await alice.close()
    await bob.close()
    await server.stop()


@pytest_twisted.ensureDeferred
async def test_a_silent_redis(serve: Serve, start_redis: StartRedis) -> None:
    """What was refused because nothing answered in time does not happen afterwards."""
    redis = start_redis("")
    server = await serve(overrides=over(redis, "store.timeout_seconds=2")).start()
    alice = await protobuf_client.connect_user(reactor, server.port("/ws"), "alice")
    sent = await alice.send_text_message("alice", "1")
    assert sent["error_code"] == 0
    redis.pause()
    refused = await alice.send_text_message("alice", "never")
    assert refused["error_code"] == 1, refused
    redis.go_on()
    for _ in range(600):
        sent = await alice.send_text_message("alice", "2", client_msg_id="two")
        if sent["error_code"] == 0:
            break
        await sleep(0.05)
    assert [row["content"] for row in await alice.sync_all()] == [b"1", b"2"]
    await alice.close()
    await server.stop()


@pytest_twisted.ensureDeferred
async def test_a_restart_finds_everything(serve: Serve, start_redis: StartRedis) -> None:
    redis = start_redis()
    server = await serve(overrides=over(redis)).start()
    bob = await jsonline_client.connect_tcp(reactor, server.port("jsonline"))
    epoch = (await bob.log_in("bob"))["payload"]["epoch"]
    await bob.send_text("bob", "note")
    await bob.close()
    await server.stop()
    redis.kill()
    redis.start()
    await server.start()
    bob = await jsonline_client.connect_tcp(reactor, server.port("jsonline"))
    answer = (await bob.log_in("bob"))["payload"]
    assert answer["epoch"] == epoch
    history = (await bob.request("message/history", {}))["payload"]
    assert [message["content"]["text"] for message in history["messages"]] == ["note"]
    await bob.close()
    await server.stop()


@pytest_twisted.ensureDeferred
async def test_the_command_line_asks_the_node(serve: Serve, start_redis: StartRedis) -> None:
    redis = start_redis("")
    server = await serve(overrides=over(redis)).start()
    listed = imserver("--data-dir", str(server.data), "user", "list")
    assert listed.returncode == 0, listed.stderr
    assert "alice" in listed.stdout
    await server.stop()
    settings = ["--set", "store.engine=redis", "--set", f"store.url={redis.url}"]
    refused = imserver("--data-dir", str(server.data), *settings, "user", "list")
    assert refused.returncode != 0
    assert "no server runs here" in refused.stderr


@pytest_twisted.ensureDeferred
async def test_two_servers_do_not_share_a_data_directory(serve: Serve, start_redis: StartRedis) -> None:
    redis = start_redis("")
    first = await serve("data", overrides=over(redis)).start()
    second = serve("data", overrides=over(redis))
    process = second.launch()
    assert await second.ended() == 1
    assert "in use by another process" in second.output()
    assert process.returncode == 1
    second.pid = 0
    await first.stop()


# Start-up


@pytest_twisted.ensureDeferred
async def test_it_waits_for_redis(serve: Serve, tmp_path: Path) -> None:
    redis = RedisServer(tmp_path / "late")
    server = serve(overrides=over(redis))
    server.launch()
    await until(lambda: "Redis cannot be used" in server.output(), server.output)
    redis.start()
    try:
        await server.listening()
        assert "Redis can be used again" in server.output()
        await server.stop()
    finally:
        redis.close()


@pytest_twisted.ensureDeferred
async def test_it_may_be_stopped_while_it_waits(serve: Serve) -> None:
    server = serve(overrides=("store.engine=redis", f"store.url=redis://127.0.0.1:{free_port()}"))
    process = server.launch()
    await until(lambda: "Redis cannot be used" in server.output(), server.output)
    process.terminate()
    assert await server.ended() in (0, -signal.SIGTERM)
    server.assert_clean()


@pytest_twisted.ensureDeferred
async def test_a_password_in_a_file_and_tls(serve: Serve, start_redis: StartRedis, tmp_path: Path) -> None:
    """ACL user, password file, encrypted; the wrong password or authority is said in one line, without it."""
    authority, other = Authority(tmp_path / "ca"), Authority(tmp_path / "other")
    certificate, key = authority.issue("redis", "localhost")
    port = free_port()
    options = (
        "--tls-port", str(port), "--tls-cert-file", str(certificate), "--tls-key-file", str(key),
        "--tls-auth-clients", "no", "--user", "im", "on", ">s3cret",
        *["~im:*", "&im:*", "+@all", "-@dangerous", "+info", "+role", "+config|get"],
    )  # fmt: skip
    start_redis("", options)
    right, wrong = tmp_path / "right", tmp_path / "wrong"
    right.write_text("s3cret\n")
    wrong.write_text("guess\n")
    for password, ca, complaint in (
        (wrong, authority.root, "WRONGPASS"),
        (right, other.root, "certificate verify failed"),
        (right, authority.root, ""),
    ):
        server = serve(
            f"{password.name}-{ca.name}",
            overrides=(
                "store.engine=redis",
                f"store.url=rediss://im@localhost:{port}",
                f"store.password_file={password}",
                f"store.ca={ca}",
            ),
        )
        if complaint:
            server.launch()
            await until(lambda c=complaint, s=server: c in s.output(), server.output)  # type: ignore[misc]
            server.kill()
        else:
            await server.start()
            alice = await protobuf_client.connect_user(reactor, server.port("/ws"), "alice")
            assert (await alice.send_text_message("bob", "hi"))["error_code"] == 0
            await alice.close()
            await server.stop()
        assert "s3cret" not in server.output()
        assert "guess" not in server.output()


@pytest.mark.parametrize(
    ("override", "line"),
    [
        ("store.password_file=/nowhere", "store.password_file: /nowhere: No such file"),
        ("store.url=redis://", "store.url: names no host"),
    ],
)
@pytest_twisted.ensureDeferred
async def test_what_is_wrong_is_said_at_once(serve: Serve, override: str, line: str) -> None:
    server = serve(overrides=("store.engine=redis", override))
    server.launch()
    assert await server.ended() == 1
    assert line in server.output()
