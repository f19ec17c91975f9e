"""Presence."""

from __future__ import annotations

import enum

from msgspec import Struct


class PresenceState(enum.StrEnum):
    """A user's state: the most available one over the user's sessions."""

    ONLINE = "online"
    AWAY = "away"
    BUSY = "busy"
    OFFLINE = "offline"


class SetPresence(Struct, frozen=True, gc=False):
    """Set this session's state (never OFFLINE)."""

    state: PresenceState


class ListPresence(Struct, frozen=True, gc=False):
    """List the presence of `users`, or of everybody one shares a conversation or a friendship with.

    Users with whom the asker shares nothing are left out.
    """

    users: tuple[str, ...] = ()


class UserPresence(Struct, frozen=True, gc=False):
    """One user's presence; `last_seen` in float seconds, 0 = never seen."""

    user: str
    state: PresenceState
    last_seen: float


class PresenceList(Struct, frozen=True):
    """Reply to ListPresence."""

    users: list[UserPresence]


class PresenceChanged(Struct, frozen=True, gc=False):
    """Event: a user's state changed."""

    user: str
    state: PresenceState
    last_seen: float
