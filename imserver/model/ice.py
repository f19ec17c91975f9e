"""TURN and STUN: which servers help a WebRTC client to find a path to its peer."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct


class GetIceServers(Struct, frozen=True, gc=False):
    """Which servers help a WebRTC client to find a path (document 002, GET /api/webrtc/config).

    Attributes:
        region: only those of this region and those of none; "" = all.
    """

    region: str = ""


class IceServer(Struct, frozen=True, gc=False, omit_defaults=True):
    """One entry of RTCConfiguration.iceServers; username and credential "" = none needed."""

    urls: Sequence[str]
    username: str = ""
    credential: str = ""


class IceServers(Struct, frozen=True):
    """All of them, the user's credentials filled in.

    Attributes:
        expires_at: when these credentials end, float seconds; 0 = never.
    """

    servers: Sequence[IceServer]
    expires_at: float = 0.0
