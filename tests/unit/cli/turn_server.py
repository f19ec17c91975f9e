"""A TURN server with a script, on a thread of its own: says what a real one hardly ever says.

Written out by hand from RFC 8489 and RFC 8656; knows nothing of imserver.
"""

from __future__ import annotations

import hashlib
import hmac
import socket
import ssl
import struct
import threading
from collections.abc import Callable

COOKIE = 0x2112A442
REALM, NONCE = b"here", b"once"
PASSWORD = b"right"

Script = Callable[["Asked"], bytes | None]
"""Makes the answer to a request; None = none."""


class Asked:
    """A request.

    Attributes:
        method: 1 binding, 3 allocate, 4 refresh.
    """

    def __init__(self, data: bytes) -> None:
        self.method, length, cookie = struct.unpack_from("!HHI", data)
        assert (cookie, length) == (COOKIE, len(data) - 20)
        self.transaction = data[8:20]
        self.attributes: dict[int, bytes] = {}
        at = 20
        while at < len(data):
            name, size = struct.unpack_from("!HH", data, at)
            if name == 8:
                before = data[:2] + struct.pack("!H", at + 24 - 20) + data[4:at]
                self.right = hmac.compare_digest(data[at + 4 : at + 24], self._seal(before))
            self.attributes[name] = data[at + 4 : at + 4 + size]
            at += 4 + (size + 3) // 4 * 4
        self.signed = 8 in self.attributes

    def _seal(self, data: bytes) -> bytes:
        user, realm = self.attributes[6], self.attributes[0x14]
        key = hashlib.md5(user + b":" + realm + b":" + PASSWORD).digest()
        return hmac.new(key, data, hashlib.sha1).digest()

    def answer(self, kind: int, *attributes: tuple[int, bytes], sign: bool = False) -> bytes:
        """An answer of this class: 0x100 or 0x110."""
        body = b"".join(
            struct.pack("!HH", name, len(value)) + value + bytes(-len(value) % 4)
            for name, value in attributes
        )
        length = len(body) + (24 if sign else 0)
        data = struct.pack("!HHI", self.method | kind, length, COOKIE) + self.transaction + body
        return data + struct.pack("!HH", 8, 20) + self._seal(data) if sign else data

    def error(self, code: int, *more: tuple[int, bytes]) -> bytes:
        """A refusal."""
        return self.answer(0x110, (9, bytes((0, 0, code // 100, code % 100)) + b"no"), *more)

    def challenge(self, code: int = 401, nonce: bytes = NONCE) -> bytes:
        """A refusal that asks for credentials."""
        return self.error(code, (0x14, REALM), (0x15, nonce))

    def relay(self, host: str = "127.0.0.1", *, sign: bool = True) -> bytes:
        """A relay address."""
        return self.answer(0x100, (0x16, self._hidden(host, 4000)), sign=sign)

    def mapped(self) -> bytes:
        """An address from which we are seen."""
        return self.answer(0x100, (0x20, self._hidden("203.0.113.9", 5)))

    def _hidden(self, host: str, port: int) -> bytes:
        plain = struct.unpack("!I", socket.inet_aton(host))[0]
        return struct.pack("!HHI", 1, port ^ (COOKIE >> 16), plain ^ COOKIE)


def usual(asked: Asked) -> bytes | None:
    """What a good server says."""
    if asked.method == 1:
        return asked.mapped()
    if not asked.signed:
        return asked.challenge()
    if not asked.right or asked.attributes[0x15] != NONCE:
        return asked.challenge()
    return asked.answer(0x100, sign=True) if asked.method == 4 else asked.relay()


def refused_port() -> int:
    """A port on which nothing listens, neither TCP nor UDP."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class TurnServer:
    """Listens on one port, with UDP and TCP.

    Attributes:
        asked: every request that came.
    """

    def __init__(
        self, script: Script = usual, tls: ssl.SSLContext | None = None, greeting: bytes = b""
    ) -> None:
        self._script, self._tls, self._greeting = script, tls, greeting
        self.asked: list[Asked] = []
        self._stream = socket.create_server(("127.0.0.1", 0))
        self.port = self._stream.getsockname()[1]
        self._datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._datagrams.bind(("127.0.0.1", self.port))
        for socket_ in (self._stream, self._datagrams):
            socket_.settimeout(0.1)
        self._closing = False
        self._threads = [threading.Thread(target=run) for run in (self._serve_stream, self._serve_datagrams)]
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """Ends it."""
        self._closing = True
        for thread in self._threads:
            thread.join()
        self._stream.close()
        self._datagrams.close()

    def _answer(self, data: bytes) -> bytes | None:
        asked = Asked(data)
        self.asked.append(asked)
        return self._script(asked)

    def _serve_datagrams(self) -> None:
        while not self._closing:
            try:
                data, peer = self._datagrams.recvfrom(2048)
            except TimeoutError:
                continue
            answer = self._answer(data)
            if answer is not None:
                self._datagrams.sendto(answer, peer)

    def _serve_stream(self) -> None:
        while not self._closing:
            try:
                peer, _ = self._stream.accept()
            except TimeoutError:
                continue
            with peer:
                peer.settimeout(5)
                try:
                    self._serve_peer(peer)
                except OSError:
                    pass

    def _serve_peer(self, peer: socket.socket) -> None:
        if self._tls is not None:
            peer = self._tls.wrap_socket(peer, server_side=True)
        if self._greeting:
            peer.sendall(self._greeting)
            return
        while head := peer.recv(20):
            rest = peer.recv(struct.unpack_from("!H", head, 2)[0]) if head[2:4] != b"\0\0" else b""
            answer = self._answer(head + rest)
            if answer is None:
                return
            peer.sendall(answer)
