"""REST against the real server: what it does, whom it lets in, and what it does not swallow."""

from __future__ import annotations

import base64
import json
import sqlite3
import threading
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.threads import deferToThread

from tests.clients import jsonline_client
from tests.clients.rest_client import Answer, RestClient, exchange, parse
from tests.e2e.conftest import Serve
from tests.e2e.server import Server

TOO_MUCH = 256 * 1024 + 1


def port_of(server: Server) -> int:
    """Where REST is served."""
    return server.port("/im")


def demo(server: Server, user: str) -> RestClient:
    """Somebody with a demo token."""
    return RestClient(port_of(server), f"demo_token_{user}")


def stranger(server: Server) -> RestClient:
    """Somebody without a token."""
    return RestClient(port_of(server))


def promote(server: Server, user: str, role: str = "admin") -> None:
    """Makes somebody an administrator behind the server's back: it reads the role anew each time."""
    connection = sqlite3.connect(server.data / "imserver.db", timeout=30)
    with connection:
        changed = connection.execute("UPDATE users SET role = ? WHERE name = ?", (role, user)).rowcount
    connection.close()
    assert changed == 1


def refused(answer: Answer, status: int, error: str = "") -> dict[str, Any]:
    """The envelope of a refusal."""
    assert answer.status == status, answer
    body = answer.body
    if error:
        assert body["data"]["error"] == error, body
    if status == 401:
        assert answer.headers["www-authenticate"].startswith("Bearer "), answer
    if status in (429, 503):
        assert int(answer.headers["retry-after"]) > 0, answer
    return body


@pytest_twisted.ensureDeferred
async def test_accounts_and_tokens(serve: Serve) -> None:
    server = await serve(demo=False).start()
    client = stranger(server)
    password = "correct horse"
    made = client.post("/api/auth/register", {"username": "眉", "password": password, "platform": "web"}).data
    assert made["userID"] == "眉"
    assert made["user"] == {"id": "眉", "username": "眉"}
    assert made["token"] == made["access_token"]
    assert made["expires_in"] == 3600
    refused(client.post("/api/auth/register", {"username": "眉", "password": "x"}), 409, "USER_EXISTS")
    refused(client.post("/api/auth/register", {"username": "single_a", "password": "x"}), 400)
    refused(client.post("/api/auth/register", {"password": "x"}), 400)
    refused(client.post("/api/auth/login", {"username": "眉", "phone": "眉", "password": password}), 400)

    phone = client.post("/api/auth/login", {"phone": "眉", "password": password}).data
    refused(client.post("/api/auth/login", {"username": "眉", "password": "wrong"}), 401, "AUTH_FAILED")
    refused(client.post("/api/auth/login", {"username": "nobody", "password": password}), 401, "AUTH_FAILED")

    client.token = made["token"]
    me = client.get("/api/users/me").data["user"]
    assert (me["id"], me["role"], me["has_password"], me["disabled"]) == ("眉", "user", True, False)
    # A refresh token opens no door, and an access token refreshes nothing.
    refused(RestClient(port_of(server), made["refresh_token"]).get("/api/users/me"), 401, "AUTH_FAILED")
    refused(client.post("/api/auth/refresh", {"refresh_token": made["token"]}), 401, "AUTH_FAILED")

    once = {"refresh_token": made["refresh_token"]}
    first = client.call("POST", "/api/auth/refresh", once, {"X-Request-Id": "r1"}).data
    again = client.call("POST", "/api/auth/refresh", once, {"X-Request-Id": "r1"}).data
    assert first == again
    assert first["refresh_token"] != made["refresh_token"]
    # Used once more by somebody else: the whole family is revoked.
    refused(client.call("POST", "/api/auth/refresh", once, {"X-Request-Id": "r2"}), 401, "AUTH_FAILED")
    for token in (made["token"], first["token"]):
        refused(RestClient(port_of(server), token).get("/api/users/me"), 401, "AUTH_FAILED")
    refused(client.post("/api/auth/refresh", {"refresh_token": first["refresh_token"]}), 401)

    # The other log-in lives, until it logs out.
    other = RestClient(port_of(server), phone["token"])
    assert other.get("/api/users/me").status == 200
    assert other.post("/api/auth/logout").data == {}
    refused(other.get("/api/users/me"), 401, "AUTH_FAILED")
    await server.stop()


