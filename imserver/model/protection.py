"""Keys that protect single messages, and what is known of a message that bears one (document 004, §5)."""

from __future__ import annotations

from typing import Any, Literal

from msgspec import Struct

SignatureMode = Literal["off", "verify", "required"]
"""Signatures are not looked at; verified where there are some; needed."""
EncryptionMode = Literal["off", "allowed", "required"]
"""Encrypted payloads are not understood; understood; needed."""


class PresharedKey(Struct, frozen=True):
    """A user's pre-shared key: 32 bytes that the operator gave to the user's client."""

    kid: str
    user: str
    secret: bytes

    def __repr__(self) -> str:
        return f"PresharedKey({self.kid!r}, {self.user!r})"


class RegisteredKey(Struct, frozen=True):
    """A user's Ed25519 public key, 32 bytes."""

    kid: str
    user: str
    public: bytes


class Evidence(Struct, frozen=True, gc=False):
    """What a message proves of itself.

    Attributes:
        speaker: who speaks: the session's user or, before the log-in, the user the command
            names; "" = unknown.
        opening: it is one of the commands by which a session begins, and nobody is logged in.
        credentials: it carries a password or a token.
        signed: its signature is right.
        signer: whose pre-shared or registered key signed it; "" = nobody's, or the session's own key.
        sealer: whose pre-shared key encrypted it; "" = it came in clear.
        sealed_before: an earlier message of the session was encrypted.
        at: its timestamp, float seconds; 0.0 = none.
    """

    speaker: str = ""
    opening: bool = False
    credentials: bool = False
    signed: bool = False
    signer: str = ""
    sealer: str = ""
    sealed_before: bool = False
    at: float = 0.0


class Once(Struct, frozen=True, gc=False):
    """A command that came encrypted: it is done only if its nonce is new.

    Attributes:
        command: the command itself.
        kid: the key.
        nonce: 12 bytes.
        at: the message's timestamp, float seconds.
    """

    command: Any
    kid: str
    nonce: bytes
    at: float
