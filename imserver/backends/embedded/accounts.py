"""Accounts and log-in grants: tables, read by point look-ups and changed by the writer."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from functools import partial
from typing import Any

from twisted.internet.defer import Deferred, succeed

from imserver.backends.embedded.core import Core, guarded
from imserver.backends.embedded.slices import Slices
from imserver.model.accounts import Account, Grant, Role
from imserver.model.errors import ErrorCode, ImError

_ACCOUNT = "SELECT name, password_hash, role, disabled, created_at, generation FROM users"
_GRANT = (
    "SELECT sid, user, platform, refresh_id, created_at, expires_at, previous_id, request_digest, rotated_at,"
    " revoked FROM grants"
)


class Accounts:
    """The part of `Directory` that is about people."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._seen: dict[str, float] = {}  # what is not written yet
        self._slices = Slices(core.clock, self._write_some_times)
        self._changes = 0
        # What was begun when a commit failed may have come about all the same.
        core.on_reloaded.append(self._changed)

    @property
    def account_changes(self) -> int | None:
        """See `Directory.account_changes`."""
        return self._changes

    def _changed(self, result: object = None) -> None:
        self._changes += 1

    @guarded
    async def account(self, user: str) -> Account | None:
        """See `Directory.account`."""
        return _account(self._core.reader, user)

    @guarded
    async def create_account(self, account: Account) -> None:
        """See `Directory.create_account`."""
        state = self._core.check_writable()
        no = state.next_user_no
        state.next_user_no += 1
        try:
            await self._core.write(partial(_insert_account, no, account))
        except sqlite3.IntegrityError:
            raise ImError(ErrorCode.USER_EXISTS, "the user name is taken") from None

    @guarded
    async def change_account(
        self,
        user: str,
        *,
        password_hash: str | None = None,
        role: Role | None = None,
        disabled: bool | None = None,
    ) -> Account:
        """See `Directory.change_account`."""
        changed: Account = await self._core.write(
            partial(_change_account, user, password_hash, role, disabled), on_commit=self._changed
        )
        return changed

    @guarded
    async def bump_generation(self, user: str) -> Account:
        """See `Directory.bump_generation`."""
        return await self.change_account(user)

    @guarded
    async def accounts(self, after: str, limit: int) -> list[Account]:
        """See `Directory.accounts`."""
        found: list[Account] = await self._core.read(_list_accounts, after, limit)
        return found

    @guarded
    async def last_seen(self, users: Sequence[str]) -> dict[str, float]:
        """See `Directory.last_seen`."""
        found: dict[str, float] = {}
        for user in users:
            seen = self._seen.get(user)
            if seen is None:
                row = self._core.reader.execute(
                    "SELECT last_seen FROM users WHERE name = ?", (user,)
                ).fetchone()
                seen = row[0] if row is not None else 0.0
            if seen:
                found[user] = seen
        return found

    def seen(self, user: str, at: float) -> None:
        """See `Directory.seen`."""
        self._seen[user] = at

    def persist(self, *, everything: bool = False) -> None:
        """Has the writer write what was seen, a slice at a time; called from time to time.

        Args:
            everything: at once, at the end.
        """
        if everything:
            self._write_times([*self._seen])
        elif self._seen:
            self._slices.begin(lambda: [*self._seen])

    def stop(self) -> None:
        """No further slices."""
        self._slices.stop()

    def _write_some_times(self, users: list[str]) -> Deferred[None]:
        try:
            self._core.check_writable()
        except ImError:
            return succeed(None)  # another time
        return self._write_times(users)

    def _write_times(self, users: list[str]) -> Deferred[None]:
        seen = {user: self._seen[user] for user in users}

        def forget(_: None) -> None:
            for user, at in seen.items():
                if self._seen.get(user) == at:
                    del self._seen[user]

        done: Deferred[Any] = self._core.journal.task(partial(_write_seen, seen), on_commit=forget)
        return done.addErrback(lambda _: None)

    @guarded
    async def create_grant(self, grant: Grant) -> None:
        """See `Directory.create_grant`."""
        await self._core.write(partial(_insert_grant, grant))

    @guarded
    async def grant(self, sid: str) -> Grant | None:
        """See `Directory.grant`."""
        return _grant(self._core.reader, sid)

    @guarded
    async def rotate_grant(
        self,
        sid: str,
        refresh_id: str,
        new_refresh_id: str,
        request_digest: str,
        at: float,
        expires_at: float,
    ) -> Grant | None:
        """See `Directory.rotate_grant`."""
        rotated: Grant | None = await self._core.write(
            partial(_rotate_grant, sid, refresh_id, new_refresh_id, request_digest, at, expires_at)
        )
        return rotated

    @guarded
    async def revoke_grants(self, user: str, sid: str = "") -> list[str]:
        """See `Directory.revoke_grants`."""
        revoked: list[str] = await self._core.write(
            partial(_revoke_grants, user, sid), on_commit=self._changed
        )
        return revoked


