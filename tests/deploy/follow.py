"""Follows a page: runs its shell blocks in order and compares what they print with what the page shows.

    python3 follow.py README.md [--tests]

A fenced block marked `sh` is run by bash in the current directory, each in a shell of its own. A block
marked `text` right after it is what it prints, both streams: `…` stands for the rest of a line or a part
of it, a line that is nothing but `…` for any number of lines. Blocks without one may print what they like.
A block that fails, or prints anything else, ends the script with 1.

Blocks of SERVERS go on running; they are told to stop at the end and must do so without a traceback. The
long ones of LONG are only asked of make, unless `--tests` is given: then `make test` runs, the others are
still asked.

It needs nothing but Python, so that it runs where nothing else is.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import IO, Any, NamedTuple

SERVERS = ("make run",)
LONG = ("make test", "make prove", "make prove-full", "make bench", "make soak")
SERVER_SECONDS = 900.0
BLOCK_SECONDS = 3600.0
TIMEOUT_ENDED = 124


class Block(NamedTuple):
    """Commands, and what the page shows for them; None: nothing."""

    commands: str
    shown: str | None


class Differs(Exception):
    """The page does not say what happens."""


def blocks(page: str) -> list[Block]:
    """The shell blocks of a page in Markdown, in order."""
    found: list[Block] = []
    fences = list(re.finditer(r"^```(\w*)\n(.*?)^```$", page, re.MULTILINE | re.DOTALL))
    for number, fence in enumerate(fences):
        if fence[1] != "sh":
            continue
        shown = None
        if number + 1 < len(fences):
            after = fences[number + 1]
            if after[1] == "text" and not page[fence.end() : after.start()].strip():
                shown = after[2]
        found.append(Block(fence[2], shown))
    return found


def matches(shown: str, printed: str) -> bool:
    """Whether a page's text, with its `…`, is what was printed."""
    pattern = ""
    for line in shown.splitlines():
        if line == "…":
            pattern += r"(?:[^\n]*\n)*"
        else:
            pattern += "[^\n]*".join(re.escape(part) for part in line.split("…")) + r"\n"
    if printed and not printed.endswith("\n"):
        printed += "\n"
    return re.fullmatch(pattern, printed) is not None


class Follower:
    """Runs blocks; keeps the servers they start."""

    def __init__(self, tests: bool = False) -> None:
        self._tests = tests
        self._servers: list[tuple[subprocess.Popen[bytes], IO[Any]]] = []

    def follow(self, block: Block) -> None:
        """Runs one block. Raises Differs."""
        if block.commands.startswith(SERVERS):
            self._serve(block)
            return
        commands = "".join(self._bearable(line) for line in block.commands.splitlines(keepends=True))
        result = subprocess.run(
            ["bash", "-e", "-c", commands],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=BLOCK_SECONDS,
        )
        printed = result.stdout.decode(errors="replace")
        # `timeout` ends with this where it had to end what it started.
        good = {0, TIMEOUT_ENDED} if "\ntimeout " in commands else {0}
        if result.returncode not in good:
            raise Differs(f"exit code {result.returncode}:\n{printed}")
        if block.shown is not None and commands == block.commands and not matches(block.shown, printed):
            raise Differs(f"shown:\n{block.shown}\nprinted:\n{printed}")

    def _bearable(self, line: str) -> str:
        command = line.partition("#")[0].strip()
        if command not in LONG or (command == "make test" and self._tests):
            return line
        return line.replace("make", "make --dry-run", 1)

    def _serve(self, block: Block) -> None:
        log = tempfile.TemporaryFile()  # noqa: SIM115 - open for as long as the server runs
        process = subprocess.Popen(
            ["bash", "-e", "-c", "exec " + block.commands],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self._servers.append((process, log))
        deadline = time.monotonic() + SERVER_SECONDS
        while not matches(block.shown or "…", _written(log)):
            if process.poll() is not None or time.monotonic() > deadline:
                raise Differs(f"shown:\n{block.shown}\nprinted:\n{_written(log)}")
            time.sleep(0.1)

    def stop(self) -> None:
        """Ends the servers as Ctrl-C does. Raises Differs if one did not end well."""
        for process, log in self._servers:
            # To the whole group, as a terminal does.
            os.killpg(process.pid, signal.SIGINT)
            process.wait(60)
            if "Traceback" in _written(log):
                raise Differs(_written(log))


def _written(log: IO[Any]) -> str:
    log.seek(0)
    return str(log.read().decode(errors="replace"))


def main(page: str, *options: str) -> int:
    """See above."""
    # Who was started in the background may have it ignored, and the servers would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    follower = Follower("--tests" in options)
    found = blocks(Path(page).read_text(encoding="utf-8"))
    block = Block("", None)
    try:
        for block in found:
            began = time.monotonic()
            follower.follow(block)
            print(f"{time.monotonic() - began:6.1f} s  {block.commands.splitlines()[0]}", flush=True)
        follower.stop()
    except (Differs, subprocess.TimeoutExpired) as error:
        print(f"this differs:\n{block.commands}\n{error}")
        return 1
    print(f"{len(found)} blocks followed")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
