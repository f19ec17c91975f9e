"""Revokes and read receipts: decided against the log, kept for devices that are away."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from functools import partial
from typing import Any

from msgspec import Struct, structs

from imserver.backends.embedded.change_log import (
    ChangeRecord,
    any_changes,
    read_changes,
    tell,
    write_change,
)
from imserver.backends.embedded.core import Core
from imserver.backends.embedded.entities import User
from imserver.backends.embedded.log_rows import LogReader, replace
from imserver.backends.embedded.pages import fanout_of, read_message
from imserver.backends.embedded.records import (
    MessageRecord,
    canonical_name,
    digest_of,
    encode,
    offset_in_id,
    seq_of,
)
from imserver.backends.embedded.state import State
from imserver.backends.embedded.targets import resolve
from imserver.model.accounts import Principal
from imserver.model.errors import ErrorCode, ImError
from imserver.model.messages import (
    MarkRead,
    MessageRevokedReply,
    MessagesMarked,
    RevokeMessage,
)
from imserver.services.ports import Change

MAX_RECEIPTS = 500


class _Draft(Struct, frozen=True):
    """A change about to be written; `users` None = everybody."""

    record: ChangeRecord
    users: Sequence[User] | None


class _Written(Struct, frozen=True):
    change_id: int
    draft: _Draft
    everybody: Sequence[str]


class Changes:
    """Revokes and receipts, and whatever else is in the log of changes."""

    def __init__(self, core: Core) -> None:
        self._core = core

    async def changes(self, user: str, after: int, limit: int) -> list[tuple[int, Any]]:
        """See `Store.changes`."""
        owner = self._core.state.user(user)
        if owner is None or not any_changes(self._core.reader, owner.no, after):
            return []
        found: list[tuple[int, Any]] = await self._core.read(read_changes, owner.no, after, limit)
        return found

    async def revoke(
        self, principal: Principal, command: RevokeMessage, window: float
    ) -> MessageRevokedReply:
        """See `Store.revoke`."""
        core = self._core
        state = core.state
        asker = state.user(principal.user)
        offset = offset_in_id(command.message_id)
        record = read_message(LogReader(core.reader), offset) if offset else None
        if asker is None or record is None or record.message_id != command.message_id:
            raise _no_such_message()
        if not _in_inbox(core.reader, offset, record, asker.no):
            raise _no_such_message()
        if command.conversation and not _denotes(state, asker, command.conversation, record):
            raise _no_such_message()
        group = state.group(record.group) if record.group else None
        if record.sender != principal.user and (group is None or group.owner != asker.no):
            raise ImError(ErrorCode.FORBIDDEN, "only its sender or the group's owner may take a message back")
        if record.revoked_by:
            return MessageRevokedReply(command.message_id, record.revoked_at)
        at = core.wall()
        if at - record.server_at > window:
            raise ImError(ErrorCode.FORBIDDEN, "the message is too old to be taken back")
        users: list[User] | None = None
        if record.recipient:
            names = dict.fromkeys((record.sender, record.recipient))
            users = [user for user in map(state.user, names) if user is not None]
        elif record.group:
            members = group.members if group is not None else ()
            users = [state.user_by_no(no) for no in dict.fromkeys((*members, asker.no))]
        canonical = canonical_name(record)
        draft = _Draft(
            ChangeRecord(
                False, (record.message_id,), record.name, canonical, principal.user, at, record.renamed
            ),
            users,
        )
        revoked = structs.replace(
            record,
            data=b"", extra={}, attachments=b"", meta=b"", revoked_by=principal.user, revoked_at=at,
            digest=digest_of(record) if record.client_id else b"",
        )  # fmt: skip

        def committed(written: _Written | float) -> None:
            if isinstance(written, _Written):
                core.taken_back.add(record.message_id)
                self._tell([written], principal.session)

        written = await core.write(
            partial(_write_revoke, offset, encode(revoked), draft), on_commit=committed
        )
        return MessageRevokedReply(command.message_id, at if isinstance(written, _Written) else written)

    async def mark_read(self, principal: Principal, command: MarkRead) -> MessagesMarked:
        """See `Store.mark_read`."""
        core = self._core
        ids = tuple(dict.fromkeys(command.message_ids))
        if not ids or len(ids) > MAX_RECEIPTS:
            raise ImError(
                ErrorCode.BAD_REQUEST, f"between 1 and {MAX_RECEIPTS} messages can be marked at once"
            )
        reader = core.state.user(principal.user)
        if reader is None:
            raise ImError(ErrorCode.NOT_FOUND, "there is no such message")
        records: list[MessageRecord] = await core.read(_read_marked, ids, reader.no)
        state = core.state
        reader = state.user(principal.user)
        assert reader is not None
        if command.conversation:
            for record in {canonical_name(record): record for record in records}.values():
                if not _denotes(state, reader, command.conversation, record):
                    raise ImError(ErrorCode.FORBIDDEN, "a message is in another conversation")
        at = core.wall()
        by_sender: dict[tuple[str, str], list[MessageRecord]] = {}
        for record in records:
            if record.sender != principal.user:
                by_sender.setdefault((canonical_name(record), record.sender), []).append(record)
        drafts = []
        for (canonical, sender_name), of_sender in by_sender.items():
            sender = state.user(sender_name)
            last = of_sender[-1]
            renamed = sorted({no for record in of_sender for no in record.renamed})
            receipt = ChangeRecord(
                True,
                tuple(record.message_id for record in of_sender),
                last.name,
                canonical,
                principal.user,
                at,
                renamed,
            )
            drafts.append(_Draft(receipt, [user for user in (sender, reader) if user is not None]))
        if drafts:
            await core.write(
                partial(_write_changes, drafts), on_commit=partial(self._tell, origin=principal.session)
            )
        return MessagesMarked(at)

    def _tell(self, written: list[_Written], origin: str) -> None:
        """Puts committed changes on the feed."""
        for change in written:
            record, users = change.draft.record, change.draft.users
            names = change.everybody if users is None else [user.name for user in users]
            renamed = frozenset(user.name for user in users or () if user.no in record.renamed)
            tell(self._core, Change(change.change_id, record.event(0), names, renamed, origin))


def _no_such_message() -> ImError:
    return ImError(ErrorCode.NOT_FOUND, "there is no such message")


def _denotes(state: State, asker: User, name: str, record: MessageRecord) -> bool:
    """Whether a conversation name the asker gave can mean the conversation of this message."""
    canonical = canonical_name(record)
    if name in (canonical, record.name, record.group):
        return True
    try:
        peer, _, _ = resolve(state, asker, name, "", "")
    except ImError:
        return False
    return peer is not None and peer.name in (record.sender, record.recipient) and peer.name != asker.name


def _in_inbox(connection: sqlite3.Connection, offset: int, record: MessageRecord, user_no: int) -> bool:
    """Whether a message went to a user's inbox."""
    if seq_of(record, user_no):
        return True
    if record.recipient or record.group:
        return False
    fanout = LogReader(connection).record(fanout_of(connection, offset, user_no))
    return fanout is not None and bool(seq_of(fanout, user_no))


