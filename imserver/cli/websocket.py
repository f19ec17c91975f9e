"""The client's end of RFC 6455 over a blocking socket: enough for whole messages of a few hundred KiB."""

from __future__ import annotations

import base64
import hashlib
import os
import socket
import struct
from urllib.parse import urlencode

from imserver.cli.channel import ChannelClosed
from imserver.wire.base import Upgrade

MAX_MESSAGE = 4 * 1024 * 1024
_MAX_HEAD = 16 * 1024
_RECEIVE = 65_536
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_CONTINUATION, _TEXT, _BINARY, _CLOSE, _PING, _PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA


def masked(data: bytes, key: bytes) -> bytes:
    """Every byte xor the key's byte at its place."""
    if not data:
        return data
    keys = (key * (len(data) // 4 + 1))[: len(data)]
    return (int.from_bytes(data, "big") ^ int.from_bytes(keys, "big")).to_bytes(len(data), "big")


class WebSocketChannel:
    """Messages over one connection; see `channel.Channel`.

    Args:
        link: a connected socket.
        host: for the Host header.
        upgrade: what the format wants in the handshake.
        binary: whether messages are binary (else text).

    Raises:
        ChannelClosed: the handshake was refused; OSError, as the socket.
    """

    def __init__(self, link: socket.socket, host: str, path: str, upgrade: Upgrade, *, binary: bool) -> None:
        self._link = link
        self._opcode = _BINARY if binary else _TEXT
        self._fragments: bytearray | None = None
        self._buffer = bytearray()
        self._shake_hands(host, path, upgrade)

    def _shake_hands(self, host: str, path: str, upgrade: Upgrade) -> None:
        key = base64.b64encode(os.urandom(16))
        query = urlencode([(name, value) for name, values in upgrade.query.items() for value in values])
        lines = [
            f"GET {path}{'?' + query if query else ''} HTTP/1.1",
            f"Host: {host}",
            "Connection: Upgrade",
            "Upgrade: websocket",
            "Sec-WebSocket-Version: 13",
            f"Sec-WebSocket-Key: {key.decode()}",
        ]
        if upgrade.authorization:
            lines.append(f"Authorization: {upgrade.authorization}")
        if upgrade.subprotocols:
            lines.append(f"Sec-WebSocket-Protocol: {', '.join(upgrade.subprotocols)}")
        self._link.sendall("\r\n".join([*lines, "", ""]).encode())
        while b"\r\n\r\n" not in self._buffer:
            if len(self._buffer) > _MAX_HEAD:
                raise ChannelClosed("this is no WebSocket server")
            self._read()
        head, _, rest = bytes(self._buffer).partition(b"\r\n\r\n")
        self._buffer = bytearray(rest)
        status, *fields = head.decode("latin-1").split("\r\n")
        headers = {}
        for field in fields:
            name, _, value = field.partition(":")
            headers[name.strip().lower()] = value.strip()
        words = status.split(" ", 2)
        if len(words) < 2 or words[1] != "101":
            reason = " ".join(words[1:]) or "no HTTP answer"
            raise ChannelClosed(f"the server refused the WebSocket: {reason}")
        accept = base64.b64encode(hashlib.sha1(key + _GUID, usedforsecurity=False).digest()).decode()
        if headers.get("sec-websocket-accept") != accept:
            raise ChannelClosed("the server's WebSocket handshake is wrong")

    def fileno(self) -> int:
        """The socket's."""
        return self._link.fileno()

    def send(self, frame: bytes) -> None:
        """See Channel."""
        self._write(self._opcode, frame)

    def _write(self, opcode: int, payload: bytes) -> None:
        size = len(payload)
        if size < 126:
            head = struct.pack("!BB", 0x80 | opcode, 0x80 | size)
        elif size < 65_536:
            head = struct.pack("!BBH", 0x80 | opcode, 0x80 | 126, size)
        else:
            head = struct.pack("!BBQ", 0x80 | opcode, 0x80 | 127, size)
        key = os.urandom(4)
        self._link.sendall(head + key + masked(payload, key))

    def receive(self) -> list[bytes]:
        """See Channel."""
        # The first messages may have come with the answer to the handshake.
        found = self._take()
        if not found:
            self._read()
            found = self._take()
        return found

    def _read(self) -> None:
        data = self._link.recv(_RECEIVE)
        if not data:
            raise ChannelClosed("the server hung up")
        self._buffer += data

    def _take(self) -> list[bytes]:
        found: list[bytes] = []
        while (frame := self._frame()) is not None:
            first, payload = frame
            opcode = first & 0x0F
            if opcode == _PING:
                self._write(_PONG, payload)
            elif opcode == _CLOSE:
                raise _closed(payload)
            elif opcode in (_TEXT, _BINARY, _CONTINUATION):
                if (opcode == _CONTINUATION) != (self._fragments is not None):
                    raise ChannelClosed("the server broke the WebSocket protocol")
                fragments = self._fragments if self._fragments is not None else bytearray()
                fragments += payload
                if len(fragments) > MAX_MESSAGE:
                    raise ChannelClosed("the server's message is too long")
                self._fragments = fragments
                if first & 0x80:
                    found.append(bytes(fragments))
                    self._fragments = None
        return found

    def _frame(self) -> tuple[int, bytes] | None:
        buffer = self._buffer
        if len(buffer) < 2:
            return None
        size, start = buffer[1] & 0x7F, 2
        if size > 125:
            start = 4 if size == 126 else 10
            if len(buffer) < start:
                return None
            size = int.from_bytes(buffer[2:start], "big")
        if size > MAX_MESSAGE or buffer[1] & 0x80 or buffer[0] & 0x70:
            raise ChannelClosed("the server broke the WebSocket protocol")
        if len(buffer) < start + size:
            return None
        first, payload = buffer[0], bytes(buffer[start : start + size])
        del buffer[: start + size]
        return first, payload

    def close(self) -> None:
        """See Channel."""
        try:
            self._write(_CLOSE, struct.pack("!H", 1000))
        except OSError:
            pass
        self._link.close()


def _closed(payload: bytes) -> ChannelClosed:
    if len(payload) < 2:
        return ChannelClosed("the server closed the connection")
    reason = payload[2:].decode(errors="replace")
    return ChannelClosed(f"the server closed the connection ({int.from_bytes(payload[:2], 'big')} {reason})")
