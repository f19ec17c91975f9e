"""What SIGKILL alone cannot show: each answer is written after the fdatasync that covers its row."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest_twisted
from twisted.internet import reactor

from tests.clients import jsonline_client, protobuf_client
from tests.e2e.conftest import Serve
from tests.e2e.strace_log import unproven

MESSAGES = 60


@pytest_twisted.ensureDeferred
async def test_each_answer_follows_the_sync_of_its_row(serve: Serve, tmp_path: Path) -> None:
    assert shutil.which("strace"), "strace is needed; tests/system_packages.sh installs it"
    trace = tmp_path / "trace"
    calls = "trace=pwrite64,fdatasync,fsync,write,writev,sendto,sendmsg"
    server = serve(wrapper=["strace", "-f", "-y", "-s", "100000", "-e", calls, "-o", str(trace)])
    await server.start()
    alice = await protobuf_client.connect_user(reactor, server.port("/ws"), "alice")
    bob = await jsonline_client.connect_tcp(reactor, server.port("jsonline"))
    await bob.log_in("bob")
    rows: dict[str, str] = {}
    for number in range(MESSAGES):
        # Alone, and several at once, so that one sync covers more than one of them.
        marks = [f"mark-{number}-{part}-" for part in range(1 + number % 4)]
        waiting = [alice.send_text_message("bob", mark) for mark in marks]
        for mark, answer in zip(marks, waiting, strict=True):
            sent = await answer
            assert sent["error_code"] == 0, sent
            rows[mark] = sent["message_id"]
        reply = f"reply-{number}-"
        answered = (await bob.send_text("alice", reply))["payload"]
        assert answered["status"] == 200, answered
        rows[reply] = answered["message_id"]
    await alice.close()
    await bob.close()
    await server.stop()
    with trace.open(errors="replace") as lines:
        faults = unproven(lines, rows)
    assert not faults, faults
