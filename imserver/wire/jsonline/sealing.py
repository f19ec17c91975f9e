"""Encrypted payloads: AES-256-GCM under a pre-shared key (document 004, §5).

The payload becomes `{"enc":"aes-256-gcm","kid":…,"nonce":…,"data":…}`: the nonce 12 bytes,
data the ciphertext and its tag of 16 bytes, both in base64. It is bound to the canonical JSON of
`[direction, id, type, command, timestamp]`.
"""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Callable
from typing import Any, Final

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from msgspec import Struct

from imserver.wire.jsonline.messages import MsgBase
from imserver.wire.jsonline.signing import C2S, S2C, Way, associated_data

ALGORITHM: Final = "aes-256-gcm"
NONCE_BYTES: Final = 12
_PREFIX_BYTES: Final = 8
_COUNTS: Final = 1 << 32


class Sealed(Struct, forbid_unknown_fields=True):
    """An encrypted payload."""

    enc: str
    kid: str
    nonce: str
    data: str


class Nonces:
    """Nonces that never repeat: 64 random bits of this source, then a count of 32 bits.

    Args:
        random_bytes: gives that many unpredictable bytes.
    """

    __slots__ = ("_count", "_prefix", "_random_bytes")

    def __init__(self, random_bytes: Callable[[int], bytes] = os.urandom) -> None:
        self._random_bytes = random_bytes
        self._prefix = random_bytes(_PREFIX_BYTES)
        self._count = 0

    def next(self) -> bytes:
        """The next one, 12 bytes."""
        if self._count == _COUNTS:
            self._prefix = self._random_bytes(_PREFIX_BYTES)
            self._count = 0
        nonce = self._prefix + self._count.to_bytes(4, "big")
        self._count += 1
        return nonce


def seal(clear: bytes, kid: str, psk: bytes, nonce: bytes, bound_to: bytes) -> Sealed:
    """Encrypts the JSON of a payload."""
    data = AESGCM(psk).encrypt(nonce, clear, bound_to)
    return Sealed(ALGORITHM, kid, base64.b64encode(nonce).decode(), base64.b64encode(data).decode())


def nonce_of(sealed: Sealed) -> bytes:
    """The nonce. Raises ValueError unless it is 12 bytes in base64."""
    nonce = _decoded(sealed.nonce)
    if len(nonce) != NONCE_BYTES:
        raise ValueError("the nonce must be 12 bytes")
    return nonce


def unseal(sealed: Sealed, psk: bytes, bound_to: bytes) -> bytes | None:
    """The JSON of the payload; None if it was not made under this key for this very message.

    Raises:
        ValueError: another algorithm, or not base64.
    """
    if sealed.enc != ALGORITHM:
        raise ValueError(f"enc must be {ALGORITHM}")
    try:
        return AESGCM(psk).decrypt(nonce_of(sealed), _decoded(sealed.data), bound_to)
    except InvalidTag:
        return None


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("nonce and data must be base64") from None


# For clients


def seal_msg(message: MsgBase, kid: str, psk: bytes, nonces: Nonces, *, way: Way = C2S) -> MsgBase:
    """Encrypts a message's payload; sign it before, if at all. Raises ValueError without a timestamp."""
    if message.timestamp is None:
        raise ValueError("an encrypted message needs its timestamp")
    clear = msgspec.json.encode(message.payload)
    message.payload = msgspec.to_builtins(seal(clear, kid, psk, nonces.next(), _bound_to(message, way)))
    return message


def open_msg(message: MsgBase, psk: bytes, *, way: Way = S2C) -> MsgBase:
    """Decrypts a message's payload.

    Raises:
        ValueError: it is not encrypted, or not under this key, or for another message.
    """
    try:
        sealed = msgspec.convert(message.payload, Sealed)
        clear = unseal(sealed, psk, _bound_to(message, way))
        payload: dict[str, Any] | None = None
        if clear is not None:
            payload = msgspec.json.decode(clear, type=dict[str, Any])
    except msgspec.MsgspecError as fault:
        raise ValueError("the payload is not an encrypted one") from fault
    if payload is None:
        raise ValueError("the payload cannot be decrypted with this key")
    message.payload = payload
    return message


def _bound_to(message: MsgBase, way: Way) -> bytes:
    return associated_data(way, message.id, message.type, message.command, message.timestamp)
