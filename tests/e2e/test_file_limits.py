"""Files where messages would not go, and under the keys of an encrypted session, through the real process."""

from __future__ import annotations

from typing import Any

import pytest_twisted
from twisted.internet import reactor

from tests.clients import filechannel_client as channel
from tests.clients import jsonline_client, qdatastream_client
from tests.clients.filechannel_client import END, ERROR, Content
from tests.clients.jsonline_security import SecureClient
from tests.clients.rest_client import RestClient
from tests.e2e.conftest import Serve
from tests.e2e.server import Server, sleep
from tests.e2e.test_file_faults import sealed_upload
from tests.e2e.test_file_http import create
from tests.e2e.test_files import client, download, file_op, request, upload
from tests.e2e.test_jsonline_security import SEALED, add_key


def kinds(line: jsonline_client.JsonLineClient) -> set[str]:
    """The commands of the events that a client was told and has not waited for."""
    return {event["command"] for event in line.events}


async def refused_everywhere(server: Server, content: Content) -> None:
    """Alice may send bob no file, by whatever door."""
    alice = await client(server, "alice")
    answer = (await alice.request("file/request", request(content)))["payload"]
    assert (answer["status"], answer["error_code"]) == (403, 1008), answer
    assert create(RestClient(server.port("/im"), "demo_token_alice"), content, to="bob").status == 403
    port = server.port("qdatastream")
    for framed, form in ((True, "utf8"), (False, "qstring")):
        old = await qdatastream_client.connect_user(reactor, port, "alice", framed=framed, form=form)
        old.offer_file("bob", "t1", "a", content.size, content.sha256)
        cancel = await old.expect("file", file_op(qdatastream_client.CANCEL))
        assert (cancel["transfer"], cancel["reason"]) == ("t1", answer["error_message"])
        if framed:
            assert (await old.expect("error"))["code"] == 403
        await old.close()
    await alice.close()


@pytest_twisted.ensureDeferred
async def test_not_to_somebody_who_blocks(serve: Serve) -> None:
    server = await serve().start()
    alice, bob = await client(server, "alice"), await client(server, "bob")
    content = Content(100_000)
    begun = (await alice.request("file/request", request(content)))["payload"]
    await bob.expect("file/request")
    line = await channel.connect(reactor, begun)
    await line.hello(begun)
    await line.upload(content.read, content.size, 0, begun["chunk_size"])
    assert (await bob.request("friend/block", {"user_id": "alice"}))["payload"]["status"] == 200
    await refused_everywhere(server, Content(5))
    # What had begun comes to no end, either.
    line.send_raw(channel.json_frame(END, sha256=content.sha256))
    kind, error = await line.expect(END, ERROR)
    assert (kind, error["status"], error["error_code"]) == (ERROR, 403, 1008)
    await line.ended
    resume = {"transfer_id": begun["transfer_id"], "offset": 0}
    assert (await alice.request("file/request", request(content, resume=resume)))["payload"]["status"] == 403
    assert (await bob.request("control/ping"))["payload"]["status"] == 200
    assert kinds(bob).isdisjoint({"file/request", "file/complete", "message/event"})
    # In a group nothing changes; and after the block everything is as before.
    await alice.request("group/create", {"group_id": "team", "members": ["bob"]})
    target: Any = {"target": {"type": "group", "id": "team"}}
    answer = (await alice.request("file/request", request(content, **target)))["payload"]
    assert answer["status"] == 200
    await bob.expect("file/request")
    assert (await bob.request("friend/unblock", {"user_id": "alice"}))["payload"]["status"] == 200
    again = (await alice.request("file/request", request(content, resume=resume)))["payload"]
    assert (again["status"], again["resume_offset"]) == (200, content.size)
    await upload(again, content)
    assert (await bob.expect("message/event"))["payload"]["sender_id"] == "alice"
    for one in (alice, bob):
        await one.close()
    await server.stop()


@pytest_twisted.ensureDeferred
async def test_to_friends_only(serve: Serve) -> None:
    server = await serve(overrides=['friends.messages="friends"']).start()
    content = Content(70_000)
    await refused_everywhere(server, content)
    alice, bob = await client(server, "alice"), await client(server, "bob")
    await alice.request("friend/request", {"user_id": "bob"})
    await bob.request("friend/accept", {"user_id": "alice"})
    answer = (await alice.request("file/request", request(content)))["payload"]
    await upload(answer, content)
    offer = (await bob.expect("file/request"))["payload"]
    accepted = (await bob.request("file/accept", {"transfer_id": offer["transfer_id"]}))["payload"]
    await download(accepted, content)
    for one in (alice, bob):
        await one.close()
    await server.stop()


@pytest_twisted.ensureDeferred
async def test_a_key_in_an_encrypted_answer(serve: Serve) -> None:
    server = await serve(overrides=("listener.2.signature=required", SEALED)).start()
    keys = await add_key(server, "alice", seal=True)
    await sleep(1.1)  # nothing of the second of the start passes
    alice = SecureClient(keys, reactor)
    await jsonline_client.connect_tcp(reactor, server.port("jsonline"), alice)
    assert (await alice.log_in("alice"))["payload"]["status"] == 200
    content = Content(300_000)
    answer: dict[str, Any] = (await alice.request("file/request", request(content, encryption="aes-gcm")))[
        "payload"
    ]
    assert (answer["status"], answer["encryption"], answer["endpoint"]["protocol"]) == (200, "aes-gcm", "tcp")
    end = await sealed_upload(answer, content, None)
    stored = await alice.expect("file/complete", lambda event: event["payload"]["stage"] == "stored")
    assert stored["payload"]["file_id"] == end["file_id"]
    # All of it came encrypted; and what is not, or not signed, is as little taken as any other command.
    assert keys.sealed == len(alice.lines)
    for off in ("sign", "seal"):
        setattr(keys, off, False)
        payload = {"file_id": end["file_id"], "encryption": "aes-gcm"}
        answer = (await alice.request("file/accept", payload))["payload"]
        assert (answer["status"], answer["error_code"]) == (401, 1003), off
        setattr(keys, off, True)
    answer = (await alice.request("file/accept", {"file_id": end["file_id"]}))["payload"]
    await download(answer, content)
    # A signed session in clear text gets no key.
    bob = SecureClient(await add_key(server, "bob"), reactor)
    await jsonline_client.connect_tcp(reactor, server.port("jsonline"), bob)
    assert (await bob.log_in("bob"))["payload"]["status"] == 200
    answer = (await bob.request("file/request", request(content, encryption="aes-gcm")))["payload"]
    assert (answer["status"], answer["error_code"]) == (400, 1004)
    assert (await bob.request("file/request", request(content)))["payload"]["status"] == 200
    await bob.close()
    await alice.close()
    await server.stop()