@pytest_twisted.ensureDeferred
async def test_tokens_that_are_none(serve: Serve) -> None:
    server = await serve(demo=False).start()
    client = stranger(server)
    made = client.post("/api/auth/register", {"username": "alice", "password": "secret"}).data
    header, claims, signature = made["token"].split(".")

    def part(value: dict[str, Any]) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    plain = json.loads(base64.urlsafe_b64decode(claims + "=="))
    bad = [
        part({"alg": "none"}) + f".{claims}.",
        f"{header}.{claims}.",
        f"{header}.{part({**plain, 'user_id': 'bob', 'sub': 'bob'})}.{signature}",
        part({"alg": "HS512"}) + f".{claims}.{signature}",
        "demo_token_alice",
        "x",
        "..",
        "a" * 9000,
    ]
    for token in bad:
        refused(RestClient(port_of(server), token).get("/api/users/me"), 401, "AUTH_FAILED")
    for value in ("", "Basic YWxpY2U6c2VjcmV0", "Bearer", "Bearer  ", made["token"], "Bearer caf\xe9"):
        refused(client.call("GET", "/api/users/me", headers={"Authorization": value}), 401)
    # Not in the query, not in a cookie.
    refused(client.get(f"/api/users/me?token={made['token']}"), 401)
    refused(client.call("GET", "/api/users/me", headers={"Cookie": f"token={made['token']}"}), 401)
    two = "GET /api/users/me HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n" + (
        f"Authorization: Bearer {made['token']}\r\n" * 2
    )
    refused(parse(exchange(port_of(server), two.encode() + b"\r\n")), 401)
    # Guessing passwords ends in being made to wait, for the right one too.
    statuses = [
        client.post("/api/auth/login", {"username": "alice", "password": f"guess {number}"}).status
        for number in range(11)
    ]
    assert statuses == [401] * 10 + [429]
    refused(client.post("/api/auth/login", {"username": "alice", "password": "secret"}), 429, "TOO_FAST")
    # Who is in stays in.
    assert RestClient(port_of(server), made["token"]).get("/api/users/me").status == 200
    assert made["token"] not in server.output()
    await server.stop()


