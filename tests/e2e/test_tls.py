"""TLS as foreign programs see it: versions, chain, names, ALPN, clients' certificates, reload, half-open."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import socket
import ssl
import subprocess
from pathlib import Path

import pytest
from pytest_twisted import ensureDeferred
from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults

from tests.clients import jsonline_client, protobuf_client, websocket_client
from tests.clients.jsonline_client import JsonLineClient
from tests.e2e.certificates import Authority, serial
from tests.e2e.conftest import Serve
from tests.e2e.server import NO_RATES, Server, StartFailed, sleep
from tests.e2e.tls_clients import aside, endpoint, handshake, s_client, tls_override

LIVE = 500
HALF_OPEN = 1000
UNREAD = 1000
PING = b'{"id":"1","type":"request","command":"control/ping","payload":{}}\n'


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "pki")


@ensureDeferred
async def test_versions_and_the_chain(serve: Serve, authority: Authority) -> None:
    pair = authority.issue("server", "localhost")
    server = await serve(overrides=[tls_override(1, pair)]).start()
    port = server.port("/im")
    for version in ("-tls1_2", "-tls1_3"):
        # The root alone is known here, so the server must have sent the intermediate.
        output = await aside(
            s_client,
            port,
            version,
            "-CAfile",
            str(authority.root),
            "-verify_return_error",
            "-servername",
            "x",
        )
        assert "Verify return code: 0 (ok)" in output, output
        assert "test intermediate" in output, output
    for version in ("-tls1", "-tls1_1"):
        output = await aside(s_client, port, version, "-cipher", "DEFAULT@SECLEVEL=0")
        assert "alert protocol version" in output, output
    weak = await aside(s_client, port, "-tls1_2", "-cipher", "AES128-SHA:ECDHE-ECDSA-AES128-SHA@SECLEVEL=0")
    assert "alert handshake failure" in weak, weak
    # Plaintext gets nothing out of it.
    with socket.create_connection(("127.0.0.1", port), timeout=10) as plain:
        plain.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert b"HTTP/1.1 200" not in await aside(plain.recv, 4096)
    await server.stop()


@ensureDeferred
async def test_alpn_chooses_http_1_1_or_nothing(serve: Serve, authority: Authority) -> None:
    pair = authority.issue("server", "localhost")
    server = await serve(overrides=[tls_override(1, pair), tls_override(2, pair)]).start()
    web, lines = server.port("/im"), server.port("jsonline")
    curl = await aside(
        lambda: subprocess.run(
            [
                "curl",
                "-sS",
                "-v",
                "--http2",
                "--cacert",
                str(authority.root),
                f"https://localhost:{web}/healthz",
            ],
            capture_output=True,
            text=True,
            timeout=60,
        )
    )
    assert curl.returncode == 0, curl.stderr
    assert "server accepted http/1.1" in curl.stderr, curl.stderr
    assert '"success":true' in curl.stdout
    request = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
    for offered, chosen in ((("h2", "http/1.1"), "http/1.1"), (("h2",), None), ((), None)):
        _, protocol, answer = await aside(lambda o=offered: handshake(authority, web, alpn=o, say=request))
        assert protocol == chosen
        assert answer.startswith(b"HTTP/1.1 200"), answer
    # A listener with nothing to choose from goes on without.
    _, protocol, answer = await aside(lambda: handshake(authority, lines, alpn=("h2", "im"), say=PING))
    assert protocol is None
    assert b'"control/ping"' in answer
    await server.stop()


@ensureDeferred
async def test_the_name_a_client_asks_for_decides(serve: Serve, authority: Authority) -> None:
    default = authority.issue("default", "localhost")
    other = authority.issue("other", "chat.example", "*.wild.example")
    sni = f"sni=[{{certificate='{other[0]}',key='{other[1]}'}}]"
    server = await serve(overrides=[tls_override(2, default, sni)]).start()
    port = server.port("jsonline")
    for name, file in (
        ("localhost", default[0]),
        ("chat.example", other[0]),
        ("CHAT.example", other[0]),
        ("a.wild.example", other[0]),
    ):
        shown, _, _ = await aside(handshake, authority, port, name)
        assert shown == serial(file), name
    # Nobody's name, one label too many, and no name at all: the default.
    for arguments in (
        ["-servername", "foreign.example"],
        ["-servername", "a.b.wild.example"],
        ["-noservername"],
    ):
        assert "subject=CN = localhost" in await aside(s_client, port, *arguments)
    await server.stop()


@ensureDeferred
async def test_client_certificates(serve: Serve, authority: Authority, tmp_path: Path) -> None:
    pair = authority.issue("server", "localhost")
    foreign = Authority(tmp_path / "foreign", "foreign")
    override = tls_override(2, pair, f"client_ca='{authority.root}'")
    server = await serve(overrides=[override]).start()
    port = server.port("jsonline")
    mine, theirs = authority.issue("client", "alice"), foreign.issue("client", "alice")
    _, _, answer = await aside(lambda: handshake(authority, port, client=mine, say=PING))
    assert b'"control/ping"' in answer
    for refused in (None, theirs, authority.issue("old", "alice", days=-1)):
        with pytest.raises((ssl.SSLError, ConnectionError)):
            # In TLS 1.3 the client hears of it when it first reads.
            await aside(lambda c=refused: handshake(authority, port, client=c, say=PING))
    await server.stop()


@ensureDeferred
async def test_a_returning_client_needs_no_full_handshake(serve: Serve, authority: Authority) -> None:
    pair = authority.issue("server", "localhost")
    server = await serve(overrides=[tls_override(2, pair)]).start()
    port = server.port("jsonline")
    context = ssl.create_default_context(cafile=str(authority.root))
    session = None
    reused = []
    for _ in range(2):
        with (
            socket.create_connection(("127.0.0.1", port), timeout=30) as plain,
            context.wrap_socket(plain, server_hostname="localhost", session=session) as secure,
        ):
            secure.sendall(PING)
            assert await aside(secure.recv, 4096)
            reused.append(secure.session_reused)
            session = secure.session
    assert reused == [False, True]
    await server.stop()


@ensureDeferred
async def test_a_conversation_between_encrypted_listeners(serve: Serve, authority: Authority) -> None:
    pair = authority.issue("server", "localhost")
    server = await serve(overrides=[tls_override(1, pair), tls_override(2, pair)]).start()
    bob = await jsonline_client.connect(endpoint(authority, server.port("jsonline")), JsonLineClient(reactor))
    await bob.log_in("bob")
    web = endpoint(authority, server.port("/im"))
    alice = await websocket_client.connect(web, protobuf_client.ProtobufClient(reactor, "/im"))
    assert (await alice.log_in("alice"))["error_code"] == 0
    text = "x" * 60_000
    assert (await bob.send_text("alice", text))["payload"]["status"] == 200
    assert (await alice.expect("PUSH_MSG"))["content"] == text.encode()
    assert (await alice.send_text_message("bob", text))["error_code"] == 0
    assert (await bob.expect("message/event"))["payload"]["content"]["text"] == text
    await bob.close()
    await alice.close()
    await server.stop()


@ensureDeferred
async def test_reload_while_500_are_connected(serve: Serve, authority: Authority, tmp_path: Path) -> None:
    pair = authority.issue("server", "localhost")
    old = serial(pair[0])
    server = await serve(
        overrides=[
            tls_override(2, pair),
            "limits.sessions_per_user=1000",
            "limits.failed_logins_per_address=9999",
        ]
    ).start()
    port = server.port("jsonline")
    clients: list[JsonLineClient] = []
    for start in range(0, LIVE, 50):
        batch = await gatherResults(
            [_logged_in(authority, port, f"d{start + number}") for number in range(50)], consumeErrors=True
        )
        clients += batch
    renewed = authority.issue("renewed", "localhost")
    for new, file in zip(renewed, pair, strict=True):
        # As certbot does: never half a file.
        shutil.copy(new, f"{file}.new")
        os.replace(f"{file}.new", file)
    os.kill(server.pid, signal.SIGHUP)
    await _until_logged(server, "were read again", 1)
    shown, _, _ = await aside(handshake, authority, port)
    assert shown == serial(renewed[0]) != old
    answers = await gatherResults([client.request("control/ping") for client in clients])
    assert {answer["payload"]["status"] for answer in answers} == {200}
    assert not any(client.ended.called for client in clients)

    # Broken ones are refused in one line, and what was read before stays in use.
    for content in (b"", b"-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----\n"):
        pair[0].write_bytes(content)
        before = server.output().count("stay in use")
        os.kill(server.pid, signal.SIGHUP)
        await _until_logged(server, "stay in use", before + 1)
    foreign = authority.issue("foreign", "localhost")
    shutil.copy(foreign[0], pair[0])  # its key is still another's
    os.kill(server.pid, signal.SIGHUP)
    await _until_logged(server, "is not the key of", 1)
    lines = [line for line in server.output().splitlines() if "stay in use" in line]
    assert len(lines) == 3
    assert all("listener[2].tls: " in line and str(pair[0]) in line for line in lines)
    shown, _, _ = await aside(handshake, authority, port)
    assert shown == serial(renewed[0])
    answers = await gatherResults([client.request("control/ping") for client in clients])
    assert len(answers) == LIVE
    assert not any(client.ended.called for client in clients)
    for client in clients:
        client.abort()
    await gatherResults([client.ended for client in clients])
    await server.stop()


async def _log_in(authority: Authority, port: int, device: str) -> JsonLineClient:
    client = await jsonline_client.connect(endpoint(authority, port), JsonLineClient(reactor))
    answer = await client.log_in("alice", device=device)
    assert answer["payload"]["status"] == 200, answer
    return client


def _logged_in(authority: Authority, port: int, device: str) -> Deferred[JsonLineClient]:
    return Deferred.fromCoroutine(_log_in(authority, port, device))


async def _until_logged(server: Server, text: str, count: int) -> None:
    for _ in range(500):
        if server.output().count(text) >= count:
            return
        await sleep(0.02)
    raise AssertionError(server.output())


@ensureDeferred
async def test_1000_half_open_handshakes(serve: Serve, authority: Authority) -> None:
    """They count against their address, hold nobody else up, and end after ten seconds."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 8192)), hard))
    pair = authority.issue("server", "localhost")
    server = await serve(
        overrides=[
            tls_override(2, pair),
            f"limits.unauthenticated_per_address={HALF_OPEN}",
            "listener.2.endpoint=tcp:0:interface=127.0.0.1:backlog=1024",
        ]
    ).start()
    port = server.port("jsonline")
    alice = await _log_in(authority, port, "test")
    half: list[socket.socket] = []
    try:
        for number in range(HALF_OPEN):
            half.append(socket.create_connection(("127.0.0.1", port), timeout=30))
            # The head of a ClientHello, of which no more comes.
            half[-1].sendall(b"\x16\x03\x01\x02\x00\x01")
            if number % 50 == 0:
                await sleep(0)
        # The address has no more room, so the next is closed at once.
        with socket.create_connection(("127.0.0.1", port), timeout=30) as next_one:
            next_one.settimeout(30)
            assert await aside(_ended, next_one)
        # Others are not concerned: who is in, and who comes from elsewhere.
        assert (await alice.send_text("bob", "still here"))["payload"]["status"] == 200
        bob = await jsonline_client.connect(endpoint(authority, port, "127.0.0.2"), JsonLineClient(reactor))
        assert (await bob.log_in("bob"))["payload"]["status"] == 200
        # Every one of them is ended by the server.
        assert await aside(lambda: [_ended(connection) for connection in half]) == [True] * HALF_OPEN
        # There is room again.
        carol = await _log_in(authority, port, "another")
    finally:
        for connection in half:
            connection.close()
    for client in (alice, bob, carol):
        assert not client.ended.called
        await client.close()
    await server.stop()


