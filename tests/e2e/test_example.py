"""The conversation that README.md shows can be had."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest_twisted

from tests.e2e.conftest import Serve
from tests.e2e.server import Server, sleep

ROOT = Path(__file__).parents[2]


async def run_example(server: Server) -> str:
    """Its output."""
    example = subprocess.Popen(
        [
            sys.executable,
            str(ROOT / "examples/conversation.py"),
            str(server.port("/ws")),
            str(server.port("jsonline")),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        for _ in range(1_000):
            if example.poll() is not None:
                break
            await sleep(0.02)
    finally:
        example.kill()
    output, _ = example.communicate()
    assert example.returncode == 0, output
    return output


@pytest_twisted.ensureDeferred
async def test_two_formats_in_one_conversation(serve: Serve) -> None:
    server = await serve().start()
    for _ in range(2):
        output = await run_example(server)
        assert "from alice: Hello Bob, do you read me? 你好 😀" in output
        assert "from bob: Loud and clear, Alice." in output
    await server.stop()


@pytest_twisted.ensureDeferred
async def test_bob_by_hand(serve: Serve) -> None:
    lines = [
        line for line in (ROOT / "README.md").read_text().splitlines() if "/dev/tcp/" in line or ">&3" in line
    ]
    lines += [line for line in (ROOT / "README.md").read_text().splitlines() if "<&3" in line]
    assert len(lines) == 4, lines
    server = await serve().start()
    script = "\n".join(line.strip() for line in lines).replace("8088", str(server.port("jsonline")))
    result = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=60)
    answers = result.stdout.splitlines()
    assert len(answers) == 2, result
    assert '"command":"auth/login"' in answers[0]
    assert '"command":"message/send"' in answers[1]
    assert all('"status":200' in answer for answer in answers), answers
    await server.stop()
