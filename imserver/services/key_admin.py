"""Administration of the keys that protect messages. Secrets are told to the operator and nobody else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.logger import Logger

from imserver.model.errors import ErrorCode, ImError
from imserver.model.ids import check_id
from imserver.model.key_admin import (
    AddMessageKey,
    ListMessageKeys,
    MessageKeyAdded,
    MessageKeyInfo,
    MessageKeyList,
    RemoveMessageKey,
)
from imserver.model.messages import Done
from imserver.services.message_keys import PRESHARED, MessageKeys, StoredKey
from imserver.services.private_files import KeyRingError

KEY_COMMANDS: tuple[type, ...] = (AddMessageKey, ListMessageKeys, RemoveMessageKey)
"""For the operator at the machine only; dispatch does not serve them."""


class KeyAdministration:
    """What the operator may do with them.

    Args:
        keys: all users' keys.
        wall_time: float seconds.
    """

    log = Logger()

    def __init__(self, keys: MessageKeys, wall_time: Callable[[], float]) -> None:
        self._keys = keys
        self._wall_time = wall_time

    def reload(self) -> None:
        """Takes up what the file holds now. KeyRingError; then nothing changed."""
        self._keys.reload()

    async def perform(self, command: Any) -> Any:
        """Runs one of KEY_COMMANDS.

        Raises:
            ImError: BAD_REQUEST, CONFLICT, NOT_FOUND, UNAVAILABLE if it could not be saved.
        """
        try:
            if isinstance(command, AddMessageKey):
                return self._add(command)
            if isinstance(command, RemoveMessageKey):
                removed = self._keys.remove(command.kid)
                self.log.info("message key {kid} of {user} removed", kid=removed.kid, user=removed.user)
                return Done()
            return self._list(command)
        except KeyRingError as error:
            self.log.error("the message keys were not changed: {error}", error=str(error))
            raise ImError(ErrorCode.UNAVAILABLE, "the keys could not be saved") from error

    def _add(self, command: AddMessageKey) -> MessageKeyAdded:
        check_id(command.user)
        at = self._wall_time()
        if command.kind == PRESHARED:
            key = self._keys.add_preshared(command.user, at, kid=command.kid, secret=command.material)
        else:
            key = self._keys.add_registered(command.user, command.material, at, kid=command.kid)
        self.log.info("message key {kid} added for {user}", kid=key.kid, user=key.user)
        return MessageKeyAdded(_info(key), key.material if key.kind == PRESHARED else "")

    def _list(self, command: ListMessageKeys) -> MessageKeyList:
        found = [_info(key) for key in self._keys.stored() if command.user in ("", key.user)]
        return MessageKeyList(found, *self._keys.public_key())


def _info(key: StoredKey) -> MessageKeyInfo:
    return MessageKeyInfo(key.kid, key.user, key.kind, key.created_at)