def _ended(connection: socket.socket) -> bool:
    try:
        return connection.recv(4096) == b""
    except ConnectionResetError:
        return True


@pytest.mark.parametrize("fault", ["missing", "foreign key", "no certificate", "encrypted key", "disorder"])
@ensureDeferred
async def test_faults_at_the_start_are_one_line(serve: Serve, authority: Authority, fault: str) -> None:
    certificate, key = authority.issue("server", "localhost")
    if fault == "missing":
        certificate.unlink()
        expected = f"{certificate}: No such file or directory"
    elif fault == "foreign key":
        shutil.copy(authority.issue("other", "localhost")[1], key)
        expected = f"{key}: is not the key of {certificate}"
    elif fault == "no certificate":
        certificate.write_text("hello\n")
        expected = f"{certificate}: is not a certificate in PEM form"
    elif fault == "encrypted key":
        command = ["openssl", "pkey", "-in", str(key), "-aes256", "-passout", "pass:x", "-out", f"{key}.new"]
        subprocess.run(command, check=True, timeout=30)
        os.replace(f"{key}.new", key)
        expected = f"{key}: is encrypted"
    else:
        foreign = Authority(certificate.parent / "foreign", "foreign")
        certificate.write_bytes(certificate.read_bytes() + foreign.root.read_bytes())
        expected = f"{certificate}: the chain is out of order"
    server = serve(overrides=[tls_override(2, (certificate, key))])
    with pytest.raises(StartFailed) as failed:
        await server.start()
    assert failed.value.code == 1
    lines = failed.value.output.splitlines()
    assert len(lines) == 1, lines
    assert f"listener[2].tls: {expected}" in lines[0]


