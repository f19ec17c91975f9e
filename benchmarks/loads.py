"""What is measured: loads of messages, whose rate `rates` counts, and functions that return one figure."""

from __future__ import annotations

import asyncio
import itertools
import os
import ssl
from collections.abc import Awaitable, Callable
from typing import Any

from benchmarks.machine import rss
from benchmarks.rates import Load
from benchmarks.servers import Running
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
_OWN = f"-{os.getpid():x}-"
"""Of this process's names: others may load the same server."""
_names = itertools.count()


def fresh(count: int) -> list[str]:
    """User names nobody had before."""
    return [f"load{_OWN}{next(_names)}" for _ in range(count)]


class Windows:
    """Senders that keep a number of unanswered messages under way."""

    def __init__(self) -> None:
        self._number = itertools.count()
        self._stopped = False

    def add(self, sender: Speaker, halves: tuple[bytes, bytes], window: int, paced: Speaker) -> None:
        """Begins sending: one more for each frame that `paced` hears."""
        head, tail = halves
        number, write = self._number, sender.transport.write

        def answered(count: int) -> None:
            if not self._stopped:
                write(b"".join([b"%b%0*d%b" % (head, DIGITS, next(number), tail) for _ in range(count)]))

        paced.count_from_now(answered)
        if paced is not sender:
            sender.count_from_now(_ignore)
        answered(window)

    async def end(self, speakers: list[Speaker]) -> None:
        """No new messages; closes these once what was sent has arrived."""
        self._stopped = True
        await asyncio.sleep(0.5)
        await close(speakers)


async def close(speakers: list[Speaker]) -> None:
    """Closes connections and waits for it."""
    for speaker in speakers:
        speaker.transport.close()
    await asyncio.gather(*(speaker.ended for speaker in speakers))


def _ignore(count: int) -> None:
    pass


async def echoing(server: Running, window: int = 16, pairs: int = 100) -> Load:
    """Messages through the bare echo."""
    payload = frame(TEXT.encode())
    speakers: list[Speaker] = []
    for _ in range(pairs):
        speaker = await connect(WebSocketSpeaker, server.ports["echo"])

        def again(count: int, write: Callable[[bytes], None] = speaker.transport.write) -> None:
            write(payload * count)

        speaker.count_from_now(again)
        speaker.transport.write(payload * window)
        speakers.append(speaker)
    return Load(server.pid, speakers, lambda: close(speakers), silent=False)


async def one_to_one(server: Running, format: str, window: int = 16, pairs: int = 100) -> Load:
    """Durable messages that arrive: each acknowledged to its sender, then replaced by the next.

    Where a format has no acknowledgements, the next one follows when one has arrived.
    """
    windows = Windows()
    senders: list[Speaker] = []
    receivers: list[Speaker] = []
    for sender, receiver in zip(fresh(pairs), fresh(pairs), strict=True):
        receivers.append(await connect_user(format, server.ports, receiver))
        senders.append(await connect_user(format, server.ports, sender))
        paced = receivers[-1] if format == "qdatastream" else senders[-1]
        receivers[-1].count_from_now(_ignore)
        windows.add(senders[-1], senders[-1].message(receiver, "", TEXT), window, paced)
    return Load(server.pid, receivers, lambda: windows.end(senders + receivers))


async def mixed(server: Running, window: int = 16, pairs: int = 100) -> Load:
    """As `one_to_one`, half of the pairs of document 001, half of 004."""
    halves = [await one_to_one(server, format, window, pairs // 2) for format in ("protobuf", "jsonline")]

    async def end() -> None:
        await asyncio.gather(*(half.end() for half in halves))

    return Load(server.pid, [speaker for half in halves for speaker in half.counters], end)


async def fan_out(server: Running, members: int) -> Load:
    """Deliveries into a group of both formats, one sender with four messages under way."""
    ports, users = server.ports, fresh(members)
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
    windows.add(sender, sender.message("", group, TEXT), 4, sender)
    return Load(server.pid, receivers, lambda: windows.end([sender, *receivers]))


async def idle_kib(
    pid: int, ports: dict[str, int], format: str, count: int, tls: ssl.SSLContext | None = None
) -> float:
    """KiB of the server's memory per session that is logged in and says nothing.

    Args:
        tls: the ports speak it.
    """
    await close([await connect_user(format, ports, user, tls=tls) for user in fresh(100)])
    await asyncio.sleep(1)
    before = rss(pid)
    speakers = await many(lambda user: connect_user(format, ports, user, tls=tls), fresh(count))
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