def _to_account(row: tuple[str, str, str, int, float, int]) -> Account:
    name, password_hash, role, disabled, created_at, generation = row
    return Account(name, password_hash, Role(role), bool(disabled), created_at, generation)


def _account(connection: sqlite3.Connection, user: str) -> Account | None:
    row = connection.execute(_ACCOUNT + " WHERE name = ?", (user,)).fetchone()
    return None if row is None else _to_account(row)


def _list_accounts(connection: sqlite3.Connection, after: str, limit: int) -> list[Account]:
    rows = connection.execute(_ACCOUNT + " WHERE name > ? ORDER BY name LIMIT ?", (after, limit))
    return [_to_account(row) for row in rows]


def _insert_account(no: int, account: Account, connection: sqlite3.Connection) -> None:
    connection.execute(
        "INSERT INTO users (no, name, password_hash, role, disabled, created_at, generation)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        (
            no, account.user, account.password_hash, account.role.value, account.disabled, account.created_at,
            account.generation,
        ),
    )  # fmt: skip


def _change_account(
    user: str,
    password_hash: str | None,
    role: Role | None,
    disabled: bool | None,
    connection: sqlite3.Connection,
) -> Account:
    connection.execute(
        "UPDATE users SET password_hash = coalesce(?, password_hash), role = coalesce(?, role),"
        " disabled = coalesce(?, disabled), generation = generation + 1 WHERE name = ?",
        (password_hash, None if role is None else role.value, disabled, user),
    )
    account = _account(connection, user)
    if account is None:
        raise ImError(ErrorCode.USER_NOT_FOUND, "there is no such user")
    return account


def _write_seen(seen: dict[str, float], connection: sqlite3.Connection) -> None:
    connection.executemany(
        "UPDATE users SET last_seen = max(last_seen, ?) WHERE name = ?",
        [(at, user) for user, at in seen.items()],
    )


def _grant(connection: sqlite3.Connection, sid: str) -> Grant | None:
    row = connection.execute(_GRANT + " WHERE sid = ?", (sid,)).fetchone()
    if row is None:
        return None
    sid, user, platform, refresh_id, created_at, expires_at, previous_id, digest, rotated_at, revoked = row
    return Grant(
        sid,
        user,
        platform,
        refresh_id,
        created_at,
        expires_at,
        previous_id,
        digest,
        rotated_at,
        bool(revoked),
    )


def _insert_grant(grant: Grant, connection: sqlite3.Connection) -> None:
    connection.execute(
        "INSERT INTO grants VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            grant.sid, grant.user, grant.platform, grant.refresh_id, grant.created_at, grant.expires_at,
            grant.previous_id, grant.request_digest, grant.rotated_at, grant.revoked,
        ),
    )  # fmt: skip


def _rotate_grant(
    sid: str,
    refresh_id: str,
    new_refresh_id: str,
    request_digest: str,
    at: float,
    expires_at: float,
    connection: sqlite3.Connection,
) -> Grant | None:
    changed = connection.execute(
        "UPDATE grants SET previous_id = refresh_id, refresh_id = ?, request_digest = ?, rotated_at = ?,"
        " expires_at = ? WHERE sid = ? AND refresh_id = ? AND NOT revoked",
        (new_refresh_id, request_digest, at, expires_at, sid, refresh_id),
    ).rowcount
    return _grant(connection, sid) if changed else None


def _revoke_grants(user: str, sid: str, connection: sqlite3.Connection) -> list[str]:
    rows = connection.execute(
        "UPDATE grants SET revoked = 1 WHERE user = ? AND NOT revoked AND (? = '' OR sid = ?) RETURNING sid",
        (user, sid, sid),
    ).fetchall()
    return sorted(row[0] for row in rows)
