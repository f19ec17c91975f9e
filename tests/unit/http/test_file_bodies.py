"""Files over HTTP (tus; downloads), by the bytes of the connection: nothing is left when they are over."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

from imserver.backends.embedded.metering import MeteredCommitter
from imserver.http import requests
from imserver.http.api import Api
from imserver.http.files import FileSite
from imserver.http.site import ImSite
from imserver.http.vitals import Vitals
from imserver.protocols.doors import Doors
from imserver.services.file_ports import Transfer
from imserver.services.file_rules import FileSettings
from tests.unit.left_over import left_over
from tests.unit.services.file_double import MemoryBlob
from tests.unit.services.test_files import FileCase

MIB = 1024 * 1024
BODY = bytes(range(256)) * 200
HALF = len(BODY) // 2
STREAM = "application/offset+octet-stream"


class Plain(StringTransport):
    """As plain TCP is: one direction can be closed alone."""

    def loseWriteConnection(self) -> None:
        """See FileDescriptor."""
        self.disconnecting = True


class Bodies(FileCase):
    settings = FileSettings(
        max_bytes=MIB, user_bytes=200 * MIB, user_transfers=300, user_channels=4, channels=6
    )

    def setUp(self) -> None:
        super().setUp()
        hub: Any = self.hub
        doors = Doors(hub, self.clock)
        committer = MeteredCommitter(self.committer, self.clock.seconds)
        check = self.cellar.store.check
        vitals = Vitals(hub, doors, self.clock.seconds, committer, dict, check)
        api = Api(self.accounts, vitals, self.clock)
        self.site = ImSite(doors, {}, (), api, files=FileSite(self.files, api, doors))
        self.transport: type[StringTransport] = StringTransport
        self.patch(requests, "FileDescriptor", Plain)

    def connect(self) -> Any:
        address = IPv4Address("TCP", "127.0.0.1", 1)
        transport: Any = self.transport(address, address)
        transport.protocol = self.site.buildProtocol(address)
        transport.protocol.makeConnection(transport)
        return transport

    def lose(self, transport: Any) -> None:
        protocol, transport.protocol, transport.producer = transport.protocol, None, None
        protocol.connectionLost(Failure(ConnectionDone()))
        del protocol
        self.settle()
        self.clock.advance(100)

    def ask_over(self, transport: Any, *pieces: bytes) -> list[int]:
        """Returns the statuses of all answers since the last time."""
        for piece in pieces:
            transport.protocol.dataReceived(piece)
            self.settle()
        return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d+)", transport.value())]

    def head(
        self, method: str, path: str, length: int = 0, token: str = "demo_token_alice", **headers: str
    ) -> bytes:
        lines = [f"{method} {path} HTTP/1.1", "Host: h", f"Authorization: Bearer {token}"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        return "\r\n".join([*lines, f"Content-Length: {length}", "", ""]).encode()

    def patch_head(self, path: str, offset: int = 0, length: int = len(BODY), **headers: str) -> bytes:
        return self.head("PATCH", path, length, upload_offset=str(offset), content_type=STREAM, **headers)

    def begun(self, transport: Any, length: int = len(BODY)) -> str:
        """Where an upload goes that was asked for on this connection."""
        name = "filename YQ=="
        self.ask_over(
            transport, self.head("POST", "/api/files", upload_length=str(length), upload_metadata=name)
        )
        found = re.search(rb"(?i)location: (\S+)", transport.value())
        assert found is not None
        transport.clear()
        return found[1].decode()

    def visit(
        self, status: int | None, *pieces: bytes, begin: bool = False, **head: Any
    ) -> Callable[[], None]:
        """A request on a connection of its own, which has to be answered so (None: not at all)."""

        def visit() -> None:
            transport = self.connect()
            path = self.begun(transport) if begin else "/api/files/uploads/none"
            found = self.ask_over(transport, self.patch_head(path, **head) + pieces[0], *pieces[1:])
            self.assertEqual(found, [] if status is None else [status])
            self.lose(transport)
            self.assertEqual((len(self.files.channels), self.files.channels.uploads), (0, {}))

        return visit

    def nothing_left(self, *visits: Callable[[], None]) -> None:
        def all_of_them() -> None:
            for self.transport in (StringTransport, Plain):
                for visit in visits:
                    visit()

        self.assertEqual(left_over(all_of_them), {})

    def test_taken(self) -> None:
        self.nothing_left(
            self.visit(204, BODY, begin=True),
            self.visit(204, BODY[:HALF], BODY[HALF:], begin=True),
        )

    def test_refused_at_once(self) -> None:
        self.nothing_left(
            self.visit(404, BODY),
            self.visit(404, BODY[:HALF]),
            self.visit(404, BODY[:HALF], BODY[HALF:]),
            self.visit(401, BODY[:HALF], token="x"),
        )

    def test_refused_later(self) -> None:
        self.nothing_left(
            self.visit(409, BODY, begin=True, offset=7),
            self.visit(409, BODY[:HALF], begin=True, offset=7),
            self.visit(400, BODY + b"x", begin=True, length=len(BODY) + 1),
            self.visit(400, BODY + b"x", begin=True, length=len(BODY) + 2),
        )

    def test_another_version(self) -> None:
        self.nothing_left(
            self.visit(412, BODY, begin=True, tus_resumable="0.2.2"),
            self.visit(412, BODY[:HALF], begin=True, tus_resumable="0.2.2"),
        )
        self.assertEqual(set(self.blobs.parts.values()), set())  # nothing of it was taken

    def test_abandoned(self) -> None:
        self.nothing_left(
            self.visit(None, BODY[:HALF], begin=True),
            self.visit(None, b"", begin=True),
        )

    def ask_slowly(self, transport: Any, data: bytes) -> Deferred[None]:
        """The store says whose the upload is only when that fires."""
        said: Deferred[None] = Deferred()
        transfer = self.files.store.transfer

        async def slow(id: str) -> Transfer | None:
            await said
            return await transfer(id)

        patched = self.patch(self.files.store, "transfer", slow)
        self.ask_over(transport, data)
        patched.restore()
        return said

    def test_abandoned_before_it_is_known_whose_it_is(self) -> None:
        def visit() -> None:
            transport = self.connect()
            said = self.ask_slowly(transport, self.patch_head(self.begun(transport)) + BODY[:HALF])
            self.lose(transport)
            said.callback(None)
            self.settle()
            self.assertEqual((len(self.files.channels), self.files.channels.uploads), (0, {}))

        self.assertEqual(left_over(visit), {})

    def test_what_an_abandoned_upload_brought_is_kept(self) -> None:
        transport = self.connect()
        path = self.begun(transport)
        self.ask_over(transport, self.patch_head(path) + BODY[:HALF])
        self.lose(transport)
        transport = self.connect()
        self.assertEqual(self.ask_over(transport, self.patch_head(path, HALF, HALF) + BODY[HALF:]), [204])
        self.assertIn(b"X-File-Id", transport.value())

    def test_a_full_disk(self) -> None:
        self.blobs.room = 0
        self.nothing_left(self.visit(503, BODY[:HALF], BODY[HALF:], begin=True))

        def found_full_when_all_came_in() -> None:
            transport = self.connect()
            path = self.begun(transport)
            self.blobs.held = True
            self.assertEqual(self.ask_over(transport, self.patch_head(path) + BODY), [])
            self.blobs.release()
            self.assertEqual(self.ask_over(transport, b""), [503])
            self.lose(transport)

        self.nothing_left(found_full_when_all_came_in)

    def test_abandoned_while_the_disk_is_busy(self) -> None:
        transport = self.connect()
        path = self.begun(transport)
        self.blobs.held = True
        self.ask_over(transport, self.patch_head(path) + BODY[:HALF])
        self.lose(transport)
        self.assertEqual(len(self.files.channels), 1)
        self.blobs.release()
        self.settle()
        self.assertEqual((len(self.files.channels), self.files.channels.uploads), (0, {}))
        (kept,) = self.blobs.parts.values()
        self.assertEqual(kept, BODY[:HALF])

    def test_one_connection_for_several(self) -> None:
        def visit() -> None:
            transport = self.connect()
            for _ in range(2):
                path = self.begun(transport)
                first = self.patch_head(path, 0, HALF) + BODY[:HALF]
                second = self.patch_head(path, HALF, HALF) + BODY[HALF:]
                said = self.ask_slowly(transport, self.patch_head(path, 7, HALF) + BODY[:HALF])
                said.callback(None)
                self.assertEqual(self.ask_over(transport, first), [409, 204])
                self.assertEqual(
                    self.ask_over(transport, second + self.head("HEAD", path)), [409, 204, 204, 200]
                )
                transport.clear()
            self.lose(transport)

        self.assertEqual(left_over(visit), {})

    def test_downloads(self) -> None:
        transport = self.connect()
        head = self.patch_head(self.begun(transport))
        self.assertEqual(self.ask_over(transport, head + BODY), [204])
        found = re.search(rb"(?i)x-file-id: (\S+)", transport.value())
        assert found is not None
        path = f"/api/files/{found[1].decode()}"
        self.lose(transport)

        def taken() -> None:
            transport = self.connect()
            asked = [self.head(method, path) for method in ("GET", "HEAD")]
            asked += [self.head("GET", path, range=f"bytes={some}") for some in ("-10", "99999999-")]
            self.assertEqual(self.ask_over(transport, *asked), [200, 200, 206, 416])
            self.lose(transport)

        def cut() -> None:
            reading: Deferred[bytes] = Deferred()
            patched = self.patch(MemoryBlob, "read", lambda *_: reading)
            transport = self.connect()
            self.ask_over(transport, self.head("GET", path))
            self.lose(transport)
            self.assertEqual((len(self.files.channels), self.files.channels.downloads), (0, {}))
            patched.restore()
            reading.callback(b"x")

        self.nothing_left(taken, cut)
