"""Records of files that are sent, in Redis (`keys`, "Files"); the bytes are elsewhere (`backends.files`)."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from imserver.backends.redis.core import Core
from imserver.backends.redis.scripts import Script, lua
from imserver.model.files import Kind
from imserver.services.file_ports import Delivery, NoRoom, Quota, Quotas, State, Transfer, Usage

_SLICE = 1000
"""Names that one script is asked for."""
FIELDS = (
    "no", "id", "file", "owner", "format", "client", "name", "size", "sha256", "kind", "recipient", "group",
    "conversation", "state", "at", "expires", "message",
)  # fmt: skip
"""Of a transfer's hash, as lua/transfers.lua has them."""


def _script(name: str) -> Script:
    return Script(name, *lua("transfers", name))


_ADD = _script("transfer_add")
_SHOW = _script("transfer_show")
_FREE = _script("transfer_free")
_MOVE = _script("transfer_move")
_LIST = _script("transfer_list")
_OFFERS = _script("transfer_offers")
_UNSENT = _script("transfer_unsent")
_DELIVER = _script("transfer_deliver")
_EXPIRE = _script("transfer_expire")
_FORGET = _script("transfer_forget")
_KEPT = _script("transfer_kept")


class Files:
    """`services.file_ports.FileStore` over Redis.

    What was on its way when the connection was lost may have been done: the caller was refused with
    UNAVAILABLE and finds out when it asks again.
    """

    def __init__(self, core: Core) -> None:
        self._redis = core.redis

    async def add_transfer(self, transfer: Transfer, quotas: Quotas | None = None) -> Transfer:
        """See FileStore. The quota of all files holds as exactly."""
        limits = () if quotas is None else (quotas.open, quotas.files, quotas.bytes, quotas.total)
        row = await self._redis.script(
            _ADD,
            args=(
                transfer.id,
                transfer.file,
                transfer.owner,
                transfer.format,
                transfer.client_id,
                transfer.recipient,
                transfer.group,
                transfer.size,
                repr(transfer.created_at),
                repr(transfer.expires_at),
                len(limits),
                *limits,
                *("name", transfer.name),
                *("sha256", transfer.sha256),
                *("kind", int(transfer.kind)),
                *("conversation", transfer.conversation),
            ),
        )
        if isinstance(row, bytes):
            raise NoRoom(Quota(row.decode()))
        return transfer_of(row)

    async def transfer(self, transfer: str) -> Transfer | None:
        """See FileStore."""
        return await self._one("tri", transfer)

    async def transfer_of(self, owner: str, format: str, client_id: str) -> Transfer | None:
        """See FileStore."""
        return await self._one(f"trc:{owner}", f"{format}\0{client_id}") if client_id else None

    async def transfer_of_file(self, file: str) -> Transfer | None:
        """See FileStore."""
        return await self._one("trf", file)

    async def _one(self, key: str, name: str) -> Transfer | None:
        row = await self._redis.script(_SHOW, args=(key, name))
        return None if row is None else transfer_of(row)

    async def free_client_id(self, transfer: str) -> None:
        """See FileStore."""
        await self._redis.script(_FREE, args=(transfer,))

    async def move_transfer(
        self, transfer: str, before: State, after: State, *, sha256: str = "", message_id: str = ""
    ) -> bool:
        """See FileStore."""
        return bool(
            await self._redis.script(_MOVE, args=(transfer, before.value, after.value, sha256, message_id))
        )

    async def transfers(self, user: str, before: int, limit: int) -> list[Transfer]:
        """See FileStore."""
        return await self._several(_LIST, user, before, limit)

    async def offers(self, user: str, limit: int) -> list[Transfer]:
        """See FileStore."""
        return await self._several(_OFFERS, user, limit)

    async def unsent(self, limit: int) -> list[Transfer]:
        """See FileStore."""
        return await self._several(_UNSENT, limit)

    async def _several(self, script: Script, *args: Any) -> list[Transfer]:
        return [transfer_of(row) for row in await self._redis.script(script, args=args)]

    async def usage(self, user: str) -> Usage:
        """See FileStore."""
        found = await self._redis.call("HMGET", f"{self._redis.prefix}tra:{user}", "open", "files", "bytes")
        return Usage(*(int(number or 0) for number in found))

    async def total_bytes(self) -> int:
        """See FileStore."""
        return int(await self._redis.call("HGET", f"{self._redis.prefix}log", "trb") or 0)

    async def directory_id(self, proposed: str) -> str:
        """What the folder of these files is known by; the proposed id if there was none, "" = none."""
        key = f"{self._redis.prefix}epoch"
        if proposed:
            await self._redis.call("HSETNX", key, "files", proposed)
        known = await self._redis.call("HGET", key, "files")
        return "" if known is None else str(known.decode())

    async def delivery(self, no: int, user: str) -> Delivery | None:
        """See FileStore."""
        found = await self._redis.call("HGET", f"{self._redis.prefix}trd:{no}", user)
        return None if found is None else Delivery(found.decode())

    async def set_delivery(self, no: int, user: str, delivery: Delivery, at: float) -> bool:
        """See FileStore. The time is not kept."""
        return bool(await self._redis.script(_DELIVER, args=(no, user, delivery.value)))

    async def expire(self, now: float, limit: int) -> list[Transfer]:
        """See FileStore."""
        return await self._several(_EXPIRE, repr(now), limit)

    async def forget(self, before: float, limit: int) -> int:
        """See FileStore."""
        return int(await self._redis.script(_FORGET, args=(repr(before), limit)))

    async def kept(self, hashes: Collection[str], parts: Collection[str]) -> tuple[set[str], set[str]]:
        """See FileStore."""
        return await self._kept("hashes", hashes), await self._kept("parts", parts)

    async def _kept(self, what: str, names: Collection[str]) -> set[str]:
        asked = list(names)
        kept: set[str] = set()
        for start in range(0, len(asked), _SLICE):
            found = await self._redis.script(_KEPT, args=(what, *asked[start : start + _SLICE]))
            kept.update(name.decode() for name in found)
        return kept


def transfer_of(row: Sequence[Any]) -> Transfer:
    """From the values of `FIELDS`."""
    (
        no, id, file, owner, format, client_id, name, size, sha256, kind, recipient, group, conversation,
        state, created_at, expires_at, message_id,
    ) = (value.decode() for value in row)  # fmt: skip
    return Transfer(
        int(no),
        id,
        file,
        owner,
        format,
        client_id,
        name,
        int(size),
        sha256,
        Kind(int(kind)),
        recipient,
        group,
        conversation,
        State(state),
        float(created_at),
        float(expires_at),
        message_id,
    )
