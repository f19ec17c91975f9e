"""Files over the channel of document 004, and over the bare copy, by the server's processor time."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from typing import Any

from benchmarks.filecopy import HEAD
from benchmarks.machine import cpu_seconds
from benchmarks.servers import Running

WAYS = ("down", "up", "up and hashed")
CHUNK = 65536
DATA, HELLO, END, ERROR = 1, 3, 4, 5
_BLOCK = bytes(range(256)) * (CHUNK // 256)
_SECONDS = 300.0


def _receive(line: socket.socket, buffer: bytearray) -> int:
    count = line.recv_into(buffer)
    if not count:
        raise ConnectionError("the server hung up")
    return count


class Lines:
    """A session of document 004."""

    def __init__(self, port: int, user: str) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), _SECONDS)
        self._file = self._socket.makefile("rwb")
        self.ask("auth/login", token=f"demo_token_{user}")

    def ask(self, command: str, **payload: Any) -> dict[str, Any]:
        """A request and its answer."""
        line = {"id": command, "type": "request", "command": command, "payload": payload}
        self._file.write(json.dumps(line).encode() + b"\n")
        self._file.flush()
        while True:
            answer = json.loads(self._file.readline())
            if answer["type"] == "response":
                fields: dict[str, Any] = answer["payload"]
                if fields["status"] != 200:
                    raise RuntimeError(fields)
                return fields

    def close(self) -> None:
        """Ends it."""
        self._file.close()
        self._socket.close()


def _open(answer: dict[str, Any]) -> socket.socket:
    line = socket.create_connection(("127.0.0.1", answer["endpoint"]["port"]), _SECONDS)
    fields = {"transfer_id": answer["transfer_id"], "token": answer["channel_token"]}
    payload = json.dumps({**fields, "role": answer["role"], "offset": 0}).encode()
    line.sendall(struct.pack("<BI", HELLO, len(payload)) + payload)
    return line


def _up(answer: dict[str, Any], size: int) -> None:
    with _open(answer) as line:
        for offset in range(0, size, CHUNK):
            line.sendall(struct.pack("<BI", DATA, 8 + CHUNK) + struct.pack(">Q", offset) + _BLOCK)
        line.sendall(struct.pack("<BI", END, 2) + b"{}")
        rest, buffer = b"", bytearray(CHUNK)
        while True:
            rest += buffer[: _receive(line, buffer)]
            while len(rest) >= 5 and len(rest) >= 5 + int.from_bytes(rest[1:5], "little"):
                kind, length = struct.unpack_from("<BI", rest)
                if kind == ERROR:
                    raise RuntimeError(rest[5 : 5 + length])
                if kind == END:
                    return
                rest = rest[5 + length :]


def _down(answer: dict[str, Any], size: int) -> None:
    with _open(answer) as line:
        left, buffer = size + (size // CHUNK) * 13, bytearray(1 << 20)
        while left > 0:
            left -= _receive(line, buffer)


def _bare(port: int, kind: bytes, size: int) -> None:
    with socket.create_connection(("127.0.0.1", port), _SECONDS) as line:
        line.sendall(HEAD.pack(kind, size))
        buffer = bytearray(1 << 20)
        if kind != b"D":
            for _ in range(0, size, CHUNK):
                line.sendall(_BLOCK)
            _receive(line, buffer)
            return
        left = size
        while left:
            left -= _receive(line, buffer)


async def copied(server: Running, size: int) -> tuple[float, ...]:
    """MB a second of processor time over the bare copy, as WAYS."""
    rates = {}
    for kind in (b"U", b"H", b"D"):
        before = cpu_seconds(server.pid)
        await asyncio.to_thread(_bare, server.ports["filecopy"], kind, size)
        rates[kind] = size / 1e6 / (cpu_seconds(server.pid) - before)
    return rates[b"D"], rates[b"U"], rates[b"H"]


async def moved(server: Running, size: int) -> tuple[float, ...]:
    """The same over the file channel, down and up; every byte of the upload is hashed and synced."""
    session = await asyncio.to_thread(Lines, server.ports["jsonline"], "alice")
    request = session.ask("file/request", file_name="benchmark", file_size=size)
    before = cpu_seconds(server.pid)
    await asyncio.to_thread(_up, request, size)
    up = size / 1e6 / (cpu_seconds(server.pid) - before)
    accept = session.ask("file/accept", transfer_id=request["transfer_id"])
    before = cpu_seconds(server.pid)
    await asyncio.to_thread(_down, accept, size)
    down = size / 1e6 / (cpu_seconds(server.pid) - before)
    session.close()
    return down, up
