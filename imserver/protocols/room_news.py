"""News of rooms as bytes: encoded and framed once for everybody.

Sessions are equally long, so an event's WebSocket frame is the same for all receivers but
for the session in its middle. What several receivers hear becomes a list of pieces with
their sessions between them, and is one `join` for each. Such frames are never compressed.
"""

from __future__ import annotations

from collections.abc import Sequence

from imserver.protocols.frames import TEXT, whole_frame
from imserver.services.room_places import Event, News
from imserver.wire.meeting import MeetingServerCodec


def encoded_news(codec: MeetingServerCodec, news: News, session: bytes) -> bytes:
    """The frames of the news for the receiver with this session."""
    if news.encoded is None:
        news.encoded = _pieces(codec, news.events, len(session))
    return session.join(news.encoded)


def _pieces(codec: MeetingServerCodec, events: Sequence[Event], length: int) -> list[bytes]:
    pieces = []
    last = b""
    for event in events:
        if event.encoded is None:
            event.encoded = _framed(codec, event, length)
        first, next_last = event.encoded
        pieces.append(last + first)
        last = next_last
    pieces.append(last)
    return pieces


def _framed(codec: MeetingServerCodec, event: Event, length: int) -> tuple[bytes, bytes]:
    """An event's frame before and after the session."""
    halves = codec.shared_event(event.event)
    if halves is None:
        raise TypeError(f"rooms have no {type(event.event).__name__}")
    before, after = halves
    payload = bytes(length).join(halves)
    frame = whole_frame(TEXT, payload)
    return frame[: len(frame) - len(payload)] + before, after
