"""The commands that write the record of a file into a Redis that does not have it: `keys`, "Files".

What lua/transfer_add.lua, transfer_move.lua and transfer_deliver.lua would have made of it step by step.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from imserver.backends.common import portable
from imserver.backends.redis.files import FIELDS
from imserver.services.file_ports import Delivery, State, Transfer

ALIVE = (State.OPEN, State.STORED)
"""States in which a file takes room."""


def file_commands(sent: portable.Sent) -> Iterator[tuple[Any, ...]]:
    """(command, key without the prefix, words...). The bytes of all (`trb`) are the caller's to add up."""
    transfer = sent.transfer
    no, owner = transfer.no, transfer.owner
    fields = zip(FIELDS, _words(transfer), strict=True)
    yield "HSET", f"tr:{no}", *[word for field in fields for word in field]
    yield "HSET", "tri", transfer.id, no
    yield "HSET", "trf", transfer.file, no
    if transfer.client_id:
        yield "HSET", f"trc:{owner}", f"{transfer.format}\0{transfer.client_id}", no
    for user in {owner, transfer.recipient} - {""}:
        yield "ZADD", f"tru:{user}", no, no
    for user, where in sent.deliveries:
        yield "HSET", f"trd:{no}", user, where.value
    if transfer.state in ALIVE:
        yield "ZADD", "tre", repr(transfer.expires_at), no
        yield from _alive(sent)
    else:
        yield "ZADD", "trz", repr(transfer.expires_at), no


def _alive(sent: portable.Sent) -> Iterator[tuple[Any, ...]]:
    transfer = sent.transfer
    no, recipient, group = transfer.no, transfer.recipient, transfer.group
    if recipient:
        if dict(sent.deliveries).get(recipient, Delivery.ACCEPTED) is Delivery.ACCEPTED:
            yield "ZADD", f"tro:{recipient}", no, no
    elif group:
        yield "ZADD", f"trg:{group}", repr(transfer.created_at), no
    is_open = transfer.state is State.OPEN
    if not is_open:
        yield "SADD", f"trh:{transfer.sha256}", no
        if not transfer.message_id and (recipient or group):
            yield "ZADD", "trm", no, no
    for name, more in (("open", int(is_open)), ("files", 1), ("bytes", transfer.size)):
        yield "HINCRBY", f"tra:{transfer.owner}", name, more


def _words(transfer: Transfer) -> list[Any]:
    """The reverse of `files.transfer_of`."""
    return [
        transfer.no, transfer.id, transfer.file, transfer.owner, transfer.format, transfer.client_id,
        transfer.name, transfer.size, transfer.sha256, int(transfer.kind), transfer.recipient, transfer.group,
        transfer.conversation, transfer.state.value, repr(transfer.created_at), repr(transfer.expires_at),
        transfer.message_id,
    ]  # fmt: skip
