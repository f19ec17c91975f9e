"""`python -m benchmarks.soak`: many sessions of all formats at a steady rate for long.

Every message bears its number; each receiver says whether one is missing, came twice or too early.
The server's memory is watched, and must be flat once it is warm.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import re
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

from benchmarks import servers
from benchmarks.loads import fresh
from benchmarks.machine import LOAD_CORE, pin, rss
from benchmarks.speakers import DIGITS, Speaker, connect_user

FORMATS = ("protobuf", "jsonline", "qdatastream")
TICK = 0.01
WARM_AFTER = 120.0
"""Seconds before which memory may grow; a soak that is not twice as long says nothing of it."""
WARM_MESSAGES = 75_000
"""Likewise messages: until about 100,000 are stored, the store's page caches fill."""
FLAT = 1.05
KEPT = 2.25
"""Bytes a message by which memory may grow besides: filters of client ids, which are known for 48 hours."""
SIGN_OF_LIFE = 30.0
"""Seconds; a connection that says nothing for 90 is closed."""
LEAST, STEP, STEP_SECONDS = 8000.0, 1.1, 3.0
"""Where the search for the highest rate begins, and how it goes on."""
SOON_SECONDS = 0.25
"""If more than so much is on its way in the end, a rate was not kept up."""
MIB = 1024 * 1024
_NUMBER = re.compile(rb"soak (\d{12})")


class Ear:
    """Stands where a connection's frames go, and looks at their numbers."""

    def __init__(self) -> None:
        self.next = 0
        self.faults: list[str] = []

    def put_nowait(self, frame: bytes) -> None:
        """A frame came; b"": the connection is gone."""
        found = _NUMBER.search(frame)
        if found is not None:
            number = int(found[1])
            if number != self.next:
                self.faults.append(f"{number} came where {self.next} was due")
            self.next = number + 1
        elif not frame:
            self.faults.append("the connection was lost")


