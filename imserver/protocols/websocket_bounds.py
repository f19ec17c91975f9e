"""How long WebSocket messages may be, as long as Autobahn reads them: in pieces, compressed, endless."""

from __future__ import annotations

from typing import Any

from imserver.protocols.websocket_options import WebSocketOptions


class WebSocketBounds(WebSocketOptions):
    """Skips messages that are too long where the format can go on, and closes where it cannot.

    What is kept of a message never exceeds `maxMessagePayloadSize`, on the wire or inflated.
    """

    maxMessagePayloadSize: int
    message_data: Any
    _isMessageCompressed: bool
    _skips_oversize: bool
    _packed = 0  # bytes of the compressed message so far, as they came
    _skipping = False  # the message is too long and its end has not come yet

    def messageSkipped(self, limit: int) -> None:
        """A message longer than so many bytes has ended; nothing of it was kept."""

    def onMessageBegin(self, isBinary: bool) -> None:
        """See Autobahn."""
        super().onMessageBegin(isBinary)
        self._packed = 0

    def onMessageFrameBegin(self, length: int) -> None:
        """See Autobahn, which bounds what comes out of zlib, but not what goes in."""
        super().onMessageFrameBegin(length)
        if self._isMessageCompressed and not self.failedByMe:
            self._packed += length
            limit = self.maxMessagePayloadSize
            if self._packed > limit:
                self._max_message_size_exceeded(
                    self._packed, limit, f"a compressed message is longer than {limit} bytes"
                )

    def onMessageFrameData(self, payload: bytes) -> None:
        """See Autobahn, which would collect the empty pieces of endless messages, too."""
        if payload and not self._skipping:
            super().onMessageFrameData(payload)

    def _max_message_size_exceeded(self, size: int, limit: int, reason: str) -> None:
        # What was not inflated to its end cannot be skipped.
        if self._skips_oversize and not self._isMessageCompressed:
            self._skipping = True
            self.message_data.clear()
        else:
            super()._max_message_size_exceeded(size, limit, reason)

    def onMessageEnd(self) -> None:
        """See Autobahn."""
        pieces, self.message_data = self.message_data, None
        if self._skipping:
            self._skipping = False
            if not self.failedByMe:
                self.messageSkipped(self.maxMessagePayloadSize)
        elif not self.failedByMe:
            self.onMessage(b"".join(pieces), self.message_is_binary)
