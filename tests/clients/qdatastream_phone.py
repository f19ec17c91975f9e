"""A telephone of document 000 that is a process of its own, so that it can be killed.

    python -m tests.clients.qdatastream_phone PORT USER [--call CALLEE] [--answer] [--talk]

Knows nothing of imserver. Framed, over a blocking socket. Writes a line for each message it gets:
its type, for media once.
"""

from __future__ import annotations

import argparse
import socket
import struct
import threading

from tests.clients.qdatastream_client import decode, packet, utf8

SIZE = 60_000


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("user")
    parser.add_argument("--call", default="")
    parser.add_argument("--answer", action="store_true")
    parser.add_argument("--talk", action="store_true")
    options = parser.parse_args()
    line = socket.create_connection(("127.0.0.1", options.port))
    lock = threading.Lock()

    def send(message: bytes) -> None:
        with lock:
            line.sendall(struct.pack(">H", len(message)) + message)

    def talk() -> None:
        number = 0
        while True:
            send(b"\x06" + packet(number, SIZE))
            number += 1

    send(b"\x07" + utf8(options.user))
    send(b"\x07")
    if options.call:
        send(b"\x02" + utf8(options.call) + b"\x01")
    frames = line.makefile("rb")
    told = ""
    while head := frames.read(2):
        message, _ = decode(frames.read(int.from_bytes(head, "big")), "utf8")
        kind = message["type"]
        if kind != told or kind != "media":
            print(kind, flush=True)
        told = kind
        if kind == "call_request" and options.answer:
            send(b"\x03" + utf8(message["call"]))
        if kind == "call_accept" and options.talk:
            threading.Thread(target=talk, daemon=True).start()


if __name__ == "__main__":
    main()
