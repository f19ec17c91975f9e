"""The keys that sign and verify tokens, and the file they live in.

The file (`token-keys.json`, mode 0600) holds the server's own HS256 secrets,
oldest first; the last one signs, all of them verify. Public keys of foreign
issuers come from the configuration and only verify.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from msgspec import Struct

from imserver.services.private_files import KeyRingError, create_private, read_private, write_private

__all__ = ["Key", "KeyRing", "KeyRingError", "external_key", "load_key_ring", "new_key"]

SECRET_BYTES = 32
MAX_KEYS = 16
_MIN_RSA_BITS = 2048


class Key(Struct, frozen=True):
    """One key with the one algorithm it may be used with.

    Attributes:
        algorithm: "HS256" (own), "RS256" or "EdDSA" (external).
        material: the secret's bytes or the public key.
        created_at: float seconds; 0 for the first key and external ones.
    """

    kid: str
    algorithm: str
    material: Any
    created_at: float = 0.0
    external: bool = False


class _StoredKey(Struct, frozen=True, forbid_unknown_fields=True):
    kid: str
    secret: str
    created_at: float


class _KeyFile(Struct, frozen=True, forbid_unknown_fields=True):
    version: int
    keys: list[_StoredKey]


def external_key(kid: str, algorithm: str, pem: str | bytes) -> Key:
    """A foreign issuer's public key from its PEM text.

    Raises:
        KeyRingError: another algorithm than RS256 or EdDSA, not a public key in
            PEM, a key of another kind than its algorithm, RSA under 2,048 bits.
    """
    if algorithm not in ("RS256", "EdDSA"):
        raise KeyRingError(f'token key "{kid}": the algorithm must be RS256 or EdDSA, not "{algorithm}"')
    try:
        material = load_pem_public_key(pem.encode() if isinstance(pem, str) else pem)
    except (ValueError, UnsupportedAlgorithm):
        raise KeyRingError(f'token key "{kid}": not a public key in PEM form') from None
    if algorithm == "RS256":
        if not isinstance(material, RSAPublicKey):
            raise KeyRingError(f'token key "{kid}": RS256 needs an RSA key')
        if material.key_size < _MIN_RSA_BITS:
            raise KeyRingError(f'token key "{kid}": an RSA key needs at least {_MIN_RSA_BITS} bits')
    elif not isinstance(material, Ed25519PublicKey):
        raise KeyRingError(f'token key "{kid}": EdDSA needs an Ed25519 key')
    return Key(kid, algorithm, material, external=True)


class KeyRing:
    """The keys by id.

    Args:
        own: HS256 keys, oldest first, at least one.
        external: keys that only verify.
        random_bytes: source of new secrets.
        save: makes the own keys durable before a new one is used.
        load: reads the own keys again.

    Attributes:
        version: grows with every change, so that what was derived from the keys can be dropped.

    Raises:
        KeyRingError: no own key, or two keys of one id.
    """

    def __init__(
        self,
        own: Sequence[Key],
        random_bytes: Callable[[int], bytes],
        *,
        external: Sequence[Key] = (),
        save: Callable[[Sequence[Key]], None] | None = None,
        load: Callable[[], Sequence[Key]] | None = None,
    ) -> None:
        if not own:
            raise KeyRingError("there is no key to sign tokens with")
        self._own = list(own)
        self._external = list(external)
        self._random_bytes = random_bytes
        self._save = save
        self._load = load
        self._by_kid = self._index(own, self._external)
        self.version = 1

    @property
    def current(self) -> Key:
        """The newest own key."""
        return self._own[-1]

    def signing_key(self, at: float) -> Key:
        """The own key that signs tokens issued at a moment: what is minted again comes out the same."""
        for key in reversed(self._own):
            if key.created_at <= at:
                return key
        return self._own[0]

    def find(self, kid: str, algorithm: str) -> Key | None:
        """The key for a token's header.

        Without a kid the algorithm must leave just one. The algorithm is always
        the key's own, whatever the token says.
        """
        if kid:
            key = self._by_kid.get(kid)
            return key if key is not None and key.algorithm == algorithm else None
        fitting = [key for key in self._by_kid.values() if key.algorithm == algorithm]
        return fitting[0] if len(fitting) == 1 else None

    def rotate(self, at: float, *, keep_old: bool = True) -> Key:
        """Adds a key that signs from now (float seconds) on.

        Args:
            keep_old: the older ones still verify (the last 15); else all tokens issued so far are void.

        Raises:
            KeyRingError: it could not be saved; then nothing changed.
        """
        key = new_key(self._random_bytes, at)
        if self._load is not None:
            self.refresh()  # another node may have rotated the same file
        own = [*self._own[-(MAX_KEYS - 1) :], key] if keep_old else [key]
        by_kid = self._index(own, self._external)
        if self._save is not None:
            self._save(own)
        self._own = own
        self._by_kid = by_kid
        self.version += 1
        return key

    def reload(self, external: Sequence[Key]) -> None:
        """Takes up what the key file holds now, and other external keys.

        Raises:
            KeyRingError: they cannot be used; then nothing changed.
        """
        own = list(self._own if self._load is None else self._load())
        by_kid = self._index(own, external)
        self._own, self._external, self._by_kid = own, list(external), by_kid
        self.version += 1

    def refresh(self) -> None:
        """Takes up what the key file holds now. KeyRingError, then nothing changed."""
        self.reload(self._external)

    @staticmethod
    def _index(own: Sequence[Key], external: Sequence[Key]) -> dict[str, Key]:
        by_kid = {key.kid: key for key in (*own, *external)}
        if len(by_kid) != len(own) + len(external) or "" in by_kid:
            raise KeyRingError("every token key needs an id of its own")
        return by_kid


def new_key(random_bytes: Callable[[int], bytes], at: float = 0.0) -> Key:
    """A fresh HS256 key."""
    return Key(random_bytes(8).hex(), "HS256", random_bytes(SECRET_BYTES), at)


def load_key_ring(
    path: Path, random_bytes: Callable[[int], bytes], *, external: Sequence[Key] = ()
) -> KeyRing:
    """Reads the key file, or creates it with one fresh key.

    Raises:
        KeyRingError: unreadable, unwritable, damaged, or open to other users of the machine.
    """

    def save(keys: Sequence[Key]) -> None:
        write_private(path, _stored(keys))

    def load() -> list[Key]:
        keys = _read(path)
        if keys is None:
            raise KeyRingError(f"{path}: is gone")
        return keys

    own = _read(path)
    if own is None:
        # Several nodes that share the file may start at once: the first one's key is everybody's.
        create_private(path, _stored([new_key(random_bytes)]))
        own = load()
    return KeyRing(own, random_bytes, external=external, save=save, load=load)


def _read(path: Path) -> list[Key] | None:
    data = read_private(path)
    if data is None:
        return None
    try:
        stored = msgspec.json.decode(data, type=_KeyFile)
        keys = [
            Key(key.kid, "HS256", base64.b64decode(key.secret, validate=True), key.created_at)
            for key in stored.keys
        ]
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise KeyRingError(f"{path}: is damaged; restore it, or remove it to void all tokens") from None
    if stored.version != 1:
        raise KeyRingError(f"{path}: is of version {stored.version}, which this release cannot read")
    if not keys or any(len(key.material) != SECRET_BYTES for key in keys):
        raise KeyRingError(f"{path}: is damaged; restore it, or remove it to void all tokens")
    return keys


def _stored(keys: Sequence[Key]) -> bytes:
    stored = [_StoredKey(key.kid, base64.b64encode(key.material).decode(), key.created_at) for key in keys]
    return msgspec.json.format(msgspec.json.encode(_KeyFile(1, stored)), indent=2) + b"\n"
