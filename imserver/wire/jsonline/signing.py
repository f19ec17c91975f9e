"""Signatures of messages: `payload.signature` (document 004, §5).

Signed is the canonical JSON of `[direction, id, type, command, timestamp, payload]`, the
payload without its signature; what a line leaves out stands as null. A signature is the
HMAC-SHA256 in lower-case hex, or `ed25519:<kid>:<base64>`.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from typing import Any, Final, Literal

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from imserver.wire.jsonline.canonical import canonical
from imserver.wire.jsonline.messages import MsgBase

Way = Literal["c2s", "s2c"]
"""From the client to the server, or back: a message cannot be sent back to where it came from."""
C2S: Final[Way] = "c2s"
S2C: Final[Way] = "s2c"

KEY_BYTES: Final = 32
_ED25519: Final = "ed25519:"


def derived_key(psk: bytes) -> bytes:
    """The signing key that goes with a pre-shared key."""
    return HKDF(SHA256(), KEY_BYTES, salt=None, info=b"imserver-sign").derive(psk)


def associated_data(way: Way, id: Any, type: Any, command: Any, timestamp: Any) -> bytes:
    """What an encrypted payload is bound to. Raises ValueError."""
    return canonical([way, id, type, command, timestamp])


def signed_bytes(
    way: Way, id: Any, type: Any, command: Any, timestamp: Any, payload: dict[str, Any]
) -> bytes:
    """What is signed of a message. Raises ValueError where it has no canonical form."""
    bare = {name: value for name, value in payload.items() if name != "signature"}
    return canonical([way, id, type, command, timestamp, bare])


def hmac_signature(key: bytes, data: bytes) -> str:
    """The signature under a shared key."""
    return hmac.digest(key, data, "sha256").hex()


def is_hmac_of(signature: str, key: bytes, data: bytes) -> bool:
    """Whether a signature is the one under this key."""
    return hmac.compare_digest(signature.encode(), hmac_signature(key, data).encode())


def ed25519_signature(kid: str, private: bytes, data: bytes) -> str:
    """The signature with a private key of 32 bytes."""
    signature = Ed25519PrivateKey.from_private_bytes(private).sign(data)
    return f"{_ED25519}{kid}:{base64.b64encode(signature).decode()}"


def ed25519_parts(signature: str) -> tuple[str, bytes] | None:
    """(kid, signature) of a digital signature; None for one under a shared key.

    Raises:
        ValueError: it is neither.
    """
    if not signature.startswith(_ED25519):
        return None
    kid, colon, encoded = signature.removeprefix(_ED25519).partition(":")
    if not kid or not colon:
        raise ValueError("an ed25519 signature needs a kid")
    try:
        return kid, base64.b64decode(encoded, validate=True)
    except binascii.Error:
        raise ValueError("the signature is not base64") from None


def is_ed25519_of(signature: bytes, public: bytes, data: bytes) -> bool:
    """Whether the owner of this public key (32 bytes) signed the data."""
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, data)
    except (InvalidSignature, ValueError):
        return False
    return True


# For clients


def sign_msg(message: MsgBase, key: bytes, *, way: Way = C2S) -> MsgBase:
    """Signs a message with a shared key: log-in's `signing_key`, decoded, or `derived_key(psk)`.

    Raises:
        ValueError: it has no timestamp, or its payload no canonical form.
    """
    if message.timestamp is None:
        raise ValueError("a signed message needs its timestamp")
    message.payload["signature"] = hmac_signature(key, _data(message, way))
    return message


def validate_signature(message: MsgBase, key: bytes, *, way: Way = S2C) -> bool:
    """Whether a message bears the right signature under a shared key."""
    signature = message.payload.get("signature")
    if not isinstance(signature, str) or message.timestamp is None:
        return False
    try:
        return is_hmac_of(signature, key, _data(message, way))
    except ValueError:
        return False


def _data(message: MsgBase, way: Way) -> bytes:
    return signed_bytes(way, message.id, message.type, message.command, message.timestamp, message.payload)
