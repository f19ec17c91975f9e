"""Files through the real process: both ends hand-written clients of document 004."""

from __future__ import annotations

import json
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor

from tests.clients import filechannel_client as channel
from tests.clients import jsonline_client, protobuf_client, qdatastream_client, signalling_client
from tests.clients.filechannel_client import ACK, END, ERROR, Check, Content
from tests.e2e.conftest import Serve
from tests.e2e.server import Server

MIB = 1024 * 1024


async def client(server: Server, user: str, device: str = "test") -> jsonline_client.JsonLineClient:
    """Logged in."""
    made: jsonline_client.JsonLineClient = await jsonline_client.connect_tcp(reactor, server.port("jsonline"))
    answer = await made.log_in(user, device=device)
    assert answer["payload"]["status"] == 200, answer
    return made


def request(content: Content, user: str = "bob", **more: Any) -> dict[str, Any]:
    """The payload of file/request."""
    target = {"target": {"type": "user", "id": user}} if user else {}
    return {
        "file_name": "report.pdf",
        "file_size": content.size,
        "hash": f"sha256:{content.sha256}",
        **target,
        **more,
    }


async def upload(answer: dict[str, Any], content: Content) -> dict[str, Any]:
    """Sends the whole rest; the server's END."""
    line = await channel.connect(reactor, answer)
    start = await line.hello(answer)
    await line.upload(content.read, content.size, start, answer["chunk_size"])
    line.send_raw(channel.json_frame(END, sha256=content.sha256))
    kind, end = await line.expect(END, ERROR)
    assert kind == END, end
    await line.close()
    return end


async def download(answer: dict[str, Any], content: Content, start: int = 0) -> None:
    """Takes the whole rest and compares it."""
    check = Check(content)
    check.at = start
    line = await channel.connect(reactor, answer, check.received)
    assert await line.hello(answer, start) == start
    kind, end = await line.expect(END, ERROR)
    assert (kind, end["sha256"], check.at) == (END, content.sha256, content.size), end
    line.send_raw(channel.json_frame(ACK, transfer_id=answer["transfer_id"], offset=content.size, status=200))
    await line.close()


@pytest_twisted.ensureDeferred
async def test_upload_now_and_download_later(serve: Serve) -> None:
    server = await serve().start()
    alice = await client(server, "alice")
    content = Content(3 * MIB + 17)
    answer = (await alice.request("file/request", request(content)))["payload"]
    assert answer["status"] == 200, answer
    assert (answer["mode"], answer["resume_offset"], answer["chunk_size"]) == ("passive", 0, 65536)
    assert answer["endpoint"] == {"host": "127.0.0.1", "port": server.port("files"), "protocol": "tcp"}
    end = await upload(answer, content)
    assert end["sha256"] == content.sha256
    stored = (await alice.expect("file/complete"))["payload"]
    assert (stored["stage"], stored["file_id"], stored["file_size"]) == (
        "stored",
        end["file_id"],
        content.size,
    )
    # Bob was away; now he logs in, hears of it, and fetches it.
    bob = await client(server, "bob")
    offer = (await bob.expect("file/request"))["payload"]
    assert (offer["transfer_id"], offer["sender_id"], offer["stored"]) == (
        answer["transfer_id"],
        "alice",
        True,
    )
    accepted = (await bob.request("file/accept", {"transfer_id": offer["transfer_id"]}))["payload"]
    assert (await alice.expect("file/accept"))["payload"]["user_id"] == "bob"
    await download(accepted, content)
    done = (await alice.expect("file/complete"))["payload"]
    assert (done["stage"], done["user_id"], done["transfer_id"]) == (
        "delivered",
        "bob",
        answer["transfer_id"],
    )
    # From the middle, with the same token.
    await download(accepted, content, 2 * MIB + 5)
    for one in (alice, bob):
        await one.close()
    await server.stop()


