"""Files over HTTP through the real process: resumable upload, ranges, and the other formats' side."""

from __future__ import annotations

import base64
import http.client
import socket
import ssl
from pathlib import Path
from typing import Any

import pytest_twisted
from twisted.internet import reactor

from tests.clients import qdatastream_client
from tests.clients.filechannel_client import Check, Content
from tests.clients.rest_client import Answer, RestClient
from tests.e2e.certificates import Authority
from tests.e2e.conftest import Serve
from tests.e2e.server import Server, sleep
from tests.e2e.test_files import client, download, file_op, request, upload
from tests.e2e.tls_clients import tls_override

MIB = 1024 * 1024


def metadata(**fields: str) -> str:
    """Upload-Metadata."""
    return ",".join(f"{key} {base64.b64encode(value.encode()).decode()}" for key, value in fields.items())


def create(web: RestClient, content: Content, **fields: str) -> Answer:
    """Begins an upload."""
    fields = {"filename": "a b.pdf", "sha256": content.sha256, **fields}
    headers = {"Upload-Length": str(content.size), "Upload-Metadata": metadata(**fields)}
    return web.call("POST", "/api/files", headers={"Tus-Resumable": "1.0.0", **headers})


def patch(web: RestClient, place: str, offset: int, data: bytes, **headers: str) -> Answer:
    """Sends a piece."""
    kind = {"Content-Type": "application/offset+octet-stream", "Upload-Offset": str(offset)}
    return web.call("PATCH", place, headers={**kind, **headers}, raw=data)


def whole(web: RestClient, content: Content, **fields: str) -> str:
    """Uploads everything at once; the file's id."""
    place = create(web, content, **fields).headers["location"]
    sent = patch(web, place, 0, content.read(0, content.size))
    assert (sent.status, sent.headers["upload-offset"]) == (204, str(content.size)), sent
    return sent.headers["x-file-id"]


@pytest_twisted.ensureDeferred
async def test_upload_in_pieces_and_download_everywhere(serve: Serve) -> None:
    server = await serve().start()
    bob = await client(server, "bob")
    old = await qdatastream_client.connect_user(reactor, server.port("qdatastream"), "bob")
    web = RestClient(server.port("/im"), "demo_token_alice")
    content = Content(2 * MIB + 321)
    made = create(web, content, to="bob", kind="image")
    assert (made.status, made.headers["upload-offset"], made.headers["tus-resumable"]) == (201, "0", "1.0.0")
    place = made.headers["location"]
    half = MIB + 1
    first = patch(web, place, 0, content.read(0, half))
    assert (first.status, first.headers["upload-offset"]) == (204, str(half))
    # A wrong place is refused and nothing happens.
    wrong = patch(web, place, 5, b"x" * 100)
    assert (wrong.status, wrong.headers["upload-offset"]) == (409, str(half))
    there = web.call("HEAD", place)
    assert (there.headers["upload-offset"], there.headers["upload-length"]) == (str(half), str(content.size))
    second = patch(web, place, half, content.read(half, content.size))
    assert second.status == 204
    file = second.headers["x-file-id"]
    # Over HTTP, whole and in ranges.
    reader = RestClient(server.port("/im"), "demo_token_bob")
    got = reader.get(f"/api/files/{file}")
    assert (got.status, got.raw == content.read(0, content.size)) == (200, True)
    assert got.headers["etag"] == f'"{content.sha256}"'
    assert got.headers["content-disposition"].startswith('attachment; filename="a b.pdf"')
    assert got.headers["x-content-type-options"] == "nosniff"
    for asked, start, end in (
        ("bytes=0-0", 0, 1),
        ("bytes=1000-", 1000, content.size),
        ("bytes=-17", content.size - 17, content.size),
        (f"bytes=5-{content.size + 5}", 5, content.size),
    ):
        part = reader.call("GET", f"/api/files/{file}", headers={"Range": asked})
        assert (part.status, part.raw == content.read(start, end - start)) == (206, True), asked
        assert part.headers["content-range"] == f"bytes {start}-{end - 1}/{content.size}"
    beyond = reader.call("GET", f"/api/files/{file}", headers={"Range": f"bytes={content.size}-"})
    assert (beyond.status, beyond.headers["content-range"]) == (416, f"bytes */{content.size}")
    known = reader.call("GET", f"/api/files/{file}", headers={"If-None-Match": f'"{content.sha256}"'})
    assert (known.status, known.raw) == (304, b"")
    other = {"Range": "bytes=0-0", "If-Range": '"another"'}
    assert reader.call("GET", f"/api/files/{file}", headers=other).status == 200
    # In the other formats.
    event = (await bob.expect("message/event"))["payload"]
    assert (event["content"]["file_id"], event["content"]["message_type"]) == (file, 2)
    accepted = (await bob.request("file/accept", {"file_id": file}))["payload"]
    await download(accepted, content)
    offer = await old.expect("file", file_op(qdatastream_client.OFFER))
    old.ack_file(offer["transfer"], 0)
    await old.expect("file", file_op(qdatastream_client.COMPLETE))
    check = Check(content)
    for message in old.messages:
        if message["type"] == "file" and message["op"] == qdatastream_client.CHUNK:
            check.received(message["offset"], message["data"])
    assert check.at == content.size
    # What comes by the file channel goes out over HTTP.
    back = Content(300_000, 9)
    answer = (await bob.request("file/request", request(back, "alice")))["payload"]
    sent = await upload(answer, back)
    assert web.get(f"/api/files/{sent['file_id']}").raw == back.read(0, back.size)
    everyone: list[Any] = [bob, old]
    for one in everyone:
        await one.close()
    web.close()
    reader.close()
    await server.stop()


