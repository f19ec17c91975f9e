"""Autobahn's options for every WebSocket connection of a server."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from autobahn.twisted.websocket import WebSocketServerProtocol
from autobahn.util import wildcards2patterns
from autobahn.websocket.compress_deflate import PerMessageDeflateOffer, PerMessageDeflateOfferAccept
from txaio.tx import make_logger

COMPRESSED_FROM = 256
"""Bytes of the smallest message that is compressed, where compression is configured."""
_WINDOW_BITS = 12
_MEMORY_LEVEL = 5


def _no_compression(offers: Any) -> None:
    """Offers of permessage-deflate are not taken up."""


def accept_compression(offers: Sequence[Any]) -> PerMessageDeflateOfferAccept | None:
    """Takes up the first offer of permessage-deflate that can do with little memory (RFC 7692, 7.1).

    Windows have at most 4 KiB, the memory level is 5, and no message refers to the ones
    before it where the client can do without. None: there is no such offer.
    """
    for offer in offers:
        if isinstance(offer, PerMessageDeflateOffer) and offer.accept_max_window_bits:
            return PerMessageDeflateOfferAccept(
                offer,
                request_no_context_takeover=offer.accept_no_context_takeover,
                request_max_window_bits=_WINDOW_BITS,
                no_context_takeover=True,
                window_bits=min(_WINDOW_BITS, offer.request_max_window_bits or _WINDOW_BITS),
                mem_level=_MEMORY_LEVEL,
            )
    return None


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
