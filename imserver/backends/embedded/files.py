"""Records of files that are sent; their bytes are elsewhere (`backends.files`)."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterator, Sequence
from functools import partial
from typing import Any

from imserver.backends.embedded.core import Core, guarded
from imserver.model.files import Kind
from imserver.services.file_ports import Delivery, NoRoom, Quota, Quotas, State, Transfer, Usage

_COLUMNS = (
    "no, id, file, owner, format, client_id, name, size, sha256, kind, recipient, group_id, conversation,"
    " state, created_at, expires_at, message_id"
)
_SELECT = f"SELECT {_COLUMNS} FROM transfers "  # noqa: S608 - constants
_INSERT = (
    "INSERT INTO transfers ("  # noqa: S608 - constants
    + _COLUMNS
    + ") VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_ALIVE = "state IN ('open', 'stored')"
_OF_USER = (
    _SELECT  # noqa: S608 - constants
    + "WHERE no IN (SELECT no FROM (SELECT no FROM transfers WHERE owner = ?1 AND no < ?2 ORDER BY no DESC"
    " LIMIT ?3) UNION SELECT no FROM (SELECT no FROM transfers WHERE recipient = ?1 AND recipient <> ''"
    " AND no < ?2 ORDER BY no DESC LIMIT ?3)) ORDER BY no DESC LIMIT ?3"
)
_OFFERS = (
    _SELECT  # noqa: S608 - constants
    + "t WHERE no IN (SELECT no FROM transfers WHERE recipient = ?1 AND recipient <> ''"
    " AND owner NOT IN (SELECT o.name FROM blocks b JOIN users u ON u.no = b.user_no"
    " JOIN users o ON o.no = b.blocked WHERE u.name = ?1)"
    " UNION ALL SELECT s.no FROM users u JOIN memberships m ON m.user_no = u.no JOIN groups g ON g.no = m.no"
    " JOIN transfers s ON s.group_id = g.gid AND s.group_id <> '' AND s.created_at >= m.joined_at"
    " WHERE u.name = ?1 AND m.left_at IS NULL)"
    " AND owner <> ?1 AND "
    + _ALIVE
    + " AND NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.no = t.no AND d.user = ?1"
    " AND d.state IN ('rejected', 'delivered')) ORDER BY no LIMIT ?2"
)
_ANY_OFFER = (
    "SELECT EXISTS (SELECT 1 FROM transfers WHERE recipient = ?1 AND recipient <> '' AND "  # noqa: S608
    + _ALIVE
    + ") OR EXISTS (SELECT 1 FROM users u JOIN memberships m ON m.user_no = u.no JOIN groups g ON g.no = m.no"
    " JOIN transfers s ON s.group_id = g.gid AND s.group_id <> '' AND s."
    + _ALIVE
    + " WHERE u.name = ?1 AND m.left_at IS NULL)"
)
"""Whether any file that is kept was meant for a user: most often none was, and every log-in asks."""
_USAGE = (
    "SELECT coalesce(sum(state = 'open'), 0), count(*), coalesce(sum(size), 0)"  # noqa: S608 - constants
    " FROM transfers WHERE owner = ? AND " + _ALIVE
)
_TOTAL = "SELECT coalesce(sum(size), 0) FROM transfers WHERE " + _ALIVE  # noqa: S608 - constants
_SET_DELIVERY = (
    "INSERT INTO deliveries VALUES (?1, ?2, ?3, ?4) ON CONFLICT (no, user) DO UPDATE"
    " SET state = ?3, at = ?4 WHERE state <> 'delivered' AND state <> ?3"
)


def _transfer(row: Sequence[Any] | None) -> Transfer | None:
    return None if row is None else _read(row)


def _read(row: Sequence[Any]) -> Transfer:
    values = list(row)
    values[9], values[13] = Kind(values[9]), State(values[13])
    return Transfer(*values)


def transfers(connection: sqlite3.Connection) -> Iterator[Transfer]:
    """All of them, by number."""
    for row in connection.execute(_SELECT + "ORDER BY no"):
        yield _read(row)


class Files:
    """`services.file_ports.FileStore` over the embedded engine."""

    def __init__(self, core: Core) -> None:
        self._core = core

    @guarded
    async def add_transfer(self, transfer: Transfer, quotas: Quotas | None = None) -> Transfer:
        """See FileStore."""
        # All files are many: they are added up beside the writer, which messages wait for.
        full = False
        if quotas is not None and quotas.total:
            full = await self._total() + transfer.size > quotas.total
        kept: Transfer | Quota = await self._core.write(partial(_add, transfer, quotas, full))
        if isinstance(kept, Quota):
            raise NoRoom(kept)
        return kept

    @guarded
    async def transfer(self, transfer: str) -> Transfer | None:
        """See FileStore."""
        return self._one("WHERE id = ?", transfer)

    @guarded
    async def transfer_of(self, owner: str, format: str, client_id: str) -> Transfer | None:
        """See FileStore."""
        return self._one(
            "WHERE owner = ? AND format = ? AND client_id = ? AND client_id <> ''", owner, format, client_id
        )

    @guarded
    async def free_client_id(self, transfer: str) -> None:
        """See FileStore."""
        await self._core.write(
            partial(_execute, "UPDATE transfers SET client_id = '' WHERE id = ?", (transfer,))
        )

    @guarded
    async def transfer_of_file(self, file: str) -> Transfer | None:
        """See FileStore."""
        return self._one("WHERE file = ?", file)

    def _one(self, where: str, *values: Any) -> Transfer | None:
        return _transfer(self._core.reader.execute(_SELECT + where, values).fetchone())

    @guarded
    async def move_transfer(
        self, transfer: str, before: State, after: State, *, sha256: str = "", message_id: str = ""
    ) -> bool:
        """See FileStore."""
        moved: bool = await self._core.write(partial(_move, transfer, before, after, sha256, message_id))
        return moved

    @guarded
    async def transfers(self, user: str, before: int, limit: int) -> list[Transfer]:
        """See FileStore."""
        rows = await self._core.read(_fetch, _OF_USER, (user, before, limit))
        return [_read(row) for row in rows]

    @guarded
    async def offers(self, user: str, limit: int) -> list[Transfer]:
        """See FileStore."""
        (any_offer,) = self._core.reader.execute(_ANY_OFFER, (user,)).fetchone()
        if not any_offer:
            return []
        return [_read(row) for row in await self._core.read(_fetch, _OFFERS, (user, limit))]

    @guarded
    async def unsent(self, limit: int) -> list[Transfer]:
        """See FileStore."""
        where = "WHERE state = 'stored' AND message_id = '' AND (recipient <> '' OR group_id <> '') LIMIT ?"
        return [_read(row) for row in await self._core.read(_fetch, _SELECT + where, (limit,))]

    @guarded
    async def usage(self, user: str) -> Usage:
        """See FileStore."""
        ((opened, files, size),) = await self._core.read(_fetch, _USAGE, (user,))
        return Usage(opened, files, size)

    @guarded
    async def total_bytes(self) -> int:
        """See FileStore."""
        return await self._total()

    async def _total(self) -> int:
        ((total,),) = await self._core.read(_fetch, _TOTAL, ())
        return int(total)

    @guarded
    async def delivery(self, no: int, user: str) -> Delivery | None:
        """See FileStore."""
        row = self._core.reader.execute(
            "SELECT state FROM deliveries WHERE no = ? AND user = ?", (no, user)
        ).fetchone()
        return None if row is None else Delivery(row[0])

    @guarded
    async def set_delivery(self, no: int, user: str, delivery: Delivery, at: float) -> bool:
        """See FileStore."""
        values = (no, user, delivery.value, at)
        changed: int = await self._core.write(partial(_execute, _SET_DELIVERY, values))
        return changed > 0

    @guarded
    async def expire(self, now: float, limit: int) -> list[Transfer]:
        """See FileStore."""
        expired: list[Transfer] = await self._core.write(partial(_expire, now, limit))
        return expired

    @guarded
    async def forget(self, before: float, limit: int) -> int:
        """See FileStore."""
        count: int = await self._core.write(partial(_forget, before, limit))
        return count

    @guarded
    async def kept(self, hashes: Collection[str], parts: Collection[str]) -> tuple[set[str], set[str]]:
        """See FileStore."""
        found: tuple[set[str], set[str]] = await self._core.read(_kept, hashes, parts)
        return found


def _fetch(connection: sqlite3.Connection, sql: str, values: tuple[Any, ...]) -> list[tuple[Any, ...]]:
    return connection.execute(sql, values).fetchall()


def _execute(sql: str, values: tuple[Any, ...], connection: sqlite3.Connection) -> int:
    return connection.execute(sql, values).rowcount


def _add(
    new: Transfer, quotas: Quotas | None, full: bool, connection: sqlite3.Connection
) -> Transfer | Quota:
    if new.client_id:
        where = "WHERE owner = ? AND format = ? AND client_id = ?"
        older = connection.execute(_SELECT + where, (new.owner, new.format, new.client_id)).fetchone()
        if older is not None:
            return _read(older)
    if quotas is not None:
        usage = Usage(*connection.execute(_USAGE, (new.owner,)).fetchone())
        if usage.open >= quotas.open:
            return Quota.OPEN
        if usage.files >= quotas.files:
            return Quota.FILES
        if usage.bytes + new.size > quotas.bytes:
            return Quota.BYTES
        if full:
            return Quota.TOTAL
    values = (new.id, new.file, new.owner, new.format, new.client_id, new.name, new.size, new.sha256)
    target = (int(new.kind), new.recipient, new.group, new.conversation, new.state.value)
    connection.execute(_INSERT, (*values, *target, new.created_at, new.expires_at, new.message_id))
    return _read(connection.execute(_SELECT + "WHERE id = ?", (new.id,)).fetchone())


def _move(
    transfer: str, before: State, after: State, sha256: str, message_id: str, connection: sqlite3.Connection
) -> bool:
    sql = (
        "UPDATE transfers SET state = ?, sha256 = CASE WHEN ? = '' THEN sha256 ELSE ? END,"
        " message_id = CASE WHEN ? = '' THEN message_id ELSE ? END WHERE id = ? AND state = ?"
    )
    values = (after.value, sha256, sha256, message_id, message_id, transfer, before.value)
    return connection.execute(sql, values).rowcount > 0


def _expire(now: float, limit: int, connection: sqlite3.Connection) -> list[Transfer]:
    where = f"WHERE {_ALIVE} AND expires_at <= ? ORDER BY expires_at LIMIT ?"
    due = [_read(row) for row in connection.execute(_SELECT + where, (now, limit)).fetchall()]
    connection.executemany(
        "UPDATE transfers SET state = 'expired' WHERE no = ?", [(transfer.no,) for transfer in due]
    )
    return due


def _forget(before: float, limit: int, connection: sqlite3.Connection) -> int:
    rows = connection.execute(
        f"SELECT no FROM transfers WHERE expires_at <= ? AND NOT {_ALIVE} LIMIT ?",  # noqa: S608 - constants
        (before, limit),
    ).fetchall()
    connection.executemany("DELETE FROM deliveries WHERE no = ?", rows)
    connection.executemany("DELETE FROM transfers WHERE no = ?", rows)
    return len(rows)


def _kept(
    connection: sqlite3.Connection, hashes: Collection[str], parts: Collection[str]
) -> tuple[set[str], set[str]]:
    stored = "SELECT 1 FROM transfers WHERE sha256 = ? AND state = 'stored' LIMIT 1"
    opened = "SELECT 1 FROM transfers WHERE id = ? AND state = 'open'"
    return (
        {sha256 for sha256 in hashes if connection.execute(stored, (sha256,)).fetchone()},
        {part for part in parts if connection.execute(opened, (part,)).fetchone()},
    )
