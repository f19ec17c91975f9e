"""Lean clients for load: ready-made frames out, frames counted in.

On asyncio, so that nothing is shared with the server.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import ssl
from collections.abc import Callable
from typing import Any

from tests.clients.protobuf_client import COMMANDS, decode, decode_envelope, encode, encode_envelope
from tests.clients.qdatastream_client import utf8

DIGITS = 12
"""Digits of the counter that makes every client id its own."""


class Speaker(asyncio.Protocol):
    """One connection: first a conversation, frame by frame, then counting in bulk.

    Attributes:
        on_frames: in the counting phase, called with the number of frames that came.
        frames: counted so far.
    """

    format = ""

    def __init__(self) -> None:
        self.transport: Any = None
        self.on_frames: Callable[[int], None] | None = None
        self.frames = 0
        self.ended = asyncio.get_running_loop().create_future()
        self._rest = b""
        self._queue: asyncio.Queue[bytes] = asyncio.Queue()

    def connection_made(self, transport: Any) -> None:
        """See asyncio.Protocol."""
        self.transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio.Protocol."""
        if not self.ended.done():
            self.ended.set_result(None)
        self._queue.put_nowait(b"")

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        if self.on_frames is None:
            self._rest += data
            self._cut()
            return
        count = self._count(data)
        self.frames += count
        if count:
            self.on_frames(count)

    async def receive(self) -> bytes:
        """The next frame's payload.

        Raises:
            ConnectionResetError: there is none any more.
        """
        frame = await asyncio.wait_for(self._queue.get(), 60)
        if not frame:
            raise ConnectionResetError
        return frame

    def count_from_now(self, on_frames: Callable[[int], None]) -> None:
        """Ends the conversation: from here on frames are only counted."""
        while not self._queue.empty():
            self._queue.get_nowait()
        self.on_frames = on_frames

    @property
    def waiting(self) -> int:
        """Frames that came and nobody has taken yet."""
        return self._queue.qsize()

    async def begin(self) -> None:
        """What comes before the log-in."""

    async def log_in(self, user: str, token: str) -> None:
        """Logs in; frames that belong to something else are dropped."""
        raise TypeError

    def sign_of_life(self) -> None:
        """What keeps a silent connection open; whoever only listens is taken for dead otherwise."""
        raise TypeError

    def message(self, receiver: str, group: str, text: str) -> tuple[bytes, bytes]:
        """A send in two halves, between which `DIGITS` digits of client id belong."""
        raise TypeError

    def _cut(self) -> None:
        raise TypeError

    def _count(self, data: bytes) -> int:
        raise TypeError


class LineSpeaker(Speaker):
    """Document 004."""

    format = "jsonline"

    def _cut(self) -> None:
        *lines, self._rest = self._rest.split(b"\n")
        for line in lines:
            self._queue.put_nowait(line)

    def _count(self, data: bytes) -> int:
        return data.count(b"\n")

    def sign_of_life(self) -> None:
        """See Speaker: an empty line."""
        self.transport.write(b"\n")

    async def request(self, command: str, payload: Any) -> Any:
        """The payload of the answer."""
        line = {"id": command, "type": "request", "command": command, "payload": payload}
        self.transport.write(json.dumps(line).encode() + b"\n")
        while True:
            answer = json.loads(await self.receive())
            if answer["type"] == "response" and answer["id"] == command:
                assert answer["payload"]["status"] == 200, answer
                return answer["payload"]

    async def log_in(self, user: str, token: str) -> None:
        """See Speaker."""
        await self.request("auth/login", {"token": token, "client_info": {"device": "load"}})

    def message(self, receiver: str, group: str, text: str) -> tuple[bytes, bytes]:
        """See Speaker."""
        target = {"type": "group", "id": group} if group else {"type": "user", "id": receiver}
        line = {
            "id": "@",
            "type": "request",
            "command": "message/send",
            "payload": {"target": target, "content": {"type": "text", "text": text}},
        }
        head, tail = json.dumps(line, separators=(",", ":")).encode().split(b"@", 1)
        return head, tail + b"\n"


