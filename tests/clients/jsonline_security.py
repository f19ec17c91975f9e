"""Signatures and encryption of document 004 (§5), written out by hand for a client.

Knows nothing of imserver.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import time
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tests.clients.jsonline_client import JsonLineClient, Line, ServerViolation, decode


def canonical(value: Any) -> bytes:
    """RFC 8785 for what tests send: no numbers but integers, and fractions that Python writes alike."""
    if isinstance(value, dict):
        names = sorted(value, key=lambda name: name.encode("utf-16-be"))
        members = [canonical(name) + b":" + canonical(value[name]) for name in names]
        return b"{" + b",".join(members) + b"}"
    if isinstance(value, list):
        return b"[" + b",".join(canonical(item) for item in value) + b"]"
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return json.dumps(value, ensure_ascii=False).encode()


def derived(psk: bytes) -> bytes:
    """HKDF-SHA256 (RFC 5869), one block: the key to sign with."""
    extracted = hmac.digest(bytes(32), psk, hashlib.sha256)
    return hmac.digest(extracted, b"imserver-sign\x01", hashlib.sha256)


def envelope(direction: str, line: Line) -> list[Any]:
    """What an encrypted payload is bound to, and what is signed before the payload."""
    return [direction, line.get("id"), line.get("type"), line.get("command"), line.get("timestamp")]


def signed_data(direction: str, line: Line) -> bytes:
    """What is signed of a line."""
    bare = {name: value for name, value in line["payload"].items() if name != "signature"}
    return canonical([*envelope(direction, line), bare])


class Keys:
    """One client's keys, and what it does with its lines.

    Args:
        psk / kid: the pre-shared key.
        private: an Ed25519 key, registered as `private_kid`.
        sign: lines are signed, as soon as there is a key.
        seal: payloads are encrypted.

    Attributes:
        signing_key: of the log-in's answer.
        server_public: the server's Ed25519 public key.
        clock: seconds by which the client's clock differs.
        nonces: all that were used, by either side.
        signed / sealed: lines of the server that were.
    """

    def __init__(
        self,
        psk: bytes | None = None,
        kid: str = "",
        *,
        private: Ed25519PrivateKey | None = None,
        private_kid: str = "",
        sign: bool = True,
        seal: bool = False,
        nonces: set[bytes] | None = None,
    ) -> None:
        self.psk = psk
        self.kid = kid
        self.private = private
        self.private_kid = private_kid
        self.sign = sign
        self.seal = seal
        self.signing_key: bytes | None = None
        self.server_public: bytes | None = None
        self.clock = 0
        self.nonces = set() if nonces is None else nonces
        self.signed = self.sealed = 0

    def line(self, command: str, payload: Any = None, **form: Any) -> Line:
        """A line, signed and encrypted as far as it can be."""
        line: Line = {"type": "request", "timestamp": int(time.time()) + self.clock, "command": command}
        line.update({name: value for name, value in form.items() if value is not None})
        line["payload"] = dict(payload or {})
        if self.sign:
            self.sign_line(line)
        if self.seal:
            self.seal_line(line)
        return line

    def sign_line(self, line: Line) -> None:
        """Puts the signature into the payload."""
        data = signed_data("c2s", line)
        key = self.signing_key or (derived(self.psk) if self.psk is not None else None)
        if self.private is not None:
            encoded = base64.b64encode(self.private.sign(data)).decode()
            line["payload"]["signature"] = f"ed25519:{self.private_kid}:{encoded}"
        elif key is not None:
            line["payload"]["signature"] = hmac.digest(key, data, hashlib.sha256).hex()

    def seal_line(self, line: Line, nonce: bytes | None = None) -> None:
        """Puts the encrypted payload into the place of the clear one."""
        assert self.psk is not None
        nonce = os.urandom(12) if nonce is None else nonce
        self.nonces.add(nonce)
        clear = json.dumps(line["payload"]).encode()
        data = AESGCM(self.psk).encrypt(nonce, clear, canonical(envelope("c2s", line)))
        line["payload"] = {
            "enc": "aes-256-gcm",
            "kid": self.kid,
            "nonce": base64.b64encode(nonce).decode(),
            "data": base64.b64encode(data).decode(),
        }

    def opened(self, line: Line) -> Line:
        """A line of the server in clear.

        Raises:
            ServerViolation: it is not what the server may send to this client.
        """
        payload = line.get("payload")
        if isinstance(payload, dict) and "enc" in payload:
            line = {**line, "payload": self._unsealed(line, payload)}
            self.sealed += 1
        elif self.sealed:
            raise ServerViolation("a clear line in an encrypted session")
        signature = line["payload"].pop("signature", None)
        if signature is not None:
            self._check(signature, signed_data("s2c", line))
            self.signed += 1
        elif self.signed:
            raise ServerViolation("an unsigned line in a signed session")
        if line["command"] == "auth/login" and "signing_key" in line["payload"]:
            self.signing_key = base64.b64decode(line["payload"]["signing_key"], validate=True)
            if len(self.signing_key) != 32:
                raise ServerViolation("the signing key is not 32 bytes")
        return line

    def _unsealed(self, line: Line, payload: Line) -> Any:
        if payload.keys() != {"enc", "kid", "nonce", "data"} or payload["enc"] != "aes-256-gcm":
            raise ServerViolation("not an encrypted payload")
        nonce = base64.b64decode(payload["nonce"], validate=True)
        if payload["kid"] != self.kid or len(nonce) != 12 or self.psk is None:
            raise ServerViolation("encrypted for somebody else")
        if nonce in self.nonces:
            raise ServerViolation("a nonce came twice")
        self.nonces.add(nonce)
        data = base64.b64decode(payload["data"], validate=True)
        return json.loads(AESGCM(self.psk).decrypt(nonce, data, canonical(envelope("s2c", line))))

    def _check(self, signature: str, data: bytes) -> None:
        if signature.startswith("ed25519:server:"):
            assert self.server_public is not None
            raw = base64.b64decode(signature.rpartition(":")[2], validate=True)
            Ed25519PublicKey.from_public_bytes(self.server_public).verify(raw, data)
            return
        key = self.signing_key or (derived(self.psk) if self.psk is not None else None)
        if key is None or signature != hmac.digest(key, data, hashlib.sha256).hex():
            raise ServerViolation("a wrong signature")


class SecureClient(JsonLineClient):
    """A connection whose lines are protected by `keys`."""

    def __init__(self, keys: Keys, reactor: Any = None) -> None:
        super().__init__(reactor)
        self.keys = keys

    def encoded(self, command: str, payload: Any, **form: Any) -> bytes:
        """See the base class."""
        return json.dumps(self.keys.line(command, payload, **form)).encode() + b"\n"

    def decoded(self, line: bytes) -> Line:
        """See the base class."""
        if len(line) > 256 * 1024:
            raise ServerViolation(f"a line of {len(line)} bytes")
        return decode(json.dumps(self.keys.opened(json.loads(line))).encode())