@pytest_twisted.ensureDeferred
async def test_every_format_hears_of_the_file(serve: Serve) -> None:
    server = await serve().start()
    alice = await client(server, "alice")
    bob = await client(server, "bob")
    old = await protobuf_client.connect_user(reactor, server.port("/ws"), "bob")
    web = await signalling_client.connect_user(reactor, server.port("/im"), "bob")
    qt = await qdatastream_client.connect_user(reactor, server.port("qdatastream"), "bob")
    content = Content(100_000)
    answer = (await alice.request("file/request", request(content, file_type="image")))["payload"]
    end = await upload(answer, content)
    fields = {
        "file_id": end["file_id"],
        "name": "report.pdf",
        "size": content.size,
        "hash": f"sha256:{content.sha256}",
    }
    body = {"type": "file-ref", "message_type": 2, **fields}
    event = (await bob.expect("message/event"))["payload"]
    assert (event["content"], event["attachments"], event["sender_id"]) == (body, [fields], "alice")
    push = await old.expect("PUSH_MSG")
    assert (push["message_type"], json.loads(push["content"])) == (2, fields)
    new = (await web.expect("message.new"))["payload"]
    assert (new["message_type"], new["content"], new["attachments"]) == ("file-ref", body, [fields])
    assert (await qt.expect("text"))["text"] == "[image] report.pdf"
    # What a client of 001 or 002 passes on, a client of 004 downloads.
    sent = await old.request(
        "SEND_MSG_REQ", receiver_id="carol", message_type=5, content=json.dumps(fields, indent=1).encode()
    )
    assert sent["error_code"] == 0, sent
    carol = await client(server, "carol")
    page = (await carol.expect("message/offline"))["payload"]
    assert page["messages"][0]["content"] == {**body, "message_type": 5}
    accepted = (await carol.request("file/accept", {"file_id": end["file_id"]}))["payload"]
    await download(accepted, content)
    accepted = (await bob.request("file/accept", {"file_id": end["file_id"]}))["payload"]
    await download(accepted, content)
    everyone: list[Any] = [alice, bob, carol, old, web, qt]
    for one in everyone:
        await one.close()
    await server.stop()


def file_op(op: int) -> Any:
    """Which FILE messages an expectation is about."""
    return lambda message: message["op"] == op


@pytest_twisted.ensureDeferred
@pytest.mark.parametrize("framed", [True, False], ids=["framed", "unframed"])
async def test_inside_a_connection_of_document_000(serve: Serve, framed: bool) -> None:
    server = await serve().start()
    port = server.port("qdatastream")
    form = "utf8" if framed else "qstring"
    alice = await qdatastream_client.connect_user(reactor, port, "alice", framed=framed, form=form)
    bob = await client(server, "bob")
    old = await qdatastream_client.connect_user(reactor, port, "bob", framed=framed, form=form)
    content = Content(MIB + 12_345)
    alice.offer_file("bob", "t1", "bild.png", content.size, content.sha256)
    begun = await alice.expect("file", file_op(qdatastream_client.CHUNK_ACK))
    assert (begun["transfer"], begun["offset"]) == ("t1", 0)
    for offset in range(0, 600_000, 60_000):
        alice.send(alice.chunk("t1", offset, content.read(offset, 60_000)))
    # The connection is lost; the next one goes on, at or after what was acknowledged.
    acked = await alice.expect("file", file_op(qdatastream_client.CHUNK_ACK))
    await alice.close()
    alice = await qdatastream_client.connect_user(reactor, port, "alice", framed=framed, form=form)
    alice.offer_file("bob", "t1", "bild.png", content.size, content.sha256)
    begun = await alice.expect("file", file_op(qdatastream_client.CHUNK_ACK))
    assert acked["offset"] <= begun["offset"] <= 600_000
    for offset in range(begun["offset"], content.size, 50_000):
        alice.send(alice.chunk("t1", offset, content.read(offset, 50_000)))
    alice.complete_file("t1")
    assert (await alice.expect("file", file_op(qdatastream_client.COMPLETE)))["transfer"] == "t1"
    # One device of the same user takes it over document 000, another over the file channel.
    offer = await old.expect("file", file_op(qdatastream_client.OFFER))
    assert (offer["peer"], offer["name"], offer["size"]) == ("alice", "bild.png", content.size)
    assert offer["sha256"] == content.sha256
    start = 100_000
    old.ack_file(offer["transfer"], start)
    await old.expect("file", file_op(qdatastream_client.COMPLETE))
    check = Check(content)
    check.at = start
    for message in old.messages:
        if message["type"] == "file" and message["op"] == qdatastream_client.CHUNK:
            check.received(message["offset"], message["data"])
    assert check.at == content.size
    old.ack_file(offer["transfer"], content.size)
    event = (await bob.expect("message/event"))["payload"]
    assert event["content"]["name"] == "bild.png"
    accepted = (await bob.request("file/accept", {"file_id": event["content"]["file_id"]}))["payload"]
    await download(accepted, content)
    # And back: what comes by the file channel goes out inside a connection.
    back = Content(200_000, 7)
    answer = (await bob.request("file/request", request(back, "alice")))["payload"]
    await upload(answer, back)
    offer = await alice.expect("file", file_op(qdatastream_client.OFFER))
    alice.ack_file(offer["transfer"], 0)
    await alice.expect("file", file_op(qdatastream_client.COMPLETE))
    check = Check(back)
    for message in alice.messages:
        if message["type"] == "file" and message["op"] == qdatastream_client.CHUNK:
            check.received(message["offset"], message["data"])
    assert check.at == back.size
    alice.ack_file(offer["transfer"], back.size)
    delivered = await bob.expect("file/complete", lambda line: line["payload"]["stage"] == "delivered")
    assert delivered["payload"]["user_id"] == "alice"
    for one in (alice, bob, old):
        await one.close()
    await server.stop()
