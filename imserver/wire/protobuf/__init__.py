"""The wire format `protobuf`: document 001, protobuf messages in WebSocket binary frames.

Everything a client author needs is in docs/wire/protobuf.md.
"""

from imserver.wire.protobuf.answers import SyncFinished
from imserver.wire.protobuf.client import ProtobufClientCodec
from imserver.wire.protobuf.server import ProtobufServerCodec
from imserver.wire.protobuf.tags import Tag

__all__ = ["ProtobufClientCodec", "ProtobufServerCodec", "SyncFinished", "Tag"]
