"""What a codec must be told of keys and rules, where messages may be signed or encrypted (§5)."""

from __future__ import annotations

from typing import Protocol

from imserver.model.protection import (
    EncryptionMode,
    Evidence,
    PresharedKey,
    RegisteredKey,
    SignatureMode,
)


class Guard(Protocol):
    """The keys, and what is allowed with and without them, on one listener."""

    signature: SignatureMode
    encryption: EncryptionMode

    def preshared(self, kid: str) -> PresharedKey | None:
        """A pre-shared key by its id."""

    def preshared_of(self, user: str) -> PresharedKey | None:
        """A user's pre-shared key."""

    def registered(self, kid: str) -> RegisteredKey | None:
        """A registered public key by its id."""

    def user_of(self, token: str) -> str:
        """Whom a valid access or refresh token speaks of; "" for any other text."""

    def sign(self, data: bytes) -> str:
        """The server's own digital signature, `ed25519:…`."""

    def check(self, evidence: Evidence) -> None:
        """Raises ImError SIGNATURE where a message must not pass."""