@pytest_twisted.ensureDeferred
async def test_messages_reach_other_formats_and_come_back(serve: Serve) -> None:
    server = await serve().start()
    bob = await jsonline_client.connect_tcp(reactor, server.port("jsonline"))
    assert (await bob.log_in("bob"))["payload"]["status"] == 200
    alice = demo(server, "alice")

    sent = alice.post(
        "/api/messages",
        {
            "content": "你好 😀",
            "target": {"type": "user", "id": "bob"},
            "client_id": "c1",
            "extra": {"k": "v"},
            "meta": {"m": [1, 2]},
            "attachments": [{"file_id": "f"}],
        },
    ).data
    assert (sent["conversation_id"], sent["seq"], sent["pending"]) == ("single_alice_bob", 1, False)
    event = (await bob.expect("message/event"))["payload"]
    assert event["message"]["message_id"] == sent["message_id"]
    assert event["message"]["content"] == {"type": "text", "text": "你好 😀"}

    # The same again is answered again and sent once; something else under its id is refused.
    repeated = {
        "content": {"type": "text", "text": "你好 😀"},
        "target": {"type": "user", "id": "bob"},
        "client_id": "c1",
        "extra": {"k": "v"},
        "meta": {"m": [1, 2]},
        "attachments": [{"file_id": "f"}],
    }
    assert alice.post("/api/messages", repeated).data == sent
    refused(alice.post("/api/messages", {**repeated, "content": "other"}), 409, "CONFLICT")

    answered = (await bob.send_text("alice", "hi"))["payload"]
    page = alice.get("/api/messages").data
    assert [row["message_id"] for row in page["messages"]] == [sent["message_id"], answered["message_id"]]
    assert [row["seq"] for row in page["messages"]] == [1, 2]
    first = page["messages"][0]
    assert first["content"] == {"type": "text", "text": "你好 😀"}
    assert (first["extra"], first["meta"], first["attachments"]) == (
        {"k": "v"},
        {"m": [1, 2]},
        [{"file_id": "f"}],
    )
    page = alice.get("/api/messages?since=1&limit=1").data
    assert ([row["seq"] for row in page["messages"]], page["has_more"]) == ([2], False)
    page = alice.get("/api/conversations/single_alice_bob/messages?limit=1").data
    assert (page["messages"][0]["message_id"], page["has_more"]) == (sent["message_id"], True)
    page = alice.get(f"/api/conversations/single_alice_bob/messages?since={page['next_cursor']}").data
    assert page["messages"][0]["message_id"] == answered["message_id"]

    listed = alice.get("/api/conversations").data["conversations"]
    assert [one["conversation_id"] for one in listed] == ["single_alice_bob", "group_demo"]
    assert (listed[0]["type"], listed[0]["id"], listed[0]["position"]) == ("user", "bob", 2)
    assert listed[0]["last_message"]["message_id"] == answered["message_id"]

    # What is others' stays closed.
    carol = demo(server, "carol")
    refused(carol.get("/api/conversations/single_alice_bob/messages"), 404, "CONVERSATION_NOT_FOUND")
    refused(carol.get("/api/conversations/a%2Fb/messages"), 404, "CONVERSATION_NOT_FOUND")
    assert carol.get("/api/messages").data["messages"] == []
    for body, status in (
        ({"content": "x"}, 400),
        ({"content": 5, "target": {"type": "user", "id": "bob"}}, 400),
        ({"content": {"text": "x"}, "target": {"type": "user", "id": "bob"}}, 400),
        ({"content": "x", "target": {"type": "user"}}, 400),
        ({"content": "x", "target": {"type": "user", "id": "nobody"}}, 404),
        ({"content": "x", "target": {"type": "group", "id": "nothing"}}, 404),
        ({"content": "x", "target": {"type": "broadcast"}}, 403),
        ({"content": "x", "target": {"type": "broadcast", "id": "all"}}, 400),
        ({"content": "x", "conversation_id": "single_alice_bob"}, 404),
        ({"content": "x" * 65_537, "target": {"type": "user", "id": "bob"}}, 413),
        ({"content": "x", "target": {"type": "user", "id": "bob"}, "sender": "alice"}, 400),
        ({"content": "x", "target": {"type": "user", "id": "bob"}, "extra": {"im.meta": "{}"}}, 400),
    ):
        refused(carol.post("/api/messages", body), status)
    promote(server, "carol")
    broadcast = carol.post("/api/messages", {"content": "all", "target": {"type": "broadcast"}})
    assert (broadcast.status, broadcast.data["pending"]) == (202, True)
    heard = (await bob.expect("message/event"))["payload"]["message"]
    assert heard["content"]["text"] == "all"
    await bob.close()
    assert "你好" not in server.output()
    await server.stop()


@pytest_twisted.ensureDeferred
async def test_groups(serve: Serve) -> None:
    server = await serve().start()
    alice, bob, carol = (demo(server, name) for name in ("alice", "bob", "carol"))
    made = alice.post("/api/groups", {"group_id": "team", "name": "The Team", "members": ["bob"]}).data[
        "group"
    ]
    assert (made["owner"], made["member_count"], made["conversation_id"]) == ("alice", 2, "group_team")
    assert [member["user_id"] for member in made["members"]] == ["alice", "bob"]
    refused(alice.post("/api/groups", {"group_id": "team"}), 409, "CONFLICT")
    refused(alice.post("/api/groups", {"group_id": "x/y"}), 400)
    assert [group["group_id"] for group in bob.get("/api/groups").data["groups"]] == ["demo", "team"]
    refused(carol.get("/api/groups/team"), 404, "NOT_FOUND")
    refused(carol.get("/api/groups/team/members"), 404, "NOT_FOUND")
    refused(carol.post("/api/groups/team/join"), 404, "NOT_FOUND")
    refused(carol.call("DELETE", "/api/groups/team"), 404, "NOT_FOUND")
    refused(bob.call("DELETE", "/api/groups/team"), 403, "FORBIDDEN")
    refused(bob.call("DELETE", "/api/groups/team/members/alice"), 403, "FORBIDDEN")
    assert bob.post("/api/groups/team/invitations", {"user_id": "carol"}).data == {}
    assert carol.call("POST", "/api/groups/team/join").data["group"]["member_count"] == 3
    roles = {one["user_id"]: one["role"] for one in carol.get("/api/groups/team/members").data["members"]}
    assert roles == {"alice": "owner", "bob": "member", "carol": "member"}
    assert alice.call("DELETE", "/api/groups/team/members/bob").data == {}
    refused(bob.get("/api/groups/team"), 404)
    assert carol.post("/api/groups/team/leave").data == {}
    assert alice.call("DELETE", "/api/groups/team").data == {}
    refused(alice.get("/api/groups/team"), 404, "NOT_FOUND")

    alice.post("/api/groups", {"group_id": "closed", "password": "open sesame"})
    refused(bob.post("/api/groups/closed/join"), 403, "FORBIDDEN")
    refused(bob.post("/api/groups/closed/join", {"password": "wrong"}), 403, "FORBIDDEN")
    assert bob.post("/api/groups/closed/join", {"password": "open sesame"}).data["group"]["has_password"]
    await server.stop()


