"""Autobahn's options for every WebSocket connection of a server."""

from __future__ import annotations

from typing import Any

from autobahn.twisted.websocket import WebSocketServerProtocol
from autobahn.util import wildcards2patterns
from txaio.tx import make_logger


def _no_compression(offers: Any) -> None:
    """Offers of permessage-deflate are not taken up: it costs 100 KiB a connection."""


class WebSocketOptions(WebSocketServerProtocol):
    """Autobahn copies its options to every instance; here they belong to the class.

    That saves some kilobytes and most of the time of a connect.
    """

    CONFIG_ATTRS: Any = ()
    logOctets = False
    logFrames = False
    trackTimings = False
    utf8validateIncoming = True
    applyMask = True
    autoFragmentSize = 0
    failByDrop = False  # a peer is told why
    echoCloseCodeReason = False
    openHandshakeTimeout = 0
    closeHandshakeTimeout = 0
    tcpNoDelay = True
    autoPingInterval = 0
    autoPingTimeout = 0
    autoPingSize = 12
    autoPingRestartOnAnyTraffic = False
    versions: Any = (13,)
    webStatus = False
    requireMaskedClientFrames = True
    maskServerFrames = False
    perMessageCompressionAccept = staticmethod(_no_compression)
    serveFlashSocketPolicy = False
    flashSocketPolicy = ""
    allowedOrigins: Any = ("*",)  # the origin was looked at before
    allowedOriginsPatterns: Any = wildcards2patterns(["*"])
    allowNullOrigin = True
    maxConnections = 0
    trustXForwardedFor = 0

    # It logs what bad peers do as warnings; that is for the counters, not for the log.
    log: Any = make_logger("critical")  # type: ignore[no-untyped-call]
