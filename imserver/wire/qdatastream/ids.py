"""User and group ids as document 000 writes them, in one field.

`group_<id>` is a group, `group_<id>/<sender>` a group's message and who sent
it, everything else a user.
"""

from __future__ import annotations

from typing import NamedTuple

from imserver.model.ids import GROUP_PREFIX, id_fault


class Address(NamedTuple):
    """Exactly one kind: a user, a group, or a sender (user) in a group."""

    user: str
    group: str


def address_of(text: str) -> Address | None:
    """Reads an id field; None if it is no valid one."""
    if not text.startswith(GROUP_PREFIX):
        return Address(text, "") if id_fault(text) is None else None
    group, slash, user = text.removeprefix(GROUP_PREFIX).partition("/")
    if id_fault(group) is not None or (slash and id_fault(user) is not None):
        return None
    return Address(user, group)


def sender_text(user: str, group: str) -> str:
    """Who sent a message, as one id field."""
    return f"{GROUP_PREFIX}{group}/{user}" if group else user
