"""The way of a message to the commit point: what every send goes through."""

from __future__ import annotations

from typing import Any, Final

from imserver.model.accounts import Principal, Role
from imserver.model.errors import ErrorCode, ImError
from imserver.model.ids import (
    GROUP_PREFIX,
    MAX_ALIAS_BYTES,
    MAX_CLIENT_ID_BYTES,
    MAX_ID_BYTES,
    SINGLE_PREFIX,
)
from imserver.model.messages import SendMessage
from imserver.services.ports import Store

_MAX_NAME_BYTES: Final = len(SINGLE_PREFIX) + 2 * MAX_ID_BYTES + 1


class Sending:
    """The rules for what is sent. Targets, dedupe and rates are checked at the commit point, in the store."""

    def __init__(self, store: Store, content_bytes: int) -> None:
        """Args:
        content_bytes: content, extra, attachments and meta of a message together, at the most.
        """
        self._store = store
        self._content_bytes = content_bytes

    def submit(self, principal: Principal, command: SendMessage, ticket: Any) -> None:
        """Sends a message; a plain call. The outcome comes back through the feed sink, in order."""
        error = self._fault(principal, command)
        if error is None:
            self._store.append(principal, command, ticket)
        else:
            self._store.refuse(ticket, error)

    def _fault(self, principal: Principal, command: SendMessage) -> ImError | None:
        size = len(command.content.data) + len(command.attachments) + len(command.meta)
        if command.extra:
            for key, value in command.extra.items():
                size += len(key.encode()) + len(value.encode())
        if size > self._content_bytes:
            return ImError(
                ErrorCode.TOO_LARGE,
                f"content, extra, attachments and meta exceed {self._content_bytes} bytes",
            )
        if len(command.client_id) > MAX_CLIENT_ID_BYTES:
            return ImError(ErrorCode.BAD_REQUEST, "the client message id is too long")
        if command.conversation:
            fault = name_fault(command.conversation)
            if fault is not None:
                return fault
        if command.broadcast and principal.role is not Role.ADMIN:
            return ImError(ErrorCode.FORBIDDEN, "broadcasts need the role admin")
        return None


def name_fault(name: str) -> ImError | None:
    """What is wrong with the length of a conversation name, if anything."""
    limit = _MAX_NAME_BYTES if name.startswith((SINGLE_PREFIX, GROUP_PREFIX)) else MAX_ALIAS_BYTES
    # A bare group id may be longer than an own name; the store tells them apart.
    if len(name.encode()) > max(limit, MAX_ID_BYTES):
        return ImError(ErrorCode.BAD_REQUEST, "the conversation name is too long")
    return None
