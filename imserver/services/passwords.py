"""Passwords: argon2id over the SHA-256 hex of the password, off the reactor thread.

Hashing the hex instead of the password lets clients that send only the hash
(document 004) and those that send the password log in to one account.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable

import argon2
from argon2.exceptions import HashingError, InvalidHashError, VerificationError, VerifyMismatchError

from imserver.model.errors import ErrorCode, ImError
from imserver.services.ports import Threads

MAX_PASSWORD_BYTES = 1024
_SALT_BYTES = 16
_HEX = re.compile(r"[0-9a-f]{64}\Z")


def digest(password: str, hashed: bool) -> str:
    """The lower-case SHA-256 hex of a password.

    Args:
        password: 1 to 1,024 UTF-8 bytes; or, where `hashed`, the hex itself.

    Raises:
        ImError: BAD_REQUEST for an empty or over-long password or a malformed hash.
    """
    if hashed:
        if _HEX.match(password) is None:
            raise ImError(ErrorCode.BAD_REQUEST, "a password hash is 64 characters 0-9a-f")
        return password
    try:
        data = password.encode()
    except UnicodeEncodeError:
        raise ImError(ErrorCode.BAD_REQUEST, "the password is not valid text") from None
    if not data:
        raise ImError(ErrorCode.BAD_REQUEST, "the password is empty")
    if len(data) > MAX_PASSWORD_BYTES:
        raise ImError(ErrorCode.BAD_REQUEST, f"the password is longer than {MAX_PASSWORD_BYTES} bytes")
    return hashlib.sha256(data).hexdigest()


class PasswordHasher:
    """Hashes and verifies in a bounded pool of threads.

    Args:
        threads: where it runs; its full queue is ImError UNAVAILABLE.
        time_cost / memory_kib / parallelism: argon2id's; the defaults are
            OWASP's, about 26 ms a hash.
        random_bytes: source of salts.
    """

    def __init__(
        self,
        threads: Threads,
        *,
        time_cost: int = 2,
        memory_kib: int = 19456,
        parallelism: int = 1,
        random_bytes: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self._threads = threads
        self._random_bytes = random_bytes
        self._argon2 = argon2.PasswordHasher(
            time_cost=time_cost, memory_cost=memory_kib, parallelism=parallelism, salt_len=_SALT_BYTES
        )

    def digest(self, password: str, hashed: bool) -> str:
        """As the function `digest`."""
        return digest(password, hashed)

    async def hash(self, sha256_hex: str) -> str:
        """The argon2id string to store."""
        salt = self._random_bytes(_SALT_BYTES)
        stored: str = await self._threads.call(self._hash, sha256_hex, salt)
        return stored

    async def verify(self, stored: str, sha256_hex: str) -> bool:
        """Whether the password is the stored one.

        `stored` "" (unknown user, account without password) is False, after the same work.
        """
        if not stored:
            await self.hash(sha256_hex)
            return False
        right: bool = await self._threads.call(self._verify, stored, sha256_hex)
        return right

    def needs_rehash(self, stored: str) -> bool:
        """Whether a stored hash was made with other parameters than these."""
        try:
            return self._argon2.check_needs_rehash(stored)
        except InvalidHashError:
            return True

    def _hash(self, sha256_hex: str, salt: bytes) -> str:
        try:
            return self._argon2.hash(sha256_hex, salt=salt)
        except HashingError as error:
            raise ImError(ErrorCode.UNAVAILABLE, "no memory for password hashing") from error

    def _verify(self, stored: str, sha256_hex: str) -> bool:
        try:
            argon2.extract_parameters(stored)
            return self._argon2.verify(stored, sha256_hex)
        except (VerifyMismatchError, InvalidHashError):
            return False
        except VerificationError as error:
            raise ImError(ErrorCode.UNAVAILABLE, "the password cannot be checked now") from error