@ensureDeferred
async def test_a_peer_that_does_not_read_costs_no_memory_and_misses_nothing(
    serve: Serve, authority: Authority
) -> None:
    """OpenSSL's buffers are not where messages wait: the store is."""
    pair = authority.issue("server", "localhost")
    server = await serve(overrides=[tls_override(2, pair), *NO_RATES]).start()
    alice = await protobuf_client.connect_user(reactor, server.port("/ws"), "alice")
    bob = await jsonline_client.connect(endpoint(authority, server.port("jsonline")), JsonLineClient(reactor))
    assert (await bob.log_in("bob"))["payload"]["status"] == 200
    limit = UNREAD * 20_000 // 4
    # The store's caches fill and the heap finds its size with the same traffic to the same peer while
    # it reads: nothing waits then, so nothing that waits hides in what is measured from.
    rounds = iter(range(10))
    while await _round(server, alice, bob, next(rounds)) > limit // 4:
        pass
    bob.pause()
    grown = await _round(server, alice, bob, next(rounds))
    assert grown < limit, grown
    await bob.close()
    await alice.close()
    await server.stop()


async def _round(
    server: Server, alice: protobuf_client.ProtobufClient, bob: JsonLineClient, round_: int
) -> int:
    """UNREAD messages, by how many bytes the server has grown when all are sent; then bob gets them all."""
    before = server.rss()
    numbers = range(round_ * UNREAD, (round_ + 1) * UNREAD)
    for start in range(0, UNREAD, 20):
        answers = await gatherResults(
            [
                alice.send_text_message("bob", f"{number} {'x' * 20_000}")
                for number in numbers[start : start + 20]
            ]
        )
        assert {answer["error_code"] for answer in answers} == {0}
    grown = server.rss() - before
    bob.resume()
    for number in numbers:
        line = await bob.expect("message/event")
        assert line["payload"]["content"]["text"].partition(" ")[0] == str(number)
    return grown
