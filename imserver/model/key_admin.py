"""Administration of the keys that protect messages: for the operator at the machine only."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

KeyKind = Literal["preshared", "ed25519"]


class AddMessageKey(Struct, frozen=True, gc=False):
    """Give a user a pre-shared key (instead of the one before), or register a public key of theirs.

    Attributes:
        kid: its id; "" = a random one.
        material: 32 bytes in base64; "" = random ones, for a pre-shared key only.
    """

    user: str
    kind: KeyKind = "preshared"
    kid: str = ""
    material: str = ""

    def __repr__(self) -> str:
        return f"AddMessageKey({self.user!r}, {self.kind!r})"


class RemoveMessageKey(Struct, frozen=True, gc=False):
    """Forget a key."""

    kid: str


class ListMessageKeys(Struct, frozen=True, gc=False):
    """List the keys of one user, or (user "") of all."""

    user: str = ""


class KeysChanged(Struct, frozen=True, gc=False):
    """From node to node: keys of tokens or messages were changed; read their files again."""


class MessageKeyInfo(Struct, frozen=True, gc=False):
    """A key without its secret; `created_at` in float seconds."""

    kid: str
    user: str
    kind: KeyKind
    created_at: float


class MessageKeyAdded(Struct, frozen=True, gc=False):
    """Reply to AddMessageKey: the key, with its secret in base64 ("" for a public key)."""

    key: MessageKeyInfo
    secret: str

    def __repr__(self) -> str:
        return f"MessageKeyAdded({self.key!r})"


class MessageKeyList(Struct, frozen=True):
    """Keys by id, and the server's own public key in base64."""

    keys: list[MessageKeyInfo]
    server_kid: str
    server_public: str