ADMINISTRATION = (
    ("GET", "/api/admin/users"),
    ("POST", "/api/admin/users"),
    ("POST", "/api/admin/users/bob/disable"),
    ("POST", "/api/admin/users/bob/enable"),
    ("POST", "/api/admin/users/bob/kick"),
    ("PUT", "/api/admin/users/bob/password"),
    ("PUT", "/api/admin/users/bob/role"),
    ("GET", "/api/admin/sessions"),
    ("DELETE", "/api/admin/sessions/x"),
    ("GET", "/api/admin/groups"),
    ("GET", "/api/admin/groups/demo"),
    ("DELETE", "/api/admin/groups/demo"),
    ("PUT", "/api/admin/groups/demo/members/bob"),
    ("DELETE", "/api/admin/groups/demo/members/bob"),
    ("GET", "/api/admin/stats"),
)


@pytest_twisted.ensureDeferred
async def test_administration(serve: Serve) -> None:
    server = await serve().start()
    admin, nobody = demo(server, "alice"), stranger(server)
    # Whether a user of that name exists makes no difference to those who may not ask.
    for method, path in ADMINISTRATION:
        refused(nobody.call(method, path), 401)
        refused(admin.call(method, path), 403, "FORBIDDEN")
    promote(server, "alice")

    users = admin.get("/api/admin/users?limit=2").data
    assert ([one["id"] for one in users["users"]], users["has_more"]) == (["alice", "bob"], True)
    users = admin.get("/api/admin/users?after=bob").data
    assert [one["id"] for one in users["users"]] == ["carol", "dave"]
    made = admin.post("/api/admin/users", {"username": "erin", "password": "one"}).data["user"]
    assert (made["id"], made["role"], made["has_password"]) == ("erin", "user", True)
    refused(admin.post("/api/admin/users", {"username": "erin"}), 409, "USER_EXISTS")
    refused(admin.post("/api/admin/users", {"username": "eve", "role": "root"}), 400)
    refused(admin.post("/api/admin/users/nobody/disable"), 404, "USER_NOT_FOUND")

    def log_in(password: str) -> Answer:
        return nobody.post("/api/auth/login", {"username": "erin", "password": password})

    token = log_in("one").data["token"]
    erin = RestClient(port_of(server), token)
    assert erin.get("/api/users/me").status == 200
    assert admin.post("/api/admin/users/erin/disable").data["user"]["disabled"]
    refused(erin.get("/api/users/me"), 401, "AUTH_FAILED")
    refused(log_in("one"), 403, "FORBIDDEN")
    assert not admin.post("/api/admin/users/erin/enable").data["user"]["disabled"]
    refused(erin.get("/api/users/me"), 401)
    erin.token = log_in("one").data["token"]
    admin.call("PUT", "/api/admin/users/erin/password", {"password": "two"})
    refused(erin.get("/api/users/me"), 401)
    refused(log_in("one"), 401)
    erin.token = log_in("two").data["token"]
    admin.post("/api/admin/users/erin/kick", {"reason": "enough"})
    refused(erin.get("/api/users/me"), 401)

    # A role counts from the next request on, in both directions.
    erin.token = log_in("two").data["token"]
    refused(erin.get("/api/admin/stats"), 403)
    assert admin.call("PUT", "/api/admin/users/erin/role", {"role": "admin"}).data["user"]["role"] == "admin"
    assert erin.get("/api/admin/stats").status == 200
    admin.call("PUT", "/api/admin/users/erin/role", {"role": "user"})
    refused(erin.get("/api/admin/stats"), 403)

    bob = await jsonline_client.connect_tcp(reactor, server.port("jsonline"))
    await bob.log_in("bob")
    (live,) = admin.get("/api/admin/sessions?user=bob").data["sessions"]
    assert (live["format"], live["address"], live["secure"]) == ("jsonline", "127.0.0.1", False)
    stats = admin.get("/api/admin/stats").data
    assert stats["sessions"]["jsonline"] == 1
    assert stats["log_ins"] > 0
    assert stats["store_bytes"] > 0
    assert admin.call("DELETE", f"/api/admin/sessions/{live['session_id']}").data == {}
    await bob.ended
    refused(admin.call("DELETE", f"/api/admin/sessions/{live['session_id']}"), 404, "NOT_FOUND")

    # Groups of which the administrator need not be a member.
    demo(server, "carol").post("/api/groups", {"group_id": "theirs"})
    assert [one["group_id"] for one in admin.get("/api/admin/groups").data["groups"]] == ["demo", "theirs"]
    assert admin.call("PUT", "/api/admin/groups/theirs/members/dave").status == 200
    assert admin.get("/api/admin/groups/theirs").data["group"]["member_count"] == 2
    assert admin.call("DELETE", "/api/admin/groups/theirs/members/carol").status == 200
    assert admin.get("/api/admin/groups/theirs").data["group"]["owner"] == "dave"
    assert admin.call("DELETE", "/api/admin/groups/theirs").status == 200
    refused(admin.get("/api/admin/groups/theirs"), 404, "NOT_FOUND")
    await server.stop()


