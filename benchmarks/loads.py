"""What is measured. Every function takes the ports and returns one figure."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable
from typing import Any

from benchmarks.machine import cpu_seconds, rss
from benchmarks.speakers import (
    DIGITS,
    LineSpeaker,
    Speaker,
    WebSocketSpeaker,
    connect,
    connect_user,
    frame,
)

TEXT = "m" * 100
WARM_UP = 1.0
_names = itertools.count()


def fresh(count: int) -> list[str]:
    """User names nobody had before."""
    return [f"load{next(_names)}" for _ in range(count)]


class Windows:
    """Senders that keep a number of unanswered messages under way."""

    def __init__(self) -> None:
        self._number = itertools.count()
        self._stopped = False

    def add(self, sender: Speaker, halves: tuple[bytes, bytes], window: int) -> None:
        """Begins sending: one more for each answer."""
        head, tail = halves
        number, write = self._number, sender.transport.write

        def answered(count: int) -> None:
            if not self._stopped:
                write(b"".join([b"%b%0*d%b" % (head, DIGITS, next(number), tail) for _ in range(count)]))

        sender.count_from_now(answered)
        answered(window)

    def stop(self) -> None:
        """No new messages."""
        self._stopped = True


async def rate(counters: list[Speaker], seconds: float, pid: int = 0) -> float:
    """Frames a second that these connections receive, after a while to warm up.

    pid: seconds of this process's processor time are meant; 0 = those of the clock.
    """

    def now() -> float:
        return cpu_seconds(pid) if pid else time.perf_counter()

    await asyncio.sleep(WARM_UP)
    before, begun = sum(counter.frames for counter in counters), now()
    await asyncio.sleep(seconds)
    after, ended = sum(counter.frames for counter in counters), now()
    return (after - before) / (ended - begun)


async def close(speakers: list[Speaker]) -> None:
    """Closes connections and waits for it."""
    for speaker in speakers:
        speaker.transport.close()
    await asyncio.gather(*(speaker.ended for speaker in speakers))


def _ignore(count: int) -> None:
    pass


async def echoed(ports: dict[str, int], window: int, seconds: float, pairs: int = 100, pid: int = 0) -> float:
    """Messages a second through the bare echo; `pid` as in `rate`."""
    payload = frame(TEXT.encode())
    speakers: list[Speaker] = []
    for _ in range(pairs):
        speaker = await connect(WebSocketSpeaker, ports["echo"])

        def again(count: int, write: Callable[[bytes], None] = speaker.transport.write) -> None:
            write(payload * count)

        speaker.count_from_now(again)
        speaker.transport.write(payload * window)
        speakers.append(speaker)
    result = await rate(speakers, seconds, pid)
    await close(speakers)
    return result


async def one_to_one(
    ports: dict[str, int], format: str, window: int, seconds: float, pairs: int = 100
) -> float:
    """Durable messages a second that arrive: each acknowledged to its sender, then replaced by the next."""
    windows = Windows()
    senders: list[Speaker] = []
    receivers: list[Speaker] = []
    for sender, receiver in zip(fresh(pairs), fresh(pairs), strict=True):
        receivers.append(await connect_user(format, ports, receiver))
        senders.append(await connect_user(format, ports, sender))
        receivers[-1].count_from_now(_ignore)
        windows.add(senders[-1], senders[-1].message(receiver, "", TEXT), window)
    result = await rate(receivers, seconds)
    windows.stop()
    await asyncio.sleep(0.5)
    await close(senders + receivers)
    return result


async def fan_out(ports: dict[str, int], members: int, seconds: float) -> float:
    """Deliveries a second into a group of both formats, one sender with four messages under way."""
    users = fresh(members)
    receivers = [
        await connect_user("jsonline" if number % 2 else "protobuf", ports, user)
        for number, user in enumerate(users)
    ]
    (owner,) = fresh(1)
    sender: LineSpeaker = await connect_user("jsonline", ports, owner)
    group = f"group-of-{owner}"
    await sender.request("group/create", {"group_id": group, "members": users})
    for receiver in receivers:
        receiver.count_from_now(_ignore)
    windows = Windows()
    windows.add(sender, sender.message("", group, TEXT), 4)
    result = await rate(receivers, seconds)
    windows.stop()
    await asyncio.sleep(0.5)
    await close([sender, *receivers])
    return result


async def idle_kib(pid: int, ports: dict[str, int], format: str, count: int) -> float:
    """KiB of the server's memory per session that is logged in and says nothing."""
    await close([await connect_user(format, ports, user) for user in fresh(100)])
    await asyncio.sleep(1)
    before = rss(pid)
    speakers = await many(lambda user: connect_user(format, ports, user), fresh(count))
    await asyncio.sleep(1)
    result = (rss(pid) - before) / 1024 / count
    await close(speakers)
    return result


async def many(do: Callable[[str], Awaitable[Any]], names: list[str], at_once: int = 50) -> list[Any]:
    """Does it for all names, some at the same time."""
    gate = asyncio.Semaphore(at_once)

    async def one(name: str) -> Any:
        async with gate:
            return await do(name)

    return await asyncio.gather(*(one(name) for name in names))


async def log_ins(ports: dict[str, int], format: str, count: int) -> float:
    """Connections a second that are opened, logged in by a signed token, and closed."""
    tokens: dict[str, str] = {}

    for user in ("alice", "bob", "carol", "dave"):
        speaker = await connect(LineSpeaker, ports["jsonline"])
        answer = await speaker.request("auth/login", {"username": user, "password": user})
        tokens[user] = answer["token"]
        await close([speaker])

    async def once(user: str) -> None:
        await close([await connect_user(format, ports, user, tokens[user])])

    users = [("alice", "bob", "carol", "dave")[number % 4] for number in range(count)]
    begun = time.perf_counter()
    await many(once, users)
    return count / (time.perf_counter() - begun)


async def connections(ports: dict[str, int], count: int) -> float:
    """Connections a second to the bare echo: handshake, one message, close."""

    async def once(_: str) -> None:
        speaker = await connect(WebSocketSpeaker, ports["echo"])
        speaker.send(b"x")
        await speaker.receive()
        await close([speaker])

    begun = time.perf_counter()
    await many(once, [""] * count)
    return count / (time.perf_counter() - begun)
