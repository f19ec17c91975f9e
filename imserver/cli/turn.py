"""`imserver doctor turn`: gets a relay address of every configured TURN server, as a client would."""

from __future__ import annotations

import ipaddress
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from imserver.cli import reaching, stun
from imserver.cli.checks import Finding, Status
from imserver.cli.reaching import Fault
from imserver.config.ice_urls import IceUrl, parse_ice_url
from imserver.services.ice import TurnServer, turn_password, turn_user

_FIRST_WAIT = 0.5
_USER = "doctor"
_LIFE = 600
_UNAUTHORIZED, _STALE_NONCE = 401, 438
_REFUSALS = {
    403: "forbids it (403): allocations are not for this address",
    437: "mixes up our connection with another (437): is there something in between?",
    441: "knows the allocation under other credentials (441)",
    442: "does not relay UDP (442)",
    486: "gives this user no more relay addresses (486): see user-quota",
    508: "has no relay address left (508): see relay-ip, min-port, max-port, total-quota",
}


class Link:
    """The way to one server."""

    def __init__(self, url: IceUrl) -> None:
        self._stream = url.transport == "tcp"
        kind = socket.SOCK_STREAM if self._stream else socket.SOCK_DGRAM
        self._socket = reaching.connect(url.host, url.port, kind, encrypted=url.encrypted)

    def ask(self, kind: int, attributes: list[tuple[int, bytes]], key: bytes = b"") -> stun.Message:
        """Sends a request and waits for its answer.

        Raises:
            Fault: there is none.
        """
        transaction = os.urandom(12)
        request = stun.write(kind, transaction, attributes, key)
        try:
            answer = (self._over_stream if self._stream else self._over_datagrams)(request, transaction)
        except ConnectionRefusedError:
            raise Fault("nothing listens there (connection refused)") from None
        except TimeoutError:
            raise Fault(f"no answer in {reaching.PATIENCE:.0f} s: a firewall, or no STUN server") from None
        except (OSError, EOFError) as error:
            raise Fault(f"the connection broke: {getattr(error, 'strerror', None) or error}") from None
        except stun.NotStun:
            raise Fault("what answers there is no STUN server") from None
        if key and answer.kind == kind | stun.SUCCESS and not answer.sealed_with(key):
            raise Fault("its answer is not signed with our secret")
        return answer

    def close(self) -> None:
        """Lets go of it."""
        self._socket.close()

    def _over_stream(self, request: bytes, transaction: bytes) -> stun.Message:
        self._socket.settimeout(reaching.PATIENCE)
        self._socket.sendall(request)
        while True:
            answer = stun.read_stream(self._exactly)
            if answer.transaction == transaction:
                return answer

    def _exactly(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            piece = self._socket.recv(size - len(data))
            if not piece:
                raise EOFError("the server closed it")
            data += piece
        return data

    def _over_datagrams(self, request: bytes, transaction: bytes) -> stun.Message:
        ends, wait = time.monotonic() + reaching.PATIENCE, _FIRST_WAIT
        while (left := ends - time.monotonic()) > 0:
            self._socket.send(request)
            self._socket.settimeout(min(wait, left))
            wait *= 2
            try:
                while True:
                    answer = stun.read(self._socket.recv(2048))
                    if answer.transaction == transaction:
                        return answer
            except TimeoutError:
                continue
        raise TimeoutError


@contextmanager
def _linked(url: IceUrl) -> Iterator[Link]:
    link = Link(url)
    try:
        yield link
    finally:
        link.close()


def mapped(url: IceUrl) -> str:
    """The address from which a STUN server sees us.

    Raises:
        Fault
    """
    with _linked(url) as link:
        answer = link.ask(stun.BINDING, [])
    address = answer.address(stun.XOR_MAPPED_ADDRESS)
    if address is None:
        raise Fault("it does not say from where it sees us")
    return address[0]


def allocate(url: IceUrl, username: str, password: str) -> tuple[str, int]:
    """A relay address, given back at once.

    Raises:
        Fault
    """
    wish = [(stun.REQUESTED_TRANSPORT, stun.UDP)]
    with _linked(url) as link:
        answer = link.ask(stun.ALLOCATE, wish)
        if answer.kind == stun.ALLOCATE | stun.SUCCESS:
            raise Fault("it relays for anybody: it asks for no credentials (use-auth-secret is missing)")
        code, words = answer.error()
        if code != _UNAUTHORIZED or not answer.text(stun.REALM):
            raise Fault(_refusal(code, words))
        for _ in range(2):
            realm = answer.text(stun.REALM)
            key = stun.long_term_key(username, realm, password)
            signed = [
                (stun.USERNAME, username.encode()),
                (stun.REALM, realm.encode()),
                (stun.NONCE, answer.attributes.get(stun.NONCE, b"")),
            ]
            answer = link.ask(stun.ALLOCATE, [*wish, *signed], key)
            code, words = answer.error()
            if code != _STALE_NONCE:
                break
        if answer.kind != stun.ALLOCATE | stun.SUCCESS:
            raise Fault(_refusal(code, words))
        link.ask(stun.REFRESH, [(stun.LIFETIME, bytes(4)), *signed], key)
    address = answer.address(stun.XOR_RELAYED_ADDRESS)
    if address is None:
        raise Fault("it does not name the relay address that it gave")
    return address


def _refusal(code: int, words: str) -> str:
    if code == _UNAUTHORIZED:
        return "refuses the credentials (401): another secret, or clocks that differ by more than their life"
    return _REFUSALS.get(code) or f"refuses ({code} {words.strip()})"


def examine(servers: list[TurnServer], wall_time: Callable[[], float] = time.time) -> list[Finding]:
    """What every server says."""
    if not servers:
        return [
            Finding("turn", Status.WARN, "none is configured ([[turn]]): calls out of most networks fail")
        ]
    return [
        _look_at(text, server, int(wall_time()))
        for server in servers
        for text in (*server.stun, *server.turn)
    ]


def _look_at(text: str, server: TurnServer, now: int) -> Finding:
    url = parse_ice_url(text)
    name = f"{text} ({server.region})" if server.region else text
    if url.encrypted and url.transport == "udp":
        return Finding("turn", Status.WARN, f"{name}: DTLS; not looked at")
    try:
        if not url.relays:
            return Finding("turn", Status.OK, f"{name}: sees us at {mapped(url)}")
        username = turn_user(_USER, now + min(server.seconds, _LIFE))
        host, _ = allocate(url, username, turn_password(username, server.secret))
    except Fault as fault:
        return Finding("turn", Status.FAIL, f"{name}: {fault}")
    relay = ipaddress.ip_address(host)
    if relay.is_unspecified:
        return Finding("turn", Status.FAIL, f"{name}: gives no relay address but {host}: see relay-ip")
    if not relay.is_global and not _is_local(url):
        found = f"{name}: relays from {host}, which others cannot reach: see external-ip"
        return Finding("turn", Status.WARN, found)
    return Finding("turn", Status.OK, f"{name}: relays from {host}")


def _is_local(url: IceUrl) -> bool:
    """Whether the server itself is where only its own network can reach it."""
    try:
        return not ipaddress.ip_address(socket.gethostbyname(url.host)).is_global
    except OSError:
        return False