class Soak:
    """The pairs, each of two formats that need not be the same."""

    def __init__(self) -> None:
        self.pairs: list[tuple[Speaker, str, Ear]] = []
        self.receivers: list[Speaker] = []
        self.sent: list[int] = []
        self._ids = itertools.count()

    async def connect(self, ports: dict[str, int], sessions: int) -> None:
        """Logs everybody in."""
        names = zip(fresh(sessions // 2), fresh(sessions // 2), strict=True)
        for (one, other), (theirs, others) in zip(names, _kinds(), strict=False):
            receiver: Any = await connect_user(others, ports, other)
            sender: Any = await connect_user(theirs, ports, one)
            ear, deaf = Ear(), Ear()
            receiver._queue, sender._queue = ear, deaf
            self.pairs.append((sender, other, ear))
            self.receivers.append(receiver)
            self.sent.append(0)

    def send(self, number: int) -> None:
        """The next message of a pair."""
        sender, other, _ = self.pairs[number]
        # The first digits are the client's id, or stand for it where there is none.
        text = f"{'~' * DIGITS}soak {self.sent[number]:012d} {'m' * 60}"
        head, tail = sender.message(other, "", text)
        sender.transport.write(b"%b%0*d%b" % (head, DIGITS, next(self._ids), tail))
        self.sent[number] += 1

    async def chat(
        self, seconds: float, per_second: float, look: Callable[[float, int], None] | None = None
    ) -> None:
        """All in turn, so many a second together.

        Args:
            look: called from time to time with the seconds that passed and the number sent.
        """
        turns = itertools.cycle(range(len(self.pairs)))
        begun, sent, alive = time.perf_counter(), 0, 0.0
        while (passed := time.perf_counter() - begun) < seconds:
            due = int(passed * per_second)
            for number in itertools.islice(turns, due - sent):
                self.send(number)
            sent = due
            if passed >= alive:
                for receiver in self.receivers:
                    receiver.sign_of_life()
                alive += SIGN_OF_LIFE
            if look is not None:
                look(passed, sent)
            await asyncio.sleep(TICK)

    def under_way(self) -> int:
        """Messages that were sent and not heard yet."""
        return sum(self.sent) - sum(ear.next for _, _, ear in self.pairs)

    def faults(self) -> list[str]:
        """What was heard that should not have been, and what was not heard."""
        found = []
        for number, (_, other, ear) in enumerate(self.pairs):
            found += [f"{other}: {fault}" for fault in ear.faults]
            if ear.next != self.sent[number]:
                found.append(f"{other}: {ear.next} of {self.sent[number]} messages came")
        return found


async def run(server: servers.Running, sessions: int, seconds: float, per_second: float) -> list[str]:
    """Soaks; returns what is wrong."""
    soak = Soak()
    await soak.connect(server.ports, sessions)
    samples: list[tuple[float, int]] = []
    told = looked = 0.0

    def look(passed: float, sent: int) -> None:
        nonlocal told, looked
        if passed >= looked:
            samples.append((passed, rss(server.pid)))
            looked += max(seconds / 400, 0.5)
        if passed >= told:
            print(f"  {passed:6.0f} s {sent:>12,} messages {samples[-1][1] / MIB:8.1f} MiB", flush=True)
            told += max(seconds / 20, 1.0)

    await soak.chat(seconds, per_second, look)
    sent = sum(soak.sent)
    for _ in range(600):
        if not soak.under_way():
            break
        await asyncio.sleep(0.1)
    peaks = growth(samples, seconds, sent)
    if peaks is not None:
        third, fourth = (peak / MIB for peak in peaks)
        more = (peaks[1] - peaks[0]) / max(sent / 4, 1)
        print(f"  at most {third:.1f} MiB in the third quarter, {fourth:.1f} in the last")
        print(f"  {more:+.2f} bytes a message")
    return soak.faults() + _grown(samples, seconds, sent)


def growth(samples: list[tuple[float, int]], seconds: float, sent: int) -> tuple[int, int] | None:
    """The most memory in the third quarter and in the last one, bytes; None if it was too short to tell.

    Peaks are compared, because memory goes up and down with the tail of the log, which is written out
    every 20,000 messages: single looks would compare its heights.
    """
    half, last = seconds / 2, seconds * 3 / 4
    third = [size for at, size in samples if half <= at < last]
    fourth = [size for at, size in samples if at >= last]
    if half < WARM_AFTER or sent / 2 < WARM_MESSAGES or min(len(third), len(fourth)) < 10:
        return None
    return max(third), max(fourth)


def _grown(samples: list[tuple[float, int]], seconds: float, sent: int) -> list[str]:
    peaks = growth(samples, seconds, sent)
    if peaks is None or peaks[1] <= peaks[0] * FLAT + sent / 4 * KEPT:
        return []
    return [f"memory grew from {peaks[0] / MIB:.1f} to {peaks[1] / MIB:.1f} MiB in the second half"]


async def capacity(server: servers.Running, sessions: int) -> tuple[float, float]:
    """How many messages a second such sessions can send in this way, and hear soon.

    Returns:
        the highest rate that was kept up, and the part of its core that this program took for it.
    """
    soak = Soak()
    await soak.connect(server.ports, sessions)
    rate, kept, busy = LEAST, 0.0, 0.0
    while True:
        begun, own = time.perf_counter(), time.process_time()
        await soak.chat(STEP_SECONDS, rate)
        if soak.under_way() > rate * SOON_SECONDS:
            return kept, busy
        kept, busy = rate, (time.process_time() - own) / (time.perf_counter() - begun)
        rate *= STEP


def _kinds() -> Iterator[tuple[str, str]]:
    """The senders' and the receivers' formats: each with each."""
    return itertools.cycle(itertools.product(FORMATS, FORMATS))


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    parser.add_argument("--sessions", type=int, default=2000)
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--rate", type=float, default=0.0, help="messages a second; 0 = half of the most")
    options = parser.parse_args()
    pin(LOAD_CORE)
    rate = options.rate
    if not rate:
        with servers.imserver() as server:
            most, busy = asyncio.run(capacity(server, options.sessions))
        print(f"{most:,.0f} messages/s at the most, this program took {busy:.0%} of its core", flush=True)
        rate = most / 2
    print(f"{options.sessions} sessions, {rate:,.0f} messages/s, {options.minutes:g} minutes", flush=True)
    with servers.imserver() as server:
        faults = asyncio.run(run(server, options.sessions, options.minutes * 60, rate))
    for fault in faults[:20]:
        print(f"soak: {fault}", file=sys.stderr)
    print("soak: " + (f"{len(faults)} faults" if faults else "nothing lost, doubled or out of order"))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
