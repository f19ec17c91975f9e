"""Messages of STUN (RFC 8489) as a TURN client needs them, and nothing more."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import struct
from collections.abc import Callable
from typing import Final

from msgspec import Struct

BINDING: Final = 0x001
ALLOCATE: Final = 0x003
REFRESH: Final = 0x004
SUCCESS: Final = 0x100
FAILURE: Final = 0x110

USERNAME: Final = 0x0006
MESSAGE_INTEGRITY: Final = 0x0008
ERROR_CODE: Final = 0x0009
LIFETIME: Final = 0x000D
REALM: Final = 0x0014
NONCE: Final = 0x0015
XOR_RELAYED_ADDRESS: Final = 0x0016
REQUESTED_TRANSPORT: Final = 0x0019
XOR_MAPPED_ADDRESS: Final = 0x0020
SOFTWARE: Final = 0x8022

UDP: Final = b"\x11\x00\x00\x00"
"""The value of REQUESTED_TRANSPORT: what is relayed goes on by UDP."""

_COOKIE: Final = 0x2112A442
_HEAD: Final = struct.Struct("!HHI12s")
_ATTRIBUTE: Final = struct.Struct("!HH")
_INTEGRITY_BYTES: Final = 24


class NotStun(Exception):
    """The bytes are no STUN message."""


class Message(Struct, frozen=True):
    """A message; of attributes that repeat, the first counts.

    Attributes:
        kind: method and class, e.g. ALLOCATE | SUCCESS.
        sealed: length of the part that MESSAGE-INTEGRITY covers; 0 = there is none.
    """

    kind: int
    transaction: bytes
    attributes: dict[int, bytes]
    sealed: int
    data: bytes

    def text(self, attribute: int) -> str:
        """An attribute that is text; "" if it is not there."""
        return self.attributes.get(attribute, b"").decode("utf-8", "replace")

    def error(self) -> tuple[int, str]:
        """The number and the words of a refusal; (0, "") if there are none."""
        value = self.attributes.get(ERROR_CODE, b"")
        if len(value) < 4:
            return 0, ""
        return (value[2] & 7) * 100 + value[3], value[4:].decode("utf-8", "replace")

    def address(self, attribute: int) -> tuple[str, int] | None:
        """An address that travels disguised, as (host, port)."""
        value = self.attributes.get(attribute, b"")
        if len(value) not in (8, 20):
            return None
        port = struct.unpack_from("!H", value, 2)[0] ^ (_COOKIE >> 16)
        mask = struct.pack("!I12s", _COOKIE, self.transaction)
        plain = bytes(one ^ other for one, other in zip(value[4:], mask, strict=False))
        return str(ipaddress.ip_address(plain)), port

    def sealed_with(self, key: bytes) -> bool:
        """Whether its MESSAGE-INTEGRITY is that of the key."""
        if not self.sealed:
            return False
        return hmac.compare_digest(self.attributes[MESSAGE_INTEGRITY], _seal(self.data[: self.sealed], key))


def long_term_key(username: str, realm: str, password: str) -> bytes:
    """The key of long-term credentials (RFC 8489, 9.2.2)."""
    return hashlib.md5(f"{username}:{realm}:{password}".encode()).digest()  # noqa: S324 - the RFC's


def _seal(before: bytes, key: bytes) -> bytes:
    """MESSAGE-INTEGRITY over what stands before it, under a length that includes it."""
    length = len(before) - _HEAD.size + _INTEGRITY_BYTES
    return hmac.digest(key, before[:2] + struct.pack("!H", length) + before[4:], "sha1")


def write(kind: int, transaction: bytes, attributes: list[tuple[int, bytes]], key: bytes = b"") -> bytes:
    """A message; sealed if there is a key."""
    body = b"".join(
        _ATTRIBUTE.pack(name, len(value)) + value + b"\0" * (-len(value) % 4) for name, value in attributes
    )
    length = len(body) + (_INTEGRITY_BYTES if key else 0)
    message = _HEAD.pack(kind, length, _COOKIE, transaction) + body
    if key:
        message += _ATTRIBUTE.pack(MESSAGE_INTEGRITY, 20) + _seal(message, key)
    return message


def read(data: bytes) -> Message:
    """Reads one message.

    Raises:
        NotStun
    """
    if len(data) < _HEAD.size:
        raise NotStun("too short")
    kind, length, cookie, transaction = _HEAD.unpack_from(data)
    if kind & 0xC000 or cookie != _COOKIE or length % 4 or len(data) != _HEAD.size + length:
        raise NotStun("no head of STUN")
    attributes: dict[int, bytes] = {}
    at, sealed = _HEAD.size, 0
    while at < len(data):
        name, size = _ATTRIBUTE.unpack_from(data, at)
        value = data[at + 4 : at + 4 + size]
        if len(value) != size:
            raise NotStun("an attribute that is cut off")
        if name == MESSAGE_INTEGRITY and name not in attributes and size == 20:
            sealed = at
        attributes.setdefault(name, value)
        at += 4 + size + -size % 4
    return Message(kind, transaction, attributes, sealed, data)


def read_stream(receive: Callable[[int], bytes]) -> Message:
    """Reads one message of a stream.

    Args:
        receive: gives exactly so many bytes.

    Raises:
        NotStun
    """
    head = receive(_HEAD.size)
    length = struct.unpack_from("!H", head, 2)[0]
    if head[0] & 0xC0 or length % 4:
        raise NotStun("no head of STUN")
    return read(head + receive(length))