@pytest_twisted.ensureDeferred
async def test_an_upload_that_is_cut_goes_on(serve: Serve) -> None:
    server = await serve().start()
    port = server.port("/im")
    web = RestClient(port, "demo_token_alice")
    content = Content(8 * MIB)
    place = create(web, content).headers["location"]
    head = (
        f"PATCH {place} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer demo_token_alice\r\n"
        f"Content-Type: application/offset+octet-stream\r\nUpload-Offset: 0\r\n"
        f"Content-Length: {content.size}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", port), 10) as cut:
        cut.sendall(head.encode() + content.read(0, 3 * MIB))
        for _ in range(1000):
            await sleep(0.01)
            if int(web.call("HEAD", place).headers["upload-offset"]) >= MIB:
                break
    # A kill in between loses nothing that was told.
    told = int(web.call("HEAD", place).headers["upload-offset"])
    assert told >= MIB
    server.kill()
    await server.start()
    web.close()
    web = RestClient(server.port("/im"), "demo_token_alice")
    offset = int(web.call("HEAD", place).headers["upload-offset"])
    assert told <= offset <= 3 * MIB
    sent = patch(web, place, offset, content.read(offset, content.size))
    assert sent.status == 204, sent
    assert web.get(f"/api/files/{sent.headers['x-file-id']}").raw == content.read(0, content.size)
    web.close()
    await server.stop()


def status_of(port: int, request: bytes, body: bytes = b"") -> int:
    """The status of an answer that may come before all was sent."""
    with socket.create_connection(("127.0.0.1", port), 30) as line:
        line.sendall(request)
        try:
            line.sendall(body)
        except OSError:
            pass
        return int(line.makefile("rb").readline().split()[1])


