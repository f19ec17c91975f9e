"""Document 002 (IM-Suite): chat and calls over WebSockets, in JSON or MessagePack, both roles.

Nothing here opens a socket or needs an event loop. docs/wire/signalling.md describes the format.
"""

from imserver.wire.signalling.client import SignallingClientCodec
from imserver.wire.signalling.handshake import negotiate, upgrade
from imserver.wire.signalling.server import SignallingServerCodec

__all__ = ["SignallingClientCodec", "SignallingServerCodec", "negotiate", "upgrade"]