@pytest_twisted.ensureDeferred
async def test_requests_that_are_none(serve: Serve) -> None:
    server = await serve().start()
    alice = demo(server, "alice")
    port = port_of(server)
    for path in (
        "/api",
        "/api/",
        "/api/nothing",
        "/api/groups/",
        "/api//groups",
        "/api/admin",
        "/nothing",
        "/",
    ):
        refused(alice.get(path), 404)
    refused(alice.get("/api/groups/%ff"), 400)
    for method, path, allowed in (
        ("PUT", "/api/messages", "GET, HEAD, POST"),
        ("OPTIONS", "/api/auth/login", "POST"),
        ("TRACE", "/api/users/me", "GET, HEAD"),
        ("FROB", "/api/groups/demo", "DELETE, GET, HEAD"),
        ("POST", "/api/openapi.json", "GET, HEAD"),
        ("POST", "/metrics", "GET, HEAD"),
        ("DELETE", "/healthz", "GET, HEAD"),
    ):
        answer = alice.call(method, path)
        refused(answer, 405)
        assert answer.headers["allow"] == allowed
    login = "/api/auth/login"
    for raw in (b"{", b"[]", b'"x"', b"nonsense", b"\xff", b'{"username":"a\\ud800x","password":"b"}'):
        refused(alice.call("POST", login, raw=raw), 400)
    refused(alice.call("POST", login, raw=b"[" * 100_000), 400)
    deep = (
        b'{"content":{"type":"x","v":' + b"[" * 5000 + b"]" * 5000 + b'},"target":{"type":"user","id":"bob"}}'
    )
    refused(alice.call("POST", "/api/messages", raw=deep), 400)
    good = json.dumps({"username": "alice", "password": "alice"}).encode()
    for kind in (
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "json",
    ):
        refused(alice.call("POST", login, raw=good, headers={"Content-Type": kind}), 415)
    refused(alice.call("POST", login, raw=good, headers={"Content-Encoding": "gzip"}), 415)
    refused(alice.call("POST", login), 415)
    assert alice.call(
        "POST", login, raw=good, headers={"Content-Type": "application/json; charset=utf-8"}
    ).data
    for query in ("limit=x", "limit=-1", "limit=1&limit=2", "unknown=1", "since=%ff", "since=nonsense"):
        refused(alice.get(f"/api/messages?{query}"), 400)
    refused(alice.get("/api/groups?x=1"), 400)
    answer = alice.call("HEAD", "/api/users/me")
    assert (answer.status, answer.raw) == (200, b"")
    assert int(answer.headers["content-length"]) > 0
    # Nothing of a browser's: no cookies, no CORS; and answers are not to be guessed at, framed or kept.
    answer = alice.get("/api/users/me")
    assert not {"set-cookie", "access-control-allow-origin", "server"} & set(answer.headers)
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-store"
    assert "default-src 'none'" in answer.headers["content-security-policy"]

    # Too large: announced, in pieces, and for a path that does not exist.
    head = f"POST {login} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n".encode()
    announced = parse(exchange(port, head + b"Content-Length: %d\r\n\r\n" % TOO_MUCH))
    refused(announced, 413)
    whole = await deferToThread(
        exchange, port, head + b"Content-Length: %d\r\n\r\n" % TOO_MUCH + b" " * TOO_MUCH
    )
    refused(parse(whole), 413)
    pieces = b"".join(b"%x\r\n%b\r\n" % (65536, b" " * 65536) for _ in range(5)) + b"0\r\n\r\n"
    refused(parse(exchange(port, head + b"Transfer-Encoding: chunked\r\n\r\n" + pieces)), 413)
    assert alice.get("/api/users/me").status == 200
    await server.stop()


