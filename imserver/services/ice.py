"""STUN and TURN servers for WebRTC clients, and each user's own credentials for them.

The credentials are those of coturn's REST API (`use-auth-secret`): a user name that
bears its own end, and as password its HMAC-SHA1 under a secret that this server and the
TURN server share. Nothing is stored, and the TURN server asks nobody.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable, Sequence
from urllib.parse import quote

from msgspec import Struct

from imserver.model.accounts import Principal
from imserver.model.ice import GetIceServers, IceServer, IceServers
from imserver.services.dispatch import Handler

_PLAIN = "!#$&'()*+,;=:@[]/?"
_MAX_NAME = 400
"""Bytes of a user's name in a TURN user name, which may have 508 altogether (RFC 8489, 14.3)."""


class TurnServer(Struct, frozen=True):
    """Servers that stand together.

    Attributes:
        stun: addresses that need no credentials.
        turn: addresses that do.
        secret: shared with the TURN server; b"" where `turn` is empty.
        seconds: how long credentials live.
    """

    region: str
    stun: Sequence[str]
    turn: Sequence[str]
    secret: bytes
    seconds: int

    def __repr__(self) -> str:
        """Without the secret, which must not get into any log."""
        return f"TurnServer({self.region!r}, {self.stun!r}, {self.turn!r}, {self.seconds!r})"


def turn_user(user: str, expires_at: int) -> str:
    """A user name for TURN. ASCII, for coturn takes no other; what is not is percent-encoded."""
    name = quote(user, safe=_PLAIN)
    if len(name) > _MAX_NAME:
        name = hashlib.sha256(user.encode()).hexdigest()
    return f"{expires_at}:{name}"


def turn_password(username: str, secret: bytes) -> str:
    """The password that belongs to a `turn_user`."""
    return base64.b64encode(hmac.digest(secret, username.encode(), "sha1")).decode()


class Ice:
    """The configured servers.

    Args:
        wall_time: the wall clock, float seconds; it has to agree with the TURN servers' clocks.
    """

    def __init__(self, wall_time: Callable[[], float], servers: Sequence[TurnServer] = ()) -> None:
        self._wall_time = wall_time
        self._servers = tuple(servers)

    def handlers(self) -> dict[type, Handler]:
        """For `Dispatch`."""
        return {GetIceServers: self._get}

    def replace(self, servers: Sequence[TurnServer]) -> None:
        """Takes up other servers or secrets. Credentials given out before stay as they are."""
        self._servers = tuple(servers)

    def servers(self, user: str, region: str = "") -> IceServers:
        """What a user's client should use, in the configuration's order.

        Args:
            region: those of this region and those of none; "", or one that no server has: all.
        """
        chosen = self._servers
        if region and any(server.region == region for server in chosen):
            chosen = tuple(server for server in chosen if server.region in ("", region))
        now = int(self._wall_time())
        found: list[IceServer] = []
        ends = []
        for server in chosen:
            if server.stun:
                found.append(IceServer(server.stun))
            if server.turn:
                ends.append(now + server.seconds)
                username = turn_user(user, ends[-1])
                found.append(IceServer(server.turn, username, turn_password(username, server.secret)))
        return IceServers(found, float(min(ends, default=0)))

    async def _get(self, principal: Principal, command: GetIceServers) -> IceServers:
        return self.servers(principal.user, command.region)
