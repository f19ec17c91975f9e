"""Whom something is for, in whichever way a client of the dialect chat-app says it."""

from __future__ import annotations

from typing import Any

from imserver.wire.jsonline.messages import Target
from imserver.wire.jsonline.validator import bad


def target(value: Any) -> Target | None:
    """A target: {type, id}, or the bare id of a user; None where there is none.

    Raises:
        ImError: BAD_REQUEST.
    """
    if value is None:
        return None
    if type(value) in (str, int):
        return Target("user", value)
    if type(value) is not dict:
        raise bad("target must have a type and an id")
    kind, named = value.get("type"), value.get("id")
    if type(kind) is not str or type(named) not in (str, int, type(None)):
        raise bad("target must have a type and an id")
    return Target(kind, named)
