"""Members of message.send that no document names: end-to-end keys, encrypted payloads (CONTRACT §4).

They reach the recipients as members of message.new. On the way they are one JSON object
in the message's `extra`, where the other formats have it, too.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec
from msgspec import Raw
from msgspec.structs import fields as members_of

from imserver.model.errors import ImError
from imserver.wire import content as contents
from imserver.wire.signalling.envelope import bad
from imserver.wire.signalling.payloads import SendPayload

FIELDS_KEY: Final = "im.fields"
"""The key in `extra`."""
OWN: Final = frozenset(member.name for member in members_of(SendPayload)) | {
    "message_id", "from_user", "seq", "sent_at", "revoked_by", "revoked_at",
}  # fmt: skip
"""Members that have a meaning of their own, in message.send or in message.new."""

_members: Final = msgspec.json.Decoder(dict[str, Raw]).decode
_decode: Final = msgspec.json.Decoder().decode


def read_fields(payload: bytes | Raw, extra: dict[str, str]) -> dict[str, str]:
    """`extra` with what else is in a payload (which was read before, so it is an object).

    Raises:
        ImError: BAD_REQUEST for values that cannot be carried.
    """
    members = _members(payload)
    if OWN.issuperset(members):
        return extra
    if FIELDS_KEY in extra:
        raise bad(f'extra must not hold "{FIELDS_KEY}" beside fields of one\'s own')
    try:
        found = {name: _decode(value) for name, value in members.items() if name not in OWN}
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise bad("a field of the payload cannot be read") from None
    return {**extra, FIELDS_KEY: _compact(found).decode()}


def split_extra(extra: dict[str, str]) -> tuple[bytes, dict[str, str]]:
    """What `read_fields` put in: (a JSON object, the rest of `extra`); b"" where there is none.

    Clients of other formats may write anything under that key: what could not have come from
    `read_fields`, or would pass for a member of the server's, stays in `extra`.
    """
    text = extra.get(FIELDS_KEY)
    if text is None:
        return b"", extra
    try:
        found = _decode(text)
        if type(found) is not dict or not found or not found.keys().isdisjoint(OWN):
            return b"", extra
        written = _compact(found)
    except (ImError, msgspec.MsgspecError, ValueError, RecursionError):
        return b"", extra
    return written, {key: value for key, value in extra.items() if key != FIELDS_KEY}


def fields_of(message: dict[str, Any]) -> dict[str, str]:
    """The client's side: the members of a message.new that are nobody's, as they travel in `extra`."""
    found = {name: value for name, value in message.items() if name not in OWN}
    return {FIELDS_KEY: _compact(found).decode()} if found else {}


def _compact(found: dict[str, Any]) -> bytes:
    return contents.compact_json(found, "the payload")
