"""The WebSocket handshake: where a token may stand besides data.token (CONTRACT §5)."""

from __future__ import annotations

from imserver.wire.base import Negotiated, Upgrade
from imserver.wire.meeting.server import MeetingServerCodec


def negotiate(upgrade: Upgrade) -> Negotiated:
    """Remembers `?token=`, else `Authorization: Bearer`. Nobody is refused before he asks to join."""
    values = upgrade.query.get("token")
    token = values[0] if values else ""
    if not token:
        scheme, _, bearer = upgrade.authorization.strip().partition(" ")
        token = bearer.strip() if scheme.lower() == "bearer" else ""
    return Negotiated(MeetingServerCodec(token), binary=False)