class WebSocketSpeaker(Speaker):
    """Messages over a WebSocket; the mask is four zeros, which masks nothing and costs nothing."""

    path = "/"
    opcode = 0x82
    """The first byte of its messages: binary, or 0x81 for text."""

    async def begin(self) -> None:
        """The handshake."""
        key = base64.b64encode(os.urandom(16)).decode()
        self.transport.write(
            f"GET {self.path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        self._handshake = True
        head = await self.receive()
        assert head.startswith(b"HTTP/1.1 101"), head

    _handshake = False

    def sign_of_life(self) -> None:
        """See Speaker: a ping."""
        self.transport.write(frame(b"", 0x89))

    def send(self, payload: bytes) -> None:
        """One message."""
        self.transport.write(frame(payload, self.opcode))

    def _cut(self) -> None:
        if self._handshake:
            head, end, rest = self._rest.partition(b"\r\n\r\n")
            if not end:
                return
            self._handshake = False
            self._rest = rest
            self._queue.put_nowait(head)
        while True:
            size = _frame_size(self._rest)
            if size is None or len(self._rest) < size[1]:
                return
            if self._rest[0] == self.opcode:
                self._queue.put_nowait(self._rest[size[0] : size[1]])
            self._rest = self._rest[size[1] :]

    def _count(self, data: bytes) -> int:
        if self._rest:
            data = self._rest + data
        position, end, count = 0, len(data), 0
        while end - position >= 2:
            length = data[position + 1]
            start = position + 2
            if length == 126:
                if end - position < 4:
                    break
                start += 2
                length = data[position + 2] << 8 | data[position + 3]
            elif length == 127:
                if end - position < 10:
                    break
                start += 8
                length = int.from_bytes(data[position + 2 : position + 10], "big")
            if start + length > end:
                break
            count += data[position] == self.opcode
            position = start + length
        self._rest = data[position:]
        return count


class ProtobufSpeaker(WebSocketSpeaker):
    """Document 001."""

    format = "protobuf"
    path = "/ws"

    async def log_in(self, user: str, token: str) -> None:
        """See Speaker."""
        body = encode("AUTH_REQ", user_id=user, token=token, platform="load")
        self.send(encode_envelope(COMMANDS["AUTH_REQ"], 1, body))
        while True:
            command, _, answer, _ = decode_envelope(await self.receive())
            if command == COMMANDS["AUTH_RSP"]:
                assert decode("AUTH_RSP", answer)["error_code"] == 0, answer
                return

    def message(self, receiver: str, group: str, text: str) -> tuple[bytes, bytes]:
        """See Speaker."""
        mark = "@" * DIGITS
        body = encode(
            "SEND_MSG_REQ",
            client_msg_id=mark,
            receiver_id=receiver,
            group_id=group,
            message_type=1,
            content=text.encode(),
        )
        whole = frame(encode_envelope(COMMANDS["SEND_MSG_REQ"], 7, body))
        head, tail = whole.split(mark.encode(), 1)
        return head, tail


def frame(payload: bytes, opcode: int = 0x82) -> bytes:
    """A client's frame."""
    length = len(payload)
    if length < 126:
        return bytes((opcode, 0x80 | length)) + bytes(4) + payload
    return bytes((opcode, 0xFE)) + length.to_bytes(2, "big") + bytes(4) + payload


def _frame_size(data: bytes) -> tuple[int, int] | None:
    """(where the payload begins, where the frame ends), or None if the head is not complete."""
    if len(data) < 2:
        return None
    length = data[1]
    if length < 126:
        return 2, 2 + length
    if length == 126:
        return (4, 4 + int.from_bytes(data[2:4], "big")) if len(data) >= 4 else None
    return (10, 10 + int.from_bytes(data[2:10], "big")) if len(data) >= 10 else None


class DataSpeaker(Speaker):
    """Document 000, framed. It has no answers, and no client ids: the digits begin the text."""

    format = "qdatastream"

    def _cut(self) -> None:
        while len(self._rest) >= 2:
            end = 2 + int.from_bytes(self._rest[:2], "big")
            if len(self._rest) < end:
                return
            self._queue.put_nowait(self._rest[2:end])
            self._rest = self._rest[end:]

    def _count(self, data: bytes) -> int:
        data = self._rest + data
        position, end, count = 0, len(data), 0
        while end - position >= 2:
            after = position + 2 + (data[position] << 8 | data[position + 1])
            if after > end:
                break
            count += 1
            position = after
        self._rest = data[position:]
        return count

    def sign_of_life(self) -> None:
        """See Speaker: a heartbeat."""
        self.say(b"\x07")

    def say(self, message: bytes) -> None:
        """One message."""
        self.transport.write(len(message).to_bytes(2, "big") + message)

    async def log_in(self, user: str, token: str) -> None:
        """See Speaker: the first message, then a heartbeat, which is echoed."""
        self.say(b"\x07" + utf8(user))
        self.say(b"\x07")
        await self.receive()

    def message(self, receiver: str, group: str, text: str) -> tuple[bytes, bytes]:
        """See Speaker."""
        head = b"\x00" + utf8(receiver)
        size = DIGITS + len(text[DIGITS:].encode())
        whole = len(head) + 2 + size
        return whole.to_bytes(2, "big") + head + size.to_bytes(2, "big"), text[DIGITS:].encode()


SPEAKERS: dict[str, tuple[type[Speaker], str]] = {
    "protobuf": (ProtobufSpeaker, "/ws"),
    "jsonline": (LineSpeaker, "jsonline"),
    "qdatastream": (DataSpeaker, "qdatastream"),
}
"""By format: what speaks it, and the name of its port."""


async def connect(speaker: type[Speaker], port: int, tls: ssl.SSLContext | None = None) -> Any:
    """A connection that is ready to log in."""
    loop = asyncio.get_running_loop()
    _, made = await loop.create_connection(
        speaker, "127.0.0.1", port, ssl=tls, server_hostname="" if tls else None
    )
    await made.begin()
    return made


async def connect_user(
    format: str, ports: dict[str, int], user: str, token: str = "", tls: ssl.SSLContext | None = None
) -> Any:
    """A connection that is logged in, with a demo token unless one is given."""
    speaker, port = SPEAKERS[format]
    made = await connect(speaker, ports[port], tls)
    await made.log_in(user, token or f"demo_token_{user}")
    return made
