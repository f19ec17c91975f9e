"""Meeting rooms of document 003. Every function takes the ports and returns one figure."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from typing import Any

from benchmarks.loads import TEXT, close, fresh, many
from benchmarks.rates import WARM_UP, Load, measured
from benchmarks.servers import Running
from benchmarks.speakers import WebSocketSpeaker, connect, frame

USERS = 25
"""Accounts that share the endpoints, made before anything is measured."""
WINDOW = 4
"""Broadcasts under way."""

_channels = itertools.count()


class RoomSpeaker(WebSocketSpeaker):
    """An endpoint."""

    opcode = 0x81
    path = "/meeting"
    session = ""

    def ask(self, method: str, data: Any) -> None:
        """A request."""
        message = {"version": 0, "cseq": 7, "method": method, "session": self.session, "data": data}
        self.transport.write(frame(json.dumps(message, separators=(",", ":")).encode(), self.opcode))

    async def answer(self) -> Any:
        """The data of the next answer; events are dropped."""
        while True:
            message = json.loads(await self.receive())
            if "event" not in message:
                assert message["err"] == 0, message
                return message["data"]

    async def join(self, channel: str, endpoint: str, user: str) -> None:
        """channel.join."""
        token = f"demo_token_{user}"
        self.ask("channel.join", {"app": "load", "channel": channel, "endpoint": endpoint, "token": token})
        self.session = (await self.answer())["session"]


async def _users(ports: dict[str, int]) -> list[str]:
    users = fresh(USERS)
    for user in users:
        speaker = await connect(RoomSpeaker, ports["/meeting"])
        await speaker.join(f"alone-{user}", user, user)
        await close([speaker])
    return users


async def _fill(ports: dict[str, int], count: int) -> list[RoomSpeaker]:
    """A room with so many endpoints."""
    users = await _users(ports)
    channel = f"room-{next(_channels)}"

    async def enter(name: str) -> RoomSpeaker:
        speaker: RoomSpeaker = await connect(RoomSpeaker, ports["/meeting"])
        await speaker.join(channel, name, users[int(name) % USERS])
        return speaker

    return await many(enter, [str(number) for number in range(count)])


async def broadcast(server: Running, count: int, seconds: float) -> float:
    """Deliveries in a room in a second of the server's processor time; four broadcasts under way."""
    sender, *receivers = await _fill(server.ports, count + 1)
    await asyncio.sleep(WARM_UP)  # until all have heard of all
    for receiver in receivers:
        receiver.count_from_now(lambda count: None)
    stopped = False

    def answered(count: int) -> None:
        if not stopped:
            for _ in range(count):
                sender.ask("broadcast", {"text": TEXT})

    sender.count_from_now(answered)
    answered(WINDOW)

    async def end() -> None:
        nonlocal stopped
        stopped = True
        await asyncio.sleep(0.5)
        await close([sender, *receivers])

    return (await measured(Load(server.pid, receivers, end), seconds)).per_core


async def joins(ports: dict[str, int], count: int) -> float:
    """Endpoints a second that connect and join one room, 50 at the same time, all told of all after them."""
    users = await _users(ports)
    channel = f"room-{next(_channels)}"
    ended = asyncio.get_running_loop().create_future()
    heard = 0

    def told(events: int) -> None:
        nonlocal heard
        heard += events
        if heard == count * (count - 1) // 2 and not ended.done():
            ended.set_result(None)

    async def enter(name: str) -> RoomSpeaker:
        speaker: RoomSpeaker = await connect(RoomSpeaker, ports["/meeting"])
        speaker.ask(
            "channel.join",
            {
                "app": "load",
                "channel": channel,
                "endpoint": name,
                "token": f"demo_token_{users[int(name) % USERS]}",
            },
        )
        # The answer comes first; what is there already besides it are events.
        answer = json.loads(await speaker.receive())
        assert answer["err"] == 0, answer
        waiting = speaker.waiting
        speaker.count_from_now(told)
        told(waiting)
        return speaker

    begun = time.perf_counter()
    speakers = await many(enter, [str(number) for number in range(count)])
    await asyncio.wait_for(ended, 120)
    result = count / (time.perf_counter() - begun)
    await close(list(speakers))
    return result
