"""Back-pressure on the real server: a long backlog, and a thousand peers that never read."""

from __future__ import annotations

from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import Deferred, ensureDeferred, gatherResults

from tests.clients import jsonline_client, protobuf_client
from tests.clients.jsonline_client import JsonLineClient, Line
from tests.e2e.conftest import Serve
from tests.e2e.people import ProtobufPerson
from tests.e2e.server import NO_RATES, Server

BACKLOG = 50_000
SENDERS = 5
WINDOW = 100
MIB = 1024 * 1024


async def send_many(sender: Any, receiver: str, numbers: range, mark: str) -> None:
    """Sends with a window of unanswered messages, in order."""
    waiting: list[Deferred[Any]] = []
    for number in numbers:
        waiting.append(sender.send_text_message(receiver, f"{mark} {number}"))
        if len(waiting) >= WINDOW:
            for answer in waiting:
                assert (await answer)["error_code"] == 0
            waiting.clear()
    for answer in waiting:
        assert (await answer)["error_code"] == 0


class Collector(JsonLineClient):
    """Acknowledges page by page and keeps the inbox numbers and texts only."""

    def __init__(self, expected: int) -> None:
        super().__init__(reactor)
        self.rows: list[tuple[int, str]] = []
        self.complete: Deferred[None] = Deferred()
        self._total = expected

    def _line_received(self, line: Line) -> None:
        if line["command"] == "message/offline":
            for message in line["payload"]["messages"]:
                self.rows.append((message["seq"], message["content"]["text"]))
            last = line["payload"]["messages"][-1]
            self.send_event("message/ack", {"message_id": last["message_id"]})
        elif line["command"] == "message/event":
            self.rows.append((line["payload"]["seq"], line["payload"]["content"]["text"]))
        else:
            super()._line_received(line)
        if len(self.rows) == self._total:
            self.complete.callback(None)


async def fill(server: Server, receiver: str) -> list[Any]:
    """Sends the backlog; the senders stay logged in."""
    senders = [
        await protobuf_client.connect_user(reactor, server.port("/ws"), f"sender{number}")
        for number in range(SENDERS)
    ]
    each = BACKLOG // SENDERS
    work = [
        ensureDeferred(send_many(sender, receiver, range(each), f"old {number}"))
        for number, sender in enumerate(senders)
    ]
    await gatherResults(work, consumeErrors=True)
    return senders


def assert_in_order(rows: list[tuple[int, str]]) -> None:
    """Numbers dense from 1, each sender's texts in the order of sending."""
    assert [seq for seq, _ in rows] == list(range(1, len(rows) + 1))
    last: dict[str, int] = {}
    for _, text in rows:
        mark, _, number = text.rpartition(" ")
        assert int(number) == last.get(mark, -1) + 1, text
        last[mark] = int(number)


@pytest_twisted.ensureDeferred
async def test_a_long_backlog_arrives_while_others_keep_sending(serve: Serve) -> None:
    server = await serve(overrides=NO_RATES).start()
    bob = await protobuf_client.connect_user(reactor, server.port("/ws"), "bob")
    await bob.close()
    senders = await fill(server, "bob")

    fresh = 200 * SENDERS
    collector = Collector(BACKLOG + fresh)
    await jsonline_client.connect_tcp(reactor, server.port("jsonline"), collector)
    complete = collector.complete.addTimeout(300, reactor)
    assert (await collector.log_in("bob"))["payload"]["status"] == 200
    work = [
        ensureDeferred(send_many(sender, "bob", range(200), f"new {number}"))
        for number, sender in enumerate(senders)
    ]
    await gatherResults(work, consumeErrors=True)
    await complete
    assert_in_order(collector.rows)
    await collector.close()

    # The client of the other format pulls the very same.
    puller = ProtobufPerson("bob")
    await puller.log_in(server)
    rows = await puller.inbox()
    assert [(row.seq, row.text) for row in rows] == collector.rows
    await puller.log_out()
    for sender in senders:
        await sender.close()
    await server.stop()


@pytest_twisted.ensureDeferred
async def test_peers_that_never_read_cost_no_more_than_was_stated(serve: Serve) -> None:
    peers, messages, size = 1_000, 150, 10_000
    stated = 32 * MIB
    server = await serve(
        overrides=[
            *NO_RATES,
            f"limits.all_outboxes_bytes={stated}",
            "limits.failed_logins_per_address=100000",
        ]
    ).start()
    deaf = []
    for number in range(peers):
        if number % 2:
            client: Any = await protobuf_client.connect_user(reactor, server.port("/ws"), f"deaf{number}")
        else:
            client = await jsonline_client.connect_tcp(reactor, server.port("jsonline"))
            answer = await client.request(
                "auth/login", {"token": f"demo_token_deaf{number}", "client_info": {"device": "d"}}
            )
            assert answer["payload"]["status"] == 200, answer
        deaf.append(client)
    owner = await jsonline_client.connect_tcp(reactor, server.port("jsonline"))
    await owner.log_in("alice")
    members = [f"deaf{number}" for number in range(peers)]
    answer = await owner.request("group/create", {"group_id": "deaf", "members": members})
    assert answer["payload"]["status"] == 200, answer
    for client in deaf:
        client.pause()

    bob = await protobuf_client.connect_user(reactor, server.port("/ws"), "bob")
    carol = await jsonline_client.connect_tcp(reactor, server.port("jsonline"))
    await carol.log_in("carol")
    before = server.rss()
    # 1.5 GB of deliveries, of which the peers take what their kernels take.
    for number in range(messages):
        sent = await owner.send_text(text="x" * size, group="deaf")
        assert sent["payload"]["status"] == 200, sent
        # Others are served meanwhile: this would time out if they had to wait for the deaf.
        sent = await bob.send_text_message("carol", f"hello {number}")
        assert sent["error_code"] == 0, sent
        event = await carol.expect("message/event")
        assert event["payload"]["content"]["text"] == f"hello {number}"
    # Beside the outboxes the messages themselves are in memory for a while.
    allowance = 24 * MIB
    assert server.rss() - before < stated + allowance, f"{(server.rss() - before) / MIB:.0f} MiB more"
    for client in deaf:
        client.abort()
    for client in deaf:
        await (client.closed if isinstance(client, protobuf_client.ProtobufClient) else client.ended)
    for other in (owner, bob, carol):
        await other.close()
    await server.stop()


@pytest_twisted.ensureDeferred
@pytest.mark.parametrize("path", ["/ws", "/im"])
async def test_a_peer_that_reads_late_misses_nothing(serve: Serve, path: str) -> None:
    server = await serve(overrides=NO_RATES).start()
    bob = await protobuf_client.connect_user(reactor, server.port(path), "bob", path)
    alice = await protobuf_client.connect_user(reactor, server.port(path), "alice", path)
    bob.pause()
    count = 600
    for number in range(count):
        sent = await alice.send_text_message("bob", f"{number} " + "y" * 20_000)
        assert sent["error_code"] == 0, sent
    bob.resume()
    for number in range(count):
        push = await bob.expect("PUSH_MSG")
        assert push["seq"] == number + 1
        assert push["content"].startswith(b"%d " % number)
    await alice.close()
    await bob.close()
    await server.stop()
