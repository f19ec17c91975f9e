"""Content types and commands beyond those of the server (document 004, §2.3, §8).

Any content type is carried: the server relays content objects unchanged and looks at `type`
alone. `ContentType` are the names that clients agree upon. An `Extension` says more: what
contents of its own types look like, which are refused otherwise, and which commands it has. docs/extending.md
shows how a server gets one.
"""

from __future__ import annotations

import builtins
import enum
from collections.abc import Iterable
from typing import Any, Final

import msgspec
from msgspec import Raw, Struct

from imserver.model.messages import Content, Form
from imserver.wire.jsonline.commands import find
from imserver.wire.jsonline.validator import bad


class ContentType(enum.StrEnum):
    """`content.type`."""

    TEXT = "text"
    EMOJI = "emoji"
    MARKUP = "markup"
    CUSTOM = "custom"
    VOICE = "voice"
    COMMAND = "command"
    FILE_REF = "file-ref"
    REVOKED = "revoked"
    """Written by the server in the place of a content that was taken back."""


class OwnCommand(Struct, frozen=True):
    """A command that clients send.

    Attributes:
        name: two words or more with "/" between them, not one of the server's own.
        payload: a msgspec struct; it is also the command that the extension's handler gets.
        once: a retry with the same id is answered again, not done again.
    """

    name: str
    payload: type[Struct]
    once: bool = False


class OwnContent(Struct, frozen=True):
    """A type of content.

    Attributes:
        type: `content.type`.
        shape: a msgspec struct of the whole content object; other members are refused
            only if the struct forbids unknown fields.
    """

    type: str
    shape: builtins.type[Struct]


class Extension(Struct, frozen=True):
    """Commands and content types that belong together."""

    commands: tuple[OwnCommand, ...] = ()
    contents: tuple[OwnContent, ...] = ()


class _Known(Struct, frozen=True):
    command: OwnCommand
    decode: Any


_NAMED_BY_SERVER: Final = frozenset({ContentType.TEXT, ContentType.REVOKED})


class _Typed(Struct):
    type: str


_type_of: Final = msgspec.json.Decoder(_Typed).decode


class Extensions:
    """All extensions of one server.

    Raises:
        ValueError: a name that is taken, or that no command may have.
    """

    def __init__(self, extensions: Iterable[Extension] = ()) -> None:
        self._commands: dict[str, _Known] = {}
        self._contents: dict[str, Any] = {}
        for extension in extensions:
            for command in extension.commands:
                if "/" not in command.name.strip("/") or "." in command.name:
                    raise ValueError(f"{command.name!r}: a command is two words with a slash between them")
                if command.name in self._commands or find(command.name) is not None:
                    raise ValueError(f"{command.name!r} is taken")
                self._commands[command.name] = _Known(command, msgspec.json.Decoder(command.payload).decode)
            for content in extension.contents:
                if content.type in self._contents or content.type in _NAMED_BY_SERVER:
                    raise ValueError(f"content {content.type!r} is taken")
                self._contents[content.type] = msgspec.json.Decoder(content.shape).decode

    def read(self, spelling: str, payload: Raw) -> tuple[OwnCommand, Any] | None:
        """(what is known of it, its payload) of an extension's command; None if it is none.

        Raises:
            ImError: BAD_REQUEST where the payload is not what the command needs.
        """
        known = self._commands.get(spelling.replace(".", "/"))
        if known is None:
            return None
        try:
            return known.command, known.decode(b"{}" if bytes(payload) == b"null" else payload)
        except msgspec.ValidationError as fault:
            raise bad(f"payload: {fault}") from None
        except (msgspec.MsgspecError, ValueError, RecursionError):
            raise bad("the payload cannot be read") from None

    def check(self, content: Content) -> None:
        """BAD_REQUEST for content of a type that an extension brought, and that is not so."""
        if content.form is not Form.JSON or not self._contents:
            return
        decode = self._contents.get(_type_of(content.data).type)
        if decode is not None:
            try:
                decode(content.data)
            except (msgspec.MsgspecError, ValueError) as fault:
                raise bad(f"content: {fault}") from None
