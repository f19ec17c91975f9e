"""Scripts that Redis runs, each as one step that nothing comes between.

Lua has a few traps here. Redis runs Lua 5.1: numbers are doubles (exact to 2^53), and
`tostring` writes no more than 14 digits of them, so whatever is longer goes through
`string.format`. `<` on strings depends on the locale, so ids are put in order by
`Script`'s callers. `unpack` takes some thousands of values at most.
"""

from __future__ import annotations

import re
from hashlib import sha1
from importlib.resources import files

_PREFIX = re.compile(r"[A-Za-z0-9_.:-]{0,64}")


def check_prefix(prefix: str) -> str:
    """Returns the prefix of all keys unchanged. ValueError if it is none."""
    if _PREFIX.fullmatch(prefix) is None:
        raise ValueError("a prefix is at most 64 letters, digits and any of _.:-")
    return prefix


class Script:
    """One script: parts of Lua that share what comes before them.

    The text sees `P`, which every key begins with, and `C`, which every channel begins with
    (see `keys`).

    Attributes:
        name: for people.
    """

    __slots__ = ("_parts", "name")

    def __init__(self, name: str, *parts: str) -> None:
        self.name = name
        self._parts = parts

    def text(self, prefix: str, channels: str) -> bytes:
        """What Redis is sent."""
        return "\n".join([f'local P, C = "{prefix}", "{channels}"', *self._parts]).encode()

    def __repr__(self) -> str:
        return f"Script({self.name!r})"


class Rendered:
    """A script for one set of keys and channels.

    Attributes:
        text / sha: what EVAL and EVALSHA take.
    """

    __slots__ = ("sha", "text")

    def __init__(self, script: Script, prefix: str, channels: str) -> None:
        self.text = script.text(prefix, channels)
        self.sha = sha1(self.text, usedforsecurity=False).hexdigest().encode()


def lua(*names: str) -> tuple[str, ...]:
    """Parts of scripts, from the folder `lua`."""
    folder = files("imserver.backends.redis") / "lua"
    return tuple((folder / f"{name}.lua").read_text("utf-8") for name in names)
