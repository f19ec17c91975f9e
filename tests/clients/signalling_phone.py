"""A telephone of document 002 that is a process of its own, so that it can be killed.

    python -m tests.clients.signalling_phone PORT USER [--call CALLEE] [--answer]

Knows nothing of imserver. JSON over a blocking socket. Writes a line for each message it gets: its
type, and the status or reason if there is one. Ends by itself after two minutes.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import signal
import socket
from typing import Any

from tests.clients.signalling_client import check
from tests.clients.websocket_client import PING, PONG, TEXT, FrameReader, encode_frame

SDP = {"type": "offer", "sdp": "v=0\r\n"}


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("user")
    parser.add_argument("--call", default="")
    parser.add_argument("--answer", action="store_true")
    options = parser.parse_args()
    signal.alarm(120)
    line = socket.create_connection(("127.0.0.1", options.port))

    def send(kind: str, **payload: Any) -> None:
        line.sendall(encode_frame(TEXT, json.dumps({"type": kind, "payload": payload}).encode()))

    key = base64.b64encode(os.urandom(16)).decode()
    line.sendall(
        f"GET /ws?token=demo_token_{options.user}&device=process HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        f"Sec-WebSocket-Key: {key}\r\n\r\n".encode()
    )
    data = b""
    while b"\r\n\r\n" not in data:
        data += line.recv(65536)
    head, _, data = data.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 101 "), head
    if options.call:
        send("call.offer", call_id=f"of {options.user}", to_user=options.call, call_type="audio", sdp=SDP)
    reader = FrameReader()
    while True:
        for frame in reader.feed(data):
            if frame.opcode == PING:
                line.sendall(encode_frame(PONG, frame.payload))
            if frame.opcode != TEXT:
                continue
            message = check(json.loads(frame.payload))
            payload = message["payload"]
            print(message["type"], payload.get("status") or payload.get("reason") or "", flush=True)
            if message["type"] == "call.offer" and options.answer:
                send("call.answer", call_id=payload["call_id"], sdp=SDP)
        data = line.recv(65536)
        if not data:
            return


if __name__ == "__main__":
    main()
