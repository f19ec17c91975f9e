"""The measure for files: a TCP copy of nothing but Twisted. A connection begins with U, H or D and a u64
size: that many bytes are written to a file and synced (H: and hashed), or the file's first bytes are sent, a
slice at a time."""

from __future__ import annotations

import hashlib
import os
import struct
import sys
import tempfile
from typing import Any

from twisted.internet import reactor
from twisted.internet.protocol import Protocol, ServerFactory

HEAD = struct.Struct(">cQ")
SLICE = 256 * 1024


class Copy(Protocol):
    """One direction of one file."""

    transport: Any
    file: int

    def __init__(self) -> None:
        self._head = b""
        self._left = 0
        self._at = 0

    def dataReceived(self, data: bytes) -> None:
        """See IProtocol."""
        if len(self._head) < HEAD.size:
            wanted = HEAD.size - len(self._head)
            self._head += data[:wanted]
            data = data[wanted:]
            if len(self._head) < HEAD.size:
                return
            kind, self._left = HEAD.unpack(self._head)
            if kind == b"D":
                self.transport.registerProducer(self, True)
                self.resumeProducing()
                return
            self._hash = hashlib.sha256() if kind == b"H" else None
            os.ftruncate(self.file, 0)
        if data:
            os.pwrite(self.file, data, self._at)
            if self._hash is not None:
                self._hash.update(data)
            self._at += len(data)
            if self._at == self._left:
                os.fsync(self.file)
                self.transport.write(b"\x01")

    def resumeProducing(self) -> None:
        """See IPushProducer."""
        self._paused = False
        while not self._paused and self._at < self._left:
            data = os.pread(self.file, min(SLICE, self._left - self._at), self._at)
            self._at += len(data)
            self.transport.write(data)

    def pauseProducing(self) -> None:
        """See IPushProducer."""
        self._paused = True

    def stopProducing(self) -> None:
        """See IPushProducer."""
        self._paused = True


def main() -> None:
    """Listens on a free loopback port and prints it."""
    with tempfile.TemporaryFile(prefix="imserver-benchmark-") as file:
        Copy.file = file.fileno()
        factory: Any = ServerFactory()
        factory.protocol = Copy
        port: Any = reactor.listenTCP(0, factory, interface="127.0.0.1")
        print(port.getHost().port)
        sys.stdout.flush()
        reactor.run()


if __name__ == "__main__":
    main()
