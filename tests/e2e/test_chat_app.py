"""The dialect chat-app through a real process, by a client written by hand."""

from __future__ import annotations

from typing import Any

import pytest_twisted
from twisted.internet import reactor

from tests.clients import chat_app_client, jsonline_client, protobuf_client
from tests.clients.chat_app_client import ChatAppClient, join_parts, password_hash
from tests.e2e.conftest import Serve
from tests.e2e.server import EVERY_FORMAT, NO_RATES, Server


async def start(serve: Serve, **options: Any) -> Server:
    """A server that has the dialect."""
    options.setdefault("listeners", EVERY_FORMAT)
    return await serve(**options).start()


async def connect(server: Server) -> ChatAppClient:
    """A connection."""
    client: ChatAppClient = await jsonline_client.connect_tcp(
        reactor, server.port("chat-app"), ChatAppClient(reactor)
    )
    return client


async def user(server: Server, name: str, device: str = "") -> ChatAppClient:
    """Somebody who is logged in."""
    client = await connect(server)
    answer = (await client.log_in(name, device=device))["payload"]
    assert answer["status"] == 200, answer
    return client


@pytest_twisted.ensureDeferred
async def test_accounts(serve: Serve) -> None:
    server = await start(serve, demo=False)
    client = await connect(server)
    client.heartbeat()
    hashed = password_hash("secret")
    registered = await client.ask("auth/register", {"username": "erin", "password": hashed})
    assert registered == {"status": 200, "token": "", "user_id": "erin", "expires_in": 0}
    taken = await client.ask("auth/register", {"username": "erin", "password": hashed}, status=409)
    assert taken["error_code"] == 1006
    wrong = (await client.log_in("erin", "another"))["payload"]
    assert wrong == {
        "status": 401,
        "token": "",
        "user_id": "",
        "expires_in": 0,
        "error_code": 1001,
        "error_message": wrong["error_message"],
    }
    answer = (await client.log_in("erin", "secret", device="windows"))["payload"]
    assert answer == {"status": 200, "token": answer["token"], "user_id": "erin", "expires_in": 3600}
    again = (await client.log_in("erin", "secret"))["payload"]
    assert (again["status"], again["token"]) == (409, "")

    # A token is exchanged for a later one, here and before a log-in; both are good.
    later = await client.ask("auth/refresh", {"token": answer["token"]})
    assert (later["user_id"], later["expires_in"]) == ("erin", 3600)
    other = await connect(server)
    renewed = await other.ask("auth/refresh", {"token": later["token"]})
    await other.ask("auth/refresh", {"token": later["token"] + "x"}, status=401)
    await other.ask("auth/refresh", {}, status=400)
    by_token = await other.ask("auth/login", {"token": renewed["token"]})
    assert by_token["token"] == renewed["token"]
    pong = await other.ask("control/ping", headers={"Authorization": f"Bearer {answer['token']}"})
    assert pong["status"] == 200

    # The same account in another format; the log-out ends the tokens and whoever lives on them.
    draft = await jsonline_client.connect_tcp(reactor, server.port("jsonline"))
    assert (await draft.log_in("erin", "secret"))["payload"]["status"] == 200
    await client.ask("auth/logout")
    await client.ended
    assert (await other.next("auth/kick"))["reason"] == "account"
    await other.ended
    last = await connect(server)
    await last.ask("auth/refresh", {"token": renewed["token"]}, status=401)
    await last.ask("auth/login", {"token": renewed["token"]}, status=401)
    await last.close()
    await draft.close()
    await server.stop()


@pytest_twisted.ensureDeferred
async def test_messages(serve: Serve) -> None:
    server = await start(serve, overrides=NO_RATES)
    alice, bob = await user(server, "alice"), await user(server, "bob")
    sent = await alice.ask(
        "message/send",
        {
            "conversation_id": "ab",
            "target": {"type": "user", "id": "bob"},
            "content": {"type": "text", "text": "hi"},
        },
        id="m-1",
    )
    event = await bob.next("message/event")
    assert event["message_id"] == sent["message_id"]
    assert (event["conversation_id"], event["sender_id"]) == ("ab", "alice")
    assert event["content"] == {"type": "text", "text": "hi"}
    failed = await alice.ask(
        "message/send",
        {"target": {"type": "user", "id": "nobody"}, "content": {"type": "text", "text": "x"}},
        status=404,
    )
    assert (failed["error_code"], failed["message_id"]) == (1007, "")

    # Longer than these clients can read in one line; attachments stay with the first piece.
    long = 'x界😀"\\\n' * 5_000
    await alice.ask(
        "message/send",
        {
            "target": {"type": "user", "id": "bob"},
            "content": {"type": "text", "text": long[:40_000]},
            "attachments": [{"file_id": "f", "name": "n"}],
        },
    )
    pieces = [await bob.next("message/event")]
    while pieces[-1]["part"] < pieces[-1]["parts"]:
        pieces.append(await bob.next("message/event"))
    assert len(pieces) > 1
    (whole,) = join_parts(pieces)
    assert whole["content"]["text"] == long[:40_000]
    assert whole["attachments"] == [{"file_id": "f", "name": "n"}]
    await bob.close()
    await alice.close()
    await server.stop()
    protobuf_client  # noqa: B018
    chat_app_client  # noqa: B018