@pytest_twisted.ensureDeferred
async def test_browsers_and_proxies(serve: Serve) -> None:
    server = await serve().start()
    alice = demo(server, "alice")
    for origin in ("https://evil.example", "null", f"http://127.0.0.1.evil.example:{alice.port}"):
        for path in ("/api/users/me", "/api/auth/login", "/metrics", "/healthz"):
            refused(alice.call("GET", path, headers={"Origin": origin}), 403)
    own = f"http://127.0.0.1:{alice.port}"
    answer = alice.call("GET", "/api/users/me", headers={"Origin": own})
    assert answer.status == 200
    assert "access-control-allow-origin" not in answer.headers
    # Demonstrations are for this machine only.
    refused(alice.call("GET", "/api/users/me", headers={"X-Forwarded-For": "192.0.2.1"}), 403)
    refused(alice.call("GET", "/api/users/me", headers={"Host": "chat.example"}), 403)
    await server.stop()


@pytest_twisted.ensureDeferred
async def test_rates(serve: Serve) -> None:
    server = await serve(overrides=("limits.commands_per_second=0.001", "limits.command_burst=3")).start()
    alice, bob = demo(server, "alice"), demo(server, "bob")
    statuses = [alice.get("/api/users/me").status for _ in range(6)]
    assert statuses == [200] * 3 + [429] * 3
    assert bob.get("/api/users/me").status == 200
    # The address as a whole; a header does not make another address of it.
    answers = [stranger(server).get("/api/nothing") for _ in range(30)]
    assert refused(answers[-1], 429, "TOO_FAST")["data"]["retryable"]
    assert stranger(server).get("/healthz").status == 200
    await server.stop()


@pytest_twisted.ensureDeferred
async def test_an_address_is_not_what_a_header_says(serve: Serve) -> None:
    server = await serve(demo=False, overrides=("limits.failed_logins_per_account=3",)).start()
    client = stranger(server)
    client.post("/api/auth/register", {"username": "alice", "password": "secret"})
    statuses = [
        client.call(
            "POST",
            "/api/auth/login",
            {"username": "alice", "password": "guess"},
            {"X-Forwarded-For": f"192.0.2.{number}", "Forwarded": f"for=192.0.2.{number}"},
        ).status
        for number in range(4)
    ]
    assert statuses == [401, 401, 401, 429]
    await server.stop()


