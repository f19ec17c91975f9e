"""Document 003: meeting rooms, JSON in text WebSocket messages. docs/wire/meeting.md describes it."""

from imserver.wire.meeting.client import MeetingClientCodec
from imserver.wire.meeting.handshake import negotiate
from imserver.wire.meeting.server import MeetingServerCodec

__all__ = ["MeetingClientCodec", "MeetingServerCodec", "negotiate"]