def _read_marked(connection: sqlite3.Connection, ids: Sequence[str], user_no: int) -> list[MessageRecord]:
    records = []
    log = LogReader(connection)
    for message_id in ids:
        offset = offset_in_id(message_id)
        record = read_message(log, offset) if offset else None
        if record is None or record.message_id != message_id:
            raise _no_such_message()
        if not _in_inbox(connection, offset, record, user_no):
            raise ImError(ErrorCode.FORBIDDEN, "a message is none of the reader's")
        records.append(record)
    return records


def _write_revoke(
    offset: int, body: bytes, draft: _Draft, connection: sqlite3.Connection
) -> _Written | float:
    """Replaces the row; if another revoke came first, returns its time instead."""
    record = LogReader(connection).record(offset)
    if not isinstance(record, MessageRecord):
        raise _no_such_message()
    if record.revoked_by:
        return record.revoked_at
    replace(connection, offset, body)
    return _write_changes([draft], connection)[0]


def _write_changes(drafts: Sequence[_Draft], connection: sqlite3.Connection) -> list[_Written]:
    written = []
    for draft in drafts:
        users = None if draft.users is None else [user.no for user in draft.users]
        change_id = write_change(connection, draft.record.at, draft.record, users)
        everybody: list[str] = []
        if draft.users is None:
            everybody = [name for (name,) in connection.execute("SELECT name FROM users")]
        written.append(_Written(change_id, draft, everybody))
    return written