@pytest_twisted.ensureDeferred
async def test_health_and_metrics(serve: Serve) -> None:
    server = await serve(demo=False).start()
    client = stranger(server)
    assert client.get("/healthz").data == {}
    assert client.get("/readyz").data == {}
    made = client.post("/api/auth/register", {"username": "alice", "password": "secret"}).data
    alice = RestClient(port_of(server), made["token"])
    alice.post("/api/messages", {"content": "note to myself", "target": {"type": "user", "id": "alice"}})
    alice.post("/api/messages", {"content": "x", "target": {"type": "user", "id": "nobody"}})
    refused(client.post("/api/auth/login", {"username": "alice", "password": "x"}), 401)

    scraped = client.get("/metrics")
    assert scraped.status == 200
    assert scraped.headers["content-type"].startswith("text/plain; version=")
    lines = dict(
        line.rsplit(" ", 1) for line in scraped.raw.decode().splitlines() if not line.startswith("#")
    )
    assert lines['imserver_messages_accepted_total{format="rest"}'] == "1.0"
    assert lines['imserver_messages_refused_total{code="USER_NOT_FOUND",format="rest"}'] == "1.0"
    assert lines['imserver_logins_total{result="ok"}'] == "1.0"
    assert lines['imserver_logins_total{result="AUTH_FAILED"}'] == "1.0"
    assert float(lines["imserver_commit_seconds_count"]) >= 1
    assert lines["imserver_commit_rows_sum"] == "1.0"
    assert float(lines['imserver_store_bytes{file="imserver.db"}']) > 0
    assert float(lines["process_resident_memory_bytes"]) > 0
    assert "alice" not in scraped.raw.decode()

    # Whoever is not certainly this machine needs an administrator's token.
    for headers in (
        {"X-Forwarded-For": "127.0.0.1"},
        {"Forwarded": "for=127.0.0.1"},
        {"Host": "rebound.example"},
    ):
        refused(client.call("GET", "/metrics", headers=headers), 401)
    refused(alice.get("/metrics"), 403, "FORBIDDEN")
    promote(server, "alice")
    assert alice.call("GET", "/metrics", headers={"X-Forwarded-For": "192.0.2.1"}).status == 200
    assert "note to myself" not in server.output()
    # The other listener has none of it.
    elsewhere = RestClient(server.port("/ws"))
    for path in ("/metrics", "/healthz", "/api/users/me", "/api/openapi.json"):
        refused(elsewhere.get(path), 404)
    await server.stop()


@pytest_twisted.ensureDeferred
async def test_json_logs(serve: Serve) -> None:
    server = await serve(overrides=("log.format=json", "log.access=true")).start()
    alice = demo(server, "alice")
    alice.post("/api/messages", {"content": "my secret", "target": {"type": "user", "id": "bob"}})
    alice.get("/api/messages?since=0&limit=77")
    alice.post("/api/auth/login", {"username": "alice", "password": "not her password"})
    await server.stop()
    lines = [json.loads(line) for line in server.output().splitlines()]
    for line in lines:
        assert {"time", "level", "namespace", "message"} <= set(line), line
    access = [line["fields"] for line in lines if line["namespace"] == "imserver.access"]
    assert [(one["method"], one["path"], one["status"], one["user"]) for one in access] == [
        ("POST", "/api/messages", 200, "alice"),
        ("GET", "/api/messages", 200, "alice"),
        ("POST", "/api/auth/login", 401, ""),
    ]
    for word in ("my secret", "demo_token_alice", "limit=77", "not her password"):
        assert word not in server.output(), word


@pytest_twisted.ensureDeferred
async def test_many_at_once(serve: Serve) -> None:
    """Answers do not get mixed up; whoever hangs up early disturbs nobody."""
    server = await serve(
        overrides=(
            "limits.commands_per_second=1e6",
            "limits.command_burst=1000000",
            "limits.send_burst=100000",
        )
    ).start()
    port = port_of(server)
    faults: list[str] = []

    def work(number: int) -> None:
        client = RestClient(port, f"demo_token_{('alice', 'bob')[number % 2]}")
        for turn in range(20):
            text = f"{number}/{turn}"
            body = {"content": text, "target": {"type": "user", "id": "carol"}, "client_id": text}
            sent = client.post("/api/messages", body)
            if sent.status != 200 or client.post("/api/messages", body).data != sent.data:
                faults.append(text)

    def hang_up() -> None:
        for _ in range(50):
            client = RestClient(port, "demo_token_dave")
            client._connection.connect()
            client._connection.sock.sendall(
                b"GET /api/messages HTTP/1.1\r\nHost: 127.0.0.1\r\n"
                b"Authorization: Bearer demo_token_dave\r\n\r\n"
            )
            client.close()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    threads.append(threading.Thread(target=hang_up))
    for thread in threads:
        thread.start()
    for thread in threads:
        await deferToThread(thread.join)
    assert faults == []
    inbox: list[str] = []
    carol, since = demo(server, "carol"), ""
    while True:
        page = carol.get(f"/api/messages?limit=50&since={since}").data
        inbox += [row["content"]["text"] for row in page["messages"]]
        since = page["next_cursor"]
        if not page["has_more"]:
            break
    assert sorted(inbox) == sorted(f"{number}/{turn}" for number in range(6) for turn in range(20))
    await server.stop()


@pytest.mark.parametrize("answer", [b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n{}"])
def test_the_client_notices_a_wrong_shape(answer: bytes) -> None:
    with pytest.raises(AssertionError):
        _ = parse(answer).body
