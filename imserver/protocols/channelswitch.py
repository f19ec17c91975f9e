"""One port for both kinds of file channels: the first byte says which one it is.

A channel of document 004 begins with a frame's type, one of its dialect chat-app with a line of
JSON. Then the connection is handed over, so nothing stays in between.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import Protocol, ServerFactory, connectionDone
from twisted.python.failure import Failure

from imserver.protocols.connections import Admission
from imserver.protocols.filechannel import FileChannelFactory, FileChannelProtocol
from imserver.protocols.relaychannel import RelayChannelProtocol
from imserver.services.file_relays import Relays
from imserver.wire.relaychannel import FIRST_BYTE


class ChannelSwitch(Protocol):
    """Waits for the first byte.

    Attributes:
        wheel_slot: the wheel's.
    """

    transport: Any
    factory: ChannelSwitchFactory
    wheel_slot = -1

    def __init__(self, admission: Admission) -> None:
        self._admission: Admission | None = admission

    def connectionMade(self) -> None:
        """See IProtocol."""
        doors = self.factory.doors
        doors.wheel.watch(self, doors.clock.seconds() + doors.limits.handshake_time)

    def dataReceived(self, data: bytes) -> None:
        """See IProtocol."""
        admission, self._admission = self._admission, None
        if admission is None:
            return
        factory, transport = self.factory, self.transport
        factory.doors.wheel.forget(self)
        protocol: Any
        if data.startswith(FIRST_BYTE):
            protocol = RelayChannelProtocol(factory.doors, factory.relays, admission)
        else:
            protocol = FileChannelProtocol(factory.files, admission)
        # A TLS transport is a protocol that wraps another one.
        if hasattr(transport, "wrappedProtocol"):
            transport.wrappedProtocol = protocol
        else:
            transport.protocol = protocol
        protocol.makeConnection(transport)
        protocol.dataReceived(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """See IProtocol."""
        self.factory.doors.wheel.forget(self)
        if self._admission is not None:
            self._admission.release()

    def check(self, now: float) -> float | None:
        """See liveness.Watched: nothing came."""
        self.transport.abortConnection()
        return None


class ChannelSwitchFactory(ServerFactory):
    """Builds the protocol.

    Args:
        files: makes the channels of the draft.
    """

    noisy = False

    def __init__(self, files: FileChannelFactory, relays: Relays) -> None:
        self.files = files
        self.doors = files.doors
        self.relays = relays

    def buildProtocol(self, addr: IAddress | None) -> ChannelSwitch | None:  # type: ignore[override]
        """See IProtocolFactory; None (the connection is closed) where there is no room."""
        admission = self.doors.admit(addr)
        if admission is None:
            return None
        protocol = ChannelSwitch(admission)
        protocol.factory = self
        return protocol
