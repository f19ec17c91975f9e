"""Revokes and read receipts."""

from __future__ import annotations

from typing import Any

from imserver.backends.redis.change_log import read_changes
from imserver.backends.redis.core import Core
from imserver.backends.redis.records import parse_message_id
from imserver.backends.redis.scripts import Script, lua
from imserver.backends.redis.targets import refusal_of, target_of
from imserver.model.accounts import Principal
from imserver.model.errors import ErrorCode, ImError
from imserver.model.messages import MarkRead, MessageRevokedReply, MessagesMarked, RevokeMessage

MAX_RECEIPTS = 500

_NEEDED = lua("lists", "pairs", "targets", "inboxes", "denotes", "feed", "changes")
REVOKE = Script("revoke", *_NEEDED, *lua("revoke"))
MARK_READ = Script("mark_read", *_NEEDED, *lua("mark_read"))


class Changes:
    """Revokes and receipts, and whatever else is in the log of changes."""

    def __init__(self, core: Core) -> None:
        self._core = core

    async def changes(self, user: str, after: int, limit: int) -> list[tuple[int, Any]]:
        """See `Store.changes`."""
        return await read_changes(self._core, user, after, limit)

    async def revoke(
        self, principal: Principal, command: RevokeMessage, window: float
    ) -> MessageRevokedReply:
        """See `Store.revoke`."""
        core = self._core
        numbers = parse_message_id(command.message_id)
        if numbers is None:
            raise ImError(ErrorCode.NOT_FOUND, "there is no such message")
        reply = await core.redis.script(
            REVOKE,
            (),
            (
                principal.user,
                command.message_id,
                *numbers,
                *_named(principal.user, command.conversation),
                repr(core.wall()),
                window,
                int(core.settings.change_seconds),
                core.node(),
                principal.session,
            ),
        )
        if isinstance(reply, bytes):
            raise refusal_of(reply)
        return MessageRevokedReply(command.message_id, float(reply[0]))

    async def mark_read(self, principal: Principal, command: MarkRead) -> MessagesMarked:
        """See `Store.mark_read`."""
        core = self._core
        ids = tuple(dict.fromkeys(command.message_ids))
        if not ids or len(ids) > MAX_RECEIPTS:
            raise ImError(
                ErrorCode.BAD_REQUEST, f"between 1 and {MAX_RECEIPTS} messages can be marked at once"
            )
        words: list[Any] = []
        for message_id in ids:
            # The script comes to those before it first.
            words += [message_id, *(parse_message_id(message_id) or (0, 0, 0))]
        at = core.wall()
        reply = await core.redis.script(
            MARK_READ,
            (),
            (
                principal.user,
                *_named(principal.user, command.conversation),
                repr(at),
                int(core.settings.change_seconds),
                core.node(),
                principal.session,
                *words,
            ),
        )
        if reply != b"done":
            raise refusal_of(reply)
        return MessagesMarked(at)


def _named(asker: str, name: str) -> tuple[str, str, str]:
    """A conversation's name as the scripts take it: (kind, target, name)."""
    if not name:
        return "", "", ""
    kind, target, _ = target_of(asker, name, "", "")
    return kind, target, name
