"""Files where something is wrong: hostile peers, a full disk, too much of everything; and encrypted ones."""

from __future__ import annotations

import base64
import os
import struct
from pathlib import Path
from typing import Any

import pytest_twisted
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from twisted.internet import reactor
from twisted.internet.defer import ensureDeferred, gatherResults

from tests.clients import filechannel_client as channel
from tests.clients import jsonline_client, qdatastream_client
from tests.clients.filechannel_client import ACK, DATA, END, ERROR, HELLO, Check, Content
from tests.e2e.certificates import Authority
from tests.e2e.conftest import Serve
from tests.e2e.server import Server, sleep
from tests.e2e.test_files import client, download, file_op, request, upload
from tests.e2e.tls_clients import endpoint, tls_override

MIB = 1024 * 1024


async def ask(line: jsonline_client.JsonLineClient, content: Content, **more: Any) -> dict[str, Any]:
    """file/request; the answer's payload."""
    answer: dict[str, Any] = (await line.request("file/request", request(content, **more)))["payload"]
    return answer


async def refused(answer: dict[str, Any], *frames: bytes, hello: bool = True) -> int:
    """The status of the ERROR that a channel ends with after these frames."""
    line = await channel.connect(reactor, answer)
    if hello:
        await line.hello(answer)
    for frame in frames:
        line.send_raw(frame)
    _, error = await line.expect(ERROR)
    await line.ended
    status: int = error["status"]
    return status


@pytest_twisted.ensureDeferred
async def test_hostile_channels(serve: Serve) -> None:
    server = await serve().start()
    alice = await client(server, "alice")
    content = Content(200_000)
    answer = await ask(alice, content)
    fields = {"transfer_id": answer["transfer_id"], "token": answer["channel_token"], "role": "sender"}

    def hello(**other: Any) -> bytes:
        return channel.json_frame(HELLO, **{**fields, **other})

    for frames, status in (
        ([hello(token="")], 401),
        ([hello(token="0" * 48)], 401),
        ([hello(role="receiver")], 401),
        ([hello(transfer_id="tr-other")], 401),
        ([hello(offset=-1)], 400),
        ([channel.data_frame(0, b"x")], 400),
        ([channel.json_frame(END, sha256=content.sha256)], 400),
        ([channel.frame(HELLO, b"x" * 5000)], 413),
        ([b"GET / HTTP/1.1\r\n\r\n"], 400),
        ([b"\xff" * 64], 400),
        ([hello(), hello()], 400),
    ):
        assert await refused(answer, *frames, hello=False) == status, frames
    data = content.read(0, 65536)
    for frames, status in (
        ([channel.data_frame(1, data)], 400),
        ([channel.data_frame(0, data), channel.data_frame(0, data)], 400),
        ([channel.data_frame(2**63 - 1, data)], 400),
        ([struct.pack("<BI", DATA, 65536 + 65)], 413),
        ([struct.pack("<BI", DATA, 2**32 - 1)], 413),
        ([channel.json_frame(ACK, transfer_id=answer["transfer_id"], offset=0, status=200)], 400),
        ([channel.json_frame(END, sha256="0" * 64)], 409),
        ([channel.json_frame(END, sha256=content.sha256)], 400),
    ):
        # What some of them left there counts, too.
        answer = await ask(alice, content, resume={"transfer_id": answer["transfer_id"], "offset": 10**15})
        if answer["resume_offset"]:
            answer = await ask(alice, content)
        assert await refused(answer, *frames) == status, frames
    # More than was announced.
    answer = await ask(alice, content)
    line = await channel.connect(reactor, answer)
    await line.hello(answer)
    for offset in range(0, 65536 * 4, 65536):
        line.send_raw(channel.data_frame(offset, data))
    assert (await line.expect(ERROR))[1]["status"] == 400
    # One byte after the other is as good as any.
    small = Content(300, 3)
    answer = await ask(alice, small)
    line = await channel.connect(reactor, answer)
    whole = channel.json_frame(
        HELLO, transfer_id=answer["transfer_id"], token=answer["channel_token"], role="sender", offset=0
    )
    await sleep(0)
    for byte in whole:
        line.send_raw(bytes((byte,)))
        await sleep(0)
    await line.expect(HELLO)
    tail = channel.json_frame(END, sha256=f"sha256:{small.sha256}")
    for byte in channel.data_frame(0, small.read(0, 300)) + tail:
        line.send_raw(bytes((byte,)))
    assert (await line.expect(END))[1]["sha256"] == small.sha256
    await line.ended
    await alice.close()
    await server.stop()


