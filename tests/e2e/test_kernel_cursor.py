"""A link that breaks in the middle of a long backlog: what had arrived is not sent again, nothing is lost.

Document 000 has no acknowledgements, so what the peer's kernel confirmed counts.
"""

from __future__ import annotations

import ctypes
import socket
import struct
import time

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import gatherResults
from twisted.internet.threads import deferToThread

from tests.clients import jsonline_client
from tests.clients.qdatastream_client import connect_user, utf8
from tests.e2e.conftest import Serve
from tests.e2e.server import NO_RATES

SO_ATTACH_FILTER = 26
SIZE = 1000
HEAD = len(b"\x00" + utf8("bob") + utf8(""))


def cut_link(connection: socket.socket) -> None:
    """From here on nothing arrives any more, as if the cable were out (a filter that drops every packet)."""
    drop = ctypes.create_string_buffer(struct.pack("HBBI", 0x06, 0, 0, 0))
    program = struct.pack("HL", 1, ctypes.addressof(drop))
    connection.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, program)


def read_and_break(port: int, framed: bool, count: int) -> int:
    """Registers, reads at least `count` messages, loses the link; how many messages had arrived in all."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32 * 1024)
    connection.settimeout(60)
    connection.connect(("127.0.0.1", port))
    registration = b"\x07" + utf8("alice")
    size = HEAD + SIZE
    if framed:
        registration = struct.pack(">H", len(registration)) + registration
        size += 2
    else:
        # Here QStrings come.
        size = 1 + 4 + 2 * len("bob") + 4 + 2 * SIZE
    connection.sendall(registration)
    received = 0
    while received < count * size:
        data = connection.recv(4096)
        assert data
        received += len(data)
        # Slower than the server, so that its queue is never empty.
        time.sleep(0.004)
    cut_link(connection)
    connection.setblocking(False)
    # What its kernel had by then is read, too: it has arrived.
    while True:
        try:
            received += len(connection.recv(65_536))
        except BlockingIOError:
            break
    # The server looks at its kernel every 50 ms.
    time.sleep(1.0)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()
    return received // size


@pytest_twisted.ensureDeferred
@pytest.mark.parametrize(("framed", "total"), [(True, 6_000), (False, 500)])
async def test_a_broken_link_goes_on_where_it_broke(serve: Serve, framed: bool, total: int) -> None:
    server = await serve(overrides=NO_RATES).start()
    bob = await jsonline_client.connect_tcp(reactor, server.port("jsonline"))
    await bob.log_in("bob")
    for start in range(0, total, 500):
        sent = [bob.send_text("alice", f"{number}:".ljust(SIZE, "x")) for number in range(start, start + 500)]
        answers = await gatherResults(sent)
        assert {answer["payload"]["status"] for answer in answers} == {200}
    arrived = await deferToThread(read_and_break, server.port("qdatastream"), framed, total // 2)
    assert total // 2 <= arrived < total, arrived

    alice = await connect_user(
        reactor, server.port("qdatastream"), "alice", framed=framed, form="utf8" if framed else "qstring"
    )
    alice.timeout = 60.0
    numbers: list[int] = []
    while not numbers or numbers[-1] < total - 1:
        numbers.append(int((await alice.expect("text"))["text"].partition(":")[0]))
    first = numbers[0]
    assert numbers == list(range(first, total))
    # Nothing that had not arrived was passed over, and what was under way at the end is all that came again.
    assert first <= arrived
    assert first >= arrived - 200, (first, arrived)
    await alice.close()
    await bob.close()
    await server.stop()
