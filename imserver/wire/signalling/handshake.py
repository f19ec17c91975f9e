"""The WebSocket handshake: where the token may stand, and which subprotocol is chosen (CONTRACT §4)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from imserver.model.accounts import LogIn
from imserver.model.errors import ErrorCode, ImError
from imserver.wire.base import Negotiated, Upgrade
from imserver.wire.signalling.envelope import MAX_ID_BYTES, bad
from imserver.wire.signalling.server import SignallingServerCodec

BEARER: Final = "bearer"
MSGPACK: Final = "msgpack"


def negotiate(upgrade: Upgrade, now: Callable[[], float]) -> Negotiated:
    """Finds token, device and subprotocol.

    Args:
        now: the wall clock, float seconds.

    Raises:
        ImError: AUTH_FAILED where there is no token; BAD_REQUEST for a device name that is too long.
    """
    offered = upgrade.subprotocols
    token = _first(upgrade, "token") or _header(upgrade.authorization) or _offered(offered)
    if not token:
        raise ImError(
            ErrorCode.AUTH_FAILED,
            "no token: send ?token=, Authorization: Bearer, or the subprotocols bearer and the token",
        )
    device = _first(upgrade, "device")
    if len(device.encode()) > MAX_ID_BYTES:
        raise bad(f"device is longer than {MAX_ID_BYTES} bytes")
    binary = MSGPACK in offered
    if binary:
        subprotocol: str | None = MSGPACK
    else:
        subprotocol = BEARER if BEARER in offered else None
    codec = SignallingServerCodec(now, binary=binary)
    return Negotiated(codec, binary, subprotocol, LogIn(token=token, device=device))


def upgrade(command: LogIn, *, binary: bool = False) -> Upgrade:
    """What a client program puts into its handshake.

    Raises:
        ValueError: this format logs in by token only.
    """
    if not command.token:
        raise ValueError("document 002 logs in by token")
    return Upgrade(
        query={"device": [command.device]} if command.device else {},
        authorization=f"Bearer {command.token}",
        subprotocols=(MSGPACK,) if binary else (),
    )


def _first(upgrade: Upgrade, name: str) -> str:
    values = upgrade.query.get(name)
    return values[0] if values else ""


def _header(authorization: str) -> str:
    scheme, _, token = authorization.strip().partition(" ")
    return token.strip() if scheme.lower() == BEARER else ""


def _offered(subprotocols: tuple[str, ...]) -> str:
    """The token after `bearer`; browsers cannot set headers, but they can offer subprotocols."""
    if BEARER in subprotocols:
        for name in subprotocols[subprotocols.index(BEARER) + 1 :]:
            if name != MSGPACK:
                return name
    return ""