@pytest_twisted.ensureDeferred
async def test_hostile_names_and_sizes(serve: Serve) -> None:
    server = await serve(overrides=["files.max_bytes=1000000", "files.user_bytes=1500000"]).start()
    alice = await client(server, "alice")
    content = Content(10)
    hostile = [
        "",
        ".",
        "..",
        "/etc/passwd",
        "a/b",
        "..\\a",
        "a\x00b",
        "a\nb",
        "\u202egpj.exe",
        "a" * 256,
        " a",
    ]
    for name in hostile:
        assert (await ask(alice, content, file_name=name))["status"] == 400, name
    for size, status in ((-1, 400), (2**53, 400), (2**53 - 1, 413), (1_000_001, 413), (1.5, 400), ("5", 400)):
        assert (await ask(alice, content, file_size=size))["status"] == status, size
    for digest in ("sha256:xyz", "md5:" + "0" * 32, "0" * 63, 5):
        assert (await ask(alice, content, hash=digest))["status"] == 400, digest
    for transfer in ("tr-1", "../../etc/passwd", "x" * 300):
        assert (await ask(alice, content, resume={"transfer_id": transfer, "offset": 0}))["status"] == 404
        accepted = await alice.request("file/accept", {"transfer_id": transfer})
        assert accepted["payload"]["status"] == 404
    strange = "'; DROP TABLE transfers; -- 张三😀.pdf"
    answer = await ask(alice, content, file_name=strange)
    await upload(answer, content)
    bob = await client(server, "bob")
    assert (await bob.expect("file/request"))["payload"]["file_name"] == strange
    # Nothing of what clients say is the name of a file here.
    names = {path.name for path in (server.data / "files").rglob("*") if path.is_file()}
    # (A lock is called as the beginning of a hash.)
    assert names == {content.sha256, content.sha256[:2]}
    for number in range(2):
        await ask(alice, Content(700_000), file_name=f"{number}")
    assert (await ask(alice, Content(200_000)))["status"] == 413  # all together
    for one in (alice, bob):
        await one.close()
    await server.stop()


@pytest_twisted.ensureDeferred
async def test_several_at_once_and_who_waits_for_them(serve: Serve) -> None:
    server = await serve(overrides=["files.user_channels=12"]).start()
    alice = await client(server, "alice")
    bob = await client(server, "bob")
    contents = [Content(MIB + number, number) for number in range(5)]
    answers = [await ask(alice, content) for content in contents]
    # Bob is there before the bytes: his channels wait for them.
    waiting = []
    for answer, content in zip(answers, contents, strict=True):
        accepted = (await bob.request("file/accept", {"transfer_id": answer["transfer_id"]}))["payload"]
        waiting.append(ensureDeferred(download(accepted, content)))
    sent = [ensureDeferred(upload(*pair)) for pair in zip(answers, contents, strict=True)]
    await gatherResults(sent)
    await gatherResults(waiting)
    for one in (alice, bob):
        await one.close()
    await server.stop()


@pytest_twisted.ensureDeferred
async def test_a_recipient_that_does_not_read_costs_no_memory(serve: Serve) -> None:
    server = await serve().start()
    alice = await client(server, "alice")
    content = Content(48 * MIB)
    answer = await ask(alice, content, user="")
    await upload(answer, content)
    before = server.rss()
    lazy = []
    for _ in range(4):
        accepted = (await alice.request("file/accept", {"transfer_id": answer["transfer_id"]}))["payload"]
        line = await channel.connect(reactor, accepted)
        line.transport.pauseProducing()
        line.send_raw(
            channel.json_frame(
                HELLO,
                transfer_id=accepted["transfer_id"],
                token=accepted["channel_token"],
                role="receiver",
                offset=0,
            )
        )
        lazy.append(line)
    qt = await qdatastream_client.connect_user(reactor, server.port("qdatastream"), "alice")
    qt.ack_file(answer["transfer_id"], 0)
    await qt.expect("file", file_op(qdatastream_client.CHUNK))
    qt.pause()
    await sleep(1.0)
    assert (await alice.request("control/ping"))["payload"]["status"] == 200
    assert server.rss() - before < 24 * MIB
    # It reads on, and gets everything.
    qt.resume()
    await qt.expect("file", file_op(qdatastream_client.COMPLETE))
    check = Check(content)
    for message in qt.messages:
        if message["type"] == "file" and message["op"] == qdatastream_client.CHUNK:
            check.received(message["offset"], message["data"])
    assert check.at == content.size
    for one in lazy:
        one.abort()
    await qt.close()
    await alice.close()
    await server.stop()


