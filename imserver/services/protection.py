"""Who must sign or encrypt, and whose key counts for whom (document 004, §5)."""

from __future__ import annotations

from collections.abc import Callable

from imserver.model.errors import ErrorCode, ImError
from imserver.model.protection import (
    EncryptionMode,
    Evidence,
    PresharedKey,
    RegisteredKey,
    SignatureMode,
)
from imserver.services.message_keys import MessageKeys
from imserver.services.replays import check_time


class Protection:
    """The rules of one listener.

    Args:
        keys: all users' keys.
        user_of: whom a valid token speaks of; "" for any other text.
        wall_time: float seconds.
        signature / encryption: what the listener asks for.
    """

    def __init__(
        self,
        keys: MessageKeys,
        user_of: Callable[[str], str],
        wall_time: Callable[[], float],
        signature: SignatureMode = "off",
        encryption: EncryptionMode = "off",
    ) -> None:
        self._keys = keys
        self._user_of = user_of
        self._wall_time = wall_time
        self.signature: SignatureMode = signature
        self.encryption: EncryptionMode = encryption

    def preshared(self, kid: str) -> PresharedKey | None:
        """A pre-shared key by its id."""
        return self._keys.preshared(kid)

    def preshared_of(self, user: str) -> PresharedKey | None:
        """A user's pre-shared key."""
        return self._keys.preshared_of(user)

    def registered(self, kid: str) -> RegisteredKey | None:
        """A registered public key by its id."""
        return self._keys.registered(kid)

    def user_of(self, token: str) -> str:
        """Whom a valid access or refresh token speaks of; "" for any other text."""
        return self._user_of(token)

    def sign(self, data: bytes) -> str:
        """The server's own digital signature."""
        return self._keys.sign(data)

    def check(self, evidence: Evidence) -> None:
        """Decides on one message.

        Raises:
            ImError: SIGNATURE: it must not pass.
        """
        if not evidence.sealer:
            if evidence.sealed_before:
                raise _refused("this session is encrypted: clear messages are refused")
            if self.encryption == "required" and (not evidence.opening or evidence.credentials):
                raise _refused("messages must be encrypted here")
        for owner in (evidence.sealer, evidence.signer):
            if owner and evidence.speaker and owner != evidence.speaker:
                raise _refused("the key belongs to another user")
        if self.signature == "required" and not evidence.signed and not self._exempt(evidence):
            raise _refused("messages must be signed here")
        if evidence.signer and not evidence.sealer:
            # An encrypted one is looked at with its nonce.
            check_time(evidence.at, self._wall_time())

    def _exempt(self, evidence: Evidence) -> bool:
        """Whether the peer cannot have a key yet."""
        return evidence.opening and (
            not evidence.speaker or self._keys.preshared_of(evidence.speaker) is None
        )


def _refused(text: str) -> ImError:
    return ImError(ErrorCode.SIGNATURE, text)
