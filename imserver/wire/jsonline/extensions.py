"""Content types of document 004 (§2.3, §8). Any other string is carried just the same.

The server relays content objects unchanged and looks at `type` alone; these are
the names that clients agree upon.
"""

from __future__ import annotations

import enum


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