async def sealed_upload(answer: dict[str, Any], content: Content, place: Any) -> dict[str, Any]:
    """Sends everything, sealed by hand."""
    cipher, transfer = AESGCM(base64.b64decode(answer["key"])), answer["transfer_id"].encode()
    line = await channel.connect(reactor, answer, endpoint=place)
    at = await line.hello(answer)
    while at < content.size:
        data = content.read(at, answer["chunk_size"])
        nonce, offset = os.urandom(12), struct.pack(">Q", at)
        line.send_raw(channel.data_frame(at, nonce + cipher.encrypt(nonce, data, transfer + offset)))
        at += len(data)
    line.send_raw(channel.json_frame(END, sha256=content.sha256))
    kind, end = await line.expect(END, ERROR)
    assert kind == END, end
    await line.ended
    return end


async def logged_in_over_tls(
    server: Server, authority: Authority, user: str
) -> jsonline_client.JsonLineClient:
    """A session whose answers nobody else can read."""
    line = await jsonline_client.connect(
        endpoint(authority, server.port("jsonline")), jsonline_client.JsonLineClient(reactor)
    )
    assert (await line.log_in(user))["payload"]["status"] == 200
    return line


@pytest_twisted.ensureDeferred
async def test_over_tls_and_sealed(serve: Serve, tmp_path: Path) -> None:
    authority = Authority(tmp_path / "pki")
    pair = authority.issue("server", "localhost")
    server = await serve(overrides=[tls_override(2, pair), tls_override(4, pair)]).start()
    alice = await logged_in_over_tls(server, authority, "alice")
    bob = await logged_in_over_tls(server, authority, "bob")
    place = endpoint(authority, server.port("files"))
    content = Content(MIB + 77)
    answer = await ask(alice, content, encryption="aes-gcm")
    assert (answer["endpoint"]["protocol"], answer["encryption"]) == ("tls", "aes-gcm")
    end = await sealed_upload(answer, content, place)
    accepted = await bob.request("file/accept", {"file_id": end["file_id"], "encryption": "aes-gcm"})
    fields = accepted["payload"]
    assert fields["key"] != answer["key"]
    cipher, check = AESGCM(base64.b64decode(fields["key"])), Check(content)
    nonces = set()

    def opened(offset: int, sealed: bytes) -> None:
        nonces.add(sealed[:12])
        bound = fields["transfer_id"].encode() + struct.pack(">Q", offset)
        check.received(offset, cipher.decrypt(sealed[:12], sealed[12:], bound))

    line = await channel.connect(reactor, fields, opened, place)
    await line.hello(fields)
    await line.expect(END)
    assert (check.at, len(nonces)) == (content.size, 17)
    line.abort()
    # A clear chunk, and one from another place, end a sealed channel.
    other = Content(200_000, 5)
    for index in range(2):
        answer = await ask(alice, other, encryption="aes-gcm", file_name=f"{index}")
        line = await channel.connect(reactor, answer, endpoint=place)
        await line.hello(answer)
        nonce, data = bytes(12), other.read(0, 65536)
        moved = AESGCM(base64.b64decode(answer["key"])).encrypt(
            nonce, data, answer["transfer_id"].encode() + struct.pack(">Q", 65536)
        )
        line.send_raw(channel.data_frame(0, data if index else nonce + moved))
        assert (await line.expect(ERROR))[1]["error_code"] == 1003
    # Without encryption over TLS, too.
    answer = await ask(alice, other, file_name="clear")
    assert (answer["encryption"], "key" in answer) == ("none", False)
    for one in (alice, bob):
        await one.close()
    await server.stop()


@pytest_twisted.ensureDeferred
async def test_no_key_in_clear_text_and_no_channel_less_safe_than_the_session(
    serve: Serve, tmp_path: Path
) -> None:
    authority = Authority(tmp_path / "pki")
    pair = authority.issue("server", "localhost")
    server = await serve(overrides=[tls_override(2, pair)]).start()
    alice = await logged_in_over_tls(server, authority, "alice")
    assert (await ask(alice, Content(5)))["status"] == 503
    await alice.close()
    await server.stop()
    server = await serve(name="plain").start()
    alice = await client(server, "alice")
    assert (await ask(alice, Content(5), encryption="aes-gcm"))["status"] == 400
    await alice.close()
    await server.stop()
