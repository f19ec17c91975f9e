"""The keys that protect messages of document 004, and the file they live in.

The file (`message-keys.json`, mode 0600) holds one pre-shared key a user at most, any number
of registered Ed25519 public keys, and the server's own Ed25519 key. It is written by the operator's
commands only; a server without such keys has none.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from msgspec import Struct

from imserver.model.errors import ErrorCode, ImError
from imserver.model.protection import PresharedKey, RegisteredKey
from imserver.services.private_files import KeyRingError, read_private, write_private

SECRET_BYTES = 32
KID = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)
PRESHARED: Literal["preshared"] = "preshared"
ED25519: Literal["ed25519"] = "ed25519"
_SERVER = "server"
"""The kid of the server's own key."""


class StoredKey(Struct, frozen=True, forbid_unknown_fields=True):
    """A key in the file: the secret or the public key in base64."""

    kid: str
    user: str
    kind: Literal["preshared", "ed25519"]
    material: str
    created_at: float = 0.0

    def __repr__(self) -> str:
        return f"StoredKey({self.kid!r}, {self.user!r}, {self.kind!r})"


class _KeyFile(Struct, frozen=True, forbid_unknown_fields=True):
    version: int
    server: str
    keys: list[StoredKey]


class MessageKeys:
    """The keys by id and by user.

    Args:
        path: the file; it need not be there yet.
        random_bytes: source of secrets.

    Raises:
        KeyRingError: the file is unreadable, damaged, or open to other users of the machine.
    """

    def __init__(self, path: Path, random_bytes: Callable[[int], bytes]) -> None:
        self._path = path
        self._random_bytes = random_bytes
        self._stored: dict[str, StoredKey] = {}
        self._preshared: dict[str, PresharedKey] = {}
        self._of_user: dict[str, PresharedKey] = {}
        self._registered: dict[str, RegisteredKey] = {}
        self._own = b""
        self.reload()

    def reload(self) -> None:
        """Takes up what the file holds now. Raises KeyRingError; then nothing changed."""
        found = _read(self._path)
        if found is None:
            if self._own:
                raise KeyRingError(f"{self._path}: is gone")
        else:
            self._use(_decoded(found.server, self._path), found.keys)

    # Who has which key

    def preshared(self, kid: str) -> PresharedKey | None:
        """A pre-shared key by its id."""
        return self._preshared.get(kid)

    def preshared_of(self, user: str) -> PresharedKey | None:
        """A user's pre-shared key."""
        return self._of_user.get(user)

    def registered(self, kid: str) -> RegisteredKey | None:
        """A registered public key by its id."""
        return self._registered.get(kid)

    def stored(self) -> list[StoredKey]:
        """All of them, by id."""
        return [self._stored[kid] for kid in sorted(self._stored)]

    def public_key(self) -> tuple[str, str]:
        """(kid, base64) of the server's own public key; made where there was none. KeyRingError."""
        return _SERVER, _encoded(self._own_key().public_key().public_bytes_raw())

    def sign(self, data: bytes) -> str:
        """The server's own signature. Raises ImError UNAVAILABLE if it has no key and cannot make one."""
        try:
            key = self._own_key()
        except KeyRingError:
            raise ImError(ErrorCode.UNAVAILABLE, "the server has no key to sign with") from None
        return f"ed25519:{_SERVER}:{_encoded(key.sign(data))}"

    # The operator's changes

    def add_preshared(self, user: str, at: float, *, kid: str = "", secret: str = "") -> StoredKey:
        """Gives a user a pre-shared key instead of the one before, if any.

        Args:
            at: now, float seconds.
            kid: its id; "" = a random one.
            secret: 32 bytes in base64; "" = random ones.

        Raises:
            ImError: BAD_REQUEST, CONFLICT (the id is another key's).
            KeyRingError: it could not be saved; then nothing changed.
        """
        material = secret or _encoded(self._random_bytes(SECRET_BYTES))
        return self._add(StoredKey(kid or self._new_kid(), user, PRESHARED, material, at))

    def add_registered(self, user: str, public: str, at: float, *, kid: str = "") -> StoredKey:
        """Registers a user's Ed25519 public key, 32 bytes in base64. Raises as `add_preshared`."""
        return self._add(StoredKey(kid or self._new_kid(), user, ED25519, public, at))

    def remove(self, kid: str) -> StoredKey:
        """Forgets a key. Raises ImError NOT_FOUND; KeyRingError."""
        self.reload()  # another node may have changed the same file
        found = self._stored.get(kid)
        if found is None:
            raise ImError(ErrorCode.NOT_FOUND, "there is no such key")
        self._save([key for key in self._stored.values() if key.kid != kid])
        return found

    def _add(self, key: StoredKey) -> StoredKey:
        if KID.fullmatch(key.kid) is None or key.kid == _SERVER:
            raise ImError(ErrorCode.BAD_REQUEST, "a kid is 1 to 64 letters, digits, dots, dashes")
        try:
            material = base64.b64decode(key.material, validate=True)
            if key.kind == ED25519:
                Ed25519PublicKey.from_public_bytes(material)
        except ValueError:
            material = b""
        if len(material) != SECRET_BYTES:
            raise ImError(ErrorCode.BAD_REQUEST, "a key is 32 bytes in base64")
        self.reload()  # another node may have changed the same file
        if key.kid in self._stored:
            raise ImError(ErrorCode.CONFLICT, "this kid is another key's")
        replaced = self._of_user.get(key.user) if key.kind == PRESHARED else None
        kept = [old for old in self._stored.values() if replaced is None or old.kid != replaced.kid]
        self._save([*kept, key])
        return key

    def _new_kid(self) -> str:
        return self._random_bytes(6).hex()

    def _own_key(self) -> Ed25519PrivateKey:
        if not self._own:
            self.reload()
        if not self._own:
            self._save(list(self._stored.values()))
        return Ed25519PrivateKey.from_private_bytes(self._own)

    def _save(self, keys: list[StoredKey]) -> None:
        own = self._own or self._random_bytes(SECRET_BYTES)
        content = msgspec.json.encode(_KeyFile(1, _encoded(own), keys))
        write_private(self._path, msgspec.json.format(content, indent=2) + b"\n")
        self._use(own, keys)

    def _use(self, own: bytes, keys: list[StoredKey]) -> None:
        preshared: dict[str, PresharedKey] = {}
        registered: dict[str, RegisteredKey] = {}
        of_user: dict[str, PresharedKey] = {}
        for key in keys:
            material = _decoded(key.material, self._path)
            if key.kind == PRESHARED:
                preshared[key.kid] = of_user[key.user] = PresharedKey(key.kid, key.user, material)
            else:
                registered[key.kid] = RegisteredKey(key.kid, key.user, material)
        if len(preshared) + len(registered) != len(keys) or len(of_user) != len(preshared):
            raise KeyRingError(f"{self._path}: holds two keys of one id, or two secrets of one user")
        self._own, self._stored = own, {key.kid: key for key in keys}
        self._preshared, self._registered, self._of_user = preshared, registered, of_user


def _encoded(material: bytes) -> str:
    return base64.b64encode(material).decode()


def _decoded(text: str, path: Path) -> bytes:
    try:
        material = base64.b64decode(text, validate=True)
    except ValueError:
        material = b""
    if len(material) != SECRET_BYTES:
        raise KeyRingError(f"{path}: is damaged; restore it")
    return material


def _read(path: Path) -> _KeyFile | None:
    data = read_private(path)
    if data is None:
        return None
    try:
        found = msgspec.json.decode(data, type=_KeyFile)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise KeyRingError(f"{path}: is damaged; restore it") from None
    if found.version != 1:
        raise KeyRingError(f"{path}: is of version {found.version}, which this release cannot read")
    return found