@pytest_twisted.ensureDeferred
async def test_refusals(serve: Serve) -> None:
    overrides = ("files.max_bytes=5000000", "files.user_bytes=8000000", "files.user_transfers=3")
    server: Server = await serve(overrides=overrides).start()
    port = server.port("/im")
    web, other = RestClient(port, "demo_token_alice"), RestClient(port, "demo_token_bob")
    content = Content(4_000_000)
    place = create(web, content).headers["location"]
    assert create(web, Content(5_000_001)).status == 413
    assert create(web, content).status == 201
    assert create(web, Content(1)).status == 413  # all together
    assert other.call("HEAD", place).status == 404
    assert patch(other, place, 0, b"x").status == 404
    assert patch(web, place, 0, b"x", **{"Content-Type": "text/plain"}).status == 415
    assert patch(web, place + "0", 0, b"x").status == 404
    assert web.call("PATCH", place, raw=b"x", headers={"Upload-Offset": "-1"}).status == 415
    assert create(web, content, filename="../a").status == 400
    assert create(web, content, filename="a\n").status == 400
    assert create(web, content, to="nobody-there").status == 404
    assert create(web, content, sha256="xyz").status == 400
    assert create(web, content, kind="virus").status == 400
    assert (
        web.call("POST", "/api/files", headers={"Upload-Length": "5", "Upload-Metadata": "a b c"}).status
        == 400
    )
    assert web.call("POST", "/api/files", headers={"Tus-Resumable": "2.0.0"}).status == 412
    assert web.get("/api/files/f-0123456789abcdef0123456789abcdef").status == 404
    assert web.get("/api/files/../../etc/passwd").status == 404
    assert web.call("PUT", "/api/files/f-1").status == 405
    assert RestClient(port).get("/api/files/f-1").status == 401
    assert web.call("OPTIONS", "/api/files").headers["tus-extension"] == "creation,termination,expiration"
    # Much of the body is still to come: it is refused at once.
    head = f"PATCH {place} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 4000000\r\n"
    kind = "Content-Type: application/offset+octet-stream\r\nUpload-Offset: 0\r\n"
    assert status_of(port, f"{head}{kind}\r\n".encode(), b"x" * 3_000_000) == 401
    alice = "Authorization: Bearer demo_token_alice\r\n"
    foreign = "Origin: https://elsewhere.example\r\n"
    assert status_of(port, f"{head}{kind}{alice}{foreign}\r\n".encode(), b"x" * 3_000_000) == 403
    # Longer than was announced.
    head = head.replace("4000000", "4500000")
    assert status_of(port, f"{head}{kind}{alice}\r\n".encode(), b"x" * 4_500_000) == 400
    # Not what was announced: it begins again at 0.
    while True:
        offset = int(web.call("HEAD", place).headers["upload-offset"])
        wrong = patch(web, place, offset, b"y" * (content.size - offset))
        assert wrong.status == 409
        if "upload-offset" not in wrong.headers:
            break  # else a write of the request before was still under way
    assert web.call("HEAD", place).headers["upload-offset"] == "0"
    done = patch(web, place, 0, content.read(0, content.size))
    assert done.status == 204
    assert patch(web, place, content.size, b"").headers["x-file-id"] == done.headers["x-file-id"]
    # It is whole: it cannot be given up.
    assert web.call("DELETE", place).status == 409
    web.close()
    other.close()
    await server.stop()


@pytest_twisted.ensureDeferred
async def test_over_https(serve: Serve, tmp_path: Path) -> None:
    authority = Authority(tmp_path / "pki")
    server = await serve(overrides=[tls_override(1, authority.issue("server", "localhost"))]).start()
    context = ssl.create_default_context(cafile=str(authority.root))
    port = server.port("/im")

    def web(user: str) -> RestClient:
        made = RestClient(port, f"demo_token_{user}", host="localhost")
        made._connection = http.client.HTTPSConnection("localhost", port, timeout=60, context=context)
        return made

    alice, bob = web("alice"), web("bob")
    content = Content(5 * MIB + 3)
    file = whole(alice, content, to="bob")
    assert bob.get(f"/api/files/{file}").raw == content.read(0, content.size)
    part = bob.call("GET", f"/api/files/{file}", headers={"Range": "bytes=-1000000"})
    assert (part.status, part.raw == content.read(content.size - 1_000_000, 1_000_000)) == (206, True)
    # What is refused in the middle of its body is still told why.
    place = create(alice, content).headers["location"]
    assert patch(alice, place, 7, b"x").status == 409
    for one in (alice, bob):
        one.close()
    await server.stop()
