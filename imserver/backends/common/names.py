"""Which names clients may use of their own for a single conversation (CONTRACT.md "Conversations")."""

from __future__ import annotations

from imserver.model.errors import ErrorCode, ImError
from imserver.model.ids import (
    BROADCAST_NAME,
    GROUP_PREFIX,
    MAX_ALIAS_BYTES,
    SINGLE_PREFIX,
    id_fault,
    single_name,
)


def own_name(name: str, asker: str, recipient: str) -> str:
    """The name to write for a single conversation whose recipient is given; "" = the canonical one.

    Raises:
        ImError: FORBIDDEN for another pair's canonical name, BAD_REQUEST for one that no client may use.
    """
    if name.startswith((SINGLE_PREFIX, GROUP_PREFIX)):
        if name == single_name(asker, recipient):
            return ""
        if is_canonical(name):
            raise ImError(ErrorCode.FORBIDDEN, "the conversation id is that of other users")
        raise ImError(
            ErrorCode.BAD_REQUEST, 'a client\'s own conversation id may not start "single_" or "group_"'
        )
    if len(name.encode()) > MAX_ALIAS_BYTES:
        raise ImError(ErrorCode.BAD_REQUEST, f"the conversation id is longer than {MAX_ALIAS_BYTES} bytes")
    # Clients answer broadcasts under the name they got them; it is everybody's, so nobody's own.
    return "" if name == BROADCAST_NAME else name


def is_canonical(name: str) -> bool:
    """Whether a name can be the canonical one of some pair of users."""
    rest = name[len(SINGLE_PREFIX) :]
    if not name.startswith(SINGLE_PREFIX):
        return False
    at = rest.find("_")
    while at >= 0:
        first, second = rest[:at], rest[at + 1 :]
        if first.encode() <= second.encode() and not id_fault(first) and not id_fault(second):
            return True
        at = rest.find("_", at + 1)
    return False
