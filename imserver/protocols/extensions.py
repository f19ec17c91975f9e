"""Extensions of document 004 that other programs bring, by configuration."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping

from msgspec import Struct

from imserver.services.dispatch import Handler
from imserver.services.extensions import Workplace
from imserver.wire.jsonline.extensions import Extension, Extensions


class ServerExtension(Struct, frozen=True):
    """An extension with what does its work.

    Attributes:
        wire: its commands and content types.
        handlers: gives, once at the start, a coroutine function for each command's payload struct:
            `async def handle(principal, payload) -> OwnReply`; it may raise ImError.
    """

    wire: Extension
    handlers: Callable[[Workplace], Mapping[type, Handler]] = lambda workplace: {}


class UnknownExtension(Exception):
    """An extension that is configured is not there; the text is one line with its key."""


def load_extensions(places: Mapping[str, str]) -> list[ServerExtension]:
    """The extensions at "module:name", by their keys.

    Raises:
        UnknownExtension: one is not there, or is none, or has a name that is taken.
    """
    found = []
    for key, place in places.items():
        module, _, name = place.partition(":")
        try:
            extension = getattr(importlib.import_module(module), name)
        except Exception as error:
            # It is somebody else's program, and may fail in any way.
            raise UnknownExtension(f"extensions.{key}: {place}: {type(error).__name__}: {error}") from None
        if not isinstance(extension, ServerExtension):
            raise UnknownExtension(f"extensions.{key}: {place} is no ServerExtension")
        found.append(extension)
    try:
        Extensions(extension.wire for extension in found)
    except ValueError as error:
        raise UnknownExtension(f"extensions: {error}") from None
    return found
