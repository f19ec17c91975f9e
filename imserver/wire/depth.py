"""How deeply JSON may be nested, so that no receiver's parser gives up on what is carried to it."""

from __future__ import annotations

import re
from typing import Final

from imserver.model.errors import ErrorCode, ImError

MAX_DEPTH: Final = 64
"""Levels of objects and arrays in a carried value."""

_STRINGS = re.compile(rb'"(?:[^"\\]|\\.)*"?', re.DOTALL)
_NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_ONE_KIND = bytes.maketrans(b"{}", b"[]")


def check_depth(data: bytes, what: str) -> None:
    """Refuses JSON that is nested deeper than `MAX_DEPTH`.

    Raises:
        ImError: BAD_REQUEST.
    """
    if data.count(b"{") + data.count(b"[") <= MAX_DEPTH:
        return
    brackets = _STRINGS.sub(b"", data).translate(_ONE_KIND, _NOT_BRACKETS)
    for _ in range(MAX_DEPTH):
        if not brackets:
            return
        # Every round takes away the innermost level.
        brackets = brackets.replace(b"[]", b"")
    if brackets:
        raise ImError(ErrorCode.BAD_REQUEST, f"{what} is nested deeper than {MAX_DEPTH} levels")
