"""Rules for user and group ids, and the canonical names of conversations."""

from __future__ import annotations

import unicodedata

from imserver.model.errors import ErrorCode, ImError

MAX_ID_BYTES = 255
MAX_ALIAS_BYTES = 128
MAX_CLIENT_ID_BYTES = 255
SINGLE_PREFIX = "single_"
GROUP_PREFIX = "group_"
BROADCAST_NAME = "broadcast"
MAX_JSON_INTEGER = 2**53 - 1

_FORBIDDEN_CATEGORIES = frozenset({"Cc", "Cf", "Cs"})


def id_fault(value: str) -> str | None:
    """Says what is wrong with a user or group id.

    Returns:
        None for a valid id: a valid name (see `name_fault`) without "/", not starting
        "group_" or "single_". Otherwise the reason, in words.
    """
    fault = name_fault(value)
    if fault is None:
        if "/" in value:
            return 'contains "/"'
        if value.startswith((GROUP_PREFIX, SINGLE_PREFIX)):
            return 'starts with "group_" or "single_"'
    return fault


def name_fault(value: str) -> str | None:
    """Says what is wrong with a name of anything.

    Returns:
        None for a valid name: 1-255 UTF-8 bytes, NFC, no control, format or
        surrogate characters, no edge spaces. Otherwise the reason, in words.
    """
    if not value:
        return "is empty"
    # The common case, decided without a walk over the characters.
    if value.isascii() and value.isprintable() and len(value) <= MAX_ID_BYTES:
        if value[0] == " " or value[-1] == " ":
            return "has spaces at its edge"
    else:
        for character in value:
            if unicodedata.category(character) in _FORBIDDEN_CATEGORIES:
                return "has a control, format or surrogate character"
        if len(value.encode()) > MAX_ID_BYTES:
            return f"is longer than {MAX_ID_BYTES} UTF-8 bytes"
        if value != value.strip():
            return "has spaces at its edge"
        if not unicodedata.is_normalized("NFC", value):
            return "is not in Unicode normal form C"
    return None


def check_id(value: str, what: str = "user id") -> str:
    """Returns the id unchanged.

    Raises:
        ImError: BAD_REQUEST if it is not a valid id.
    """
    fault = id_fault(value)
    if fault is not None:
        raise ImError(ErrorCode.BAD_REQUEST, f"the {what} {fault}")
    return value


def single_name(a: str, b: str) -> str:
    """The canonical name of the conversation between two users, ids in byte order."""
    if a.encode() > b.encode():
        a, b = b, a
    return f"{SINGLE_PREFIX}{a}_{b}"


def group_name(group: str) -> str:
    """The name a group's conversation always bears on the wire."""
    return GROUP_PREFIX + group


def peers_in_single_name(name: str, user: str) -> list[str]:
    """The possible other halves of a canonical single name, `user` being one half.

    Ids may contain "_", so a name can be read in two ways; which of the
    candidates has an account is for the caller to find out.
    """
    if not name.startswith(SINGLE_PREFIX):
        return []
    rest = name[len(SINGLE_PREFIX) :]
    found = []
    if rest.startswith(user + "_"):
        found.append(rest[len(user) + 1 :])
    if rest.endswith("_" + user):
        found.append(rest[: -len(user) - 1])
    return list(
        dict.fromkeys(peer for peer in found if id_fault(peer) is None and single_name(user, peer) == name)
    )
