"""Accounts and log-ins in Redis. Keys: `keys`, "Accounts"."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec import structs

from imserver.backends.redis.core import Core
from imserver.backends.redis.scripts import Script, lua
from imserver.model.accounts import Account, Grant, Role
from imserver.model.errors import ErrorCode, ImError

GRANT_KEPT = 30 * 86400.0
"""Seconds for which a log-in is remembered after its end."""

_FIELDS = ("hash", "role", "off", "at", "gen")
_CREATE = Script("account_create", *lua("account_create"))
_CHANGE = Script("account_change", *lua("account_change"))
_LIST = Script("account_list", *lua("account_list"))
_SEEN = Script("seen", *lua("seen"))
_CREATE_GRANT = Script("grant_create", *lua("grant_create"))
_ROTATE = Script("grant_rotate", *lua("grant_rotate"))
_REVOKE = Script("grant_revoke", *lua("grant_revoke"))


class Accounts:
    """The part of `Directory` that is about people."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._seen: dict[str, float] = {}
        core.redis.watch(self._tell_seen, _nothing)

    @property
    def account_changes(self) -> int | None:
        """See `Directory.account_changes`: other nodes make them, too."""
        return None

    async def account(self, user: str) -> Account | None:
        """See `Directory.account`."""
        return _account(user, await self._core.redis.call("HMGET", self._key("u:", user), *_FIELDS))

    async def create_account(self, account: Account) -> None:
        """See `Directory.create_account`."""
        arguments = (
            account.user, account.password_hash, account.role.value, int(account.disabled),
            repr(account.created_at), account.generation,
        )  # fmt: skip
        if not await self._core.redis.script(_CREATE, args=arguments):
            raise ImError(ErrorCode.USER_EXISTS, "the user name is taken")

    async def change_account(
        self,
        user: str,
        *,
        password_hash: str | None = None,
        role: Role | None = None,
        disabled: bool | None = None,
    ) -> Account:
        """See `Directory.change_account`."""
        changed: list[Any] = []
        if password_hash is not None:
            changed += ["hash", password_hash]
        if role is not None:
            changed += ["role", role.value]
        if disabled is not None:
            changed += ["off", int(disabled)]
        reply = await self._core.redis.script(_CHANGE, args=(user, *changed))
        account = None if reply is None else _account(user, reply)
        if account is None:
            raise ImError(ErrorCode.USER_NOT_FOUND, "there is no such user")
        return account

    async def bump_generation(self, user: str) -> Account:
        """See `Directory.bump_generation`."""
        return await self.change_account(user)

    async def accounts(self, after: str, limit: int) -> list[Account]:
        """See `Directory.accounts`."""
        rows = await self._core.redis.script(_LIST, args=(after, limit))
        found = [_account(name.decode(), fields) for name, fields in rows]
        return [account for account in found if account is not None]

    async def last_seen(self, users: Sequence[str]) -> dict[str, float]:
        """See `Directory.last_seen`."""
        if not users:
            return {}
        times = await self._core.redis.call("HMGET", self._core.redis.prefix + "seen", *users)
        found = {user: float(at) for user, at in zip(users, times, strict=True) if at is not None}
        # What Redis has not been told yet.
        found.update((user, self._seen[user]) for user in users if user in self._seen)
        return found

    def seen(self, user: str, at: float) -> None:
        """See `Directory.seen`."""
        self._seen[user] = max(at, self._seen.get(user, 0.0))
        if self._core.redis.connected:
            self._tell_seen()

    def _tell_seen(self) -> None:
        told, self._seen = self._seen, {}
        if not told:
            return
        arguments = [word for user, at in told.items() for word in (user, repr(at))]

        def keep(_: object) -> None:
            for user, at in told.items():
                self._seen[user] = max(at, self._seen.get(user, 0.0))

        self._core.redis.script(_SEEN, args=arguments).addErrback(keep)

    async def create_grant(self, grant: Grant) -> None:
        """See `Directory.create_grant`."""
        await self._core.redis.script(
            _CREATE_GRANT,
            args=(
                grant.sid, grant.user, repr(self._over(grant.expires_at)), self._life(grant.expires_at),
                repr(self._core.wall()), *grant_words(grant),
            ),
        )  # fmt: skip

    async def grant(self, sid: str) -> Grant | None:
        """See `Directory.grant`."""
        return grant_of(await self._core.redis.call("HGETALL", self._key("sid:", sid)))

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
        reply = await self._core.redis.script(
            _ROTATE,
            args=(
                sid, refresh_id, new_refresh_id, request_digest, repr(at), repr(expires_at),
                self._life(expires_at), repr(self._over(expires_at)),
            ),
        )  # fmt: skip
        return grant_of(reply or [])

    async def revoke_grants(self, user: str, sid: str = "") -> list[str]:
        """See `Directory.revoke_grants`."""
        return sorted(live.decode() for live in await self._core.redis.script(_REVOKE, args=(user, sid)))

    def _key(self, kind: str, name: str) -> str:
        return self._core.redis.prefix + kind + name

    def _life(self, expires_at: float) -> int:
        """Milliseconds from now until a log-in is forgotten."""
        return int((self._over(expires_at) - self._core.wall()) * 1000)

    def _over(self, expires_at: float) -> float:
        return max(expires_at, self._core.wall()) + GRANT_KEPT


def _account(user: str, fields: Sequence[Any]) -> Account | None:
    password_hash, role, off, at, generation = fields
    if generation is None:
        return None
    return Account(user, password_hash.decode(), Role(role.decode()), off == b"1", float(at), int(generation))


def grant_words(grant: Grant) -> list[str]:
    """A log-in's fields and values."""
    return [word for name in Grant.__struct_fields__ for word in (name, _word(getattr(grant, name)))]


def _word(value: str | float | bool) -> str:
    if isinstance(value, bool):
        return str(int(value))
    return value if isinstance(value, str) else repr(value)


def grant_of(reply: Sequence[bytes]) -> Grant | None:
    if not reply:
        return None
    words = {reply[at].decode(): reply[at + 1].decode() for at in range(0, len(reply), 2)}
    known = {name: words[name] for name in Grant.__struct_fields__}
    grant = Grant(**known)  # type: ignore[arg-type]  # times are made of words below
    return structs.replace(
        grant,
        created_at=float(known["created_at"]),
        expires_at=float(known["expires_at"]),
        rotated_at=float(known["rotated_at"]),
        revoked=known["revoked"] == "1",
    )


def _nothing() -> None:
    pass
